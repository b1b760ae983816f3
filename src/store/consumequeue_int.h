/*
 * Inside of the consume queues, shared by consumequeue*.c only.
 *
 * A queue is a run of entries [min, next), here counted by their positions: queue offsets but in batch queues. Entries
 * [persisted, next) are only in the tail; a tail is a list of chunks that hold entries in file format, oldest first,
 * and may reach back before `persisted`. Everything below `persisted` is in the files [first_file, ...]. Entries below
 * max are visible.
 *
 * Who writes what: the appender writes next, last_end, last, chunk data; whoever publishes writes max; the background
 * thread (holding set->io) writes persisted, first_file, min and unlinks chunks from the old end. The last chunk is
 * unlinked only with the append lock held too. Readers hold q->readers while they walk chunks: an unlinked chunk is
 * freed once the counter was seen at 0 after it.
 */
#ifndef CROCKET_STORE_CONSUMEQUEUE_INT_H
#define CROCKET_STORE_CONSUMEQUEUE_INT_H

#include "base/bytes.h"
#include "store/consumequeue.h"
#include "store/shared_queues.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    CQ_CLASSES = 4,
    CQ_TOPIC_MAX = 255,
    CQ_PATH_SIZE = 4096,
    CQ_NAME_DIGITS = 20,
};

/* A batch queue as its consumers see it: offsets count messages, of which an entry can have several. Everything else in
 * struct cq counts entries. */
struct cq_batch {
    _Atomic int64_t next, max, min;
    _Atomic int64_t hint; /* position of the entry found last */
};

struct cq_chunk {
    _Atomic(struct cq_chunk *) next, prev;
    int64_t base; /* queue offset of the first entry */
    uint32_t cap;
    uint32_t class;
    struct cq *owner;         /* while retired: whose readers may still look at it */
    struct cq_chunk *retired; /* next in the list of retired or free chunks */
    uint8_t data[];
};

struct cq {
    /* First cache line: what an append touches. */
    struct cq_set *set;
    _Atomic(struct cq_chunk *) last;
    _Atomic int64_t next;
    _Atomic int64_t last_end; /* highest physical end of an entry */
    _Atomic int64_t max;
    _Atomic uint64_t waiters;
    _Atomic uint32_t flags;
    int32_t id;

    /* Second: readers and the background thread. */
    _Atomic(struct cq_chunk *) head; /* oldest chunk */
    _Atomic int64_t min;
    _Atomic int64_t persisted;
    int64_t min_physical;  /* physical offset of the entry at min, -1 unknown */
    int64_t first_file;    /* byte offset (= name) of the first file, -1 without files */
    struct cq *dirty_next; /* in set->dirty */
    void *user;
    _Atomic(struct compaction_queue *) compacted;
    _Atomic uint32_t readers;
    uint8_t idle_rounds;
    uint8_t topic_len;
    bool watched;           /* in set->watched */
    bool purge;             /* deleted: its files are to be removed */
    bool stale_files;       /* while loading: it has a folder that does not count */
    uint8_t shared_n;       /* entries in the block at `shared` */
    _Atomic int64_t shared; /* position of its block in set->blocks, which then holds what is below persisted; or -1 */

    int64_t from_disk;          /* entries below were found in the files at the start and must be checked once */
    struct cq_checked *checked; /* what was, NULL nothing; under set->check_lock */

    struct cq_batch *batch; /* NULL: not a batch queue */
    int64_t unsynced;       /* file (byte offset) written since the last sync and noted in set->unsynced, -1 none */
    const char *topic;      /* NUL-terminated; queues of one topic share it */
};

enum cq_flag {
    CQ_DIRTY = 1,   /* in set->dirty: the background thread will look at it */
    CQ_DELETED = 2, /* cq_set_delete_topic; taken back by the next use */
};

struct cq_table {
    struct cq_table *older; /* replaced tables stay readable until the set is freed */
    size_t cap;
    _Atomic(struct cq *) slots[];
};

struct cq_pool {
    int32_t unit;                                /* bytes of an entry */
    struct cq_chunk *mine[CQ_CLASSES];           /* the appender's */
    _Atomic(struct cq_chunk *) back[CQ_CLASSES]; /* given back by the background thread */
    _Atomic size_t bytes;                        /* in both */
};

/* An open file of a queue. */
struct cq_file {
    struct cq *q;
    int64_t start;
    int fd;
    uint32_t refs;
    struct cq_file *hash_next;
    struct cq_file *newer, *older; /* least recently used order */
};

struct cq_files {
    pthread_mutex_t lock;
    struct cq_file **buckets;
    struct cq_file *newest, *oldest;
    size_t count;
};

struct cq_unsynced {
    struct cq *q;
    int64_t start;
    bool created;
};

struct cq_set {
    const struct fs *fs;
    char *dir;
    int64_t file_size;
    int32_t unit; /* bytes of an entry */
    int64_t trusted_end;
    int64_t entered_end;          /* clean stop: no entry can lie behind; -1 unknown */
    _Atomic int64_t rebuild_from; /* cq_set_rebuild_from */
    pthread_mutex_t check_lock;

    _Atomic(struct cq_table *) table;
    _Atomic size_t count;   /* of queues; changed under create */
    pthread_mutex_t create; /* new queues */
    struct cq_slab *slabs;
    size_t slab_used;

    struct cq_pool pool;
    struct cq_files files;

    void (*append_lock)(void *arg), (*append_unlock)(void *arg);
    void *append_arg;

    pthread_mutex_t work; /* one background operation at a time */
    pthread_mutex_t io;   /* of one queue after the other inside such an operation, so that a deletion waits only for
                             one; guards everything below and what the background thread writes in a queue */
    _Atomic(struct cq *) dirty;
    struct cq *
        *watched; /* queues looked at again in the next round: not yet written, or with a tail to drop when idle */
    size_t n_watched, cap_watched;
    struct cq_chunk *retired;
    struct cq_unsynced *unsynced;
    size_t n_unsynced, cap_unsynced;
    bool sync_failed;
    int anchor_fd; /* any queue file, open for good, so that its file system's errors are not missed; -1 not yet */
    int64_t front; /* log_min of the last cq_set_truncate_front */

    /* consumequeue_shared.c */
    struct sq_log *blocks; /* of queues with few entries; NULL: none share */
    int32_t share_from;    /* new queues share when there are more than so many; -1: those that do leave */
    int64_t shared_live;   /* bytes of the blocks that count */
    int64_t garbage_min;
    int64_t shared_mark; /* blocks below are durable; -1: there are none */
    bool shared_damaged;
    struct cq **left; /* have files of their own since the last sync */
    size_t n_left, cap_left;
};

/* consumequeue_tail.c */
enum tail_drop { TAIL_KEEP_LAST, TAIL_DROP_ALL };
/* Copies entries of the tail from offset on; -1 when the tail does not reach back to it, 0 when offset is not visible.
 */
int cq_tail_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool visible_only);
/* Under the append lock: adds the entry at position next, which is the queue's end. False: out of memory. */
bool cq_tail_put(struct cq *q, int64_t next, const struct store_entry *e);
/* The same for an entry with a record: it is the queue's newest, and has to go to the files. */
bool cq_tail_append(struct cq *q, int64_t next, const struct store_entry *e);
bool cq_tail_enter(struct cq *q, const struct store_entry *e); /* cq_enter of a queue that is no batch queue */
/* The chunk that holds offset, for the background thread. */
struct cq_chunk *cq_tail_find(struct cq *q, int64_t offset);
/* Unlinks chunks whose entries are all persisted (ALL: with the append lock held, everything). */
void cq_tail_drop(struct cq *q, enum tail_drop how);
/* Under the append lock (or with no appender): forgets entries from offset on. */
void cq_tail_cut(struct cq *q, int64_t offset);
void cq_retired_free(struct cq_set *set);
void cq_pool_free(struct cq_pool *pool);
void cq_tail_free(struct cq *q);
void cq_mark_dirty(struct cq *q);

void cq_checked_free(struct cq *q); /* consumequeue_checked.c */

/* consumequeue_batch.c: called where the ends of a queue move; nothing to do for queues that are no batch queues. */
/* Reads the entries at the ends again. 0 or a negative errno value. */
int cq_batch_refresh(struct cq *q);
void cq_batch_min(struct cq *q);                  /* min was raised */
void cq_batch_publish(struct cq *q, int64_t max); /* entries below max are visible */

/* consumequeue_file.c */
int cq_files_init(struct cq_files *f);
void cq_files_free(struct cq_set *set);
/* Opens (or finds open) the file of q that begins at byte `start`; released by cq_file_release. create: with full size.
 * open: may open it, otherwise -EAGAIN when it is not open. 0 or a negative errno value. */
int cq_file_acquire(struct cq *q, int64_t start, bool open, bool create, struct cq_file **out, bool *created);
void cq_file_release(struct cq_set *set, struct cq_file *file);
void cq_file_forget(struct cq *q, int64_t start); /* before it is removed; start -1: all of q */
int cq_file_remove(struct cq *q, int64_t start);
/* Removes the queue's folder with all its files. */
int cq_files_remove(struct cq *q);
int cq_path(const struct cq *q, int64_t start, char out[CQ_PATH_SIZE]); /* start -1: the queue's folder */
/* Reads raw entries from the files, up to n within what is there; -EAGAIN, other errors negative. */
int cq_file_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool may_block);
/* consumequeue_persist.c: the next sync includes the file; names: and its folder. With set->io held. The same file
 * twice in a row is noted once. */
int cq_note_unsynced(struct cq *q, int64_t start, bool names);
/* Everything from byte `from` to the end of its file becomes zero. */
int cq_file_zero_from(struct cq *q, int64_t from);
/* consumequeue_persist.c: n entries in file format, all of one file. */
int cq_write_entries(struct cq *q, int64_t offset, const uint8_t *data, int64_t n);

/* consumequeue_shared.c; all but the read with set->io held or before the store is in use. 0 or a negative errno value.
 */
int cq_shared_load(struct cq_set *set, struct err *err);
/* Ends the loading. With share_from -1 the next round gives every queue files of its own. */
void cq_shared_end(struct cq_set *set);
bool cq_shared_wants(const struct cq *q, int64_t next); /* the queue, then ending at next, belongs among the shared */
int cq_shared_write(struct cq *q, int64_t next);        /* all up to next */
int cq_shared_cut(struct cq *q, int64_t to);            /* forgets entries from there on */
int cq_shared_remove(struct cq *q);
void cq_shared_forget(struct cq *q); /* its block does not count */
int cq_shared_leave(struct cq *q);   /* into files of its own */
int cq_shared_mend(struct cq *q, int64_t offset, const struct store_entry *e);
int cq_shared_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool may_block);
/* When the files of queues are durable: begin with set->io held, then without. */
int cq_shared_sync_begin(struct cq_set *set, int64_t *end);
int cq_shared_sync(struct cq_set *set, int64_t end);

/* consumequeue.c: frees the tables that the set has outgrown; nobody else may use the set. */
void cq_tables_free_older(struct cq_set *set);
/* Finds it, also when it is deleted. */
struct cq *cq_find(struct cq_set *set, struct str topic, int32_t queue_id);
/* consumequeue_load.c: entries [min, end) are on the disk and visible. */
int cq_set_bounds(struct cq *q, int64_t min, int64_t end);

/* Entries by blocking reads wherever they are, no bounds but next; returns how many or a negative errno value. */
int cq_peek(struct cq *q, int64_t offset, struct store_entry *out, int n);

/* A tags code with filter bits: positive, bit 62 set. No hash code is, and no delivery time. */
static inline uint64_t cq_packed(const struct store_entry *e)
{
    if (__builtin_expect(e->filter_bits == 0 || e->tags_code != (int32_t)e->tags_code, 1))
        return (uint64_t)e->tags_code;
    return (uint64_t)(e->filter_bits | STORE_FILTER_KNOWN) << 32 | (uint32_t)e->tags_code;
}

static inline void cq_unpack(struct store_entry *e, uint64_t packed)
{
    e->tags_code = (int64_t)packed;
    if (__builtin_expect(packed >> 62 == 1, 0)) {
        e->filter_bits = (uint32_t)(packed >> 32);
        e->tags_code = (int32_t)(uint32_t)packed;
    }
}

/* Entries in file format, of `unit` bytes: CQ_ENTRY_SIZE or CQ_BATCH_ENTRY_SIZE. The place of a batch in a compaction
 * log, which batch entries have room for, is -1: none. */
static inline void cq_put_entry(uint8_t *at, int32_t unit, const struct store_entry *e)
{
    put_be64(at, (uint64_t)e->physical_offset);
    put_be32(at + 8, (uint32_t)e->size);
    put_be64(at + 12, cq_packed(e));
    if (__builtin_expect(unit == CQ_ENTRY_SIZE, 1))
        return;
    put_be64(at + 20, (uint64_t)e->store_time);
    put_be64(at + 28, (uint64_t)e->queue_offset);
    put_be16(at + 36, (uint16_t)e->messages);
    put_be32(at + 38, UINT32_MAX);
    put_be32(at + 42, 0);
}

/* The entry at this position of its queue. */
static inline struct store_entry cq_get_entry(const uint8_t *at, int32_t unit, int64_t position)
{
    struct store_entry e = {
        .physical_offset = (int64_t)get_be64(at),
        .size = (int32_t)get_be32(at + 8),
        .messages = 1,
        .queue_offset = position,
    };
    cq_unpack(&e, get_be64(at + 12));
    if (__builtin_expect(unit != CQ_ENTRY_SIZE, 0)) {
        e.store_time = (int64_t)get_be64(at + 20);
        e.queue_offset = (int64_t)get_be64(at + 28);
        e.messages = (int16_t)get_be16(at + 36);
    }
    return e;
}

static inline int64_t cq_file_of(const struct cq_set *set, int64_t position)
{
    int64_t at = position * set->unit;
    return at - at % set->file_size;
}

#endif
