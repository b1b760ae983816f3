/*
 * Acknowledging popped messages: requests 200051 and 200151, and 200053, which lets a message be invisible for longer
 * or shorter. Records go into the revive log with the round's batch and are answered when they are there.
 */
#include "base/log.h"
#include "broker/pop/pop.h"
#include "broker/pop/pop_ack_body.h"
#include "broker/pop/pop_wait.h"
#include "broker/send/send.h"
#include "os/clock.h"
#include "remoting/headers_pop.h"
#include <stdlib.h>

/* A request whose records are on their way. */
struct pop_ack {
    struct loop_put put;
    struct rem_token token;
    uint32_t records; /* still on their way */
    enum put_status failure;
    int64_t log_end;
    bool change;
    struct change_invisible_resp changed;
};

/* ---- answers ---- */

static void answer(struct broker_loop *bl, struct pop_ack *a)
{
    struct rem_frame f;
    char remark[PUT_REMARK_MAX];
    int32_t code = a->failure == PUT_OK ? RESP_SUCCESS : put_failure(bl->broker, a->failure, remark);
    if (rem_token_begin(&a->token, &f, code)) {
        if (a->change && code == RESP_SUCCESS)
            rem_schema_write(&change_invisible_resp_schema, &a->changed, &f);
        rem_token_end(&a->token, &f, a->failure == PUT_OK ? STR_NULL : str_from(remark), STR_NULL);
    }
    free(a);
}

static void durable(struct broker_loop *bl, struct loop_put *put, bool flushed)
{
    answer(bl, LIST_ENTRY(put, struct pop_ack, put));
}

static void record_done(struct broker_loop *bl, struct pop_ack *a)
{
    if (--a->records > 0)
        return;
    if (store_sync_flush(bl->broker->store) && store_flushed(bl->broker->store) < a->log_end)
        broker_loop_park(bl, &a->put, a->log_end);
    else
        answer(bl, a);
}

static void done(struct broker_loop *bl, struct loop_put *put, const struct put_result *r)
{
    struct pop_ack *a = LIST_ENTRY(put, struct pop_ack, put);
    if (r->status != PUT_OK)
        a->failure = r->status;
    else
        a->log_end = r->end_offset;
    record_done(bl, a);
}

/* Holds one record for the caller: it ends with record_done. NULL: answered. */
static struct pop_ack *ack_new(struct rem_request *rq)
{
    struct pop_ack *a = calloc(1, sizeof *a);
    if (a == NULL) {
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for an acknowledgement");
        return NULL;
    }
    a->put.done = done;
    a->put.durable = durable;
    a->records = 1;
    a->token = rem_later(rq);
    return a;
}

static void add_record(struct broker_loop *bl, struct pop_ack *a, int32_t revive_queue, struct msg *m)
{
    const struct pop_loop *pl = pop_loop_of(bl);
    enum put_status status = PUT_UNKNOWN_ERROR;
    if (buf_ok(&pl->body) && buf_ok(&pl->properties))
        status = pop_log_add(bl->broker, bl->batch, revive_queue, m, &a->put);
    if (status == PUT_OK)
        a->records++;
    else
        a->failure = status;
}

static void add_acks(struct broker_loop *bl, struct pop_ack *a, int32_t revive_queue, const struct pop_acks *acks,
                     bool batch)
{
    struct broker *b = bl->broker;
    struct pop_loop *pl = pop_loop_of(bl);
    struct msg m;
    pop_acks_record(acks, batch, clock_wall_ms(), &pl->body, &pl->properties, &m);
    add_record(bl, a, revive_queue, &m);
    struct pop_queue *q = pop_table_queue(b->pop->table, acks->key.topic, acks->key.group, acks->key.queue_id);
    stats_add(b->pop->acks, (int64_t)acks->count);
    if (q == NULL)
        return;
    pop_count(b, q->group, POP_ACK_NUMS, (int64_t)acks->count);
    if (acks->key.pop_time >= b->start_time)
        atomic_fetch_sub_explicit(&q->inflight, (int64_t)acks->count, memory_order_relaxed);
}

/* ---- ordered pops ---- */

/* The group whose pops wait for the messages of this topic. */
static void wake_group(struct broker *b, struct str topic, struct str group)
{
    struct pop_group *g = pop_table_group(b->pop->table, pop_normal_topic(topic, group), group, false);
    if (g && g->holds)
        pop_wait_wake_all(b, g);
}

/* False: *offset is none of those the group holds. */
static bool ack_ordered(struct broker *b, const struct pop_key *k, int64_t offset)
{
    int64_t first = offset_query(b->offsets, k->group, k->topic, k->queue_id);
    if (offset < first)
        return true;
    struct pop_group *g = pop_table_group(b->pop->table, k->topic, k->group, true);
    struct pop_queue *q = g ? pop_group_queue(g, k->queue_id, true) : NULL;
    if (q == NULL)
        return false;
    pthread_mutex_lock(&q->lock);
    /* Of pops in the last seconds before a sudden death nothing is known. What lies before this message may be under
     * way, too: to go on behind it would pass them over. It is given again, in its turn. */
    if (!q->order.known && offset > (first < 0 ? 0 : first)) {
        pthread_mutex_unlock(&q->lock);
        return true;
    }
    int64_t next = pop_order_ack(&q->order, offset, k->pop_time);
    if (next >= 0 && !offset_has_reset(b->offsets, k->group, k->topic, k->queue_id))
        offset_commit(b->offsets, k->group, k->topic, k->queue_id, next);
    pthread_mutex_unlock(&q->lock);
    if (next < 0)
        return next != POP_ORDER_ILLEGAL;
    atomic_fetch_add(&b->pop->order_changes, 1);
    wake_group(b, k->topic, k->group);
    return true;
}

/* ---- checks ---- */

struct target {
    struct pop_key key;
    struct pop_handle handle;
    struct cq *queue;
};

/* False: answered. last: the offset behind the last message is allowed, as Java's broker allows it to be acknowledged.
 */
static bool check(struct rem_request *rq, struct broker_loop *bl, const struct ack_req *h, bool last,
                  struct target *out)
{
    struct broker *b = bl->broker;
    struct topic *t = broker_loop_topic(bl, h->topic);
    if (t == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist, apply first please! " FAQ, STR_ARG(h->topic));
        return false;
    }
    int queues = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    if (h->queue_id < 0 || h->queue_id >= queues) {
        rem_reply(rq, RESP_MESSAGE_ILLEGAL, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]",
                  h->queue_id, t->name.ptr, queues);
        return false;
    }
    struct cq *q = topic_queue(b->topics, t, h->queue_id);
    int64_t min = q ? cq_min(q) : 0, max = q ? cq_max(q) : 0;
    if (h->offset < min || h->offset > max || (h->offset == max && !last)) {
        rem_reply(rq, RESP_NO_MESSAGE, "offset is illegal, key:%s@%d, commit:%lld, store:%lld~%lld", t->name.ptr,
                  h->queue_id, (long long)h->offset, (long long)min, (long long)max);
        return false;
    }
    if (!pop_handle_parse(h->extra_info, &out->handle)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "'%.*s' is not the handle of a popped message", STR_ARG(h->extra_info));
        return false;
    }
    int32_t revive = out->handle.revive_queue;
    if (revive != POP_ORDER_QUEUE && (revive < 0 || revive >= b->conf->revive_queue_nums)) {
        rem_reply(rq, RESP_MESSAGE_ILLEGAL, "there is no revive queue %d", revive);
        return false;
    }
    out->queue = q;
    out->key = (struct pop_key){
        .topic = t->name,
        .group = h->consumer_group,
        .broker_name = out->handle.broker_name,
        .queue_id = h->queue_id,
        .start_offset = out->handle.start_offset,
        .pop_time = out->handle.pop_time,
    };
    return true;
}

/* ---- requests ---- */

static void handle_ack(struct rem_request *rq, const void *header)
{
    const struct ack_req *h = header;
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    struct target t;
    if (!check(rq, bl, h, true, &t))
        return;
    if (t.handle.revive_queue == POP_ORDER_QUEUE) {
        bool ok = ack_ordered(bl->broker, &t.key, h->offset);
        rem_reply(rq, ok ? RESP_SUCCESS : RESP_MESSAGE_ILLEGAL, ok ? NULL : "offset is illegal, commit:%lld",
                  (long long)h->offset);
        return;
    }
    struct pop_ack *a = ack_new(rq);
    if (a == NULL)
        return;
    struct pop_acks acks = {.key = t.key, .count = 1, .offset = {h->offset}};
    add_acks(bl, a, t.handle.revive_queue, &acks, false);
    record_done(bl, a);
}

static void change_ordered(struct rem_request *rq, struct broker *b, const struct change_invisible_req *h,
                           const struct target *t)
{
    struct change_invisible_resp resp = {0};
    struct pop_queue *q = pop_table_queue(b->pop->table, t->key.topic, t->key.group, t->key.queue_id);
    if (h->offset >= offset_query(b->offsets, t->key.group, t->key.topic, t->key.queue_id)) {
        int64_t visible = clock_wall_ms() + h->invisible_time;
        if (q) {
            pthread_mutex_lock(&q->lock);
            pop_order_set_visible(&q->order, h->offset, t->key.pop_time, visible);
            pthread_mutex_unlock(&q->lock);
            atomic_fetch_add(&b->pop->order_changes, 1);
            wake_group(b, t->key.topic, t->key.group);
        }
        resp = (struct change_invisible_resp){t->key.pop_time, visible - t->key.pop_time, POP_ORDER_QUEUE};
    }
    rem_reply_header(rq, &change_invisible_resp_schema, &resp, STR_NULL);
}

/* A checkpoint of its own for the message, and the one it was under has it acknowledged. */
static void handle_change(struct rem_request *rq, const void *header)
{
    const struct change_invisible_req *h = header;
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    struct ack_req as_ack = {h->consumer_group, h->topic, h->queue_id, h->extra_info, h->offset};
    struct target t;
    if (!check(rq, bl, &as_ack, false, &t))
        return;
    if (t.handle.revive_queue == POP_ORDER_QUEUE) {
        change_ordered(rq, bl->broker, h, &t);
        return;
    }
    struct pop_ack *a = ack_new(rq);
    if (a == NULL)
        return;
    struct pop_loop *pl = pop_loop_of(bl);
    int64_t now = clock_wall_ms();
    struct pop_checkpoint c = {.key = t.key, .invisible_ms = h->invisible_time, .count = 1};
    struct msg m;
    /* Of the same millisecond both checkpoints could have one key, and the acknowledgement would end the new one. */
    if (now <= t.key.pop_time)
        now = t.key.pop_time + 1;
    c.key.start_offset = h->offset;
    c.key.pop_time = now;
    a->change = true;
    a->changed = (struct change_invisible_resp){now, h->invisible_time, t.handle.revive_queue};
    pop_checkpoint_record(&c, now, &pl->body, &pl->properties, &m);
    add_record(bl, a, t.handle.revive_queue, &m);
    if (a->failure == PUT_OK) {
        struct pop_acks acks = {.key = t.key, .count = 1, .offset = {h->offset}};
        stats_add(bl->broker->pop->checkpoints, 1);
        add_acks(bl, a, t.handle.revive_queue, &acks, false);
    }
    record_done(bl, a);
}

/* One entry of a batch: what cannot be acknowledged is passed over. False: an ordered offset is illegal. */
static bool ack_entry(struct broker_loop *bl, struct pop_ack *a, const struct pop_batch_ack *e)
{
    struct broker *b = bl->broker;
    struct topic *t = broker_loop_topic(bl, e->key.topic);
    struct cq *q = t && e->key.queue_id >= 0 && e->key.queue_id < TOPIC_MAX_QUEUES
                       ? store_queue(b->store, t->name, e->key.queue_id, false)
                       : NULL;
    struct pop_acks acks = {.key = e->key};
    bool ordered = e->revive_queue == POP_ORDER_QUEUE, ok = true;
    if (q == NULL || (!ordered && (e->revive_queue < 0 || e->revive_queue >= b->conf->revive_queue_nums)))
        return true;
    for (size_t i = 0; i < e->bits.len * 8; i++) {
        int64_t offset = e->key.start_offset + (int64_t)i;
        if (!((uint8_t)e->bits.ptr[i / 8] >> i % 8 & 1) || offset < cq_min(q) || offset > cq_max(q))
            continue;
        if (ordered) {
            ok &= ack_ordered(b, &e->key, offset);
        } else if (acks.count < POP_MAX_MESSAGES) {
            acks.offset[acks.count++] = offset;
        }
    }
    if (acks.count > 0)
        add_acks(bl, a, e->revive_queue, &acks, true);
    return ok;
}

static void handle_batch_ack(struct rem_request *rq, const void *header)
{
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    const struct json *j = json_parse(rem_arena(rq), rem_body(rq), NULL);
    const struct json *entries = json_get(j, "acks");
    struct str broker_name = json_str(j, "brokerName");
    if (entries == NULL || entries->count == 0) {
        rem_reply(rq, RESP_NO_MESSAGE, NULL);
        return;
    }
    struct pop_ack *a = ack_new(rq);
    if (a == NULL)
        return;
    JSON_EACH(entry, entries)
    {
        struct pop_batch_ack e;
        if (!pop_batch_ack_read(rem_arena(rq), entry, broker_name, &e))
            a->failure = PUT_MESSAGE_ILLEGAL;
        else if (!ack_entry(bl, a, &e))
            a->failure = PUT_MESSAGE_ILLEGAL;
    }
    record_done(bl, a);
}

static const struct rem_op rows[] = {
    {REQ_ACK_MESSAGE, "ACK_MESSAGE", &ack_req_schema, handle_ack, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
    {REQ_BATCH_ACK_MESSAGE, "BATCH_ACK_MESSAGE", NULL, handle_batch_ack, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_NONE},
    {REQ_CHANGE_MESSAGE_INVISIBLETIME, "CHANGE_MESSAGE_INVISIBLETIME", &change_invisible_req_schema, handle_change,
     REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
};
const struct broker_ops pop_ack_ops = {rows, sizeof rows / sizeof rows[0]};
