/* Pops through the broker's requests: given once, given again, over restarts and on several loops. */
#include "unit/broker/broker_fixture.h"

#include "broker/pop/pop.h"
#include "os/clock.h"
#include "unit/patience.h"

static struct fixture f;
static struct client *c;

static void start(const char *const *settings)
{
    fixture_start(&f, settings);
    c = client_new(&f);
}

static int setup(void **state)
{
    start((const char *const[]){"popFromRetryProbability", "50", NULL});
    return 0;
}

static int setup_sync(void **state)
{
    start((const char *const[]){"flushDiskType", "SYNC_FLUSH", "enableRetryTopicV2", "true", NULL});
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

/* forget: the saved offsets are lost, as those of the last seconds are by a sudden death. */
static void start_again(bool forget)
{
    char path[400];
    client_free(c);
    fixture_end(&f);
    for (int i = 0; forget && i < 2; i++) {
        snprintf(path, sizeof path, "%s/config/consumerOffset.json%s", f.dir.path, i ? ".bak" : "");
        unlink(path);
    }
    fixture_run(&f);
    c = client_new(&f);
}

static void restart(void)
{
    start_again(false);
}

static void send_pop(struct client *to, const char *topic, const char *group, const char *max, const char *invisible,
                     const char *poll)
{
    client_send(to, REQ_POP_MESSAGE, STR_NULL,
                (const char *const[]){"consumerGroup", group, "topic",         topic,     "queueId",  "-1",
                                      "maxMsgNums",    max,   "invisibleTime", invisible, "pollTime", poll,
                                      "bornTime",      "0",   "initMode",      "0",       "exp",      "*",
                                      "expType",       "TAG", "order",         "false",   NULL});
}

static int32_t pop(const char *topic, const char *group, const char *max, const char *invisible, const char *poll)
{
    send_pop(c, topic, group, max, invisible, poll);
    return client_answer(c);
}

/* Messages in the answer; the last one's view. */
static int messages(const struct client *from, struct msg_view *v)
{
    struct str body = from->answer.body;
    int n = 0;
    while (body.len && msg_decode((const uint8_t *)body.ptr, body.len, v) == MSG_OK) {
        body = str_skip(body, v->size);
        n++;
    }
    return n;
}

static int32_t ack(const char *topic, const char *group, const char *queue, const char *offset, const char *handle)
{
    return ASK(c, REQ_ACK_MESSAGE, "consumerGroup", group, "topic", topic, "queueId", queue, "offset", offset,
               "extraInfo", handle);
}

/* The handle of a message of the last pop, whose part of the infos is the first. */
static void handle_of(char *out, size_t size, const char *kind, const char *start, const char *offset)
{
    struct str time = rem_ext(&c->answer, "popTime"), invisible = rem_ext(&c->answer, "invisibleTime"),
               queue = rem_ext(&c->answer, "reviveQid");
    snprintf(out, size, "%s %.*s %.*s %.*s %s broker-a 0 %s", start, STR_ARG(time), STR_ARG(invisible), STR_ARG(queue),
             kind, offset);
}

static void prepare(const char *topic, int n)
{
    make_topic(c, topic, "1");
    make_group(c, "G");
    for (int i = 0; i < n; i++)
        send_message(c, topic, "0", "", "body");
}

static int32_t peek(const char *topic, const char *queue, const char *max)
{
    return ASK(c, REQ_PEEK_MESSAGE, "consumerGroup", "G", "topic", topic, "queueId", queue, "maxMsgNums", max);
}

static void test_peeking_takes_nothing(void **state)
{
    struct msg_view v;
    prepare("T", 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(peek("T", "-1", "2"), RESP_SUCCESS);
        assert_int_equal(messages(c, &v), 2);
        assert_int_equal(v.m.queue_offset, 1);
        assert_true(str_eqz(rem_ext(&c->answer, "restNum"), "3"));
        assert_true(str_eqz(c->answer.remark, "FOUND"));
    }
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 2);
    assert_int_equal(peek("T", "0", "2"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 1);
    assert_int_equal(v.m.queue_offset, 2);
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_SUCCESS);
    assert_int_equal(peek("T", "0", "2"), RESP_PULL_NOT_FOUND);
    assert_true(str_eqz(rem_ext(&c->answer, "restNum"), "0"));
    assert_true(str_eqz(c->answer.remark, "NO_MESSAGE_IN_QUEUE"));
    send_message(c, "T", "0", "", "body");
    assert_int_equal(peek("T", "0", "0"), RESP_PULL_NOT_FOUND);
    assert_true(str_eqz(rem_ext(&c->answer, "restNum"), "1"));
    assert_int_equal(peek("T", "1", "2"), RESP_INVALID_PARAMETER);
    assert_int_equal(peek("None", "0", "2"), RESP_TOPIC_NOT_EXIST);
}

static void test_given_once(void **state)
{
    struct msg_view v;
    prepare("T", 3);
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 2);
    expect_field(c, "startOffsetInfo", "0 0 0");
    expect_field(c, "msgOffsetInfo", "0 0 0,1");
    expect_field(c, "restNum", "1");
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_SUCCESS);
    expect_field(c, "msgOffsetInfo", "0 0 2");
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_POLLING_TIMEOUT);
    assert_int_equal(offset_query(f.b->offsets, STR_LIT("G"), STR_LIT("T"), 0), 3);
    assert_int_equal(pop("T", "another", "32", "60000", "0"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 3);
}

static void test_comes_back(void **state)
{
    struct msg_view v;
    char handle[200];
    prepare("T", 2);
    assert_int_equal(pop("T", "G", "2", "300", "0"), RESP_SUCCESS);
    handle_of(handle, sizeof handle, "0", "0", "0");
    assert_int_equal(ack("T", "G", "0", "0", handle), RESP_SUCCESS);
    assert_int_equal(pop("T", "G", "2", "300", "10000"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 1);
    assert_int_equal(v.m.reconsume_times, 1);
    assert_true(str_eqz(v.m.topic, "T"));
    assert_true(str_starts(msg_property(v.m.properties, STR_LIT("POP_CK")), STR_LIT("0 ")));
    assert_false(str_is_null(msg_property(v.m.properties, STR_LIT("1ST_POP_TIME"))));
    expect_field(c, "msgOffsetInfo", "1 0 0");
    /* and a second time, then acknowledged for good */
    assert_int_equal(pop("T", "G", "2", "300", "10000"), RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 1);
    assert_int_equal(v.m.reconsume_times, 2);
    handle_of(handle, sizeof handle, "1", "1", "1");
    assert_int_equal(ack("%RETRY%G_T", "G", "0", "1", handle), RESP_SUCCESS);
    assert_int_equal(pop("T", "G", "2", "300", "2500"), RESP_POLLING_TIMEOUT);
}

static void test_restart(void **state)
{
    struct msg_view v;
    char handle[200];
    prepare("T", 3);
    assert_int_equal(pop("T", "G", "3", "2000", "0"), RESP_SUCCESS);
    handle_of(handle, sizeof handle, "0", "0", "1");
    assert_int_equal(ack("T", "G", "0", "1", handle), RESP_SUCCESS);
    restart();
    assert_int_equal(pop("T", "G", "3", "60000", "0"), RESP_POLLING_TIMEOUT);
    handle[0] = '\0';
    int got = 0;
    while (got < 2) {
        assert_int_equal(pop("T", "G", "3", "60000", "15000"), RESP_SUCCESS);
        got += messages(c, &v);
        assert_int_equal(v.m.reconsume_times, 1);
    }
    assert_int_equal(got, 2);
    /* What was stored again is not stored again by the next start. */
    restart();
    assert_int_equal(pop("T", "G", "3", "60000", "2000"), RESP_POLLING_TIMEOUT);
}

static void test_offsets_come_from_the_log(void **state)
{
    char handle[200];
    prepare("T", 3);
    assert_int_equal(pop("T", "G", "2", "60000", "0"), RESP_SUCCESS);
    handle_of(handle, sizeof handle, "0", "0", "0");
    assert_int_equal(ack("T", "G", "0", "0", handle), RESP_SUCCESS);
    start_again(true);
    assert_int_equal(pop("T", "G", "3", "60000", "0"), RESP_SUCCESS);
    expect_field(c, "msgOffsetInfo", "0 0 2");
}

static void test_retry_topic_v2(void **state)
{
    struct msg_view v;
    prepare("T", 1);
    assert_int_equal(pop("T", "G", "1", "200", "0"), RESP_SUCCESS);
    int32_t code = RESP_POLLING_TIMEOUT;
    for (int i = 0; i < 20 && code != RESP_SUCCESS; i++)
        code = pop("T", "G", "1", "60000", "1000");
    assert_int_equal(code, RESP_SUCCESS);
    assert_int_equal(messages(c, &v), 1);
    expect_field(c, "startOffsetInfo", "2 0 0");
    assert_non_null(topic_find(f.b->topics, STR_LIT("%RETRY%G+T")));
}

static void test_waiting(void **state)
{
    struct client *other = client_new(&f);
    struct msg_view v;
    prepare("T", 0);
    send_pop(other, "T", "G", "1", "60000", "120000");
    int64_t begin = clock_mono_ms();
    do {
        assert_int_equal(ASK(c, REQ_POLLING_INFO, "consumerGroup", "G", "topic", "T", "queueId", "-1"), RESP_SUCCESS);
        assert_true(clock_mono_ms() - begin < PATIENCE_MS);
    } while (!str_eqz(rem_ext(&c->answer, "pollingNum"), "1"));
    send_message(c, "T", "0", "", "body");
    assert_int_equal(client_answer(other), RESP_SUCCESS);
    assert_int_equal(messages(other, &v), 1);
    assert_true(clock_mono_ms() - begin < PATIENCE_MS);
    client_free(other);
}

static void test_many_clients(void **state)
{
    enum { CLIENTS = 8, MESSAGES = 400 };
    struct client *clients[CLIENTS];
    struct msg_view v;
    bool seen[MESSAGES] = {false};
    prepare("T", MESSAGES);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_new(&f);
    int got = 0;
    while (got < MESSAGES) {
        for (int i = 0; i < CLIENTS; i++)
            send_pop(clients[i], "T", "G", "7", "60000", "200");
        for (int i = 0; i < CLIENTS; i++) {
            if (client_answer(clients[i]) != RESP_SUCCESS)
                continue;
            struct str body = clients[i]->answer.body;
            for (; body.len && msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK;
                 body = str_skip(body, v.size)) {
                assert_in_range(v.m.queue_offset, 0, MESSAGES - 1);
                assert_false(seen[v.m.queue_offset]);
                seen[v.m.queue_offset] = true;
                got++;
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_free(clients[i]);
}

static int32_t pop_ordered(const char *attempt, const char *poll)
{
    return ASK(c, REQ_POP_MESSAGE, "consumerGroup", "G", "topic", "T", "queueId", "-1", "maxMsgNums", "1",
               "invisibleTime", "60000", "pollTime", poll, "bornTime", "0", "initMode", "0", "order", "true",
               "attemptId", attempt);
}

static void test_order_outlives_restart(void **state)
{
    char handle[200];
    prepare("T", 2);
    assert_int_equal(pop_ordered("a", "0"), RESP_SUCCESS);
    expect_field(c, "orderCountInfo", "0 0 0");
    expect_field(c, "reviveQid", "999");
    handle_of(handle, sizeof handle, "0", "0", "0");
    assert_int_equal(pop_ordered("b", "0"), RESP_POLLING_TIMEOUT);
    restart();
    assert_int_equal(pop_ordered("b", "0"), RESP_POLLING_TIMEOUT);
    assert_int_equal(pop_ordered("a", "0"), RESP_SUCCESS);
    expect_field(c, "msgOffsetInfo", "0 0 0");
    handle_of(handle, sizeof handle, "0", "0", "0");
    assert_int_equal(ack("T", "G", "0", "1", handle), RESP_MESSAGE_ILLEGAL);
    assert_int_equal(ack("T", "G", "0", "0", handle), RESP_SUCCESS);
    assert_int_equal(pop_ordered("b", "0"), RESP_SUCCESS);
    expect_field(c, "msgOffsetInfo", "0 0 1");
}

static void test_request_modes(void **state)
{
    static const char set[] = "{\"consumerGroup\":\"G\",\"mode\":\"POP\",\"popShareQueueNum\":0,\"topic\":\"T\"}";
    static const char query[] = "{\"clientId\":\"c1\",\"consumerGroup\":\"G\",\"messageModel\":\"CLUSTERING\","
                                "\"strategyName\":\"AVG\",\"topic\":"
                                "\"T\"}";
    prepare("T", 0);
    assert_int_equal(ASK_BODY(c, REQ_QUERY_ASSIGNMENT, query, "a", "b"), RESP_SUCCESS);
    assert_null(json_get(c->json, "messageQueueAssignments")); /* no such client */
    heartbeat(c, "c1", "G", "T");
    assert_int_equal(ASK_BODY(c, REQ_QUERY_ASSIGNMENT, query, "a", "b"), RESP_SUCCESS);
    const struct json *one = json_get(c->json, "messageQueueAssignments")->first;
    assert_true(str_eqz(json_str(one, "mode"), "PULL"));
    assert_int_equal(ASK_BODY(c, REQ_SET_MESSAGE_REQUEST_MODE, set, "a", "b"), RESP_SUCCESS);
    restart();
    heartbeat(c, "c1", "G", "T");
    assert_int_equal(ASK_BODY(c, REQ_QUERY_ASSIGNMENT, query, "a", "b"), RESP_SUCCESS);
    one = json_get(c->json, "messageQueueAssignments")->first;
    assert_true(str_eqz(json_str(one, "mode"), "POP"));
    assert_int_equal(json_i64(json_get(one, "messageQueue"), "queueId", 0), -1);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_ALL_MESSAGE_REQUEST_MODE), RESP_SUCCESS);
    const struct json *all = json_get(c->json, "messageRequestModeMap");
    assert_true(str_eqz(json_str(json_get(json_get(all, "T"), "G"), "mode"), "POP"));
    assert_int_equal(
        ASK_BODY(c, REQ_SET_MESSAGE_REQUEST_MODE, "{\"topic\":\"none\",\"consumerGroup\":\"G\"}", "a", "b"),
        RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK_BODY(c, REQ_SET_MESSAGE_REQUEST_MODE, "garbage", "a", "b"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK_BODY(c, REQ_QUERY_ASSIGNMENT, "garbage", "a", "b"), RESP_SYSTEM_ERROR);
}

static void test_bad_batch_acks(void **state)
{
    prepare("T", 1);
    assert_int_equal(ASK_BODY(c, REQ_BATCH_ACK_MESSAGE, "garbage", "a", "b"), RESP_NO_MESSAGE);
    assert_int_equal(ASK_BODY(c, REQ_BATCH_ACK_MESSAGE, "{\"acks\":[]}", "a", "b"), RESP_NO_MESSAGE);
    assert_int_equal(ASK_BODY(c, REQ_BATCH_ACK_MESSAGE, "{\"acks\":[{}]}", "a", "b"), RESP_MESSAGE_ILLEGAL);
    assert_int_equal(ASK_BODY(c, REQ_BATCH_ACK_MESSAGE,
                              "{\"acks\":[{\"b\":\"CQI=\",\"c\":\"G\",\"r\":\"0\",\"t\":\"none\"}]}", "a", "b"),
                     RESP_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_given_once),
        TEST(test_peeking_takes_nothing),
        TEST(test_comes_back),
        TEST(test_restart),
        TEST(test_offsets_come_from_the_log),
        TEST(test_waiting),
        TEST(test_many_clients),
        TEST(test_order_outlives_restart),
        TEST(test_request_modes),
        TEST(test_bad_batch_acks),
        cmocka_unit_test_setup_teardown(test_retry_topic_v2, setup_sync, teardown),
        cmocka_unit_test_setup_teardown(test_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_once, setup_sync, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
