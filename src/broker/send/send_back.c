/*
 * CONSUMER_SEND_MSG_BACK: a consumer could not handle a message. It is stored again in the group's retry topic, later
 * each time, or after too many attempts in its dead-letter topic. Runs on a worker: the message is read from the log.
 */
#include "base/log.h"
#include "broker/broker_int.h"
#include "os/clock.h"
#include "remoting/headers_client.h"
#include <stdlib.h>

enum { VERSION_SENDS_MAX = 121 /* from 3.4.9 on clients say how often they want to try */ };

static const char *status_name(enum put_status status)
{
    static const char *const names[] = {
        [PUT_OK] = "PUT_OK",
        [PUT_FLUSH_DISK_TIMEOUT] = "FLUSH_DISK_TIMEOUT",
        [PUT_FLUSH_SLAVE_TIMEOUT] = "FLUSH_SLAVE_TIMEOUT",
        [PUT_SLAVE_NOT_AVAILABLE] = "SLAVE_NOT_AVAILABLE",
        [PUT_SERVICE_NOT_AVAILABLE] = "SERVICE_NOT_AVAILABLE",
        [PUT_CREATE_FILE_FAILED] = "CREATE_MAPPED_FILE_FAILED",
        [PUT_MESSAGE_ILLEGAL] = "MESSAGE_ILLEGAL",
        [PUT_PROPERTIES_SIZE_EXCEEDED] = "PROPERTIES_SIZE_EXCEEDED",
        [PUT_PAGE_CACHE_BUSY] = "OS_PAGE_CACHE_BUSY",
        [PUT_UNKNOWN_ERROR] = "UNKNOWN_ERROR",
    };
    return names[status];
}

/* The topic PREFIX + group, made when absent; NULL: answered. */
static struct topic *group_topic(struct rem_request *rq, const char *prefix, struct str group, int32_t queues,
                                 int sys_flag)
{
    struct err err;
    const char *name = arena_printf(rem_arena(rq), "%s%.*s", prefix, STR_ARG(group));
    struct topic *t =
        name ? topic_ensure(broker_of(rq)->topics, str_from(name), queues, PERM_READ | PERM_WRITE, sys_flag, &err)
             : NULL;
    if (t == NULL)
        rem_reply(rq, RESP_SYSTEM_ERROR, "topic[%s%.*s] not exist: %s", prefix, STR_ARG(group),
                  name ? err.text : "out of memory");
    return t;
}

static int max_attempts(const struct rem_request *rq, const struct send_back_req *h, const struct group *g)
{
    if (rem_cmd(rq)->version >= VERSION_SENDS_MAX && h->max_reconsume_times >= 0)
        return h->max_reconsume_times;
    return atomic_load(&g->retry_max_times);
}

/* The properties of the next attempt. level 0: no delay. */
static void next_properties(struct buf *out, const struct broker *b, const struct msg *m, int level)
{
    static const struct str replaced[] = {
        {MSG_PROP_WAIT, sizeof MSG_PROP_WAIT - 1},
        {MSG_PROP_DELAY, sizeof MSG_PROP_DELAY - 1},
        {MSG_PROP_ORIGIN_MESSAGE_ID, sizeof MSG_PROP_ORIGIN_MESSAGE_ID - 1},
    };
    char number[24], id[56];
    struct str origin = msg_property(m->properties, STR_LIT(MSG_PROP_ORIGIN_MESSAGE_ID));
    if (str_blank(origin))
        origin = str_make(id, msg_id_format(id, &m->store_host, m->physical_offset));
    msg_properties_without(out, m->properties, replaced, sizeof replaced / sizeof replaced[0]);
    if (str_is_null(msg_property(m->properties, STR_LIT(MSG_PROP_RETRY_TOPIC))))
        msg_property_add(out, STR_LIT(MSG_PROP_RETRY_TOPIC), m->topic);
    msg_property_add(out, STR_LIT(MSG_PROP_WAIT), STR_LIT("false"));
    msg_property_add(out, STR_LIT(MSG_PROP_DELAY), str_make(number, fmt_i64(number, level)));
    msg_property_add(out, STR_LIT(MSG_PROP_ORIGIN_MESSAGE_ID), origin);
}

static void count(struct broker *b, struct rem_request *rq, struct str group, const struct msg *old, bool dead)
{
    struct str topic = msg_property(old->properties, STR_LIT(MSG_PROP_RETRY_TOPIC));
    const char *key = arena_printf(rem_arena(rq), "%.*s@%.*s", STR_ARG(topic.len ? topic : old->topic), STR_ARG(group));
    if (key == NULL)
        return;
    struct stats_item *i = stats_item(b->stats, STATS_SNDBCK_PUT_NUMS, str_from(key));
    if (i)
        stats_add(i, 1);
    i = dead ? stats_item(b->stats, STATS_DLQ_PUT_NUMS, str_from(key)) : NULL;
    if (i)
        stats_add(i, 1);
}

/* Stores the next attempt of the message in t, by way of the schedule when level says so. */
static void put_again(struct rem_request *rq, const struct send_back_req *h, const struct msg *old, struct topic *t,
                      int32_t queue_id, int level, bool dead)
{
    struct broker *b = broker_of(rq);
    struct buf props = {0}, delayed = {0};
    struct put_result r;
    struct msg m = *old;
    int used_level;
    next_properties(&props, b, old, level);
    m.properties = buf_str(&props);
    m.topic = t->name;
    m.queue_id = queue_id;
    m.store_host = b->store_host;
    m.reconsume_times = old->reconsume_times + 1;
    m.prepared_transaction_offset = 0;
    struct topic *schedule = schedule_redirect(b, &m, &delayed, &used_level);
    enum put_status status =
        buf_ok(&props) && buf_ok(&delayed) ? broker_put(b, schedule ? schedule : t, &m, &r) : PUT_UNKNOWN_ERROR;
    buf_free(&props);
    buf_free(&delayed);
    if (status != PUT_OK) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", status_name(status));
        return;
    }
    count(b, rq, h->group, old, dead);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void handle_send_back(struct rem_request *rq, const void *header)
{
    const struct send_back_req *h = header;
    struct broker *b = broker_of(rq);
    struct group *g = group_find(b->groups, h->group);
    if (g == NULL) {
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, %.*s " FAQ, STR_ARG(h->group));
        return;
    }
    if (!(b->conf->permission & PERM_WRITE)) {
        rem_reply(rq, RESP_NO_PERMISSION, "the broker[%s] sending message is forbidden", b->conf->broker_ip1);
        return;
    }
    int32_t queues = atomic_load(&g->retry_queue_nums);
    if (queues <= 0) {
        rem_reply(rq, RESP_SUCCESS, NULL);
        return;
    }
    struct topic *t = group_topic(rq, "%RETRY%", h->group, queues, h->unit_mode ? TOPIC_FLAG_UNIT_SUB : 0);
    if (t == NULL)
        return;
    if (!(atomic_load(&t->perm) & PERM_WRITE)) {
        rem_reply(rq, RESP_NO_PERMISSION, "the topic[%s] sending message is forbidden", t->name.ptr);
        return;
    }
    struct buf record = {0};
    struct msg_view view;
    if (!store_read(b->store, h->offset, &record, &view)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "look message by offset failed, %lld", (long long)h->offset);
        buf_free(&record);
        return;
    }
    bool dead = view.m.reconsume_times >= max_attempts(rq, h, g) || h->delay_level < 0;
    int32_t queue_id = 0;
    int level = 0;
    if (dead) {
        t = group_topic(rq, "%DLQ%", h->group, 1, 0);
    } else {
        int32_t there = atomic_load(&t->write_queues) < queues ? atomic_load(&t->write_queues) : queues;
        queue_id = there > 0 ? (int32_t)(clock_mono_ns() / 1000 % there) : 0;
        level = h->delay_level ? h->delay_level : 3 + view.m.reconsume_times;
    }
    if (t)
        put_again(rq, h, &view.m, t, queue_id, level, dead);
    buf_free(&record);
}

static const struct rem_op rows[] = {
    {REQ_CONSUMER_SEND_MSG_BACK, "CONSUMER_SEND_MSG_BACK", &send_back_req_schema, handle_send_back, REM_LANE_WORKER,
     REM_ACT_SUB, REM_RES_GROUP},
};
const struct broker_ops send_back_ops = {rows, sizeof rows / sizeof rows[0]};
