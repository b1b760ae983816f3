#include "broker/config/config_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "os/clock.h"
#include "unit/patience.h"
#include "unit/store/tmpdir.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

static struct tmpdir dir;
static char *path, *bak;
static struct arena arena;
static struct err err;

static int start(void **state)
{
    log_set_level(LOG_ERROR);
    tmpdir_make(&dir);
    path = config_file_path(dir.path, "config/things.json");
    bak = config_file_path(dir.path, "config/things.json.bak");
    return 0;
}

static int finish(void **state)
{
    arena_free(&arena);
    arena = (struct arena){0};
    free(path);
    free(bak);
    tmpdir_remove(&dir);
    return 0;
}

static void save(const char *text)
{
    if (config_file_save(path, str_from(text), &err) < 0)
        fail_msg("%s", err.text);
}

static void overwrite(const char *file, const char *text)
{
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static int64_t loaded(void)
{
    const struct json *doc;
    if (config_file_load(path, &arena, &doc, &err) < 0)
        fail_msg("%s", err.text);
    return doc ? json_i64(doc, "n", -1) : 0;
}

static void test_absent(void **state)
{
    assert_int_equal(loaded(), 0);
}

/* The folder is made, and the state before is kept. */
static void test_save_keeps_the_last(void **state)
{
    size_t n;
    save("{\"n\":1}");
    assert_int_equal(loaded(), 1);
    assert_false(fs_exists(fs_real(), bak));
    save("{\"n\":2}");
    assert_int_equal(loaded(), 2);
    unsigned char *old = file_bytes(bak, &n);
    assert_int_equal(n, 7);
    assert_memory_equal(old, "{\"n\":1}", 7);
    free(old);
}

/* Between the two renames of a save there is only the .bak. */
static void test_crash_between_the_renames(void **state)
{
    save("{\"n\":1}");
    assert_int_equal(rename(path, bak), 0);
    assert_int_equal(loaded(), 1);
}

static void test_damaged_file(void **state)
{
    save("{\"n\":1}");
    save("{\"n\":2}");
    overwrite(path, "{\"n\":");
    assert_int_equal(loaded(), 1);
    overwrite(path, "");
    assert_int_equal(loaded(), 1);
}

/* State that cannot be read is not thrown away in silence. */
static void test_damaged_without_another(void **state)
{
    const struct json *doc;
    save("{\"n\":1}");
    overwrite(path, "{\"n\":");
    assert_int_equal(config_file_load(path, &arena, &doc, &err), -1);
    assert_non_null(strstr(err.text, "things.json"));
    overwrite(bak, "[");
    assert_int_equal(config_file_load(path, &arena, &doc, &err), -1);
}

static void test_no_place(void **state)
{
    char *under_a_file = config_file_path(path, "more.json");
    save("{}");
    assert_int_equal(config_file_save(under_a_file, STR_LIT("{}"), &err), -1);
    assert_non_null(strstr(err.text, under_a_file));
    free(under_a_file);
}

static atomic_int saves, failures;

static int counted(void *arg, struct err *e)
{
    if (atomic_load(&failures) > 0) {
        atomic_fetch_sub(&failures, 1);
        return err_set(e, 5, "no luck");
    }
    atomic_fetch_add(&saves, 1);
    return 0;
}

static bool wait_for(int n)
{
    AWAIT(atomic_load(&saves) >= n);
    return atomic_load(&saves) >= n;
}

static void test_saver(void **state)
{
    struct config_saver *s = config_saver_new("test-saver", counted, NULL);
    atomic_store(&saves, 0);
    config_saver_wake(s);
    assert_true(wait_for(1));
    /* Many changes at once are few saves, but one after the last. */
    for (int i = 0; i < 1000; i++)
        config_saver_wake(s);
    assert_true(wait_for(2));
    usleep(100000);
    assert_true(atomic_load(&saves) <= 50);
    config_saver_free(s);
}

static void test_saver_tries_again(void **state)
{
    struct config_saver *s = config_saver_new("test-saver", counted, NULL);
    int null = open("/dev/null", O_WRONLY);
    log_set_fd(null);
    atomic_store(&saves, 0);
    atomic_store(&failures, 1);
    config_saver_wake(s);
    assert_true(wait_for(1));
    config_saver_free(s);
    config_saver_free(NULL);
    log_set_fd(2);
    close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_absent, start, finish),
        cmocka_unit_test_setup_teardown(test_save_keeps_the_last, start, finish),
        cmocka_unit_test_setup_teardown(test_crash_between_the_renames, start, finish),
        cmocka_unit_test_setup_teardown(test_damaged_file, start, finish),
        cmocka_unit_test_setup_teardown(test_damaged_without_another, start, finish),
        cmocka_unit_test_setup_teardown(test_no_place, start, finish),
        cmocka_unit_test(test_saver),
        cmocka_unit_test(test_saver_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
