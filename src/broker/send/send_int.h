/* What the parts of sending share: the checks of a send, its properties, its answer. On the connection's loop only. */
#ifndef CROCKET_BROKER_SEND_SEND_INT_H
#define CROCKET_BROKER_SEND_SEND_INT_H

#include "broker/broker_loop.h"
#include "broker/send/send.h"
#include "remoting/headers_client.h"

/* What a send needs to know of the properties, found in one pass; parts of their text. */
struct send_seen {
    struct str tags, keys, uniq_key, wait, delay;
    bool transaction, timer, drop, inner;
};

void send_look(struct str properties, struct send_seen *s);
/* The stored properties: those of the producer, then region, trace switch and cluster (stamp). */
void send_complete(struct buf *out, struct str stamp, struct str given, const struct send_seen *s);

/* ---- checks: false or NULL when the request was answered with a refusal */

/* The topic of a send, created where the rules allow it. */
struct topic *send_topic(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h);
/* A negative queue id becomes one of the topic's. */
bool send_queue_allowed(struct rem_request *rq, struct broker_loop *bl, struct topic *t, int32_t *queue_id);
/* Compaction topics keep the newest message of each key. */
bool send_has_key(struct rem_request *rq, struct broker_loop *bl, struct topic *t, const struct send_seen *s);

/* ---- answers */

void send_refuse(struct rem_request *rq, struct broker *b, int32_t code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A send whose answer comes later; NULL: too many wait, refused. It is freed with its answer. */
struct pending_send *send_pending(struct rem_request *rq, struct broker_loop *bl, struct topic *t, int32_t queue_id,
                                  const struct send_seen *s);
void send_failed(struct broker_loop *bl, struct pending_send *p, enum put_status status); /* answers */

/* A batch of messages: the whole request. */
void send_batch(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h);

#endif
