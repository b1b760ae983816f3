/*
 * Requests from the broker to a connected client, begun on any thread: fields and body are copied and carried to the
 * loop of the client's connection; the answer comes back as a callback on that loop.
 *
 * Ownership: client_call_new gives one that client_call_send takes. Threads: one at a time, any; done runs on the loop
 * of the connection.
 */
#ifndef CROCKET_BROKER_CLIENT_CLIENT_CALL_H
#define CROCKET_BROKER_CLIENT_CLIENT_CALL_H

#include "base/arena.h"
#include "remoting/call.h"
#include "remoting/schema.h"

struct client_call;

struct client_call *client_call_new(int32_t code); /* NULL: out of memory */
/* Copied; nothing for a null value. A key that is there already is replaced. */
void client_call_field(struct client_call *c, struct str key, struct str value);
void client_call_header(struct client_call *c, struct rem_schema *schema, const void *header);
void client_call_body(struct client_call *c, struct str body);
/* done is called once: with the response, or with NULL and a reason (why). done NULL: a oneway request. */
void client_call_send(struct client_call *c, struct net_ref to, int64_t timeout_ms, rem_done_fn done, void *arg);
void client_call_free(struct client_call *c); /* instead of sending; NULL is fine */

#endif
