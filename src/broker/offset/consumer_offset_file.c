/* consumerOffset.json and the changes that it does not have yet. */
#include "broker/offset/consumer_offset_int.h"

#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/config/config_journal.h"
#include "broker/topic/topic_manager.h"
#include <errno.h>
#include <stdlib.h>

struct data_version offset_version(struct offset_manager *m)
{
    pthread_mutex_lock(&m->version_lock);
    struct data_version v = m->version;
    pthread_mutex_unlock(&m->version_lock);
    return v;
}

/* In Java's file such a group has one number a topic. */
static void write_lmq_entry(struct jw *w, const struct entry *e)
{
    jw_key(w, e->key);
    jw_i64(w, e->queues[0].committed);
}

static void write_entry(struct jw *w, const struct entry *e)
{
    jw_key(w, e->key);
    jw_begin_object(w);
    for (size_t i = 0; i < e->count; i++) {
        if (e->queues[i].committed == NONE)
            continue;
        jw_key_i64(w, e->queues[i].queue_id, false);
        jw_i64(w, e->queues[i].committed);
    }
    jw_end_object(w);
}

static void write_table(struct offset_manager *m, struct jw *w, const char *name, bool lmq)
{
    jw_kobject(w, name);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct map_slot *slot = NULL; (slot = map_next(&s->entries, slot));) {
            const struct entry *e = slot->value;
            if (offset_entry_has_committed(e) && offset_is_lmq_group(m, offset_entry_group(e)) == lmq)
                (lmq ? write_lmq_entry : write_entry)(w, e);
        }
        pthread_mutex_unlock(&s->lock);
    }
    jw_end_object(w);
}

static void write_json(struct offset_manager *m, struct jw *w, const struct data_version *v)
{
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, v);
    if (m->lmq)
        write_table(m, w, "lmqOffsetTable", true);
    write_table(m, w, "offsetTable", false);
    jw_end_object(w);
}

void offset_write_json(struct offset_manager *m, struct jw *w)
{
    struct data_version v = offset_version(m);
    write_json(m, w, &v);
}

/* The changes from here on are those that what is written now does not have. */
static void forget_changes(struct offset_manager *m)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (; s->changed; s->changed = s->changed->changed_next)
            s->changed->changed = false;
        pthread_mutex_unlock(&s->lock);
    }
}

static int save_all(struct offset_manager *m, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    atomic_store(&m->whole_wanted, false);
    forget_changes(m);
    struct data_version version = offset_version(m);
    jw_init(&w, &text);
    w.pretty = true;
    write_json(m, &w, &version);
    int r = buf_ok(&text) ? config_file_save(m->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", m->path);
    if (r == 0) {
        m->saved_bytes = text.len;
        m->saved_version = version;
        config_journal_clear(m->journal);
        config_journal_follow(m->journal, buf_str(&text));
    } else {
        atomic_store(&m->whole_wanted, true);
    }
    buf_free(&text);
    return r;
}

struct changed_entry {
    struct offset_manager *m;
    const struct entry *e;
};

static void write_item(struct jw *w, const void *item)
{
    const struct changed_entry *c = item;
    jw_begin_object(w);
    (offset_is_lmq_group(c->m, offset_entry_group(c->e)) ? write_lmq_entry : write_entry)(w, c->e);
    jw_end_object(w);
}

static int save_changed(struct offset_manager *m, struct err *err)
{
    struct data_version version = offset_version(m);
    config_journal_begin(m->journal, &m->saved_version);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (; s->changed; s->changed = s->changed->changed_next) {
            s->changed->changed = false;
            struct changed_entry item = {m, s->changed};
            config_journal_put(m->journal, &version, write_item, &item, STR_NULL);
        }
        pthread_mutex_unlock(&s->lock);
    }
    config_journal_commit(m->journal);
    int r = config_journal_sync(m->journal, config_journal_handle(m->journal));
    if (r)
        atomic_store(&m->whole_wanted, true);
    return r ? err_sys(err, -r, "cannot sync the changes of %s", m->path) : 0;
}

static int persist(struct offset_manager *m, bool all, struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&m->save_lock);
    uint64_t changes = atomic_load(&m->changes);
    bool whole = all || atomic_load(&m->whole_wanted) || !config_journal_suffices(m->journal, m->saved_bytes);
    if (changes != (whole ? m->saved_whole : m->saved))
        r = whole ? save_all(m, err) : save_changed(m, err);
    if (r == 0 && whole)
        m->saved_whole = changes;
    if (r == 0)
        m->saved = changes;
    pthread_mutex_unlock(&m->save_lock);
    return r;
}

int offset_persist(struct offset_manager *m, struct err *err)
{
    return persist(m, true, err);
}

int offset_save_changes(struct offset_manager *m, struct err *err)
{
    return persist(m, false, err);
}

/* One member of a table: the offsets of topic@group. */
static void take_entry(struct offset_manager *m, const struct json *member)
{
    struct str key = json_text(member->key);
    ptrdiff_t at = str_find(key, STR_LIT("@"));
    struct str group = at < 0 ? STR_NULL : str_skip(key, (size_t)at + 1);
    JSON_EACH(queue, member)
    {
        int64_t id = json_int(queue->key, NONE), offset = json_int(queue, NONE);
        if (at < 0 || id < 0 || id >= TOPIC_MAX_QUEUES || offset < 0 ||
            !offset_take(m, group, str_make(key.ptr, (size_t)at), (int32_t)id, offset))
            LOG(LOG_WARN, "broker", "%s: leaving out the offset of '%.*s', it is none", m->path, STR_ARG(key));
    }
}

static void take_lmq_entry(struct offset_manager *m, const struct json *member)
{
    struct str key = json_text(member->key);
    ptrdiff_t at = str_find(key, STR_LIT("@"));
    struct str group = at < 0 ? STR_NULL : str_skip(key, (size_t)at + 1);
    int64_t offset = json_int(member, NONE);
    if (!offset_is_lmq_group(m, group) || offset < 0 ||
        !offset_take(m, group, str_make(key.ptr, (size_t)at), MSG_LMQ_QUEUE_ID, offset))
        LOG(LOG_WARN, "broker", "%s: leaving out the offset of '%.*s', it is none", m->path, STR_ARG(key));
}

static bool change_again(void *arg, struct arena *a, const struct data_version *version, const struct json *item,
                         struct str deleted)
{
    struct offset_manager *m = arg;
    m->version = *version;
    JSON_EACH(member, item)(json_int(member, NONE) == NONE ? take_entry : take_lmq_entry)(m, member);
    return true;
}

static void take_document(struct offset_manager *m, const struct json *doc, bool journal)
{
    struct data_version v;
    JSON_EACH(member, json_get(doc, "offsetTable")) take_entry(m, member);
    if (m->lmq)
        JSON_EACH(member, json_get(doc, "lmqOffsetTable")) take_lmq_entry(m, member);
    if (!data_version_read(json_get(doc, "dataVersion"), &v))
        return;
    m->version = v;
    int64_t made = journal ? config_journal_replay(m->journal, &v, change_again, m) : 0;
    if (made > 0)
        LOG(LOG_INFO, "broker", "made %lld changes of offsets again that were not in %s yet", (long long)made, m->path);
    /* The next save writes the whole file. */
    atomic_fetch_add(&m->changes, made > 0);
}

int offset_manager_load(struct offset_manager *m, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    int r = config_file_load(m->path, &a, &doc, err);
    bool own = doc != NULL;
    if (r == 0 && !own && m->old_path)
        r = config_file_load(m->old_path, &a, &doc, err);
    if (r == 0 && doc)
        take_document(m, doc, own);
    forget_changes(m);
    arena_free(&a);
    return r;
}
