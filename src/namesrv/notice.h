/*
 * NOTIFY_MIN_BROKER_ID_CHANGE: the name server tells brokers, over connections of its own, that the smallest broker id
 * of their group changed. Nobody answers, nothing is retried. notices_send from any thread; it copies what it is given.
 * notices_free after the loop has stopped.
 */
#ifndef CROCKET_NAMESRV_NOTICE_H
#define CROCKET_NAMESRV_NOTICE_H

#include "namesrv/routes.h"

struct notices;

struct notices *notices_new(struct net_loop *loop, struct err *err);
/* Host names in broker addresses are looked up here, so it may block: not on a loop. */
void notices_send(struct notices *n, const struct routes_notice *list);
void notices_free(struct notices *n);

#endif
