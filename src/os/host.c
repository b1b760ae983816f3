#include "os/host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "os/clock.h"

static bool is_private(const uint8_t *a)
{
    return a[0] == 10 || (a[0] == 172 && a[1] >= 16 && a[1] < 32) || (a[0] == 192 && a[1] == 168);
}

void host_ipv4(uint8_t out[4])
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct ifaddrs *all;
    memcpy(out, loopback, 4);
    if (getifaddrs(&all))
        return;
    bool have_private = false;
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
            continue;
        if (!(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof in);
        uint8_t a[4];
        memcpy(a, &in.sin_addr, 4);
        if (!is_private(a)) {
            memcpy(out, a, 4);
            break;
        }
        if (!have_private)
            memcpy(out, a, 4);
        have_private = true;
    }
    freeifaddrs(all);
}

int32_t host_pid(void)
{
    return (int32_t)getpid();
}

void host_random(void *out, size_t n)
{
    if (getrandom(out, n, 0) == (ssize_t)n)
        return;
    /* Before the kernel's pool is ready, or on a kernel without the call: differs from call to call, no more is needed.
     */
    uint64_t x = (uint64_t)clock_mono_ns() * 0x9E3779B97F4A7C15u + (uint64_t)getpid();
    for (size_t i = 0; i < n; i++) {
        x ^= x >> 29;
        x *= 0xBF58476D1CE4E5B9u;
        ((uint8_t *)out)[i] = (uint8_t)(x >> 56);
    }
}

void host_boot_id(char out[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, 39);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}
