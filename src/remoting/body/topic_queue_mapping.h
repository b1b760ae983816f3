/*
 * TopicQueueMappingInfo and -Detail: how the queues of a static topic are spread over brokers.
 * Memory as in topic_config.h. Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_TOPIC_QUEUE_MAPPING_H
#define CROCKET_REMOTING_BODY_TOPIC_QUEUE_MAPPING_H

#include "base/json.h"

struct queue_id_pair {
    int32_t global_id;
    int32_t physical_id;
};

struct logic_queue_item {
    struct str bname;
    int32_t gen;
    int32_t queue_id;
    int64_t logic_offset;
    int64_t start_offset;
    int64_t end_offset; /* -1: open */
    int64_t time_of_start, time_of_end;
};

struct hosted_queue {
    int32_t global_id;
    struct logic_queue_item *items;
    size_t item_count;
};

struct topic_queue_mapping {
    struct str topic;
    struct str scope;
    struct str bname;
    int32_t total_queues;
    int64_t epoch;
    bool dirty;
    struct queue_id_pair *current_ids;
    size_t current_id_count;
    struct hosted_queue *hosted; /* of a Detail */
    size_t hosted_count;
};

/* False when json is no object or memory ran out. */
bool topic_queue_mapping_read(struct arena *arena, const struct json *json, struct topic_queue_mapping *out);
/* strict_keys: map keys that are numbers are quoted. */
void topic_queue_mapping_info_write(struct jw *w, const struct topic_queue_mapping *m, bool strict_keys);
void topic_queue_mapping_detail_write(struct jw *w, const struct topic_queue_mapping *m, bool strict_keys);

#endif
