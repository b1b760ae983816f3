/* Rounds of cleaning with very many queues. */
#include "scale.h"

#include "store/store_int.h"

enum { SEGMENT = 256 << 20 };

/* The keeper's own rounds, so that the queues are in their files and out of memory. */
static void settle(struct bench *b)
{
    flusher_step(b->s);
    for (int i = 0; i < 6; i++)
        keeper_step(b->s, true);
    preparer_step(b->s);
}

static void report_round(struct bench *b, const char *what)
{
    struct store_stats before, after;
    store_stats(b->s, &before);
    struct fs_calls from = calls_so_far();
    b->s->last_clean_ms = clock_mono_ms() - b->conf.cleanResourceInterval;
    int64_t began = clock_mono_ns();
    clean_step(b->s);
    double ms = ms_since(began);
    struct fs_calls to = calls_so_far();
    store_stats(b->s, &after);
    printf("%-62s %8.1f ms, %" PRId64 " MiB of log removed, %" PRId64 " files opened, %" PRId64 " reads\n", what, ms,
           (after.log_min - before.log_min) >> 20, to.opens - from.opens, to.reads - from.reads);
    fflush(stdout);
}

static void fill_until(struct bench *b, int64_t first, int64_t n, int64_t log_end)
{
    for (int64_t i = 0; b->end < log_end; i++)
        put(b, queue(b, first + i % n), 100);
    flush_puts(b);
}

int retention(struct bench *b, int64_t n, int64_t entries)
{
    b->conf.mappedFileSizeCommitLog = SEGMENT;
    b->conf.fileReservedTime = 0;
    b->conf.deleteFileBatchMax = 1;
    b->conf.cleanResourceInterval = 10;
    open_store(b, false);
    printf("%" PRId64 " queues, %" PRId64 " messages each, log files of %d MiB\n", n, entries, SEGMENT >> 20);
    /* A file of one queue, then all queues, each all over a few files. */
    fill_until(b, 0, 1, SEGMENT);
    fill_queues(b, n, entries);
    settle(b);
    store_clean_now(b->s);
    b->s->clean_now = 1000;
    report_round(b, "removing a file with messages of one queue:");
    for (int i = 0; i < 3; i++)
        report_round(b, "removing a file with messages of all queues:");
    close_store(b);
    open_store(b, false);
    b->s->clean_now = 1000;
    report_round(b, "removing a file with messages of all queues, after a start:");
    b->s->clean_now = 0;
    report_round(b, "nothing to remove:");
    report_in_use(b);
    close_store(b);
    return 0;
}
