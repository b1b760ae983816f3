/* What this host is: its addresses, its process id, its randomness. Any thread. */
#ifndef CROCKET_OS_HOST_H
#define CROCKET_OS_HOST_H

#include <stddef.h>
#include <stdint.h>

/* The IPv4 address others most likely reach: the first public one of an interface that is up, else the first private
 * one, else 127.0.0.1. */
void host_ipv4(uint8_t out[4]);
int32_t host_pid(void);
/* Names this run of the machine: what was in memory is gone when it is another. "" when it cannot be known. */
void host_boot_id(char out[40]);
void host_random(void *out, size_t n);
/* Processors this process may use: its affinity and the quota of its control group; at least 1. cores.c */
unsigned host_cores(void);

#endif
