/* What tools print: times, messages, tables and JSON. */
#include "admin/message_text.h"
#include "admin/output.h"
#include "admin/time_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- times ---------------------------------------------------------------------------------------------------------
 */

static void times_are_read_in_every_form(void **state)
{
    int64_t ms;
    struct err err;
    assert_int_equal(time_parse("1700000000123", &ms, &err), 0);
    assert_int_equal(ms, 1700000000123);
    assert_int_equal(time_parse("2023-11-14#22:13:20:123", &ms, &err), 0);
    assert_int_equal(ms, 1700000000123);
    assert_int_equal(time_parse("2023-11-14 22:13:20", &ms, &err), 0);
    assert_int_equal(ms, 1700000000000);
    assert_int_equal(time_parse("now", &ms, &err), 0);
    assert_true(ms / 1000 - (int64_t)time(NULL) <= 1);
    static const char *const wrong[] = {"", "yesterday", "2023-11-14", "2023-11-14#22:13:20:123x", "12:00"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(time_parse(wrong[i], &ms, &err), -1);
}

static void times_are_written_as_java_does(void **state)
{
    char text[TIME_TEXT];
    assert_string_equal(time_text(1700000000123, text), "2023-11-14 22:13:20");
    assert_string_equal(time_text_ms(1700000000007, text), "2023-11-14 22:13:20,007");
}

/* ---- messages ------------------------------------------------------------------------------------------------------
 */

static uint8_t record[4096];

static struct msg_view record_of(struct str body, int32_t sys_flag, const char *properties)
{
    struct msg m = {.topic = STR_LIT("T"),
                    .body = body,
                    .properties = str_from(properties),
                    .queue_id = 3,
                    .sys_flag = sys_flag,
                    .born_time = 1700000000001,
                    .born_host = {{10, 0, 0, 7}, 4, 4711},
                    .store_host = {{127, 0, 0, 1}, 4, 10911}};
    struct msg_view v;
    msg_encode(record, &m);
    msg_patch(record, 41, 5, 1700000000002);
    assert_int_equal(msg_decode(record, msg_record_size(&m), &v), MSG_OK);
    return v;
}

static void json_is(const struct msg_view *v, const char *expected)
{
    struct buf out = {0};
    struct jw w;
    jw_init(&w, &out);
    message_json(&w, v, STR_LIT("b"));
    buf_add_byte(&out, 0);
    if (strstr((char *)out.data, expected) == NULL)
        fail_msg("%s is not in %s", expected, (char *)out.data);
    buf_free(&out);
}

static void body_is(const struct msg_view *v, const char *expected)
{
    struct buf out = {0};
    message_body_text(&out, v);
    buf_add_byte(&out, 0);
    assert_string_equal((char *)out.data, expected);
    buf_free(&out);
}

static void a_message_has_its_clients_id_or_the_offset_id(void **state)
{
    char id[56];
    struct msg_view v = record_of(STR_LIT("x"), 0,
                                  "UNIQ_KEY\x01"
                                  "ABC\x02");
    assert_true(str_eqz(message_id(&v, id), "ABC"));
    v = record_of(STR_LIT("x"), 0, "");
    assert_true(str_eqz(message_id(&v, id), "7F00000100002A9F0000000000000005"));
}

static void bodies_are_readable_whatever_they_hold(void **state)
{
    struct msg_view v = record_of(STR_LIT("Gr\xC3\xBC\xC3\x9F\x65\t\n\x01\xFF\xC3"), 0, "");
    body_is(&v, "Gr\xC3\xBC\xC3\x9F\x65\t\n\\x01\\xFF\\xC3");
    v = record_of(STR_LIT("\xC0\xAF\xED\xA0\x80"), 0, ""); /* overlong, surrogate: no text */
    body_is(&v, "\\xC0\\xAF\\xED\\xA0\\x80");
}

static void compressed_bodies_are_shown_plain(void **state)
{
    /* zlib stream of "hello hello hello hello" */
    static const uint8_t z[] = {0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57,
                                0xc8, 0x40, 0x27, 0x01, 0x68, 0x03, 0x08, 0xb1};
    struct msg_view v = record_of(str_make(z, sizeof z), MSG_FLAG_COMPRESSED | 0x300, "");
    body_is(&v, "hello hello hello hello");
    json_is(&v, "\"body\":\"hello hello hello hello\"");
    v = record_of(STR_LIT("not zlib"), MSG_FLAG_COMPRESSED, "");
    body_is(&v, "not zlib");
}

static void messages_become_json(void **state)
{
    struct msg_view v = record_of(STR_LIT("say \"hi\""), 0,
                                  "TAGS\x01"
                                  "a\x02"
                                  "KEYS\x01"
                                  "k1 k2\x02");
    json_is(&v, "\"brokerName\":\"b\",\"queueId\":3,\"queueOffset\":41");
    json_is(&v, "\"properties\":{\"TAGS\":\"a\",\"KEYS\":\"k1 k2\"}");
    json_is(&v, "\"bornHost\":\"10.0.0.7:4711\"");
    json_is(&v, "\"body\":\"say \\\"hi\\\"\"");
    v = record_of(STR_LIT("\xFF\x00\x01\x02"), 0, "");
    json_is(&v, "\"bodyBase64\":\"/wABAg==\"");
    v = record_of(STR_LIT("\xFF\x00\x01"), 0, "");
    json_is(&v, "\"bodyBase64\":\"/wAB\"");
}

static void records_are_walked_until_something_is_no_record(void **state)
{
    struct msg_view v = record_of(STR_LIT("x"), 0, ""), seen;
    size_t size = v.size;
    memcpy(record + size, record, size);
    memset(record + 2 * size, 0xEE, 50);
    struct str rest = str_make(record, 2 * size + 50);
    assert_true(message_next(&rest, &seen));
    assert_true(message_next(&rest, &seen));
    assert_false(message_next(&rest, &seen));
}

/* ---- tables --------------------------------------------------------------------------------------------------------
 */

static char printed[4096];

/* What fn prints to stdout. */
static void capture(void (*fn)(struct output *o), bool json)
{
    struct output o;
    char name[] = "/tmp/crocket-out-XXXXXX";
    int file = mkstemp(name), old = dup(1);
    assert_true(file >= 0 && old >= 0);
    fflush(stdout);
    dup2(file, 1);
    output_begin(&o, json);
    fn(&o);
    output_finish(&o);
    dup2(old, 1);
    ssize_t n = pread(file, printed, sizeof printed - 1, 0);
    printed[n > 0 ? n : 0] = '\0';
    close(file);
    close(old);
    unlink(name);
}

static void print_all(struct output *o)
{
    static const struct column columns[] = {{"#Name", "name", -8}, {"#Count", "count", 7}, {"#Rate", "rate", -6}};
    output_line(o, "did %d things", 2);
    output_table(o, "rows", columns, 3);
    output_cell(o, STR_LIT("a"));
    output_cell_i64(o, 12);
    output_cell_double(o, 2, 0.5);
    output_cell(o, STR_LIT("a long name"));
    output_cell_i64(o, -1);
    output_cell(o, STR_LIT(""));
    output_table_end(o);
    output_text(o, "\n");
    output_i64(o, "Total:", "total", 2);
    output_raw(o, "raw", STR_LIT("{\"x\":1}"));
}

static void people_get_tables(void **state)
{
    capture(print_all, false);
    assert_string_equal(printed, "did 2 things\n"
                                 "#Name      #Count  #Rate\n"
                                 "a              12  0.50\n"
                                 "a long name       -1  \n"
                                 "\n"
                                 "Total: 2\n"
                                 "{\"x\":1}\n");
}

static void programs_get_one_json_object(void **state)
{
    capture(print_all, true);
    assert_string_equal(printed, "{\"rows\":[{\"name\":\"a\",\"count\":12,\"rate\":0.5},"
                                 "{\"name\":\"a long name\",\"count\":-1,\"rate\":\"\"}],"
                                 "\"total\":2,\"raw\":{\"x\":1},\"messages\":[\"did 2 things\"]}\n");
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_in_every_form),
        cmocka_unit_test(times_are_written_as_java_does),
        cmocka_unit_test(a_message_has_its_clients_id_or_the_offset_id),
        cmocka_unit_test(bodies_are_readable_whatever_they_hold),
        cmocka_unit_test(compressed_bodies_are_shown_plain),
        cmocka_unit_test(messages_become_json),
        cmocka_unit_test(records_are_walked_until_something_is_no_record),
        cmocka_unit_test(people_get_tables),
        cmocka_unit_test(programs_get_one_json_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
