/* Several threads append while others read and wait: every reader sees each queue grow without gap, in order. */
#include "unit/store/store_fixture.h"

#include <time.h>

#include "os/clock.h"

enum { APPENDERS = 3, READERS = 2, QUEUES = 4, RUN_MS = 700, BATCH = 9 };

struct shared {
    struct fixture f;
    struct cq *q[QUEUES];
    int64_t stored[QUEUES]; /* atomic */
    bool stop;              /* atomic */
    uint64_t wakes;         /* atomic */
};

static bool stopped(struct shared *sh)
{
    return __atomic_load_n(&sh->stop, __ATOMIC_ACQUIRE);
}

static void count_result(void *arg, void *user, const struct put_result *r)
{
    struct shared *sh = arg;
    if (r->status != PUT_OK)
        abort();
    __atomic_add_fetch(&sh->stored[(intptr_t)user], r->count, __ATOMIC_RELAXED);
}

static void append_loop(void *arg)
{
    struct shared *sh = arg;
    struct store_batch *b = store_batch_new(sh->f.s);
    uint64_t n = 0;
    while (!stopped(sh)) {
        for (int i = 0; i < BATCH; i++, n++) {
            char body[512];
            intptr_t q = (intptr_t)(n * 7 % QUEUES);
            struct store_msg m =
                fixture_msg(sh->f.s, "T", (int32_t)q, fixture_body(body, "T", (int64_t)n), STR_LIT(""));
            if (store_batch_add(b, &m, (void *)q) != PUT_OK)
                abort();
        }
        store_batch_commit(b, count_result, sh);
        /* A little air for the readers on a small machine. */
        struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    store_batch_free(b);
}

/* Reads what is there of one queue; returns the next offset. */
static int64_t read_some(struct shared *sh, struct cq *q, int64_t at)
{
    struct get_result r;
    store_get(sh->f.s, q, at, 32, 1 << 20, NULL, NULL, true, &r);
    for (uint32_t i = 0; i < r.n_ranges; i++) {
        for (uint32_t pos = 0; pos < r.ranges[i].len;) {
            struct msg_view v;
            if (msg_decode(r.ranges[i].map + pos, r.ranges[i].len - pos, &v) != MSG_OK || v.m.queue_offset != at ||
                !msg_crc_ok(&v))
                abort();
            pos += v.size;
            at++;
        }
    }
    store_release(sh->f.s, &r);
    return at;
}

static void read_loop(void *arg)
{
    struct shared *sh = arg;
    int64_t at[QUEUES] = {0};
    while (!stopped(sh)) {
        for (int q = 0; q < QUEUES; q++) {
            store_queue_wait(sh->q[q], 5);
            at[q] = read_some(sh, sh->q[q], at[q]);
        }
    }
    for (int q = 0; q < QUEUES; q++) {
        int64_t before;
        do {
            before = at[q];
            at[q] = read_some(sh, sh->q[q], before);
        } while (at[q] > before);
        if (at[q] == 0)
            abort();
    }
}

static void on_arrived(void *arg, struct cq *q, uint64_t loops)
{
    if (loops != 1u << 5)
        abort();
    __atomic_add_fetch(&((struct shared *)arg)->wakes, 1, __ATOMIC_RELAXED);
}

static void run(int flush_type)
{
    struct shared *sh = calloc(1, sizeof *sh);
    struct thread appenders[APPENDERS] = {0}, readers[READERS] = {0};
    fixture_make(&sh->f);
    sh->f.conf.flushDiskType = flush_type;
    sh->f.conf.flushIntervalCommitLog = 5;
    sh->f.conf.flushIntervalConsumeQueue = 10;
    sh->f.conf.flushConsumeQueueThoroughInterval = 50;
    sh->f.events = (struct store_events){.arg = sh, .arrived = on_arrived};
    fixture_open(&sh->f, true);
    for (int i = 0; i < QUEUES; i++)
        sh->q[i] = store_queue(sh->f.s, STR_LIT("T"), i, true);
    for (int i = 0; i < APPENDERS; i++)
        thread_start(&appenders[i], "append", append_loop, sh);
    for (int i = 0; i < READERS; i++)
        thread_start(&readers[i], "read", read_loop, sh);
    struct timespec pause = {.tv_nsec = RUN_MS * 1000000L};
    nanosleep(&pause, NULL);
    __atomic_store_n(&sh->stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < APPENDERS; i++)
        thread_join(&appenders[i]);
    for (int i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    fixture_close(&sh->f);
    assert_true(sh->wakes > 0);
    fixture_open(&sh->f, true);
    for (int i = 0; i < QUEUES; i++) {
        struct cq *q = store_queue(sh->f.s, STR_LIT("T"), i, false);
        assert_int_equal(cq_max(q), sh->stored[i]);
    }
    fixture_free(&sh->f);
    free(sh);
}

static void with_asynchronous_flush(void **state)
{
    run(FLUSH_ASYNC);
}

static void with_synchronous_flush(void **state)
{
    run(FLUSH_SYNC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_asynchronous_flush),
        cmocka_unit_test(with_synchronous_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
