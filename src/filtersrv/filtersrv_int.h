/* What the files of the filter server share; all of it belongs to its loop. Not for others. */
#ifndef CROCKET_FILTERSRV_FILTERSRV_INT_H
#define CROCKET_FILTERSRV_FILTERSRV_INT_H

#include "base/map.h"
#include "filtersrv/filtersrv.h"
#include "remoting/call.h"
#include "remoting/server.h"

struct filtersrv {
    struct net_pool pool; /* of one loop */
    struct net_loop *loop;
    struct net_listener *listener;
    struct rem_server *server;
    struct rem_channel *channel; /* to the broker */
    struct net_timer register_timer, expire_timer;
    struct script_limits limits;
    size_t source_max;
    char broker[80], address[80];
    bool registered, complained, running;
    struct map classes; /* topic@group -> struct filter_class */
    struct buf scratch; /* the messages of one answer */
};

/* The code of one consumer group for one topic. */
struct filter_class {
    struct script *script; /* NULL: the source was refused, see why */
    char *name;            /* className */
    int32_t crc;
    int64_t used_ms; /* last upload or pull */
    int64_t messages, matched, errors, steps;
    char why[480]; /* the last error */
};

enum { CLASS_KEY_MAX = 600 };

/* filter_class.c */
extern const struct rem_op filtersrv_class_ops[]; /* 302, 28 */
extern const size_t filtersrv_class_op_count;
struct filter_class *filter_class_find(struct filtersrv *f, struct str topic, struct str group);
void filter_classes_expire(struct filtersrv *f);
void filter_classes_free(struct filtersrv *f);

/* filter_pull.c */
extern const struct rem_op filtersrv_pull_ops[]; /* 11 */
extern const size_t filtersrv_pull_op_count;

#endif
