/* Very many queues with few messages each. */
#include "scale.h"

enum { SENDS = 50000, FEW = 8 };

static int64_t entries_each = 1;

static void append_and_die(struct bench *b, int64_t n)
{
    open_store(b, true);
    fill_queues(b, n, entries_each);
}

static void fill_and_stop(struct bench *b, int64_t n)
{
    open_store(b, true);
    int64_t began = clock_mono_ns();
    fill_queues(b, n, entries_each);
    double ms = ms_since(began);
    printf("filled: %.0f ms, %.0f messages/s\n", ms, (double)(n * entries_each) * 1e3 / ms);
    report_stop(b);
}

/* One message after the other, each its own append. */
static void report_sends(struct bench *b, int64_t n)
{
    static struct hist h;
    uint64_t random = 1;
    hist_init(&h);
    for (int i = 0; i < SENDS; i++) {
        struct cq *q = queue(b, (int64_t)(next_random(&random) % (uint64_t)n));
        int64_t began = clock_mono_ns();
        put(b, q, 100);
        flush_puts(b);
        hist_record(&h, (uint64_t)(clock_mono_ns() - began));
    }
    printf("%d sends to %" PRId64 " queues: p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.0f us\n", SENDS, n,
           (double)hist_percentile(&h, 50) / 1e3, (double)hist_percentile(&h, 99) / 1e3,
           (double)hist_percentile(&h, 99.9) / 1e3, (double)h.max / 1e3);
    fflush(stdout);
}

static void measure_start(struct bench *b, int64_t n)
{
    int64_t before = status_kib("RssAnon:");
    report_start(b, "start:");
    printf("%.0f bytes of anonymous memory a queue\n", (double)(status_kib("RssAnon:") - before) * 1024 / (double)n);
    report_in_use(b);
    report_sends(b, n);
    report_sends(b, FEW);
    report_stop(b);
}

int queues(struct bench *b, int64_t n, int64_t entries)
{
    static const char *folders[] = {"consumequeue", "sharedqueues"};
    entries_each = entries;
    printf("%" PRId64 " queues, %" PRId64 " messages each\n", n, entries);
    in_killed_child(fill_and_stop, b, n);
    printf("after a clean stop\n");
    in_killed_child(measure_start, b, n);
    in_killed_child(append_and_die, b, n);
    printf("after kill -9\n");
    in_killed_child(measure_start, b, n);
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", b->conf.storePathRootDir, folders[i]);
        if (fs_remove_tree(b->fs, path))
            die("cannot remove the queues");
    }
    printf("with the queues' folders lost\n");
    in_killed_child(measure_start, b, n);
    return 0;
}
