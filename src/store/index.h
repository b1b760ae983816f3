/*
 * Key index: Java's hash index files under index/ (40-byte header, 5,000,000 slots of 4 bytes, 20,000,000 entries of 20
 * bytes by default), filled by the dispatcher thread behind the log. What was added since the last index_flush is lost
 * by a crash; the log is dispatched again from index_end_offset.
 *
 * Ownership: the index owns its files. Threads: index_add and index_flush from the dispatcher; index_query and
 * index_clean from any thread that may block; index_end_* from any thread. index_load before all of them.
 */
#ifndef CROCKET_STORE_INDEX_H
#define CROCKET_STORE_INDEX_H

#include "base/err.h"
#include "base/str.h"
#include "os/fs.h"

struct index;

/* NULL: out of memory. */
struct index *index_new(const struct fs *fs, const char *dir, int32_t slots, int32_t entries);
/* What the folder's last user left. After a crash files whose end time is behind checkpoint_time are deleted (Java's
 * rule; they are rebuilt from the log), but after one of ours not those with the header of a flush. */
enum index_end { INDEX_CLEAN, INDEX_CRASH, INDEX_OWN_CRASH };
int index_load(struct index *ix, enum index_end end, int64_t checkpoint_time, struct err *err);
void index_free(struct index *ix); /* does not flush */
/* Before index_load: full files get summaries (index_summary.h) in the folder dir once there are so many. 0 or -ENOMEM.
 */
int index_summarize_from(struct index *ix, const char *dir, size_t files);
/* Makes one that is missing; false when none is, or it could not be made (logged, tried again later). For the thread
 * that flushes. May take seconds; stop may be NULL, and ends it when true. */
bool index_summarize(struct index *ix, bool (*stop)(void *arg), void *arg);

/* Adds topic#UNIQ_KEY and topic#KEY for each key. Offsets not above what is indexed already are skipped. -1: a write
 * failed; the same message may be added again later and continues where it failed. */
int index_add(struct index *ix, struct str topic, struct str uniq_key, struct str keys, int64_t physical_offset,
              int64_t store_time, struct err *err);
int64_t index_end_offset(const struct index *ix); /* physical offset of the last indexed message, 0 if none */
int64_t index_end_time(const struct index *ix);
/* Makes everything added so far durable; *time: value for the checkpoint's index timestamp. While messages arrive this
 * writes up to all slots (20 MB): every ten seconds is often enough. -1: a write failed and may be tried again; -2: a
 * sync failed, the process must not go on. */
int index_flush(struct index *ix, int64_t *time, struct err *err);
struct index_asked {
    struct str topic, key;
    int64_t begin, end; /* ms */
    /* Only hashes are stored: tells whether the message at the offset is one with that key. May block. NULL: all are
     * taken. */
    bool (*want)(void *arg, int64_t offset);
    void *arg;
};
/* Newest first, up to max. */
size_t index_query(struct index *ix, const struct index_asked *asked, int64_t *offsets, size_t max);
/* Deletes files (never the last) that only cover messages below log_min; returns how many. */
int index_clean(struct index *ix, int64_t log_min);
/* Deletes the files with messages that recovery has cut off the log: others come in their place. Before the first is
 * added.
 */
void index_cut(struct index *ix, int64_t log_end);

/* |Java hash| of topic#key, as stored. */
int32_t index_key_hash(struct str topic, struct str key);

#endif
