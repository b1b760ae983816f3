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

struct broker_loop;

/* A put into the round's batch: what begins with this is told when it was appended, or that it was not. */
struct loop_put {
    void (*done)(struct broker_loop *bl, struct loop_put *put, const struct put_result *r);
};

/* A send between its request and its answer. */
struct pending_send {
    struct loop_put put;
    struct pending_send *next; /* free list, or the queue of sends waiting for the disk */
    struct rem_token token;
    struct topic *topic;
    struct topic *half_of; /* where the half message belongs; NULL: it is none */
    int32_t queue_id;
    bool wait_durable;
    uint32_t id_len;
    char id[64];         /* UNIQ_KEY: the transaction id of the answer */
    struct topic *timed; /* where it will be delivered at timed_ms, NULL: it waits for no time */
    int64_t timed_ms;
    /* of a parked send */
    int64_t end_offset, queue_offset, deadline_ms;
    struct buf ids; /* message ids of the answer */
};

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
    struct pending_send *free_sends;
    struct pending_send *parked_first, **parked_last;
    uint32_t parked_count;
    struct net_task flushed_task;
    atomic_bool flushed_posted;
    struct net_timer park_timer;
    uint32_t random;
    struct range_pin *free_pins;
    struct stats_item *puts, *gets;
    int64_t held_pulls;
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
/* send.c: answers parked sends that are durable or too late. */
void send_release_parked(struct broker_loop *bl);

/* pull.c: messages arrived in q; loops = bits of the loops whose pulls wait there. Any thread. */
void pull_arrived(struct broker *b, struct cq *q, uint64_t loops);
void pull_free_queue(struct cq *q); /* frees what pull.c hung on the queue; at the end */

#endif
