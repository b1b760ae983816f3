/*
 * Zeros ahead of the append position. A sync that only has to write data takes half as long as one that also records
 * newly used blocks, so with synchronous flush the blocks are used beforehand, by zeros.
 */
#include <errno.h>

#include "store/commitlog_int.h"

void clog_prewrite(struct commitlog *log)
{
    log->prewrite = true;
}

/* One chunk, in writes of 64 KiB: the page cache makes pages of the size of a write, and larger ones are slow to walk
 * for the small appends that follow. -EAGAIN when the appender is already there. */
static int zero_chunk(struct commitlog *log, struct log_segment *seg, int64_t at, int64_t n)
{
    int r = 0;
    __atomic_store_n(&log->zero_from, seg->base + at, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&log->append_to, __ATOMIC_SEQ_CST) > seg->base + at)
        r = -EAGAIN;
    if (r == 0)
        r = fs_write_zeros(log->fs, seg->fd, at, n);
    __atomic_store_n(&log->zero_from, 0, __ATOMIC_SEQ_CST);
    return r;
}

/* Some chunks and their sync. A sync of the flusher that meets it brings the zeros to the disk, too, and about four do
 * so. When it is for one small message these four are fewer than one in a thousand. With more to a sync they are many,
 * and more wait for each: then every chunk goes to the disk for itself, and what a sync meets is short. */
static int prewrite_step(struct commitlog *log, struct log_segment *seg, int64_t at, int64_t to)
{
    int64_t end = at + PREWRITE_STEP < to ? at + PREWRITE_STEP : to, begun = at;
    bool apart = __atomic_load_n(&log->sync_bytes, __ATOMIC_RELAXED) > PREWRITE_APART;
    int r = 0, e = 0;
    while (r == 0 && e == 0 && at < end) {
        int64_t n = end - at < PREWRITE_CHUNK ? end - at : PREWRITE_CHUNK;
        r = zero_chunk(log, seg, at, n);
        if (r == 0 && apart)
            e = log->fs->sync_range(log->fs, seg->fd, at, n);
        if (r == 0)
            at += n;
    }
    if (at == begun)
        return r;
    if (e == 0)
        e = log->fs->datasync(log->fs, seg->fd);
    if (e)
        __atomic_store_n(&log->sync_error, e, __ATOMIC_RELEASE);
    __atomic_store_n(&seg->zeroed, at, __ATOMIC_RELEASE);
    return r ? r : e;
}

void clog_prewrite_segment(struct commitlog *log, struct log_segment *seg, int64_t used)
{
    int64_t to = used + PREWRITE_WINDOW < seg->size ? used + PREWRITE_WINDOW : seg->size;
    int64_t at = seg->zeroed;
    if (at < used)
        at = (used / PREWRITE_CHUNK + 2) * PREWRITE_CHUNK;
    /* Met by the appender, or no room for zeros in a file system that does not preallocate: slower, not wrong. */
    while (at < to && prewrite_step(log, seg, at, to) == 0)
        at = seg->zeroed;
}
