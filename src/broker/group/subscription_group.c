#include "broker/group/subscription_group_int.h"

#include "base/log.h"
#include "broker/topic/topic_manager.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

enum { FORBIDDEN_READ = 4 /* the bit of PERM_READ, as in Java */ };

static const char *const predefined[] = {
    "TOOLS_CONSUMER",  "FILTERSRV_CONSUMER",    "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER",  "CID_RMQ_SYS_TRANS",
};

/* ---- life ---- */

int group_manager_load(struct group_manager *m, struct err *err)
{
    return config_table_load(&m->file, err);
}

int group_persist(struct group_manager *m, struct err *err)
{
    return config_table_save(&m->file, err);
}

int group_sync(struct group_manager *m, struct err *err)
{
    return config_table_sync(&m->file, err);
}

struct group_manager *group_manager_new(const char *config_dir, bool auto_create)
{
    struct group_manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    atomic_init(&m->auto_create, auto_create);
    atomic_init(&m->auto_create_system, true);
    pthread_rwlock_init(&m->lmq_lock, NULL);
    bool good = config_table_init(&m->file, &group_file, m, config_dir, "subscriptionGroup.json");
    for (size_t i = 0; good && i < sizeof predefined / sizeof predefined[0]; i++)
        good = group_entry_set(m, str_from(predefined[i]), NULL) != NULL;
    if (good)
        return m;
    group_manager_free(m);
    return NULL;
}

void group_entry_free(void *value)
{
    struct group_entry *e = value;
    free((void *)(uintptr_t)e->g.name.ptr);
    free(e->extras);
    free(e);
}

static void free_topics(void *value)
{
    map_free(value, NULL);
    free(value);
}

void group_manager_free(struct group_manager *m)
{
    if (m == NULL)
        return;
    config_table_end(&m->file);
    map_free(&m->entries, group_entry_free);
    map_free(&m->lmqs, group_entry_free);
    pthread_rwlock_destroy(&m->lmq_lock);
    map_free(&m->forbidden, free_topics);
    free(m);
}

void group_set_auto_create(struct group_manager *m, bool on)
{
    atomic_store(&m->auto_create, on);
}

void group_set_auto_create_system(struct group_manager *m, bool on)
{
    atomic_store(&m->auto_create_system, on);
}

/* ---- the table ---- */

struct group_entry *group_entry_find(const struct group_manager *m, struct str name)
{
    struct group_entry *e = map_get(&m->entries, name);
    return e && !atomic_load(&e->g.deleted) ? e : NULL;
}

static struct group_entry *entry_of(struct group_manager *m, struct str name)
{
    struct group_entry *e = map_get(&m->entries, name);
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    char *copy = e ? str_dupz(name) : NULL;
    if (copy == NULL || !map_put(&m->entries, name, e, NULL)) {
        free(copy);
        free(e);
        return NULL;
    }
    e->g.name = str_make(copy, name.len);
    atomic_store(&e->g.deleted, true);
    return e;
}

/* Members that struct group has; all others are extras. */
static bool is_plain(struct str key)
{
    static const char *const names[] = {
        "brokerId",      "consumeBroadcastEnable", "consumeEnable",
        "groupName",     "consumeFromMinEnable",   "consumeMessageOrderly",
        "groupSysFlag",  "consumeTimeoutMinute",   "notifyConsumerIdsChangedEnable",
        "retryMaxTimes", "retryQueueNums",         "whichBrokerWhenConsumeSlowly",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eqz(key, names[i]))
            return true;
    return false;
}

/* The text of the extras; *failed: out of memory. */
static char *extras_of(const struct json *config, bool *failed)
{
    struct buf text = {0};
    struct jw w;
    bool any = false;
    jw_init(&w, &text);
    jw_begin_object(&w);
    JSON_EACH(member, config)
    {
        if (is_plain(json_text(member->key)) || member->kind == JSON_NULL)
            continue;
        jw_key(&w, json_text(member->key));
        jw_node(&w, member);
        any = true;
    }
    jw_end_object(&w);
    char *copy = any && buf_ok(&text) ? str_dupz(buf_str(&text)) : NULL;
    *failed = any && copy == NULL;
    buf_free(&text);
    return copy;
}

static int32_t i32_of(const struct json *config, const char *name, int32_t absent)
{
    int64_t v = json_i64(config, name, absent);
    return v < INT32_MIN || v > INT32_MAX ? absent : (int32_t)v;
}

void group_take_config(struct group *g, const struct json *config)
{
    atomic_store(&g->consume_enable, json_bool(config, "consumeEnable", true));
    atomic_store(&g->consume_from_min_enable, json_bool(config, "consumeFromMinEnable", true));
    atomic_store(&g->consume_broadcast_enable, json_bool(config, "consumeBroadcastEnable", true));
    atomic_store(&g->consume_orderly, json_bool(config, "consumeMessageOrderly", false));
    atomic_store(&g->notify_ids_changed, json_bool(config, "notifyConsumerIdsChangedEnable", true));
    atomic_store(&g->retry_queue_nums, i32_of(config, "retryQueueNums", 1));
    atomic_store(&g->retry_max_times, i32_of(config, "retryMaxTimes", 16));
    atomic_store(&g->sys_flag, i32_of(config, "groupSysFlag", 0));
    atomic_store(&g->consume_timeout_minute, i32_of(config, "consumeTimeoutMinute", 15));
    atomic_store(&g->broker_id, json_i64(config, "brokerId", 0));
    atomic_store(&g->which_broker_when_slow, json_i64(config, "whichBrokerWhenConsumeSlowly", 1));
}

struct group_entry *group_entry_set(struct group_manager *m, struct str name, const struct json *config)
{
    bool failed = false;
    char *extras = config ? extras_of(config, &failed) : NULL;
    struct group_entry *e = failed ? NULL : entry_of(m, name);
    if (e == NULL) {
        free(extras);
        return NULL;
    }
    free(e->extras);
    e->extras = extras;
    struct group *g = &e->g;
    group_take_config(g, config);
    if (atomic_load(&g->deleted)) {
        m->live++;
        atomic_store(&g->deleted, false);
    }
    return e;
}

static void next_version(struct group_manager *m, void (*write)(struct jw *w, const void *item), const void *item,
                         struct str deleted)
{
    config_table_changed(&m->file, write, item, deleted);
}

void group_changed(struct group_manager *m, const struct group_entry *e, struct str deleted)
{
    next_version(m, e ? group_write_config : NULL, e, deleted);
}

void group_entry_delete(struct group_manager *m, struct group_entry *e)
{
    struct map *topics = map_del(&m->forbidden, e->g.name);
    if (topics)
        free_topics(topics);
    atomic_store(&e->g.deleted, true);
    m->live--;
}

struct group *group_known(struct group_manager *m, struct str name)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct group_entry *e = group_entry_find(m, name);
    pthread_rwlock_unlock(&m->file.lock);
    return e ? &e->g : group_lmq_find(m, name);
}

struct group *group_find(struct group_manager *m, struct str name)
{
    struct group *g = group_known(m, name);
    if (g)
        return g;
    bool system = str_starts(name, STR_LIT("CID_RMQ_SYS_")) && atomic_load(&m->auto_create_system);
    if ((!atomic_load(&m->auto_create) && !system) || name_illegal(name, GROUP_NAME_MAX))
        return NULL;
    pthread_rwlock_wrlock(&m->file.lock);
    struct group_entry *e = group_entry_find(m, name);
    bool made = e == NULL;
    if (made && (e = group_entry_set(m, name, NULL)) != NULL)
        group_changed(m, e, STR_NULL);
    pthread_rwlock_unlock(&m->file.lock);
    if (e && made) {
        LOG(LOG_INFO, "broker", "created the subscription group %.*s on its first use", STR_ARG(name));
        config_table_save_soon(&m->file);
    }
    return e ? &e->g : NULL;
}

/* Java has no attributes of groups yet, so every one of them is refused. */
static int check(struct str name, const struct json *config, struct err *err)
{
    const char *why = name_illegal(name, GROUP_NAME_MAX);
    if (why)
        return err_set(err, EINVAL, "the group name '%.*s' %s", STR_ARG(name), why);
    JSON_EACH(member, json_get(config, "attributes"))
    {
        struct str key = json_text(member->key);
        if (key.len && (key.ptr[0] == '+' || key.ptr[0] == '-'))
            return err_set(err, EINVAL, "unsupported key: there is no subscription group attribute '%.*s'",
                           STR_ARG(str_skip(key, 1)));
    }
    return 0;
}

struct group *group_put_json(struct group_manager *m, const struct json *config, struct err *err)
{
    struct str name = json_str(config, "groupName");
    if (check(name, config, err) < 0)
        return NULL;
    pthread_rwlock_wrlock(&m->file.lock);
    struct group_entry *e = group_entry_set(m, name, config);
    if (e)
        group_changed(m, e, STR_NULL);
    pthread_rwlock_unlock(&m->file.lock);
    if (e == NULL) {
        err_set(err, ENOMEM, "out of memory for the subscription group %.*s", STR_ARG(name));
        return NULL;
    }
    config_table_save_soon(&m->file);
    return &e->g;
}

bool group_delete(struct group_manager *m, struct str name)
{
    pthread_rwlock_wrlock(&m->file.lock);
    struct group_entry *e = group_entry_find(m, name);
    if (e) {
        group_entry_delete(m, e);
        group_changed(m, NULL, e->g.name);
    }
    pthread_rwlock_unlock(&m->file.lock);
    if (e)
        config_table_save_soon(&m->file);
    return e != NULL;
}

/* ---- forbidden ---- */

bool group_forbid(struct group_manager *m, struct str group, struct str topic, uintptr_t bits)
{
    struct map *topics = map_get(&m->forbidden, group);
    if (bits == 0) {
        if (topics)
            map_del(topics, topic);
        if (topics && topics->count == 0)
            free_topics(map_del(&m->forbidden, group));
        return true;
    }
    if (topics == NULL) {
        topics = calloc(1, sizeof *topics);
        if (topics == NULL || !map_put(&m->forbidden, group, topics, NULL)) {
            free(topics);
            return false;
        }
    }
    return map_put(topics, topic, (void *)bits, NULL);
}

static uintptr_t forbidden_bits(const struct group_manager *m, struct str group, struct str topic)
{
    const struct map *topics = map_get(&m->forbidden, group);
    return topics ? (uintptr_t)map_get(topics, topic) : 0;
}

bool group_forbidden(struct group_manager *m, struct str group, struct str topic)
{
    pthread_rwlock_rdlock(&m->file.lock);
    bool yes = m->forbidden.count && (forbidden_bits(m, group, topic) & FORBIDDEN_READ);
    pthread_rwlock_unlock(&m->file.lock);
    return yes;
}

struct forbidden_change {
    struct str group, topic;
    uintptr_t bits;
};

static void write_forbidden_change(struct jw *w, const void *item)
{
    const struct forbidden_change *f = item;
    jw_begin_object(w);
    jw_kstr(w, "groupName", f->group);
    jw_kstr(w, "forbiddenTopic", f->topic);
    jw_ki64(w, "bits", (int64_t)f->bits);
    jw_end_object(w);
}

void group_set_forbidden(struct group_manager *m, struct str group, struct str topic, bool forbidden)
{
    struct forbidden_change f = {group, topic, forbidden ? FORBIDDEN_READ : 0};
    pthread_rwlock_wrlock(&m->file.lock);
    f.bits |= forbidden_bits(m, group, topic) & ~(uintptr_t)FORBIDDEN_READ;
    if (group_forbid(m, group, topic, f.bits))
        next_version(m, write_forbidden_change, &f, STR_NULL);
    pthread_rwlock_unlock(&m->file.lock);
    config_table_save_soon(&m->file);
}

/* ---- reading ---- */

void group_names(struct group_manager *m, struct arena *a, struct str **names, size_t *n)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&m->file.lock);
    *names = arena_alloc(a, (m->live + 1) * sizeof **names);
    for (struct map_slot *s = NULL; *names && (s = map_next(&m->entries, s));) {
        const struct group_entry *e = s->value;
        if (!atomic_load(&e->g.deleted) && count < m->live)
            (*names)[count++] = e->g.name; /* lives as long as the manager */
    }
    pthread_rwlock_unlock(&m->file.lock);
    *n = count;
}

struct data_version group_version(struct group_manager *m)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct data_version v = m->file.version;
    pthread_rwlock_unlock(&m->file.lock);
    return v;
}
