#include "base/hist.h"

#include <string.h>

enum { SUB = 1 << HIST_SUB_BITS };

static unsigned index_of(uint64_t value)
{
    const uint64_t last = (UINT64_C(1) << 40) - 1;
    if (value > last)
        value = last;
    if (value < SUB)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (unsigned)(value >> shift);
}

/* The largest value that falls into a bucket. */
static uint64_t top_of(unsigned index)
{
    if (index < SUB)
        return index;
    unsigned shift = (index >> HIST_SUB_BITS) - 1;
    uint64_t sub = SUB + (index & (SUB - 1));
    return ((sub + 1) << shift) - 1;
}

void hist_init(struct hist *h)
{
    memset(h, 0, sizeof *h);
}

void hist_record(struct hist *h, uint64_t value)
{
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->count++;
    h->sum += value;
    h->bucket[index_of(value)]++;
}

void hist_add(struct hist *h, const struct hist *more)
{
    if (more->count == 0)
        return;
    if (h->count == 0 || more->min < h->min)
        h->min = more->min;
    if (more->max > h->max)
        h->max = more->max;
    h->count += more->count;
    h->sum += more->sum;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        h->bucket[i] += more->bucket[i];
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
    if (h->count == 0)
        return 0;
    double rank = percent / 100.0 * (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        /* The bucket that holds the smallest value not below that share of all. */
        if (seen > 0 && (double)seen >= rank) {
            uint64_t top = i == HIST_BUCKETS - 1 ? h->max : top_of(i);
            return top < h->min ? h->min : top > h->max ? h->max : top;
        }
    }
    return h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0.0;
}
