/*
 * Which entries found in the files at the start were compared with their records since. Readers go through a queue in
 * runs, so a few spans say it all; when they are too many the shortest is forgotten and compared again.
 */
#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPANS = 32 };

struct span {
    int64_t from, to;
    enum cq_check what;
};

struct cq_checked {
    size_t n;
    struct span spans[SPANS + 2]; /* ascending; room for what a change adds before it is brought down again */
};

void cq_checked_free(struct cq *q)
{
    free(q->checked);
    q->checked = NULL;
}

enum cq_check cq_check(struct cq *q, int64_t offset, int64_t *to)
{
    int64_t from_disk = __atomic_load_n(&q->from_disk, __ATOMIC_RELAXED);
    *to = INT64_MAX;
    if (offset >= from_disk)
        return CQ_GOOD;
    enum cq_check what = CQ_UNCHECKED;
    *to = from_disk;
    pthread_mutex_lock(&q->set->check_lock);
    const struct cq_checked *c = q->checked;
    for (size_t i = 0; c && i < c->n; i++) {
        const struct span *s = &c->spans[i];
        if (s->to <= offset)
            continue;
        if (s->from <= offset)
            what = s->what;
        *to = s->from <= offset ? s->to : s->from;
        break;
    }
    pthread_mutex_unlock(&q->set->check_lock);
    /* The entries behind were made by this process: good as well. */
    if (what == CQ_GOOD && *to == from_disk)
        *to = INT64_MAX;
    return what;
}

/* Takes [from, to) out of the spans; where the new span belongs. */
static size_t clear(struct cq_checked *c, int64_t from, int64_t to)
{
    size_t at = 0;
    while (at < c->n && c->spans[at].to <= from)
        at++;
    for (size_t i = at; i < c->n && c->spans[i].from < to;) {
        struct span *s = &c->spans[i];
        if (s->from < from && s->to > to) { /* cut in two */
            memmove(s + 1, s, (c->n - i) * sizeof *s);
            c->n++;
            s[0].to = from;
            s[1].from = to;
            return i + 1;
        }
        if (s->from < from) {
            s->to = from;
            at = ++i;
        } else if (s->to > to) {
            s->from = to;
            break;
        } else {
            memmove(s, s + 1, (--c->n - i) * sizeof *s);
        }
    }
    return at;
}

static void forget_shortest(struct cq_checked *c, size_t keep)
{
    size_t shortest = keep ? 0 : 1;
    for (size_t i = 0; i < c->n; i++)
        if (i != keep && c->spans[i].to - c->spans[i].from < c->spans[shortest].to - c->spans[shortest].from)
            shortest = i;
    memmove(&c->spans[shortest], &c->spans[shortest + 1], (--c->n - shortest) * sizeof c->spans[0]);
}

static void add(struct cq_checked *c, struct span s)
{
    size_t at = clear(c, s.from, s.to);
    memmove(&c->spans[at + 1], &c->spans[at], (c->n++ - at) * sizeof s);
    c->spans[at] = s;
    if (at + 1 < c->n && c->spans[at + 1].from == s.to && c->spans[at + 1].what == s.what) {
        c->spans[at].to = c->spans[at + 1].to;
        memmove(&c->spans[at + 1], &c->spans[at + 2], (--c->n - at - 1) * sizeof s);
    }
    if (at > 0 && c->spans[at - 1].to == s.from && c->spans[at - 1].what == s.what) {
        c->spans[at - 1].to = c->spans[at].to;
        memmove(&c->spans[at], &c->spans[at + 1], (--c->n - at) * sizeof s);
        at--;
    }
    while (c->n > SPANS)
        forget_shortest(c, at);
}

void cq_set_checked(struct cq *q, int64_t from, int64_t to, enum cq_check what)
{
    int64_t from_disk = __atomic_load_n(&q->from_disk, __ATOMIC_RELAXED);
    if (to > from_disk)
        to = from_disk;
    if (from >= to)
        return;
    pthread_mutex_lock(&q->set->check_lock);
    if (q->checked == NULL)
        q->checked = calloc(1, sizeof *q->checked); /* without memory it is compared again */
    if (q->checked)
        add(q->checked, (struct span){from, to, what});
    pthread_mutex_unlock(&q->set->check_lock);
}

int cq_mend(struct cq *q, int64_t offset, const struct store_entry *e)
{
    struct cq_set *set = q->set;
    uint8_t unit[CQ_BATCH_ENTRY_SIZE];
    int64_t start = cq_file_of(set, offset);
    struct cq_file *file;
    cq_put_entry(unit, set->unit, e);
    pthread_mutex_lock(&set->io);
    bool shared = atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0;
    int r = offset >= q->from_disk                         ? -ENOENT
            : shared                                       ? cq_shared_mend(q, offset, e)
            : q->first_file >= 0 && start >= q->first_file ? cq_file_acquire(q, start, true, false, &file, NULL)
                                                           : -ENOENT;
    if (r == 0 && !shared) {
        r = cq_note_unsynced(q, start, false);
        if (r == 0)
            r = fs_write_all(set->fs, file->fd, unit, (size_t)set->unit, offset * set->unit - start);
        cq_file_release(set, file);
    }
    if (r == 0 && offset + 1 == atomic_load_explicit(&q->next, memory_order_relaxed))
        r = cq_batch_refresh(q);
    else if (r == 0)
        cq_batch_min(q);
    pthread_mutex_unlock(&set->io);
    return r;
}

void cq_entry_place(const struct cq *q, int64_t offset, char *out, size_t size)
{
    int64_t start = cq_file_of(q->set, offset);
    snprintf(out, size, "%s/%s/%d/%020lld position %lld", q->set->dir, q->topic, q->id, (long long)start,
             (long long)(offset * q->set->unit - start));
}
