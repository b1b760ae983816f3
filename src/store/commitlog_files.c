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

enum { PATH_SIZE = 4096, NAME_LEN = 20, WIPE_SHORT = 1 << 20 };

static void segment_path(const struct commitlog *log, int64_t base, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%020" PRId64, log->dir, base);
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

/* Opens (create: makes) and maps the segment at base. */
static int open_segment(struct commitlog *log, int64_t base, bool create, struct log_segment **out)
{
    const struct fs *fs = log->fs;
    char path[PATH_SIZE];
    segment_path(log, base, path);
    struct log_segment *seg = calloc(1, sizeof *seg);
    if (seg == NULL)
        return -ENOMEM;
    *seg = (struct log_segment){.log = log, .base = base, .size = log->segment_size, .refs = 1};
    int r = seg->fd = fs->open(fs, path, FS_WRITE | (create ? FS_CREATE | FS_TRUNCATE : 0));
    if (r >= 0 && create) {
        /* Full size first: a crash leaves an empty or a whole file, which every reader of the directory understands. */
        r = fs->truncate(fs, seg->fd, seg->size);
        if (r == 0)
            r = fs->allocate(fs, seg->fd, seg->size);
        if (r == 0)
            r = fs->datasync(fs, seg->fd);
        if (r == 0 && !MUTANT(NO_SEGMENT_NAME_SYNC))
            r = fs->sync_dir(fs, log->dir);
    }
    if (r >= 0) {
        void *map;
        r = fs->map(fs, seg->fd, (size_t)seg->size, false, &map);
        if (r == 0)
            seg->map = map;
    }
    if (r < 0) {
        if (create && seg->fd >= 0)
            fs->unlink(fs, path);
        free_segment(seg);
        return r;
    }
    *out = seg;
    return 0;
}

/* Zeroes what a failed append may have left behind the end of the log. */
static int wipe_torn(struct commitlog *log)
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
    struct log_segment *seg = clog_pin(log, at);
    if (seg) {
        clog_prewrite_segment(log, seg, at - seg->base);
        seg_release(seg);
    }
    seg = __atomic_load_n(&log->next, __ATOMIC_ACQUIRE);
    /* Taken by the appender meanwhile it stays alive: the cleaner never removes the last segment. */
    if (seg)
        clog_prewrite_segment(log, seg, 0);
}

int clog_prepare(struct commitlog *log)
{
    int r = wipe_torn(log);
    if (r == 0 && __atomic_load_n(&log->next, __ATOMIC_ACQUIRE) == NULL) {
        pthread_mutex_lock(&log->table_lock);
        int64_t base = log->count ? log->segs[log->count - 1]->base + log->segment_size : log->written;
        pthread_mutex_unlock(&log->table_lock);
        struct log_segment *seg;
        r = open_segment(log, base, true, &seg);
        if (r == 0)
            __atomic_store_n(&log->next, seg, __ATOMIC_RELEASE);
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
}

/* ---- loading
 * --------------------------------------------------------------------------------------------------------- */

static bool parse_name(const char *name, int64_t *base)
{
    struct str s = str_from(name);
    return s.len == NAME_LEN && s.ptr[0] >= '0' && s.ptr[0] <= '9' && str_to_i64(s, base);
}

/* Checks name, place and size of one file and takes it. */
static int load_file(struct commitlog *log, const char *name, bool last, struct err *err)
{
    char path[PATH_SIZE];
    int64_t base;
    snprintf(path, sizeof path, "%s/%s", log->dir, name);
    if (!parse_name(name, &base))
        return err_set(err, EINVAL, "%s is no commit log file: move it out of the folder", path);
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
                       log->dir, before->base + log->segment_size, name);
    struct log_segment *seg;
    r = open_segment(log, base, false, &seg);
    if (r)
        return err_sys(err, -r, "cannot open commit log file %s", path);
    if (!clog_add_segment(log, seg)) {
        free_segment(seg);
        return err_sys(err, ENOMEM, "cannot load the commit log in %s", log->dir);
    }
    return 0;
}

int clog_open(struct commitlog **out, const struct fs *fs, const char *dir, int64_t segment_size, struct err *err)
{
    struct commitlog *log = calloc(1, sizeof *log);
    if (log == NULL || (log->dir = strdup(dir)) == NULL) {
        free(log);
        return err_sys(err, ENOMEM, "cannot open the commit log in %s", dir);
    }
    log->fs = fs;
    log->segment_size = segment_size;
    mutex_init_adaptive(&log->table_lock);
    pthread_mutex_init(&log->next_lock, NULL);
    pthread_cond_init(&log->next_ready, NULL);
    char **names = NULL;
    size_t count = 0;
    int r = fs_mkdirs(fs, dir);
    if (r == 0)
        r = fs_list_sorted(fs, dir, false, &names, &count);
    if (r) {
        clog_close(log);
        return err_sys(err, -r, "cannot use the commit log folder %s", dir);
    }
    for (size_t i = 0; i < count && r == 0; i++)
        r = load_file(log, names[i], i + 1 == count, err);
    fs_names_free(names, count);
    if (r) {
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
    free(log->dir);
    pthread_mutex_destroy(&log->table_lock);
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
    segment_path(log, seg->base, path);
    int r = log->fs->unlink(log->fs, path);
    if (r)
        return r;
    pthread_mutex_lock(&log->table_lock);
    log->count--;
    log->tail = log->count ? log->segs[log->count - 1] : NULL;
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
    return r ? r : fs->sync_dir(fs, log->dir);
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
    bool removed = false;
    while (r == 0 && log->count && clog_tail(log)->base > end) {
        r = remove_last(log);
        removed = true;
    }
    if (r == 0 && removed)
        r = log->fs->sync_dir(log->fs, log->dir);
    if (r)
        return err_sys(err, -r, "cannot remove a commit log file behind the end of the log in %s", log->dir);
    log->written = end;
    log->flushed = flushed < end ? flushed : end;
    struct log_segment *last = clog_tail(log);
    if (last) {
        last->zeroed = end - last->base;
        r = rest_is_zero ? 0 : wipe_rest(log, last, end - last->base);
        return r ? err_sys(err, -r, "cannot clear the end of commit log file %s/%020" PRId64, log->dir, last->base) : 0;
    }
    log->min = end;
    r = make_first(log);
    if (r)
        return err_sys(err, -r, "cannot make the first commit log file in %s (%" PRId64 " bytes)", log->dir,
                       log->segment_size);
    return 0;
}

int64_t clog_first_mtime(struct commitlog *log)
{
    if (clog_segments(log) < 2)
        return -1;
    struct log_segment *seg = clog_pin(log, clog_min(log));
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
        __atomic_store_n(&log->count, log->count - 1, __ATOMIC_RELAXED);
        memmove(log->segs, log->segs + 1, log->count * sizeof *log->segs);
        __atomic_store_n(&log->min, log->segs[0]->base, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&log->table_lock);
    if (seg == NULL)
        return 0;
    char path[PATH_SIZE];
    segment_path(log, seg->base, path);
    int r = log->fs->unlink(log->fs, path);
    seg_release(seg);
    return r ? r : 1;
}
