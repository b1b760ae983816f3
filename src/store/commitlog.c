#include "store/commitlog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/thread.h"
#include "store/commitlog_int.h"
#include "store/mutant.h"

enum { NEXT_WAIT_MS = 5000 };

static int64_t end_of(const struct log_segment *seg)
{
    return seg->base + seg->size;
}

bool clog_add_segment(struct commitlog *log, struct log_segment *seg)
{
    bool ok = true;
    pthread_mutex_lock(&log->table_lock);
    if (log->count == log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 16;
        struct log_segment **grown = realloc(log->segs, cap * sizeof *grown);
        ok = grown != NULL;
        if (ok) {
            log->segs = grown;
            log->cap = cap;
        }
    }
    if (ok) {
        log->segs[log->count] = seg;
        log->open += seg->map != NULL;
        __atomic_store_n(&log->count, log->count + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&log->tail, seg, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&log->table_lock);
    return ok;
}

int64_t clog_min(const struct commitlog *log)
{
    return __atomic_load_n(&log->min, __ATOMIC_ACQUIRE);
}

int64_t clog_max(const struct commitlog *log)
{
    return __atomic_load_n(&log->written, __ATOMIC_ACQUIRE);
}

int64_t clog_flushed(const struct commitlog *log)
{
    return __atomic_load_n(&log->flushed, __ATOMIC_ACQUIRE);
}

int64_t clog_segment_size(const struct commitlog *log)
{
    return log->segment_size;
}

const char *clog_dir(const struct commitlog *log)
{
    return log->dirs.text;
}

const struct log_dirs *clog_dirs(const struct commitlog *log)
{
    return &log->dirs;
}

/* The segment holding the offset, its file open or not. */
static struct log_segment *hold(struct commitlog *log, int64_t offset, bool *open)
{
    struct log_segment *seg = NULL;
    pthread_mutex_lock(&log->table_lock);
    if (log->count && offset >= log->segs[0]->base) {
        size_t i = (size_t)((offset - log->segs[0]->base) / log->segment_size);
        if (i < log->count)
            seg = log->segs[i];
    }
    if (seg) {
        seg_retain(seg);
        seg->used = true;
        *open = seg->map != NULL;
    }
    pthread_mutex_unlock(&log->table_lock);
    return seg;
}

void clog_file_path(struct commitlog *log, int64_t offset, char *out, size_t size)
{
    int64_t base = offset - offset % log->segment_size;
    bool open;
    struct log_segment *seg = hold(log, offset, &open);
    snprintf(out, size, "%s/%020" PRId64, seg ? seg->dir->path : log->dirs.items[0].path, base);
    if (seg)
        seg_release(seg);
}

size_t clog_segments(const struct commitlog *log)
{
    return __atomic_load_n(&log->count, __ATOMIC_RELAXED);
}

int clog_pin_open(struct commitlog *log, int64_t offset, struct log_segment **out)
{
    bool open;
    struct log_segment *seg = hold(log, offset, &open);
    int r = seg == NULL ? -ENOENT : open ? 0 : clog_open_again(seg);
    if (r && seg)
        seg_release(seg);
    *out = r ? NULL : seg;
    return r;
}

struct log_segment *clog_pin(struct commitlog *log, int64_t offset, bool may_block, bool *closed)
{
    bool open;
    struct log_segment *seg = hold(log, offset, &open);
    bool ready = seg && (open || (may_block && clog_open_again(seg) == 0));
    if (closed)
        *closed = seg && !ready;
    if (seg && !ready)
        seg_release(seg);
    return ready ? seg : NULL;
}

void seg_retain(struct log_segment *seg)
{
    __atomic_add_fetch(&seg->refs, 1, __ATOMIC_RELAXED);
}

void seg_release(struct log_segment *seg)
{
    if (__atomic_sub_fetch(&seg->refs, 1, __ATOMIC_ACQ_REL))
        return;
    /* Unmapping and closing a removed file takes its time: left to the background. */
    struct commitlog *log = seg->log;
    seg->next_dead = __atomic_load_n(&log->dead, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&log->dead, &seg->next_dead, seg, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

int64_t clog_room(const struct commitlog *log)
{
    const struct log_segment *tail = clog_tail(log);
    return tail ? end_of(tail) - clog_max(log) - CLOG_TAIL_RESERVE : 0;
}

static bool have_next(const struct commitlog *log)
{
    return __atomic_load_n(&log->next, __ATOMIC_ACQUIRE) != NULL;
}

int clog_ensure_next(struct commitlog *log)
{
    if (have_next(log))
        return 0;
    if (log->need_fn == NULL) {
        int r = clog_prepare(log);
        return have_next(log) ? 0 : r ? r : -EAGAIN;
    }
    /* The background normally is a whole segment ahead; waiting for it here means that segments are tiny or the disk is
     * stuck. */
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += NEXT_WAIT_MS / 1000;
    log->need_fn(log->need_arg);
    pthread_mutex_lock(&log->next_lock);
    log->next_failed = 0;
    while (!have_next(log) && log->next_failed == 0)
        if (pthread_cond_timedwait(&log->next_ready, &log->next_lock, &until))
            break;
    int r = have_next(log) ? 0 : log->next_failed ? log->next_failed : -ETIMEDOUT;
    pthread_mutex_unlock(&log->next_lock);
    return r;
}

/* Goes on in the prepared segment. Under the append lock; clog_ensure_next has answered 0. */
static int take_next(struct commitlog *log)
{
    struct log_segment *next = __atomic_load_n(&log->next, __ATOMIC_ACQUIRE);
    if (!clog_add_segment(log, next))
        return -ENOMEM;
    __atomic_store_n(&log->written, next->base, __ATOMIC_RELEASE);
    __atomic_store_n(&log->next, NULL, __ATOMIC_RELEASE);
    if (log->need_fn)
        log->need_fn(log->need_arg);
    return 0;
}

/* Writes both parts behind each other; going on after a short write finds out its reason. */
static int write_all(struct commitlog *log, int fd, struct iovec *iov, int n_iov, int64_t at)
{
    while (n_iov > 0) {
        ssize_t put = log->fs->pwritev(log->fs, fd, iov, n_iov, at);
        if (put < 0)
            return (int)put;
        if (put == 0)
            return -ENOSPC;
        if (MUTANT(SHORT_WRITE_TAKEN))
            return 0;
        at += put;
        while (n_iov > 0 && (size_t)put >= iov->iov_len) {
            put -= (ssize_t)iov->iov_len;
            iov++;
            n_iov--;
        }
        if (n_iov > 0) {
            iov->iov_base = (char *)iov->iov_base + put;
            iov->iov_len -= (size_t)put;
        }
    }
    return 0;
}

/* Announces the append up to `end`; waits if zeros are just being written there. */
static void meet_prewriter(struct commitlog *log, const struct log_segment *seg, int64_t end)
{
    __atomic_store_n(&log->append_to, end, __ATOMIC_SEQ_CST);
    for (;;) {
        int64_t from = __atomic_load_n(&log->zero_from, __ATOMIC_SEQ_CST);
        if (from == 0 || from >= end)
            break;
        sched_yield();
    }
    int64_t zeroed = __atomic_load_n(&seg->zeroed, __ATOMIC_RELAXED);
    if (zeroed - (end - seg->base) < PREWRITE_WINDOW / 2 && zeroed < seg->size && log->need_fn)
        log->need_fn(log->need_arg);
}

int clog_append(struct commitlog *log, const void *data, size_t n, bool roll)
{
    struct log_segment *seg = clog_tail(log);
    int64_t at = clog_max(log), left = end_of(seg) - at - (int64_t)n;
    if (__atomic_load_n(&log->torn_to, __ATOMIC_ACQUIRE))
        return log->problem ? log->problem : -EIO;
    uint8_t blank[CLOG_TAIL_RESERVE];
    struct iovec iov[2];
    int n_iov = 0;
    if (n)
        iov[n_iov++] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    if (roll) {
        put_be32(blank, (uint32_t)left);
        put_be32(blank + 4, MSG_MAGIC_BLANK);
        iov[n_iov++] = (struct iovec){.iov_base = blank, .iov_len = sizeof blank};
    }
    if (log->prewrite)
        meet_prewriter(log, seg, at + (int64_t)n + (roll ? CLOG_TAIL_RESERVE : 0));
    int r = write_all(log, seg->fd, iov, n_iov, at - seg->base);
    if (r == 0 && roll)
        r = take_next(log);
    if (r) {
        /* Some of it may be in the file. It must be gone before anything else is written here: whole records left
         * behind a later, shorter append would come back to life in a recovery. */
        __atomic_store_n(&log->problem, r, __ATOMIC_RELAXED);
        __atomic_store_n(&log->torn_to, at + (int64_t)n + (roll ? CLOG_TAIL_RESERVE : 0), __ATOMIC_RELEASE);
        if (log->need_fn)
            log->need_fn(log->need_arg);
        return r;
    }
    if (!roll)
        __atomic_store_n(&log->written, at + (int64_t)n, __ATOMIC_RELEASE);
    return 0;
}

const char *clog_problem(const struct commitlog *log)
{
    if (__atomic_load_n(&log->torn_to, __ATOMIC_ACQUIRE))
        return __atomic_load_n(&log->problem, __ATOMIC_RELAXED) == -ENOSPC ? "the disk is full"
                                                                           : "the commit log could not be written";
    if (have_next(log) || clog_room(log) > log->segment_size / 8)
        return NULL;
    int why = __atomic_load_n(&log->prepare_error, __ATOMIC_ACQUIRE);
    return why == -ENOSPC ? "the disk is full" : why ? "no commit log file could be made" : NULL;
}

void clog_on_need(struct commitlog *log, void (*fn)(void *arg), void *arg)
{
    log->need_arg = arg;
    log->need_fn = fn;
}

int clog_sync(struct commitlog *log, int64_t target)
{
    int64_t from = clog_flushed(log);
    int earlier = __atomic_load_n(&log->sync_error, __ATOMIC_ACQUIRE);
    if (earlier)
        return earlier;
    __atomic_store_n(&log->sync_bytes, target - from, __ATOMIC_RELAXED);
    while (from < target) {
        struct log_segment *seg;
        int r = clog_pin_open(log, from, &seg);
        if (r == -ENOENT) {
            /* Removed by the cleaner before it was flushed: nothing of it is left to lose. */
            int64_t min = clog_min(log);
            if (min <= from)
                break;
            from = min;
            continue;
        }
        if (r)
            return r;
        r = MUTANT(NO_LOG_SYNC) ? 0 : log->fs->datasync(log->fs, seg->fd);
        from = end_of(seg);
        seg_release(seg);
        if (r)
            return r;
    }
    if (clog_flushed(log) < target)
        __atomic_store_n(&log->flushed, target, __ATOMIC_RELEASE);
    return 0;
}

ssize_t clog_read(struct commitlog *log, int64_t offset, void *buf, size_t n)
{
    int64_t max = clog_max(log);
    if (offset >= max)
        return 0;
    struct log_segment *seg;
    int r = clog_pin_open(log, offset, &seg);
    if (r)
        return r;
    int64_t end = end_of(seg) < max ? end_of(seg) : max;
    if ((int64_t)n > end - offset)
        n = (size_t)(end - offset);
    ssize_t got = log->fs->pread(log->fs, seg->fd, buf, n, offset - seg->base);
    seg_release(seg);
    return got;
}
