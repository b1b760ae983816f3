/*
 * The delay levels of messageDelayLevel ("1s 5s 10s 30s 1m ..."): level n is the n-th of its delays, from 1.
 * Plain data; any thread.
 */
#ifndef CROCKET_MESSAGE_DELAY_LEVEL_H
#define CROCKET_MESSAGE_DELAY_LEVEL_H

#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

enum { DELAY_LEVELS_MAX = 256 };

struct delay_levels {
    int count;
    int64_t ms[DELAY_LEVELS_MAX + 1]; /* by level */
};

/* -1 with err: a piece is no number with s, m, h or d behind it, or there are too many. */
int delay_levels_parse(struct delay_levels *out, struct str text, struct err *err);
/* The level that a message's DELAY property asks for, at most the highest there is; 0: none. */
int delay_level_of(const struct delay_levels *levels, struct str property);

#endif
