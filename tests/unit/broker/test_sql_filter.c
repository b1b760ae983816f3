/* Filters by SQL92 over sockets: heartbeats, pulls, what is refused, and config/consumerFilter.json. */
#include "base/javahash.h"
#include "broker/filter/consumer_filter.h"
#include "broker/filter/message_filter.h"
#include "os/fs.h"
#include "unit/broker/broker_fixture.h"
#include <stdlib.h>

static struct fixture f;
static struct client *c;

static int start(const char *const *settings)
{
    fixture_start(&f, settings);
    c = client_new(&f);
    make_topic(c, "T", "1");
    return 0;
}

static int setup(void **state)
{
    return start((const char *const[]){"enablePropertyFilter", "true", NULL});
}

static int setup_off(void **state)
{
    return start(NULL);
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void beat(const char *expression, const char *version)
{
    char body[1000];
    snprintf(body, sizeof body,
             "{\"clientID\":\"c1\",\"consumerDataSet\":[{\"groupName\":\"g\",\"consumeType\":\"CONSUME_PASSIVELY\","
             "\"messageModel\":\"CLUSTERING\",\"subscriptionDataSet\":[{\"topic\":\"T\",\"subString\":\"%s\","
             "\"expressionType\":\"SQL92\",\"subVersion\":%s}]}]}",
             expression, version);
    assert_int_equal(client_ask(c, REQ_HEART_BEAT, str_from(body), NULL), RESP_SUCCESS);
}

/* By the subscription of the heartbeat. */
static int32_t pull(const char *offset, const char *version)
{
    return ASK(c, REQ_PULL_MESSAGE, "consumerGroup", "g", "topic", "T", "queueId", "0", "queueOffset", offset,
               "maxMsgNums", "32", "sysFlag", "0", "commitOffset", "0", "suspendTimeoutMillis", "0", "subVersion",
               version);
}

/* By a subscription of its own. */
static int32_t pull_by(const char *type, const char *expression)
{
    return ASK(c, REQ_PULL_MESSAGE, "consumerGroup", "g", "topic", "T", "queueId", "0", "queueOffset", "0",
               "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subVersion", "0",
               "expressionType", type, "subscription", expression);
}

static size_t records(void)
{
    struct str body = c->answer.body;
    struct msg_view v;
    size_t n = 0;
    for (; body.len && msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK; n++)
        body = str_skip(body, v.size);
    return n;
}

static void send_numbers(int from, int to)
{
    for (int i = from; i < to; i++) {
        char properties[60];
        snprintf(properties, sizeof properties, "n\x01%d\x02TAGS\x01tag%d", i, i % 3);
        send_message(c, "T", "0", properties, "body");
    }
}

static void pulls_are_filtered(void **state)
{
    send_numbers(0, 10);
    beat("n > 6", "5");
    assert_int_equal(pull("0", "5"), RESP_SUCCESS);
    assert_int_equal(records(), 3);
    expect_field(c, "nextBeginOffset", "10");
    beat("n = 2 OR TAGS = 'tag0'", "6");
    assert_int_equal(pull("0", "6"), RESP_SUCCESS);
    assert_int_equal(records(), 5);
    beat("n > 100", "7");
    assert_int_equal(pull("0", "7"), RESP_PULL_RETRY_IMMEDIATELY);
    expect_field(c, "nextBeginOffset", "10");
    /* Texts are no numbers: no message matches, and nothing breaks. */
    assert_int_equal(pull_by("SQL92", "TAGS > 3"), RESP_PULL_RETRY_IMMEDIATELY);
    assert_int_equal(pull_by("SQL92", "n BETWEEN 2 AND 3"), RESP_SUCCESS);
    assert_int_equal(records(), 2);
}

static void what_is_refused(void **state)
{
    send_numbers(0, 3);
    assert_int_equal(pull_by("SQL92", "n >"), RESP_SUBSCRIPTION_PARSE_FAILED);
    assert_int_equal(pull_by("SQL92", ""), RESP_SUBSCRIPTION_PARSE_FAILED);
    assert_int_equal(pull_by("LUA", "n > 1"), RESP_SUBSCRIPTION_PARSE_FAILED);
    beat("n >", "1");
    assert_int_equal(pull("0", "1"), RESP_FILTER_DATA_NOT_EXIST);
    expect_remark(c, "Your expression may be wrong!");
    beat("n > 1", "2");
    assert_int_equal(pull("0", "2"), RESP_SUCCESS);
    assert_int_equal(pull("0", "3"), RESP_SUBSCRIPTION_NOT_LATEST);
    /* What is older changes nothing; what is newer and wrong takes the filter away. */
    beat("n > 0", "1");
    assert_int_equal(pull("0", "2"), RESP_SUCCESS);
    assert_int_equal(records(), 1);
    beat("n >", "4");
    assert_int_equal(pull("0", "4"), RESP_FILTER_DATA_NOT_EXIST);
}

#define CHECKED(expression)                                                                                            \
    "{\"clientId\":\"c\",\"group\":\"g\",\"subscriptionData\":{\"topic\":\"T\",\"subString\":\"" expression            \
    "\",\"expressionType\":\"SQL92\"}}"

static void expressions_are_checked(void **state)
{
    assert_int_equal(ASK_BODY(c, REQ_CHECK_CLIENT_CONFIG, CHECKED("n > 1"), "a", "b"), RESP_SUCCESS);
    assert_int_equal(ASK_BODY(c, REQ_CHECK_CLIENT_CONFIG, CHECKED("n > > 1"), "a", "b"),
                     RESP_SUBSCRIPTION_PARSE_FAILED);
    expect_remark(c, "Encountered \">\"");
    assert_int_equal(ASK_BODY(c, REQ_CHECK_CLIENT_CONFIG, CHECKED(""), "a", "b"), RESP_SUBSCRIPTION_PARSE_FAILED);
}

static void nothing_works_when_it_is_off(void **state)
{
    const char *remark = "The broker does not support consumer to filter message by SQL92";
    beat("n > 1", "1");
    assert_int_equal(pull("0", "1"), RESP_SYSTEM_ERROR);
    expect_remark(c, remark);
    assert_int_equal(pull_by("SQL92", "n > 1"), RESP_SYSTEM_ERROR);
    expect_remark(c, remark);
    assert_int_equal(ASK_BODY(c, REQ_CHECK_CLIENT_CONFIG, CHECKED("n > 1"), "a", "b"), RESP_SYSTEM_ERROR);
    expect_remark(c, remark);
}

/* All on one connection, whose requests are taken in order: an early answer would be passed over, and none come later.
 */
static void a_waiting_pull_sleeps_through_what_it_does_not_want(void **state)
{
    send_numbers(0, 1);
    beat("n = 77", "1");
    client_send(c, REQ_PULL_MESSAGE, STR_NULL,
                (const char *const[]){"consumerGroup", "g", "topic", "T", "queueId", "0", "queueOffset", "1",
                                      "maxMsgNums", "32", "sysFlag", "2", "commitOffset", "0", "suspendTimeoutMillis",
                                      "600000", "subVersion", "1", NULL});
    int32_t waiting = c->opaque;
    send_numbers(70, 77);
    client_send(c, REQ_SEND_MESSAGE_V2, STR_LIT("body"),
                (const char *const[]){"a",
                                      "PG",
                                      "b",
                                      "T",
                                      "c",
                                      "TBW102",
                                      "d",
                                      "4",
                                      "e",
                                      "0",
                                      "f",
                                      "0",
                                      "g",
                                      "1700000000000",
                                      "h",
                                      "0",
                                      "i",
                                      "n\x01"
                                      "77",
                                      "j",
                                      "0",
                                      "k",
                                      "false",
                                      "m",
                                      "false",
                                      NULL});
    c->opaque = waiting;
    assert_int_equal(client_answer(c), RESP_SUCCESS);
    assert_int_equal(records(), 1);
    expect_field(c, "nextBeginOffset", "9");
}

/* ---- bits of entries ---- */

static int setup_bits(void **state)
{
    return start((const char *const[]){"enablePropertyFilter", "true", "enableCalcFilterBitMap", "true", NULL});
}

/* Of the group's filter, by the entry alone. */
static enum filter_verdict verdict(int64_t offset)
{
    struct message_filter filter = {.data = consumer_filters_find(f.b->filters, STR_LIT("T"), STR_LIT("g"))};
    struct store_entry e;
    struct cq *q = store_queue(f.b->store, STR_LIT("T"), 0, false);
    assert_non_null(filter.data);
    assert_int_equal(store_entries(f.b->store, q, offset, &e, 1), 1);
    filter.subscription = subscription_parse(STR_LIT("T"), filter.data->expression, STR_LIT("SQL92"), 0);
    enum filter_verdict v = message_filter_wants(&filter, &e, NULL);
    message_filter_done(&filter);
    return v;
}

static void entries_tell_what_need_not_be_read(void **state)
{
    send_numbers(0, 10); /* before there is a filter: nothing is told */
    beat("n > 6", "5");
    send_numbers(0, 10);
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(verdict(i), i < 10 || i % 10 > 6 ? FILTER_NEED_RECORD : FILTER_NO);
    assert_int_equal(pull("0", "5"), RESP_SUCCESS);
    assert_int_equal(records(), 6);
    /* Another expression: what is told of the old one holds neither for the new one nor any more for the old one. */
    struct consumer_filter *old = consumer_filters_find(f.b->filters, STR_LIT("T"), STR_LIT("g"));
    beat("n < 3", "6");
    send_numbers(0, 10);
    for (int64_t i = 0; i < 30; i++)
        assert_int_equal(verdict(i), i < 20 || i % 10 < 3 ? FILTER_NEED_RECORD : FILTER_NO);
    struct store_entry e;
    assert_int_equal(store_entries(f.b->store, store_queue(f.b->store, STR_LIT("T"), 0, false), 29, &e, 1), 1);
    assert_true(e.filter_bits != 0);
    assert_false(consumer_filter_rules_out(old, &e));
    consumer_filter_release(old);
    assert_int_equal(pull("0", "6"), RESP_SUCCESS);
    assert_int_equal(records(), 9);
    /* A pull that brings the same expression, and one that brings another. */
    assert_int_equal(pull_by("SQL92", "n < 3"), RESP_SUCCESS);
    assert_int_equal(records(), 9);
    assert_int_equal(pull_by("SQL92", "n > 7"), RESP_SUCCESS);
    assert_int_equal(records(), 6);
    assert_int_equal(pull_by("TAG", "tag1"), RESP_SUCCESS);
    assert_int_equal(records(), 9);
}

/* The group is gone and comes back; meanwhile its filter may be forgotten. */
static void bits_of_a_filter_that_was_gone(void **state)
{
    struct err err;
    beat("n > 6", "5");
    send_numbers(0, 10);
    consumer_filters_unregister(f.b->filters, STR_LIT("g"));
    send_numbers(0, 10); /* still told by it */
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(verdict(i), i % 10 > 6 ? FILTER_NEED_RECORD : FILTER_NO);
    assert_int_equal(consumer_filters_persist(f.b->filters, 0, &err), 0);
    send_numbers(0, 10); /* there is no filter */
    beat("n > 6", "5");
    send_numbers(0, 10);
    for (int64_t i = 0; i < 40; i++)
        assert_int_equal(verdict(i), i < 30 || i % 10 > 6 ? FILTER_NEED_RECORD : FILTER_NO);
}

/* Groups whose bits are the same seem to want each other's messages; more groups than bits can tell apart, and more
 * than a message is told by. */
static void many_filters_of_a_topic(void **state)
{
    char group[20];
    struct err err;
    for (int n = 1; n <= 65; n++) {
        char sub[120];
        struct arena a = {0};
        snprintf(group, sizeof group, "group%d", n);
        snprintf(sub, sizeof sub, "[{topic:'T',subString:'n = %d',expressionType:'SQL92',subVersion:3}]", n);
        const struct json *subs = json_parse(&a, str_from(sub), NULL);
        consumer_filters_register(f.b->filters, str_from(group), subs);
        arena_free(&a);
        if (n >= 64)
            send_numbers(0, 80);
    }
    struct store_entry e[160];
    struct cq *q = store_queue(f.b->store, STR_LIT("T"), 0, false);
    assert_int_equal(store_entries(f.b->store, q, 0, e, 160), 160);
    int ruled_out = 0;
    for (int n = 1; n <= 65; n++) {
        snprintf(group, sizeof group, "group%d", n);
        struct consumer_filter *filter = consumer_filters_find(f.b->filters, STR_LIT("T"), str_from(group));
        assert_false(consumer_filter_rules_out(filter, &e[n]));
        for (int i = 0; i < 160; i++)
            ruled_out += consumer_filter_rules_out(filter, &e[i]);
        consumer_filter_release(filter);
    }
    /* Of 64 * 79 that are not wanted, told by 64 filters; with 65 nothing is told. */
    assert_in_range(ruled_out, 64 * 79 * 8 / 10, 64 * 79);
    for (int i = 80; i < 160; i++)
        assert_int_equal(e[i].filter_bits, 0);
    /* They are dropped in another order than they came. */
    for (int n = 65; n >= 1; n -= n > 40 ? 2 : 1) {
        snprintf(group, sizeof group, "group%d", n);
        consumer_filters_unregister(f.b->filters, str_from(group));
        assert_int_equal(consumer_filters_persist(f.b->filters, 0, &err), 0);
        struct consumer_filter *filter = consumer_filters_find(f.b->filters, STR_LIT("T"), str_from(group));
        assert_null(filter);
    }
    send_numbers(42, 43);
    assert_int_equal(store_entries(f.b->store, q, 160, e, 1), 1);
    struct consumer_filter *left = consumer_filters_find(f.b->filters, STR_LIT("T"), STR_LIT("group42"));
    assert_int_equal(e->filter_bits, STORE_FILTER_KNOWN | left->bits);
    consumer_filter_release(left);
}

static void nothing_is_told_when_that_is_off(void **state)
{
    struct store_entry e;
    beat("n > 6", "5");
    send_numbers(0, 1);
    assert_int_equal(store_entries(f.b->store, store_queue(f.b->store, STR_LIT("T"), 0, false), 0, &e, 1), 1);
    assert_int_equal(e.filter_bits, 0);
    assert_int_equal(verdict(0), FILTER_NEED_RECORD);
}

/* ---- the file ---- */

static struct consumer_filters *table;

static void register_sub(const char *group, const char *sub)
{
    struct arena a = {0};
    const struct json *subs = json_parse(&a, str_from(sub), NULL);
    assert_non_null(subs);
    consumer_filters_register(table, str_from(group), subs);
    arena_free(&a);
}

static void reopen(struct bloom bloom)
{
    struct err err;
    if (table && consumer_filters_persist(table, 86400000, &err) < 0)
        fail_msg("%s", err.text);
    consumer_filters_free(table);
    table = consumer_filters_new(f.dir.path, bloom);
    assert_non_null(table);
    if (consumer_filters_load(table, &err) < 0)
        fail_msg("%s", err.text);
}

static bool expression_is(const char *topic, const char *group, const char *wanted)
{
    struct consumer_filter *found = consumer_filters_find(table, str_from(topic), str_from(group));
    bool same = wanted ? found && found->sql && str_eqz(found->expression, wanted) : found == NULL;
    consumer_filter_release(found);
    return same;
}

static int open_table(void **state)
{
    tmpdir_make(&f.dir);
    log_set_level(LOG_ERROR);
    reopen(bloom_make(20, 32));
    return 0;
}

static int close_table(void **state)
{
    consumer_filters_free(table);
    table = NULL;
    tmpdir_remove(&f.dir);
    return 0;
}

static void filters_survive(void **state)
{
    register_sub("g", "[{topic:'T',subString:'a > 1',expressionType:'SQL92',subVersion:3},"
                      "{topic:'T2',subString:\"b = 'x'\",expressionType:'SQL92',subVersion:4},"
                      "{topic:'T3',subString:'tag1',expressionType:'TAG',subVersion:4}]");
    register_sub("h", "[{topic:'T',subString:'c IS NULL',expressionType:'SQL92',subVersion:5}]");
    reopen(bloom_make(20, 32));
    assert_true(expression_is("T", "g", "a > 1"));
    assert_true(expression_is("T2", "g", "b = 'x'"));
    assert_true(expression_is("T", "h", "c IS NULL"));
    assert_true(expression_is("T3", "g", NULL));
    struct consumer_filter *found = consumer_filters_find(table, STR_LIT("T"), STR_LIT("g"));
    assert_int_equal(atomic_load(&found->client_version), 3);
    assert_true(atomic_load(&found->dead_time) >= found->born_time);
    assert_int_equal(found->bloom.bits, 112);
    /* The same client again: alive, and still the same filter. */
    register_sub("g", "[{topic:'T',subString:'a > 1',expressionType:'SQL92',subVersion:3}]");
    assert_int_equal(atomic_load(&found->dead_time), 0);
    consumer_filter_release(found);
    /* Positions of another bloom filter are worth nothing. */
    reopen(bloom_make(10, 32));
    assert_true(expression_is("T", "g", NULL));
}

static void java_writes_it_so(void **state)
{
    static const char text[] =
        "{\n\t\"filterDataByTopic\":{\n\t\t\"T\":{\n\t\t\t\"groupFilterData\":{\n\t\t\t\t\"g\":{\n\t\t\t\t\t"
        "\"bloomFilterData\":{\n\t\t\t\t\t\t\"bitNum\":112,\n\t\t\t\t\t\t\"bitPos\":[32,79,14]\n\t\t\t\t\t},"
        "\n\t\t\t\t\t"
        "\"bornTime\":1700000000000,\n\t\t\t\t\t\"clientVersion\":1700000000001,\n\t\t\t\t\t\"consumerGroup\":\"g\","
        "\n\t\t\t\t\t\"dead\":true,\n\t\t\t\t\t\"deadTime\":4102444800000,\n\t\t\t\t\t\"expression\":\"a > "
        "1\",\n\t\t\t\t\t"
        "\"expressionType\":\"SQL92\",\n\t\t\t\t\t\"topic\":\"T\"\n\t\t\t\t}\n\t\t\t},\n\t\t\t\"topic\":\"T\"\n\t\t}"
        "\n\t}\n}";
    char path[300], *saved;
    size_t len;
    struct err err;
    snprintf(path, sizeof path, "%s/consumerFilter.json", f.dir.path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, sizeof text - 1, file), sizeof text - 1);
    fclose(file);
    reopen(bloom_make(20, 32));
    assert_true(expression_is("T", "g", "a > 1"));
    /* Something changes and changes back: the whole file is written anew. */
    register_sub("h", "[{topic:'U',subString:'a > 1',expressionType:'SQL92',subVersion:1}]");
    register_sub("h", "[{topic:'U',subString:'a >',expressionType:'SQL92',subVersion:2}]");
    assert_int_equal(consumer_filters_persist(table, INT64_MAX, &err), 0);
    assert_int_equal(fs_load(fs_real(), path, 1 << 20, &saved, &len), 0);
    assert_int_equal(len, sizeof text - 1);
    assert_memory_equal(saved, text, len);
    free(saved);
}

static void the_long_dead_are_removed(void **state)
{
    struct err err;
    register_sub("g", "[{topic:'T',subString:'a > 1',expressionType:'SQL92',subVersion:3}]");
    assert_int_equal(consumer_filters_persist(table, 0, &err), 0);
    assert_true(expression_is("T", "g", "a > 1"));
    consumer_filters_unregister(table, STR_LIT("g"));
    assert_int_equal(consumer_filters_persist(table, 60000, &err), 0);
    assert_true(expression_is("T", "g", "a > 1"));
    assert_int_equal(consumer_filters_persist(table, 0, &err), 0);
    assert_true(expression_is("T", "g", NULL));
}

/* ---- one message ---- */

static enum filter_verdict wants(const struct message_filter *filter, int64_t tags_code, const struct msg_view *record)
{
    return message_filter_wants(filter, &(struct store_entry){.tags_code = tags_code, .messages = 1}, record);
}

static void codes_in_the_extension_are_looked_up(void **state)
{
    struct message_filter by_tag = {.subscription =
                                        subscription_parse(STR_LIT("T"), STR_LIT("tag1"), STR_LIT("TAG"), 0)};
    struct msg_view record = {.m.properties = STR_LIT("TAGS\x01tag1\x02"), .size = 1};
    assert_int_equal(wants(&by_tag, java_hash(STR_LIT("tag1")), NULL), FILTER_YES);
    assert_int_equal(wants(&by_tag, java_hash(STR_LIT("tag2")), NULL), FILTER_NO);
    assert_int_equal(wants(&by_tag, INT64_MIN + 40, NULL), FILTER_NEED_RECORD);
    assert_int_equal(wants(&by_tag, INT64_MIN + 40, &record), FILTER_YES);
    record.m.properties = STR_LIT("TAGS\x01tag2\x02");
    assert_int_equal(wants(&by_tag, INT64_MIN + 40, &record), FILTER_NO);
    message_filter_done(&by_tag);
}

static int setup_retry(void **state)
{
    return start((const char *const[]){"enablePropertyFilter", "true", "filterSupportRetry", "true", NULL});
}

static void what_comes_back_is_filtered_as_its_topic(void **state)
{
    struct message_filter retry;
    struct err err;
    struct msg_view record = {.size = 1};
    beat("n > 6", "5");
    assert_int_equal(message_filter_parse(&retry, f.b, STR_LIT("%RETRY%g"), STR_LIT("g"), STR_LIT("n = 0"),
                                          STR_LIT("SQL92"), 0, &err),
                     0);
    record.m.properties = STR_LIT("n\x01"
                                  "7\x02RETRY_TOPIC\x01T\x02");
    assert_int_equal(wants(&retry, 0, NULL), FILTER_NEED_RECORD);
    assert_int_equal(wants(&retry, 0, &record), FILTER_YES);
    record.m.properties = STR_LIT("n\x01"
                                  "5\x02RETRY_TOPIC\x01T\x02");
    assert_int_equal(wants(&retry, 0, &record), FILTER_NO);
    /* A topic for which the group has no filter. */
    record.m.properties = STR_LIT("n\x01"
                                  "5\x02RETRY_TOPIC\x01U\x02");
    assert_int_equal(wants(&retry, 0, &record), FILTER_YES);
    message_filter_done(&retry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pulls_are_filtered, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(expressions_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_works_when_it_is_off, setup_off, teardown),
        cmocka_unit_test_setup_teardown(a_waiting_pull_sleeps_through_what_it_does_not_want, setup, teardown),
        cmocka_unit_test_setup_teardown(a_waiting_pull_sleeps_through_what_it_does_not_want, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(pulls_are_filtered, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(entries_tell_what_need_not_be_read, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(bits_of_a_filter_that_was_gone, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(many_filters_of_a_topic, setup_bits, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_told_when_that_is_off, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_survive, open_table, close_table),
        cmocka_unit_test_setup_teardown(java_writes_it_so, open_table, close_table),
        cmocka_unit_test_setup_teardown(the_long_dead_are_removed, open_table, close_table),
        cmocka_unit_test(codes_in_the_extension_are_looked_up),
        cmocka_unit_test_setup_teardown(what_comes_back_is_filtered_as_its_topic, setup_retry, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
