/* Heartbeats, group membership and queue locks, over sockets. */
#include "unit/broker/broker_fixture.h"

static struct fixture f;
static struct client *c, *d;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    c = client_new(&f);
    d = client_new(&f);
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    client_free(d);
    fixture_stop(&f);
    return 0;
}

static void beat(struct client *who, const char *id, const char *group, const char *more, const char *subs)
{
    char body[1000];
    snprintf(body, sizeof body,
             "{\"clientID\":\"%s\",%s\"producerDataSet\":[{\"groupName\":\"PG\"}],\"consumerDataSet\":[{\"groupName\":"
             "\"%s\","
             "\"consumeType\":\"CONSUME_PASSIVELY\",\"messageModel\":\"CLUSTERING\",\"consumeFromWhere\":"
             "\"CONSUME_FROM_FIRST_OFFSET\",\"unitMode\":false,\"subscriptionDataSet\":[%s]}]}",
             id, more, group, subs);
    assert_int_equal(client_ask(who, REQ_HEART_BEAT, str_from(body), NULL), RESP_SUCCESS);
    expect_field(who, "IS_SUPPORT_HEART_BEAT_V2", "true");
}

#define T1 "{\"topic\":\"T1\",\"subString\":\"*\",\"expressionType\":\"TAG\",\"subVersion\":1}"

static void test_heartbeat_registers(void **state)
{
    struct consumer_group_info info;
    struct net_ref ref;
    beat(c, "c1", "g1", "", T1);
    expect_field(c, "IS_SUB_CHANGE", "true");
    assert_int_equal(c->answer.version, REM_VERSION);
    struct topic *retry = topic_find(f.b->topics, STR_LIT("%RETRY%g1"));
    assert_non_null(retry);
    assert_int_equal(atomic_load(&retry->write_queues), 1);
    assert_non_null(group_known(f.b->groups, STR_LIT("g1")));
    assert_true(consumer_group_live(f.b->consumers, STR_LIT("g1"), &info));
    assert_int_equal(info.type, CONSUME_PASSIVELY);
    assert_int_equal(info.model, MODEL_CLUSTERING);
    assert_true(str_eqz(info.from_where, "CONSUME_FROM_FIRST_OFFSET"));
    assert_true(producer_conn_of_client(f.b->producers, STR_LIT("c1"), &ref));
}

static void test_bad_heartbeats(void **state)
{
    assert_int_equal(ASK_PLAIN(c, REQ_HEART_BEAT), RESP_SYSTEM_ERROR);
    assert_int_equal(client_ask(c, REQ_HEART_BEAT, STR_LIT("[1"), NULL), RESP_SYSTEM_ERROR);
    assert_int_equal(client_ask(c, REQ_HEART_BEAT, STR_LIT("{}"), NULL), RESP_SYSTEM_ERROR);
    expect_remark(c, "clientID");
    assert_int_equal(client_ask(c, REQ_HEART_BEAT,
                                STR_LIT("{\"clientID\":\"c1\",\"consumerDataSet\":[7,{\"groupName\":\"a b\"},{}],"
                                        "\"producerDataSet\":{}}"),
                                NULL),
                     RESP_SUCCESS);
    assert_null(group_known(f.b->groups, STR_LIT("a b")));
}

static void test_members_are_told(void **state)
{
    beat(c, "c1", "g1", "", T1);
    beat(d, "d1", "g1", "", T1);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED); /* of himself */
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED); /* of d1 */
    expect_field(c, "consumerGroup", "g1");
    assert_true(c->answer.flag & REM_FLAG_ONEWAY);
    client_await_request(d, REQ_NOTIFY_CONSUMER_IDS_CHANGED);
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_LIST_BY_GROUP, "consumerGroup", "g1"), RESP_SUCCESS);
    const struct json *ids = json_get(c->json, "consumerIdList");
    assert_int_equal(ids->count, 2);
    assert_true(has_text(ids, "c1") && has_text(ids, "d1"));
    /* One who leaves, and one whose connection breaks. */
    assert_int_equal(ASK(d, REQ_UNREGISTER_CLIENT, "clientID", "d1", "consumerGroup", "g1", "producerGroup", "PG"),
                     RESP_SUCCESS);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED);
    beat(d, "d1", "g1", "", T1);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED);
    client_free(d);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED);
    d = client_new(&f);
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_LIST_BY_GROUP, "consumerGroup", "g1"), RESP_SUCCESS);
    assert_int_equal(json_get(c->json, "consumerIdList")->count, 1);
    assert_int_equal(ASK(c, REQ_UNREGISTER_CLIENT, "clientID", "c1", "consumerGroup", "g1"), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_GET_CONSUMER_LIST_BY_GROUP, "consumerGroup", "g1"), RESP_SYSTEM_ERROR);
    expect_remark(c, "no consumer for this group, g1");
}

static void test_group_that_wants_no_notices(void **state)
{
    assert_int_equal(client_ask(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
                                STR_LIT("{\"groupName\":\"quiet\",\"notifyConsumerIdsChangedEnable\":false}"), NULL),
                     RESP_SUCCESS);
    beat(c, "c1", "quiet", "", T1);
    beat(c, "c1", "loud", "", T1);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED); /* of himself */
    beat(d, "d1", "quiet", "", T1);
    beat(d, "d1", "loud", "", T1);
    client_await_request(c, REQ_NOTIFY_CONSUMER_IDS_CHANGED);
    expect_field(c, "consumerGroup", "loud");
}

static void test_fingerprints(void **state)
{
    beat(c, "c1", "g1", "\"heartbeatFingerprint\":7,", T1);
    expect_field(c, "IS_SUB_CHANGE", "false");
    beat(c, "c1", "g1", "\"heartbeatFingerprint\":7,\"withoutSub\":true,", "");
    expect_field(c, "IS_SUB_CHANGE", "false");
    struct subscription *s = consumer_subscription(f.b->consumers, STR_LIT("g1"), STR_LIT("T1"), NULL);
    assert_non_null(s); /* still there */
    subscription_release(s);
    beat(c, "c1", "g1", "\"heartbeatFingerprint\":8,", T1);
    expect_field(c, "IS_SUB_CHANGE", "true");
    beat(c, "c1", "g2", "\"heartbeatFingerprint\":8,\"withoutSub\":true,", "");
    expect_field(c, "IS_SUB_CHANGE", "true"); /* nothing is known of it here */
}

/* The retry topic of a group is ordered when the group reads an ordered topic. */
static void test_order_of_retry_topic(void **state)
{
    assert_int_equal(ASK(c, REQ_UPDATE_AND_CREATE_TOPIC, "topic", "T1", "defaultTopic", "TBW102", "readQueueNums", "1",
                         "writeQueueNums", "1", "perm", "6", "topicFilterType", "SINGLE_TAG", "order", "true"),
                     RESP_SUCCESS);
    beat(c, "c1", "g1", "", T1);
    struct topic *retry = topic_find(f.b->topics, STR_LIT("%RETRY%g1"));
    assert_true(atomic_load(&retry->order));
    assert_int_equal(ASK(c, REQ_UPDATE_AND_CREATE_TOPIC, "topic", "T1", "defaultTopic", "TBW102", "readQueueNums", "1",
                         "writeQueueNums", "1", "perm", "6", "topicFilterType", "SINGLE_TAG", "order", "false"),
                     RESP_SUCCESS);
    beat(c, "c1", "g1", "", T1);
    assert_false(atomic_load(&retry->order));
}

static void test_check_client_config(void **state)
{
    assert_int_equal(
        client_ask(c, REQ_CHECK_CLIENT_CONFIG, STR_LIT("{\"subscriptionData\":{\"expressionType\":\"TAG\"}}"), NULL),
        RESP_SUCCESS);
    assert_int_equal(
        client_ask(c, REQ_CHECK_CLIENT_CONFIG, STR_LIT("{\"subscriptionData\":{\"expressionType\":\"SQL92\"}}"), NULL),
        RESP_SYSTEM_ERROR);
    expect_remark(c, "SQL92");
}

/* ---- locks ---- */

static int locked(struct client *who, const char *id, const char *queues)
{
    char body[400];
    snprintf(body, sizeof body,
             "{\"clientId\":\"%s\",\"consumerGroup\":\"g1\",\"mqSet\":[%s],\"onlyThisBroker\":false}", id, queues);
    assert_int_equal(client_ask(who, REQ_LOCK_BATCH_MQ, str_from(body), NULL), RESP_SUCCESS);
    const struct json *set = json_get(who->json, "lockOKMQSet");
    assert_non_null(set);
    return (int)set->count;
}

static void unlock(struct client *who, const char *id, const char *queues)
{
    char body[400];
    snprintf(body, sizeof body, "{\"clientId\":\"%s\",\"consumerGroup\":\"g1\",\"mqSet\":[%s]}", id, queues);
    assert_int_equal(client_ask(who, REQ_UNLOCK_BATCH_MQ, str_from(body), NULL), RESP_SUCCESS);
}

#define Q0 "{\"brokerName\":\"broker-a\",\"queueId\":0,\"topic\":\"T1\"}"
#define Q1 "{\"brokerName\":\"broker-a\",\"queueId\":1,\"topic\":\"T1\"}"

static void test_locks(void **state)
{
    assert_int_equal(locked(c, "c1", Q0), 1);
    assert_int_equal(locked(d, "d1", Q0 "," Q1), 1);
    assert_int_equal(json_i64(json_get(d->json, "lockOKMQSet")->first, "queueId", -1), 1);
    assert_int_equal(locked(c, "c1", Q0 "," Q1), 1);
    unlock(d, "d1", Q0 "," Q1); /* Q0 is not his */
    assert_int_equal(locked(c, "c1", Q0 "," Q1), 2);
    unlock(c, "c1", Q0 "," Q1);
    assert_int_equal(locked(d, "d1", Q0 "," Q1), 2);
    assert_int_equal(client_ask(c, REQ_LOCK_BATCH_MQ, STR_LIT("{\"mqSet\":[]}"), NULL), RESP_SYSTEM_ERROR);
    assert_int_equal(client_ask(c, REQ_LOCK_BATCH_MQ, STR_LIT("x"), NULL), RESP_SYSTEM_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_heartbeat_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_heartbeats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_that_wants_no_notices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fingerprints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_of_retry_topic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_client_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
