/* Reading, starting and cleaning with a backlog that no disk here holds, beside a small store. */
#include "backlog.h"

#include "base/bytes.h"
#include "store/store_int.h"

enum {
    PROBES = 1000,
    WIDE = 10,    /* queries by key over all of the index */
    HEAD = 204,   /* units of a queue file that a start reads together */
    NEAR = 128,   /* entries that cleaning reads together */
    CLEANED = 10, /* commit log files removed */
    AROUND_MS = 60000,
    SMALL = 300000,
};

struct probe {
    int64_t queue, position, g;
};

struct probes {
    struct backlog w;
    struct probe list[PROBES];
};

/* ---- where will be looked
 * --------------------------------------------------------------------------------------------- */

/* The positions that a search for the first entry of [lo, hi) behind `target` looks at, as all searches of the store go
 * about it; stops with `rest` entries left. */
static void want_search(struct backlog *w, int64_t queue, int64_t lo, int64_t hi, int64_t target, int64_t rest)
{
    while (hi - lo > rest) {
        int64_t mid = lo + (hi - lo) / 2;
        backlog_want(w, queue, mid);
        if (mid < target)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (int64_t p = lo; p <= hi; p++)
        backlog_want(w, queue, p);
}

/* What the start and the cleaning read. */
static void want_queue(struct backlog *w, int64_t queue)
{
    int64_t last = w->each - w->a_file;
    backlog_want(w, queue, 0);
    for (int64_t p = 0; p < HEAD; p++)
        backlog_want(w, queue, last + p);
    backlog_want(w, queue, w->each - 2);
    backlog_want(w, queue, w->each - 1);
    want_search(w, queue, 0, w->each, w->each, 0);
    int64_t gone = CLEANED * w->a_segment;
    if (gone < backlog_total(w))
        want_search(w, queue, 0, w->each - 1, (gone - queue + w->queues - 1) / w->queues, NEAR);
}

static void choose(struct probes *p)
{
    struct backlog *w = &p->w;
    uint64_t random = 7;
    for (int i = 0; i < PROBES; i++) {
        struct probe *o = &p->list[i];
        o->queue = (int64_t)(next_random(&random) % (uint64_t)w->queues);
        o->position = (int64_t)(next_random(&random) % (uint64_t)w->each);
        o->g = o->position * w->queues + o->queue;
        if (o->g % w->an_index % 2 && w->queues == 1) { /* keys at even places, the rest of chains at odd ones */
            o->position--;
            o->g--;
        }
        backlog_want(w, o->queue, o->position);
        backlog_want(w, o->queue, o->position + 1); /* a read may look at what comes next */
    }
}

/* The first position of the queue stored at or behind the time. */
static int64_t first_at(const struct backlog *w, int64_t queue, int64_t time)
{
    int64_t g = (time - backlog_time(w, 0)) * w->per_ms;
    return g <= queue ? 0 : (g - queue + w->queues - 1) / w->queues;
}

static void make(struct probes *p, struct bench *b, int64_t queues, int64_t each)
{
    struct backlog *w = &p->w;
    backlog_make(w, b, queues, each);
    for (int64_t k = 0; k < queues; k++)
        want_queue(w, k);
    choose(p);
    for (int i = 0; i < PROBES; i++) {
        struct probe *o = &p->list[i];
        want_search(w, o->queue, 0, w->each, first_at(w, o->queue, backlog_time(w, o->g)), 0);
    }
    backlog_want(w, 0, 0);
    backlog_write(w);
    for (int i = 0; i < WIDE; i++)
        for (int64_t k = 0; k < backlog_index_files(w); k++)
            backlog_write_key(w, p->list[i].g, k);
    for (int i = 0; i < PROBES; i++) {
        backlog_write_key(w, p->list[i].g, p->list[i].g / w->an_index);
        backlog_write_summaries(w, p->list[i].g);
    }
}

/* ---- looking
 * ---------------------------------------------------------------------------------------------------------- */

static bool by_offset(struct backlog *w, struct cq *q, const struct probe *o)
{
    struct get_result r;
    store_get(w->b->s, q, o->position, 1, 1 << 20, NULL, NULL, true, &r);
    bool right = r.status == GET_FOUND && r.n_ranges == 1 &&
                 (int64_t)get_be64(r.ranges[0].map + MSG_POS_QUEUE_OFFSET) == o->position;
    store_release(w->b->s, &r);
    return right;
}

static bool by_time(struct backlog *w, struct cq *q, const struct probe *o)
{
    int64_t time = backlog_time(w, o->g);
    return store_offset_by_time(w->b->s, q, time, false) == first_at(w, o->queue, time);
}

static bool by_key(struct backlog *w, const struct probe *o, int64_t begin, int64_t end)
{
    char key[BACKLOG_KEY];
    int64_t offsets[64], time, offset;
    struct buf record = {0};
    struct msg_view view;
    bool right = false;
    backlog_key(o->g, key);
    size_t n = store_query(w->b->s, STR_LIT(BACKLOG_TOPIC), str_from(key), begin, end, offsets, 64, &time, &offset);
    for (size_t i = 0; i < n && !right; i++)
        right = offsets[i] == backlog_physical(w, o->g) && store_read(w->b->s, offsets[i], &record, &view);
    buf_free(&record);
    return right;
}

static bool by_key_and_time(struct backlog *w, struct cq *q, const struct probe *o)
{
    int64_t time = backlog_time(w, o->g);
    return by_key(w, o, time - AROUND_MS, time + AROUND_MS);
}

static bool by_key_alone(struct backlog *w, struct cq *q, const struct probe *o)
{
    return by_key(w, o, 0, INT64_MAX);
}

static void report(struct probes *p, const char *what, int n,
                   bool (*look)(struct backlog *w, struct cq *q, const struct probe *o))
{
    static struct hist h;
    struct backlog *w = &p->w;
    int wrong = 0;
    hist_init(&h);
    struct fs_calls from = calls_so_far();
    for (int i = 0; i < n; i++) {
        const struct probe *o = &p->list[i];
        struct cq *q = store_queue(w->b->s, STR_LIT(BACKLOG_TOPIC), (int32_t)o->queue, false);
        if (q == NULL)
            die("a queue is missing");
        int64_t began = clock_mono_ns();
        wrong += !look(w, q, o);
        hist_record(&h, (uint64_t)(clock_mono_ns() - began));
    }
    struct fs_calls to = calls_so_far();
    printf("  %-30s %5d probes, p50 %9.1f us, p99 %9.1f us, files opened %7.1f, reads %7.1f a probe\n", what, n,
           (double)hist_percentile(&h, 50) / 1e3, (double)hist_percentile(&h, 99) / 1e3,
           (double)(to.opens - from.opens) / n, (double)(to.reads - from.reads) / n);
    fflush(stdout);
    if (wrong) {
        fprintf(stderr, "%d of %d answers are wrong\n", wrong, n);
        exit(1);
    }
}

static void report_open(struct bench *b, const char *what)
{
    struct fs_calls from = calls_so_far();
    int64_t anonymous = status_kib("RssAnon:"), began = clock_mono_ns();
    open_store(b, false);
    double ms = ms_since(began);
    struct fs_calls to = calls_so_far();
    printf("  open %-25s %8.1f ms, %" PRId64 " files opened, %" PRId64 " looked at, %" PRId64 " reads, %" PRId64
           " KiB anonymous memory\n",
           what, ms, to.opens - from.opens, to.stats - from.stats, to.reads - from.reads,
           status_kib("RssAnon:") - anonymous);
    fflush(stdout);
}

static void open_and_die(struct bench *b, int64_t unused)
{
    report_open(b, "after a clean stop:");
}

static void clean(struct backlog *w)
{
    struct store *s = w->b->s;
    struct fs_calls from = calls_so_far();
    int64_t min = clog_min(s->log);
    store_clean_now(s);
    s->last_clean_ms = clock_mono_ms() - w->b->conf.cleanResourceInterval;
    int64_t began = clock_mono_ns();
    clean_step(s);
    double ms = ms_since(began);
    struct fs_calls to = calls_so_far();
    int64_t removed = (clog_min(s->log) - min) / clog_segment_size(s->log);
    printf("  cleaning, %" PRId64 " log files removed: %.1f ms, %" PRId64 " files opened, %" PRId64 " reads\n", removed,
           ms, to.opens - from.opens, to.reads - from.reads);
    int64_t gone = CLEANED * w->a_segment;
    for (int64_t k = 0; removed == CLEANED && k < w->queues; k++)
        if (cq_min(store_queue(s, STR_LIT(BACKLOG_TOPIC), (int32_t)k, false)) != (gone - k + w->queues - 1) / w->queues)
            die("a queue does not begin where the log does");
}

static void measure(struct bench *b, int64_t queues, int64_t each)
{
    static struct probes p;
    b->conf.fileReservedTime = 0;
    b->conf.deleteFileBatchMax = CLEANED;
    b->conf.deleteCommitLogFilesInterval = 0;
    int64_t began = clock_mono_ns();
    make(&p, b, queues, each);
    struct backlog *w = &p.w;
    printf("%" PRId64 " queues of %" PRId64 " entries, %" PRId64 " in all: queue files of %d bytes, %" PRId64
           " commit log files, %" PRId64 " index files; made in %.0f s\n",
           w->queues, w->each, backlog_total(w), b->conf.mappedFileSizeConsumeQueue,
           backlog_physical(w, backlog_total(w)) / b->conf.mappedFileSizeCommitLog + 1, backlog_index_files(w),
           ms_since(began) / 1e3);
    in_killed_child(open_and_die, b, 0);
    report_open(b, "after kill -9:");
    report(&p, "by offset", PROBES, by_offset);
    report(&p, "by offset, again", PROBES, by_offset);
    report(&p, "by time", PROBES, by_time);
    report(&p, "by key, within 2 minutes", PROBES, by_key_and_time);
    report(&p, "by key alone", WIDE, by_key_alone);
    clean(w);
    report_in_use(b);
    close_store(b);
    backlog_free(w);
}

int backlog(struct bench *b, int64_t n, int64_t each)
{
    char *root = b->conf.storePathRootDir, path[4096];
    int32_t file_size = b->conf.mappedFileSizeConsumeQueue;
    struct {
        const char *name;
        int64_t queues, each;
    } stores[] = {{"small", 1, SMALL}, {"long", 1, each}, {"many", n, each}};
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", root, stores[i].name);
        b->conf.storePathRootDir = path;
        b->conf.mappedFileSizeConsumeQueue = file_size;
        measure(b, stores[i].queues, stores[i].each);
    }
    b->conf.storePathRootDir = root;
    return 0;
}
