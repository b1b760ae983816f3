/* compaction/position-checkpoint: {"queueOffsetMap":{"TOPIC_ID":n}}, up to which queue offset each queue is compacted.
 * An older one only costs compacting again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "store/compaction/compaction_int.h"

enum { FILE_MAX = 64 << 20 };

/* No queue gets that long. */
static const int64_t OFFSET_MAX = INT64_MAX / 64;

static void file_path(const struct compaction *c, char out[CPATH_SIZE])
{
    snprintf(out, CPATH_SIZE, "%s/position-checkpoint", c->dir);
}

static bool take(struct compaction *c, const struct json *doc)
{
    JSON_EACH(member, json_get(doc, "queueOffsetMap"))
    {
        struct str name = json_text(member->key);
        int64_t offset = json_int(member, -1);
        struct compaction_queue *q = map_get(&c->queues, name);
        if (offset < 0 || offset > OFFSET_MAX)
            continue;
        if (q) {
            atomic_store(&q->compacted, offset);
            continue;
        }
        char *text = str_dupz(json_text(member));
        void *old = NULL;
        if (text == NULL || !map_put(&c->positions, name, text, &old)) {
            free(text);
            return false;
        }
        free(old);
    }
    return true;
}

int compaction_positions_load(struct compaction *c, struct err *err)
{
    char path[CPATH_SIZE], *data;
    size_t n;
    file_path(c, path);
    int r = fs_load(c->fs, path, FILE_MAX, &data, &n);
    if (r == -ENOENT)
        return 0;
    if (r)
        return err_sys(err, -r, "cannot read %s", path);
    struct arena a = {0};
    struct err why;
    const struct json *doc = json_parse(&a, str_make(data, n), &why);
    bool ok = doc == NULL || take(c, doc);
    if (doc == NULL)
        LOG(LOG_WARN, "store", "%s cannot be read (%s): its queues are compacted from their beginning again", path,
            why.text);
    arena_free(&a);
    free(data);
    return ok ? 0 : err_set(err, ENOMEM, "out of memory for %s", path);
}

int compaction_positions_save(struct compaction *c, struct err *err)
{
    char path[CPATH_SIZE];
    struct buf out = {0};
    struct jw w;
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_kobject(&w, "queueOffsetMap");
    pthread_mutex_lock(&c->table_lock);
    for (struct map_slot *m = NULL; (m = map_next(&c->positions, m));)
        if (map_get(&c->queues, m->key) == NULL) {
            jw_key(&w, m->key);
            jw_raw(&w, str_from(m->value));
        }
    for (struct map_slot *m = NULL; (m = map_next(&c->queues, m));) {
        int64_t at = atomic_load(&((struct compaction_queue *)m->value)->compacted);
        if (at >= 0) {
            jw_key(&w, m->key);
            jw_i64(&w, at);
        }
    }
    pthread_mutex_unlock(&c->table_lock);
    jw_end_object(&w);
    jw_end_object(&w);
    file_path(c, path);
    int r = buf_ok(&out) ? fs_mkdirs(c->fs, c->dir) : -ENOMEM;
    if (r == 0)
        r = fs_replace(c->fs, path, out.data, out.len);
    buf_free(&out);
    return r ? err_sys(err, -r, "cannot write %s", path) : 0;
}
