#include "unit/broker/broker_fixture.h"

static struct fixture f;
static struct client *c, *consumer;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    c = client_new(&f);
    consumer = client_new(&f);
    make_topic(c, "T", "2");
    make_group(c, "G");
    for (int i = 0; i < 4; i++)
        send_message(c, "T", "1", i % 2 ? "TAGS\x01tag1\x02" : "TAGS\x01tag0\x02", "x");
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "1", "commitOffset", "3"),
        RESP_SUCCESS);
    heartbeat(consumer, "cid@1", "G", "T");
    return 0;
}

static int teardown(void **state)
{
    client_free(consumer);
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void test_connections(void **state)
{
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_CONNECTION_LIST, "consumerGroup", "G"), RESP_SUCCESS);
    const struct json *list = json_get(c->json, "connectionSet");
    assert_int_equal(list->count, 1);
    assert_true(str_eqz(json_str(list->first, "clientId"), "cid@1"));
    assert_true(str_starts(json_str(list->first, "clientAddr"), STR_LIT("127.0.0.1:")));
    assert_true(str_eqz(json_str(list->first, "language"), "CPP"));
    assert_int_equal(json_i64(list->first, "version", 0), REM_VERSION);
    assert_true(str_eqz(json_str(c->json, "consumeFromWhere"), "CONSUME_FROM_LAST_OFFSET"));
    assert_true(str_eqz(json_str(c->json, "consumeType"), "CONSUME_PASSIVELY"));
    assert_true(str_eqz(json_str(c->json, "messageModel"), "CLUSTERING"));
    const struct json *subscription = json_get(json_get(c->json, "subscriptionTable"), "T");
    assert_true(str_eqz(json_str(subscription, "subString"), "tag1||tag2"));
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_CONNECTION_LIST, "consumerGroup", "nope"), RESP_CONSUMER_NOT_ONLINE);

    assert_int_equal(ASK(c, REQ_GET_PRODUCER_CONNECTION_LIST, "producerGroup", "PG"), RESP_SUCCESS);
    assert_true(str_eqz(json_str(json_get(c->json, "connectionSet")->first, "clientId"), "cid@1"));
    assert_int_equal(ASK(c, REQ_GET_PRODUCER_CONNECTION_LIST, "producerGroup", "nope"), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_ALL_PRODUCER_INFO), RESP_SUCCESS);
    const struct json *producers = json_get(json_get(c->json, "data"), "PG");
    assert_int_equal(producers->count, 1);
    assert_true(str_starts(json_str(producers->first, "remoteIP"), STR_LIT("/127.0.0.1:")));
    assert_true(json_i64(producers->first, "lastUpdateTimestamp", 0) > 1600000000000);
}

static void test_subscription(void **state)
{
    assert_int_equal(ASK(c, REQ_QUERY_SUBSCRIPTION_BY_CONSUMER, "group", "G", "topic", "T"), RESP_SUCCESS);
    const struct json *s = json_get(c->json, "subscriptionData");
    assert_true(str_eqz(json_str(s, "expressionType"), "TAG"));
    assert_int_equal(json_i64(s, "subVersion", 0), 1234);
    assert_true(has_text(json_get(s, "tagsSet"), "tag2"));
    assert_true(has_text(json_get(s, "codeSet"), "3552246"));
    assert_int_equal(ASK(c, REQ_QUERY_SUBSCRIPTION_BY_CONSUMER, "group", "nope", "topic", "T"), RESP_SUCCESS);
    assert_null(json_get(c->json, "subscriptionData"));
    assert_int_equal(ASK(c, REQ_QUERY_TOPIC_CONSUME_BY_WHO, "topic", "T"), RESP_SUCCESS);
    assert_true(has_text(json_get(c->json, "groupList"), "G"));
    assert_int_equal(json_get(c->json, "groupList")->count, 1);
}

static void test_consume_stats(void **state)
{
    assert_int_equal(ASK(c, REQ_GET_CONSUME_STATS, "consumerGroup", "G"), RESP_SUCCESS);
    const struct json *table = json_get(c->json, "offsetTable");
    const struct json *entry = queue_entry(c, table, "T", 1);
    assert_int_equal(json_i64(entry, "brokerOffset", -1), 4);
    assert_int_equal(json_i64(entry, "consumerOffset", -1), 3);
    assert_int_equal(json_i64(entry, "pullOffset", -1), 3);
    assert_true(json_i64(entry, "lastTimestamp", 0) > 1600000000000);
    entry = queue_entry(c, table, "T", 0);
    assert_int_equal(json_i64(entry, "brokerOffset", -1), 0);
    assert_int_equal(json_i64(entry, "lastTimestamp", -1), 0);
    assert_int_equal(ASK(c, REQ_GET_CONSUME_STATS, "consumerGroup", "nope"), RESP_SUCCESS);
    assert_int_equal(json_get(c->json, "offsetTable")->count, 0);
}

/* A live group is asked about what it subscribes to only, unless topics are listed. */
static void test_consume_stats_of_other_topics(void **state)
{
    make_topic(c, "Other", "1");
    assert_int_equal(ASK(c, REQ_GET_CONSUME_STATS, "consumerGroup", "G", "topic", "Other"), RESP_SUCCESS);
    assert_int_equal(json_get(c->json, "offsetTable")->count, 0);
    assert_int_equal(ASK(c, REQ_GET_CONSUME_STATS, "consumerGroup", "G", "topicList", "Other;T;"), RESP_SUCCESS);
    assert_non_null(queue_entry(c, json_get(c->json, "offsetTable"), "Other", 0));
    assert_non_null(queue_entry(c, json_get(c->json, "offsetTable"), "T", 0));
    make_group(c, "Offline");
    assert_int_equal(ASK(c, REQ_GET_CONSUME_STATS, "consumerGroup", "Offline", "topic", "Other"), RESP_SUCCESS);
    assert_non_null(queue_entry(c, json_get(c->json, "offsetTable"), "Other", 0));
}

static void test_broker_consume_stats(void **state)
{
    assert_int_equal(ASK(c, REQ_GET_BROKER_CONSUME_STATS, "isOrder", "false"), RESP_SUCCESS);
    assert_true(str_eqz(json_str(c->json, "brokerAddr"), f.b->address));
    assert_int_equal(json_i64(c->json, "totalDiff", -1), 1);
    assert_int_equal(json_i64(c->json, "totalInflightDiff", -1), 0);
    const struct json *found = NULL;
    JSON_EACH(group, json_get(c->json, "consumeStatsList"))
    {
        if (json_get(group, "G"))
            found = json_get(group, "G");
    }
    assert_int_equal(found ? found->count : 0, 1);
    found = found ? found->first : NULL;
    assert_int_equal(json_i64(queue_entry(c, json_get(found, "offsetTable"), "T", 1), "brokerOffset", 0), 4);
    assert_int_equal(ASK(c, REQ_GET_BROKER_CONSUME_STATS, "isOrder", "true"), RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "totalDiff", -1), 0);
}

static void test_time_span(void **state)
{
    assert_int_equal(ASK(c, REQ_QUERY_CONSUME_TIME_SPAN, "topic", "T", "group", "G"), RESP_SUCCESS);
    const struct json *list = json_get(c->json, "consumeTimeSpanSet");
    assert_int_equal(list->count, 2);
    const struct json *span = list->first->next;
    assert_int_equal(json_i64(json_get(span, "messageQueue"), "queueId", -1), 1);
    assert_true(json_i64(span, "minTimeStamp", 0) > 1600000000000);
    assert_true(json_i64(span, "maxTimeStamp", 0) >= json_i64(span, "consumeTimeStamp", 0));
    assert_int_equal(json_str(span, "minTimeStampStr").len, strlen("2026-01-02#03:04:05:678"));
    assert_int_equal(json_str(span, "minTimeStampStr").ptr[10], '#');
    assert_true(json_i64(span, "delayTime", -1) >= 0);
    assert_int_equal(ASK(c, REQ_QUERY_CONSUME_TIME_SPAN, "topic", "nope", "group", "G"), RESP_TOPIC_NOT_EXIST);
}

static void test_consume_queue(void **state)
{
    assert_int_equal(
        ASK(c, REQ_QUERY_CONSUME_QUEUE, "topic", "T", "queueId", "1", "index", "1", "count", "2", "consumerGroup", "G"),
        RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "maxQueueIndex", 0), 4);
    const struct json *data = json_get(c->json, "queueData");
    assert_int_equal(data->count, 2);
    assert_int_equal(json_i64(data->first, "tagsCode", 0), 3552215); /* tag1 */
    assert_true(json_i64(data->first, "physicOffset", 0) > 0);
    assert_true(str_eqz(json_str(json_get(c->json, "subscriptionData"), "topic"), "T"));
    assert_int_equal(ASK(c, REQ_QUERY_CONSUME_QUEUE, "topic", "T", "queueId", "1", "index", "0", "count", "100",
                         "consumerGroup", "nope"),
                     RESP_SUCCESS);
    assert_int_equal(json_get(c->json, "queueData")->count, 4);
    assert_true(str_eqz(json_str(c->json, "filterData"), "nope@T is not online!"));
    assert_int_equal(ASK(c, REQ_QUERY_CONSUME_QUEUE, "topic", "T", "queueId", "1", "index", "9", "count", "1"),
                     RESP_SUCCESS);
    expect_remark(c, "Index 9 of 1@T");
    assert_int_equal(ASK(c, REQ_QUERY_CONSUME_QUEUE, "topic", "nope", "queueId", "1", "index", "0", "count", "1"),
                     RESP_SYSTEM_ERROR);
}

/* ---- what the client answers ---- */

static void test_running_info(void **state)
{
    client_send(
        c, REQ_GET_CONSUMER_RUNNING_INFO, STR_NULL,
        (const char *const[]){"consumerGroup", "G", "clientId", "cid@1", "jstackEnable", "true", "more", "1", NULL});
    client_await_request(consumer, REQ_GET_CONSUMER_RUNNING_INFO);
    expect_field(consumer, "consumerGroup", "G");
    expect_field(consumer, "jstackEnable", "true");
    expect_field(consumer, "more", "1");
    client_respond(consumer, RESP_SUCCESS, STR_LIT("{\"running\":{{\"brokerName\":\"b\"}:1}}"));
    assert_int_equal(client_answer(c), RESP_SUCCESS);
    assert_true(str_eqz(c->answer.body, "{\"running\":{{\"brokerName\":\"b\"}:1}}"));
    expect_field(c, "from", "the client");
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_RUNNING_INFO, "consumerGroup", "G", "clientId", "cid@2"),
                     RESP_SYSTEM_ERROR);
    expect_remark(c, "not online");
}

static void test_consume_directly(void **state)
{
    char id[60];
    send_message(c, "T", "0", "", "take this");
    snprintf(id, sizeof id, "%.*s", STR_ARG(rem_ext(&c->answer, "msgId")));
    client_send(c, REQ_CONSUME_MESSAGE_DIRECTLY, STR_NULL,
                (const char *const[]){"consumerGroup", "G", "clientId", "cid@1", "msgId", id, "topic", "T", NULL});
    client_await_request(consumer, REQ_CONSUME_MESSAGE_DIRECTLY);
    expect_field(consumer, "brokerName", "broker-a");
    expect_field(consumer, "topicSysFlag", "0");
    expect_field(consumer, "groupSysFlag", "0");
    struct msg_view v;
    assert_int_equal(msg_decode((const uint8_t *)consumer->answer.body.ptr, consumer->answer.body.len, &v), MSG_OK);
    assert_true(str_eqz(v.m.body, "take this"));
    client_respond(consumer, RESP_SYSTEM_ERROR, STR_NULL);
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_CONSUME_MESSAGE_DIRECTLY, "consumerGroup", "G", "clientId", "cid@1", "msgId", "zz"),
                     RESP_SYSTEM_ERROR);
    expect_remark(c, "<zz>");
}

/* The client goes away while it is asked. */
static void test_client_leaves(void **state)
{
    struct client *other = client_new(&f);
    heartbeat(other, "cid@leaving", "G", "T");
    client_send(c, REQ_GET_CONSUMER_RUNNING_INFO, STR_NULL,
                (const char *const[]){"consumerGroup", "G", "clientId", "cid@leaving", NULL});
    client_await_request(other, REQ_GET_CONSUMER_RUNNING_INFO);
    client_free(other);
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    expect_remark(c, "cid@leaving");
}

static void test_status(void **state)
{
    struct client *second = client_new(&f);
    struct str body = STR_LIT("{\"consumerTable\":{},\"messageQueueTable\":{{\"brokerName\":\"broker-a\",\"queueId\":1,"
                              "\"topic\":\"T\"}:7}}");
    heartbeat(second, "cid@2", "G", "T");
    client_send(c, REQ_INVOKE_BROKER_TO_GET_CONSUMER_STATUS, STR_NULL,
                (const char *const[]){"topic", "T", "group", "G", NULL});
    client_await_request(consumer, REQ_GET_CONSUMER_STATUS_FROM_CLIENT);
    expect_field(consumer, "group", "G");
    client_respond(consumer, RESP_SUCCESS, body);
    client_await_request(second, REQ_GET_CONSUMER_STATUS_FROM_CLIENT);
    client_respond(second, RESP_SYSTEM_ERROR, STR_NULL);
    assert_int_equal(client_answer(c), RESP_SUCCESS);
    const struct json *table = json_get(c->json, "consumerTable");
    assert_int_equal(json_int(queue_entry(c, json_get(table, "cid@1"), "T", 1), -1), 7);
    assert_null(json_get(table, "cid@2"));

    client_send(c, REQ_INVOKE_BROKER_TO_GET_CONSUMER_STATUS, STR_NULL,
                (const char *const[]){"topic", "T", "group", "G", "clientAddr", "cid@2", NULL});
    client_await_request(second, REQ_GET_CONSUMER_STATUS_FROM_CLIENT);
    client_respond(second, RESP_SUCCESS, body);
    assert_int_equal(client_answer(c), RESP_SUCCESS);
    assert_non_null(json_get(json_get(c->json, "consumerTable"), "cid@2"));
    assert_null(json_get(json_get(c->json, "consumerTable"), "cid@1"));
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_GET_CONSUMER_STATUS, "topic", "T", "group", "nope"),
                     RESP_SYSTEM_ERROR);
    client_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_subscription),
        cmocka_unit_test(test_consume_stats),
        cmocka_unit_test(test_consume_stats_of_other_topics),
        cmocka_unit_test(test_broker_consume_stats),
        cmocka_unit_test(test_time_span),
        cmocka_unit_test(test_consume_queue),
        cmocka_unit_test(test_running_info),
        cmocka_unit_test(test_consume_directly),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
