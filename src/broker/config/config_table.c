#include "broker/config/config_table.h"

#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/config/config_journal.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

static void now_durable(struct config_table *t, uint64_t changes)
{
    uint64_t before = atomic_load(&t->durable);
    while (before < changes && !atomic_compare_exchange_weak(&t->durable, &before, changes))
        ;
}

int config_table_sync(struct config_table *t, struct err *err)
{
    if (atomic_load(&t->durable) >= atomic_load(&t->changes))
        return 0;
    pthread_mutex_lock(&t->sync_lock);
    pthread_rwlock_rdlock(&t->lock);
    uint64_t changes = atomic_load(&t->changes);
    bool lacks = config_journal_failed(t->journal);
    int handle = config_journal_handle(t->journal);
    pthread_rwlock_unlock(&t->lock);
    int r = lacks ? 0 : config_journal_sync(t->journal, handle);
    pthread_mutex_unlock(&t->sync_lock);
    if (r) {
        pthread_rwlock_wrlock(&t->lock);
        config_journal_broken(t->journal, -r);
        pthread_rwlock_unlock(&t->lock);
        return err_sys(err, -r, "cannot sync the changes of %s", t->path);
    }
    if (lacks)
        return config_table_save(t, err);
    now_durable(t, changes);
    return 0;
}

/* In the background: a large table is written now and then, until then the journal has its changes. */
static int save(void *table, struct err *err)
{
    struct config_table *t = table;
    pthread_mutex_lock(&t->save_lock);
    size_t bytes = t->saved_bytes;
    pthread_mutex_unlock(&t->save_lock);
    pthread_rwlock_rdlock(&t->lock);
    bool noted = config_journal_suffices(t->journal, bytes);
    pthread_rwlock_unlock(&t->lock);
    if (noted)
        return config_table_sync(t, err);
    return config_table_save(t, err);
}

bool config_table_init(struct config_table *t, const struct config_table_kind *kind, void *owner, const char *dir,
                       const char *name)
{
    *t = (struct config_table){.kind = kind, .owner = owner, .version.timestamp = clock_wall_ms()};
    pthread_rwlock_init(&t->lock, NULL);
    pthread_mutex_init(&t->save_lock, NULL);
    pthread_mutex_init(&t->sync_lock, NULL);
    t->path = config_file_path(dir, name);
    t->saver = config_saver_new(kind->thread_name, save, t);
    t->journal = t->path ? config_journal_new(t->path) : NULL;
    return t->path && t->saver && t->journal;
}

void config_table_end(struct config_table *t)
{
    config_saver_free(t->saver);
    config_journal_free(t->journal);
    pthread_rwlock_destroy(&t->lock);
    pthread_mutex_destroy(&t->save_lock);
    pthread_mutex_destroy(&t->sync_lock);
    free(t->path);
}

/* ---- loading ---- */

static bool change_again(void *table, struct arena *a, const struct data_version *version, const struct json *item,
                         struct str deleted)
{
    struct config_table *t = table;
    t->version = *version;
    t->changes++;
    return t->kind->again(t->owner, a, item, deleted);
}

/* What was changed after the last save, by a broker that died before the next one. */
static int replay(struct config_table *t, bool has_file, struct err *err)
{
    struct data_version have = t->version;
    int64_t made = config_journal_replay(t->journal, has_file ? &have : NULL, change_again, t);
    if (made > 0) {
        LOG(LOG_INFO, "broker", "made %lld changes of %s again that were not in %s yet", (long long)made, t->kind->what,
            t->path);
        config_saver_wake(t->saver);
    }
    return made < 0 ? err_set(err, ENOMEM, "out of memory for the %s of %s", t->kind->what, t->path) : 0;
}

int config_table_load(struct config_table *t, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    int r = config_file_load(t->path, &a, &doc, err);
    pthread_rwlock_wrlock(&t->lock);
    if (r == 0 && doc) {
        struct data_version v;
        r = t->kind->take(t->owner, &a, doc, err);
        if (data_version_read(json_get(doc, "dataVersion"), &v))
            t->version = v;
    }
    if (r == 0)
        r = replay(t, doc != NULL, err);
    pthread_rwlock_unlock(&t->lock);
    arena_free(&a);
    return r;
}

/* ---- saving ---- */

static void write_document(const struct config_table *t, struct buf *text)
{
    struct jw w;
    jw_init(&w, text);
    w.pretty = true;
    jw_begin_object(&w);
    jw_key(&w, STR_LIT("dataVersion"));
    data_version_write(&w, &t->version);
    t->kind->write(t->owner, &w);
    jw_end_object(&w);
}

static int write_file(struct config_table *t, uint64_t changes, const struct buf *text, struct err *err)
{
    if (!buf_ok(text))
        return err_set(err, ENOMEM, "out of memory while saving %s", t->path);
    if (config_file_save(t->path, buf_str(text), err) < 0)
        return -1;
    t->saved = changes;
    t->saved_bytes = text->len;
    now_durable(t, changes);
    pthread_rwlock_wrlock(&t->lock);
    if (t->changes == changes)
        config_journal_clear(t->journal);
    pthread_rwlock_unlock(&t->lock);
    return 0;
}

int config_table_save(struct config_table *t, struct err *err)
{
    struct buf text = {0};
    pthread_mutex_lock(&t->save_lock);
    pthread_rwlock_rdlock(&t->lock);
    uint64_t changes = t->changes;
    bool wanted = changes != t->saved;
    if (wanted)
        write_document(t, &text);
    pthread_rwlock_unlock(&t->lock);
    int r = wanted ? write_file(t, changes, &text, err) : 0;
    pthread_mutex_unlock(&t->save_lock);
    buf_free(&text);
    return r;
}

/* ---- changing ---- */

void config_table_changed(struct config_table *t, void (*write)(struct jw *w, const void *item), const void *item,
                          struct str deleted)
{
    struct data_version before = t->version;
    data_version_next(&t->version, 0, clock_wall_ms());
    t->changes++;
    config_journal_add(t->journal, &before, &t->version, write, item, deleted);
}

void config_table_save_soon(struct config_table *t)
{
    config_saver_wake(t->saver);
}
