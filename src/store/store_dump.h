/*
 * Reading a store directory for a person or a script: the messages in log order, the queues, the index files.
 * Read-only; damage is stepped over and told. One thread; may block.
 */
#ifndef CROCKET_STORE_STORE_DUMP_H
#define CROCKET_STORE_STORE_DUMP_H

#include "base/err.h"
#include "message/message.h"
#include "os/fs.h"

struct store_dump_filter {
    const char *topic;    /* NULL: any */
    int64_t queue_id;     /* -1: any */
    const char *key;      /* one of KEYS, or the unique key; NULL: any */
    int64_t from, to;     /* log offsets [from, to); from need not be where a message begins */
    int64_t since, until; /* store times in ms, [since, until); INT64_MIN and INT64_MAX: any */
    int64_t count;        /* at most so many messages; -1: all */
};

struct store_dump_sink {
    void *arg;
    void (*message)(void *arg, const struct msg_view *v, int64_t offset); /* views are valid during the call */
    void (*damage)(void *arg, const char *file, int64_t offset, int64_t bytes);
    void (*progress)(void *arg, int64_t done, int64_t total); /* bytes of the log; may be NULL */
};

/* commitlog: its folders, separated by ','; NULL: commitlog in dir. How many messages went to the sink, -1 with err. */
int64_t store_dump_messages(const struct fs *fs, const char *dir, const char *commitlog,
                            const struct store_dump_filter *filter, const struct store_dump_sink *sink,
                            struct err *err);

#endif
