/*
 * Delivery at any time (TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS). Ownership: timer_free, after the loops have
 * ended and before the store is closed. Threads: any, once timer_load is through; timer_load may block.
 */
#ifndef CROCKET_BROKER_TIMER_TIMER_H
#define CROCKET_BROKER_TIMER_TIMER_H

#include "broker/broker_int.h"

enum { TIMER_CHECKPOINT_SIZE = 56 };

struct timer *timer_new(struct broker *b);
int timer_load(struct timer *t, struct err *err);
int timer_start(struct timer *t, struct err *err);
int64_t timer_step(struct timer *t); /* one turn of its thread; ms until the next */
void timer_stop(struct timer *t);
void timer_free(struct timer *t);

/* ---- into the wheel: timer_rules.c ---- */

enum timer_verdict {
    TIMER_NONE,         /* no time asked for, or it is over: an ordinary message */
    TIMER_MOVED,        /* it is one of the timer topic's now */
    TIMER_ILLEGAL,      /* too far ahead, no number, or a deletion that comes too late */
    TIMER_FLOW_CONTROL, /* too many messages of that time */
    TIMER_DISABLED,
};

/* Moves m to the timer topic when its properties ask for a time: m's topic, queue id and properties (built in props,
 * which must outlive m) are changed then, *to is the topic and *out_ms the time. A delay level goes first: asks not to
 * be called then. */
enum timer_verdict timer_redirect(struct broker *b, struct msg *m, struct buf *props, struct topic **to,
                                  int64_t *out_ms);
/* Response code and remark of a verdict that refuses. */
int32_t timer_refusal(const struct broker *b, enum timer_verdict v, char *remark, size_t size);
/* The handle by which a message of that time can be recalled. */
void timer_recall_handle(struct buf *out, const struct broker *b, struct str topic, int64_t out_ms, struct str id);

/* ---- what operators see ---- */

struct timer_progress {
    int64_t read_behind_ms, offset_behind, waiting;
    int32_t enqueue_tps, dequeue_tps;
};
void timer_progress(struct timer *t, struct timer_progress *out);
void timer_write_metrics(struct timer *t, struct jw *w);
void timer_checkpoint(struct timer *t, uint8_t out[TIMER_CHECKPOINT_SIZE]); /* Java's seven numbers */
int32_t timer_precision(const struct timer *t);
int32_t timer_waiting_at(const struct timer *t, int64_t time_ms);
void timer_forget_topic(struct timer *t, struct str topic); /* t may be NULL */

#endif
