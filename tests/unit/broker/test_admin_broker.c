#include "unit/broker/broker_fixture.h"

#include "base/properties.h"

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

/* The value of a key in GET_BROKER_CONFIG's answer. */
static struct str config_value(const char *key)
{
    struct properties p;
    assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_CONFIG), RESP_SUCCESS);
    assert_int_equal(properties_parse(&c->arena, c->answer.body, &p, NULL), 0);
    return properties_get(&p, str_from(key));
}

static int64_t config_version(void)
{
    struct arena a = {0};
    assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_CONFIG), RESP_SUCCESS);
    const struct json *version = json_parse(&a, rem_ext(&c->answer, "version"), NULL);
    assert_non_null(version);
    int64_t counter = json_i64(version, "counter", -1);
    assert_true(json_i64(version, "timestamp", 0) > 1600000000000);
    arena_free(&a);
    return counter;
}

static void write_file(const char *text)
{
    assert_int_equal(fs_replace(fs_real(), f.config_file, text, strlen(text)), 0);
}

static void expect_file(const char *wanted)
{
    size_t n;
    char *text;
    assert_int_equal(fs_load(fs_real(), f.config_file, 100000, &text, &n), 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_get_config(void **state)
{
    assert_true(str_eqz(config_value("brokerName"), "broker-a"));
    assert_true(str_eqz(config_value("mappedFileSizeCommitLog"), "1048576"));
    assert_true(str_eqz(config_value("flushDiskType"), "ASYNC_FLUSH"));
    assert_true(str_is_null(config_value("noSuchKey")));
}

static void test_update_config(void **state)
{
    int64_t before = config_version();
    write_file("# mine\ndefaultTopicQueueNums = 8\n");
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "defaultTopicQueueNums=5\nfileReservedTime=48\n", NULL),
                     RESP_SUCCESS);
    assert_int_equal(f.conf.default_topic_queue_nums, 5);
    assert_true(str_eqz(config_value("defaultTopicQueueNums"), "5"));
    assert_true(str_eqz(config_value("fileReservedTime"), "48"));
    assert_int_equal(config_version(), before + 1);
    expect_file("# mine\ndefaultTopicQueueNums=5\nfileReservedTime=48\n");
}

/* A key that the running broker cannot change waits in the file; so does one that only Java's broker heeds. */
static void test_update_for_the_next_start(void **state)
{
    write_file("");
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "regionId=far\nsendMessageThreadPoolNums=8\n", NULL),
                     RESP_SUCCESS);
    expect_remark(c, "next start");
    assert_true(str_eqz(config_value("regionId"), "DefaultRegion"));
    expect_file("regionId=far\nsendMessageThreadPoolNums=8\n");
}

/* One bad value, and nothing is changed. */
static void test_update_refused(void **state)
{
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "shortPollingTimeMills=77\nbrokerPermission=99\n", NULL),
                     RESP_SYSTEM_ERROR);
    expect_remark(c, "brokerPermission");
    assert_int_equal(f.conf.short_polling_ms, 1000);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "brokerPermision=4\n", NULL), RESP_SYSTEM_ERROR);
    expect_remark(c, "did you mean brokerPermission");
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "configBlackList=x\n", NULL), RESP_NO_PERMISSION);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "brokerConfigPath=x\n", NULL), RESP_NO_PERMISSION);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "a=\\u12\n", NULL), RESP_SYSTEM_ERROR);
}

/* TBW102 does not make topics any more once the switch is off. */
static void test_auto_create_switch(void **state)
{
    const char *const fields[] = {"a", "PG", "b", "SwitchedOff", "c", "TBW102", "d", "4", "e", "0",
                                  "f", "0",  "g", "1",           "h", "0",      "i", "",  NULL};
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "autoCreateTopicEnable=false\n", NULL), RESP_SUCCESS);
    assert_int_equal(client_ask(c, REQ_SEND_MESSAGE_V2, STR_LIT("x"), fields), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ASK(c, REQ_GET_TOPIC_CONFIG, "topic", "TBW102"), RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "perm", 0), 6);
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "autoCreateTopicEnable=true\n", NULL), RESP_SUCCESS);
}

/* ---- state ---- */

static double number(const struct json *table, const char *key)
{
    char text[64], *end;
    struct str s = json_str(table, key);
    if (str_is_null(s))
        fail_msg("no %s", key);
    snprintf(text, sizeof text, "%.*s", STR_ARG(s));
    double v = strtod(text, &end);
    if (end == text || *end != '\0')
        fail_msg("%s=%s is no number", key, text);
    return v;
}

/* Keys that tools and exporters take for numbers. */
static void test_runtime_info(void **state)
{
    static const char *const numbers[] = {
        "bootTimestamp",
        "brokerVersion",
        "commitLogDiskRatio",
        "commitLogMaxOffset",
        "commitLogMinOffset",
        "consumeQueueDiskRatio",
        "dispatchBehindBytes",
        "dispatchMaxBuffer",
        "earliestMessageTimeStamp",
        "EndTransactionQueueSize",
        "EndTransactionThreadPoolQueueCapacity",
        "getMessageEntireTimeMax",
        "msgGetTotalTodayMorning",
        "msgGetTotalTodayNow",
        "msgGetTotalYesterdayMorning",
        "msgPutTotalTodayMorning",
        "msgPutTotalTodayNow",
        "msgPutTotalYesterdayMorning",
        "pageCacheLockTimeMills",
        "pullThreadPoolQueueCapacity",
        "pullThreadPoolQueueHeadWaitTimeMills",
        "pullThreadPoolQueueSize",
        "putMessageAverageSize",
        "putMessageEntireTimeMax",
        "putMessageFailedTimes",
        "putMessageSizeTotal",
        "putMessageTimesTotal",
        "queryThreadPoolQueueCapacity",
        "queryThreadPoolQueueHeadWaitTimeMills",
        "queryThreadPoolQueueSize",
        "remainTransientStoreBufferNumbs",
        "sendThreadPoolQueueCapacity",
        "sendThreadPoolQueueHeadWaitTimeMills",
        "sendThreadPoolQueueSize",
        "startAcceptSendRequestTimeStamp",
        "timerCongestNum",
        "timerDequeueTps",
        "timerEnqueueTps",
        "timerOffsetBehind",
        "timerReadBehind",
    };
    make_topic(c, "I", "1");
    send_message(c, "I", "0", "", "hello");
    assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_RUNTIME_INFO), RESP_SUCCESS);
    const struct json *t = json_get(c->json, "table");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        number(t, numbers[i]);
    assert_true(number(t, "commitLogMaxOffset") > 0);
    assert_true(number(t, "putMessageTimesTotal") >= 1);
    assert_true(number(t, "msgPutTotalTodayNow") >= 1);
    assert_true(str_eqz(json_str(t, "brokerActive"), "true"));
    assert_true(str_eqz(json_str(t, "brokerVersionDesc"), "V5_3_3"));
    static const char *const rates[] = {"putTps", "getFoundTps", "getMissTps", "getTotalTps", "getTransferredTps"};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        double a, b, d;
        char text[80];
        snprintf(text, sizeof text, "%.*s", STR_ARG(json_str(t, rates[i])));
        assert_int_equal(sscanf(text, "%lf %lf %lf", &a, &b, &d), 3);
    }
    assert_true(str_find(json_str(t, "commitLogDirCapacity"), STR_LIT("Total : ")) == 0);
}

static void test_view_stats(void **state)
{
    make_topic(c, "V", "1");
    send_message(c, "V", "0", "", "hello");
    assert_int_equal(ASK(c, REQ_VIEW_BROKER_STATS_DATA, "statsName", "TOPIC_PUT_NUMS", "statsKey", "V"), RESP_SUCCESS);
    assert_int_equal(json_i64(json_get(c->json, "statsDay"), "sum", -1), 1);
    assert_non_null(json_get(c->json, "statsHour"));
    assert_non_null(json_get(c->json, "statsMinute"));
    assert_int_equal(ASK(c, REQ_VIEW_BROKER_STATS_DATA, "statsName", "TOPIC_PUT_NUMS", "statsKey", "nope"),
                     RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "V"), RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_VIEW_BROKER_STATS_DATA, "statsName", "TOPIC_PUT_NUMS", "statsKey", "V"),
                     RESP_SYSTEM_ERROR);
}

static void test_cleaning_and_exports(void **state)
{
    assert_int_equal(ASK_PLAIN(c, REQ_CLEAN_EXPIRED_CONSUMEQUEUE), RESP_SUCCESS);
    assert_int_equal(ASK_PLAIN(c, REQ_DELETE_EXPIRED_COMMITLOG), RESP_SUCCESS);
    assert_int_equal(ASK_PLAIN(c, REQ_CLEAN_UNUSED_TOPIC), RESP_SUCCESS);
    assert_int_equal(
        ASK(c, REQ_EXPORT_ROCKSDB_CONFIG_TO_JSON, "configType", "topics;subscriptionGroups;consumerOffsets"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_EXPORT_ROCKSDB_CONFIG_TO_JSON, "configType", "nothing"), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_CHECK_ROCKSDB_CQ_WRITE_PROGRESS, "topic", "T"), RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "checkStatus", -1), 0);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_HA_STATUS), RESP_SUCCESS);
    assert_true(json_bool(c->json, "master", false));
    assert_int_equal(ASK_PLAIN(c, REQ_GET_COLD_DATA_FLOW_CTR_INFO), RESP_SUCCESS);
    assert_int_equal(json_i64(c->json, "cgColdReadThreshold", 0), 3145728);
}

/* Every request code that a broker may be asked (request codes of RocketMQ 5) is served, or refused with a reason. */
static void test_every_code_has_an_answer(void **state)
{
    static const int32_t unsupported[] = {
        REQ_AUTH_CREATE_USER,
        REQ_AUTH_LIST_ACL,
        REQ_SET_COMMITLOG_READ_MODE,
        REQ_UPDATE_AND_CREATE_STATIC_TOPIC,
    };
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        assert_int_equal(ASK_PLAIN(c, unsupported[i]), RESP_REQUEST_CODE_NOT_SUPPORTED);
        expect_remark(c, "not supported: ");
    }
    assert_int_equal(ASK_PLAIN(c, 77777), RESP_REQUEST_CODE_NOT_SUPPORTED);
    assert_true(str_eqz(c->answer.remark, " request type 77777 not supported"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_config),
        cmocka_unit_test(test_update_config),
        cmocka_unit_test(test_update_for_the_next_start),
        cmocka_unit_test(test_update_refused),
        cmocka_unit_test(test_auto_create_switch),
        cmocka_unit_test(test_runtime_info),
        cmocka_unit_test(test_view_stats),
        cmocka_unit_test(test_cleaning_and_exports),
        cmocka_unit_test(test_every_code_has_an_answer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
