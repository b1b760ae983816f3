/*
 * Statistics that admin tools ask for: items as in Java's BrokerStatsManager (TOPIC_PUT_NUMS, GROUP_GET_NUMS, ...) with
 * minute, hour and day windows, and broker totals. Counting is one relaxed atomic add; sampling runs on a background
 * thread. Ownership: items live until stats_free. Threads: any.
 */
#ifndef CROCKET_BROKER_STATS_H
#define CROCKET_BROKER_STATS_H

#include "base/json.h"
#include <stdatomic.h>

struct stats;
struct stats_item {
    _Atomic int64_t value;
    _Atomic int64_t times;
};

enum stats_name {
    STATS_TOPIC_PUT_NUMS,
    STATS_TOPIC_PUT_SIZE,
    STATS_GROUP_GET_NUMS,
    STATS_GROUP_GET_SIZE,
    STATS_SNDBCK_PUT_NUMS,
    STATS_DLQ_PUT_NUMS,
    STATS_BROKER_PUT_NUMS,
    STATS_BROKER_GET_NUMS,
    STATS_GROUP_GET_LATENCY,
    STATS_TOPIC_PUT_LATENCY,
    STATS_BROKER_CK_NUMS,
    STATS_GROUP_CK_NUMS,
    STATS_BROKER_ACK_NUMS,
    STATS_GROUP_ACK_NUMS,
    STATS_NAMES
};

struct stats *stats_new(const char *cluster);
void stats_free(struct stats *s);
void stats_sample(struct stats *s, int64_t now_ms); /* once a second, from one thread */
/* key: topic, or "topic@group". Creates; look up once and keep the pointer where it is hot. */
struct stats_item *stats_item(struct stats *s, enum stats_name name, struct str key);
static inline void stats_add(struct stats_item *i, int64_t value)
{
    atomic_fetch_add_explicit(&i->value, value, memory_order_relaxed);
    atomic_fetch_add_explicit(&i->times, 1, memory_order_relaxed);
}
/* {"statsDay":{..},"statsHour":{..},"statsMinute":{..}}; false when there is no such item */
bool stats_write(struct stats *s, struct str name, struct str key, struct jw *w);
double stats_tps(struct stats *s, enum stats_name name, struct str key); /* last minute */
/* Totals: messages put / got by the broker since start, and at the last midnights. */
void stats_totals(struct stats *s, int64_t *put_now, int64_t *put_today_morning, int64_t *put_yesterday_morning,
                  int64_t *got_now, int64_t *got_today_morning, int64_t *got_yesterday_morning);
void stats_forget(struct stats *s, struct str topic_or_group);
/* put and get tps over 10 s, 60 s and 600 s as Java prints them: "1.0 2.0 3.0" */
void stats_tps_text(struct stats *s, enum stats_name name, char out[64]);

/* The store's reads that found something and that did not, as running totals; beside stats_sample, from the same
 * thread. */
enum stats_rate { STATS_RATE_PUT, STATS_RATE_TRANSFERRED, STATS_RATE_FOUND, STATS_RATE_MISSED, STATS_RATES };
void stats_sample_gets(struct stats *s, int64_t found, int64_t missed, int64_t now_ms);
/* The sum of the rates whose bits (1 << enum stats_rate) are set, in the form of stats_tps_text. */
void stats_rate_text(struct stats *s, unsigned which, char out[64]);

#endif
