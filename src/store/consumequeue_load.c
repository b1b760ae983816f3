/*
 * Finding the queues on disk and where each ends. Java reads every unit from the third-last file on; here a queue is
 * searched (valid units are a prefix of its files), and only the units behind what is known to be durable are read one
 * by one.
 */
#include "store/consumequeue.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/thread.h"
#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES_BACK = 3, /* Java's recovery begins at the third-last file */
    SCAN_UNITS = 204,
    BLOCK = 4096,
    PARALLEL_FROM = 256, /* topics */
    LOADERS = 4,
    LOOK_BACK = 2, /* entries in front of the first that is not known to be durable */
};

/* ---- the files of one queue
 * ------------------------------------------------------------------------------------------ */

struct file_list {
    int64_t *starts;
    size_t n, cap;
    bool no_memory;
};

static bool parse_name(const char *name, int64_t *start)
{
    return strlen(name) == CQ_NAME_DIGITS && strspn(name, "0123456789") == CQ_NAME_DIGITS &&
           str_to_i64(str_from(name), start);
}

static int add_file(void *arg, const char *name, bool is_dir)
{
    struct file_list *l = arg;
    int64_t start;
    if (is_dir || !parse_name(name, &start))
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        int64_t *p = realloc(l->starts, cap * sizeof *p);
        if (p == NULL) {
            l->no_memory = true;
            return -ENOMEM;
        }
        l->starts = p;
        l->cap = cap;
    }
    l->starts[l->n++] = start;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t units_of(const struct cq_set *set)
{
    return set->file_size / set->unit;
}

/* The recovery of one queue, with the page of units read last: a small queue is read once. */
struct reader {
    struct cq *q;
    int64_t from; /* first unit in page */
    int n;
    struct store_entry page[SCAN_UNITS];
    int64_t allocated; /* bytes of the last file that are really on the device */
};

/* Up to n units, at least one, all of one page. While recovering, everything on disk counts as written. */
static int read_units(struct reader *in, int64_t offset, struct store_entry *out, int n)
{
    if (offset < in->from || offset >= in->from + in->n) {
        int64_t file = offset - offset % units_of(in->q->set), left = file + units_of(in->q->set);
        in->from = offset - (offset - file) % SCAN_UNITS;
        left -= in->from;
        int r = cq_file_read(in->q, in->from, in->page, left < SCAN_UNITS ? (int)left : SCAN_UNITS, true);
        in->n = r > 0 ? r : 0;
        if (r < 0 || offset >= in->from + in->n)
            return r < 0 ? r : -ENODATA;
    }
    int have = (int)(in->from + in->n - offset);
    if (n > have)
        n = have;
    memcpy(out, in->page + (offset - in->from), (size_t)n * sizeof *out);
    return n;
}

static int fail_read(const struct cq *q, int error, struct err *err)
{
    return err_sys(err, -error, "cannot read consume queue %s/%d under %s", q->topic, q->id, q->set->dir);
}

/* 1: the file has its full size, 0: it is empty (was just being made when the machine stopped). */
static int check_size(struct reader *in, int64_t start, struct err *err)
{
    struct cq *q = in->q;
    struct cq_file *file;
    struct fs_stat st;
    int r = cq_file_acquire(q, start, true, false, &file, NULL);
    if (r)
        return fail_read(q, r, err);
    r = q->set->fs->fstat(q->set->fs, file->fd, &st);
    cq_file_release(q->set, file);
    if (r)
        return fail_read(q, r, err);
    in->allocated = st.blocks_bytes;
    if (st.size == q->set->file_size && start % q->set->file_size == 0)
        return 1;
    if (st.size == 0)
        return 0;
    return err_set(err, EINVAL,
                   "consume queue file %s/%s/%d/%020lld has %lld bytes where mappedFileSizeConsumeQueue says %lld: set "
                   "that key to "
                   "what the store was written with, or remove the consumequeue folder to have it rebuilt",
                   q->set->dir, q->topic, q->id, (long long)start, (long long)st.size, (long long)q->set->file_size);
}

/* Removes the file at index i and all behind it. */
static int remove_from(struct reader *in, struct file_list *l, size_t i, struct err *err)
{
    struct cq *q = in->q;
    in->n = 0; /* the page at hand may be of one of them */
    while (l->n > i) {
        int r = cq_file_remove(q, l->starts[--l->n]);
        if (r)
            return err_sys(err, -r, "cannot delete a file of consume queue %s/%d under %s", q->topic, q->id,
                           q->set->dir);
    }
    return 0;
}

/* The file begins with an entry known to be durable: then those before it are, and were made whole. But a queue that
 * was leaving the shared files writes entries of long ago into files that are not durable yet. */
static bool vouches(struct reader *in, int64_t start)
{
    int64_t trusted = in->q->set->trusted_end;
    struct store_entry e;
    return trusted >= 0 && !in->q->set->shared_damaged && read_units(in, start / in->q->set->unit, &e, 1) == 1 &&
           cq_entry_valid(&e) && !cq_entry_preblank(&e) && e.physical_offset + e.size <= trusted;
}

/* An empty file was not synced, so nothing in it or behind it was ever counted on. After a clean stop only the last can
 * be one, after a crash those behind what is durable: however many files there are, few are looked at. */
static int check_sizes(struct reader *in, struct file_list *l, struct err *err)
{
    bool clean = in->q->set->trusted_end == INT64_MAX, enough = false;
    for (size_t i = l->n; i > 0 && !enough; i--) {
        int r = check_size(in, l->starts[i - 1], err);
        if (r < 0 || (r == 0 && remove_from(in, l, i - 1, err)))
            return -1;
        enough = clean || (r == 1 && vouches(in, l->starts[i - 1]));
    }
    return 0;
}

/* Keeps the unbroken run of files at the new end; what lies before a hole cannot be reached by queue offset. */
static void keep_unbroken(struct cq *q, struct file_list *l)
{
    size_t first = l->n;
    while (first > 0 && (first == l->n || l->starts[first] - l->starts[first - 1] == q->set->file_size))
        first--;
    if (first > 0)
        LOG(LOG_WARN, "store", "consume queue %s/%d: a file before %020lld is missing, the queue begins there now",
            q->topic, q->id, (long long)l->starts[first]);
    l->n -= first;
    memmove(l->starts, l->starts + first, l->n * sizeof l->starts[0]);
}

/* First invalid unit of the file that begins with unit `lo` (which is valid), or the file's end. */
static int find_end(struct reader *in, int64_t lo, int64_t *end)
{
    struct store_entry page[SCAN_UNITS];
    int64_t hi = lo + units_of(in->q->set);
    int r = read_units(in, lo, page, hi - lo < SCAN_UNITS ? (int)(hi - lo) : SCAN_UNITS);
    if (r < 0)
        return r;
    for (int i = 1; i < r; i++) {
        if (!cq_entry_valid(&page[i])) {
            *end = lo + i;
            return 0;
        }
    }
    lo += r - 1;
    struct store_entry e;
    if (lo + 1 < hi) {
        if ((r = read_units(in, hi - 1, &e, 1)) < 0)
            return r;
        if (cq_entry_valid(&e))
            lo = hi - 1;
    }
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if ((r = read_units(in, mid, &e, 1)) < 0)
            return r;
        if (cq_entry_valid(&e))
            lo = mid;
        else
            hi = mid;
    }
    *end = hi;
    return 0;
}

/* Reads the units of [from, *end) one by one and lowers *end to the first that is no entry or does not follow the one
 * before it in the log: pages in the middle can be lost by a power failure, and stale units can stand behind a
 * truncation. */
static int verify(struct reader *in, int64_t from, int64_t *end)
{
    struct store_entry page[SCAN_UNITS];
    int64_t log_end = 0, next = 0;
    while (from < *end) {
        int r = read_units(in, from, page, *end - from < SCAN_UNITS ? (int)(*end - from) : SCAN_UNITS);
        if (r < 0)
            return r;
        for (int i = 0; i < r; i++) {
            struct store_entry *e = &page[i];
            bool blank = cq_entry_preblank(e);
            if (!cq_entry_valid(e) || (blank && cq_is_batch(in->q))) { /* a batch queue has none */
                *end = from + i;
                return 1;
            }
            if (!blank && (e->physical_offset < log_end || e->queue_offset < next)) {
                *end = from + i - 1; /* one of the two is wrong */
                return 1;
            }
            if (!blank)
                log_end = e->physical_offset + e->size;
            next = e->queue_offset + e->messages;
        }
        from += r;
    }
    return 0;
}

/* First unit of [lo, hi) that is not known to be durable. */
static int first_untrusted(struct reader *in, int64_t lo, int64_t hi, int64_t *first)
{
    const int64_t from = lo;
    int64_t trusted = in->q->set->trusted_end;
    if (trusted == INT64_MAX)
        lo = hi;
    while (lo < hi && trusted >= 0) {
        int64_t mid = lo + (hi - lo) / 2;
        struct store_entry e;
        int r = read_units(in, mid, &e, 1);
        if (r < 0)
            return r;
        if (!cq_entry_valid(&e) || (!cq_entry_preblank(&e) && e.physical_offset + e.size > trusted))
            hi = mid;
        else
            lo = mid + 1;
    }
    /* Half of an entry over the border of two pages can be lost: what is left of a log offset may be one that looks
     * durable, but it is not behind that of the entry before. */
    bool looks_back = trusted != INT64_MAX && trusted >= 0;
    *first = looks_back ? lo - LOOK_BACK > from ? lo - LOOK_BACK : from : lo;
    return 0;
}

/* The first entry that is no blank, and the physical end of the last one. */
static int find_bounds(struct reader *in, int64_t first, int64_t end, int64_t *min)
{
    struct store_entry e = {0};
    int64_t lo = first, hi = end;
    int r = lo < hi ? read_units(in, lo, &e, 1) : 0;
    if (r < 0)
        return r;
    if (lo < hi && cq_entry_preblank(&e)) {
        while (lo < hi) {
            int64_t mid = lo + (hi - lo) / 2;
            if ((r = read_units(in, mid, &e, 1)) < 0)
                return r;
            if (cq_entry_preblank(&e))
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo < end && (r = read_units(in, lo, &e, 1)) < 0)
            return r;
    }
    *min = lo;
    if (lo == end)
        return 0;
    /* An entry in front of the trusted end is taken as it is: whoever reads it looks whether it is damaged. */
    if (cq_entry_valid(&e))
        in->q->min_physical = e.physical_offset;
    if ((r = read_units(in, end - 1, &e, 1)) < 0)
        return r;
    if (cq_entry_valid(&e) && !cq_entry_preblank(&e))
        atomic_store_explicit(&in->q->last_end, e.physical_offset + e.size, memory_order_relaxed);
    return 0;
}

/* What was cut off must not come back: the next sync, without which nothing newer is trusted, makes the cut durable.
 * After a crash for every queue: a broker that has died since may have cut it, which can be seen but is not durable. */
static int note_cut(struct cq *q, int64_t file)
{
    pthread_mutex_lock(&q->set->io);
    int r = cq_note_unsynced(q, file, true);
    pthread_mutex_unlock(&q->set->io);
    return r;
}

/* 1 when the rest of the last file behind `end` is not all zero: after a power failure a page in the middle can be
 * missing, and what stands behind it would become part of the queue again once the gap is filled. */
static int has_leftovers(struct reader *in, int64_t keep, int64_t end, bool only_file)
{
    struct cq *q = in->q;
    struct cq_file *file;
    int64_t per_file = units_of(q->set), last = keep / q->set->unit + per_file;
    if (q->set->trusted_end == INT64_MAX)
        return 0;
    /* The units of the page at hand, then the rest by asking the file system for data. */
    struct store_entry e;
    for (; end < last && end >= in->from && end < in->from + in->n; end++)
        if (read_units(in, end, &e, 1) != 1 || e.physical_offset || e.size || e.tags_code)
            return 1;
    int64_t at = end * q->set->unit - keep;
    /* A file that occupies just the blocks of its entries has nothing behind them; most queues are small. */
    if (at >= q->set->file_size || (only_file && in->allocated == (at + BLOCK - 1) / BLOCK * BLOCK))
        return 0;
    int r = cq_file_acquire(q, keep, true, false, &file, NULL);
    if (r)
        return r;
    r = fs_all_zero(q->set->fs, file->fd, at, q->set->file_size);
    cq_file_release(q->set, file);
    return r < 0 ? r : !r;
}

/* The unit is not an unused one. */
static int is_used(struct reader *in, int64_t unit)
{
    struct store_entry e;
    int r = read_units(in, unit, &e, 1);
    return r < 0 ? r : e.physical_offset || e.size || e.tags_code;
}

/* Where the log goes on behind the entry's message; INT64_MAX: there can be no such message. */
static int64_t end_of(const struct store_entry *e)
{
    if (cq_entry_preblank(e))
        return 0;
    return cq_entry_valid(e) ? e->physical_offset + e->size : INT64_MAX;
}

/* Lowers *end below a last entry that cannot be: before the end of the one in front of it, or behind the end of the
 * log. 1 when it was lowered. */
static int drop_impossible(struct reader *in, int64_t first, int64_t *end)
{
    int64_t log_end = in->q->set->entered_end, before = *end;
    for (; *end > first; --*end) {
        struct store_entry last, e;
        int64_t from = 0, next = 0;
        int r = read_units(in, *end - 1, &last, 1);
        if (r > 0 && *end - 1 > first && (r = read_units(in, *end - 2, &e, 1)) > 0) {
            from = end_of(&e);
            next = cq_entry_valid(&e) ? e.queue_offset + e.messages : 0;
        }
        if (r < 0)
            return r;
        if (cq_entry_preblank(&last) || (cq_entry_valid(&last) && last.physical_offset >= from &&
                                         (log_end < 0 || end_of(&last) <= log_end) && last.queue_offset >= next))
            break;
        /* Which of the two is wrong? The one that does not fit the log; otherwise both are built anew. */
        if (log_end >= 0 && from > log_end)
            --*end;
    }
    return *end < before;
}

/* What was cut off a damaged queue is in the log. */
static void want_rebuild(struct cq *q, int64_t end)
{
    struct cq_set *set = q->set;
    int64_t from = cq_last_end(q), lowest = atomic_load(&set->rebuild_from);
    LOG(LOG_WARN, "store", "consume queue %s/%d is damaged at entry %lld; building it anew from there", q->topic, q->id,
        (long long)end);
    while (from < lowest && !atomic_compare_exchange_weak(&set->rebuild_from, &lowest, from))
        continue;
}

static int recover_files(struct reader *in, struct file_list *l, int64_t *min, int64_t *end)
{
    struct cq *q = in->q;
    const int64_t units = units_of(q->set), first = l->starts[0] / q->set->unit;
    struct store_entry e;
    size_t n = l->n;
    bool damaged = false;
    *min = *end = first;
    /* Files behind the last one with an entry hold nothing. */
    for (; n > 0; n--) {
        int r = read_units(in, l->starts[n - 1] / q->set->unit, &e, 1);
        if (r < 0)
            return r;
        if (cq_entry_valid(&e))
            break;
        damaged |= e.physical_offset || e.size || e.tags_code;
    }
    int r = 0;
    if (n > 0) {
        r = find_end(in, l->starts[n - 1] / q->set->unit, end);
        /* Without a mark Java's rule; with one more files than that may have been written since. */
        bool back = n > FILES_BACK && q->set->trusted_end < 0;
        int64_t from = first + (back ? (int64_t)(n - FILES_BACK) * units : 0);
        if (r == 0)
            r = first_untrusted(in, from, *end, &from);
        if (r == 0 && *end * q->set->unit < l->starts[n - 1] + q->set->file_size) {
            r = is_used(in, *end);
            damaged |= r > 0;
        }
        if (r >= 0) {
            r = drop_impossible(in, first, end);
            damaged |= r > 0;
        }
        if (r >= 0)
            r = verify(in, from, end);
        if (r > 0) {
            int worse = is_used(in, *end);
            damaged |= worse > 0;
            r = worse < 0 ? worse : r;
        }
    }
    /* Later files go; the rest of the last one must be empty, or the next recovery would take it for entries. */
    int64_t keep = *end > first ? cq_file_of(q->set, *end - 1) : l->starts[0];
    bool cut = damaged || r > 0 || l->starts[l->n - 1] > keep;
    if (r == 0)
        r = has_leftovers(in, keep, *end, l->n == 1);
    cut |= r > 0;
    for (; r >= 0 && l->n > 0 && l->starts[l->n - 1] > keep; l->n--)
        r = cq_file_remove(q, l->starts[l->n - 1]);
    if (r >= 0 && cut && *end * q->set->unit - keep < q->set->file_size)
        r = cq_file_zero_from(q, *end * q->set->unit);
    if (r >= 0 && cut)
        in->n = 0; /* the page at hand may show what was just wiped */
    if (r >= 0 && (cut || q->set->trusted_end != INT64_MAX))
        r = note_cut(q, keep);
    if (r >= 0)
        r = find_bounds(in, first, *end, min);
    if (r == 0 && damaged)
        want_rebuild(q, *end);
    return r;
}

int cq_set_bounds(struct cq *q, int64_t min, int64_t end)
{
    atomic_store_explicit(&q->min, min, memory_order_relaxed);
    atomic_store_explicit(&q->persisted, end, memory_order_relaxed);
    atomic_store_explicit(&q->next, end, memory_order_relaxed);
    atomic_store(&q->max, end);
    q->from_disk = end;
    return cq_batch_refresh(q);
}

/* A queue that has a folder although it stands among the shared ones was about to leave these when the machine stopped:
 * the folder goes. Where they are damaged it may have left them. False: the files do not count. */
static bool take_files(struct cq *q)
{
    bool files = true;
    pthread_mutex_lock(&q->set->io);
    if (atomic_load_explicit(&q->shared, memory_order_relaxed) >= 0) {
        files = q->set->shared_damaged;
        q->stale_files = !files;
        if (files) {
            cq_shared_forget(q);
            atomic_store_explicit(&q->last_end, 0, memory_order_relaxed);
            (void)cq_set_bounds(q, 0, 0);
        }
    }
    pthread_mutex_unlock(&q->set->io);
    return files;
}

struct stale {
    int result;
    struct err *err;
};

/* When no folder is being listed any more. */
static void remove_stale(void *arg, struct cq *q)
{
    struct stale *s = arg;
    int r = q->stale_files && s->result == 0 ? cq_files_remove(q) : 0;
    if (r)
        s->result = err_sys(s->err, -r, "cannot remove the folder of consume queue %s/%d under %s", q->topic, q->id,
                            q->set->dir);
    q->stale_files = false;
}

static int load_queue(struct cq *q, struct err *err)
{
    struct cq_set *set = q->set;
    char path[CQ_PATH_SIZE];
    struct file_list l = {0};
    int r = cq_path(q, -1, path);
    if (r == 0)
        r = set->fs->list(set->fs, path, add_file, &l);
    if (r) {
        free(l.starts);
        return err_sys(err, -r, "cannot list the consume queue folder %s/%s/%d", set->dir, q->topic, q->id);
    }
    if (l.n)
        qsort(l.starts, l.n, sizeof l.starts[0], by_number);
    int64_t min = 0, end = 0;
    struct reader in = {.q = q};
    if (r == 0 && !take_files(q)) {
        free(l.starts);
        return 0;
    }
    atomic_store_explicit(&q->persisted, l.n > 0 ? INT64_MAX : 0, memory_order_relaxed);
    r = check_sizes(&in, &l, err);
    if (r == 0 && l.n == 0)
        atomic_store_explicit(&q->persisted, 0, memory_order_relaxed);
    if (r == 0 && l.n > 0) {
        keep_unbroken(q, &l);
        q->first_file = l.starts[0];
        r = recover_files(&in, &l, &min, &end);
        if (r == 0)
            r = cq_set_bounds(q, min, end);
        if (r)
            r = err_sys(err, -r,
                        "cannot recover consume queue %s/%d under %s; if the disk is sound, remove its folder to have "
                        "it rebuilt",
                        q->topic, q->id, set->dir);
    }
    for (size_t i = 0; i < l.n; i++)
        cq_file_forget(q, l.starts[i]);
    free(l.starts);
    return r;
}

/* ---- all queues
 * ------------------------------------------------------------------------------------------------------- */

struct loader {
    struct cq_set *set;
    char **topics;
    size_t n_topics;
    _Atomic size_t *taken;
    _Atomic bool *stop;
    int result;
    struct err err;
    const char *topic; /* the one being listed */
};

static int add_queue(void *arg, const char *name, bool is_dir)
{
    struct loader *l = arg;
    int32_t id;
    if (!is_dir || !str_to_i32(str_from(name), &id))
        return 0;
    char again[16];
    snprintf(again, sizeof again, "%d", id);
    if (strcmp(again, name) != 0)
        return 0; /* "007" is not a folder this store would find again */
    struct cq *q = cq_get(l->set, str_from(l->topic), id, true);
    if (q == NULL) {
        if (strlen(l->topic) > CQ_TOPIC_MAX)
            return 0;
        return err_set(&l->err, ENOMEM, "out of memory while loading the consume queues of %s", l->set->dir);
    }
    return load_queue(q, &l->err);
}

static void load_topics(void *arg)
{
    struct loader *l = arg;
    size_t i;
    while (l->result == 0 && !atomic_load(l->stop) && (i = atomic_fetch_add(l->taken, 1)) < l->n_topics) {
        char path[CQ_PATH_SIZE];
        l->topic = l->topics[i];
        int n = snprintf(path, sizeof path, "%s/%s", l->set->dir, l->topic);
        l->result = n < (int)sizeof path ? l->set->fs->list(l->set->fs, path, add_queue, l) : -ENAMETOOLONG;
        if (l->result && l->err.code == 0)
            err_sys(&l->err, -l->result, "cannot list the consume queue folder %s", path);
    }
    if (l->result)
        atomic_store(l->stop, true);
}

int cq_set_load(struct cq_set *set, struct err *err)
{
    int64_t began = clock_mono_ms();
    char **topics = NULL;
    size_t n_topics = 0;
    if (cq_shared_load(set, err))
        return -1;
    int r = fs_list_sorted(set->fs, set->dir, true, &topics, &n_topics);
    if (r == -ENOENT) {
        cq_shared_end(set);
        cq_tables_free_older(set);
        return 0;
    }
    if (r)
        return err_sys(err, -r, "cannot list the consume queue folder %s", set->dir);
    _Atomic size_t taken = 0;
    _Atomic bool stop = false;
    struct loader loaders[LOADERS];
    struct thread threads[LOADERS];
    size_t n_loaders = n_topics >= PARALLEL_FROM ? LOADERS : 1, started = 0;
    for (size_t i = 0; i < n_loaders; i++)
        loaders[i] =
            (struct loader){.set = set, .topics = topics, .n_topics = n_topics, .taken = &taken, .stop = &stop};
    /* The first runs here; a thread that cannot be started only makes it slower. */
    for (size_t i = 1; i < n_loaders; i++, started++)
        if (thread_start(&threads[i], "cq-load", load_topics, &loaders[i]))
            break;
    load_topics(&loaders[0]);
    for (size_t i = 1; i <= started; i++)
        thread_join(&threads[i]);
    for (size_t i = 0; i <= started && r == 0; i++) {
        r = loaders[i].result ? -1 : 0;
        if (r && err)
            *err = loaders[i].err;
    }
    fs_names_free(topics, n_topics);
    if (r == 0) {
        struct stale stale = {.err = err};
        cq_set_each(set, remove_stale, &stale);
        r = stale.result;
    }
    cq_shared_end(set);
    cq_tables_free_older(set);
    if (r == 0)
        LOG(LOG_INFO, "store", "loaded %zu consume queues of %zu topics in %lld ms", set->count, n_topics,
            (long long)(clock_mono_ms() - began));
    return r;
}
