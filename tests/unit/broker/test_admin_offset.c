/* Offsets, queries of messages and replies. */
#include "unit/broker/broker_fixture.h"

#include "os/clock.h"
#include "unit/patience.h"

static struct fixture f;
static struct client *c;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    c = client_new(&f);
    make_topic(c, "T", "2");
    make_group(c, "G");
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void test_queue_offsets(void **state)
{
    make_topic(c, "Q", "2");
    assert_int_equal(ASK(c, REQ_GET_MAX_OFFSET, "topic", "Q", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "offset", "0");
    assert_int_equal(ASK(c, REQ_GET_EARLIEST_MSG_STORETIME, "topic", "Q", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "timestamp", "-1");
    send_message(c, "Q", "0", "", "a");
    send_message(c, "Q", "0", "", "b");
    assert_int_equal(ASK(c, REQ_GET_MAX_OFFSET, "topic", "Q", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "offset", "2");
    assert_int_equal(ASK(c, REQ_GET_MIN_OFFSET, "topic", "Q", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "offset", "0");
    int64_t time = 0;
    assert_int_equal(ASK(c, REQ_GET_EARLIEST_MSG_STORETIME, "topic", "Q", "queueId", "0"), RESP_SUCCESS);
    assert_true(str_to_i64(rem_ext(&c->answer, "timestamp"), &time));
    assert_true(time > 1600000000000 && time <= clock_wall_ms());
    assert_int_equal(ASK(c, REQ_SEARCH_OFFSET_BY_TIMESTAMP, "topic", "Q", "queueId", "0", "timestamp", "9999999999999"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "2");
    assert_int_equal(ASK(c, REQ_SEARCH_OFFSET_BY_TIMESTAMP, "topic", "Q", "queueId", "0", "timestamp", "9999999999999",
                         "boundaryType", "UPPER"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "1");
    assert_int_equal(ASK(c, REQ_SEARCH_OFFSET_BY_TIMESTAMP, "topic", "none", "queueId", "0", "timestamp", "5"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "0");
}

/* A new group begins at 0 in a young queue, and knows nothing of an empty one. */
static void test_query_consumer_offset(void **state)
{
    make_topic(c, "Y", "2");
    send_message(c, "Y", "0", "", "a");
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "Y", "queueId", "0"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "0");
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "Y", "queueId", "0",
                         "setZeroIfNotFound", "false"),
                     RESP_QUERY_NOT_FOUND);
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "Y", "queueId", "1"),
                     RESP_QUERY_NOT_FOUND);
}

static void test_update_consumer_offset(void **state)
{
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "nope", "topic", "T", "queueId", "0", "commitOffset", "1"),
        RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "nope", "queueId", "0", "commitOffset", "1"),
        RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "commitOffset", "1"),
                     RESP_INVALID_PARAMETER);
    assert_int_equal(ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "0"),
                     RESP_INVALID_PARAMETER);
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "0", "commitOffset", "7"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "0"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "7");
    assert_int_equal(ASK_PLAIN(c, REQ_GET_ALL_CONSUMER_OFFSET), RESP_SUCCESS);
    assert_int_equal(json_i64(json_get(json_get(c->json, "offsetTable"), "T@G"), "0", -1), 7);
}

/* ---- reset ---- */

static void test_reset(void **state)
{
    make_topic(c, "R", "2");
    for (int i = 0; i < 4; i++)
        send_message(c, "R", "1", "", "x");
    assert_int_equal(
        ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "G", "topic", "R", "timestamp", "-1", "isForce", "true"),
        RESP_SUCCESS);
    const struct json *table = json_get(c->json, "offsetTable");
    assert_int_equal(json_int(queue_entry(c, table, "R", 0), -1), 0);
    assert_int_equal(json_int(queue_entry(c, table, "R", 1), -1), 4);
    /* What a client commits before it has heard of the reset does not count. */
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "R", "queueId", "1", "commitOffset", "2"),
        RESP_SUCCESS);
    expect_remark(c, "previously reset");
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "R", "queueId", "1"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "4");
    assert_int_equal(
        ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "G", "topic", "R", "timestamp", "0", "isForce", "true"),
        RESP_SUCCESS);
    assert_int_equal(json_int(queue_entry(c, json_get(c->json, "offsetTable"), "R", 1), -1), 0);
}

static void test_reset_one_queue(void **state)
{
    make_topic(c, "R1", "2");
    for (int i = 0; i < 4; i++)
        send_message(c, "R1", "1", "", "x");
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "G", "topic", "R1", "queueId", "1", "offset",
                         "3", "timestamp", "-1"),
                     RESP_SUCCESS);
    assert_int_equal(json_int(queue_entry(c, json_get(c->json, "offsetTable"), "R1", 1), -1), 3);
    assert_null(queue_entry(c, json_get(c->json, "offsetTable"), "R1", 0));
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "G", "topic", "R1", "queueId", "1", "offset",
                         "6", "timestamp", "-1"),
                     RESP_SYSTEM_ERROR);
    expect_remark(c, "[0-4]");
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "G", "topic", "nope", "timestamp", "-1"),
                     RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "nope", "topic", "R1", "timestamp", "-1"),
                     RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
}

/* What clients are told for a C++ administrator, as this test's client says to be: a list. */
static int64_t told_offset(struct client *consumer)
{
    const struct json *list = json_get(consumer->json, "offsetTable");
    assert_non_null(list);
    assert_int_equal(list->kind, JSON_ARRAY);
    assert_int_equal(list->count, 1);
    assert_int_equal(json_i64(list->first, "queueId", -1), 0);
    return json_i64(list->first, "offset", -1);
}

/* With useServerSideResetOffset=false the clients are told, and an offset moves forward only when forced. */
static void test_reset_in_clients(void **state)
{
    struct client *consumer = client_new(&f);
    make_topic(c, "RC", "1");
    make_group(c, "RCG");
    for (int i = 0; i < 4; i++)
        send_message(c, "RC", "0", "", "x");
    f.conf.server_side_reset = false;
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "RCG", "topic", "RC", "timestamp", "-1"),
                     RESP_SYSTEM_ERROR);
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "RCG", "topic", "RC", "queueId", "0", "commitOffset", "2"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "RCG", "topic", "RC", "timestamp", "-1"),
                     RESP_CONSUMER_NOT_ONLINE);
    heartbeat(consumer, "cid@1", "RCG", "RC");
    assert_int_equal(ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "RCG", "topic", "RC", "timestamp", "-1"),
                     RESP_SUCCESS);
    assert_int_equal(json_int(queue_entry(c, json_get(c->json, "offsetTable"), "RC", 0), -1), 2);
    client_await_request(consumer, REQ_RESET_CONSUMER_CLIENT_OFFSET);
    expect_field(consumer, "group", "RCG");
    expect_field(consumer, "timestamp", "-1");
    assert_true(consumer->answer.flag & REM_FLAG_ONEWAY);
    assert_int_equal(told_offset(consumer), 2);
    assert_int_equal(
        ASK(c, REQ_INVOKE_BROKER_TO_RESET_OFFSET, "group", "RCG", "topic", "RC", "timestamp", "-1", "isForce", "true"),
        RESP_SUCCESS);
    client_await_request(consumer, REQ_RESET_CONSUMER_CLIENT_OFFSET);
    assert_int_equal(told_offset(consumer), 4);
    f.conf.server_side_reset = true;
    client_free(consumer);
}

static void test_clone_and_correction(void **state)
{
    make_topic(c, "C", "2");
    make_group(c, "CA");
    make_group(c, "CB");
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "CA", "topic", "C", "queueId", "0", "commitOffset", "5"),
        RESP_SUCCESS);
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "CA", "topic", "C", "queueId", "1", "commitOffset", "6"),
        RESP_SUCCESS);
    assert_int_equal(
        ASK(c, REQ_CLONE_GROUP_OFFSET, "srcGroup", "CA", "destGroup", "CB", "topic", "C", "offline", "true"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "CB", "topic", "C", "queueId", "1",
                         "setZeroIfNotFound", "false"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "6");
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "CB", "topic", "C", "queueId", "0", "commitOffset", "3"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_QUERY_CORRECTION_OFFSET, "compareGroup", "CA", "topic", "C"), RESP_SUCCESS);
    assert_int_equal(json_i64(json_get(c->json, "correctionOffsets"), "0", -1), 3);
    assert_int_equal(json_i64(json_get(c->json, "correctionOffsets"), "1", -1), 6);
    assert_int_equal(ASK(c, REQ_QUERY_CORRECTION_OFFSET, "compareGroup", "CB", "topic", "C", "filterGroups", "CB"),
                     RESP_SUCCESS);
    assert_true(json_i64(json_get(c->json, "correctionOffsets"), "0", -1) == INT64_MAX);
    /* The filtered group keeps its offsets. */
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "CB", "topic", "C", "queueId", "0"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "3");
}

/* ---- looking up messages ---- */

static void await_index(struct fixture *fx)
{
    struct store_stats st;
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        store_stats(fx->b->store, &st);
        if (st.dispatched >= st.log_max)
            return;
        usleep(10000);
    }
    fail_msg("the index stays behind the log");
}

static size_t count_records(struct str body, const char *text)
{
    size_t n = 0;
    struct msg_view v;
    while (body.len > 0) {
        assert_int_equal(msg_decode((const uint8_t *)body.ptr, body.len, &v), MSG_OK);
        assert_true(str_eqz(v.m.body, text) || text == NULL);
        body = str_skip(body, v.size);
        n++;
    }
    return n;
}

static void test_query_and_view(void **state)
{
    make_topic(c, "K", "1");
    send_message(c, "K", "0", "KEYS\x01one shared\x02UNIQ_KEY\x01U1\x02", "first");
    send_message(c, "K", "0", "KEYS\x01two shared\x02UNIQ_KEY\x01U2\x02", "second");
    struct str id = rem_ext(&c->answer, "msgId");
    struct msg_host host;
    int64_t offset;
    char text[24];
    assert_true(msg_id_parse(id, &host, &offset));
    await_index(&f);
    assert_int_equal(ASK(c, REQ_QUERY_MESSAGE, "topic", "K", "key", "two", "maxNum", "32", "beginTimestamp", "0",
                         "endTimestamp", "9999999999999"),
                     RESP_SUCCESS);
    assert_int_equal(count_records(c->answer.body, "second"), 1);
    assert_int_equal(ASK(c, REQ_QUERY_MESSAGE, "topic", "K", "key", "shared", "maxNum", "32", "beginTimestamp", "0",
                         "endTimestamp", "9999999999999"),
                     RESP_SUCCESS);
    assert_int_equal(count_records(c->answer.body, NULL), 2);
    assert_int_equal(ASK(c, REQ_QUERY_MESSAGE, "topic", "K", "key", "U1", "maxNum", "0", "beginTimestamp", "0",
                         "endTimestamp", "9999999999999", "_UNIQUE_KEY_QUERY", "true"),
                     RESP_SUCCESS);
    assert_int_equal(count_records(c->answer.body, "first"), 1);
    assert_int_equal(ASK(c, REQ_QUERY_MESSAGE, "topic", "T", "key", "two", "maxNum", "32", "beginTimestamp", "0",
                         "endTimestamp", "9999999999999"),
                     RESP_QUERY_NOT_FOUND);
    snprintf(text, sizeof text, "%lld", (long long)offset);
    assert_int_equal(ASK(c, REQ_VIEW_MESSAGE_BY_ID, "topic", "K", "offset", text), RESP_SUCCESS);
    assert_int_equal(count_records(c->answer.body, "second"), 1);
    assert_int_equal(ASK(c, REQ_VIEW_MESSAGE_BY_ID, "topic", "K", "offset", "99999999"), RESP_SYSTEM_ERROR);
}

/* ---- replies ---- */

static void send_reply(const char *properties)
{
    client_send(c, REQ_SEND_REPLY_MESSAGE_V2, STR_LIT("the reply"),
                (const char *const[]){"a", "PG",
                                      "b", "DefaultCluster_REPLY_TOPIC",
                                      "c", "TBW102",
                                      "d", "4",
                                      "e", "0",
                                      "f", "0",
                                      "g", "1700000000000",
                                      "h", "0",
                                      "i", properties,
                                      "j", "0",
                                      "k", "false",
                                      "m", "false",
                                      NULL});
}

static void test_reply_is_pushed_and_stored(void **state)
{
    struct client *requester = client_new(&f);
    heartbeat(requester, "cid@r", "G", "T");
    send_reply("REPLY_TO_CLIENT\x01"
               "cid@r\x02"
               "CORRELATION_ID\x01"
               "c1\x02");
    client_await_request(requester, REQ_PUSH_REPLY_MESSAGE_TO_CLIENT);
    assert_true(str_eqz(requester->answer.body, "the reply"));
    struct str properties = rem_ext(&requester->answer, "properties");
    assert_true(str_eqz(msg_property(properties, STR_LIT("CORRELATION_ID")), "c1"));
    assert_false(str_is_null(msg_property(properties, STR_LIT("PUSH_REPLY_TIME"))));
    expect_field(requester, "storeHost", f.b->address);
    client_respond(requester, RESP_SUCCESS, STR_NULL);
    assert_int_equal(client_answer(c), RESP_SUCCESS);
    expect_field(c, "queueOffset", "0");
    expect_field(c, "MSG_REGION", "DefaultRegion");
    assert_int_equal(rem_ext(&c->answer, "msgId").len, 32);
    /* A client that refuses it. */
    send_reply("REPLY_TO_CLIENT\x01"
               "cid@r\x02");
    client_await_request(requester, REQ_PUSH_REPLY_MESSAGE_TO_CLIENT);
    client_respond(requester, RESP_SYSTEM_ERROR, STR_NULL);
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    expect_field(c, "queueOffset", "1");
    client_free(requester);
}

static void test_reply_to_nobody(void **state)
{
    send_reply("REPLY_TO_CLIENT\x01"
               "cid@nobody\x02");
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    expect_remark(c, "cid@nobody");
    send_reply("A\x01"
               "b\x02");
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    expect_remark(c, "REPLY_TO_CLIENT");
    f.conf.store_reply_message = false;
    send_reply("");
    assert_int_equal(client_answer(c), RESP_SYSTEM_ERROR);
    assert_true(str_is_null(rem_ext(&c->answer, "msgId")));
    f.conf.store_reply_message = true;
}

static void commit(const char *topic, const char *queue, const char *offset)
{
    assert_int_equal(ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", topic, "queueId", queue,
                         "commitOffset", offset),
                     RESP_SUCCESS);
}

/* A loss of power took the end of queues that were consumed: what comes there now is not passed over. */
static void test_offsets_beyond_the_end(void **state)
{
    struct offset_manager *m = f.b->offsets;
    make_topic(c, "L", "3");
    for (int i = 0; i < 3; i++)
        send_message(c, "L", "0", "", "a");
    commit("L", "0", "7");
    commit("L", "1", "7");
    offset_commit(m, STR_LIT("G"), STR_LIT("gone"), 0, 7);
    for (int i = 0; i < 3; i++)
        send_message(c, "L", "2", "", "a");
    commit("L", "2", "2");
    client_free(c);
    fixture_end(&f);
    log_set_fd(-1); /* it tells of the two */
    fixture_run(&f);
    log_set_fd(2);
    c = client_new(&f);
    m = f.b->offsets;
    assert_int_equal(offset_query(m, STR_LIT("G"), STR_LIT("L"), 0), 3);
    assert_int_equal(offset_query(m, STR_LIT("G"), STR_LIT("L"), 1), 0);
    assert_int_equal(offset_query(m, STR_LIT("G"), STR_LIT("L"), 2), 2);
    /* Nobody knows how long a queue of a topic that is not there will be. */
    assert_int_equal(offset_query(m, STR_LIT("G"), STR_LIT("gone"), 0), 7);
    assert_int_equal(offset_save_changes(m, &(struct err){0}), 0);
    assert_int_equal(saved_offset(&f, "G", "L"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_offsets),
        cmocka_unit_test(test_query_consumer_offset),
        cmocka_unit_test(test_update_consumer_offset),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_one_queue),
        cmocka_unit_test(test_reset_in_clients),
        cmocka_unit_test(test_clone_and_correction),
        cmocka_unit_test(test_query_and_view),
        cmocka_unit_test(test_reply_is_pushed_and_stored),
        cmocka_unit_test(test_reply_to_nobody),
        cmocka_unit_test(test_offsets_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
