/*
 * Inside of the commit log, shared by commitlog.c (append and read) and commitlog_files.c (making, loading, removing
 * files). Who may touch what: `written` and the last segment under the append lock; segs, count under table_lock; next
 * by the preparer (sets) and the appender (takes); dead is a lock-free stack.
 */
#ifndef CROCKET_STORE_COMMITLOG_INT_H
#define CROCKET_STORE_COMMITLOG_INT_H

#include <pthread.h>

#include "store/commitlog.h"

struct commitlog {
    const struct fs *fs;
    struct log_dirs dirs;
    int64_t segment_size;

    pthread_mutex_t table_lock;
    struct log_segment **segs; /* ascending, no gaps */
    size_t count, cap;
    struct log_segment *tail; /* atomic: the last of them, which appends go into; never removed while the log is open */
    struct log_segment *dead; /* atomic */

    pthread_mutex_t
        open_lock;          /* one file is opened at a time; taken before table_lock, under which fd and map change */
    size_t open, keep_open; /* of segs: open now, and how many at most, about */
    size_t hand;            /* the one looked at last as one to close */
    bool loaded;            /* atomic: clog_set_end was called */

    int64_t min, written, flushed; /* atomic */

    pthread_mutex_t next_lock;
    pthread_cond_t next_ready;
    struct log_segment *next; /* atomic: made ready, not yet in the table */
    int next_failed;          /* under next_lock: result of the attempt made while an appender waits */
    int prepare_error;        /* atomic: why there is no next segment */

    bool prewrite;
    int64_t sync_bytes; /* atomic: what the flusher's last sync was for */
    int sync_error;     /* atomic: a sync outside the flusher failed; the flusher reports it */
    /* Appender and prewriter keep out of each other's way without a lock: each says first what it is about to write,
     * then looks at the other's word. Log offsets, atomic. */
    int64_t append_to; /* the append now running, or the last one, ends here */
    int64_t zero_from; /* zeros are being written from here on, 0 = not now */

    int problem;     /* why the last append failed */
    int64_t torn_to; /* atomic: 0, or the end of what a failed append may have written */

    void (*need_fn)(void *arg);
    void *need_arg;
};

enum {
    PREWRITE_WINDOW = 32 << 20, /* kept written ahead */
    PREWRITE_CHUNK = 256 << 10, /* between two looks at the appender */
    PREWRITE_STEP = 4 << 20,    /* between two syncs */
    PREWRITE_APART = 2 << 10,   /* a sync of more bytes is to meet less than a step */
};

/* Writes zeros ahead of `used`, the append position in seg's file, as far as the window goes. */
void clog_prewrite_segment(struct commitlog *log, struct log_segment *seg, int64_t used);

static inline struct log_segment *clog_tail(const struct commitlog *log)
{
    return __atomic_load_n(&log->tail, __ATOMIC_ACQUIRE);
}

bool clog_add_segment(struct commitlog *log, struct log_segment *seg);
/* As clog_pin that may block: 0, -ENOENT when there is no such segment, or why its file cannot be opened. */
int clog_pin_open(struct commitlog *log, int64_t offset, struct log_segment **out);
/* Opens the file of a segment that the caller holds. 0, -ENOENT when the cleaner has removed it, or another negative
 * errno value (logged). */
int clog_open_again(struct log_segment *seg);

#endif
