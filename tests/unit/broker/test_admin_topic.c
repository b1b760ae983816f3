#include "unit/broker/broker_fixture.h"

#include "remoting/body/topic_config.h"

#define CREATE(c, name, ...)                                                                                           \
    ASK(c, REQ_UPDATE_AND_CREATE_TOPIC, "topic", name, "defaultTopic", "TBW102", "readQueueNums", "4",                 \
        "writeQueueNums", "3", "perm", "6", "topicFilterType", "SINGLE_TAG", __VA_ARGS__)

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
    assert_int_equal(CREATE(c, "T", "order", "true", "attributes", "+message.type=FIFO"), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "T"), RESP_SUCCESS);
    assert_true(str_eqz(json_str(c->json, "topicName"), "T"));
    assert_int_equal(json_i64(c->json, "readQueueNums", 0), 4);
    assert_int_equal(json_i64(c->json, "writeQueueNums", 0), 3);
    assert_int_equal(json_i64(c->json, "perm", 0), 6);
    assert_true(json_bool(c->json, "order", false));
    assert_true(str_eqz(json_str(json_get(c->json, "attributes"), "message.type"), "FIFO"));
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "nope"), RESP_TOPIC_NOT_EXIST);
}

/* An update without attributes keeps those there are; one with them changes them. */
static void test_attributes_are_changes(void **state)
{
    assert_int_equal(CREATE(c, "A", "attributes", "+message.type=FIFO,+reserve.time=5"), RESP_SUCCESS);
    assert_int_equal(CREATE(c, "A", "order", "false"), RESP_SUCCESS);
    assert_int_equal(CREATE(c, "A", "attributes", "-reserve.time"), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "A"), RESP_SUCCESS);
    const struct json *attributes = json_get(c->json, "attributes");
    assert_true(str_eqz(json_str(attributes, "message.type"), "FIFO"));
    assert_null(json_get(attributes, "reserve.time"));
}

static void test_refused(void **state)
{
    assert_int_equal(CREATE(c, "a b", "order", "false"), RESP_INVALID_PARAMETER);
    assert_int_equal(CREATE(c, "TBW102", "order", "false"), RESP_INVALID_PARAMETER);
    expect_remark(c, "system topic");
    assert_int_equal(CREATE(c, "B", "attributes", "+message.type=MIXED"), RESP_INVALID_PARAMETER);
    assert_int_equal(CREATE(c, "B", "attributes", "message.type=FIFO"), RESP_SYSTEM_ERROR);
    expect_remark(c, "message.type=FIFO");
    assert_int_equal(CREATE(c, "B", "attributes", "+no.such=1"), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "B"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_UPDATE_AND_CREATE_TOPIC, "topic", "B"), RESP_SYSTEM_ERROR);
    expect_remark(c, "readQueueNums");
}

/* One that is there already in the same form does not keep the others from being made. */
static void test_create_list(void **state)
{
    make_topic(c, "L1", "2");
    assert_int_equal(
        ASK_BODY(c, REQ_UPDATE_AND_CREATE_TOPIC_LIST,
                 "{\"topicConfigList\":[{\"topicName\":\"L1\",\"readQueueNums\":2,\"writeQueueNums\":2,"
                 "\"perm\":6},{\"topicName\":\"L2\",\"readQueueNums\":5,\"writeQueueNums\":5,\"perm\":4}]}",
                 NULL),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "L2"), RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "readQueueNums", 0), 5);
    assert_int_equal(json_i64(c->json, "perm", 0), 4);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_TOPIC_LIST,
                              "{\"topicConfigList\":[{\"topicName\":\"L3\"},{\"topicName\":\"a b\"}]}", NULL),
                     RESP_INVALID_PARAMETER);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "L3"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_AND_CREATE_TOPIC_LIST, "no json", NULL), RESP_SYSTEM_ERROR);
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

static void test_all_configs_in_pages(void **state)
{
    char seq[24], version[120];
    size_t total, seen = 0;
    make_topic(c, "P1", "1");
    make_topic(c, "P2", "1");
    assert_int_equal(ASK_PLAIN(c, REQ_GET_ALL_TOPIC_CONFIG), RESP_SUCCESS);
    total = count(json_get(c->json, "topicConfigTable"));
    assert_true(total > 10);
    snprintf(seq, sizeof seq, "%zu", total);
    expect_field(c, "totalTopicNum", seq);
    assert_non_null(json_get(json_get(c->json, "topicConfigTable"), "P1"));
    snprintf(version, sizeof version, "%.*s", STR_ARG(json_get(c->json, "dataVersion")->text));
    while (seen < total) {
        snprintf(seq, sizeof seq, "%zu", seen);
        assert_int_equal(
            ASK(c, REQ_GET_ALL_TOPIC_CONFIG, "topicSeq", seq, "dataVersion", seen ? version : "", "maxTopicNum", "4"),
            RESP_SUCCESS);
        size_t n = count(json_get(c->json, "topicConfigTable"));
        assert_true(n == 4 || seen + n == total);
        seen += n;
    }
    /* Who knows another version begins anew. */
    assert_int_equal(
        ASK(c, REQ_GET_ALL_TOPIC_CONFIG, "topicSeq", "4", "dataVersion", "{\"counter\":77}", "maxTopicNum", "1"),
        RESP_SUCCESS);
    const struct json *first = json_get(c->json, "topicConfigTable")->first;
    struct topic_config *all;
    struct arena a = {0};
    size_t n;
    all = topic_config_all(f.b->topics, &a, &n);
    assert_true(str_eq(json_text(first->key), all[0].name));
    arena_free(&a);
}

static void test_stats(void **state)
{
    make_topic(c, "S", "2");
    assert_int_equal(send_message(c, "S", "1", "", "one"), 0);
    assert_int_equal(send_message(c, "S", "1", "", "two"), 1);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_STATS_INFO, "topic", "S"), RESP_SUCCESS);
    const struct json *table = json_get(c->json, "offsetTable");
    assert_int_equal(count(table), 2);
    const struct json *filled = queue_entry(c, table, "S", 1), *empty = queue_entry(c, table, "S", 0);
    assert_int_equal(json_i64(filled, "minOffset", -1), 0);
    assert_int_equal(json_i64(filled, "maxOffset", -1), 2);
    assert_true(json_i64(filled, "lastUpdateTimestamp", 0) > 1600000000000);
    assert_int_equal(json_i64(empty, "maxOffset", -1), 0);
    assert_int_equal(json_i64(empty, "lastUpdateTimestamp", -1), 0);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_STATS_INFO, "topic", "nope"), RESP_TOPIC_NOT_EXIST);
}

static void test_system_topics(void **state)
{
    make_topic(c, "Mine", "1");
    assert_int_equal(ASK_PLAIN(c, REQ_GET_SYSTEM_TOPIC_LIST_FROM_BROKER), RESP_SUCCESS);
    const struct json *list = json_get(c->json, "topicList");
    assert_true(has_text(list, "SCHEDULE_TOPIC_XXXX"));
    assert_true(has_text(list, "broker-a"));
    assert_true(has_text(list, "DefaultCluster_REPLY_TOPIC"));
    assert_false(has_text(list, "Mine"));
}

/* A client that waits in queue 0 of D behind its one message. */
static struct client *waiting_client(void)
{
    struct client *k = client_new(&f);
    client_send(k, REQ_PULL_MESSAGE, STR_NULL,
                (const char *const[]){"consumerGroup",
                                      "DG",
                                      "topic",
                                      "D",
                                      "queueId",
                                      "0",
                                      "queueOffset",
                                      "1",
                                      "maxMsgNums",
                                      "32",
                                      "sysFlag",
                                      "6",
                                      "commitOffset",
                                      "0",
                                      "suspendTimeoutMillis",
                                      "600000",
                                      "subVersion",
                                      "1",
                                      "subscription",
                                      "*",
                                      NULL});
    /* Taken after it, on the same connection. */
    assert_int_equal(ASK(k, REQ_GET_MAX_OFFSET, "topic", "D", "queueId", "0"), RESP_SUCCESS);
    return k;
}

/* Its queues, offsets and pop retry topics go with a topic; what a pull left waiting there is freed at the end. */
static void test_delete(void **state)
{
    make_topic(c, "D", "1");
    make_topic(c, "%RETRY%DG_D", "1");
    make_group(c, "DG");
    send_message(c, "D", "0", "", "one");
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "DG", "topic", "D", "queueId", "0", "commitOffset", "1"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_EXPORT_ROCKSDB_CONFIG_TO_JSON, "configType", "consumerOffsets"), RESP_SUCCESS);
    assert_int_equal(saved_offset(&f, "DG", "D"), 1);
    struct client *waiting = waiting_client();
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "D"), RESP_SUCCESS);
    assert_int_equal(saved_offset(&f, "DG", "D"), -1);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "D"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "%RETRY%DG_D"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_GET_MAX_OFFSET, "topic", "D", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "offset", "0");
    assert_int_equal(ASK(c, REQ_QUERY_TOPICS_BY_CONSUMER, "group", "DG"), RESP_SUCCESS);
    assert_false(has_text(json_get(c->json, "topicList"), "D"));
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "TBW102"), RESP_INVALID_PARAMETER);
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "D"), RESP_SUCCESS);
    client_free(waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_get),
        cmocka_unit_test(test_attributes_are_changes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_create_list),
        cmocka_unit_test(test_all_configs_in_pages),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_system_topics),
        cmocka_unit_test(test_delete),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
