#include "broker/topic/topic_manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "unit/patience.h"
#include "unit/store/tmpdir.h"
#include <pthread.h>
#include <unistd.h>

static struct tmpdir dir;
static struct topic_manager *m;
static struct err err;
static size_t notices, noticed;

static void on_change(void *arg, struct topic *const *changed, size_t n)
{
    notices++;
    noticed += n;
    for (size_t i = 0; i < n; i++)
        assert_false(atomic_load(&changed[i]->deleted));
}

static void open_manager(void)
{
    m = topic_manager_new(NULL, dir.path);
    assert_non_null(m);
    if (topic_manager_load(m, &err) < 0)
        fail_msg("%s", err.text);
    topic_manager_on_change(m, on_change, NULL);
}

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    tmpdir_make(&dir);
    open_manager();
    notices = noticed = 0;
    return 0;
}

static int finish(void **state)
{
    topic_manager_free(m);
    tmpdir_remove(&dir);
    return 0;
}

static void again(void)
{
    assert_int_equal(topic_persist(m, &err), 0);
    topic_manager_free(m);
    open_manager();
}

static struct topic *put(const char *name, int queues)
{
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    c.read_queue_nums = c.write_queue_nums = queues;
    return topic_put(m, &c, &err);
}

static struct topic *find(const char *name)
{
    return topic_find(m, str_from(name));
}

static void test_put_and_find(void **state)
{
    uint64_t generation = topics_generation(m);
    assert_null(find("T"));
    struct topic *t = put("T", 4);
    assert_non_null(t);
    assert_ptr_equal(find("T"), t);
    assert_string_equal(t->name.ptr, "T");
    assert_int_equal(atomic_load(&t->write_queues), 4);
    assert_int_equal(atomic_load(&t->perm), 6);
    assert_true(topics_generation(m) != generation);
    assert_int_equal(topic_version(m).counter, 1);
    assert_int_equal(notices, 1);
    /* The same once more changes nothing. */
    generation = topics_generation(m);
    assert_ptr_equal(put("T", 4), t);
    assert_int_equal(topic_version(m).counter, 1);
    assert_int_equal(notices, 1);
    assert_ptr_equal(put("T", 8), t);
    assert_int_equal(atomic_load(&t->read_queues), 8);
    assert_int_equal(topic_version(m).counter, 2);
    assert_true(topics_generation(m) == generation);
}

static void test_refused(void **state)
{
    char name[300];
    memset(name, 'a', sizeof name);
    name[128] = '\0';
    assert_null(put("a b", 1));
    assert_non_null(strstr(err.text, "a b"));
    assert_null(put("", 1));
    assert_null(put(name, 1));
    assert_null(put("T", -1));
    assert_null(put("T", 65537));
    assert_null(find("T"));
    memcpy(name, "%RETRY%", 7);
    assert_non_null(put(name, 1));
    name[128] = 'a';
    name[256] = '\0';
    assert_null(put(name, 1));
    assert_int_equal(topic_version(m).counter, 1);
}

static void test_delete_and_come_back(void **state)
{
    struct topic *t = put("T", 4);
    uint64_t generation = topics_generation(m);
    assert_true(topic_delete(m, STR_LIT("T")));
    assert_false(topic_delete(m, STR_LIT("T")));
    assert_null(find("T"));
    assert_true(atomic_load(&t->deleted));
    assert_true(topics_generation(m) != generation);
    /* Whoever kept the pointer sees the topic that came back. */
    assert_ptr_equal(put("T", 2), t);
    assert_false(atomic_load(&t->deleted));
    assert_int_equal(atomic_load(&t->write_queues), 2);
    topic_delete(m, STR_LIT("T"));
    again();
    assert_null(find("T"));
}

static void test_ensure(void **state)
{
    struct topic *t = topic_ensure(m, STR_LIT("%RETRY%g"), 1, PERM_READ | PERM_WRITE, TOPIC_FLAG_UNIT_SUB, &err);
    assert_non_null(t);
    assert_true(t->retry && !t->dlq && !t->system);
    assert_int_equal(atomic_load(&t->sys_flag), TOPIC_FLAG_UNIT_SUB);
    assert_ptr_equal(topic_ensure(m, STR_LIT("%RETRY%g"), 9, PERM_READ, 0, &err), t);
    assert_int_equal(atomic_load(&t->write_queues), 1);
    assert_int_equal(notices, 1);
    assert_true(topic_ensure(m, STR_LIT("%DLQ%g"), 1, PERM_READ | PERM_WRITE, 0, &err)->dlq);
    assert_null(topic_ensure(m, STR_LIT("a/b"), 1, 6, 0, &err));
}

static void create_system(bool auto_create)
{
    assert_int_equal(topic_create_system(m, "Cluster", "broker-a", 8, auto_create, true, false, &err), 0);
}

static void test_system_topics(void **state)
{
    create_system(true);
    assert_int_equal(atomic_load(&find("TBW102")->perm), 7);
    assert_int_equal(atomic_load(&find("TBW102")->write_queues), 8);
    assert_int_equal(atomic_load(&find("SCHEDULE_TOPIC_XXXX")->write_queues), 18);
    assert_int_equal(atomic_load(&find("BenchmarkTest")->write_queues), 1024);
    assert_int_equal(atomic_load(&find("Cluster")->perm), 7);
    assert_int_equal(atomic_load(&find("broker-a")->perm), 1);
    assert_true(find("Cluster_REPLY_TOPIC")->system);
    assert_true(topic_is_system(m, STR_LIT("rmq_sys_REVIVE_LOG_Cluster")));
    assert_true(topic_is_system(m, STR_LIT("broker-a")));
    assert_false(topic_is_system(m, STR_LIT("T")));
    assert_true(topic_send_forbidden(STR_LIT("SCHEDULE_TOPIC_XXXX")));
    assert_false(topic_send_forbidden(STR_LIT("BenchmarkTest")));
    /* They are no change: nobody is told, and the file is left alone. */
    assert_int_equal(notices, 0);
    assert_int_equal(topic_version(m).counter, 0);
    /* What an operator changed of them stays. */
    put("BenchmarkTest", 16);
    again();
    create_system(true);
    assert_int_equal(atomic_load(&find("BenchmarkTest")->write_queues), 16);
}

static struct topic *auto_create(const char *name, const char *by, int queues)
{
    return topic_auto_create(m, str_from(name), str_from(by), queues, false, 8);
}

static void test_auto_create(void **state)
{
    create_system(true);
    struct topic *t = auto_create("New", "TBW102", 4);
    assert_non_null(t);
    assert_int_equal(atomic_load(&t->write_queues), 4);
    assert_int_equal(atomic_load(&t->perm), 6);
    assert_ptr_equal(auto_create("New", "TBW102", 9), t);
    assert_int_equal(atomic_load(&auto_create("Many", "TBW102", 100)->write_queues), 8);
    assert_int_equal(notices, 2);
    assert_null(auto_create("Other", "New", 4)); /* no permission to inherit */
    assert_null(auto_create("Other", "Nope", 4));
    assert_null(topic_auto_create(m, STR_LIT("Other"), STR_NULL, 4, false, 8));
    assert_null(auto_create("a b", "TBW102", 4));
    assert_int_equal(atomic_load(&topic_auto_create(m, STR_LIT("U"), STR_LIT("Cluster"), 1, true, 8)->sys_flag),
                     TOPIC_FLAG_UNIT);
}

static void test_auto_create_switched_off(void **state)
{
    create_system(true);
    topic_set_auto_create(m, false);
    assert_null(auto_create("New", "TBW102", 4));
    assert_int_equal(atomic_load(&find("TBW102")->perm), 6);
    assert_non_null(auto_create("New", "Cluster", 4));
}

static void test_no_auto_create(void **state)
{
    create_system(false);
    assert_null(find("TBW102"));
    assert_null(auto_create("New", "TBW102", 4));
}

static int put_attributes(const char *name, const struct topic_attribute *attributes, size_t n)
{
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    c.attributes = attributes;
    c.attribute_count = n;
    return topic_put(m, &c, &err) ? 0 : -1;
}

#define ATTRIBUTE(k, v) ((struct topic_attribute){STR_LIT(k), STR_LIT(v)})
#define PUT(name, ...)                                                                                                 \
    put_attributes(name, (const struct topic_attribute[]){__VA_ARGS__},                                                \
                   sizeof(const struct topic_attribute[]){__VA_ARGS__} / sizeof(struct topic_attribute))

static struct str attribute(const char *name, const char *key)
{
    static struct arena a;
    struct topic_config c;
    assert_true(topic_config_of(m, str_from(name), &a, &c));
    return topic_attribute_get(&c, str_from(key));
}

static void test_attributes(void **state)
{
    assert_int_equal(PUT("T", ATTRIBUTE("+message.type", "FIFO"), ATTRIBUTE("+queue.type", "SimpleCQ")), 0);
    assert_true(str_eqz(attribute("T", "message.type"), "FIFO"));
    put("T", 3); /* without attributes: they stay */
    assert_true(str_eqz(attribute("T", "message.type"), "FIFO"));
    assert_int_equal(PUT("T", ATTRIBUTE("+message.type", "DELAY")), 0);
    assert_true(str_eqz(attribute("T", "message.type"), "DELAY"));
    assert_int_equal(PUT("T", ATTRIBUTE("+queue.type", "SimpleCQ")), -1); /* not changeable */
    assert_int_equal(PUT("T", ATTRIBUTE("-reserve.time", "")), -1);       /* not there */
    assert_int_equal(PUT("T", ATTRIBUTE("-message.type", "")), 0);
    assert_true(str_is_null(attribute("T", "message.type")));
    assert_true(str_eqz(attribute("T", "queue.type"), "SimpleCQ"));
    assert_int_equal(PUT("N", ATTRIBUTE("-message.type", "")), -1);
    assert_int_equal(PUT("N", ATTRIBUTE("+message.type", "ODD")), -1);
    assert_int_equal(PUT("N", ATTRIBUTE("+no.such", "1")), -1);
    assert_int_equal(PUT("N", ATTRIBUTE("+reserve.time", "-2")), -1);
    assert_int_equal(PUT("N", ATTRIBUTE("+cleanup.policy", "ODD")), -1);
    assert_null(find("N"));
    assert_int_equal(PUT("C", ATTRIBUTE("+cleanup.policy", "COMPACTION")), 0);
    assert_true(atomic_load(&find("C")->compacted));
    assert_int_equal(PUT("C", ATTRIBUTE("+cleanup.policy", "DELETE")), -1);
    assert_int_equal(PUT("B", ATTRIBUTE("+queue.type", "BatchCQ")), 0);
    assert_true(find("B")->batch);
    assert_int_equal(PUT("B", ATTRIBUTE("+queue.type", "SimpleCQ")), -1);
    /* A batch has no key to compact by. */
    assert_int_equal(PUT("BC", ATTRIBUTE("+queue.type", "BatchCQ"), ATTRIBUTE("+cleanup.policy", "COMPACTION")), -1);
    assert_null(find("BC"));
    again();
    assert_true(str_eqz(attribute("T", "queue.type"), "SimpleCQ"));
}

static void write_file(const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/topics.json", dir.path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_load_javas_file(void **state)
{
    write_file(
        "{\n\t\"dataVersion\":{\n\t\t\"counter\":4,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":1795391967240\n\t},\n\t"
        "\"topicConfigTable\":{\n\t\t\"T\":{\n\t\t\t\"attributes\":{\"message.type\":\"FIFO\"},\n\t\t\t\"order\":true,"
        "\n\t\t\t\"perm\":4,\n\t\t\t\"readQueueNums\":8,\n\t\t\t\"topicFilterType\":\"MULTI_TAG\","
        "\n\t\t\t\"topicName\":"
        "\"T\",\n\t\t\t\"topicSysFlag\":2,\n\t\t\t\"writeQueueNums\":5\n\t\t},\"Odd\":7,\"TooMany\":{\"topicName\":"
        "\"TooMany\",\"readQueueNums\":1000000}\n\t}\n}");
    log_set_level(LOG_ERROR);
    topic_manager_free(m);
    open_manager();
    struct topic *t = find("T");
    assert_non_null(t);
    assert_int_equal(atomic_load(&t->perm), 4);
    assert_int_equal(atomic_load(&t->read_queues), 8);
    assert_int_equal(atomic_load(&t->write_queues), 5);
    assert_int_equal(atomic_load(&t->sys_flag), 2);
    assert_true(atomic_load(&t->order) && atomic_load(&t->multi_tag));
    assert_true(str_eqz(attribute("T", "message.type"), "FIFO"));
    assert_int_equal(topic_version(m).counter, 4);
    assert_int_equal(topic_version(m).timestamp, 1795391967240);
    assert_null(find("Odd"));
    assert_null(find("TooMany"));
}

static void test_file_format(void **state)
{
    char path[400];
    size_t n;
    put("B", 4);
    put("A", 4);
    assert_int_equal(topic_persist(m, &err), 0);
    snprintf(path, sizeof path, "%s/topics.json", dir.path);
    char *text = (char *)file_bytes(path, &n);
    assert_non_null(
        strstr(text, "{\n\t\"dataVersion\":{\n\t\t\"counter\":2,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":"));
    assert_non_null(strstr(
        text, "\t\"topicConfigTable\":{\n\t\t\"A\":{\n\t\t\t\"attributes\":{},\n\t\t\t\"order\":false,\n\t\t\t"
              "\"perm\":6,\n\t\t\t\"readQueueNums\":4,\n\t\t\t\"topicFilterType\":\"SINGLE_TAG\",\n\t\t\t"
              "\"topicName\":\"A\",\n\t\t\t\"topicSysFlag\":0,\n\t\t\t\"writeQueueNums\":4\n\t\t},\n\t\t\"B\":{"));
    free(text);
}

/* A change reaches the file without anybody asking for it. */
static void test_saved_in_the_background(void **state)
{
    char path[400];
    snprintf(path, sizeof path, "%s/topics.json", dir.path);
    put("A", 4);
    AWAIT(fs_exists(fs_real(), path));
    assert_true(fs_exists(fs_real(), path));
}

static void test_many(void **state)
{
    enum { MANY = 10000 };
    static struct topic_config c[MANY];
    static char names[MANY][16];
    struct arena a = {0};
    struct data_version v;
    size_t n;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "T%d", i);
        c[i] = TOPIC_CONFIG_DEFAULT(str_from(names[i]));
    }
    assert_int_equal(topic_put_many(m, c, MANY, &err), 0);
    assert_int_equal(notices, 1);
    assert_int_equal(noticed, MANY);
    struct topic_config *all = topic_config_all(m, &a, &n);
    assert_int_equal(n, MANY);
    for (size_t i = 1; i < n; i++)
        assert_true(str_cmp(all[i - 1].name, all[i].name) < 0);
    /* A snapshot of some. */
    const struct str some[] = {STR_LIT("T5"), STR_LIT("nope"), STR_LIT("T7")};
    n = 3;
    all = topic_snapshot(m, &a, some, &n, &v);
    assert_int_equal(n, 2);
    assert_true(str_eqz(all[1].name, "T7"));
    assert_int_equal(v.counter, MANY);
    again();
    struct str *list;
    topic_names(m, &a, &list, &n);
    assert_int_equal(n, MANY);
    arena_free(&a);
    /* One that is refused does not undo those before it. */
    c[0] = TOPIC_CONFIG_DEFAULT(STR_LIT("New"));
    c[1] = TOPIC_CONFIG_DEFAULT(STR_LIT("a b"));
    assert_int_equal(topic_put_many(m, c, 2, &err), -1);
    assert_non_null(find("New"));
}

static void test_set_order(void **state)
{
    const struct str names[] = {STR_LIT("T"), STR_LIT("nope")};
    put("T", 1);
    put("U", 1);
    topic_set_order(m, names, 2);
    assert_true(atomic_load(&find("T")->order));
    assert_false(atomic_load(&find("U")->order));
    int64_t counter = topic_version(m).counter;
    topic_set_order(m, names, 2);
    assert_int_equal(topic_version(m).counter, counter);
    again();
    assert_true(atomic_load(&find("T")->order));
}

enum { THREADS = 4, ROUNDS = 300 };

static void *churn(void *arg)
{
    char name[32];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "T%d", i % 20);
        struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
        c.write_queue_nums = 1 + i % 7;
        struct topic *t = topic_put(m, &c, NULL);
        /* Looked up once: another thread may delete it at any time, but it never becomes another object. */
        struct topic *found = topic_find(m, str_from(name));
        if (t == NULL || (found != NULL && found != t))
            return m;
        if (i % 5 == 0)
            topic_delete(m, str_from(name));
        struct arena a = {0};
        size_t n;
        topic_config_all(m, &a, &n);
        arena_free(&a);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    topic_manager_on_change(m, NULL, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, churn, NULL);
    for (int i = 0; i < THREADS; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    again();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_find, start, finish),
        cmocka_unit_test_setup_teardown(test_refused, start, finish),
        cmocka_unit_test_setup_teardown(test_delete_and_come_back, start, finish),
        cmocka_unit_test_setup_teardown(test_ensure, start, finish),
        cmocka_unit_test_setup_teardown(test_system_topics, start, finish),
        cmocka_unit_test_setup_teardown(test_auto_create, start, finish),
        cmocka_unit_test_setup_teardown(test_auto_create_switched_off, start, finish),
        cmocka_unit_test_setup_teardown(test_no_auto_create, start, finish),
        cmocka_unit_test_setup_teardown(test_attributes, start, finish),
        cmocka_unit_test_setup_teardown(test_load_javas_file, start, finish),
        cmocka_unit_test_setup_teardown(test_file_format, start, finish),
        cmocka_unit_test_setup_teardown(test_saved_in_the_background, start, finish),
        cmocka_unit_test_setup_teardown(test_many, start, finish),
        cmocka_unit_test_setup_teardown(test_set_order, start, finish),
        cmocka_unit_test_setup_teardown(test_threads, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
