/*
 * Requests of our own: to a peer that is connected to us (a broker asks a client), or over a connection that we keep to
 * an address (a broker registers with a name server). Answers and time-outs come back as callbacks on the same loop.
 *
 * Ownership: rem_channel belongs to its creator; calls belong to the connection. The response command in the callback
 * is valid during the callback only. Threads: the loop of the connection or channel.
 */
#ifndef CROCKET_REMOTING_CALL_H
#define CROCKET_REMOTING_CALL_H

#include "net/conn.h"
#include "remoting/command.h"

/* response NULL: no answer (time-out, connection gone); why says which. */
typedef void (*rem_done_fn)(void *arg, const struct rem_command *response, const char *why);

/* Begins a request frame on the connection; finish with rem_call_send. The opaque is chosen here. */
struct rem_call {
    struct rem_frame frame;
    struct net_conn *conn;
    int32_t opaque;
    bool oneway;
};
/* False when the connection is gone. */
bool rem_call_begin(struct rem_call *c, struct net_ref to, int32_t code, bool oneway);
/* done is called once (not for oneway). body may be the null view. */
void rem_call_send(struct rem_call *c, struct str body, int64_t timeout_ms, rem_done_fn done, void *arg);

/* A connection to an address that is opened when needed and opened anew after it broke. */
struct rem_channel;
struct rem_channel *rem_channel_new(struct net_loop *loop, const struct net_address *to);
void rem_channel_free(struct rem_channel *ch); /* pending calls end with "closed" */
/* fn is called when the channel's connection broke or could not be opened, after the calls on it have ended. */
void rem_channel_on_closed(struct rem_channel *ch, void (*fn)(void *arg), void *arg);
/* Sends a whole frame made by rem_channel_begin / _send; queued while connecting. */
bool rem_channel_begin(struct rem_channel *ch, struct rem_call *c, int32_t code, bool oneway);

/* ---- what a protocol that carries calls must do: used by server.c and the channel ---- */

/* Called with each request among the frames; frame: its len bytes. */
typedef void (*rem_request_fn)(void *arg, struct net_conn *c, struct rem_command *request, const uint8_t *frame,
                               size_t len);
/* Takes the whole frames of data as net_protocol.data must: answers end their calls, requests go to `request` (NULL:
 * they are passed over). -1: malformed, *why says what. */
ptrdiff_t rem_take_frames(struct net_conn *c, uint8_t *data, size_t len, size_t *want, rem_request_fn request,
                          void *arg, const char **why);
void rem_calls_closed(struct net_conn *c, const char *why);

#endif
