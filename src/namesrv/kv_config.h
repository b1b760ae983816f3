/*
 * The key-value table that admin tools keep in the name server (namespace, key, value), saved as JSON on every change.
 * The previous content stays beside the file with the ending .bak. Any thread.
 */
#ifndef CROCKET_NAMESRV_KV_CONFIG_H
#define CROCKET_NAMESRV_KV_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* The namespace in which order topics are described: "broker-a:4;broker-b:4". */
#define KV_NAMESPACE_ORDER STR_LIT("ORDER_TOPIC_CONFIG")

struct kv_config;

/* Reads the file if it is there. NULL with err set when it cannot be understood. */
struct kv_config *kv_config_open(const char *path, struct err *err);
void kv_config_free(struct kv_config *kv);

/* The value in the arena; null view when absent. */
struct str kv_config_get(struct kv_config *kv, struct arena *arena, struct str ns, struct str key);
/* Appends {"table":{...}}; false and nothing appended when there is no such namespace. */
bool kv_config_list(struct kv_config *kv, struct str ns, struct buf *out);
/* Both write the file, so they may block. A null value removes the key and keeps the namespace. -1: the change holds in
 * memory (or memory ran out), and err says why it was not saved. */
int kv_config_put(struct kv_config *kv, struct str ns, struct str key, struct str value, struct err *err);
int kv_config_delete(struct kv_config *kv, struct str ns, struct str key, struct err *err);

#endif
