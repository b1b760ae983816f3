/* Clients and consumption by administrators: 43, 45, 203, 204, 321, 328, 343, 345; others of the table in their own
 * files. */
#include "broker/admin/admin_int.h"

#include "broker/filter/consumer_filter.h"
#include "remoting/body/topic_list.h"
#include "remoting/headers_admin.h"
#include "remoting/headers_client.h"
#include <stdio.h>

enum { QUERY_CQ_MAX = 10000 };

/* ---- connections ---- */

static const char *consume_type_name(enum consume_type t)
{
    return t == CONSUME_ACTIVELY ? "CONSUME_ACTIVELY" : t == CONSUME_PASSIVELY ? "CONSUME_PASSIVELY" : "CONSUME_POP";
}

static void write_connections(struct jw *w, const struct consumer_client *clients, size_t n)
{
    jw_karray(w, "connectionSet");
    for (size_t i = 0; i < n; i++)
        broker_admin_write_connection(w, &clients[i]);
    jw_end_array(w);
}

static void consumer_connections(struct rem_request *rq, const void *header)
{
    const struct consumer_group_req *h = header;
    struct broker *b = broker_of(rq);
    struct consumer_group_info info;
    struct consumer_client *clients;
    size_t n;
    struct buf body = {0};
    struct jw w;
    if (!consumer_group_live(b->consumers, h->consumer_group, &info)) {
        rem_reply(rq, RESP_CONSUMER_NOT_ONLINE, "the consumer group[%.*s] not online", STR_ARG(h->consumer_group));
        return;
    }
    consumer_clients(b->consumers, h->consumer_group, rem_arena(rq), &clients, &n);
    jw_init(&w, &body);
    jw_begin_object(&w);
    write_connections(&w, clients, n);
    jw_kstr(&w, "consumeFromWhere", info.from_where);
    jw_kstr(&w, "consumeType", str_from(consume_type_name(info.type)));
    jw_kstr(&w, "messageModel", info.model == MODEL_BROADCASTING ? STR_LIT("BROADCASTING") : STR_LIT("CLUSTERING"));
    jw_kobject(&w, "subscriptionTable");
    consumer_write_subscriptions(b->consumers, h->consumer_group, &w);
    jw_end_object(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static void producer_connections(struct rem_request *rq, const void *header)
{
    const struct producer_group_req *h = header;
    struct consumer_client *clients;
    size_t n;
    struct buf body = {0};
    struct jw w;
    producer_clients(broker_of(rq)->producers, h->producer_group, rem_arena(rq), &clients, &n);
    if (n == 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "the producer group[%.*s] not exist", STR_ARG(h->producer_group));
        return;
    }
    jw_init(&w, &body);
    jw_begin_object(&w);
    write_connections(&w, clients, n);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static void write_producer(struct jw *w, const struct consumer_client *c)
{
    char addr[65] = "/"; /* as Java prints a socket address */
    size_t len = net_address_format(&c->peer, addr + 1);
    jw_begin_object(w);
    jw_kstr(w, "clientId", c->client_id);
    jw_kstr(w, "language", str_from(rem_language_name(c->language)));
    jw_ki64(w, "lastUpdateTimestamp", c->last_update_ms);
    jw_kstr(w, "remoteIP", str_make(addr, len + 1));
    jw_ki64(w, "version", c->version);
    jw_end_object(w);
}

static void all_producers(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct str *groups;
    size_t n;
    struct buf body = {0};
    struct jw w;
    producer_groups(b->producers, rem_arena(rq), &groups, &n);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "data");
    for (size_t i = 0; i < n; i++) {
        struct consumer_client *clients;
        size_t count;
        producer_clients(b->producers, groups[i], rem_arena(rq), &clients, &count);
        jw_key(&w, groups[i]);
        jw_begin_array(&w);
        for (size_t k = 0; k < count; k++)
            write_producer(&w, &clients[k]);
        jw_end_array(&w);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/* ---- topics and subscriptions of a group ---- */

static void topics_of_group(struct rem_request *rq, const void *header)
{
    const struct group_req *h = header;
    struct broker *b = broker_of(rq);
    struct topic_list list = {.broker_addr = str_from(b->address)};
    struct buf body = {0};
    struct jw w;
    offset_topics_of(b->offsets, h->group, rem_arena(rq), &list.topics, &list.topic_count);
    jw_init(&w, &body);
    topic_list_write(&w, &list);
    broker_admin_reply_json(rq, &body);
}

static void subscription_of_group(struct rem_request *rq, const void *header)
{
    const struct query_subscription_req *h = header;
    bool live;
    struct subscription *s = consumer_subscription(broker_of(rq)->consumers, h->group, h->topic, &live);
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kstr(&w, "group", h->group);
    if (s) {
        jw_key(&w, STR_LIT("subscriptionData"));
        subscription_write(s, &w);
    }
    jw_kstr(&w, "topic", h->topic);
    jw_end_object(&w);
    subscription_release(s);
    broker_admin_reply_json(rq, &body);
}

/* ---- tables that a slave copies ---- */

static void all_consumer_offsets(struct rem_request *rq, const void *header)
{
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    offset_write_json(broker_of(rq)->offsets, &w);
    broker_admin_reply_json(rq, &body);
}

static void all_delay_offsets(struct rem_request *rq, const void *header)
{
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    schedule_write_offsets(broker_of(rq)->schedule, &w);
    broker_admin_reply_json(rq, &body);
}

/* ---- 321 ---- */

static void write_entry(struct jw *w, const struct store_entry *e)
{
    jw_begin_object(w);
    jw_kbool(w, "eval", false);
    if (store_is_extension(e->tags_code)) {
        char text[64];
        snprintf(text, sizeof text, "Cq extend not exist!addr: %lld", (long long)e->tags_code);
        jw_kstr(w, "msg", str_from(text));
    }
    jw_ki64(w, "physicOffset", e->physical_offset);
    jw_ki64(w, "physicSize", e->size);
    jw_ki64(w, "tagsCode", e->tags_code);
    jw_end_object(w);
}

static void write_entries(struct jw *w, const struct store_entry *entries, size_t n)
{
    jw_karray(w, "queueData");
    for (size_t i = 0; i < n; i++)
        write_entry(w, &entries[i]);
    jw_end_array(w);
}

/* Text that holds JSON, "null" where the subscription is by tags. */
static void write_filter(struct broker *b, const struct query_cq_req *h, struct jw *w)
{
    struct consumer_filter *f = consumer_filters_find(b->filters, h->topic, h->consumer_group);
    struct buf text = {0};
    struct jw inner;
    jw_init(&inner, &text);
    inner.pretty = true;
    if (f)
        consumer_filter_write(f, &inner);
    else
        jw_null(&inner);
    jw_kstr(w, "filterData", buf_str(&text));
    buf_free(&text);
    consumer_filter_release(f);
}

static void query_consume_queue(struct rem_request *rq, const void *header)
{
    const struct query_cq_req *h = header;
    struct broker *b = broker_of(rq);
    struct cq *q = store_queue(b->store, h->topic, h->queue_id, false);
    if (q == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "%d@%.*s is not exist!", h->queue_id, STR_ARG(h->topic));
        return;
    }
    if (h->index < cq_min(q) || h->index >= cq_max(q)) {
        rem_reply(rq, RESP_SUCCESS, "Index %lld of %d@%.*s is not exist!", (long long)h->index, h->queue_id,
                  STR_ARG(h->topic));
        return;
    }
    size_t max = h->count < 0 ? 0 : h->count > QUERY_CQ_MAX ? QUERY_CQ_MAX : (size_t)h->count;
    struct store_entry *entries = arena_alloc(rem_arena(rq), (max + 1) * sizeof *entries);
    size_t n = entries ? store_entries(b->store, q, h->index, entries, max) : 0;
    bool live, asked = !str_is_null(h->consumer_group);
    struct subscription *s = asked ? consumer_subscription(b->consumers, h->consumer_group, h->topic, &live) : NULL;
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    jw_begin_object(&w);
    if (asked && s == NULL) {
        char *text =
            arena_printf(rem_arena(rq), "%.*s@%.*s is not online!", STR_ARG(h->consumer_group), STR_ARG(h->topic));
        jw_kstr(&w, "filterData", str_from(text));
    } else if (asked) {
        write_filter(b, h, &w);
    }
    jw_ki64(&w, "maxQueueIndex", cq_max(q));
    jw_ki64(&w, "minQueueIndex", cq_min(q));
    write_entries(&w, entries, n);
    if (s) {
        jw_key(&w, STR_LIT("subscriptionData"));
        subscription_write(s, &w);
    }
    jw_end_object(&w);
    subscription_release(s);
    broker_admin_reply_json(rq, &body);
}

static const struct rem_op rows[] = {
    {REQ_GET_ALL_CONSUMER_OFFSET, "GET_ALL_CONSUMER_OFFSET", NULL, all_consumer_offsets, REM_LANE_WORKER, REM_ACT_LIST,
     REM_RES_GROUP},
    {REQ_GET_ALL_DELAY_OFFSET, "GET_ALL_DELAY_OFFSET", NULL, all_delay_offsets, REM_LANE_WORKER, REM_ACT_LIST,
     REM_RES_CLUSTER},
    {REQ_GET_CONSUMER_CONNECTION_LIST, "GET_CONSUMER_CONNECTION_LIST", &consumer_group_req_schema, consumer_connections,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_GROUP},
    {REQ_GET_PRODUCER_CONNECTION_LIST, "GET_PRODUCER_CONNECTION_LIST", &producer_group_req_schema, producer_connections,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_GET_CONSUME_STATS, "GET_CONSUME_STATS", &consume_stats_req_schema, broker_admin_consume_stats, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_GROUP},
    {REQ_INVOKE_BROKER_TO_RESET_OFFSET, "INVOKE_BROKER_TO_RESET_OFFSET", &reset_offset_req_schema,
     broker_admin_reset_offset, REM_LANE_WORKER, REM_ACT_UPDATE, REM_RES_GROUP},
    {REQ_INVOKE_BROKER_TO_GET_CONSUMER_STATUS, "INVOKE_BROKER_TO_GET_CONSUMER_STATUS", &consumer_status_req_schema,
     broker_admin_consumer_status, REM_LANE_LOOP, REM_ACT_GET, REM_RES_GROUP},
    {REQ_GET_CONSUMER_RUNNING_INFO, "GET_CONSUMER_RUNNING_INFO", &running_info_req_schema, broker_admin_running_info,
     REM_LANE_LOOP, REM_ACT_GET, REM_RES_GROUP},
    {REQ_QUERY_CORRECTION_OFFSET, "QUERY_CORRECTION_OFFSET", &correction_offset_req_schema,
     broker_admin_correction_offset, REM_LANE_WORKER, REM_ACT_GET, REM_RES_TOPIC},
    {REQ_CONSUME_MESSAGE_DIRECTLY, "CONSUME_MESSAGE_DIRECTLY", &consume_directly_req_schema,
     broker_admin_consume_directly, REM_LANE_WORKER, REM_ACT_SUB, REM_RES_GROUP},
    {REQ_CLONE_GROUP_OFFSET, "CLONE_GROUP_OFFSET", &clone_offset_req_schema, broker_admin_clone_offset, REM_LANE_WORKER,
     REM_ACT_UPDATE, REM_RES_GROUP},
    {REQ_GET_BROKER_CONSUME_STATS, "GET_BROKER_CONSUME_STATS", &broker_consume_stats_req_schema,
     broker_admin_all_consume_stats, REM_LANE_WORKER, REM_ACT_LIST, REM_RES_GROUP},
    {REQ_QUERY_CONSUME_QUEUE, "QUERY_CONSUME_QUEUE", &query_cq_req_schema, query_consume_queue, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_TOPIC},
    {REQ_GET_ALL_PRODUCER_INFO, "GET_ALL_PRODUCER_INFO", NULL, all_producers, REM_LANE_WORKER, REM_ACT_LIST,
     REM_RES_CLUSTER},
    {REQ_QUERY_TOPICS_BY_CONSUMER, "QUERY_TOPICS_BY_CONSUMER", &group_req_schema, topics_of_group, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_GROUP},
    {REQ_QUERY_SUBSCRIPTION_BY_CONSUMER, "QUERY_SUBSCRIPTION_BY_CONSUMER", &query_subscription_req_schema,
     subscription_of_group, REM_LANE_WORKER, REM_ACT_GET, REM_RES_GROUP},
};

const struct broker_ops broker_admin_consumer_ops = {rows, sizeof rows / sizeof rows[0]};
