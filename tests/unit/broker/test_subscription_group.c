#include "broker/group/subscription_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "unit/store/tmpdir.h"

static struct tmpdir dir;
static struct group_manager *m;
static struct arena arena;
static struct err err;

static void open_manager(bool auto_create)
{
    m = group_manager_new(dir.path, auto_create);
    assert_non_null(m);
    if (group_manager_load(m, &err) < 0)
        fail_msg("%s", err.text);
}

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    tmpdir_make(&dir);
    open_manager(true);
    return 0;
}

static int finish(void **state)
{
    group_manager_free(m);
    arena_free(&arena);
    tmpdir_remove(&dir);
    return 0;
}

static void again(void)
{
    assert_int_equal(group_persist(m, &err), 0);
    group_manager_free(m);
    open_manager(true);
}

static const struct json *parse(const char *text)
{
    const struct json *json = json_parse(&arena, str_from(text), &err);
    if (json == NULL)
        fail_msg("%s", err.text);
    return json;
}

static const struct json *written(const char *name)
{
    static struct buf text;
    struct jw w;
    buf_clear(&text);
    jw_init(&w, &text);
    if (!group_write_json(m, str_from(name), &w))
        return NULL;
    struct str copy = arena_str(&arena, buf_str(&text));
    return json_parse(&arena, copy, &err);
}

static void test_predefined(void **state)
{
    struct arena a = {0};
    struct str *names;
    size_t n;
    group_names(m, &a, &names, &n);
    assert_int_equal(n, 8);
    arena_free(&a);
    assert_non_null(group_known(m, STR_LIT("TOOLS_CONSUMER")));
    assert_int_equal(group_version(m).counter, 0);
}

static void test_auto_create(void **state)
{
    assert_null(group_known(m, STR_LIT("g1")));
    struct group *g = group_find(m, STR_LIT("g1"));
    assert_non_null(g);
    assert_ptr_equal(group_known(m, STR_LIT("g1")), g);
    assert_int_equal(atomic_load(&g->retry_max_times), 16);
    assert_int_equal(atomic_load(&g->retry_queue_nums), 1);
    assert_int_equal(atomic_load(&g->which_broker_when_slow), 1);
    assert_true(atomic_load(&g->consume_enable) && atomic_load(&g->consume_broadcast_enable));
    assert_true(atomic_load(&g->notify_ids_changed));
    assert_int_equal(group_version(m).counter, 1);
    assert_null(group_find(m, STR_LIT("a b")));
    assert_null(group_find(m, STR_LIT("")));
    group_set_auto_create(m, false);
    assert_null(group_find(m, STR_LIT("g2")));
    assert_non_null(group_find(m, STR_LIT("CID_RMQ_SYS_X")));
    group_set_auto_create_system(m, false);
    assert_null(group_find(m, STR_LIT("CID_RMQ_SYS_Y")));
    assert_ptr_equal(group_find(m, STR_LIT("g1")), g);
}

static void test_put(void **state)
{
    struct group *g = group_put_json(
        m, parse("{\"groupName\":\"g1\",\"consumeEnable\":false,\"retryMaxTimes\":3,\"brokerId\":2}"), &err);
    assert_non_null(g);
    assert_false(atomic_load(&g->consume_enable));
    assert_int_equal(atomic_load(&g->retry_max_times), 3);
    assert_int_equal(atomic_load(&g->broker_id), 2);
    /* The whole configuration is replaced. */
    assert_ptr_equal(group_put_json(m, parse("{\"groupName\":\"g1\"}"), &err), g);
    assert_true(atomic_load(&g->consume_enable));
    assert_int_equal(atomic_load(&g->retry_max_times), 16);
    assert_null(group_put_json(m, parse("{\"consumeEnable\":false}"), &err));
    assert_null(group_put_json(m, parse("{\"groupName\":\"a/b\"}"), &err));
    assert_null(group_put_json(m, parse("{\"groupName\":\"g2\",\"attributes\":{\"+a\":\"1\"}}"), &err));
    assert_null(group_known(m, STR_LIT("g2")));
}

/* Members that this broker does not use survive being read and written. */
static void test_unknown_members(void **state)
{
    const char *text =
        "{\"groupName\":\"g1\",\"attributes\":{\"k\":\"v\"},\"groupRetryPolicy\":{\"type\":\"EXPONENTIAL\","
        "\"exponentialRetryPolicy\":{\"initial\":5000,\"max\":7200000,\"multiplier\":2}},"
        "\"subscriptionDataSet\":[{\"topic\":\"T\",\"expression\":\"a\\\"b\",\"version\":1}],\"newMember\":1.5}";
    assert_non_null(group_put_json(m, parse(text), &err));
    again();
    const struct json *j = written("g1");
    assert_true(str_eqz(json_str(json_get(j, "attributes"), "k"), "v"));
    const struct json *policy = json_get(j, "groupRetryPolicy");
    assert_true(str_eqz(json_str(policy, "type"), "EXPONENTIAL"));
    assert_int_equal(json_i64(json_get(policy, "exponentialRetryPolicy"), "max", 0), 7200000);
    const struct json *set = json_get(j, "subscriptionDataSet");
    assert_int_equal(set->count, 1);
    assert_true(str_eqz(json_str(set->first, "expression"), "a\"b"));
    assert_true(json_double(j, "newMember", 0) == 1.5);
    assert_null(written("nope"));
}

static void test_delete(void **state)
{
    struct group *g = group_find(m, STR_LIT("g1"));
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("T"), true);
    assert_true(group_delete(m, STR_LIT("g1")));
    assert_false(group_delete(m, STR_LIT("g1")));
    assert_null(group_known(m, STR_LIT("g1")));
    assert_true(atomic_load(&g->deleted));
    assert_false(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    again();
    assert_null(group_known(m, STR_LIT("g1")));
    g = group_find(m, STR_LIT("g1"));
    assert_false(atomic_load(&g->deleted));
}

static void test_forbidden(void **state)
{
    assert_false(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("T"), true);
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("U"), true);
    assert_true(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    assert_false(group_forbidden(m, STR_LIT("g2"), STR_LIT("T")));
    again();
    assert_true(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("T"), false);
    assert_false(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    assert_true(group_forbidden(m, STR_LIT("g1"), STR_LIT("U")));
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("U"), false);
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    jw_begin_object(&w);
    group_write_forbidden(m, &w);
    jw_end_object(&w);
    assert_int_equal(text.len, 2);
    buf_free(&text);
}

static void write_file(const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/subscriptionGroup.json", dir.path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_load_javas_file(void **state)
{
    write_file(
        "{\n\t\"dataVersion\":{\n\t\t\"counter\":2,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":1795391963839\n\t},\n\t"
        "\"forbiddenTable\":{\"g1\":{\"T\":4}},\n\t\"subscriptionGroupTable\":{\n\t\t\"g1\":{\n\t\t\t\"attributes\":{},"
        "\n"
        "\t\t\t\"brokerId\":0,\n\t\t\t\"consumeBroadcastEnable\":false,\n\t\t\t\"consumeEnable\":true,\n\t\t\t"
        "\"consumeFromMinEnable\":false,\n\t\t\t\"consumeMessageOrderly\":true,\n\t\t\t\"consumeTimeoutMinute\":7,"
        "\n\t\t\t"
        "\"groupName\":\"g1\",\n\t\t\t\"groupRetryPolicy\":{\n\t\t\t\t\"type\":\"CUSTOMIZED\"\n\t\t\t},\n\t\t\t"
        "\"groupSysFlag\":1,\n\t\t\t\"notifyConsumerIdsChangedEnable\":false,\n\t\t\t\"retryMaxTimes\":5,\n\t\t\t"
        "\"retryQueueNums\":2,\n\t\t\t\"whichBrokerWhenConsumeSlowly\":3\n\t\t},\"odd\":[]\n\t}\n}");
    group_manager_free(m);
    open_manager(true);
    const struct group *g = group_known(m, STR_LIT("g1"));
    assert_non_null(g);
    assert_false(atomic_load(&g->consume_broadcast_enable) || atomic_load(&g->consume_from_min_enable));
    assert_true(atomic_load(&g->consume_orderly));
    assert_false(atomic_load(&g->notify_ids_changed));
    assert_int_equal(atomic_load(&g->consume_timeout_minute), 7);
    assert_int_equal(atomic_load(&g->sys_flag), 1);
    assert_int_equal(atomic_load(&g->retry_max_times), 5);
    assert_int_equal(atomic_load(&g->retry_queue_nums), 2);
    assert_int_equal(atomic_load(&g->which_broker_when_slow), 3);
    assert_true(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    assert_int_equal(group_version(m).counter, 2);
    assert_null(group_known(m, STR_LIT("odd")));
}

static void test_file_format(void **state)
{
    char path[400];
    size_t n;
    group_find(m, STR_LIT("g1"));
    assert_int_equal(group_persist(m, &err), 0);
    snprintf(path, sizeof path, "%s/subscriptionGroup.json", dir.path);
    char *text = (char *)file_bytes(path, &n);
    assert_non_null(strstr(text, "\t\"forbiddenTable\":{},\n\t\"subscriptionGroupTable\":{\n"));
    assert_non_null(strstr(
        text, "\t\t\"g1\":{\n\t\t\t\"attributes\":{},\n\t\t\t\"brokerId\":0,\n\t\t\t\"consumeBroadcastEnable\":"
              "true,\n\t\t\t\"consumeEnable\":true,\n\t\t\t\"consumeFromMinEnable\":true,\n\t\t\t"
              "\"consumeMessageOrderly\":false,\n\t\t\t\"consumeTimeoutMinute\":15,\n\t\t\t\"groupName\":\"g1\",\n"
              "\t\t\t\"groupRetryPolicy\":{\n\t\t\t\t\"type\":\"CUSTOMIZED\"\n\t\t\t},\n\t\t\t\"groupSysFlag\":0,\n"
              "\t\t\t\"notifyConsumerIdsChangedEnable\":true,\n\t\t\t\"retryMaxTimes\":16,\n\t\t\t"
              "\"retryQueueNums\":1,\n\t\t\t\"whichBrokerWhenConsumeSlowly\":1\n\t\t}"));
    free(text);
}

static void test_pages(void **state)
{
    struct buf text = {0};
    struct jw w;
    size_t total, seen = 0;
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        group_find(m, str_from(name));
    }
    group_delete(m, STR_LIT("g3"));
    for (size_t from = 0; from < 27; from += 10) {
        buf_clear(&text);
        jw_init(&w, &text);
        jw_begin_object(&w);
        group_write_table(m, &w, from, 10, &total);
        jw_end_object(&w);
        assert_int_equal(total, 27);
        seen += json_parse(&arena, arena_str(&arena, buf_str(&text)), &err)->count;
    }
    assert_int_equal(seen, 27);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_predefined, start, finish),
        cmocka_unit_test_setup_teardown(test_auto_create, start, finish),
        cmocka_unit_test_setup_teardown(test_put, start, finish),
        cmocka_unit_test_setup_teardown(test_unknown_members, start, finish),
        cmocka_unit_test_setup_teardown(test_delete, start, finish),
        cmocka_unit_test_setup_teardown(test_forbidden, start, finish),
        cmocka_unit_test_setup_teardown(test_load_javas_file, start, finish),
        cmocka_unit_test_setup_teardown(test_file_format, start, finish),
        cmocka_unit_test_setup_teardown(test_pages, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
