/*
 * Event loops: one thread each, epoll, timers, an inbox for other threads, and hooks at the end of each round.
 * A round: socket events, inbox, timers, hooks (where the work gathered in the round is done at once, such as one
 * append of all messages received), then every connection with output is written.
 *
 * Ownership: whoever creates a loop destroys it after its thread ended. Timers and tasks are memory of the caller.
 * Threads: net_loop_post*, net_loop_stop and net_loop_id from any thread; all else on the thread that runs the loop's
 * round (or before it runs). That is the loop's own thread, or, for tasks posted with net_loop_post_near while the loop
 * slept, the thread that posted: a lock that is free in all other cases keeps rounds apart.
 */
#ifndef CROCKET_NET_LOOP_H
#define CROCKET_NET_LOOP_H

#include "base/err.h"
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

enum { NET_MAX_LOOPS = 64 };

struct net_loop;

/* Work handed to a loop. The memory stays the poster's until fn runs; fn may free it. */
struct net_task {
    struct net_task *next;
    void (*fn)(struct net_loop *loop, struct net_task *task);
};

struct net_timer {
    int64_t due_ms;    /* monotonic */
    size_t heap_index; /* 0 = not set */
    void (*fn)(struct net_loop *loop, struct net_timer *timer);
};

struct net_hook {
    struct list node;
    void (*fn)(struct net_loop *loop, struct net_hook *hook);
};

struct net_loop *net_loop_new(unsigned id, struct err *err);
void net_loop_free(struct net_loop *l);
void net_loop_run(struct net_loop *l); /* until net_loop_stop */
/* One round on this thread; wait false: only what is there already. Instead of net_loop_run. */
void net_loop_round(struct net_loop *l, bool wait);
void net_loop_stop(struct net_loop *l);
unsigned net_loop_id(const struct net_loop *l);
struct net_loop *net_loop_current(void); /* the loop whose round this thread runs, or NULL */

void net_loop_post(struct net_loop *l, struct net_task *t);
/* The same for short work. When the loop sleeps and the poster has little else to do, the poster runs it at the end of
 * its own round (if it is no loop's thread: at once) in a round of the sleeping loop, since waking a thread costs more
 * than the work. fn must not free anything that the loop's epoll knows. */
void net_loop_post_near(struct net_loop *l, struct net_task *t);
/* Sets or moves the timer; it fires once. */
void net_timer_set(struct net_loop *l, struct net_timer *t, int64_t delay_ms);
void net_timer_cancel(struct net_loop *l, struct net_timer *t);
int64_t net_loop_now_ms(const struct net_loop *l); /* monotonic, as of the start of the round */
void net_loop_hook(struct net_loop *l, struct net_hook *h);
/* Asks for another round without sleeping: a hook left work. */
void net_loop_again(struct net_loop *l);

/* A started set of loops, one thread each. */
struct net_pool {
    unsigned count;
    struct net_loop *loops[NET_MAX_LOOPS];
    uintptr_t threads[NET_MAX_LOOPS];
};
int net_pool_init(struct net_pool *p, unsigned count, struct err *err);
int net_pool_start(struct net_pool *p, struct err *err);
/* Stops and joins the threads, then runs what is left in the inboxes and closes all connections: the protocols' owners
 * must still be there. */
void net_pool_stop(struct net_pool *p);
/* After net_pool_stop: runs what other threads have posted since. For who frees what their tasks point to. */
void net_pool_run_posted(struct net_pool *p);
void net_pool_free(struct net_pool *p);

#endif
