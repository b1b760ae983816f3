/*
 * TopicConfig and the tables of them that brokers send and keep (topics.json, GET_ALL_TOPIC_CONFIG, REGISTER_BROKER).
 *
 * Memory: reading fills structs whose strings and arrays are views into the arena or the parsed text; a caller that
 * keeps one copies it (topic_config_copy). Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_TOPIC_CONFIG_H
#define CROCKET_REMOTING_BODY_TOPIC_CONFIG_H

#include "base/json.h"
#include "remoting/body/data_version.h"
#include "remoting/body/topic_queue_mapping.h"

enum topic_filter_type { TOPIC_FILTER_SINGLE_TAG, TOPIC_FILTER_MULTI_TAG };

enum topic_perm { TOPIC_PERM_INHERIT = 1, TOPIC_PERM_WRITE = 2, TOPIC_PERM_READ = 4, TOPIC_PERM_PRIORITY = 8 };
enum topic_sys_flag { TOPIC_FLAG_UNIT = 1, TOPIC_FLAG_UNIT_SUB = 2 };

struct topic_attribute {
    struct str key;
    struct str value;
};

struct topic_config {
    struct str name;
    int32_t read_queue_nums;
    int32_t write_queue_nums;
    int32_t perm; /* bits of topic_perm */
    int32_t topic_sys_flag;
    enum topic_filter_type filter_type;
    bool order;
    const struct topic_attribute *attributes;
    size_t attribute_count;
};

/* RocketMQ's own defaults: 16 queues to read and write, perm 6. */
#define TOPIC_CONFIG_DEFAULT(topic_name)                                                                               \
    ((struct topic_config){.name = (topic_name), .read_queue_nums = 16, .write_queue_nums = 16, .perm = 6})

const char *topic_filter_type_name(enum topic_filter_type type);
enum topic_filter_type topic_filter_type_parse(struct str name);              /* SINGLE_TAG when unknown */
struct str topic_attribute_get(const struct topic_config *c, struct str key); /* null view when absent */
bool topic_config_eq(const struct topic_config *a,
                     const struct topic_config *b); /* order of attributes does not count */
/* A deep copy in one malloc'd block: free() it. NULL when out of memory. */
struct topic_config *topic_config_copy(const struct topic_config *c);

/* Absent members get the defaults. False when json is no object or memory ran out. */
bool topic_config_read(struct arena *arena, const struct json *json, struct topic_config *out);
void topic_config_write(struct jw *w, const struct topic_config *c);

/* The one-line form of compressed registrations: "name read write perm filterType attributesJSON". */
bool topic_config_read_line(struct arena *arena, struct str line, struct topic_config *out);
void topic_config_write_line(struct buf *out, const struct topic_config *c);

/* TopicConfigSerializeWrapper and TopicConfigAndMappingSerializeWrapper. */
struct topic_config_wrapper {
    struct data_version data_version;
    struct data_version mapping_data_version;
    struct topic_config *topics;
    size_t topic_count;
    struct topic_queue_mapping *mapping_infos; /* without hosted queues */
    size_t mapping_info_count;
    struct topic_queue_mapping *mapping_details;
    size_t mapping_detail_count;
};

/* False when json is no object or memory ran out. */
bool topic_config_wrapper_read(struct arena *arena, const struct json *json, struct topic_config_wrapper *out);
void topic_config_wrapper_write(struct jw *w, const struct topic_config_wrapper *t);

#endif
