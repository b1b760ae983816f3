/* Time. Deadlines use the monotonic clock, records the wall clock. Any thread. */
#ifndef CROCKET_OS_CLOCK_H
#define CROCKET_OS_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970 */
int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);

#endif
