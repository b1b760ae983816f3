/* Consumers far behind beside new messages: they are held back, get everything in its order all the same, and may go.
 */
#include "broker/broker_loop.h"
#include "unit/broker/broker_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BACKLOG = 20000, PRODUCERS = 2, GOERS = 8 };

static struct fixture f;
static struct client *c;
static atomic_bool over;

static void start(const char *share)
{
    fixture_start(&f, (const char *const[]){"catchUpShare", share, NULL});
    c = client_new(&f);
    make_topic(c, "Old", "1");
    make_topic(c, "New", "1");
    struct topic *t = topic_find(f.b->topics, STR_LIT("Old"));
    for (int i = 0; i < BACKLOG; i++) {
        char body[120];
        struct put_result r;
        snprintf(body, sizeof body, "%0100d", i);
        struct msg m = {.body = str_from(body), .born_host.addr_len = 4, .store_host.addr_len = 4};
        assert_int_equal(broker_put(f.b, t, &m, &r), PUT_OK);
    }
}

static void stop(void)
{
    client_free(c);
    fixture_stop(&f);
}

/* On both loops, so that each has something new. */
static void *produce(void *arg)
{
    struct client *mine = arg;
    while (!atomic_load(&over))
        send_message(mine, "New", "0", "TAGS\x01t", "new");
    return NULL;
}

static const char *const *pull_fields(char offset[24], int64_t at)
{
    static const char *fields[] = {"consumerGroup",
                                   "g",
                                   "topic",
                                   "Old",
                                   "queueId",
                                   "0",
                                   "queueOffset",
                                   "",
                                   "maxMsgNums",
                                   "32",
                                   "sysFlag",
                                   "4",
                                   "commitOffset",
                                   "0",
                                   "suspendTimeoutMillis",
                                   "0",
                                   "subVersion",
                                   "0",
                                   "subscription",
                                   "*",
                                   NULL};
    snprintf(offset, 24, "%lld", (long long)at);
    fields[7] = offset;
    return fields;
}

static void read_backlog(void)
{
    char offset[24];
    for (int64_t at = 0; at < BACKLOG;) {
        struct msg_view v;
        assert_int_equal(client_ask(c, REQ_PULL_MESSAGE, STR_NULL, pull_fields(offset, at)), RESP_SUCCESS);
        struct str body = c->answer.body;
        assert_true(body.len > 0);
        for (; body.len; body = str_skip(body, v.size), at++) {
            char wanted[160];
            assert_int_equal(msg_decode((const uint8_t *)body.ptr, body.len, &v), MSG_OK);
            snprintf(wanted, sizeof wanted, "%0100d", (int)at);
            assert_true(str_eqz(v.m.body, wanted));
        }
    }
}

static int64_t waits(void)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < f.pool.count; i++)
        sum += atomic_load(&f.b->loops[i]->catch_up.waits);
    return sum;
}

static int64_t waits_beside_producers(void)
{
    struct client *mine[PRODUCERS];
    pthread_t threads[PRODUCERS];
    atomic_store(&over, false);
    for (int i = 0; i < PRODUCERS; i++) {
        mine[i] = client_new(&f);
        assert_int_equal(pthread_create(&threads[i], NULL, produce, mine[i]), 0);
    }
    usleep(20000);
    read_backlog();
    /* Some go while their pulls wait. */
    for (int i = 0; i < GOERS; i++) {
        char offset[24];
        struct client *goer = client_new(&f);
        for (int k = 0; k < 20; k++)
            client_send(goer, REQ_PULL_MESSAGE, STR_NULL, pull_fields(offset, 32 * k));
        client_free(goer);
    }
    read_backlog();
    atomic_store(&over, true);
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        client_free(mine[i]);
    }
    return waits();
}

static void test_waits_beside_new_messages(void **state)
{
    start("1");
    read_backlog();
    assert_int_equal(waits(), 0); /* nothing is new: no reason to wait */
    int rounds = 0;
    while (waits_beside_producers() == 0) /* on a slow machine little comes in meanwhile */
        assert_true(++rounds < 20);
    stop();
}

static void test_no_limit(void **state)
{
    start("100");
    assert_int_equal(waits_beside_producers(), 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_beside_new_messages),
        cmocka_unit_test(test_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
