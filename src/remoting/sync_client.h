/*
 * A blocking client for tools: connections to any number of addresses, one call at a time or several requests under way
 * on one connection. Requests that a broker sends to its clients are answered with "not supported" (one-way ones are
 * dropped).
 *
 * Ownership: the client owns its connections and buffers. A response is valid until the next call that reads from the
 * same address. One thread at a time; never on an event loop.
 */
#ifndef CROCKET_REMOTING_SYNC_CLIENT_H
#define CROCKET_REMOTING_SYNC_CLIENT_H

#include "base/err.h"
#include "remoting/command.h"

struct sync_client;

struct sync_client *sync_client_new(int64_t timeout_ms); /* of each connect and each answer; NULL: out of memory */
void sync_client_free(struct sync_client *c);

/* Begins a request; add header fields with rem_frame_*, then call, post or drop it by beginning another. */
void sync_begin(struct sync_client *c, struct rem_frame *f, int32_t code);

/* Sends and waits. 0: there is an answer, of whatever code. -1 with err: none (the address is named). body may be the
 * null view. */
int sync_call(struct sync_client *c, const char *address, struct rem_frame *f, struct str body,
              struct rem_command *answer, struct err *err);
/* The same, and an answer other than SUCCESS is an error too: err->code is the response code, the text has the remark.
 */
int sync_call_ok(struct sync_client *c, const char *address, struct rem_frame *f, struct str body,
                 struct rem_command *answer, struct err *err);
/* Tries the addresses of a list "a:1;b:2" in turn until one answers. */
int sync_call_any(struct sync_client *c, const char *addresses, struct rem_frame *f, struct str body,
                  struct rem_command *answer, struct err *err);

/* Several under way: post writes, take waits for the next answer, whichever it belongs to. */
int sync_post(struct sync_client *c, const char *address, struct rem_frame *f, struct str body, int32_t *opaque,
              struct err *err);
int sync_take(struct sync_client *c, const char *address, int64_t timeout_ms, struct rem_command *answer,
              struct err *err);
/* From whichever connection has one; *address tells which (also when that connection failed; else NULL). */
int sync_take_any(struct sync_client *c, int64_t timeout_ms, const char **address, struct rem_command *answer,
                  struct err *err);
/* Without waiting for an answer. */
int sync_oneway(struct sync_client *c, const char *address, struct rem_frame *f, struct str body, struct err *err);

/* The same text as the others' err for an answer that is no success. Returns -1. */
int sync_refused(const char *address, const struct rem_command *answer, struct err *err);

#endif
