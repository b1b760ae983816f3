/*
 * The filter server role, of RocketMQ 3 and 4: it stands before a broker, takes the code that consumers subscribe with
 * (subscribe(topic, className, source)), and passes on their pulls with what the code refuses left out. The code is
 * Lua; docs/filter-server.md describes it. Why it is so: docs/adr/0004.
 *
 * Each filter server has a port, an event loop and a thread of its own, on which alone the code of consumers runs:
 * nothing of it can hold up a broker. It speaks to the broker over the network, also when both are one process.
 *
 * Ownership: filtersrv_create gives one that filtersrv_free ends. Threads: all of this on the main thread.
 */
#ifndef CROCKET_FILTERSRV_FILTERSRV_H
#define CROCKET_FILTERSRV_FILTERSRV_H

#include "filter/script.h"
#include "net/conn.h"

struct filtersrv;

struct filtersrv_options {
    struct str listen_host;
    uint16_t port;          /* 0: any free one */
    const char *advertised; /* IP that consumers are told; with the port it is its address */
    const char *broker;     /* host:port of its broker */
    struct script_limits limits;
    size_t source_max; /* bytes */
};

/* Listens; nothing is served yet. */
struct filtersrv *filtersrv_create(const struct filtersrv_options *options, struct err *err);
/* Serves, and registers with the broker again and again. */
int filtersrv_start(struct filtersrv *f, struct err *err);
const char *filtersrv_address(const struct filtersrv *f);
/* Ends the loop and all connections; the broker notices. */
void filtersrv_stop(struct filtersrv *f);
void filtersrv_free(struct filtersrv *f); /* NULL is fine */

#endif
