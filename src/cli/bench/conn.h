/*
 * One connection of the load generator: whole frames in, a buffer of frames out. In an epoll set, or blocking when a
 * worker has only this one. Owner: the worker that opened it; that thread only.
 */
#ifndef CROCKET_CLI_BENCH_CONN_H
#define CROCKET_CLI_BENCH_CONN_H

#include "base/buf.h"
#include "base/err.h"

struct bench_conn {
    int fd;
    int epoll;  /* -1: blocking */
    void *user; /* given back by epoll */
    bool wants_write;
    struct buf in, out;
    size_t out_sent;
};

int bench_conn_open(struct bench_conn *c, const char *address, int epoll, void *user, struct err *err);
void bench_conn_close(struct bench_conn *c);
/* Receives once. False: the connection is gone; *why says it. */
bool bench_conn_receive(struct bench_conn *c, const char **why);
/* Hands each whole frame that was received to fn. False: the peer talks nonsense. */
bool bench_conn_frames(struct bench_conn *c, void (*fn)(void *arg, uint8_t *frame, size_t len), void *arg,
                       const char **why);
bool bench_conn_flush(struct bench_conn *c, const char **why);

#endif
