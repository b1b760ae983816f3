/* Threads and the wake-up flag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/thread.h"
#include "unit/patience.h"

static void a_wake_before_the_wait_is_not_lost(void **state)
{
    struct waker w;
    waker_init(&w);
    waker_wake(&w);
    waker_wake(&w);
    int64_t begin = clock_mono_ms();
    waker_wait(&w, 2 * PATIENCE_MS);
    assert_true(clock_mono_ms() - begin < PATIENCE_MS);
    begin = clock_mono_ms();
    waker_wait(&w, 50); /* twice counted once */
    assert_true(clock_mono_ms() - begin >= 49);
    waker_free(&w);
}

struct ping {
    struct waker to, back;
    int rounds; /* written by the thread, read behind its waker */
};

static void answer(void *arg)
{
    struct ping *p = arg;
    for (int i = 0; i < 200; i++) {
        waker_wait(&p->to, 10000);
        p->rounds++;
        waker_wake(&p->back);
    }
}

static void what_was_written_before_a_wake_is_seen_after_the_wait(void **state)
{
    struct ping p = {.rounds = 0};
    struct thread t = {0};
    waker_init(&p.to);
    waker_init(&p.back);
    assert_int_equal(thread_start(&t, "ping", answer, &p), 0);
    for (int i = 0; i < 200; i++) {
        waker_wake(&p.to);
        waker_wait(&p.back, 10000);
        assert_int_equal(p.rounds, i + 1);
    }
    thread_join(&t);
    thread_join(&t); /* harmless */
    waker_free(&p.to);
    waker_free(&p.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(what_was_written_before_a_wake_is_seen_after_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
