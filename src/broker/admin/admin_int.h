/*
 * What the files of admin requests share. Not for other modules of the broker.
 * Threads: any, unless a function says otherwise.
 */
#ifndef CROCKET_BROKER_ADMIN_ADMIN_INT_H
#define CROCKET_BROKER_ADMIN_ADMIN_INT_H

#include "broker/broker_int.h"

/* Answers SUCCESS with the body, or an error when it could not be built, and frees it. */
void broker_admin_reply_json(struct rem_request *rq, struct buf *body);
/* Topics or groups were changed as asked: answers SUCCESS, with synchronous flush once the change is on the disk. */
void broker_admin_changed(struct rem_request *rq);
/* The same where something was deleted with its offsets: if they came back after a death, consumers of a topic or group
 * of the same name would pass over its first messages. */
void broker_admin_deleted(struct rem_request *rq);
/* The request's body as JSON in the request's arena; NULL: it is none, and the request is answered. */
const struct json *broker_admin_body(struct rem_request *rq);

/* {"brokerName":..,"queueId":..,"topic":..} as a value and as a key. */
void broker_admin_write_queue(struct jw *w, const struct broker *b, struct str topic, int32_t queue_id);
void broker_admin_write_queue_key(struct jw *w, const struct broker *b, struct str topic, int32_t queue_id);
void broker_admin_write_connection(struct jw *w, const struct consumer_client *c);
void broker_admin_write_strings(struct jw *w, const char *name, const struct str *items, size_t n);
/* Offsets of a queue; 0 for one that has never been written. */
int64_t broker_admin_queue_min(struct broker *b, struct str topic, int32_t queue_id);
int64_t broker_admin_queue_max(struct broker *b, struct str topic, int32_t queue_id);
/* Store time of the message at an offset, -1 when there is none. May block. */
int64_t broker_admin_queue_time(struct broker *b, struct str topic, int32_t queue_id, int64_t offset);

/* Java leaves out topics that a live group has offsets for but does not subscribe to (any more). */
bool broker_admin_group_consumes(struct broker *b, struct str group, struct str topic);
/* Neither the name's form nor the rule about system topics forbids an admin to change the topic; otherwise answered. */
bool broker_admin_topic_allowed(struct rem_request *rq, struct str topic);

/* Handlers whose rows stand in another file's table. */
void broker_admin_consume_stats(struct rem_request *rq, const void *header);     /* 208: consume_stats.c */
void broker_admin_all_consume_stats(struct rem_request *rq, const void *header); /* 317: consume_stats.c */
void broker_admin_consume_time_span(struct rem_request *rq, const void *header); /* 303: consume_stats.c */
void broker_admin_reset_offset(struct rem_request *rq, const void *header);      /* 222: reset_offset.c */
void broker_admin_correction_offset(struct rem_request *rq, const void *header); /* 308: reset_offset.c */
void broker_admin_clone_offset(struct rem_request *rq, const void *header);      /* 314: reset_offset.c */
void broker_admin_running_info(struct rem_request *rq, const void *header);      /* 307: client_forward.c */
void broker_admin_consume_directly(struct rem_request *rq, const void *header);  /* 309: client_forward.c */
void broker_admin_consumer_status(struct rem_request *rq, const void *header);   /* 223: client_forward.c */
void broker_admin_runtime_info(struct rem_request *rq, const void *header);      /* 28: runtime_info.c */
void broker_admin_update_config(struct rem_request *rq, const void *header);     /* 25: config_requests.c */
void broker_admin_get_config(struct rem_request *rq, const void *header);        /* 26: config_requests.c */

#endif
