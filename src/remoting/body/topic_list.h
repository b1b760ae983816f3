/*
 * TopicList and KVTable: the two plainest bodies, a list of names and a map of texts. Memory as in topic_config.h. Any
 * thread.
 */
#ifndef CROCKET_REMOTING_BODY_TOPIC_LIST_H
#define CROCKET_REMOTING_BODY_TOPIC_LIST_H

#include "base/json.h"

struct topic_list {
    struct str broker_addr; /* null: none */
    struct str *topics;
    size_t topic_count;
};

bool topic_list_read(struct arena *arena, const struct json *json, struct topic_list *out);
void topic_list_write(struct jw *w, const struct topic_list *l);

struct kv_pair {
    struct str key;
    struct str value;
};

struct kv_table {
    struct kv_pair *pairs;
    size_t pair_count;
};

bool kv_table_read(struct arena *arena, const struct json *json, struct kv_table *out);
void kv_table_write(struct jw *w, const struct kv_table *t);
struct str kv_table_get(const struct kv_table *t, struct str key); /* null view when absent */

#endif
