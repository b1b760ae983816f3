/* Summaries of index files: what they spare, that they never hide a key, and that they can be lost. */
#include "unit/store/index_fixture.h"

#include "unit/os/counting_fs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { SUMMARIZED = 20 * (ENTRIES - 1) }; /* keys that fill 20 files */

static void summaries_dir(struct fixture *f, char out[500])
{
    snprintf(out, 500, "%s/summaries", f->dir.path);
}

static void reload(struct fixture *f, bool crash, int64_t checkpoint, size_t from)
{
    struct err err = {0};
    char dir[500], index_dir[500];
    summaries_dir(f, dir);
    snprintf(index_dir, sizeof index_dir, "%s/index", f->dir.path);
    index_free(f->ix);
    f->ix = index_new(counting_fs(), index_dir, SLOTS, ENTRIES);
    assert_int_equal(index_summarize_from(f->ix, dir, from), 0);
    if (index_load(f->ix, crash ? INDEX_OWN_CRASH : INDEX_CLEAN, checkpoint, &err))
        fail_msg("%s", err.text);
}

static void add_numbered(struct fixture *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "n%d", i);
        add(f->ix, NULL, key, i * 100, 1000000 + i * 1000);
        if (i % 100 == 99)
            flush(f->ix);
    }
    flush(f->ix);
}

static void summarize_all(struct fixture *f)
{
    while (index_summarize(f->ix, NULL, NULL))
        continue;
}

static void check_numbered(struct fixture *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "n%d", i);
        assert_true(has(f->ix, key, i * 100));
    }
}

static size_t summary_names(struct fixture *f, char ***names)
{
    char dir[500];
    size_t n = 0;
    summaries_dir(f, dir);
    *names = NULL;
    (void)fs_list_sorted(fs_real(), dir, false, names, &n);
    return n;
}

static size_t count_summaries(struct fixture *f)
{
    char **names;
    size_t n = summary_names(f, &names);
    fs_names_free(names, n);
    return n;
}

/* Files that a query for keys nobody has opens, on average. */
static double opens_of_absent(struct fixture *f)
{
    int64_t out[4];
    counted_opens = 0;
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "absent%d", i);
        ask(f->ix, key, out, 4);
    }
    return (double)counted_opens / 100;
}

static void test_a_summary_spares_looking_into_files(void **state)
{
    struct fixture *f = *state;
    reload(f, false, 0, 4);
    add_numbered(f, 0, SUMMARIZED + 5);
    assert_true(opens_of_absent(f) >= 21);
    summarize_all(f);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(count_summaries(f), 2 + 4); /* twice eight files, and four */
        check_numbered(f, 0, SUMMARIZED + 5);
        double each = opens_of_absent(f); /* the file that is being filled, and now and then a mistake */
        assert_true(each >= 1 && each < 2);
        reload(f, pass == 0, INT64_MAX, 4);
    }
}

static void test_few_files_are_not_summarized(void **state)
{
    struct fixture *f = *state;
    reload(f, false, 0, 21);
    add_numbered(f, 0, SUMMARIZED + 5);
    summarize_all(f);
    assert_int_equal(count_summaries(f), 0);
    check_numbered(f, 0, SUMMARIZED + 5);
}

/* Files that are gone, changed or damaged: the rest stays, what is missing is made again. */
static void test_summaries_are_only_hints(void **state)
{
    struct fixture *f = *state;
    char dir[500], path[600], **names;
    reload(f, false, 0, 1);
    add_numbered(f, 0, SUMMARIZED + 5);
    summarize_all(f);
    summaries_dir(f, dir);
    size_t n = summary_names(f, &names);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (i < 2)
            file_patch(path, (long)(i ? 30 : 0), "damage", 6);
        else if (i == 2)
            assert_int_equal(truncate(path, 5000), 0);
    }
    fs_names_free(names, n);
    snprintf(path, sizeof path, "%s/making", dir);
    FILE *half = fopen(path, "w");
    assert_non_null(half);
    fputs("half a file", half);
    fclose(half);
    reload(f, false, 0, 1);
    assert_int_equal(count_summaries(f), 3);
    check_numbered(f, 0, SUMMARIZED + 5);
    summarize_all(f);
    check_numbered(f, 0, SUMMARIZED + 5);
    assert_true(opens_of_absent(f) < 2);
    /* Expired files take their summaries along. */
    assert_int_equal(index_clean(f->ix, 10 * (ENTRIES - 1) * 100), 10);
    add_numbered(f, SUMMARIZED + 5, SUMMARIZED + 5 + ENTRIES);
    summarize_all(f);
    check_numbered(f, SUMMARIZED / 2, SUMMARIZED + 5 + ENTRIES);
    reload(f, false, 0, 1);
    check_numbered(f, SUMMARIZED / 2, SUMMARIZED + 5 + ENTRIES);
    assert_int_equal(index_clean(f->ix, INT64_MAX), 11);
    reload(f, false, 0, 1);
    assert_int_equal(count_summaries(f), 0);
}

static bool wants_even(void *arg, int64_t offset)
{
    ++*(int *)arg;
    return offset % 200 == 0;
}

/* The one who asks says which messages count: others do not take the room. */
static void test_only_wanted_messages_count(void **state)
{
    struct fixture *f = *state;
    int64_t out[5];
    int asked = 0;
    reload(f, false, 0, 1);
    for (int i = 0; i < 100; i++)
        add(f->ix, NULL, "same", i * 100, 1000000 + i * 1000);
    struct index_asked a = {TOPIC, STR_LIT("same"), 0, INT64_MAX, wants_even, &asked};
    assert_int_equal(index_query(f->ix, &a, out, 5), 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(out[i], 9800 - 200 * i);
    assert_true(asked >= 9);
}

struct race {
    struct index *ix;
    _Atomic int added;
    _Atomic bool stop;
};

static void *race_query(void *arg)
{
    struct race *r = arg;
    int n = 0;
    while (!atomic_load(&r->stop)) {
        int added = atomic_load(&r->added);
        char key[16];
        if (added == 0)
            continue;
        n = (n + 7) % added;
        snprintf(key, sizeof key, "n%d", n);
        if (!has(r->ix, key, n * 100))
            abort();
    }
    return NULL;
}

/* Summaries are made, joined and removed while queries use them. */
static void test_queries_beside_the_making(void **state)
{
    struct fixture *f = *state;
    pthread_t t[2];
    reload(f, false, 0, 1);
    struct race r = {.ix = f->ix};
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, race_query, &r);
    for (int i = 0; i < 100; i++) {
        add_numbered(f, i * ENTRIES, (i + 1) * ENTRIES);
        atomic_store(&r.added, (i + 1) * ENTRIES);
        summarize_all(f);
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    assert_true(count_summaries(f) < 20);
    check_numbered(f, 0, 100 * ENTRIES);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_summary_spares_looking_into_files), T(few_files_are_not_summarized), T(summaries_are_only_hints),
        T(only_wanted_messages_count),          T(queries_beside_the_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
