/* Pops, acknowledgements, locks and filters of the load generator are what a consumer sends. */
#include "cli/bench/consume_frame.h"

#include "base/arena.h"
#include "broker/pop/pop_ack_body.h"
#include "message/message.h"
#include "remoting/headers_client.h"
#include "remoting/headers_pop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(s)                                                                                                        \
    {                                                                                                                  \
        (s), sizeof(s) - 1                                                                                             \
    }

static const struct pull_spec spec = {.group = "G",
                                      .topic = "T",
                                      .broker_name = "b",
                                      .queue = 2,
                                      .max_messages = 32,
                                      .max_bytes = 262144,
                                      .suspend_ms = 1000};

static const struct pop_answer popped = {
    .starts = TEXT("0 2 100;1 0 7"),
    .offsets = TEXT("0 2 100,101,109;1 0 7"),
    .handle = {.pop_time = 1700000000123, .invisible_ms = 60000, .revive_queue = 3, .broker_name = TEXT("b")},
};

static void decode(struct buf *out, struct rem_command *c, struct rem_schema *schema, void *header)
{
    const char *why;
    assert_true(buf_ok(out));
    assert_true(rem_decode(out->data, out->len, c, &why));
    if (schema) {
        rem_schema_ready(schema);
        assert_true(rem_schema_decode(schema, c, header, &why));
    }
}

static void a_filter_and_an_offset_go_with_a_pull(void **state)
{
    for (int binary = 0; binary < 2; binary++) {
        struct pull_spec s = spec;
        struct buf out = {0};
        struct rem_command c;
        struct pull_req h;
        s.sql = "price > 998 AND colour = 'green'";
        s.binary = binary;
        pull_frame_write(&out, &s, 5, 4, 9);
        decode(&out, &c, &pull_req_schema, &h);
        assert_int_equal(h.subscription.len, 0); /* a heartbeat has told it */
        assert_true(str_eqz(h.expression_type, "SQL92"));
        assert_int_equal(h.commit_offset, 4);
        assert_int_equal(h.sys_flag, 1 | 2);
        buf_clear(&out);
        struct update_consumer_offset_req u;
        commit_offset_frame_write(&out, &s, 77);
        decode(&out, &c, &update_consumer_offset_req_schema, &u);
        assert_int_equal(c.code, REQ_UPDATE_CONSUMER_OFFSET);
        assert_int_equal(c.flag, REM_FLAG_ONEWAY);
        assert_int_equal(u.queue_id, 2);
        assert_int_equal(u.commit_offset, 77);
        buf_free(&out);
    }
}

static void a_pop_asks_like_a_push_consumer(void **state)
{
    struct buf out = {0};
    struct rem_command c;
    struct pop_req h;
    pop_frame_write(&out, &spec, 60000, 1700000000000, 4);
    decode(&out, &c, &pop_req_schema, &h);
    assert_int_equal(c.code, REQ_POP_MESSAGE);
    assert_int_equal(c.opaque, BENCH_OPAQUE_BASE + 4);
    assert_int_equal(h.queue_id, 2);
    assert_int_equal(h.max_msg_nums, 32);
    assert_int_equal(h.invisible_time, 60000);
    assert_int_equal(h.poll_time, 1000);
    assert_int_equal(h.init_mode, 0);
    assert_false(h.order);
    buf_free(&out);
}

static void each_message_of_a_pop_is_acknowledged(void **state)
{
    static const char *const topics[] = {"T", "T", "T", "%RETRY%G_T"};
    static const char *const handles[] = {"100 1700000000123 60000 3 0 b 2 100", "100 1700000000123 60000 3 0 b 2 101",
                                          "100 1700000000123 60000 3 0 b 2 109", "7 1700000000123 60000 3 1 b 0 7"};
    struct pop_answer left = popped;
    struct pop_answer_part part;
    struct str one;
    bool bad = false;
    int n = 0;
    while (pop_answer_next(&left, &part, &bad)) {
        while (part.offsets.len && str_split(&part.offsets, ',', &one)) {
            struct buf out = {0};
            struct rem_command c;
            struct ack_req h;
            int64_t offset;
            assert_true(str_to_i64(one, &offset));
            ack_frame_write(&out, &spec, &popped, &part, offset, 11);
            decode(&out, &c, &ack_req_schema, &h);
            assert_int_equal(c.code, REQ_ACK_MESSAGE);
            assert_true(str_eqz(h.topic, topics[n]));
            assert_true(str_eqz(h.extra_info, handles[n]));
            assert_int_equal(h.offset, offset);
            n++;
            buf_free(&out);
        }
    }
    assert_false(bad);
    assert_int_equal(n, 4);
}

static void a_batch_acknowledges_the_same(void **state)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct rem_command c;
    struct err err;
    struct pop_batch_ack ack[2];
    int n = 0;
    batch_ack_frame_write(&out, &spec, &popped, 12);
    decode(&out, &c, NULL, NULL);
    assert_int_equal(c.code, REQ_BATCH_ACK_MESSAGE);
    const struct json *body = json_parse(&arena, c.body, &err);
    assert_non_null(body);
    JSON_EACH(entry, json_get(body, "acks"))
    {
        assert_true(n < 2);
        assert_true(pop_batch_ack_read(&arena, entry, json_str(body, "brokerName"), &ack[n++]));
    }
    assert_int_equal(n, 2);
    assert_true(str_eqz(ack[0].key.topic, "T"));
    assert_true(str_eqz(ack[1].key.topic, "%RETRY%G_T"));
    assert_int_equal(ack[0].key.start_offset, 100);
    assert_int_equal(ack[0].key.pop_time, 1700000000123);
    assert_int_equal(ack[0].revive_queue, 3);
    assert_int_equal(ack[0].bits.len, 2);
    assert_int_equal((uint8_t)ack[0].bits.ptr[0], 3);
    assert_int_equal((uint8_t)ack[0].bits.ptr[1], 2);
    assert_int_equal(ack[1].bits.len, 1);
    arena_free(&arena);
    buf_free(&out);
}

static void a_pops_answer_is_read(void **state)
{
    static const char header[] =
        "{\"code\":0,\"extFields\":{\"popTime\":\"1700000000123\",\"invisibleTime\":\"60000\",\"reviveQid\":\"3\","
        "\"restNum\":\"0\",\"startOffsetInfo\":\"0 2 100\",\"msgOffsetInfo\":\"0 2 100,101\"},\"flag\":1,"
        "\"opaque\":1000000001}";
    struct bench_response r = {.header = (const uint8_t *)header, .header_len = sizeof header - 1};
    struct pop_answer a;
    struct pop_answer_part part;
    bool bad = false;
    assert_true(pop_answer_read(&r, STR_LIT("b"), &a));
    assert_int_equal(a.handle.pop_time, 1700000000123);
    assert_int_equal(a.handle.revive_queue, 3);
    assert_true(pop_answer_next(&a, &part, &bad));
    assert_int_equal(part.queue, 2);
    assert_int_equal(part.start_offset, 100);
    assert_true(str_eqz(part.offsets, "100,101"));
    assert_false(pop_answer_next(&a, &part, &bad));
    assert_false(bad);
    a.offsets = STR_LIT("0 5 1"); /* a queue whose start is not told */
    assert_false(pop_answer_next(&a, &part, &bad));
    assert_true(bad);
}

static void a_lock_names_its_queues(void **state)
{
    const int ids[] = {0, 2};
    struct arena arena = {0};
    struct buf out = {0};
    struct rem_command c;
    struct err err;
    int n = 0;
    lock_frame_write(&out, &spec, "client", ids, 2, 3);
    decode(&out, &c, NULL, NULL);
    assert_int_equal(c.code, REQ_LOCK_BATCH_MQ);
    const struct json *body = json_parse(&arena, c.body, &err);
    assert_non_null(body);
    assert_true(str_eqz(json_str(body, "clientId"), "client"));
    assert_true(str_eqz(json_str(body, "consumerGroup"), "G"));
    JSON_EACH(mq, json_get(body, "mqSet"))
    {
        assert_true(str_eqz(json_str(mq, "topic"), "T"));
        assert_true(str_eqz(json_str(mq, "brokerName"), "b"));
        assert_int_equal(json_i64(mq, "queueId", -1), ids[n++]);
    }
    assert_int_equal(n, 2);
    arena_free(&arena);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_and_an_offset_go_with_a_pull),
        cmocka_unit_test(a_pop_asks_like_a_push_consumer),
        cmocka_unit_test(each_message_of_a_pop_is_acknowledged),
        cmocka_unit_test(a_batch_acknowledges_the_same),
        cmocka_unit_test(a_pops_answer_is_read),
        cmocka_unit_test(a_lock_names_its_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
