/*
 * Answers with header fields and a body from any thread: written into memory of their own, then carried to the loop of
 * the connection that waits for them.
 *
 * Ownership: late_reply_new gives one that late_reply_send takes. Threads: one at a time, any.
 */
#ifndef CROCKET_BROKER_SEND_LATE_REPLY_H
#define CROCKET_BROKER_SEND_LATE_REPLY_H

#include "remoting/server.h"

struct late_reply;

/* NULL when nobody wants an answer or memory ran out. */
struct late_reply *late_reply_new(const struct rem_token *to, int32_t code);
struct rem_frame *late_reply_frame(struct late_reply *l); /* for rem_frame_* header fields */
/* remark and body may be null views. NULL l is fine. */
void late_reply_send(struct late_reply *l, struct str remark, struct str body);

#endif
