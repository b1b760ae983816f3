/* Transactional messages: half messages, their ends, and the search for those that stay undecided. */
#include "unit/broker/broker_fixture.h"

#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include "unit/patience.h"

static struct fixture f;
static struct client *c;
static struct buf record;

enum { COMMIT = 8, ROLLBACK = 12 };

static int start(const char *op_interval_ms)
{
    /* Nothing is searched for before a test says so. */
    const char *const settings[] = {"transactionTimeOut",
                                    "0",
                                    "transactionCheckInterval",
                                    "86400000",
                                    "transactionOpBatchInterval",
                                    op_interval_ms,
                                    "transactionMetricFlushInterval",
                                    "50",
                                    "transactionCheckMax",
                                    "2",
                                    NULL};
    fixture_start(&f, settings);
    c = client_new(&f);
    make_topic(c, "T", "4");
    return 0;
}

static int setup(void **state)
{
    return start("50");
}

/* What is ended waits in memory. */
static int setup_late(void **state)
{
    return start("86400000");
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

static struct cq *queue(const char *topic, int32_t id)
{
    struct topic *t = topic_find(f.b->topics, str_from(topic));
    return t ? topic_queue(f.b->topics, t, id) : NULL;
}

static int64_t count(const char *topic, int32_t id)
{
    struct cq *q = queue(topic, id);
    return q ? cq_max(q) : 0;
}

static void wait_for(const char *topic, int32_t id, int64_t n)
{
    int64_t begin = clock_mono_ms();
    while (count(topic, id) < n) {
        if (clock_mono_ms() - begin > PATIENCE_MS)
            fail_msg("queue %d of %s has %lld messages, not %lld", id, topic, (long long)count(topic, id),
                     (long long)n);
        usleep(500);
    }
    assert_int_equal(count(topic, id), n);
}

static struct msg message(const char *topic, int32_t id, int64_t offset)
{
    struct store_entry e;
    struct msg_view v;
    buf_clear(&record);
    assert_int_equal(store_entries(f.b->store, queue(topic, id), offset, &e, 1), 1);
    assert_true(store_read(f.b->store, e.physical_offset, &record, &v));
    return v.m;
}

static void expect_property(const struct msg *m, const char *name, const char *value)
{
    struct str got = msg_property(m->properties, str_from(name));
    if (value ? !str_eqz(got, value) : !str_is_null(got))
        fail_msg("property %s is \"%.*s\"", name, STR_ARG(got));
}

/* ---- a producer ---- */

struct half {
    int64_t queue_offset, log_offset;
};

static int32_t try_half(const char *properties, const char *body)
{
    char all[600], born[24];
    snprintf(all, sizeof all, "TRAN_MSG\1true\2PGROUP\1PG\2UNIQ_KEY\1key-%s\2%s", body, properties);
    snprintf(born, sizeof born, "%lld", (long long)clock_wall_ms());
    return ASK_BODY(c, REQ_SEND_MESSAGE_V2, body, "a", "PG", "b", "T", "c", "TBW102", "d", "4", "e", "2", "f", "4", "g",
                    born, "h", "7", "i", all, "j", "0", "k", "false", "m", "false");
}

static struct half send_half(const char *properties, const char *body)
{
    struct half h;
    struct msg_host host;
    assert_int_equal(try_half(properties, body), RESP_SUCCESS);
    assert_true(str_to_i64(rem_ext(&c->answer, "queueOffset"), &h.queue_offset));
    assert_true(msg_id_parse(rem_ext(&c->answer, "msgId"), &host, &h.log_offset));
    return h;
}

struct ending {
    const char *group;
    int how;
    bool check, oneway;
};

static void send_end(struct half h, struct ending e)
{
    struct buf out = {0};
    struct rem_frame frame;
    rem_frame_begin(&frame, &out, REQ_END_TRANSACTION);
    rem_frame_str(&frame, "producerGroup", str_from(e.group ? e.group : "PG"));
    rem_frame_i64(&frame, "tranStateTableOffset", h.queue_offset);
    rem_frame_i64(&frame, "commitLogOffset", h.log_offset);
    rem_frame_i64(&frame, "commitOrRollback", e.how);
    rem_frame_bool(&frame, "fromTransactionCheck", e.check);
    rem_frame_str(&frame, "msgId", STR_LIT("an id"));
    rem_frame_header_end(&frame, e.oneway ? REM_FLAG_ONEWAY : 0, ++c->opaque, STR_NULL);
    rem_frame_finish(&frame, 0);
    client_write(c, &out);
    buf_free(&out);
}

static int32_t end(struct half h, struct ending e)
{
    send_end(h, e);
    return client_answer(c);
}

/* One search now, on this thread; the broker's own waits for a day. */
static void search(void)
{
    usleep(3000); /* a half message is not young any more when the next millisecond has begun */
    transaction_check_all(f.b->transactions);
}

static int64_t progress(const char *topic)
{
    return offset_query(f.b->offsets, STR_LIT(TRANSACTION_GROUP), str_from(topic), 0);
}

/* The question that the broker asked: where the half message is now. */
static struct half await_check(struct msg_view *v)
{
    struct half h;
    client_await_request(c, REQ_CHECK_TRANSACTION_STATE);
    assert_true(c->answer.flag & REM_FLAG_ONEWAY);
    expect_field(c, "topic", TRANSACTION_HALF_TOPIC);
    expect_field(c, "bname", "broker-a");
    assert_true(str_to_i64(rem_ext(&c->answer, "tranStateTableOffset"), &h.queue_offset));
    assert_true(str_to_i64(rem_ext(&c->answer, "commitLogOffset"), &h.log_offset));
    assert_int_equal(msg_decode((const uint8_t *)c->answer.body.ptr, c->answer.body.len, v), MSG_OK);
    assert_int_equal(v->size, c->answer.body.len);
    assert_int_equal(v->m.queue_offset, h.queue_offset);
    assert_int_equal(v->m.physical_offset, h.log_offset);
    return h;
}

/* ---- rules ---- */

static void test_judge(void **state)
{
    const struct transaction_rules rules = {.timeout_ms = 6000, .reserved_ms = 100000, .check_max = 3};
    static const struct {
        const char *properties;
        int64_t age, stored_ago;
        enum transaction_verdict verdict;
    } cases[] = {
        {"", 5999, 10, TRANSACTION_LATER},
        {"", 6000, 10, TRANSACTION_ASK},
        {"", 6000, 0, TRANSACTION_LATER},
        {"", -1, 10, TRANSACTION_ASK},
        {"", 100001, 10, TRANSACTION_DISCARD},
        {"TRANSACTION_CHECK_TIMES\0012\2", 6000, 10, TRANSACTION_ASK},
        {"TRANSACTION_CHECK_TIMES\0013\2", 0, 10, TRANSACTION_DISCARD},
        {"TRANSACTION_CHECK_TIMES\0013\2", 0, 0, TRANSACTION_LATER},
        {"TRANSACTION_CHECK_TIMES\1x\2", 6000, 10, TRANSACTION_ASK},
        {"CHECK_IMMUNITY_TIME_IN_SECONDS\00110\2", 9999, 10, TRANSACTION_IMMUNE},
        {"CHECK_IMMUNITY_TIME_IN_SECONDS\00110\2", 10000, 10, TRANSACTION_ASK},
        {"CHECK_IMMUNITY_TIME_IN_SECONDS\0011\2", 1000, 10, TRANSACTION_ASK},
        {"CHECK_IMMUNITY_TIME_IN_SECONDS\1x\2", 5999, 10, TRANSACTION_IMMUNE},
        {"CHECK_IMMUNITY_TIME_IN_SECONDS\0019223372036854775807\2", 6000, 10, TRANSACTION_IMMUNE},
    };
    const int64_t now = 1700000000000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg m = {.properties = str_from(cases[i].properties),
                        .born_time = now - cases[i].age,
                        .store_time = now - cases[i].stored_ago};
        if (transaction_judge(&rules, &m, now, now) != cases[i].verdict)
            fail_msg("case %zu", i);
    }
    struct msg m = {.properties = STR_LIT(""), .born_time = INT64_MIN, .store_time = now - 1};
    assert_int_equal(transaction_judge(&rules, &m, now, now), TRANSACTION_DISCARD);
    assert_int_equal(transaction_immunity_ms(STR_LIT("7"), 6000), 7000);
    assert_int_equal(transaction_immunity_ms(STR_LIT("5"), 6000), 6000);
    assert_int_equal(transaction_immunity_ms(STR_LIT("x"), 6000), 6000);
}

static void test_op_body(void **state)
{
    struct str rest = STR_LIT("0,12,,x,-4,99999999999999999999,7");
    int64_t got[4], n = 0;
    while (n < 4 && transaction_op_next(&rest, &got[n]))
        n++;
    assert_int_equal(n, 3);
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 12);
    assert_int_equal(got[2], 7);
    rest = STR_LIT("");
    assert_false(transaction_op_next(&rest, got));
}

/* ---- half messages and their ends ---- */

static void test_half_message(void **state)
{
    assert_int_equal(try_half("REAL_TOPIC\1Other\2REAL_QID\0019\2TAGS\1a\2DELAY\0013\2", "one"), RESP_SUCCESS);
    expect_field(c, "transactionId", "key-one");
    expect_field(c, "queueId", "2");
    expect_field(c, "queueOffset", "0");
    struct msg m = message(TRANSACTION_HALF_TOPIC, 0, 0);
    assert_true(str_eqz(m.topic, TRANSACTION_HALF_TOPIC));
    assert_true(str_eqz(m.body, "one"));
    assert_int_equal(m.sys_flag, 0);
    assert_int_equal(m.flag, 7);
    expect_property(&m, "REAL_TOPIC", "T");
    expect_property(&m, "REAL_QID", "2");
    expect_property(&m, "__transactionId__", "key-one");
    expect_property(&m, "TAGS", "a");
    for (int i = 0; i < 4; i++)
        assert_int_equal(count("T", i), 0);
    assert_int_equal(transaction_metrics_count(&f.b->transactions->metrics, STR_LIT("T")), 1);
    f.conf.reject_transaction = true;
    assert_int_equal(try_half("", "two"), RESP_NO_PERMISSION);
    expect_remark(c, "the broker[127.0.0.1] sending transaction message is forbidden");
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 1);
}

static void expect_committed(const char *body, int64_t offset, struct half h)
{
    struct msg m = message("T", 2, offset);
    assert_true(str_eqz(m.topic, "T"));
    assert_true(str_eqz(m.body, body));
    assert_int_equal(m.queue_id, 2);
    assert_int_equal(m.flag, 7);
    assert_int_equal(m.sys_flag, COMMIT);
    assert_int_equal(m.prepared_transaction_offset, h.log_offset);
    expect_property(&m, "PGROUP", "PG");
    expect_property(&m, "TRAN_MSG", "true");
}

static void test_ends(void **state)
{
    struct half a = send_half("TAGS\1a\2", "one"), b = send_half("", "two"), d = send_half("", "three");
    send_end(a, (struct ending){.how = COMMIT, .oneway = true});
    wait_for("T", 2, 1);
    expect_committed("one", 0, a);
    struct store_entry e;
    assert_int_equal(store_entries(f.b->store, queue("T", 2), 0, &e, 1), 1);
    assert_int_equal(e.tags_code, 'a');
    send_end(b, (struct ending){.how = ROLLBACK, .oneway = true});
    assert_int_equal(end(d, (struct ending){.how = COMMIT}), RESP_SUCCESS); /* on a worker */
    wait_for("T", 2, 2);
    expect_committed("three", 1, d);
    /* All are noted down, nobody is asked. */
    transaction_op_flush(f.b->transactions, true);
    struct msg m = message(TRANSACTION_OP_TOPIC, 0, 0);
    expect_property(&m, "TAGS", "d");
    assert_true(str_starts(m.body, STR_LIT("0,")));
    search();
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 3);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), count(TRANSACTION_OP_TOPIC, 0));
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 3);
    assert_int_equal(transaction_metrics_count(&f.b->transactions->metrics, STR_LIT("T")), 0);
}

static void test_delayed_commit(void **state)
{
    struct half h = send_half("DELAY\0011\2", "late");
    assert_int_equal(end(h, (struct ending){.how = COMMIT}), RESP_SUCCESS);
    assert_int_equal(count("T", 2), 0);
    wait_for("T", 2, 1);
    assert_true(str_eqz(message("T", 2, 0).body, "late"));
}

static void test_timed_commit(void **state)
{
    int64_t begin = clock_wall_ms();
    struct half h = send_half("TIMER_DELAY_MS\0012500\2", "late");
    assert_int_equal(end(h, (struct ending){.how = COMMIT}), RESP_SUCCESS);
    assert_int_equal(count("T", 2), 0);
    wait_for("T", 2, 1);
    assert_true(clock_wall_ms() - begin >= 1500);
    assert_true(str_eqz(message("T", 2, 0).body, "late"));
    /* What could never be committed is not taken. */
    assert_int_equal(try_half("TIMER_DELAY_SEC\001999999999\2", "never"), RESP_MESSAGE_ILLEGAL);
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 1);
}

static void test_refused(void **state)
{
    struct half h = send_half("", "one"), other = h;
    assert_int_equal(end(h, (struct ending){.group = "PG2", .how = COMMIT}), RESP_SYSTEM_ERROR);
    expect_remark(c, "The producer group wrong");
    other.queue_offset = 5;
    assert_int_equal(end(other, (struct ending){.how = ROLLBACK}), RESP_SYSTEM_ERROR);
    expect_remark(c, "The transaction state table offset wrong");
    const int64_t nowhere[] = {h.log_offset + 1, 123456789, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        other = (struct half){0, nowhere[i]};
        assert_int_equal(end(other, (struct ending){.how = COMMIT}), RESP_SYSTEM_ERROR);
        expect_remark(c, "Find prepared transaction message failed");
        send_end(other, (struct ending){.how = COMMIT, .oneway = true});
    }
    /* An ordinary message is no half message, whatever its properties say. */
    send_message(c, "T", "0", "PGROUP\1PG\2REAL_TOPIC\1T\2REAL_QID\0010\2", "plain");
    other = (struct half){0, message("T", 0, 0).physical_offset};
    assert_int_equal(end(other, (struct ending){.how = COMMIT}), RESP_SYSTEM_ERROR);
    assert_int_equal(ASK(c, REQ_END_TRANSACTION, "producerGroup", "PG", "commitOrRollback", "8"), RESP_SYSTEM_ERROR);
    /* Undecided and nonsense get no answer: the next request's is the first to come. */
    send_end(h, (struct ending){.how = 0});
    send_end(h, (struct ending){.how = 5});
    assert_int_equal(end(h, (struct ending){.how = ROLLBACK}), RESP_SUCCESS);
    assert_int_equal(count("T", 0), 1);
    assert_int_equal(count("T", 2), 0);
}

static void test_many_share_op_messages(void **state)
{
    enum { MANY = 3000 };
    char body[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(body, sizeof body, "%d", i);
        send_end(send_half("", body), (struct ending){.how = COMMIT, .oneway = true});
    }
    wait_for("T", 2, MANY);
    transaction_op_flush(f.b->transactions, true);
    int64_t messages = count(TRANSACTION_OP_TOPIC, 0);
    assert_true(messages >= 3 && messages <= 8);
    for (int64_t i = 0; i < messages; i++)
        assert_true(message(TRANSACTION_OP_TOPIC, 0, i).body.len < 4096 + 5);
    search();
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), MANY);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), messages);
}

/* ---- the search ---- */

static void test_asked(void **state)
{
    struct msg_view v;
    heartbeat(c, "client", "CG", "T");
    struct half h = send_half("TAGS\1a\2", "one");
    search();
    struct half again = await_check(&v);
    expect_field(c, "msgId", "key-one");
    expect_field(c, "transactionId", "key-one");
    assert_true(str_eqz(v.m.topic, "T"));
    assert_int_equal(v.m.queue_id, 2);
    assert_int_equal(v.m.flag, 7);
    assert_true(str_eqz(v.m.body, "one"));
    expect_property(&v.m, "TRANSACTION_CHECK_TIMES", "1");
    assert_int_equal(again.queue_offset, h.queue_offset + 1);
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 1);
    send_end(again, (struct ending){.how = COMMIT, .check = true, .oneway = true});
    wait_for("T", 2, 1);
    search();
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 2);
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 2);
    assert_int_equal(count("T", 2), 1);
}

static void test_asked_in_vain(void **state)
{
    struct half h = send_half("", "one");
    char id[64];
    search(); /* nobody is there */
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 3);
    assert_null(topic_find(f.b->topics, STR_LIT(TRANSACTION_DISCARD_TOPIC)));
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 3);
    assert_int_equal(count(TRANSACTION_DISCARD_TOPIC, 0), 1);
    struct msg m = message(TRANSACTION_DISCARD_TOPIC, 0, 0);
    expect_property(&m, "REAL_TOPIC", "T");
    assert_int_equal(transaction_metrics_count(&f.b->transactions->metrics, STR_LIT("T")), 0);
    /* An operator has it asked again. */
    struct msg_view v;
    id[msg_id_format(id, &f.b->store_host, m.physical_offset)] = '\0';
    assert_int_equal(ASK(c, REQ_RESUME_CHECK_HALF_MESSAGE, "topic", TRANSACTION_DISCARD_TOPIC, "msgId", id),
                     RESP_SUCCESS);
    heartbeat(c, "client", "CG", "T");
    search();
    struct half again = await_check(&v);
    expect_property(&v.m, "TRANSACTION_CHECK_TIMES", "1");
    assert_int_equal(end(again, (struct ending){.how = COMMIT, .check = true}), RESP_SUCCESS);
    assert_int_equal(count("T", 2), 1);
    const char *const bad[] = {"", "x", "7F00000100002A9F0000000000FFFFFF"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ASK(c, REQ_RESUME_CHECK_HALF_MESSAGE, "topic", "T", "msgId", bad[i]), RESP_SYSTEM_ERROR);
    id[msg_id_format(id, &f.b->store_host, message("T", 2, 0).physical_offset)] = '\0';
    assert_int_equal(ASK(c, REQ_RESUME_CHECK_HALF_MESSAGE, "topic", "T", "msgId", id), RESP_SYSTEM_ERROR);
    assert_true(h.log_offset >= 0);
}

/* Its producer ends the first copy, which the search has left behind by then. */
static void test_immune(void **state)
{
    struct half a = send_half("CHECK_IMMUNITY_TIME_IN_SECONDS\0013600\2", "one");
    struct half b = send_half("CHECK_IMMUNITY_TIME_IN_SECONDS\0013600\2", "two");
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 4);
    struct msg m = message(TRANSACTION_HALF_TOPIC, 0, 2);
    expect_property(&m, "TRAN_PREPARED_QUEUE_OFFSET", "0");
    expect_property(&m, "TRANSACTION_CHECK_TIMES", NULL);
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 6);
    m = message(TRANSACTION_HALF_TOPIC, 0, 4);
    expect_property(&m, "TRAN_PREPARED_QUEUE_OFFSET", "0");
    assert_int_equal(end(a, (struct ending){.how = COMMIT}), RESP_SUCCESS);
    transaction_op_flush(f.b->transactions, true);
    restart();
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 7); /* only the other is still carried along */
    assert_int_equal(end(b, (struct ending){.how = ROLLBACK}), RESP_SUCCESS);
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 7);
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 7);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), count(TRANSACTION_OP_TOPIC, 0));
    assert_int_equal(count("T", 2), 1);
}

static void test_immunity_is_over(void **state)
{
    struct half h = send_half("CHECK_IMMUNITY_TIME_IN_SECONDS\0010\2", "one");
    usleep(5000);
    assert_int_equal(end(h, (struct ending){.how = COMMIT}), RESP_ILLEGAL_OPERATION);
    send_end(h, (struct ending){.how = COMMIT, .oneway = true});
    assert_int_equal(end(h, (struct ending){.how = COMMIT, .check = true}), RESP_SUCCESS);
    assert_int_equal(count("T", 2), 1);
}

/* An older undecided message holds nothing up, and the op messages wait for those that are not searched yet. */
static void test_young_ones_wait(void **state)
{
    send_half("", "old");
    f.conf.transaction_timeout_ms = 3600000;
    struct half b = send_half("", "young");
    assert_int_equal(end(b, (struct ending){.how = ROLLBACK}), RESP_SUCCESS);
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 2);
    assert_true(progress(TRANSACTION_HALF_TOPIC) <= 0);
    assert_true(progress(TRANSACTION_OP_TOPIC) <= 0);
    f.conf.transaction_timeout_ms = 0;
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 3);
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 2);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), count(TRANSACTION_OP_TOPIC, 0));
}

static void test_restart(void **state)
{
    struct msg_view v;
    struct half a = send_half("", "one"), b = send_half("", "two");
    assert_int_equal(end(a, (struct ending){.how = COMMIT}), RESP_SUCCESS);
    assert_int_equal(count(TRANSACTION_OP_TOPIC, 0), 0);
    restart(); /* what was not noted down yet is now */
    assert_int_equal(count(TRANSACTION_OP_TOPIC, 0), 1);
    heartbeat(c, "client", "CG", "T");
    search();
    struct half again = await_check(&v);
    assert_true(str_eqz(v.m.body, "two"));
    assert_true(again.queue_offset > b.queue_offset);
    assert_int_equal(end(again, (struct ending){.how = COMMIT, .check = true}), RESP_SUCCESS);
    restart();
    search();
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), count(TRANSACTION_HALF_TOPIC, 0));
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 3);
    assert_int_equal(count("T", 2), 2);
}

/* A process that dies takes ends along that were not noted down: the commits themselves are found. */
static void test_lost_op_messages(void **state)
{
    struct half h = send_half("", "one");
    assert_int_equal(end(h, (struct ending){.how = COMMIT}), RESP_SUCCESS);
    struct transaction_ops *ops = &f.b->transactions->ops;
    pthread_mutex_lock(&ops->lock);
    assert_int_equal(ops->count, 1);
    ops->count = ops->bytes = 0;
    pthread_mutex_unlock(&ops->lock);
    struct store_stats st;
    do
        store_stats(f.b->store, &st);
    while (st.dispatched < st.log_max);
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 1);
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 1);
    assert_int_equal(count("T", 2), 1);
}

/* Op messages that no broker wrote. */
static void test_foreign_op_messages(void **state)
{
    struct topic *t = topic_find(f.b->topics, STR_LIT(TRANSACTION_OP_TOPIC));
    const struct str bodies[] = {STR_LIT("x"), STR_LIT("9999999999999,-3,,"), STR_LIT("0,0,0,")};
    const struct str tags[] = {STR_LIT("TAGS\1d\2"), STR_LIT("TAGS\1d\2"), STR_LIT("TAGS\1e\2")};
    struct put_result r;
    send_half("", "one");
    for (size_t i = 0; i < 3; i++) {
        struct msg m = {
            .body = bodies[i], .properties = tags[i], .store_host = f.b->store_host, .born_host = f.b->store_host};
        assert_int_equal(broker_put(f.b, t, &m, &r), PUT_OK);
    }
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 2);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), 3);
    struct msg m = {
        .body = STR_LIT("1,1,1,"), .properties = tags[0], .store_host = f.b->store_host, .born_host = f.b->store_host};
    assert_int_equal(broker_put(f.b, t, &m, &r), PUT_OK);
    search();
    assert_int_equal(count(TRANSACTION_HALF_TOPIC, 0), 2);
    assert_int_equal(progress(TRANSACTION_HALF_TOPIC), 2);
    assert_int_equal(progress(TRANSACTION_OP_TOPIC), 4);
}

static void test_metrics_file(void **state)
{
    char path[400];
    size_t n;
    snprintf(path, sizeof path, "%s/config/transactionMetrics", f.dir.path);
    send_half("", "one");
    send_half("", "two");
    int64_t begin = clock_mono_ms();
    for (bool saved = false; !saved; usleep(10000)) {
        char *text = (char *)file_bytes(path, &n);
        saved = text && strstr(text, "\"transactionCount\":{\"T\":{\"count\":2,\"timeStamp\":1");
        free(text);
        if (clock_mono_ms() - begin > PATIENCE_MS)
            fail_msg("%s does not say that 2 messages are undecided", path);
    }
    restart();
    assert_int_equal(transaction_metrics_count(&f.b->transactions->metrics, STR_LIT("T")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_op_body),
        cmocka_unit_test_setup_teardown(test_half_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delayed_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timed_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_share_op_messages, setup_late, teardown),
        cmocka_unit_test_setup_teardown(test_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asked_in_vain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_immune, setup, teardown),
        cmocka_unit_test_setup_teardown(test_immunity_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_young_ones_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup_late, teardown),
        cmocka_unit_test_setup_teardown(test_lost_op_messages, setup_late, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_op_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_file, setup, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&record);
    return failed;
}
