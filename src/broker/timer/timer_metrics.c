#include "broker/timer/timer_metrics.h"

#include "base/map.h"
#include "broker/config/config_file.h"
#include "os/clock.h"
#include "remoting/body/data_version.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct waiting {
    int64_t count, time_ms;
};

struct timer_metrics {
    char *path;
    pthread_mutex_t lock;
    struct map topics; /* of struct waiting */
    struct data_version version;
    int64_t saved; /* version counter */
};

struct timer_metrics *timer_metrics_new(const char *config_dir)
{
    struct timer_metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->version.timestamp = clock_wall_ms();
    m->path = config_file_path(config_dir, "timermetrics");
    if (m->path)
        return m;
    timer_metrics_free(m);
    return NULL;
}

void timer_metrics_free(struct timer_metrics *m)
{
    if (m == NULL)
        return;
    map_free(&m->topics, free);
    pthread_mutex_destroy(&m->lock);
    free(m->path);
    free(m);
}

/* Under the lock. NULL: out of memory. */
static struct waiting *entry(struct timer_metrics *m, struct str topic)
{
    struct waiting *w = map_get(&m->topics, topic);
    if (w)
        return w;
    w = calloc(1, sizeof *w);
    if (w && map_put(&m->topics, topic, w, NULL))
        return w;
    free(w);
    return NULL;
}

int timer_metrics_load(struct timer_metrics *m, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    int r = config_file_load(m->path, &a, &doc, err);
    JSON_EACH(member, r == 0 ? json_get(doc, "timingCount") : NULL)
    {
        struct str topic = json_text(member->key);
        struct waiting *w = topic.len ? entry(m, topic) : NULL;
        if (w)
            *w = (struct waiting){json_i64(member, "count", 0), json_i64(member, "timeStamp", 0)};
    }
    if (r == 0)
        data_version_read(json_get(doc, "dataVersion"), &m->version);
    m->saved = m->version.counter;
    arena_free(&a);
    return r;
}

void timer_metrics_add(struct timer_metrics *m, struct str topic, int64_t n, int64_t now_ms)
{
    pthread_mutex_lock(&m->lock);
    struct waiting *w = entry(m, topic);
    if (w) {
        w->count += n;
        w->time_ms = now_ms;
        data_version_next(&m->version, 0, now_ms);
    }
    pthread_mutex_unlock(&m->lock);
}

int64_t timer_metrics_count(struct timer_metrics *m, struct str topic)
{
    pthread_mutex_lock(&m->lock);
    struct waiting *w = map_get(&m->topics, topic);
    int64_t count = w ? w->count : 0;
    pthread_mutex_unlock(&m->lock);
    return count;
}

void timer_metrics_forget(struct timer_metrics *m, struct str topic)
{
    pthread_mutex_lock(&m->lock);
    struct waiting *w = map_del(&m->topics, topic);
    if (w)
        data_version_next(&m->version, 0, clock_wall_ms());
    pthread_mutex_unlock(&m->lock);
    free(w);
}

static void write_locked(struct timer_metrics *m, struct jw *w)
{
    struct map_slot *sorted = map_sorted(&m->topics);
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, &m->version);
    jw_kobject(w, "timingCount");
    for (size_t i = 0; sorted && i < m->topics.count; i++) {
        const struct waiting *one = sorted[i].value;
        jw_key(w, sorted[i].key);
        jw_begin_object(w);
        jw_ki64(w, "count", one->count);
        jw_ki64(w, "timeStamp", one->time_ms);
        jw_end_object(w);
    }
    jw_end_object(w);
    jw_end_object(w);
    free(sorted);
}

void timer_metrics_write(struct timer_metrics *m, struct jw *w)
{
    pthread_mutex_lock(&m->lock);
    write_locked(m, w);
    pthread_mutex_unlock(&m->lock);
}

int timer_metrics_save(struct timer_metrics *m, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    pthread_mutex_lock(&m->lock);
    int64_t counter = m->version.counter;
    bool changed = counter != m->saved;
    if (changed)
        write_locked(m, &w);
    pthread_mutex_unlock(&m->lock);
    if (!changed)
        return 0;
    int r = buf_ok(&text) ? config_file_save(m->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", m->path);
    if (r == 0)
        m->saved = counter;
    buf_free(&text);
    return r;
}
