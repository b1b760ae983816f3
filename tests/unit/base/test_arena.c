#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void gives_aligned_memory_that_does_not_overlap(void **state)
{
    struct arena a = {0};
    unsigned char *p[300];
    for (size_t i = 0; i < 300; i++) {
        p[i] = arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[i][k], (unsigned char)i);
    arena_free(&a);
}

static void zeroes_on_request(void **state)
{
    struct arena a = {0};
    memset(arena_alloc(&a, 1000), 0xFF, 1000);
    arena_reset(&a);
    const unsigned char *p = arena_calloc(&a, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    arena_free(&a);
}

static void reset_gives_the_same_memory_again(void **state)
{
    struct arena a = {0};
    void *first = arena_alloc(&a, 100);
    for (int i = 0; i < 1000; i++)
        assert_non_null(arena_alloc(&a, 1000));
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_free(&a);
}

static void takes_big_pieces(void **state)
{
    struct arena a = {0};
    unsigned char *big = arena_alloc(&a, 1 << 20);
    assert_non_null(big);
    memset(big, 1, 1 << 20);
    arena_reset(&a);
    assert_null(a.block);
    assert_non_null(arena_alloc(&a, 1));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_free(&a);
}

static void copies_text(void **state)
{
    struct arena a = {0};
    char source[] = "abc";
    struct str copy = arena_str(&a, str_from(source));
    source[0] = 'x';
    assert_string_equal(copy.ptr, "abc");
    assert_int_equal(copy.len, 3);
    assert_true(str_is_null(arena_str(&a, STR_NULL)));
    assert_false(str_is_null(arena_str(&a, STR_LIT(""))));
    assert_string_equal(arena_strz(&a, str_make("abcdef", 2)), "ab");
    assert_string_equal(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    arena_free(&a);
}

static void resets_and_frees_empty(void **state)
{
    struct arena a = {0};
    arena_reset(&a);
    arena_free(&a);
    assert_null(a.block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(zeroes_on_request),
        cmocka_unit_test(reset_gives_the_same_memory_again),
        cmocka_unit_test(takes_big_pieces),
        cmocka_unit_test(copies_text),
        cmocka_unit_test(resets_and_frees_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
