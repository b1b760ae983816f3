#include "base/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void empty_answers_zero(void **state)
{
    static struct hist h;
    hist_init(&h);
    assert_int_equal(hist_percentile(&h, 50), 0);
    assert_true(hist_mean(&h) == 0.0);
}

static void small_values_are_exact(void **state)
{
    static struct hist h;
    hist_init(&h);
    for (uint64_t v = 1; v <= 200; v++)
        hist_record(&h, v);
    assert_int_equal(h.count, 200);
    assert_int_equal(h.min, 1);
    assert_int_equal(h.max, 200);
    assert_int_equal(hist_percentile(&h, 0), 1);
    assert_int_equal(hist_percentile(&h, 50), 100);
    assert_int_equal(hist_percentile(&h, 99), 198);
    assert_int_equal(hist_percentile(&h, 99.5), 199);
    assert_int_equal(hist_percentile(&h, 100), 200);
    assert_true(hist_mean(&h) == 100.5);
}

static void error_stays_under_one_percent(void **state)
{
    static struct hist h;
    const uint64_t end = UINT64_C(1) << 40;
    for (uint64_t v = 1; v < end; v += v / 37 + 1) {
        hist_init(&h);
        hist_record(&h, v);
        hist_record(&h, end * 2); /* so that the answer is the bucket's and not the largest value seen */
        uint64_t answer = hist_percentile(&h, 50);
        assert_true(answer >= v);
        assert_true((double)(answer - v) < 0.01 * (double)v);
    }
}

static void keeps_order_beyond_the_range(void **state)
{
    static struct hist h;
    hist_init(&h);
    hist_record(&h, 5);
    hist_record(&h, UINT64_MAX);
    assert_int_equal(hist_percentile(&h, 50), 5);
    assert_true(hist_percentile(&h, 99) == UINT64_MAX);
    assert_true(h.max == UINT64_MAX);
}

static void merging_equals_recording_in_one(void **state)
{
    static struct hist a, b, all;
    hist_init(&a);
    hist_init(&b);
    hist_init(&all);
    hist_add(&a, &b);
    assert_int_equal(a.count, 0);
    for (uint64_t v = 1; v < 100000; v = v * 3 / 2 + 1) {
        hist_record(v % 2 ? &a : &b, v);
        hist_record(&all, v);
    }
    hist_add(&a, &b);
    assert_memory_equal(&a, &all, sizeof a);
    struct hist *fresh = &b;
    hist_init(fresh);
    hist_add(fresh, &all);
    assert_memory_equal(fresh, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_answers_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(error_stays_under_one_percent),
        cmocka_unit_test(keeps_order_beyond_the_range),
        cmocka_unit_test(merging_equals_recording_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
