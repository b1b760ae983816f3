/*
 * Sending: requests 10, 310 and 320. A handler checks, completes the properties and encodes the record into the round's
 * batch; the answer is written when the batch has been appended, or once it is durable where that was asked for.
 */
#include "broker/send/send.h"

#include "base/javahash.h"
#include "base/list.h"
#include "base/log.h"
#include "broker/broker_loop.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction.h"
#include "message/multi_dispatch.h"
#include "os/clock.h"
#include "remoting/headers_client.h"
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARKED_MAX = 200000, BATCH_ENTRIES_MAX = 4096, CLIENT_SENDS_MAX_RECONSUME = 121 };

/* Region and trace switch stand in every answer to a send: the Java client reads them without asking whether they are
 * there. */
static void reply_begin(struct rem_request *rq, struct broker *b, struct rem_frame *f, int32_t code)
{
    rem_reply_begin(rq, f, code);
    rem_frame_fields(f, buf_str(&broker_loop_of(b, rem_loop(rq))->answer_stamp[b->conf->trace_on]));
}

static void refuse(struct rem_request *rq, struct broker *b, int32_t code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void refuse(struct rem_request *rq, struct broker *b, int32_t code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct rem_frame f;
    reply_begin(rq, b, &f, code);
    rem_reply_end(rq, &f, str_from(text), STR_NULL);
}

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

/* ---- answers ---- */

static struct pending_send *pending_of(struct loop_put *p)
{
    return LIST_ENTRY(p, struct pending_send, put);
}

static struct pending_send *pending_new(struct broker_loop *bl)
{
    struct loop_put *p = bl->free_sends;
    if (p) {
        bl->free_sends = p->next;
        return pending_of(p);
    }
    return calloc(1, sizeof(struct pending_send));
}

static void pending_free(struct broker_loop *bl, struct pending_send *p)
{
    p->put.next = bl->free_sends;
    bl->free_sends = &p->put;
}

void send_free_all(struct broker_loop *bl)
{
    while (bl->free_sends) {
        struct pending_send *p = pending_of(bl->free_sends);
        bl->free_sends = p->put.next;
        buf_free(&p->ids);
        free(p);
    }
}

static void add_recall_handle(struct rem_frame *f, const struct broker *b, const struct pending_send *p)
{
    struct buf handle = {0};
    timer_recall_handle(&handle, b, p->timed->name, p->timed_ms, str_make(p->id, p->id_len));
    if (buf_ok(&handle))
        rem_frame_str(f, "recallHandle", buf_str(&handle));
    buf_free(&handle);
}

static void answer(struct broker_loop *bl, struct pending_send *p, int32_t code, struct str msg_ids,
                   int64_t queue_offset)
{
    struct rem_frame f;
    if (!rem_token_begin(&p->token, &f, code))
        return;
    rem_frame_fields(&f, buf_str(&bl->answer_stamp[bl->broker->conf->trace_on]));
    rem_frame_str(&f, "msgId", msg_ids);
    rem_frame_i64(&f, "queueId", p->queue_id);
    rem_frame_i64(&f, "queueOffset", queue_offset);
    if (p->id_len)
        rem_frame_str(&f, "transactionId", str_make(p->id, p->id_len));
    if (p->inner_batch)
        rem_frame_str(&f, "batchUniqId", str_make(p->id, p->id_len));
    if (p->timed && p->id_len)
        add_recall_handle(&f, bl->broker, p);
    rem_token_end(&p->token, &f, STR_NULL, STR_NULL);
}

/* What a put that is not stored is answered with. */
int32_t put_failure(struct broker *b, enum put_status status, char remark[PUT_REMARK_MAX])
{
    const char *why = NULL;
    switch (status) {
    case PUT_CREATE_FILE_FAILED:
        snprintf(remark, PUT_REMARK_MAX, "create mapped file failed, server is busy or broken.");
        return RESP_SYSTEM_ERROR;
    case PUT_MESSAGE_ILLEGAL:
    case PUT_PROPERTIES_SIZE_EXCEEDED:
        snprintf(
            remark, PUT_REMARK_MAX,
            "the message is illegal, maybe msg body or properties length not matched. msg body length limit %lldB, "
            "msg properties length limit 32KB.",
            (long long)b->store_conf->maxMessageSize);
        return RESP_MESSAGE_ILLEGAL;
    case PUT_SERVICE_NOT_AVAILABLE:
        why = store_not_writable(b->store);
        snprintf(remark, PUT_REMARK_MAX, "%s",
                 why ? why
                     : "service not available now. It may be caused by one of the following reasons: the broker's disk "
                       "is full, messages are put to the slave, or the store is stopping.");
        return RESP_SERVICE_NOT_AVAILABLE;
    case PUT_PAGE_CACHE_BUSY:
        why = store_busy(b->store);
        snprintf(remark, PUT_REMARK_MAX, "%s",
                 why ? why : "[PC_SYNCHRONIZED]broker busy, start flow control for a while");
        return RESP_SYSTEM_BUSY;
    default:
        snprintf(remark, PUT_REMARK_MAX, "UNKNOWN_ERROR: the message was not stored");
        return RESP_SYSTEM_ERROR;
    }
}

static void send_durable(struct broker_loop *bl, struct loop_put *put, bool flushed)
{
    struct pending_send *p = pending_of(put);
    answer(bl, p, flushed ? RESP_SUCCESS : RESP_FLUSH_DISK_TIMEOUT, buf_str(&p->ids), p->queue_offset);
    buf_clear(&p->ids);
    pending_free(bl, p);
}

static void add_ids(struct buf *out, const struct broker *b, const struct put_result *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (i)
            buf_add_lit(out, ",");
        uint8_t *at = buf_extend(out, 56);
        if (at)
            out->len -= 56 - msg_id_format((char *)at, &b->store_host, r->physical_offsets[i]);
    }
}

static void send_done(struct broker_loop *bl, struct loop_put *put, const struct put_result *r)
{
    struct pending_send *p = pending_of(put);
    struct broker *b = bl->broker;
    if (r->status != PUT_OK) {
        char remark[PUT_REMARK_MAX];
        struct rem_frame f;
        int32_t code = put_failure(b, r->status, remark);
        if (rem_token_begin(&p->token, &f, code)) {
            rem_frame_fields(&f, buf_str(&bl->answer_stamp[bl->broker->conf->trace_on]));
            rem_token_end(&p->token, &f, str_from(remark), STR_NULL);
        }
        pending_free(bl, p);
        return;
    }
    topic_count_put(b->stats, p->topic, r->messages, r->bytes);
    stats_add(bl->puts, r->messages);
    if (p->half_of)
        transaction_prepared(b->transactions, p->half_of->name);
    if (p->wait_durable && store_flushed(b->store) < r->end_offset) {
        add_ids(&p->ids, b, r);
        p->queue_offset = r->queue_offset;
        broker_loop_park(bl, put, r->end_offset);
        return;
    }
    if (r->count == 1) {
        char id[56];
        size_t n = msg_id_format(id, &b->store_host, r->physical_offsets[0]);
        answer(bl, p, RESP_SUCCESS, str_make(id, n), r->queue_offset);
    } else {
        add_ids(&p->ids, b, r);
        answer(bl, p, RESP_SUCCESS, buf_str(&p->ids), r->queue_offset);
        buf_clear(&p->ids);
    }
    pending_free(bl, p);
}

/* ---- checks ---- */

/* The topic of a send, created where the rules allow it; NULL: answered. */
static struct topic *send_topic(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h)
{
    struct broker *b = bl->broker;
    struct topic *t = broker_loop_topic(bl, h->topic);
    if (b->conf->start_accept_send_ms > 0 && clock_wall_ms() < b->conf->start_accept_send_ms) {
        refuse(rq, b, RESP_SYSTEM_ERROR, "broker unable to service, until %lld",
               (long long)b->conf->start_accept_send_ms);
        return NULL;
    }
    if (t && !(b->conf->permission & PERM_WRITE) && atomic_load(&t->order)) {
        refuse(rq, b, RESP_NO_PERMISSION, "the broker[%s] sending message is forbidden", b->address);
        return NULL;
    }
    if (t && !t->system)
        return t;
    bool long_name = str_starts(h->topic, STR_LIT("%RETRY%")) || str_starts(h->topic, STR_LIT("%DLQ%"));
    const char *why = name_illegal(h->topic, long_name ? 255 : 127);
    if (why) {
        refuse(rq, b, RESP_INVALID_PARAMETER, "The specified topic %s [%.*s]", why, STR_ARG(h->topic));
        return NULL;
    }
    if (topic_send_forbidden(h->topic)) {
        refuse(rq, b, RESP_NO_PERMISSION, "Sending message to topic[%.*s] is forbidden.", STR_ARG(h->topic));
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
        refuse(rq, b, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist, apply first please!" FAQ, STR_ARG(h->topic));
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
        refuse(rq, b, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, %.*s " FAQ, STR_ARG(group));
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
        refuse(rq, b, RESP_SYSTEM_ERROR, "cannot create the dead-letter topic of group %.*s", STR_ARG(group));
    return *t != NULL;
}

/* What a send needs to know of the properties, found in one pass. */
struct seen {
    struct str tags, keys, uniq_key, wait, delay;
    bool transaction, timer, drop, inner;
};

static void look(struct str text, struct seen *s)
{
    struct str rest = text, name, value;
    *s = (struct seen){0};
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

/* The stored properties: those of the producer, then region, trace switch and cluster. */
static void complete(struct buf *out, struct str stamp, struct str given, const struct seen *s)
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

static bool queue_allowed(struct rem_request *rq, struct broker_loop *bl, struct topic *t, int32_t *queue_id)
{
    int read = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    int write = atomic_load_explicit(&t->write_queues, memory_order_relaxed);
    if (*queue_id >= (read > write ? read : write)) {
        char peer[64];
        net_address_format(rem_peer(rq), peer);
        refuse(rq, bl->broker, RESP_INVALID_PARAMETER,
               "request queueId[%d] is illegal, the topic %.*s has %d read and %d write queues. Producer: %s",
               *queue_id, STR_ARG(t->name), read, write, peer);
        return false;
    }
    if (*queue_id < 0)
        *queue_id = write > 0 ? (int32_t)(broker_loop_random(bl) % (uint32_t)write) : 0;
    return true;
}

/* Compaction topics keep the newest message of each key. */
static bool has_needed_key(struct rem_request *rq, struct broker_loop *bl, struct topic *t, const struct seen *s)
{
    if (!atomic_load_explicit(&t->compacted, memory_order_relaxed) || !str_blank(s->keys))
        return true;
    refuse(rq, bl->broker, RESP_MESSAGE_ILLEGAL, "Required message key is missing");
    return false;
}

/* A level that is no number: Java's broker fails on it. A dead letter's does not count. */
static bool has_good_level(struct rem_request *rq, struct broker *b, const struct topic *t, const struct seen *s)
{
    int32_t level;
    if (s->delay.len == 0 || t->dlq || str_to_i32(s->delay, &level))
        return true;
    refuse(rq, b, RESP_SYSTEM_ERROR, "the delay level '%.*s' of the message to topic %s is no number",
           STR_ARG(s->delay), t->name.ptr);
    return false;
}

static struct pending_send *pending_for(struct rem_request *rq, struct broker_loop *bl, struct topic *t,
                                        int32_t queue_id, const struct seen *s)
{
    unsigned parked = atomic_load_explicit(&bl->parked_count, memory_order_relaxed);
    struct pending_send *p = parked < PARKED_MAX ? pending_new(bl) : NULL;
    if (p == NULL) {
        refuse(rq, bl->broker, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, %u sends wait for the disk", parked);
        return NULL;
    }
    p->put.done = send_done;
    p->put.durable = send_durable;
    p->inner_batch = false;
    p->topic = t;
    p->half_of = NULL;
    p->queue_id = queue_id;
    p->timed = NULL;
    p->wait_durable = store_sync_flush(bl->broker->store) && !str_ieq(s->wait, STR_LIT("false"));
    p->id_len = s->uniq_key.len <= sizeof p->id ? (uint32_t)s->uniq_key.len : 0;
    if (p->id_len)
        memcpy(p->id, s->uniq_key.ptr, p->id_len);
    p->token = rem_later(rq);
    return p;
}

static void put_failed(struct broker_loop *bl, struct pending_send *p, enum put_status status)
{
    send_done(bl, &p->put, &(struct put_result){.status = status});
}

/* ---- one message ---- */

/* A single send can carry a batch kept as one record too: flag and number go together, and only with a batch topic. */
static bool inner_batch_legal(const struct topic *t, const struct seen *s, struct store_msg *put)
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
    if (t == NULL || !queue_allowed(rq, bl, t, &queue_id))
        return;
    if (t->retry && !dead_letter(rq, bl, h, &t, &queue_id))
        return;
    struct str body = rem_body(rq);
    if (body.len == 0) {
        refuse(rq, b, RESP_SYSTEM_ERROR, "the message to topic %.*s has no body", STR_ARG(h->topic));
        return;
    }
    struct seen s;
    look(h->properties, &s);
    if (!has_needed_key(rq, bl, t, &s) || !has_good_level(rq, b, t, &s))
        return;
    char id[32];
    complete(&bl->scratch, buf_str(&bl->stamp[bl->broker->conf->trace_on]), h->properties, &s);
    if (s.uniq_key.len == 0) {
        s.uniq_key = str_make(id, msg_unique_id(id));
        msg_property_add(&bl->scratch, STR_LIT(MSG_PROP_UNIQ_KEY), s.uniq_key);
    }
    bool half = s.transaction && !(h->reconsume_times > 0 && s.delay.len);
    if (half && b->conf->reject_transaction) {
        refuse(rq, b, RESP_NO_PERMISSION, "the broker[%s] sending transaction message is forbidden",
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
            refuse(rq, b, code, "%s", remark);
            buf_free(&changed);
            return;
        }
    }
    if (half) {
        buf_clear(&changed);
        t = transaction_redirect(b, &put.m, &changed);
        if (t == NULL) {
            refuse(rq, b, RESP_SYSTEM_ERROR, "there is no topic for half messages");
            buf_free(&changed);
            return;
        }
    }
    put.queue = topic_queue(b->topics, t, put.m.queue_id);
    struct pending_send *p = put.queue ? pending_for(rq, bl, t, queue_id, &s) : NULL;
    if (p) {
        p->half_of = half ? real : NULL;
        p->timed = timed_ms && !real->retry ? real : NULL;
        p->timed_ms = timed_ms;
        bool legal = inner_batch_legal(t, &s, &put);
        enum put_status status = legal ? store_batch_add(bl->batch, &put, &p->put) : PUT_MESSAGE_ILLEGAL;
        if (status != PUT_OK)
            put_failed(bl, p, status);
    } else if (put.queue == NULL) {
        refuse(rq, b, RESP_SYSTEM_ERROR, "no queue %d of topic %.*s: out of memory", put.m.queue_id, STR_ARG(t->name));
    }
    buf_free(&changed);
}

/* ---- a batch for a batch topic: one record, one queue entry; Java's clients take it apart ---- */

static void send_inner_batch(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h, struct topic *t,
                             struct cq *queue, int32_t queue_id, const struct seen *s)
{
    struct broker *b = bl->broker;
    struct msg_batch_entry e;
    struct str rest = rem_body(rq), text = arena_str(rem_arena(rq), buf_str(&bl->scratch));
    bool bad = false;
    int32_t messages = 0;
    while (messages <= MSG_INNER_MAX && msg_batch_next(&rest, &e, &bad))
        messages++;
    if (queue == NULL || text.ptr == NULL || bad || messages == 0 || messages > MSG_INNER_MAX) {
        refuse(rq, b, RESP_MESSAGE_ILLEGAL, "the batch for topic %.*s is malformed or has more than %d messages",
               STR_ARG(h->topic), MSG_INNER_MAX);
        return;
    }
    char number[24];
    const struct str given = STR_LIT(MSG_PROP_INNER_NUM);
    struct store_msg put = {
        .m =
            {
                .topic = t->name,
                .body = rem_body(rq),
                .queue_id = queue_id,
                .flag = h->flag,
                .sys_flag = h->sys_flag | MSG_FLAG_NEED_UNWRAP | MSG_FLAG_INNER_BATCH |
                            (atomic_load_explicit(&t->multi_tag, memory_order_relaxed) ? MSG_FLAG_MULTI_TAGS : 0),
                .reconsume_times = h->reconsume_times,
                .born_time = h->born_timestamp,
                .store_host = b->store_host,
            },
        .queue = queue,
        .tags_code = s->tags.len ? java_hash(s->tags) : 0,
        .batch_messages = messages,
    };
    buf_clear(&bl->scratch);
    msg_properties_without(&bl->scratch, text, &given, 1);
    msg_property_add(&bl->scratch, given, str_make(number, fmt_i64(number, messages)));
    put.m.properties = buf_str(&bl->scratch);
    msg_host_from(&put.m.born_host, rem_peer(rq));
    struct pending_send *p = pending_for(rq, bl, t, queue_id, s);
    if (p == NULL)
        return;
    p->inner_batch = true;
    enum put_status status = store_batch_add(bl->batch, &put, &p->put);
    if (status != PUT_OK)
        put_failed(bl, p, status);
}

/* ---- a batch: every entry becomes a message of its own, all with consecutive queue offsets ---- */

static void send_batch(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h)
{
    struct broker *b = bl->broker;
    if (str_starts(h->topic, STR_LIT("%RETRY%"))) {
        refuse(rq, b, RESP_MESSAGE_ILLEGAL, "batch request does not support retry group %.*s", STR_ARG(h->topic));
        return;
    }
    if (h->topic.len > 127) {
        refuse(rq, b, RESP_MESSAGE_ILLEGAL, "message topic length over 127: %zu", h->topic.len);
        return;
    }
    /* The limit of one message holds for the batch as a whole, as in Java. */
    if (rem_body(rq).len > (size_t)b->store_conf->maxMessageSize) {
        char remark[PUT_REMARK_MAX];
        int32_t code = put_failure(b, PUT_MESSAGE_ILLEGAL, remark);
        refuse(rq, b, code, "%s", remark);
        return;
    }
    struct topic *t = send_topic(rq, bl, h);
    int32_t queue_id = h->queue_id;
    if (t == NULL || !queue_allowed(rq, bl, t, &queue_id))
        return;
    struct cq *queue = topic_queue(b->topics, t, queue_id);
    struct seen common;
    look(h->properties, &common);
    complete(&bl->scratch, buf_str(&bl->stamp[bl->broker->conf->trace_on]), h->properties, &common);
    if (t->batch && common.uniq_key.len) {
        send_inner_batch(rq, bl, h, t, queue, queue_id, &common);
        return;
    }
    struct str suffix = buf_str(&bl->scratch);
    struct msg_host born;
    msg_host_from(&born, rem_peer(rq));
    struct str rest = rem_body(rq);
    struct msg_batch_entry e;
    bool bad = false;
    size_t entries = 0, n = 0;
    while (entries < BATCH_ENTRIES_MAX && msg_batch_next(&rest, &e, &bad))
        entries++;
    bool whole = !bad && rest.len == 0;
    struct store_msg *puts = whole && entries ? arena_alloc(rem_arena(rq), entries * sizeof *puts) : NULL;
    rest = rem_body(rq);
    while (puts && n < entries && msg_batch_next(&rest, &e, &bad)) {
        struct seen s;
        look(e.properties, &s);
        /* Java's broker takes it, and nobody ever gets it. */
        if (!has_needed_key(rq, bl, t, &s))
            return;
        bool separator = e.properties.len && e.properties.ptr[e.properties.len - 1] != 2;
        size_t len = e.properties.len + separator + suffix.len;
        char *text = arena_alloc(rem_arena(rq), len + 1);
        if (text == NULL)
            break;
        if (e.properties.len)
            memcpy(text, e.properties.ptr, e.properties.len);
        if (separator)
            text[e.properties.len] = 2;
        memcpy(text + e.properties.len + separator, suffix.ptr, suffix.len);
        puts[n++] = (struct store_msg){
            .m =
                {
                    .topic = t->name,
                    .body = e.body,
                    .properties = str_make(text, len),
                    .queue_id = queue_id,
                    .flag = e.flag,
                    .sys_flag = h->sys_flag,
                    .reconsume_times = h->reconsume_times,
                    .born_time = h->born_timestamp,
                    .born_host = born,
                    .store_host = b->store_host,
                },
            .queue = queue,
            .tags_code = s.tags.len ? java_hash(s.tags) : 0,
        };
    }
    if (queue == NULL || puts == NULL || n < entries) {
        refuse(rq, b, RESP_MESSAGE_ILLEGAL, "the batch for topic %.*s is malformed or has more than %d messages",
               STR_ARG(h->topic), BATCH_ENTRIES_MAX);
        return;
    }
    common.uniq_key = STR_NULL;
    struct pending_send *p = pending_for(rq, bl, t, queue_id, &common);
    if (p == NULL)
        return;
    enum put_status status = store_batch_add_many(bl->batch, puts, n, &p->put);
    if (status != PUT_OK)
        put_failed(bl, p, status);
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
