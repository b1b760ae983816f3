/* Zeros ahead of the log's end: how many, and that they never meet what is appended. */
#include "store/commitlog_int.h"
#include "unit/store/store_fixture.h"

#include <errno.h>
#include <stdatomic.h>

#include "unit/patience.h"

enum { SEGMENT = 4 << 20, BIG_SEGMENT = 128 << 20, PIECE_MAX = 60000 };

static struct commitlog *open_log(const struct tmpdir *dir, int64_t segment_size)
{
    struct commitlog *log;
    struct err err = {0};
    if (clog_open(&log, fs_real(), dir->path, NULL, segment_size, 100, &err) || clog_set_end(log, 0, 0, false, &err))
        fail_msg("%s", err.text);
    clog_prewrite(log);
    return log;
}

/* Bytes that tell their log offset. */
static void fill(uint8_t *out, size_t n, int64_t at)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((at + (int64_t)i) % 251 + 1);
}

static void append(struct commitlog *log, size_t n)
{
    static uint8_t piece[PIECE_MAX];
    if ((int64_t)n > clog_room(log)) {
        int r;
        AWAIT((r = clog_ensure_next(log)) != -ETIMEDOUT);
        assert_int_equal(r, 0);
        assert_int_equal(clog_append(log, NULL, 0, true), 0);
    }
    fill(piece, n, clog_max(log));
    assert_int_equal(clog_append(log, piece, n, false), 0);
}

static int64_t ahead(const struct commitlog *log)
{
    const struct log_segment *seg = clog_tail(log);
    return seg->base + seg->zeroed - clog_max(log);
}

static void they_stay_ahead(void **state)
{
    struct tmpdir dir;
    tmpdir_make(&dir);
    struct commitlog *log = open_log(&dir, BIG_SEGMENT);
    for (int i = 0; i < 1000; i++) {
        append(log, PIECE_MAX);
        if (i % 100)
            continue;
        assert_int_equal(clog_prepare(log), 0);
        assert_in_range(ahead(log), PREWRITE_WINDOW, PREWRITE_WINDOW + PREWRITE_STEP);
    }
    assert_int_equal(clog_sync(log, clog_max(log)), 0);
    clog_close(log);
    tmpdir_remove(&dir);
}

static void the_end_of_a_segment_is_the_end(void **state)
{
    struct tmpdir dir;
    tmpdir_make(&dir);
    struct commitlog *log = open_log(&dir, SEGMENT);
    for (int i = 0; i < 1000; i++) {
        append(log, 10000);
        if (i % 100 == 0)
            assert_int_equal(clog_prepare(log), 0);
        assert_true(clog_tail(log)->zeroed <= SEGMENT);
    }
    assert_true(clog_segments(log) >= 3);
    assert_int_equal(clog_sync(log, clog_max(log)), 0);
    clog_close(log);
    tmpdir_remove(&dir);
}

/* ---- appender, flusher and preparer side by side ---- */

static atomic_bool done;

static void flush(void *arg)
{
    struct commitlog *log = arg;
    while (!atomic_load(&done))
        assert_int_equal(clog_sync(log, clog_max(log)), 0);
}

static void prepare(void *arg)
{
    struct commitlog *log = arg;
    while (!atomic_load(&done))
        assert_int_equal(clog_prepare(log), 0);
}

/* The preparer goes round and round as it is. */
static void need_nothing(void *arg)
{
}

static void what_is_appended_stays(void **state)
{
    struct tmpdir dir;
    struct thread flusher, preparer;
    static uint8_t read[PIECE_MAX], wanted[PIECE_MAX];
    int64_t begin[4000];
    size_t sizes[4000];
    tmpdir_make(&dir);
    struct commitlog *log = open_log(&dir, SEGMENT);
    /* Without it an append that lacks the next segment would make it itself, beside the preparer. */
    clog_on_need(log, need_nothing, NULL);
    atomic_store(&done, false);
    assert_int_equal(thread_start(&flusher, "flush", flush, log), 0);
    assert_int_equal(thread_start(&preparer, "prepare", prepare, log), 0);
    for (size_t i = 0; i < 4000; i++) {
        sizes[i] = 1 + i * 7919 % (i % 50 ? 3000 : PIECE_MAX);
        append(log, sizes[i]);
        begin[i] = clog_max(log) - (int64_t)sizes[i];
    }
    atomic_store(&done, true);
    thread_join(&flusher);
    thread_join(&preparer);
    for (size_t i = 0; i < 4000; i++) {
        fill(wanted, sizes[i], begin[i]);
        assert_int_equal(clog_read(log, begin[i], read, sizes[i]), sizes[i]);
        assert_memory_equal(read, wanted, sizes[i]);
    }
    clog_close(log);
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_stay_ahead),
        cmocka_unit_test(the_end_of_a_segment_is_the_end),
        cmocka_unit_test(what_is_appended_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
