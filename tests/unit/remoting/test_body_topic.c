/* TopicConfig, DataVersion and registrations: what is written is what Java writes, what Java writes is read. */
#include "remoting/body/topic_config_register.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libdeflate.h>
#include <stdlib.h>

#define TOPIC_JSON                                                                                                     \
    "{\"attributes\":{\"message.type\":\"FIFO\"},\"order\":true,\"perm\":4,\"readQueueNums\":3,"                       \
    "\"topicFilterType\":\"MULTI_TAG\",\"topicName\":\"T\",\"topicSysFlag\":1,\"writeQueueNums\":2}"

/* A registration as the Java broker sends it. */
#define REGISTRATION_JSON                                                                                              \
    "{\"filterServerList\":[\"10.0.0.1:9\"],\"topicConfigSerializeWrapper\":{"                                         \
    "\"dataVersion\":{\"counter\":3,\"stateVersion\":1,\"timestamp\":1758000000000},"                                  \
    "\"mappingDataVersion\":{\"counter\":0,\"stateVersion\":0,\"timestamp\":7},\"topicConfigTable\":{"                 \
    "\"T\":" TOPIC_JSON "},\"topicQueueMappingDetailMap\":{},\"topicQueueMappingInfoMap\":{\"T\":{\"bname\":\"b\","    \
    "\"currIdMap\":{0:0,1:3},"                                                                                         \
    "\"dirty\":false,\"epoch\":7,\"scope\":\"__global__\",\"topic\":\"T\",\"totalQueues\":4}}}}"

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

static void data_versions_compare_by_state_then_counter_then_time(void **state)
{
    struct data_version a = {1, 5, 2}, b = {1, 5, 2};
    assert_true(data_version_eq(&a, &b));
    assert_int_equal(data_version_cmp(&a, &b), 0);
    b.timestamp = 6;
    assert_false(data_version_eq(&a, &b));
    assert_true(data_version_cmp(&a, &b) < 0);
    a.counter = 3;
    assert_true(data_version_cmp(&a, &b) > 0);
    b.state_version = 2;
    assert_true(data_version_cmp(&a, &b) < 0);
    data_version_next(&a, 4, 99);
    assert_int_equal(a.counter, 4);
    assert_int_equal(a.timestamp, 99);
    assert_int_equal(a.state_version, 4);
}

static void topic_config_is_read_and_written(void **state)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct topic_config c;
    assert_true(topic_config_read(&arena, parse(&arena, TOPIC_JSON), &c));
    assert_int_equal(c.read_queue_nums, 3);
    assert_int_equal(c.filter_type, TOPIC_FILTER_MULTI_TAG);
    assert_true(c.order);
    assert_true(str_eqz(topic_attribute_get(&c, STR_LIT("message.type")), "FIFO"));
    jw_init(&w, &out);
    topic_config_write(&w, &c);
    text_is(&out, TOPIC_JSON);
    struct topic_config *copy = topic_config_copy(&c);
    arena_free(&arena);
    assert_true(str_eqz(copy->name, "T"));
    assert_true(str_eqz(topic_attribute_get(copy, STR_LIT("message.type")), "FIFO"));
    free(copy);
    buf_free(&out);
}

static void missing_members_have_the_defaults_of_the_protocol(void **state)
{
    struct arena arena = {0};
    struct topic_config c, d = TOPIC_CONFIG_DEFAULT(STR_LIT("T"));
    assert_true(topic_config_read(&arena, parse(&arena, "{\"topicName\":\"T\",\"unknown\":[{}]}"), &c));
    assert_true(topic_config_eq(&c, &d));
    assert_int_equal(c.perm, 6);
    assert_int_equal(c.read_queue_nums, 16);
    assert_false(topic_config_read(&arena, parse(&arena, "[1]"), &c));
    assert_false(topic_config_read(&arena, NULL, &c));
    arena_free(&arena);
}

static void equality_of_topic_configs_does_not_depend_on_attribute_order(void **state)
{
    const struct topic_attribute ab[] = {{STR_LIT("a"), STR_LIT("1")}, {STR_LIT("b"), STR_LIT("2")}};
    const struct topic_attribute ba[] = {{STR_LIT("b"), STR_LIT("2")}, {STR_LIT("a"), STR_LIT("1")}};
    struct topic_config x = TOPIC_CONFIG_DEFAULT(STR_LIT("T")), y = x;
    x.attributes = ab;
    y.attributes = ba;
    x.attribute_count = y.attribute_count = 2;
    assert_true(topic_config_eq(&x, &y));
    y.attribute_count = 1;
    assert_false(topic_config_eq(&x, &y));
    y = x;
    y.topic_sys_flag = 1;
    assert_false(topic_config_eq(&x, &y));
}

static void lines_hold_a_topic(void **state)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct topic_config c;
    const char *line = "T 3 2 4 MULTI_TAG {\"k\":\"a b\"}";
    assert_true(topic_config_read_line(&arena, str_from(line), &c));
    assert_true(str_eqz(topic_attribute_get(&c, STR_LIT("k")), "a b"));
    topic_config_write_line(&out, &c);
    text_is(&out, line);
    assert_true(topic_config_read_line(&arena, STR_LIT("T 3 2 4 SINGLE_TAG"), &c));
    assert_true(topic_config_read_line(&arena, STR_LIT("T 3 2 4 SINGLE_TAG {broken"), &c));
    assert_int_equal(c.attribute_count, 0);
    assert_false(topic_config_read_line(&arena, STR_LIT("T 3 2 4"), &c));
    assert_false(topic_config_read_line(&arena, STR_LIT("T x 2 4 SINGLE_TAG {}"), &c));
    buf_free(&out);
    arena_free(&arena);
}

static void registration_is_read_and_written(void **state)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct register_broker_body b;
    struct err err;
    assert_int_equal(register_broker_body_read(&arena, STR_LIT(REGISTRATION_JSON), false, 479, &b, &err), 0);
    assert_int_equal(b.topics.topic_count, 1);
    assert_int_equal(b.topics.mapping_info_count, 1);
    assert_int_equal(b.topics.mapping_infos[0].current_ids[1].physical_id, 3);
    assert_int_equal(b.topics.data_version.timestamp, 1758000000000);
    jw_init(&w, &out);
    register_broker_body_write(&w, &b);
    text_is(&out, REGISTRATION_JSON);
    /* what the sender leaves out is empty, what it sends as null is unchanged */
    assert_int_equal(register_broker_body_read(&arena, STR_LIT("{}"), false, 479, &b, &err), 0);
    assert_true(b.has_filter_servers);
    assert_int_equal(register_broker_body_read(&arena, STR_LIT("{\"filterServerList\":null}"), false, 479, &b, &err),
                     0);
    assert_false(b.has_filter_servers);
    assert_int_equal(register_broker_body_read(&arena, STR_NULL, false, 479, &b, &err), 0);
    assert_int_equal(b.topics.topic_count, 0);
    assert_int_equal(b.topics.data_version.timestamp, 0);
    buf_free(&out);
    arena_free(&arena);
}

static void compressed_registration_survives(void **state)
{
    struct arena arena = {0};
    struct buf packed = {0};
    struct register_broker_body a, b;
    struct err err;
    register_broker_body_read(&arena, STR_LIT(REGISTRATION_JSON), false, 479, &a, &err);
    assert_true(register_broker_body_compress(&packed, &a, 479));
    assert_int_equal(register_broker_body_read(&arena, buf_str(&packed), true, 479, &b, &err), 0);
    assert_true(data_version_eq(&a.topics.data_version, &b.topics.data_version));
    assert_int_equal(b.topics.topic_count, 1);
    assert_int_equal(b.topics.topics[0].write_queue_nums, 2);
    assert_int_equal(b.topics.topics[0].topic_sys_flag, 0); /* this form has no place for it */
    assert_int_equal(b.filter_server_count, 1);
    assert_int_equal(b.topics.mapping_info_count, 1);
    assert_true(str_eqz(b.topics.mapping_infos[0].scope, "__global__"));
    /* an old sender's ends before the mappings */
    buf_clear(&packed);
    assert_true(register_broker_body_compress(&packed, &a, 412));
    assert_int_equal(register_broker_body_read(&arena, buf_str(&packed), true, 412, &b, &err), 0);
    assert_int_equal(b.topics.mapping_info_count, 0);
    assert_int_equal(register_broker_body_read(&arena, buf_str(&packed), true, 413, &b, &err), -1);
    assert_int_equal(register_broker_body_read(&arena, STR_LIT("nothing of the kind"), true, 479, &b, &err), -1);
    buf_free(&packed);
    arena_free(&arena);
}

static int read_packed(const void *plain, size_t len)
{
    struct arena arena = {0};
    struct register_broker_body b;
    struct err err;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(1);
    size_t bound = libdeflate_zlib_compress_bound(c, len);
    uint8_t *out = malloc(bound);
    size_t n = libdeflate_zlib_compress(c, plain, len, out, bound);
    int rc = register_broker_body_read(&arena, str_make(out, n), true, 479, &b, &err);
    free(out);
    libdeflate_free_compressor(c);
    arena_free(&arena);
    return rc;
}

static void lies_about_lengths_are_refused(void **state)
{
    static const unsigned char huge_version[] = {0x7f, 0xff, 0xff, 0xff, '{', '}'};
    static const unsigned char negative[] = {0xff, 0xff, 0xff, 0xff, '{', '}'};
    static const unsigned char many_topics[] = {0, 0, 0, 2, '{', '}', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    static const unsigned char whole[] = {0, 0, 0, 2, '{', '}', 0, 0, 0, 0, 0, 0, 0, 2, '[', ']', 0, 0, 0, 0};
    assert_int_equal(read_packed(huge_version, sizeof huge_version), -1);
    assert_int_equal(read_packed(negative, sizeof negative), -1);
    assert_int_equal(read_packed(many_topics, sizeof many_topics), -1);
    assert_int_equal(read_packed(whole, sizeof whole), 0);
    for (size_t n = 0; n < sizeof whole; n++)
        assert_int_equal(read_packed(whole, n), -1);
    /* small on the wire, 65 MiB unpacked */
    size_t bomb = 65u << 20;
    uint8_t *zeros = calloc(1, bomb);
    assert_int_equal(read_packed(zeros, bomb), -1);
    free(zeros);
}

static void static_topic_details_are_read_and_written(void **state)
{
    static const char text[] =
        "{\"bname\":\"b\",\"currIdMap\":{\"2\":0},\"dirty\":false,\"epoch\":7,\"hostedQueues\":{\"2\":[{\"bname\":"
        "\"b\","
        "\"endOffset\":-1,\"gen\":1,\"logicOffset\":100,\"queueId\":0,\"startOffset\":0,\"timeOfEnd\":-1,"
        "\"timeOfStart\":5}]},\"scope\":\"__global__\",\"topic\":\"T\",\"totalQueues\":4}";
    struct arena arena = {0};
    struct buf out = {0};
    struct jw w;
    struct topic_queue_mapping m;
    assert_true(topic_queue_mapping_read(&arena, parse(&arena, text), &m));
    assert_int_equal(m.hosted[0].global_id, 2);
    assert_int_equal(m.hosted[0].items[0].logic_offset, 100);
    jw_init(&w, &out);
    topic_queue_mapping_detail_write(&w, &m, true);
    text_is(&out, text);
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_versions_compare_by_state_then_counter_then_time),
        cmocka_unit_test(topic_config_is_read_and_written),
        cmocka_unit_test(missing_members_have_the_defaults_of_the_protocol),
        cmocka_unit_test(equality_of_topic_configs_does_not_depend_on_attribute_order),
        cmocka_unit_test(lines_hold_a_topic),
        cmocka_unit_test(registration_is_read_and_written),
        cmocka_unit_test(compressed_registration_survives),
        cmocka_unit_test(lies_about_lengths_are_refused),
        cmocka_unit_test(static_topic_details_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
