/* config/transactionMetrics: {"dataVersion":{..},"transactionCount":{"TOPIC":{"count":N,"timeStamp":MS}, ..}} */
#include "base/json.h"
#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

struct transaction_metric {
    int64_t count, timestamp;
};

/* Under the lock. */
static struct transaction_metric *metric_of(struct transaction_metrics *m, struct str topic)
{
    struct transaction_metric *one = map_get(&m->topics, topic);
    if (one)
        return one;
    one = calloc(1, sizeof *one);
    if (one && !map_put(&m->topics, topic, one, NULL)) {
        free(one);
        return NULL;
    }
    return one;
}

void transaction_metrics_add(struct transaction_metrics *m, struct str topic, int64_t n)
{
    int64_t now = clock_wall_ms();
    pthread_mutex_lock(&m->lock);
    struct transaction_metric *one = metric_of(m, topic);
    if (one) {
        one->count += n;
        one->timestamp = now;
        m->changes++;
        data_version_next(&m->version, 0, now);
    }
    pthread_mutex_unlock(&m->lock);
}

int64_t transaction_metrics_count(struct transaction_metrics *m, struct str topic)
{
    pthread_mutex_lock(&m->lock);
    const struct transaction_metric *one = map_get(&m->topics, topic);
    int64_t count = one ? one->count : 0;
    pthread_mutex_unlock(&m->lock);
    return count;
}

int transaction_metrics_load(struct transaction_metrics *m, struct err *err)
{
    struct arena a = {0};
    struct err why;
    const struct json *doc = NULL;
    /* Numbers for people to look at: no reason not to start. */
    if (config_file_load(m->path, &a, &doc, &why) < 0)
        LOG(LOG_WARN, "broker", "the numbers of half messages begin anew: %s", why.text);
    JSON_EACH(member, json_get(doc, "transactionCount"))
    {
        struct transaction_metric *one = metric_of(m, json_text(member->key));
        if (one == NULL) {
            arena_free(&a);
            return err_set(err, ENOMEM, "out of memory for %s", m->path);
        }
        one->count = json_i64(member, "count", 0);
        one->timestamp = json_i64(member, "timeStamp", 0);
    }
    struct data_version v;
    if (data_version_read(json_get(doc, "dataVersion"), &v))
        m->version = v;
    arena_free(&a);
    return 0;
}

int transaction_metrics_save(struct transaction_metrics *m, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    pthread_mutex_lock(&m->lock);
    uint64_t changes = m->changes;
    if (changes == m->saved) {
        pthread_mutex_unlock(&m->lock);
        return 0;
    }
    jw_begin_object(&w);
    jw_key(&w, STR_LIT("dataVersion"));
    data_version_write(&w, &m->version);
    jw_kobject(&w, "transactionCount");
    for (struct map_slot *s = NULL; (s = map_next(&m->topics, s));) {
        const struct transaction_metric *one = s->value;
        jw_key(&w, s->key);
        jw_begin_object(&w);
        jw_ki64(&w, "count", one->count);
        jw_ki64(&w, "timeStamp", one->timestamp);
        jw_end_object(&w);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    pthread_mutex_unlock(&m->lock);
    int r = buf_ok(&text) ? config_file_save(m->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", m->path);
    buf_free(&text);
    if (r == 0)
        m->saved = changes;
    return r;
}

void transaction_metrics_free(struct transaction_metrics *m)
{
    map_free(&m->topics, free);
    pthread_mutex_destroy(&m->lock);
    free(m->path);
}
