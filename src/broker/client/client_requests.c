/* What clients tell about themselves: HEART_BEAT, UNREGISTER_CLIENT, CHECK_CLIENT_CONFIG, and who is in a consumer
 * group. */
#include "base/log.h"
#include "broker/broker_int.h"
#include "broker/filter/consumer_filter.h"
#include "os/clock.h"
#include "remoting/headers_client.h"
#include <stdlib.h>

/* ---- heartbeat ---- */

/* Enum members come as their name or, from some clients, as their number. */
static int enum_of(const struct json *node, const char *const *names, int count, int absent)
{
    struct str text = json_text(node);
    int64_t number = node && node->kind == JSON_INT ? node->i : -1;
    for (int i = 0; i < count; i++)
        if (number == i || str_eqz(text, names[i]))
            return i;
    return absent;
}

static struct consumer_group_info info_of(const struct json *data)
{
    static const char *const types[] = {"CONSUME_ACTIVELY", "CONSUME_PASSIVELY", "CONSUME_POP"};
    static const char *const models[] = {"BROADCASTING", "CLUSTERING"};
    return (struct consumer_group_info){
        .type = (enum consume_type)enum_of(json_get(data, "consumeType"), types, 3, CONSUME_PASSIVELY),
        .model = (enum message_model)enum_of(json_get(data, "messageModel"), models, 2, MODEL_CLUSTERING),
        .from_where = json_str(data, "consumeFromWhere"),
    };
}

static bool subscribes_in_order(struct broker *b, const struct json *subs)
{
    JSON_EACH(sub, subs)
    {
        struct topic *t = topic_find(b->topics, json_str(sub, "topic"));
        if (t && atomic_load(&t->order))
            return true;
    }
    return false;
}

/* The group's retry topic has to be in the routes before the first message is sent back. */
static void ensure_retry_topic(struct rem_request *rq, const struct group *g, const struct json *data)
{
    struct broker *b = broker_of(rq);
    bool order = subscribes_in_order(b, json_get(data, "subscriptionDataSet"));
    const char *name = arena_printf(rem_arena(rq), "%%RETRY%%%.*s", STR_ARG(g->name));
    if (name == NULL)
        return;
    struct topic *t = topic_find(b->topics, str_from(name));
    if (t && atomic_load(&t->order) == order)
        return;
    struct err err;
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    if (t == NULL || !topic_config_of(b->topics, t->name, rem_arena(rq), &c)) {
        c.read_queue_nums = c.write_queue_nums = atomic_load(&g->retry_queue_nums);
        c.topic_sys_flag = json_bool(data, "unitMode", false) ? TOPIC_FLAG_UNIT_SUB : 0;
    }
    c.order = order;
    if (topic_put(b->topics, &c, &err) == NULL)
        LOG_LIMITED(LOG_WARN, "broker", "cannot create the retry topic of group %.*s: %s", STR_ARG(g->name), err.text);
}

static struct consumer_client client_of(struct rem_request *rq, struct str client_id)
{
    return (struct consumer_client){
        .client_id = client_id,
        .conn = rem_conn_ref(rq),
        .peer = *rem_peer(rq),
        .language = rem_cmd(rq)->language,
        .version = rem_cmd(rq)->version,
        .last_update_ms = clock_wall_ms(),
    };
}

/* True: the client has to send its subscriptions again. */
static bool register_consumer(struct rem_request *rq, const struct consumer_client *client, const struct json *data,
                              int32_t fingerprint, bool without_subs)
{
    struct broker *b = broker_of(rq);
    struct str name = json_str(data, "groupName");
    struct consumer_group_info info = info_of(data);
    if (b->conf->reject_pull_consumer && info.type == CONSUME_ACTIVELY)
        return false;
    struct group *g = str_blank(name) ? NULL : group_find(b->groups, name);
    if (g == NULL)
        return false;
    ensure_retry_topic(rq, g, data);
    bool with_subs = !(fingerprint != 0 && without_subs);
    if (consumer_register(b->consumers, name, client, &info, json_get(data, "subscriptionDataSet"), with_subs))
        LOG(LOG_INFO, "broker", "consumer group %.*s changed by client %.*s", STR_ARG(name),
            STR_ARG(client->client_id));
    if (with_subs)
        consumer_filters_register(b->filters, name, json_get(data, "subscriptionDataSet"));
    return consumer_fingerprint(b->consumers, name, fingerprint, !with_subs);
}

static void register_producer(struct broker *b, const struct consumer_client *client, const struct json *data)
{
    struct str name = json_str(data, "groupName");
    if (str_blank(name) || (!b->conf->register_producer && b->conf->reject_transaction))
        return;
    producer_register(b->producers, name, client);
}

static void handle_heartbeat(struct rem_request *rq, const void *header)
{
    struct err err;
    const struct json *body = json_parse(rem_arena(rq), rem_body(rq), &err);
    struct str client_id = json_str(body, "clientID");
    if (body == NULL || str_blank(client_id)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "the heartbeat cannot be read: %s", body ? "it has no clientID" : err.text);
        return;
    }
    struct consumer_client client = client_of(rq, client_id);
    int32_t fingerprint = (int32_t)json_i64(body, "heartbeatFingerprint", 0);
    bool without_subs = json_bool(body, "withoutSub", false), again = false;
    JSON_EACH(data, json_get(body, "consumerDataSet"))
    again |= register_consumer(rq, &client, data, fingerprint, without_subs);
    JSON_EACH(data, json_get(body, "producerDataSet"))
    register_producer(broker_of(rq), &client, data);
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_bool(&f, "IS_SUPPORT_HEART_BEAT_V2", true);
    rem_frame_bool(&f, "IS_SUB_CHANGE", fingerprint == 0 || again);
    rem_reply_end(rq, &f, STR_NULL, STR_NULL);
}

/* ---- the others ---- */

static void handle_unregister(struct rem_request *rq, const void *header)
{
    const struct unregister_client_req *h = header;
    struct broker *b = broker_of(rq);
    if (!str_is_null(h->producer_group))
        producer_unregister(b->producers, h->producer_group, h->client_id, rem_conn_ref(rq));
    if (!str_is_null(h->consumer_group))
        consumer_unregister(b->consumers, h->consumer_group, h->client_id, rem_conn_ref(rq));
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void handle_consumer_list(struct rem_request *rq, const void *header)
{
    const struct consumer_group_req *h = header;
    struct broker *b = broker_of(rq);
    struct str *ids;
    size_t n;
    consumer_client_ids(b->consumers, h->consumer_group, rem_arena(rq), &ids, &n);
    if (n == 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "no consumer for this group, %.*s", STR_ARG(h->consumer_group));
        return;
    }
    struct buf out = {0};
    struct jw w;
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_karray(&w, "consumerIdList");
    for (size_t i = 0; i < n; i++)
        jw_str(&w, ids[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    rem_reply_body(rq, RESP_SUCCESS, buf_str(&out));
    buf_free(&out);
}

/* A client that starts asks whether its expression would do. */
static void handle_check_config(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    const struct json *body = json_parse(rem_arena(rq), rem_body(rq), NULL), *sub = json_get(body, "subscriptionData");
    struct str type = json_str(sub, "expressionType");
    struct err err;
    if (subscription_is_tag_type(type)) {
        rem_reply(rq, RESP_SUCCESS, NULL);
        return;
    }
    if (!b->conf->enable_property_filter) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "The broker does not support consumer to filter message by %.*s",
                  STR_ARG(type));
        return;
    }
    struct consumer_filter *f =
        consumer_filter_new(json_str(sub, "topic"), json_str(body, "group"), json_str(sub, "subString"), type, 0, &err);
    if (f)
        rem_reply(rq, RESP_SUCCESS, NULL);
    else
        rem_reply(rq, RESP_SUBSCRIPTION_PARSE_FAILED, "%s", err.text);
    consumer_filter_release(f);
}

static const struct rem_op rows[] = {
    {REQ_HEART_BEAT, "HEART_BEAT", NULL, handle_heartbeat, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_GROUP},
    {REQ_UNREGISTER_CLIENT, "UNREGISTER_CLIENT", &unregister_client_req_schema, handle_unregister, REM_LANE_LOOP,
     REM_ACT_SUB, REM_RES_GROUP},
    {REQ_GET_CONSUMER_LIST_BY_GROUP, "GET_CONSUMER_LIST_BY_GROUP", &consumer_group_req_schema, handle_consumer_list,
     REM_LANE_LOOP, REM_ACT_SUB, REM_RES_GROUP},
    {REQ_CHECK_CLIENT_CONFIG, "CHECK_CLIENT_CONFIG", NULL, handle_check_config, REM_LANE_LOOP, REM_ACT_NONE,
     REM_RES_NONE},
};
const struct broker_ops client_ops = {rows, sizeof rows / sizeof rows[0]};

/* ---- notices ---- */

struct notice {
    struct net_task task;
    struct net_ref conn;
    size_t len;
    char group[];
};

static void send_notice(struct net_loop *loop, struct net_task *task)
{
    struct notice *n = (struct notice *)(void *)task;
    struct rem_call call;
    if (rem_call_begin(&call, n->conn, REQ_NOTIFY_CONSUMER_IDS_CHANGED, true)) {
        rem_frame_str(&call.frame, "consumerGroup", str_make(n->group, n->len));
        rem_call_send(&call, STR_NULL, 0, NULL, NULL);
    }
    free(n);
}

void notify_consumer_ids_changed(void *broker, struct str group, struct net_ref conn)
{
    struct broker *b = broker;
    const struct group *g = group_known(b->groups, group);
    if (conn.loop == NULL || (g && !atomic_load(&g->notify_ids_changed)))
        return;
    struct notice *n = malloc(sizeof *n + group.len);
    if (n == NULL)
        return;
    *n = (struct notice){.task = {.fn = send_notice}, .conn = conn, .len = group.len};
    memcpy(n->group, group.ptr, group.len);
    net_loop_post(conn.loop, &n->task);
}
