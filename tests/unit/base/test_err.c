#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void keeps_code_and_text(void **state)
{
    struct err e = {0};
    assert_int_equal(err_set(&e, EINVAL, "bad %s %d", "port", 7), -1);
    assert_int_equal(e.code, EINVAL);
    assert_string_equal(e.text, "bad port 7");
    assert_int_equal(err_sys(&e, ENOENT, "open %s", "x"), -1);
    assert_int_equal(e.code, ENOENT);
    assert_string_equal(e.text, "open x: No such file or directory");
}

static void cuts_what_is_too_long(void **state)
{
    struct err e = {0};
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    err_set(&e, 1, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_sys(&e, EIO, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_int_equal(e.code, EIO);
}

static void nobody_may_want_the_text(void **state)
{
    assert_int_equal(err_set(NULL, 1, "x"), -1);
    assert_int_equal(err_sys(NULL, 1, "x"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_code_and_text),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(nobody_may_want_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
