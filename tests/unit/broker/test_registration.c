/* The registration, seen from a name server that only writes down what it is told. */
#include "unit/broker/broker_fixture.h"

#include "base/crc.h"
#include "base/map.h"
#include "os/clock.h"
#include "remoting/body/topic_config_register.h"
#include "remoting/headers_namesrv.h"
#include "unit/patience.h"
#include <pthread.h>

struct namesrv_double {
    struct net_pool pool;
    struct rem_server *server;
    struct net_listener *listener;
    uint16_t port;
    pthread_mutex_t lock;
    struct map topics; /* name -> 1 + write queues */
    int perm;          /* of TBW102 */
    int registrations, unregistrations, refusals;
    size_t last_topics;
    struct data_version version;
    bool bad_crc;
    int64_t hold_ms;
    char broker_addr[64], ha_addr[64];
};

static struct namesrv_double ns;

static void handle_register(struct rem_request *rq, const void *header)
{
    const struct register_broker_req *h = header;
    struct register_broker_body body;
    struct err err;
    if (ns.hold_ms)
        usleep((useconds_t)ns.hold_ms * 1000);
    pthread_mutex_lock(&ns.lock);
    bool good =
        register_broker_body_read(rem_arena(rq), rem_body(rq), h->compressed, rem_cmd(rq)->version, &body, &err) == 0;
    ns.bad_crc |= !good || (uint32_t)h->body_crc32 != crc32_message(rem_body(rq).ptr, rem_body(rq).len);
    /* As the real one: a broker that is not known yet cannot begin with a single topic. */
    bool refused = ns.topics.count == 0 && body.topics.topic_count == 1;
    for (size_t i = 0; good && !refused && i < body.topics.topic_count; i++) {
        const struct topic_config *t = &body.topics.topics[i];
        if (str_eqz(t->name, "TBW102"))
            ns.perm = t->perm;
        bool taken = !data_version_eq(&ns.version, &body.topics.data_version) || map_get(&ns.topics, t->name) == NULL;
        if (taken)
            map_put(&ns.topics, t->name, (void *)(intptr_t)(1 + t->write_queue_nums), NULL);
    }
    ns.refusals += refused;
    ns.registrations++;
    ns.last_topics = body.topics.topic_count;
    ns.version = body.topics.data_version;
    snprintf(ns.broker_addr, sizeof ns.broker_addr, "%.*s", STR_ARG(h->broker_addr));
    snprintf(ns.ha_addr, sizeof ns.ha_addr, "%.*s", STR_ARG(h->ha_server_addr));
    pthread_mutex_unlock(&ns.lock);
    if (refused)
        rem_reply(rq, RESP_SYSTEM_ERROR, "register broker failed");
    else
        rem_reply_body(rq, RESP_SUCCESS,
                       STR_LIT("{\"table\":{\"Ordered\":\"broker-a:4\",\"Unknown\":\"broker-a:1\"}}"));
}

static void handle_unregister(struct rem_request *rq, const void *header)
{
    pthread_mutex_lock(&ns.lock);
    ns.unregistrations++;
    pthread_mutex_unlock(&ns.lock);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static const struct rem_op ops[] = {
    {REQ_REGISTER_BROKER, "REGISTER_BROKER", &register_broker_req_schema, handle_register, REM_LANE_LOOP, 0, 0},
    {REQ_UNREGISTER_BROKER, "UNREGISTER_BROKER", &broker_identity_req_schema, handle_unregister, REM_LANE_LOOP, 0, 0},
};

/* port 0: any */
static void ns_begin(uint16_t port)
{
    struct err err;
    struct rem_server_conf conf = {.what = "double"};
    assert_int_equal(net_pool_init(&ns.pool, 1, &err), 0);
    ns.server = rem_server_new(&conf, ops, sizeof ops / sizeof ops[0], &err);
    assert_non_null(ns.server);
    if (net_listen(&ns.listener, &ns.pool, STR_LIT("127.0.0.1"), port, rem_server_protocol(ns.server), ns.server,
                   &err) < 0)
        fail_msg("%s", err.text);
    ns.port = net_listener_port(ns.listener);
    assert_int_equal(net_pool_start(&ns.pool, &err), 0);
}

static void ns_end(void)
{
    net_listener_stop(ns.listener);
    net_pool_stop(&ns.pool);
    net_listener_free(ns.listener);
    rem_server_free(ns.server);
    net_pool_free(&ns.pool);
}

static void forget(void)
{
    pthread_mutex_lock(&ns.lock);
    map_free(&ns.topics, NULL);
    ns.topics = (struct map){0};
    ns.version = (struct data_version){0};
    ns.registrations = ns.unregistrations = ns.refusals = 0;
    pthread_mutex_unlock(&ns.lock);
}

static int queues(const char *topic)
{
    pthread_mutex_lock(&ns.lock);
    int n = (int)(intptr_t)map_get(&ns.topics, str_from(topic)) - 1;
    pthread_mutex_unlock(&ns.lock);
    return n;
}

static int registrations(void)
{
    pthread_mutex_lock(&ns.lock);
    int n = ns.registrations;
    pthread_mutex_unlock(&ns.lock);
    return n;
}

#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        AWAIT(condition);                                                                                              \
        if (!(condition))                                                                                              \
            fail_msg("never: %s", #condition);                                                                         \
    } while (0)

static struct fixture f;

static void broker_begin(const char *key, const char *value)
{
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", ns.port);
    fixture_start(&f, (const char *const[]){"namesrvAddr", address, key, value, NULL});
}

static int setup(void **state)
{
    log_set_level(LOG_ERROR);
    pthread_mutex_init(&ns.lock, NULL);
    ns.hold_ms = 0;
    ns.bad_crc = false;
    forget();
    ns_begin(0);
    return 0;
}

static int teardown(void **state)
{
    ns_end();
    forget();
    pthread_mutex_destroy(&ns.lock);
    return 0;
}

static struct topic *put(const char *name, int n)
{
    struct err err;
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    c.read_queue_nums = c.write_queue_nums = n;
    struct topic *t = topic_put(f.b->topics, &c, &err);
    assert_non_null(t);
    return t;
}

static void test_full_at_start(void **state)
{
    char ha[64];
    broker_begin(NULL, NULL);
    /* When the broker has started, clients find it. */
    assert_int_equal(registrations(), 1);
    assert_int_equal(queues("SCHEDULE_TOPIC_XXXX"), 18);
    assert_int_equal(queues("TBW102"), 8);
    assert_false(ns.bad_crc);
    assert_string_equal(ns.broker_addr, broker_address(f.b));
    snprintf(ha, sizeof ha, "127.0.0.1:%d", f.store_conf.haListenPort);
    assert_string_equal(ns.ha_addr, ha);
    fixture_stop(&f);
    assert_int_equal(ns.unregistrations, 1);
}

/* A topic is in the routes when its creation is answered. */
static void test_new_topics_at_once(void **state)
{
    char name[16];
    int late = 0;
    broker_begin(NULL, NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "T%d", i);
        put(name, 1 + i % 7);
        late += queues(name) != 1 + i % 7; /* a machine with other work may be slow now and then */
        WAIT_UNTIL(queues(name) == 1 + i % 7);
    }
    assert_true(late < 20);
    assert_int_equal(ns.last_topics, 1);
    /* And so is a change, even though no queue is new. */
    put("T5", 30);
    WAIT_UNTIL(queues("T5") == 30);
    assert_false(ns.bad_crc);
    assert_int_equal(ns.refusals, 0);
    fixture_stop(&f);
}

static void test_many_in_few_registrations(void **state)
{
    enum { MANY = 10000 };
    static struct topic_config list[MANY];
    static char names[MANY][16];
    struct err err;
    broker_begin(NULL, NULL);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "M%d", i);
        list[i] = TOPIC_CONFIG_DEFAULT(str_from(names[i]));
    }
    assert_int_equal(topic_put_many(f.b->topics, list, MANY, &err), 0);
    WAIT_UNTIL(queues("M9999") == 16);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(queues(names[i]), 16);
    assert_true(registrations() <= 6);
    fixture_stop(&f);
}

/* While one registration is under way, changes gather and go together. */
static void test_changes_gather(void **state)
{
    char name[16];
    broker_begin(NULL, NULL);
    ns.hold_ms = 400; /* longer than a change waits for its registration */
    int before = registrations();
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "T%d", i);
        put(name, 3); /* is not held up by a slow name server for long */
    }
    WAIT_UNTIL(queues("T99") == 3);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "T%d", i);
        assert_int_equal(queues(name), 3);
    }
    assert_true(registrations() - before <= 20);
    ns.hold_ms = 0;
    fixture_stop(&f);
}

static void test_name_server_comes_back(void **state)
{
    broker_begin(NULL, NULL);
    put("Early", 2);
    uint16_t port = ns.port;
    ns_end();
    forget();
    put("Meanwhile", 2);
    usleep(50000);
    ns_begin(port);
    WAIT_UNTIL(queues("Meanwhile") == 2);
    assert_int_equal(queues("Early"), 2);
    assert_int_equal(queues("TBW102"), 8);
    put("Later", 3);
    WAIT_UNTIL(queues("Later") == 3);
    fixture_stop(&f);
}

/* Nothing but the connection broke: a name server forgets a broker with it. */
static void test_connection_breaks(void **state)
{
    broker_begin(NULL, NULL);
    uint16_t port = ns.port;
    ns_end();
    forget();
    ns_begin(port);
    WAIT_UNTIL(queues("TBW102") == 8);
    fixture_stop(&f);
}

/* A name server that lost what it knew refuses the one new topic; then it gets all. */
static void test_refused(void **state)
{
    broker_begin(NULL, NULL);
    forget();
    put("One", 2);
    WAIT_UNTIL(queues("One") == 2);
    assert_int_equal(queues("TBW102"), 8);
    assert_int_equal(ns.refusals, 1);
    fixture_stop(&f);
}

/* A broker starts without its name servers, and a dead one does not slow it down. */
static void test_name_server_comes_late(void **state)
{
    uint16_t port = ns.port;
    ns_end();
    int64_t begin = clock_mono_ms();
    broker_begin(NULL, NULL);
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "T%d", i);
        put(name, 1);
    }
    assert_true(clock_mono_ms() - begin < 2000);
    ns_begin(port);
    WAIT_UNTIL(queues("T49") == 1);
    assert_int_equal(queues("TBW102"), 8);
    fixture_stop(&f);
}

/* Two servers of which one is not there. */
static void test_one_of_two(void **state)
{
    char addresses[100];
    snprintf(addresses, sizeof addresses, "127.0.0.1:1; 127.0.0.1:%u ;", ns.port);
    fixture_start(&f, (const char *const[]){"namesrvAddr", addresses, NULL});
    put("T", 2);
    WAIT_UNTIL(queues("T") == 2);
    fixture_stop(&f);
}

static void test_order_topics(void **state)
{
    broker_begin(NULL, NULL);
    struct topic *ordered = put("Ordered", 4), *other = put("Other", 4);
    put("Last", 1);
    WAIT_UNTIL(atomic_load(&ordered->order));
    assert_false(atomic_load(&other->order));
    fixture_stop(&f);
}

static void test_pieces(void **state)
{
    char name[16];
    fixture_start(&f, NULL); /* without name servers: only to have topics */
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "T%d", i);
        put(name, 2);
    }
    f.conf.split_registration = true;
    f.conf.split_registration_size = 10;
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", ns.port);
    f.conf.namesrv_addr = strdup(address);
    struct err err;
    struct registration *r = registration_new(f.b);
    assert_int_equal(registration_start(r, &err), 0);
    WAIT_UNTIL(registrations() >= 6);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "T%d", i);
        assert_int_equal(queues(name), 2);
    }
    assert_true(ns.last_topics >= 2);
    registration_free(r);
    fixture_stop(&f);
}

static void test_permission_is_masked(void **state)
{
    broker_begin("brokerPermission", "4");
    assert_int_equal(ns.perm, PERM_READ);
    fixture_stop(&f);
}

static void test_bad_addresses(void **state)
{
    static const char *const bad[] = {"localhost", "localhost:", ":9876", "localhost:99999", "127.0.0.1:9876;x"};
    fixture_start(&f, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        struct registration *r = registration_new(f.b);
        f.conf.namesrv_addr = strdup(bad[i]);
        assert_int_equal(registration_start(r, &err), -1);
        assert_non_null(strstr(err.text, "namesrvAddr"));
        registration_free(r);
        free(f.conf.namesrv_addr);
        f.conf.namesrv_addr = NULL;
    }
    fixture_stop(&f);
}

static void test_all_soon(void **state)
{
    broker_begin(NULL, NULL);
    int before = registrations();
    struct data_version version = ns.version;
    registration_all_soon(f.b->registration);
    WAIT_UNTIL(registrations() > before);
    assert_false(data_version_eq(&version, &ns.version)); /* so that nothing of it is skipped */
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_at_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_topics_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_in_few_registrations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_gather, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_server_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_breaks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_server_comes_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_topics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_permission_is_masked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_soon, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
