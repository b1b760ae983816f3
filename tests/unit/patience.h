/* How long a test waits for what another thread or process does. What comes in milliseconds may take seconds on a
 * machine that is busy with other things: only what never comes is to fail. */
#ifndef CROCKET_TESTS_UNIT_PATIENCE_H
#define CROCKET_TESTS_UNIT_PATIENCE_H

#include "os/clock.h"

#include <unistd.h>

enum { PATIENCE_MS = 60000 };

/* Until the condition holds, or patience ends; the caller asserts it. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        for (int64_t until_ = clock_mono_ms() + PATIENCE_MS; !(condition) && clock_mono_ms() < until_;)                \
            usleep(1000);                                                                                              \
    } while (0)

#endif
