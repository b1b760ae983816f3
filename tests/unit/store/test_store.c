/* The store as its users see it: put, get, restart, search. */
#include "unit/store/store_fixture.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The thread sanitizer otherwise ends a forked process that starts threads. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void put_and_get(void **state)
{
    struct fixture f;
    struct put_result r;
    fixture_make(&f);
    fixture_open(&f, true);
    for (int64_t i = 0; i < 1000; i++) {
        assert_int_equal(fixture_put(&f, "T", 1, i, &r), PUT_OK);
        assert_int_equal(r.queue_offset, i);
        assert_int_equal(r.count, 1);
    }
    assert_true(r.end_offset > 3 * FIXTURE_SEGMENT); /* several files were used */
    fixture_expect(&f, "T", 1, 0, 1000);
    fixture_free(&f);
}

static void get_statuses(void **state)
{
    struct fixture f;
    struct get_result r;
    fixture_make(&f);
    fixture_open(&f, true);
    store_get(f.s, NULL, 5, 10, 1000, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_NO_MATCHED_LOGIC_QUEUE);
    assert_int_equal(r.next_offset, 0);
    struct cq *q = store_queue(f.s, STR_LIT("T"), 0, true);
    store_get(f.s, q, 5, 10, 1000, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_NO_MESSAGE_IN_QUEUE);
    for (int64_t i = 0; i < 10; i++)
        fixture_put(&f, "T", 0, i, NULL);
    store_get(f.s, q, 10, 10, 1000, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_OFFSET_OVERFLOW_ONE);
    assert_int_equal(r.next_offset, 10);
    store_get(f.s, q, 11, 10, 1000, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_OFFSET_OVERFLOW_BADLY);
    assert_int_equal(r.next_offset, 10);
    store_get(f.s, q, -1, 10, 1000, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_OFFSET_TOO_SMALL);
    assert_int_equal(r.next_offset, 0);
    store_get(f.s, q, 0, 3, 1 << 20, NULL, NULL, false, &r);
    assert_int_equal(r.status, GET_FOUND);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.n_ranges, 1); /* adjacent records are one range */
    assert_int_equal(r.next_offset, 3);
    store_release(f.s, &r);
    store_get(f.s, q, 0, 32, 1, NULL, NULL, false, &r); /* one message always fits */
    assert_int_equal(r.count, 1);
    store_release(f.s, &r);
    fixture_free(&f);
}

static enum filter_verdict only_t1(void *arg, const struct store_entry *e, const struct msg_view *record)
{
    int64_t wanted = msg_tags_code(STR_LIT("TAGS\x01T1\x02"));
    if (e->tags_code != wanted)
        return FILTER_NO;
    if (record == NULL)
        return FILTER_NEED_RECORD;
    assert_true(str_eqz(msg_property(record->m.properties, STR_LIT("TAGS")), "T1"));
    return FILTER_YES;
}

static void filtered_get_takes_only_what_matches(void **state)
{
    struct fixture f;
    struct get_result r;
    fixture_make(&f);
    fixture_open(&f, true);
    for (int64_t i = 0; i < 30; i++)
        fixture_put(&f, "T", 0, i, NULL);
    struct cq *q = store_queue(f.s, STR_LIT("T"), 0, false);
    store_get(f.s, q, 0, 5, 1 << 20, only_t1, NULL, true, &r);
    assert_int_equal(r.status, GET_FOUND);
    assert_int_equal(r.count, 5);
    assert_int_equal(r.n_ranges, 5);
    assert_int_equal(r.next_offset, 14); /* behind 1, 4, 7, 10, 13: a full answer ends at once */
    store_release(f.s, &r);
    fixture_free(&f);
}

static void restart_keeps_all(void **state)
{
    struct fixture f;
    fixture_make(&f);
    for (int64_t round = 0; round < 4; round++) {
        fixture_open(&f, true);
        if (round)
            fixture_expect(&f, "T", 1, 0, round * 300);
        for (int64_t i = 0; i < 300; i++) {
            struct put_result r;
            assert_int_equal(fixture_put(&f, "T", 1, round * 300 + i, &r), PUT_OK);
            assert_int_equal(r.queue_offset, round * 300 + i);
            fixture_put(&f, "Other", (int32_t)(i % 5), round * 60 + i / 5, NULL);
        }
        fixture_close(&f);
    }
    fixture_open(&f, true);
    fixture_expect(&f, "T", 1, 0, 1200);
    for (int32_t q = 0; q < 5; q++)
        fixture_expect(&f, "Other", q, 0, 240);
    fixture_free(&f);
}

/* The process dies: what is in the page cache stays, nothing is flushed or marked. */
static void death_of_the_process_loses_nothing(void **state)
{
    struct fixture f;
    fixture_make(&f);
    for (int64_t round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            fixture_open(&f, true);
            if (round)
                fixture_expect(&f, "T", 1, 0, round * 500);
            for (int64_t i = 0; i < 500; i++)
                if (fixture_put(&f, "T", 1, round * 500 + i, NULL) != PUT_OK)
                    _exit(1);
            _exit(0); /* no store_close */
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    fixture_open(&f, true);
    assert_true(f.s->after_crash);
    fixture_expect(&f, "T", 1, 0, 1500);
    fixture_free(&f);
}

static void second_broker_on_the_directory_is_refused(void **state)
{
    struct fixture f;
    struct store *other;
    struct err err;
    fixture_make(&f);
    fixture_open(&f, true);
    assert_int_equal(store_open(&other, &f.conf, f.fs, NULL, &err), -1);
    assert_non_null(strstr(err.text, "another broker is running"));
    fixture_free(&f);
}

static void wrong_segment_size_names_the_right_one(void **state)
{
    struct fixture f;
    struct store *s;
    struct err err;
    fixture_make(&f);
    fixture_open(&f, true);
    fixture_close(&f);
    f.conf.mappedFileSizeCommitLog = 128 * 1024;
    assert_int_equal(store_open(&s, &f.conf, f.fs, NULL, &err), -1);
    assert_non_null(strstr(err.text, "has 65536 bytes"));
    fixture_free(&f);
}

static void illegal_messages_are_refused(void **state)
{
    struct fixture f;
    char big[300], *props = calloc(1, 40000);
    fixture_make(&f);
    fixture_open(&f, true);
    memset(big, 'x', sizeof big);
    struct store_msg m = fixture_msg(f.s, "T", 0, STR_LIT("b"), STR_LIT(""));
    m.m.topic = str_make(big, 128);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_MESSAGE_ILLEGAL);
    memcpy(big, "%RETRY%", 7);
    m.m.topic = str_make(big, 255);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    m.m.topic = str_make(big, 256);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_MESSAGE_ILLEGAL);
    m.m.topic = STR_LIT("T");
    m.m.body = STR_NULL;
    assert_int_equal(store_put(f.s, &m, NULL), PUT_MESSAGE_ILLEGAL);
    m.m.body = STR_LIT("b");
    m.m.properties = str_make(props, 32768);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_PROPERTIES_SIZE_EXCEEDED);
    m.m.properties = STR_LIT("");
    m.m.body = str_make(props, 0);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    struct err err;
    assert_int_equal(store_update_conf(f.s, STR_LIT("maxMessageSize"), STR_LIT("100"), &err), 0);
    m.m.body = str_make(props, 101);
    assert_int_equal(store_put(f.s, &m, NULL), PUT_MESSAGE_ILLEGAL);
    free(props);
    fixture_free(&f);
}

struct seen {
    size_t n;
    enum put_status status[16];
    int64_t first[16], end[16];
    void *user[16];
};

static void note(void *arg, void *user, const struct put_result *r)
{
    struct seen *seen = arg;
    seen->status[seen->n] = r->status;
    seen->first[seen->n] = r->queue_offset;
    seen->end[seen->n] = r->end_offset;
    seen->user[seen->n++] = user;
}

static void batch_gives_consecutive_offsets_and_ordered_results(void **state)
{
    struct fixture f;
    struct seen seen = {0};
    fixture_make(&f);
    fixture_open(&f, true);
    struct store_batch *b = store_batch_new(f.s);
    char body[512];
    int tags[4];
    struct store_msg many[3];
    for (int i = 0; i < 3; i++)
        many[i] = fixture_msg(f.s, "T", 0, fixture_body(body, "T", 1), STR_LIT(""));
    struct store_msg one = fixture_msg(f.s, "T", 0, fixture_body(body, "T", 1), STR_LIT(""));
    struct store_msg other = fixture_msg(f.s, "U", 0, fixture_body(body, "T", 1), STR_LIT(""));
    struct store_msg half = one;
    half.m.sys_flag = MSG_FLAG_TRANSACTION_PREPARED;
    store_batch_add(b, &one, &tags[0]);
    store_batch_add_many(b, many, 3, &tags[1]);
    store_batch_add(b, &half, &tags[2]);
    store_batch_add(b, &other, &tags[3]);
    store_batch_add(b, &one, NULL);
    assert_int_equal(store_batch_count(b), 7);
    store_batch_commit(b, note, &seen);
    assert_int_equal(seen.n, 5);
    static const int64_t first[] = {0, 1, 0, 0, 4};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(seen.status[i], PUT_OK);
        assert_int_equal(seen.first[i], first[i]);
        assert_ptr_equal(seen.user[i], i < 4 ? (void *)&tags[i] : NULL);
    }
    assert_int_equal(seen.end[4], clog_max(f.s->log));
    assert_int_equal(cq_max(one.queue), 5);
    assert_int_equal(store_batch_count(b), 0);
    store_batch_free(b);
    fixture_free(&f);
}

static uint64_t arrived_loops;

static void arrived(void *arg, struct cq *q, uint64_t loops)
{
    arrived_loops |= loops;
}

static void synchronous_flush_hides_what_is_not_durable(void **state)
{
    struct fixture f;
    fixture_make(&f);
    f.conf.flushDiskType = FLUSH_SYNC;
    f.events.arrived = arrived;
    fixture_open(&f, false); /* no threads: the test flushes */
    struct store_batch *b = store_batch_new(f.s);
    struct store_msg m = fixture_msg(f.s, "T", 0, STR_LIT("body"), STR_LIT(""));
    struct seen seen = {0};
    arrived_loops = 0;
    store_queue_wait(m.queue, 3);
    store_batch_add(b, &m, NULL);
    store_batch_commit(b, note, &seen);
    assert_int_equal(seen.status[0], PUT_OK);
    assert_true(store_flushed(f.s) < seen.end[0]);
    assert_int_equal(cq_max(m.queue), 0);
    assert_int_equal(arrived_loops, 0);
    flusher_step(f.s);
    assert_true(store_flushed(f.s) >= seen.end[0]);
    assert_int_equal(cq_max(m.queue), 1);
    assert_int_equal(arrived_loops, 8);
    store_batch_free(b);
    fixture_free(&f);
}

static void search_by_time_and_offset(void **state)
{
    struct fixture f;
    fixture_make(&f);
    fixture_open(&f, true);
    int64_t times[60];
    for (int64_t i = 0; i < 60; i++) {
        struct put_result r;
        fixture_put(&f, "T", 0, i, &r);
        times[i] = r.store_time;
        struct timespec pause = {.tv_nsec = 700000};
        nanosleep(&pause, NULL);
    }
    struct cq *q = store_queue(f.s, STR_LIT("T"), 0, false);
    for (int64_t t = times[0] - 1; t <= times[59] + 1; t++) {
        int64_t lower = 60, upper = 0;
        for (int64_t i = 59; i >= 0; i--)
            if (times[i] >= t)
                lower = i;
        for (int64_t i = 0; i < 60; i++)
            if (times[i] <= t)
                upper = i;
        assert_int_equal(store_offset_by_time(f.s, q, t, false), lower);
        assert_int_equal(store_offset_by_time(f.s, q, t, true), upper);
    }
    assert_int_equal(store_time_of(f.s, q, 7), times[7]);
    assert_int_equal(store_time_of(f.s, q, 60), -1);
    assert_int_equal(store_earliest_time(f.s), times[0]);
    fixture_free(&f);
}

static void read_by_physical_offset(void **state)
{
    struct fixture f;
    struct put_result r;
    struct buf out = {0};
    struct msg_view v;
    fixture_make(&f);
    fixture_open(&f, true);
    for (int64_t i = 0; i < 5; i++)
        fixture_put(&f, "T", 0, i, &r);
    int64_t at = r.end_offset - r.bytes;
    assert_true(store_read(f.s, at, &out, &v));
    assert_int_equal(v.m.queue_offset, 4);
    assert_int_equal(v.m.physical_offset, at);
    assert_false(store_read(f.s, at + 1, &out, &v));
    assert_false(store_read(f.s, r.end_offset, &out, &v));
    assert_false(store_read(f.s, -1, &out, &v));
    buf_free(&out);
    fixture_free(&f);
}

static void keys_are_found_soon_and_after_a_crash(void **state)
{
    struct fixture f;
    fixture_make(&f);
    pid_t child = fork();
    if (child == 0) {
        fixture_open(&f, true);
        for (int64_t i = 0; i < 50; i++)
            fixture_put(&f, "T", 0, i, NULL);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    fixture_open(&f, true);
    int64_t offsets[8], time, offset;
    size_t n = 0;
    for (int tries = 0; tries < 200 && n == 0; tries++) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
        n = store_query(f.s, STR_LIT("T"), STR_LIT("T-33"), 0, INT64_MAX, offsets, 8, &time, &offset);
    }
    assert_int_equal(n, 1);
    struct buf out = {0};
    struct msg_view v;
    assert_true(store_read(f.s, offsets[0], &out, &v));
    assert_int_equal(v.m.queue_offset, 33);
    buf_free(&out);
    fixture_free(&f);
}

/* "Aa" and "BB" have the same hash in Java: the others do not take the room of the one that is asked for. */
static void keys_with_the_same_hash_are_told_apart(void **state)
{
    static const char *const props[] = {"KEYS\x01x Aa\x02",
                                        "UNIQ_KEY\x01"
                                        "BB\x02",
                                        "KEYS\x01"
                                        "BB\x02"};
    struct fixture f;
    struct put_result r;
    int64_t offsets[8], time, end, expected = 0;
    fixture_make(&f);
    fixture_open(&f, false);
    for (int i = 0; i < 12; i++) {
        const char *text = props[i ? 1 + i % 2 : 0];
        struct store_msg m = fixture_msg(f.s, "T", 0, STR_LIT("body"), str_from(text));
        assert_int_equal(store_put(f.s, &m, &r), PUT_OK);
        if (i == 0)
            expected = r.end_offset - r.bytes;
    }
    while (dispatcher_step(f.s))
        continue;
    assert_int_equal(store_query(f.s, STR_LIT("T"), STR_LIT("Aa"), 0, INT64_MAX, offsets, 1, &time, &end), 1);
    assert_int_equal(offsets[0], expected);
    assert_int_equal(store_query(f.s, STR_LIT("T"), STR_LIT("BB"), 0, INT64_MAX, offsets, 8, &time, &end), 8);
    assert_int_equal(store_query(f.s, STR_LIT("T"), STR_LIT("C#"), 0, INT64_MAX, offsets, 8, &time, &end), 0);
    fixture_free(&f);
}

static void lost_folders_are_built_again(void **state)
{
    struct fixture f;
    char path[400];
    fixture_make(&f);
    for (int after_crash = 0; after_crash < 2; after_crash++) {
        fixture_open(&f, true);
        for (int64_t i = 0; i < 300; i++)
            if (!after_crash)
                assert_int_equal(fixture_put(&f, "T", 0, i, NULL), PUT_OK);
        fixture_close(&f);
        snprintf(path, sizeof path, "%s/consumequeue", f.dir.path);
        assert_int_equal(fs_remove_tree(f.fs, path), 0);
        snprintf(path, sizeof path, "%s/index", f.dir.path);
        assert_int_equal(fs_remove_tree(f.fs, path), 0);
        snprintf(path, sizeof path, "%s/abort", f.dir.path);
        if (after_crash)
            fclose(fopen(path, "w"));
        fixture_open(&f, true);
        fixture_expect(&f, "T", 0, 0, 300);
        int64_t offsets[8], time, offset;
        size_t n = 0;
        for (int tries = 0; tries < 200 && n == 0; tries++) {
            struct timespec pause = {.tv_nsec = 10000000};
            nanosleep(&pause, NULL);
            n = store_query(f.s, STR_LIT("T"), STR_LIT("T-33"), 0, INT64_MAX, offsets, 8, &time, &offset);
        }
        assert_int_equal(n, 1);
        fixture_close(&f);
    }
    fixture_free(&f);
}

static void delay_topic_entries_carry_the_delivery_time(void **state)
{
    struct fixture f;
    struct put_result r;
    struct store_entry e;
    fixture_make(&f);
    fixture_open(&f, true);
    struct store_msg m = fixture_msg(f.s, "SCHEDULE_TOPIC_XXXX", 2, STR_LIT("x"),
                                     STR_LIT("DELAY\x01"
                                             "3\x02"));
    assert_int_equal(store_put(f.s, &m, &r), PUT_OK);
    assert_int_equal(store_entries(f.s, m.queue, 0, &e, 1), 1);
    assert_int_equal(e.tags_code, r.store_time + 10000);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_get),
        cmocka_unit_test(get_statuses),
        cmocka_unit_test(filtered_get_takes_only_what_matches),
        cmocka_unit_test(restart_keeps_all),
        cmocka_unit_test(death_of_the_process_loses_nothing),
        cmocka_unit_test(second_broker_on_the_directory_is_refused),
        cmocka_unit_test(wrong_segment_size_names_the_right_one),
        cmocka_unit_test(illegal_messages_are_refused),
        cmocka_unit_test(batch_gives_consecutive_offsets_and_ordered_results),
        cmocka_unit_test(synchronous_flush_hides_what_is_not_durable),
        cmocka_unit_test(search_by_time_and_offset),
        cmocka_unit_test(read_by_physical_offset),
        cmocka_unit_test(keys_are_found_soon_and_after_a_crash),
        cmocka_unit_test(keys_with_the_same_hash_are_told_apart),
        cmocka_unit_test(lost_folders_are_built_again),
        cmocka_unit_test(delay_topic_entries_carry_the_delivery_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
