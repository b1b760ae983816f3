/* Background work: writing tails to the files, syncing them, dropping what is not needed in memory or on disk any more.
 */
#include "store/consumequeue.h"

#include "base/log.h"
#include "store/consumequeue_int.h"
#include "store/mutant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_BYTES = 2 * 4096, /* a tail below this waits for a sync, unless many wait */
    SYNC_ALL_FROM = 64,     /* files from which on the whole file system is synced at once */
    WAITING_MAX = 1000000,  /* entries that may wait in all, and as many more ... */
    WAITING_EACH = 4,       /* ... for each queue: with very many, blocks are not written anew for an entry or two */
    IDLE_ROUNDS = 4,        /* rounds without an append until a tail leaves memory */
    AT_ONCE = 128,          /* entries that a search for one reads together */
};

static bool push(void **array, size_t *n, size_t *cap, size_t size)
{
    if (*n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 256;
    void *p = realloc(*array, want * size);
    if (p == NULL)
        return false;
    *array = p;
    *cap = want;
    return true;
}

int cq_note_unsynced(struct cq *q, int64_t start, bool created)
{
    struct cq_set *set = q->set;
    if (q->unsynced == start && !created)
        return 0;
    if (!push((void **)&set->unsynced, &set->n_unsynced, &set->cap_unsynced, sizeof set->unsynced[0]))
        return -ENOMEM;
    set->unsynced[set->n_unsynced++] = (struct cq_unsynced){q, start, created};
    q->unsynced = start;
    return 0;
}

/* The units before the first entry of a queue that begins in the middle of a file, as Java writes them. */
static int fill_preblank(const struct cq_set *set, int fd, int64_t bytes)
{
    uint8_t block[204 * CQ_ENTRY_SIZE];
    for (size_t i = 0; i < sizeof block; i += CQ_ENTRY_SIZE)
        cq_put_entry(block + i, CQ_ENTRY_SIZE, &(struct store_entry){.size = CQ_PREBLANK_SIZE});
    for (int64_t at = 0; at < bytes; at += (int64_t)sizeof block) {
        size_t n = bytes - at < (int64_t)sizeof block ? (size_t)(bytes - at) : sizeof block;
        int r = fs_write_all(set->fs, fd, block, n, at);
        if (r)
            return r;
    }
    return 0;
}

int cq_write_entries(struct cq *q, int64_t offset, const uint8_t *data, int64_t n)
{
    struct cq_set *set = q->set;
    int64_t start = cq_file_of(set, offset), at = offset * set->unit - start;
    bool created = false;
    struct cq_file *file;
    int r = cq_file_acquire(q, start, true, true, &file, &created);
    if (r)
        return r;
    r = cq_note_unsynced(q, start, created);
    if (r == 0 && at > 0 && (created || q->first_file < 0))
        r = fill_preblank(set, file->fd, at);
    if (r == 0)
        r = fs_write_all(set->fs, file->fd, data, (size_t)n * (size_t)set->unit, at);
    if (r == 0 && (q->first_file < 0 || q->first_file > start))
        q->first_file = start;
    cq_file_release(set, file);
    return r;
}

static int write_tail(struct cq *q, int64_t end)
{
    if (cq_shared_wants(q, end))
        return cq_shared_write(q, end);
    if (atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0) {
        int r = cq_shared_leave(q);
        if (r)
            return r;
    }
    int64_t at = atomic_load_explicit(&q->persisted, memory_order_relaxed);
    int64_t per_file = q->set->file_size / q->set->unit;
    struct cq_chunk *c = cq_tail_find(q, at);
    while (c && at < end) {
        int64_t n = c->base + c->cap - at;
        if (n > end - at)
            n = end - at;
        if (n > per_file - at % per_file)
            n = per_file - at % per_file;
        int r = cq_write_entries(q, at, c->data + (at - c->base) * q->set->unit, n);
        if (r)
            return r;
        at += n;
        atomic_store_explicit(&q->persisted, at, memory_order_release);
        if (at == c->base + c->cap)
            c = atomic_load_explicit(&c->next, memory_order_acquire);
    }
    return 0;
}

/* The queue takes no more entries for now: its chunks leave memory, which needs the appender out of the way. */
static void drop_idle_tail(struct cq *q, int64_t next)
{
    struct cq_set *set = q->set;
    if (set->append_lock)
        set->append_lock(set->append_arg);
    if (atomic_load_explicit(&q->next, memory_order_relaxed) == next)
        cq_tail_drop(q, TAIL_DROP_ALL);
    if (set->append_unlock)
        set->append_unlock(set->append_arg);
}

static bool watch(struct cq *q)
{
    struct cq_set *set = q->set;
    if (!push((void **)&set->watched, &set->n_watched, &set->cap_watched, sizeof(struct cq *)))
        return false;
    set->watched[set->n_watched++] = q;
    q->watched = true;
    return true;
}

/* The files of a deleted queue, and its topic's folder with the last of them. */
static int purge(struct cq *q)
{
    char path[CQ_PATH_SIZE];
    if (atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0) {
        int r = cq_shared_remove(q);
        if (r)
            return r;
    }
    q->purge = false;
    if (q->first_file < 0)
        return 0;
    if (cq_files_remove(q) == 0 && cq_path(q, -1, path) == 0) {
        *strrchr(path, '/') = '\0';
        (void)q->set->fs->rmdir(q->set->fs, path);
    }
    return 0;
}

/* A deleted queue's files, and those of one that is to leave the shared ones without having got entries. */
static int tidy(struct cq *q)
{
    int r = q->purge ? purge(q) : 0;
    if (r == 0 && q->set->share_from < 0 && atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0)
        r = cq_shared_leave(q);
    return r;
}

/* Where the queue begins in the log, as long as that entry is in memory: retention then need not read it. */
static void note_begin(struct cq *q, int64_t next)
{
    int64_t min = atomic_load_explicit(&q->min, memory_order_relaxed);
    struct store_entry e;
    if (q->min_physical < 0 && min < next && cq_tail_read(q, min, &e, 1, false) == 1 && cq_entry_valid(&e) &&
        !cq_entry_preblank(&e))
        q->min_physical = e.physical_offset;
}

struct round {
    int64_t least;      /* write tails of at least this many entries */
    int64_t waiting;    /* entries left in tails */
    int64_t written_to; /* lowered to the first entry left */
    int error;
    struct cq *failed;
};

/* One queue in one round; false: nothing more to do for it until it is marked dirty again. */
static bool visit(struct cq *q, struct round *round)
{
    if (round->error == 0 && (round->error = tidy(q)) != 0)
        round->failed = q;
    int64_t next = atomic_load_explicit(&q->next, memory_order_acquire);
    int64_t from = atomic_load_explicit(&q->persisted, memory_order_relaxed);
    bool moved = next > from;
    note_begin(q, next);
    if (moved && next - from >= round->least && round->error == 0) {
        round->error = write_tail(q, next);
        if (round->error)
            round->failed = q;
        from = atomic_load_explicit(&q->persisted, memory_order_relaxed);
    }
    if (from < next) {
        struct store_entry e;
        round->waiting += next - from;
        if (cq_tail_read(q, from, &e, 1, false) == 1 && e.physical_offset < round->written_to)
            round->written_to = e.physical_offset;
        q->idle_rounds = 0;
        return true;
    }
    cq_tail_drop(q, TAIL_KEEP_LAST);
    q->idle_rounds = moved ? 0 : (uint8_t)(q->idle_rounds + 1);
    if (q->idle_rounds < IDLE_ROUNDS)
        return true;
    if (atomic_load_explicit(&q->head, memory_order_relaxed))
        drop_idle_tail(q, next);
    return false;
}

/* Looks at all queues that were appended to since the last round or are still watched. A queue marked clean here is
 * watched for some rounds more, so an append that saw the old mark is found in the next round (its log_end lies behind
 * this one). */
static void visit_dirty(struct cq_set *set, struct round *round)
{
    struct cq *q = atomic_exchange_explicit(&set->dirty, NULL, memory_order_acquire);
    while (q) {
        struct cq *next = q->dirty_next;
        atomic_fetch_and(&q->flags, ~(uint32_t)CQ_DIRTY);
        q->idle_rounds = 0;
        if (!q->watched && !watch(q)) {
            round->error = -ENOMEM;
            round->written_to = -1;
            cq_mark_dirty(q);
        }
        q = next;
    }
    size_t kept = 0;
    for (size_t i = 0; i < set->n_watched; i++) {
        q = set->watched[i];
        pthread_mutex_lock(&set->io);
        q->watched = visit(q, round);
        pthread_mutex_unlock(&set->io);
        if (q->watched)
            set->watched[kept++] = q;
    }
    set->n_watched = kept;
    if (kept == 0 && set->cap_watched > 65536) {
        free(set->watched);
        set->watched = NULL;
        set->cap_watched = 0;
    }
}

static int sync_folder(const struct cq_set *set, char *path)
{
    /* A folder that is gone belongs to a queue deleted meanwhile. */
    int r = set->fs->sync_dir(set->fs, path);
    return r == -ENOENT ? 0 : r;
}

/* The names of a new file: its folder, the topic's, and the root of all. */
static int sync_names(const struct cq *q)
{
    char path[CQ_PATH_SIZE];
    int r = cq_path(q, -1, path);
    if (r == 0)
        r = sync_folder(q->set, path);
    if (r)
        return r;
    *strrchr(path, '/') = '\0';
    return sync_folder(q->set, path);
}

static int sync_each(struct cq_set *set, const struct cq_unsynced *list, size_t n, struct cq **failed)
{
    bool created = false;
    for (size_t i = 0; i < n; i++) {
        const struct cq_unsynced *u = &list[i];
        struct cq_file *file;
        *failed = u->q;
        int r = cq_file_acquire(u->q, u->start, true, false, &file, NULL);
        if (r == -ENOENT)
            continue; /* deleted meanwhile */
        if (r)
            return r;
        r = set->fs->datasync(set->fs, file->fd);
        cq_file_release(set, file);
        if (r == 0 && u->created) {
            created = true;
            r = sync_names(u->q);
        }
        if (r)
            return r;
    }
    return created ? sync_folder(set, set->dir) : 0;
}

/* A sync of one new file waits for a commit of the journal; of many files all together wait for one. */
static int sync_many(struct cq_set *set, const struct cq_unsynced *list, size_t n, struct cq **failed)
{
    for (size_t i = 0; i < n && set->anchor_fd < 0; i++) {
        char path[CQ_PATH_SIZE];
        *failed = list[i].q;
        int r = cq_path(list[i].q, list[i].start, path);
        if (r)
            return r;
        set->anchor_fd = set->fs->open(set->fs, path, FS_READ);
        if (set->anchor_fd < 0 && set->anchor_fd != -ENOENT)
            return set->anchor_fd;
    }
    return set->anchor_fd < 0 ? 0 : set->fs->sync_all(set->fs, set->anchor_fd);
}

/* What is written meanwhile is noted anew and waits for the next sync. */
static int sync_files(struct cq_set *set, struct cq **failed)
{
    pthread_mutex_lock(&set->io);
    struct cq_unsynced *list = set->unsynced;
    size_t n = set->n_unsynced;
    set->unsynced = NULL;
    set->n_unsynced = set->cap_unsynced = 0;
    for (size_t i = 0; i < n; i++)
        list[i].q->unsynced = -1;
    pthread_mutex_unlock(&set->io);
    int r = n >= SYNC_ALL_FROM ? sync_many(set, list, n, failed) : sync_each(set, list, n, failed);
    free(list);
    return r;
}

static int sync_round(struct cq_set *set, struct err *err)
{
    struct cq *failed = NULL;
    /* Another sync could succeed only because the kernel has dropped what the first one could not write. */
    int r = set->sync_failed ? -EIO : MUTANT(NO_QUEUE_SYNC) ? 0 : sync_files(set, &failed);
    if (r == 0 && set->blocks) {
        int64_t end;
        pthread_mutex_lock(&set->io);
        int w = cq_shared_sync_begin(set, &end);
        pthread_mutex_unlock(&set->io);
        if (w)
            return err_sys(err, -w, "cannot write the files of small queues beside %s; this is tried again", set->dir);
        r = cq_shared_sync(set, end);
    }
    if (r == 0)
        return 0;
    set->sync_failed = true;
    err_sys(err, -r,
            "cannot sync consume queue %s/%d under %s: what is on the disk is not known any more; check the disk",
            failed ? failed->topic : "?", failed ? failed->id : 0, set->dir);
    return -2;
}

int cq_set_persist(struct cq_set *set, bool sync, int64_t log_end, int64_t *written_to, struct err *err)
{
    pthread_mutex_lock(&set->work);
    struct round round = {.least = sync ? 1 : LEAST_BYTES / set->unit, .written_to = log_end};
    visit_dirty(set, &round);
    int64_t may_wait = WAITING_MAX + (int64_t)atomic_load_explicit(&set->count, memory_order_relaxed) * WAITING_EACH;
    if (!sync && round.error == 0 && round.waiting > may_wait) {
        round = (struct round){.least = 1, .written_to = log_end};
        visit_dirty(set, &round);
    }
    pthread_mutex_lock(&set->io);
    cq_retired_free(set);
    pthread_mutex_unlock(&set->io);
    int result = 0;
    if (round.error)
        result = err_sys(
            err, -round.error,
            "cannot write consume queue %s/%d under %s; its entries stay in memory and are written once this is mended",
            round.failed ? round.failed->topic : "?", round.failed ? round.failed->id : 0, set->dir);
    else if (sync)
        result = sync_round(set, err);
    *written_to = round.written_to;
    pthread_mutex_unlock(&set->work);
    return result;
}

/* ---- the old end
 * ------------------------------------------------------------------------------------------------------ */

/* The entry does not go with what lies before log_min. A damaged one is mended or reported when it is read. */
static bool stays(const struct store_entry *e, int64_t log_min)
{
    return !cq_entry_valid(e) || (e->physical_offset >= log_min && !cq_entry_preblank(e));
}

/* First entry of [lo, hi) that lies at or behind log_min; the entry before hi does. -1 when entries cannot be read. */
static int64_t first_behind(struct cq *q, int64_t lo, int64_t hi, int64_t log_min, int64_t *physical)
{
    struct store_entry e[AT_ONCE];
    hi--;
    while (hi - lo > AT_ONCE) {
        int64_t mid = lo + (hi - lo) / 2, look = mid;
        do { /* blanks in the middle tell nothing: take the next entry that does */
            if (cq_peek(q, look, e, 1) != 1)
                return -1;
        } while (cq_entry_preblank(e) && ++look < hi);
        if (stays(e, log_min))
            hi = mid;
        else
            lo = look + 1 < hi ? look + 1 : hi;
    }
    while (lo < hi) {
        int n = cq_peek(q, lo, e, (int)(hi - lo));
        if (n <= 0)
            return -1;
        for (int i = 0; i < n; i++, lo++) {
            if (!stays(&e[i], log_min))
                continue;
            *physical = e[i].physical_offset;
            return lo;
        }
    }
    do {
        if (cq_peek(q, lo, e, 1) != 1)
            return -1;
    } while (cq_entry_preblank(e) && ++lo < atomic_load_explicit(&q->next, memory_order_relaxed));
    *physical = e->physical_offset;
    return lo;
}

static void raise_min(struct cq *q, int64_t log_min)
{
    int64_t next = atomic_load_explicit(&q->next, memory_order_acquire);
    int64_t min = atomic_load_explicit(&q->min, memory_order_relaxed);
    if (min >= next || q->min_physical >= log_min)
        return;
    int64_t physical = -1, first = next;
    if (atomic_load_explicit(&q->last_end, memory_order_relaxed) > log_min) {
        first = first_behind(q, min, next, log_min, &physical);
        if (first < 0)
            return;
    }
    q->min_physical = physical;
    atomic_store_explicit(&q->min, first, memory_order_release);
    cq_batch_min(q);
}

/* Files that end at or before min; the one with the newest entry stays. */
static int64_t delete_files(struct cq *q)
{
    struct cq_set *set = q->set;
    int64_t persisted = atomic_load_explicit(&q->persisted, memory_order_relaxed);
    if (q->first_file < 0 || persisted == 0)
        return 0;
    int64_t keep = cq_file_of(set, persisted - 1);
    int64_t min_file = cq_file_of(set, atomic_load_explicit(&q->min, memory_order_relaxed));
    if (min_file < keep)
        keep = min_file;
    int64_t deleted = 0;
    while (q->first_file < keep) {
        char path[CQ_PATH_SIZE];
        cq_file_forget(q, q->first_file);
        int r = cq_path(q, q->first_file, path);
        if (r == 0)
            r = set->fs->unlink(set->fs, path);
        if (r && r != -ENOENT) {
            LOG_LIMITED(LOG_WARN, "store", "cannot delete the expired consume queue file %s: %s; tried again later",
                        path, strerror(-r));
            break;
        }
        deleted += r == 0;
        q->first_file += set->file_size;
    }
    return deleted;
}

struct front {
    int64_t log_min;
    int64_t deleted;
};

static void truncate_front(void *arg, struct cq *q)
{
    struct front *f = arg;
    pthread_mutex_lock(&q->set->io);
    raise_min(q, f->log_min);
    f->deleted += delete_files(q);
    pthread_mutex_unlock(&q->set->io);
}

int64_t cq_set_truncate_front(struct cq_set *set, int64_t log_min)
{
    pthread_mutex_lock(&set->work);
    struct front f = {.log_min = log_min};
    if (log_min > set->front) {
        cq_set_each(set, truncate_front, &f);
        set->front = log_min;
    }
    pthread_mutex_unlock(&set->work);
    return f.deleted;
}
