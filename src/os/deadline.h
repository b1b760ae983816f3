/* Points in time for pthread_cond_timedwait and its like. Any thread. */
#ifndef CROCKET_OS_DEADLINE_H
#define CROCKET_OS_DEADLINE_H

#include <stdint.h>
#include <time.h>

/* The clock's time in ms (not negative) from now. */
static inline struct timespec deadline_in(clockid_t clock, int64_t ms)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

#endif
