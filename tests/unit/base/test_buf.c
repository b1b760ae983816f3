#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void appends_everything_in_order(void **state)
{
    struct buf b = {0};
    buf_add_lit(&b, "ab");
    buf_add_str(&b, STR_LIT("c"));
    buf_add_str(&b, STR_NULL);
    buf_add(&b, NULL, 0);
    buf_add_byte(&b, 'd');
    buf_add_i64(&b, -12);
    buf_printf(&b, "<%s:%d>", "x", 7);
    assert_true(buf_ok(&b));
    assert_true(str_eqz(buf_str(&b), "abcd-12<x:7>"));
    buf_clear(&b);
    assert_int_equal(buf_str(&b).len, 0);
    buf_free(&b);
    assert_null(b.data);
    assert_non_null(buf_str(&b).ptr);
}

static void writes_big_endian(void **state)
{
    static const uint8_t expected[] = {0x01, 0x02, 0xA1, 0xB2, 0xC3, 0xD4, 0xFE,
                                       0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10};
    struct buf b = {0};
    buf_add_be16(&b, 0x0102);
    buf_add_be32(&b, 0xA1B2C3D4);
    buf_add_be64(&b, 0xFEDCBA9876543210);
    assert_int_equal(b.len, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);
    assert_int_equal(get_be16(b.data), 0x0102);
    assert_int_equal(get_be32(b.data + 2), 0xA1B2C3D4);
    assert_true(get_be64(b.data + 6) == 0xFEDCBA9876543210);
    buf_free(&b);
}

static void keeps_content_while_growing(void **state)
{
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_add_be32(&b, (uint32_t)i);
    assert_int_equal(b.len, 400000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(get_be32(b.data + 4 * i), i);
    buf_free(&b);
}

static void a_failed_append_leaves_no_hole(void **state)
{
    struct buf b = {0};
    buf_add_lit(&b, "abc");
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_ok(&b));
    assert_null(buf_extend(&b, 1));
    buf_add_lit(&b, "d");
    buf_add_i64(&b, 1);
    buf_printf(&b, "e");
    assert_true(str_eqz(buf_str(&b), "abc"));
    buf_clear(&b);
    buf_add_lit(&b, "a text longer than what was there before");
    assert_true(buf_ok(&b));
    assert_true(str_eqz(buf_str(&b), "a text longer than what was there before"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_everything_in_order),
        cmocka_unit_test(writes_big_endian),
        cmocka_unit_test(keeps_content_while_growing),
        cmocka_unit_test(a_failed_append_leaves_no_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
