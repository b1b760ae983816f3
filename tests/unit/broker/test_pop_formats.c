/* Texts and records of pops, ordered pops, and who gets which queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/pop/assignment_rules.h"
#include "broker/pop/pop_ack_body.h"
#include "broker/pop/pop_order.h"
#include "broker/pop/pop_queue.h"
#include <stdlib.h>

static void expect_text(const struct buf *b, const char *text)
{
    if (!str_eqz(buf_str(b), text))
        fail_msg("\"%.*s\", not \"%s\"", STR_ARG(buf_str(b)), text);
}

/* ---- handles and infos ---- */

static void test_handle(void **state)
{
    struct pop_handle h;
    struct buf b = {0};
    assert_true(pop_handle_parse(STR_LIT("12 1700000000000 60000 7 1 broker-a 3 14"), &h));
    assert_int_equal(h.start_offset, 12);
    assert_int_equal(h.pop_time, 1700000000000);
    assert_int_equal(h.invisible_ms, 60000);
    assert_int_equal(h.revive_queue, 7);
    assert_true(str_eqz(h.broker_name, "broker-a"));
    pop_handle_write(&b, &h, POP_RETRY_V1, 3, 14);
    expect_text(&b, "12 1700000000000 60000 7 1 broker-a 3 14");
    static const char *const bad[] = {"", "garbage", "1 2 3 4 0", "1 2 3 x 0 b", "99999999999999999999 1 1 1 0 b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pop_handle_parse(str_from(bad[i]), &h));
    buf_free(&b);
}

static void test_infos(void **state)
{
    struct buf b = {0};
    pop_info_start(&b, POP_NORMAL, 2, 100);
    pop_info_start(&b, POP_RETRY_V1, 0, 5);
    expect_text(&b, "0 2 100;1 0 5");
    buf_clear(&b);
    pop_info_offsets(&b, POP_NORMAL, 2, (const int64_t[]){100, 101, 105}, 3);
    pop_info_offsets(&b, POP_RETRY_V2, 0, (const int64_t[]){5}, 1);
    expect_text(&b, "0 2 100,101,105;2 0 5");
    buf_clear(&b);
    pop_info_offset_count(&b, POP_NORMAL, 2, 100, 3);
    pop_info_queue_count(&b, POP_NORMAL, 2, 1);
    expect_text(&b, "0 qo2%100 3;0 2 1");
    buf_free(&b);
}

static void test_retry_topics(void **state)
{
    struct buf b = {0};
    pop_retry_topic(&b, STR_LIT("T"), STR_LIT("G"), POP_RETRY_V1);
    expect_text(&b, "%RETRY%G_T");
    assert_int_equal(pop_kind_of(buf_str(&b)), POP_RETRY_V1);
    assert_true(str_eqz(pop_normal_topic(buf_str(&b), STR_LIT("G")), "T"));
    buf_clear(&b);
    pop_retry_topic(&b, STR_LIT("T"), STR_LIT("G"), POP_RETRY_V2);
    expect_text(&b, "%RETRY%G+T");
    assert_int_equal(pop_kind_of(buf_str(&b)), POP_RETRY_V2);
    assert_true(str_eqz(pop_normal_topic(buf_str(&b), STR_LIT("G")), "T"));
    assert_true(str_eqz(pop_normal_topic(STR_LIT("%RETRY%G"), STR_LIT("G")), "%RETRY%G"));
    assert_int_equal(pop_kind_of(STR_LIT("a+b")), POP_NORMAL);
    buf_free(&b);
}

/* ---- records ---- */

static void test_checkpoint_record(void **state)
{
    struct pop_checkpoint c = {
        .key = {STR_LIT("T"), STR_LIT("G"), STR_LIT("broker-a"), 3, 100, 1700000000000},
        .invisible_ms = 60000,
        .count = 3,
        .diff = {0, 1, 5},
    };
    struct buf body = {0}, properties = {0};
    struct arena arena = {0};
    struct pop_record r;
    struct msg m;
    pop_checkpoint_record(&c, 1700000000001, &body, &properties, &m);
    expect_text(&body,
                "{\"bm\":0,\"bn\":\"broker-a\",\"c\":\"G\",\"d\":[0,1,5],\"it\":60000,\"n\":3,\"pt\":1700000000000,"
                "\"q\":3,\"reviveTime\":1700000060000,\"ro\":0,\"so\":100,\"t\":\"T\"}");
    expect_text(&properties, "UNIQ_KEY\1T@3@100@G@1700000000000@broker-a@ck\2TAGS\1ck\2"
                             "TIMER_DELIVER_MS\0011700000000001\2");
    assert_int_equal(pop_record_read(&m, &arena, STR_LIT("other"), &r), POP_RECORD_CHECKPOINT);
    assert_int_equal(r.checkpoint.count, 3);
    assert_int_equal(pop_checkpoint_index(&r.checkpoint, 105), 2);
    assert_int_equal(pop_checkpoint_index(&r.checkpoint, 102), -1);
    assert_true(str_eqz(r.checkpoint.key.broker_name, "broker-a"));
    arena_free(&arena);
    buf_free(&body);
    buf_free(&properties);
}

static void test_ack_records(void **state)
{
    struct pop_acks a = {
        .key = {STR_LIT("T"), STR_LIT("G"), STR_LIT("broker-a"), 3, 100, 1700000000000},
        .count = 1,
        .offset = {105},
    };
    struct buf body = {0}, properties = {0};
    struct arena arena = {0};
    struct pop_record r;
    struct msg m;
    pop_acks_record(&a, false, 5, &body, &properties, &m);
    expect_text(&body,
                "{\"ao\":105,\"bn\":\"broker-a\",\"c\":\"G\",\"pt\":1700000000000,\"q\":3,\"so\":100,\"t\":\"T\"}");
    assert_true(str_eqz(msg_property(m.properties, STR_LIT("UNIQ_KEY")), "T@3@105@G@1700000000000@broker-a@ack"));
    assert_int_equal(pop_record_read(&m, &arena, STR_LIT("other"), &r), POP_RECORD_ACKS);
    assert_int_equal(r.acks.offset[0], 105);
    a.count = 2;
    a.offset[1] = 106;
    pop_acks_record(&a, true, 5, &body, &properties, &m);
    expect_text(&body, "{\"ao\":-1,\"aol\":[105,106],\"bn\":\"broker-a\",\"c\":\"G\",\"pt\":1700000000000,\"q\":3,"
                       "\"so\":100,\"t\":\"T\"}");
    assert_true(str_eqz(msg_property(m.properties, STR_LIT("UNIQ_KEY")), "T@3@-1@G@1700000000000@broker-a@ack"));
    assert_int_equal(pop_record_read(&m, &arena, STR_LIT("other"), &r), POP_RECORD_ACKS);
    assert_int_equal(r.acks.count, 2);
    arena_free(&arena);
    buf_free(&body);
    buf_free(&properties);
}

static enum pop_record_type read_record(struct arena *arena, const char *tag, const char *body, struct pop_record *r)
{
    struct buf properties = {0};
    msg_property_add(&properties, STR_LIT("TAGS"), str_from(tag));
    struct msg m = {.body = str_from(body), .properties = buf_str(&properties)};
    enum pop_record_type type = pop_record_read(&m, arena, STR_LIT("own"), r);
    buf_free(&properties);
    return type;
}

static void test_foreign_records(void **state)
{
    struct arena arena = {0};
    struct pop_record r;
    /* without differences: one after the other */
    assert_int_equal(read_record(&arena, "ck", "{\"so\":7,\"n\":2,\"t\":\"T\",\"c\":\"G\"}", &r),
                     POP_RECORD_CHECKPOINT);
    assert_int_equal(pop_checkpoint_index(&r.checkpoint, 8), 1);
    /* no broker: this one */
    assert_int_equal(read_record(&arena, "ack", "{\"ao\":7,\"t\":\"T\",\"c\":\"G\"}", &r), POP_RECORD_ACKS);
    assert_true(str_eqz(r.acks.key.broker_name, "own"));
    assert_int_equal(read_record(&arena, "ck", "{\"so\":7,\"n\":99,\"t\":\"T\",\"c\":\"G\"}", &r),
                     POP_RECORD_CHECKPOINT);
    assert_int_equal(r.checkpoint.count, POP_MAX_MESSAGES);
    static const char *const bad[] = {"", "[]", "{\"so\":7}", "{\"t\":\"T\",\"c\":\"G\",\"n\":-1}", "{", "\1\2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_record(&arena, "ck", bad[i], &r), POP_RECORD_NONE);
    assert_int_equal(read_record(&arena, "other", "{\"t\":\"T\",\"c\":\"G\"}", &r), POP_RECORD_NONE);
    arena_free(&arena);
}

static void test_batch_body(void **state)
{
    struct arena arena = {0};
    struct pop_batch_ack e;
    const struct json *j = json_parse(
        &arena,
        STR_LIT("{\"b\":\"CQI=\",\"c\":\"G\",\"it\":1,\"pt\":5,\"q\":2,\"r\":\"1\",\"rq\":3,\"so\":9,\"t\":\"T\"}"),
        NULL);
    assert_true(pop_batch_ack_read(&arena, j, STR_LIT("b"), &e));
    assert_true(str_eqz(e.key.topic, "%RETRY%G_T"));
    assert_int_equal(e.bits.len, 2);
    assert_memory_equal(e.bits.ptr, "\x09\x02", 2); /* bits 0, 3 and 9 */
    assert_int_equal(e.revive_queue, 3);
    static const char *const bad[] = {"{}", "{\"b\":\"!\",\"c\":\"G\",\"r\":\"0\",\"t\":\"T\"}",
                                      "{\"b\":\"CQI=\",\"c\":\"G\",\"r\":\"9\",\"t\":\"T\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pop_batch_ack_read(&arena, json_parse(&arena, str_from(bad[i]), NULL), STR_LIT("b"), &e));
    arena_free(&arena);
}

/* ---- ordered pops ---- */

static void test_order(void **state)
{
    struct pop_order o = {0};
    struct buf b = {0};
    int64_t free_at = 0;
    assert_false(pop_order_blocked(&o, STR_NULL, 1000, 50, &free_at));
    assert_int_equal(pop_order_ack(&o, 7, 1), 8); /* nothing is known: believed */
    assert_true(pop_order_popped(&o, STR_LIT("a1"), 100, 1000, 100, (const int64_t[]){10, 11, 12}, 3));
    assert_true(pop_order_blocked(&o, STR_LIT("a2"), 1000, 500, &free_at));
    assert_int_equal(free_at, 1100);
    assert_false(pop_order_blocked(&o, STR_LIT("a1"), 1000, 500, &free_at));
    assert_false(pop_order_blocked(&o, STR_LIT("a2"), 1000, 1100, &free_at));
    assert_int_equal(pop_order_ack(&o, 11, 99), POP_ORDER_STALE);
    assert_int_equal(pop_order_ack(&o, 13, 100), POP_ORDER_ILLEGAL);
    assert_int_equal(pop_order_ack(&o, 11, 100), 10);
    assert_int_equal(pop_order_ack(&o, 10, 100), 12);
    pop_order_set_visible(&o, 12, 100, 2000);
    assert_true(pop_order_blocked(&o, STR_NULL, 1000, 1500, &free_at));
    assert_int_equal(free_at, 2000);
    /* again, by another attempt: one of the two was popped before */
    assert_true(pop_order_popped(&o, STR_LIT("a3"), 3000, 1000, 3000, (const int64_t[]){12, 13}, 2));
    pop_order_counts(&o, &b, POP_NORMAL, 4);
    expect_text(&b, "0 qo4%12 1;0 4 0");
    assert_int_equal(pop_order_ack(&o, 12, 3000), 13);
    assert_int_equal(pop_order_ack(&o, 13, 3000), 14);
    assert_false(pop_order_blocked(&o, STR_NULL, 1000, 3001, &free_at));
    buf_free(&b);
    pop_order_clear(&o);
}

static void test_order_file(void **state)
{
    struct pop_order o = {0}, read = {0};
    struct arena arena = {0};
    struct buf b = {0};
    struct jw w;
    assert_true(pop_order_popped(&o, STR_LIT("a"), 90, 1000, 90, (const int64_t[]){10, 12}, 2));
    assert_true(pop_order_popped(&o, STR_LIT("b"), 100, 1000, 101, (const int64_t[]){10, 12}, 2));
    pop_order_set_visible(&o, 12, 100, 555);
    pop_order_ack(&o, 10, 100);
    jw_init(&w, &b);
    pop_order_write(&o, &w);
    expect_text(&b, "{\"a\":\"b\",\"cm\":1,\"i\":1000,\"l\":101,\"o\":[10,2],\"oc\":{10:1,12:1},\"ot\":{12:555},"
                    "\"popTime\":100}");
    assert_true(pop_order_read(&read, json_parse(&arena, buf_str(&b), NULL)));
    assert_int_equal(read.offset[1], 12);
    assert_int_equal(read.visible[1], 555);
    assert_int_equal(read.consumed[0], 1);
    assert_int_equal(read.acked, 1);
    assert_string_equal(read.attempt, "b");
    pop_order_clear(&o);
    pop_order_clear(&read);
    arena_free(&arena);
    buf_free(&b);
}

/* ---- one loop at a time ---- */

static void test_queue(void **state)
{
    struct pop_table *t = pop_table_new(NULL, 2);
    struct pop_group *g = pop_table_group(t, STR_LIT("T"), STR_LIT("G"), true);
    assert_non_null(g);
    assert_ptr_equal(pop_table_group(t, STR_LIT("%RETRY%G_T"), STR_LIT("G"), false), g->retry[POP_RETRY_V1]);
    struct pop_queue *q = pop_group_queue(g, 20, true);
    int64_t commit;
    assert_non_null(q);
    assert_true(pop_queue_enter(q, 0));
    assert_int_equal(pop_queue_start(q, 5), 5);
    pop_queue_put(q, 10);
    assert_int_equal(pop_queue_leave(q), 0);
    assert_false(pop_queue_enter(q, 1));
    assert_true(pop_queue_enter(q, 0)); /* the same loop goes on behind its own */
    assert_int_equal(pop_queue_start(q, 5), 10);
    pop_queue_put(q, 20);
    assert_false(pop_queue_done(q, true, 5, &commit));
    assert_true(pop_queue_done(q, true, 10, &commit));
    assert_int_equal(commit, 20);
    assert_int_equal(pop_queue_leave(q), 2); /* loop 1 wanted it */
    /* a checkpoint that did not get there: its messages are popped again */
    assert_true(pop_queue_enter(q, 1));
    pop_queue_put(q, 30);
    assert_true(pop_queue_done(q, false, 20, &commit));
    assert_int_equal(commit, 20);
    assert_int_equal(pop_queue_leave(q), 0);
    assert_true(pop_queue_skip(q, 40));
    assert_null(pop_group_queue(g, -1, true));
    pop_table_free(t);
}

/* ---- assignment ---- */

static size_t queue_list(struct assigned_queue *out)
{
    size_t n = 0;
    for (int32_t i = 0; i < 4; i++) {
        out[n++] = (struct assigned_queue){STR_LIT("b"), i};
        out[n++] = (struct assigned_queue){STR_LIT("a"), i};
    }
    assigned_queues_sort(out, n);
    return n;
}

static void test_assignment(void **state)
{
    struct assigned_queue all[8], out[9];
    size_t n = queue_list(all);
    assert_true(str_eqz(all[0].broker_name, "a"));
    assert_int_equal(all[3].queue_id, 3);
    assert_int_equal(assignment_strategy_of(STR_LIT("AVG")), ASSIGN_AVERAGELY);
    assert_int_equal(assignment_strategy_of(STR_LIT("other")), ASSIGN_UNKNOWN);
    /* 8 among 3: 3, 3, 2 */
    assert_int_equal(assign_pull(ASSIGN_AVERAGELY, all, n, 1, 3, out), 3);
    assert_int_equal(out[0].queue_id, 3);
    assert_int_equal(assign_pull(ASSIGN_AVERAGELY, all, n, 2, 3, out), 2);
    assert_int_equal(out[1].queue_id, 3);
    assert_int_equal(assign_pull(ASSIGN_BY_CIRCLE, all, n, 2, 3, out), 2);
    assert_int_equal(out[1].queue_id, 1);
    assert_int_equal(assign_pull(ASSIGN_AVERAGELY, all, n, 9, 10, out), 0);
    assert_int_equal(assign_pull(ASSIGN_AVERAGELY, all, n, 3, 3, out), 0);
    /* pops: all queues of each broker ... */
    assert_int_equal(assign_pop(ASSIGN_AVERAGELY, all, n, 0, 3, -1, out), 2);
    assert_int_equal(out[1].queue_id, -1);
    assert_true(str_eqz(out[1].broker_name, "b"));
    assert_int_equal(assign_pop(ASSIGN_AVERAGELY, all, n, 0, 3, 2, out), 2);
    /* ... or those of some of the others ... */
    assert_int_equal(assign_pop(ASSIGN_AVERAGELY, all, n, 2, 3, 1, out), 5);
    /* ... or one when there are more clients than queues */
    assert_int_equal(assign_pop(ASSIGN_AVERAGELY, all, n, 9, 12, 3, out), 1);
    assert_int_equal(out[0].queue_id, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handle),       cmocka_unit_test(test_infos),
        cmocka_unit_test(test_retry_topics), cmocka_unit_test(test_checkpoint_record),
        cmocka_unit_test(test_ack_records),  cmocka_unit_test(test_foreign_records),
        cmocka_unit_test(test_batch_body),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_file),   cmocka_unit_test(test_queue),
        cmocka_unit_test(test_assignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
