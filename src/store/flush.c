/* The flusher: makes the log durable and, with synchronous flush, visible. Group commit happens by itself: whatever was
 * written while one sync ran is covered by the next. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/store_int.h"

enum { PUBLISH_AT_ONCE = 256 }; /* entries published while the append lock is held */

int64_t store_flushed(const struct store *s)
{
    return clog_flushed(s->log);
}

int64_t store_log_end(const struct store *s)
{
    return clog_max(s->log);
}

void store_want_flush(struct store *s)
{
    waker_wake(&s->flusher_wake);
}

bool store_sync_flush(const struct store *s)
{
    return s->sync_flush;
}

void store_die(struct store *s, const char *what, int code)
{
    char text[256];
    snprintf(text, sizeof text, "%s in %s: %s; stopping, the next start recovers from the log", what, clog_dir(s->log),
             strerror(code));
    store_die_of(s, text);
}

void store_die_of(struct store *s, const char *text)
{
    if (__atomic_exchange_n(&s->dead, true, __ATOMIC_ACQ_REL))
        return;
    LOG(LOG_ERROR, "store", "%s", text);
    store_flag_set(s, STORE_NOT_WRITABLE);
    if (s->events.fatal)
        s->events.fatal(s->events.arg, text);
}

struct arrival {
    struct cq *q;
    uint64_t loops;
};

/* Publishes waiting entries that are durable now, at most PUBLISH_AT_ONCE; false when none is left. */
static bool publish_some(struct store *s, int64_t flushed)
{
    struct arrival arrivals[PUBLISH_AT_ONCE];
    size_t n = 0, done = 0;
    pthread_mutex_lock(&s->append_lock);
    while (s->pending_count && done < PUBLISH_AT_ONCE) {
        struct pending_publish *p = &s->pending[s->pending_head];
        if (p->end > flushed)
            break;
        uint64_t loops = cq_publish(p->q, p->max);
        if (loops)
            arrivals[n++] = (struct arrival){p->q, loops};
        s->pending_head = (s->pending_head + 1) & (s->pending_cap - 1);
        s->pending_count--;
        done++;
    }
    pthread_mutex_unlock(&s->append_lock);
    for (size_t i = 0; i < n; i++)
        if (s->events.arrived)
            s->events.arrived(s->events.arg, arrivals[i].q, arrivals[i].loops);
    return done == PUBLISH_AT_ONCE;
}

static void tell_flushed(struct store *s, int64_t flushed)
{
    if (__atomic_load_n(&s->flushed_waiters, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&s->flushed_lock);
        pthread_cond_broadcast(&s->flushed_cond);
        pthread_mutex_unlock(&s->flushed_lock);
    }
    if (s->events.flushed)
        s->events.flushed(s->events.arg, flushed);
}

void flusher_step(struct store *s)
{
    if (__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&s->append_lock);
    int64_t target = clog_max(s->log), time = s->last_store_time;
    pthread_mutex_unlock(&s->append_lock);
    if (target <= clog_flushed(s->log))
        return;
    __atomic_store_n(&s->sync_since, clock_mono_ms(), __ATOMIC_RELAXED);
    int r = clog_sync(s->log, target);
    __atomic_store_n(&s->sync_since, 0, __ATOMIC_RELAXED);
    if (r) {
        store_die(s, "syncing the commit log failed", -r);
        return;
    }
    struct err err;
    if (s->sync_flush && s->events.flushing && s->events.flushing(s->events.arg, &err)) {
        LOG(LOG_ERROR, "store", "%s", err.text);
        store_die(s, "making durable what acknowledged messages need failed", err.code);
        return;
    }
    pthread_mutex_lock(&s->ckpt_lock);
    s->flushed_time = time;
    pthread_mutex_unlock(&s->ckpt_lock);
    /* Visible before acknowledged: a producer that got its answer finds its message. */
    while (publish_some(s, target))
        ;
    tell_flushed(s, target);
}
