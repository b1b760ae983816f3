#include "broker/background.h"

#include "base/log.h"
#include "broker/broker_int.h"
#include "broker/filter/consumer_filter.h"
#include "broker/filter/filter_servers.h"
#include "os/clock.h"
#include "os/thread.h"
#include <errno.h>
#include <stdlib.h>

enum { TICK_MS = 1000, EXPIRE_EVERY_MS = 10000, PRODUCER_TIMEOUT_MS = 120000 };

struct background {
    struct broker *b;
    struct thread thread;
    struct waker waker;
    atomic_bool stopping;
    int64_t next_persist, next_expire; /* monotonic */
};

static bool due(int64_t now, int64_t *next, int64_t every)
{
    if (now < *next)
        return false;
    *next = now + every;
    return true;
}

void background_step(struct background *bg)
{
    struct broker *b = bg->b;
    int64_t now = clock_mono_ms();
    struct err err;
    struct store_stats st;
    store_stats(b->store, &st);
    stats_sample(b->stats, clock_wall_ms());
    stats_sample_gets(b->stats, st.gets_found, st.gets_missed, clock_wall_ms());
    if (due(now, &bg->next_persist, b->conf->flush_offset_interval_ms) &&
        (offset_save_changes(b->offsets, &err) < 0 || pop_state_persist(b, &err) < 0))
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    if (due(now, &bg->next_expire, EXPIRE_EVERY_MS)) {
        consumer_expire(b->consumers, clock_wall_ms(), b->conf->channel_expired_ms);
        producer_expire(b->producers, clock_wall_ms(), PRODUCER_TIMEOUT_MS);
        if (filter_servers_expire(b->filter_servers, clock_mono_ms()))
            registration_all_soon(b->registration);
        if (consumer_filters_persist(b->filters, b->conf->filter_clean_ms, &err) < 0)
            LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    }
}

static void run(void *arg)
{
    struct background *bg = arg;
    while (!atomic_load(&bg->stopping)) {
        waker_wait(&bg->waker, TICK_MS);
        if (!atomic_load(&bg->stopping))
            background_step(bg);
    }
}

struct background *background_start(struct broker *b, struct err *err)
{
    struct background *bg = calloc(1, sizeof *bg);
    if (bg == NULL) {
        err_set(err, ENOMEM, "out of memory for the broker's housekeeping");
        return NULL;
    }
    bg->b = b;
    bg->next_persist = clock_mono_ms() + b->conf->flush_offset_interval_ms;
    bg->next_expire = clock_mono_ms() + EXPIRE_EVERY_MS;
    waker_init(&bg->waker);
    int r = thread_start(&bg->thread, "background", run, bg);
    if (r < 0) {
        err_sys(err, -r, "cannot start the broker's housekeeping thread");
        waker_free(&bg->waker);
        free(bg);
        return NULL;
    }
    return bg;
}

void background_stop(struct background *bg)
{
    if (bg == NULL)
        return;
    atomic_store(&bg->stopping, true);
    waker_wake(&bg->waker);
    thread_join(&bg->thread);
    waker_free(&bg->waker);
    free(bg);
}
