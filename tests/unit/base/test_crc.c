#include "base/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void knows_the_check_value(void **state)
{
    assert_int_equal(crc32_ieee("123456789", 9), 0xCBF43926);
    assert_int_equal(crc32_ieee("", 0), 0);
    assert_int_equal(crc32_ieee(NULL, 0), 0);
    assert_int_equal(crc32_ieee("a", 1), 0xE8B7BE43);
}

static void message_value_has_31_bits(void **state)
{
    assert_int_equal(crc32_message("123456789", 9), 0x4BF43926);
    assert_int_equal(crc32_message("a", 1), 0x68B7BE43);
}

static void every_bit_counts(void **state)
{
    unsigned char data[600];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7);
    uint32_t whole = crc32_ieee(data, sizeof data);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 1;
        assert_int_not_equal(crc32_ieee(data, sizeof data), whole);
        data[i] ^= 1;
    }
    assert_int_equal(crc32_ieee(data, sizeof data), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_check_value),
        cmocka_unit_test(message_value_has_31_bits),
        cmocka_unit_test(every_bit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
