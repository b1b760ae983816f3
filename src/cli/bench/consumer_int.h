/*
 * What the ways of consuming share. consumer.c makes and runs a worker and pulls, consumer_pop.c pops and acknowledges,
 * consumer_order.c locks queues. All of it belongs to the worker's thread.
 */
#ifndef CROCKET_CLI_BENCH_CONSUMER_INT_H
#define CROCKET_CLI_BENCH_CONSUMER_INT_H

#include "admin/tool.h"
#include "cli/bench/conn.h"
#include "cli/bench/consume_frame.h"
#include "cli/bench/consumer.h"
#include "remoting/codes.h"

enum { POPS_OPEN = 3 }; /* of a queue: the Java push consumer stops at 96 messages, three pops of 32 */

struct consumer_conn {
    struct bench_conn net;
    struct consumer *owner;
    bool broken, locked;
    int64_t lock_ns; /* when its locks were last asked for */
};

struct consumer_queue {
    struct consumer_conn *conn;
    struct pull_spec spec;
    int64_t offset, end; /* end -1: none; of pops: how many are popped, and how many there are */
    int64_t acked;
    int64_t asked_ns;
    uint32_t open[POPS_OPEN]; /* messages of a pop that are not acknowledged; 0: free */
    bool done, due;           /* due: the next request is to be written */
};

struct consumer {
    struct bench_run *run;
    struct bench_counts *counts;
    struct tool ask; /* questions beforehand; open as long as this, since a subscription ends with its connection */
    enum consumer_mode mode;
    consumer_message_fn fn;
    void *arg;
    struct hist latency;
    struct consumer_conn *conns;
    size_t conn_count;
    struct consumer_queue *queues;
    size_t queue_count, done_count;
    int epoll;
    int64_t now_ns;
    uint64_t messages, matched, bytes, requests, errors;
};

/* A request's slot is KIND * queue_count + queue: kind 0 asks for messages, what others mean is up to the mode. */
static inline uint32_t consumer_slot(const struct consumer *c, const struct consumer_queue *q, size_t kind)
{
    return (uint32_t)(kind * c->queue_count + (size_t)(q - c->queues));
}

void consumer_finish_queue(struct consumer *c, struct consumer_queue *q);
/* Counts an answer that is an error. what: of which request. */
void consumer_refused(struct consumer *c, const struct consumer_queue *q, const char *what,
                      const struct bench_response *r);
/* The messages of an answer: how many. */
uint32_t consumer_take(struct consumer *c, const struct consumer_queue *q, const struct bench_response *r);

void consumer_pop_write(struct consumer *c, struct consumer_queue *q);
void consumer_popped(struct consumer *c, struct consumer_queue *q, const struct bench_response *r);
void consumer_acked(struct consumer *c, struct consumer_queue *q, size_t pop, const struct bench_response *r);

/* Asks for locks that are not there or grow old. */
void consumer_lock_write(struct consumer *c);
void consumer_locked(struct consumer *c, struct consumer_queue *q, const struct bench_response *r);

#endif
