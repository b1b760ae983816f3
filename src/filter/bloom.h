/*
 * The positions in a bloom filter that a text gets: of Java's brokers, which mark in a queue's extension which
 * filtering consumers want a message (here these are only part of config/consumerFilter.json), and of the bits in our
 * queues' entries. Plain values. Any thread.
 */
#ifndef CROCKET_FILTER_BLOOM_H
#define CROCKET_FILTER_BLOOM_H

#include "base/str.h"

enum { BLOOM_HASHES_MAX = 7 };

struct bloom {
    int32_t hashes; /* positions a text gets */
    int32_t bits;   /* positions there are; a multiple of 8 */
};

/* error_percent: 1 to 99; expected: how many texts, 1 or more. */
struct bloom bloom_make(int32_t error_percent, int32_t expected);
void bloom_positions(const struct bloom *b, struct str text, int32_t positions[BLOOM_HASHES_MAX]);

#endif
