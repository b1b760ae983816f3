/*
 * The message store: one commit log, one logical queue (consume queue) per topic and queue id, a key index.
 * Files are byte-compatible with the Java broker 5.3; what is on disk in which order is argued in src/store/README.md.
 *
 * Ownership: the store owns everything behind its pointers; a struct cq stays valid until store_close (deleted queues
 * are only marked). Results of store_get pin log segments until store_release. Threads: store_batch_* of one batch from
 * one thread (each event loop has its own batch); everything else from any thread. store_open, store_close and the
 * functions marked "may block" must not be called on an event loop in steady state.
 */
#ifndef CROCKET_STORE_STORE_H
#define CROCKET_STORE_STORE_H

#include "base/err.h"
#include "message/message.h"
#include "store/progress.h"
#include "store/store_conf.h"

struct fs; /* os/fs.h: the table of file functions, real or simulated */
struct store;
struct cq; /* one logical queue */
struct log_segment;

/* Called by the store; all may run on any thread, must not block and must not call back into the store's append. */
struct store_events {
    void *arg;
    /* New entries of q became visible and somebody waits there (store_queue_wait had set bits, now taken): loops =
     * those bits. */
    void (*arrived)(void *arg, struct cq *q, uint64_t loops);
    /* The durable watermark moved (flusher thread): everything below `flushed` is on disk. */
    void (*flushed)(void *arg, int64_t flushed);
    /* Synchronous flush, flusher thread: the log is durable, its messages are acknowledged next. What else they stand
     * on has to be durable first. -1 with err: it cannot be made so; the same as a failed sync. May be NULL. */
    int (*flushing)(void *arg, struct err *err);
    /* A sync of the log failed: the process must stop at once; text says what and where. */
    void (*fatal)(void *arg, const char *text);
    /* store_open has locked the directory and read nothing yet: the place to read what batch_topic needs. -1 with err:
     * the store cannot be opened. May be NULL. */
    int (*opening)(void *arg, struct err *err);
    /* New queues of the topic are batch queues (its queue.type is BatchCQ). NULL: no topic has them. Also called by
     * store_open. */
    bool (*batch_topic)(void *arg, struct str topic);
    /* A message is about to be appended: which of the topic's filters want it, as STORE_FILTER_KNOWN and some of the
     * bits below; 0: not told. On the appending thread, without locks of the store. NULL: never told. */
    uint32_t (*filter_bits)(void *arg, struct str topic, struct str properties);
    /* The queues were being rebuilt when store_open returned, and are whole now (store_rebuilding). Called once, on a
     * thread of the store's that may block. NULL: store_open rebuilds everything before it returns. */
    void (*rebuilt)(void *arg);
};

/* Locks the directory, loads and recovers. Prints progress through the log. -1 with err when it cannot be used. */
int store_open(struct store **out, const struct store_conf *conf, const struct fs *fs,
               const struct store_events *events, struct err *err);
int store_start(struct store *s,
                struct err *err); /* flusher, dispatcher and background threads; creates the abort file */
/* Clean stop: flushes, writes the checkpoint, removes the abort file, unlocks. Frees s. */
void store_close(struct store *s);

/*
 * Lost consume queues are rebuilt from the log. When that takes long (rebuildInBackgroundFrom) and events.rebuilt is
 * set, it goes on after store_open, and meanwhile
 *   - queues end where the rebuild is: store_get answers GET_OFFSET_OVERFLOW_ONE behind that, with the offset asked for
 *     as the next one, and tells who waits there (store_queue_wait) of what comes;
 *   - messages are not taken (store_not_writable), nothing is cleaned, and no offset of a queue's end means anything.
 */
bool store_rebuilding(const struct store *s);
/* Ends the work on it, for good: before store_close, when events.rebuilt may not be called any more. May block. */
void store_stop_rebuild(struct store *s);

/* Work on the old part of the log that goes on beside everything else. */
enum store_work { STORE_REBUILDS_QUEUES, STORE_BUILDS_INDEX };
/* How far it is, as a text; false: it does not go on. */
bool store_progress(struct store *s, enum store_work what, char out[PROGRESS_TEXT]);

/* Changes a key that may change while running (conf table: live) in the store's own copy of the configuration. */
int store_update_conf(struct store *s, struct str name, struct str value, struct err *err);

/* ---- append --------------------------------------------------------------------------------------------------------
 */

enum put_status {
    PUT_OK,
    PUT_FLUSH_DISK_TIMEOUT,
    PUT_FLUSH_SLAVE_TIMEOUT,
    PUT_SLAVE_NOT_AVAILABLE,
    PUT_SERVICE_NOT_AVAILABLE, /* not writable: disk full, stopping, rebuilding, slave */
    PUT_CREATE_FILE_FAILED,
    PUT_MESSAGE_ILLEGAL,
    PUT_PROPERTIES_SIZE_EXCEEDED,
    PUT_PAGE_CACHE_BUSY,
    PUT_UNKNOWN_ERROR,
};

/* A message to put, with what the queues and the index need besides the record. Views are copied by store_batch_add. */
struct store_msg {
    struct msg m;      /* store_time, offsets: set by the store. m.store_host: from the caller */
    struct cq *queue;  /* the queue of m.topic / m.queue_id */
    int64_t tags_code; /* of the consume queue entry */
    /* For a batch queue: how many messages the record has, 0 for an ordinary one. A batch has the flag INNER_BATCH and
     * the property INNER_NUM; the store adds INNER_BASE. */
    int32_t batch_messages;
};

struct store_batch;

struct put_result {
    enum put_status status;
    uint32_t count;                  /* records of this put (1, or the entries of store_batch_add_many) */
    uint32_t messages;               /* in them: more where a record is a batch */
    int64_t queue_offset;            /* of the first record */
    const int64_t *physical_offsets; /* count values; valid during the callback */
    int64_t store_time;
    int64_t end_offset; /* physical end of the last record: durable when store_flushed() >= end_offset */
    uint32_t bytes;
};

typedef void (*put_done_fn)(void *arg, void *user, const struct put_result *r);

struct store_batch *store_batch_new(struct store *s);
void store_batch_free(struct store_batch *b);
/* Encodes the record into the batch. Anything but PUT_OK: refused, not in the batch. With enableLmq and
 * enableMultiDispatch a message with INNER_MULTI_DISPATCH gets its offsets in these queues as a property, and entries
 * there. */
enum put_status store_batch_add(struct store_batch *b, const struct store_msg *m, void *user);
/* n records of one queue with consecutive queue offsets and one result: all are stored or none. */
enum put_status store_batch_add_many(struct store_batch *b, const struct store_msg *m, size_t n, void *user);
size_t store_batch_count(const struct store_batch *b);
/* Appends all, makes them visible to consumers (with synchronous flush: once durable), and calls done once for each
 * put, in order. When it returns the records are in the page cache: they survive the death of the process. */
void store_batch_commit(struct store_batch *b, put_done_fn done, void *arg);
/* One message, from a thread that may block (background work, tests): commits and, with synchronous flush, waits. In
 * the result physical_offsets is NULL: the record begins at end_offset - bytes. r may be NULL. */
enum put_status store_put(struct store *s, const struct store_msg *m, struct put_result *r);

/* Why messages are not taken now, as a text for the one who sent one; NULL: they are. Neither asks the disk. */
const char *store_not_writable(const struct store *s); /* until somebody or the next round of cleaning helps */
const char *store_busy(const struct store *s);         /* for a while: the disk takes too long */

int64_t store_flushed(const struct store *s); /* durable up to here */
int64_t store_log_end(const struct store *s); /* physical offset behind the newest record */
/* Waits until the log is durable up to there; false when it took too long (syncFlushTimeout). May block. */
bool store_wait_flushed(struct store *s, int64_t physical_offset);
bool store_sync_flush(const struct store *s); /* flushDiskType = SYNC_FLUSH */

/* ---- queues and reading --------------------------------------------------------------------------------------------
 */

/* NULL when absent and !create, out of memory, or no topic name (empty, over 255 bytes, with / in it). Never blocks on
 * disk. */
struct cq *store_queue(struct store *s, struct str topic, int32_t queue_id, bool create);
struct str cq_topic(const struct cq *q);
int32_t cq_id(const struct cq *q);
int64_t cq_min(const struct cq *q); /* first entry still there */
int64_t cq_max(const struct cq *q); /* next visible offset: offsets below it can be read */
/* A place for the broker: one pointer a queue, NULL at first. Only the broker touches it. */
void **cq_user(struct cq *q);

/* Sets bit `loop` of q's waiters. The caller then reads cq_max again: if it is still not above the wanted offset,
 * `arrived` will be called with that bit after the next visible entry. Bits are taken (cleared) when `arrived` is
 * called. */
void store_queue_wait(struct cq *q, unsigned loop);

enum get_status {
    GET_FOUND,
    GET_NO_MATCHED_MESSAGE,
    GET_MESSAGE_WAS_REMOVING,
    GET_OFFSET_FOUND_NULL,
    GET_OFFSET_OVERFLOW_BADLY,
    GET_OFFSET_OVERFLOW_ONE,
    GET_OFFSET_TOO_SMALL,
    GET_NO_MATCHED_LOGIC_QUEUE,
    GET_NO_MESSAGE_IN_QUEUE,
    GET_COLD, /* consume queue or log pages are not in memory, or not checked since the start: call store_warm on a
                 thread that may block, then again */
};

/* An entry of a queue: one record of the log. In a batch queue a record can be a batch of several messages. */
struct store_entry {
    int64_t physical_offset;
    int32_t size;
    int32_t messages; /* in the record; 1 but for batches */
    int64_t tags_code;
    int64_t queue_offset; /* of the first message */
    int64_t store_time;   /* batch queues only, else 0 */
    uint32_t filter_bits; /* what events.filter_bits has told of it, if this process has appended it; else 0 */
};

/*
 * Filter bits stand in the upper half of an entry's tags code, of which a hash code needs only the lower one; that one
 * is all a Java broker compares. They cannot be made good from the record as the hash can, so they are believed only of
 * entries that this process has made.
 */
enum {
    STORE_FILTER_BITS = 30,
    STORE_FILTER_KNOWN = 1 << STORE_FILTER_BITS, /* they were told */
};
/* There are other filters than before. Returns the end of the log: of records from there on the bits were told with the
 * new filters known, or not at all. Waits for an append that is going on. */
int64_t store_filters_changed(struct store *s);

/* Tells whether an entry is wanted. record is NULL at first (decide by the entry); answer FILTER_NEED_RECORD to be
 * asked again with it. */
enum filter_verdict { FILTER_NO, FILTER_YES, FILTER_NEED_RECORD };
typedef enum filter_verdict (*store_filter_fn)(void *arg, const struct store_entry *e, const struct msg_view *record);

/* A run of whole records inside one segment: send it with sendfile(fd, offset, len), or read it at map (NULL if not
 * mapped). */
struct store_range {
    struct log_segment *segment;
    int fd;
    int64_t offset; /* in the file */
    uint32_t len;
    const uint8_t *map; /* the range's first byte in the read-only mapping */
};

enum { STORE_GET_RANGES = 64 };

struct get_result {
    enum get_status status;
    int64_t next_offset, min_offset, max_offset;
    uint32_t count; /* messages */
    uint32_t bytes;
    uint32_t n_ranges;
    int64_t first_store_time; /* of the first found message, 0 if none */
    struct store_range ranges[STORE_GET_RANGES];
};

/* Reads from offset on: at most max_count messages and about max_bytes (one message always fits). filter may be NULL.
 * Does not block: cold data gives GET_COLD (only if may_block is false). */
void store_get(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
               store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out);
void store_release(struct store *s, struct get_result *r); /* unpins; also for results with no ranges */
void store_range_retain(struct store_range *r);
void store_range_release(struct store_range *r);
/* May block: brings what store_get of these arguments needs, and read-ahead behind it, into memory. What the filter
 * refuses by the entry is left out. */
void store_warm(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
                store_filter_fn filter, void *filter_arg);

/* One record by physical offset where it lies. GET_FOUND: view points into range, which is to be released; GET_COLD:
 * only the disk has it, store_read would wait; GET_OFFSET_FOUND_NULL: there is no record at that offset. Does not
 * block. */
enum get_status store_look(struct store *s, int64_t physical_offset, struct store_range *range, struct msg_view *view);
/* One record by physical offset, copied to out (appended). May block. False when there is no record at that offset, or
 * a damaged one (reported). */
bool store_read(struct store *s, int64_t physical_offset, struct buf *out, struct msg_view *view);
/* The same for many records one after the other, about in the order of the log: it is read in pieces, large ones where
 * the records lie close together. The view holds until the next call. Zero at first; freed by store_window_free. */
struct store_window {
    uint8_t *data;
    size_t cap, len, want;
    int64_t at;
};
bool store_read_next(struct store *s, int64_t physical_offset, struct store_window *w, struct msg_view *view);
void store_window_free(struct store_window *w);
/* Hint: this part of the log will be wanted soon. Starts reading what may not be in memory. */
void store_want(struct store *s, int64_t physical_offset, int64_t n);

/* First offset whose message has store time >= time (lower) or last with <= time (upper), clamped as Java does. May
 * block. */
int64_t store_offset_by_time(struct store *s, struct cq *q, int64_t time, bool upper);
int64_t store_time_of(struct store *s, struct cq *q, int64_t offset); /* store time, -1 when absent. May block */
int64_t store_earliest_time(struct store *s); /* of the first message of the log; -1. May block */

/* The tags code is none but the place of an entry of the queue's extension, which Java's brokers can write
 * (enableConsumeQueueExt): the record tells what such a message has. */
static inline bool store_is_extension(int64_t tags_code)
{
    return tags_code < INT32_MIN;
}

/* Copies up to n entries from the one with the message at offset on; returns how many. One whose message is damaged has
 * physical_offset -1. May block. */
size_t store_entries(struct store *s, struct cq *q, int64_t offset, struct store_entry *out, size_t n);

/* Physical offsets of messages of the topic with the key in [begin, end] ms, newest first. Returns how many. May block.
 * *last_time / *last_offset: end of the index. */
size_t store_query(struct store *s, struct str topic, struct str key, int64_t begin, int64_t end, int64_t *offsets,
                   size_t max, int64_t *last_time, int64_t *last_offset);

/* ---- management ----------------------------------------------------------------------------------------------------
 */

/* Marks all queues of the topic deleted and removes their files in the background. */
void store_delete_topic(struct store *s, struct str topic);
/* Calls fn for every queue (snapshot; fn may not create queues). */
void store_each_queue(struct store *s, void (*fn)(void *arg, struct cq *q), void *arg);
/* The same with those whose topic was deleted: to free what hangs on them. */
void store_each_queue_ever(struct store *s, void (*fn)(void *arg, struct cq *q), void *arg);

/* The topic is a compaction topic with so many queues: only the newest message of each key is kept. Also to be called
 * when it gets more queues. False: out of memory. May block before store_start. */
bool store_compact_topic(struct store *s, struct str topic, int32_t queues);
void store_clean_now(struct store *s); /* DELETE_EXPIRED_COMMITLOG: next 20 cleaning rounds run whatever the hour */
void store_clean_unused_queues(struct store *s, bool (*wanted)(void *arg, struct str topic), void *arg);

struct store_stats {
    int64_t log_min, log_max, flushed, dispatched; /* dispatched: index built up to here */
    int64_t puts, put_bytes, put_failed;
    int64_t gets_found, gets_missed, got_messages;
    int64_t damaged, mended; /* messages found damaged and not served; queue entries mended from the log */
    double disk_ratio;       /* 0..1, partition of the commit log */
    int64_t disk_total, disk_free;
    int64_t boot_time;
    bool writable;
    int64_t put_lock_held_ms;         /* how long the append is held up now, 0 when not */
    const char *not_writable_because; /* text or NULL */
};
void store_stats(struct store *s, struct store_stats *out);
/* Path of the n-th folder that new commit log files are made in, and the used part of its partition (-1: not known).
 * NULL: there are no more. */
const char *store_log_dir(struct store *s, size_t n, double *used);

#endif
