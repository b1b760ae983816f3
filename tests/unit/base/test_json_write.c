#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf out;
static struct jw w;

static int start(void **state)
{
    out = (struct buf){0};
    jw_init(&w, &out);
    return 0;
}

static int finish(void **state)
{
    buf_free(&out);
    return 0;
}

static const char *written(void)
{
    buf_add_byte(&out, '\0');
    return (const char *)out.data;
}

static void document(void)
{
    jw_begin_object(&w);
    jw_kobject(&w, "offsetTable");
    for (int q = 1; q <= 2; q++) {
        jw_key_object_begin(&w);
        jw_begin_object(&w);
        jw_ki64(&w, "q", q);
        jw_kstr(&w, "t", STR_LIT("a b"));
        jw_end_object(&w);
        jw_key_object_end(&w);
        if (q == 1) {
            jw_begin_object(&w);
            jw_ki64(&w, "x", 1);
            jw_end_object(&w);
        } else {
            jw_i64(&w, 5);
        }
    }
    jw_end_object(&w);
    jw_kobject(&w, "t@g");
    jw_key_i64(&w, 0, false);
    jw_i64(&w, 3);
    jw_key_i64(&w, 1, false);
    jw_i64(&w, 4);
    jw_end_object(&w);
    jw_karray(&w, "l");
    jw_i64(&w, 1);
    jw_begin_object(&w);
    jw_end_object(&w);
    jw_begin_array(&w);
    jw_str(&w, STR_LIT("a"));
    jw_end_array(&w);
    jw_end_array(&w);
    jw_kobject(&w, "none");
    jw_end_object(&w);
    jw_kdouble(&w, "d", 0.0);
    jw_end_object(&w);
}

static void plain_document(void **state)
{
    document();
    assert_string_equal(written(), "{\"offsetTable\":{{\"q\":1,\"t\":\"a b\"}:{\"x\":1},{\"q\":2,\"t\":\"a b\"}:5},"
                                   "\"t@g\":{0:3,1:4},\"l\":[1,{},[\"a\"]],\"none\":{},\"d\":0.0}");
}

/* The text is what fastjson 1.2.83 writes for the same maps with its pretty format. */
static void pretty_document(void **state)
{
    w.pretty = true;
    document();
    assert_string_equal(
        written(),
        "{\n\t\"offsetTable\":{{\n\t\t\t\"q\":1,\n\t\t\t\"t\":\"a b\"\n\t\t}:{\n\t\t\t\"x\":1\n\t\t},{\n\t\t\t\"q\":2,"
        "\n\t\t\t\"t\":\"a b\"\n\t\t}:5\n\t},\n\t\"t@g\":{0:3,1:4\n\t},\n\t\"l\":[\n\t\t1,\n\t\t{},\n\t\t[\n\t\t\t\"a\""
        "\n\t\t]\n\t],\n\t\"none\":{},\n\t\"d\":0.0\n}");
}

static void members_of_all_kinds(void **state)
{
    jw_begin_object(&w);
    jw_kstr(&w, "s", STR_LIT(""));
    jw_kstr(&w, "omitted", STR_NULL);
    jw_ki64(&w, "min", INT64_MIN);
    jw_kbool(&w, "t", true);
    jw_kbool(&w, "f", false);
    jw_key(&w, STR_LIT("n"));
    jw_null(&w);
    jw_key(&w, STR_LIT("nv"));
    jw_str(&w, STR_NULL);
    jw_key(&w, STR_LIT("r"));
    jw_raw(&w, STR_LIT("{\"x\":[]}"));
    jw_key_i64(&w, 7, true);
    jw_i64(&w, 8);
    jw_key_i64(&w, -7, false);
    jw_i64(&w, 9);
    jw_karray(&w, "a");
    jw_raw(&w, STR_LIT("1"));
    jw_null(&w);
    jw_bool(&w, true);
    jw_double(&w, 1.5);
    jw_end_array(&w);
    jw_end_object(&w);
    assert_string_equal(written(),
                        "{\"s\":\"\",\"min\":-9223372036854775808,\"t\":true,\"f\":false,\"n\":null,\"nv\":null,"
                        "\"r\":{\"x\":[]},\"7\":8,-7:9,\"a\":[1,null,true,1.5]}");
}

static void escapes(void **state)
{
    jw_str(&w, STR_LIT("a\0\x01\b\t\n\x0B\f\r\x1F\"\\/'\x7F<>\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
    assert_string_equal(written(), "\"a\\u0000\\u0001\\b\\t\\n\\u000B\\f\\r\\u001F\\\"\\\\/'\\u007F<>"
                                   "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

static void strict_escapes(void **state)
{
    w.escape_non_ascii = true;
    jw_begin_object(&w);
    jw_kstr(&w, "\xC3\xA9/", STR_LIT("\b\xE2\x82\xAC\xF0\x9F\x98\x80\x7F"));
    jw_end_object(&w);
    assert_string_equal(written(), "{\"\\u00E9\\/\":\"\\b\\u20AC\\uD83D\\uDE00\\u007F\"}");
}

/* Whatever bytes a name holds, the text is UTF-8. */
static void malformed_utf8_is_replaced(void **state)
{
    static const struct {
        const char *bytes;
        int replaced; /* U+FFFD written, followed by what is left */
        const char *rest;
    } rows[] = {{"\xFF", 1, ""},
                {"\x80", 1, ""},
                {"\xC3", 1, ""},
                {"\xC3(", 1, "("},
                {"\xC0\xAF", 2, ""},
                {"\xE2\x82", 2, ""},
                {"\xE0\x80\xAF", 3, ""},
                {"\xED\xA0\x80", 3, ""},
                {"\xF0\x80\x80\xAF", 4, ""},
                {"\xF4\x90\x80\x80", 4, ""},
                {"\xF5\x80\x80\x80", 4, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[64] = "\"";
        for (int k = 0; k < rows[i].replaced; k++)
            strcat(expected, "\xEF\xBF\xBD");
        strcat(strcat(expected, rows[i].rest), "\"");
        buf_clear(&out);
        jw_init(&w, &out);
        jw_str(&w, str_from(rows[i].bytes));
        assert_string_equal(written(), expected);
    }
    buf_clear(&out);
    jw_init(&w, &out);
    w.escape_non_ascii = true;
    jw_str(&w, STR_LIT("\xFF"));
    assert_string_equal(written(), "\"\\uFFFD\"");
}

static const char *double_text(double v)
{
    buf_clear(&out);
    jw_init(&w, &out);
    jw_double(&w, v);
    return written();
}

static void doubles_have_a_fraction_and_read_back(void **state)
{
    assert_string_equal(double_text(0), "0.0");
    assert_string_equal(double_text(-1), "-1.0");
    assert_string_equal(double_text(0.1), "0.1");
    assert_string_equal(double_text(1234567.125), "1234567.125");
    assert_string_equal(double_text(1e20), "1.0e+20");
    assert_string_equal(double_text(NAN), "null");
    assert_string_equal(double_text(-INFINITY), "null");
    static const double values[] = {1.0 / 3, 2.0 / 3, DBL_MAX, DBL_MIN, 4.9e-324, 1e15 + 0.3, 123456789.987654321};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *text = double_text(values[i]);
        assert_non_null(strchr(text, '.'));
        assert_true(strtod(text, NULL) == values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_document, start, finish),
        cmocka_unit_test_setup_teardown(pretty_document, start, finish),
        cmocka_unit_test_setup_teardown(members_of_all_kinds, start, finish),
        cmocka_unit_test_setup_teardown(escapes, start, finish),
        cmocka_unit_test_setup_teardown(strict_escapes, start, finish),
        cmocka_unit_test_setup_teardown(malformed_utf8_is_replaced, start, finish),
        cmocka_unit_test_setup_teardown(doubles_have_a_fraction_and_read_back, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
