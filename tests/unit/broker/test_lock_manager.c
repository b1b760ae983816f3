#include "broker/client/lock_manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include <unistd.h>

#define G STR_LIT("g1")
#define T STR_LIT("t1")
#define B STR_LIT("broker-a")
#define X STR_LIT("client-x")
#define Y STR_LIT("client-y")

static void test_one_holder(void **state)
{
    struct lock_manager *m = lock_manager_new(60000);
    assert_false(lock_any_held(m, G));
    assert_true(lock_try(m, G, T, B, 0, X));
    assert_true(lock_try(m, G, T, B, 0, X));
    assert_false(lock_try(m, G, T, B, 0, Y));
    assert_true(lock_any_held(m, G));
    /* Other queues, topics, brokers and groups are not concerned. */
    assert_true(lock_try(m, G, T, B, 1, Y));
    assert_true(lock_try(m, G, STR_LIT("t2"), B, 0, Y));
    assert_true(lock_try(m, G, T, STR_LIT("broker-b"), 0, Y));
    assert_true(lock_try(m, STR_LIT("g2"), T, B, 0, Y));
    lock_release(m, G, T, B, 0, Y); /* not his */
    assert_false(lock_try(m, G, T, B, 0, Y));
    lock_release(m, G, T, B, 0, X);
    assert_true(lock_try(m, G, T, B, 0, Y));
    lock_manager_free(m);
}

static void test_released_groups_hold_nothing(void **state)
{
    struct lock_manager *m = lock_manager_new(60000);
    assert_true(lock_try(m, G, T, B, 0, X));
    assert_true(lock_try(m, G, T, B, 1, X));
    lock_release(m, G, T, B, 0, X);
    assert_true(lock_any_held(m, G));
    lock_release(m, G, T, B, 1, X);
    assert_false(lock_any_held(m, G));
    lock_release(m, G, T, B, 1, X);
    lock_manager_free(m);
}

static void test_expiry(void **state)
{
    struct lock_manager *m = lock_manager_new(2000);
    log_set_level(LOG_ERROR);
    assert_true(lock_try(m, G, T, B, 0, X));
    usleep(1200000);
    assert_true(lock_try(m, G, T, B, 0, X)); /* refreshed */
    usleep(1200000); /* longer than the first would have lasted; a busy machine may make it up to 2 s */
    assert_false(lock_try(m, G, T, B, 0, Y));
    usleep(2400000);
    assert_false(lock_any_held(m, G));
    assert_true(lock_try(m, G, T, B, 0, Y));
    assert_false(lock_try(m, G, T, B, 0, X));
    lock_manager_free(m);
}

/* No name runs into another. */
static void test_long_names(void **state)
{
    static char name[2000];
    struct lock_manager *m = lock_manager_new(60000);
    memset(name, 'a', sizeof name);
    assert_false(lock_try(m, G, str_make(name, sizeof name), B, 0, X));
    lock_release(m, G, str_make(name, sizeof name), B, 0, X);
    assert_true(lock_try(m, G, str_make(name, 255), B, 0, X));
    assert_true(lock_try(m, G, str_make(name, 254), B, 0, Y));
    lock_manager_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_holder),
        cmocka_unit_test(test_released_groups_hold_nothing),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
