/* What the files of this module share: the loop and the connection from inside. */
#ifndef CROCKET_NET_LOOP_INTERNAL_H
#define CROCKET_NET_LOOP_INTERNAL_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/loop.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
    NET_READ_BUFFER = 256 * 1024,
    NET_KEEP_BUFFER = 64 * 1024, /* a drained buffer larger than this is given back */
};

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
    pthread_mutex_t lock; /* held while a round runs, by whichever thread; members that are not atomic are under it */
    _Atomic(struct net_task *) inbox;
    _Atomic(struct net_task *) near; /* of net_loop_post_near */
    atomic_bool sleeping;
    atomic_bool stopping;
    bool again;
    int64_t now_ms;
    int64_t sleeps_until_ms;                    /* while it sleeps: when it gets up by itself */
    int events;                                 /* of this round's epoll_wait */
    struct net_loop *neighbours[NET_MAX_LOOPS]; /* got tasks by net_loop_post_near in this round */
    unsigned neighbour_count;
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

/* A piece of output: bytes of `out`, or a part of a file. */
struct piece {
    int fd; /* -1: bytes */
    int64_t offset;
    size_t len;
    void (*release)(void *arg);
    void *arg;
};

struct net_conn {
    struct net_source source;
    struct net_loop *loop;
    int fd;
    uint32_t slot;
    uint32_t generation;
    const struct net_protocol *protocol;
    void *user;
    void *state;
    struct list flush_node;
    struct list closing_node;
    struct buf in;
    size_t want; /* bytes of the incomplete frame in `in`, 0 unknown */
    int64_t charged;
    struct buf out;
    size_t out_pos;   /* sent bytes of out */
    size_t out_filed; /* bytes of out that pieces cover */
    struct piece *pieces;
    size_t piece_first, piece_count, piece_cap;
    size_t file_unsent;
    struct net_address peer, local;
    struct net_timer idle;
    struct net_timer budget_wait;
    int64_t last_active_ms;
    const char *close_why;
    int paused;
    bool connecting;
    bool opened;
    bool stopped_by_output;
    bool writable_wanted;
    uint32_t events;
};

int net_loop_watch(struct net_loop *l, int fd, uint32_t events, struct net_source *s, bool modify);
void net_conn_flush_pending(struct net_loop *l);
void net_conn_destroy_closing(struct net_loop *l);
void net_conn_close_all(struct net_loop *l);
void net_conn_update_events(struct net_conn *c); /* tells epoll what the connection waits for now */
void net_conn_drop_pieces(struct net_conn *c);   /* releases files that were not sent */
/* Takes over an accepted socket. The count of the loop's connections has been raised when the loop was chosen. */
void net_conn_adopt(struct net_loop *l, int fd, const struct net_address *peer, const struct net_protocol *protocol,
                    void *user);

#endif
