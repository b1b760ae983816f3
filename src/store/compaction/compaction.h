/*
 * Compaction topics (topic attribute cleanup.policy=COMPACTION): beside the commit log their messages stand in a log of
 * each queue (compaction/compactionLog/TOPIC/ID), of which only the newest message of each key is kept, with a sparse
 * queue of 46-byte units (compaction/compactionCq/TOPIC/ID) whose files have the names of the log's. Formats, and when
 * a message is kept: Java 5.3's kv package.
 *
 * The keeper copies messages here once they are durable in the commit log; what is not copied yet is read from there.
 * The compaction thread rewrites the closed files of a queue, in bounded memory, and puts the result in their place: a
 * crash at any point leaves the old files or the new ones (replace.h).
 *
 * Ownership: struct compaction and its queues live until compaction_close. Threads: compaction_get on any, and it does
 * not block unless told that it may; compaction_copy, _sync, _is_dirty, _safe_end by the keeper; compaction_run by its
 * own thread; the rest on threads that may block.
 */
#ifndef CROCKET_STORE_COMPACTION_COMPACTION_H
#define CROCKET_STORE_COMPACTION_COMPACTION_H

#include "store/store.h"

struct compaction;
struct compaction_queue;

/* Loads and repairs what is there. After store_recover. */
int compaction_open(struct compaction **out, struct store *s, struct err *err);
void compaction_close(struct compaction *c);

/* The messages of these queues are kept here from now on (and those still in the log), but not those of batch queues:
 * their records have many keys. False: out of memory. */
bool compaction_add_topic(struct compaction *c, struct str topic, int32_t queues);
/* Forgets the topic's queues; their files go in the background. */
void compaction_delete_topic(struct compaction *c, struct str topic);

/* Copies what the commit log holds durably and is not here yet; all: until nothing is left, else some MiB. */
void compaction_copy(struct compaction *c, bool all);
/* Makes what was copied durable. 0, -1: tried again later, -2: a sync failed, the process must not go on. */
int compaction_sync(struct compaction *c, struct err *err);
/* Something was copied since the last sync. */
bool compaction_is_dirty(const struct compaction *c);
/* Of the messages below this log offset (at most log_end) all that belong here are here, durably: the log may be
 * deleted up to it. *time: store time of the first that is not, INT64_MAX none. */
int64_t compaction_safe_end(struct compaction *c, int64_t log_end, int64_t *time);

/* One round: compacts the queues whose time has come (all: every queue). */
void compaction_run(struct compaction *c, bool all);

/* Reads queue offsets >= offset as store_get does. False: what is asked for is not here but in the commit log. */
bool compaction_get(struct compaction_queue *q, int64_t offset, uint32_t max_count, int64_t max_bytes,
                    store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out);
/* Queue offset of the first message here, or `otherwise` when there is none. */
int64_t compaction_min(struct compaction_queue *q, int64_t otherwise);
/* As store_warm. False as above. */
bool compaction_warm(struct compaction_queue *q, int64_t offset, uint32_t max_count, uint32_t max_bytes);

#endif
