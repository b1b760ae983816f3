/*
 * Threads with names, an adaptive mutex (spins briefly before it sleeps) and a wake-up flag for background threads.
 * The struct's owner keeps it until thread_join. Any thread.
 */
#ifndef CROCKET_OS_THREAD_H
#define CROCKET_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct thread {
    pthread_t id;
    void (*fn)(void *arg);
    void *arg;
    char name[16];
    bool running;
};

/* 0 or a negative errno value. name: at most 15 characters. All signals are blocked in the new thread. */
int thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg);
void thread_join(struct thread *t); /* nothing when not started */
void thread_sleep_ms(int64_t ms);

/* A mutex for short critical sections: waits a moment on the processor before it asks the kernel. */
void mutex_init_adaptive(pthread_mutex_t *m);
bool mutex_lock_within(pthread_mutex_t *m, int64_t ms); /* false: it was not free in that time */

/* A wake-up flag: waking before the wait is not lost, waking twice counts once. */
struct waker {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint32_t set; /* atomic: 1 = woken and not yet waited for */
};

void waker_init(struct waker *w);
void waker_free(struct waker *w);
void waker_wake(struct waker *w);                     /* cheap when already set */
void waker_wait(struct waker *w, int64_t timeout_ms); /* until woken or the time is over; takes the flag */

#endif
