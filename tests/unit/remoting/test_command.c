/* The frame and both header encodings: what peers send is read as they mean it, what is malformed is refused. */
#include "remoting/headers_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static bool decode_json(const char *text, struct rem_command *c, const char **why)
{
    static char copy[8192];
    size_t n = strlen(text);
    struct buf b = {0};
    buf_add_be32(&b, (uint32_t)(4 + n));
    buf_add_be32(&b, (uint32_t)n);
    buf_add(&b, text, n);
    assert_true(b.len <= sizeof copy);
    memcpy(copy, b.data, b.len);
    bool ok = rem_decode((uint8_t *)copy, b.len, c, why);
    buf_free(&b);
    return ok;
}

static void reads_a_java_header(void **state)
{
    struct rem_command c;
    const char *why = NULL;
    assert_true(decode_json(
        "{\"code\":310,\"extFields\":{\"a\":\"pg\",\"b\":\"TopicTest\",\"e\":\"3\",\"f\":\"0\",\"g\":\"1700000000000\","
        "\"h\":\"0\",\"i\":\"KEYS\\u0001k1\\u0002TAGS\\u0001A\\u0002\",\"m\":\"false\"},\"flag\":0,\"language\":"
        "\"JAVA\","
        "\"opaque\":42,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}",
        &c, &why));
    assert_int_equal(c.code, 310);
    assert_int_equal(c.opaque, 42);
    assert_int_equal(c.version, 479);
    assert_int_equal(c.language, REM_LANG_JAVA);
    assert_true(str_eqz(rem_ext(&c, "b"), "TopicTest"));
    assert_true(str_eq(rem_ext(&c, "i"), STR_LIT("KEYS\001k1\002TAGS\001A\002")));
    struct send_req h;
    const char *bad = NULL;
    rem_schema_ready(&send_req_v2_schema);
    assert_true(rem_schema_decode(&send_req_v2_schema, &c, &h, &bad));
    assert_true(str_eqz(h.topic, "TopicTest"));
    assert_int_equal(h.queue_id, 3);
    assert_int_equal(h.born_timestamp, INT64_C(1700000000000));
    assert_int_equal(h.max_reconsume_times, -1);
    assert_false(h.batch);
}

static void accepts_what_other_clients_send(void **state)
{
    struct rem_command c;
    const char *why = NULL;
    assert_true(decode_json(
        " { \"code\" : 11 , \"extFields\" : { \"queueId\" : 5, \"x\":null, \"o\":{\"k\":[1,\"}\"]}, \"t\":true } ,"
        "\"language\":9, \"unknown\":[{\"a\":\"\\\"\"}], \"remark\":\"\\u00e9\\ud83d\\ude00\\n\" }",
        &c, &why));
    assert_int_equal(c.code, 11);
    assert_int_equal(c.language, REM_LANG_GO);
    assert_true(str_eqz(rem_ext(&c, "queueId"), "5"));
    assert_true(str_is_null(rem_ext(&c, "x")));
    assert_true(str_eqz(rem_ext(&c, "o"), "{\"k\":[1,\"}\"]}"));
    assert_true(str_eqz(rem_ext(&c, "t"), "true"));
    assert_true(str_eqz(c.remark, "\xc3\xa9\xf0\x9f\x98\x80\n"));
    assert_true(decode_json("{}", &c, &why));
    assert_true(decode_json("{\"code\":-1000,\"extFields\":null,\"language\":\"KLINGON\"}", &c, &why));
    assert_int_equal(c.code, -1000);
    assert_int_equal(c.language, REM_LANG_UNKNOWN);
    assert_false(c.has_ext);
}

static void refuses_broken_json(void **state)
{
    static const char *const broken[] = {
        "",
        "[]",
        "{",
        "{\"code\":1",
        "{\"code\":}",
        "{\"code\":1x}",
        "{\"code\" 1}",
        "{\"extFields\":{\"a\"}}",
        "{\"extFields\":{\"a\":\"b",
        "{\"code\":99999999999}",
        "{\"remark\":\"\\u12\"}",
        "{\"remark\":\"\\",
        "{\"code\":1,,}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct rem_command c;
        const char *why = NULL;
        assert_false(decode_json(broken[i], &c, &why));
        assert_non_null(why);
    }
}

static void reads_the_binary_header(void **state)
{
    /* code 310, GO, version 479, opaque 7, flag 2, remark "hi", topic=T, empty e */
    static const uint8_t header[] = {0x01, 0x36, 9, 0x01, 0xdf, 0,   0,   0,   7,   0, 0, 0,   2, 0,
                                     0,    0,    2, 'h',  'i',  0,   0,   0,   19,  0, 1, 'e', 0, 0,
                                     0,    0,    0, 5,    't',  'o', 'p', 'i', 'c', 0, 0, 0,   1, 'T'};
    struct buf b = {0};
    buf_add_be32(&b, 4 + sizeof header + 1);
    buf_add_be32(&b, 1u << 24 | sizeof header);
    buf_add(&b, header, sizeof header);
    buf_add_byte(&b, 'B');
    struct rem_command c;
    const char *why = NULL;
    size_t total;
    assert_int_equal(rem_frame_peek(b.data, b.len, &total), REM_FRAME_OK);
    assert_int_equal(total, b.len);
    assert_true(rem_decode(b.data, b.len, &c, &why));
    assert_int_equal(c.code, 310);
    assert_int_equal(c.language, REM_LANG_GO);
    assert_int_equal(c.opaque, 7);
    assert_int_equal(c.flag, REM_FLAG_ONEWAY);
    assert_true(str_eqz(c.remark, "hi"));
    assert_true(str_eqz(rem_ext(&c, "topic"), "T"));
    assert_true(str_is_null(rem_ext(&c, "e")));
    assert_true(str_eqz(c.body, "B"));
    for (size_t cut = 0; cut < sizeof header; cut++) {
        struct rem_command half = {0};
        assert_false(rem_decode_binary_header(header, cut, &half, &why));
    }
    buf_free(&b);
}

static void judges_frame_lengths(void **state)
{
    size_t total;
    uint8_t head[8] = {0};
    put_be32(head, 3);
    assert_int_equal(rem_frame_peek(head, 4, &total), REM_FRAME_BAD);
    put_be32(head, REM_FRAME_MAX - 3);
    assert_int_equal(rem_frame_peek(head, 4, &total), REM_FRAME_BAD);
    put_be32(head, 100);
    put_be32(head + 4, 97);
    assert_int_equal(rem_frame_peek(head, 8, &total), REM_FRAME_BAD);
    put_be32(head + 4, 96);
    assert_int_equal(rem_frame_peek(head, 8, &total), REM_FRAME_INCOMPLETE);
    assert_int_equal(total, 104);
    head[4] = 2;
    assert_int_equal(rem_frame_peek(head, 8, &total), REM_FRAME_BAD);
    assert_int_equal(rem_frame_peek(head, 3, &total), REM_FRAME_INCOMPLETE);
}

static void writes_what_it_reads(void **state)
{
    struct buf b = {0};
    struct rem_frame f;
    rem_frame_begin(&f, &b, RESP_SUCCESS);
    rem_frame_str(&f, "msgId", STR_LIT("7F\"\\\001\n"));
    rem_frame_str(&f, "absent", STR_NULL);
    rem_frame_i64(&f, "queueOffset", INT64_MIN);
    rem_frame_bool(&f, "ok", true);
    rem_frame_header_end(&f, REM_FLAG_RESPONSE, -5, STR_LIT("FOUND"));
    buf_add_lit(&b, "body");
    rem_frame_finish(&f, 0);
    struct rem_command c;
    const char *why = NULL;
    size_t total;
    assert_int_equal(rem_frame_peek(b.data, b.len, &total), REM_FRAME_OK);
    assert_int_equal(total, b.len);
    assert_true(rem_decode(b.data, b.len, &c, &why));
    assert_int_equal(c.opaque, -5);
    assert_int_equal(c.flag, REM_FLAG_RESPONSE);
    assert_int_equal(c.n_ext, 3);
    assert_true(str_eq(rem_ext(&c, "msgId"), STR_LIT("7F\"\\\001\n")));
    assert_true(str_eqz(rem_ext(&c, "queueOffset"), "-9223372036854775808"));
    assert_true(str_eqz(c.remark, "FOUND"));
    assert_true(str_eqz(c.body, "body"));
    buf_free(&b);
}

static void names_the_missing_field(void **state)
{
    struct rem_command c;
    const char *why = NULL, *bad = NULL;
    struct pull_req h;
    rem_schema_ready(&pull_req_schema);
    assert_true(decode_json("{\"code\":11,\"extFields\":{\"consumerGroup\":\"g\",\"topic\":\"t\",\"queueId\":\"x\"}}",
                            &c, &why));
    assert_false(rem_schema_decode(&pull_req_schema, &c, &h, &bad));
    assert_string_equal(bad, "queueId");
    assert_true(decode_json("{\"code\":11,\"extFields\":{\"consumerGroup\":\"g\"}}", &c, &why));
    assert_false(rem_schema_decode(&pull_req_schema, &c, &h, &bad));
    assert_string_equal(bad, "topic");
}

/* Every schema of the clients: fill each field, write, read back the same. */
static void schemas_survive_a_round_trip(void **state)
{
    static struct rem_schema *const all[] = {
        &send_req_schema,          &send_req_v2_schema,   &send_resp_schema,
        &pull_req_schema,          &pull_resp_schema,     &query_message_req_schema,
        &search_offset_req_schema, &send_back_req_schema, &unregister_client_req_schema};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct rem_schema *s = all[i];
        _Alignas(16) char in[REM_HEADER_MAX] = {0}, out[REM_HEADER_MAX] = {0};
        rem_schema_ready(s);
        s->defaults(in);
        for (size_t k = 0; k < s->count; k++) {
            void *member = in + s->fields[k].offset;
            if (s->fields[k].type == REM_TYPE_STR)
                *(struct str *)member = str_from(s->fields[k].name);
            else if (s->fields[k].type == REM_TYPE_I32)
                *(int32_t *)member = -(int32_t)k - 1;
            else if (s->fields[k].type == REM_TYPE_I64)
                *(int64_t *)member = INT64_C(1) << 40 | (int64_t)k;
            else
                *(bool *)member = true;
        }
        struct buf b = {0};
        struct rem_frame f;
        rem_frame_begin(&f, &b, 1);
        rem_schema_write(s, in, &f);
        rem_frame_header_end(&f, 0, 1, STR_NULL);
        rem_frame_finish(&f, 0);
        struct rem_command c;
        const char *why = NULL, *bad = NULL;
        assert_true(rem_decode(b.data, b.len, &c, &why));
        assert_true(rem_schema_decode(s, &c, out, &bad));
        for (size_t k = 0; k < s->count; k++) {
            const void *member = out + s->fields[k].offset;
            if (s->fields[k].type == REM_TYPE_STR)
                assert_true(str_eqz(*(const struct str *)member, s->fields[k].name));
            else if (s->fields[k].type == REM_TYPE_I32)
                assert_int_equal(*(const int32_t *)member, -(int32_t)k - 1);
            else if (s->fields[k].type == REM_TYPE_I64)
                assert_int_equal(*(const int64_t *)member, INT64_C(1) << 40 | (int64_t)k);
            else
                assert_true(*(const bool *)member);
        }
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_java_header),     cmocka_unit_test(accepts_what_other_clients_send),
        cmocka_unit_test(refuses_broken_json),     cmocka_unit_test(reads_the_binary_header),
        cmocka_unit_test(judges_frame_lengths),    cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(names_the_missing_field), cmocka_unit_test(schemas_survive_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
