/* Delayed messages, and messages that consumers send back. */
#include "unit/broker/broker_fixture.h"

#include "broker/schedule/schedule_int.h"
#include "os/clock.h"
#include "unit/patience.h"

static struct fixture f;
static struct client *c;

static int setup(void **state)
{
    fixture_start(&f, (const char *const[]){"messageDelayLevel", "1s 2s 1h", "flushDelayOffsetInterval", "100", NULL});
    c = client_new(&f);
    return 0;
}

static int teardown(void **state)
{
    client_free(c);
    fixture_stop(&f);
    return 0;
}

/* Ends the broker and starts it again on the same folder. */
static void restart(void)
{
    client_free(c);
    fixture_end(&f);
    fixture_run(&f);
    c = client_new(&f);
}

static struct cq *queue(const char *topic, int32_t id)
{
    struct topic *t = topic_find(f.b->topics, str_from(topic));
    return t ? topic_queue(f.b->topics, t, id) : NULL;
}

static int64_t count(const char *topic)
{
    struct cq *q = queue(topic, 0);
    return q ? cq_max(q) : 0;
}

/* Waits until the topic's queue 0 has n messages; ms it took, or -1. */
static int64_t wait_for(const char *topic, int64_t n)
{
    int64_t begin = clock_mono_ms();
    while (count(topic) < n) {
        if (clock_mono_ms() - begin > PATIENCE_MS)
            return -1;
        usleep(500);
    }
    return clock_mono_ms() - begin;
}

static struct buf record;

static struct msg message(const char *topic, int64_t offset)
{
    struct store_entry e;
    struct msg_view v;
    buf_clear(&record);
    assert_int_equal(store_entries(f.b->store, queue(topic, 0), offset, &e, 1), 1);
    assert_true(store_read(f.b->store, e.physical_offset, &record, &v));
    return v.m;
}

static void expect_property(const struct msg *m, const char *name, const char *value)
{
    struct str got = msg_property(m->properties, str_from(name));
    if (value ? !str_eqz(got, value) : !str_is_null(got))
        fail_msg("property %s is \"%.*s\"", name, STR_ARG(got));
}

static void test_redirect(void **state)
{
    struct buf props = {0};
    int level;
    struct msg m = {
        .topic = STR_LIT("T"), .queue_id = 3, .properties = STR_LIT("TAGS\1a\2DELAY\0019\2TIMER_DELAY_MS\0015\2")};
    struct topic *t = schedule_redirect(f.b, &m, &props, &level);
    assert_non_null(t);
    assert_true(str_eqz(t->name, "SCHEDULE_TOPIC_XXXX"));
    assert_int_equal(level, 3); /* there are no more */
    assert_int_equal(m.queue_id, 2);
    assert_true(str_eqz(m.topic, "SCHEDULE_TOPIC_XXXX"));
    expect_property(&m, "TAGS", "a");
    expect_property(&m, "DELAY", "3");
    expect_property(&m, "REAL_TOPIC", "T");
    expect_property(&m, "REAL_QID", "3");
    expect_property(&m, "TIMER_DELAY_MS", NULL);
    buf_clear(&props);
    const struct str not_delayed[] = {STR_LIT(""), STR_LIT("DELAY\0010\2"), STR_LIT("DELAY\1-1\2"),
                                      STR_LIT("DELAY\1x\2")};
    for (size_t i = 0; i < 4; i++) {
        m = (struct msg){.topic = STR_LIT("T"), .properties = not_delayed[i]};
        assert_null(schedule_redirect(f.b, &m, &props, &level));
        assert_true(str_eqz(m.topic, "T"));
    }
    m = (struct msg){
        .topic = STR_LIT("T"), .properties = STR_LIT("DELAY\0011\2"), .sys_flag = MSG_FLAG_TRANSACTION_PREPARED};
    assert_null(schedule_redirect(f.b, &m, &props, &level));
    buf_free(&props);
}

/* ---- delivery ---- */

static void test_delivered_in_time(void **state)
{
    make_topic(c, "T", "1");
    int64_t begin = clock_wall_ms();
    send_message(c, "T", "0", "DELAY\0011\2TAGS\1a\2KEYS\1k1\2", "late");
    send_message(c, "T", "0", "TAGS\1b\2", "at once");
    assert_int_equal(count("T"), 1);
    assert_true(wait_for("T", 2) >= 0);
    int64_t took = clock_wall_ms() - begin;
    assert_true(took >= 1000);
    if (took > 3000) /* some ms on a machine with nothing else to do */
        fail_msg("a delay of 1 s took %lld ms", (long long)took);
    struct msg m = message("T", 1);
    assert_true(str_eqz(m.body, "late"));
    assert_int_equal(m.queue_id, 0);
    assert_true(m.store_time - begin >= 1000);
    expect_property(&m, "TAGS", "a");
    struct store_entry e;
    assert_int_equal(store_entries(f.b->store, queue("T", 0), 1, &e, 1), 1);
    assert_int_equal(e.tags_code, 'a');
    /* In the schedule the entry carries the time instead. */
    assert_int_equal(store_entries(f.b->store, queue("SCHEDULE_TOPIC_XXXX", 0), 0, &e, 1), 1);
    assert_true(e.tags_code >= begin + 1000 && e.tags_code <= begin + 2000);
}

/* A long wait in one level does not hold up the others, in whatever order they come. */
static void test_levels_are_independent(void **state)
{
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "DELAY\0013\2", "in an hour");
    send_message(c, "T", "0", "DELAY\0012\2", "second");
    send_message(c, "T", "0", "DELAY\0011\2", "first");
    assert_true(wait_for("T", 2) >= 0);
    assert_true(str_eqz(message("T", 0).body, "first"));
    assert_true(str_eqz(message("T", 1).body, "second"));
    int64_t offset, end;
    schedule_progress(f.b->schedule, 3, &offset, &end);
    assert_int_equal(offset, 0);
    assert_int_equal(end, 1);
}

static void send_many(int n)
{
    char body[16];
    for (int i = 0; i < n; i++) {
        snprintf(body, sizeof body, "%d", i);
        send_message(c, "T", "0", "DELAY\0011\2", body);
    }
}

static void expect_bodies(int n)
{
    char body[16];
    for (int i = 0; i < n; i++) {
        snprintf(body, sizeof body, "%d", i);
        assert_true(str_eqz(message("T", i).body, body));
    }
}

/* More than one turn's worth, each once and in order; also over a restart, also after being late. */
static void test_catch_up_after_restart(void **state)
{
    enum { MANY = 1300 };
    make_topic(c, "T", "1");
    send_many(MANY);
    restart();
    usleep(1200000);
    assert_true(wait_for("T", MANY) >= 0);
    usleep(50000);
    assert_int_equal(count("T"), MANY);
    expect_bodies(MANY);
    restart();
    usleep(200000);
    assert_int_equal(count("T"), MANY); /* not delivered twice */
}

static void test_progress_is_saved(void **state)
{
    char path[400];
    size_t n;
    make_topic(c, "T", "1");
    send_many(5);
    assert_true(wait_for("T", 5) >= 0);
    snprintf(path, sizeof path, "%s/config/delayOffset.json", f.dir.path);
    for (int i = 0; i < 300; i++) {
        char *text = (char *)file_bytes(path, &n);
        bool saved = text && strstr(text, "\t\"offsetTable\":{1:5\n\t}\n}");
        free(text);
        if (saved)
            return;
        usleep(20000);
    }
    fail_msg("%s does not say that 5 messages were delivered", path);
}

static void write_progress(const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/config/delayOffset.json", f.dir.path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Progress beyond the queue's end (the store lost its end) goes on at the end. */
static void test_progress_is_clamped(void **state)
{
    struct err err;
    int64_t offset, end;
    make_topic(c, "T", "1");
    send_many(3);
    assert_true(wait_for("T", 3) >= 0);
    write_progress("{\"dataVersion\":{\"counter\":9,\"stateVersion\":0,\"timestamp\":5},\"offsetTable\":{1:900,\"2\":0,"
                   "77777:1,9:4}}");
    struct schedule *s = schedule_new(f.b);
    assert_int_equal(schedule_load(s, &err), 0);
    schedule_clamp(s);
    schedule_progress(s, 1, &offset, &end);
    assert_int_equal(offset, 3);
    assert_int_equal(end, 3);
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    schedule_write_offsets(s, &w);
    buf_add_byte(&text, 0);
    assert_string_equal(
        (char *)text.data,
        "{\"dataVersion\":{\"counter\":9,\"stateVersion\":0,\"timestamp\":5},\"offsetTable\":{1:3,2:0,9:4}}");
    buf_free(&text);
    schedule_free(s);
}

/* The topic may be gone when the time comes. */
static void test_topic_is_gone(void **state)
{
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "DELAY\0011\2", "late");
    assert_int_equal(ASK(c, REQ_DELETE_TOPIC_IN_BROKER, "topic", "T"), RESP_SUCCESS);
    usleep(1300000);
    make_topic(c, "T", "1");
    assert_true(wait_for("T", 1) >= 0);
    assert_true(str_eqz(message("T", 0).body, "late"));
}

/* ---- send back ---- */

static void send_back(const char *group, int64_t offset, const char *level, const char *max, int32_t expected)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)offset);
    int32_t code = ASK(c, REQ_CONSUMER_SEND_MSG_BACK, "offset", text, "group", group, "delayLevel", level,
                       "originTopic", "T", "unitMode", "false", max ? "maxReconsumeTimes" : "x", max ? max : "0");
    if (code != expected)
        fail_msg("%d: %.*s", code, STR_ARG(c->answer.remark));
}

static int64_t position(const char *topic, int64_t offset)
{
    struct store_entry e;
    assert_int_equal(store_entries(f.b->store, queue(topic, 0), offset, &e, 1), 1);
    return e.physical_offset;
}

static void test_send_back(void **state)
{
    char id[64];
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "TAGS\1a\2DELAY\0010\2WAIT\1true\2UNIQ_KEY\1u1\2", "hello");
    int64_t at = position("T", 0);
    send_back("g", at, "1", NULL, RESP_SUCCESS);
    assert_true(wait_for("%RETRY%g", 1) >= 0);
    struct msg m = message("%RETRY%g", 0);
    id[msg_id_format(id, &f.b->store_host, at)] = '\0';
    assert_true(str_eqz(m.body, "hello"));
    assert_int_equal(m.reconsume_times, 1);
    expect_property(&m, "RETRY_TOPIC", "T");
    expect_property(&m, "WAIT", "false");
    expect_property(&m, "UNIQ_KEY", "u1");
    expect_property(&m, "ORIGIN_MESSAGE_ID", id);
    expect_property(&m, "DELAY", "1");
    expect_property(&m, "REAL_TOPIC", "%RETRY%g");
    /* The second attempt remembers the first message. */
    send_back("g", position("%RETRY%g", 0), "1", NULL, RESP_SUCCESS);
    assert_true(wait_for("%RETRY%g", 2) >= 0);
    m = message("%RETRY%g", 1);
    assert_int_equal(m.reconsume_times, 2);
    expect_property(&m, "RETRY_TOPIC", "T");
    expect_property(&m, "ORIGIN_MESSAGE_ID", id);
}

/* Level 0 leaves it to the broker: 3 + attempts so far, the last level when there are fewer. */
static void test_send_back_default_level(void **state)
{
    int64_t offset, end;
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "", "hello");
    send_back("g", position("T", 0), "0", NULL, RESP_SUCCESS);
    schedule_progress(f.b->schedule, 3, &offset, &end);
    assert_int_equal(end, 1);
}

static void test_dead_letters(void **state)
{
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "", "hello");
    int64_t at = position("T", 0);
    send_back("g", at, "-1", NULL, RESP_SUCCESS);
    assert_int_equal(count("%DLQ%g"), 1);
    send_back("g", at, "1", "0", RESP_SUCCESS); /* no further attempt is wanted */
    assert_int_equal(count("%DLQ%g"), 2);
    struct msg m = message("%DLQ%g", 1);
    assert_int_equal(m.reconsume_times, 1);
    expect_property(&m, "DELAY", "0");
    expect_property(&m, "RETRY_TOPIC", "T");
    /* The group's own limit. */
    assert_int_equal(client_ask(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
                                STR_LIT("{\"groupName\":\"g\",\"retryMaxTimes\":0}"), NULL),
                     RESP_SUCCESS);
    send_back("g", at, "1", NULL, RESP_SUCCESS);
    assert_int_equal(count("%DLQ%g"), 3);
    struct topic *t = topic_find(f.b->topics, STR_LIT("%DLQ%g"));
    assert_int_equal(atomic_load(&t->perm), PERM_READ | PERM_WRITE);
    assert_int_equal(atomic_load(&t->write_queues), 1);
}

static void test_send_back_refused(void **state)
{
    make_topic(c, "T", "1");
    send_message(c, "T", "0", "", "hello");
    int64_t at = position("T", 0);
    send_back("g", 123456789, "0", NULL, RESP_SYSTEM_ERROR);
    expect_remark(c, "look message by offset failed, 123456789");
    send_back("a b", at, "0", NULL, RESP_SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_int_equal(client_ask(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
                                STR_LIT("{\"groupName\":\"none\",\"retryQueueNums\":0}"), NULL),
                     RESP_SUCCESS);
    send_back("none", at, "0", NULL, RESP_SUCCESS); /* without effect */
    assert_null(topic_find(f.b->topics, STR_LIT("%RETRY%none")));
    f.conf.permission = PERM_READ;
    send_back("g", at, "0", NULL, RESP_NO_PERMISSION);
    assert_int_equal(ASK(c, REQ_CONSUMER_SEND_MSG_BACK, "group", "g"), RESP_SYSTEM_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_redirect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delivered_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels_are_independent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catch_up_after_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_is_saved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_is_clamped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topic_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_back_default_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_letters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_back_refused, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&record);
    return failed;
}
