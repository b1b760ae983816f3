#include "json_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Parses a copy of exactly that size, so that a sanitizer sees a read behind its end. */
static struct json *parse_copy(struct arena *a, struct str text, char **copy, struct err *err)
{
    *copy = malloc(text.len ? text.len : 1);
    memcpy(*copy, text.ptr, text.len);
    return json_parse(a, str_make(*copy, text.len), err);
}

static void reads_the_dialect(void **state)
{
    static const struct {
        const char *text, *tree;
    } rows[] = {
        {"null", "null"},
        {" \t\r\n\f{ } \n", "{}"},
        {"[]", "[]"},
        {"[ ]", "[]"},
        {"\xEF\xBB\xBF{}", "{}"},
        {"[true,false,null,NaN,undefined]", "[true,false,null,null,null]"},
        {"[1,-1,0,-0,007]", "[1,-1,0,0,7]"},
        {"[9223372036854775807,-9223372036854775808]", "[9223372036854775807,-9223372036854775808]"},
        {"[9223372036854775808,123456789012345678901234567890]",
         "[9223372036854775808,123456789012345678901234567890]"},
        {"[0.0,1.5e3,2E-2,1e+2]", "[0.0,1.5e3,2E-2,1e+2]"},
        {"{\"a\":1,\"b\":[1,{\"c\":{}}]}", "{\"a\":1,\"b\":[1,{\"c\":{}}]}"},
        {"{a:1,_b$2:2,true:3,null:4}", "{\"a\":1,\"_b$2\":2,\"true\":3,\"null\":4}"},
        {"{'a':'b\"c'}", "{\"a\":\"b\\\"c\"}"},
        {"{0:\"x\",-5:\"y\"}", "{0:\"x\",-5:\"y\"}"},
        {"{1.5:1,9223372036854775808:2}", "{\"1.5\":1,\"9223372036854775808\":2}"},
        {"{{\"brokerName\":\"b\",\"queueId\":0}:{\"o\":1},{\"brokerName\":\"b\",\"queueId\":1}:5}",
         "{{\"brokerName\":\"b\",\"queueId\":0}:{\"o\":1},{\"brokerName\":\"b\",\"queueId\":1}:5}"},
        {"{ \"a\" : 1 , \"b\" : 2 , }", "{\"a\":1,\"b\":2}"},
        {"[1,]", "[1]"},
        {"/* a */{// b\n\"a\"/**/:/***/1//", NULL},
        {"/* a */{// b\n\"a\"/**/:/***/1}//", "{\"a\":1}"},
        {"[1]//", "[1]"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\v\\'\\F\\0\\7\\x41\"",
         "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u000B'\\f\\u0000\\u0007A\""},
        {"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"\"\\ud83d\"", "\"\xEF\xBF\xBD\""},
        {"\"\\ud83dx\\ude00\"", "\"\xEF\xBF\xBDx\xEF\xBF\xBD\""},
        {"\"\\ud83d\\u0041\"", "\"\xEF\xBF\xBD"
                               "A\""},
        {"\"a\nb\"", "\"a\\nb\""},
        {"\"long enough for eight bytes at a time \\\" and more behind it\"",
         "\"long enough for eight bytes at a time \\\" and more behind it\""},
        {"{\"\\u0061\":1}", "{\"a\":1}"},
        {"{\"\":\"\"}", "{\"\":\"\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct buf out = {0};
        struct err err = {0};
        struct jw w;
        char *copy;
        struct json *root = parse_copy(&a, str_from(rows[i].text), &copy, &err);
        if (rows[i].tree) {
            if (root == NULL)
                fail_msg("%s: %s", rows[i].text, err.text);
            jw_init(&w, &out);
            json_tree_write(&w, root);
            buf_add_byte(&out, '\0');
            assert_string_equal((char *)out.data, rows[i].tree);
        } else {
            assert_null(root);
        }
        free(copy);
        buf_free(&out);
        arena_free(&a);
    }
}

static void says_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "line 1, column 1 (byte 0): expected a value, found the end of the text"},
        {" \n ", "line 2, column 2 (byte 3): expected a value, found the end"},
        {"{", "(byte 1): expected a name or '}', found the end"},
        {"[", "(byte 1): expected a value, found the end"},
        {"[1", "(byte 2): expected ',' or ']', found the end"},
        {"{\"a\"", "(byte 4): expected ':' behind a name, found the end"},
        {"{\"a\":", "(byte 5): expected a value, found the end"},
        {"{\"a\":1", "(byte 6): expected ',' or '}', found the end"},
        {"{\n\t\"a\" 1\n}", "line 2, column 6 (byte 7): expected ':' behind a name, found '1'"},
        {"[1 2]", "(byte 3): expected ',' or ']', found '2'"},
        {"[1}", "(byte 2): expected ',' or ']', found '}'"},
        {"{]", "expected a name or '}', found ']'"},
        {"{,}", "expected a name or '}', found ','"},
        {"[,1]", "expected a value, found ','"},
        {"[1,,2]", "(byte 3): expected a value, found ','"},
        {"{[1]:2}", "expected a name or '}', found '['"},
        {"{\"a\":1} x", "(byte 8): expected the end of the text, found 'x'"},
        {"{}{}", "(byte 2): expected the end of the text, found '{'"},
        {"truex", "(byte 0): expected a value, found 't'"},
        {"[TRUE]", "(byte 1): expected a value, found 'T'"},
        {"\x01", "expected a value, found byte 0x01"},
        {"-", "(byte 1): expected a digit, found the end"},
        {"[-a]", "(byte 2): expected a digit, found 'a'"},
        {"[1.]", "(byte 3): expected a digit, found ']'"},
        {"[1.", "expected a digit, found the end"},
        {"[1e]", "(byte 3): expected a digit, found ']'"},
        {"[1e+", "(byte 4): expected a digit, found the end"},
        {"[.5]", "expected a value, found '.'"},
        {"[+5]", "expected a value, found '+'"},
        {"[1x]", "(byte 2): expected ',' or ']', found 'x'"},
        {"[\"abc", "(byte 1): string without a closing quote"},
        {"[\"abc\\", "(byte 1): string without a closing quote"},
        {"[\"abc\\\"", "(byte 1): string without a closing quote"},
        {"['abc\"]", "(byte 1): string without a closing quote"},
        {"\"ab\\q\"", "(byte 3): unknown or incomplete escape"},
        {"\"\\u12\"", "(byte 1): unknown or incomplete escape"},
        {"\"\\u12g4\"", "(byte 1): unknown or incomplete escape"},
        {"\"\\x4\"", "(byte 1): unknown or incomplete escape"},
        {"\"\\8\"", "(byte 1): unknown or incomplete escape"},
        {"[1 /* x ]", "(byte 3): comment without an end"},
        {"/*/", "comment without an end"},
        {"/", "unexpected '/'"},
        {"[1]/x", "(byte 3): unexpected '/'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct err err = {0};
        char *copy;
        assert_null(parse_copy(&a, str_from(rows[i].text), &copy, &err));
        assert_int_equal(err.code, EINVAL);
        if (str_find(str_from(err.text), str_from(rows[i].error)) < 0)
            fail_msg("%s: \"%s\" without \"%s\"", rows[i].text, err.text, rows[i].error);
        assert_null(json_parse(&a, str_from(rows[i].text), NULL));
        free(copy);
        arena_free(&a);
    }
    struct arena a = {0};
    assert_null(json_parse(&a, STR_NULL, NULL));
    assert_null(json_parse(&a, STR_LIT("\"\\\0\""), NULL));
    arena_free(&a);
}

static struct json *parse_nested(struct arena *a, const char *open, const char *close, int levels, struct err *err)
{
    struct buf b = {0};
    for (int i = 0; i < levels; i++)
        buf_add_str(&b, str_from(open));
    buf_add_byte(&b, '0');
    for (int i = 0; i < levels; i++)
        buf_add_str(&b, str_from(close));
    struct json *root = json_parse(a, arena_str(a, buf_str(&b)), err);
    buf_free(&b);
    return root;
}

static void limits_depth(void **state)
{
    static const char *const pairs[][2] = {{"[", "]"}, {"{a:", "}"}, {"{{b:", "}:1}"}};
    for (size_t i = 0; i < 3; i++) {
        int levels = i == 2 ? 32 : 64;
        struct arena a = {0};
        struct err err = {0};
        assert_non_null(parse_nested(&a, pairs[i][0], pairs[i][1], levels, &err));
        assert_null(parse_nested(&a, pairs[i][0], pairs[i][1], levels + 1, &err));
        assert_int_equal(err.code, E2BIG);
        assert_null(parse_nested(&a, pairs[i][0], pairs[i][1], 100000, &err));
        arena_free(&a);
    }
}

static void limits_the_number_of_values(void **state)
{
    const size_t limit = 4 << 20;
    struct arena a = {0};
    struct buf b = {0};
    struct err err = {0};
    buf_add_byte(&b, '[');
    for (size_t i = 0; i < limit; i++)
        buf_add_lit(&b, "0,");
    b.len -= 2;
    b.data[b.len - 1] = ']';
    struct json *root = json_parse(&a, buf_str(&b), &err);
    assert_non_null(root);
    assert_int_equal(root->count, limit - 1);
    b.len--;
    buf_add_lit(&b, ",0]");
    assert_null(json_parse(&a, buf_str(&b), &err));
    assert_int_equal(err.code, E2BIG);
    buf_free(&b);
    arena_free(&a);
}

static void keeps_views_and_texts(void **state)
{
    struct arena a = {0};
    struct str text =
        STR_LIT("{\"plain\":\"abc\",\"esc\":\"a\\tc\",\"n\":12345678901234567890,\"o\":{ \"x\" : 1 },\"l\":[1, 2]}");
    struct json *root = json_parse(&a, text, NULL);
    assert_non_null(root);
    assert_true(str_eq(root->text, text));
    assert_ptr_equal(json_str(root, "plain").ptr, text.ptr + 10);
    assert_true(str_eqz(json_str(root, "esc"), "a\tc"));
    assert_int_equal(json_get(root, "n")->kind, JSON_DOUBLE);
    assert_true(json_get(root, "n")->d == 12345678901234567890.0);
    assert_true(str_eqz(json_str(root, "n"), "12345678901234567890"));
    assert_true(str_eqz(json_str(root, "o"), "{ \"x\" : 1 }"));
    assert_true(str_eqz(json_str(root, "l"), "[1, 2]"));
    arena_free(&a);
}

static void converts_values(void **state)
{
    struct arena a = {0};
    struct json *o =
        json_parse(&a,
                   STR_LIT("{i:7,s:'42',ws:' -3 ',d:2.9,nd:-2.9,big:1e300,edge:9223372036854775808,t:true,f:false,"
                           "n:null,l:[],st:'TRUE',sf:'0',x:'x',one:1,sd:'1.5',e:'',10:'ten',dup:1,dup:2}"),
                   NULL);
    assert_non_null(o);
    assert_int_equal(json_i64(o, "i", -9), 7);
    assert_int_equal(json_i64(o, "s", -9), 42);
    assert_int_equal(json_i64(o, "ws", -9), -3);
    assert_int_equal(json_i64(o, "d", -9), 2);
    assert_int_equal(json_i64(o, "nd", -9), -2);
    assert_int_equal(json_i64(o, "big", -9), -9);
    assert_int_equal(json_i64(o, "edge", -9), -9);
    assert_int_equal(json_i64(o, "t", -9), 1);
    assert_int_equal(json_i64(o, "n", -9), -9);
    assert_int_equal(json_i64(o, "l", -9), -9);
    assert_int_equal(json_i64(o, "x", -9), -9);
    assert_int_equal(json_i64(o, "e", -9), -9);
    assert_int_equal(json_i64(o, "absent", -9), -9);
    assert_int_equal(json_i64(o, "dup", -9), 2);
    assert_int_equal(json_i64(NULL, "i", -9), -9);
    assert_int_equal(json_int(NULL, -9), -9);
    assert_int_equal(json_i64(json_get(o, "l"), "i", -9), -9);

    assert_true(json_bool(o, "t", false) && json_bool(o, "st", false) && json_bool(o, "one", false));
    assert_false(json_bool(o, "f", true) || json_bool(o, "sf", true) || json_bool(o, "i", true));
    assert_true(json_bool(o, "x", true) && json_bool(o, "n", true) && json_bool(o, "absent", true));
    assert_false(json_bool(o, "x", false) || json_bool(o, "n", false) || json_bool(NULL, "t", false));

    assert_true(json_double(o, "d", 0) == 2.9);
    assert_true(json_double(o, "i", 0) == 7.0);
    assert_true(json_double(o, "sd", 0) == 1.5);
    assert_true(json_double(o, "x", 0.5) == 0.5);
    assert_true(json_double(o, "e", 0.5) == 0.5);
    assert_true(json_double(o, "absent", 0.5) == 0.5);

    assert_true(str_is_null(json_str(o, "n")));
    assert_true(str_is_null(json_str(o, "absent")));
    assert_false(str_is_null(json_str(o, "e")));
    assert_true(str_eqz(json_str(o, "i"), "7"));
    assert_true(str_eqz(json_str(o, "t"), "true"));
    assert_true(str_eqz(json_str(o, "10"), "ten"));
    arena_free(&a);
}

static void keys_may_be_objects_or_their_text(void **state)
{
    struct arena a = {0};
    struct json *o = json_parse(&a, STR_LIT("{{q:1}:0,\"{\\\"q\\\":2}\":0,\"topic\":0,\"[1]\":0,5:0}"), NULL);
    assert_non_null(o);
    static const int64_t expected[] = {1, 2, -1, -1, -1};
    size_t i = 0;
    JSON_EACH(member, o)
    {
        const struct json *key = json_key_object(&a, member);
        assert_int_equal(json_i64(key, "q", -1), expected[i++]);
        assert_true((key != NULL) == (i <= 2));
    }
    assert_int_equal(i, 5);
    assert_null(json_key_object(&a, o));
    assert_null(json_key_object(&a, NULL));
    arena_free(&a);
}

static void each_of_no_container_visits_nothing(void **state)
{
    struct arena a = {0};
    JSON_EACH(child, json_parse(&a, STR_LIT("\"text\""), NULL))
    {
        fail();
    }
    JSON_EACH(child, (const struct json *)NULL)
    {
        fail();
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_dialect),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(limits_the_number_of_values),
        cmocka_unit_test(keeps_views_and_texts),
        cmocka_unit_test(converts_values),
        cmocka_unit_test(keys_may_be_objects_or_their_text),
        cmocka_unit_test(each_of_no_container_visits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
