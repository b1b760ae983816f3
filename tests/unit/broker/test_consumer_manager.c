#include "broker/client/consumer_manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct consumer_manager *m;
static struct producer_manager *p;
static struct arena arena;
static unsigned notices;
static char noticed[32];

static void on_change(void *arg, struct str group, struct net_ref conn)
{
    notices++;
    snprintf(noticed, sizeof noticed, "%.*s", STR_ARG(group));
}

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    m = consumer_manager_new();
    p = producer_manager_new();
    consumer_on_change(m, on_change, NULL);
    notices = 0;
    return m && p ? 0 : -1;
}

static int finish(void **state)
{
    consumer_manager_free(m);
    producer_manager_free(p);
    arena_free(&arena);
    return 0;
}

static struct net_ref conn(uint32_t slot)
{
    return (struct net_ref){NULL, slot, 1};
}

static struct consumer_client client(const char *id, uint32_t slot)
{
    return (struct consumer_client){
        .client_id = str_from(id), .conn = conn(slot), .version = 479, .last_update_ms = 1000};
}

static const struct json *subs(const char *text)
{
    return json_parse(&arena, str_from(text), NULL);
}

#define SUB(topic, expression, version)                                                                                \
    "{\"topic\":\"" topic "\",\"subString\":\"" expression "\",\"expressionType\":\"TAG\",\"subVersion\":" #version "}"

static bool join_as(const char *group, const char *id, uint32_t slot, enum message_model model, const char *text)
{
    struct consumer_client c = client(id, slot);
    struct consumer_group_info info = {CONSUME_PASSIVELY, model, STR_LIT("CONSUME_FROM_TIMESTAMP")};
    return consumer_register(m, str_from(group), &c, &info, text ? subs(text) : NULL, text != NULL);
}

static bool join(const char *group, const char *id, uint32_t slot, const char *text)
{
    return join_as(group, id, slot, MODEL_CLUSTERING, text);
}

static size_t members(const char *group)
{
    struct str *ids;
    size_t n;
    consumer_client_ids(m, str_from(group), &arena, &ids, &n);
    return n;
}

static int64_t version_of(const char *group, const char *topic)
{
    struct subscription *s = consumer_subscription(m, str_from(group), str_from(topic), NULL);
    int64_t v = s ? s->version : -1;
    subscription_release(s);
    return v;
}

/* ---- subscriptions ---- */

static struct subscription *parse(const char *expression)
{
    return subscription_parse(STR_LIT("T"), str_from(expression), STR_LIT("TAG"), 5);
}

static void test_expressions(void **state)
{
    struct subscription *s = parse("tag1 ||tag2|| || tag3");
    assert_non_null(s);
    assert_int_equal(s->code_count, 3);
    assert_true(str_eqz(s->tags[1], "tag2"));
    assert_int_equal(s->codes[0], 3552215); /* "tag1".hashCode() */
    assert_false(s->all);
    assert_true(subscription_matches_code(s, 3552216));
    assert_false(subscription_matches_code(s, 3552250));
    subscription_release(s);
    /* Hash codes are 32 bits wide; queue entries keep them sign-extended. "Aa" and "BB" have the same one. */
    s = parse("polygenelubricants");
    assert_true(subscription_matches_code(s, INT32_MIN));
    subscription_release(s);
    s = parse("Aa");
    assert_true(subscription_matches_code(s, 2112));
    subscription_release(s);
    s = parse("*");
    assert_true(s->all && subscription_matches_code(s, 77));
    subscription_release(s);
    s = parse("");
    assert_true(s->all);
    assert_true(str_eqz(s->expression, "*"));
    subscription_release(s);
    assert_null(parse("||"));
    s = subscription_parse(STR_LIT("T"), STR_LIT("a > 1"), STR_LIT("SQL92"), 5);
    assert_true(str_eqz(s->type, "SQL92"));
    assert_int_equal(s->code_count, 0);
    assert_true(subscription_matches_code(s, 1)); /* the code tells nothing */
    subscription_release(s);
    s = subscription_parse(STR_LIT("T"), STR_LIT("a"), STR_NULL, 5);
    assert_true(str_eqz(s->type, "TAG"));
    subscription_release(subscription_retain(s));
    assert_int_equal(s->version, 5);
    subscription_release(s);
    subscription_release(NULL);
}

/* What a client sends is written back as it came. */
static void test_written_as_sent(void **state)
{
    struct buf text = {0};
    struct jw w;
    join("g", "c1", 1,
         "[{\"classFilterMode\":false,\"codeSet\":[3552215,-5],\"expressionType\":\"TAG\",\"subString\":\"tag1||x\","
         "\"subVersion\":9,"
         "\"tagsSet\":[\"tag1\",\"x\"],\"topic\":\"T\"}]");
    struct subscription *s = consumer_subscription(m, STR_LIT("g"), STR_LIT("T"), NULL);
    assert_true(subscription_matches_code(s, -5));
    subscription_release(s);
    jw_init(&w, &text);
    jw_begin_object(&w);
    consumer_write_subscriptions(m, STR_LIT("g"), &w);
    jw_end_object(&w);
    buf_add_byte(&text, 0);
    assert_string_equal(
        (char *)text.data,
        "{\"T\":{\"classFilterMode\":false,\"codeSet\":[3552215,-5],\"expressionType\":\"TAG\",\"subString\":"
        "\"tag1||x\",\"subVersion\":9,\"tagsSet\":[\"tag1\",\"x\"],\"topic\":\"T\"}}");
    buf_free(&text);
}

/* ---- groups ---- */

static void test_join_and_leave(void **state)
{
    struct consumer_group_info info;
    assert_false(consumer_group_live(m, STR_LIT("g"), &info));
    assert_true(join("g", "c1", 1, "[" SUB("T", "*", 1) "]"));
    assert_int_equal(notices, 1);
    assert_false(join("g", "c1", 1, "[" SUB("T", "*", 1) "]"));
    assert_int_equal(notices, 1);
    assert_true(join("g", "c2", 2, "[" SUB("T", "*", 1) "]"));
    assert_int_equal(notices, 3); /* both are told */
    assert_string_equal(noticed, "g");
    assert_int_equal(members("g"), 2);
    assert_true(consumer_group_live(m, STR_LIT("g"), &info));
    assert_int_equal(info.model, MODEL_CLUSTERING);
    assert_true(str_eqz(info.from_where, "CONSUME_FROM_TIMESTAMP"));
    consumer_unregister(m, STR_LIT("g"), STR_LIT("c1"), conn(1));
    assert_int_equal(notices, 4);
    assert_int_equal(members("g"), 1);
    consumer_unregister(m, STR_LIT("g"), STR_LIT("c1"), conn(1));
    consumer_conn_closed(m, conn(2));
    assert_false(consumer_group_live(m, STR_LIT("g"), NULL));
    assert_int_equal(members("g"), 0);
    consumer_conn_closed(m, conn(2));
}

static void test_find(void **state)
{
    struct consumer_client c;
    join("g", "c1", 1, NULL);
    join("g", "c2", 2, NULL);
    assert_true(consumer_find(m, STR_LIT("g"), STR_LIT("c2"), &c, &arena));
    assert_int_equal(c.conn.slot, 2);
    assert_false(consumer_find(m, STR_LIT("g"), STR_LIT("c3"), &c, &arena));
    assert_false(consumer_find(m, STR_LIT("h"), STR_LIT("c2"), &c, &arena));
    /* The same connection under another name is the same member. */
    join("g", "c9", 2, NULL);
    assert_int_equal(members("g"), 2);
    assert_true(consumer_find(m, STR_LIT("g"), STR_LIT("c9"), &c, &arena));
}

static void test_one_connection_many_groups(void **state)
{
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "g%d", i);
        join(name, "c1", 1, NULL);
        join(name, "c2", 2, NULL);
    }
    notices = 0;
    consumer_conn_closed(m, conn(1));
    assert_int_equal(notices, 50);
    assert_int_equal(members("g7"), 1);
    consumer_conn_closed(m, conn(2));
    assert_int_equal(members("g7"), 0);
}

static void test_broadcasting_is_not_told(void **state)
{
    join_as("g", "c1", 1, MODEL_BROADCASTING, NULL);
    join_as("g", "c2", 2, MODEL_BROADCASTING, NULL);
    consumer_conn_closed(m, conn(1));
    assert_int_equal(notices, 0);
}

static void test_subscriptions_of_a_group(void **state)
{
    bool known;
    uint64_t generation = consumer_generation(m);
    assert_null(consumer_subscription(m, STR_LIT("g"), STR_LIT("T"), &known));
    assert_false(known);
    join("g", "c1", 1, "[" SUB("T", "a", 5) "," SUB("U", "*", 5) "]");
    assert_true(consumer_generation(m) != generation);
    assert_null(consumer_subscription(m, STR_LIT("g"), STR_LIT("V"), &known));
    assert_true(known);
    generation = consumer_generation(m);
    /* Only a newer version replaces one, and that is no change for the others. */
    assert_false(join("g", "c1", 1, "[" SUB("T", "b", 4) "," SUB("U", "*", 5) "]"));
    assert_int_equal(version_of("g", "T"), 5);
    assert_true(consumer_generation(m) == generation);
    assert_false(join("g", "c1", 1, "[" SUB("T", "b", 6) "," SUB("U", "*", 5) "]"));
    assert_int_equal(version_of("g", "T"), 6);
    assert_true(consumer_generation(m) != generation);
    /* What is left out is gone; without subscriptions nothing is. */
    assert_false(join("g", "c1", 1, NULL));
    assert_int_equal(version_of("g", "U"), 5);
    assert_true(join("g", "c1", 1, "[" SUB("T", "b", 6) "]"));
    assert_int_equal(version_of("g", "U"), -1);
    struct str *names;
    size_t n;
    consumer_groups_of_topic(m, STR_LIT("T"), &arena, &names, &n);
    assert_int_equal(n, 1);
    assert_true(str_eqz(names[0], "g"));
    consumer_groups_of_topic(m, STR_LIT("U"), &arena, &names, &n);
    assert_int_equal(n, 0);
    /* A retained one outlives its group. */
    struct subscription *s = consumer_subscription(m, STR_LIT("g"), STR_LIT("T"), NULL);
    consumer_conn_closed(m, conn(1));
    assert_int_equal(s->version, 6);
    subscription_release(s);
}

static void test_unreadable_subscriptions(void **state)
{
    assert_true(
        join("g", "c1", 1, "[{\"subString\":\"*\"},7,{\"topic\":\"T\",\"subString\":\"||\"}," SUB("U", "*", 1) "]"));
    assert_int_equal(version_of("g", "U"), 1);
    assert_int_equal(version_of("g", "T"), -1);
}

static void test_fingerprint(void **state)
{
    join("g", "c1", 1, "[" SUB("T", "*", 1) "]");
    assert_false(consumer_fingerprint(m, STR_LIT("g"), 7, false));
    assert_false(consumer_fingerprint(m, STR_LIT("g"), 7, true));
    assert_true(consumer_fingerprint(m, STR_LIT("g"), 8, false));
    /* A broker that was restarted does not know what is not sent. */
    join("h", "c1", 1, NULL);
    assert_true(consumer_fingerprint(m, STR_LIT("h"), 7, true));
    assert_false(consumer_fingerprint(m, STR_LIT("none"), 7, true));
}

static void test_expiry(void **state)
{
    struct consumer_client fresh = client("c2", 2);
    struct consumer_group_info info = {CONSUME_PASSIVELY, MODEL_CLUSTERING, STR_NULL};
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "g%d", i);
        join(name, "c1", 1, NULL);
    }
    fresh.last_update_ms = 100000;
    consumer_register(m, STR_LIT("g3"), &fresh, &info, NULL, false);
    consumer_expire(m, 121000, 120000);
    assert_int_equal(members("g3"), 2);
    consumer_expire(m, 121001, 120000);
    assert_int_equal(members("g3"), 1);
    assert_int_equal(members("g4"), 0);
    assert_false(consumer_group_live(m, STR_LIT("g4"), NULL));
}

/* ---- producers ---- */

static void produce(const char *group, const char *id, uint32_t slot)
{
    struct consumer_client c = client(id, slot);
    producer_register(p, str_from(group), &c);
}

static size_t producers(const char *group)
{
    struct consumer_client *clients;
    size_t n;
    producer_clients(p, str_from(group), &arena, &clients, &n);
    return n;
}

static void test_producers(void **state)
{
    struct net_ref ref, first;
    struct str *names;
    size_t n;
    assert_false(producer_pick(p, STR_LIT("P"), &ref));
    produce("P", "c1", 1);
    produce("P", "c1", 1);
    produce("P", "c2", 2);
    produce("Q", "c1", 1);
    assert_int_equal(producers("P"), 2);
    producer_groups(p, &arena, &names, &n);
    assert_int_equal(n, 2);
    assert_true(producer_pick(p, STR_LIT("P"), &first));
    assert_true(producer_pick(p, STR_LIT("P"), &ref));
    assert_int_not_equal(first.slot, ref.slot); /* in turn */
    assert_true(producer_conn_of_client(p, STR_LIT("c1"), &ref));
    assert_int_equal(ref.slot, 1);
    /* Known until the last of its groups is gone. */
    producer_unregister(p, STR_LIT("P"), STR_LIT("c1"), conn(1));
    assert_true(producer_conn_of_client(p, STR_LIT("c1"), &ref));
    producer_conn_closed(p, conn(1));
    assert_false(producer_conn_of_client(p, STR_LIT("c1"), &ref));
    assert_int_equal(producers("P"), 1);
    assert_int_equal(producers("Q"), 0);
    assert_false(producer_pick(p, STR_LIT("Q"), &ref));
}

/* A client that came back on a new connection is not forgotten when the old one closes. */
static void test_producer_reconnects(void **state)
{
    struct net_ref ref;
    produce("P", "c1", 1);
    produce("P", "c1", 2);
    producer_conn_closed(p, conn(1));
    assert_true(producer_conn_of_client(p, STR_LIT("c1"), &ref));
    assert_int_equal(ref.slot, 2);
}

static void test_producer_expiry(void **state)
{
    struct net_ref ref;
    produce("P", "c1", 1);
    producer_expire(p, 121000, 120000);
    assert_int_equal(producers("P"), 1);
    producer_expire(p, 121001, 120000);
    assert_int_equal(producers("P"), 0);
    assert_false(producer_conn_of_client(p, STR_LIT("c1"), &ref));
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 2000 };

static void *churn(void *arg)
{
    uint32_t slot = *(uint32_t *)arg;
    char id[16];
    struct arena a = {0};
    const struct json *list = json_parse(&a, STR_LIT("[" SUB("T", "a||b", 1) "]"), NULL);
    snprintf(id, sizeof id, "c%u", slot);
    for (int i = 0; i < ROUNDS; i++) {
        struct consumer_client c = client(id, slot);
        struct consumer_group_info info = {CONSUME_PASSIVELY, MODEL_CLUSTERING, STR_NULL};
        consumer_register(m, STR_LIT("g"), &c, &info, list, true);
        producer_register(p, STR_LIT("P"), &c);
        struct subscription *s = consumer_subscription(m, STR_LIT("g"), STR_LIT("T"), NULL);
        if (s == NULL || !subscription_matches_code(s, 'a'))
            return m;
        subscription_release(s);
        consumer_conn_closed(m, conn(slot));
        producer_conn_closed(p, conn(slot));
    }
    arena_free(&a);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    uint32_t slots[THREADS];
    consumer_on_change(m, NULL, NULL);
    for (uint32_t i = 0; i < THREADS; i++) {
        slots[i] = i;
        pthread_create(&threads[i], NULL, churn, &slots[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    assert_false(consumer_group_live(m, STR_LIT("g"), NULL));
    assert_int_equal(producers("P"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expressions, start, finish),
        cmocka_unit_test_setup_teardown(test_written_as_sent, start, finish),
        cmocka_unit_test_setup_teardown(test_join_and_leave, start, finish),
        cmocka_unit_test_setup_teardown(test_find, start, finish),
        cmocka_unit_test_setup_teardown(test_one_connection_many_groups, start, finish),
        cmocka_unit_test_setup_teardown(test_broadcasting_is_not_told, start, finish),
        cmocka_unit_test_setup_teardown(test_subscriptions_of_a_group, start, finish),
        cmocka_unit_test_setup_teardown(test_unreadable_subscriptions, start, finish),
        cmocka_unit_test_setup_teardown(test_fingerprint, start, finish),
        cmocka_unit_test_setup_teardown(test_expiry, start, finish),
        cmocka_unit_test_setup_teardown(test_producers, start, finish),
        cmocka_unit_test_setup_teardown(test_producer_reconnects, start, finish),
        cmocka_unit_test_setup_teardown(test_producer_expiry, start, finish),
        cmocka_unit_test_setup_teardown(test_threads, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
