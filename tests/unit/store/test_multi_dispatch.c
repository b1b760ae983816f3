/* One message in several light message queues. */
#include "unit/store/store_fixture.h"

#include "message/multi_dispatch.h"

enum { MANY = 600 };

static void make(struct fixture *f)
{
    fixture_make(f);
    f->conf.enableLmq = f->conf.enableMultiDispatch = true;
    fixture_open(f, false);
}

static struct store_msg message(struct fixture *f, const char *names, char *props, size_t cap)
{
    int len = snprintf(props, cap, "INNER_MULTI_DISPATCH\x01%s\x02UNIQ_KEY\x01u", names);
    return fixture_msg(f->s, "T", 0, str_from(names), str_make(props, (size_t)len));
}

static enum put_status put(struct fixture *f, const char *names)
{
    char props[512];
    struct store_msg m = message(f, names, props, sizeof props);
    return store_put(f->s, &m, NULL);
}

static int64_t max_of(struct fixture *f, const char *name)
{
    struct cq *q = store_queue(f->s, str_from(name), 0, false);
    return q ? cq_max(q) : 0;
}

/* The property with the offsets of the message at this place of the light message queue. */
static void expect(struct fixture *f, const char *name, int64_t at, const char *offsets)
{
    struct get_result r;
    struct msg_view v;
    store_get(f->s, store_queue(f->s, str_from(name), 0, false), at, 1, 1 << 20, NULL, NULL, true, &r);
    assert_int_equal(r.status, GET_FOUND);
    assert_int_equal(r.next_offset, at + 1);
    assert_int_equal(msg_decode(r.ranges[0].map, r.ranges[0].len, &v), MSG_OK);
    struct str found = msg_property(v.m.properties, STR_LIT(MSG_PROP_MULTI_OFFSET));
    if (!str_eqz(found, offsets))
        print_error("%s[%" PRId64 "]: %.*s, not %s\n", name, at, STR_ARG(found), offsets);
    assert_true(str_eqz(found, offsets));
    assert_int_equal(msg_multi_offset(v.m.topic, v.m.properties, str_from(name)), at);
    assert_true(str_eqz(msg_property(v.m.properties, STR_LIT("UNIQ_KEY")), "u"));
    store_release(f->s, &r);
}

static void test_entries(void **state)
{
    struct fixture f;
    make(&f);
    assert_int_equal(put(&f, "%LMQ%a"), PUT_OK);
    assert_int_equal(put(&f, "%LMQ%a,%LMQ%b"), PUT_OK);
    assert_int_equal(put(&f, "%LMQ%b,%LMQ%a,"), PUT_OK);
    assert_int_equal(put(&f, "%LMQ%a,%LMQ%a,%LMQ%c"), PUT_OK); /* named twice, there once */
    for (int round = 0; round < 2; round++) {
        assert_true(max_of(&f, "%LMQ%a") == 4 && max_of(&f, "%LMQ%b") == 2 && max_of(&f, "%LMQ%c") == 1);
        assert_int_equal(max_of(&f, "T"), 4);
        expect(&f, "%LMQ%a", 0, "0");
        expect(&f, "%LMQ%a", 1, "1,0");
        expect(&f, "%LMQ%b", 1, "1,2");
        expect(&f, "%LMQ%c", 0, "3,3,0");
        fixture_close(&f);
        fixture_open(&f, false);
    }
    fixture_free(&f);
}

static void test_illegal_names(void **state)
{
    struct fixture f;
    make(&f);
    const char *const names[] = {"plain", "%LMQ%a,plain", "%LMQ%a/b", "%LMQ%a,,%LMQ%b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(put(&f, names[i]), PUT_MESSAGE_ILLEGAL);
    assert_int_equal(put(&f, "%LMQ%a"), PUT_OK);
    assert_int_equal(max_of(&f, "%LMQ%a"), 1);
    expect(&f, "%LMQ%a", 0, "0");
    /* Topics that are not dispatched, and a store that does not do it. */
    struct store_msg m = fixture_msg(f.s, "%RETRY%g", 0, STR_LIT("x"), STR_LIT("INNER_MULTI_DISPATCH\x01%LMQ%a\x02"));
    assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    assert_int_equal(max_of(&f, "%LMQ%a"), 1);
    fixture_close(&f);
    f.conf.enableMultiDispatch = false;
    fixture_open(&f, false);
    assert_int_equal(put(&f, "%LMQ%a,plain"), PUT_OK);
    assert_int_equal(max_of(&f, "%LMQ%a"), 1);
    fixture_free(&f);
}

static void count_stored(void *arg, void *user, const struct put_result *r)
{
    assert_int_equal(r->status, PUT_OK);
    assert_int_equal(r->queue_offset, (intptr_t)user);
    ++*(int *)arg;
}

/* Numbers get longer within a batch, and while a batch waits: its records are laid out anew. */
static void test_numbers_grow(void **state)
{
    for (int crc = 0; crc < 2; crc++) {
        struct fixture f;
        fixture_make(&f);
        f.conf.enableLmq = f.conf.enableMultiDispatch = true;
        f.conf.enabledAppendPropCRC = crc;
        fixture_open(&f, false);
        for (int i = 0; i < 97; i++)
            assert_int_equal(put(&f, i < 8 ? "%LMQ%a,%LMQ%b" : "%LMQ%a"), PUT_OK);
        struct store_batch *b = store_batch_new(f.s);
        char props[6][512];
        int stored = 0;
        for (intptr_t i = 0; i < 6; i++) {
            struct store_msg m = message(&f, i % 2 ? "%LMQ%b,%LMQ%a" : "%LMQ%a,%LMQ%b", props[i], sizeof props[i]);
            assert_int_equal(store_batch_add(b, &m, (void *)(i + 99)), PUT_OK);
        }
        /* Meanwhile somebody else: a is at 99 and b at 8 when the batch comes. */
        assert_int_equal(put(&f, "%LMQ%a"), PUT_OK);
        assert_int_equal(put(&f, "%LMQ%a"), PUT_OK);
        store_batch_commit(b, count_stored, &stored);
        assert_int_equal(stored, 6);
        for (int round = 0; round < 2; round++) {
            expect(&f, "%LMQ%a", 99, "99,8");
            expect(&f, "%LMQ%a", 100, "9,100");
            expect(&f, "%LMQ%b", 10, "101,10");
            expect(&f, "%LMQ%b", 13, "13,104");
            assert_true(max_of(&f, "%LMQ%a") == 105 && max_of(&f, "%LMQ%b") == 14);
            fixture_close(&f);
            fixture_open(&f, false);
        }
        store_batch_free(b);
        fixture_free(&f);
    }
}

/* A put of several records of which one is refused leaves nothing behind. */
static void test_refused_together(void **state)
{
    struct fixture f;
    make(&f);
    struct store_batch *b = store_batch_new(f.s);
    char props[3][512];
    struct store_msg m[3] = {message(&f, "%LMQ%a", props[0], 512), message(&f, "%LMQ%a,%LMQ%b", props[1], 512),
                             message(&f, "bad", props[2], 512)};
    int stored = 0;
    assert_int_equal(store_batch_add_many(b, m, 3, NULL), PUT_MESSAGE_ILLEGAL);
    assert_int_equal(store_batch_add_many(b, m, 2, NULL), PUT_OK);
    store_batch_commit(b, count_stored, &stored);
    assert_int_equal(stored, 1);
    assert_true(max_of(&f, "%LMQ%a") == 2 && max_of(&f, "%LMQ%b") == 1 && max_of(&f, "T") == 2);
    expect(&f, "%LMQ%a", 1, "1,0");
    store_batch_free(b);
    fixture_free(&f);
}

/* Thousands of queues in one message, and the whole of them again from the log. */
static void test_many(void **state)
{
    struct fixture f;
    struct buf names = {0}, props = {0};
    char name[32], path[512];
    struct err err;
    make(&f);
    for (int i = 0; i < MANY; i++)
        buf_printf(&names, "%s%%LMQ%%%d", i ? "," : "", i);
    msg_property_add(&props, STR_LIT(MSG_PROP_MULTI_DISPATCH), buf_str(&names));
    assert_true(buf_ok(&props));
    struct store_msg m = fixture_msg(f.s, "T", 0, STR_LIT("to all"), buf_str(&props));
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    assert_int_equal(store_mark_running(f.s, &err), 0);
    fixture_close(&f);
    snprintf(path, sizeof path, "%s/consumequeue", f.dir.path);
    assert_int_equal(fs_remove_tree(f.fs, path), 0);
    fixture_open(&f, false);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%%LMQ%%%d", i);
        assert_int_equal(max_of(&f, name), 3);
    }
    /* Too long with the offsets. */
    buf_clear(&props);
    while (names.len < 26000)
        buf_printf(&names, ",%%LMQ%%x%zu", names.len);
    msg_property_add(&props, STR_LIT(MSG_PROP_MULTI_DISPATCH), buf_str(&names));
    m = fixture_msg(f.s, "T", 0, STR_LIT("too many"), buf_str(&props));
    enum put_status status = PUT_OK;
    for (int i = 0; i < 3 && status == PUT_OK; i++) {
        buf_printf(&props, "filler%d\x01%01000d\x02", i, 0);
        m = fixture_msg(f.s, "T", 0, STR_LIT("too many"), buf_str(&props));
        status = store_put(f.s, &m, NULL);
    }
    assert_int_equal(status, PUT_PROPERTIES_SIZE_EXCEEDED);
    assert_int_equal(max_of(&f, "%LMQ%0"), cq_max(m.queue));
    buf_free(&names);
    buf_free(&props);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),      cmocka_unit_test(test_illegal_names),
        cmocka_unit_test(test_numbers_grow), cmocka_unit_test(test_refused_together),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
