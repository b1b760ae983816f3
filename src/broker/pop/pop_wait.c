#include "broker/pop/pop_wait.h"

#include "broker/pop/pop.h"
#include "os/clock.h"
#include <stdlib.h>

enum {
    EARLY_MS = 50,    /* a pop is given up so long before its time is over */
    IN_VAIN_MAX = 3,  /* wake-ups by itself before a hold ... */
    IN_VAIN_MS = 100, /* ... takes a rest */
};

static void run_hold(struct broker_loop *bl, struct pop_hold *h);

static void woken(struct net_loop *loop, struct net_task *task)
{
    struct pop_hold *h = LIST_ENTRY(task, struct pop_hold, task);
    atomic_store(&h->posted, false);
    run_hold(broker_loop_of(h->broker, loop), h);
}

struct pop_hold *pop_holds_new(struct broker *b, struct pop_group *g, unsigned loops)
{
    struct pop_hold *holds = calloc(loops, sizeof *holds);
    for (unsigned i = 0; holds && i < loops; i++) {
        holds[i].broker = b;
        holds[i].group = g;
        holds[i].task.fn = woken;
        list_init(&holds[i].pops);
        list_init(&holds[i].notices);
    }
    return holds;
}

static void free_list(struct list *held)
{
    for (struct list *n; (n = list_pop(held));)
        pop_free(LIST_ENTRY(n, struct pop, node));
}

void pop_holds_free(struct pop_hold *holds)
{
    free(holds);
}

void pop_wait_drop(struct pop_hold *h)
{
    free_list(&h->pops);
    free_list(&h->notices);
    free(h->linked);
    h->linked = NULL;
    h->linked_count = 0;
}

void pop_wait_wake(struct broker *b, struct pop_group *g, uint64_t loops)
{
    for (; loops; loops &= loops - 1) {
        unsigned i = (unsigned)__builtin_ctzll(loops);
        struct pop_hold *h = &g->holds[i];
        if (atomic_exchange(&h->posted, true))
            continue;
        net_loop_post(b->pool->loops[i], &h->task);
    }
}

void pop_wait_wake_all(struct broker *b, struct pop_group *g)
{
    pop_wait_wake(b, g, b->pool->count >= 64 ? UINT64_MAX : (UINT64_C(1) << b->pool->count) - 1);
}

void pop_wait_arrived(struct broker_loop *bl, struct pop_hold *h)
{
    h->in_vain = 0;
    run_hold(bl, h);
}

/* ---- is there anything ---- */

static bool queue_ready(struct broker_loop *bl, const struct pop *p, struct topic *t, struct pop_group *g, int32_t id,
                        int64_t *free_at)
{
    struct broker *b = bl->broker;
    struct cq *q = topic_queue(b->topics, t, id);
    struct pop_queue *pq = q ? pop_group_queue(g, id, true) : NULL;
    if (pq == NULL || pop_queue_busy(pq, net_loop_id(bl->loop)))
        return false;
    int64_t offset = offset_query(b->offsets, g->group, g->topic, id), until = INT64_MAX;
    if (offset < 0)
        offset = cq_min(q);
    if (!p->order)
        return cq_max(q) > pop_queue_start(pq, offset) && !pop_stopped(b, pq);
    pthread_mutex_lock(&pq->lock);
    bool blocked = pop_order_blocked(&pq->order, pop_attempt(p), p->invisible_ms, clock_wall_ms(), &until);
    pthread_mutex_unlock(&pq->lock);
    if (blocked && free_at && until < *free_at)
        *free_at = until;
    return !blocked && cq_max(q) > offset;
}

static bool topic_ready(struct broker_loop *bl, const struct pop *p, struct topic *t, struct pop_group *g,
                        int64_t *free_at)
{
    int queues = t ? atomic_load_explicit(&t->read_queues, memory_order_relaxed) : 0;
    for (int i = 0; i < queues; i++)
        if (queue_ready(bl, p, t, g, i, free_at))
            return true;
    return false;
}

bool pop_wait_ready(struct broker_loop *bl, const struct pop *p, int64_t *free_at)
{
    struct broker *b = bl->broker;
    if (p->queue_id >= 0 ? queue_ready(bl, p, p->topic, p->group, p->queue_id, free_at)
                         : topic_ready(bl, p, p->topic, p->group, free_at))
        return true;
    for (int kind = POP_RETRY_V1; kind <= POP_RETRY_V2 && !(p->order && !p->notice); kind++) {
        struct pop_group *g = p->group->retry[kind];
        bool popped = kind == POP_RETRY_V2 ? b->conf->enable_retry_topic_v2
                                           : !b->conf->enable_retry_topic_v2 || b->conf->retrieve_from_retry_v1;
        struct topic *t = popped ? topic_find(b->topics, g->topic) : NULL;
        if (t && topic_ready(bl, p, t, g, free_at))
            return true;
    }
    return false;
}

/* ---- holding ---- */

static atomic_int *waiting_counter(const struct pop *p)
{
    if (p->queue_id < 0)
        return &p->group->waiting;
    struct pop_queue *q = pop_group_queue(p->group, p->queue_id, true);
    return q ? &q->waiting : &p->group->waiting;
}

static void stop_waiting(struct broker_loop *bl, struct pop *p)
{
    list_del(&p->node);
    net_timer_cancel(bl->loop, &p->timer);
    atomic_fetch_sub(&bl->broker->pop->waiting, 1);
    if (!p->notice)
        atomic_fetch_sub(waiting_counter(p), 1);
}

static void answer_notice(struct pop *p, bool has, bool full)
{
    struct rem_frame f;
    if (rem_token_begin(&p->token, &f, RESP_SUCCESS)) {
        rem_frame_bool(&f, "hasMsg", has);
        rem_frame_bool(&f, "pollingFull", full);
        rem_token_end(&p->token, &f, STR_NULL, STR_NULL);
    }
    pop_free(p);
}

static void timed_out(struct net_loop *loop, struct net_timer *t)
{
    struct pop *p = LIST_ENTRY(t, struct pop, timer);
    struct broker_loop *bl = broker_loop_of(p->broker, loop);
    stop_waiting(bl, p);
    if (net_ref_get(p->token.conn) == NULL)
        pop_free(p);
    else if (!p->notice)
        pop_run(bl, p);
    else if (pop_wait_ready(bl, p, NULL))
        answer_notice(p, true, false);
    else if (pop_wait_hold(bl, p) != POP_HELD)
        answer_notice(p, false, false);
}

static bool link_queue(struct broker_loop *bl, struct pop_hold *h, int32_t id, struct cq *q)
{
    if (id >= h->linked_count) {
        int32_t want = id + 8;
        struct cq **grown = realloc(h->linked, (size_t)want * sizeof(struct cq *));
        if (grown == NULL)
            return false;
        memset(grown + h->linked_count, 0, (size_t)(want - h->linked_count) * sizeof(struct cq *));
        h->linked = grown;
        h->linked_count = want;
    }
    if (h->linked[id] != q && pull_link_pops(bl, q, h))
        h->linked[id] = q;
    return h->linked[id] == q;
}

/* Arrivals in the queues of p wake h. */
static void arm(struct broker_loop *bl, struct pop_hold *h, const struct pop *p)
{
    int32_t first = p->queue_id < 0 ? 0 : p->queue_id;
    int32_t end = p->queue_id < 0 ? atomic_load_explicit(&p->topic->read_queues, memory_order_relaxed) : first + 1;
    for (int32_t id = first; id < end; id++) {
        struct cq *q = topic_queue(bl->broker->topics, p->topic, id);
        if (q && link_queue(bl, h, id, q))
            store_queue_wait(q, net_loop_id(bl->loop));
    }
}

enum pop_held pop_wait_hold(struct broker_loop *bl, struct pop *p)
{
    struct broker *b = bl->broker;
    struct pop_hold *h = &p->group->holds[net_loop_id(bl->loop)];
    int64_t now = clock_wall_ms(), left = p->expires - EARLY_MS - now, free_at = p->free_at;
    if (left <= 0)
        return POP_HOLD_TIMEOUT;
    if (atomic_load(&b->pop->waiting) >= b->conf->max_pop_polling_size ||
        (!p->notice && atomic_load(waiting_counter(p)) > b->conf->pop_polling_size))
        return POP_HOLD_FULL;
    list_add_tail(p->notice ? &h->notices : &h->pops, &p->node);
    atomic_fetch_add(&b->pop->waiting, 1);
    if (!p->notice)
        atomic_fetch_add(waiting_counter(p), 1);
    arm(bl, h, p);
    /* What became visible before that wakes nobody: look again. */
    if (pop_wait_ready(bl, p, &free_at)) {
        if (h->in_vain++ < IN_VAIN_MAX)
            pop_wait_wake(b, p->group, UINT64_C(1) << net_loop_id(bl->loop));
        else if (left > IN_VAIN_MS)
            left = IN_VAIN_MS;
    }
    if (free_at - now < left)
        left = free_at > now ? free_at - now : 1;
    p->timer.fn = timed_out;
    net_timer_set(bl->loop, &p->timer, left);
    return POP_HELD;
}

/* ---- waking ---- */

static void wake_notices(struct broker_loop *bl, struct pop_hold *h)
{
    /* The newest first: the older a notification, the less time it has left for the pop that follows. */
    for (struct list *n = h->notices.prev, *before; n != &h->notices; n = before) {
        before = n->prev;
        struct pop *p = LIST_ENTRY(n, struct pop, node);
        if (net_ref_get(p->token.conn) == NULL) {
            stop_waiting(bl, p);
            pop_free(p);
            continue;
        }
        arm(bl, h, p);
        if (pop_wait_ready(bl, p, NULL)) {
            stop_waiting(bl, p);
            answer_notice(p, true, false);
        }
    }
}

static void run_hold(struct broker_loop *bl, struct pop_hold *h)
{
    struct list all;
    bool none = false; /* nothing for pops of all queues */
    wake_notices(bl, h);
    list_init(&all);
    for (struct list *n; (n = list_pop(&h->pops));)
        list_add_tail(&all, n);
    for (struct list *n; (n = list_pop(&all));) {
        struct pop *p = LIST_ENTRY(n, struct pop, node);
        if (net_ref_get(p->token.conn) == NULL) {
            stop_waiting(bl, p);
            pop_free(p);
            continue;
        }
        bool ready = false;
        if (!(none && p->queue_id < 0 && !p->order)) {
            arm(bl, h, p);
            ready = pop_wait_ready(bl, p, NULL);
            none |= !ready && p->queue_id < 0 && !p->order;
        }
        if (ready) {
            stop_waiting(bl, p);
            pop_run(bl, p);
        } else {
            list_add_tail(&h->pops, n);
        }
    }
}

/* ---- notifications ---- */

void pop_notify(struct broker_loop *bl, struct pop *p)
{
    if (pop_wait_ready(bl, p, &p->free_at)) {
        answer_notice(p, true, false);
        return;
    }
    enum pop_held held = pop_wait_hold(bl, p);
    if (held != POP_HELD)
        answer_notice(p, false, held == POP_HOLD_FULL);
}
