/* Lost queues and a lost index: rebuilt while the store is in use. */
#include "unit/store/store_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGES = 3000, TOPICS = 3, STEPS_MAX = 10000 };

static const char *const topics[TOPICS] = {"First", "Second", "Third"};

struct told {
    int rebuilt;
    int arrived;
    uint64_t loops;
    char fatal[256];
};

static struct fixture f;
static struct told told;

static void on_rebuilt(void *arg)
{
    __atomic_add_fetch(&told.rebuilt, 1, __ATOMIC_SEQ_CST);
}

static void on_arrived(void *arg, struct cq *q, uint64_t loops)
{
    told.arrived++;
    told.loops |= loops;
}

static void on_fatal(void *arg, const char *text)
{
    snprintf(told.fatal, sizeof told.fatal, "%s", text);
}

static bool is_batch_topic(void *arg, struct str topic)
{
    return str_eqz(topic, "Batch");
}

/* Message n of a topic stands at offset n. */
static void put_all(int64_t from, int64_t to)
{
    struct put_result r;
    for (int64_t n = from; n < to; n++)
        for (int t = 0; t < TOPICS; t++) {
            assert_int_equal(fixture_put(&f, topics[t], 0, n, &r), PUT_OK);
            assert_int_equal(r.queue_offset, n);
        }
}

static void expect_all(int64_t to)
{
    for (int t = 0; t < TOPICS; t++) {
        struct cq *q = store_queue(f.s, str_from(topics[t]), 0, false);
        assert_non_null(q);
        assert_int_equal(cq_max(q), to);
        fixture_expect(&f, topics[t], 0, 0, to);
    }
}

static void lose(const char *folder)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", f.dir.path, folder);
    assert_true(fs_exists(f.fs, path));
    assert_int_equal(fs_remove_tree(f.fs, path), 0);
}

static int setup(void **state)
{
    fixture_make(&f);
    memset(&told, 0, sizeof told);
    f.events = (struct store_events){
        .arrived = on_arrived, .fatal = on_fatal, .rebuilt = on_rebuilt, .batch_topic = is_batch_topic};
    f.conf.rebuildInBackgroundFrom = 1;
    f.conf.rebuildMaxBytesPerSecond = 640 << 10; /* steps of 64 KiB, when nobody waits between them */
    return 0;
}

static int teardown(void **state)
{
    fixture_free(&f);
    return 0;
}

/* A store of some MiB, stopped in good order, without its queues. */
static void make_lost(void)
{
    fixture_open(&f, true);
    put_all(0, MESSAGES);
    fixture_close(&f);
    lose("consumequeue");
}

static int rebuild_all(void)
{
    int steps = 0;
    for (; store_rebuilding(f.s) && steps < STEPS_MAX; steps++)
        rebuild_step(f.s);
    assert_false(store_rebuilding(f.s));
    assert_string_equal(told.fatal, "");
    return steps;
}

/* What a pull at the offset is told while the queue is not there yet: to wait. */
static void expect_nothing_yet(struct cq *q, int64_t offset)
{
    struct get_result r;
    store_get(f.s, q, offset, 32, 1 << 20, NULL, NULL, true, &r);
    assert_int_equal(r.status, GET_OFFSET_OVERFLOW_ONE);
    assert_int_equal(r.next_offset, offset);
    store_release(f.s, &r);
}

static void old_messages_are_read_meanwhile(void **state)
{
    char text[PROGRESS_TEXT];
    make_lost();
    fixture_open(&f, false);
    assert_true(store_rebuilding(f.s));
    assert_string_equal(store_not_writable(f.s), "the consume queues are being rebuilt from the commit log");
    assert_int_equal(fixture_put(&f, "First", 0, MESSAGES, NULL), PUT_SERVICE_NOT_AVAILABLE);
    struct cq *q = store_queue(f.s, STR_LIT("First"), 0, true);
    expect_nothing_yet(q, 0);
    expect_nothing_yet(q, MESSAGES);
    expect_nothing_yet(q, MESSAGES + 5);
    store_queue_wait(q, 3);
    int64_t seen = 0;
    int steps = 0, pieces = 0;
    while (store_rebuilding(f.s)) {
        rebuild_step(f.s);
        int64_t max = cq_max(q);
        assert_true(max >= seen);
        fixture_expect(&f, "First", 0, seen, max);
        seen = max;
        if (store_rebuilding(f.s)) {
            pieces += seen > 0 && seen < MESSAGES;
            expect_nothing_yet(q, MESSAGES);
            expect_nothing_yet(q, max);
            assert_true(store_progress(f.s, STORE_REBUILDS_QUEUES, text));
            assert_non_null(strstr(text, "% of"));
        }
        assert_int_equal(told.rebuilt, !store_rebuilding(f.s));
        assert_true(++steps < STEPS_MAX);
    }
    assert_true(pieces > 20);
    assert_true(told.arrived >= 1 && told.loops == 1u << 3);
    assert_false(store_progress(f.s, STORE_REBUILDS_QUEUES, text));
    assert_null(store_not_writable(f.s));
    expect_all(MESSAGES);
    struct get_result r;
    store_get(f.s, q, MESSAGES + 5, 32, 1 << 20, NULL, NULL, true, &r);
    assert_int_equal(r.status, GET_OFFSET_OVERFLOW_BADLY);
    put_all(MESSAGES, MESSAGES + 10);
    expect_all(MESSAGES + 10);
    fixture_close(&f);
    fixture_open(&f, false);
    assert_false(store_rebuilding(f.s));
    expect_all(MESSAGES + 10);
}

/* Far enough only. */
static void a_short_log_is_rebuilt_at_once(void **state)
{
    make_lost();
    f.conf.rebuildInBackgroundFrom = 1 << 30;
    fixture_open(&f, false);
    assert_false(store_rebuilding(f.s));
    expect_all(MESSAGES);
    assert_int_equal(told.rebuilt, 0);
}

static void its_threads_start_at_the_end(void **state)
{
    make_lost();
    f.conf.rebuildMaxBytesPerSecond = 2 << 20;
    fixture_open(&f, true);
    struct cq *q = store_queue(f.s, STR_LIT("Second"), 0, true);
    int64_t seen = 0;
    while (__atomic_load_n(&told.rebuilt, __ATOMIC_SEQ_CST) == 0) {
        int64_t max = cq_max(q);
        fixture_expect(&f, "Second", 0, seen, max);
        seen = max;
        usleep(1000);
    }
    put_all(MESSAGES, MESSAGES + 10);
    expect_all(MESSAGES + 10);
    assert_true(store_wait_flushed(f.s, clog_max(f.s->log)));
}

static void a_stop_is_gone_on_from(void **state)
{
    make_lost();
    fixture_open(&f, false);
    for (int i = 0; i < 10; i++)
        rebuild_step(f.s);
    int64_t half = rebuild_pos(f.s);
    assert_true(store_rebuilding(f.s) && half > 0);
    fixture_close(&f);
    fixture_open(&f, false);
    assert_true(store_rebuilding(f.s));
    assert_int_equal(rebuild_pos(f.s), half);
    assert_true(cq_max(store_queue(f.s, STR_LIT("First"), 0, true)) > 0);
    rebuild_all();
    expect_all(MESSAGES);
    put_all(MESSAGES, MESSAGES + 10);
    expect_all(MESSAGES + 10);
}

/* Runs some steps in a process that dies then. */
static void die_after(int steps, bool keep, bool sync)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err;
        if (store_open(&f.s, &f.conf, f.fs, &f.events, &err) || store_mark_running(f.s, &err))
            _exit(1);
        for (int i = 0; i < steps; i++)
            rebuild_step(f.s);
        if (keep)
            rebuild_keep(f.s, sync);
        _exit(store_rebuilding(f.s) ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_death_loses_nothing(void **state)
{
    make_lost();
    die_after(0, false, false);
    die_after(15, false, false);
    die_after(10, true, false);
    die_after(8, true, true);
    /* A start that rebuilds all before it returns believes the marks as well. */
    f.events.rebuilt = NULL;
    fixture_open(&f, false);
    expect_all(MESSAGES);
    put_all(MESSAGES, MESSAGES + 10);
    expect_all(MESSAGES + 10);
}

/* Queues in shared files, and the batch queue of a store that has others too. */
static void shared_and_batch_queues_are_noticed(void **state)
{
    char body[64];
    f.conf.sharedQueuesFrom = 0;
    f.conf.rebuildInBackgroundFrom = 1;
    fixture_open(&f, true);
    put_all(0, 90); /* few enough to share */
    for (int i = 0; i < 50; i++) {
        int n = snprintf(body, sizeof body, "batch %d", i);
        struct store_msg m = fixture_msg(f.s, "Batch", 0, str_make(body, (size_t)n), STR_LIT("INNER_NUM\0012\002"));
        m.m.sys_flag = MSG_FLAG_INNER_BATCH;
        m.batch_messages = 2;
        assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    }
    fixture_close(&f);
    static const char *const folders[] = {"sharedqueues", "batchconsumequeue"};
    for (int i = 0; i < 2; i++) {
        lose(folders[i]);
        fixture_open(&f, false);
        assert_true(store_rebuilding(f.s));
        rebuild_all();
        expect_all(90);
        assert_int_equal(cq_max(store_queue(f.s, STR_LIT("Batch"), 0, false)), 100);
        fixture_close(&f);
    }
}

/* The logs of compaction topics are compared with whole queues. */
static void compaction_topics_come_at_the_end(void **state)
{
    fixture_open(&f, true);
    assert_true(store_compact_topic(f.s, STR_LIT("First"), 1));
    put_all(0, MESSAGES);
    fixture_close(&f);
    lose("consumequeue");
    fixture_open(&f, false);
    assert_true(store_compact_topic(f.s, STR_LIT("First"), 1));
    struct cq *q = store_queue(f.s, STR_LIT("First"), 0, true);
    rebuild_step(f.s);
    assert_null(cq_compacted(q));
    rebuild_all();
    assert_non_null(cq_compacted(q));
    expect_all(MESSAGES);
    assert_int_equal(fixture_put(&f, "First", 0, MESSAGES, NULL), PUT_OK);
}

static void damage_in_the_log_ends_it(void **state)
{
    char path[400];
    make_lost();
    snprintf(path, sizeof path, "%s/commitlog/%020d", f.dir.path, 2 * FIXTURE_SEGMENT);
    int fd = f.fs->open(f.fs, path, FS_WRITE);
    assert_int_equal(fs_write_zeros(f.fs, fd, 1000, 2000), 0);
    f.fs->close(f.fs, fd);
    fixture_open(&f, false);
    for (int i = 0; i < STEPS_MAX && told.fatal[0] == 0; i++)
        rebuild_step(f.s);
    assert_non_null(strstr(told.fatal, path));
    assert_true(store_rebuilding(f.s));
    assert_int_equal(told.rebuilt, 0);
}

static size_t found(const char *topic, int64_t n)
{
    char key[64];
    int64_t offsets[8], last_time, last_offset;
    int len = snprintf(key, sizeof key, "%s-%" PRId64, topic, n);
    return store_query(f.s, str_from(topic), str_make(key, (size_t)len), 0, INT64_MAX, offsets, 8, &last_time,
                       &last_offset);
}

/* Only the index: messages are taken at once, and all keys are found in the end. */
static void a_lost_index_keeps_nobody_waiting(void **state)
{
    fixture_open(&f, true);
    put_all(0, MESSAGES);
    fixture_close(&f);
    lose("index");
    fixture_open(&f, false);
    assert_false(store_rebuilding(f.s));
    assert_int_equal(f.s->ckpt.index_mark, 0);
    put_all(MESSAGES, MESSAGES + 10);
    assert_int_equal(found("First", 5), 0);
    while (dispatcher_step(f.s))
        ;
    assert_int_equal(found("First", 5), 1);
    assert_int_equal(found("Third", MESSAGES - 1), 1);
    assert_int_equal(found("Third", MESSAGES + 9), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_messages_are_read_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_log_is_rebuilt_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(its_threads_start_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_is_gone_on_from, setup, teardown),
        cmocka_unit_test_setup_teardown(a_death_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_and_batch_queues_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(compaction_topics_come_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_in_the_log_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_index_keeps_nobody_waiting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
