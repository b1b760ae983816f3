/*
 * The route tables: which brokers there are, how they are reached, and which queues of which topic they have. Route
 * answers are kept as encoded bytes until something in them changes.
 *
 * One lock guards the tables and the configuration they were given: lookups share it, changes hold it alone and
 * briefly. A registration that brings nothing new needs it shared only. Any thread.
 */
#ifndef CROCKET_NAMESRV_ROUTES_H
#define CROCKET_NAMESRV_ROUTES_H

#include "base/arena.h"
#include "namesrv/kv_config.h"
#include "namesrv/namesrv_conf.h"
#include "net/conn.h"
#include "remoting/body/route.h"
#include "remoting/body/topic_config_register.h"

struct routes;

/* conf and kv stay the caller's and outlive the routes. conf is read under the lock: change it between
 * routes_change_begin and routes_change_end. */
struct routes *routes_new(const struct namesrv_conf *conf, struct kv_config *kv, struct err *err);
void routes_free(struct routes *r);
/* Around a change of the configuration or of the order topics: all kept answers are dropped. */
void routes_change_begin(struct routes *r);
void routes_change_end(struct routes *r);
/* Around a look at several values of the configuration. */
void routes_look_begin(struct routes *r);
void routes_look_end(struct routes *r);

/* ---- lookups ---- */

/* The answer to a route query, valid until routes_answer_done; null view when nobody knows the topic (then done has
 * nothing to do). zone: only brokers of that zone or without a master, in fastjson's form; null view = all. */
struct str routes_answer(struct routes *r, struct arena *arena, struct str topic, bool strict, struct str zone);
void routes_answer_done(struct routes *r);

/* All of these append a JSON body. */
void routes_write_cluster_info(struct routes *r, struct arena *arena, struct buf *out);
void routes_write_member_group(struct routes *r, struct str cluster, struct str broker_name, struct buf *out);
enum routes_topics { ROUTES_ALL, ROUTES_UNIT, ROUTES_UNIT_SUB, ROUTES_UNIT_SUB_NOT_UNIT };
void routes_write_topics(struct routes *r, struct arena *arena, enum routes_topics which, struct buf *out);
void routes_write_topics_of_cluster(struct routes *r, struct arena *arena, struct str cluster, struct buf *out);
void routes_write_system_names(struct routes *r, struct arena *arena, struct buf *out);

/* ---- brokers ---- */

/* Who must be told that the smallest broker id of a group changed; all in the caller's arena. */
struct routes_notice {
    struct routes_notice *next;
    struct str *to;
    size_t to_count;
    int64_t min_id;
    struct str min_addr;
    struct str offline_addr; /* null: a broker came, none went */
    struct str ha_addr;
};

struct routes_registration {
    struct str cluster;
    struct str addr;
    struct str broker_name;
    int64_t broker_id;
    struct str ha_addr;
    struct str zone;
    int64_t heartbeat_timeout_ms; /* negative: not given */
    bool new_version;             /* it told whether it takes part in acting master */
    bool enable_acting_master;
    struct register_broker_body *body;
    struct net_ref conn;
};

enum routes_registered {
    ROUTES_REGISTERED,
    ROUTES_REFUSED, /* one topic of a broker that is not known yet */
    ROUTES_NO_MEMORY,
};

struct routes_register_result {
    struct str ha_addr; /* of the master, for its slaves */
    struct str master_addr;
    bool new_connection; /* the broker was not known by this connection before */
    struct routes_notice *notice;
};

enum routes_registered routes_register(struct routes *r, struct arena *arena, const struct routes_registration *in,
                                       struct routes_register_result *out);

/* A sign of life. *version = what is known of the broker's topics; false when it is not registered. */
bool routes_touch(struct routes *r, struct str cluster, struct str addr, struct data_version *version);

enum routes_leave {
    ROUTES_LEAVE_ASKED,   /* the broker says so */
    ROUTES_LEAVE_CLOSED,  /* its connection ended: only if it has not come back by another one */
    ROUTES_LEAVE_EXPIRED, /* it fell silent: only if it still is */
};

struct routes_leaving {
    enum routes_leave why;
    struct str cluster;
    struct str addr;
    struct str broker_name;
    int64_t broker_id;
    struct net_ref conn;
};

/* Brokers to remove at once, under one lock and with one pass over the topics. Notices to be sent, or NULL. */
struct routes_notice *routes_unregister(struct routes *r, struct arena *arena, const struct routes_leaving *leaving,
                                        size_t count);
/* The brokers registered over the connection, or those that fell silent: calls fn for each; views are valid in fn only.
 */
typedef void (*routes_leaving_fn)(void *arg, const struct routes_leaving *leaving);
void routes_each_of_conn(struct routes *r, struct net_ref conn, routes_leaving_fn fn, void *arg);
void routes_each_expired(struct routes *r, routes_leaving_fn fn, void *arg);

/* ---- topics ---- */

/* Clears the write bit of all queues of the broker, or sets read and write: number of topics. */
int32_t routes_set_write_perm(struct routes *r, struct str broker_name, bool writable);
void routes_delete_topic(struct routes *r, struct str topic, struct str cluster); /* empty cluster: everywhere */
/* False when out of memory. */
bool routes_register_topic(struct routes *r, struct str topic, const struct queue_data *queues, size_t count);

#endif
