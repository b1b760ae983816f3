/* Batch queues: offsets count messages, entries are batches; the file format is Java's. */
#include "unit/store/store_fixture.h"

#include "message/multi_dispatch.h"

enum { FILE_UNITS = 10, BATCHES = 35 };

static bool is_batch_topic(void *arg, struct str topic)
{
    return str_eqz(topic, "B");
}

static void make(struct fixture *f)
{
    fixture_make(f);
    f->events.batch_topic = is_batch_topic;
    f->conf.mapperFileSizeBatchConsumeQueue = FILE_UNITS * 46;
    fixture_open(f, false);
}

static int32_t messages_of(int64_t n)
{
    return 1 + (int32_t)(n % 5);
}

/* Queue offset of the n-th batch. */
static int64_t base_of(int64_t n)
{
    int64_t base = 0;
    for (int64_t i = 0; i < n; i++)
        base += messages_of(i);
    return base;
}

static struct put_result put(struct fixture *f, int64_t n, enum put_status want)
{
    char body[512], props[128];
    struct put_result r;
    int len =
        snprintf(props, sizeof props, "UNIQ_KEY\x01k%" PRId64 "\x02INNER_NUM\x01%d\x02TAGS\x01T", n, messages_of(n));
    struct store_msg m = fixture_msg(f->s, "B", 0, fixture_body(body, "B", n), str_make(props, (size_t)len));
    m.m.sys_flag = MSG_FLAG_INNER_BATCH | MSG_FLAG_NEED_UNWRAP;
    m.batch_messages = messages_of(n);
    assert_int_equal(store_put(f->s, &m, &r), want);
    return r;
}

static void fill(struct fixture *f, int64_t from, int64_t to)
{
    for (int64_t n = from; n < to; n++) {
        struct put_result r = put(f, n, PUT_OK);
        assert_int_equal(r.queue_offset, base_of(n));
        assert_int_equal(r.count, 1);
        assert_int_equal(r.messages, messages_of(n));
    }
}

static struct cq *queue(struct fixture *f)
{
    struct cq *q = store_queue(f->s, STR_LIT("B"), 0, false);
    assert_non_null(q);
    assert_true(cq_is_batch(q));
    return q;
}

/* Batches [from, to) are read one after the other. */
static void expect(struct fixture *f, int64_t from, int64_t to)
{
    struct cq *q = queue(f);
    struct get_result r;
    assert_int_equal(cq_min(q), base_of(from));
    assert_int_equal(cq_max(q), base_of(to));
    for (int64_t n = from; n < to;) {
        store_get(f->s, q, base_of(n), 12, 1 << 20, NULL, NULL, true, &r);
        assert_int_equal(r.status, GET_FOUND);
        uint32_t messages = 0;
        for (uint32_t i = 0; i < r.n_ranges; i++) {
            const uint8_t *at = r.ranges[i].map, *end = at + r.ranges[i].len;
            for (struct msg_view v; at < end; at += v.size, n++) {
                char body[512];
                int64_t base = -1;
                int32_t count = 0;
                assert_int_equal(msg_decode(at, (size_t)(end - at), &v), MSG_OK);
                assert_true(str_eq(v.m.body, fixture_body(body, "B", n)));
                assert_true(msg_inner_batch(v.m.properties, &base, &count));
                assert_int_equal(v.m.queue_offset, base_of(n));
                assert_int_equal(base, base_of(n));
                assert_int_equal(count, messages_of(n));
                messages += (uint32_t)count;
            }
        }
        assert_true(r.count == messages && r.count <= 12);
        assert_int_equal(r.next_offset, base_of(n));
        store_release(f->s, &r);
    }
}

static void test_offsets_count_messages(void **state)
{
    struct fixture f;
    make(&f);
    fill(&f, 0, BATCHES);
    expect(&f, 0, BATCHES);
    /* From the middle of a batch all of it is read. */
    for (int64_t offset = 0; offset < base_of(BATCHES); offset++) {
        struct get_result r;
        store_get(f.s, queue(&f), offset, 1, 1 << 20, NULL, NULL, true, &r);
        assert_int_equal(r.status, GET_FOUND);
        int64_t base = (int64_t)get_be64(r.ranges[0].map + MSG_POS_QUEUE_OFFSET);
        assert_true(base <= offset && r.next_offset > offset && r.next_offset - base == r.count);
        store_release(f.s, &r);
    }
    fixture_free(&f);
}

static void test_restart_goes_on(void **state)
{
    struct fixture f;
    make(&f);
    for (int64_t n = 0; n < BATCHES; n += 7) {
        fill(&f, n, n + 7 < BATCHES ? n + 7 : BATCHES);
        fixture_close(&f);
        fixture_open(&f, false);
    }
    expect(&f, 0, BATCHES);
    /* Without its files the queue is built from the log again. */
    char path[512];
    struct err err;
    assert_int_equal(store_mark_running(f.s, &err), 0);
    fixture_close(&f);
    snprintf(path, sizeof path, "%s/batchconsumequeue", f.dir.path);
    assert_int_equal(fs_remove_tree(f.fs, path), 0);
    fixture_open(&f, false);
    expect(&f, 0, BATCHES);
    fill(&f, BATCHES, BATCHES + 3);
    expect(&f, 0, BATCHES + 3);
    fixture_free(&f);
}

static void test_file_format(void **state)
{
    struct fixture f;
    char path[512], *data;
    size_t size;
    make(&f);
    fill(&f, 0, 12);
    struct store_entry e[12];
    assert_int_equal(store_entries(f.s, queue(&f), 0, e, 12), 12);
    fixture_close(&f);
    for (int file = 0; file < 2; file++) {
        snprintf(path, sizeof path, "%s/batchconsumequeue/B/0/%020d", f.dir.path, file * FILE_UNITS * 46);
        assert_int_equal(fs_load(f.fs, path, 1 << 20, &data, &size), 0);
        assert_int_equal(size, FILE_UNITS * 46);
        for (int i = 0; i < FILE_UNITS; i++) {
            const uint8_t *unit = (const uint8_t *)data + i * 46;
            int64_t n = file * FILE_UNITS + i;
            if (n >= 12) {
                for (int k = 0; k < 46; k++)
                    assert_int_equal(unit[k], 0);
                continue;
            }
            assert_int_equal(get_be64(unit), e[n].physical_offset);
            assert_int_equal(get_be32(unit + 8), e[n].size);
            assert_int_equal(get_be64(unit + 12), 'T'); /* Java's hash of "T" */
            assert_true(get_be64(unit + 20) > 1600000000000);
            assert_int_equal(get_be64(unit + 28), base_of(n));
            assert_int_equal(get_be16(unit + 36), messages_of(n));
            assert_int_equal(get_be32(unit + 38), UINT32_MAX);
            assert_int_equal(get_be32(unit + 42), 0);
        }
        free(data);
    }
    fixture_free(&f);
}

static void test_single_messages(void **state)
{
    struct fixture f;
    make(&f);
    for (int64_t n = 0; n < 5; n++)
        assert_int_equal(fixture_put(&f, "B", 0, n, NULL), PUT_OK);
    fixture_expect(&f, "B", 0, 0, 5);
    assert_true(cq_is_batch(queue(&f)));
    /* A batch needs a batch queue. */
    struct store_msg m = fixture_msg(f.s, "A", 0, STR_LIT("x"),
                                     STR_LIT("INNER_NUM\x01"
                                             "2\x02"));
    m.m.sys_flag = MSG_FLAG_INNER_BATCH;
    m.batch_messages = 2;
    assert_int_equal(store_put(f.s, &m, NULL), PUT_MESSAGE_ILLEGAL);
    fixture_free(&f);
}

static void test_retention(void **state)
{
    struct fixture f;
    make(&f);
    int64_t n = 0;
    while (clog_max(f.s->log) < 3 * FIXTURE_SEGMENT)
        put(&f, n++, PUT_OK);
    keeper_step(f.s, true);
    assert_true(clog_remove_first(f.s->log) > 0);
    queues_truncate_front(f.s, clog_min(f.s->log));
    int64_t min = cq_min(queue(&f)), first = 0;
    while (base_of(first) < min)
        first++;
    assert_true(first > FILE_UNITS);
    expect(&f, first, n);
    char path[512];
    snprintf(path, sizeof path, "%s/batchconsumequeue/B/0/%020d", f.dir.path, 0);
    assert_false(fs_exists(f.fs, path));
    fixture_close(&f);
    fixture_open(&f, false);
    expect(&f, first, n);
    fixture_free(&f);
}

static void test_by_time(void **state)
{
    struct fixture f;
    int64_t times[6];
    make(&f);
    for (int64_t n = 0; n < 6; n++) {
        times[n] = put(&f, n, PUT_OK).store_time;
        for (int64_t t = times[n]; f.fs->now_ms(f.fs) < t + 2;)
            continue;
    }
    struct cq *q = queue(&f);
    for (int64_t n = 0; n < 6; n++) {
        assert_int_equal(store_time_of(f.s, q, base_of(n)), times[n]);
        assert_int_equal(store_offset_by_time(f.s, q, times[n], false), base_of(n));
        assert_int_equal(store_offset_by_time(f.s, q, times[n], true), base_of(n));
        assert_int_equal(store_offset_by_time(f.s, q, times[n] + 1, false), base_of(n < 5 ? n + 1 : 5));
    }
    assert_int_equal(store_offset_by_time(f.s, q, 0, false), 0);
    assert_int_equal(store_offset_by_time(f.s, q, times[5] + 1000, false), base_of(5));
    fixture_free(&f);
}

static void test_deleted_and_used_again(void **state)
{
    struct fixture f;
    make(&f);
    fill(&f, 0, 8);
    store_delete_topic(f.s, STR_LIT("B"));
    assert_null(store_queue(f.s, STR_LIT("B"), 0, false));
    fill(&f, 0, 3);
    expect(&f, 0, 3);
    fixture_close(&f);
    fixture_open(&f, false);
    expect(&f, 0, 3);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_count_messages),
        cmocka_unit_test(test_restart_goes_on),
        cmocka_unit_test(test_file_format),
        cmocka_unit_test(test_single_messages),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_by_time),
        cmocka_unit_test(test_deleted_and_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
