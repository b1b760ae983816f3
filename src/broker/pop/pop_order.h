/*
 * Ordered pops: which messages of a queue a group holds. While one of them is neither acknowledged nor visible again,
 * nothing more is popped, except by a repeated attempt of the same pop. Kept in config/consumerOrderInfo.json.
 *
 * The caller locks. Owns nothing but pop_order.attempt.
 */
#ifndef CROCKET_BROKER_POP_POP_ORDER_H
#define CROCKET_BROKER_POP_POP_ORDER_H

#include "broker/pop/pop_info.h"
#include "broker/pop/pop_record.h"

struct pop_order {
    bool known;    /* there was an ordered pop */
    char *attempt; /* attemptId of the last pop; NULL none */
    int64_t pop_time, invisible_ms, last_consumed;
    uint64_t acked; /* bit i: offset[i] */
    uint32_t count;
    int64_t offset[POP_MAX_MESSAGES];
    int64_t visible[POP_MAX_MESSAGES];  /* time when it comes back, where that was changed; else 0 */
    int32_t consumed[POP_MAX_MESSAGES]; /* how often it was popped before */
};

void pop_order_clear(struct pop_order *o);

/* Nothing may be popped now. *free_at: when that ends by itself. */
bool pop_order_blocked(struct pop_order *o, struct str attempt, int64_t invisible_ms, int64_t now, int64_t *free_at);
/* A pop got these messages. */
bool pop_order_popped(struct pop_order *o, struct str attempt, int64_t pop_time, int64_t invisible_ms, int64_t now,
                      const int64_t *offsets, uint32_t n);
/* orderCountInfo of the last pop. */
void pop_order_counts(const struct pop_order *o, struct buf *out, enum pop_kind kind, int32_t queue_id);

enum { POP_ORDER_ILLEGAL = -1, POP_ORDER_STALE = -2 };
/* The group's new offset, or one of the above. */
int64_t pop_order_ack(struct pop_order *o, int64_t offset, int64_t pop_time);
void pop_order_set_visible(struct pop_order *o, int64_t offset, int64_t pop_time, int64_t visible);

void pop_order_write(const struct pop_order *o, struct jw *w);
bool pop_order_read(struct pop_order *o, const struct json *j);

#endif
