/* config/topics.json: {"dataVersion":{..},"topicConfigTable":{"NAME":{TopicConfig}, ..}} */
#include "base/log.h"
#include "broker/topic_manager_int.h"
#include <errno.h>
#include <stdlib.h>

static int take_topics(struct topic_manager *m, struct arena *a, const struct json *table, struct err *err)
{
    JSON_EACH(member, table)
    {
        struct topic_config c;
        if (member->kind != JSON_OBJECT || !topic_config_read(a, member, &c)) {
            LOG(LOG_WARN, "broker", "%s: '%.*s' is no topic, leaving it out", m->path, STR_ARG(json_text(member->key)));
            continue;
        }
        if (str_blank(c.name))
            c.name = json_text(member->key);
        if (str_blank(c.name) || c.name.len > 255 || c.read_queue_nums < 0 || c.read_queue_nums > TOPIC_MAX_QUEUES ||
            c.write_queue_nums < 0 || c.write_queue_nums > TOPIC_MAX_QUEUES) {
            LOG(LOG_WARN, "broker", "%s: topic '%.*s' has no usable name or queue numbers, leaving it out", m->path,
                STR_ARG(c.name));
            continue;
        }
        if (topic_entry_set(m, &c) == NULL)
            return err_set(err, ENOMEM, "out of memory for the topics of %s", m->path);
    }
    return 0;
}

static bool change_again(void *arg, struct arena *a, const struct data_version *version, const struct json *item,
                         struct str deleted)
{
    struct topic_manager *m = arg;
    struct topic_config c;
    struct topic_entry *e = str_is_null(deleted) ? NULL : topic_entry_find(m, deleted);
    m->version = *version;
    m->changes++;
    if (e)
        topic_entry_delete(m, e);
    bool has_config = item && topic_config_read(a, item, &c) && !str_blank(c.name);
    return !has_config || topic_entry_set(m, &c) != NULL;
}

/* What was changed after the last save, by a broker that died before the next one. */
static int replay(struct topic_manager *m, bool has_file, struct err *err)
{
    struct data_version have = m->version;
    int64_t made = config_journal_replay(m->journal, has_file ? &have : NULL, change_again, m);
    if (made > 0) {
        LOG(LOG_INFO, "broker", "made %lld changes of topics again that were not in %s yet", (long long)made, m->path);
        config_saver_wake(m->saver);
    }
    return made < 0 ? err_set(err, ENOMEM, "out of memory for the topics of %s", m->path) : 0;
}

int topic_manager_load(struct topic_manager *m, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    int r = config_file_load(m->path, &a, &doc, err);
    pthread_rwlock_wrlock(&m->lock);
    if (r == 0 && doc) {
        struct data_version v;
        r = take_topics(m, &a, json_get(doc, "topicConfigTable"), err);
        if (data_version_read(json_get(doc, "dataVersion"), &v))
            m->version = v;
    }
    if (r == 0)
        r = replay(m, doc != NULL, err);
    pthread_rwlock_unlock(&m->lock);
    arena_free(&a);
    return r;
}

static void write_table(struct topic_manager *m, struct jw *w)
{
    struct map_slot *sorted = map_sorted(&m->entries);
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, &m->version);
    jw_kobject(w, "topicConfigTable");
    for (size_t i = 0; sorted && i < m->entries.count; i++) {
        struct topic_entry *e = sorted[i].value;
        if (atomic_load(&e->t.deleted))
            continue;
        jw_key(w, e->t.name);
        topic_config_write(w, e->config);
    }
    jw_end_object(w);
    jw_end_object(w);
    if (sorted == NULL && m->entries.count)
        w->out->failed = true;
    free(sorted);
}

static void saved(struct topic_manager *m, uint64_t changes)
{
    m->saved = changes;
    pthread_rwlock_wrlock(&m->lock);
    if (m->changes == changes)
        config_journal_clear(m->journal);
    pthread_rwlock_unlock(&m->lock);
}

int topic_persist(struct topic_manager *m, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    int r = 0;
    pthread_mutex_lock(&m->save_lock);
    pthread_rwlock_rdlock(&m->lock);
    uint64_t changes = m->changes;
    if (changes != m->saved) {
        jw_init(&w, &text);
        w.pretty = true;
        write_table(m, &w);
    }
    pthread_rwlock_unlock(&m->lock);
    if (changes != m->saved) {
        r = buf_ok(&text) ? config_file_save(m->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", m->path);
        if (r == 0)
            saved(m, changes);
    }
    pthread_mutex_unlock(&m->save_lock);
    buf_free(&text);
    return r;
}
