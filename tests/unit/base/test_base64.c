#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    const char *plain, *coded;
} known[] = {{"", ""},
             {"f", "Zg=="},
             {"fo", "Zm8="},
             {"foo", "Zm9v"},
             {"foob", "Zm9vYg=="},
             {"\xfb\xff\xfe", "-__-"},
             {"v1 T b", "djEgVCBi"}};

static void test_known(void **state)
{
    struct buf b = {0};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        buf_clear(&b);
        base64_url_add(&b, str_from(known[i].plain));
        assert_true(str_eqz(buf_str(&b), known[i].coded));
        buf_clear(&b);
        assert_true(base64_url_decode(&b, str_from(known[i].coded)));
        assert_true(str_eqz(buf_str(&b), known[i].plain));
    }
    buf_clear(&b);
    base64_add(&b, STR_LIT("\xfb\xff\xfe"));
    assert_true(str_eqz(buf_str(&b), "+//+"));
    buf_free(&b);
}

static void test_padding_may_be_left_out(void **state)
{
    struct buf b = {0};
    assert_true(base64_url_decode(&b, STR_LIT("Zm9vYg")));
    assert_true(str_eqz(buf_str(&b), "foob"));
    buf_free(&b);
}

static void test_no_base64(void **state)
{
    static const char *const bad[] = {"Z", "Zg=", "Zm9vY", "Zm 9", "+//+", "Zg===", "=", "Zm=v", "\xc3\xa4=="};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base64_url_decode(&b, str_from(bad[i])));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_padding_may_be_left_out),
        cmocka_unit_test(test_no_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
