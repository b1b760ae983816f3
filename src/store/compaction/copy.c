/* Copying messages from the commit log, and making them durable. By the keeper. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "store/compaction/compaction_int.h"
#include "store/consumequeue_int.h"

enum {
    ROUND_BYTES = 32 << 20, /* copied at most in one round, so that the keeper's other work does not wait */
    READ_COUNT = 1024,
    READ_BYTES = 1 << 20,
    PROGRESS_BYTES = 1 << 30,
    SYNC_ALL_FROM = 64, /* dirty queues from which on one sync of all files is cheaper */
};

struct copier {
    struct compaction_queue *q;
    struct cwriter w;
    int64_t durable; /* the commit log is, up to here: what it may still lose is not copied */
    int64_t there;   /* newest queue offset in the files when the round began: not copied again after a failure */
    int64_t end;     /* queue offset copied up to */
    int64_t bytes;
};

/* 0, 1: not durable yet, or a negative errno value. */
static int copy_record(struct copier *p, const struct msg_view *v, const uint8_t *record)
{
    if (v->m.physical_offset + v->size > p->durable)
        return 1;
    bool wanted = v->m.queue_offset > p->there && !str_blank(cfile_key(v));
    int r = wanted ? cwriter_put(&p->w, v, record, msg_tags_code(v->m.properties)) : 0;
    if (r == 1)
        LOG(LOG_ERROR, "store",
            "the message at queue offset %" PRId64
            " of topic %s, queue %d (%u bytes) does not fit into a compaction log "
            "file and is left out; raise compactionMappedFileSize",
            v->m.queue_offset, p->q->topic, p->q->id, v->size);
    if (r < 0)
        return r;
    p->end = v->m.queue_offset + 1;
    p->bytes += v->size;
    return 0;
}

static int copy_found(struct copier *p, const struct get_result *r)
{
    for (uint32_t i = 0; i < r->n_ranges; i++) {
        struct msg_view v;
        for (uint32_t at = 0; at < r->ranges[i].len; at += v.size) {
            const uint8_t *record = r->ranges[i].map + at;
            if (msg_decode(record, r->ranges[i].len - at, &v) != MSG_OK)
                return -EILSEQ;
            int e = copy_record(p, &v, record);
            if (e)
                return e;
        }
    }
    return 0;
}

static int64_t newest(struct compaction_queue *q)
{
    int64_t offset = -1;
    pthread_mutex_lock(&q->lock);
    for (size_t i = q->files.n; i-- > 0 && offset < 0;)
        offset = atomic_load(&q->files.at[i]->last);
    pthread_mutex_unlock(&q->lock);
    return offset;
}

/* Up to `bytes` of the queue's messages; how many were. */
static int64_t copy_queue(struct compaction_queue *q, struct cq *ordinary, int64_t bytes)
{
    struct store *s = q->c->s;
    struct copier p = {.q = q, .durable = clog_flushed(s->log), .there = newest(q), .end = atomic_load(&q->end)};
    struct get_result r;
    int error = 0;
    if (p.end < cq_min(ordinary))
        p.end = cq_min(ordinary);
    cwriter_init(&p.w, q, NULL, &q->files);
    while (error == 0 && p.bytes < bytes && p.end < cq_max(ordinary)) {
        store_get_log(s, ordinary, p.end, READ_COUNT, READ_BYTES, NULL, NULL, true, &r);
        if (r.status == GET_FOUND)
            error = copy_found(&p, &r);
        else if (r.next_offset > p.end)
            p.end = r.next_offset; /* no message there any more */
        else
            error = 1;
        store_release(s, &r);
    }
    int flushed = cwriter_flush(&p.w);
    cwriter_free(&p.w);
    if (flushed < 0)
        error = flushed;
    if (error >= 0)
        atomic_store_explicit(&q->end, p.end, memory_order_release);
    else
        LOG_LIMITED(LOG_ERROR, "store",
                    "cannot copy messages to the compaction log of topic %s, queue %d: %s; tried again", q->topic,
                    q->id, strerror(-error));
    return error < 0 ? -1 : p.bytes;
}

void compaction_copy(struct compaction *c, bool all)
{
    int64_t copied = 0, told = 0, n = 0;
    bool more = true;
    pthread_mutex_lock(&c->disk_lock);
    while (more && (all || copied < ROUND_BYTES)) {
        more = false;
        for (struct compaction_queue *q = atomic_load(&c->all); q; q = q->next) {
            struct cq *ordinary = atomic_load(&q->queue);
            if (ordinary == NULL || atomic_load(&q->end) >= cq_max(ordinary))
                continue;
            n = copy_queue(q, ordinary, ROUND_BYTES);
            if (n <= 0)
                continue;
            more = true;
            copied += n;
            if (copied - told >= PROGRESS_BYTES) {
                LOG(LOG_INFO, "store", "copied %" PRId64 " MiB to compaction logs", copied >> 20);
                told = copied;
            }
        }
    }
    pthread_mutex_unlock(&c->disk_lock);
    compaction_reclaim(c);
}

/* ---- durable ---- */

static struct cfile *last_file(struct compaction_queue *q)
{
    pthread_mutex_lock(&q->lock);
    struct cfile *f = q->files.n ? q->files.at[q->files.n - 1] : NULL;
    pthread_mutex_unlock(&q->lock);
    return f;
}

static size_t count_dirty(const struct compaction *c)
{
    size_t n = 0;
    for (const struct compaction_queue *q = atomic_load(&c->all); q; q = q->next)
        n += atomic_load(&q->dirty);
    return n;
}

/* Only the last file of a queue can have been written to since it was synced: each is synced when it is closed. */
static int sync_queues(struct compaction *c, size_t dirty)
{
    bool all_done = false;
    for (struct compaction_queue *q = atomic_load(&c->all); q; q = q->next) {
        struct cfile *f = atomic_load(&q->dirty) ? last_file(q) : NULL;
        int r = 0;
        if (f && dirty >= SYNC_ALL_FROM && !all_done) {
            r = c->fs->sync_all(c->fs, f->log->fd);
            all_done = true;
        } else if (f && !all_done) {
            r = cfile_sync(f);
        }
        if (r)
            return r;
        atomic_store(&q->dirty, false);
        atomic_store(&q->durable_end, atomic_load(&q->end));
    }
    return 0;
}

bool compaction_is_dirty(const struct compaction *c)
{
    return count_dirty(c) > 0;
}

int compaction_sync(struct compaction *c, struct err *err)
{
    pthread_mutex_lock(&c->disk_lock);
    int r = sync_queues(c, count_dirty(c));
    pthread_mutex_unlock(&c->disk_lock);
    if (r == 0)
        return 0;
    err_sys(err, -r, "cannot sync the compaction logs in %s", c->dir);
    return -2;
}

int64_t compaction_safe_end(struct compaction *c, int64_t log_end, int64_t *time)
{
    int64_t safe = log_end;
    *time = INT64_MAX;
    for (struct compaction_queue *q = atomic_load(&c->all); q; q = q->next) {
        struct cq *ordinary = atomic_load(&q->queue);
        struct store_entry e;
        int64_t from = atomic_load(&q->durable_end);
        if (ordinary == NULL || from >= cq_next(ordinary))
            continue;
        /* Also of those that are not visible yet. */
        if (from < cq_min(ordinary))
            from = cq_min(ordinary);
        if (cq_peek(ordinary, from, &e, 1) == 1 && e.physical_offset < safe)
            safe = e.physical_offset;
    }
    if (safe < log_end) {
        uint8_t head[MSG_POS_STORE_TIME_V4 + 20];
        *time = clog_read(c->s->log, safe, head, sizeof head) == (ssize_t)sizeof head ? store_time_in(head) : 0;
    }
    return safe;
}
