#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void tells_null_from_empty(void **state)
{
    assert_true(str_is_null(str_from(NULL)));
    assert_false(str_is_null(str_from("")));
    assert_true(str_eq(STR_NULL, STR_LIT("")));
    assert_true(str_blank(STR_NULL));
    assert_true(str_blank(STR_LIT(" \t\r\n")));
    assert_false(str_blank(STR_LIT(" x ")));
}

static void compares(void **state)
{
    assert_true(str_eqz(STR_LIT("abc"), "abc"));
    assert_false(str_eqz(STR_LIT("abc"), "abd"));
    assert_false(str_eqz(STR_LIT("abc"), "ab"));
    assert_true(str_ieq(STR_LIT("SyncFlush"), STR_LIT("SYNCFLUSH")));
    assert_false(str_ieq(STR_LIT("SyncFlush"), STR_LIT("SYNCFLUSHX")));
    assert_false(str_ieq(STR_LIT("a@"), STR_LIT("a`")));
    assert_true(str_cmp(STR_LIT("a"), STR_LIT("b")) < 0);
    assert_true(str_cmp(STR_LIT("b"), STR_LIT("a")) > 0);
    assert_true(str_cmp(STR_LIT("a"), STR_LIT("ab")) < 0);
    assert_true(str_cmp(STR_LIT("ab"), STR_LIT("a")) > 0);
    assert_true(str_cmp(STR_LIT("\x7F"), STR_LIT("\x80")) < 0);
    assert_int_equal(str_cmp(STR_NULL, STR_LIT("")), 0);
    assert_true(str_starts(STR_LIT("%RETRY%g"), STR_LIT("%RETRY%")));
    assert_false(str_starts(STR_LIT("%RETRY"), STR_LIT("%RETRY%")));
}

static void finds_and_cuts(void **state)
{
    assert_int_equal(str_find(STR_LIT("topic@group"), STR_LIT("@")), 5);
    assert_int_equal(str_find(STR_LIT("topic"), STR_LIT("@")), -1);
    assert_int_equal(str_find(STR_LIT("ab"), STR_LIT("abc")), -1);
    assert_int_equal(str_find(STR_LIT("ab"), STR_LIT("")), 0);
    assert_true(str_eqz(str_skip(STR_LIT("abc"), 1), "bc"));
    assert_int_equal(str_skip(STR_LIT("abc"), 4).len, 0);
    assert_true(str_eqz(str_trim(STR_LIT("\t a b \n")), "a b"));
    assert_int_equal(str_trim(STR_LIT(" \n")).len, 0);
}

static void splits_into_all_pieces(void **state)
{
    static const char *const expected[] = {"a", "", "bc", ""};
    struct str rest = STR_LIT("a;;bc;"), piece;
    for (size_t i = 0; i < 4; i++) {
        assert_true(str_split(&rest, ';', &piece));
        assert_true(str_eqz(piece, expected[i]));
    }
    assert_false(str_split(&rest, ';', &piece));
    rest = STR_LIT("");
    assert_true(str_split(&rest, ';', &piece));
    assert_int_equal(piece.len, 0);
    assert_false(str_split(&rest, ';', &piece));
}

static void reads_whole_numbers_only(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {{"0", true, 0},
                {"-1", true, -1},
                {"+7", true, 7},
                {"007", true, 7},
                {"9223372036854775807", true, INT64_MAX},
                {"-9223372036854775808", true, INT64_MIN},
                {"000000000000000000000000009", true, 9},
                {"999999999999999999", true, 999999999999999999},
                {"-1000000000000000000", true, -1000000000000000000},
                {"99999999999999999x", false, 0},
                {"100000000000000000x", false, 0},
                {"9223372036854775808", false, 0},
                {"-9223372036854775809", false, 0},
                {"99999999999999999999999", false, 0},
                {"", false, 0},
                {"-", false, 0},
                {"+", false, 0},
                {" 1", false, 0},
                {"1 ", false, 0},
                {"1.0", false, 0},
                {"0x10", false, 0},
                {"1:", false, 0},
                {"1/", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t v = 42;
        assert_int_equal(str_to_i64(str_from(rows[i].text), &v), rows[i].good);
        assert_true(v == (rows[i].good ? rows[i].value : 42));
    }
    int32_t v32;
    assert_true(str_to_i32(STR_LIT("2147483647"), &v32) && v32 == INT32_MAX);
    assert_true(str_to_i32(STR_LIT("-2147483648"), &v32) && v32 == INT32_MIN);
    assert_false(str_to_i32(STR_LIT("2147483648"), &v32));
    assert_false(str_to_i32(STR_LIT("-2147483649"), &v32));
}

static void prints_numbers(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {{0, "0"},
                {-1, "-1"},
                {9, "9"},
                {10, "10"},
                {-99, "-99"},
                {100, "100"},
                {101, "101"},
                {-1009, "-1009"},
                {10000, "10000"},
                {1234567890123, "1234567890123"},
                {INT64_MAX, "9223372036854775807"},
                {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[20];
        assert_true(str_eqz(str_make(text, fmt_i64(text, rows[i].value)), rows[i].text));
    }
}

static void duplicates(void **state)
{
    char *z = str_dupz(str_make("abcdef", 3));
    assert_string_equal(z, "abc");
    free(z);
    z = str_dupz(STR_NULL);
    assert_string_equal(z, "");
    free(z);
}

static void hash_follows_equality(void **state)
{
    char other[] = "TopicTest";
    assert_true(str_hash(STR_LIT("TopicTest")) == str_hash(str_from(other)));
    assert_true(str_hash(STR_LIT("TopicTest")) != str_hash(STR_LIT("TopicTesu")));
    assert_true(str_hash(STR_NULL) == str_hash(STR_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_null_from_empty),
        cmocka_unit_test(compares),
        cmocka_unit_test(finds_and_cuts),
        cmocka_unit_test(splits_into_all_pieces),
        cmocka_unit_test(reads_whole_numbers_only),
        cmocka_unit_test(prints_numbers),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(hash_follows_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
