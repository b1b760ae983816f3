#include "broker/broker_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct broker_conf conf;
static struct err err;

static int start(void **state)
{
    return conf_defaults(&broker_conf_table, &conf, &err);
}

static int finish(void **state)
{
    conf_free(&broker_conf_table, &conf);
    conf = (struct broker_conf){0};
    return 0;
}

static void test_defaults_are_javas(void **state)
{
    assert_string_equal(conf.cluster_name, "DefaultCluster");
    assert_string_equal(conf.region_id, "DefaultRegion");
    assert_null(conf.namesrv_addr);
    assert_int_equal(conf.listen_port, 10911);
    assert_int_equal(conf.permission, 6);
    assert_int_equal(conf.default_topic_queue_nums, 8);
    assert_true(conf.auto_create_topic && conf.auto_create_group && conf.cluster_topic && conf.broker_topic);
    assert_true(conf.trace_on && conf.long_polling && conf.fast_failure && conf.lite_pull && conf.server_side_reset);
    assert_false(conf.trace_topic || conf.slave_read || conf.reject_transaction || conf.enable_property_filter);
    assert_int_equal(conf.register_period_ms, 30000);
    assert_int_equal(conf.namesrv_timeout_ms, 24000);
    assert_int_equal(conf.flush_offset_interval_ms, 5000);
    assert_int_equal(conf.wait_send_queue_ms, 200);
    assert_int_equal(conf.channel_expired_ms, 120000);
    assert_int_equal(conf.idle_seconds, 120);
    assert_true(conf.force_register);
}

/* Every row must be reachable under its own name, once. */
static void test_names_are_unique(void **state)
{
    for (size_t i = 0; i < broker_conf_table.count; i++) {
        struct str name = str_from(broker_conf_table.keys[i].name);
        assert_ptr_equal(conf_find(&broker_conf_table, name), &broker_conf_table.keys[i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(broker_conf_table.keys[i].offset, broker_conf_table.keys[j].offset);
    }
}

static void test_broker_name_of_the_host(void **state)
{
    assert_null(conf.broker_name);
    assert_int_equal(broker_conf_complete(&conf, &err), 0);
    assert_non_null(conf.broker_name);
    assert_true(conf.broker_name[0] != '\0');
    assert_int_equal(conf_set(&broker_conf_table, &conf, STR_LIT("brokerName"), STR_LIT("broker-b"), &err), 0);
    assert_int_equal(broker_conf_complete(&conf, &err), 0);
    assert_string_equal(conf.broker_name, "broker-b");
}

static void test_keys_without_effect(void **state)
{
    assert_true(broker_conf_without_effect(STR_LIT("sendMessageThreadPoolNums")));
    assert_true(broker_conf_without_effect(STR_LIT("transientStorePoolEnable")));
    assert_true(broker_conf_without_effect(STR_LIT("aclEnable")));
    assert_true(broker_conf_without_effect(STR_LIT("authenticationEnabled")));
    assert_true(broker_conf_without_effect(STR_LIT("mapedFileSizeCommitLog")));
    assert_true(broker_conf_without_effect(STR_LIT("serverWorkerThreads")));
    assert_true(broker_conf_without_effect(STR_LIT("accessMessageInMemoryHotRatio"))); /* the first */
    assert_true(broker_conf_without_effect(STR_LIT("writeBufferLowWaterMark")));
    assert_false(broker_conf_without_effect(STR_LIT("sendMessageThreadPoolNum")));
    assert_false(broker_conf_without_effect(STR_LIT("")));
}

static void test_bad_values(void **state)
{
    assert_int_equal(conf_set(&broker_conf_table, &conf, STR_LIT("listenPort"), STR_LIT("70000"), &err), -1);
    assert_int_equal(conf_set(&broker_conf_table, &conf, STR_LIT("brokerPermission"), STR_LIT("-1"), &err), -1);
    assert_int_equal(conf_set(&broker_conf_table, &conf, STR_LIT("brokerId"), STR_LIT("-1"), &err), -1);
    assert_int_equal(conf_set(&broker_conf_table, &conf, STR_LIT("autoCreateTopicEnable"), STR_LIT("maybe"), &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_are_javas, start, finish),
        cmocka_unit_test_setup_teardown(test_names_are_unique, start, finish),
        cmocka_unit_test_setup_teardown(test_broker_name_of_the_host, start, finish),
        cmocka_unit_test_setup_teardown(test_keys_without_effect, start, finish),
        cmocka_unit_test_setup_teardown(test_bad_values, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
