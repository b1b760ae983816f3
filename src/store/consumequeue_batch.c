/*
 * Batch queues: an entry stands for a record with one message or more, so that queue offsets, which count messages, and
 * positions, which count entries, differ. Files, tail, recovery and retention go by position and are those of all
 * queues; here are the bounds in messages and the way from a queue offset to a position.
 */
#include "store/consumequeue.h"

#include "base/log.h"
#include "store/consumequeue_int.h"

#include <errno.h>

static int64_t messages_end(const struct store_entry *e)
{
    return e->queue_offset + e->messages;
}

/* Queue offset of the first message at or behind the position, or behind the last one. */
static int message_at(struct cq *q, int64_t position, int64_t *offset)
{
    struct store_entry e;
    int64_t end = atomic_load_explicit(&q->next, memory_order_relaxed);
    bool before = position >= end;
    if (before && end == 0) {
        *offset = 0;
        return 0;
    }
    int r = cq_peek(q, before ? end - 1 : position, &e, 1);
    if (r == 1 && cq_entry_valid(&e))
        *offset = before ? messages_end(&e) : e.queue_offset;
    else if (r == 1)
        r = -EILSEQ;
    return r == 1 ? 0 : r < 0 ? r : -ENODATA;
}

int cq_batch_refresh(struct cq *q)
{
    struct cq_batch *b = q->batch;
    int64_t min = 0, next = 0;
    if (b == NULL)
        return 0;
    /* Of a queue cut down to nothing only the entries before may tell where it stands. */
    int r = message_at(q, INT64_MAX, &next);
    if (r == -ENOENT || r == -ENODATA)
        next = r = 0;
    if (r == 0)
        r = message_at(q, atomic_load_explicit(&q->min, memory_order_relaxed), &min);
    if (r == -EILSEQ || r == -ENOENT || r == -ENODATA) {
        min = next; /* whoever reads it looks whether it is damaged */
        r = 0;
    }
    if (r)
        return r;
    atomic_store_explicit(&b->min, min, memory_order_release);
    atomic_store_explicit(&b->next, next, memory_order_relaxed);
    atomic_store(&b->max, next);
    return 0;
}

void cq_batch_min(struct cq *q)
{
    int64_t min;
    if (q->batch && message_at(q, atomic_load_explicit(&q->min, memory_order_relaxed), &min) == 0)
        atomic_store_explicit(&q->batch->min, min, memory_order_release);
}

void cq_batch_publish(struct cq *q, int64_t max)
{
    struct store_entry e;
    if (q->batch && max > 0 && cq_peek(q, max - 1, &e, 1) == 1)
        atomic_store(&q->batch->max, messages_end(&e));
}

/* The log is dispatched again from time to time: what is there already is passed over. Unlike positions, queue offsets
 * may have gaps, where messages were given up. */
static bool enter_batch(struct cq *q, const struct store_entry *e)
{
    struct cq_batch *b = q->batch;
    int64_t next = atomic_load_explicit(&b->next, memory_order_relaxed);
    int64_t at = atomic_load_explicit(&q->next, memory_order_relaxed);
    bool empty = at == atomic_load_explicit(&q->min, memory_order_relaxed);
    if (e->physical_offset + e->size <= atomic_load_explicit(&q->last_end, memory_order_relaxed) ||
        e->queue_offset < next)
        return true;
    if (e->queue_offset > next && !empty)
        LOG_LIMITED(LOG_WARN, "store",
                    "batch consume queue %s/%d: messages %lld to %lld are missing; crocket store check shows whether "
                    "the log has them",
                    q->topic, q->id, (long long)next, (long long)e->queue_offset - 1);
    if (!cq_tail_append(q, at, e))
        return false;
    if (empty)
        atomic_store_explicit(&b->min, e->queue_offset, memory_order_release);
    atomic_store_explicit(&b->next, messages_end(e), memory_order_relaxed);
    return true;
}

bool cq_enter(struct cq *q, const struct store_entry *e)
{
    return q->batch ? enter_batch(q, e) : cq_tail_enter(q, e);
}

bool cq_is_batch(const struct cq *q)
{
    return q->batch != NULL;
}

int32_t cq_unit(const struct cq *q)
{
    return q->set->unit;
}

int64_t cq_next_file(const struct cq *q, int64_t position)
{
    int64_t per_file = q->set->file_size / q->set->unit;
    return (position / per_file + 1) * per_file;
}

/* The entry at the position, or the next one that can be believed to say where it stands; its position, `hi` when none
 * does, -1 when it cannot be read. */
static int64_t next_telling(struct cq *q, int64_t position, int64_t hi, struct store_entry *e, bool may_block)
{
    for (int64_t to; position < hi; position++) {
        if (cq_read(q, position, e, 1, may_block) != 1)
            return -1;
        if (cq_entry_valid(e) && cq_check(q, position, &to) != CQ_BAD)
            break;
    }
    return position;
}

/* The entry found last, or the one behind it: readers go on where they were. */
static bool try_hint(struct cq *q, int64_t offset, int64_t *found)
{
    struct store_entry e[2];
    int64_t at = atomic_load_explicit(&q->batch->hint, memory_order_relaxed);
    int n = at >= cq_first(q) ? cq_read(q, at, e, 2, false) : 0;
    for (int i = 0; i < n; i++) {
        if (offset >= e[i].queue_offset && offset < messages_end(&e[i])) {
            *found = at + i;
            return true;
        }
    }
    return false;
}

int64_t cq_locate(struct cq *q, int64_t offset, bool may_block)
{
    int64_t lo = cq_first(q), hi = atomic_load_explicit(&q->max, memory_order_acquire), found = offset;
    if (q->batch == NULL || try_hint(q, offset, &found))
        return found;
    while (lo < hi) {
        struct store_entry e;
        int64_t mid = lo + (hi - lo) / 2, at = next_telling(q, mid, hi, &e, may_block);
        if (at < 0)
            return -1;
        if (at < hi && messages_end(&e) <= offset)
            lo = at + 1;
        else
            hi = mid;
    }
    atomic_store_explicit(&q->batch->hint, lo, memory_order_relaxed);
    return lo;
}
