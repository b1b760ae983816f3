/* What loop.c and conn.c share. */
#ifndef CROCKET_NET_LOOP_INTERNAL_H
#define CROCKET_NET_LOOP_INTERNAL_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/loop.h"
#include <stdatomic.h>

enum { NET_READ_BUFFER = 256 * 1024 };

/* Everything epoll can report begins with its handler. */
struct net_source {
    void (*ready)(struct net_loop *loop, struct net_source *s, uint32_t events);
};

struct net_slot {
    struct net_conn *conn;
    uint32_t generation;
    uint32_t next_free;
};

struct net_loop {
    unsigned id;
    int epoll_fd;
    int event_fd;
    struct net_source inbox_source;
    _Atomic(struct net_task *) inbox;
    atomic_bool sleeping;
    atomic_bool stopping;
    bool again;
    int64_t now_ms;
    struct net_timer **heap; /* 1-based binary heap */
    size_t heap_len, heap_cap;
    struct list hooks;
    struct list flush;   /* connections with output to write at the end of the round */
    struct list closing; /* connections to destroy at the end of the round */
    struct net_slot *slots;
    uint32_t slots_cap, free_slot;
    atomic_uint conn_count;
    uint8_t *read_buffer;
};

int net_loop_watch(struct net_loop *l, int fd, uint32_t events, struct net_source *s, bool modify);
void net_conn_flush_pending(struct net_loop *l);
void net_conn_destroy_closing(struct net_loop *l);
void net_conn_close_all(struct net_loop *l);

#endif
