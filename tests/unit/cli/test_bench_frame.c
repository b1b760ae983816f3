/* The frames of the load generator are what a client sends, in both encodings, and answers of every shape are read. */
#include "cli/bench/consume_frame.h"

#include "message/message.h"
#include "remoting/headers_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct send_frame_spec one = {.group = "G",
                                           .topic = "T",
                                           .broker_name = "b",
                                           .queue = 3,
                                           .size = 100,
                                           .batch = 1,
                                           .key_prefix = "0123456789ABCDEF0123"};

static void decode_send(uint8_t *frame, size_t len, struct rem_command *c, struct send_req *h)
{
    const char *why;
    assert_true(rem_decode(frame, len, c, &why));
    rem_schema_ready(&send_req_v2_schema);
    assert_true(rem_schema_decode(&send_req_v2_schema, c, h, &why));
}

static void a_send_is_stamped(bool binary)
{
    struct send_frame f;
    struct send_frame_spec spec = one;
    struct buf out = {0};
    struct err err;
    struct rem_command c;
    struct send_req h;
    uint64_t key = 0xABC;
    spec.binary = binary;
    assert_int_equal(send_frame_make(&f, &spec, &err), 0);
    for (uint32_t slot = 7; slot < 9; slot++) {
        buf_clear(&out);
        uint8_t *at = send_frame_stamp(&f, &out, slot, "1700000000123", &key);
        assert_ptr_equal(at, out.data);
        decode_send(out.data, out.len, &c, &h);
        assert_int_equal(c.code, REQ_SEND_MESSAGE_V2);
        assert_int_equal(c.opaque, BENCH_OPAQUE_BASE + slot);
        assert_int_equal(c.flag, 0);
        assert_int_equal(c.body.len, 100);
        assert_int_equal(h.born_timestamp, 1700000000123);
        assert_int_equal(h.queue_id, 3);
        assert_true(str_eqz(h.topic, "T"));
        assert_true(str_eqz(msg_property(h.properties, STR_LIT(MSG_PROP_UNIQ_KEY)),
                            slot == 7 ? "0123456789ABCDEF0123000000000ABC" : "0123456789ABCDEF0123000000000ABD"));
    }
    send_frame_free(&f);
    buf_free(&out);
}

static void json_sends_are_stamped(void **state)
{
    a_send_is_stamped(false);
}

static void binary_sends_are_stamped(void **state)
{
    a_send_is_stamped(true);
}

static void a_batch_holds_messages_with_keys_of_their_own(void **state)
{
    struct send_frame f;
    struct send_frame_spec spec = one;
    struct buf out = {0};
    struct err err;
    struct rem_command c;
    struct send_req h;
    struct msg_batch_entry e;
    uint64_t key = 0;
    bool bad = false;
    int n = 0;
    spec.batch = 3;
    assert_int_equal(send_frame_make(&f, &spec, &err), 0);
    uint8_t *at = send_frame_stamp(&f, &out, 0, "1700000000123", &key);
    for (size_t i = 0; i < 3; i++)
        put_be64(at + f.entry_at[i], i + 40); /* what the end-to-end work writes into each body */
    assert_int_equal(key, 3);
    decode_send(out.data, out.len, &c, &h);
    assert_int_equal(c.code, REQ_SEND_BATCH_MESSAGE);
    assert_true(h.batch);
    for (struct str rest = c.body; msg_batch_next(&rest, &e, &bad); n++) {
        char expected[40] = "0123456789ABCDEF0123000000000000";
        expected[31] = (char)('0' + n);
        assert_int_equal(e.body.len, 100);
        assert_int_equal(get_be64(e.body.ptr), n + 40);
        assert_true(str_eqz(msg_property(e.properties, STR_LIT(MSG_PROP_UNIQ_KEY)), expected));
    }
    assert_false(bad);
    assert_int_equal(n, 3);
    send_frame_free(&f);
    buf_free(&out);
}

static void properties_carry_the_number_of_their_message(void **state)
{
    struct send_frame f;
    struct send_frame_spec spec = one;
    struct buf out = {0};
    struct err err;
    struct rem_command c;
    struct send_req h;
    struct msg_batch_entry e;
    bool bad = false;
    spec.properties = "number=####;price=###;colour=green";
    for (size_t batch = 1; batch <= 3; batch += 2) {
        uint64_t key = 12345, n = key;
        spec.batch = batch;
        buf_clear(&out);
        assert_int_equal(send_frame_make(&f, &spec, &err), 0);
        send_frame_stamp(&f, &out, 0, "1700000000123", &key);
        decode_send(out.data, out.len, &c, &h);
        if (batch == 1) {
            assert_true(str_eqz(msg_property(h.properties, STR_LIT("number")), "2345"));
            assert_true(str_eqz(msg_property(h.properties, STR_LIT("price")), "345"));
            assert_true(str_eqz(msg_property(h.properties, STR_LIT("colour")), "green"));
        }
        for (struct str rest = c.body; batch > 1 && msg_batch_next(&rest, &e, &bad); n++) {
            char expected[8];
            snprintf(expected, sizeof expected, "%04d", (int)(n % 10000));
            assert_true(str_eqz(msg_property(e.properties, STR_LIT("number")), expected));
            assert_true(str_eqz(msg_property(e.properties, STR_LIT("price")), expected + 1));
        }
        assert_int_equal(n, batch == 1 ? 12345 : 12348);
        assert_false(bad);
        send_frame_free(&f);
    }
    buf_free(&out);
}

static void a_pull_asks_like_a_push_consumer(void **state)
{
    const struct pull_spec spec = {.group = "G",
                                   .topic = "T",
                                   .broker_name = "b",
                                   .queue = 2,
                                   .max_messages = 32,
                                   .max_bytes = 262144,
                                   .suspend_ms = 15000};
    rem_schema_ready(&pull_req_schema);
    for (int binary = 0; binary < 2; binary++) {
        struct pull_spec s = spec;
        struct buf out = {0};
        struct rem_command c;
        struct pull_req h;
        const char *why;
        s.binary = binary;
        pull_frame_write(&out, &s, 12345678901, -1, 5);
        assert_true(rem_decode(out.data, out.len, &c, &why));
        assert_true(rem_schema_decode(&pull_req_schema, &c, &h, &why));
        assert_int_equal(c.code, REQ_PULL_MESSAGE);
        assert_int_equal(c.opaque, BENCH_OPAQUE_BASE + 5);
        assert_int_equal(h.queue_offset, 12345678901);
        assert_int_equal(h.max_msg_nums, 32);
        assert_int_equal(h.sys_flag, 2 | 4);
        assert_int_equal(h.suspend_timeout, 15000);
        buf_free(&out);
    }
}

/* A frame of a JSON header and a body, in fresh memory: reading beyond it is seen by the sanitizer. */
static uint8_t *frame_of(const char *header, const char *body, size_t *len)
{
    size_t h = strlen(header), b = strlen(body);
    uint8_t *frame = malloc(8 + h + b);
    assert_non_null(frame);
    put_be32(frame, (uint32_t)(4 + h + b));
    put_be32(frame + 4, (uint32_t)h);
    memcpy(frame + 8, header, h);
    memcpy(frame + 8 + h, body, b);
    *len = 8 + h + b;
    return frame;
}

static void answers_are_read_whatever_their_order(void **state)
{
    static const char *const headers[] = {
        "{\"code\":19,\"extFields\":{\"nextBeginOffset\":\"77\",\"maxOffset\":\"-1\"},\"flag\":1,\"language\":\"JAVA\","
        "\"opaque\":1000000042,\"remark\":\"no \\\"new\\\" "
        "message\",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}",
        "{\"opaque\":1000000042,\"version\":1,\"flag\":1,\"remark\":\"no \\\"new\\\" message\",\"code\":19,"
        "\"extFields\":{\"nextBeginOffset\":77,\"maxOffset\":-1}}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct bench_response r;
        bool is_request;
        char remark[64];
        size_t len;
        uint8_t *frame = frame_of(headers[i], "BODY", &len);
        assert_true(bench_response_read(frame, len, &r, &is_request));
        assert_int_equal(r.code, 19);
        assert_int_equal(r.slot, 42);
        assert_int_equal(r.body_len, 4);
        assert_memory_equal(r.body, "BODY", 4);
        assert_int_equal(bench_response_i64(&r, "nextBeginOffset", -5), 77);
        assert_int_equal(bench_response_i64(&r, "maxOffset", -5), -1);
        assert_int_equal(bench_response_i64(&r, "minOffset", -5), -5);
        bench_response_remark(&r, remark, sizeof remark);
        assert_string_equal(remark, "no \"new\" message");
        free(frame);
    }
}

static void requests_and_nonsense_are_no_answers(void **state)
{
    struct bench_response r;
    bool is_request;
    size_t len;
    uint8_t *frame = frame_of("{\"code\":40,\"flag\":2,\"language\":\"JAVA\",\"opaque\":3,\"version\":479}", "", &len);
    assert_false(bench_response_read(frame, len, &r, &is_request));
    assert_true(is_request);
    free(frame);
    frame = frame_of("nonsense", "", &len);
    assert_false(bench_response_read(frame, len, &r, &is_request));
    assert_false(is_request);
    put_be32(frame + 4, 1000); /* a header longer than the frame */
    assert_false(bench_response_read(frame, len, &r, &is_request));
    frame[4] = 9; /* no such encoding */
    assert_false(bench_response_read(frame, len, &r, &is_request));
    assert_false(bench_response_read(frame, 7, &r, &is_request));
    free(frame);
}

static void binary_answers_are_read(void **state)
{
    /* code 0, language, version, opaque BASE + 1, flag 1, no remark, one field: queueOffset = 9 */
    static const uint8_t header[] = {0,   0,   0,   1,   0xDF, 0x3B, 0x9A, 0xCA, 0x01, 0,  0,   0,   1,
                                     0,   0,   0,   0,   0,    0,    0,    18,   0,    11, 'q', 'u', 'e',
                                     'u', 'e', 'O', 'f', 'f',  's',  'e',  't',  0,    0,  0,   1,   '9'};
    struct bench_response r;
    bool is_request;
    uint8_t frame[8 + sizeof header];
    put_be32(frame, 4 + sizeof header);
    put_be32(frame + 4, (uint32_t)sizeof header | 1u << 24);
    memcpy(frame + 8, header, sizeof header);
    assert_true(bench_response_read(frame, sizeof frame, &r, &is_request));
    assert_int_equal(r.code, 0);
    assert_int_equal(r.slot, 1);
    assert_int_equal(bench_response_i64(&r, "queueOffset", -1), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_sends_are_stamped),
        cmocka_unit_test(binary_sends_are_stamped),
        cmocka_unit_test(a_batch_holds_messages_with_keys_of_their_own),
        cmocka_unit_test(properties_carry_the_number_of_their_message),
        cmocka_unit_test(a_pull_asks_like_a_push_consumer),
        cmocka_unit_test(answers_are_read_whatever_their_order),
        cmocka_unit_test(requests_and_nonsense_are_no_answers),
        cmocka_unit_test(binary_answers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
