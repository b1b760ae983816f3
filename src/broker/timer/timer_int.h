/*
 * What the files of the delivery at any time share. Not for others.
 *
 * A message that asks for a time is stored in rmq_sys_wheel_timer (timer_rules.c). One thread (timer.c) reads that
 * topic's queue and puts what it finds into the wheel, and delivers what has fallen due (timer_slot.c). Both store
 * messages through a batch of their own (timer_put.c).
 */
#ifndef CROCKET_BROKER_TIMER_TIMER_INT_H
#define CROCKET_BROKER_TIMER_TIMER_INT_H

#include "base/map.h"
#include "broker/broker_int.h"
#include "broker/timer/timer_metrics.h"
#include "os/thread.h"
#include "timer/timers.h"

#define TIMER_TOPIC "rmq_sys_wheel_timer"

enum {
    TIMER_BATCH = 2048, /* messages of one round */
    TIMER_BATCH_BYTES = 4 * 1024 * 1024,
};

/* Messages of topics, counted once it is known which of them went through. */
struct timer_tally {
    struct buf names;
    struct {
        size_t at, len;
        int64_t n;
    } topics[64];
    size_t n_topics;
    struct {
        uint32_t index;
        int32_t n;
        uint8_t topic;
    } items[TIMER_BATCH];
    size_t n_items;
};

/* A due time under way. */
struct timer_slot {
    bool open;
    int64_t time_ms;
    int64_t *starts; /* where the parts of the chain begin (its newest ends), newest part first */
    size_t n_starts, cap_starts;
    struct tlog_unit *units; /* of the part under way, newest first */
    size_t n_units, next;    /* next to deliver, counted from the oldest */
    int64_t before;          /* messages of the parts before it */
    struct map deleted;      /* topic+key of messages that are taken back -> struct timer_deleted */
    struct arena names;
};

struct timer {
    struct broker *b;
    struct timers *files;
    struct timer_metrics *metrics;
    int32_t precision_ms;
    _Atomic int64_t write_ms; /* messages of an earlier time are late: they go straight to their topic */
    _Atomic int64_t enqueued, dequeued;
    _Atomic int32_t enqueue_tps, dequeue_tps;

    /* the thread's own */
    struct thread thread;
    struct waker waker;
    atomic_bool stopping;
    struct store_batch *batch;
    struct store_window window;
    struct buf properties;
    struct topic *last_topic;
    struct timer_slot slot;
    struct timer_tally tally;
    int64_t touched_end; /* of the log: all that the state speaks of stands before */
    int64_t retry_ms;    /* not before, when the store takes no messages */
    bool has_snapshot;
    int64_t snapshot_end;
    int64_t next_flush_ms, next_metrics_ms, next_clean_ms, next_rate_ms;
    int64_t rate_enqueued, rate_dequeued;
    bool changed; /* since the last snapshot */
};

/* What delivery needs of the properties, found in one pass. */
struct timer_seen {
    struct str real_topic, uniq_key, tags, delete_key;
    int32_t real_qid, rolls;
    int64_t out_ms;
    bool has_out, stamped; /* stamped: it was in the wheel before */
};
void timer_look(struct str properties, struct timer_seen *s);

/* timer_put.c. index: of the message in the round, for the answer of timer_put_commit. */
enum timer_added { TIMER_ADDED, TIMER_LEFT_OUT, TIMER_REFUSED };
enum timer_added timer_put_add(struct timer *t, const struct msg_view *v, const struct timer_seen *s,
                               int64_t enqueue_ms, bool roll, size_t index, size_t *bytes);
/* Stores what was added. The first index that is not stored, SIZE_MAX when all are. */
size_t timer_put_commit(struct timer *t);
enum timer_added timer_leave_out(int64_t physical_offset, const char *why);
void timer_tally_add(struct timer *t, struct str topic, size_t index, int32_t n);
void timer_tally_apply(struct timer *t, size_t below); /* and begins anew */

/* timer_slot.c: delivers a round of what has fallen due before write_ms; false: there is nothing. */
bool timer_deliver(struct timer *t, int64_t now_ms);
void timer_slot_free(struct timer_slot *s);

#endif
