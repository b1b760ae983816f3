/*
 * Pulling: requests 11 and 361. A pull that finds nothing waits on its queue until a message arrives or its time is up;
 * one that needs data which is not in memory goes to the cold reader and comes back. Checks are in pull_check.c.
 */
#include "broker/pull/pull.h"

#include "broker/pop/pop_wait.h"
#include "os/clock.h"
#include <stdlib.h>

enum {
    COPY_MAX = 64 * 1024, /* up to here copying a range costs less than a sendfile for it */
    COLD_TRIES = 3,
    FILTER_TURNS =
        16, /* so often a pull looks at maxFilterMessageSize / 20 entries before the client has to ask again */
};

/* The pops of a group that wait for arrivals in a queue. */
struct pop_link {
    struct pop_link *next;
    struct pop_hold *hold;
};

/* The pulls and pops of one loop that wait on one queue. */
struct queue_wait {
    struct net_task task; /* "messages arrived", posted once until it ran */
    atomic_bool posted;
    struct list held;
    struct pop_link *pops;
    struct cq *queue;
    struct broker *broker;
};

/* What cq_user points to. */
struct queue_waits {
    unsigned count;
    struct queue_wait loop[];
};

/* ---- answers ---- */

struct range_pin {
    struct range_pin *next;
    struct broker_loop *bl;
    struct store_range range;
};

static void unpin(void *arg)
{
    struct range_pin *pin = arg;
    store_range_release(&pin->range);
    pin->next = pin->bl->free_pins;
    pin->bl->free_pins = pin;
}

static struct range_pin *pin_range(struct broker_loop *bl, const struct store_range *r)
{
    struct range_pin *pin = bl->free_pins;
    if (pin)
        bl->free_pins = pin->next;
    else if ((pin = malloc(sizeof *pin)) == NULL)
        return NULL;
    pin->bl = bl;
    pin->range = *r;
    store_range_retain(&pin->range);
    return pin;
}

static void write_header(struct rem_frame *f, const struct pull *p, int64_t next, const struct get_result *r)
{
    rem_frame_i64(f, "suggestWhichBrokerId", p->suggest_broker);
    rem_frame_i64(f, "nextBeginOffset", next);
    rem_frame_i64(f, "minOffset", r->min_offset);
    rem_frame_i64(f, "maxOffset", r->max_offset);
    rem_frame_i64(f, "topicSysFlag", atomic_load_explicit(&p->topic->sys_flag, memory_order_relaxed));
    rem_frame_i64(f, "groupSysFlag", p->group_sys_flag);
}

static void answer_empty(struct pull *p, int32_t code, const char *remark, int64_t next, const struct get_result *r)
{
    struct rem_frame f;
    if (!rem_token_begin(&p->token, &f, code))
        return;
    write_header(&f, p, next, r);
    rem_token_end(&p->token, &f, str_from(remark), STR_NULL);
}

static void answer_found(struct broker_loop *bl, struct pull *p, struct get_result *r)
{
    struct rem_frame f;
    if (!rem_token_begin(&p->token, &f, RESP_SUCCESS))
        return;
    write_header(&f, p, r->next_offset, r);
    rem_token_header_end(&p->token, &f, STR_LIT("FOUND"));
    rem_token_finish(&p->token, &f, r->bytes);
    /* The messages of one queue mostly lie apart in the log: short ranges are copied, since a system call for each
     * would cost far more than the copy, and leave as many small packets. */
    struct net_conn *c = net_ref_get(p->token.conn);
    for (uint32_t i = 0; i < r->n_ranges; i++) {
        const struct store_range *range = &r->ranges[i];
        if (range->len <= COPY_MAX && range->map) {
            buf_add(f.out, range->map, range->len);
            continue;
        }
        struct range_pin *pin = pin_range(bl, range);
        if (pin == NULL) {
            net_conn_close(c, "out of memory");
            return;
        }
        net_conn_send_file(c, range->fd, range->offset, range->len, unpin, pin);
    }
    stats_add(bl->gets, r->count);
    pull_count(bl->broker, p, r->count, r->bytes);
}

/* ---- waiting ---- */

static struct queue_wait *wait_of(struct broker_loop *bl, struct cq *q)
{
    _Atomic(void *) *user = (_Atomic(void *) *)(void *)cq_user(q);
    struct queue_waits *w = atomic_load(user);
    if (w == NULL) {
        unsigned count = bl->broker->pool->count;
        w = calloc(1, sizeof *w + count * sizeof w->loop[0]);
        if (w == NULL)
            return NULL;
        w->count = count;
        for (unsigned i = 0; i < count; i++) {
            w->loop[i].task.fn = pull_wake_task;
            list_init(&w->loop[i].held);
            w->loop[i].queue = q;
            w->loop[i].broker = bl->broker;
        }
        void *none = NULL;
        if (!atomic_compare_exchange_strong(user, &none, w)) {
            free(w);
            w = none;
        }
    }
    return &w->loop[net_loop_id(bl->loop)];
}

bool pull_link_pops(struct broker_loop *bl, struct cq *q, struct pop_hold *hold)
{
    struct queue_wait *w = wait_of(bl, q);
    if (w == NULL)
        return false;
    for (struct pop_link *l = w->pops; l; l = l->next)
        if (l->hold == hold)
            return true;
    struct pop_link *l = malloc(sizeof *l);
    if (l == NULL)
        return false;
    *l = (struct pop_link){w->pops, hold};
    w->pops = l;
    return true;
}

static void free_waiting(struct queue_wait *w)
{
    for (struct list *n; (n = list_pop(&w->held));)
        pull_free(LIST_ENTRY(n, struct pull, node));
    while (w->pops) {
        struct pop_link *l = w->pops;
        w->pops = l->next;
        pop_wait_drop(l->hold);
        free(l);
    }
}

void pull_free_queue(struct cq *q)
{
    struct queue_waits *w = *cq_user(q);
    for (unsigned i = 0; w && i < w->count; i++)
        free_waiting(&w->loop[i]);
    free(w);
    *cq_user(q) = NULL;
}

static void stop_waiting(struct broker_loop *bl, struct pull *p)
{
    list_del(&p->node);
    net_timer_cancel(bl->loop, &p->timer);
    bl->held_pulls--;
}

static void hold(struct broker_loop *bl, struct pull *p, const struct get_result *r);

static void run(struct broker_loop *bl, struct pull *p);

/* Again, after other work of the loop. */
void pull_run_again(struct net_loop *loop, struct pull *p)
{
    struct broker_loop *bl = broker_loop_of(p->broker, loop);
    if (net_ref_get(p->token.conn) == NULL)
        pull_free(p);
    else
        run(bl, p);
}

static void warmed(struct net_loop *loop, struct cold_job *j)
{
    pull_run_again(loop, LIST_ENTRY(j, struct pull, cold));
}

static void drop(struct cold_job *j)
{
    pull_free(LIST_ENTRY(j, struct pull, cold));
}

static void read_cold(struct broker_loop *bl, struct pull *p)
{
    p->cold = (struct cold_job){
        .loop = bl->loop,
        .queue = p->queue,
        .offset = p->offset,
        .max_count = p->max_count,
        .max_bytes = p->max_bytes,
        .filter = message_filter_of(&p->filter),
        .filter_arg = &p->filter,
        .filtered = p->filter.data != NULL,
        .warmed = warmed,
        .drop = drop,
    };
    cold_read_submit(bl->broker->cold, &p->cold);
}

/* Reads and answers, or holds, or sends to the cold reader. Takes p. Returns bytes answered. */
static int64_t read_now(struct broker_loop *bl, struct pull *p)
{
    struct get_result r;
    store_get(bl->broker->store, p->queue, p->offset, p->max_count, p->max_bytes, message_filter_of(&p->filter),
              &p->filter, p->cold_tries >= COLD_TRIES, &r);
    if (r.status == GET_COLD) {
        store_release(bl->broker->store, &r);
        /* What the filter has refused up to the cold place is behind this pull. */
        if (r.next_offset > p->offset)
            p->cold_tries = 0;
        p->offset = r.next_offset;
        p->cold_tries++;
        read_cold(bl, p);
        return 0;
    }
    if (r.status == GET_FOUND) {
        int64_t bytes = r.bytes;
        answer_found(bl, p, &r);
        store_release(bl->broker->store, &r);
        pull_free(p);
        return bytes;
    }
    store_release(bl->broker->store, &r);
    hold(bl, p, &r);
    return 0;
}

static void run(struct broker_loop *bl, struct pull *p)
{
    if (!catch_up_is(p)) {
        read_now(bl, p);
        return;
    }
    if (catch_up_waits(bl, p))
        return;
    int64_t began = clock_mono_ns();
    int64_t given = read_now(bl, p);
    catch_up_spent(bl, clock_mono_ns() - began, given);
}

/* Status without messages: what the client is told. */
static void answer_not_found(struct pull *p, const struct get_result *r)
{
    static const struct {
        int32_t code;
        const char *remark;
    } by_status[] = {
        [GET_NO_MATCHED_MESSAGE] = {RESP_PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE"},
        [GET_MESSAGE_WAS_REMOVING] = {RESP_PULL_RETRY_IMMEDIATELY, "MESSAGE_WAS_REMOVING"},
        [GET_OFFSET_FOUND_NULL] = {RESP_PULL_NOT_FOUND, "OFFSET_FOUND_NULL"},
        [GET_OFFSET_OVERFLOW_BADLY] = {RESP_PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY"},
        [GET_OFFSET_OVERFLOW_ONE] = {RESP_PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"},
        [GET_OFFSET_TOO_SMALL] = {RESP_PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL"},
        [GET_NO_MATCHED_LOGIC_QUEUE] = {RESP_PULL_NOT_FOUND, "NO_MATCHED_LOGIC_QUEUE"},
        [GET_NO_MESSAGE_IN_QUEUE] = {RESP_PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE"},
    };
    int32_t code = by_status[r->status].code;
    if ((r->status == GET_NO_MATCHED_LOGIC_QUEUE || r->status == GET_NO_MESSAGE_IN_QUEUE) && p->first_offset != 0)
        code = RESP_PULL_OFFSET_MOVED;
    /* A held pull passed entries that its filter refused: the client may go on behind them. */
    if (code == RESP_PULL_NOT_FOUND && p->offset > p->first_offset)
        code = RESP_PULL_RETRY_IMMEDIATELY;
    answer_empty(p, code, by_status[r->status].remark, r->next_offset, r);
}

static void timed_out(struct net_loop *loop, struct net_timer *t)
{
    struct pull *p = LIST_ENTRY(t, struct pull, timer);
    struct broker_loop *bl = broker_loop_of(p->broker, loop);
    stop_waiting(bl, p);
    p->hold_ms = 0;
    run(bl, p);
}

static bool waits_for_messages(const struct pull *p, const struct get_result *r)
{
    if (r->status == GET_OFFSET_OVERFLOW_ONE || r->status == GET_OFFSET_FOUND_NULL)
        return true;
    if (r->status == GET_NO_MATCHED_MESSAGE)
        return p->woken && r->next_offset >= r->max_offset;
    return (r->status == GET_NO_MESSAGE_IN_QUEUE || r->status == GET_NO_MATCHED_LOGIC_QUEUE) && p->first_offset == 0;
}

static void go_on(struct net_loop *loop, struct net_task *task)
{
    pull_run_again(loop, LIST_ENTRY(task, struct pull, task));
}

/* A filter that finds nothing in one turn looks further in the next round of the loop, after what others want: asking
 * again would cost the client more than the search. */
static bool filters_on(struct broker_loop *bl, struct pull *p, const struct get_result *r)
{
    if (r->status != GET_NO_MATCHED_MESSAGE || r->next_offset >= r->max_offset || p->filter_turns == FILTER_TURNS)
        return false;
    p->filter_turns++;
    p->offset = r->next_offset;
    p->task.fn = go_on;
    net_loop_post(bl->loop, &p->task);
    return true;
}

static void hold(struct broker_loop *bl, struct pull *p, const struct get_result *r)
{
    if (filters_on(bl, p, r))
        return;
    struct queue_wait *w = p->hold_ms > 0 && waits_for_messages(p, r) ? wait_of(bl, p->queue) : NULL;
    if (w == NULL) {
        answer_not_found(p, r);
        pull_free(p);
        return;
    }
    if (r->status == GET_NO_MATCHED_MESSAGE)
        p->offset = r->next_offset;
    int64_t left = p->hold_ms;
    if (p->deadline_ms == 0)
        p->deadline_ms = net_loop_now_ms(bl->loop) + p->hold_ms;
    else
        left = p->deadline_ms - net_loop_now_ms(bl->loop);
    p->timer.fn = timed_out;
    net_timer_set(bl->loop, &p->timer, left > 0 ? left : 0);
    list_add_tail(&w->held, &p->node);
    bl->held_pulls++;
    store_queue_wait(p->queue, net_loop_id(bl->loop));
    /* A message that became visible before the bit was set wakes nobody: look again. */
    if (cq_max(p->queue) > p->offset)
        pull_arrived(bl->broker, p->queue, UINT64_C(1) << net_loop_id(bl->loop));
}

void pull_wake_task(struct net_loop *loop, struct net_task *task)
{
    struct queue_wait *w = LIST_ENTRY(task, struct queue_wait, task);
    struct broker_loop *bl = broker_loop_of(w->broker, loop);
    atomic_store(&w->posted, false);
    struct list ready;
    list_init(&ready);
    catch_up_new(bl);
    int64_t max = cq_max(w->queue);
    bool stay = false;
    for (struct list *n = w->held.next, *next; n != &w->held; n = next) {
        next = n->next;
        struct pull *p = LIST_ENTRY(n, struct pull, node);
        if (p->offset >= max) {
            stay = true;
            continue;
        }
        stop_waiting(bl, p);
        list_add_tail(&ready, &p->node);
    }
    if (stay) {
        store_queue_wait(w->queue, net_loop_id(loop));
        if (cq_max(w->queue) > max)
            pull_arrived(bl->broker, w->queue, UINT64_C(1) << net_loop_id(loop));
    }
    for (struct list *n; (n = list_pop(&ready));) {
        struct pull *p = LIST_ENTRY(n, struct pull, node);
        if (net_ref_get(p->token.conn) == NULL) {
            pull_free(p);
            continue;
        }
        p->woken = true;
        run(bl, p);
    }
    for (struct pop_link *l = w->pops; l; l = l->next)
        pop_wait_arrived(bl, l->hold);
}

void pull_arrived(struct broker *b, struct cq *q, uint64_t loops)
{
    struct queue_waits *w = atomic_load((_Atomic(void *) *)(void *)cq_user(q));
    for (; w && loops; loops &= loops - 1) {
        unsigned i = (unsigned)__builtin_ctzll(loops);
        if (i >= w->count || atomic_exchange(&w->loop[i].posted, true))
            continue;
        /* The flusher tells of all that became durable at once: that is not for it to deliver. */
        if (net_loop_current())
            net_loop_post_near(b->pool->loops[i], &w->loop[i].task);
        else
            net_loop_post(b->pool->loops[i], &w->loop[i].task);
    }
}

/* ---- requests ---- */

static void handle_pull(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct broker_loop *bl = broker_loop_of(b, rem_loop(rq));
    struct pull *p = pull_check(rq, bl, header);
    if (p)
        run(bl, p);
}

static const struct rem_op rows[] = {
    {REQ_PULL_MESSAGE, "PULL_MESSAGE", &pull_req_schema, handle_pull, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
    {REQ_LITE_PULL_MESSAGE, "LITE_PULL_MESSAGE", &pull_req_schema, handle_pull, REM_LANE_LOOP, REM_ACT_SUB,
     REM_RES_TOPIC},
};
const struct broker_ops pull_ops = {rows, sizeof rows / sizeof rows[0]};
