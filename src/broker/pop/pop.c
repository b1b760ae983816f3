/*
 * Popping: the broker picks the queues and keeps the group's position. What a pop gives away it notes in a checkpoint
 * (pop_answer.c), and what is not acknowledged in time comes back by way of a retry topic (pop_revive.c).
 */
#include "broker/pop/pop.h"

#include "base/log.h"
#include "broker/pop/pop_wait.h"
#include "message/multi_dispatch.h"
#include "os/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { COLD_TRIES = 3, INIT_MIN = 0 };

struct str pop_attempt(const struct pop *p)
{
    return p->attempt ? str_from(p->attempt) : STR_NULL;
}

struct pop_loop *pop_loop_of(struct broker_loop *bl)
{
    return &bl->broker->pop->loops[net_loop_id(bl->loop)];
}

void pop_free(struct pop *p)
{
    if (p == NULL)
        return;
    message_filter_done(&p->filter);
    buf_free(&p->body);
    buf_free(&p->counts);
    free(p->attempt);
    free(p);
}

bool pop_stopped(const struct broker *b, struct pop_queue *q)
{
    return b->conf->enable_pop_threshold &&
           atomic_load_explicit(&q->inflight, memory_order_relaxed) > b->conf->pop_inflight_threshold;
}

void pop_count(struct broker *b, struct pop_group *g, enum pop_counter which, int64_t value)
{
    static const enum stats_name names[] = {
        [POP_GOT_NUMS] = STATS_GROUP_GET_NUMS,
        [POP_GOT_SIZE] = STATS_GROUP_GET_SIZE,
        [POP_CK_NUMS] = STATS_GROUP_CK_NUMS,
        [POP_ACK_NUMS] = STATS_GROUP_ACK_NUMS,
    };
    struct stats_item *i = atomic_load_explicit(&g->counters[which], memory_order_acquire);
    if (i == NULL) {
        char key[600];
        int n = snprintf(key, sizeof key, "%s@%s", g->topic.ptr, g->group.ptr);
        i = stats_item(b->stats, names[which], str_make(key, n < (int)sizeof key ? (size_t)n : sizeof key - 1));
        if (i == NULL)
            return;
        atomic_store_explicit(&g->counters[which], i, memory_order_release);
    }
    stats_add(i, value);
}

enum put_status pop_log_add(struct broker *b, struct store_batch *batch, int32_t revive_queue, struct msg *m,
                            void *user)
{
    struct store_msg put = {.m = *m, .queue = topic_queue(b->topics, b->pop->revive_topic, revive_queue)};
    if (put.queue == NULL)
        return PUT_UNKNOWN_ERROR;
    put.m.topic = b->pop->revive_topic->name;
    put.m.queue_id = revive_queue;
    put.m.born_host = put.m.store_host = b->store_host;
    put.tags_code = msg_tags_code(m->properties);
    return store_batch_add(batch, &put, user);
}

/* ---- where to begin ---- */

int64_t pop_initial_offset(struct broker *b, struct cq *q, enum pop_kind kind, int32_t init_mode)
{
    if (init_mode == INIT_MIN || kind != POP_NORMAL)
        return cq_min(q);
    if (b->conf->init_pop_offset_by_memory && broker_queue_young(b, q))
        return 0;
    return cq_max(q) > 0 ? cq_max(q) - 1 : 0;
}

static int64_t start_offset(struct broker *b, struct pop *p, struct pop_group *g, struct pop_queue *pq, struct cq *q)
{
    int64_t offset = offset_query(b->offsets, g->group, g->topic, pq->id);
    if (offset < 0) {
        offset = pop_initial_offset(b, q, g->kind, p->init_mode);
        offset_commit(b->offsets, g->group, g->topic, pq->id, offset);
    }
    if (offset_any_reset(b->offsets)) {
        int64_t reset = offset_take_reset(b->offsets, g->group, g->topic, pq->id);
        if (reset >= 0) {
            pthread_mutex_lock(&pq->lock);
            pop_order_clear(&pq->order);
            pq->next = reset;
            pthread_mutex_unlock(&pq->lock);
            atomic_fetch_add(&b->pop->order_changes, 1);
            offset_commit(b->offsets, g->group, g->topic, pq->id, reset);
            return reset;
        }
    }
    return p->order ? offset : pop_queue_start(pq, offset);
}

/* ---- taking messages ---- */

/* A message to try again is given out under the topic that the client asked for, with its handle inside. */
static void add_retry_record(struct broker *b, struct pop *p, enum pop_kind kind, int64_t start,
                             const struct msg_view *v)
{
    struct buf props = {0};
    struct msg m = v->m;
    struct pop_handle handle = {.start_offset = start,
                                .pop_time = p->pop_time,
                                .invisible_ms = p->invisible_ms,
                                .revive_queue = p->revive_queue,
                                .broker_name = str_from(b->conf->broker_name)};
    buf_add_str(&props, m.properties);
    if (props.len && props.data[props.len - 1] != 2)
        buf_add_byte(&props, 2);
    buf_add_lit(&props, MSG_PROP_POP_CK "\1");
    pop_handle_write(&props, &handle, kind, m.queue_id, m.queue_offset);
    buf_add_byte(&props, 2);
    m.topic = p->topic->name;
    if (buf_ok(&props) && props.len <= MSG_PROPERTIES_MAX)
        m.properties = buf_str(&props);
    uint8_t *at = buf_extend(&p->body, msg_record_size(&m));
    if (at) {
        msg_encode(at, &m);
        msg_patch(at, m.queue_offset, m.physical_offset, m.store_time);
    }
    buf_free(&props);
}

/* Where a message stands in the queue that is popped: one in a light message queue has another offset of its own. */
static int64_t offset_in(const struct pop_queue *pq, const struct msg_view *v)
{
    struct str topic = pq->group->topic;
    int64_t light = msg_is_lmq(topic) ? msg_multi_offset(v->m.topic, v->m.properties, topic) : -1;
    return light >= 0 ? light : v->m.queue_offset;
}

/* Copies what was found: the checkpoint has to be in the log before the answer goes out. */
static bool take(struct broker *b, struct pop *p, struct pop_queue *pq, int64_t start, const struct get_result *r)
{
    enum pop_kind kind = pq->group->kind;
    bool renamed = kind != POP_NORMAL && !b->conf->pop_actual_retry_topic;
    struct pop_part *part = &p->parts[p->part_count];
    *part = (struct pop_part){.queue = pq, .start = start, .body_at = p->body.len, .first = p->count};
    for (uint32_t i = 0; i < r->n_ranges; i++) {
        const struct store_range *range = &r->ranges[i];
        struct msg_view v;
        for (uint32_t at = 0; at < range->len && p->count < POP_MAX_MESSAGES; at += v.size) {
            if (msg_decode(range->map + at, range->len - at, &v) != MSG_OK)
                break;
            p->offset[p->count++] = offset_in(pq, &v);
            if (renamed)
                add_retry_record(b, p, kind, start, &v);
            else
                buf_add(&p->body, range->map + at, v.size);
        }
    }
    part->count = p->count - part->first;
    part->body_len = p->body.len - part->body_at;
    if (part->count == 0 || !buf_ok(&p->body)) {
        p->count = part->first;
        p->body.len = part->body_at;
        return false;
    }
    p->part_count++;
    pop_count(b, pq->group, POP_GOT_NUMS, part->count);
    pop_count(b, pq->group, POP_GOT_SIZE, (int64_t)part->body_len);
    return true;
}

static void skip_to(struct broker *b, struct pop *p, struct pop_queue *pq, int64_t next)
{
    if (p->order || pop_queue_skip(pq, next))
        offset_commit(b->offsets, pq->group->group, pq->group->topic, pq->id, next);
}

static void read_queue(struct broker *b, struct pop *p, struct cq *q, int64_t start, struct get_result *r)
{
    uint32_t bytes = (uint32_t)b->store_conf->maxTransferBytesOnMessageInMemory;
    store_get(b->store, q, start, p->max_count - p->count, bytes, message_filter_of(&p->filter), &p->filter,
              p->cold_tries >= COLD_TRIES, r);
}

static bool is_off(enum get_status s)
{
    return s == GET_OFFSET_TOO_SMALL || s == GET_OFFSET_OVERFLOW_BADLY || s == GET_OFFSET_FOUND_NULL;
}

/* Reads a queue that this loop has entered. True: messages were found and taken; *start is where they begin. */
static bool get(struct broker *b, struct pop *p, struct pop_queue *pq, struct cq *q, int64_t *start, int64_t *next)
{
    struct get_result r;
    read_queue(b, p, q, *start, &r);
    if (is_off(r.status)) {
        *start = r.next_offset;
        store_release(b->store, &r);
        skip_to(b, p, pq, *start);
        read_queue(b, p, q, *start, &r);
    }
    bool found = false;
    if (r.status == GET_COLD) {
        /* What the filter has refused up to the cold place is behind this pop. */
        if (r.next_offset > *start)
            skip_to(b, p, pq, r.next_offset);
        p->is_cold = true;
        p->cold.queue = q;
        p->cold.offset = r.next_offset > *start ? r.next_offset : *start;
    } else if (r.status == GET_FOUND) {
        found = take(b, p, pq, *start, &r);
        *next = r.next_offset;
    } else if ((r.status == GET_NO_MATCHED_MESSAGE || r.status == GET_MESSAGE_WAS_REMOVING) && r.next_offset > *start) {
        skip_to(b, p, pq, r.next_offset);
    }
    if (r.status != GET_COLD && r.next_offset >= 0 && r.max_offset > r.next_offset)
        p->rest += r.max_offset - r.next_offset;
    store_release(b->store, &r);
    return found;
}

static void pop_ordered(struct broker *b, struct pop *p, struct pop_queue *pq, struct cq *q, int64_t start)
{
    int64_t now = clock_wall_ms(), free_at, next;
    pthread_mutex_lock(&pq->lock);
    bool blocked = pop_order_blocked(&pq->order, pop_attempt(p), p->invisible_ms, now, &free_at);
    pthread_mutex_unlock(&pq->lock);
    if (blocked) {
        if (free_at < p->free_at)
            p->free_at = free_at;
        return;
    }
    atomic_store(&pq->inflight, 0);
    if (p->count >= p->max_count) {
        p->rest += cq_max(q) - start;
        return;
    }
    if (!get(b, p, pq, q, &start, &next))
        return;
    const struct pop_part *part = &p->parts[p->part_count - 1];
    pthread_mutex_lock(&pq->lock);
    pop_order_popped(&pq->order, pop_attempt(p), p->pop_time, p->invisible_ms, now, p->offset + part->first,
                     part->count);
    pop_order_counts(&pq->order, &p->counts, pq->group->kind, pq->id);
    pthread_mutex_unlock(&pq->lock);
    atomic_fetch_add(&b->pop->order_changes, 1);
    offset_commit(b->offsets, pq->group->group, pq->group->topic, pq->id, start);
}

static void pop_queue_once(struct broker_loop *bl, struct pop *p, struct topic *t, struct pop_group *g, int32_t id)
{
    struct broker *b = bl->broker;
    struct cq *q = topic_queue(b->topics, t, id);
    struct pop_queue *pq = q ? pop_group_queue(g, id, true) : NULL;
    if (pq == NULL || !pop_queue_enter(pq, net_loop_id(bl->loop)))
        return;
    int64_t start = start_offset(b, p, g, pq, q), next;
    if (p->order)
        pop_ordered(b, p, pq, q, start);
    else if (pop_stopped(b, pq) || p->count >= p->max_count)
        p->rest += cq_max(q) > start ? cq_max(q) - start : 0;
    else if (get(b, p, pq, q, &start, &next))
        pop_queue_put(pq, next);
    pop_wait_wake(b, p->group, pop_queue_leave(pq));
}

static void pop_topic(struct broker_loop *bl, struct pop *p, struct topic *t, struct pop_group *g)
{
    int queues = t ? atomic_load_explicit(&t->read_queues, memory_order_relaxed) : 0;
    for (int i = 0; i < queues; i++)
        pop_queue_once(bl, p, t, g, (int32_t)((p->random + (uint32_t)i) % (uint32_t)queues));
}

static void pop_retries(struct broker_loop *bl, struct pop *p)
{
    const struct broker_conf *conf = bl->broker->conf;
    bool second = conf->enable_retry_topic_v2 && !(conf->retrieve_from_retry_v1 && p->random % 2 == 0);
    struct pop_group *g = p->group->retry[second ? POP_RETRY_V2 : POP_RETRY_V1];
    struct topic *t = topic_find(bl->broker->topics, g->topic);
    if (t)
        pop_topic(bl, p, t, g);
}

/* ---- a run ---- */

static void warmed(struct net_loop *loop, struct cold_job *j)
{
    struct pop *p = LIST_ENTRY(j, struct pop, cold);
    if (net_ref_get(p->token.conn) == NULL)
        pop_free(p);
    else
        pop_run(broker_loop_of(p->broker, loop), p);
}

static void drop(struct cold_job *j)
{
    pop_free(LIST_ENTRY(j, struct pop, cold));
}

static void read_cold(struct broker_loop *bl, struct pop *p)
{
    p->cold_tries++;
    p->cold.loop = bl->loop;
    p->cold.max_count = p->max_count;
    p->cold.max_bytes = (uint32_t)bl->broker->store_conf->maxTransferBytesOnMessageInMemory;
    p->cold.filter = message_filter_of(&p->filter);
    p->cold.filter_arg = &p->filter;
    p->cold.filtered = p->filter.data != NULL;
    p->cold.warmed = warmed;
    p->cold.drop = drop;
    cold_read_submit(bl->broker->cold, &p->cold);
}

static void begin(struct broker_loop *bl, struct pop *p)
{
    struct broker *b = bl->broker;
    if (p->cold_tries == 0)
        p->random = broker_loop_random(bl) % 100;
    p->pop_time = clock_wall_ms();
    p->rest = 0;
    p->free_at = INT64_MAX;
    p->is_cold = false;
    p->count = p->part_count = p->done = 0;
    p->failure = PUT_OK;
    p->log_end = 0;
    buf_clear(&p->body);
    buf_clear(&p->counts);
    p->revive_queue =
        p->order ? POP_ORDER_QUEUE
                 : (int32_t)(atomic_fetch_add(&b->pop->next_revive_queue, 1) % (unsigned)b->conf->revive_queue_nums);
}

void pop_run(struct broker_loop *bl, struct pop *p)
{
    begin(bl, p);
    bool retries_first = p->random < (uint32_t)bl->broker->conf->pop_from_retry_probability;
    if (retries_first && !p->order)
        pop_retries(bl, p);
    if (p->queue_id < 0)
        pop_topic(bl, p, p->topic, p->group);
    else
        pop_queue_once(bl, p, p->topic, p->group, p->queue_id);
    if (!retries_first && !p->order && p->count < p->max_count)
        pop_retries(bl, p);
    if (p->count > 0) {
        p->cold_tries = 0;
        pop_checkpoint_parts(bl, p);
        return;
    }
    if (p->is_cold) {
        read_cold(bl, p);
        return;
    }
    p->cold_tries = 0;
    switch (pop_wait_hold(bl, p)) {
    case POP_HELD:
        return;
    case POP_HOLD_FULL:
        pop_answer_empty(bl, p, RESP_POLLING_FULL);
        return;
    case POP_HOLD_TIMEOUT:
        pop_answer_empty(bl, p, RESP_POLLING_TIMEOUT);
        return;
    }
}
