/* The set of queues: finding, creating, listing, deleting; and what others may ask a queue. */
#include "store/consumequeue.h"

#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLE_FIRST = 64,
    SLAB_SIZE = 64 * 1024,
    LINE = 64,
    WALK_AHEAD = 8,                 /* queues whose memory is fetched while others are looked at */
    GARBAGE_MIN = 16 * 1024 * 1024, /* bytes of old blocks of small queues that are always left alone */
};

/* Queues are carved out of slabs, cache-line aligned: no allocator header, no fragmentation, freed with the set. */
struct cq_slab {
    struct cq_slab *next;
    _Alignas(LINE) char data[];
};

static struct cq_table *table_new(size_t cap, struct cq_table *older)
{
    struct cq_table *t = calloc(1, sizeof *t + cap * sizeof t->slots[0]);
    if (t) {
        t->cap = cap;
        t->older = older;
    }
    return t;
}

static struct cq_set *set_new(const struct fs *fs, const char *dir, int64_t file_size, int32_t unit)
{
    struct cq_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->fs = fs;
    set->file_size = file_size - file_size % unit;
    set->unit = set->pool.unit = unit;
    set->trusted_end = -1;
    set->entered_end = -1;
    atomic_init(&set->rebuild_from, INT64_MAX);
    pthread_mutex_init(&set->check_lock, NULL);
    set->front = -1;
    set->share_from = -1;
    set->shared_mark = -1;
    set->garbage_min = GARBAGE_MIN;
    set->anchor_fd = -1;
    set->dir = strdup(dir);
    struct cq_table *t = table_new(TABLE_FIRST, NULL);
    atomic_init(&set->table, t);
    pthread_mutex_init(&set->create, NULL);
    pthread_mutex_init(&set->work, NULL);
    pthread_mutex_init(&set->io, NULL);
    if (cq_files_init(&set->files) || set->dir == NULL || t == NULL || set->file_size < unit) {
        cq_set_free(set);
        return NULL;
    }
    return set;
}

struct cq_set *cq_set_new(const struct fs *fs, const char *dir, int64_t file_size)
{
    return set_new(fs, dir, file_size, CQ_ENTRY_SIZE);
}

struct cq_set *cq_set_new_batch(const struct fs *fs, const char *dir, int64_t file_size)
{
    return set_new(fs, dir, file_size, CQ_BATCH_ENTRY_SIZE);
}

void cq_set_free(struct cq_set *set)
{
    if (set == NULL)
        return;
    if (set->anchor_fd >= 0)
        set->fs->close(set->fs, set->anchor_fd);
    cq_files_free(set);
    sq_free(set->blocks);
    free(set->left);
    struct cq_table *t = atomic_load(&set->table);
    for (size_t i = 0; t && i < t->cap; i++) {
        struct cq *q = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        if (q) {
            cq_tail_free(q);
            cq_checked_free(q);
        }
    }
    while (t) {
        struct cq_table *older = t->older;
        free(t);
        t = older;
    }
    while (set->retired) {
        struct cq_chunk *c = set->retired;
        set->retired = c->retired;
        free(c);
    }
    cq_pool_free(&set->pool);
    while (set->slabs) {
        struct cq_slab *s = set->slabs;
        set->slabs = s->next;
        free(s);
    }
    pthread_mutex_destroy(&set->create);
    pthread_mutex_destroy(&set->work);
    pthread_mutex_destroy(&set->io);
    pthread_mutex_destroy(&set->check_lock);
    free(set->watched);
    free(set->unsynced);
    free(set->dir);
    free(set);
}

void cq_set_append_lock(struct cq_set *set, void (*lock)(void *arg), void (*unlock)(void *arg), void *arg)
{
    set->append_lock = lock;
    set->append_unlock = unlock;
    set->append_arg = arg;
}

void cq_set_trust(struct cq_set *set, int64_t physical_end)
{
    set->trusted_end = physical_end;
}

void cq_set_entered(struct cq_set *set, int64_t physical_end)
{
    set->entered_end = physical_end;
}

int64_t cq_set_rebuild_from(const struct cq_set *set)
{
    return atomic_load(&set->rebuild_from);
}

size_t cq_set_count(const struct cq_set *set)
{
    return set->count;
}

bool cq_set_has_folder(const struct cq_set *set)
{
    return fs_exists(set->fs, set->dir);
}

static size_t key_hash(struct str topic, int32_t id)
{
    uint64_t h = str_hash(topic) + (uint64_t)(uint32_t)id * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 29);
}

static struct cq *find(const struct cq_table *t, struct str topic, int32_t id, size_t *at)
{
    size_t i = key_hash(topic, id) & (t->cap - 1);
    for (;; i = (i + 1) & (t->cap - 1)) {
        struct cq *q = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (q == NULL || (q->id == id && str_eq(cq_topic(q), topic))) {
            *at = i;
            return q;
        }
    }
}

/* Room for one more queue in the table; the copy is published whole, so that a reader sees the old or the new one. */
static struct cq_table *table_with_room(struct cq_set *set)
{
    struct cq_table *t = atomic_load_explicit(&set->table, memory_order_relaxed);
    if ((set->count + 1) * 4 <= t->cap * 3)
        return t;
    struct cq_table *bigger = table_new(t->cap * 2, t);
    if (bigger == NULL)
        return NULL;
    for (size_t i = 0; i < t->cap; i++) {
        struct cq *q = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
        size_t at;
        if (q && find(bigger, cq_topic(q), q->id, &at) == NULL)
            atomic_store_explicit(&bigger->slots[at], q, memory_order_relaxed);
    }
    atomic_store_explicit(&set->table, bigger, memory_order_release);
    return bigger;
}

static void *slab_alloc(struct cq_set *set, size_t size, size_t align)
{
    size_t at = (set->slab_used + align - 1) & ~(align - 1);
    if (set->slabs == NULL || SLAB_SIZE - at < size || at > SLAB_SIZE) {
        struct cq_slab *s = aligned_alloc(LINE, sizeof *s + SLAB_SIZE);
        if (s == NULL)
            return NULL;
        s->next = set->slabs;
        set->slabs = s;
        at = 0;
    }
    set->slab_used = at + size;
    return set->slabs->data + at;
}

/* The topic's name, shared with another queue of it: of queue 0, which most topics have first, or of the one before. */
static const char *topic_name(struct cq_set *set, const struct cq_table *t, struct str topic, int32_t id)
{
    size_t at;
    const struct cq *other = find(t, topic, 0, &at);
    if (other == NULL && id > 0)
        other = find(t, topic, id - 1, &at);
    if (other)
        return other->topic;
    char *name = slab_alloc(set, topic.len + 1, 1);
    if (name) {
        memcpy(name, topic.ptr, topic.len);
        name[topic.len] = '\0';
    }
    return name;
}

static struct cq *queue_alloc(struct cq_set *set, const struct cq_table *t, struct str topic, int32_t id)
{
    bool batch = set->unit == CQ_BATCH_ENTRY_SIZE;
    const char *name = topic_name(set, t, topic, id);
    struct cq *q = name ? slab_alloc(set, sizeof *q, LINE) : NULL;
    struct cq_batch *b = q && batch ? slab_alloc(set, sizeof *b, _Alignof(struct cq_batch)) : NULL;
    if (q == NULL || (batch && b == NULL))
        return NULL;
    *q = (struct cq){.set = set, .id = id, .topic = name, .topic_len = (uint8_t)topic.len, .batch = b};
    if (b)
        memset(b, 0, sizeof *b);
    q->min_physical = -1;
    q->first_file = -1;
    q->unsynced = -1;
    atomic_init(&q->shared, -1);
    return q;
}

void cq_tables_free_older(struct cq_set *set)
{
    struct cq_table *t = atomic_load(&set->table), *older = t->older;
    t->older = NULL;
    while (older) {
        t = older->older;
        free(older);
        older = t;
    }
}

static struct cq *create(struct cq_set *set, struct str topic, int32_t id)
{
    struct cq_table *t = table_with_room(set);
    if (t == NULL)
        return NULL;
    size_t at;
    struct cq *q = find(t, topic, id, &at);
    if (q == NULL && (q = queue_alloc(set, t, topic, id)) != NULL) {
        atomic_store_explicit(&t->slots[at], q, memory_order_release);
        set->count++;
    }
    return q;
}

struct cq *cq_get(struct cq_set *set, struct str topic, int32_t queue_id, bool want)
{
    size_t at;
    struct cq *q = find(atomic_load_explicit(&set->table, memory_order_acquire), topic, queue_id, &at);
    if (q == NULL && want && topic.len > 0 && topic.len <= CQ_TOPIC_MAX) {
        pthread_mutex_lock(&set->create);
        q = create(set, topic, queue_id);
        pthread_mutex_unlock(&set->create);
    }
    if (q && (atomic_load_explicit(&q->flags, memory_order_relaxed) & CQ_DELETED)) {
        if (!want)
            return NULL;
        atomic_fetch_and(&q->flags, ~(uint32_t)CQ_DELETED);
    }
    return q;
}

struct cq *cq_find(struct cq_set *set, struct str topic, int32_t queue_id)
{
    size_t at;
    return find(atomic_load_explicit(&set->table, memory_order_acquire), topic, queue_id, &at);
}

/* The queues of a large set lie all over memory. */
static void prefetch(const struct cq *q)
{
    if (q == NULL)
        return;
    __builtin_prefetch(q);
    __builtin_prefetch((const char *)q + LINE);
}

static void each(struct cq_set *set, unsigned without, void (*fn)(void *arg, struct cq *q), void *arg)
{
    struct cq_table *t = atomic_load_explicit(&set->table, memory_order_acquire);
    for (size_t i = 0; i < t->cap; i++) {
        struct cq *q = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (i + WALK_AHEAD < t->cap)
            prefetch(atomic_load_explicit(&t->slots[i + WALK_AHEAD], memory_order_relaxed));
        if (q && !(atomic_load_explicit(&q->flags, memory_order_relaxed) & without))
            fn(arg, q);
    }
}

void cq_set_each(struct cq_set *set, void (*fn)(void *arg, struct cq *q), void *arg)
{
    each(set, CQ_DELETED, fn, arg);
}

void cq_set_each_ever(struct cq_set *set, void (*fn)(void *arg, struct cq *q), void *arg)
{
    each(set, 0, fn, arg);
}

static void take_highest(void *arg, struct cq *q)
{
    int64_t *highest = arg, end = atomic_load_explicit(&q->last_end, memory_order_relaxed);
    if (end > *highest)
        *highest = end;
}

int64_t cq_set_dispatched(const struct cq_set *set)
{
    int64_t highest = 0;
    cq_set_each((struct cq_set *)(uintptr_t)set, take_highest, &highest);
    return highest > 0 ? highest : -1;
}

/* With io and the append lock held: as if the queue had never had an entry. last_end stays, so that a repeated dispatch
 * of the deleted messages is still recognised. The files are left to the background thread. */
static void empty(struct cq *q)
{
    atomic_store(&q->max, 0);
    atomic_store(&q->min, 0);
    cq_tail_drop(q, TAIL_DROP_ALL);
    atomic_store_explicit(&q->next, 0, memory_order_release);
    atomic_store_explicit(&q->persisted, 0, memory_order_relaxed);
    q->min_physical = -1;
    (void)cq_batch_refresh(q);
    __atomic_store_n(&q->from_disk, 0, __ATOMIC_RELAXED);
    q->purge = cq_has_files(q);
    atomic_fetch_or(&q->flags, CQ_DELETED);
    cq_mark_dirty(q);
}

static void empty_if_of(void *arg, struct cq *q)
{
    struct cq_set *set = q->set;
    if (!str_eq(cq_topic(q), *(const struct str *)arg))
        return;
    pthread_mutex_lock(&set->io);
    if (set->append_lock)
        set->append_lock(set->append_arg);
    empty(q);
    if (set->append_unlock)
        set->append_unlock(set->append_arg);
    pthread_mutex_unlock(&set->io);
}

void cq_set_delete_topic(struct cq_set *set, struct str topic)
{
    each(set, 0, empty_if_of, &topic);
}

struct str cq_topic(const struct cq *q)
{
    return str_make(q->topic, q->topic_len);
}

int32_t cq_id(const struct cq *q)
{
    return q->id;
}

int64_t cq_min(const struct cq *q)
{
    if (__builtin_expect(q->batch != NULL, 0))
        return atomic_load_explicit(&q->batch->min, memory_order_acquire);
    return cq_first(q);
}

int64_t cq_first(const struct cq *q)
{
    return atomic_load_explicit(&q->min, memory_order_acquire);
}

/* Sequentially consistent, as the store in cq_publish: after setting its bit a waiter either sees the new maximum here
 * or is seen by the one who publishes it. */
int64_t cq_max(const struct cq *q)
{
    if (__builtin_expect(q->batch != NULL, 0))
        return atomic_load(&q->batch->max);
    return atomic_load(&q->max);
}

void **cq_user(struct cq *q)
{
    return &q->user;
}

int64_t cq_behind(const struct cq *q)
{
    return atomic_load_explicit(&q->max, memory_order_acquire);
}

struct compaction_queue *cq_compacted(const struct cq *q)
{
    return atomic_load_explicit(&q->compacted, memory_order_acquire);
}

void cq_set_compacted(struct cq *q, struct compaction_queue *log)
{
    atomic_store_explicit(&q->compacted, log, memory_order_release);
}

int64_t cq_last_end(const struct cq *q)
{
    return atomic_load_explicit(&q->last_end, memory_order_relaxed);
}

bool cq_has_files(const struct cq *q)
{
    return q->first_file >= 0 || atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0;
}

int64_t cq_next(const struct cq *q)
{
    if (__builtin_expect(q->batch != NULL, 0))
        return atomic_load_explicit(&q->batch->next, memory_order_relaxed);
    return cq_end(q);
}

int64_t cq_end(const struct cq *q)
{
    return atomic_load_explicit(&q->next, memory_order_relaxed);
}

uint64_t cq_publish(struct cq *q, int64_t max)
{
    /* Above next: a late publication to a queue that was deleted meanwhile. */
    if (max <= atomic_load_explicit(&q->max, memory_order_relaxed) ||
        max > atomic_load_explicit(&q->next, memory_order_relaxed))
        return 0;
    atomic_store(&q->max, max);
    cq_batch_publish(q, max);
    if (atomic_load(&q->waiters) == 0)
        return 0;
    return atomic_exchange(&q->waiters, 0);
}

void cq_wait(struct cq *q, unsigned loop)
{
    atomic_fetch_or(&q->waiters, (uint64_t)1 << loop);
}

int cq_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool may_block)
{
    int64_t max = atomic_load_explicit(&q->max, memory_order_acquire);
    if (offset < atomic_load_explicit(&q->min, memory_order_acquire) || offset >= max || n <= 0)
        return 0;
    if (n > max - offset)
        n = (int)(max - offset);
    int done = 0;
    while (done < n) {
        int got = cq_tail_read(q, offset + done, out + done, n - done, true);
        if (got < 0)
            got = cq_file_read(q, offset + done, out + done, n - done, may_block);
        if (got == -EAGAIN && done == 0)
            return -1;
        if (got <= 0)
            break;
        done += got;
    }
    int64_t from_disk = __atomic_load_n(&q->from_disk, __ATOMIC_RELAXED);
    for (int i = 0; i < done && offset + i < from_disk; i++)
        out[i].filter_bits = 0;
    return done;
}
