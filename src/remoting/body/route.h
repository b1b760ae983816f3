/*
 * TopicRouteData and what it is made of: where the queues of a topic are and how its brokers are reached. Also
 * ClusterInfo and BrokerMemberGroup, which name brokers the same way. Memory as in topic_config.h. Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_ROUTE_H
#define CROCKET_REMOTING_BODY_ROUTE_H

#include "base/json.h"
#include "remoting/body/topic_queue_mapping.h"

enum { ROUTE_MASTER_ID = 0 };

struct queue_data {
    struct str broker_name;
    int32_t read_queue_nums;
    int32_t write_queue_nums;
    int32_t perm; /* bits of topic_perm */
    int32_t topic_sys_flag;
};

struct broker_addr {
    int64_t id; /* 0: the master */
    struct str addr;
};

struct broker_data {
    struct str cluster;
    struct str broker_name;
    struct str zone_name; /* null: none */
    bool enable_acting_master;
    struct broker_addr *addrs; /* by id */
    size_t addr_count;
};

struct filter_servers {
    struct str broker_addr;
    struct str *servers;
    size_t server_count;
};

struct topic_route {
    struct str order_topic_conf; /* null: none */
    struct queue_data *queues;
    size_t queue_count;
    struct broker_data *brokers;
    size_t broker_count;
    struct filter_servers *filters;
    size_t filter_count;
    bool has_mappings;                    /* the member topicQueueMappingByBroker is there */
    struct topic_queue_mapping *mappings; /* one a broker, by its bname */
    size_t mapping_count;
};

/* False when json is no object or memory ran out. */
bool topic_route_read(struct arena *arena, const struct json *json, struct topic_route *out);
/* strict: numeric keys quoted; the caller sets w->escape_non_ascii for strict bodies. Otherwise as fastjson writes. */
void topic_route_write(struct jw *w, const struct topic_route *r, bool strict);

bool queue_data_read(const struct json *json, struct queue_data *out);
void queue_data_write(struct jw *w, const struct queue_data *q);
bool broker_data_read(struct arena *arena, const struct json *json, struct broker_data *out);
void broker_data_write(struct jw *w, const struct broker_data *b, bool strict);
/* The address of that id, of the master, or of the smallest id; null view when there is none. */
struct str broker_data_addr(const struct broker_data *b, int64_t id);
struct str broker_data_master(const struct broker_data *b);
struct str broker_data_select(const struct broker_data *b); /* the master's, else the one of the smallest id */

struct cluster_brokers {
    struct str cluster;
    struct str *broker_names;
    size_t broker_name_count;
};

struct cluster_info {
    struct broker_data *brokers;
    size_t broker_count;
    struct cluster_brokers *clusters;
    size_t cluster_count;
};

bool cluster_info_read(struct arena *arena, const struct json *json, struct cluster_info *out);
void cluster_info_write(struct jw *w, const struct cluster_info *c);
const struct broker_data *cluster_info_broker(const struct cluster_info *c, struct str broker_name);

/* GetBrokerMemberGroupResponseBody; zone name and acting master are not part of it. */
bool broker_member_group_read(struct arena *arena, const struct json *json, struct broker_data *out);
void broker_member_group_write(struct jw *w, const struct broker_data *group);

#endif
