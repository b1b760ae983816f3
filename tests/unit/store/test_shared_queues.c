/* Small queues in shared files: what stands where, the way to files of their own and back to Java's layout. */
#include "unit/store/store_fixture.h"

#include "store/consumequeue_int.h"
#include "store/store_check.h"

enum { QUEUES = 30 };

static void open_running(struct fixture *f)
{
    struct err err;
    fixture_open(f, false);
    assert_int_equal(store_mark_running(f->s, &err), 0);
}

static void make_shared(struct fixture *f)
{
    fixture_make(f);
    f->conf.sharedQueuesFrom = 0;
    open_running(f);
}

static void topic_name(int q, char out[16])
{
    snprintf(out, 16, "T%d", q / 8);
}

static void put_each(struct fixture *f, int64_t from, int64_t to)
{
    struct put_result r;
    char topic[16];
    for (int64_t n = from; n < to; n++)
        for (int q = 0; q < QUEUES; q++) {
            topic_name(q, topic);
            assert_int_equal(fixture_put(f, topic, q % 8, n, &r), PUT_OK);
            assert_int_equal(r.queue_offset, n);
        }
}

static void expect_each(struct fixture *f, int64_t to)
{
    char topic[16];
    for (int q = 0; q < QUEUES; q++) {
        topic_name(q, topic);
        fixture_expect(f, topic, q % 8, 0, to);
        assert_int_equal(cq_max(store_queue(f->s, str_from(topic), q % 8, false)), to);
    }
}

static void keep_all(struct fixture *f)
{
    flusher_step(f->s);
    keeper_step(f->s, true);
}

/* As by kill -9: nothing is written any more. The lock file goes with the process. */
static void die(struct fixture *f)
{
    f->s->dead = true;
    fixture_close(f);
}

static bool is_there(const struct fixture *f, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", f->dir.path, name);
    return fs_exists(f->fs, path);
}

static void check_store(struct fixture *f)
{
    struct store_report report;
    struct err err = {0};
    struct store_check_options options = {
        .dir = f->dir.path, .index_slots = f->conf.maxHashSlotNum, .index_entries = f->conf.maxIndexNum};
    assert_int_equal(store_check(f->fs, &options, &report, &err), 0);
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.after_crash, 0);
}

static void test_no_file_for_a_small_queue(void **state)
{
    struct fixture f;
    make_shared(&f);
    put_each(&f, 0, 3);
    keep_all(&f);
    put_each(&f, 3, 5);
    expect_each(&f, 5);
    fixture_close(&f);
    assert_true(is_there(&f, "sharedqueues"));
    assert_false(is_there(&f, "consumequeue/T0"));
    assert_true(is_there(&f, "abort"));
    check_store(&f);
    open_running(&f);
    assert_false(f.s->after_crash);
    expect_each(&f, 5);
    put_each(&f, 5, 7);
    expect_each(&f, 7);
    keep_all(&f);
    put_each(&f, 7, 8);
    die(&f);
    open_running(&f);
    assert_true(f.s->after_crash);
    expect_each(&f, 8);
    fixture_free(&f);
}

static void test_a_growing_queue_gets_its_own_files(void **state)
{
    struct fixture f;
    struct put_result r;
    make_shared(&f);
    put_each(&f, 0, 2);
    keep_all(&f);
    for (int64_t n = 2; n < SQ_ENTRIES_MAX; n++)
        fixture_put(&f, "T0", 0, n, &r);
    keep_all(&f);
    assert_false(is_there(&f, "consumequeue/T0"));
    for (int64_t n = SQ_ENTRIES_MAX; n < 450; n++)
        fixture_put(&f, "T0", 0, n, &r);
    keep_all(&f);
    assert_true(is_there(&f, "consumequeue/T0/0"));
    assert_false(is_there(&f, "consumequeue/T0/1"));
    fixture_expect(&f, "T0", 0, 0, 450);
    die(&f);
    open_running(&f);
    fixture_expect(&f, "T0", 0, 0, 450);
    fixture_close(&f);
    check_store(&f);
    open_running(&f);
    fixture_expect(&f, "T0", 0, 0, 450);
    fixture_expect(&f, "T3", 5, 0, 2);
    fixture_free(&f);
}

static void test_garbage_goes(void **state)
{
    struct fixture f;
    make_shared(&f);
    int64_t most = 0, n = 0;
    for (; n < 90; n++) {
        put_each(&f, n, n + 1);
        keep_all(&f);
        int64_t bytes = sq_bytes(f.s->queues->blocks);
        most = bytes > most ? bytes : most;
    }
    /* 30 queues with 90 entries each, and at most as much garbage, but for what is always left and one file. */
    assert_true(most < 2 * 30 * 1900 + 2 * 8 * f.conf.mappedFileSizeConsumeQueue);
    assert_true(f.s->queues->shared_live > 30 * 1800);
    expect_each(&f, n);
    fixture_close(&f);
    open_running(&f);
    expect_each(&f, n);
    fixture_free(&f);
}

static void test_back_to_a_file_for_each(void **state)
{
    struct fixture f;
    make_shared(&f);
    put_each(&f, 0, 5);
    fixture_close(&f);
    f.conf.sharedQueuesFrom = -1;
    open_running(&f);
    expect_each(&f, 5);
    fixture_close(&f);
    assert_false(is_there(&f, "sharedqueues"));
    assert_false(is_there(&f, "abort"));
    assert_true(is_there(&f, "consumequeue/T3/5/00000000000000000000"));
    check_store(&f);
    open_running(&f);
    expect_each(&f, 5);
    /* Queues that have files keep them. */
    fixture_close(&f);
    f.conf.sharedQueuesFrom = 0;
    open_running(&f);
    put_each(&f, 5, 6);
    fixture_close(&f);
    assert_false(is_there(&f, "sharedqueues"));
    open_running(&f);
    expect_each(&f, 6);
    fixture_free(&f);
}

/* The marks are void then, as after a Java broker wrote into the directory. */
static void test_without_marks_the_log_decides(void **state)
{
    struct fixture f;
    char path[600];
    make_shared(&f);
    put_each(&f, 0, 5);
    fixture_close(&f);
    snprintf(path, sizeof path, "%s/checkpoint", f.dir.path);
    uint8_t zero[24] = {0}, one = 1;
    size_t n;
    unsigned char *bytes = file_bytes(path, &n);
    assert_non_null(bytes);
    /* Java's checkpoint says that queues are to be built from the begin of the log. */
    assert_memory_equal(bytes + 8, zero, 8);
    free(bytes);
    file_patch(path, 7, &one, 1);
    open_running(&f);
    assert_true(f.s->after_crash);
    expect_each(&f, 5);
    fixture_free(&f);
}

static void test_lost_files_are_built_again(void **state)
{
    struct fixture f;
    char path[600];
    static const char *const lost[] = {"sharedqueues", "consumequeue"};
    for (int i = 0; i < 2; i++) {
        struct put_result r;
        make_shared(&f);
        put_each(&f, 0, 5);
        for (int64_t n = 5; n < 200; n++)
            fixture_put(&f, "T0", 0, n, &r);
        fixture_close(&f);
        snprintf(path, sizeof path, "%s/%s", f.dir.path, lost[i]);
        assert_int_equal(fs_remove_tree(f.fs, path), 0);
        log_set_level(LOG_ERROR);
        open_running(&f);
        fixture_expect(&f, "T0", 0, 0, 200);
        fixture_expect(&f, "T2", 3, 0, 5);
        fixture_close(&f);
        check_store(&f);
        open_running(&f);
        fixture_expect(&f, "T0", 0, 0, 200);
        fixture_expect(&f, "T2", 3, 0, 5);
        assert_int_equal(atomic_load(&f.s->queues->rebuild_from), INT64_MAX);
        fixture_free(&f);
    }
}

static void test_a_deleted_topic_does_not_come_back(void **state)
{
    struct fixture f;
    make_shared(&f);
    put_each(&f, 0, 5);
    keep_all(&f);
    store_delete_topic(f.s, STR_LIT("T1"));
    keep_all(&f);
    fixture_close(&f);
    open_running(&f);
    struct cq *q = store_queue(f.s, STR_LIT("T1"), 0, false);
    assert_true(q == NULL || cq_max(q) == 0);
    struct put_result r;
    assert_int_equal(fixture_put(&f, "T1", 0, 0, &r), PUT_OK);
    assert_int_equal(r.queue_offset, 0);
    fixture_close(&f);
    open_running(&f);
    fixture_expect(&f, "T1", 0, 0, 1);
    fixture_expect(&f, "T0", 0, 0, 5);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_for_a_small_queue),
        cmocka_unit_test(test_a_growing_queue_gets_its_own_files),
        cmocka_unit_test(test_garbage_goes),
        cmocka_unit_test(test_back_to_a_file_for_each),
        cmocka_unit_test(test_without_marks_the_log_decides),
        cmocka_unit_test(test_lost_files_are_built_again),
        cmocka_unit_test(test_a_deleted_topic_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
