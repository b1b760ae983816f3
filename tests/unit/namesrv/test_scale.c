/* Many topics, and lookups on every loop while the tables change. */
#include "ns_fixture.h"

#include "os/thread.h"
#include <stdatomic.h>

enum { TOPICS = 10000 };

static const struct ns_broker broker = {.name = "b1", .addr = "10.0.0.1:10911", .id = "0"};

static void many_topics_body(struct buf *out, int count, int counter)
{
    buf_clear(out);
    buf_printf(out, "{\"topicConfigSerializeWrapper\":{\"dataVersion\":{\"counter\":%d},\"topicConfigTable\":{",
               counter);
    for (int i = 0; i < count; i++)
        buf_printf(out, "%s\"topic-%05d\":{\"topicName\":\"topic-%05d\",\"readQueueNums\":8,\"writeQueueNums\":%d}",
                   i ? "," : "", i, i, counter);
    buf_add_lit(out, "}}}");
}

/* Ten thousand topics come one by one, each with a registration of its own, as a broker sends them on creation. */
static void topics_come_one_by_one(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    char name[32];
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    ns_register_topics(fd, &r, &broker, "", 0);
    int64_t begin = clock_mono_ms();
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof name, "topic-%05d", i);
        assert_int_equal(ns_register_topics(fd, &r, &broker, name, i + 1), RESP_SUCCESS);
    }
    int64_t ms = clock_mono_ms() - begin;
    assert_int_equal(ns_route(fd, &r, "topic-09999"), RESP_SUCCESS);
    print_message("%d registrations of one topic: %lld ms\n", TOPICS, (long long)ms);
    /* 1 ms each would be a hundred times what it takes; a table searched from end to end takes longer. */
    assert_true(ms < 30000);
    close(fd);
    ns_reply_free(&r);
    ns_stop(&f);
}

static void all_topics_come_again_and_again(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    struct buf body = {0};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    int64_t begin = clock_mono_ms();
    for (int i = 1; i <= 20; i++) {
        /* every second time with a new version */
        many_topics_body(&body, TOPICS, (i + 1) / 2);
        assert_int_equal(ns_register(fd, &r, &broker, buf_str(&body)), RESP_SUCCESS);
        assert_int_equal(ns_route(fd, &r, "topic-05000"), RESP_SUCCESS);
        char expected[32];
        snprintf(expected, sizeof expected, "\"writeQueueNums\":%d}", (i + 1) / 2);
        assert_non_null(strstr(r.body, expected));
    }
    int64_t ms = clock_mono_ms() - begin;
    print_message("20 registrations of %d topics: %lld ms\n", TOPICS, (long long)ms);
    assert_true(ms < 30000);
    close(fd);
    buf_free(&body);
    ns_reply_free(&r);
    ns_stop(&f);
}

struct looker {
    struct ns_fixture *f;
    atomic_bool *done;
    struct thread thread;
    int answers, routes;
    bool bad;
};

static void look(void *arg)
{
    struct looker *l = arg;
    struct ns_reply r = {0};
    int fd = ns_connect(l->f);
    while (!atomic_load(l->done)) {
        char topic[32];
        snprintf(topic, sizeof topic, "topic-%05d", l->answers % 50);
        int code = ns_route(fd, &r, topic);
        /* whole answers only: found with the broker, or not found */
        if (code == RESP_SUCCESS)
            l->bad |= strstr(r.body, "\"brokerAddrs\":{\"0\":\"10.0.0.1:10911\"}") == NULL;
        else
            l->bad |= code != RESP_TOPIC_NOT_EXIST;
        l->routes += code == RESP_SUCCESS;
        l->answers++;
    }
    ns_reply_free(&r);
    close(fd);
}

static void lookups_run_while_the_tables_change(void **state)
{
    struct ns_fixture f;
    struct ns_reply r = {0};
    struct buf body = {0};
    atomic_bool done = false;
    struct looker lookers[4] = {{0}};
    ns_start(&f, NULL);
    int fd = ns_connect(&f);
    for (int i = 0; i < 4; i++) {
        lookers[i] = (struct looker){.f = &f, .done = &done};
        assert_int_equal(thread_start(&lookers[i].thread, "looker", look, &lookers[i]), 0);
    }
    for (int i = 1; i <= 60; i++) {
        many_topics_body(&body, 50, i);
        assert_int_equal(ns_register(fd, &r, &broker, buf_str(&body)), RESP_SUCCESS);
        ns_ask(fd, &r, REQ_WIPE_WRITE_PERM_OF_BROKER, NS_FIELDS("brokerName", "b1"));
        if (i % 10 == 0)
            ns_ask(fd, &r, REQ_UNREGISTER_BROKER,
                   NS_FIELDS("brokerName", "b1", "brokerAddr", broker.addr, "clusterName", "C", "brokerId", "0"));
        if (i % 7 == 0)
            ns_ask(fd, &r, REQ_DELETE_TOPIC_IN_NAMESRV, NS_FIELDS("topic", "topic-00007"));
        ns_ask(fd, &r, REQ_PUT_KV_CONFIG,
               NS_FIELDS("namespace", "ORDER_TOPIC_CONFIG", "key", "topic-00001", "value", "b1:4"));
        usleep(2000);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 4; i++) {
        thread_join(&lookers[i].thread);
        assert_true(lookers[i].routes > 0);
        assert_false(lookers[i].bad);
    }
    close(fd);
    buf_free(&body);
    ns_reply_free(&r);
    ns_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_come_one_by_one),
        cmocka_unit_test(all_topics_come_again_and_again),
        cmocka_unit_test(lookups_run_while_the_tables_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
