/* The newest entries of a queue in memory: appending, reading beside the appender, dropping what is in the files. */
#include "store/consumequeue.h"

#include "base/log.h"
#include "store/consumequeue_int.h"

#include <stdlib.h>

enum {
    POOL_KEEP_BYTES = 4 * 1024 * 1024, /* free chunks above this go back to the allocator */
    GAP_FILL_MAX = 1000000,            /* missing entries that are filled with pre-blank units */
};

static const uint32_t class_cap[CQ_CLASSES] = {8, 64, 512, 4096};

static size_t chunk_bytes(const struct cq_pool *pool, unsigned class)
{
    return sizeof(struct cq_chunk) + (size_t)class_cap[class] * (size_t)pool->unit;
}

/* Only the appender takes chunks. */
static struct cq_chunk *chunk_new(struct cq_pool *pool, unsigned class, int64_t base)
{
    if (pool->mine[class] == NULL)
        pool->mine[class] = atomic_exchange_explicit(&pool->back[class], NULL, memory_order_acquire);
    struct cq_chunk *c = pool->mine[class];
    if (c) {
        pool->mine[class] = c->retired;
        atomic_fetch_sub_explicit(&pool->bytes, chunk_bytes(pool, class), memory_order_relaxed);
    } else if ((c = malloc(chunk_bytes(pool, class))) == NULL) {
        return NULL;
    }
    atomic_init(&c->next, NULL);
    atomic_init(&c->prev, NULL);
    c->base = base;
    c->cap = class_cap[class];
    c->class = class;
    c->owner = NULL;
    c->retired = NULL;
    return c;
}

static void chunk_give_back(struct cq_pool *pool, struct cq_chunk *c)
{
    size_t bytes = chunk_bytes(pool, c->class);
    if (atomic_load_explicit(&pool->bytes, memory_order_relaxed) + bytes > POOL_KEEP_BYTES) {
        free(c);
        return;
    }
    atomic_fetch_add_explicit(&pool->bytes, bytes, memory_order_relaxed);
    struct cq_chunk *first = atomic_load_explicit(&pool->back[c->class], memory_order_relaxed);
    do
        c->retired = first;
    while (!atomic_compare_exchange_weak_explicit(&pool->back[c->class], &first, c, memory_order_release,
                                                  memory_order_relaxed));
}

static void chunks_free(struct cq_chunk *c)
{
    while (c) {
        struct cq_chunk *next = c->retired;
        free(c);
        c = next;
    }
}

void cq_pool_free(struct cq_pool *pool)
{
    for (int i = 0; i < CQ_CLASSES; i++) {
        chunks_free(pool->mine[i]);
        chunks_free(atomic_load(&pool->back[i]));
    }
}

void cq_tail_free(struct cq *q)
{
    struct cq_chunk *c = atomic_load(&q->head);
    while (c) {
        struct cq_chunk *next = atomic_load_explicit(&c->next, memory_order_relaxed);
        free(c);
        c = next;
    }
}

/* Each chunk is eight times the one before as long as they fill faster than the background thread writes them: a quiet
 * queue stays small, a busy one has few chunks. */
static struct cq_chunk *tail_grow(struct cq *q, struct cq_chunk *last, int64_t next)
{
    unsigned class = 0;
    if (last) {
        class = last->class;
        if (class + 1 < CQ_CLASSES && last->base >= atomic_load_explicit(&q->persisted, memory_order_relaxed))
            class ++;
    }
    struct cq_chunk *c = chunk_new(&q->set->pool, class, next);
    if (c == NULL)
        return NULL;
    atomic_store_explicit(&c->prev, last, memory_order_relaxed);
    if (last)
        atomic_store_explicit(&last->next, c, memory_order_release);
    else
        atomic_store_explicit(&q->head, c, memory_order_release);
    atomic_store(&q->last, c);
    return c;
}

void cq_mark_dirty(struct cq *q)
{
    struct cq_set *set = q->set;
    if (atomic_fetch_or_explicit(&q->flags, CQ_DIRTY, memory_order_acq_rel) & CQ_DIRTY)
        return;
    struct cq *first = atomic_load_explicit(&set->dirty, memory_order_relaxed);
    do
        q->dirty_next = first;
    while (!atomic_compare_exchange_weak_explicit(&set->dirty, &first, q, memory_order_release, memory_order_relaxed));
}

bool cq_tail_put(struct cq *q, int64_t next, const struct store_entry *e)
{
    struct cq_chunk *c = atomic_load_explicit(&q->last, memory_order_relaxed);
    if (__builtin_expect(c == NULL || next - c->base >= c->cap, 0)) {
        c = tail_grow(q, c, next);
        if (c == NULL)
            return false;
    }
    cq_put_entry(c->data + (next - c->base) * q->set->unit, q->set->unit, e);
    atomic_store_explicit(&q->next, next + 1, memory_order_release);
    return true;
}

static void start_at(struct cq *q, int64_t queue_offset)
{
    atomic_store_explicit(&q->max, queue_offset, memory_order_relaxed);
    atomic_store_explicit(&q->min, queue_offset, memory_order_relaxed);
    atomic_store_explicit(&q->persisted, queue_offset, memory_order_relaxed);
    atomic_store_explicit(&q->next, queue_offset, memory_order_release);
    q->min_physical = -1;
}

/* The entry does not belong at next, which happens only while the log is dispatched again after a crash (no background
 * work then). Returns where it goes, -1 when it is there already, -2 when out of memory. */
static int64_t position(struct cq *q, int64_t queue_offset, int64_t next)
{
    if (queue_offset < next)
        return -1;
    bool has_entries = next > atomic_load_explicit(&q->min, memory_order_relaxed);
    if ((has_entries || cq_has_files(q)) && queue_offset - next <= GAP_FILL_MAX) {
        LOG_LIMITED(LOG_WARN, "store",
                    "consume queue %s/%d: entries %lld to %lld are missing and were filled with blanks; "
                    "crocket store check shows whether the log has these messages",
                    q->topic, q->id, (long long)next, (long long)queue_offset - 1);
        for (; next < queue_offset; next++)
            if (!cq_tail_put(q, next, &(struct store_entry){.size = CQ_PREBLANK_SIZE}))
                return -2;
        /* As the next start finds it: a queue begins behind its leading blanks. */
        if (!has_entries)
            atomic_store_explicit(&q->min, next, memory_order_relaxed);
        return next;
    }
    if (has_entries)
        LOG_LIMITED(LOG_ERROR, "store",
                    "consume queue %s/%d: %lld entries from %lld on are missing, the queue now begins at %lld; "
                    "crocket store check shows whether the log has these messages",
                    q->topic, q->id, (long long)(queue_offset - next), (long long)next, (long long)queue_offset);
    cq_tail_cut(q, 0);
    if (q->first_file >= 0)
        cq_files_remove(q);
    cq_shared_forget(q);
    start_at(q, queue_offset);
    return queue_offset;
}

bool cq_begin_at(struct cq *q, int64_t queue_offset)
{
    if (cq_has_files(q) || atomic_load(&q->next) > atomic_load(&q->min) || atomic_load(&q->next) > queue_offset)
        return false;
    start_at(q, queue_offset);
    return true;
}

bool cq_tail_append(struct cq *q, int64_t next, const struct store_entry *e)
{
    if (!cq_tail_put(q, next, e))
        return false;
    atomic_store_explicit(&q->last_end, e->physical_offset + e->size, memory_order_relaxed);
    if (__builtin_expect(atomic_load_explicit(&q->flags, memory_order_relaxed) != CQ_DIRTY, 0)) {
        atomic_fetch_and(&q->flags, ~(uint32_t)CQ_DELETED);
        cq_mark_dirty(q);
    }
    return true;
}

bool cq_tail_enter(struct cq *q, const struct store_entry *e)
{
    if (e->physical_offset + e->size <= atomic_load_explicit(&q->last_end, memory_order_relaxed))
        return true;
    int64_t next = atomic_load_explicit(&q->next, memory_order_relaxed);
    if (__builtin_expect(e->queue_offset != next, 0)) {
        next = position(q, e->queue_offset, next);
        if (next < 0)
            return next == -1;
    }
    return cq_tail_append(q, next, e);
}

bool cq_append(struct cq *q, int64_t queue_offset, int64_t physical_offset, int32_t size, int64_t tags_code)
{
    struct store_entry e = {
        .physical_offset = physical_offset, .size = size, .tags_code = tags_code, .queue_offset = queue_offset};
    return cq_tail_enter(q, &e);
}

int cq_tail_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool visible_only)
{
    int done = -1;
    atomic_fetch_add(&q->readers, 1);
    struct cq_chunk *c = atomic_load(&q->last);
    /* The bound after the chunk: a queue emptied and used again shows its new, lower maximum with its new chunk. */
    int64_t end = visible_only ? atomic_load_explicit(&q->max, memory_order_acquire)
                               : atomic_load_explicit(&q->next, memory_order_acquire);
    while (c && offset < c->base)
        c = atomic_load(&c->prev);
    if (c) {
        done = 0;
        if (n > end - offset)
            n = end > offset ? (int)(end - offset) : 0;
    }
    const int32_t unit = q->set->unit;
    while (c && done < n) {
        int64_t i = offset + done - c->base;
        for (; i < c->cap && done < n; i++, done++)
            out[done] = cq_get_entry(c->data + i * unit, unit, offset + done);
        c = atomic_load_explicit(&c->next, memory_order_acquire);
    }
    atomic_fetch_sub_explicit(&q->readers, 1, memory_order_release);
    return done;
}

struct cq_chunk *cq_tail_find(struct cq *q, int64_t offset)
{
    struct cq_chunk *c = atomic_load_explicit(&q->head, memory_order_acquire);
    while (c && offset - c->base >= c->cap)
        c = atomic_load_explicit(&c->next, memory_order_acquire);
    return c && offset >= c->base ? c : NULL;
}

static void retire(struct cq *q, struct cq_chunk *c)
{
    c->owner = q;
    c->retired = q->set->retired;
    q->set->retired = c;
}

void cq_retired_free(struct cq_set *set)
{
    struct cq_chunk *c = set->retired;
    set->retired = NULL;
    while (c) {
        struct cq_chunk *next = c->retired;
        /* A reader that comes after this load finds the list without the chunk. */
        if (atomic_load(&c->owner->readers) == 0) {
            chunk_give_back(&set->pool, c);
        } else {
            c->retired = set->retired;
            set->retired = c;
        }
        c = next;
    }
}

void cq_tail_drop(struct cq *q, enum tail_drop how)
{
    struct cq_chunk *c = atomic_load_explicit(&q->head, memory_order_acquire);
    if (how == TAIL_DROP_ALL) {
        atomic_store(&q->last, NULL);
        atomic_store_explicit(&q->head, NULL, memory_order_relaxed);
        while (c) {
            struct cq_chunk *next = atomic_load_explicit(&c->next, memory_order_relaxed);
            retire(q, c);
            c = next;
        }
        return;
    }
    /* The full chunk before the last stays too: consumers are often a few entries behind. */
    int64_t persisted = atomic_load_explicit(&q->persisted, memory_order_relaxed);
    for (;;) {
        struct cq_chunk *second = c ? atomic_load_explicit(&c->next, memory_order_acquire) : NULL;
        if (second == NULL || atomic_load_explicit(&second->next, memory_order_acquire) == NULL ||
            c->base + c->cap > persisted)
            return;
        atomic_store(&second->prev, NULL);
        atomic_store_explicit(&q->head, second, memory_order_relaxed);
        retire(q, c);
        c = second;
    }
}

void cq_tail_cut(struct cq *q, int64_t offset)
{
    struct cq_chunk *c = atomic_load_explicit(&q->last, memory_order_relaxed);
    while (c && c->base >= offset) {
        struct cq_chunk *prev = atomic_load_explicit(&c->prev, memory_order_relaxed);
        if (prev)
            atomic_store_explicit(&prev->next, NULL, memory_order_relaxed);
        else
            atomic_store_explicit(&q->head, NULL, memory_order_relaxed);
        atomic_store(&q->last, prev);
        retire(q, c);
        c = prev;
    }
    if (c && offset - c->base < c->cap)
        c->cap = (uint32_t)(offset - c->base);
}
