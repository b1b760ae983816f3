/* A filter server before a broker, over sockets: code is uploaded, pulls go through it, mistakes are answered. */
#include "base/crc.h"
#include "broker/filter/filter_servers.h"
#include "filtersrv/filtersrv.h"
#include "unit/broker/broker_fixture.h"
#include "unit/patience.h"

struct setting {
    struct fixture f;
    struct filtersrv *server;
    struct client *broker, *filter; /* connections */
};

static void setting_start(struct setting *s)
{
    struct err err = {0};
    char broker[64];
    fixture_start(&s->f, NULL);
    snprintf(broker, sizeof broker, "127.0.0.1:%u", broker_port(s->f.b));
    const struct filtersrv_options o = {
        .listen_host = STR_LIT("127.0.0.1"),
        .advertised = "127.0.0.1",
        .broker = broker,
        .limits = {.steps = 100000, .memory = 1 << 20},
        .source_max = 10000,
    };
    s->server = filtersrv_create(&o, &err);
    if (s->server == NULL || filtersrv_start(s->server, &err) < 0)
        fail_msg("%s", err.text);
    s->broker = client_new(&s->f);
    const char *port = strrchr(filtersrv_address(s->server), ':') + 1;
    s->filter = client_new_to((uint16_t)atoi(port));
    make_topic(s->broker, "orders", "1");
    make_group(s->broker, "GID");
    assert_int_equal(
        client_ask(
            s->broker, REQ_HEART_BEAT,
            STR_LIT("{\"clientID\":\"c1\",\"consumerDataSet\":[{\"consumeFromWhere\":\"CONSUME_FROM_FIRST_OFFSET\","
                    "\"consumeType\":\"CONSUME_PASSIVELY\",\"groupName\":\"GID\",\"messageModel\":\"CLUSTERING\","
                    "\"subscriptionDataSet\":[{\"classFilterMode\":true,\"codeSet\":[],\"expressionType\":\"TAG\","
                    "\"subString\":\"Orders.lua\",\"subVersion\":7,\"tagsSet\":[],\"topic\":\"orders\"}]}],"
                    "\"producerDataSet\":[]}"),
            NULL),
        RESP_SUCCESS);
}

static void setting_stop(struct setting *s)
{
    client_free(s->filter);
    filtersrv_stop(s->server);
    client_free(s->broker);
    fixture_stop(&s->f);
    filtersrv_free(s->server);
}

static int32_t upload_crc(struct setting *s, const char *source, int32_t crc)
{
    char text[20];
    snprintf(text, sizeof text, "%d", crc);
    return ASK_BODY(s->filter, REQ_REGISTER_MESSAGE_FILTER_CLASS, source, "consumerGroup", "GID", "topic", "orders",
                    "className", "Orders.lua", "classCRC", text);
}

static int32_t upload(struct setting *s, const char *source)
{
    return upload_crc(s, source, (int32_t)crc32_message(source, strlen(source)));
}

/* 15 = commit, suspend (wait_ms > 0) and class filter. */
static void pull_send(struct setting *s, int64_t offset, int wait_ms)
{
    char at[24], wait[24];
    snprintf(at, sizeof at, "%lld", (long long)offset);
    snprintf(wait, sizeof wait, "%d", wait_ms);
    client_send(s->filter, REQ_PULL_MESSAGE, STR_NULL,
                (const char *const[]){"consumerGroup", "GID", "topic", "orders", "queueId", "0", "queueOffset", at,
                                      "maxMsgNums", "32", "sysFlag", wait_ms ? "10" : "8", "commitOffset", "0",
                                      "suspendTimeoutMillis", wait, "subVersion", "7", NULL});
}

static int32_t pull(struct setting *s, int64_t offset)
{
    pull_send(s, offset, 0);
    return client_answer(s->filter);
}

/* The bodies of the answer, one behind the other. */
static void expect_bodies(struct client *c, const char *expected)
{
    struct buf all = {0};
    struct msg_view v;
    for (struct str rest = c->answer.body; rest.len; rest = str_skip(rest, v.size)) {
        assert_int_equal(msg_decode((const uint8_t *)rest.ptr, rest.len, &v), MSG_OK);
        assert_true(msg_crc_ok(&v));
        buf_add_str(&all, v.m.body);
        buf_add_lit(&all, " ");
    }
    if (!str_eqz(buf_str(&all), expected))
        fail_msg("got %.*s, not %s", STR_ARG(buf_str(&all)), expected);
    buf_free(&all);
}

static void send_ten(struct setting *s)
{
    for (int i = 0; i < 10; i++) {
        char body[20], properties[40];
        snprintf(body, sizeof body, "m%d", i);
        snprintf(properties, sizeof properties, "number\x01%d\x02", i);
        assert_int_equal(send_message(s->broker, "orders", "0", properties, body), i);
    }
}

static void pulls_are_filtered(void **state)
{
    struct setting s;
    setting_start(&s);
    send_ten(&s);
    assert_int_equal(pull(&s, 0), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "Find Filter class failed, not registered");
    assert_int_equal(
        upload(&s, "return function(m, c) return m.properties.number % 3 == 0 and c.consumerGroup == 'GID' end"),
        RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SUCCESS);
    expect_bodies(s.filter, "m0 m3 m6 m9 ");
    expect_field(s.filter, "nextBeginOffset", "10");
    expect_field(s.filter, "minOffset", "0");
    expect_field(s.filter, "maxOffset", "10");
    assert_int_equal(pull(&s, 4), RESP_SUCCESS);
    expect_bodies(s.filter, "m6 m9 ");
    assert_int_equal(pull(&s, 10), RESP_PULL_NOT_FOUND);
    assert_int_equal(pull(&s, 99), RESP_PULL_OFFSET_MOVED);
    expect_field(s.filter, "nextBeginOffset", "10");
    /* Other code takes the place of the old one; the same again changes nothing. */
    assert_int_equal(upload(&s, "n = 0 return function(m) n = n + 1 return n == 1 end"), RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SUCCESS);
    expect_bodies(s.filter, "m0 ");
    assert_int_equal(upload(&s, "n = 0 return function(m) n = n + 1 return n == 1 end"), RESP_SUCCESS);
    /* What is refused to the end: the client may go on behind it. */
    assert_int_equal(pull(&s, 0), RESP_PULL_RETRY_IMMEDIATELY);
    expect_field(s.filter, "nextBeginOffset", "10");
    setting_stop(&s);
}

static void a_pull_waits_for_what_it_wants(void **state)
{
    struct setting s;
    setting_start(&s);
    assert_int_equal(upload(&s, "return function(m) return m.body == 'wanted' end"), RESP_SUCCESS);
    pull_send(&s, 0, 20000);
    send_message(s.broker, "orders", "0", "", "other");
    send_message(s.broker, "orders", "0", "", "other");
    send_message(s.broker, "orders", "0", "", "wanted");
    assert_int_equal(client_answer(s.filter), RESP_SUCCESS);
    expect_bodies(s.filter, "wanted ");
    expect_field(s.filter, "nextBeginOffset", "3");
    /* The time is up: behind what was refused. */
    pull_send(&s, 3, 300);
    send_message(s.broker, "orders", "0", "", "other");
    assert_int_equal(client_answer(s.filter), RESP_PULL_RETRY_IMMEDIATELY);
    expect_field(s.filter, "nextBeginOffset", "4");
    setting_stop(&s);
}

static void an_error_holds_its_message(void **state)
{
    struct setting s;
    setting_start(&s);
    send_ten(&s);
    assert_int_equal(
        upload(&s, "return function(m) if m.body == 'm4' then error('cannot read m4') end return m.body > 'm1' end"),
        RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SUCCESS);
    expect_bodies(s.filter, "m2 m3 ");
    expect_field(s.filter, "nextBeginOffset", "4");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pull(&s, 4), RESP_SYSTEM_ERROR);
        expect_remark(s.filter,
                      "do Message Filter Exception, ConsumerGroup: GID Topic: orders QueueId: 0 QueueOffset: 4, "
                      "Orders.lua:1: cannot read m4");
    }
    assert_int_equal(ASK_PLAIN(s.filter, REQ_GET_BROKER_RUNTIME_INFO), RESP_SUCCESS);
    struct str numbers = json_str(json_get(s.filter->json, "table"), "filter_orders@GID");
    if (str_find(numbers, STR_LIT("messages=7 matched=2 errors=3")) < 0 ||
        str_find(numbers, STR_LIT("cannot read m4")) < 0)
        fail_msg("%.*s", STR_ARG(numbers));
    /* Where only refused ones come before it, it is the next pull that is told. */
    assert_int_equal(upload(&s, "return function(m) if m.body == 'm4' then m.body.x.y = 1 end return false end"),
                     RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_PULL_RETRY_IMMEDIATELY);
    expect_field(s.filter, "nextBeginOffset", "4");
    assert_int_equal(pull(&s, 4), RESP_SYSTEM_ERROR);
    /* Better code goes on from there. */
    assert_int_equal(upload(&s, "return function(m) return true end"), RESP_SUCCESS);
    assert_int_equal(pull(&s, 4), RESP_SUCCESS);
    expect_bodies(s.filter, "m4 m5 m6 m7 m8 m9 ");
    setting_stop(&s);
}

static void code_that_is_no_filter_is_refused(void **state)
{
    struct setting s;
    setting_start(&s);
    char huge[10100];
    send_ten(&s);
    memset(huge, ' ', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(upload(&s, "return function(m) return tru"), RESP_SYSTEM_ERROR);
    expect_remark(s.filter,
                  "registerFilterClass error, consumerGroup: GID topic: orders className: Orders.lua, Orders.lua:1:");
    assert_int_equal(pull(&s, 0), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "Find Filter class failed, registered but no class: Orders.lua:1:");
    assert_int_equal(upload(&s, huge), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "filterServerMaxSource");
    assert_int_equal(upload_crc(&s, "return function(m) return true end", 12345), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "classCRC is 12345");
    assert_int_equal(upload(&s, ""), RESP_SYSTEM_ERROR);
    assert_int_equal(upload(&s, "while true do end"), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "more than 100000 steps");
    assert_int_equal(ASK_BODY(s.filter, REQ_REGISTER_MESSAGE_FILTER_CLASS, "return function() return true end",
                              "consumerGroup", "", "topic", "orders", "className", "x", "classCRC", "0"),
                     RESP_SYSTEM_ERROR);
    assert_int_equal(ASK_BODY(s.filter, REQ_REGISTER_MESSAGE_FILTER_CLASS, "x", "topic", "orders"), RESP_SYSTEM_ERROR);
    /* For ever, and all memory: told at once, and others are served. */
    assert_int_equal(upload(&s, "return function(m) while true do end end"), RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "more than 100000 steps");
    assert_int_equal(upload(&s, "return function(m) local t = {} for i = 1, 1e9 do t[i] = {} end end"), RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SYSTEM_ERROR);
    expect_remark(s.filter, "more than 1048576 bytes");
    /* A refused source leaves the one before it at work; a CRC of 0 asks for nothing new. */
    assert_int_equal(upload(&s, "return function(m) return m.body == 'm7' end"), RESP_SUCCESS);
    assert_int_equal(upload(&s, "return"), RESP_SYSTEM_ERROR);
    assert_int_equal(upload_crc(&s, "return", 0), RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_SUCCESS);
    expect_bodies(s.filter, "m7 ");
    setting_stop(&s);
}

/* Much work for each message: answers come piece by piece, and nothing is passed over. */
static void long_work_is_done_in_pieces(void **state)
{
    struct setting s;
    setting_start(&s);
    send_ten(&s);
    assert_int_equal(upload(&s, "return function(m) for i = 1, 60000 do end return true end"), RESP_SUCCESS);
    int64_t offset = 0;
    int answers = 0, messages = 0;
    while (offset < 10) {
        struct msg_view v;
        assert_int_equal(pull(&s, offset), RESP_SUCCESS);
        for (struct str rest = s.filter->answer.body; rest.len; rest = str_skip(rest, v.size), messages++)
            assert_int_equal(msg_decode((const uint8_t *)rest.ptr, rest.len, &v), MSG_OK);
        assert_true(str_to_i64(rem_ext(&s.filter->answer, "nextBeginOffset"), &offset));
        answers++;
    }
    assert_int_equal(messages, 10);
    assert_true(answers >= 2 && answers <= 5);
    setting_stop(&s);
}

static void the_brokers_rules_hold(void **state)
{
    struct setting s;
    setting_start(&s);
    send_ten(&s);
    assert_int_equal(upload(&s, "return function(m) return true end"), RESP_SUCCESS);
    assert_int_equal(client_ask(s.broker, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
                                STR_LIT("{\"groupName\":\"GID\",\"consumeEnable\":false}"), NULL),
                     RESP_SUCCESS);
    assert_int_equal(pull(&s, 0), RESP_NO_PERMISSION);
    expect_remark(s.filter, "subscription group no permission, GID");
    expect_field(s.filter, "forbiddenType", "2");
    make_group(s.broker, "GID");
    assert_int_equal(pull(&s, 0), RESP_SUCCESS);
    assert_int_equal(ASK(s.filter, REQ_SEND_MESSAGE_V2, "a", "x"), RESP_REQUEST_CODE_NOT_SUPPORTED);
    setting_stop(&s);
}

static void the_broker_knows_its_filter_servers(void **state)
{
    struct setting s;
    char names[FILTER_SERVERS_MAX][FILTER_SERVER_NAME];
    setting_start(&s);
    AWAIT(filter_servers_list(s.f.b->filter_servers, names) > 0);
    assert_int_equal(filter_servers_list(s.f.b->filter_servers, names), 1);
    assert_string_equal(names[0], filtersrv_address(s.server));
    /* One of another kind, over a connection of its own. */
    struct client *other = client_new(&s.f);
    assert_int_equal(ASK(other, REQ_REGISTER_FILTER_SERVER, "filterServerAddr", "127.0.0.1:9"), RESP_SUCCESS);
    expect_field(other, "brokerName", "broker-a");
    expect_field(other, "brokerId", "0");
    assert_int_equal(ASK(other, REQ_REGISTER_FILTER_SERVER, "filterServerAddr", "127.0.0.1:9"), RESP_SUCCESS);
    assert_int_equal(filter_servers_list(s.f.b->filter_servers, names), 2);
    static const char *const none[] = {"",      "nohost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999",
                                       "a.b:1", "\"},{:1"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(ASK(s.broker, REQ_REGISTER_FILTER_SERVER, "filterServerAddr", none[i]), RESP_SYSTEM_ERROR);
    }
    assert_int_equal(ASK_PLAIN(s.broker, REQ_REGISTER_FILTER_SERVER), RESP_SYSTEM_ERROR);
    client_free(other);
    AWAIT(filter_servers_list(s.f.b->filter_servers, names) == 1);
    assert_int_equal(filter_servers_list(s.f.b->filter_servers, names), 1);
    assert_true(filter_servers_expire(s.f.b->filter_servers, INT64_MAX));
    assert_int_equal(filter_servers_list(s.f.b->filter_servers, names), 0);
    setting_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulls_are_filtered),
        cmocka_unit_test(a_pull_waits_for_what_it_wants),
        cmocka_unit_test(an_error_holds_its_message),
        cmocka_unit_test(code_that_is_no_filter_is_refused),
        cmocka_unit_test(long_work_is_done_in_pieces),
        cmocka_unit_test(the_brokers_rules_hold),
        cmocka_unit_test(the_broker_knows_its_filter_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
