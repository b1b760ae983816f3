/*
 * One worker that consumes queues as the Java push consumer does: one request under way for each queue, the next one as
 * soon as the answer is there. Made and freed by the main thread, run by its own.
 */
#ifndef CROCKET_CLI_BENCH_CONSUMER_H
#define CROCKET_CLI_BENCH_CONSUMER_H

#include "cli/bench/bench.h"

struct consumer;

enum consumer_mode {
    CONSUME_TO_END, /* from the first message to the last one that was there at the start; then it is finished */
    CONSUME_LIVE,   /* from now on, with long polling */
    /* Both from the first message to the last one that was there at the start: */
    CONSUME_ORDERLY, /* queues locked, offsets committed with each pull, the order looked at */
    CONSUME_POP,     /* popped, and each message acknowledged; it counts when that is answered */
};

/* Called with the body of each message; now: when it was received. NULL: messages are only counted. */
typedef void (*consumer_message_fn)(void *arg, struct str body, int64_t now_ns);

int consumer_new(struct consumer **out, struct bench_run *run, unsigned index, unsigned workers,
                 enum consumer_mode mode, consumer_message_fn fn, void *arg, struct err *err);
void consumer_run(void *consumer);                             /* until the phase is STOP, or all is read */
const struct hist *consumer_latency(const struct consumer *c); /* of pull requests that found messages */
void consumer_free(struct consumer *c);                        /* NULL is fine */

#endif
