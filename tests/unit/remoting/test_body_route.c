/* Routes, clusters and the plain lists: what is written is what Java writes, what Java writes is read. */
#include "remoting/body/route.h"
#include "remoting/body/topic_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As the Java name server answers; q: the quotes around numeric keys, zone: Zürich/1 as it is written. */
#define ROUTE(q, zone)                                                                                                 \
    "{\"brokerDatas\":[{\"brokerAddrs\":{" q "0" q ":\"10.0.0.1:10911\"," q "2" q ":\"10.0.0.2:10911\"},"              \
    "\"brokerName\":\"broker-a\",\"cluster\":\"C\",\"enableActingMaster\":true,\"zoneName\":\"" zone "\"}],"           \
    "\"filterServerTable\":{\"10.0.0.1:10911\":[\"10.0.0.1:9\"]},\"orderTopicConf\":\"broker-a:4\",\"queueDatas\":["   \
    "{\"brokerName\":\"broker-a\",\"perm\":6,\"readQueueNums\":8,\"topicSysFlag\":0,\"writeQueueNums\":4}],"           \
    "\"topicQueueMappingByBroker\":{\"broker-a\":{\"bname\":\"broker-a\",\"currIdMap\":{" q "0" q ":0," q "1" q        \
    ":3},\"dirty\":false,\"epoch\":7,\"scope\":\"__global__\",\"topic\":\"T\",\"totalQueues\":4}}}"
#define ROUTE_FASTJSON                                                                                                 \
    ROUTE("", "Z\xC3\xBC"                                                                                              \
              "rich/1")
#define ROUTE_STRICT ROUTE("\"", "Z\\u00FCrich\\/1")

static struct json *parse(struct arena *arena, const char *text)
{
    struct err err = {0};
    struct json *json = json_parse(arena, str_from(text), &err);
    if (json == NULL)
        fail_msg("%s", err.text);
    return json;
}

static void text_is(const struct buf *out, const char *expected)
{
    assert_int_equal(out->len, strlen(expected));
    assert_memory_equal(out->data, expected, out->len);
}

static void route_is_read_and_written_in_both_dialects(void **state)
{
    static const char *const texts[] = {ROUTE_FASTJSON, ROUTE_STRICT};
    for (size_t i = 0; i < 2; i++) {
        struct arena arena = {0};
        struct topic_route r;
        assert_true(topic_route_read(&arena, parse(&arena, texts[i]), &r));
        assert_int_equal(r.broker_count, 1);
        assert_int_equal(r.queues[0].write_queue_nums, 4);
        assert_true(str_eqz(r.brokers[0].zone_name, "Z\xC3\xBCrich/1"));
        assert_true(r.has_mappings);
        for (size_t k = 0; k < 2; k++) {
            struct buf out = {0};
            struct jw w;
            jw_init(&w, &out);
            w.escape_non_ascii = k == 1;
            topic_route_write(&w, &r, k == 1);
            text_is(&out, texts[k]);
            buf_free(&out);
        }
        arena_free(&arena);
    }
}

static void bare_route_is_read(void **state)
{
    struct arena arena = {0};
    struct topic_route r;
    assert_true(topic_route_read(&arena, parse(&arena, "{}"), &r));
    assert_int_equal(r.queue_count, 0);
    assert_false(r.has_mappings);
    assert_true(topic_route_read(&arena, parse(&arena, "{\"queueDatas\":[1,null,{}],\"brokerDatas\":7}"), &r));
    assert_int_equal(r.queue_count, 1);
    assert_false(topic_route_read(&arena, parse(&arena, "[]"), &r));
    arena_free(&arena);
}

static void addresses_are_found_by_id(void **state)
{
    struct arena arena = {0};
    struct broker_data b;
    assert_true(broker_data_read(&arena, parse(&arena, "{\"brokerAddrs\":{\"3\":\"c\",1:\"a\",\"2\":\"b\"}}"), &b));
    assert_int_equal(b.addr_count, 3);
    assert_int_equal(b.addrs[0].id, 1);
    assert_true(str_eqz(broker_data_addr(&b, 2), "b"));
    assert_true(str_is_null(broker_data_master(&b)));
    assert_true(str_eqz(broker_data_select(&b), "a"));
    assert_true(broker_data_read(&arena, parse(&arena, "{\"brokerAddrs\":{1:\"a\",0:\"m\"}}"), &b));
    assert_true(str_eqz(broker_data_select(&b), "m"));
    assert_true(broker_data_read(&arena, parse(&arena, "{}"), &b));
    assert_true(str_is_null(broker_data_select(&b)));
    arena_free(&arena);
}

static void cluster_info_is_read_and_written(void **state)
{
    static const char text[] =
        "{\"brokerAddrTable\":{\"broker-a\":{\"brokerAddrs\":{0:\"10.0.0.1:1\"},\"brokerName\":\"broker-a\","
        "\"cluster\":"
        "\"C\",\"enableActingMaster\":false}},\"clusterAddrTable\":{\"C\":[\"broker-a\",\"broker-b\"]}}";
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct cluster_info c;
    assert_true(cluster_info_read(&arena, parse(&arena, text), &c));
    assert_int_equal(c.clusters[0].broker_name_count, 2);
    assert_non_null(cluster_info_broker(&c, STR_LIT("broker-a")));
    assert_null(cluster_info_broker(&c, STR_LIT("broker-b")));
    jw_init(&w, &out);
    cluster_info_write(&w, &c);
    text_is(&out, text);
    buf_free(&out);
    arena_free(&arena);
}

static void member_group_is_read_and_written(void **state)
{
    static const char text[] = "{\"brokerMemberGroup\":{\"brokerAddrs\":{0:\"10.0.0.1:1\"},\"brokerName\":\"b\","
                               "\"cluster\":\"C\"}}";
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct broker_data g;
    assert_true(broker_member_group_read(&arena, parse(&arena, text), &g));
    assert_true(str_eqz(broker_data_master(&g), "10.0.0.1:1"));
    jw_init(&w, &out);
    broker_member_group_write(&w, &g);
    text_is(&out, text);
    assert_false(broker_member_group_read(&arena, parse(&arena, "{}"), &g));
    buf_free(&out);
    arena_free(&arena);
}

static void lists_and_tables_are_read_and_written(void **state)
{
    static const char list_text[] = "{\"brokerAddr\":\"10.0.0.1:1\",\"topicList\":[\"A\",\"B\"]}";
    static const char table_text[] = "{\"table\":{\"k\":\"v\",\"l\":\"\"}}";
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct topic_list l;
    struct kv_table t;
    assert_true(topic_list_read(&arena, parse(&arena, list_text), &l));
    assert_int_equal(l.topic_count, 2);
    jw_init(&w, &out);
    topic_list_write(&w, &l);
    text_is(&out, list_text);
    buf_clear(&out);
    assert_true(kv_table_read(&arena, parse(&arena, table_text), &t));
    assert_true(str_eqz(kv_table_get(&t, STR_LIT("k")), "v"));
    assert_false(str_is_null(kv_table_get(&t, STR_LIT("l"))));
    assert_true(str_is_null(kv_table_get(&t, STR_LIT("m"))));
    jw_init(&w, &out);
    kv_table_write(&w, &t);
    text_is(&out, table_text);
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_is_read_and_written_in_both_dialects),
        cmocka_unit_test(bare_route_is_read),
        cmocka_unit_test(addresses_are_found_by_id),
        cmocka_unit_test(cluster_info_is_read_and_written),
        cmocka_unit_test(member_group_is_read_and_written),
        cmocka_unit_test(lists_and_tables_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
