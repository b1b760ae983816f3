#include "store/log_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER = 1 << 20,
    RECORD_MAX = 1 << 30,
    NAME_DIGITS = 20,
    PATH_SIZE = 4096,
};

struct log_files {
    const struct fs *fs;
    struct log_file *files;
    size_t n, cap;
    size_t open; /* index of the file behind fd */
    int fd;
};

/* ---- the files
 * --------------------------------------------------------------------------------------------------------- */

static int add_file(struct log_files *l, const char *dir, const char *name)
{
    char path[PATH_SIZE];
    int64_t base;
    struct fs_stat st;
    if (strlen(name) != NAME_DIGITS || strspn(name, "0123456789") != NAME_DIGITS || !str_to_i64(str_from(name), &base))
        return 0;
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || n >= (int)sizeof path)
        return -ENAMETOOLONG;
    int r = l->fs->stat(l->fs, path, &st);
    if (r)
        return r == -ENOENT ? 0 : r;
    if (st.size == 0)
        return 0; /* just being made */
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct log_file *p = realloc(l->files, cap * sizeof *p);
        if (p == NULL)
            return -ENOMEM;
        l->files = p;
        l->cap = cap;
    }
    char *own = strdup(path);
    if (own == NULL)
        return -ENOMEM;
    l->files[l->n++] = (struct log_file){base, st.size, own};
    return 0;
}

static int add_dir(struct log_files *l, const char *dir)
{
    char **names;
    size_t n;
    int r = fs_list_sorted(l->fs, dir, false, &names, &n);
    if (r)
        return r == -ENOENT ? 0 : r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_file(l, dir, names[i]);
    fs_names_free(names, n);
    return r;
}

static int by_base(const void *a, const void *b)
{
    int64_t x = ((const struct log_file *)a)->base, y = ((const struct log_file *)b)->base;
    return x < y ? -1 : x > y;
}

int log_files_open(struct log_files **out, const struct fs *fs, const char *dirs, struct err *err)
{
    struct log_files *l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(err, ENOMEM, "out of memory");
    l->fs = fs;
    l->fd = -1;
    struct str rest = str_from(dirs), dir;
    int r = 0;
    while (r == 0 && str_split(&rest, ',', &dir)) {
        char *z = str_dupz(str_trim(dir));
        r = z ? add_dir(l, z) : -ENOMEM;
        free(z);
    }
    if (r) {
        log_files_close(l);
        return err_sys(err, -r, "cannot list the commit log folder %s", dirs);
    }
    if (l->n)
        qsort(l->files, l->n, sizeof l->files[0], by_base);
    *out = l;
    return 0;
}

void log_files_close(struct log_files *l)
{
    if (l == NULL)
        return;
    if (l->fd >= 0)
        l->fs->close(l->fs, l->fd);
    for (size_t i = 0; i < l->n; i++)
        free((char *)(uintptr_t)l->files[i].path);
    free(l->files);
    free(l);
}

size_t log_files_count(const struct log_files *l)
{
    return l->n;
}

const struct log_file *log_files_at(const struct log_files *l, size_t i)
{
    return &l->files[i];
}

int64_t log_files_min(const struct log_files *l)
{
    return l->n ? l->files[0].base : 0;
}

int64_t log_files_end(const struct log_files *l)
{
    return l->n ? l->files[l->n - 1].base + l->files[l->n - 1].size : 0;
}

/* The file that holds offset, or the next one behind it; n: none. */
static size_t find(const struct log_files *l, int64_t offset)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->files[mid].base + l->files[mid].size <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct log_file *log_files_find(const struct log_files *l, int64_t offset)
{
    size_t i = find(l, offset);
    return i < l->n && l->files[i].base <= offset ? &l->files[i] : NULL;
}

ssize_t log_files_read(struct log_files *l, int64_t offset, void *buf, size_t n)
{
    size_t i = find(l, offset);
    if (i == l->n || l->files[i].base > offset)
        return 0;
    const struct log_file *f = &l->files[i];
    if (l->fd < 0 || l->open != i) {
        if (l->fd >= 0)
            l->fs->close(l->fs, l->fd);
        l->open = i;
        l->fd = l->fs->open(l->fs, f->path, FS_READ);
        if (l->fd < 0)
            return l->fd;
    }
    int64_t rest = f->base + f->size - offset;
    return l->fs->pread(l->fs, l->fd, buf, (int64_t)n < rest ? n : (size_t)rest, offset - f->base);
}

/* ---- walking
 * ------------------------------------------------------------------------------------------------------------ */

void log_scan_init(struct log_scan *s, struct log_files *files, int64_t pos)
{
    *s = (struct log_scan){.files = files, .pos = pos, .buf_at = pos};
}

void log_scan_free(struct log_scan *s)
{
    free(s->buf);
    s->buf = NULL;
}

/* Brings at least want bytes from `at` on into the buffer, fewer at the end of a file. How many are there, or an error.
 */
static ssize_t fill(struct log_scan *s, int64_t at, size_t want)
{
    if (at < s->buf_at || at > s->buf_at + (int64_t)s->have) {
        s->buf_at = at;
        s->have = 0;
    }
    size_t used = (size_t)(at - s->buf_at);
    if (s->have - used >= want)
        return (ssize_t)(s->have - used);
    size_t cap = want > BUFFER ? want : BUFFER;
    if (s->cap < cap) {
        uint8_t *p = realloc(s->buf, cap);
        if (p == NULL)
            return -ENOMEM;
        s->buf = p;
        s->cap = cap;
    }
    s->have -= used;
    memmove(s->buf, s->buf + used, s->have);
    s->buf_at = at;
    ssize_t got = log_files_read(s->files, at + (int64_t)s->have, s->buf + s->have, s->cap - s->have);
    if (got < 0)
        return got;
    s->have += (size_t)got;
    return (ssize_t)s->have;
}

/* The record at `at`, whose file ends `rest` bytes behind it. */
static enum msg_decode_status decode(struct log_scan *s, int64_t at, int64_t rest, struct msg_view *view, int *error)
{
    ssize_t have = fill(s, at, 8);
    if (have < 0) {
        *error = (int)have;
        return MSG_BAD;
    }
    if (have > rest)
        have = (ssize_t)rest;
    enum msg_decode_status st = msg_decode(s->buf + (at - s->buf_at), (size_t)have, view);
    if (st != MSG_INCOMPLETE || have < 8 || view->size > rest || view->size > RECORD_MAX)
        return st == MSG_INCOMPLETE ? MSG_BAD : st;
    have = fill(s, at, view->size);
    if (have < 0) {
        *error = (int)have;
        return MSG_BAD;
    }
    if (have > rest)
        have = (ssize_t)rest;
    return msg_decode(s->buf + (at - s->buf_at), (size_t)have, view);
}

enum log_scan_step log_scan_next(struct log_scan *s, struct msg_view *view, int64_t *offset, int *error)
{
    for (;;) {
        size_t i = find(s->files, s->pos);
        if (i == s->files->n)
            return SCAN_END;
        const struct log_file *f = &s->files->files[i];
        if (f->base > s->pos)
            return SCAN_BAD; /* a file is missing here */
        int64_t rest = f->base + f->size - s->pos;
        *error = 0;
        enum msg_decode_status st = decode(s, s->pos, rest, view, error);
        if (*error)
            return SCAN_FAILED;
        if (st == MSG_BLANK && (int64_t)view->size == rest) {
            s->pos += rest;
            continue;
        }
        if (st != MSG_OK || view->m.physical_offset != s->pos)
            return SCAN_BAD;
        *offset = s->pos;
        s->pos += view->size;
        return SCAN_RECORD;
    }
}

static bool is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Where in p[from, n) a magic code begins; n when nowhere. */
static size_t find_magic(const uint8_t *p, size_t from, size_t n)
{
    while (from + 4 <= n) {
        const uint8_t *at = memchr(p + from, MSG_MAGIC_V1 >> 24, n - 3 - from);
        if (at == NULL)
            return n;
        uint32_t magic = get_be32(at);
        if (magic == MSG_MAGIC_V1 || magic == MSG_MAGIC_V2)
            return (size_t)(at - p);
        from = (size_t)(at - p) + 1;
    }
    return n;
}

/* Looks for a record in one file from `from` on. */
static bool resync_in(struct log_scan *s, const struct log_file *f, int64_t from, bool *used)
{
    int64_t end = f->base + f->size;
    int64_t at = from;
    while (at + MSG_FIXED_V4 <= end) {
        ssize_t have = fill(s, at, BUFFER);
        if (have < MSG_FIXED_V4)
            return false;
        if (have > end - at)
            have = (ssize_t)(end - at); /* the buffer may hold the beginning of the next file too */
        const uint8_t *p = s->buf + (at - s->buf_at);
        if (is_zero(p, (size_t)have)) {
            at += have - 7;
            continue;
        }
        *used = true;
        size_t magic = find_magic(p, MSG_POS_MAGIC, (size_t)have);
        if (magic == (size_t)have) {
            at += have - 7; /* a magic code may be cut by the buffer's end */
            continue;
        }
        at += (int64_t)magic - MSG_POS_MAGIC;
        struct msg_view view;
        int error = 0;
        if (decode(s, at, end - at, &view, &error) == MSG_OK && view.m.physical_offset == at) {
            s->pos = at;
            return true;
        }
        at++;
    }
    return false;
}

bool log_scan_resync(struct log_scan *s, bool *used)
{
    int64_t from = s->pos;
    *used = false;
    for (size_t i = find(s->files, s->pos); i < s->files->n; i++) {
        const struct log_file *f = &s->files->files[i];
        if (resync_in(s, f, from > f->base ? from : f->base, used))
            return true;
    }
    return false;
}
