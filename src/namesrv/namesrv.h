/*
 * The name server: brokers register their topics here, clients and tools ask for routes. Routes live in memory only;
 * the key-value table and a changed configuration are kept in files.
 *
 * Ownership: the caller owns the pool and the struct namesrv. Order: net_pool_init, namesrv_create, net_pool_start,
 * ..., namesrv_stop, net_pool_stop, namesrv_free (before or after net_pool_free). Threads: create, stop and free on the
 * caller's thread, which is no event loop.
 */
#ifndef CROCKET_NAMESRV_NAMESRV_H
#define CROCKET_NAMESRV_NAMESRV_H

#include "namesrv/namesrv_conf.h"
#include "net/conn.h"

struct namesrv;

/* Loads the key-value table and listens; requests are served as soon as the pool runs. The configuration is copied;
 * host and port win over its bindAddress and listenPort. NULL with err set: port in use, a file that cannot be read ...
 */
struct namesrv *namesrv_create(const struct namesrv_conf *conf, struct net_pool *pool, struct str host, uint16_t port,
                               struct err *err);
uint16_t namesrv_port(const struct namesrv *ns);
uint64_t namesrv_requests(const struct namesrv *ns); /* served so far */
/* Ends the work in the background; requests are still answered until the loops stop. */
void namesrv_stop(struct namesrv *ns);
/* After namesrv_stop and net_pool_stop, or when the pool was never started. NULL is fine. */
void namesrv_free(struct namesrv *ns);

#endif
