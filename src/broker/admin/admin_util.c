#include "broker/admin/admin_int.h"

void broker_admin_reply_json(struct rem_request *rq, struct buf *body)
{
    if (buf_ok(body))
        rem_reply_body(rq, RESP_SUCCESS, buf_str(body));
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s: out of memory for the answer", rem_request_op(rq)->name);
    buf_free(body);
}

void broker_admin_changed(struct rem_request *rq)
{
    struct broker *b = broker_of(rq);
    struct err err;
    if (store_sync_flush(b->store) && (topic_sync(b->topics, &err) || group_sync(b->groups, &err)))
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else
        rem_reply(rq, RESP_SUCCESS, NULL);
}

void broker_admin_deleted(struct rem_request *rq)
{
    struct err err;
    if (offset_save_changes(broker_of(rq)->offsets, &err) < 0)
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else
        broker_admin_changed(rq);
}

const struct json *broker_admin_body(struct rem_request *rq)
{
    struct err err;
    const struct json *body = json_parse(rem_arena(rq), rem_body(rq), &err);
    if (body == NULL)
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s: the body is no JSON: %s", rem_request_op(rq)->name, err.text);
    return body;
}

void broker_admin_write_queue(struct jw *w, const struct broker *b, struct str topic, int32_t queue_id)
{
    jw_begin_object(w);
    jw_kstr(w, "brokerName", str_from(b->conf->broker_name));
    jw_ki64(w, "queueId", queue_id);
    jw_kstr(w, "topic", topic);
    jw_end_object(w);
}

void broker_admin_write_queue_key(struct jw *w, const struct broker *b, struct str topic, int32_t queue_id)
{
    jw_key_object_begin(w);
    broker_admin_write_queue(w, b, topic, queue_id);
    jw_key_object_end(w);
}

void broker_admin_write_connection(struct jw *w, const struct consumer_client *c)
{
    char addr[64];
    size_t len = net_address_format(&c->peer, addr);
    jw_begin_object(w);
    jw_kstr(w, "clientAddr", str_make(addr, len));
    jw_kstr(w, "clientId", c->client_id);
    jw_kstr(w, "language", str_from(rem_language_name(c->language)));
    jw_ki64(w, "version", c->version);
    jw_end_object(w);
}

void broker_admin_write_strings(struct jw *w, const char *name, const struct str *items, size_t n)
{
    jw_karray(w, name);
    for (size_t i = 0; i < n; i++)
        jw_str(w, items[i]);
    jw_end_array(w);
}

int64_t broker_admin_queue_min(struct broker *b, struct str topic, int32_t queue_id)
{
    const struct cq *q = store_queue(b->store, topic, queue_id, false);
    int64_t min = q ? cq_min(q) : 0;
    return min > 0 ? min : 0;
}

int64_t broker_admin_queue_max(struct broker *b, struct str topic, int32_t queue_id)
{
    const struct cq *q = store_queue(b->store, topic, queue_id, false);
    int64_t max = q ? cq_max(q) : 0;
    return max > 0 ? max : 0;
}

int64_t broker_admin_queue_time(struct broker *b, struct str topic, int32_t queue_id, int64_t offset)
{
    struct cq *q = store_queue(b->store, topic, queue_id, false);
    return q && offset >= cq_min(q) && offset < cq_max(q) ? store_time_of(b->store, q, offset) : -1;
}

static bool has_subscriptions(struct broker *b, struct str group)
{
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    consumer_write_subscriptions(b->consumers, group, &w);
    bool any = text.len > 0;
    buf_free(&text);
    return any;
}

bool broker_admin_group_consumes(struct broker *b, struct str group, struct str topic)
{
    bool live;
    struct subscription *s = consumer_subscription(b->consumers, group, topic, &live);
    subscription_release(s);
    return s != NULL || !live || !has_subscriptions(b, group);
}

bool broker_admin_topic_allowed(struct rem_request *rq, struct str topic)
{
    struct broker *b = broker_of(rq);
    bool derived = str_starts(topic, STR_LIT("%RETRY%")) || str_starts(topic, STR_LIT("%DLQ%"));
    const char *why = name_illegal(topic, derived ? 255 : 127);
    if (why) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "The specified topic %s [%.*s]", why, STR_ARG(topic));
        return false;
    }
    if (b->conf->validate_system_topic && topic_is_system(b->topics, topic)) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "The topic[%.*s] is conflict with system topic.", STR_ARG(topic));
        return false;
    }
    return true;
}
