/*
 * Consume queues: for every topic and queue id the list of 20-byte entries {physical offset i64, size i32, tags code
 * i64} that Java keeps under consumequeue/TOPIC/ID/, filter bits (store.h) in the upper half of the tags code. Topics
 * with queue.type=BatchCQ have batch queues instead, another set under batchconsumequeue with 46-byte entries {physical
 * offset i64, size i32, tags code i64, store time i64, queue offset i64, messages i16, -1 i32, 0 i32}, one for a whole
 * batch. New entries live in a small tail in memory; the background thread writes them to the files (cq_set_persist),
 * so that an idle queue costs neither mapping nor descriptor and an append is a few stores. What is not written yet is
 * rebuilt from the commit log after a crash.
 *
 * Ownership: the set owns the queues; they live until cq_set_free. Deleted queues are marked and emptied.
 * Threads: cq_append / cq_publish only by the holder of the append lock or the flusher (the store serialises them);
 * readers and cq_set_delete_topic from any thread; cq_set_persist, _truncate_front from any thread that may block (they
 * wait for each other); load, truncate and the settings before the store is in use.
 */
#ifndef CROCKET_STORE_CONSUMEQUEUE_H
#define CROCKET_STORE_CONSUMEQUEUE_H

#include "base/err.h"
#include "os/fs.h"
#include "store/store.h"

enum {
    CQ_ENTRY_SIZE = 20,
    CQ_BATCH_ENTRY_SIZE = 46,
    CQ_PREBLANK_SIZE = 0x7FFFFFFF, /* size field of the units before a queue's first entry (physical offset 0) */
};

static inline bool cq_entry_valid(const struct store_entry *e)
{
    return e->physical_offset >= 0 && e->size > 0 && e->physical_offset <= INT64_MAX - e->size && e->messages > 0 &&
           e->queue_offset >= 0 && e->queue_offset <= INT64_MAX - e->messages;
}

static inline bool cq_entry_preblank(const struct store_entry *e)
{
    return e->physical_offset == 0 && e->size == CQ_PREBLANK_SIZE;
}

struct cq_set;
struct compaction_queue; /* compaction/compaction.h */

/* dir: the consumequeue folder; file_size: bytes of one queue file (mappedFileSizeConsumeQueue). NULL: out of memory.
 */
struct cq_set *cq_set_new(const struct fs *fs, const char *dir, int64_t file_size);
/* A set of batch queues: dir is the batchconsumequeue folder. */
struct cq_set *cq_set_new_batch(const struct fs *fs, const char *dir, int64_t file_size);
void cq_set_free(struct cq_set *set);
/* How to keep cq_append out for a moment: the append lock. Used by the background work to drop the tails of idle queues
 * and to delete queues. Without it nobody may append while those run. */
void cq_set_append_lock(struct cq_set *set, void (*lock)(void *arg), void (*unlock)(void *arg), void *arg);
/* Before cq_set_load: entries whose physical end is <= this value are known to be durable and are not read again to
 * verify them. INT64_MAX after a clean stop, the last *written_to of a sync after a crash, -1 (as at first): verify as
 * Java does. */
void cq_set_trust(struct cq_set *set, int64_t physical_end);

/* Before cq_set_load, after a clean stop: the log ended there and every entry was in the files. */
void cq_set_entered(struct cq_set *set, int64_t physical_end);
/* After cq_set_load: a queue was found damaged and cut; its entries of the log from this offset on must be dispatched
 * again. INT64_MAX: none was. */
int64_t cq_set_rebuild_from(const struct cq_set *set);

/* Before cq_set_load: queues with few entries stand together in shared files under dir (shared_queues.h) when the set
 * has more than `from` queues; -1: none do, and those found there get files of their own with the next round.
 * durable: cq_set_shared_mark of the last sync, -1 none. 0 or -ENOMEM. Not called: no queue shares. */
int cq_set_share(struct cq_set *set, const char *dir, int32_t from, int64_t durable);
bool cq_set_shares(const struct cq_set *set); /* there are such files */
int64_t cq_set_shared_mark(const struct cq_set *set);

/* Finds the queues on disk (names only), then recovers each: last valid entry, first file, min and max. */
int cq_set_load(struct cq_set *set, struct err *err);
/* Highest physical end (offset + size) over all queues, -1 if none: the log is dispatched from there after a clean
 * stop. */
int64_t cq_set_dispatched(const struct cq_set *set);
/* Removes all entries that end behind the physical offset (dirty tail after recovery); updates max. */
int cq_set_truncate(struct cq_set *set, int64_t physical_end, struct err *err);
/* Raises the minimum of each queue to its first entry >= log_min and deletes files that hold none (never a queue's last
 * one, which remembers the queue's end); returns files deleted. */
int64_t cq_set_truncate_front(struct cq_set *set, int64_t log_min);

/* Any thread; creating takes a lock and allocates. NULL: absent, out of memory, or a topic longer than 255 bytes. */
struct cq *cq_get(struct cq_set *set, struct str topic, int32_t queue_id, bool create);
/* The queue's compaction log, NULL: it has none. */
struct compaction_queue *cq_compacted(const struct cq *q);
void cq_set_compacted(struct cq *q, struct compaction_queue *log);
/* A queue without entries starts at this offset instead of 0; false: it has some. Before the store is in use. */
bool cq_begin_at(struct cq *q, int64_t queue_offset);
/* Every queue that is not deleted. Queues created meanwhile may be missed. */
void cq_set_each(struct cq_set *set, void (*fn)(void *arg, struct cq *q), void *arg);
/* Also the deleted ones, whose cq_user stays. */
void cq_set_each_ever(struct cq_set *set, void (*fn)(void *arg, struct cq *q), void *arg);
size_t cq_set_count(const struct cq_set *set);
bool cq_set_has_folder(const struct cq_set *set); /* made with the first queue's file */
/* Empties the topic's queues; the next cq_set_persist removes their files. Takes the append lock for moments and may
 * wait for the writing of one queue. A queue used again starts at 0. */
void cq_set_delete_topic(struct cq_set *set, struct str topic);

/* The offset the next appended message gets. Under the append lock. */
int64_t cq_next(const struct cq *q);
/* Adds the entry of cq_next, invisible so far. Returns false when out of memory (nothing changed).
 * Entries whose physical end is not above the queue's last one are ignored (repeated dispatch), as in Java. During
 * recovery a queue offset above cq_next of an empty queue starts the queue there (older messages are gone). */
bool cq_append(struct cq *q, int64_t queue_offset, int64_t physical_offset, int32_t size, int64_t tags_code);
/* The same for any queue, with the queue offset (and filter bits, or messages and store time of a batch) in the entry.
 */
bool cq_enter(struct cq *q, const struct store_entry *e);
/* Position behind the newest entry. Under the append lock. */
int64_t cq_end(const struct cq *q);
/* Entries before position max become visible. Returns the waiting loops' bits (taken) or 0; see store_queue_wait. */
uint64_t cq_publish(struct cq *q, int64_t max);

/*
 * Reading goes by position, which tells the entries of a queue one by one. It is the queue offset, but in batch queues,
 * whose offsets count messages: there cq_locate has to find where to begin.
 */
bool cq_is_batch(const struct cq *q);
int64_t cq_first(const struct cq *q);  /* position of the first entry still there */
int64_t cq_behind(const struct cq *q); /* position behind the last visible entry */
/* Position of the first entry that ends behind the queue offset, one of [cq_min, cq_max). -1: it cannot be read, or
 * (may_block false) not without waiting. Damaged entries mislead: see cq_check. */
int64_t cq_locate(struct cq *q, int64_t offset, bool may_block);
/* The first position of the next file. */
int64_t cq_next_file(const struct cq *q, int64_t position);
int32_t cq_unit(const struct cq *q); /* bytes of an entry */
/* Copies up to n visible entries from the position on; returns how many (fewer only at the end, when a file cannot be
 * read, or with may_block false where memory ends). With may_block false: -1 when none of them is in memory. */
int cq_read(struct cq *q, int64_t position, struct store_entry *out, int n, bool may_block);
void cq_wait(struct cq *q, unsigned loop);

/* Whether entry and record at the position may be believed: those of this process are, those found in the files at the
 * start once somebody has compared them (cq_set_checked). *to: the answer holds for [position, *to). Any thread. */
enum cq_check { CQ_UNCHECKED, CQ_GOOD, CQ_BAD };
enum cq_check cq_check(struct cq *q, int64_t position, int64_t *to);
/* Notes the answer for [from, to); CQ_GOOD or CQ_BAD. What is noted may be forgotten again. */
void cq_set_checked(struct cq *q, int64_t from, int64_t to, enum cq_check what);
/* Replaces a damaged entry in its file. May block. 0 or a negative errno value. */
int cq_mend(struct cq *q, int64_t position, const struct store_entry *e);
/* Physical end of the newest entry; 0 when there never was one. */
int64_t cq_last_end(const struct cq *q);
bool cq_has_files(const struct cq *q); /* during recovery */
/* The file that holds the entry, for messages to people. */
void cq_entry_place(const struct cq *q, int64_t position, char *out, size_t size);

/* Writes the tails of dirty queues to their files; with sync also fdatasyncs what was written since the last sync.
 * Without sync small tails may be left for a later call. *written_to: every entry with a physical end <= this value is
 * in a file (and durable if sync). log_end: the physical end of the log up to which all entries have been appended when
 * the call begins (read it under the append lock). -1: a write failed, it may be tried again later; -2: a sync failed,
 * the process must not go on. */
int cq_set_persist(struct cq_set *set, bool sync, int64_t log_end, int64_t *written_to, struct err *err);

#endif
