/*
 * One worker that produces over its share of the connections. Made and freed by the main thread, run by its own.
 */
#ifndef CROCKET_CLI_BENCH_PRODUCER_H
#define CROCKET_CLI_BENCH_PRODUCER_H

#include "cli/bench/bench.h"

struct producer;

/* Worker `index` of `workers`. stamp: writes into the body of each message sent (its intended time), or NULL. */
typedef void (*producer_stamp_fn)(uint8_t *body, size_t size, int64_t intended_ns);
int producer_new(struct producer **out, struct bench_run *run, unsigned index, unsigned workers,
                 producer_stamp_fn stamp, struct err *err);
void producer_run(void *producer); /* until the run's phase is STOP and what is under way is answered */
const struct hist *producer_latency(const struct producer *p);
void producer_free(struct producer *p); /* NULL is fine */

#endif
