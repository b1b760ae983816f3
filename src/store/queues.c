/* The store's queues: ordinary ones and those of batch topics are two sets of files, and one set for everybody else. */
#include "store/store_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/mutant.h"

enum { TOPIC_MAX = 255 };

bool store_topic_ok(struct str topic)
{
    return topic.len > 0 && topic.len <= TOPIC_MAX && memchr(topic.ptr, '/', topic.len) == NULL &&
           memchr(topic.ptr, '\0', topic.len) == NULL && !str_eqz(topic, ".") && !str_eqz(topic, "..");
}

static void append_lock(void *arg)
{
    pthread_mutex_lock(&((struct store *)arg)->append_lock);
}

static void append_unlock(void *arg)
{
    pthread_mutex_unlock(&((struct store *)arg)->append_lock);
}

/* Shared files for which no mark vouches are removed first: a Java broker has gone past them, every queue had left
 * them, or nothing in them was durable. */
static int share(struct store *s, struct cq_set *set, struct err *err)
{
    char *dir = NULL;
    if (asprintf(&dir, "%s/sharedqueues", s->conf.storePathRootDir) < 0)
        return err_sys(err, ENOMEM, "cannot open the store");
    int r = 0;
    if (clog_segments(s->log) == 0 || !s->ckpt.have_marks || s->ckpt.shared_mark < 0) {
        s->ckpt.shared_mark = -1;
        r = fs_remove_tree(s->fs, dir);
    }
    if (r == 0)
        r = cq_set_share(set, dir, s->conf.sharedQueuesFrom, s->ckpt.shared_mark);
    if (r)
        err_sys(err, -r, "cannot prepare the files of small queues in %s", dir);
    free(dir);
    return r ? -1 : 0;
}

static int open_set(struct store *s, const char *name, bool batch, struct cq_set **out, struct err *err)
{
    char *dir = NULL;
    if (asprintf(&dir, "%s/%s", s->conf.storePathRootDir, name) < 0)
        return err_sys(err, ENOMEM, "cannot open the store");
    int r = 0;
    /* Without a log there is nothing the entries could point at. */
    if (clog_segments(s->log) == 0)
        r = fs_remove_tree(s->fs, dir);
    if (r)
        r = err_sys(err, -r, "cannot remove consume queues without a commit log in %s", dir);
    else
        *out = batch ? cq_set_new_batch(s->fs, dir, s->conf.mapperFileSizeBatchConsumeQueue)
                     : cq_set_new(s->fs, dir, s->conf.mappedFileSizeConsumeQueue);
    free(dir);
    if (r)
        return -1;
    if (*out == NULL)
        return err_sys(err, ENOMEM, "cannot open the store");
    if (!batch && share(s, *out, err))
        return -1;
    cq_set_append_lock(*out, append_lock, append_unlock, s);
    /* Entries behind the log's mark were durable once, but every recovery since cuts and writes them anew. */
    const struct checkpoint *c = &s->ckpt;
    int64_t mark = c->have_marks ? c->log_mark < c->queues_mark ? c->log_mark : c->queues_mark : -1;
    cq_set_trust(*out, s->after_crash && !MUTANT(QUEUES_TRUSTED) ? mark : INT64_MAX);
    if (!s->after_crash && c->have_marks)
        cq_set_entered(*out, c->queues_mark);
    return cq_set_load(*out, err);
}

int queues_open(struct store *s, struct err *err)
{
    if (open_set(s, "consumequeue", false, &s->queues, err))
        return -1;
    return open_set(s, "batchconsumequeue", true, &s->batches, err);
}

void queues_free(struct store *s)
{
    cq_set_free(s->queues);
    cq_set_free(s->batches);
}

static bool is_batch_topic(struct store *s, struct str topic)
{
    return s->events.batch_topic && s->events.batch_topic(s->events.arg, topic);
}

struct cq *store_queue(struct store *s, struct str topic, int32_t queue_id, bool create)
{
    if (!store_topic_ok(topic))
        return NULL;
    struct cq *q = cq_get(s->queues, topic, queue_id, false);
    if (q == NULL)
        q = cq_get(s->batches, topic, queue_id, false);
    if (q == NULL && create)
        q = cq_get(is_batch_topic(s, topic) ? s->batches : s->queues, topic, queue_id, true);
    return q;
}

void store_queue_wait(struct cq *q, unsigned loop)
{
    cq_wait(q, loop);
}

void store_delete_topic(struct store *s, struct str topic)
{
    if (s->compaction)
        compaction_delete_topic(s->compaction, topic);
    cq_set_delete_topic(s->queues, topic);
    cq_set_delete_topic(s->batches, topic);
}

bool store_compact_topic(struct store *s, struct str topic, int32_t queues)
{
    if (!s->conf.enableCompaction || !store_topic_ok(topic))
        return true;
    if (store_rebuilding(s))
        return rebuild_note_compacted(s, topic, queues);
    return compaction_add_topic(s->compaction, topic, queues);
}

void store_each_queue(struct store *s, void (*fn)(void *arg, struct cq *q), void *arg)
{
    cq_set_each(s->queues, fn, arg);
    cq_set_each(s->batches, fn, arg);
}

void store_each_queue_ever(struct store *s, void (*fn)(void *arg, struct cq *q), void *arg)
{
    cq_set_each_ever(s->queues, fn, arg);
    cq_set_each_ever(s->batches, fn, arg);
}

uint32_t queues_folders(const struct store *s)
{
    return (cq_set_has_folder(s->queues) ? FOLDER_QUEUES : 0) |
           (cq_set_has_folder(s->batches) ? FOLDER_BATCH_QUEUES : 0);
}

bool queues_folder_lost(const struct store *s)
{
    return s->ckpt.have_marks && (s->ckpt.folders & ~queues_folders(s));
}

size_t queues_count(const struct store *s)
{
    return cq_set_count(s->queues) + cq_set_count(s->batches);
}

int64_t queues_dispatched(const struct store *s)
{
    int64_t a = cq_set_dispatched(s->queues), b = cq_set_dispatched(s->batches);
    return a > b ? a : b;
}

int64_t queues_rebuild_from(const struct store *s)
{
    int64_t a = cq_set_rebuild_from(s->queues), b = cq_set_rebuild_from(s->batches);
    return a < b ? a : b;
}

int queues_truncate(struct store *s, int64_t physical_end, struct err *err)
{
    return cq_set_truncate(s->queues, physical_end, err) || cq_set_truncate(s->batches, physical_end, err) ? -1 : 0;
}

int64_t queues_truncate_front(struct store *s, int64_t log_min)
{
    return cq_set_truncate_front(s->queues, log_min) + cq_set_truncate_front(s->batches, log_min);
}

int queues_persist(struct store *s, bool sync, int64_t log_end, int64_t *written_to, struct err *err)
{
    int64_t batches_to;
    int r = cq_set_persist(s->queues, sync, log_end, written_to, err);
    if (r)
        return r;
    r = cq_set_persist(s->batches, sync, log_end, &batches_to, err);
    if (batches_to < *written_to)
        *written_to = batches_to;
    return r;
}
