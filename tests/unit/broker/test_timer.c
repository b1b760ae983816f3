/* Messages with a delivery time: the rules of the send, delivery, restarts, taking back. */
#include "unit/broker/broker_fixture.h"

#include "base/base64.h"
#include "broker/timer/timer.h"
#include "os/clock.h"
#include "unit/patience.h"

#define WHEEL "rmq_sys_wheel_timer"

static struct fixture f;
static struct client *c;

static int setup(void **state)
{
    fixture_start(&f, (const char *const[]){"timerPrecisionMs", "100", "recallMessageEnable", "true",
                                            "timerFlushIntervalMs", "100", NULL});
    c = client_new(&f);
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

static void restart(void)
{
    client_free(c);
    fixture_end(&f);
    fixture_run(&f);
    c = client_new(&f);
}

static struct cq *queue(const char *topic)
{
    struct topic *t = topic_find(f.b->topics, str_from(topic));
    return t ? topic_queue(f.b->topics, t, 0) : NULL;
}

static int64_t count(const char *topic)
{
    struct cq *q = queue(topic);
    return q ? cq_max(q) : 0;
}

static void wait_for(const char *topic, int64_t n)
{
    int64_t begin = clock_mono_ms();
    while (count(topic) < n) {
        if (clock_mono_ms() - begin > PATIENCE_MS)
            fail_msg("%s has %lld messages instead of %lld", topic, (long long)count(topic), (long long)n);
        usleep(500);
    }
}

static struct store_entry entry(const char *topic, int64_t offset)
{
    struct store_entry e;
    assert_int_equal(store_entries(f.b->store, queue(topic), offset, &e, 1), 1);
    return e;
}

/* Those that are due then: on a step they are with the step before. */
static int32_t waiting_until(int64_t due)
{
    return timer_waiting_at(f.b->timer, due % 100 ? due - due % 100 : due - 100);
}

static struct buf record;

static struct msg message(const char *topic, int64_t offset)
{
    struct store_entry e = entry(topic, offset);
    struct msg_view v;
    buf_clear(&record);
    assert_true(store_read(f.b->store, e.physical_offset, &record, &v));
    return v.m;
}

static void expect_property(const struct msg *m, const char *name, const char *value)
{
    struct str got = msg_property(m->properties, str_from(name));
    if (value ? !str_eqz(got, value) : !str_is_null(got))
        fail_msg("property %s is \"%.*s\"", name, STR_ARG(got));
}

static int64_t number_property(const struct msg *m, const char *name)
{
    int64_t number = -1;
    if (!str_to_i64(msg_property(m->properties, str_from(name)), &number))
        fail_msg("property %s is no number", name);
    return number;
}

/* ---- rules ---- */

static enum timer_verdict verdict(const char *before, int64_t number, const char *after, int sys_flag, struct msg *out,
                                  struct buf *props)
{
    static char text[200];
    struct topic *to = NULL;
    int64_t out_ms = 0;
    snprintf(text, sizeof text, "%s%lld%s", before, (long long)number, after);
    buf_clear(props);
    *out = (struct msg){.topic = STR_LIT("T"), .queue_id = 3, .properties = str_from(text), .sys_flag = sys_flag};
    enum timer_verdict v = timer_redirect(f.b, out, props, &to, &out_ms);
    if (v == TIMER_MOVED) {
        assert_non_null(to);
        assert_int_equal(number_property(out, "TIMER_OUT_MS"), out_ms);
    } else {
        assert_true(str_eqz(out->topic, "T"));
    }
    return v;
}

static void test_rules(void **state)
{
    struct buf p = {0};
    struct msg m;
    int64_t now = clock_wall_ms(), max = 3 * 86400;
    assert_int_equal(verdict("X\1", 0, "\2TAGS\1a\2", 0, &m, &p), TIMER_NONE);
    assert_int_equal(verdict("TAGS\1a\2TIMER_DELIVER_MS\1", now + 60050 - now % 100, "\2", 0, &m, &p), TIMER_MOVED);
    assert_true(str_eqz(m.topic, WHEEL));
    assert_int_equal(m.queue_id, 0);
    expect_property(&m, "TAGS", "a");
    expect_property(&m, "REAL_TOPIC", "T");
    expect_property(&m, "REAL_QID", "3");
    assert_int_equal(number_property(&m, "TIMER_OUT_MS"), now + 60000 - now % 100);
    /* On the step: with the step before. */
    assert_int_equal(verdict("TIMER_DELIVER_MS\1", now + 60000 - now % 100, "\2", 0, &m, &p), TIMER_MOVED);
    assert_int_equal(number_property(&m, "TIMER_OUT_MS"), now + 59900 - now % 100);
    assert_int_equal(verdict("TIMER_DELAY_SEC\1", max, "\2", 0, &m, &p), TIMER_MOVED);
    assert_int_equal(verdict("TIMER_DELAY_SEC\1", max + 1, "\2", 0, &m, &p), TIMER_ILLEGAL);
    assert_int_equal(verdict("TIMER_DELAY_MS\1", max * 1000 + 1000, "\2", 0, &m, &p), TIMER_ILLEGAL);
    assert_int_equal(verdict("TIMER_DELAY_SEC\1", INT64_MAX, "\2", 0, &m, &p), TIMER_ILLEGAL);
    assert_int_equal(verdict("TIMER_DELAY_MS\1x", 1, "\2", 0, &m, &p), TIMER_ILLEGAL);
    assert_int_equal(verdict("TIMER_DELAY_MS\1", -5, "\2", 0, &m, &p), TIMER_NONE);
    assert_int_equal(verdict("TIMER_DELIVER_MS\1", now - 1, "\2", 0, &m, &p), TIMER_NONE);
    assert_int_equal(verdict("TIMER_DELIVER_MS\1", now - 1, "\2TIMER_DEL_UNIQKEY\1T+x\2", 0, &m, &p), TIMER_ILLEGAL);
    /* Seconds before milliseconds before a time. */
    assert_int_equal(verdict("TIMER_DELIVER_MS\1nonsense\2TIMER_DELAY_SEC\1", 5, "\2", 0, &m, &p), TIMER_MOVED);
    /* Delivered before; half messages; committed ones. */
    assert_int_equal(verdict("TIMER_DELAY_SEC\1005\2TIMER_OUT_MS\1", now, "\2", 0, &m, &p), TIMER_NONE);
    assert_int_equal(verdict("TIMER_DELAY_SEC\1", 5, "\2", MSG_FLAG_TRANSACTION_PREPARED, &m, &p), TIMER_NONE);
    assert_int_equal(verdict("TIMER_DELAY_SEC\1", 5, "\2", MSG_FLAG_TRANSACTION_COMMIT, &m, &p), TIMER_MOVED);
    buf_free(&p);
}

static int send_code(const char *properties)
{
    return ASK_BODY(c, REQ_SEND_MESSAGE_V2, "x", "a", "PG", "b", "T", "c", "TBW102", "d", "4", "e", "0", "f", "0", "g",
                    "1700000000000", "h", "0", "i", properties, "j", "0", "k", "false", "m", "false");
}

static void test_refusals(void **state)
{
    make_topic(c, "T", "1");
    assert_int_equal(send_code("TIMER_DELAY_SEC\001259201\2"), RESP_MESSAGE_ILLEGAL);
    expect_remark(c, "timer message illegal, the delay time should not be bigger than the max delay 259200000ms");
    f.store_conf.timerStopEnqueue = true;
    f.store_conf.timerCongestNumEachSlot = 0;
    char properties[100];
    int64_t due = clock_wall_ms() + 60000;
    snprintf(properties, sizeof properties, "TIMER_DELIVER_MS\1%lld\2", (long long)due);
    assert_int_equal(send_code(properties), RESP_SUCCESS); /* none waits */
    f.store_conf.timerStopEnqueue = false;
    while (waiting_until(due) == 0)
        usleep(1000);
    assert_int_equal(send_code(properties), RESP_SYSTEM_ERROR);
    expect_remark(c, "timer message is under flow control, max num limit is 0 or");
    f.store_conf.timerCongestNumEachSlot = 1;
    assert_int_equal(send_code(properties), RESP_SUCCESS);
}

static void test_disabled(void **state)
{
    struct fixture off;
    fixture_start(&off, (const char *const[]){"timerWheelEnable", "false", NULL});
    struct client *k = client_new(&off);
    make_topic(k, "T", "1");
    assert_int_equal(ASK_BODY(k, REQ_SEND_MESSAGE_V2, "x", "a", "PG", "b", "T", "c", "TBW102", "d", "4", "e", "0", "f",
                              "0", "g", "1", "h", "0", "i", "TIMER_DELAY_SEC\0011\2", "j", "0", "k", "false", "m",
                              "false"),
                     RESP_SYSTEM_ERROR);
    expect_remark(k, "accurate timer message is not enabled, timerWheelEnable is false");
    assert_int_equal(ASK_PLAIN(k, REQ_GET_TIMER_METRICS), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK_PLAIN(k, REQ_GET_TIMER_CHECK_POINT), RESP_SYSTEM_ERROR);
    client_free(k);
    fixture_stop(&off);
}

/* ---- delivery ---- */

static void test_delivered_in_time(void **state)
{
    make_topic(c, "T", "1");
    int64_t begin = clock_wall_ms();
    send_message(c, "T", "0", "TIMER_DELAY_MS\001500\2TAGS\1a\2", "later");
    assert_true(rem_ext(&c->answer, "recallHandle").len > 0);
    send_message(c, "T", "0", "TAGS\1b\2", "at once");
    assert_int_equal(rem_ext(&c->answer, "recallHandle").len, 0);
    assert_int_equal(count("T"), 1);
    wait_for("T", 2);
    assert_true(clock_wall_ms() - begin >= 500);
    struct msg m = message("T", 1);
    assert_true(str_eqz(m.body, "later"));
    expect_property(&m, "TAGS", "a");
    expect_property(&m, "REAL_TOPIC", "T");
    expect_property(&m, "TIMER_DELAY_MS", "500");
    int64_t out = number_property(&m, "TIMER_OUT_MS");
    assert_true(out % 100 == 0 && out > begin + 300 && out < m.store_time);
    assert_true(number_property(&m, "TIMER_DEQUEUE_MS") >= out + 100);
    assert_true(number_property(&m, "TIMER_ENQUEUE_MS") <= out);
    assert_int_equal(entry("T", 1).tags_code, 'a');
}

/* Across a restart, with times before and after it; nothing comes twice. */
static void test_restart(void **state)
{
    make_topic(c, "T", "1");
    for (int i = 0; i < 50; i++) {
        char properties[64];
        snprintf(properties, sizeof properties, "TIMER_DELAY_MS\001%d\2", 100 + i * 20);
        send_message(c, "T", "0", properties, "x");
    }
    wait_for("T", 10);
    restart();
    wait_for("T", 50);
    restart();
    usleep(300000);
    assert_int_equal(count("T"), 50);
    struct timer_progress p;
    timer_progress(f.b->timer, &p);
    assert_int_equal(p.waiting, 0);
    assert_int_equal(p.offset_behind, 0);
}

/* A message whose topic is gone by then is stored all the same; one that says nothing is left out. */
static void test_odd_messages(void **state)
{
    make_topic(c, "T", "1");
    make_topic(c, "gone", "1");
    send_message(c, "gone", "0", "TIMER_DELAY_MS\001300\2", "x");
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "gone"), RESP_SUCCESS);
    log_set_level(LOG_ERROR);
    send_message(c, WHEEL, "0", "TAGS\1a\2", "no time");
    send_message(c, WHEEL, "0", "TIMER_OUT_MS\1soon\2", "no time");
    send_message(c, WHEEL, "0", "TIMER_OUT_MS\0011\2", "no topic");
    send_message(c, "T", "0", "TIMER_DELAY_MS\001300\2", "good");
    wait_for("T", 1);
    struct cq *q = store_queue(f.b->store, STR_LIT("gone"), 0, false);
    assert_non_null(q);
    assert_int_equal(cq_max(q), 1);
}

/*
 * apache/rocketmq #10668: units of the timer log that outlive the end of the commit log they belonged to lead to
 * whatever was written there since. None of it comes early or twice, and the messages behind them are not held up.
 */
enum { UNIT = 52, UNIT_PLACE = 28 };

static void point_unit_to(int n, int64_t place, int32_t size)
{
    char path[400];
    uint8_t bytes[12];
    snprintf(path, sizeof path, "%s/timerlog/00000000000000000000", f.dir.path);
    put_be64(bytes, (uint64_t)place);
    put_be32(bytes + 8, (uint32_t)size);
    file_patch(path, (long)n * UNIT + UNIT_PLACE, bytes, sizeof bytes);
}

static void test_issue_10668(void **state)
{
    make_topic(c, "T", "1");
    int64_t due = clock_wall_ms() + 2000;
    char properties[100];
    snprintf(properties, sizeof properties, "TIMER_DELIVER_MS\1%lld\2", (long long)due);
    static const char *const bodies[] = {"lost 1", "lost 2", "lost 3", "kept 4"};
    for (int i = 0; i < 4; i++)
        send_message(c, "T", "0", properties, bodies[i]);
    send_message(c, "T", "0", "TIMER_DELAY_SEC\0013600\2", "in 1 h");
    /* A delivered message keeps the properties that say where it belongs. */
    send_message(c, "T", "0", "REAL_TOPIC\1T\2REAL_QID\0010\2", "plain");
    struct store_entry later = entry(WHEEL, 4), plain = entry("T", 0);
    while (waiting_until(due) < 4)
        usleep(1000);
    client_free(c);
    fixture_end(&f);
    point_unit_to(0, plain.physical_offset, plain.size);
    point_unit_to(1, later.physical_offset, later.size);
    point_unit_to(2, later.physical_offset + 1, later.size);
    log_set_fd(-1); /* it tells of the three */
    fixture_run(&f);
    c = client_new(&f);
    wait_for("T", 2);
    log_set_fd(2);
    struct msg m = message("T", 1);
    assert_true(str_eqz(m.body, "kept 4"));
    /* What comes after it is delivered, too. */
    send_message(c, "T", "0", "TIMER_DELAY_MS\001300\2", "after");
    wait_for("T", 3);
    m = message("T", 2);
    assert_true(str_eqz(m.body, "after"));
    assert_true(clock_wall_ms() > due);
    struct timer_progress p;
    timer_progress(f.b->timer, &p);
    assert_int_equal(p.waiting, 1);
}

/* ---- taking back ---- */

static int recall(const char *topic, struct str handle)
{
    char text[600];
    snprintf(text, sizeof text, "%.*s", STR_ARG(handle));
    return ASK(c, REQ_RECALL_MESSAGE, "producerGroup", "PG", "topic", topic, "recallHandle", text);
}

static int recall_plain(const char *topic, const char *plain)
{
    struct buf handle = {0};
    base64_url_add(&handle, str_from(plain));
    int code = recall(topic, buf_str(&handle));
    buf_free(&handle);
    return code;
}

static void test_recall(void **state)
{
    char handle[600], later[200];
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "TIMER_DELAY_MS\001800\2UNIQ_KEY\1ID1\2", "taken back");
    snprintf(handle, sizeof handle, "%.*s", STR_ARG(rem_ext(&c->answer, "recallHandle")));
    send_message(c, "T", "0", "TIMER_DELAY_MS\001800\2UNIQ_KEY\1ID2\2", "not taken back");
    assert_int_equal(recall("T", str_from(handle)), RESP_SUCCESS);
    expect_field(c, "msgId", "ID1");
    expect_field(c, "MSG_REGION", "DefaultRegion");
    wait_for("T", 1);
    usleep(300000);
    assert_int_equal(count("T"), 1);
    struct msg m = message("T", 0);
    assert_true(str_eqz(m.body, "not taken back"));
    m = message(WHEEL, 2);
    expect_property(&m, "TIMER_DEL_UNIQKEY", "T+ID1");
    expect_property(&m, "TAGS", "_RECALL_TAG_");
    assert_int_equal(recall("T", str_from(handle)), RESP_ILLEGAL_OPERATION); /* too late */
    expect_remark(c, "timestamp invalid");
    snprintf(later, sizeof later, "v1 T broker-b %lld ID1", (long long)clock_wall_ms() + 50000);
    assert_int_equal(recall_plain("T", later), RESP_ILLEGAL_OPERATION);
    expect_remark(c, "broker service not available");
    assert_int_equal(recall_plain("T", "v1 T broker-a x ID1"), RESP_ILLEGAL_OPERATION);
    assert_int_equal(recall_plain("T", "v1 U broker-a 5 ID1"), RESP_ILLEGAL_OPERATION);
    expect_remark(c, "topic not match");
    static const char *const bad[] = {"", "v2 T broker-a 5 ID1", "v1 T broker-a 5", "v1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(recall_plain("T", bad[i]), RESP_ILLEGAL_OPERATION);
        expect_remark(c, "recall handle is invalid");
    }
    assert_int_equal(recall("T", STR_LIT("***")), RESP_ILLEGAL_OPERATION);
    assert_int_equal(recall("nobody", str_from(handle)), RESP_TOPIC_NOT_EXIST);
    f.conf.recall_enable = false;
    assert_int_equal(recall("T", str_from(handle)), RESP_NO_PERMISSION);
    expect_remark(c, "recall failed, operation is forbidden");
    f.conf.recall_enable = true;
}

/* ---- what operators see ---- */

static void test_what_operators_see(void **state)
{
    make_topic(c, "T", "1");
    for (int i = 0; i < 3; i++)
        send_message(c, "T", "0", "TIMER_DELAY_SEC\0013600\2", "x");
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    do
        assert_int_equal(ASK_PLAIN(c, REQ_GET_TIMER_METRICS), RESP_SUCCESS);
    while (json_i64(json_get(json_get(c->json, "timingCount"), "T"), "count", 0) < 3 && clock_mono_ms() < until);
    assert_int_equal(json_i64(json_get(json_get(c->json, "timingCount"), "T"), "count", 0), 3);
    assert_true(json_i64(json_get(c->json, "dataVersion"), "counter", 0) > 0);
    do /* the queue's position follows what is counted */
        assert_int_equal(ASK_PLAIN(c, REQ_GET_BROKER_RUNTIME_INFO), RESP_SUCCESS);
    while (json_i64(json_get(c->json, "table"), "timerOffsetBehind", -1) > 0 && clock_mono_ms() < until);
    assert_int_equal(json_i64(json_get(c->json, "table"), "timerCongestNum", -1), 3);
    assert_int_equal(json_i64(json_get(c->json, "table"), "timerOffsetBehind", -1), 0);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_TIMER_CHECK_POINT), RESP_SUCCESS);
    assert_int_equal(c->answer.body.len, 56);
    assert_int_equal(get_be64(c->answer.body.ptr + 16), 3);
    restart();
    assert_int_equal(ASK_PLAIN(c, REQ_GET_TIMER_METRICS), RESP_SUCCESS);
    assert_int_equal(json_i64(json_get(json_get(c->json, "timingCount"), "T"), "count", 0), 3);
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "T"), RESP_SUCCESS);
    assert_int_equal(ASK_PLAIN(c, REQ_GET_TIMER_METRICS), RESP_SUCCESS);
    assert_null(json_get(json_get(c->json, "timingCount"), "T"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test(test_disabled),
        cmocka_unit_test_setup_teardown(test_delivered_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_issue_10668, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_operators_see, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&record);
    return failed;
}
