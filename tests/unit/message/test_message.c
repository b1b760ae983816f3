/* Records, properties, ids and batch bodies. Expected bytes are written out from the format's description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "message/message.h"

static void assert_same_host(const struct msg_host *a, const struct msg_host *b)
{
    assert_memory_equal(a->addr, b->addr, sizeof a->addr);
    assert_int_equal(a->addr_len, b->addr_len);
    assert_int_equal(a->port, b->port);
}

static struct msg sample(void)
{
    return (struct msg){
        .topic = STR_LIT("TopicTest"),
        .body = STR_LIT("hello"),
        .properties = STR_LIT("KEYS\x01k1\x02TAGS\x01TagA\x02"),
        .queue_id = 3,
        .flag = 7,
        .reconsume_times = 2,
        .born_time = 0x0102030405060708,
        .store_time = 0x1112131415161718,
        .queue_offset = 42,
        .physical_offset = 4096,
        .prepared_transaction_offset = 5,
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 50000},
        .store_host = {.addr = {10, 0, 0, 2}, .addr_len = 4, .port = 10911},
    };
}

static void record_has_the_layout_of_version_1(void **state)
{
    static const uint8_t expected[] = {
        0,    0,    0,    123,  0xDA, 0xA3, 0x20, 0xA7, 0x36, 0x10, 0xA6, 0x86, 0, 0,   0,    3,    0,   0,
        0,    7, /* size, magic, crc, queue, flag */
        0,    0,    0,    0,    0,    0,    0,    42,   0,    0,    0,    0,    0, 0,   0x10, 0,    0,   0,
        0,    0, /* offsets, sysFlag */
        1,    2,    3,    4,    5,    6,    7,    8,    127,  0,    0,    1,    0, 0,   0xC3, 0x50, /* born */
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 10,   0,    0,    2,    0, 0,   0x2A, 0x9F, /* store */
        0,    0,    0,    2,    0,    0,    0,    0,    0,    0,    0,    5,    0, 0,   0,    5,    'h', 'e',
        'l',  'l',  'o',                                                      /* reconsume, prepared, body */
        9,    'T',  'o',  'p',  'i',  'c',  'T',  'e',  's',  't',  0,    18, /* topic, properties */
        'K',  'E',  'Y',  'S',  1,    'k',  '1',  2,    'T',  'A',  'G',  'S',  1, 'T', 'a',  'g',  'A', 2,
    };
    uint8_t out[256];
    struct msg m = sample();
    assert_int_equal(msg_record_size(&m), 91 + 5 + 9 + 18);
    msg_encode(out, &m);
    assert_int_equal(get_be32(out), msg_record_size(&m));
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(sizeof expected, msg_record_size(&m));
}

static void decode_gives_back_what_was_encoded(void **state)
{
    uint8_t out[1024];
    struct msg m = sample();
    struct msg_view v;
    for (int v6 = 0; v6 < 4; v6++) {
        m.born_host.addr_len = v6 & 1 ? 16 : 4;
        m.store_host.addr_len = v6 & 2 ? 16 : 4;
        m.born_host.addr[9] = v6 & 1 ? 9 : 0;
        msg_encode(out, &m);
        assert_int_equal(msg_decode(out, msg_record_size(&m), &v), MSG_OK);
        assert_int_equal(v.size, 123 + (v6 & 1) * 12 + (v6 >> 1) * 12);
        assert_true(msg_crc_ok(&v));
        assert_true(str_eq(v.m.topic, m.topic) && str_eq(v.m.body, m.body) && str_eq(v.m.properties, m.properties));
        assert_same_host(&v.m.born_host, &m.born_host);
        assert_int_equal(v.m.store_time, m.store_time);
        assert_int_equal(v.m.sys_flag, (v6 & 1 ? 0x10 : 0) | (v6 & 2 ? 0x20 : 0));
        assert_int_equal(v.m.prepared_transaction_offset, 5);
    }
}

static void patch_finds_its_places_also_with_ipv6(void **state)
{
    uint8_t out[512];
    struct msg m = sample();
    struct msg_view v;
    for (int v6 = 0; v6 < 2; v6++) {
        m.born_host.addr_len = v6 ? 16 : 4;
        msg_encode(out, &m);
        msg_patch(out, 77, 88, 99);
        assert_int_equal(msg_decode(out, sizeof out, &v), MSG_OK);
        assert_int_equal(v.m.queue_offset, 77);
        assert_int_equal(v.m.physical_offset, 88);
        assert_int_equal(v.m.store_time, 99);
        assert_int_equal(v.m.store_host.port, 10911);
    }
}

static void long_topic_takes_version_2(void **state)
{
    char topic[200];
    uint8_t out[512];
    struct msg m = sample();
    struct msg_view v;
    memset(topic, 't', sizeof topic);
    m.topic = str_make(topic, 127);
    msg_encode(out, &m);
    assert_int_equal(get_be32(out + 4), MSG_MAGIC_V1);
    m.topic = str_make(topic, 128);
    msg_encode(out, &m);
    assert_int_equal(get_be32(out + 4), MSG_MAGIC_V2);
    assert_int_equal(msg_decode(out, sizeof out, &v), MSG_OK);
    assert_int_equal(v.m.topic.len, 128);
    assert_int_equal(v.size, 91 + 1 + 5 + 128 + 18);
}

static void blank_and_broken_records_are_told_apart(void **state)
{
    uint8_t out[512] = {0};
    struct msg m = sample();
    struct msg_view v;
    size_t size = msg_record_size(&m);
    assert_int_equal(msg_decode(out, 7, &v), MSG_INCOMPLETE);
    assert_int_equal(msg_decode(out, sizeof out, &v), MSG_BAD);
    put_be32(out, 100);
    put_be32(out + 4, MSG_MAGIC_BLANK);
    assert_int_equal(msg_decode(out, 8, &v), MSG_BLANK);
    assert_int_equal(v.size, 100);
    msg_encode(out, &m);
    assert_int_equal(msg_decode(out, size - 1, &v), MSG_INCOMPLETE);
    assert_int_equal(v.size, size);
    put_be32(out, (uint32_t)size + 1);
    assert_int_equal(msg_decode(out, sizeof out, &v), MSG_BAD);
    msg_encode(out, &m);
    put_be32(out + 84, 6); /* body length */
    assert_int_equal(msg_decode(out, size, &v), MSG_BAD);
    msg_encode(out, &m);
    out[88] ^= 1;
    assert_int_equal(msg_decode(out, size, &v), MSG_OK);
    assert_false(msg_crc_ok(&v));
}

/* The fixed fields decide nothing about lengths; every other single byte flip must be noticed or change a value, and
 * never make the decoder read outside (the sanitizer build watches). */
static void no_flip_makes_the_decoder_leave_the_record(void **state)
{
    struct msg m = sample();
    size_t size = msg_record_size(&m);
    uint8_t *out = malloc(size);
    for (size_t i = 0; i < size * 8; i++) {
        struct msg_view v;
        msg_encode(out, &m);
        out[i / 8] ^= (uint8_t)(1 << i % 8);
        if (msg_decode(out, size, &v) == MSG_OK) {
            assert_true(v.m.topic.ptr >= (char *)out && v.m.topic.ptr + v.m.topic.len <= (char *)out + size);
            assert_true(v.m.properties.ptr + v.m.properties.len <= (char *)out + size);
        }
    }
    free(out);
}

static void properties_are_found_and_skipped_as_java_does(void **state)
{
    struct str p = STR_LIT("A\x01"
                           "1\x02"
                           "B\x01\x02\x01x\x02junk\x02"
                           "AA\x01"
                           "2\x02"
                           "A\x01"
                           "3\x02"
                           "C\x01y");
    assert_true(str_eqz(msg_property(p, STR_LIT("A")), "3")); /* the last one counts */
    assert_true(str_eqz(msg_property(p, STR_LIT("AA")), "2"));
    assert_true(str_is_null(msg_property(p, STR_LIT("B"))));  /* empty values are none */
    assert_true(str_eqz(msg_property(p, STR_LIT("C")), "y")); /* no final separator */
    assert_true(str_is_null(msg_property(p, STR_LIT("junk"))));
    assert_true(str_is_null(msg_property(STR_NULL, STR_LIT("A"))));
    struct str rest = p, name, value;
    size_t n = 0;
    while (msg_property_next(&rest, &name, &value))
        n++;
    assert_int_equal(n, 4);
    struct buf out = {0};
    struct str drop[] = {STR_LIT("A")};
    msg_properties_without(&out, p, drop, 1);
    assert_true(str_eq(buf_str(&out), STR_LIT("AA\x01"
                                              "2\x02"
                                              "C\x01y\x02")));
    buf_free(&out);
}

static void tags_code_is_the_java_hash(void **state)
{
    assert_int_equal(msg_tags_code(STR_LIT("TAGS\x01TagA\x02")), 2598919);
    assert_int_equal(msg_tags_code(STR_LIT("TAGS\x01"
                                           "polygenelubricants\x02")),
                     -2147483648LL);
    assert_int_equal(msg_tags_code(STR_LIT("KEYS\x01"
                                           "a\x02")),
                     0);
}

static void message_ids_go_both_ways(void **state)
{
    char out[56];
    struct msg_host host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 10911}, back;
    int64_t offset;
    assert_int_equal(msg_id_format(out, &host, 5), 32);
    assert_memory_equal(out, "7F00000100002A9F0000000000000005", 32);
    assert_true(msg_id_parse(str_make(out, 32), &back, &offset));
    assert_same_host(&back, &host);
    assert_int_equal(offset, 5);
    host.addr_len = 16;
    assert_int_equal(msg_id_format(out, &host, -1), 56);
    assert_true(msg_id_parse(str_make(out, 56), &back, &offset));
    assert_int_equal(back.addr_len, 16);
    assert_int_equal(offset, -1);
    assert_false(msg_id_parse(STR_LIT("7F00000100002A9F000000000000000G"), &back, &offset));
    assert_false(msg_id_parse(STR_LIT("7F00"), &back, &offset));
}

static void unique_ids_differ(void **state)
{
    char a[32], b[32];
    assert_int_equal(msg_unique_id(a), 32);
    for (int i = 0; i < 1000; i++) {
        msg_unique_id(b);
        assert_memory_not_equal(a, b, 32);
        assert_memory_equal(a, b, 20); /* address, process and random part stay */
        memcpy(a, b, 32);
    }
}

static void batch_bodies_go_both_ways(void **state)
{
    struct buf b = {0};
    msg_batch_add(&b, 1, STR_LIT("one"),
                  STR_LIT("KEYS\x01"
                          "a\x02"));
    msg_batch_add(&b, 2, STR_LIT(""), STR_LIT(""));
    struct str rest = buf_str(&b);
    struct msg_batch_entry e;
    bool bad;
    assert_true(msg_batch_next(&rest, &e, &bad));
    assert_int_equal(e.flag, 1);
    assert_true(str_eqz(e.body, "one") && str_eqz(e.properties, "KEYS\x01"
                                                                "a\x02"));
    assert_true(msg_batch_next(&rest, &e, &bad));
    assert_int_equal(e.body.len, 0);
    assert_false(msg_batch_next(&rest, &e, &bad));
    assert_false(bad);
    for (size_t cut = 1; cut < b.len; cut++) {
        rest = str_make(b.data, cut);
        while (msg_batch_next(&rest, &e, &bad))
            ;
        assert_true(bad || cut == 32);
    }
    put_be32(b.data + 16, 0xFFFFFFF0u);
    rest = buf_str(&b);
    assert_false(msg_batch_next(&rest, &e, &bad));
    assert_true(bad);
    buf_free(&b);
}

/* As Java writes it with enabledAppendPropCRC: what stands in front is covered, a block from elsewhere is replaced. */
static void test_record_crc(void **state)
{
    uint8_t record[512];
    static const char old[] = "a\x01"
                              "b\x02__CRC32#\x01"
                              "1234567890\x02";
    const char *const texts[] = {"",
                                 "a\x01"
                                 "b\x02",
                                 "a\x01"
                                 "b",
                                 old};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct msg m = {.topic = STR_LIT("T"), .body = STR_LIT("body"), .properties = str_from(texts[i])};
        m.born_host.addr_len = m.store_host.addr_len = 4;
        struct msg_view v;
        size_t size = msg_record_size(&m) + msg_record_crc_room(m.properties);
        msg_encode(record, &m);
        msg_record_crc_append(record, m.properties);
        msg_patch(record, 5, 77, 99);
        msg_record_crc_seal(record);
        assert_int_equal(msg_decode(record, sizeof record, &v), MSG_OK);
        assert_int_equal(v.size, size);
        assert_int_equal(msg_record_crc(&v), MSG_RECORD_CRC_OK);
        assert_int_equal(v.m.properties.len, i == 0 ? 20 : 24);
        assert_true(i == 0 || str_eqz(msg_property(v.m.properties, STR_LIT("a")), "b"));
        /* Ten digits, lowest first. */
        struct str digits = msg_property(v.m.properties, STR_LIT(MSG_PROP_CRC32));
        int64_t crc = 0;
        for (size_t d = digits.len; d > 0; d--)
            crc = crc * 10 + (digits.ptr[d - 1] - '0');
        assert_int_equal(digits.len, 10);
        assert_int_equal(crc, crc32_message(record, size - 20));
        for (size_t at = 0; at < size; at++) {
            record[at] ^= 1;
            assert_true(msg_decode(record, size, &v) != MSG_OK || msg_record_crc(&v) == MSG_RECORD_CRC_WRONG);
            record[at] ^= 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_crc),
        cmocka_unit_test(record_has_the_layout_of_version_1),
        cmocka_unit_test(decode_gives_back_what_was_encoded),
        cmocka_unit_test(patch_finds_its_places_also_with_ipv6),
        cmocka_unit_test(long_topic_takes_version_2),
        cmocka_unit_test(blank_and_broken_records_are_told_apart),
        cmocka_unit_test(no_flip_makes_the_decoder_leave_the_record),
        cmocka_unit_test(properties_are_found_and_skipped_as_java_does),
        cmocka_unit_test(tags_code_is_the_java_hash),
        cmocka_unit_test(message_ids_go_both_ways),
        cmocka_unit_test(unique_ids_differ),
        cmocka_unit_test(batch_bodies_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
