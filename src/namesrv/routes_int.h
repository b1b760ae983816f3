/* What the files of the route tables share. */
#ifndef CROCKET_NAMESRV_ROUTES_INT_H
#define CROCKET_NAMESRV_ROUTES_INT_H

#include "base/map.h"
#include "namesrv/routes.h"
#include <pthread.h>
#include <stdatomic.h>

/* A group of brokers of one name; exists as long as one of them is registered. */
struct route_broker {
    char *name;
    char *cluster;
    char *zone; /* NULL: none */
    bool enable_acting_master;
    bool removed;              /* while brokers are being removed: its queues go with it */
    bool masterless;           /* likewise: its queues become read-only */
    struct broker_addr *addrs; /* by id; the addresses are malloc'd */
    size_t addr_count;
};

/* One registered address. The configuration of its topics is known by its version. */
struct route_live {
    char *cluster;
    char *addr;
    char *ha_addr;
    _Atomic int64_t last_update_ms;
    int64_t timeout_ms;
    struct data_version version;
    struct net_ref conn;
    char **filter_servers;
    size_t filter_server_count;
};

struct route_queues {
    struct route_broker *broker;
    int32_t read_queue_nums;
    int32_t write_queue_nums;
    int32_t perm;
    int32_t topic_sys_flag;
};

/* An encoded answer; kept until the topic or any broker changes. */
struct route_answer {
    size_t len;
    char data[];
};

enum { ANSWER_FASTJSON, ANSWER_STRICT, ANSWER_KINDS };

struct route_topic {
    struct route_queues *queues; /* one a broker */
    uint32_t queue_count;
    uint32_t mark; /* of the registration that named it last */
    _Atomic(struct route_answer *) answers[ANSWER_KINDS];
    struct route_topic *next_gone;
    struct str name; /* behind the struct */
};

/* The static-topic mappings of one topic, one a broker; they stay when the topic goes. */
struct route_mappings {
    struct topic_queue_mapping **items; /* malloc'd, one block each */
    size_t count;
};

struct routes {
    pthread_rwlock_t lock;
    const struct namesrv_conf *conf;
    struct kv_config *kv;
    struct map topics;   /* to struct route_topic */
    struct map brokers;  /* to struct route_broker */
    struct map clusters; /* to struct map, the set of broker names */
    struct map lives;    /* cluster, NUL, address to struct route_live */
    struct map mappings; /* topic to struct route_mappings */
    uint32_t mark;
};

/* All under the lock: those that only look need it shared. */

struct route_live *route_live_find(const struct routes *r, struct str cluster, struct str addr);
void route_live_remove(struct routes *r, struct str cluster, struct str addr);
void route_live_free(void *live);
bool route_live_key(struct buf *out, struct str cluster, struct str addr);

struct route_queues *route_queues_of(const struct route_topic *t, const struct route_broker *b);
/* Puts or replaces the queues of q->broker; creates the topic. False when out of memory. */
bool route_topic_put(struct routes *r, struct str topic, const struct route_queues *q);
/* Removes the queues of the broker; true when none are left: the caller removes the topic. */
bool route_topic_drop(struct route_topic *t, const struct route_broker *b);
void route_topic_remove(struct routes *r, struct route_topic *t);
void route_topic_forget_answers(struct route_topic *t);
void routes_forget_answers(struct routes *r); /* of all topics */

struct str route_broker_addr(const struct route_broker *b, int64_t id);
void route_broker_remove_addr(struct route_broker *b, size_t index);
void route_broker_free(void *broker);
struct broker_data route_broker_data(const struct route_broker *b); /* views */
/* The notice that the smallest id of the group is what it is now. NULL when there is nobody to tell. */
struct routes_notice *route_broker_notice(const struct route_broker *b, struct arena *arena, struct str offline_addr,
                                          struct str ha_addr);

bool route_mapping_put(struct routes *r, const struct topic_queue_mapping *m);

#endif
