#include "sim_os.h"

#include "os/clock.h"
#include "os/host.h"
#include "os/thread.h"
#include <stdio.h>
#include <string.h>

static struct fs_sim *disk;
static int64_t wall, mono;
static void (*wait_fn)(void *arg);
static void *wait_arg;
static unsigned boots;

/* ---- the test's side ---- */

static void stamp(void)
{
    if (disk)
        fs_sim_clock(disk, wall);
}

void sim_os_use(struct fs_sim *d)
{
    disk = d;
    stamp();
}

void sim_clock_reset(int64_t wall_ms)
{
    wall = wall_ms;
    mono = 1000000;
    stamp();
}

void sim_clock_advance(int64_t ms)
{
    wall += ms;
    mono += ms;
    stamp();
}

void sim_clock_set_back(int64_t ms)
{
    wall -= ms;
    stamp();
}

void sim_on_wait(void (*fn)(void *arg), void *arg)
{
    wait_fn = fn;
    wait_arg = arg;
}

static void wait_ms(int64_t ms)
{
    sim_clock_advance(ms > 0 ? ms : 1);
    if (wait_fn)
        wait_fn(wait_arg);
}

void sim_boot(void)
{
    boots++;
}

/* ---- the broker's side ---- */

void host_ipv4(uint8_t out[4])
{
    memcpy(out, (const uint8_t[4]){127, 0, 0, 1}, 4);
}

int32_t host_pid(void)
{
    return 1;
}

void host_boot_id(char out[40])
{
    snprintf(out, 40, "boot-%u", boots);
}

void host_random(void *out, size_t n)
{
    static uint8_t next;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = next++;
}

int64_t clock_wall_ms(void)
{
    return wall;
}

int64_t clock_mono_ms(void)
{
    return mono;
}

int64_t clock_mono_ns(void)
{
    return mono * 1000000;
}

const struct fs *fs_real(void)
{
    return fs_sim_fs(disk);
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
    t->running = true;
    return 0;
}

void thread_join(struct thread *t)
{
    t->running = false;
}

void thread_sleep_ms(int64_t ms)
{
    wait_ms(ms);
}

void mutex_init_adaptive(pthread_mutex_t *m)
{
    pthread_mutex_init(m, NULL);
}

bool mutex_lock_within(pthread_mutex_t *m, int64_t ms)
{
    return pthread_mutex_trylock(m) == 0;
}

void waker_init(struct waker *w)
{
    *w = (struct waker){.set = 0};
}

void waker_free(struct waker *w)
{
}

void waker_wake(struct waker *w)
{
    w->set = 1;
}

void waker_wait(struct waker *w, int64_t timeout_ms)
{
    if (w->set == 0)
        wait_ms(timeout_ms);
    w->set = 0;
}
