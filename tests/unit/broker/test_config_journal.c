#include "broker/config/config_journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "broker/group/subscription_group.h"
#include "broker/topic/topic_manager.h"
#include "unit/store/tmpdir.h"
#include <unistd.h>

static struct tmpdir dir;
static char topics_path[400], journal_path[400];
static struct config_journal *j;
static struct data_version version;

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    tmpdir_make(&dir);
    snprintf(topics_path, sizeof topics_path, "%s/config/topics.json", dir.path);
    snprintf(journal_path, sizeof journal_path, "%s/config/topics.json.changes", dir.path);
    j = config_journal_new(topics_path);
    version = (struct data_version){0, 1000, 0};
    return j ? 0 : -1;
}

static int finish(void **state)
{
    config_journal_free(j);
    tmpdir_remove(&dir);
    return 0;
}

static void write_config(struct jw *w, const void *item)
{
    topic_config_write(w, item);
}

static void add(const struct topic_config *c, struct str deleted)
{
    struct data_version before = version;
    data_version_next(&version, 0, 2000);
    config_journal_add(j, &before, &version, c ? write_config : NULL, c, deleted);
}

static void put(const char *name, int queues)
{
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    c.write_queue_nums = queues;
    add(&c, STR_NULL);
}

static void mkdir_config(void)
{
    char config[300];
    snprintf(config, sizeof config, "%s/config", dir.path);
    assert_int_equal(fs_mkdirs(fs_real(), config), 0);
}

/* topics.json with topic Old, of the given version. */
static void write_topics(int counter)
{
    mkdir_config();
    FILE *f = fopen(topics_path, "wb");
    assert_non_null(f);
    fprintf(f,
            "{\"dataVersion\":{\"counter\":%d,\"stateVersion\":0,\"timestamp\":%d},\"topicConfigTable\":{\"Old\":{"
            "\"topicName\":\"Old\",\"writeQueueNums\":4,\"readQueueNums\":4,\"perm\":6}}}",
            counter, counter ? 2000 : 1000);
    fclose(f);
}

static struct topic_manager *load(void)
{
    struct err err;
    char config[300];
    snprintf(config, sizeof config, "%s/config", dir.path);
    struct topic_manager *m = topic_manager_new(NULL, config);
    assert_non_null(m);
    if (topic_manager_load(m, &err) < 0)
        fail_msg("%s", err.text);
    return m;
}

static int queues(struct topic_manager *m, const char *name)
{
    struct topic *t = topic_find(m, str_from(name));
    return t ? atomic_load(&t->write_queues) : -1;
}

/* A broker that dies before its first save. */
static void test_without_topics(void **state)
{
    struct err err;
    put("A", 3);
    put("B", 5);
    put("A", 7);
    add(NULL, STR_LIT("B"));
    add(NULL, STR_NULL);
    struct topic_manager *m = load();
    assert_int_equal(queues(m, "A"), 7);
    assert_int_equal(queues(m, "B"), -1);
    assert_int_equal(topic_version(m).counter, 5);
    /* Saved, they are not needed any more. */
    assert_int_equal(topic_persist(m, &err), 0);
    assert_int_equal(file_size(journal_path), 0);
    topic_manager_free(m);
    m = load();
    assert_int_equal(queues(m, "A"), 7);
    assert_int_equal(topic_version(m).counter, 5);
    topic_manager_free(m);
}

static void test_after_a_save(void **state)
{
    write_topics(0);
    put("A", 3);
    add(NULL, STR_LIT("Old"));
    struct topic_manager *m = load();
    assert_int_equal(queues(m, "A"), 3);
    assert_int_equal(queues(m, "Old"), -1);
    topic_manager_free(m);
}

/* The save happened, but the broker died before it could clear the changes: the later ones still count. */
static void test_saved_in_between(void **state)
{
    put("Old", 9); /* is in the file already, which came after it */
    put("A", 3);
    write_topics(1);
    struct topic_manager *m = load();
    assert_int_equal(queues(m, "Old"), 4);
    assert_int_equal(queues(m, "A"), 3);
    assert_int_equal(topic_version(m).counter, 2);
    topic_manager_free(m);
}

/* Another broker went on with the file: what it knows counts. */
static void test_void_after_another_broker(void **state)
{
    put("A", 3);
    write_topics(17);
    struct topic_manager *m = load();
    assert_int_equal(queues(m, "Old"), 4);
    assert_int_equal(queues(m, "A"), -1);
    assert_int_equal(topic_version(m).counter, 17);
    assert_int_equal(file_size(journal_path), 0);
    topic_manager_free(m);
}

/* Every prefix of the file is taken as far as its whole lines go. */
static void test_torn(void **state)
{
    size_t n;
    put("A", 3);
    put("B", 4);
    unsigned char *whole = file_bytes(journal_path, &n);
    size_t seen = 0;
    char backup[420];
    snprintf(backup, sizeof backup, "%s.bak", topics_path);
    for (size_t len = 0; len <= n; len++) {
        FILE *f = fopen(journal_path, "wb");
        assert_int_equal(fwrite(whole, 1, len, f), len);
        fclose(f);
        unlink(topics_path);
        unlink(backup);
        struct topic_manager *m = load();
        size_t there = (queues(m, "A") == 3) + (size_t)(queues(m, "B") == 4);
        assert_true(there >= seen && (there == 0 || queues(m, "A") == 3));
        seen = there;
        /* And it is written on behind them. */
        struct topic_config c = TOPIC_CONFIG_DEFAULT(STR_LIT("C"));
        assert_non_null(topic_put(m, &c, NULL));
        topic_manager_free(m);
    }
    assert_int_equal(seen, 2);
    free(whole);
}

static bool count_change(void *arg, struct arena *a, const struct data_version *v, const struct json *item,
                         struct str deleted)
{
    ++*(int *)arg;
    return true;
}

/* Changes that are added after a replay take the place of a torn line. */
static void test_goes_on_behind_a_torn_line(void **state)
{
    int n = 0;
    put("A", 3);
    file_patch(journal_path, file_size(journal_path), "{\"version\":{\"coun", 17);
    config_journal_free(j);
    j = config_journal_new(topics_path);
    assert_int_equal(config_journal_replay(j, NULL, count_change, &n), 1);
    put("B", 4);
    config_journal_free(j);
    j = config_journal_new(topics_path);
    assert_int_equal(config_journal_replay(j, NULL, count_change, &n), 2);
    assert_int_equal(n, 3);
}

/* A line without its end may have lost more than that. */
static void test_line_without_end(void **state)
{
    int n = 0;
    put("A", 3);
    assert_int_equal(truncate(journal_path, file_size(journal_path) - 1), 0);
    config_journal_free(j);
    j = config_journal_new(topics_path);
    assert_int_equal(config_journal_replay(j, NULL, count_change, &n), 0);
    put("B", 4);
    config_journal_free(j);
    j = config_journal_new(topics_path);
    assert_int_equal(config_journal_replay(j, NULL, count_change, &n), 1);
}

/* Groups have their changes kept in the same way. */
static void test_groups(void **state)
{
    struct err err;
    char config[300], changes[420];
    size_t n;
    snprintf(config, sizeof config, "%s/config", dir.path);
    snprintf(changes, sizeof changes, "%s/subscriptionGroup.json.changes", config);
    struct group_manager *m = group_manager_new(config, true);
    assert_int_equal(group_manager_load(m, &err), 0);
    struct arena a = {0};
    assert_non_null(
        group_put_json(m, json_parse(&a, STR_LIT("{\"groupName\":\"g1\",\"retryMaxTimes\":3,\"x\":[1]}"), NULL), &err));
    assert_non_null(group_find(m, STR_LIT("g2")));
    assert_true(group_delete(m, STR_LIT("g2")));
    group_set_forbidden(m, STR_LIT("g1"), STR_LIT("T"), true);
    int64_t counter = group_version(m).counter;
    group_manager_free(m);
    /* Whether or not the saver was faster, all of it is there. */
    m = group_manager_new(config, true);
    assert_int_equal(group_manager_load(m, &err), 0);
    assert_int_equal(atomic_load(&group_known(m, STR_LIT("g1"))->retry_max_times), 3);
    assert_null(group_known(m, STR_LIT("g2")));
    assert_true(group_forbidden(m, STR_LIT("g1"), STR_LIT("T")));
    assert_int_equal(group_version(m).counter, counter);
    assert_int_equal(group_persist(m, &err), 0);
    unsigned char *left = file_bytes(changes, &n);
    assert_int_equal(n, 0);
    free(left);
    group_manager_free(m);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_topics, start, finish),
        cmocka_unit_test_setup_teardown(test_after_a_save, start, finish),
        cmocka_unit_test_setup_teardown(test_saved_in_between, start, finish),
        cmocka_unit_test_setup_teardown(test_void_after_another_broker, start, finish),
        cmocka_unit_test_setup_teardown(test_torn, start, finish),
        cmocka_unit_test_setup_teardown(test_goes_on_behind_a_torn_line, start, finish),
        cmocka_unit_test_setup_teardown(test_line_without_end, start, finish),
        cmocka_unit_test_setup_teardown(test_groups, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
