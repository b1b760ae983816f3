/*
 * Queues with few entries in the shared files (shared_queues.h): once a store has many queues, a new one gets a folder
 * and a file of its own only when it has more entries than a block holds. All entries of such a queue below `persisted`
 * stand in the block at q->shared.
 *
 * A queue that leaves for its own files is synced there before its block is declared void, and a file of blocks goes
 * only after a sync of their copies, so that at every moment one of the two is whole on the disk.
 */
#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/mutant.h"

int cq_set_share(struct cq_set *set, const char *dir, int32_t from, int64_t durable)
{
    /* Smaller with small queue files, for tests. */
    int64_t size = set->file_size > SQ_FILE_SIZE / 8 ? SQ_FILE_SIZE : 8 * set->file_size;
    set->blocks = sq_new(set->fs, dir, size);
    set->garbage_min = size / 2;
    set->share_from = from;
    set->shared_mark = durable;
    return set->blocks ? 0 : -ENOMEM;
}

bool cq_set_shares(const struct cq_set *set)
{
    return set->blocks && sq_is_used(set->blocks);
}

int64_t cq_set_shared_mark(const struct cq_set *set)
{
    return set->shared_mark;
}

static uint32_t size_of(const struct cq *q)
{
    return sq_size(q->topic_len, q->shared_n);
}

/* The queue's block is another one now; -1: none. */
static void move(struct cq *q, int64_t pos, uint32_t n)
{
    struct cq_set *set = q->set;
    if (atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0)
        set->shared_live -= size_of(q);
    q->shared_n = (uint8_t)n;
    if (pos >= 0)
        set->shared_live += size_of(q);
    atomic_store_explicit(&q->shared, pos, memory_order_release);
}

/* ---- loading
 * ---------------------------------------------------------------------------------------------------------- */

static void take_bounds(struct cq *q, const struct sq_block *b)
{
    int64_t min = b->base, end = b->base + b->n, last_end = 0;
    q->min_physical = -1;
    for (uint32_t i = 0; i < b->n; i++) {
        struct store_entry e = cq_get_entry(b->entries + i * CQ_ENTRY_SIZE, CQ_ENTRY_SIZE, b->base + i);
        if (cq_entry_preblank(&e) && min == b->base + i)
            min++;
        if (cq_entry_preblank(&e) || !cq_entry_valid(&e))
            continue;
        if (last_end == 0)
            q->min_physical = e.physical_offset;
        last_end = e.physical_offset + e.size;
    }
    atomic_store_explicit(&q->last_end, last_end, memory_order_relaxed);
    (void)cq_set_bounds(q, min, end); /* fails for batch queues only */
}

static int take_block(void *arg, const struct sq_block *b, int64_t pos, uint32_t size)
{
    struct cq_set *set = arg;
    struct cq *q = cq_get(set, b->topic, b->queue_id, b->kind == SQ_QUEUE);
    if (b->kind == SQ_QUEUE) {
        if (q == NULL)
            return -ENOMEM;
        move(q, pos, b->n);
        take_bounds(q, b);
    } else if (q) {
        move(q, -1, 0);
        take_bounds(q, &(struct sq_block){0});
        atomic_fetch_or(&q->flags, CQ_DELETED);
    }
    return 0;
}

int cq_shared_load(struct cq_set *set, struct err *err)
{
    bool damaged;
    if (set->blocks == NULL)
        return 0;
    if (sq_load(set->blocks, set->shared_mark, take_block, set, &damaged, err))
        return -1;
    set->shared_damaged = damaged;
    /* The folder is made with the first block. */
    if (sq_is_used(set->blocks) && !fs_exists(set->fs, set->dir))
        damaged = true;
    if (damaged) {
        LOG(LOG_WARN, "store", "entries of consume queues are lost or damaged; building them anew from the commit log");
        atomic_store(&set->rebuild_from, 0);
    }
    return 0;
}

/* ---- writing
 * ---------------------------------------------------------------------------------------------------------- */

bool cq_shared_wants(const struct cq *q, int64_t next)
{
    const struct cq_set *set = q->set;
    if (set->blocks == NULL || set->share_from < 0 || q->first_file >= 0)
        return false;
    int64_t min = atomic_load_explicit(&q->min, memory_order_relaxed);
    bool here = atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0;
    return (here || set->count > (size_t)set->share_from) && next - min <= SQ_ENTRIES_MAX;
}

/* The block of the queue as it is; none: no entries. */
static int read_block(struct cq *q, uint8_t *buf, bool may_block, struct sq_block *out)
{
    int64_t pos = atomic_load_explicit(&q->shared, memory_order_acquire);
    *out = (struct sq_block){.base = atomic_load_explicit(&q->persisted, memory_order_relaxed)};
    if (pos < 0)
        return 0;
    int r = sq_read(q->set->blocks, pos, buf, may_block, out);
    if (r == 0 && (out->kind != SQ_QUEUE || out->queue_id != q->id || !str_eq(out->topic, cq_topic(q))))
        r = -EILSEQ;
    return r;
}

/* Copies raw entries [from, to), which are all in memory. */
static bool copy_tail(struct cq *q, int64_t from, int64_t to, uint8_t *out)
{
    const struct cq_chunk *c = cq_tail_find(q, from);
    while (c && from < to) {
        int64_t n = c->base + c->cap < to ? c->base + c->cap - from : to - from;
        memcpy(out, c->data + (from - c->base) * CQ_ENTRY_SIZE, (size_t)n * CQ_ENTRY_SIZE);
        out += n * CQ_ENTRY_SIZE;
        from += n;
        c = atomic_load_explicit(&c->next, memory_order_acquire);
    }
    return from >= to;
}

/* A new block with the entries [.., to): those of the old one, and from memory what is not in it. */
static int write_block(struct cq *q, int64_t to)
{
    struct cq_set *set = q->set;
    uint8_t buf[SQ_BLOCK_MAX], entries[SQ_ENTRIES_MAX * CQ_ENTRY_SIZE];
    struct sq_block old, b = {.kind = SQ_QUEUE, .topic = cq_topic(q), .queue_id = q->id, .entries = entries};
    int64_t pos, min = atomic_load_explicit(&q->min, memory_order_relaxed);
    int r = read_block(q, buf, true, &old);
    if (r)
        return r;
    /* Expired entries go, but the last one, which says where the queue ends. */
    int64_t old_end = old.base + old.n < to ? old.base + old.n : to;
    b.base = old.base < min ? min : old.base;
    if (b.base >= to && to > old.base)
        b.base = to - 1;
    if (to - b.base > SQ_ENTRIES_MAX)
        return -EFBIG;
    b.n = to > b.base ? (uint32_t)(to - b.base) : 0;
    if (b.n == 0)
        b.base = to;
    int64_t from = b.base > old_end ? b.base : old_end;
    if (old.n && old_end > b.base)
        memcpy(entries, old.entries + (b.base - old.base) * CQ_ENTRY_SIZE, (size_t)(old_end - b.base) * CQ_ENTRY_SIZE);
    if (from < to && !copy_tail(q, from, to, entries + (from - b.base) * CQ_ENTRY_SIZE))
        return -ENODATA;
    if (!sq_is_used(set->blocks))
        r = fs_mkdirs(set->fs, set->dir);
    if (r == 0)
        r = sq_append(set->blocks, &b, &pos);
    if (r == 0)
        move(q, pos, b.n);
    return r;
}

int cq_shared_write(struct cq *q, int64_t next)
{
    int r = write_block(q, next);
    if (r == 0)
        atomic_store_explicit(&q->persisted, next, memory_order_release);
    return r;
}

int cq_shared_cut(struct cq *q, int64_t to)
{
    return MUTANT(SHARED_NOT_CUT) ? 0 : write_block(q, to);
}

/* Says that the queue's blocks are void. */
static int write_none(struct cq *q)
{
    int64_t pos;
    struct sq_block b = {.kind = SQ_NONE, .topic = cq_topic(q), .queue_id = q->id};
    return sq_append(q->set->blocks, &b, &pos);
}

int cq_shared_remove(struct cq *q)
{
    int r = write_none(q);
    if (r == 0)
        move(q, -1, 0);
    return r;
}

void cq_shared_forget(struct cq *q)
{
    move(q, -1, 0);
}

static bool note_left(struct cq_set *set, struct cq *q)
{
    if (set->n_left == set->cap_left) {
        size_t cap = set->cap_left ? set->cap_left * 2 : 64;
        struct cq **more = realloc(set->left, cap * sizeof(struct cq *));
        if (more == NULL)
            return false;
        set->left = more;
        set->cap_left = cap;
    }
    set->left[set->n_left++] = q;
    return true;
}

int cq_shared_leave(struct cq *q)
{
    uint8_t buf[SQ_BLOCK_MAX], blank[CQ_ENTRY_SIZE];
    struct sq_block b;
    int r = read_block(q, buf, true, &b);
    /* A queue without entries that does not begin at 0: its file says where it goes on. */
    if (r == 0 && b.n == 0 && b.base > 0) {
        cq_put_entry(blank, CQ_ENTRY_SIZE, &(struct store_entry){.size = CQ_PREBLANK_SIZE});
        b = (struct sq_block){.base = b.base - 1, .n = 1, .entries = blank};
    }
    if (r == 0 && !note_left(q->set, q))
        r = -ENOMEM;
    for (int64_t at = b.base, end = b.base + b.n; r == 0 && at < end;) {
        int64_t per_file = q->set->file_size / CQ_ENTRY_SIZE, n = per_file - at % per_file;
        n = n < end - at ? n : end - at;
        r = cq_write_entries(q, at, b.entries + (at - b.base) * CQ_ENTRY_SIZE, n);
        at += n;
    }
    if (r == 0)
        move(q, -1, 0);
    if (r == 0 && MUTANT(SHARED_LEFT_EARLY)) {
        r = write_none(q);
        (void)sq_flush(q->set->blocks);
    }
    return r;
}

int cq_shared_mend(struct cq *q, int64_t offset, const struct store_entry *e)
{
    uint8_t buf[SQ_BLOCK_MAX];
    struct sq_block b;
    int64_t pos;
    int r = read_block(q, buf, true, &b);
    if (r == 0 && (offset < b.base || offset >= b.base + b.n))
        r = -ENOENT;
    if (r)
        return r;
    cq_put_entry(buf + (b.entries - buf) + (offset - b.base) * CQ_ENTRY_SIZE, CQ_ENTRY_SIZE, e);
    r = sq_append(q->set->blocks, &b, &pos);
    if (r == 0)
        move(q, pos, b.n);
    return r;
}

/* ---- reading
 * ---------------------------------------------------------------------------------------------------------- */

int cq_shared_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool may_block)
{
    uint8_t buf[SQ_BLOCK_MAX];
    struct sq_block b;
    int64_t pos;
    int r;
    do {
        pos = atomic_load_explicit(&q->shared, memory_order_acquire);
        r = read_block(q, buf, may_block, &b);
        /* Meanwhile the block was copied elsewhere, and its file removed. */
    } while (r == -ENOENT && pos != atomic_load_explicit(&q->shared, memory_order_acquire));
    if (r && r != -EAGAIN)
        LOG_LIMITED(LOG_ERROR, "store",
                    "cannot read consume queue %s/%d in the files of small queues: %s; check the disk", q->topic, q->id,
                    strerror(-r));
    if (r || b.n == 0 || offset < b.base)
        return r;
    int done = 0;
    for (; done < n && offset + done < b.base + b.n; done++)
        out[done] = cq_get_entry(b.entries + (offset + done - b.base) * CQ_ENTRY_SIZE, CQ_ENTRY_SIZE, offset + done);
    return done;
}

/* ---- syncing
 * ---------------------------------------------------------------------------------------------------------- */

/* A block of the oldest file: if it is a queue's newest one, it moves to the newest file. */
static int save_block(void *arg, const struct sq_block *b, int64_t pos, uint32_t size)
{
    struct cq_set *set = arg;
    struct cq *q = cq_find(set, b->topic, b->queue_id);
    if (b->kind != SQ_QUEUE || q == NULL || atomic_load_explicit(&q->shared, memory_order_relaxed) != pos)
        return 0;
    int64_t to;
    int r = sq_append(set->blocks, b, &to);
    if (r == 0)
        move(q, to, b->n);
    return r;
}

static bool has_too_much_garbage(const struct cq_set *set)
{
    int64_t bytes = sq_bytes(set->blocks), garbage = bytes - set->shared_live;
    return !set->shared_damaged && garbage > set->garbage_min && garbage > bytes / 2;
}

/* Takes the oldest files apart while more than half of all is garbage, and those in which damage was found. */
static int compact(struct cq_set *set)
{
    struct sq_log *log = set->blocks;
    int r = 0;
    while (r == 0 && (has_too_much_garbage(set) || sq_is_damaged(log))) {
        bool known = sq_is_damaged(log), damaged = false;
        r = sq_has_oldest(log) ? 0 : sq_roll(log);
        if (r == 0)
            r = sq_oldest(log, save_block, set, &damaged);
        if (r == 0 && damaged && !known) {
            LOG(LOG_ERROR, "store",
                "entries of consume queues were damaged on the disk; the next start builds them anew");
            set->shared_damaged = true; /* leaves the file as it is, for the next start to notice */
        } else if (r == 0) {
            sq_drop_oldest(log);
        }
    }
    return r;
}

int cq_shared_sync_begin(struct cq_set *set, int64_t *end)
{
    int r = 0;
    *end = -1;
    while (r == 0 && set->n_left > 0) {
        struct cq *q = set->left[set->n_left - 1];
        /* Back among the shared ones: deleted and used again. */
        if (atomic_load_explicit(&q->shared, memory_order_relaxed) < 0)
            r = write_none(q);
        if (r == 0)
            set->n_left--;
    }
    if (r == 0 && sq_is_used(set->blocks))
        r = compact(set);
    return r || !sq_is_used(set->blocks) ? r : sq_sync_begin(set->blocks, end);
}

int cq_shared_sync(struct cq_set *set, int64_t end)
{
    int r = end >= 0 ? sq_sync(set->blocks, end) : 0;
    if (r || end < 0)
        return r;
    pthread_mutex_lock(&set->io);
    sq_remove_dropped(set->blocks);
    set->shared_mark = end;
    /* Nothing shares any more: the directory is as Java's again. */
    if (set->share_from < 0 && set->shared_live == 0 && sq_remove_all(set->blocks) == 0)
        set->shared_mark = -1;
    pthread_mutex_unlock(&set->io);
    return 0;
}

static void leave_soon(void *arg, struct cq *q)
{
    if (atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0)
        cq_mark_dirty(q);
}

void cq_shared_end(struct cq_set *set)
{
    set->shared_damaged = false; /* what was lost is built again */
    if (set->blocks && set->share_from < 0)
        cq_set_each(set, leave_soon, NULL);
}
