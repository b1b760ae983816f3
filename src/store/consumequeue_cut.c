/* Cutting the new end of the queues: entries of a part of the log that is gone. */
#include "store/consumequeue_int.h"
#include "store/mutant.h"

#include <errno.h>

struct cut {
    int64_t physical_end;
    int error;
    struct cq *failed;
};

static void truncate_queue(void *arg, struct cq *q)
{
    struct cut *cut = arg;
    struct cq_set *set = q->set;
    if (cut->error || atomic_load_explicit(&q->last_end, memory_order_relaxed) <= cut->physical_end)
        return;
    int64_t min = atomic_load_explicit(&q->min, memory_order_relaxed);
    int64_t lo = min, hi = atomic_load_explicit(&q->next, memory_order_relaxed);
    int64_t persisted = atomic_load_explicit(&q->persisted, memory_order_relaxed), last_end = 0;
    while (lo < hi) {
        struct store_entry e;
        int64_t mid = lo + (hi - lo) / 2, at = mid;
        int r = cq_peek(q, at, &e, 1);
        /* A damaged entry says nothing about where it stands; the next good one does. */
        while (r == 1 && !cq_entry_valid(&e) && at + 1 < hi)
            r = cq_peek(q, ++at, &e, 1);
        if (r != 1) {
            cut->error = r < 0 ? r : -ENODATA;
            cut->failed = q;
            return;
        }
        if (!cq_entry_valid(&e) ||
            (!cq_entry_preblank(&e) &&
             e.physical_offset + (MUTANT(QUEUES_CUT_TOO_LATE) ? 0 : e.size) > cut->physical_end)) {
            hi = mid;
        } else {
            lo = at + 1;
            last_end = cq_entry_preblank(&e) ? last_end : e.physical_offset + e.size;
        }
    }
    cq_tail_cut(q, lo);
    if (lo < persisted && atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0) {
        int r = cq_shared_cut(q, lo);
        if (r) {
            cut->error = r;
            cut->failed = q;
            return;
        }
        atomic_store_explicit(&q->persisted, lo, memory_order_relaxed);
    } else if (lo < persisted) {
        /* The file with the last entry stays, and the first file in any case: it remembers where the queue stands. */
        int64_t file = lo > 0 ? cq_file_of(set, lo - 1) : 0;
        if (file < q->first_file)
            file = q->first_file;
        int r = 0;
        if (lo * set->unit - file < set->file_size)
            r = cq_file_zero_from(q, lo * set->unit);
        for (int64_t f = cq_file_of(set, persisted - 1); f > file && f >= q->first_file && r == 0; f -= set->file_size)
            r = cq_file_remove(q, f);
        if (r == 0)
            r = cq_note_unsynced(q, file, true);
        if (r) {
            cut->error = r;
            cut->failed = q;
            return;
        }
        atomic_store_explicit(&q->persisted, lo, memory_order_relaxed);
    }
    atomic_store_explicit(&q->last_end, last_end, memory_order_relaxed);
    atomic_store_explicit(&q->next, lo, memory_order_relaxed);
    atomic_store(&q->max, lo);
    if (lo < q->from_disk)
        q->from_disk = lo;
    if (lo == min)
        q->min_physical = -1;
    int r = cq_batch_refresh(q);
    if (r) {
        cut->error = r;
        cut->failed = q;
    }
}

int cq_set_truncate(struct cq_set *set, int64_t physical_end, struct err *err)
{
    pthread_mutex_lock(&set->io);
    struct cut cut = {.physical_end = physical_end};
    cq_set_each(set, truncate_queue, &cut);
    cq_retired_free(set);
    pthread_mutex_unlock(&set->io);
    if (cut.error)
        return err_sys(err, -cut.error, "cannot truncate consume queue %s/%d under %s to the end of the log",
                       cut.failed->topic, cut.failed->id, set->dir);
    return 0;
}
