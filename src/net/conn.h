/*
 * TCP connections of an event loop: accept, connect, read whole frames in place, write at the end of the round.
 *
 * Ownership: the loop owns its connections; a pointer is valid until the protocol's closed() returned. Whoever wants to
 * come back later keeps a net_ref and asks net_ref_get.
 * Threads: the loop's own thread only, except net_ref copies and net_listen (any, before the loops run).
 */
#ifndef CROCKET_NET_CONN_H
#define CROCKET_NET_CONN_H

#include "base/buf.h"
#include "base/err.h"
#include "net/loop.h"
#include <sys/socket.h>

struct net_conn;

struct net_ref {
    struct net_loop *loop;
    uint32_t slot;
    uint32_t generation; /* 0 = no connection */
};

struct net_address {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* What is spoken on a connection. All functions run on the connection's loop. */
struct net_protocol {
    /* New connection, accepted or connected. May be NULL. */
    void (*opened)(struct net_conn *c);
    /* Bytes arrived. Returns how many were used (whole frames; data may be changed in place), or -1: close.
     * When the next frame is incomplete, *want = bytes it needs in all (0 = unknown). */
    ptrdiff_t (*data)(struct net_conn *c, uint8_t *data, size_t len, size_t *want);
    /* The connection is gone (also when a connect failed: then opened was never called). */
    void (*closed)(struct net_conn *c, const char *why);
    int64_t idle_timeout_ms; /* 0 = none */
};

/* Numeric "host:port", "[v6]:port"; a host name is resolved (may block: not on a loop). */
int net_address_parse(struct net_address *out, struct str text, struct err *err);
size_t net_address_format(const struct net_address *a, char out[64]); /* "1.2.3.4:5" or "[::1]:5" */
uint16_t net_address_port(const struct net_address *a);
bool net_address_is_loopback(const struct net_address *a);
/* What every connection of this protocol wants of its TCP socket: no delay of small packets, and between two processes
 * of one machine no congestion control that paces. BBR, the default of many cloud images, holds answers back there
 * although nothing can be congested. */
void net_socket_tune(int fd, const struct net_address *peer);
/* The address of this machine that a route to the outside would use, else 127.0.0.1. */
void net_address_of_this_host(char out[64]);

struct net_listener;
/* Listens and hands accepted connections to the loops, evenly. user becomes net_conn_user of each. */
int net_listen(struct net_listener **out, struct net_pool *pool, struct str host, uint16_t port,
               const struct net_protocol *protocol, void *user, struct err *err);
uint16_t net_listener_port(const struct net_listener *l);
void net_listener_stop(struct net_listener *l); /* on no loop, or loops stopped; stops accepting */
void net_listener_free(struct net_listener *l);

/* Starts connecting; opened() or closed() follows. NULL when it failed at once. */
struct net_conn *net_connect(struct net_loop *l, const struct net_address *to, const struct net_protocol *protocol,
                             void *user, struct err *err);

struct net_loop *net_conn_loop(const struct net_conn *c);
void *net_conn_user(const struct net_conn *c);
void net_conn_set_user(struct net_conn *c, void *user);
void **net_conn_state(struct net_conn *c); /* a second pointer, for the protocol's own state */
const struct net_address *net_conn_peer(const struct net_conn *c);
const struct net_address *net_conn_local(const struct net_conn *c);
struct net_ref net_conn_ref(const struct net_conn *c);
struct net_conn *net_ref_get(struct net_ref r); /* NULL when gone; on the loop of the ref */
static inline bool net_ref_eq(struct net_ref a, struct net_ref b)
{
    return a.loop == b.loop && a.slot == b.slot && a.generation == b.generation;
}

/* Output: append to the buffer this returns, then net_conn_written. It goes out at the end of the round. */
struct buf *net_conn_out(struct net_conn *c);
void net_conn_written(struct net_conn *c);
/* Appends a piece of a file behind what is in the buffer, sent without copying. release(arg, arg2) is called when it
 * was sent or the connection died. */
void net_conn_send_file(struct net_conn *c, int fd, int64_t offset, size_t len, void (*release)(void *arg), void *arg);
size_t net_conn_unsent(const struct net_conn *c);
/* Closes at the end of the round; closed() is called then. */
void net_conn_close(struct net_conn *c, const char *why);
/* No more reading (flow control) until resumed; counts. */
void net_conn_pause(struct net_conn *c);
void net_conn_resume(struct net_conn *c);

/* All connections of a loop: fn may close them. */
void net_loop_each_conn(struct net_loop *l, void (*fn)(void *arg, struct net_conn *c), void *arg);

#endif
