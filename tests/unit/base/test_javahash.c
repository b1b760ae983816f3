#include "base/javahash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The numbers are what String.hashCode answers on Java 17. */
static const struct {
    const char *text;
    int32_t hash;
} rows[] = {{"", 0},
            {"a", 97},
            {"TagA", 2598919},
            {"hello world", 1794106052},
            {"\xC3\xA9", 233},
            {"\xE2\x82\xAC"
             "5",
             259337},
            {"\xF0\x9F\x98\x80", 1772899},
            {"TopicTest#0123456789ABCDEF", 2071759018},
            {"polygenelubricants", INT32_MIN},
            {"\xFF", 65533},
            {"a\xE2"
             "b",
             2124838},
            {"\xC3", 65533}};

static void hashes_as_java(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(java_hash(str_from(rows[i].text)), rows[i].hash);
}

static void continues_a_hash(void **state)
{
    int32_t h = java_hash(STR_LIT("TopicTest"));
    h = java_hash_more(h, STR_LIT("#"));
    h = java_hash_more(h, STR_LIT("0123456789ABCDEF"));
    assert_int_equal(h, 2071759018);
    assert_int_equal(java_hash_more(5, STR_NULL), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_as_java),
        cmocka_unit_test(continues_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
