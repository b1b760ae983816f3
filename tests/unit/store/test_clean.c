/* Retention: when files go, how many, and when messages are refused. */
#include "store/clean.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOUR = 3600 * 1000 };

/* A log of files with these ages in hours, oldest first. */
struct log {
    int ages[32];
    int n, first, pauses, error, stop_after;
};

static const int64_t NOW = 1700000000000;

static int64_t first_mtime(void *arg)
{
    struct log *l = arg;
    return l->n - l->first < 2 ? -1 : NOW - (int64_t)l->ages[l->first] * HOUR;
}

static int remove_first(void *arg)
{
    struct log *l = arg;
    if (l->error)
        return l->error;
    if (l->n - l->first < 2)
        return 0;
    l->first++;
    return 1;
}

static bool pause_ms(void *arg, int ms)
{
    struct log *l = arg;
    assert_int_equal(ms, 100);
    return ++l->pauses != l->stop_after;
}

static const struct clean_rules DEFAULTS = {
    .delete_when = "04",
    .reserved_hours = 72,
    .max_used_percent = 75,
    .forcibly_percent = 85,
    .warning_percent = 90,
    .may_force = true,
    .files_max = 10,
    .pause_ms = 100,
};

static struct clean_outcome run(struct log *l, const struct clean_rules *rules, struct clean_state state)
{
    struct clean_hands hands = {l, first_mtime, remove_first, pause_ms};
    state.now_ms = NOW;
    return clean_round(rules, &state, &hands);
}

static void test_hours(void **state)
{
    assert_true(clean_is_hour("04", 4));
    assert_false(clean_is_hour("04", 5));
    assert_true(clean_is_hour("04;16", 16));
    assert_true(clean_is_hour(" 4 ; 0 ", 0));
    assert_false(clean_is_hour("", 0));
    assert_false(clean_is_hour("x;;25", 5));
}

static void test_by_time(void **state)
{
    struct log l = {.ages = {100, 80, 73, 71, 10, 1}, .n = 6};
    struct clean_state quiet = {.hour = 12, .log_ratio = 0.5, .queue_ratio = 0.5};
    struct clean_outcome out = run(&l, &DEFAULTS, quiet);
    assert_false(out.wanted);
    assert_int_equal(out.removed, 0);
    quiet.hour = 4;
    out = run(&l, &DEFAULTS, quiet);
    assert_true(out.wanted);
    assert_int_equal(out.removed, 3);
    assert_int_equal(l.first, 3);
    assert_int_equal(l.pauses, 2);
    assert_false(out.full);
}

static void test_not_out_of_order(void **state)
{
    struct log l = {.ages = {10, 100, 100, 100}, .n = 4};
    struct clean_state s = {.hour = 4, .log_ratio = 0.5, .queue_ratio = 0.5};
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 0);
}

static void test_last_file_stays(void **state)
{
    struct log l = {.ages = {100, 100, 100}, .n = 3};
    struct clean_state s = {.hour = 4, .log_ratio = 0.99, .queue_ratio = 0.5};
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 2);
    assert_int_equal(l.first, 2);
}

static void test_batch(void **state)
{
    struct log l = {.n = 30};
    for (int i = 0; i < 30; i++)
        l.ages[i] = 100;
    struct clean_state s = {.hour = 4, .log_ratio = 0.5, .queue_ratio = 0.5};
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 10);
    l.stop_after = 12; /* the store stops in the second round: pauses 10, 11, 12 */
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 3);
}

/* Above diskMaxUsedSpaceRatio old files go at any hour, but only old ones. */
static void test_space(void **state)
{
    struct log l = {.ages = {100, 10, 10}, .n = 3};
    struct clean_state s = {.hour = 12, .log_ratio = 0.75, .queue_ratio = 0.5};
    assert_false(run(&l, &DEFAULTS, s).wanted);
    s.log_ratio = 0.76;
    struct clean_outcome out = run(&l, &DEFAULTS, s);
    assert_true(out.wanted);
    assert_false(out.at_once);
    assert_int_equal(out.removed, 1);
    s = (struct clean_state){.hour = 12, .log_ratio = 0.5, .queue_ratio = 0.76};
    assert_true(run(&l, &DEFAULTS, s).wanted);
    s = (struct clean_state){.hour = 12, .log_ratio = -1, .queue_ratio = 0.5};
    assert_true(run(&l, &DEFAULTS, s).wanted);
}

static void test_forced(void **state)
{
    struct log l = {.ages = {10, 10, 10, 10}, .n = 4};
    struct clean_state s = {.hour = 12, .log_ratio = 0.85, .queue_ratio = 0.5};
    assert_false(run(&l, &DEFAULTS, s).at_once);
    assert_int_equal(l.first, 0);
    struct clean_rules gentle = DEFAULTS;
    gentle.may_force = false;
    s.log_ratio = 0.86;
    assert_int_equal(run(&l, &gentle, s).removed, 0);
    struct clean_outcome out = run(&l, &DEFAULTS, s);
    assert_true(out.at_once);
    assert_false(out.full);
    assert_int_equal(out.removed, 3);
    struct log q = {.ages = {10, 10}, .n = 2};
    s = (struct clean_state){.hour = 12, .log_ratio = 0.5, .queue_ratio = 0.86};
    assert_int_equal(run(&q, &DEFAULTS, s).removed, 1);
}

/* Above the warning level messages are refused until the use is below the forced level again. */
static void test_full(void **state)
{
    struct log l = {.n = 1};
    struct clean_state s = {.hour = 12, .log_ratio = 0.90, .queue_ratio = 0.5};
    assert_false(run(&l, &DEFAULTS, s).full);
    s.log_ratio = 0.91;
    assert_true(run(&l, &DEFAULTS, s).full);
    s.was_full = true;
    s.log_ratio = 0.88;
    assert_true(run(&l, &DEFAULTS, s).full);
    s.log_ratio = 0.85;
    assert_false(run(&l, &DEFAULTS, s).full);
    s.was_full = false;
    s.queue_ratio = 0.95;
    assert_true(run(&l, &DEFAULTS, s).full);
}

/* Ratios outside what Java allows are brought into its bounds. */
static void test_clamps(void **state)
{
    struct clean_rules rules = DEFAULTS;
    rules.warning_percent = 100;
    rules.forcibly_percent = 99;
    struct log l = {.ages = {1, 1}, .n = 2};
    struct clean_state s = {.hour = 12, .log_ratio = 0.91, .queue_ratio = 0.5};
    struct clean_outcome out = run(&l, &rules, s);
    assert_true(out.full);
    assert_true(out.at_once);
    rules.warning_percent = 1;
    rules.forcibly_percent = 1;
    rules.max_used_percent = 1;
    s.log_ratio = 0.10;
    s.queue_ratio = 0.10;
    out = run(&l, &rules, s);
    assert_false(out.full);
    assert_false(out.at_once);
    assert_false(out.wanted);
}

static void test_manual(void **state)
{
    struct log l = {.ages = {100, 10, 10}, .n = 3};
    struct clean_state s = {.hour = 12, .log_ratio = 0.5, .queue_ratio = 0.5, .manual = true};
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 1);
}

/* No room for the next file although the ratio looks well (a small partition): one file makes the room. */
static void test_no_room(void **state)
{
    struct log l = {.ages = {1, 1, 1, 1}, .n = 4};
    struct clean_state s = {.hour = 12, .log_ratio = 0.6, .queue_ratio = 0.5, .no_room = true};
    struct clean_outcome out = run(&l, &DEFAULTS, s);
    assert_true(out.at_once);
    assert_int_equal(out.removed, 1);
    s.log_ratio = 0.99;
    assert_int_equal(run(&l, &DEFAULTS, s).removed, 2);
}

static void test_removal_fails(void **state)
{
    struct log l = {.ages = {100, 100, 100}, .n = 3, .error = -EACCES};
    struct clean_state s = {.hour = 4, .log_ratio = 0.5, .queue_ratio = 0.5};
    struct clean_outcome out = run(&l, &DEFAULTS, s);
    assert_int_equal(out.error, -EACCES);
    assert_int_equal(out.removed, 0);
}

static int64_t fake_total, fake_usable;

static int fake_space(const struct fs *fs, const char *path, int64_t *total, int64_t *usable)
{
    *total = fake_total;
    *usable = fake_usable;
    return fake_total ? 0 : -ENOENT;
}

static void test_ratio_rounds_up(void **state)
{
    struct fs fs = *fs_real();
    fs.space = fake_space;
    assert_true(clean_disk_ratio(&fs, "x") < 0);
    fake_total = 1000;
    fake_usable = 1000;
    assert_true(clean_disk_ratio(&fs, "x") == 0.0);
    fake_usable = 250;
    assert_true(clean_disk_ratio(&fs, "x") == 0.75);
    fake_usable = 249;
    assert_true(clean_disk_ratio(&fs, "x") == 0.76);
    fake_usable = 0;
    assert_true(clean_disk_ratio(&fs, "x") == 1.0);
    double real = clean_disk_ratio(fs_real(), "/");
    assert_true(real > 0 && real <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hours),           cmocka_unit_test(test_by_time), cmocka_unit_test(test_not_out_of_order),
        cmocka_unit_test(test_last_file_stays), cmocka_unit_test(test_batch),   cmocka_unit_test(test_space),
        cmocka_unit_test(test_forced),          cmocka_unit_test(test_full),    cmocka_unit_test(test_clamps),
        cmocka_unit_test(test_manual),          cmocka_unit_test(test_no_room), cmocka_unit_test(test_removal_fails),
        cmocka_unit_test(test_ratio_rounds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
