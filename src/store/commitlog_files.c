/* The files of the commit log: loading, making the next one, cutting the end, removing the oldest. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "os/thread.h"
#include "store/commitlog_int.h"
#include "store/mutant.h"

enum { PATH_SIZE = 4096, NAME_LEN = 20, WIPE_SHORT = 1 << 20, CLOSE_AT_ONCE = 8 };

static void segment_path(const struct log_dir *dir, int64_t base, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%020" PRId64, dir->path, base);
}

static void free_segment(struct log_segment *seg)
{
    const struct fs *fs = seg->log->fs;
    if (seg->map)
        fs->unmap(fs, (void *)(uintptr_t)seg->map, (size_t)seg->size);
    if (seg->fd >= 0)
        fs->close(fs, seg->fd);
    free(seg);
}

/* Opens (create: makes) and maps the segment's file. */
static int open_file(const struct log_segment *seg, bool create, int *out_fd, void **out_map)
{
    const struct commitlog *log = seg->log;
    const struct fs *fs = log->fs;
    struct log_dir *dir = seg->dir;
    char path[PATH_SIZE];
    segment_path(dir, seg->base, path);
    int fd = fs->open(fs, path, FS_WRITE | (create ? FS_CREATE | FS_TRUNCATE : 0));
    if ((fd == -EROFS || fd == -EACCES) && dir->read_only)
        fd = fs->open(fs, path, FS_READ);
    int r = fd < 0 ? fd : 0;
    if (r == 0 && create) {
        /* Full size first: a crash leaves an empty or a whole file, which every reader of the directory understands. */
        r = fs->truncate(fs, fd, seg->size);
        if (r == 0)
            r = fs->allocate(fs, fd, seg->size);
        if (r == 0)
            r = fs->datasync(fs, fd);
        if (r == 0 && !MUTANT(NO_SEGMENT_NAME_SYNC))
            r = fs->sync_dir(fs, dir->path);
    }
    if (r == 0)
        r = fs->map(fs, fd, (size_t)seg->size, false, out_map);
    if (r < 0) {
        if (create && fd >= 0)
            fs->unlink(fs, path);
        if (fd >= 0)
            fs->close(fs, fd);
        return r;
    }
    *out_fd = fd;
    return 0;
}

static struct log_segment *new_segment(struct commitlog *log, struct log_dir *dir, int64_t base)
{
    struct log_segment *seg = calloc(1, sizeof *seg);
    if (seg)
        *seg =
            (struct log_segment){.log = log, .base = base, .size = log->segment_size, .dir = dir, .fd = -1, .refs = 1};
    return seg;
}

/* With its file, for one that is not in the table yet. */
static int open_segment(struct commitlog *log, struct log_dir *dir, int64_t base, bool create, struct log_segment **out)
{
    struct log_segment *seg = new_segment(log, dir, base);
    void *map = NULL;
    int r = seg ? open_file(seg, create, &seg->fd, &map) : -ENOMEM;
    if (r) {
        free(seg);
        return r;
    }
    seg->map = map;
    *out = seg;
    return 0;
}

/* ---- files closed while nobody reads them
 * ---------------------------------------------------------------------------------- */

/* Not one that somebody holds, nor one with what this process wrote and did not sync: errors are told to the open file.
 */
static bool may_close(const struct commitlog *log, const struct log_segment *seg)
{
    bool durable = !__atomic_load_n(&log->loaded, __ATOMIC_ACQUIRE) || seg->base + seg->size <= clog_flushed(log);
    return seg->map && seg != clog_tail(log) && durable && __atomic_load_n(&seg->refs, __ATOMIC_ACQUIRE) == 1;
}

/* Closes the files that were not read for longest, while too many are open. */
static void close_some(struct commitlog *log)
{
    struct log_segment closing[CLOSE_AT_ONCE];
    size_t n = 0;
    pthread_mutex_lock(&log->table_lock);
    for (size_t steps = 0; n < CLOSE_AT_ONCE && log->open > log->keep_open && steps < 2 * log->count; steps++) {
        log->hand = log->hand + 1 < log->count ? log->hand + 1 : 0;
        struct log_segment *seg = log->segs[log->hand];
        if (!may_close(log, seg))
            continue;
        if (seg->used) { /* once more round */
            seg->used = false;
            continue;
        }
        closing[n++] = *seg;
        seg->map = NULL;
        seg->fd = -1;
        log->open--;
    }
    pthread_mutex_unlock(&log->table_lock);
    for (size_t i = 0; i < n; i++) {
        log->fs->unmap(log->fs, (void *)(uintptr_t)closing[i].map, (size_t)closing[i].size);
        log->fs->close(log->fs, closing[i].fd);
    }
}

/* As a start does for the files it opens. */
static int check_size(const struct log_segment *seg, int fd)
{
    struct fs_stat st;
    int r = seg->log->fs->fstat(seg->log->fs, fd, &st);
    return r == 0 && st.size != seg->size ? -EILSEQ : r;
}

int clog_open_again(struct log_segment *seg)
{
    struct commitlog *log = seg->log;
    const struct fs *fs = log->fs;
    int fd = -1, r = 0;
    void *map = NULL;
    pthread_mutex_lock(&log->open_lock);
    pthread_mutex_lock(&log->table_lock);
    bool open = seg->map != NULL;
    pthread_mutex_unlock(&log->table_lock);
    if (!open)
        r = open_file(seg, false, &fd, &map);
    if (!open && r == 0 && (r = check_size(seg, fd)) != 0) {
        fs->unmap(fs, map, (size_t)seg->size);
        fs->close(fs, fd);
    }
    if (!open && r == 0) {
        pthread_mutex_lock(&log->table_lock);
        seg->fd = fd;
        seg->map = map;
        log->open++;
        pthread_mutex_unlock(&log->table_lock);
    }
    pthread_mutex_unlock(&log->open_lock);
    if (r == -ENOENT && seg->base < clog_min(log))
        return r; /* removed meanwhile */
    if (r)
        LOG_LIMITED(LOG_ERROR, "store", "cannot open the commit log file %s/%020" PRId64 ": %s", seg->dir->path,
                    seg->base, strerror(-r));
    else if (!open)
        close_some(log);
    return r == -ENOENT ? -EIO : r;
}

int clog_wipe_torn(struct commitlog *log)
{
    int64_t to = __atomic_load_n(&log->torn_to, __ATOMIC_ACQUIRE);
    int r = __atomic_load_n(&log->sync_error, __ATOMIC_ACQUIRE);
    if (to == 0 || r)
        return r;
    /* No append runs while torn_to is set: end and last segment stand still. */
    struct log_segment *seg = clog_tail(log);
    r = MUTANT(NO_WIPE_AFTER_FAILED_APPEND)
            ? 0
            : log->fs->zero(log->fs, seg->fd, log->written - seg->base, to - log->written);
    if (r)
        return r;
    /* A sync in between may have brought it to the disk, where it could outlast the zeros that are only in memory. */
    r = log->fs->datasync(log->fs, seg->fd);
    if (r) {
        __atomic_store_n(&log->sync_error, r, __ATOMIC_RELEASE);
        return r;
    }
    __atomic_store_n(&log->problem, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&log->torn_to, 0, __ATOMIC_RELEASE);
    return 0;
}

static void prewrite(struct commitlog *log)
{
    int64_t at = clog_max(log);
    struct log_segment *seg = clog_pin(log, at, true, NULL);
    if (seg) {
        clog_prewrite_segment(log, seg, at - seg->base);
        seg_release(seg);
    }
    seg = __atomic_load_n(&log->next, __ATOMIC_ACQUIRE);
    /* Taken by the appender meanwhile it stays alive: the cleaner never removes the last segment. */
    if (seg)
        clog_prewrite_segment(log, seg, 0);
}

/* In the folder whose turn it is; in another one when that fails. */
static int make_segment(struct commitlog *log, int64_t base)
{
    int r = -ENOSPC;
    for (size_t tries = 0; tries < log->dirs.writable; tries++) {
        struct log_dir *dir = log_dirs_choose(&log->dirs, base / log->segment_size);
        struct log_segment *seg;
        r = open_segment(log, dir, base, true, &seg);
        if (r == 0) {
            __atomic_store_n(&log->next, seg, __ATOMIC_RELEASE);
            return 0;
        }
        if (log->dirs.writable > 1)
            LOG_LIMITED(LOG_ERROR, "store", "cannot make the next commit log file in %s: %s; using another folder",
                        dir->path, strerror(-r));
        log_dir_set_failed(dir, true);
    }
    return r;
}

int clog_prepare(struct commitlog *log)
{
    int r = clog_wipe_torn(log);
    if (r == 0 && __atomic_load_n(&log->next, __ATOMIC_ACQUIRE) == NULL) {
        pthread_mutex_lock(&log->table_lock);
        int64_t base = log->count ? log->segs[log->count - 1]->base + log->segment_size : log->written;
        pthread_mutex_unlock(&log->table_lock);
        r = make_segment(log, base);
    }
    __atomic_store_n(&log->prepare_error, r, __ATOMIC_RELEASE);
    pthread_mutex_lock(&log->next_lock);
    log->next_failed = r;
    pthread_cond_broadcast(&log->next_ready);
    pthread_mutex_unlock(&log->next_lock);
    /* After the broadcast: an appender may be waiting for the segment, nobody waits for zeros. */
    if (r == 0 && log->prewrite)
        prewrite(log);
    return r;
}

void clog_reclaim(struct commitlog *log)
{
    struct log_segment *seg = __atomic_exchange_n(&log->dead, NULL, __ATOMIC_ACQUIRE);
    while (seg) {
        struct log_segment *next = seg->next_dead;
        free_segment(seg);
        seg = next;
    }
    close_some(log);
}

/* ---- loading
 * --------------------------------------------------------------------------------------------------------- */

static bool parse_name(const char *name, int64_t *base)
{
    struct str s = str_from(name);
    return s.len == NAME_LEN && s.ptr[0] >= '0' && s.ptr[0] <= '9' && str_to_i64(s, base);
}

/* A file of one of the folders. */
struct found {
    int64_t base;
    struct log_dir *dir;
};

/* Checks place and size of one file and takes it; `behind` others follow. */
static int load_file(struct commitlog *log, const struct found *f, size_t behind, struct err *err)
{
    bool last = behind == 0;
    char path[PATH_SIZE];
    int64_t base = f->base;
    segment_path(f->dir, base, path);
    struct fs_stat st;
    int r = log->fs->stat(log->fs, path, &st);
    if (r)
        return err_sys(err, -r, "cannot look at commit log file %s", path);
    if (st.size == 0 && last) {
        LOG(LOG_WARN, "store", "removing the empty file %s (its making was interrupted)", path);
        r = log->fs->unlink(log->fs, path);
        return r ? err_sys(err, -r, "cannot remove the empty commit log file %s", path) : 0;
    }
    if (st.size != log->segment_size)
        return err_set(err, EINVAL,
                       "commit log file %s has %" PRId64 " bytes but mappedFileSizeCommitLog is %" PRId64
                       ": set it to the size of the files",
                       path, st.size, log->segment_size);
    const struct log_segment *before = clog_tail(log);
    if (before && base != before->base + log->segment_size)
        return err_set(err, EINVAL, "a commit log file is missing in %s: %020" PRId64 " should come before %s",
                       clog_dir(log), before->base + log->segment_size, path);
    struct log_segment *seg = NULL;
    if (behind < log->keep_open)
        r = open_segment(log, f->dir, base, false, &seg);
    else if ((seg = new_segment(log, f->dir, base)) == NULL)
        r = -ENOMEM;
    if (r)
        return err_sys(err, -r, "cannot open commit log file %s", path);
    if (!clog_add_segment(log, seg)) {
        free_segment(seg);
        return err_sys(err, ENOMEM, "cannot load the commit log in %s", clog_dir(log));
    }
    return 0;
}

/* Adds the files of one folder to the list. */
static int find_files(struct commitlog *log, struct log_dir *dir, struct found **list, size_t *n, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    int r = dir->read_only ? 0 : fs_mkdirs(log->fs, dir->path);
    if (r == 0)
        r = fs_list_sorted(log->fs, dir->path, false, &names, &count);
    if (r)
        return err_sys(err, -r, "cannot use the commit log folder %s", dir->path);
    struct found *grown = realloc(*list, (*n + count + 1) * sizeof *grown);
    if (grown)
        *list = grown;
    else
        r = err_sys(err, ENOMEM, "cannot load the commit log in %s", dir->path);
    for (size_t i = 0; i < count && r == 0; i++) {
        struct found *f = &(*list)[*n];
        f->dir = dir;
        if (parse_name(names[i], &f->base))
            (*n)++;
        else
            r = err_set(err, EINVAL, "%s/%s is no commit log file: move it out of the folder", dir->path, names[i]);
    }
    fs_names_free(names, count);
    return r;
}

static int by_base(const void *a, const void *b)
{
    int64_t x = ((const struct found *)a)->base, y = ((const struct found *)b)->base;
    return x < y ? -1 : x > y;
}

/* Nothing was ever written into it: the making of the file failed, and another folder got it. */
static bool is_unused(struct commitlog *log, const char *path)
{
    uint8_t head[8], none[8] = {0};
    struct fs_stat st;
    if (log->fs->stat(log->fs, path, &st) || st.size != log->segment_size)
        return true;
    int fd = log->fs->open(log->fs, path, FS_READ);
    bool unused = fd >= 0 && fs_read_all(log->fs, fd, head, sizeof head, 0) == 0 && memcmp(head, none, 8) == 0;
    if (fd >= 0)
        log->fs->close(log->fs, fd);
    return unused;
}

/* Of two files with one name, in two folders, the unused one goes. */
static int drop_twins(struct commitlog *log, struct found *list, size_t *n, struct err *err)
{
    for (size_t i = 0; i + 1 < *n;) {
        char path[2][PATH_SIZE];
        segment_path(list[i].dir, list[i].base, path[0]);
        segment_path(list[i + 1].dir, list[i + 1].base, path[1]);
        if (list[i].base != list[i + 1].base) {
            i++;
            continue;
        }
        size_t twin = is_unused(log, path[0]) ? 0 : 1;
        if (twin == 1 && !is_unused(log, path[1]))
            return err_set(err, EINVAL, "the commit log file %s is there a second time as %s: move one of them away",
                           path[0], path[1]);
        LOG(LOG_WARN, "store", "removing the unused file %s: its making was interrupted", path[twin]);
        int r = log->fs->unlink(log->fs, path[twin]);
        if (r)
            return err_sys(err, -r, "cannot remove the unused commit log file %s", path[twin]);
        memmove(&list[i + twin], &list[i + twin + 1], (*n - i - twin - 1) * sizeof *list);
        (*n)--;
    }
    return 0;
}

static int load_files(struct commitlog *log, struct err *err)
{
    struct found *list = NULL;
    size_t n = 0;
    int r = 0;
    for (size_t i = 0; i < log->dirs.count && r == 0; i++)
        r = find_files(log, &log->dirs.items[i], &list, &n, err);
    if (r == 0 && n)
        qsort(list, n, sizeof *list, by_base);
    if (r == 0)
        r = drop_twins(log, list, &n, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = load_file(log, &list[i], n - i - 1, err);
    free(list);
    return r;
}

int clog_open(struct commitlog **out, const struct fs *fs, const char *dirs, const char *read_only,
              int64_t segment_size, size_t keep_open, struct err *err)
{
    struct commitlog *log = calloc(1, sizeof *log);
    if (log == NULL)
        return err_sys(err, ENOMEM, "cannot open the commit log in %s", dirs);
    if (log_dirs_make(&log->dirs, dirs, read_only, err)) {
        free(log);
        return -1;
    }
    log->fs = fs;
    log->segment_size = segment_size;
    log->keep_open = keep_open;
    mutex_init_adaptive(&log->table_lock);
    pthread_mutex_init(&log->open_lock, NULL);
    pthread_mutex_init(&log->next_lock, NULL);
    pthread_cond_init(&log->next_ready, NULL);
    if (load_files(log, err)) {
        clog_close(log);
        return -1;
    }
    if (log->count) {
        log->min = log->segs[0]->base;
        log->written = clog_tail(log)->base + segment_size;
    }
    *out = log;
    return 0;
}

void clog_close(struct commitlog *log)
{
    clog_reclaim(log);
    for (size_t i = 0; i < log->count; i++)
        free_segment(log->segs[i]);
    if (log->next)
        free_segment(log->next);
    free(log->segs);
    log_dirs_free(&log->dirs);
    pthread_mutex_destroy(&log->table_lock);
    pthread_mutex_destroy(&log->open_lock);
    pthread_mutex_destroy(&log->next_lock);
    pthread_cond_destroy(&log->next_ready);
    free(log);
}

/* ---- cutting and removing
 * -------------------------------------------------------------------------------------------- */

static int remove_last(struct commitlog *log)
{
    char path[PATH_SIZE];
    struct log_segment *seg = clog_tail(log);
    segment_path(seg->dir, seg->base, path);
    int r = log->fs->unlink(log->fs, path);
    if (r == 0)
        r = log->fs->sync_dir(log->fs, seg->dir->path);
    if (r)
        return r;
    pthread_mutex_lock(&log->table_lock);
    log->open -= seg->map != NULL;
    __atomic_store_n(&log->count, log->count - 1, __ATOMIC_RELAXED);
    __atomic_store_n(&log->tail, log->count ? log->segs[log->count - 1] : NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&log->table_lock);
    seg_release(seg);
    return 0;
}

/* The unused part must be zero, durably: an old record left there could follow a new one without a gap some day. What a
 * killed process leaves is short, and syncing just that does not wait for all the log that is not on the disk yet. */
static int wipe_rest(struct commitlog *log, struct log_segment *seg, int64_t at)
{
    const struct fs *fs = log->fs;
    int64_t end = fs_nonzero_end(fs, seg->fd, at, seg->size);
    if (end <= at || MUTANT(NO_WIPE_BEHIND_END))
        return end < 0 ? (int)end : 0;
    LOG(LOG_INFO, "store", "clearing %" PRId64 " bytes behind the end of the log in file %020" PRId64, end - at,
        seg->base);
    if (end - at > WIPE_SHORT) {
        int r = fs->zero(fs, seg->fd, at, end - at);
        return r ? r : fs->datasync(fs, seg->fd);
    }
    int r = fs_write_zeros(fs, seg->fd, at, end - at);
    if (r == 0)
        r = fs->sync_range(fs, seg->fd, at, end - at);
    return r ? r : fs->sync_dir(fs, seg->dir->path);
}

/* An empty log gets its first segment here, so that there always is a last one. */
static int make_first(struct commitlog *log)
{
    int r = clog_prepare(log);
    if (r == 0 && !clog_add_segment(log, log->next))
        r = -ENOMEM;
    if (r == 0)
        log->next = NULL;
    return r;
}

int clog_set_end(struct commitlog *log, int64_t end, int64_t flushed, bool rest_is_zero, struct err *err)
{
    int r = 0;
    while (r == 0 && log->count && clog_tail(log)->base > end)
        r = remove_last(log);
    if (r)
        return err_sys(err, -r, "cannot remove a commit log file behind the end of the log in %s", clog_dir(log));
    __atomic_store_n(&log->written, end, __ATOMIC_RELEASE);
    __atomic_store_n(&log->flushed, flushed < end ? flushed : end, __ATOMIC_RELEASE);
    __atomic_store_n(&log->loaded, true, __ATOMIC_RELEASE);
    struct log_segment *last = clog_tail(log);
    if (last && clog_open_again(last))
        return err_set(err, EIO, "cannot open the last commit log file in %s", last->dir->path);
    if (last) {
        last->zeroed = end - last->base;
        r = rest_is_zero ? 0 : wipe_rest(log, last, end - last->base);
        return r ? err_sys(err, -r, "cannot clear the end of commit log file %s/%020" PRId64, last->dir->path,
                           last->base)
                 : 0;
    }
    log->min = end;
    r = make_first(log);
    if (r)
        return err_sys(err, -r, "cannot make the first commit log file in %s (%" PRId64 " bytes)", clog_dir(log),
                       log->segment_size);
    return 0;
}

int64_t clog_first_mtime(struct commitlog *log)
{
    if (clog_segments(log) < 2)
        return -1;
    struct log_segment *seg = clog_pin(log, clog_min(log), true, NULL);
    if (seg == NULL)
        return -1;
    struct fs_stat st;
    int r = log->fs->fstat(log->fs, seg->fd, &st);
    seg_release(seg);
    return r ? -1 : st.mtime_ms;
}

int clog_remove_first(struct commitlog *log)
{
    pthread_mutex_lock(&log->table_lock);
    struct log_segment *seg = log->count > 1 ? log->segs[0] : NULL;
    if (seg) {
        log->open -= seg->map != NULL;
        __atomic_store_n(&log->count, log->count - 1, __ATOMIC_RELAXED);
        memmove(log->segs, log->segs + 1, log->count * sizeof *log->segs);
        __atomic_store_n(&log->min, log->segs[0]->base, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&log->table_lock);
    if (seg == NULL)
        return 0;
    char path[PATH_SIZE];
    segment_path(seg->dir, seg->base, path);
    int r = log->fs->unlink(log->fs, path);
    seg_release(seg);
    return r ? r : 1;
}
