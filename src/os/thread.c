#include "os/thread.h"

#include <signal.h>
#include <stdio.h>

#include "os/deadline.h"

static void *run(void *arg)
{
    struct thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    t->fn = fn;
    t->arg = arg;
    snprintf(t->name, sizeof t->name, "%s", name);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&t->id, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->running = r == 0;
    return -r;
}

void thread_join(struct thread *t)
{
    if (!t->running)
        return;
    pthread_join(t->id, NULL);
    t->running = false;
}

void thread_sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

void mutex_init_adaptive(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
}

bool mutex_lock_within(pthread_mutex_t *m, int64_t ms)
{
    if (pthread_mutex_trylock(m) == 0)
        return true;
#ifdef __SANITIZE_THREAD__
    /* The thread sanitizer does not know the call below and would take what the mutex protects for unprotected. */
    struct timespec until = deadline_in(CLOCK_REALTIME, ms);
    return pthread_mutex_timedlock(m, &until) == 0;
#else
    struct timespec until = deadline_in(CLOCK_MONOTONIC, ms);
    return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until) == 0;
#endif
}

void waker_init(struct waker *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->cond, &attr);
    pthread_condattr_destroy(&attr);
    w->set = 0;
}

void waker_free(struct waker *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->cond);
}

void waker_wake(struct waker *w)
{
    if (__atomic_exchange_n(&w->set, 1, __ATOMIC_ACQ_REL))
        return;
    /* The waiter is either before its look at the flag or asleep once this lock was had. Signalled behind it, it does
     * not wake up only to wait for the lock. */
    pthread_mutex_lock(&w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->cond);
}

void waker_wait(struct waker *w, int64_t timeout_ms)
{
    struct timespec until = deadline_in(CLOCK_MONOTONIC, timeout_ms);
    pthread_mutex_lock(&w->lock);
    while (__atomic_load_n(&w->set, __ATOMIC_ACQUIRE) == 0)
        if (pthread_cond_timedwait(&w->cond, &w->lock, &until))
            break;
    pthread_mutex_unlock(&w->lock);
    /* An exchange, so that what a waker wrote before it found the flag set is seen by the work that follows. */
    __atomic_exchange_n(&w->set, 0, __ATOMIC_ACQ_REL);
}
