/*
 * The wheel: a file of 32-byte slots, one for each step of time, that say where in the timer log the chain of a time's
 * messages begins and ends. The file is Java's "timerwheel": time / precision, first, last, number, magic 0. A slot
 * belongs to the time that stands in it; the same place serves all times that are a whole turn apart.
 *
 * Ownership: wheel_close ends it. Threads: one at a time, but wheel_num from any.
 */
#ifndef CROCKET_TIMER_WHEEL_H
#define CROCKET_TIMER_WHEEL_H

#include "base/err.h"
#include "os/fs.h"

struct wheel;

struct wheel_slot {
    int64_t time_ms; /* a multiple of the precision */
    int64_t first, last;
    int32_t num; /* messages, less those that delete others */
};

/* Makes the file when it is absent. slots: of a whole turn. */
int wheel_open(struct wheel **out, const struct fs *fs, const char *path, int64_t slots, int32_t precision_ms,
               struct err *err);
void wheel_close(struct wheel *w);
bool wheel_get(const struct wheel *w, int64_t time_ms, struct wheel_slot *out); /* false: nothing at that time */
void wheel_put(struct wheel *w, const struct wheel_slot *s);
void wheel_drop(struct wheel *w, int64_t time_ms);
int32_t wheel_num(const struct wheel *w, int64_t time_ms);
/* The first time in [from, to) with a slot; `to` when there is none. */
int64_t wheel_next(const struct wheel *w, int64_t from, int64_t to);
/* Calls fn with each slot whose time is at or behind `from`, in no order; fn may drop it. */
void wheel_each(struct wheel *w, int64_t from, void (*fn)(void *arg, const struct wheel_slot *s), void *arg);
int wheel_sync(struct wheel *w); /* durable; an error is final as with datasync */

#endif
