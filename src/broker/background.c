#include "broker/background.h"

#include "base/log.h"
#include "broker/broker_int.h"
#include "broker/filter/consumer_filter.h"
#include "os/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { TICK_MS = 1000, EXPIRE_EVERY_MS = 10000, PRODUCER_TIMEOUT_MS = 120000 };

struct background {
    struct broker *b;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

static bool due(int64_t now, int64_t *next, int64_t every)
{
    if (now < *next)
        return false;
    *next = now + every;
    return true;
}

static void tick(struct broker *b, int64_t now, int64_t *next_persist, int64_t *next_expire)
{
    struct err err;
    struct store_stats st;
    store_stats(b->store, &st);
    stats_sample(b->stats, clock_wall_ms());
    stats_sample_gets(b->stats, st.gets_found, st.gets_missed, clock_wall_ms());
    if (due(now, next_persist, b->conf->flush_offset_interval_ms) &&
        (offset_persist(b->offsets, &err) < 0 || pop_state_persist(b, &err) < 0))
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    if (due(now, next_expire, EXPIRE_EVERY_MS)) {
        consumer_expire(b->consumers, clock_wall_ms(), b->conf->channel_expired_ms);
        producer_expire(b->producers, clock_wall_ms(), PRODUCER_TIMEOUT_MS);
        if (consumer_filters_persist(b->filters, b->conf->filter_clean_ms, &err) < 0)
            LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
    }
}

static void *background_main(void *arg)
{
    struct background *bg = arg;
    int64_t next_persist = clock_mono_ms() + bg->b->conf->flush_offset_interval_ms;
    int64_t next_expire = clock_mono_ms() + EXPIRE_EVERY_MS;
    pthread_setname_np(pthread_self(), "background");
    pthread_mutex_lock(&bg->lock);
    while (!bg->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += TICK_MS / 1000;
        pthread_cond_timedwait(&bg->wake, &bg->lock, &until);
        if (bg->stopping)
            break;
        pthread_mutex_unlock(&bg->lock);
        tick(bg->b, clock_mono_ms(), &next_persist, &next_expire);
        pthread_mutex_lock(&bg->lock);
    }
    pthread_mutex_unlock(&bg->lock);
    return NULL;
}

struct background *background_start(struct broker *b, struct err *err)
{
    struct background *bg = calloc(1, sizeof *bg);
    if (bg == NULL) {
        err_set(err, ENOMEM, "out of memory for the broker's housekeeping");
        return NULL;
    }
    bg->b = b;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&bg->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&bg->lock, NULL);
    int rc = pthread_create(&bg->thread, NULL, background_main, bg);
    if (rc != 0) {
        err_sys(err, rc, "cannot start the broker's housekeeping thread");
        free(bg);
        return NULL;
    }
    return bg;
}

void background_stop(struct background *bg)
{
    if (bg == NULL)
        return;
    pthread_mutex_lock(&bg->lock);
    bg->stopping = true;
    pthread_cond_signal(&bg->wake);
    pthread_mutex_unlock(&bg->lock);
    pthread_join(bg->thread, NULL);
    pthread_mutex_destroy(&bg->lock);
    pthread_cond_destroy(&bg->wake);
    free(bg);
}
