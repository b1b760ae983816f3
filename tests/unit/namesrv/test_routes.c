/* The route tables by themselves: what happens between two threads or two brokers is put in order here by hand. */
#include "namesrv/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

struct tables {
    struct namesrv_conf conf;
    struct kv_config *kv;
    struct routes *routes;
    struct arena arena;
    struct register_broker_body body;
    struct topic_config topics[2];
};

static void begin(struct tables *t)
{
    struct err err;
    memset(t, 0, sizeof *t);
    assert_int_equal(conf_defaults(&namesrv_conf_table, &t->conf, &err), 0);
    t->conf.supportActingMaster = true;
    t->conf.notifyMinBrokerIdChanged = true;
    t->kv = kv_config_open("/nonexistent/kvConfig.json", &err);
    t->routes = routes_new(&t->conf, t->kv, &err);
    assert_non_null(t->routes);
    t->topics[0] = TOPIC_CONFIG_DEFAULT(STR_LIT("T"));
    t->topics[1] = TOPIC_CONFIG_DEFAULT(STR_LIT("U"));
    t->body.topics.topics = t->topics;
    t->body.topics.topic_count = 2;
}

static void end(struct tables *t)
{
    routes_free(t->routes);
    kv_config_free(t->kv);
    namesrv_conf_free(&t->conf);
    arena_free(&t->arena);
}

static struct net_ref conn(uint32_t slot)
{
    return (struct net_ref){.slot = slot, .generation = 1};
}

static struct routes_register_result add(struct tables *t, int64_t id, const char *addr, uint32_t slot)
{
    struct routes_registration in = {
        .cluster = STR_LIT("C"),
        .addr = str_from(addr),
        .broker_name = STR_LIT("b"),
        .broker_id = id,
        .ha_addr = STR_LIT("ha:1"),
        .heartbeat_timeout_ms = 500,
        .new_version = true,
        .enable_acting_master = true,
        .body = &t->body,
        .conn = conn(slot),
    };
    struct routes_register_result out;
    assert_int_equal(routes_register(t->routes, &t->arena, &in, &out), ROUTES_REGISTERED);
    return out;
}

static struct routes_leaving leaving(enum routes_leave why, int64_t id, const char *addr, uint32_t slot)
{
    return (struct routes_leaving){why, STR_LIT("C"), str_from(addr), STR_LIT("b"), id, conn(slot)};
}

static bool answer_has(struct tables *t, const char *text)
{
    struct str answer = routes_answer(t->routes, &t->arena, STR_LIT("T"), true, STR_NULL);
    if (str_is_null(answer))
        return false;
    bool has = str_find(answer, str_from(text)) >= 0;
    routes_answer_done(t->routes);
    return has;
}

static void a_broker_that_came_back_stays(void **state)
{
    struct tables t;
    begin(&t);
    assert_true(add(&t, 0, "m:1", 1).new_connection);
    struct routes_leaving old = leaving(ROUTES_LEAVE_CLOSED, 0, "m:1", 1);
    assert_false(add(&t, 0, "m:1", 1).new_connection);
    assert_true(add(&t, 0, "m:1", 2).new_connection);
    routes_unregister(t.routes, &t.arena, &old, 1);
    assert_true(answer_has(&t, "m:1"));
    struct routes_leaving silent = leaving(ROUTES_LEAVE_EXPIRED, 0, "m:1", 2);
    routes_unregister(t.routes, &t.arena, &silent, 1);
    assert_true(answer_has(&t, "m:1"));
    usleep(600000);
    routes_unregister(t.routes, &t.arena, &silent, 1);
    assert_false(answer_has(&t, "m:1"));
    end(&t);
}

static void the_newcomer_is_not_told_what_it_knows(void **state)
{
    struct tables t;
    begin(&t);
    assert_null(add(&t, 2, "s2:1", 1).notice);
    assert_null(add(&t, 3, "s3:1", 2).notice);
    const struct routes_notice *n = add(&t, 1, "s1:1", 3).notice;
    assert_non_null(n);
    assert_int_equal(n->to_count, 2);
    assert_true(str_eqz(n->to[0], "s2:1"));
    assert_true(str_eqz(n->to[1], "s3:1"));
    assert_int_equal(n->min_id, 1);
    assert_true(str_is_null(n->offline_addr));
    assert_null(add(&t, 1, "s1:1", 3).notice);
    /* not the smallest: nobody is told */
    struct routes_leaving middle = leaving(ROUTES_LEAVE_ASKED, 2, "s2:1", 1);
    assert_null(routes_unregister(t.routes, &t.arena, &middle, 1));
    struct routes_leaving smallest = leaving(ROUTES_LEAVE_ASKED, 1, "s1:1", 3);
    n = routes_unregister(t.routes, &t.arena, &smallest, 1);
    assert_non_null(n);
    assert_int_equal(n->to_count, 1);
    assert_true(str_eqz(n->to[0], "s3:1"));
    assert_true(str_eqz(n->offline_addr, "s1:1"));
    end(&t);
}

static void all_of_a_group_leave_in_one_batch(void **state)
{
    struct tables t;
    struct data_version version;
    begin(&t);
    add(&t, 0, "m:1", 1);
    add(&t, 1, "s1:1", 2);
    struct routes_leaving both[] = {leaving(ROUTES_LEAVE_ASKED, 0, "m:1", 1), leaving(ROUTES_LEAVE_ASKED, 1, "s1:1", 2),
                                    leaving(ROUTES_LEAVE_ASKED, 1, "s1:1", 2)};
    routes_unregister(t.routes, &t.arena, both, 3);
    assert_false(answer_has(&t, "b"));
    assert_false(routes_touch(t.routes, STR_LIT("C"), STR_LIT("m:1"), &version));
    struct buf out = {0};
    routes_write_cluster_info(t.routes, &t.arena, &out);
    assert_true(str_eqz(buf_str(&out), "{\"brokerAddrTable\":{},\"clusterAddrTable\":{}}"));
    buf_free(&out);
    /* and come again */
    add(&t, 0, "m:1", 1);
    assert_true(answer_has(&t, "\"perm\":6"));
    end(&t);
}

static void only_read_only_queues_get_an_acting_master(void **state)
{
    struct tables t;
    begin(&t);
    add(&t, 0, "m:1", 1);
    add(&t, 1, "s1:1", 2);
    struct routes_leaving master = leaving(ROUTES_LEAVE_ASKED, 0, "m:1", 1);
    routes_unregister(t.routes, &t.arena, &master, 1);
    assert_true(answer_has(&t, "{\"0\":\"s1:1\"}"));
    assert_int_equal(routes_set_write_perm(t.routes, STR_LIT("b"), true), 2);
    assert_true(answer_has(&t, "{\"1\":\"s1:1\"}"));
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_came_back_stays),
        cmocka_unit_test(the_newcomer_is_not_told_what_it_knows),
        cmocka_unit_test(all_of_a_group_leave_in_one_batch),
        cmocka_unit_test(only_read_only_queues_get_an_acting_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
