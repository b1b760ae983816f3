#include "broker/offset/consumer_offset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "unit/store/tmpdir.h"
#include <pthread.h>
#include <unistd.h>

static struct tmpdir dir;
static struct offset_manager *m;
static struct err err;

#define G STR_LIT("g1")
#define T STR_LIT("t1")

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    tmpdir_make(&dir);
    m = offset_manager_new(dir.path, false);
    return m ? 0 : -1;
}

static int finish(void **state)
{
    offset_manager_free(m);
    tmpdir_remove(&dir);
    return 0;
}

static void again(void)
{
    offset_manager_free(m);
    m = offset_manager_new(dir.path, false);
    assert_non_null(m);
    if (offset_manager_load(m, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_commit_and_query(void **state)
{
    assert_int_equal(offset_query(m, G, T, 0), -1);
    for (int q = 9; q >= 0; q--)
        offset_commit(m, G, T, q, 100 + q);
    for (int q = 0; q < 10; q++)
        assert_int_equal(offset_query(m, G, T, q), 100 + q);
    assert_int_equal(offset_query(m, G, T, 10), -1);
    assert_int_equal(offset_query(m, STR_LIT("g2"), T, 0), -1);
    offset_commit(m, G, T, 3, 7); /* back is allowed */
    assert_int_equal(offset_query(m, G, T, 3), 7);
    /* What is no queue of any topic is not kept. */
    offset_commit(m, G, T, -1, 5);
    offset_commit(m, G, T, 70000, 5);
    assert_int_equal(offset_query(m, G, T, -1), -1);
    assert_int_equal(offset_query(m, G, T, 70000), -1);
}

static void test_pull_offsets(void **state)
{
    offset_commit(m, G, T, 0, 5);
    assert_int_equal(offset_query_pull(m, G, T, 0), 5);
    offset_commit_pull(m, G, T, 0, 9);
    assert_int_equal(offset_query_pull(m, G, T, 0), 9);
    assert_int_equal(offset_query(m, G, T, 0), 5);
    /* They are not saved, and do not make a group known. */
    offset_commit_pull(m, STR_LIT("g2"), T, 0, 9);
    struct arena a = {0};
    struct str *names;
    size_t n;
    offset_groups_of(m, T, &a, &names, &n);
    assert_int_equal(n, 1);
    arena_free(&a);
    assert_int_equal(offset_persist(m, &err), 0);
    again();
    assert_int_equal(offset_query_pull(m, G, T, 0), 5);
}

static void test_reset(void **state)
{
    offset_commit(m, G, T, 1, 50);
    assert_false(offset_any_reset(m));
    offset_reset(m, G, T, 1, 10);
    assert_true(offset_any_reset(m));
    assert_true(offset_has_reset(m, G, T, 1));
    assert_false(offset_has_reset(m, G, T, 0));
    assert_int_equal(offset_query(m, G, T, 1), 10);
    offset_reset(m, G, T, 1, 12);
    assert_int_equal(offset_take_reset(m, G, T, 1), 12);
    assert_int_equal(offset_take_reset(m, G, T, 1), -1);
    assert_false(offset_any_reset(m));
    offset_reset(m, G, T, 2, 1);
    offset_delete(m, G, T);
    assert_false(offset_any_reset(m));
}

static int64_t sum;
static void add(void *arg, int32_t queue_id, int64_t offset)
{
    sum += (int64_t)queue_id * 1000 + offset;
}

static void test_several(void **state)
{
    struct arena a = {0};
    struct str *names;
    size_t n;
    offset_commit(m, G, T, 0, 1);
    offset_commit(m, G, T, 2, 3);
    offset_commit(m, G, STR_LIT("t2"), 0, 1);
    offset_commit(m, STR_LIT("g2"), T, 0, 1);
    sum = 0;
    offset_each(m, G, T, add, NULL);
    assert_int_equal(sum, 2004);
    offset_topics_of(m, G, &a, &names, &n);
    assert_int_equal(n, 2);
    offset_groups_of(m, T, &a, &names, &n);
    assert_int_equal(n, 2);
    offset_clone(m, G, STR_LIT("g3"), T);
    assert_int_equal(offset_query(m, STR_LIT("g3"), T, 2), 3);
    offset_delete_group(m, G);
    assert_int_equal(offset_query(m, G, T, 0), -1);
    assert_int_equal(offset_query(m, G, STR_LIT("t2"), 0), -1);
    assert_int_equal(offset_query(m, STR_LIT("g2"), T, 0), 1);
    offset_delete_topic(m, T);
    assert_int_equal(offset_query(m, STR_LIT("g2"), T, 0), -1);
    assert_int_equal(offset_query(m, STR_LIT("g3"), T, 2), -1);
    arena_free(&a);
}

static void write_file(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir.path, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* As Java's broker writes it, with the member that it derives. */
static void test_load_javas_file(void **state)
{
    write_file("consumerOffset.json",
               "{\n\t\"dataVersion\":{\n\t\t\"counter\":3,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":"
               "1795391951209\n\t},\n\t\"groupTopicMap\":{\n\t\t\"g1\":[\"t1\"]\n\t},\n\t\"offsetTable\":{\n"
               "\t\t\"t1@g1\":{0:1236,1:1188,2:9223372036854775807\n\t\t},\n\t\t\"%RETRY%g1@g1\":{\"0\":4\n"
               "\t\t},\n\t\t\"odd\":{0:1}\n\t}\n}");
    again();
    assert_int_equal(offset_query(m, G, T, 0), 1236);
    assert_int_equal(offset_query(m, G, T, 1), 1188);
    assert_true(offset_query(m, G, T, 2) == INT64_MAX);
    assert_int_equal(offset_query(m, G, STR_LIT("%RETRY%g1"), 0), 4);
    struct data_version v = offset_version(m);
    assert_int_equal(v.counter, 3);
    assert_int_equal(v.timestamp, 1795391951209);
}

static void test_file_format(void **state)
{
    char path[400];
    size_t n;
    offset_commit(m, G, T, 1, 7);
    offset_commit(m, G, T, 0, 5);
    assert_int_equal(offset_persist(m, &err), 0);
    snprintf(path, sizeof path, "%s/consumerOffset.json", dir.path);
    char *text = (char *)file_bytes(path, &n);
    assert_non_null(strstr(text, "\t\"offsetTable\":{\n\t\t\"t1@g1\":{0:5,1:7\n\t\t}\n\t}\n}"));
    free(text);
    /* Nothing changed: nothing is written. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(offset_persist(m, &err), 0);
    assert_false(fs_exists(fs_real(), path));
    offset_commit(m, G, T, 0, 5);
    assert_int_equal(offset_persist(m, &err), 0);
    assert_false(fs_exists(fs_real(), path));
    offset_commit(m, G, T, 0, 6);
    assert_int_equal(offset_persist(m, &err), 0);
    again();
    assert_int_equal(offset_query(m, G, T, 0), 6);
    assert_int_equal(offset_query(m, G, T, 1), 7);
}

static void test_version(void **state)
{
    assert_int_equal(offset_version(m).counter, 0);
    for (int i = 0; i < 1000; i++)
        offset_commit(m, G, T, 0, i);
    assert_int_equal(offset_version(m).counter, 2);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *commit_many(void *arg)
{
    int32_t queue_id = *(int32_t *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        offset_commit(m, G, T, queue_id, i);
        offset_commit(m, G, STR_LIT("t2"), queue_id, i);
        offset_commit_pull(m, G, T, queue_id, i);
        if (i % 1000 == 0)
            offset_persist(m, NULL);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    int32_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, commit_many, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(offset_persist(m, &err), 0);
    again();
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(offset_query(m, G, T, i), ROUNDS - 1);
        assert_int_equal(offset_query(m, G, STR_LIT("t2"), i), ROUNDS - 1);
    }
}

/* ---- a large table: only changes are written ---- */

enum { MANY = 8000, EACH = 16 };

static void fill_many(void)
{
    char topic[64];
    for (int t = 0; t < MANY; t++) {
        snprintf(topic, sizeof topic, "a_topic_of_many_%d", t);
        for (int q = 0; q < EACH; q++)
            offset_commit(m, G, str_from(topic), q, 1000 + q);
    }
}

static long size_of(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir.path, name);
    return file_size(path);
}

static void test_a_large_table_is_not_written_for_each_change(void **state)
{
    fill_many();
    assert_int_equal(offset_save_changes(m, &err), 0);
    long whole = size_of("consumerOffset.json");
    assert_true(whole > 1024 * 1024);
    offset_commit(m, G, STR_LIT("a_topic_of_many_7"), 3, 5000);
    offset_commit(m, G, STR_LIT("a_new_one"), 0, 6000);
    assert_int_equal(offset_save_changes(m, &err), 0);
    long changes = size_of("consumerOffset.json.changes");
    assert_true(changes > 0 && changes < 2000);
    assert_int_equal(size_of("consumerOffset.json"), whole);
    assert_int_equal(offset_save_changes(m, &err), 0);
    assert_int_equal(size_of("consumerOffset.json.changes"), changes);
    again(); /* as by kill -9 */
    assert_int_equal(offset_query(m, G, STR_LIT("a_topic_of_many_7"), 3), 5000);
    assert_int_equal(offset_query(m, G, STR_LIT("a_topic_of_many_7"), 4), 1004);
    assert_int_equal(offset_query(m, G, STR_LIT("a_new_one"), 0), 6000);
    /* At the end the file has everything, for whoever opens it next. */
    assert_int_equal(offset_persist(m, &err), 0);
    assert_int_equal(size_of("consumerOffset.json.changes"), 0);
    again();
    assert_int_equal(offset_query(m, G, STR_LIT("a_new_one"), 0), 6000);
}

static void test_changes_of_another_file_are_void(void **state)
{
    char path[400], *text;
    size_t len;
    fill_many();
    assert_int_equal(offset_save_changes(m, &err), 0);
    offset_commit(m, G, STR_LIT("a_topic_of_many_7"), 3, 5000);
    assert_int_equal(offset_save_changes(m, &err), 0);
    /* A Java broker went on from the file, with less than makes a new version. */
    snprintf(path, sizeof path, "%s/consumerOffset.json", dir.path);
    assert_int_equal(fs_load(fs_real(), path, 1 << 30, &text, &len), 0);
    char *at = strstr(text, "1003");
    assert_non_null(at);
    memcpy(at, "9003", 4);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    free(text);
    again();
    assert_int_equal(offset_query(m, G, STR_LIT("a_topic_of_many_7"), 3) == 5000, 0);
}

static void test_deleting_from_a_large_table(void **state)
{
    fill_many();
    assert_int_equal(offset_save_changes(m, &err), 0);
    offset_commit(m, G, STR_LIT("a_topic_of_many_7"), 3, 5000);
    offset_delete_topic(m, STR_LIT("a_topic_of_many_7"));
    offset_commit(m, G, STR_LIT("a_topic_of_many_8"), 3, 5001);
    assert_int_equal(offset_save_changes(m, &err), 0);
    again();
    assert_int_equal(offset_query(m, G, STR_LIT("a_topic_of_many_7"), 3), -1);
    assert_int_equal(offset_query(m, G, STR_LIT("a_topic_of_many_8"), 3), 5001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commit_and_query, start, finish),
        cmocka_unit_test_setup_teardown(test_a_large_table_is_not_written_for_each_change, start, finish),
        cmocka_unit_test_setup_teardown(test_changes_of_another_file_are_void, start, finish),
        cmocka_unit_test_setup_teardown(test_deleting_from_a_large_table, start, finish),
        cmocka_unit_test_setup_teardown(test_pull_offsets, start, finish),
        cmocka_unit_test_setup_teardown(test_reset, start, finish),
        cmocka_unit_test_setup_teardown(test_several, start, finish),
        cmocka_unit_test_setup_teardown(test_load_javas_file, start, finish),
        cmocka_unit_test_setup_teardown(test_file_format, start, finish),
        cmocka_unit_test_setup_teardown(test_version, start, finish),
        cmocka_unit_test_setup_teardown(test_threads, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
