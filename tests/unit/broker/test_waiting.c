/* A broker whose consume queues are lost: what it serves while they are rebuilt, and what has to wait. */
#include "unit/broker/broker_fixture.h"

#include "os/clock.h"
#include "os/fs.h"
#include "unit/patience.h"

enum { MESSAGES = 60, BODY = 1000 };

static struct fixture f;
static struct client *c;

static void send_body(int n)
{
    char body[BODY + 1];
    memset(body, 'a' + n % 26, BODY);
    body[BODY] = '\0';
    assert_int_equal(send_message(c, "T", "0", "", body), n);
}

/* A broker that goes no further than the first piece of the log until it is told to. */
static int setup(void **state)
{
    char path[400];
    fixture_start(&f, (const char *const[]){"messageDelayLevel", "1s 1h", "rebuildInBackgroundFrom", "1",
                                            "rebuildMaxBytesPerSecond", "1", NULL});
    c = client_new(&f);
    make_topic(c, "T", "1");
    make_topic(c, "Delayed", "1");
    make_group(c, "G");
    for (int n = 0; n < MESSAGES; n++)
        send_body(n);
    send_message(c, "Delayed", "0", "DELAY\0011\2", "late");
    client_free(c);
    fixture_end(&f);
    snprintf(path, sizeof path, "%s/consumequeue", f.dir.path);
    assert_int_equal(fs_remove_tree(fs_real(), path), 0);
    fixture_run(&f);
    c = client_new(&f);
    struct cq *q = topic_queue(f.b->topics, topic_find(f.b->topics, STR_LIT("T")), 0);
    AWAIT(cq_max(q) > 0);
    assert_true(cq_max(q) > 0 && cq_max(q) < MESSAGES);
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void send_pull(struct client *to, const char *offset, bool waits)
{
    client_send(to, REQ_PULL_MESSAGE, STR_NULL,
                (const char *const[]){"consumerGroup",
                                      "G",
                                      "topic",
                                      "T",
                                      "queueId",
                                      "0",
                                      "queueOffset",
                                      offset,
                                      "maxMsgNums",
                                      "32",
                                      "sysFlag",
                                      waits ? "6" : "4",
                                      "commitOffset",
                                      "0",
                                      "suspendTimeoutMillis",
                                      "20000",
                                      "subVersion",
                                      "0",
                                      "subscription",
                                      "*",
                                      NULL});
}

static int32_t pull(const char *offset)
{
    send_pull(c, offset, false);
    return client_answer(c);
}

static int32_t send_one(void)
{
    return ASK_BODY(c, REQ_SEND_MESSAGE_V2, "new", "a", "PG", "b", "T", "c", "TBW102", "d", "4", "e", "0", "f", "0",
                    "g", "1700000000000", "h", "0", "i", "", "j", "0", "k", "false", "m", "false");
}

static void let_it_go_on(void)
{
    assert_int_equal(ASK_BODY(c, REQ_UPDATE_BROKER_CONFIG, "rebuildMaxBytesPerSecond=0\n", NULL), RESP_SUCCESS);
}

static void await_end(void)
{
    AWAIT(!atomic_load(&f.b->waits));
    assert_false(atomic_load(&f.b->waits));
}

static void old_messages_are_served(void **state)
{
    assert_int_equal(pull("0"), RESP_SUCCESS);
    expect_field(c, "minOffset", "0");
    assert_true(c->answer.body.len > BODY);
    assert_int_equal(
        ASK(c, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "0", "commitOffset", "50"),
        RESP_SUCCESS);
    assert_int_equal(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "G", "topic", "T", "queueId", "0"),
                     RESP_SUCCESS);
    expect_field(c, "offset", "50");
}

/* No pull is told another offset. */
static void what_is_not_there_yet_is_waited_for(void **state)
{
    static const char *const offsets[] = {"59", "60", "1000"};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        assert_int_equal(pull(offsets[i]), RESP_PULL_NOT_FOUND);
        expect_field(c, "nextBeginOffset", offsets[i]);
    }
    struct client *waiting = client_new(&f);
    send_pull(waiting, "59", true);
    usleep(50000);
    let_it_go_on();
    assert_int_equal(client_answer(waiting), RESP_SUCCESS);
    expect_field(waiting, "nextBeginOffset", "60");
    client_free(waiting);
    await_end();
    assert_int_equal(pull("60"), RESP_PULL_NOT_FOUND);
    assert_int_equal(pull("1000"), RESP_PULL_OFFSET_MOVED);
}

static void expect_refused(int32_t code)
{
    assert_int_equal(code, RESP_SERVICE_NOT_AVAILABLE);
    expect_remark(c, "the consume queues are being rebuilt from the commit log (");
    expect_remark(c, " %");
}

static void what_needs_whole_queues_is_refused(void **state)
{
    expect_refused(send_one());
    expect_refused(ASK(c, REQ_GET_MAX_OFFSET, "topic", "T", "queueId", "0"));
    expect_refused(ASK(c, REQ_GET_MIN_OFFSET, "topic", "T", "queueId", "0"));
    expect_refused(ASK(c, REQ_SEARCH_OFFSET_BY_TIMESTAMP, "topic", "T", "queueId", "0", "timestamp", "0"));
    expect_refused(ASK(c, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", "new", "topic", "T", "queueId", "0"));
    expect_refused(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "T"));
    expect_refused(ASK(c, REQ_GET_TOPIC_STATS_INFO, "topic", "T"));
    expect_refused(ASK(c, REQ_POP_MESSAGE, "consumerGroup", "G", "topic", "T", "queueId", "-1", "maxMsgNums", "1",
                       "invisibleTime", "60000", "pollTime", "0", "bornTime", "0", "initMode", "0", "exp", "*",
                       "expType", "TAG", "order", "false"));
}

static bool runtime_says(const char *key)
{
    assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_RUNTIME_INFO), RESP_SUCCESS);
    return json_get(json_get(c->json, "table"), key) != NULL;
}

static void it_ends_by_itself(void **state)
{
    assert_true(runtime_says("consumeQueueRebuild"));
    let_it_go_on();
    await_end();
    assert_false(runtime_says("consumeQueueRebuild"));
    send_body(MESSAGES);
    assert_int_equal(ASK(c, REQ_GET_MAX_OFFSET, "topic", "T", "queueId", "0"), RESP_SUCCESS);
    expect_field(c, "offset", "61");
    /* The delayed message of before: its time came while nobody looked. */
    struct cq *q = topic_queue(f.b->topics, topic_find(f.b->topics, STR_LIT("Delayed")), 0);
    AWAIT(cq_max(q) > 0);
    usleep(1500000);
    assert_int_equal(cq_max(q), 1);
}

/* What follows queues was never started: its files stay what they are. */
static void a_stop_in_the_middle_changes_nothing(void **state)
{
    client_free(c);
    fixture_end(&f);
    fixture_run(&f);
    c = client_new(&f);
    expect_refused(send_one());
    let_it_go_on();
    await_end();
    send_body(MESSAGES);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(old_messages_are_served),
        TEST(what_is_not_there_yet_is_waited_for),
        TEST(what_needs_whole_queues_is_refused),
        TEST(it_ends_by_itself),
        TEST(a_stop_in_the_middle_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
