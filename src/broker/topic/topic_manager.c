#include "broker/topic/topic_manager_int.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/store.h"
#include <errno.h>
#include <stdlib.h>

/* ---- queues ---- */

/* A bigger table takes the place of a smaller one; the small one stays for those who read it just now. */
struct queue_table {
    struct queue_table *older;
    int32_t count;
    _Atomic(struct cq *) queues[];
};

static void free_queue_tables(struct queue_table *table)
{
    while (table) {
        struct queue_table *older = table->older;
        free(table);
        table = older;
    }
}

static struct queue_table *grow_queue_table(struct queue_table *old, int32_t count)
{
    struct queue_table *table = calloc(1, sizeof *table + (size_t)count * sizeof table->queues[0]);
    if (table == NULL)
        return NULL;
    table->older = old;
    table->count = count;
    for (int32_t i = 0; old && i < old->count && i < count; i++)
        atomic_init(&table->queues[i], atomic_load_explicit(&old->queues[i], memory_order_relaxed));
    return table;
}

static int32_t queues_of(const struct topic *t)
{
    int32_t read = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    int32_t write = atomic_load_explicit(&t->write_queues, memory_order_relaxed);
    return read > write ? read : write;
}

static struct cq *open_queue(struct topic_manager *m, struct topic *t, int32_t queue_id, int32_t count)
{
    struct cq *q = NULL;
    pthread_mutex_lock(&m->queue_lock);
    struct queue_table *table = atomic_load(&t->queues);
    if (table == NULL || queue_id >= table->count) {
        table = grow_queue_table(table, count);
        if (table)
            atomic_store(&t->queues, table);
    }
    if (table) {
        q = store_queue(m->store, t->name, queue_id, true);
        if (q && !atomic_load(&t->deleted))
            atomic_store(&table->queues[queue_id], q);
    }
    pthread_mutex_unlock(&m->queue_lock);
    return q;
}

struct cq *topic_queue(struct topic_manager *m, struct topic *t, int32_t queue_id)
{
    int32_t count = queues_of(t);
    if (queue_id < 0 || queue_id >= count)
        return NULL;
    struct queue_table *table = atomic_load_explicit(&t->queues, memory_order_acquire);
    if (table && queue_id < table->count) {
        struct cq *q = atomic_load_explicit(&table->queues[queue_id], memory_order_acquire);
        if (q)
            return q;
    }
    return open_queue(m, t, queue_id, count);
}

/* The queues of a deleted topic are looked up anew when the topic comes back. */
void topic_forget_queues(struct topic_manager *m, struct topic *t)
{
    pthread_mutex_lock(&m->queue_lock);
    struct queue_table *table = atomic_load(&t->queues);
    for (int32_t i = 0; table && i < table->count; i++)
        atomic_store(&table->queues[i], NULL);
    pthread_mutex_unlock(&m->queue_lock);
}

/* Compaction topics have logs of their own in the store. Without the lock: the store asks what a new queue's topic is
 * like. */
static bool keep_compacted(struct topic_manager *m, const struct topic *t)
{
    return m->store == NULL || atomic_load(&t->deleted) || !atomic_load(&t->compacted) ||
           store_compact_topic(m->store, t->name, queues_of(t));
}

/* ---- life ---- */

bool topic_set_store(struct topic_manager *m, struct store *store)
{
    bool ok = true;
    m->store = store;
    for (struct map_slot *s = NULL; (s = map_next(&m->entries, s));)
        ok &= keep_compacted(m, &((struct topic_entry *)s->value)->t);
    return ok;
}

int topic_manager_load(struct topic_manager *m, struct err *err)
{
    return config_table_load(&m->file, err);
}

int topic_persist(struct topic_manager *m, struct err *err)
{
    return config_table_save(&m->file, err);
}

int topic_sync(struct topic_manager *m, struct err *err)
{
    return config_table_sync(&m->file, err);
}

struct topic_manager *topic_manager_new(struct store *store, const char *config_dir)
{
    struct topic_manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->store = store;
    atomic_init(&m->auto_create, true);
    atomic_init(&m->generation, 1);
    pthread_mutex_init(&m->queue_lock, NULL);
    pthread_rwlock_init(&m->lmq_lock, NULL);
    if (!config_table_init(&m->file, &topic_file, m, config_dir, "topics.json")) {
        topic_manager_free(m);
        return NULL;
    }
    return m;
}

void topic_entry_free(void *value)
{
    struct topic_entry *e = value;
    free_queue_tables(atomic_load(&e->t.queues));
    free(atomic_load(&e->t.stats));
    free((void *)(uintptr_t)e->t.name.ptr);
    free(e->config);
    free(e);
}

void topic_manager_free(struct topic_manager *m)
{
    if (m == NULL)
        return;
    config_table_end(&m->file);
    map_free(&m->entries, topic_entry_free);
    map_free(&m->lmqs, topic_entry_free);
    pthread_rwlock_destroy(&m->lmq_lock);
    map_free(&m->system, NULL);
    pthread_mutex_destroy(&m->queue_lock);
    free(m);
}

void topic_manager_on_change(struct topic_manager *m, void (*fn)(void *arg, struct topic *const *changed, size_t n),
                             void *arg)
{
    m->on_change_arg = arg;
    m->on_change = fn;
}

/* ---- the table ---- */

struct topic_entry *topic_entry_find(const struct topic_manager *m, struct str name)
{
    struct topic_entry *e = map_get(&m->entries, name);
    return e && !atomic_load_explicit(&e->t.deleted, memory_order_relaxed) ? e : NULL;
}

struct topic *topic_find(struct topic_manager *m, struct str name)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct topic_entry *e = topic_entry_find(m, name);
    pthread_rwlock_unlock(&m->file.lock);
    return e ? &e->t : topic_lmq_find(m, name);
}

uint64_t topics_generation(const struct topic_manager *m)
{
    return atomic_load_explicit(&m->generation, memory_order_acquire);
}

static struct topic_entry *new_entry(struct topic_manager *m, struct str name)
{
    struct topic_entry *e = calloc(1, sizeof *e);
    char *copy = e ? str_dupz(name) : NULL;
    if (copy == NULL || !map_put(&m->entries, name, e, NULL)) {
        free(copy);
        free(e);
        return NULL;
    }
    e->t.name = str_make(copy, name.len);
    e->t.retry = str_starts(name, STR_LIT("%RETRY%"));
    e->t.dlq = str_starts(name, STR_LIT("%DLQ%"));
    atomic_store(&e->t.deleted, true);
    return e;
}

struct topic_entry *topic_entry_set(struct topic_manager *m, const struct topic_config *c)
{
    struct topic_config *config = topic_config_copy(c);
    struct topic_entry *e = config ? map_get(&m->entries, c->name) : NULL;
    if (config && e == NULL)
        e = new_entry(m, c->name);
    if (e == NULL) {
        free(config);
        return NULL;
    }
    struct topic_config *before = e->config; /* c may have views of it */
    e->config = config;
    e->t.system = e->t.system || topic_is_system(m, c->name);
    atomic_store(&e->t.perm, c->perm);
    atomic_store(&e->t.read_queues, c->read_queue_nums);
    atomic_store(&e->t.write_queues, c->write_queue_nums);
    atomic_store(&e->t.sys_flag, c->topic_sys_flag);
    atomic_store(&e->t.multi_tag, c->filter_type == TOPIC_FILTER_MULTI_TAG);
    atomic_store(&e->t.order, c->order);
    e->t.batch = topic_is_batch(c);
    atomic_store(&e->t.compacted, topic_is_compacted(c));
    if (atomic_load(&e->t.deleted)) {
        atomic_store(&e->t.deleted, false);
        m->live++;
        atomic_fetch_add(&m->generation, 1);
    }
    free(before);
    return e;
}

static void write_config(struct jw *w, const void *item)
{
    topic_config_write(w, item);
}

void topic_changed(struct topic_manager *m, const struct topic_config *config, struct str deleted)
{
    config_table_changed(&m->file, config ? write_config : NULL, config, deleted);
}

void topic_entry_delete(struct topic_manager *m, struct topic_entry *e)
{
    atomic_store(&e->t.deleted, true);
    m->live--;
    atomic_fetch_add(&m->generation, 1);
}

void topic_announce(struct topic_manager *m, struct topic *const *changed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!keep_compacted(m, changed[i]))
            LOG(LOG_ERROR, "broker",
                "out of memory for the compaction logs of topic %.*s: it is compacted after the next start",
                STR_ARG(changed[i]->name));
    config_table_save_soon(&m->file);
    if (m->on_change)
        m->on_change(m->on_change_arg, changed, n);
}

/* ---- changing topics ---- */

static int check_config(const struct topic_config *c, struct err *err)
{
    bool long_name = str_starts(c->name, STR_LIT("%RETRY%")) || str_starts(c->name, STR_LIT("%DLQ%"));
    const char *why = name_illegal(c->name, long_name ? 255 : 127);
    if (why)
        return err_set(err, EINVAL, "the topic name '%.*s' %s", STR_ARG(c->name), why);
    if (c->read_queue_nums < 0 || c->read_queue_nums > TOPIC_MAX_QUEUES || c->write_queue_nums < 0 ||
        c->write_queue_nums > TOPIC_MAX_QUEUES)
        return err_set(err, EINVAL, "topic %.*s cannot have %d read and %d write queues; give numbers from 0 to %d",
                       STR_ARG(c->name), c->read_queue_nums, c->write_queue_nums, TOPIC_MAX_QUEUES);
    return 0;
}

/* %RETRY%GROUP+TOPIC: brokers make such topics although nobody else may. */
static bool is_pop_retry_v2(struct str name)
{
    const char *plus = str_starts(name, STR_LIT("%RETRY%")) ? memchr(name.ptr, '+', name.len) : NULL;
    size_t at = plus ? (size_t)(plus - name.ptr) : 0;
    return plus && name.len <= 255 && !name_illegal(str_make(name.ptr, at), 255) &&
           !name_illegal(str_skip(name, at + 1), 255);
}

/* Under the write lock. *changed: false when the topic is like this already. */
static struct topic_entry *put_one(struct topic_manager *m, struct arena *a, const struct topic_config *c,
                                   bool *changed, struct err *err)
{
    struct topic_config wanted;
    if (check_config(c, err) < 0)
        return NULL;
    struct topic_entry *e = topic_entry_find(m, c->name);
    if (topic_attributes_alter(a, e ? e->config : NULL, c, &wanted, err) < 0)
        return NULL;
    *changed = e == NULL || !topic_config_eq(e->config, &wanted);
    if (!*changed)
        return e;
    e = topic_entry_set(m, &wanted);
    if (e)
        topic_changed(m, e->config, STR_NULL);
    else
        err_set(err, ENOMEM, "out of memory for topic %.*s", STR_ARG(c->name));
    return e;
}

int topic_put_many(struct topic_manager *m, const struct topic_config *c, size_t n, struct err *err)
{
    struct arena a = {0};
    struct topic **changed = n ? malloc(n * sizeof(struct topic *)) : NULL;
    size_t count = 0, i = 0;
    if (changed == NULL)
        return n ? err_set(err, ENOMEM, "out of memory for %zu topics", n) : 0;
    pthread_rwlock_wrlock(&m->file.lock);
    for (; i < n; i++) {
        bool is_new;
        struct topic_entry *e = put_one(m, &a, &c[i], &is_new, err);
        if (e == NULL)
            break;
        if (is_new)
            changed[count++] = &e->t;
    }
    pthread_rwlock_unlock(&m->file.lock);
    arena_free(&a);
    if (count)
        topic_announce(m, changed, count);
    free(changed);
    return i == n ? 0 : -1;
}

struct topic *topic_put(struct topic_manager *m, const struct topic_config *c, struct err *err)
{
    struct arena a = {0};
    bool changed = false;
    pthread_rwlock_wrlock(&m->file.lock);
    struct topic_entry *e = put_one(m, &a, c, &changed, err);
    pthread_rwlock_unlock(&m->file.lock);
    arena_free(&a);
    if (e == NULL)
        return NULL;
    struct topic *t = &e->t;
    if (changed)
        topic_announce(m, &t, 1);
    return t;
}

bool topic_delete(struct topic_manager *m, struct str name)
{
    pthread_rwlock_wrlock(&m->file.lock);
    struct topic_entry *e = topic_entry_find(m, name);
    if (e) {
        topic_entry_delete(m, e);
        topic_changed(m, NULL, e->t.name);
    }
    pthread_rwlock_unlock(&m->file.lock);
    if (e == NULL)
        return topic_lmq_delete(m, name);
    topic_forget_queues(m, &e->t);
    if (m->store)
        store_delete_topic(m->store, name);
    LOG(LOG_INFO, "broker", "deleted topic %.*s", STR_ARG(name));
    config_table_save_soon(&m->file);
    return true;
}

struct topic *topic_ensure(struct topic_manager *m, struct str name, int32_t queues, int perm, int sys_flag,
                           struct err *err)
{
    struct topic *t = topic_find(m, name);
    if (t)
        return t;
    struct topic_config c = TOPIC_CONFIG_DEFAULT(name);
    c.read_queue_nums = c.write_queue_nums = queues;
    c.perm = perm;
    c.topic_sys_flag = sys_flag;
    if (!is_pop_retry_v2(name) && check_config(&c, err) < 0)
        return NULL;
    pthread_rwlock_wrlock(&m->file.lock);
    struct topic_entry *e = topic_entry_find(m, name);
    bool made = e == NULL;
    if (made && (e = topic_entry_set(m, &c)) != NULL)
        topic_changed(m, e->config, STR_NULL);
    pthread_rwlock_unlock(&m->file.lock);
    if (e == NULL) {
        err_set(err, ENOMEM, "out of memory for topic %.*s", STR_ARG(name));
        return NULL;
    }
    t = &e->t;
    if (made)
        topic_announce(m, &t, 1);
    return t;
}

void topic_set_order(struct topic_manager *m, const struct str *names, size_t n)
{
    bool any = false;
    pthread_rwlock_wrlock(&m->file.lock);
    for (size_t i = 0; i < n; i++) {
        struct topic_entry *e = topic_entry_find(m, names[i]);
        if (e == NULL || e->config->order)
            continue;
        e->config->order = true;
        atomic_store(&e->t.order, true);
        topic_changed(m, e->config, STR_NULL);
        any = true;
    }
    pthread_rwlock_unlock(&m->file.lock);
    if (any)
        config_table_save_soon(&m->file);
}

/* ---- reading ---- */

static bool copy_config(struct arena *a, const struct topic_config *from, struct topic_config *to)
{
    *to = *from;
    to->name = arena_str(a, from->name);
    struct topic_attribute *attributes = NULL;
    if (from->attribute_count) {
        attributes = arena_alloc(a, from->attribute_count * sizeof *attributes);
        if (attributes == NULL)
            return false;
    }
    for (size_t i = 0; i < from->attribute_count; i++) {
        attributes[i].key = arena_str(a, from->attributes[i].key);
        attributes[i].value = arena_str(a, from->attributes[i].value);
    }
    to->attributes = attributes;
    return to->name.ptr != NULL;
}

bool topic_config_of(struct topic_manager *m, struct str name, struct arena *a, struct topic_config *out)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct topic_entry *e = topic_entry_find(m, name);
    bool found = e && copy_config(a, e->config, out);
    pthread_rwlock_unlock(&m->file.lock);
    return found;
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp(((const struct topic_config *)a)->name, ((const struct topic_config *)b)->name);
}

struct topic_config *topic_snapshot(struct topic_manager *m, struct arena *a, const struct str *names, size_t *n,
                                    struct data_version *version)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&m->file.lock);
    size_t most = names ? *n : m->live;
    struct topic_config *all = arena_alloc(a, (most + 1) * sizeof *all);
    for (size_t i = 0; all && names && i < most; i++) {
        struct topic_entry *e = topic_entry_find(m, names[i]);
        if (e && copy_config(a, e->config, &all[count]))
            count++;
    }
    for (struct map_slot *s = NULL; all && names == NULL && (s = map_next(&m->entries, s));) {
        struct topic_entry *e = s->value;
        if (!atomic_load(&e->t.deleted) && count < most && copy_config(a, e->config, &all[count]))
            count++;
    }
    *version = m->file.version;
    pthread_rwlock_unlock(&m->file.lock);
    *n = count;
    return all;
}

struct topic_config *topic_config_all(struct topic_manager *m, struct arena *a, size_t *n)
{
    struct data_version version;
    struct topic_config *all = topic_snapshot(m, a, NULL, n, &version);
    if (all)
        qsort(all, *n, sizeof *all, compare_names);
    return all;
}

void topic_names(struct topic_manager *m, struct arena *a, struct str **names, size_t *n)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&m->file.lock);
    *names = arena_alloc(a, (m->live + 1) * sizeof **names);
    for (struct map_slot *s = NULL; *names && (s = map_next(&m->entries, s));) {
        struct topic_entry *e = s->value;
        /* A topic's name lives as long as the manager. */
        if (!atomic_load(&e->t.deleted) && count < m->live)
            (*names)[count++] = e->t.name;
    }
    pthread_rwlock_unlock(&m->file.lock);
    *n = count;
}

struct data_version topic_version(struct topic_manager *m)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct data_version v = m->file.version;
    pthread_rwlock_unlock(&m->file.lock);
    return v;
}

void topic_version_next(struct topic_manager *m)
{
    pthread_rwlock_wrlock(&m->file.lock);
    topic_changed(m, NULL, STR_NULL);
    pthread_rwlock_unlock(&m->file.lock);
}
