/*
 * Pops and notifications that wait for messages: each loop holds its own. They wake when a message arrives in a queue
 * of their topic, when one is revived, when another loop leaves a queue, and when an ordered queue is free again.
 *
 * Ownership: the holds belong to the pop_group; what waits is given back to pop_run or answered. Threads: the loop's,
 * except pop_wait_wake and pop_wait_wake_all.
 */
#ifndef CROCKET_BROKER_POP_POP_WAIT_H
#define CROCKET_BROKER_POP_POP_WAIT_H

#include "net/loop.h"
#include <stdatomic.h>

struct broker;
struct broker_loop;
struct cq;
struct pop;
struct pop_group;

struct pop_hold {
    struct pop_group *group;
    struct broker *broker;
    struct net_task task;
    atomic_bool posted;
    struct list pops, notices;
    struct cq **linked; /* queues whose arrivals wake this, by queue id */
    int32_t linked_count;
    uint32_t in_vain; /* wake-ups by itself that found nothing */
};

struct pop_hold *pop_holds_new(struct broker *b, struct pop_group *g, unsigned loops);
void pop_holds_free(struct pop_hold *holds);

enum pop_held { POP_HELD, POP_HOLD_FULL, POP_HOLD_TIMEOUT };
/* POP_HELD: took p. */
enum pop_held pop_wait_hold(struct broker_loop *bl, struct pop *p);
/* Answers, or holds until there is something. Takes p, a notification. */
void pop_notify(struct broker_loop *bl, struct pop *p);
/* A pop of this would get something now. *free_at (may be NULL): when an ordered queue is free, if that is sooner. */
bool pop_wait_ready(struct broker_loop *bl, const struct pop *p, int64_t *free_at);

/* Any thread. loops: bits. g: of a normal topic. */
void pop_wait_wake(struct broker *b, struct pop_group *g, uint64_t loops);
void pop_wait_wake_all(struct broker *b, struct pop_group *g);
/* pull.c, when messages arrived in a queue that a hold is linked to. */
void pop_wait_arrived(struct broker_loop *bl, struct pop_hold *h);
/* At the end: frees all that waits. */
void pop_wait_drop(struct pop_hold *h);

#endif
