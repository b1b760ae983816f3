/*
 * What the hot path keeps for each event loop: the append batch of the round, the sends that wait for the disk, the
 * pulls that wait for messages, and a cache of topics.
 *
 * A round of the loop: send handlers encode into the batch; at the end of the round the batch is appended at once and
 * answered (or parked until durable); queues with new messages wake the pulls that wait on their loops.
 *
 * Ownership: belongs to the broker. Threads: the loop's own, except broker_loop_flushed and broker_loop_arrived.
 */
#ifndef CROCKET_BROKER_BROKER_LOOP_H
#define CROCKET_BROKER_BROKER_LOOP_H

#include "base/map.h"
#include "broker/broker_int.h"
#include "broker/pull/catch_up.h"

/* A put of the round's batch, and what is to happen then. First member of whatever waits for it. */
struct loop_put {
    struct loop_put *next; /* the waiter's own, and of the puts that wait for the disk */
    /* The batch was appended, or was not: once for each put with this, in their order. */
    void (*done)(struct broker_loop *bl, struct loop_put *p, const struct put_result *r);
    /* After broker_loop_park: durable, or (flushed false) too late. */
    void (*durable)(struct broker_loop *bl, struct loop_put *p, bool flushed);
    int64_t end_offset, deadline_ms;
};

/* A send between its request and its answer. */
struct pending_send {
    struct loop_put put;
    struct rem_token token;
    struct topic *topic;
    struct topic *half_of; /* where the half message belongs; NULL: it is none */
    int32_t queue_id;
    bool wait_durable;
    bool inner_batch; /* the answer says so with the batch's id */
    uint32_t id_len;
    char id[64];         /* UNIQ_KEY: the transaction id of the answer */
    struct topic *timed; /* where it will be delivered at timed_ms, NULL: it waits for no time */
    int64_t timed_ms;
    /* of a parked send */
    int64_t queue_offset;
    struct buf ids; /* message ids of the answer */
};

struct pop_hold; /* pop_wait.h */

struct broker_loop {
    struct broker *broker;
    struct net_loop *loop;
    struct net_hook hook;
    struct store_batch *batch;
    struct buf scratch;         /* properties under construction */
    struct buf stamp[2];        /* properties every message gets: region, trace switch, cluster; by the switch */
    struct buf answer_stamp[2]; /* header fields every answer to a send gets: region, trace switch; by the switch */
    struct map topics;          /* name -> struct topic *, valid for topics_generation */
    uint64_t topics_generation;
    struct loop_put *free_sends;
    struct loop_put *parked_first, **parked_last;
    atomic_uint parked_count; /* the flusher asks whether anybody waits */
    struct net_task flushed_task;
    atomic_bool flushed_posted;
    struct net_timer park_timer;
    uint32_t random;
    struct range_pin *free_pins;
    struct stats_item *puts, *gets;
    int64_t held_pulls;
    struct catch_up catch_up;
};

struct broker_loop *broker_loop_new(struct broker *b, struct net_loop *loop);
void broker_loop_free(struct broker_loop *bl); /* after the loops have stopped */
static inline struct broker_loop *broker_loop_of(struct broker *b, struct net_loop *loop)
{
    return b->loops[net_loop_id(loop)];
}

/* The topic, through the loop's cache; NULL when unknown. */
struct topic *broker_loop_topic(struct broker_loop *bl, struct str name);
uint32_t broker_loop_random(struct broker_loop *bl);

/* Any thread: the store made everything below `flushed` durable. */
void broker_loop_flushed(struct broker_loop *bl);
/* p waits until the log is durable up to end_offset, or for syncFlushTimeout. */
void broker_loop_park(struct broker_loop *bl, struct loop_put *p, int64_t end_offset);
/* send.c: frees the sends kept for use again; at the end. */
void send_free_all(struct broker_loop *bl);

/* pull.c: messages arrived in q; loops = bits of the loops whose pulls wait there. Any thread. */
void pull_arrived(struct broker *b, struct cq *q, uint64_t loops);
/* From now on arrivals in q wake the hold, when the loop waits on q. False: out of memory. */
bool pull_link_pops(struct broker_loop *bl, struct cq *q, struct pop_hold *hold);
void pull_free_queue(struct cq *q); /* frees what pull.c hung on the queue; at the end */

#endif
