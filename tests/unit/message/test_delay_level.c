/* The delays of messageDelayLevel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "message/delay_level.h"

static void test_parse(void **state)
{
    struct delay_levels l;
    struct err err;
    assert_int_equal(delay_levels_parse(&l, STR_LIT("1s 5s  1m 2h 1d"), &err), 0);
    assert_int_equal(l.count, 5);
    assert_int_equal(l.ms[2], 5000);
    assert_int_equal(l.ms[4], 7200000);
    assert_int_equal(l.ms[5], 86400000);
    assert_int_equal(delay_levels_parse(&l, STR_LIT("1s 5"), &err), -1);
    assert_int_equal(delay_levels_parse(&l, STR_LIT("1s xm"), &err), -1);
    assert_int_equal(delay_levels_parse(&l, STR_LIT("-1s"), &err), -1);
    assert_non_null(strstr(err.text, "-1s"));
}

static void test_too_many(void **state)
{
    struct delay_levels l;
    struct err err;
    struct buf text = {0};
    for (int i = 0; i < DELAY_LEVELS_MAX; i++)
        buf_add_str(&text, STR_LIT("1s "));
    assert_int_equal(delay_levels_parse(&l, buf_str(&text), &err), 0);
    assert_int_equal(l.count, DELAY_LEVELS_MAX);
    buf_add_str(&text, STR_LIT("1s"));
    assert_int_equal(delay_levels_parse(&l, buf_str(&text), &err), -1);
    buf_free(&text);
}

static void test_level(void **state)
{
    struct delay_levels l = {0};
    assert_int_equal(delay_level_of(&l, STR_LIT("1")), 0);
    l.count = 3;
    assert_int_equal(delay_level_of(&l, STR_LIT("3")), 3);
    assert_int_equal(delay_level_of(&l, STR_LIT("4")), 3);
    assert_int_equal(delay_level_of(&l, STR_LIT("0")), 0);
    assert_int_equal(delay_level_of(&l, STR_LIT("x")), 0);
    assert_int_equal(delay_level_of(&l, STR_NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
