#include "namesrv/kv_config.h"

#include "base/json.h"
#include "base/map.h"
#include "namesrv/saved_file.h"
#include "os/fs.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct kv_config {
    pthread_rwlock_t lock;  /* of the table */
    pthread_mutex_t saving; /* one writer of the file at a time */
    struct map namespaces;  /* to struct map of key to char * */
    char *path;
};

static void free_namespace(void *table)
{
    map_free(table, free);
    free(table);
}

/* The table of a namespace, made when missing. NULL when out of memory. */
static struct map *namespace_of(struct kv_config *kv, struct str ns)
{
    struct map *table = map_get(&kv->namespaces, ns);
    if (table)
        return table;
    table = calloc(1, sizeof *table);
    if (table && !map_put(&kv->namespaces, ns, table, NULL)) {
        free(table);
        table = NULL;
    }
    return table;
}

static bool set_value(struct map *table, struct str key, struct str value)
{
    char *copy = str_dupz(value);
    void *old = NULL;
    if (copy == NULL || !map_put(table, key, copy, &old)) {
        free(copy);
        return false;
    }
    free(old);
    return true;
}

/* ---- file ---- */

static bool take_over(struct kv_config *kv, const struct json *table)
{
    JSON_EACH(ns, table)
    {
        struct map *values = ns->kind == JSON_OBJECT ? namespace_of(kv, json_text(ns->key)) : NULL;
        if (ns->kind == JSON_OBJECT && values == NULL)
            return false;
        JSON_EACH(member, values ? ns : NULL)
        if (member->kind != JSON_NULL && !set_value(values, json_text(member->key), json_text(member)))
            return false;
    }
    return true;
}

static int load(struct kv_config *kv, struct err *err)
{
    char *data;
    size_t n;
    int rc = fs_load(fs_real(), kv->path, SAVED_FILE_MAX, &data, &n);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return err_sys(err, -rc, "cannot read the name server's key-value table %s", kv->path);
    struct arena arena = {0};
    struct err parse = {0};
    struct str text = str_trim(str_make(data, n));
    struct json *json = text.len ? json_parse(&arena, text, &parse) : NULL;
    rc = 0;
    if (text.len && json == NULL)
        rc = err_set(err, EINVAL, "%s is no key-value table: %s; repair it, or put the copy %s.bak in its place",
                     kv->path, parse.text, kv->path);
    else if (!take_over(kv, json_get(json, "configTable")))
        rc = err_set(err, ENOMEM, "out of memory while reading %s", kv->path);
    arena_free(&arena);
    free(data);
    return rc;
}

static void write_values(struct jw *w, const struct map *table)
{
    struct map_slot *sorted = map_sorted(table);
    jw_begin_object(w);
    for (size_t i = 0; sorted && i < table->count; i++) {
        jw_key(w, sorted[i].key);
        jw_str(w, str_from(sorted[i].value));
    }
    jw_end_object(w);
    w->out->failed |= sorted == NULL && table->count > 0;
    free(sorted);
}

static void write_all(struct kv_config *kv, struct buf *out)
{
    struct jw w;
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_kobject(&w, "configTable");
    struct map_slot *sorted = map_sorted(&kv->namespaces);
    for (size_t i = 0; sorted && i < kv->namespaces.count; i++) {
        jw_key(&w, sorted[i].key);
        write_values(&w, sorted[i].value);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    out->failed |= sorted == NULL && kv->namespaces.count > 0;
    free(sorted);
}

static int save(struct kv_config *kv, struct err *err)
{
    struct buf content = {0};
    pthread_mutex_lock(&kv->saving);
    pthread_rwlock_rdlock(&kv->lock);
    write_all(kv, &content);
    pthread_rwlock_unlock(&kv->lock);
    int rc = buf_ok(&content) ? saved_file_write(kv->path, buf_str(&content), err)
                              : err_set(err, ENOMEM, "out of memory while saving %s", kv->path);
    pthread_mutex_unlock(&kv->saving);
    buf_free(&content);
    return rc;
}

/* ---- life ---- */

struct kv_config *kv_config_open(const char *path, struct err *err)
{
    struct kv_config *kv = calloc(1, sizeof *kv);
    if (kv == NULL || (kv->path = strdup(path)) == NULL) {
        free(kv);
        err_set(err, ENOMEM, "out of memory for the key-value table");
        return NULL;
    }
    pthread_rwlock_init(&kv->lock, NULL);
    pthread_mutex_init(&kv->saving, NULL);
    if (load(kv, err) < 0) {
        kv_config_free(kv);
        return NULL;
    }
    return kv;
}

void kv_config_free(struct kv_config *kv)
{
    if (kv == NULL)
        return;
    map_free(&kv->namespaces, free_namespace);
    pthread_rwlock_destroy(&kv->lock);
    pthread_mutex_destroy(&kv->saving);
    free(kv->path);
    free(kv);
}

/* ---- use ---- */

struct str kv_config_get(struct kv_config *kv, struct arena *arena, struct str ns, struct str key)
{
    pthread_rwlock_rdlock(&kv->lock);
    const struct map *table = map_get(&kv->namespaces, ns);
    struct str value = table ? arena_str(arena, str_from(map_get(table, key))) : STR_NULL;
    pthread_rwlock_unlock(&kv->lock);
    return value;
}

bool kv_config_list(struct kv_config *kv, struct str ns, struct buf *out)
{
    pthread_rwlock_rdlock(&kv->lock);
    const struct map *table = map_get(&kv->namespaces, ns);
    if (table) {
        struct jw w;
        jw_init(&w, out);
        jw_begin_object(&w);
        jw_key(&w, STR_LIT("table"));
        write_values(&w, table);
        jw_end_object(&w);
    }
    pthread_rwlock_unlock(&kv->lock);
    return table != NULL;
}

int kv_config_put(struct kv_config *kv, struct str ns, struct str key, struct str value, struct err *err)
{
    pthread_rwlock_wrlock(&kv->lock);
    struct map *table = namespace_of(kv, ns);
    bool good = table != NULL;
    if (good && str_is_null(value))
        free(map_del(table, key));
    else if (good)
        good = set_value(table, key, value);
    pthread_rwlock_unlock(&kv->lock);
    return good ? save(kv, err) : err_set(err, ENOMEM, "out of memory for a key of the key-value table");
}

int kv_config_delete(struct kv_config *kv, struct str ns, struct str key, struct err *err)
{
    pthread_rwlock_wrlock(&kv->lock);
    struct map *table = map_get(&kv->namespaces, ns);
    if (table)
        free(map_del(table, key));
    pthread_rwlock_unlock(&kv->lock);
    return save(kv, err);
}
