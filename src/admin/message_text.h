/*
 * Messages for people and programs: one line, all fields, or a JSON object. A record is a view of a pull's body;
 * nothing is kept. Any thread.
 */
#ifndef CROCKET_ADMIN_MESSAGE_TEXT_H
#define CROCKET_ADMIN_MESSAGE_TEXT_H

#include "base/json.h"
#include "message/message.h"

/* The next record of *rest; false at the end (or at something that is no record). */
bool message_next(struct str *rest, struct msg_view *v);
/* The client's id, else the offset id. */
struct str message_id(const struct msg_view *v, char buffer[56]);
/* Body as text: decompressed where possible, bytes that are no text as \xNN. */
void message_body_text(struct buf *out, const struct msg_view *v);
/* All fields, one a line, as queryMsgById prints them. */
void message_print(struct buf *out, const struct msg_view *v);
/* {name=value, ...} */
void message_properties_text(struct buf *out, struct str properties);
/* One object. body: text when it is valid UTF-8, else "bodyBase64". */
void message_json(struct jw *w, const struct msg_view *v, struct str broker_name);
void message_host_text(const struct msg_host *h, char out[64]);

#endif
