/*
 * Sending: requests 10, 310 and 320 (batches: send_batch.c). A handler checks, completes the properties and encodes the
 * record into the round's batch; the answer is written when the batch has been appended, or once it is durable where
 * that was asked for.
 */
#include "broker/send/send_int.h"

#include "base/javahash.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction.h"
#include "message/multi_dispatch.h"
#include "os/clock.h"

#include <netinet/in.h>

enum { CLIENT_SENDS_MAX_RECONSUME = 121 };

void msg_host_from(struct msg_host *out, const struct net_address *a)
{
    *out = (struct msg_host){.addr_len = 4, .port = net_address_port(a)};
    if (a->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a->sa;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            memcpy(out->addr, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            out->addr_len = 16;
            memcpy(out->addr, in6->sin6_addr.s6_addr, 16);
        }
    } else {
        memcpy(out->addr, &((const struct sockaddr_in *)(const void *)&a->sa)->sin_addr, 4);
    }
}

/* ---- checks ---- */

struct topic *send_topic(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h)
{
    struct broker *b = bl->broker;
    struct topic *t = broker_loop_topic(bl, h->topic);
    if (b->conf->start_accept_send_ms > 0 && clock_wall_ms() < b->conf->start_accept_send_ms) {
        send_refuse(rq, b, RESP_SYSTEM_ERROR, "broker unable to service, until %lld",
                    (long long)b->conf->start_accept_send_ms);
        return NULL;
    }
    if (t && !(b->conf->permission & PERM_WRITE) && atomic_load(&t->order)) {
        send_refuse(rq, b, RESP_NO_PERMISSION, "the broker[%s] sending message is forbidden", b->address);
        return NULL;
    }
    if (t && !t->system)
        return t;
    bool long_name = str_starts(h->topic, STR_LIT("%RETRY%")) || str_starts(h->topic, STR_LIT("%DLQ%"));
    const char *why = name_illegal(h->topic, long_name ? 255 : 127);
    if (why) {
        send_refuse(rq, b, RESP_INVALID_PARAMETER, "The specified topic %s [%.*s]", why, STR_ARG(h->topic));
        return NULL;
    }
    if (topic_send_forbidden(h->topic)) {
        send_refuse(rq, b, RESP_NO_PERMISSION, "Sending message to topic[%.*s] is forbidden.", STR_ARG(h->topic));
        return NULL;
    }
    if (t)
        return t;
    if (str_starts(h->topic, STR_LIT("%RETRY%")))
        t = topic_ensure(b->topics, h->topic, 1, PERM_READ | PERM_WRITE, 0, NULL);
    else
        t = topic_auto_create(b->topics, h->topic, h->default_topic, h->default_topic_queue_nums, h->unit_mode,
                              b->conf->default_topic_queue_nums);
    if (t == NULL)
        send_refuse(rq, b, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist, apply first please!" FAQ, STR_ARG(h->topic));
    return t;
}

/* A consumer that sends a message back by itself: beyond the limit the message goes to the dead-letter topic. */
static bool dead_letter(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h, struct topic **t,
                        int32_t *queue_id)
{
    struct broker *b = bl->broker;
    struct str group = str_skip(h->topic, sizeof "%RETRY%" - 1);
    struct group *g = group_find(b->groups, group);
    if (g == NULL) {
        send_refuse(rq, b, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, %.*s " FAQ,
                    STR_ARG(group));
        return false;
    }
    int max = atomic_load(&g->retry_max_times);
    if (rem_cmd(rq)->version >= CLIENT_SENDS_MAX_RECONSUME && h->max_reconsume_times >= 0)
        max = h->max_reconsume_times;
    /* A group with live queue locks consumes in order: its retries would break the order, they are dead letters at
     * once. */
    if (h->reconsume_times <= max && !lock_any_held(b->locks, group))
        return true;
    char *name = arena_printf(rem_arena(rq), "%%DLQ%%%.*s", STR_ARG(group));
    *t = name ? topic_ensure(b->topics, str_from(name), 1, PERM_READ | PERM_WRITE, 0, NULL) : NULL;
    *queue_id = 0;
    if (*t == NULL)
        send_refuse(rq, b, RESP_SYSTEM_ERROR, "cannot create the dead-letter topic of group %.*s", STR_ARG(group));
    return *t != NULL;
}

void send_look(struct str text, struct send_seen *s)
{
    struct str rest = text, name, value;
    *s = (struct send_seen){0};
    while (msg_property_next(&rest, &name, &value)) {
        switch (name.ptr[0]) {
        case 'T':
            if (str_eqz(name, MSG_PROP_TAGS))
                s->tags = value;
            else if (str_eqz(name, MSG_PROP_TRAN_MSG))
                s->transaction = str_ieq(value, STR_LIT("true"));
            else if (str_eqz(name, MSG_PROP_TRACE_ON))
                s->drop = true;
            else if (str_starts(name, STR_LIT("TIMER_DEL")))
                s->timer = true;
            break;
        case 'K':
            if (str_eqz(name, MSG_PROP_KEYS))
                s->keys = value;
            break;
        case 'U':
            if (str_eqz(name, MSG_PROP_UNIQ_KEY))
                s->uniq_key = value;
            break;
        case 'W':
            if (str_eqz(name, MSG_PROP_WAIT))
                s->wait = value;
            break;
        case 'D':
            if (str_eqz(name, MSG_PROP_DELAY))
                s->delay = value;
            break;
        case 'I':
            s->inner |= str_eqz(name, MSG_PROP_INNER_NUM);
            break;
        case 'P':
            s->drop |= str_eqz(name, MSG_PROP_POP_CK);
            break;
        case 'M':
            s->drop |= str_eqz(name, MSG_PROP_MSG_REGION);
            break;
        case 'C':
            s->drop |= str_eqz(name, MSG_PROP_CLUSTER);
            break;
        default:
            break;
        }
    }
}

void send_complete(struct buf *out, struct str stamp, struct str given, const struct send_seen *s)
{
    const struct str replaced[] = {STR_LIT(MSG_PROP_MSG_REGION), STR_LIT(MSG_PROP_TRACE_ON), STR_LIT(MSG_PROP_CLUSTER),
                                   STR_LIT(MSG_PROP_POP_CK)};
    buf_clear(out);
    if (s->drop)
        msg_properties_without(out, given, replaced, sizeof replaced / sizeof replaced[0]);
    else
        buf_add_str(out, given);
    if (out->len && out->data[out->len - 1] != 2)
        buf_add_byte(out, 2);
    buf_add_str(out, stamp);
}

bool send_queue_allowed(struct rem_request *rq, struct broker_loop *bl, struct topic *t, int32_t *queue_id)
{
    int read = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    int write = atomic_load_explicit(&t->write_queues, memory_order_relaxed);
    if (*queue_id >= (read > write ? read : write)) {
        char peer[64];
        net_address_format(rem_peer(rq), peer);
        send_refuse(rq, bl->broker, RESP_INVALID_PARAMETER,
                    "request queueId[%d] is illegal, the topic %.*s has %d read and %d write queues. Producer: %s",
                    *queue_id, STR_ARG(t->name), read, write, peer);
        return false;
    }
    if (*queue_id < 0)
        *queue_id = write > 0 ? (int32_t)(broker_loop_random(bl) % (uint32_t)write) : 0;
    return true;
}

bool send_has_key(struct rem_request *rq, struct broker_loop *bl, struct topic *t, const struct send_seen *s)
{
    if (!atomic_load_explicit(&t->compacted, memory_order_relaxed) || !str_blank(s->keys))
        return true;
    send_refuse(rq, bl->broker, RESP_MESSAGE_ILLEGAL, "Required message key is missing");
    return false;
}

/* A level that is no number: Java's broker fails on it. A dead letter's does not count. */
static bool has_good_level(struct rem_request *rq, struct broker *b, const struct topic *t, const struct send_seen *s)
{
    int32_t level;
    if (s->delay.len == 0 || t->dlq || str_to_i32(s->delay, &level))
        return true;
    send_refuse(rq, b, RESP_SYSTEM_ERROR, "the delay level '%.*s' of the message to topic %s is no number",
                STR_ARG(s->delay), t->name.ptr);
    return false;
}

/* ---- one message ---- */

/* A single send can carry a batch kept as one record too: flag and number go together, and only with a batch topic. */
static bool inner_batch_legal(const struct topic *t, const struct send_seen *s, struct store_msg *put)
{
    bool flag = put->m.sys_flag & MSG_FLAG_INNER_BATCH;
    if (!flag && !s->inner)
        return true;
    struct str number = msg_property(put->m.properties, STR_LIT(MSG_PROP_INNER_NUM));
    return flag && t->batch && str_to_i32(number, &put->batch_messages) && put->batch_messages > 0 &&
           put->batch_messages <= MSG_INNER_MAX;
}

static void send_one(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h)
{
    struct broker *b = bl->broker;
    struct topic *t = send_topic(rq, bl, h);
    int32_t queue_id = h->queue_id;
    if (t == NULL || !send_queue_allowed(rq, bl, t, &queue_id))
        return;
    if (t->retry && !dead_letter(rq, bl, h, &t, &queue_id))
        return;
    struct str body = rem_body(rq);
    if (body.len == 0) {
        send_refuse(rq, b, RESP_SYSTEM_ERROR, "the message to topic %.*s has no body", STR_ARG(h->topic));
        return;
    }
    struct send_seen s;
    send_look(h->properties, &s);
    if (!send_has_key(rq, bl, t, &s) || !has_good_level(rq, b, t, &s))
        return;
    char id[32];
    send_complete(&bl->scratch, buf_str(&bl->stamp[bl->broker->conf->trace_on]), h->properties, &s);
    if (s.uniq_key.len == 0) {
        s.uniq_key = str_make(id, msg_unique_id(id));
        msg_property_add(&bl->scratch, STR_LIT(MSG_PROP_UNIQ_KEY), s.uniq_key);
    }
    bool half = s.transaction && !(h->reconsume_times > 0 && s.delay.len);
    if (half && b->conf->reject_transaction) {
        send_refuse(rq, b, RESP_NO_PERMISSION, "the broker[%s] sending transaction message is forbidden",
                    b->conf->broker_ip1);
        return;
    }
    struct store_msg put = {
        .m =
            {
                .topic = t->name,
                .body = body,
                .properties = buf_str(&bl->scratch),
                .queue_id = queue_id,
                .flag = h->flag,
                .sys_flag =
                    h->sys_flag | (atomic_load_explicit(&t->multi_tag, memory_order_relaxed) ? MSG_FLAG_MULTI_TAGS : 0),
                .reconsume_times = h->reconsume_times,
                .born_time = h->born_timestamp,
                .store_host = b->store_host,
            },
        .tags_code = s.tags.len ? java_hash(s.tags) : 0,
    };
    msg_host_from(&put.m.born_host, rem_peer(rq));
    struct buf changed = {0};
    int level = 0;
    struct topic *real = t, *other = NULL;
    int64_t timed_ms = 0, ignored_ms;
    if (s.delay.len && !half && !t->dlq)
        other = schedule_redirect(b, &put.m, &changed, &level);
    if (other)
        t = other;
    if (s.timer && !other && !(half && s.delay.len)) {
        /* The time of a half message counts when it is committed; but one that can never be is refused now. */
        struct msg probe = put.m;
        struct topic *ignored;
        probe.sys_flag &= ~MSG_FLAG_TRANSACTION_MASK;
        enum timer_verdict v =
            timer_redirect(b, half ? &probe : &put.m, &changed, half ? &ignored : &t, half ? &ignored_ms : &timed_ms);
        if (v != TIMER_NONE && v != TIMER_MOVED) {
            char remark[320];
            int32_t code = timer_refusal(b, v, remark, sizeof remark);
            send_refuse(rq, b, code, "%s", remark);
            buf_free(&changed);
            return;
        }
    }
    if (half) {
        buf_clear(&changed);
        t = transaction_redirect(b, &put.m, &changed);
        if (t == NULL) {
            send_refuse(rq, b, RESP_SYSTEM_ERROR, "there is no topic for half messages");
            buf_free(&changed);
            return;
        }
    }
    put.queue = topic_queue(b->topics, t, put.m.queue_id);
    struct pending_send *p = put.queue ? send_pending(rq, bl, t, queue_id, &s) : NULL;
    if (p) {
        p->half_of = half ? real : NULL;
        p->timed = timed_ms && !real->retry ? real : NULL;
        p->timed_ms = timed_ms;
        bool legal = inner_batch_legal(t, &s, &put);
        enum put_status status = legal ? store_batch_add(bl->batch, &put, &p->put) : PUT_MESSAGE_ILLEGAL;
        if (status != PUT_OK)
            send_failed(bl, p, status);
    } else if (put.queue == NULL) {
        send_refuse(rq, b, RESP_SYSTEM_ERROR, "no queue %d of topic %.*s: out of memory", put.m.queue_id,
                    STR_ARG(t->name));
    }
    buf_free(&changed);
}

static void handle_send(struct rem_request *rq, const void *header)
{
    const struct send_req *h = header;
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    if (h->batch || rem_cmd(rq)->code == REQ_SEND_BATCH_MESSAGE)
        send_batch(rq, bl, h);
    else
        send_one(rq, bl, h);
}

static const struct rem_op rows[] = {
    {REQ_SEND_MESSAGE, "SEND_MESSAGE", &send_req_schema, handle_send, REM_LANE_LOOP, REM_ACT_PUB, REM_RES_TOPIC},
    {REQ_SEND_MESSAGE_V2, "SEND_MESSAGE_V2", &send_req_v2_schema, handle_send, REM_LANE_LOOP, REM_ACT_PUB,
     REM_RES_TOPIC},
    {REQ_SEND_BATCH_MESSAGE, "SEND_BATCH_MESSAGE", &send_req_v2_schema, handle_send, REM_LANE_LOOP, REM_ACT_PUB,
     REM_RES_TOPIC},
};
const struct broker_ops send_ops = {rows, sizeof rows / sizeof rows[0]};
