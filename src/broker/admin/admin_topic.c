/* Topics by administrators: 17, 18, 21, 202, 215, 300, 305, 316, 351. Time spans (303) are in consume_stats.c. */
#include "broker/admin/admin_int.h"

#include "broker/timer/timer.h"
#include "message/multi_dispatch.h"
#include "remoting/headers_admin.h"
#include <errno.h>

enum { PAGE_MAX = 2000 /* splitMetadataSize */ };

/* ---- create, update, delete ---- */

/* False: the topic may not be what the caller wants, answered. Attributes are changes: "+key", "-key". */
static bool allowed(struct rem_request *rq, const struct topic_config *c)
{
    if (!broker_admin_topic_allowed(rq, c->name))
        return false;
    for (size_t i = 0; i < c->attribute_count; i++) {
        if (str_eqz(c->attributes[i].key, "+message.type") && str_eqz(c->attributes[i].value, "MIXED")) {
            rem_reply(rq, RESP_INVALID_PARAMETER, "MIXED message type is not supported.");
            return false;
        }
    }
    return true;
}

/* "+key=value,-key" to a list whose keys keep their sign. */
static bool parse_changes(struct arena *arena, struct str text, struct topic_config *out, struct err *err)
{
    struct str rest = text, piece;
    size_t n = 0, max = 1;
    for (size_t i = 0; i < text.len; i++)
        max += text.ptr[i] == ',';
    struct topic_attribute *items = arena_alloc(arena, max * sizeof *items);
    if (items == NULL)
        return err_set(err, ENOMEM, "out of memory for topic attributes") == 0;
    while (text.len > 0 && str_split(&rest, ',', &piece)) {
        struct str value = piece, key = piece;
        bool assigns = piece.len > 0 && memchr(piece.ptr, '=', piece.len);
        if (assigns)
            str_split(&value, '=', &key);
        if (key.len < 2 || key.ptr[0] != (assigns ? '+' : '-'))
            return err_set(err, EINVAL, "topic attribute \"%.*s\" is malformed; write +key=value or -key",
                           STR_ARG(piece)) == 0;
        items[n++] = (struct topic_attribute){key, assigns ? value : STR_LIT("")};
    }
    out->attributes = items;
    out->attribute_count = n;
    return true;
}

static void create_topic(struct rem_request *rq, const void *header)
{
    const struct create_topic_req *h = header;
    struct broker *b = broker_of(rq);
    struct err err;
    struct topic_config c = {
        .name = h->topic,
        .read_queue_nums = h->read_queue_nums,
        .write_queue_nums = h->write_queue_nums,
        .perm = h->perm,
        .topic_sys_flag = h->topic_sys_flag,
        .filter_type = topic_filter_type_parse(h->topic_filter_type),
        .order = h->order,
    };
    bool readable = parse_changes(rem_arena(rq), h->attributes, &c, &err);
    if (readable && !allowed(rq, &c))
        return;
    if (readable && topic_put(b->topics, &c, &err))
        broker_admin_changed(rq);
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
}

static void create_topics(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    const struct json *body = broker_admin_body(rq);
    if (body == NULL)
        return;
    const struct json *list = json_get(body, "topicConfigList");
    size_t max = list && list->kind == JSON_ARRAY ? list->count : 0, n = 0;
    struct topic_config *configs = arena_alloc(rem_arena(rq), (max + 1) * sizeof *configs);
    struct err err = {.text = "out of memory for the topic list"};
    JSON_EACH(item, max && configs ? list : NULL)
    {
        if (!topic_config_read(rem_arena(rq), item, &configs[n])) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "topicConfigList holds something that is no topic configuration");
            return;
        }
        if (!allowed(rq, &configs[n++]))
            return;
    }
    if (configs == NULL || (n > 0 && topic_put_many(b->topics, configs, n, &err) < 0))
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else
        broker_admin_changed(rq);
}

static void delete_one(struct broker *b, struct str topic)
{
    topic_delete(b->topics, topic);
    offset_delete_topic(b->offsets, topic);
    stats_forget(b->stats, topic);
    timer_forget_topic(b->timer, topic);
}

static void delete_topic(struct rem_request *rq, const void *header)
{
    const struct topic_req *h = header;
    struct broker *b = broker_of(rq);
    struct str *groups;
    size_t n;
    if (str_blank(h->topic)) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "The specified topic is blank.");
        return;
    }
    if (b->conf->validate_system_topic && topic_is_system(b->topics, h->topic)) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "The topic[%.*s] is conflict with system topic.", STR_ARG(h->topic));
        return;
    }
    /* A topic consumed by pop has a retry topic of its own for each group, in one of two spellings. */
    offset_groups_of(b->offsets, h->topic, rem_arena(rq), &groups, &n);
    for (size_t i = 0; i < n; i++) {
        for (const char *separator = "_+"; *separator; separator++) {
            char *name =
                arena_printf(rem_arena(rq), "%%RETRY%%%.*s%c%.*s", STR_ARG(groups[i]), *separator, STR_ARG(h->topic));
            if (name && topic_find(b->topics, str_from(name)))
                delete_one(b, str_from(name));
        }
    }
    delete_one(b, h->topic);
    broker_admin_deleted(rq);
}

/* ---- configurations ---- */

static bool version_is(struct arena *arena, struct str text, struct data_version now)
{
    struct data_version asked;
    return !str_blank(text) && data_version_read(json_parse(arena, text, NULL), &asked) &&
           data_version_eq(&asked, &now);
}

static void all_topic_config(struct rem_request *rq, const void *header)
{
    const struct all_topic_config_req *h = header;
    struct broker *b = broker_of(rq);
    struct topic_config_wrapper t = {.data_version = topic_version(b->topics)};
    size_t total;
    t.topics = topic_config_all(b->topics, rem_arena(rq), &total);
    t.topic_count = total;
    if (h->seq >= 0 || h->max >= 0 || !str_is_null(h->data_version)) {
        bool going_on = h->seq > 0 && version_is(rem_arena(rq), h->data_version, t.data_version);
        size_t from = going_on ? (size_t)h->seq : 0;
        size_t max = h->max >= 0 && h->max < PAGE_MAX ? (size_t)h->max : PAGE_MAX;
        from = from < total ? from : total;
        t.topics += from;
        t.topic_count = total - from < max ? total - from : max;
    }
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    topic_config_wrapper_write(&w, &t);
    struct rem_frame f;
    rem_reply_begin(rq, &f, buf_ok(&body) ? RESP_SUCCESS : RESP_SYSTEM_ERROR);
    rem_frame_i64(&f, "totalTopicNum", (int64_t)total);
    rem_reply_end(rq, &f, buf_ok(&body) ? STR_NULL : STR_LIT("out of memory for the topics"), buf_str(&body));
    buf_free(&body);
}

static void get_topic_config(struct rem_request *rq, const void *header)
{
    const struct topic_req *h = header;
    struct topic_config c;
    struct buf body = {0};
    struct jw w;
    if (!topic_config_of(broker_of(rq)->topics, h->topic, rem_arena(rq), &c)) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "No topic in this broker. topic: %.*s", STR_ARG(h->topic));
        return;
    }
    jw_init(&w, &body);
    topic_config_write(&w, &c);
    broker_admin_reply_json(rq, &body);
}

/* Also names that are reserved for topics which are made only when they are needed. */
static void system_topics(struct rem_request *rq, const void *header)
{
    static const char *const reserved[] = {"RMQ_SYS_TRACE_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC", "CHECKPOINT_TOPIC"};
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    struct str *names;
    size_t n;
    topic_names(b->topics, rem_arena(rq), &names, &n);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_karray(&w, "topicList");
    for (size_t i = 0; i < n; i++)
        if (topic_is_system(b->topics, names[i]))
            jw_str(&w, names[i]);
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (topic_find(b->topics, str_from(reserved[i])) == NULL)
            jw_str(&w, str_from(reserved[i]));
    jw_end_array(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/* ---- state ---- */

static void topic_stats(struct rem_request *rq, const void *header)
{
    const struct topic_req *h = header;
    struct broker *b = broker_of(rq);
    struct topic *t = topic_find(b->topics, h->topic);
    struct buf body = {0};
    struct jw w;
    if (t == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist", STR_ARG(h->topic));
        return;
    }
    int queues = t->read_queues > t->write_queues ? t->read_queues : t->write_queues;
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "offsetTable");
    for (int i = 0; i < queues; i++) {
        int64_t max = broker_admin_queue_max(b, h->topic, i);
        broker_admin_write_queue_key(&w, b, h->topic, i);
        jw_begin_object(&w);
        jw_ki64(&w, "lastUpdateTimestamp", max > 0 ? broker_admin_queue_time(b, h->topic, i, max - 1) : 0);
        jw_ki64(&w, "maxOffset", max);
        jw_ki64(&w, "minOffset", broker_admin_queue_min(b, h->topic, i));
        jw_end_object(&w);
    }
    jw_end_object(&w);
    jw_kdouble(&w, "topicPutTps", stats_tps(b->stats, STATS_TOPIC_PUT_NUMS, h->topic));
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static bool listed(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* Groups that are subscribed now and groups that have offsets. */
static void consumers_of_topic(struct rem_request *rq, const void *header)
{
    const struct topic_req *h = header;
    struct broker *b = broker_of(rq);
    struct str *live, *known;
    size_t n_live, n_known;
    struct buf body = {0};
    struct jw w;
    consumer_groups_of_topic(b->consumers, h->topic, rem_arena(rq), &live, &n_live);
    offset_groups_of(b->offsets, h->topic, rem_arena(rq), &known, &n_known);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_karray(&w, "groupList");
    for (size_t i = 0; i < n_live; i++)
        jw_str(&w, live[i]);
    for (size_t i = 0; i < n_known; i++)
        if (!listed(live, n_live, known[i]))
            jw_str(&w, known[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static bool is_topic(void *arg, struct str topic)
{
    struct broker *b = arg;
    return msg_is_lmq(topic) || topic_find(b->topics, topic) != NULL || topic_is_system(b->topics, topic);
}

static void clean_unused(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    store_clean_unused_queues(b->store, is_topic, b);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static const struct rem_op rows[] = {
    {REQ_UPDATE_AND_CREATE_TOPIC, "UPDATE_AND_CREATE_TOPIC", &create_topic_req_schema, create_topic, REM_LANE_WORKER,
     REM_ACT_CREATE, REM_RES_TOPIC},
    {REQ_UPDATE_AND_CREATE_TOPIC_LIST, "UPDATE_AND_CREATE_TOPIC_LIST", NULL, create_topics, REM_LANE_WORKER,
     REM_ACT_CREATE, REM_RES_TOPIC},
    {REQ_GET_ALL_TOPIC_CONFIG, "GET_ALL_TOPIC_CONFIG", &all_topic_config_req_schema, all_topic_config, REM_LANE_WORKER,
     REM_ACT_LIST, REM_RES_TOPIC},
    {REQ_GET_TOPIC_STATS_INFO, "GET_TOPIC_STATS_INFO", &topic_req_schema, topic_stats, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_TOPIC},
    {REQ_DELETE_TOPIC_IN_BROKER, "DELETE_TOPIC_IN_BROKER", &topic_req_schema, delete_topic, REM_LANE_WORKER,
     REM_ACT_DELETE, REM_RES_TOPIC},
    {REQ_QUERY_TOPIC_CONSUME_BY_WHO, "QUERY_TOPIC_CONSUME_BY_WHO", &topic_req_schema, consumers_of_topic,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_TOPIC},
    {REQ_QUERY_CONSUME_TIME_SPAN, "QUERY_CONSUME_TIME_SPAN", &topic_group_req_schema, broker_admin_consume_time_span,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_TOPIC},
    {REQ_GET_SYSTEM_TOPIC_LIST_FROM_BROKER, "GET_SYSTEM_TOPIC_LIST_FROM_BROKER", NULL, system_topics, REM_LANE_WORKER,
     REM_ACT_LIST, REM_RES_TOPIC},
    {REQ_CLEAN_UNUSED_TOPIC, "CLEAN_UNUSED_TOPIC", NULL, clean_unused, REM_LANE_WORKER, REM_ACT_UPDATE,
     REM_RES_CLUSTER},
    {REQ_GET_TOPIC_CONFIG, "GET_TOPIC_CONFIG", &topic_req_schema, get_topic_config, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_TOPIC},
};

const struct broker_ops broker_admin_topic_ops = {rows, sizeof rows / sizeof rows[0]};
