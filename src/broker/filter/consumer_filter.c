/* The table and its changes; config/consumerFilter.json is consumer_filter_file.c's. */
#include "base/log.h"
#include "broker/client/consumer_manager.h"
#include "broker/filter/consumer_filter_int.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

enum {
    BITS_EACH = 2,     /* of an entry, that a filter has: with ten filters that want a message a quarter of the others
                          seem to want it */
    BITS_FILTERS = 64, /* a topic with more filters has no bits */
};

/* ---- one filter ---- */

static struct str take(char **at, struct str s)
{
    struct str copy = str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

struct consumer_filter *consumer_filter_alloc(struct str topic, struct str group, struct str expression,
                                              struct str type)
{
    struct consumer_filter *f = calloc(1, sizeof *f + topic.len + group.len + expression.len + type.len);
    if (f == NULL)
        return NULL;
    char *text = (char *)(f + 1);
    atomic_init(&f->refs, 1);
    f->topic = take(&text, topic);
    f->group = take(&text, group);
    f->expression = take(&text, expression);
    f->type = take(&text, type);
    return f;
}

struct consumer_filter *consumer_filter_new(struct str topic, struct str group, struct str expression, struct str type,
                                            int64_t client_version, struct err *err)
{
    if (!str_eqz(type, "SQL92")) {
        err_set(err, EINVAL, "there is no filter of type '%.*s', only TAG and SQL92", STR_ARG(type));
        return NULL;
    }
    struct sql *sql = sql_compile(expression, err);
    struct consumer_filter *f = sql ? consumer_filter_alloc(topic, group, expression, type) : NULL;
    if (f == NULL) {
        if (sql)
            err_set(err, ENOMEM, "out of memory for a filter");
        sql_free(sql);
        return NULL;
    }
    f->sql = sql;
    f->born_time = clock_wall_ms();
    atomic_init(&f->client_version, client_version);
    atomic_init(&f->bits_from, INT64_MAX);
    return f;
}

struct consumer_filter *consumer_filter_retain(struct consumer_filter *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void consumer_filter_release(struct consumer_filter *f)
{
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        sql_free(f->sql);
        free(f);
    }
}

bool consumer_filter_is_dead(const struct consumer_filter *f)
{
    return atomic_load(&f->dead_time) >= f->born_time;
}

/* ---- the table ---- */

struct consumer_filters *consumer_filters_new(const char *dir, struct bloom bloom)
{
    struct consumer_filters *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->path = config_file_path(dir, "consumerFilter.json");
    if (t->path == NULL) {
        free(t);
        return NULL;
    }
    t->bloom = bloom;
    mutex_init_adaptive(&t->lock);
    return t;
}

void consumer_filters_set_store(struct consumer_filters *t, struct store *store)
{
    t->store = store;
}

static void release(void *value)
{
    consumer_filter_release(value);
}

void consumer_filters_free(struct consumer_filters *t)
{
    if (t == NULL)
        return;
    map_free(&t->filters, release);
    map_free(&t->by_topic, NULL);
    pthread_mutex_destroy(&t->lock);
    free(t->path);
    free(t);
}

struct str consumer_filters_key(char key[FILTER_KEY_MAX], struct str topic, struct str group)
{
    if (topic.len + group.len + 1 > FILTER_KEY_MAX)
        return STR_NULL;
    memcpy(key, topic.ptr, topic.len);
    key[topic.len] = '\0';
    memcpy(key + topic.len + 1, group.ptr, group.len);
    return str_make(key, topic.len + 1 + group.len);
}

/* Under the lock. */
static struct consumer_filter *find(const struct consumer_filters *t, struct str topic, struct str group)
{
    char text[FILTER_KEY_MAX];
    struct str key = topic.len && group.len ? consumer_filters_key(text, topic, group) : STR_NULL;
    return key.len ? map_get(&t->filters, key) : NULL;
}

/* Of a group's filter of a topic. */
static bool make_positions(const struct consumer_filter *f, const struct bloom *bloom,
                           int32_t positions[BLOOM_HASHES_MAX])
{
    struct buf name = {0};
    buf_add_str(&name, f->group);
    buf_add_lit(&name, "#");
    buf_add_str(&name, f->topic);
    bool ok = buf_ok(&name);
    if (ok)
        bloom_positions(bloom, buf_str(&name), positions);
    buf_free(&name);
    return ok;
}

/* The filter is in the table: from now on messages are told by it. */
static void set_bits(struct consumer_filters *t, struct consumer_filter *f)
{
    static const struct bloom of_entries = {.hashes = BITS_EACH, .bits = STORE_FILTER_BITS};
    int32_t positions[BLOOM_HASHES_MAX];
    if (t->store == NULL || !make_positions(f, &of_entries, positions))
        return;
    for (int i = 0; i < BITS_EACH; i++)
        f->bits |= UINT32_C(1) << positions[i];
    /* A message that somebody is about to append was not told by it: the store takes no bits of the round before. */
    atomic_store_explicit(&f->bits_from, store_filters_changed(t->store), memory_order_release);
}

static void changed(struct consumer_filters *t)
{
    t->changes++;
    atomic_store_explicit(&t->count, t->filters.count, memory_order_relaxed);
}

/* Messages are told by it no more: who still filters by it looks at them. */
static void unlink_from_topic(struct consumer_filters *t, struct consumer_filter *f)
{
    atomic_store_explicit(&f->bits_from, INT64_MAX, memory_order_release);
    struct consumer_filter *first = map_get(&t->by_topic, f->topic), *before = first;
    if (first == f && f->next == NULL) {
        map_del(&t->by_topic, f->topic);
    } else if (first == f) {
        (void)map_put(&t->by_topic, f->topic, f->next, NULL); /* replaces: needs no memory */
    } else {
        while (before->next != f)
            before = before->next;
        before->next = f->next;
    }
    f->next = NULL;
}

bool consumer_filters_put(struct consumer_filters *t, struct consumer_filter *f)
{
    char text[FILTER_KEY_MAX];
    struct str key = consumer_filters_key(text, f->topic, f->group);
    void *old = NULL;
    if (key.len == 0)
        return false;
    f->next = map_get(&t->by_topic, f->topic);
    if (!map_put(&t->by_topic, f->topic, f, NULL))
        return false;
    if (!map_put(&t->filters, key, f, &old)) {
        unlink_from_topic(t, f);
        return false;
    }
    if (old)
        unlink_from_topic(t, old);
    consumer_filter_release(old);
    set_bits(t, f);
    changed(t);
    return true;
}

void consumer_filters_drop(struct consumer_filters *t, struct consumer_filter *f)
{
    char text[FILTER_KEY_MAX];
    unlink_from_topic(t, f);
    map_del(&t->filters, consumer_filters_key(text, f->topic, f->group));
    consumer_filter_release(f);
    changed(t);
}

void consumer_filters_clear(struct consumer_filters *t)
{
    map_clear(&t->by_topic, NULL);
    map_clear(&t->filters, release);
    changed(t);
}

struct consumer_filter *consumer_filters_find(struct consumer_filters *t, struct str topic, struct str group)
{
    if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0)
        return NULL;
    pthread_mutex_lock(&t->lock);
    struct consumer_filter *f = find(t, topic, group);
    if (f)
        consumer_filter_retain(f);
    pthread_mutex_unlock(&t->lock);
    return f;
}

/* ---- bits of entries ---- */

uint32_t consumer_filters_bits(struct consumer_filters *t, struct str topic, struct str properties)
{
    struct consumer_filter *wanting[BITS_FILTERS];
    uint32_t bits = STORE_FILTER_KNOWN;
    size_t n = 0;
    if (t->store == NULL || atomic_load_explicit(&t->count, memory_order_relaxed) == 0)
        return 0;
    pthread_mutex_lock(&t->lock);
    struct consumer_filter *f = map_get(&t->by_topic, topic);
    for (; f && n < BITS_FILTERS; f = f->next)
        wanting[n++] = consumer_filter_retain(f);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        if (wanting[i]->sql && sql_evaluate(wanting[i]->sql, properties) == SQL_TRUE)
            bits |= wanting[i]->bits;
        consumer_filter_release(wanting[i]);
    }
    return n && f == NULL ? bits : 0;
}

bool consumer_filter_rules_out(const struct consumer_filter *f, const struct store_entry *e)
{
    return f->sql && (e->filter_bits & STORE_FILTER_KNOWN) && (e->filter_bits & f->bits) != f->bits &&
           e->physical_offset >= atomic_load_explicit(&f->bits_from, memory_order_acquire);
}

/* ---- heartbeats ---- */

static void set_dead(struct consumer_filters *t, struct consumer_filter *f, int64_t time)
{
    atomic_store(&f->dead_time, time);
    changed(t);
}

/* What a client says again, perhaps after a time in which its group was gone. */
static void refresh(struct consumer_filters *t, struct consumer_filter *f, int64_t version)
{
    if (version < atomic_load(&f->client_version))
        return;
    if (version > atomic_load(&f->client_version)) {
        atomic_store(&f->client_version, version);
        changed(t);
    }
    if (consumer_filter_is_dead(f))
        set_dead(t, f, 0);
}

static void register_one(struct consumer_filters *t, struct str group, const struct json *sub)
{
    struct str topic = json_str(sub, "topic"), expression = json_str(sub, "subString"),
               type = json_str(sub, "expressionType");
    int64_t version = json_i64(sub, "subVersion", 0);
    struct err err;
    if (subscription_is_tag_type(type) || expression.len == 0 || topic.len == 0)
        return;
    struct consumer_filter *old = find(t, topic, group);
    bool same = old && str_eq(old->expression, expression) && str_eq(old->type, type);
    if (same || (old && version <= atomic_load(&old->client_version))) {
        refresh(t, old, version);
        return;
    }
    struct consumer_filter *f = consumer_filter_new(topic, group, expression, type, version, &err);
    if (f) {
        if (make_positions(f, &t->bloom, f->positions))
            f->bloom = t->bloom;
        LOG(LOG_INFO, "broker", "group %.*s filters topic %.*s by %.*s", STR_ARG(group), STR_ARG(topic),
            STR_ARG(expression));
    } else {
        LOG_LIMITED(LOG_WARN, "broker", "group %.*s wants to filter topic %.*s by what cannot be used: %s",
                    STR_ARG(group), STR_ARG(topic), err.text);
    }
    if (f && !consumer_filters_put(t, f))
        consumer_filter_release(f);
    else if (f == NULL && old)
        consumer_filters_drop(t, old); /* its pulls are refused, so that the client hears of it */
}

static bool subscribed(const struct json *subs, struct str topic)
{
    JSON_EACH(sub, subs)
    if (str_eq(json_str(sub, "topic"), topic))
        return true;
    return false;
}

static bool any_filter(const struct json *subs)
{
    JSON_EACH(sub, subs)
    if (!subscription_is_tag_type(json_str(sub, "expressionType")))
        return true;
    return false;
}

/* Marks the group's filters dead; those of the topics in subs stay alive. */
static void set_group_dead(struct consumer_filters *t, struct str group, const struct json *subs)
{
    for (struct map_slot *s = NULL; (s = map_next(&t->filters, s));) {
        struct consumer_filter *f = s->value;
        if (str_eq(f->group, group) && !consumer_filter_is_dead(f) && !subscribed(subs, f->topic))
            set_dead(t, f, clock_wall_ms());
    }
}

void consumer_filters_register(struct consumer_filters *t, struct str group, const struct json *subs)
{
    /* Nearly all heartbeats are of brokers and groups without any such filter. */
    if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0 && !any_filter(subs))
        return;
    pthread_mutex_lock(&t->lock);
    JSON_EACH(sub, subs)
    register_one(t, group, sub);
    set_group_dead(t, group, subs);
    pthread_mutex_unlock(&t->lock);
}

void consumer_filters_unregister(struct consumer_filters *t, struct str group)
{
    if (atomic_load_explicit(&t->count, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    set_group_dead(t, group, NULL);
    pthread_mutex_unlock(&t->lock);
}
