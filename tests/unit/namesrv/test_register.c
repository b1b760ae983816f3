/* Brokers come, change and leave; what route queries answer meanwhile. */
#include "ns_fixture.h"

#include "remoting/body/topic_config_register.h"
#include "unit/patience.h"

static const struct ns_broker master = {"b1", "10.0.0.1:10911", "0", .acting = "true"};
static const struct ns_broker slave1 = {"b1", "10.0.0.2:10911", "1", .acting = "true"};
static const struct ns_broker slave2 = {"b1", "10.0.0.3:10911", "2", .acting = "true"};

#define BROKER(addrs, acting)                                                                                          \
    "{\"brokerDatas\":[{\"brokerAddrs\":" addrs                                                                        \
    ",\"brokerName\":\"b1\",\"cluster\":\"C\",\"enableActingMaster\":" acting
#define QUEUES(perm)                                                                                                   \
    "\"filterServerTable\":{},\"queueDatas\":[{\"brokerName\":\"b1\",\"perm\":" perm                                   \
    ",\"readQueueNums\":8,\"topicSysFlag\":0,\"writeQueueNums\":8}]}"

static void route_is_strict_for_new_and_fastjson_for_old_clients(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NULL);
    int broker = ns_connect(&f), client = ns_connect(&f);
    assert_int_equal(ns_route(client, &r, "T"), RESP_TOPIC_NOT_EXIST);
    assert_non_null(strstr(r.cmd.remark.ptr, "No topic route info in name server for the topic: T\n"));
    assert_int_equal(ns_register_topics(broker, &r, &master, "T U", 1), RESP_SUCCESS);
    assert_int_equal(ns_route(client, &r, "T"), RESP_SUCCESS);
    assert_string_equal(r.body, BROKER("{\"0\":\"10.0.0.1:10911\"}", "true}],") QUEUES("6"));
    const char *const *fields = NS_FIELDS("topic", "T");
    assert_int_equal(ns_call(client, &r, REQ_GET_ROUTEINFO_BY_TOPIC, 400, STR_NULL, fields), RESP_SUCCESS);
    assert_string_equal(r.body, BROKER("{0:\"10.0.0.1:10911\"}", "true}],") QUEUES("6"));
    fields = NS_FIELDS("topic", "T", "acceptStandardJsonOnly", "true");
    assert_int_equal(ns_call(client, &r, REQ_GET_ROUTEINFO_BY_TOPIC, 400, STR_NULL, fields), RESP_SUCCESS);
    assert_string_equal(r.body, BROKER("{\"0\":\"10.0.0.1:10911\"}", "true}],") QUEUES("6"));
    close(broker);
    close(client);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void one_topic_does_not_make_a_broker_known(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    assert_int_equal(ns_register_topics(fd, &r, &master, "T", 1), RESP_SYSTEM_ERROR);
    assert_memory_equal(r.cmd.remark.ptr, "register broker failed", r.cmd.remark.len);
    ns_ask(fd, &r, REQ_GET_BROKER_CLUSTER_INFO, NULL);
    assert_string_equal(r.body, "{\"brokerAddrTable\":{},\"clusterAddrTable\":{}}");
    assert_int_equal(ns_register_topics(fd, &r, &master, "", 1), RESP_SUCCESS);
    assert_int_equal(ns_register_topics(fd, &r, &master, "T", 2), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "T"), RESP_SUCCESS);
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void same_version_changes_nothing_and_absent_topics_stay(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    struct buf body = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    assert_int_equal(ns_register_topics(fd, &r, &master, "T U", 1), RESP_SUCCESS);
    ns_topics_body(&body, "T U", 1, 4);
    assert_int_equal(ns_register(fd, &r, &master, buf_str(&body)), RESP_SUCCESS);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "\"perm\":6"));
    /* a topic nobody knew comes in even so */
    assert_int_equal(ns_register_topics(fd, &r, &master, "T U V", 1), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "V"), RESP_SUCCESS);
    buf_clear(&body);
    ns_topics_body(&body, "T W", 2, 4);
    assert_int_equal(ns_register(fd, &r, &master, buf_str(&body)), RESP_SUCCESS);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "\"perm\":4"));
    assert_int_equal(ns_route(fd, &r, "U"), RESP_SUCCESS);
    close(fd);
    buf_free(&body);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void full_registration_removes_topics_when_told_so(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NS_FIELDS("deleteTopicWithBrokerRegistration=true"));
    int fd = ns_connect(&f);
    const struct ns_broker other = {.name = "b2", .addr = "10.0.0.9:10911", .id = "0"};
    assert_int_equal(ns_register_topics(fd, &r, &master, "T U V", 1), RESP_SUCCESS);
    assert_int_equal(ns_register_topics(fd, &r, &other, "U V", 1), RESP_SUCCESS);
    assert_int_equal(ns_register_topics(fd, &r, &master, "V W", 1), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "T"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ns_route(fd, &r, "W"), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "U"), RESP_SUCCESS);
    assert_null(strstr(r.body, "\"b1\""));
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void damaged_registration_is_refused(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    struct str body = STR_LIT("{\"topicConfigSerializeWrapper\":{}}");
    const char *fields[] = {"brokerName", "b1", "brokerAddr", "a:1", "clusterName", "C",
                            "brokerId",   "0",  "bodyCrc32",  "77",  NULL};
    assert_int_equal(ns_call(fd, &r, REQ_REGISTER_BROKER, REM_VERSION, body, fields), RESP_SYSTEM_ERROR);
    assert_memory_equal(r.cmd.remark.ptr, "crc32 not match", r.cmd.remark.len);
    assert_int_equal(ns_register(fd, &r, &master, STR_LIT("{\"topicConfig")), RESP_SYSTEM_ERROR);
    assert_int_equal(ns_register(fd, &r, &master, STR_LIT("[]")), RESP_SYSTEM_ERROR);
    fields[8] = "compressed";
    fields[9] = "true";
    assert_int_equal(ns_call(fd, &r, REQ_REGISTER_BROKER, REM_VERSION, body, fields), RESP_SYSTEM_ERROR);
    fields[6] = "nothing";
    assert_int_equal(ns_call(fd, &r, REQ_REGISTER_BROKER, REM_VERSION, body, fields), RESP_SYSTEM_ERROR);
    ns_ask(fd, &r, REQ_GET_BROKER_CLUSTER_INFO, NULL);
    assert_string_equal(r.body, "{\"brokerAddrTable\":{},\"clusterAddrTable\":{}}");
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void compressed_and_ancient_bodies_are_read(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    struct buf body = {0};
    struct topic_config topics[] = {TOPIC_CONFIG_DEFAULT(STR_LIT("Z1")), TOPIC_CONFIG_DEFAULT(STR_LIT("Z2"))};
    struct register_broker_body b = {.topics = {.topics = topics, .topic_count = 2}};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    assert_true(register_broker_body_compress(&body, &b, REM_VERSION));
    const char *fields[] = {"brokerName", "b1", "brokerAddr", "a:1",  "clusterName", "C",
                            "brokerId",   "0",  "compressed", "true", NULL};
    assert_int_equal(ns_call(fd, &r, REQ_REGISTER_BROKER, REM_VERSION, buf_str(&body), fields), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "Z2"), RESP_SUCCESS);
    assert_non_null(strstr(r.body, "\"readQueueNums\":16"));
    /* before 3.0.11 the body was the table itself */
    struct str table = STR_LIT("{\"dataVersion\":{\"counter\":1,\"timestamp\":2},"
                               "\"topicConfigTable\":{\"A1\":{\"topicName\":\"A1\"},\"A2\":{\"perm\":4}}}");
    assert_int_equal(ns_call(fd, &r, REQ_REGISTER_BROKER, 36, table, fields), RESP_SUCCESS);
    assert_int_equal(ns_route(fd, &r, "A2"), RESP_SUCCESS);
    assert_non_null(strstr(r.body, "\"perm\":4"));
    close(fd);
    buf_free(&body);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void slave_learns_its_master_and_does_not_speak_for_topics(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    ns_register_topics(fd, &r, &master, "T U", 1);
    assert_true(str_is_null(rem_ext(&r.cmd, "masterAddr")));
    assert_int_equal(ns_register_topics(fd, &r, &slave1, "S1 S2", 1), RESP_SUCCESS);
    assert_true(str_eqz(rem_ext(&r.cmd, "masterAddr"), "10.0.0.1:10911"));
    assert_true(str_eqz(rem_ext(&r.cmd, "haServerAddr"), "10.9.9.9:1"));
    /* the same again is only a sign of life, and is answered the same */
    assert_int_equal(ns_register_topics(fd, &r, &slave1, "S1 S2", 1), RESP_SUCCESS);
    assert_true(str_eqz(rem_ext(&r.cmd, "masterAddr"), "10.0.0.1:10911"));
    assert_int_equal(ns_route(fd, &r, "S1"), RESP_TOPIC_NOT_EXIST);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "{\"0\":\"10.0.0.1:10911\",\"1\":\"10.0.0.2:10911\"}"));
    ns_ask(fd, &r, REQ_GET_BROKER_MEMBER_GROUP, NS_FIELDS("clusterName", "C", "brokerName", "b1"));
    assert_string_equal(r.body, "{\"brokerMemberGroup\":{\"brokerAddrs\":{0:\"10.0.0.1:10911\",1:\"10.0.0.2:10911\"},"
                                "\"brokerName\":\"b1\",\"cluster\":\"C\"}}");
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void an_address_has_one_id_and_an_id_one_address(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    struct ns_broker promoted = slave1;
    promoted.id = "0";
    ns_register_topics(fd, &r, &master, "T U", 1);
    ns_register_topics(fd, &r, &slave1, "T U", 1);
    ns_register_topics(fd, &r, &promoted, "T U", 2);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "\"brokerAddrs\":{\"0\":\"10.0.0.2:10911\"}"));
    /* an address further behind in the state machine does not take the id over */
    struct str ahead = STR_LIT("{\"topicConfigSerializeWrapper\":{\"dataVersion\":{\"stateVersion\":9},"
                               "\"topicConfigTable\":{}}}");
    struct str behind = STR_LIT("{\"topicConfigSerializeWrapper\":{\"dataVersion\":{\"stateVersion\":8},"
                                "\"topicConfigTable\":{}}}");
    ns_register(fd, &r, &promoted, ahead);
    assert_int_equal(ns_register(fd, &r, &master, behind), RESP_SUCCESS);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "\"brokerAddrs\":{\"0\":\"10.0.0.2:10911\"}"));
    assert_int_equal(ns_register(fd, &r, &master, ahead), RESP_SUCCESS);
    ns_route(fd, &r, "T");
    assert_non_null(strstr(r.body, "\"brokerAddrs\":{\"0\":\"10.0.0.1:10911\"}"));
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void acting_master_stands_in_for_a_lost_one(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NS_FIELDS("supportActingMaster=true"));
    int m = ns_connect(&f), s = ns_connect(&f);
    const char *group = "rmq_sys_SYNC_BROKER_MEMBER_b1";
    char topics[128];
    snprintf(topics, sizeof topics, "T %s", group);
    ns_register_topics(m, &r, &master, topics, 1);
    ns_register_topics(s, &r, &slave1, topics, 1);
    ns_register_topics(s, &r, &slave2, topics, 1);
    close(m);
    int64_t end = clock_mono_ms() + PATIENCE_MS;
    do {
        assert_true(clock_mono_ms() < end);
        ns_route(s, &r, "T");
    } while (strstr(r.body, "10.0.0.1"));
    assert_string_equal(r.body, BROKER("{\"0\":\"10.0.0.2:10911\",\"2\":\"10.0.0.3:10911\"}", "true}],") QUEUES("4"));
    ns_route(s, &r, group);
    assert_non_null(strstr(r.body, "{\"1\":\"10.0.0.2:10911\",\"2\":\"10.0.0.3:10911\"}"));
    close(s);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void zone_mode_keeps_near_brokers(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    const struct ns_broker near = {"b1", "10.0.0.1:1", "0", .zone = "East"},
                           far = {"b2", "10.0.0.2:1", "0", .zone = "West"};
    const struct ns_broker orphan = {"b3", "10.0.0.3:1", "1", .zone = "West", .acting = "true"};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    ns_register_topics(fd, &r, &near, "T U", 1);
    ns_register_topics(fd, &r, &far, "T U", 1);
    ns_register_topics(fd, &r, &orphan, "T U", 1);
    ns_ask(fd, &r, REQ_GET_ROUTEINFO_BY_TOPIC, NS_FIELDS("topic", "T", "__ZONE_MODE", "true", "__ZONE_NAME", "east"));
    assert_non_null(strstr(r.body, "{0:\"10.0.0.1:1\"}"));
    assert_non_null(strstr(r.body, "{1:\"10.0.0.3:1\"}"));
    assert_null(strstr(r.body, "b2"));
    ns_ask(fd, &r, REQ_GET_ROUTEINFO_BY_TOPIC, NS_FIELDS("topic", "T", "__ZONE_MODE", "false", "__ZONE_NAME", "east"));
    assert_non_null(strstr(r.body, "b2"));
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void brokers_leave_by_request_close_and_silence(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    ns_start(&f, NS_FIELDS("scanNotActiveBrokerInterval=20"));
    int fd = ns_connect(&f), broker = ns_connect(&f);
    ns_register_topics(broker, &r, &master, "T U", 1);
    assert_int_equal(
        ns_ask(fd, &r, REQ_UNREGISTER_BROKER,
               NS_FIELDS("brokerName", "b1", "brokerAddr", "10.0.0.1:10911", "clusterName", "C", "brokerId", "0")),
        RESP_SUCCESS);
    ns_wait_route(fd, &r, "T", RESP_TOPIC_NOT_EXIST);
    ns_register_topics(broker, &r, &master, "T U", 1);
    assert_int_equal(ns_route(fd, &r, "T"), RESP_SUCCESS);
    /* it came back over another connection before the first one ended */
    int second = ns_connect(&f);
    ns_register_topics(second, &r, &master, "T U", 1);
    close(broker);
    usleep(100000);
    assert_int_equal(ns_route(fd, &r, "T"), RESP_SUCCESS);
    close(second);
    ns_wait_route(fd, &r, "T", RESP_TOPIC_NOT_EXIST);
    ns_ask(fd, &r, REQ_GET_BROKER_CLUSTER_INFO, NULL);
    assert_string_equal(r.body, "{\"brokerAddrTable\":{},\"clusterAddrTable\":{}}");

    struct ns_broker silent = master;
    silent.timeout = "1000";
    broker = ns_connect(&f);
    ns_register_topics(broker, &r, &silent, "T U", 1);
    for (int i = 0; i < 13; i++) {
        usleep(100000);
        assert_int_equal(
            ns_ask(fd, &r, REQ_BROKER_HEARTBEAT, NS_FIELDS("clusterName", "C", "brokerAddr", "10.0.0.1:10911")),
            RESP_SUCCESS);
    }
    assert_int_equal(ns_route(fd, &r, "T"), RESP_SUCCESS);
    ns_wait_route(fd, &r, "T", RESP_TOPIC_NOT_EXIST);
    ns_reply_free(&r);
    char byte;
    assert_int_equal(read(broker, &byte, 1), 0); /* its connection was ended */
    close(broker);
    close(fd);
    ns_stop(&f);
}

static void data_version_is_compared_and_told(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    const char *const *who =
        NS_FIELDS("brokerName", "b1", "brokerAddr", "10.0.0.1:10911", "clusterName", "C", "brokerId", "0");
    struct str version = STR_LIT("{\"counter\":1,\"stateVersion\":0,\"timestamp\":1000}");
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    assert_int_equal(ns_call(fd, &r, REQ_QUERY_DATA_VERSION, REM_VERSION, version, who), RESP_SUCCESS);
    assert_true(str_eqz(rem_ext(&r.cmd, "changed"), "true"));
    assert_string_equal(r.body, "");
    ns_register_topics(fd, &r, &master, "T U", 1);
    ns_call(fd, &r, REQ_QUERY_DATA_VERSION, REM_VERSION, version, who);
    assert_true(str_eqz(rem_ext(&r.cmd, "changed"), "false"));
    assert_string_equal(r.body, version.ptr);
    ns_call(fd, &r, REQ_QUERY_DATA_VERSION, REM_VERSION, STR_LIT("{\"counter\":2,\"timestamp\":1000}"), who);
    assert_true(str_eqz(rem_ext(&r.cmd, "changed"), "true"));
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

/* ---- notices ---- */

static int listen_as_broker(char *addr, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    struct timeval limit = {5, 0};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    snprintf(addr, size, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void smallest_broker_id_is_noticed(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    char addr[64];
    ns_start(&f, NS_FIELDS("notifyMinBrokerIdChanged=true"));
    int door = listen_as_broker(addr, sizeof addr), m = ns_connect(&f), s = ns_connect(&f);
    const struct ns_broker slave = {"b1", addr, "1", .acting = "true"};
    ns_register_topics(s, &r, &slave, "T U", 1);
    ns_register_topics(m, &r, &master, "T U", 1);
    int told = accept(door, NULL, NULL);
    assert_true(told >= 0);
    ns_reply_free(&r);
    assert_true(ns_read_frame(told, &r));
    assert_int_equal(r.cmd.code, REQ_NOTIFY_MIN_BROKER_ID_CHANGE);
    assert_int_equal(r.cmd.flag, REM_FLAG_ONEWAY);
    assert_true(str_eqz(rem_ext(&r.cmd, "minBrokerId"), "0"));
    assert_true(str_eqz(rem_ext(&r.cmd, "minBrokerAddr"), "10.0.0.1:10911"));
    assert_true(str_eqz(rem_ext(&r.cmd, "haBrokerAddr"), "10.9.9.9:1"));
    assert_true(str_is_null(rem_ext(&r.cmd, "offlineBrokerAddr")));
    close(m);
    ns_reply_free(&r);
    assert_true(ns_read_frame(told, &r));
    assert_true(str_eqz(rem_ext(&r.cmd, "minBrokerId"), "1"));
    assert_true(str_eqz(rem_ext(&r.cmd, "minBrokerAddr"), addr));
    assert_true(str_eqz(rem_ext(&r.cmd, "offlineBrokerAddr"), "10.0.0.1:10911"));
    ns_reply_free(&r);
    close(told);
    close(door);
    close(s);
    ns_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_is_strict_for_new_and_fastjson_for_old_clients),
        cmocka_unit_test(one_topic_does_not_make_a_broker_known),
        cmocka_unit_test(same_version_changes_nothing_and_absent_topics_stay),
        cmocka_unit_test(full_registration_removes_topics_when_told_so),
        cmocka_unit_test(damaged_registration_is_refused),
        cmocka_unit_test(compressed_and_ancient_bodies_are_read),
        cmocka_unit_test(slave_learns_its_master_and_does_not_speak_for_topics),
        cmocka_unit_test(an_address_has_one_id_and_an_id_one_address),
        cmocka_unit_test(acting_master_stands_in_for_a_lost_one),
        cmocka_unit_test(zone_mode_keeps_near_brokers),
        cmocka_unit_test(brokers_leave_by_request_close_and_silence),
        cmocka_unit_test(data_version_is_compared_and_told),
        cmocka_unit_test(smallest_broker_id_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
