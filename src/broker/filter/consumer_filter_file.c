/*
 * Consumer filters as JSON, and config/consumerFilter.json:
 * {"filterDataByTopic":{"TOPIC":{"groupFilterData":{"GROUP":{ConsumerFilterData}},"topic":"TOPIC"}}}
 */
#include "base/log.h"
#include "broker/filter/consumer_filter_int.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

enum { DEAD_BEFORE_LOAD_MS = 30000 };

/* On one line, as Java prints an array of numbers also where everything else gets lines of its own. */
static void write_positions(const struct consumer_filter *f, struct jw *w)
{
    char text[BLOOM_HASHES_MAX * 12 + 2];
    size_t n = 0;
    for (int32_t i = 0; i < f->bloom.hashes; i++) {
        text[n++] = i ? ',' : '[';
        n += fmt_i64(text + n, f->positions[i]);
    }
    text[n++] = ']';
    jw_raw(w, str_make(text, n));
}

/* The members in the order of their names, as Java writes them. */
void consumer_filter_write(const struct consumer_filter *f, struct jw *w)
{
    jw_begin_object(w);
    if (f->bloom.hashes) {
        jw_kobject(w, "bloomFilterData");
        jw_ki64(w, "bitNum", f->bloom.bits);
        jw_key(w, STR_LIT("bitPos"));
        write_positions(f, w);
        jw_end_object(w);
    }
    jw_ki64(w, "bornTime", f->born_time);
    jw_ki64(w, "clientVersion", atomic_load(&f->client_version));
    jw_kstr(w, "consumerGroup", f->group);
    jw_kbool(w, "dead", consumer_filter_is_dead(f));
    jw_ki64(w, "deadTime", atomic_load(&f->dead_time));
    jw_kstr(w, "expression", f->expression);
    jw_kstr(w, "expressionType", f->type);
    jw_kstr(w, "topic", f->topic);
    jw_end_object(w);
}

/* ---- loading ---- */

static bool read_bloom(struct consumer_filter *f, const struct json *data, const struct bloom *wanted)
{
    const struct json *positions = json_get(data, "bitPos");
    int32_t n = 0;
    if (json_i64(data, "bitNum", 0) != wanted->bits || positions == NULL || positions->kind != JSON_ARRAY ||
        positions->count != (uint32_t)wanted->hashes)
        return false;
    JSON_EACH(position, positions)
    f->positions[n++] = (int32_t)json_int(position, 0);
    f->bloom = *wanted;
    return true;
}

/* All consumers are taken for dead until they are heard of. */
static int64_t dead_since(int64_t dead_time, int64_t born_time)
{
    int64_t since = dead_time ? dead_time : clock_wall_ms() - DEAD_BEFORE_LOAD_MS;
    return dead_time == 0 && since <= born_time ? born_time : since;
}

/* 1: taken, 0: left out, -1: out of memory; *other_bloom: it was made with other settings of the bloom filter. */
static int load_one(struct consumer_filters *t, const struct json *data, bool *other_bloom)
{
    struct str topic = json_str(data, "topic"), group = json_str(data, "consumerGroup"),
               expression = json_str(data, "expression"), type = json_str(data, "expressionType");
    char key[FILTER_KEY_MAX];
    struct err err;
    if (topic.len == 0 || group.len == 0 || expression.len == 0 || consumer_filters_key(key, topic, group).len == 0)
        return 0;
    struct consumer_filter *f = consumer_filter_alloc(topic, group, expression, type);
    if (f == NULL)
        return -1;
    f->sql = str_eqz(type, "SQL92") ? sql_compile(expression, &err) : NULL;
    if (f->sql == NULL)
        LOG(LOG_ERROR, "broker", "%s: the filter of group %.*s for topic %.*s cannot be used: %.*s", t->path,
            STR_ARG(group), STR_ARG(topic), STR_ARG(expression));
    f->born_time = json_i64(data, "bornTime", 0);
    atomic_init(&f->client_version, json_i64(data, "clientVersion", 0));
    atomic_init(&f->dead_time, dead_since(json_i64(data, "deadTime", 0), f->born_time));
    *other_bloom |= !read_bloom(f, json_get(data, "bloomFilterData"), &t->bloom);
    if (consumer_filters_put(t, f))
        return 1;
    consumer_filter_release(f);
    return -1;
}

int consumer_filters_load(struct consumer_filters *t, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    bool other_bloom = false;
    int r = config_file_load(t->path, &a, &doc, err);
    pthread_mutex_lock(&t->lock);
    JSON_EACH(topic, r == 0 ? json_get(doc, "filterDataByTopic") : NULL)
    JSON_EACH(data, json_get(topic, "groupFilterData"))
    if (load_one(t, data, &other_bloom) < 0)
        r = err_set(err, ENOMEM, "out of memory for the filters of %s", t->path);
    if (other_bloom) {
        LOG(LOG_INFO, "broker", "%s was written with other settings of the bloom filter; beginning without it",
            t->path);
        consumer_filters_clear(t);
    }
    t->saved = t->changes;
    pthread_mutex_unlock(&t->lock);
    arena_free(&a);
    return r;
}

/* ---- saving ---- */

static void clean(struct consumer_filters *t, int64_t clean_after_ms)
{
    int64_t now = clock_wall_ms();
    struct map_slot *all = map_sorted(&t->filters);
    for (size_t i = 0, n = t->filters.count; all && i < n; i++) {
        struct consumer_filter *f = all[i].value;
        if (!consumer_filter_is_dead(f) || now - atomic_load(&f->dead_time) < clean_after_ms)
            continue;
        LOG(LOG_INFO, "broker", "group %.*s is gone for long: its filter of topic %.*s is removed", STR_ARG(f->group),
            STR_ARG(f->topic));
        consumer_filters_drop(t, f);
    }
    free(all);
}

static void begin_topic(struct jw *w, struct str topic)
{
    jw_key(w, topic);
    jw_begin_object(w);
    jw_kobject(w, "groupFilterData");
}

static void end_topic(struct jw *w, struct str topic)
{
    jw_end_object(w);
    jw_kstr(w, "topic", topic);
    jw_end_object(w);
}

static void write_table(struct consumer_filters *t, struct jw *w)
{
    struct map_slot *sorted = map_sorted(&t->filters);
    struct str topic = STR_NULL;
    jw_begin_object(w);
    jw_kobject(w, "filterDataByTopic");
    for (size_t i = 0; sorted && i < t->filters.count; i++) {
        const struct consumer_filter *f = sorted[i].value;
        if (!str_eq(topic, f->topic)) {
            if (topic.len)
                end_topic(w, topic);
            begin_topic(w, f->topic);
            topic = f->topic;
        }
        jw_key(w, f->group);
        consumer_filter_write(f, w);
    }
    if (topic.len)
        end_topic(w, topic);
    jw_end_object(w);
    jw_end_object(w);
    if (sorted == NULL && t->filters.count)
        w->out->failed = true;
    free(sorted);
}

int consumer_filters_persist(struct consumer_filters *t, int64_t clean_after_ms, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    int r = 0;
    pthread_mutex_lock(&t->lock);
    clean(t, clean_after_ms);
    uint64_t changes = t->changes;
    bool any = changes != t->saved;
    if (any) {
        jw_init(&w, &text);
        w.pretty = true;
        write_table(t, &w);
    }
    pthread_mutex_unlock(&t->lock);
    if (any) {
        r = buf_ok(&text) ? config_file_save(t->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", t->path);
        if (r == 0)
            t->saved = changes;
    }
    buf_free(&text);
    return r;
}
