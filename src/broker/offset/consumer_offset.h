/*
 * Consumer offsets: (topic, group, queue) -> next offset to consume; config/consumerOffset.json, written every
 * flushConsumerOffsetInterval and at the end, when it is large only what changed (config_journal.h). Threads: any; a
 * commit takes one short lock. Values are plain copies.
 */
#ifndef CROCKET_BROKER_OFFSET_CONSUMER_OFFSET_H
#define CROCKET_BROKER_OFFSET_CONSUMER_OFFSET_H

#include "base/err.h"
#include "base/json.h"
#include "remoting/body/data_version.h"

struct offset_manager;

/* lmq (enableLmq): groups whose names begin with %LMQ% have one offset a topic, whatever the queue, and all offsets are
 * kept in config/lmqConsumerOffset.json, where Java keeps them then. The other file is read as long as that is missing.
 */
struct offset_manager *offset_manager_new(const char *config_dir, bool lmq);
int offset_manager_load(struct offset_manager *m, struct err *err);
void offset_manager_free(struct offset_manager *m);

int64_t offset_query(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id); /* -1 when none */
/* Smaller offsets are accepted (logged), as in Java. */
void offset_commit(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset);
void offset_commit_pull(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id,
                        int64_t offset); /* memory only */
int64_t offset_query_pull(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id);
/* A reset asked for by an operator: seen at the next pull, then gone. */
void offset_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset);
int64_t offset_take_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id); /* -1 none */
bool offset_has_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id);
bool offset_any_reset(const struct offset_manager *m); /* cheap: false almost always */

/* All (queue, offset) of topic@group. */
void offset_each(struct offset_manager *m, struct str group, struct str topic,
                 void (*fn)(void *arg, int32_t queue_id, int64_t offset), void *arg);
/* Topics that a group has offsets for / groups that have offsets for a topic: copies in the arena. */
void offset_topics_of(struct offset_manager *m, struct str group, struct arena *a, struct str **names, size_t *n);
void offset_groups_of(struct offset_manager *m, struct str topic, struct arena *a, struct str **names, size_t *n);
void offset_clone(struct offset_manager *m, struct str src_group, struct str dest_group, struct str topic);
/* Sets back to its queue's end each committed offset that is beyond it. end answers -1 for a queue that it knows
 * nothing of. It is called under a lock of the manager's. */
void offset_set_back(struct offset_manager *m, int64_t (*end)(void *arg, struct str topic, int32_t queue_id),
                     void *arg);
void offset_delete_group(struct offset_manager *m, struct str group);
void offset_delete_topic(struct offset_manager *m, struct str topic);
void offset_delete(struct offset_manager *m, struct str group, struct str topic);
void offset_write_json(struct offset_manager *m, struct jw *w); /* {"dataVersion":..,"offsetTable":{..}}, with lmq also
                                                                   "lmqOffsetTable":{"TOPIC@GROUP":offset, ..} */
struct data_version offset_version(struct offset_manager *m);
/* Writes the file, when something changed since. For the end. */
int offset_persist(struct offset_manager *m, struct err *err);
/* The same for now and then: of a large table only what changed is written, beside the file. */
int offset_save_changes(struct offset_manager *m, struct err *err);

#endif
