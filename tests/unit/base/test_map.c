#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static struct str name_of(char *out, int i)
{
    return str_make(out, (size_t)sprintf(out, "topic-%d", i));
}

static void empty_map_holds_nothing(void **state)
{
    struct map m = {0};
    assert_null(map_get(&m, STR_LIT("a")));
    assert_null(map_del(&m, STR_LIT("a")));
    assert_null(map_next(&m, NULL));
    assert_null(map_sorted(&m));
    map_clear(&m, NULL);
    map_free(&m, NULL);
}

static void puts_replaces_and_deletes(void **state)
{
    struct map m = {0};
    char key[] = "topic";
    int one = 1, two = 2;
    void *old = &two;
    assert_true(map_put(&m, str_from(key), &one, &old));
    assert_null(old);
    key[0] = 'x'; /* the map has its own copy */
    assert_ptr_equal(map_get(&m, STR_LIT("topic")), &one);
    assert_null(map_get(&m, STR_LIT("xopic")));
    assert_true(map_put(&m, STR_LIT("topic"), &two, &old));
    assert_ptr_equal(old, &one);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_del(&m, STR_LIT("topic")), &two);
    assert_null(map_get(&m, STR_LIT("topic")));
    assert_int_equal(m.count, 0);
    map_free(&m, NULL);
}

static void takes_the_empty_key(void **state)
{
    struct map m = {0};
    int one = 1;
    assert_true(map_put(&m, STR_LIT(""), &one, NULL));
    assert_ptr_equal(map_get(&m, STR_LIT("")), &one);
    assert_ptr_equal(map_get(&m, STR_NULL), &one);
    map_free(&m, NULL);
}

/* Random puts and deletes against an array that knows the truth: backward shifting must lose no entry. */
static void agrees_with_a_plain_array(void **state)
{
    enum { KEYS = 500 };
    static int values[KEYS];
    bool there[KEYS] = {false};
    struct map m = {0};
    char text[32];
    uint32_t random = 12345;
    size_t count = 0;
    for (int round = 0; round < 50000; round++) {
        random = random * 1664525 + 1013904223;
        int i = (int)(random >> 8) % KEYS;
        struct str key = name_of(text, i);
        if (random >> 31) {
            assert_true(map_put(&m, key, &values[i], NULL));
            count += !there[i];
            there[i] = true;
        } else {
            assert_ptr_equal(map_del(&m, key), there[i] ? &values[i] : NULL);
            count -= there[i];
            there[i] = false;
        }
        assert_int_equal(m.count, count);
        if (round % 500 == 0)
            for (int k = 0; k < KEYS; k++)
                assert_ptr_equal(map_get(&m, name_of(text, k)), there[k] ? &values[k] : NULL);
    }
    size_t seen = 0;
    for (struct map_slot *s = NULL; (s = map_next(&m, s)); seen++) {
        ptrdiff_t i = (int *)s->value - values;
        assert_true(there[i] && str_eq(s->key, name_of(text, (int)i)));
        there[i] = false;
    }
    assert_int_equal(seen, count);
    map_free(&m, NULL);
}

static void sorts_by_bytes(void **state)
{
    static const char *const expected[] = {"", "A", "a", "aa", "b", "\xC3\xA9"};
    struct map m = {0};
    int v;
    for (size_t i = 6; i-- > 0;)
        assert_true(map_put(&m, str_from(expected[i]), &v, NULL));
    struct map_slot *all = map_sorted(&m);
    assert_non_null(all);
    for (size_t i = 0; i < 6; i++)
        assert_true(str_eqz(all[i].key, expected[i]));
    free(all);
    map_free(&m, NULL);
}

static int freed;

static void count_free(void *value)
{
    freed++;
    free(value);
}

static void frees_each_value_once(void **state)
{
    struct map m = {0};
    char text[32];
    for (int i = 0; i < 40; i++)
        assert_true(map_put(&m, name_of(text, i), malloc(1), NULL));
    freed = 0;
    map_clear(&m, count_free);
    assert_int_equal(freed, 40);
    assert_int_equal(m.count, 0);
    assert_null(map_get(&m, name_of(text, 3)));
    assert_true(map_put(&m, STR_LIT("again"), malloc(1), NULL));
    map_free(&m, count_free);
    assert_int_equal(freed, 41);
    assert_null(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_map_holds_nothing), cmocka_unit_test(puts_replaces_and_deletes),
        cmocka_unit_test(takes_the_empty_key),     cmocka_unit_test(agrees_with_a_plain_array),
        cmocka_unit_test(sorts_by_bytes),          cmocka_unit_test(frees_each_value_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
