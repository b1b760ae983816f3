#include "broker/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static const int64_t T0 = 1700000000000;

/* The statistics of an item as a parsed tree. */
struct view {
    struct arena arena;
    struct buf text;
    const struct json *json;
};

static bool look(struct view *v, struct stats *s, const char *name, const char *key)
{
    struct jw w;
    *v = (struct view){0};
    jw_init(&w, &v->text);
    bool there = stats_write(s, str_from(name), str_from(key), &w);
    v->json = there ? json_parse(&v->arena, buf_str(&v->text), NULL) : NULL;
    if (there)
        assert_non_null(v->json);
    return there;
}

static void close_view(struct view *v)
{
    arena_free(&v->arena);
    buf_free(&v->text);
}

static void expect(struct stats *s, const char *key, const char *window, int64_t sum, double tps, double average)
{
    struct view v;
    assert_true(look(&v, s, "TOPIC_PUT_NUMS", key));
    const struct json *w = json_get(v.json, window);
    assert_int_equal(json_i64(w, "sum", -1), sum);
    assert_true(json_double(w, "tps", -1) > tps - 0.001 && json_double(w, "tps", -1) < tps + 0.001);
    assert_true(json_double(w, "avgpt", -1) > average - 0.001 && json_double(w, "avgpt", -1) < average + 0.001);
    close_view(&v);
}

static void run(struct stats *s, int64_t *now, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        *now += 1000;
        stats_sample(s, *now);
    }
}

static void test_unknown_items(void **state)
{
    struct stats *s = stats_new("c");
    struct view v;
    stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    assert_true(look(&v, s, "TOPIC_PUT_NUMS", "t"));
    close_view(&v);
    assert_false(look(&v, s, "TOPIC_PUT_NUMS", "other"));
    close_view(&v);
    assert_false(look(&v, s, "NO_SUCH_NAME", "t"));
    close_view(&v);
    stats_free(s);
}

static void test_same_item_for_same_key(void **state)
{
    struct stats *s = stats_new("c");
    struct stats_item *a = stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    assert_ptr_equal(a, stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t")));
    assert_ptr_not_equal(a, stats_item(s, STATS_TOPIC_PUT_SIZE, STR_LIT("t")));
    assert_ptr_not_equal(a, stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("u")));
    stats_free(s);
}

/* The first sample of an item counts against the moment one step before, as in Java. */
static void test_minute_window(void **state)
{
    struct stats *s = stats_new("c");
    int64_t now = T0;
    struct stats_item *i = stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    stats_add(i, 30);
    stats_add(i, 20);
    expect(s, "t", "statsMinute", 50, 0, 25); /* no time has passed */
    run(s, &now, 1);
    expect(s, "t", "statsMinute", 50, 5, 25);
    run(s, &now, 5);
    expect(s, "t", "statsMinute", 50, 50.0 / 15, 25);
    run(s, &now, 5);
    expect(s, "t", "statsMinute", 50, 2.5, 25);
    assert_true(stats_tps(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t")) > 2.499);
    /* Seven samples span a minute: then the first count falls out. */
    run(s, &now, 50);
    expect(s, "t", "statsMinute", 0, 0, 0);
    expect(s, "t", "statsHour", 50, 50.0 / 660, 25);
    expect(s, "t", "statsDay", 50, 50.0 / 3660, 25);
    stats_free(s);
}

static void test_item_made_later(void **state)
{
    struct stats *s = stats_new("c");
    int64_t now = T0;
    run(s, &now, 25);
    struct stats_item *i = stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    stats_add(i, 10);
    run(s, &now, 5);
    expect(s, "t", "statsMinute", 10, 10.0 / 9, 10);
    run(s, &now, 5);
    expect(s, "t", "statsMinute", 10, 10.0 / 14, 10);
    assert_true(stats_tps(s, STATS_TOPIC_PUT_NUMS, STR_LIT("none")) == 0);
    stats_free(s);
}

static void test_day_window_ends_after_a_day(void **state)
{
    struct stats *s = stats_new("c");
    int64_t now = T0;
    struct stats_item *i = stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    stats_add(i, 7);
    for (int h = 0; h < 24; h++) {
        now += 3600000;
        stats_sample(s, now);
    }
    expect(s, "t", "statsDay", 7, 7.0 / 86400, 7);
    now += 3600000;
    stats_sample(s, now);
    expect(s, "t", "statsDay", 0, 0, 0);
    stats_free(s);
}

static void test_forgotten_until_counted_again(void **state)
{
    struct stats *s = stats_new("c");
    struct view v;
    int64_t now = T0;
    struct stats_item *topic = stats_item(s, STATS_TOPIC_PUT_NUMS, STR_LIT("t"));
    struct stats_item *group = stats_item(s, STATS_GROUP_GET_NUMS, STR_LIT("t@g"));
    struct stats_item *like = stats_item(s, STATS_GROUP_GET_NUMS, STR_LIT("tt@gg"));
    stats_add(topic, 5);
    stats_add(group, 5);
    stats_add(like, 5);
    run(s, &now, 10);
    stats_forget(s, STR_LIT("t"));
    assert_false(look(&v, s, "TOPIC_PUT_NUMS", "t"));
    assert_false(look(&v, s, "GROUP_GET_NUMS", "t@g"));
    assert_true(look(&v, s, "GROUP_GET_NUMS", "tt@gg"));
    close_view(&v);
    stats_forget(s, STR_LIT("gg"));
    assert_false(look(&v, s, "GROUP_GET_NUMS", "tt@gg"));
    run(s, &now, 10);
    assert_false(look(&v, s, "TOPIC_PUT_NUMS", "t"));
    /* The pointer that a sender kept goes on counting; only what came since is seen. */
    stats_add(topic, 3);
    run(s, &now, 10);
    expect(s, "t", "statsMinute", 3, 3.0 / 29, 3);
    stats_free(s);
}

static int64_t local_noon(int days_later)
{
    time_t t = (time_t)(T0 / 1000);
    struct tm tm;
    localtime_r(&t, &tm);
    tm.tm_hour = 12;
    tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday += days_later;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * 1000;
}

static void expect_totals(struct stats *s, int64_t now, int64_t today, int64_t yesterday)
{
    int64_t p[3], g[3];
    stats_totals(s, &p[0], &p[1], &p[2], &g[0], &g[1], &g[2]);
    assert_int_equal(p[0], now);
    assert_int_equal(p[1], today);
    assert_int_equal(p[2], yesterday);
    assert_int_equal(g[0], 2 * now);
    assert_int_equal(g[1], 2 * today);
    assert_int_equal(g[2], 2 * yesterday);
}

static void test_totals_at_midnights(void **state)
{
    struct stats *s = stats_new("c");
    struct stats_item *put = stats_item(s, STATS_BROKER_PUT_NUMS, STR_LIT("c"));
    struct stats_item *got = stats_item(s, STATS_BROKER_GET_NUMS, STR_LIT("c"));
    stats_sample(s, local_noon(0));
    stats_add(put, 10);
    stats_add(got, 20);
    stats_sample(s, local_noon(0) + 1000);
    expect_totals(s, 10, 0, 0);
    stats_sample(s, local_noon(1));
    expect_totals(s, 10, 10, 0);
    stats_add(put, 5);
    stats_add(got, 10);
    stats_sample(s, local_noon(2));
    expect_totals(s, 15, 15, 10);
    stats_free(s);
}

static void expect_rates(const char *text, double a, double b, double c)
{
    double v[3];
    char *end;
    v[0] = strtod(text, &end);
    assert_int_equal(*end, ' ');
    v[1] = strtod(end + 1, &end);
    assert_int_equal(*end, ' ');
    v[2] = strtod(end + 1, &end);
    assert_int_equal(*end, '\0');
    assert_true(v[0] > a - 0.001 && v[0] < a + 0.001);
    assert_true(v[1] > b - 0.001 && v[1] < b + 0.001);
    assert_true(v[2] > c - 0.001 && v[2] < c + 0.001);
}

static void test_rates(void **state)
{
    struct stats *s = stats_new("c");
    struct stats_item *put = stats_item(s, STATS_BROKER_PUT_NUMS, STR_LIT("c"));
    int64_t now = T0;
    char text[64];
    stats_tps_text(s, STATS_BROKER_PUT_NUMS, text);
    expect_rates(text, 0, 0, 0);
    for (int i = 0; i < 700; i++) {
        if (i >= 640)
            stats_add(put, i >= 690 ? 100 : 40);
        run(s, &now, 1);
        stats_sample_gets(s, (int64_t)i * 3, i, now);
    }
    stats_tps_text(s, STATS_BROKER_PUT_NUMS, text);
    expect_rates(text, 100, 50, 5);
    stats_tps_text(s, STATS_BROKER_GET_NUMS, text);
    expect_rates(text, 0, 0, 0);
    stats_rate_text(s, 1u << STATS_RATE_FOUND | 1u << STATS_RATE_MISSED, text);
    expect_rates(text, 4, 4, 4);
    stats_free(s);
}

/* Before there are samples of ten minutes, the rate is over the time there is. */
static void test_rates_of_a_young_broker(void **state)
{
    struct stats *s = stats_new("c");
    struct stats_item *put = stats_item(s, STATS_BROKER_PUT_NUMS, STR_LIT("c"));
    int64_t now = T0;
    char text[64];
    run(s, &now, 1);
    stats_add(put, 40);
    run(s, &now, 4);
    stats_tps_text(s, STATS_BROKER_PUT_NUMS, text);
    expect_rates(text, 10, 10, 10);
    stats_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_items),
        cmocka_unit_test(test_same_item_for_same_key),
        cmocka_unit_test(test_minute_window),
        cmocka_unit_test(test_item_made_later),
        cmocka_unit_test(test_day_window_ends_after_a_day),
        cmocka_unit_test(test_forgotten_until_counted_again),
        cmocka_unit_test(test_totals_at_midnights),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_rates_of_a_young_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
