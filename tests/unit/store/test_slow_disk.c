/* A disk that takes its time: senders are refused early, with the reason, and nothing else waits for it. */
#include "unit/store/store_fixture.h"

#include <time.h>

#include "os/clock.h"

enum { BUSY_MS = 60, STALL_MS = 1500, SOON_MS = 1200 };

/* The real file system with calls that stall while they are told to. */
static struct fs slow_fs;
static int stall_append, stall_sync; /* atomic */

static void stall(const int *wanted)
{
    if (__atomic_load_n(wanted, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){.tv_sec = STALL_MS / 1000, .tv_nsec = STALL_MS % 1000 * 1000000L}, NULL);
}

static ssize_t slow_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int n, int64_t at)
{
    stall(&stall_append);
    return fs_real()->pwritev(fs, fd, iov, n, at);
}

static int slow_datasync(const struct fs *fs, int fd)
{
    stall(&stall_sync);
    return fs_real()->datasync(fs, fd);
}

static void make(struct fixture *f, int flush)
{
    fixture_make(f);
    slow_fs = *fs_real();
    slow_fs.pwritev = slow_pwritev;
    slow_fs.datasync = slow_datasync;
    f->fs = &slow_fs;
    f->conf.osPageCacheBusyTimeOutMills = BUSY_MS;
    f->conf.flushDiskType = flush;
    fixture_open(f, true);
}

static void one(void *arg, void *user, const struct put_result *r)
{
    *(enum put_status *)arg = r->status;
}

/* As an event loop sends: without waiting for the flush. */
static enum put_status commit_one(struct fixture *f, int64_t n)
{
    char body[512];
    struct store_batch *b = store_batch_new(f->s);
    struct store_msg m = fixture_msg(f->s, "T", 0, fixture_body(body, "T", n), STR_LIT(""));
    enum put_status status = PUT_UNKNOWN_ERROR;
    store_batch_add(b, &m, NULL);
    store_batch_commit(b, one, &status);
    store_batch_free(b);
    return status;
}

struct sender {
    struct fixture *f;
    int64_t n;
    enum put_status status;
};

static void send_stalled(void *arg)
{
    struct sender *s = arg;
    s->status = commit_one(s->f, s->n);
}

static void a_stalled_append_refuses_the_others_early(void **state)
{
    struct fixture f;
    make(&f, FLUSH_ASYNC);
    assert_int_equal(commit_one(&f, 0), PUT_OK);
    __atomic_store_n(&stall_append, 1, __ATOMIC_RELEASE);
    struct sender stalled = {.f = &f, .n = 1};
    struct thread t = {0};
    assert_int_equal(thread_start(&t, "stalled", send_stalled, &stalled), 0);
    while (__atomic_load_n(&f.s->append_since, __ATOMIC_RELAXED) == 0)
        sched_yield();
    int64_t begin = clock_mono_ms();
    /* The first one waits for a moment, those behind it do not wait at all. */
    assert_int_equal(commit_one(&f, 2), PUT_PAGE_CACHE_BUSY);
    assert_non_null(strstr(store_busy(f.s), "holds up an append"));
    for (int i = 0; i < 100; i++)
        assert_int_equal(commit_one(&f, 2), PUT_PAGE_CACHE_BUSY);
    fixture_expect(&f, "T", 0, 0, 1); /* consumers do not notice */
    assert_true(clock_mono_ms() - begin < SOON_MS);
    __atomic_store_n(&stall_append, 0, __ATOMIC_RELEASE);
    thread_join(&t);
    assert_int_equal(stalled.status, PUT_OK);
    assert_null(store_busy(f.s));
    assert_int_equal(commit_one(&f, 2), PUT_OK);
    fixture_expect(&f, "T", 0, 0, 3);
    fixture_free(&f);
}

static void a_stalled_sync_refuses_senders_that_would_wait_for_it(void **state)
{
    struct fixture f;
    make(&f, FLUSH_SYNC);
    assert_int_equal(fixture_put(&f, "T", 0, 0, NULL), PUT_OK);
    __atomic_store_n(&stall_sync, 1, __ATOMIC_RELEASE);
    assert_int_equal(commit_one(&f, 1), PUT_OK); /* its sender waits */
    int64_t begin = clock_mono_ms();
    while (store_busy(f.s) == NULL && clock_mono_ms() - begin < SOON_MS)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_non_null(strstr(store_busy(f.s), "holds up a sync"));
    assert_int_equal(commit_one(&f, 2), PUT_PAGE_CACHE_BUSY);
    fixture_expect(&f, "T", 0, 0, 1);
    assert_true(clock_mono_ms() - begin < SOON_MS);
    __atomic_store_n(&stall_sync, 0, __ATOMIC_RELEASE);
    while (store_busy(f.s))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(fixture_put(&f, "T", 0, 2, NULL), PUT_OK);
    fixture_expect(&f, "T", 0, 0, 3);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stalled_append_refuses_the_others_early),
        cmocka_unit_test(a_stalled_sync_refuses_senders_that_would_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
