/* What the files of the consumer offsets share. Not for others. */
#ifndef CROCKET_BROKER_OFFSET_CONSUMER_OFFSET_INT_H
#define CROCKET_BROKER_OFFSET_CONSUMER_OFFSET_INT_H

#include "base/map.h"
#include "broker/offset/consumer_offset.h"
#include "message/multi_dispatch.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SHARDS = 16, NONE = -1 };

struct queue_offset {
    int32_t queue_id;
    int64_t committed, pulled, reset; /* NONE: not there */
};

/* Offsets of one topic@group, sorted by queue id. */
struct entry {
    struct str key; /* "topic@group" */
    size_t topic_len;
    size_t count, cap;
    struct queue_offset *queues;
    struct entry *changed_next; /* in the shard's list */
    bool changed;
};

struct shard {
    pthread_mutex_t lock;
    struct map entries;
    struct entry *changed; /* entries with other committed offsets than were saved */
};

struct offset_manager {
    char *path;     /* consumerOffset.json or lmqConsumerOffset.json */
    char *old_path; /* of offsets from before enableLmq, NULL: not */
    bool lmq;
    struct shard shards[SHARDS];
    pthread_mutex_t save_lock, version_lock;
    struct data_version version;
    /* Changes that are on the disk, and that the file has; under save_lock, as what follows. */
    uint64_t saved, saved_whole;
    struct config_journal *journal;
    size_t saved_bytes;                /* of the file, 0 not written yet */
    struct data_version saved_version; /* of the file */
    _Atomic bool whole_wanted;         /* something was deleted, which only a whole file says */
    _Atomic uint64_t changes, commits;
    _Atomic int64_t resets; /* pending */
};

static inline bool offset_is_lmq_group(const struct offset_manager *m, struct str group)
{
    return m->lmq && msg_is_lmq(group);
}

static inline struct str offset_entry_topic(const struct entry *e)
{
    return str_make(e->key.ptr, e->topic_len);
}

static inline struct str offset_entry_group(const struct entry *e)
{
    return str_skip(e->key, e->topic_len + 1);
}

/* Some queue of the entry has a committed offset; under the shard's lock. */
bool offset_entry_has_committed(const struct entry *e);
/* Sets a committed offset. False: no such queue, or out of memory. */
bool offset_take(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset);

#endif
