/*
 * The name server's background thread: removes brokers that asked to go or whose connection ended, many at a time, and
 * looks for those that fell silent. housekeeping_leave and _lost from any thread; they copy what they are given.
 */
#ifndef CROCKET_NAMESRV_HOUSEKEEPING_H
#define CROCKET_NAMESRV_HOUSEKEEPING_H

#include "namesrv/notice.h"
#include "namesrv/routes.h"

struct housekeeping;

/* Routes, notices and conf stay the caller's and outlive the thread. */
struct housekeeping *housekeeping_start(struct routes *routes, struct notices *notices, const struct namesrv_conf *conf,
                                        struct err *err);
/* False: too many wait already. */
bool housekeeping_leave(struct housekeeping *h, const struct routes_leaving *leaving);
/* A connection ended: its brokers leave. */
void housekeeping_lost(struct housekeeping *h, struct net_ref conn);
void housekeeping_stop(struct housekeeping *h); /* waits for the thread */
void housekeeping_free(struct housekeeping *h);

#endif
