/*
 * The operating system as the model test has it: a clock that stands still until it is moved, one simulated disk, and
 * threads that never run. It defines what src/os/clock.h, host.h and thread.h and fs_real() declare, in place of the
 * real ones: the linker takes these first. One thread.
 */
#ifndef CROCKET_TESTS_MODEL_SIM_OS_H
#define CROCKET_TESTS_MODEL_SIM_OS_H

#include "os/fs_sim.h"

/* What fs_real() answers from now on; its clock goes with the others. */
void sim_os_use(struct fs_sim *disk);
/* Both clocks. */
void sim_clock_reset(int64_t wall_ms);
void sim_clock_advance(int64_t ms);
void sim_clock_set_back(int64_t ms); /* the wall clock only */
void sim_boot(void);                 /* the machine has failed and runs again */
/* Called when somebody would sleep: the other threads' turns. */
void sim_on_wait(void (*fn)(void *arg), void *arg);

#endif
