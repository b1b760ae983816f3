/* The helpers that work over any file layer. */
#include "os/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

int fs_write_all(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    const char *p = buf;
    while (n > 0) {
        ssize_t put = fs->pwrite(fs, fd, p, n, at);
        if (put < 0)
            return (int)put;
        if (put == 0)
            return -ENOSPC;
        p += put;
        n -= (size_t)put;
        at += put;
    }
    return 0;
}

int fs_write_zeros(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    static char zeros[64 * 1024]; /* not const: so it takes no room in the executable */
    int r = 0;
    while (r == 0 && n > 0) {
        size_t part = n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros;
        r = fs_write_all(fs, fd, zeros, part, at);
        at += (int64_t)part;
        n -= (int64_t)part;
    }
    return r;
}

int fs_read_all(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    ssize_t got = fs->pread(fs, fd, buf, n, at);
    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : -ENODATA;
}

/* Looks through the data of [at, end): the first byte that is not zero, or (last) the end of the last one; INT64_MIN if
 * there is none, other negative values are errors. */
static int64_t find_nonzero(const struct fs *fs, int fd, int64_t at, int64_t end, bool last)
{
    enum { CHUNK = 65536 };
    int64_t found = -1;
    char *buf = malloc(CHUNK);
    if (buf == NULL)
        return -ENOMEM;
    /* What of a hole is in the page cache counts as data. So what was read ahead is dropped, which would also have the
     * kernel go on reading ahead; and no piece ends within a page, or the next one would begin with data. */
    fs->dontneed(fs, fd, at, end - at);
    fs->scattered(fs, fd, true);
    while ((at = fs->next_data(fs, fd, at)) >= 0 && at < end) {
        int64_t piece = CHUNK - at % CHUNK;
        ssize_t got = fs->pread(fs, fd, buf, (size_t)(end - at < piece ? end - at : piece), at);
        if (got <= 0) {
            at = got < 0 ? got : at;
            break;
        }
        /* All equal to the byte before it, and that one zero. */
        if (buf[0] != 0 || memcmp(buf, buf + 1, (size_t)got - 1) != 0) {
            ssize_t i = last ? got - 1 : 0;
            while (buf[i] == 0)
                i += last ? -1 : 1;
            found = at + i + last;
            if (!last)
                break;
        }
        at += got;
    }
    fs->scattered(fs, fd, false);
    free(buf);
    return at < 0 ? at : found < 0 ? INT64_MIN : found;
}

int fs_all_zero(const struct fs *fs, int fd, int64_t at, int64_t end)
{
    int64_t r = find_nonzero(fs, fd, at, end, false);
    return r == INT64_MIN ? 1 : r < 0 ? (int)r : 0;
}

int64_t fs_nonzero_end(const struct fs *fs, int fd, int64_t at, int64_t end)
{
    int64_t r = find_nonzero(fs, fd, at, end, true);
    return r == INT64_MIN ? at : r;
}

int fs_mkdirs(const struct fs *fs, const char *path)
{
    char part[PATH_SIZE];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return -ENAMETOOLONG;
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char keep = part[i];
        part[i] = '\0';
        int r = fs->mkdir(fs, part);
        if (r && r != -EEXIST) {
            /* A parent that may not be written but is there (-EROFS, -EACCES) is no obstacle. */
            struct fs_stat st;
            if (fs->stat(fs, part, &st) || !st.is_dir)
                return r;
        }
        part[i] = keep;
    }
    struct fs_stat st;
    int r = fs->stat(fs, path, &st);
    if (r)
        return r;
    return st.is_dir ? 0 : -ENOTDIR;
}

bool fs_parent(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    if (len >= size)
        return false;
    memcpy(out, slash ? path : ".", len);
    out[len] = '\0';
    return true;
}

int fs_sync_name(const struct fs *fs, const char *path)
{
    char dir[PATH_SIZE];
    if (!fs_parent(path, dir, sizeof dir))
        return -ENAMETOOLONG;
    return fs->sync_dir(fs, dir);
}

int fs_replace(const struct fs *fs, const char *path, const void *data, size_t n)
{
    char tmp[PATH_SIZE];
    int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof tmp)
        return -ENAMETOOLONG;
    int fd = fs->open(fs, tmp, FS_WRITE | FS_CREATE | FS_TRUNCATE);
    if (fd < 0)
        return fd;
    int r = fs_write_all(fs, fd, data, n, 0);
    if (r == 0)
        r = fs->datasync(fs, fd);
    fs->close(fs, fd);
    if (r == 0)
        r = fs->rename(fs, tmp, path);
    if (r == 0)
        return fs_sync_name(fs, path);
    fs->unlink(fs, tmp);
    return r;
}

int fs_load(const struct fs *fs, const char *path, size_t max, char **data, size_t *n)
{
    int fd = fs->open(fs, path, FS_READ);
    if (fd < 0)
        return fd;
    struct fs_stat st;
    int r = fs->fstat(fs, fd, &st);
    if (r == 0 && (uint64_t)st.size > max)
        r = -EFBIG;
    char *p = r ? NULL : malloc((size_t)st.size + 1);
    if (r == 0 && p == NULL)
        r = -ENOMEM;
    if (r == 0) {
        ssize_t got = fs->pread(fs, fd, p, (size_t)st.size, 0);
        if (got < 0) {
            r = (int)got;
            free(p);
        } else {
            p[got] = '\0';
            *data = p;
            *n = (size_t)got;
        }
    }
    fs->close(fs, fd);
    return r;
}

bool fs_exists(const struct fs *fs, const char *path)
{
    struct fs_stat st;
    return fs->stat(fs, path, &st) == 0;
}

struct name_list {
    char **names;
    size_t count, cap;
    bool dirs;
};

static int collect(void *arg, const char *name, bool is_dir)
{
    struct name_list *l = arg;
    if (is_dir != l->dirs)
        return 0;
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        char **grown = realloc(l->names, cap * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        l->names = grown;
        l->cap = cap;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return -ENOMEM;
    l->names[l->count++] = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fs_list_sorted(const struct fs *fs, const char *dir, bool dirs, char ***names, size_t *count)
{
    struct name_list l = {.dirs = dirs};
    int r = fs->list(fs, dir, collect, &l);
    if (r) {
        fs_names_free(l.names, l.count);
        return r;
    }
    if (l.count)
        qsort(l.names, l.count, sizeof *l.names, by_name);
    *names = l.names;
    *count = l.count;
    return 0;
}

void fs_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int remove_entries(const struct fs *fs, const char *path, bool dirs)
{
    char **names;
    size_t count;
    int r = fs_list_sorted(fs, path, dirs, &names, &count);
    if (r)
        return r;
    for (size_t i = 0; i < count && r == 0; i++) {
        char sub[PATH_SIZE];
        int len = snprintf(sub, sizeof sub, "%s/%s", path, names[i]);
        if (len < 0 || (size_t)len >= sizeof sub)
            r = -ENAMETOOLONG;
        else
            r = dirs ? fs_remove_tree(fs, sub) : fs->unlink(fs, sub);
    }
    fs_names_free(names, count);
    return r;
}

int fs_remove_tree(const struct fs *fs, const char *path)
{
    struct fs_stat st;
    int r = fs->stat(fs, path, &st);
    if (r)
        return r == -ENOENT ? 0 : r;
    if (!st.is_dir)
        return fs->unlink(fs, path);
    r = remove_entries(fs, path, true);
    if (r == 0)
        r = remove_entries(fs, path, false);
    return r ? r : fs->rmdir(fs, path);
}
