/*
 * Compacting: of the closed files of a queue only what is still the newest of its key is written again.
 *
 * Java's rule: the newest queue offset of each key among the messages that came since the last compaction is noted; a
 * message stays if it is newer than all that was noted, or if no newer one of its key was noted and it has a body: an
 * empty body takes the key away. If the memory for keys ends before the messages do, the rest waits for the next round.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/compaction/compaction_int.h"
#include "store/compaction/key_map.h"

enum {
    STEP_BYTES = 1 << 20,      /* read or written between two looks at the clock */
    BYTES_A_SECOND = 64 << 20, /* of reading and writing together: consumers and the log need the disk too */
    STOPPED = 1,               /* the store stops, or the topic was deleted */
    KEYS_FULL,
};

struct run {
    struct compaction_queue *q;
    uint32_t life;
    struct cfile_list old; /* pinned; all but the last file of the queue */
    struct cfile_list made;
    struct key_map keys;
    int64_t noted; /* the newest queue offset in keys; -1 */
    int64_t begin_ms, bytes, looked;
    int64_t seen, kept;
    size_t made_n;
};

/* Accounts for the bytes, and waits so that they are no more than so many a second. 0, or STOPPED. */
static int go_on(struct run *r, int64_t bytes)
{
    struct store *s = r->q->c->s;
    r->bytes += bytes;
    if (r->bytes - r->looked < STEP_BYTES)
        return 0;
    r->looked = r->bytes;
    int64_t due = r->begin_ms + r->bytes / (BYTES_A_SECOND / 1000), wait = due - clock_mono_ms();
    if (s->running && wait > 0) {
        struct timespec pause = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    return store_stopping(s) || atomic_load(&r->q->life) != r->life ? STOPPED : 0;
}

/* ---- what there is to do ---- */

/* The closed files, pinned and open; false: nothing came to them since the last time. */
static int closed_files(struct run *r, bool *any)
{
    struct compaction_queue *q = r->q;
    int e = 0;
    *any = false;
    pthread_mutex_lock(&q->lock);
    r->life = atomic_load(&q->life);
    for (size_t i = 0; i + 1 < q->files.n && e == 0; i++) {
        struct cfile *f = q->files.at[i];
        *any |= atomic_load(&f->last) > atomic_load(&q->compacted);
        e = cfile_open(q, NULL, f);
        if (e == 0 && !cfile_list_add(&r->old, f))
            e = -ENOMEM;
        else if (e == 0)
            cfile_retain(f);
    }
    pthread_mutex_unlock(&q->lock);
    return e;
}

struct visit {
    struct cunit u;
    struct msg_view v;
    const uint8_t *record;
    struct cwriter *to; /* of keep */
};
typedef int (*visit_fn)(struct run *r, const struct visit *m);

/* Visits the records of the old files that have newer messages than `after`. 0, or what ended it. */
static int each_record(struct run *r, int64_t after, visit_fn fn, struct cwriter *to)
{
    struct cscan scan;
    int e = 0;
    cscan_init(&scan, r->q);
    for (size_t i = 0; i < r->old.n && e == 0; i++) {
        struct cfile *f = r->old.at[i];
        if (atomic_load(&f->last) <= after)
            continue;
        cscan_begin(&scan, f, 0);
        while (e == 0) {
            struct visit m = {.to = to};
            enum cscan_step step = cscan_next(&scan, &m.u, &m.v, &e);
            if (step == CSCAN_END || step == CSCAN_FAILED)
                break;
            m.record = scan.record;
            e = go_on(r, m.u.size);
            if (e == 0 && step == CSCAN_RECORD)
                e = fn(r, &m);
            else if (step == CSCAN_DAMAGED)
                LOG_LIMITED(LOG_ERROR, "store",
                            "damaged message at queue offset %" PRId64
                            " of the compaction log of topic %s, queue %d: it is left out",
                            m.u.queue_offset, r->q->topic, r->q->id);
        }
    }
    cscan_free(&scan);
    return e;
}

static int note_key(struct run *r, const struct visit *m)
{
    if (m->v.m.queue_offset <= atomic_load(&r->q->compacted) || str_blank(cfile_key(&m->v)))
        return 0;
    if (!key_map_put(&r->keys, cfile_key(&m->v), m->v.m.queue_offset))
        return KEYS_FULL;
    r->noted = m->v.m.queue_offset;
    return 0;
}

static bool stays(const struct run *r, const struct msg_view *v)
{
    if (v->m.queue_offset > r->noted)
        return true;
    struct str key = cfile_key(v);
    return !str_blank(key) && v->m.body.len > 0 && v->m.queue_offset >= key_map_get(&r->keys, key);
}

static int keep(struct run *r, const struct visit *m)
{
    r->seen++;
    if (!stays(r, &m->v))
        return 0;
    r->kept++;
    int e = cwriter_put(m->to, &m->v, m->record, m->u.tags_code);
    return e > 0 ? -EFBIG : e ? e : go_on(r, m->u.size);
}

/* ---- one queue ---- */

static int rewrite(struct run *r)
{
    struct cwriter w;
    cwriter_init(&w, r->q, COMPACTING_DIR, &r->made);
    int e = each_record(r, -1, keep, &w);
    if (e == 0)
        e = cwriter_close(&w);
    cwriter_free(&w);
    return e;
}

static int replace(struct run *r)
{
    r->made_n = r->made.n;
    struct compaction *c = r->q->c;
    pthread_mutex_lock(&c->disk_lock);
    int e = atomic_load(&r->q->life) == r->life ? compaction_replace(r->q, r->old.n, &r->made) : STOPPED;
    if (e == 0)
        atomic_store(&r->q->compacted, r->noted);
    pthread_mutex_unlock(&c->disk_lock);
    return e;
}

static int compact(struct run *r)
{
    struct compaction *c = r->q->c;
    int e = each_record(r, atomic_load(&r->q->compacted), note_key, NULL);
    if (e == KEYS_FULL && r->noted > atomic_load(&r->q->compacted))
        e = 0;
    if (e || r->noted < 0)
        return e;
    e = rewrite(r);
    if (e == 0)
        e = replace(r);
    struct err err;
    if (e == 0 && compaction_positions_save(c, &err))
        LOG(LOG_ERROR, "store", "%s; the queue is compacted from its beginning again", err.text);
    return e;
}

static void tell(const struct run *r, int e)
{
    const struct compaction_queue *q = r->q;
    if (e == KEYS_FULL || e == -ENOMEM)
        LOG(LOG_ERROR, "store", "no memory to compact topic %s, queue %d: raise maxOffsetMapSize", q->topic, q->id);
    else if (e < 0)
        LOG(LOG_ERROR, "store", "cannot compact topic %s, queue %d: %s; tried again in %" PRId64 " s", q->topic, q->id,
            strerror(-e), q->period_ms / 1000);
    else if (e == 0 && r->noted >= 0)
        LOG(LOG_INFO, "store",
            "compacted topic %s, queue %d up to queue offset %" PRId64 ": kept %" PRId64 " of %" PRId64
            " messages, %zu files became %zu, in %" PRId64 " ms",
            q->topic, q->id, r->noted, r->kept, r->seen, r->old.n, r->made_n, clock_mono_ms() - r->begin_ms);
}

static void compact_queue(struct compaction_queue *q)
{
    struct run r = {.q = q, .noted = -1, .begin_ms = clock_mono_ms()};
    struct err err;
    bool any;
    int e = closed_files(&r, &any);
    if (e == 0 && any) {
        /* What an earlier try left behind, decided or not. */
        pthread_mutex_lock(&q->c->disk_lock);
        e = atomic_load(&q->life) != r.life ? STOPPED : compaction_settle(q, &err) ? -err.code : 0;
        pthread_mutex_unlock(&q->c->disk_lock);
        key_map_init(&r.keys, (size_t)q->c->s->conf.maxOffsetMapSize);
        if (e == 0)
            e = compact(&r);
        key_map_free(&r.keys);
        tell(&r, e);
    } else if (e) {
        tell(&r, e);
    }
    cfile_list_release(&r.made);
    cfile_list_release(&r.old);
}

void compaction_run(struct compaction *c, bool all)
{
    compaction_empty_trash(c);
    for (struct compaction_queue *q = atomic_load(&c->all); q && !store_stopping(c->s); q = q->next) {
        int64_t now = clock_mono_ms();
        if (atomic_load(&q->queue) == NULL || (!all && now < q->due_ms))
            continue;
        compact_queue(q);
        q->due_ms = clock_mono_ms() + q->period_ms;
    }
}
