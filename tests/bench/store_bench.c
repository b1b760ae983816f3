/*
 * What one record costs in the store, all included: encode, CRC, append, queue entry, publication.
 *
 *   store_bench DIR [RECORDS [BODY [BATCH [QUEUES [sync]]]]]      defaults: 2000000 1024 32 8
 *
 * Then reads all of it back through store_get and prints the cost of that. The directory must be empty or absent.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/fs.h"
#include "store/store.h"

struct result {
    int64_t failed, end;
};

static void done(void *arg, void *user, const struct put_result *r)
{
    struct result *res = arg;
    res->failed += r->status != PUT_OK;
    res->end = r->end_offset;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

struct cpu {
    double user, kernel;
};

static struct cpu cpu_used(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (struct cpu){seconds(u.ru_utime), seconds(u.ru_stime)};
}

static void print_cpu(const char *of, struct cpu from, struct cpu to, int64_t records)
{
    double n = (double)records / 1e9;
    printf("  CPU of %s: %.0f ns/record in the program, %.0f in the kernel\n", of, (to.user - from.user) / n,
           (to.kernel - from.kernel) / n);
}

static int64_t arg(int argc, char **argv, int i, int64_t absent)
{
    return argc > i ? strtoll(argv[i], NULL, 10) : absent;
}

static pthread_mutex_t flushed_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flushed_cond = PTHREAD_COND_INITIALIZER;

static void on_flushed(void *arg, int64_t flushed)
{
    pthread_mutex_lock(&flushed_lock);
    pthread_cond_broadcast(&flushed_cond);
    pthread_mutex_unlock(&flushed_lock);
}

static void wait_flushed(struct store *s, int64_t end)
{
    pthread_mutex_lock(&flushed_lock);
    while (store_flushed(s) < end)
        pthread_cond_wait(&flushed_cond, &flushed_lock);
    pthread_mutex_unlock(&flushed_lock);
}

static void write_all(struct store *s, int64_t records, size_t body, int64_t batch, int32_t queues)
{
    struct store_batch *b = store_batch_new(s);
    char *data = malloc(body), props[] = "UNIQ_KEY\x01"
                                         "7F0000010A0B5C6D7E8F000000000001\x02WAIT\x01true\x02TAGS\x01TagA\x02";
    struct result res = {0};
    memset(data, 'x', body);
    struct store_msg m = {.m = {.topic = STR_LIT("BenchmarkTest"),
                                .body = str_make(data, body),
                                .properties = str_make(props, sizeof props - 1),
                                .born_host = {.addr_len = 4},
                                .store_host = {.addr_len = 4}}};
    struct cq *q[64];
    for (int32_t i = 0; i < queues; i++)
        q[i] = store_queue(s, m.m.topic, i, true);
    struct cpu own = cpu_used(RUSAGE_THREAD), all = cpu_used(RUSAGE_SELF);
    int64_t begin = clock_mono_ns();
    for (int64_t i = 0; i < records; i += batch) {
        for (int64_t k = 0; k < batch; k++) {
            m.m.queue_id = (int32_t)((i + k) % queues);
            m.queue = q[m.m.queue_id];
            m.tags_code = 123;
            store_batch_add(b, &m, NULL);
        }
        store_batch_commit(b, done, &res);
        if (store_sync_flush(s))
            wait_flushed(s, res.end);
    }
    double took = (double)(clock_mono_ns() - begin);
    printf("append: %.0f ns/record, %.0f MB/s, %" PRId64 " failed\n", took / (double)records,
           (double)res.end / took * 1000, res.failed);
    print_cpu("the appending thread", own, cpu_used(RUSAGE_THREAD), records);
    print_cpu("all threads", all, cpu_used(RUSAGE_SELF), records);
    store_batch_free(b);
    free(data);
}

static void read_all(struct store *s, int32_t queues)
{
    struct get_result r;
    int64_t n = 0, cold = 0, begin = clock_mono_ns();
    for (int32_t i = 0; i < queues; i++) {
        struct cq *q = store_queue(s, STR_LIT("BenchmarkTest"), i, false);
        for (int64_t at = 0; at < cq_max(q);) {
            store_get(s, q, at, 32, 1 << 20, NULL, NULL, false, &r);
            if (r.status == GET_COLD) {
                cold++;
                store_warm(s, q, at, 32, 1 << 20, NULL, NULL);
                store_get(s, q, at, 32, 1 << 20, NULL, NULL, true, &r);
            }
            n += r.count;
            at = r.next_offset;
            store_release(s, &r);
        }
    }
    double took = (double)(clock_mono_ns() - begin);
    printf("read: %" PRId64 " records, %.0f ns/record, %" PRId64 " cold reads\n", n, took / (double)(n ? n : 1), cold);
}

int main(int argc, char **argv)
{
    struct store_conf conf = {0};
    struct store_events events = {.flushed = on_flushed};
    struct store *s;
    struct err err;
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench DIR [RECORDS [BODY [BATCH [QUEUES [sync]]]]]\n");
        return 1;
    }
    int64_t records = arg(argc, argv, 2, 2000000), body = arg(argc, argv, 3, 1024), batch = arg(argc, argv, 4, 32);
    int32_t queues = (int32_t)arg(argc, argv, 5, 8);
    log_set_level(LOG_WARN);
    if (queues < 1 || queues > 64 || body < 1 || batch < 1 || conf_defaults(store_conf_table(), &conf, &err))
        return 1;
    conf.storePathRootDir = strdup(argv[1]);
    conf.flushDiskType = argc > 6 ? FLUSH_SYNC : FLUSH_ASYNC;
    int64_t begin = clock_mono_ns();
    if (store_open(&s, &conf, fs_real(), &events, &err) || store_start(s, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("open and start: %.1f ms\n", (double)(clock_mono_ns() - begin) / 1e6);
    write_all(s, records, (size_t)body, batch, queues);
    read_all(s, queues);
    begin = clock_mono_ns();
    store_close(s);
    printf("close: %.1f ms\n", (double)(clock_mono_ns() - begin) / 1e6);
    store_conf_free(&conf);
    return 0;
}
