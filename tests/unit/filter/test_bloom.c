#include "filter/bloom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What Java's BloomFilter says of them. */
static void sizes(void **state)
{
    static const struct {
        int32_t error, expected, hashes, bits;
    } cases[] = {{1, 1, 7, 16},    {1, 1000, 7, 9592}, {5, 33, 5, 208},    {10, 100, 4, 480},   {19, 33, 3, 120},
                 {20, 32, 3, 112}, {20, 100, 3, 336},  {21, 32, 3, 104},   {25, 1000, 2, 2888}, {33, 7, 2, 24},
                 {50, 7, 1, 16},   {51, 33, 1, 48},    {75, 1000, 1, 600}, {99, 1, 1, 8},       {99, 1000, 1, 24}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bloom b = bloom_make(cases[i].error, cases[i].expected);
        assert_int_equal(b.hashes, cases[i].hashes);
        assert_int_equal(b.bits, cases[i].bits);
        assert_true(b.hashes <= BLOOM_HASHES_MAX);
    }
}

static void positions(void **state)
{
    static const struct {
        const char *text;
        int32_t few[3], many[7];
    } cases[] = {
        {"", {0, 0, 0}, {0, 0, 0, 0, 0, 0, 0}},
        {"g#t", {22, 87, 58}, {422, 295, 202, 700, 17, 479, 18}},
        {"group_a#topic_b", {29, 93, 45}, {941, 109, 237, 594, 466, 338, 210}},
        {"0123456789abcdef", {11, 47, 60}, {507, 463, 796, 840, 75, 224, 268}},
        {"a_group_with_a_name#that_is_longer_than_one_block", {67, 35, 26}, {211, 691, 634, 638, 264, 48, 105}},
        {"caf\xc3\xa9#x", {14, 14, 14}, {526, 942, 398, 814, 270, 273, 817}},
    };
    struct bloom few = bloom_make(20, 32), many = bloom_make(1, 100);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t at[BLOOM_HASHES_MAX];
        bloom_positions(&few, str_from(cases[i].text), at);
        assert_memory_equal(at, cases[i].few, sizeof cases[i].few);
        bloom_positions(&many, str_from(cases[i].text), at);
        assert_memory_equal(at, cases[i].many, sizeof cases[i].many);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
