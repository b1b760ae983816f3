/*
 * The thread behind messages with a delivery time: reads the timer topic's queue into the wheel, delivers due times,
 * and makes both durable. It works in rounds, one of each kind in turn, so that neither holds up the other for long.
 *
 * What a time is: times are multiples of timerPrecisionMs, and messages of one are delivered when the next begins. The
 * present one (write_ms) never goes back; what belongs to an earlier one when it is read goes straight to its topic.
 */
#include "broker/timer/timer.h"

#include "base/javahash.h"
#include "base/log.h"
#include "broker/timer/timer_int.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/host.h"
#include <errno.h>
#include <stdlib.h>

enum {
    LOOK_MS = 100,
    METRICS_MS = 5000,
    CLEAN_MS = 30000,
    WANT_SPAN = 16 * 1024 * 1024,
};

/* ---- into the wheel ---- */

/* Messages of one round on their way into the wheel. */
struct arrivals {
    struct timer_entry entries[TIMER_BATCH];
    size_t at[TIMER_BATCH]; /* which of the round they are */
    size_t n, bytes;
};

static struct cq *timer_queue(const struct timer *t)
{
    return store_queue(t->b->store, STR_LIT(TIMER_TOPIC), 0, false);
}

/* False: the store takes no messages now. */
static bool take_in(struct timer *t, struct arrivals *a, const struct store_entry *e, size_t index)
{
    struct msg_view v;
    struct timer_seen seen;
    if (e->physical_offset + e->size > t->touched_end)
        t->touched_end = e->physical_offset + e->size;
    if (!store_read_next(t->b->store, e->physical_offset, &t->window, &v)) {
        timer_leave_out(e->physical_offset, "it is not in the log any more");
        return true;
    }
    timer_look(v.m.properties, &seen);
    if (!seen.has_out || seen.out_ms < 0) {
        timer_leave_out(e->physical_offset, "it does not say when it is due");
        return true;
    }
    struct timer_entry entry = {
        .deliver_ms = seen.out_ms - seen.out_ms % t->precision_ms,
        .physical_offset = e->physical_offset,
        .size = e->size,
        .topic_hash = java_hash(seen.real_topic),
        .deletes = seen.delete_key.len > 0,
    };
    if (timers_known(t->files, &entry))
        return true;
    /* The mark of a message that was never in the wheel. */
    if (entry.deliver_ms < t->write_ms)
        return timer_put_add(t, &v, &seen, INT64_MAX, false, index, &a->bytes) != TIMER_REFUSED;
    a->at[a->n] = index;
    a->entries[a->n++] = entry;
    timer_tally_add(t, seen.real_topic, index, seen.delete_key.len ? -1 : 1);
    return true;
}

/* Stores the late ones, then puts the others into the wheel; how many of the round's n messages are done. */
static size_t put_in(struct timer *t, struct arrivals *a, size_t n)
{
    size_t failed = timer_put_commit(t);
    if (failed < n)
        n = failed;
    while (a->n && a->at[a->n - 1] >= n)
        a->n--;
    int64_t in = timers_add(t->files, t->write_ms, a->entries, a->n);
    size_t done = in < 0 ? 0 : (size_t)in;
    if (done < a->n) {
        LOG_LIMITED(LOG_ERROR, "broker", "cannot write the timer log: %s; trying again",
                    in < 0 ? strerror((int)-in) : "the disk is full");
        n = a->at[done];
        t->retry_ms = clock_mono_ms() + 1000;
    }
    timer_tally_apply(t, n);
    t->enqueued += (int64_t)n;
    return n;
}

static int64_t place_in(struct timer *t, const struct cq *q)
{
    int64_t offset = timers_queue_offset(t->files), right = offset;
    if (right < cq_min(q))
        right = cq_min(q);
    if (right > cq_max(q))
        right = cq_max(q);
    if (right != offset) {
        LOG(LOG_WARN, "broker",
            "timed messages were read up to %lld, but their queue has %lld to %lld: going on at %lld",
            (long long)offset, (long long)cq_min(q), (long long)cq_max(q), (long long)right);
        timers_set_queue_offset(t->files, right);
    }
    return right;
}

/* A time and the one a whole turn later have the same place in the wheel: after a long rest the old ones go first. */
static bool wheel_is_free(const struct timer *t)
{
    return t->write_ms - timers_read_ms(t->files) < (int64_t)TIMERS_SLOTS * t->precision_ms;
}

static bool enqueue(struct timer *t)
{
    static const size_t max = TIMER_BATCH;
    struct store_entry entries[TIMER_BATCH];
    struct cq *q = t->b->store_conf->timerStopEnqueue || !wheel_is_free(t) ? NULL : timer_queue(t);
    if (q == NULL || clock_mono_ms() < t->retry_ms)
        return false;
    int64_t offset = place_in(t, q);
    size_t n = offset < cq_max(q) ? store_entries(t->b->store, q, offset, entries, max) : 0, i = 0;
    struct arrivals *a = n ? malloc(sizeof *a) : NULL;
    if (a == NULL)
        return false;
    a->n = a->bytes = 0;
    int64_t from = entries[0].physical_offset, span = entries[n - 1].physical_offset - from;
    if (span > 0 && span < WANT_SPAN)
        store_want(t->b->store, from, span);
    while (i < n && a->bytes < TIMER_BATCH_BYTES && take_in(t, a, &entries[i], i))
        i++;
    if (i < n && a->bytes < TIMER_BATCH_BYTES)
        t->retry_ms = clock_mono_ms() + 1000;
    i = put_in(t, a, i);
    free(a);
    timers_set_queue_offset(t->files, offset + (int64_t)i);
    t->changed |= i > 0;
    return i > 0;
}

/* ---- keeping the state ---- */

static void flush(struct timer *t)
{
    struct err err;
    if (timers_flush(t->files, &err) == 0)
        return;
    if (err.code == EIO)
        broker_die(t->b, err.text);
    LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
}

/* What the durable state says to be delivered or read must be durable itself. */
static void flush_when_due(struct timer *t, int64_t now)
{
    if (!t->has_snapshot && now >= t->next_flush_ms && (t->changed || now - t->next_flush_ms >= CLEAN_MS)) {
        t->next_flush_ms = now + t->b->store_conf->timerFlushIntervalMs;
        timers_snapshot(t->files, clock_wall_ms());
        t->snapshot_end = t->touched_end;
        t->has_snapshot = true;
        t->changed = false;
    }
    if (t->has_snapshot && store_flushed(t->b->store) >= t->snapshot_end) {
        t->has_snapshot = false;
        flush(t);
    }
}

static void housekeep(struct timer *t, int64_t now)
{
    struct err err;
    flush_when_due(t, now);
    if (now >= t->next_metrics_ms) {
        t->next_metrics_ms = now + METRICS_MS;
        if (timer_metrics_save(t->metrics, &err) < 0)
            LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    }
    if (now >= t->next_clean_ms) {
        struct store_stats st;
        t->next_clean_ms = now + CLEAN_MS;
        store_stats(t->b->store, &st);
        if (timers_clean(t->files, st.log_min, &err) < 0)
            LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    }
    if (now >= t->next_rate_ms) {
        t->next_rate_ms = now + 1000;
        t->enqueue_tps = (int32_t)(t->enqueued - t->rate_enqueued);
        t->dequeue_tps = (int32_t)(t->dequeued - t->rate_dequeued);
        t->rate_enqueued = t->enqueued;
        t->rate_dequeued = t->dequeued;
    }
}

static void move_write_time(struct timer *t)
{
    int64_t now = clock_wall_ms();
    now -= now % t->precision_ms;
    if (now > t->write_ms)
        t->write_ms = now;
}

static void save(struct timer *t)
{
    struct err err;
    if (timers_save(t->files, &err) < 0)
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
}

int64_t timer_step(struct timer *t)
{
    move_write_time(t);
    bool busy = timer_deliver(t, t->write_ms);
    busy |= enqueue(t);
    if (busy)
        save(t);
    housekeep(t, clock_mono_ms());
    if (busy)
        return 0;
    int64_t next = t->write_ms + t->precision_ms - clock_wall_ms();
    return next < 1 ? 1 : next > LOOK_MS ? LOOK_MS : next;
}

static void run(void *arg)
{
    struct timer *t = arg;
    while (!atomic_load(&t->stopping)) {
        int64_t rest = timer_step(t);
        if (rest > 0)
            waker_wait(&t->waker, rest);
    }
}

/* ---- life ---- */

/* Java takes only these steps. */
static int32_t step_of(int32_t asked)
{
    static const int32_t steps[] = {1000, 500, 200};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (asked >= steps[i])
            return steps[i];
    return 100;
}

struct timer *timer_new(struct broker *b)
{
    struct timer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->b = b;
    t->precision_ms = step_of(b->store_conf->timerPrecisionMs);
    waker_init(&t->waker);
    t->metrics = timer_metrics_new(b->config_dir);
    t->batch = store_batch_new(b->store);
    if (t->metrics && t->batch)
        return t;
    timer_free(t);
    return NULL;
}

int timer_load(struct timer *t, struct err *err)
{
    char boot[40];
    struct store_stats st;
    host_boot_id(boot);
    store_stats(t->b->store, &st);
    struct timers_conf conf = {
        .root = t->b->store_conf->storePathRootDir,
        .boot_id = boot,
        .slots = TIMERS_SLOTS,
        .window_slots = t->b->store_conf->timerRollWindowSlot,
        .precision_ms = t->precision_ms,
        .log_file_size = t->b->store_conf->mappedFileSizeTimerLog,
        .physical_max = st.log_max,
    };
    if (timer_metrics_load(t->metrics, err) < 0 || timers_open(&t->files, &conf, fs_real(), clock_wall_ms(), err) < 0)
        return -1;
    t->write_ms = timers_read_ms(t->files);
    move_write_time(t);
    return 0;
}

int timer_start(struct timer *t, struct err *err)
{
    int64_t now = clock_mono_ms();
    t->next_flush_ms = t->next_rate_ms = now;
    t->next_metrics_ms = now + METRICS_MS;
    t->next_clean_ms = now + CLEAN_MS;
    int r = thread_start(&t->thread, "timer", run, t);
    return r < 0 ? err_sys(err, -r, "cannot start the thread that delivers timed messages") : 0;
}

void timer_stop(struct timer *t)
{
    if (t == NULL || !t->thread.running)
        return;
    atomic_store(&t->stopping, true);
    waker_wake(&t->waker);
    thread_join(&t->thread);
}

void timer_free(struct timer *t)
{
    struct err err;
    if (t == NULL)
        return;
    timer_stop(t);
    if (t->files) {
        bool durable = store_wait_flushed(t->b->store, t->touched_end);
        if (timers_close(t->files, durable, &err) < 0 || timer_metrics_save(t->metrics, &err) < 0)
            LOG(LOG_ERROR, "broker", "%s", err.text);
    }
    timer_slot_free(&t->slot);
    store_window_free(&t->window);
    timer_metrics_free(t->metrics);
    store_batch_free(t->batch);
    buf_free(&t->properties);
    buf_free(&t->tally.names);
    waker_free(&t->waker);
    free(t);
}

/* ---- what others ask ---- */

void timer_progress(struct timer *t, struct timer_progress *out)
{
    const struct cq *q = timer_queue(t);
    int64_t end = q ? cq_max(q) : 0, offset = timers_queue_offset(t->files);
    *out = (struct timer_progress){
        .read_behind_ms = clock_wall_ms() - timers_read_ms(t->files),
        .offset_behind = end > offset ? end - offset : 0,
        .waiting = timers_total(t->files),
        .enqueue_tps = t->enqueue_tps,
        .dequeue_tps = t->dequeue_tps,
    };
}

int32_t timer_precision(const struct timer *t)
{
    return t->precision_ms;
}

int32_t timer_waiting_at(const struct timer *t, int64_t time_ms)
{
    return timers_num(t->files, time_ms);
}

void timer_write_metrics(struct timer *t, struct jw *w)
{
    timer_metrics_write(t->metrics, w);
}

void timer_checkpoint(struct timer *t, uint8_t out[TIMER_CHECKPOINT_SIZE])
{
    struct tcheck_java c = timers_checkpoint(t->files);
    tcheck_encode(&c, out);
}

void timer_forget_topic(struct timer *t, struct str topic)
{
    if (t)
        timer_metrics_forget(t->metrics, topic);
}
