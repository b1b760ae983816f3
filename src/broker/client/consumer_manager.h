/*
 * Live consumers: groups with their connections and subscriptions, from heartbeats. Threads: any (one lock); notices to
 * clients are posted to the loops of their connections. Copies only: nothing returned points into the manager, except
 * struct subscription, which is reference-counted.
 */
#ifndef CROCKET_BROKER_CLIENT_CONSUMER_MANAGER_H
#define CROCKET_BROKER_CLIENT_CONSUMER_MANAGER_H

#include "base/json.h"
#include "net/conn.h"
#include <stdatomic.h>

enum consume_type { CONSUME_ACTIVELY, CONSUME_PASSIVELY, CONSUME_POP };
enum message_model { MODEL_BROADCASTING, MODEL_CLUSTERING };

/* One parsed subscription; immutable, shared. */
struct subscription {
    atomic_int refs;
    struct str topic;
    struct str expression; /* subString */
    struct str type;       /* "TAG", "SQL92" */
    int64_t version;
    bool all; /* "*" or empty: no filter */
    bool class_filter;
    uint32_t code_count;
    int32_t *codes; /* hash codes of the tags */
    struct str *tags;
    uint32_t tag_count;
};

bool subscription_is_tag_type(struct str type); /* TAG, which absent and empty mean too */
struct subscription *subscription_parse(struct str topic, struct str expression, struct str type,
                                        int64_t version); /* NULL: malformed */
struct subscription *subscription_retain(struct subscription *s);
void subscription_release(struct subscription *s);                   /* NULL is fine */
void subscription_write(const struct subscription *s, struct jw *w); /* SubscriptionData as JSON */
bool subscription_matches_code(const struct subscription *s, int64_t tags_code);

struct consumer_client {
    struct str client_id;
    struct net_ref conn;
    struct net_address peer;
    uint8_t language;
    int32_t version;
    int64_t last_update_ms; /* wall clock */
};

struct consumer_group_info {
    enum consume_type type;
    enum message_model model;
    struct str from_where; /* "CONSUME_FROM_LAST_OFFSET", ... */
};

struct consumer_manager;
struct consumer_manager *consumer_manager_new(void);
void consumer_manager_free(struct consumer_manager *m);

/* From a heartbeat; subs are JSON objects (SubscriptionData). with_subs false: only the channel. True: changed (others
 * are to be told). */
bool consumer_register(struct consumer_manager *m, struct str group, const struct consumer_client *client,
                       const struct consumer_group_info *info, const struct json *subs, bool with_subs);
/* Heartbeat v2, after consumer_register: remembers the group's fingerprint. True: the client has to send its
 * subscriptions again, because the fingerprint is another one than last time or because they are not known here. */
bool consumer_fingerprint(struct consumer_manager *m, struct str group, int32_t fingerprint, bool without_subs);
void consumer_unregister(struct consumer_manager *m, struct str group, struct str client_id, struct net_ref conn);
void consumer_conn_closed(struct consumer_manager *m, struct net_ref conn);
void consumer_expire(struct consumer_manager *m, int64_t now_ms, int64_t timeout_ms);
/* How changes are told: called with each connection of the group (clustering, notify enabled). */
void consumer_on_change(struct consumer_manager *m, void (*fn)(void *arg, struct str group, struct net_ref conn),
                        void *arg);

/* Called with each group whose last connection is gone, under the manager's lock. */
void consumer_on_gone(struct consumer_manager *m, void (*fn)(void *arg, struct str group), void *arg);

bool consumer_group_live(struct consumer_manager *m, struct str group,
                         struct consumer_group_info *info); /* from_where: static text */
/* Retained: release it. NULL when the group or the topic's subscription is unknown; *group_known tells which. */
struct subscription *consumer_subscription(struct consumer_manager *m, struct str group, struct str topic,
                                           bool *group_known);
uint64_t consumer_generation(const struct consumer_manager *m); /* changes with any subscription change */
void consumer_client_ids(struct consumer_manager *m, struct str group, struct arena *a, struct str **ids, size_t *n);
void consumer_clients(struct consumer_manager *m, struct str group, struct arena *a, struct consumer_client **clients,
                      size_t *n);
bool consumer_find(struct consumer_manager *m, struct str group, struct str client_id, struct consumer_client *out,
                   struct arena *a);
/* subscriptionTable members of a group: "topic":{SubscriptionData} */
void consumer_write_subscriptions(struct consumer_manager *m, struct str group, struct jw *w);
void consumer_groups_of_topic(struct consumer_manager *m, struct str topic, struct arena *a, struct str **names,
                              size_t *n);

/* Live producers, kept in the same way. */
struct producer_manager;
struct producer_manager *producer_manager_new(void);
void producer_manager_free(struct producer_manager *m);
void producer_register(struct producer_manager *m, struct str group, const struct consumer_client *client);
void producer_unregister(struct producer_manager *m, struct str group, struct str client_id, struct net_ref conn);
void producer_conn_closed(struct producer_manager *m, struct net_ref conn);
void producer_expire(struct producer_manager *m, int64_t now_ms, int64_t timeout_ms);
bool producer_conn_of_client(struct producer_manager *m, struct str client_id,
                             struct net_ref *out);                                     /* for reply messages */
bool producer_pick(struct producer_manager *m, struct str group, struct net_ref *out); /* for transaction checks */
void producer_clients(struct producer_manager *m, struct str group, struct arena *a, struct consumer_client **clients,
                      size_t *n);
void producer_groups(struct producer_manager *m, struct arena *a, struct str **names, size_t *n);

#endif
