/* What the name server's life cycle and its request handlers share. */
#ifndef CROCKET_NAMESRV_NAMESRV_INT_H
#define CROCKET_NAMESRV_NAMESRV_INT_H

#include "namesrv/housekeeping.h"
#include "namesrv/kv_config.h"
#include "namesrv/namesrv.h"
#include "namesrv/notice.h"
#include "namesrv/routes.h"
#include "remoting/server.h"

struct namesrv {
    struct namesrv_conf conf; /* guarded by the routes' lock */
    struct net_listener *listener;
    struct rem_server *server;
    struct kv_config *kv;
    struct routes *routes;
    struct notices *notices;
    struct housekeeping *housekeeping;
    int64_t started_ms; /* monotonic */
};

/* The request tables, by what they are about. */
extern const struct rem_op ns_route_ops[], ns_broker_ops[], ns_admin_ops[];
extern const size_t ns_route_op_count, ns_broker_op_count, ns_admin_op_count;

/* A body made in `out`; a failed buffer is answered as such. Frees it. */
void ns_reply_buf(struct rem_request *rq, struct buf *out);

#endif
