/* What admin tools ask and change: lists, write permission, topics, key-value table, configuration. */
#include "ns_fixture.h"

#include "base/properties.h"
#include <errno.h>

static const struct ns_broker b1 = {.name = "b1", .addr = "10.0.0.1:10911", .id = "0"};
static const struct ns_broker b2 = {.name = "b2", .addr = "10.0.0.2:10911", .id = "0"};

struct client {
    struct ns_fixture f;
    struct ns_reply r;
    int fd;
};

static void begin(struct client *c, const char *const *settings)
{
    memset(c, 0, sizeof *c);
    ns_start(&c->f, settings);
    c->fd = ns_connect(&c->f);
}

static void end(struct client *c)
{
    close(c->fd);
    ns_reply_free(&c->r);
    ns_stop(&c->f);
}

static int ask(struct client *c, int code, const char *const *fields)
{
    return ns_ask(c->fd, &c->r, code, fields);
}

static int update(struct client *c, const char *text)
{
    return ns_call(c->fd, &c->r, REQ_UPDATE_NAMESRV_CONFIG, REM_VERSION, str_from(text), NULL);
}

static void remark_is(const struct client *c, const char *text)
{
    assert_true(str_eqz(c->r.cmd.remark, text));
}

static void write_permission_is_taken_and_given(void **state)
{
    struct client c;
    begin(&c, NULL);
    ns_register_topics(c.fd, &c.r, &b1, "T U", 1);
    ns_register_topics(c.fd, &c.r, &b2, "U V W", 1);
    ns_route(c.fd, &c.r, "U"); /* an answer that would be stale afterwards */
    assert_int_equal(ask(&c, REQ_WIPE_WRITE_PERM_OF_BROKER, NS_FIELDS("brokerName", "b2")), RESP_SUCCESS);
    assert_true(str_eqz(rem_ext(&c.r.cmd, "wipeTopicCount"), "3"));
    ns_route(c.fd, &c.r, "U");
    assert_non_null(strstr(c.r.body, "{\"brokerName\":\"b1\",\"perm\":6"));
    assert_non_null(strstr(c.r.body, "{\"brokerName\":\"b2\",\"perm\":4"));
    ask(&c, REQ_ADD_WRITE_PERM_OF_BROKER, NS_FIELDS("brokerName", "b2"));
    assert_true(str_eqz(rem_ext(&c.r.cmd, "addTopicCount"), "3"));
    ns_route(c.fd, &c.r, "U");
    assert_non_null(strstr(c.r.body, "{\"brokerName\":\"b2\",\"perm\":6"));
    ask(&c, REQ_WIPE_WRITE_PERM_OF_BROKER, NS_FIELDS("brokerName", "nobody"));
    assert_true(str_eqz(rem_ext(&c.r.cmd, "wipeTopicCount"), "0"));
    end(&c);
}

static void topics_are_registered_and_deleted_one_by_one(void **state)
{
    struct client c;
    begin(&c, NULL);
    ns_register_topics(c.fd, &c.r, &b1, "T U", 1);
    ns_register_topics(c.fd, &c.r, &b2, "T U", 1);
    struct str route = STR_LIT("{\"queueDatas\":[{\"brokerName\":\"b1\",\"perm\":6,\"readQueueNums\":3,"
                               "\"writeQueueNums\":3,\"topicSysFlag\":1},{\"brokerName\":\"nobody\",\"perm\":6}]}");
    const char *const *x = NS_FIELDS("topic", "X"), *const *t = NS_FIELDS("topic", "T");
    assert_int_equal(ns_call(c.fd, &c.r, REQ_REGISTER_TOPIC_IN_NAMESRV, REM_VERSION, route, x), RESP_SUCCESS);
    assert_int_equal(ns_route(c.fd, &c.r, "X"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ns_call(c.fd, &c.r, REQ_REGISTER_TOPIC_IN_NAMESRV, REM_VERSION, route, t), RESP_SUCCESS);
    ns_route(c.fd, &c.r, "T");
    assert_non_null(strstr(c.r.body, "\"readQueueNums\":3"));
    ask(&c, REQ_DELETE_TOPIC_IN_NAMESRV, NS_FIELDS("topic", "T", "clusterName", "another"));
    assert_int_equal(ns_route(c.fd, &c.r, "T"), RESP_SUCCESS);
    ask(&c, REQ_DELETE_TOPIC_IN_NAMESRV, NS_FIELDS("topic", "T", "clusterName", "C"));
    assert_int_equal(ns_route(c.fd, &c.r, "T"), RESP_TOPIC_NOT_EXIST);
    ask(&c, REQ_DELETE_TOPIC_IN_NAMESRV, NS_FIELDS("topic", "U"));
    assert_int_equal(ns_route(c.fd, &c.r, "U"), RESP_TOPIC_NOT_EXIST);
    assert_int_equal(ask(&c, REQ_DELETE_TOPIC_IN_NAMESRV, NS_FIELDS("topic", "U")), RESP_SUCCESS);
    end(&c);
}

static void lists_name_topics_by_kind(void **state)
{
    struct client c;
    begin(&c, NULL);
    struct str body =
        STR_LIT("{\"topicConfigSerializeWrapper\":{\"topicConfigTable\":{\"plain\":{\"topicName\":\"plain\"},"
                "\"unit\":{\"topicName\":\"unit\",\"topicSysFlag\":1},\"both\":{\"topicName\":\"both\",\"topicSysFlag\""
                ":3},\"sub\":{\"topicName\":\"sub\",\"topicSysFlag\":2}}}}");
    assert_int_equal(ns_register(c.fd, &c.r, &b1, body), RESP_SUCCESS);
    static const struct {
        int code;
        const char *names; /* of plain, unit, both, sub: what is listed */
    } lists[] = {{REQ_GET_ALL_TOPIC_LIST_FROM_NAMESERVER, "pubs"},
                 {REQ_GET_TOPICS_BY_CLUSTER, "pubs"},
                 {REQ_GET_UNIT_TOPIC_LIST, "ub"},
                 {REQ_GET_HAS_UNIT_SUB_TOPIC_LIST, "bs"},
                 {REQ_GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, "s"}};
    static const char *const names[] = {"\"plain\"", "\"unit\"", "\"both\"", "\"sub\""};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(ask(&c, lists[i].code, NS_FIELDS("cluster", "C")), RESP_SUCCESS);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(strstr(c.r.body, names[k]) != NULL, strchr(lists[i].names, names[k][1]) != NULL);
    }
    ask(&c, REQ_GET_TOPICS_BY_CLUSTER, NS_FIELDS("cluster", "nowhere"));
    assert_string_equal(c.r.body, "{\"topicList\":[]}");
    ask(&c, REQ_GET_SYSTEM_TOPIC_LIST_FROM_NS, NULL);
    assert_string_equal(c.r.body, "{\"brokerAddr\":\"10.0.0.1:10911\",\"topicList\":[\"C\",\"b1\"]}");
    assert_int_equal(update(&c, "enableTopicList=false\nenableAllTopicList=false\n"), RESP_SUCCESS);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(ask(&c, lists[i].code, NS_FIELDS("cluster", "C")), RESP_SYSTEM_ERROR);
        remark_is(&c, "disable");
    }
    end(&c);
}

static void key_values_are_kept_over_a_restart(void **state)
{
    struct client c;
    begin(&c, NULL);
    assert_int_equal(ask(&c, REQ_PUT_KV_CONFIG, NS_FIELDS("key", "k", "value", "v")), RESP_SYSTEM_ERROR);
    remark_is(&c, "namespace or key is null");
    ask(&c, REQ_PUT_KV_CONFIG, NS_FIELDS("namespace", "n", "key", "k", "value", "v"));
    ask(&c, REQ_PUT_KV_CONFIG, NS_FIELDS("namespace", "n", "key", "gone", "value", "v"));
    assert_int_equal(ask(&c, REQ_DELETE_KV_CONFIG, NS_FIELDS("namespace", "n", "key", "gone")), RESP_SUCCESS);
    close(c.fd);
    ns_halt(&c.f);
    ns_start_in(&c.f, NULL);
    c.fd = ns_connect(&c.f);
    assert_int_equal(ask(&c, REQ_GET_KV_CONFIG, NS_FIELDS("namespace", "n", "key", "k")), RESP_SUCCESS);
    assert_true(str_eqz(rem_ext(&c.r.cmd, "value"), "v"));
    assert_int_equal(ask(&c, REQ_GET_KV_CONFIG, NS_FIELDS("namespace", "n", "key", "gone")), RESP_QUERY_NOT_FOUND);
    remark_is(&c, "No config item, Namespace: n Key: gone");
    ask(&c, REQ_GET_KVLIST_BY_NAMESPACE, NS_FIELDS("namespace", "n"));
    assert_string_equal(c.r.body, "{\"table\":{\"k\":\"v\"}}");
    assert_int_equal(ask(&c, REQ_GET_KVLIST_BY_NAMESPACE, NS_FIELDS("namespace", "m")), RESP_QUERY_NOT_FOUND);
    remark_is(&c, "No config item, Namespace: m");
    end(&c);
}

static void unreadable_key_values_stop_the_start(void **state)
{
    struct namesrv_conf conf = {0};
    struct net_pool pool;
    struct err err = {0};
    char dir[] = "/tmp/namesrv-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kv.json", dir);
    assert_int_equal(fs_replace(fs_real(), path, "{\"configTable\":{", 16), 0);
    assert_int_equal(conf_defaults(&namesrv_conf_table, &conf, &err), 0);
    assert_int_equal(conf_set(&namesrv_conf_table, &conf, STR_LIT("kvConfigPath"), str_from(path), &err), 0);
    assert_int_equal(net_pool_init(&pool, 1, &err), 0);
    assert_null(namesrv_create(&conf, &pool, STR_LIT("127.0.0.1"), 0, &err));
    assert_non_null(strstr(err.text, path));
    net_pool_free(&pool);
    namesrv_conf_free(&conf);
    assert_int_equal(fs_remove_tree(fs_real(), dir), 0);
}

static void order_configuration_reaches_routes_and_brokers(void **state)
{
    struct client c;
    begin(&c, NULL);
    ns_register_topics(c.fd, &c.r, &b1, "T U", 1);
    assert_string_equal(c.r.body, "");
    ask(&c, REQ_PUT_KV_CONFIG, NS_FIELDS("namespace", "ORDER_TOPIC_CONFIG", "key", "T", "value", "b1:4"));
    ns_route(c.fd, &c.r, "T");
    assert_null(strstr(c.r.body, "orderTopicConf"));
    update(&c, "orderMessageEnable=true");
    ns_route(c.fd, &c.r, "T");
    assert_non_null(strstr(c.r.body, "\"orderTopicConf\":\"b1:4\""));
    ask(&c, REQ_PUT_KV_CONFIG, NS_FIELDS("namespace", "ORDER_TOPIC_CONFIG", "key", "T", "value", "b1:8"));
    ns_route(c.fd, &c.r, "T");
    assert_non_null(strstr(c.r.body, "\"orderTopicConf\":\"b1:8\""));
    ns_register_topics(c.fd, &c.r, &b1, "T U", 1);
    assert_string_equal(c.r.body, "{\"table\":{\"T\":\"b1:8\"}}");
    update(&c, "returnOrderTopicConfigToBroker=false");
    ns_register_topics(c.fd, &c.r, &b1, "T U", 1);
    assert_string_equal(c.r.body, "");
    end(&c);
}

static void configuration_is_shown_changed_and_saved(void **state)
{
    struct client c;
    struct arena arena = {0};
    struct properties p;
    char path[128], *text;
    size_t n;
    begin(&c, NULL);
    assert_int_equal(update(&c, "waitSecondsForService=3600\nneedWaitForService=true\nsomethingElse=1\n"),
                     RESP_SUCCESS);
    assert_int_equal(ns_route(c.fd, &c.r, "T"), RESP_SYSTEM_ERROR);
    remark_is(&c, "name server not ready");
    ask(&c, REQ_GET_NAMESRV_CONFIG, NULL);
    assert_int_equal(properties_parse(&arena, c.r.cmd.body, &p, NULL), 0);
    assert_true(str_eqz(properties_get(&p, STR_LIT("waitSecondsForService")), "3600"));
    assert_int_equal(p.count, namesrv_conf_table.count - 1); /* rocketmqHome is not set */
    snprintf(path, sizeof path, "%s/ns/namesrv.properties", c.f.dir);
    assert_int_equal(fs_load(fs_real(), path, 65536, &text, &n), 0);
    assert_true(str_eq(str_make(text, n), c.r.cmd.body));
    free(text);
    static const char *const locked[] = {"configBlackList=", "configStorePath=/x", "kvConfigPath=/x",
                                         "rocketmqHome=/x"};
    for (size_t i = 0; i < sizeof locked / sizeof locked[0]; i++) {
        assert_int_equal(update(&c, locked[i]), RESP_NO_PERMISSION);
        remark_is(&c, "Can not update config in black list.");
    }
    /* one bad value: none is taken */
    assert_int_equal(update(&c, "waitSecondsForService=1\nenableTopicList=perhaps"), RESP_SYSTEM_ERROR);
    ask(&c, REQ_GET_NAMESRV_CONFIG, NULL);
    assert_non_null(strstr(c.r.body, "waitSecondsForService=3600\n"));
    arena_free(&arena);
    end(&c);
}

static void a_taken_port_is_told(void **state)
{
    struct client c;
    struct namesrv_conf conf = {0};
    struct net_pool pool;
    struct err err = {0};
    begin(&c, NULL);
    assert_int_equal(conf_defaults(&namesrv_conf_table, &conf, &err), 0);
    conf_set(&namesrv_conf_table, &conf, STR_LIT("kvConfigPath"), STR_LIT("/nonexistent/kv.json"), &err);
    assert_int_equal(net_pool_init(&pool, 1, &err), 0);
    assert_null(namesrv_create(&conf, &pool, STR_LIT("127.0.0.1"), namesrv_port(c.f.ns), &err));
    assert_int_equal(err.code, EADDRINUSE);
    net_pool_free(&pool);
    namesrv_conf_free(&conf);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_permission_is_taken_and_given),
        cmocka_unit_test(topics_are_registered_and_deleted_one_by_one),
        cmocka_unit_test(lists_name_topics_by_kind),
        cmocka_unit_test(key_values_are_kept_over_a_restart),
        cmocka_unit_test(unreadable_key_values_stop_the_start),
        cmocka_unit_test(order_configuration_reaches_routes_and_brokers),
        cmocka_unit_test(configuration_is_shown_changed_and_saved),
        cmocka_unit_test(a_taken_port_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
