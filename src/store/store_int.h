/*
 * Inside of the store, shared by its files (store.c, batch.c, flush.c, keeper.c, dispatch.c, recovery.c, get.c,
 * query.c, clean.c).
 *
 * Locks, in the order they are taken: append_lock; the consume queues' own; flushed_lock, ckpt_lock and conf_lock are
 * leaves. Each background thread is a loop around one step function; tests and the simulator call the steps themselves
 * instead.
 */
#ifndef CROCKET_STORE_STORE_INT_H
#define CROCKET_STORE_STORE_INT_H

#include <pthread.h>

#include "message/delay_level.h"
#include "message/multi_dispatch.h"
#include "os/thread.h"
#include "store/checkpoint.h"
#include "store/commitlog.h"
#include "store/compaction/compaction.h"
#include "store/consumequeue.h"
#include "store/index.h"
#include "store/rebuild.h"
#include "store/store.h"

/* Why the store takes no messages; all but the last are the bits of Java's RunningFlags. */
enum store_flag {
    STORE_NOT_WRITABLE = 2, /* stopping, or told so */
    STORE_QUEUE_ERROR = 4,
    STORE_INDEX_ERROR = 8,
    STORE_DISK_FULL = 16, /* above diskSpaceWarningLevelRatio; set and cleared by the cleaner */
    STORE_FENCED = 32,
    STORE_REBUILDING = 64, /* ours: see rebuild.h */
};

enum {
    DISPATCH_ROUND = 100000, /* most records of one dispatcher step, so that a stop need not wait for a long rebuild */
};

/* A queue entry whose message is written but not yet durable (synchronous flush): published once it is. */
struct pending_publish {
    struct cq *q;
    int64_t max; /* entries below become visible */
    int64_t end; /* when the log is durable up to here */
};

/* What the abort file says of the last run. ABORT_SHARED: a clean stop, but there are shared queue files, which a Java
 * broker does not know: to it the store looks like one that was not stopped cleanly, so that it builds its queues from
 * the log. */
enum store_abort { ABORT_ABSENT, ABORT_SHARED, ABORT_NOT_CLEAN };

struct store {
    struct store_conf conf;
    pthread_mutex_t conf_lock;
    const struct fs *fs;
    struct store_events events;
    char *checkpoint_path, *abort_path, *lock_path;
    int lock_fd;
    bool sync_flush, hide_unflushed;
    bool after_crash;            /* the last run did not end by store_close */
    enum store_abort abort_file; /* as found */
    int64_t begun_by_file;       /* where recovery began after a crash without marks; -1: otherwise */
    struct delay_levels delays;

    struct commitlog *log;
    struct cq_set *queues, *batches; /* queues.c; batches: of topics with queue.type=BatchCQ */
    struct compaction *compaction;   /* NULL when enableCompaction is off */
    struct rebuild *rebuild;         /* NULL: all was rebuilt before the store was open */
    int64_t visible_to;              /* of the log, while rebuilding */
    struct index *index;             /* NULL when messageIndexEnable is off */
    bool index_lost;                 /* there was no index folder: all of the log is indexed again */

    /* Append side. */
    pthread_mutex_t append_lock;
    int64_t last_store_time;         /* under append_lock */
    int64_t append_since;            /* atomic: monotonic ms at which the append lock was taken, 0 = free */
    int64_t sync_since;              /* atomic: monotonic ms at which the flusher's sync began, 0 = none runs */
    struct pending_publish *pending; /* ring, under append_lock */
    size_t pending_cap, pending_head, pending_count;
    uint32_t flags;        /* atomic store_flag bits */
    uint32_t filter_round; /* atomic, changed under append_lock: how often there were other filters */
    struct store_batch *put_batch;
    pthread_mutex_t put_lock; /* of put_batch */

    /* Flusher. */
    struct waker flusher_wake;
    pthread_mutex_t flushed_lock;
    pthread_cond_t flushed_cond;
    uint32_t flushed_waiters; /* atomic */
    bool dead;                /* atomic: a sync failed; nothing may be promised any more */

    /* Keeper and dispatcher. */
    struct waker keeper_wake, preparer_wake, dispatcher_wake;
    pthread_mutex_t ckpt_lock;
    struct checkpoint ckpt;         /* under ckpt_lock */
    int64_t flushed_time;           /* under ckpt_lock: store time up to which the log is durable */
    int64_t dispatched;             /* atomic: keys of everything below are in the index */
    struct progress index_progress; /* while the index is far behind: ... */
    bool index_behind;              /* atomic */
    int64_t read_ahead_from;        /* where the last reading ahead began; atomic */
    int64_t resident_from;          /* atomic: the log from here on was written by this process */
    int64_t memory_bytes;           /* of this machine */
    int64_t last_persist_ms, last_sync_ms, sync_took_ms; /* keeper only, monotonic */
    int64_t last_sync_end; /* log position of the last sync; the keeper's, read by the flusher */
    int64_t index_flushed_end, index_flushed_ms, index_flush_took_ms; /* dispatcher only */
    int clean_now;                          /* atomic: rounds of cleaning still to run whatever the hour */
    int64_t last_clean_ms, cleaned_log_min; /* keeper only */

    struct waker compactor_wake;
    struct thread flusher, dispatcher, keeper, preparer, compactor;
    bool running, stopping; /* stopping: atomic */

    int64_t boot_time;
    int64_t puts, put_bytes, put_failed;           /* atomic */
    int64_t gets_found, gets_missed, got_messages; /* atomic */
    int64_t damaged, mended;                       /* atomic: messages not served, queue entries set right */
};

static inline void stat_add(int64_t *counter, int64_t n)
{
    __atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static inline bool store_stopping(struct store *s)
{
    return __atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE);
}

void store_flag_set(struct store *s, enum store_flag bit);
void store_flag_clear(struct store *s, enum store_flag bit);
/* Reports a failure after which nothing may be promised, once. */
void store_die_of(struct store *s, const char *text);
void store_die(struct store *s, const char *what, int code);

/* queues.c: what the functions of consumequeue.h of the same name do, for both sets. */
int queues_open(struct store *s, struct err *err);
void queues_free(struct store *s);
size_t queues_count(const struct store *s);
uint32_t queues_folders(const struct store *s); /* checkpoint_folder bits of those that are there */
bool queues_folder_lost(const struct store *s); /* one that the marks speak of is not there */
int64_t queues_dispatched(const struct store *s);
int64_t queues_rebuild_from(const struct store *s);
int queues_truncate(struct store *s, int64_t physical_end, struct err *err);
int64_t queues_truncate_front(struct store *s, int64_t log_min);
int queues_persist(struct store *s, bool sync, int64_t log_end, int64_t *written_to, struct err *err);

/* place.c. The entry the record must have in q; false: it has none there. */
bool store_place(const struct store *s, const struct cq *q, const struct msg_view *v, struct store_entry *e);
/* Messages are dispatched to light message queues. */
bool store_dispatches(const struct store *s);
/* Visits the light message queues of a record whose own queue is `own`: true when it has any. The entry holds until the
 * next one; *q is NULL when out of memory. */
struct store_multi {
    struct msg_multi m;
    struct store_entry e;
};
bool store_multi_begin(const struct store *s, const struct cq *own, const struct msg_view *v, struct store_multi *it);
bool store_multi_next(struct store *s, struct store_multi *it, struct cq **q);

/* The topic can be the name of a folder: no separators, not too long. */
bool store_topic_ok(struct str topic);
/* Tags code of the consume queue entry of a record: delivery time in the delay topic, else the hash of TAGS. */
int64_t store_tags_code(const struct store *s, struct str topic, struct str properties, int64_t store_time);
/* Delay in ms of a record in the delay topic, -1 for any other. */
void store_want_flush(struct store *s); /* wakes the flusher; cheap, any thread */
int64_t store_delay_of(const struct store *s, struct str topic, struct str properties);
/* The record gets a queue offset and an entry (not so half messages and roll-backs). */
static inline bool store_is_queued(int32_t sys_flag)
{
    int32_t kind = sys_flag & MSG_FLAG_TRANSACTION_MASK;
    return kind == 0 || kind == MSG_FLAG_TRANSACTION_COMMIT;
}

/* Consumers may see the log up to here. */
static inline int64_t store_visible_end(const struct store *s)
{
    if (__builtin_expect(store_rebuilding(s), 0))
        return s->visible_to;
    return s->hide_unflushed ? clog_flushed(s->log) : clog_max(s->log);
}

/* batch.c; under append_lock. False when out of memory. */
bool pending_push(struct store *s, struct cq *q, int64_t max, int64_t end);

/* Store time of a record of which at least the fixed part up to it can be read. */
static inline int64_t store_time_in(const uint8_t *record)
{
    bool v6 = get_be32(record + MSG_POS_SYS_FLAG) & MSG_FLAG_BORNHOST_V6;
    return (int64_t)get_be64(record + MSG_POS_STORE_TIME_V4 + (v6 ? 12 : 0));
}

/* get.c. As store_get, from the consume queue and the commit log only. */
void store_get_log(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
                   store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out);
/* Java's rule for the end of a pull: another record only while both the asker's limits and those of memory or disk
 * hold. behind: bytes from the record to the end of its log. */
bool store_pull_is_full(const struct store *s, const struct get_result *out, uint32_t max_count, int64_t max_bytes,
                        int32_t size, uint32_t messages, int64_t behind);

/* verify.c. Compares the entries [offset, offset + count) found on the disk at the start with their records, mends or
 * reports what does not agree. ahead: also what reading ahead brings in. May block. */
void store_verify(struct store *s, struct cq *q, int64_t offset, uint32_t count, bool ahead);
/* The same for the oldest and the newest entry, whose messages end at or before log_end. */
void store_verify_ends(struct store *s, struct cq *q, int64_t log_end);
/* The record's checksums agree with it. */
bool store_record_ok(const struct store *s, const struct msg_view *v);
/* A single record of any age: false, and reported, when it is damaged. */
bool store_may_serve(struct store *s, const struct msg_view *v);
/* Logs and counts a message that cannot be served; v: its record as far as it can be read, or NULL. */
void store_report_damage(struct store *s, int64_t offset, const struct msg_view *v, const char *what);

/* One round of each background task. */
void flusher_step(struct store *s);       /* syncs what is written, publishes */
int64_t dispatcher_step(struct store *s); /* indexes what is written; how many records */
void dispatcher_flush(struct store *s);   /* makes the index durable, if the log below it is */
/* After a recovery that began with a file chosen by times: marks for what is durable then. */
void keeper_note_recovered(struct store *s);
/* The entries of all records below this log offset are in queue files, durably, in a store that is being rebuilt. */
void keeper_note_rebuilt(struct store *s, int64_t queues_mark);
/* There is so much log behind the last checkpoint that the next should not wait. Any thread. */
bool keeper_is_behind(const struct store *s);
void keeper_step(struct store *s,
                 bool force);       /* writes queues and, when it is time (or force), syncs and checkpoints */
int preparer_step(struct store *s); /* next segment, closing of removed ones */
void clean_step(struct store *s);   /* clean_step.c: retention, disk watermarks; called by the keeper */

enum store_abort store_abort_file(const struct fs *fs, const char *path);
/* The abort file: from now on only store_close makes the next start a clean one. Part of store_start. */
int store_mark_running(struct store *s, struct err *err);

/* recovery.c: finds the end of the log, rebuilds queue entries; or leaves that to rebuild.c. */
int store_recover(struct store *s, struct err *err);
/* After it, when the end of the log is known. */
void store_recovered(struct store *s);
int store_start_threads(struct store *s, struct err *err);

#endif
