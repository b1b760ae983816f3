/*
 * How far long work on the commit log is, for people: percent, speed, time left.
 *
 * One thread moves it; texts may be asked for on any thread meanwhile. Plain memory, zero at first.
 */
#ifndef CROCKET_STORE_PROGRESS_H
#define CROCKET_STORE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    int64_t from, to, pos;                  /* log offsets; atomic */
    int64_t rate;                           /* bytes a second lately, 0 not known yet; atomic */
    int64_t begun_ms, window_ms, window_at; /* the mover's: monotonic ms, and pos then */
    int64_t said_ms;
};

enum { PROGRESS_TEXT = 96 };

void progress_begin(struct progress *p, int64_t from, int64_t to);
/* True when it is time for another line in the log. */
bool progress_move(struct progress *p, int64_t pos);
/* "42.0 % of 5120 MiB, 512 MB/s, 6 s left" */
void progress_text(const struct progress *p, char out[PROGRESS_TEXT]);

#endif
