#include "unit/broker/broker_fixture.h"

static struct fixture f;
static struct client *c;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    c = client_new(&f);
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void test_create_and_get(void **state)
{
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
                              "{\"groupName\":\"G\",\"retryMaxTimes\":5,\"consumeMessageOrderly\":true}", NULL),
                     RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "group", "G"), RESP_SUCCESS);
    assert_true(str_eqz(json_str(c->json, "groupName"), "G"));
    assert_int_equal(json_i64(c->json, "retryMaxTimes", 0), 5);
    assert_int_equal(json_i64(c->json, "retryQueueNums", 0), 1);
    assert_true(json_bool(c->json, "consumeMessageOrderly", false));
    assert_true(json_bool(c->json, "consumeEnable", false));
}

static void test_refused(void **state)
{
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, "{\"groupName\":\"a b\"}", NULL),
                     RESP_INVALID_PARAMETER);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, "{}", NULL), RESP_INVALID_PARAMETER);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, "nothing", NULL), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "group", "a b"), RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
}

/* A lookup makes the group where autoCreateSubscriptionGroup is on. */
static void test_auto_creation(void **state)
{
    assert_int_equal(ASK(c, REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "group", "Auto"), RESP_SUCCESS);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "autoCreateSubscriptionGroup=false\n", NULL), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "group", "Auto2"), RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "autoCreateSubscriptionGroup=true\n", NULL), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "group", "Auto2"), RESP_SUCCESS);
}

static size_t count(const struct json *table)
{
    size_t n = 0;
    JSON_EACH(item, table)
    {
        n += item != NULL;
    }
    return n;
}

static void test_list_and_pages(void **state)
{
    char seq[24], version[120];
    size_t total, seen = 0;
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
                              "{\"groupConfigList\":[{\"groupName\":\"L1\"},{\"groupName\":\"L2\"}]}", NULL),
                     RESP_SUCCESS);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
                              "{\"groupConfigList\":[{\"groupName\":\"L3\"},{\"groupName\":\"a b\"}]}", NULL),
                     RESP_INVALID_PARAMETER);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_ALL_SUBSCRIPTIONGROUP_CONFIG), RESP_SUCCESS);
    const struct json *table = json_get(c->json, "subscriptionGroupTable");
    total = count(table);
    snprintf(seq, sizeof seq, "%zu", total);
    expect_field(c, "totalGroupNum", seq);
    assert_non_null(json_get(table, "L1"));
    assert_non_null(json_get(table, "TOOLS_CONSUMER"));
    assert_null(json_get(table, "L3"));
    snprintf(version, sizeof version, "%.*s", STR_ARG(json_get(c->json, "dataVersion")->text));
    while (seen < total) {
        snprintf(seq, sizeof seq, "%zu", seen);
        assert_int_equal(ASK(c, REQ_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, "groupSeq", seq, "dataVersion",
                             seen ? version : "", "maxGroupNum", "3"),
                         RESP_SUCCESS);
        size_t n = count(json_get(c->json, "subscriptionGroupTable"));
        assert_true(n == 3 || seen + n == total);
        seen += n;
    }
}

static void test_forbidden(void **state)
{
    make_group(c, "F");
    assert_int_equal(ASK(c, REQ_UPDATE_AND_GET_GROUP_FORBIDDEN, "group", "F", "topic", "T"), RESP_SUCCESS);
    assert_true(json_bool(c->json, "readable", false));
    assert_int_equal(ASK(c, REQ_UPDATE_AND_GET_GROUP_FORBIDDEN, "group", "F", "topic", "T", "readable", "false"),
                     RESP_SUCCESS);
    assert_false(json_bool(c->json, "readable", true));
    assert_int_equal(ASK(c, REQ_UPDATE_AND_GET_GROUP_FORBIDDEN, "group", "F", "topic", "T"), RESP_SUCCESS);
    assert_false(json_bool(c->json, "readable", true));
    assert_int_equal(ASK(c, REQ_UPDATE_AND_GET_GROUP_FORBIDDEN, "group", "F", "topic", "T", "readable", "true"),
                     RESP_SUCCESS);
    assert_true(json_bool(c->json, "readable", false));
}

/* Offsets stay unless asked to go. */
static void test_delete(void **state)
{
    const char *const commit[] = {"consumerGroup", "D", "topic", "DT", "queueId", "0", "commitOffset", "1", NULL};
    make_topic(c, "DT", "1");
    make_group(c, "D");
    assert_int_equal(client_ask(c, REQ_UPDATE_CONSUMER_OFFSET, STR_NULL, commit), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_EXPORT_ROCKSDB_CONFIG_TO_JSON, "configType", "consumerOffsets"), RESP_SUCCESS);
    assert_int_equal(saved_offset(&f, "D", "DT"), 1);
    assert_int_equal(ASK(c, REQ_DELETE_SUBSCRIPTIONGROUP, "groupName", "D"), RESP_SUCCESS);
    assert_int_equal(client_ask(c, REQ_UPDATE_CONSUMER_OFFSET, STR_NULL, commit), RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_QUERY_TOPICS_BY_CONSUMER, "group", "D"), RESP_SUCCESS);
    assert_true(has_text(json_get(c->json, "topicList"), "DT"));
    assert_int_equal(ASK(c, REQ_DELETE_SUBSCRIPTIONGROUP, "groupName", "D", "cleanOffset", "true"), RESP_SUCCESS);
    assert_int_equal(saved_offset(&f, "D", "DT"), -1);
    assert_int_equal(ASK(c, REQ_QUERY_TOPICS_BY_CONSUMER, "group", "D"), RESP_SUCCESS);
    assert_false(has_text(json_get(c->json, "topicList"), "DT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_get), cmocka_unit_test(test_refused),   cmocka_unit_test(test_auto_creation),
        cmocka_unit_test(test_list_and_pages), cmocka_unit_test(test_forbidden), cmocka_unit_test(test_delete),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
