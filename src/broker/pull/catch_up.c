#include "broker/pull/catch_up.h"

#include "broker/pull/pull.h"

enum {
    BEHIND = 4096,    /* messages: whoever is further behind the queue's end catches up */
    TURN_MS = 10,     /* a new message waits behind what one turn allows at most */
    NEW_FOR_MS = 100, /* without anything new for so long, old messages get all the time there is */
    SEND_FACTOR = 2,  /* sending the answer takes about as long as making it */
};

void catch_up_init(struct broker_loop *bl)
{
    list_init(&bl->catch_up.waiting);
}

void catch_up_free(struct broker_loop *bl)
{
    net_timer_cancel(bl->loop, &bl->catch_up.timer);
    for (struct list *n; (n = list_pop(&bl->catch_up.waiting));)
        pull_free(LIST_ENTRY(n, struct pull, node));
}

/* Begins the next turn when this one is over. */
static void turn(struct broker_loop *bl)
{
    struct catch_up *c = &bl->catch_up;
    int64_t now = net_loop_now_ms(bl->loop);
    if (now - c->turn_ms < TURN_MS)
        return;
    c->log_end_before = c->log_end;
    c->log_end = store_log_end(bl->broker->store);
    c->turn_ms = now;
    c->spent_ns = c->given = 0;
}

void catch_up_new(struct broker_loop *bl)
{
    bl->catch_up.new_ms = net_loop_now_ms(bl->loop);
}

bool catch_up_is(const struct pull *p)
{
    return p->offset >= 0 && cq_max(p->queue) - p->offset > BEHIND;
}

static bool has_time(struct broker_loop *bl)
{
    struct catch_up *c = &bl->catch_up;
    int64_t share = bl->broker->conf->catch_up_share;
    return share >= 100 || net_loop_now_ms(bl->loop) - c->new_ms > NEW_FOR_MS ||
           c->spent_ns < TURN_MS * share * 10000 /* 1 % of a ms is 10,000 ns */ ||
           c->given < store_log_end(bl->broker->store) - c->log_end_before;
}

static void next_turn(struct net_loop *loop, struct net_timer *t)
{
    struct broker_loop *bl = LIST_ENTRY(t, struct broker_loop, catch_up.timer);
    struct list due;
    turn(bl);
    list_init(&due);
    for (struct list *n; (n = list_pop(&bl->catch_up.waiting));)
        list_add_tail(&due, n);
    /* Those for whom the turn is too short wait again, in their order. */
    for (struct list *n; (n = list_pop(&due));)
        pull_run_again(loop, LIST_ENTRY(n, struct pull, node));
}

bool catch_up_waits(struct broker_loop *bl, struct pull *p)
{
    struct catch_up *c = &bl->catch_up;
    turn(bl);
    if (has_time(bl))
        return false;
    if (list_empty(&c->waiting)) {
        c->timer.fn = next_turn;
        net_timer_set(bl->loop, &c->timer, c->turn_ms + TURN_MS - net_loop_now_ms(bl->loop));
    }
    list_add_tail(&c->waiting, &p->node);
    atomic_fetch_add_explicit(&c->waits, 1, memory_order_relaxed);
    return true;
}

void catch_up_spent(struct broker_loop *bl, int64_t ns, int64_t given)
{
    bl->catch_up.spent_ns += ns * SEND_FACTOR;
    bl->catch_up.given += given;
}
