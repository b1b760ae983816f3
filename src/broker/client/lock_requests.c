/* LOCK_BATCH_MQ and UNLOCK_BATCH_MQ: queue locks of consumers that consume in order. */
#include "broker/broker_int.h"

struct lock_body {
    struct str client_id, group;
    const struct json *queues;
};

/* False: answered. */
static bool read_body(struct rem_request *rq, struct lock_body *out)
{
    struct err err;
    const struct json *body = json_parse(rem_arena(rq), rem_body(rq), &err);
    if (body == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "the body is no list of queues: %s", err.text);
        return false;
    }
    *out = (struct lock_body){json_str(body, "clientId"), json_str(body, "consumerGroup"), json_get(body, "mqSet")};
    if (str_blank(out->client_id) || str_blank(out->group)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "the body has no clientId or no consumerGroup");
        return false;
    }
    return true;
}

struct queue_name {
    struct str topic, broker;
    int32_t id;
};

static struct queue_name queue_of(const struct json *mq)
{
    return (struct queue_name){json_str(mq, "topic"), json_str(mq, "brokerName"), (int32_t)json_i64(mq, "queueId", -1)};
}

static void write_queue(struct jw *w, const struct queue_name *q)
{
    jw_begin_object(w);
    jw_kstr(w, "brokerName", q->broker);
    jw_ki64(w, "queueId", q->id);
    jw_kstr(w, "topic", q->topic);
    jw_end_object(w);
}

static void handle_lock(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct lock_body body;
    struct buf out = {0};
    struct jw w;
    if (!read_body(rq, &body))
        return;
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_karray(&w, "lockOKMQSet");
    JSON_EACH(mq, body.queues)
    {
        struct queue_name q = queue_of(mq);
        if (lock_try(b->locks, body.group, q.topic, q.broker, q.id, body.client_id))
            write_queue(&w, &q);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    rem_reply_body(rq, RESP_SUCCESS, buf_str(&out));
    buf_free(&out);
}

static void handle_unlock(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct lock_body body;
    if (!read_body(rq, &body))
        return;
    JSON_EACH(mq, body.queues)
    {
        struct queue_name q = queue_of(mq);
        lock_release(b->locks, body.group, q.topic, q.broker, q.id, body.client_id);
    }
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static const struct rem_op rows[] = {
    {REQ_LOCK_BATCH_MQ, "LOCK_BATCH_MQ", NULL, handle_lock, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_GROUP},
    {REQ_UNLOCK_BATCH_MQ, "UNLOCK_BATCH_MQ", NULL, handle_unlock, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_GROUP},
};
const struct broker_ops lock_ops = {rows, sizeof rows / sizeof rows[0]};
