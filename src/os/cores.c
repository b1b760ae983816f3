#include "os/host.h"

#include <sched.h>
#include <stdio.h>

/* Whole processors that the control group's quota allows, 0 when there is none. */
static unsigned quota(void)
{
    long long quota_us = 0, period_us = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f == NULL)
        return 0;
    int n = fscanf(f, "%lld %lld", &quota_us, &period_us);
    fclose(f);
    if (n != 2 || quota_us <= 0 || period_us <= 0)
        return 0;
    return (unsigned)((quota_us + period_us - 1) / period_us);
}

unsigned host_cores(void)
{
    cpu_set_t set;
    unsigned allowed = 1, limit = quota();
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        allowed = (unsigned)CPU_COUNT(&set);
    return limit && limit < allowed ? limit : allowed;
}
