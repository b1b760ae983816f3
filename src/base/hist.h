/*
 * Log-linear histogram of latencies (any unsigned unit): relative error under 1 %, range 0 .. 2^40, fixed memory.
 * Not thread-safe: one a thread, merged by hist_add. Owns nothing.
 */
#ifndef CROCKET_BASE_HIST_H
#define CROCKET_BASE_HIST_H

#include <stdint.h>

enum { HIST_SUB_BITS = 7, HIST_BUCKETS = (40 - HIST_SUB_BITS + 1) << HIST_SUB_BITS };

struct hist {
    uint64_t count, sum, min, max;
    uint64_t bucket[HIST_BUCKETS];
};

void hist_init(struct hist *h);
void hist_record(struct hist *h, uint64_t value);
void hist_add(struct hist *h, const struct hist *more);
uint64_t hist_percentile(const struct hist *h, double percent); /* 0 when empty */
double hist_mean(const struct hist *h);

#endif
