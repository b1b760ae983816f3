/*
 * The filter expressions of consumer groups: what heartbeats subscribe by SQL92, compiled, one for each topic and
 * group. Kept in config/consumerFilter.json, so that a pull that comes before the first heartbeat after a restart finds
 * its filter. A filter whose group is gone stays for filterDataCleanTimeSpan.
 *
 * Bits of a queue's entries tell which of the topic's filters want the message (store.h): each filter has some of them
 * as its own, as in a bloom filter, and what lacks one need not be read for it. Java keeps such bits in files beside
 * the queue (enableConsumeQueueExt).
 *
 * Ownership: filters are reference-counted and do not change but for their counters; the table owns itself. Threads:
 * any (one lock); load and persist may block.
 */
#ifndef CROCKET_BROKER_FILTER_CONSUMER_FILTER_H
#define CROCKET_BROKER_FILTER_CONSUMER_FILTER_H

#include "base/json.h"
#include "filter/bloom.h"
#include "filter/sql.h"
#include "store/store.h"
#include <stdatomic.h>

struct consumer_filter {
    atomic_int refs;
    struct str topic, group, expression, type;
    struct sql *sql; /* NULL: from a file and not understood; lets everything through, as in Java */
    int64_t born_time;
    _Atomic int64_t dead_time; /* at or after born_time: its group is gone */
    _Atomic int64_t client_version;
    struct bloom bloom; /* no hashes: none was made */
    int32_t positions[BLOOM_HASHES_MAX];
    uint32_t bits;                /* which ones tell of it; 0: it is no group's filter */
    _Atomic int64_t bits_from;    /* of messages from this log offset on */
    struct consumer_filter *next; /* of the same topic; the table's */
};

/* The filter of one pull. NULL with err: malformed, or a type that is not SQL92. Release it. */
struct consumer_filter *consumer_filter_new(struct str topic, struct str group, struct str expression, struct str type,
                                            int64_t client_version, struct err *err);
struct consumer_filter *consumer_filter_retain(struct consumer_filter *f);
void consumer_filter_release(struct consumer_filter *f);                   /* NULL is fine */
void consumer_filter_write(const struct consumer_filter *f, struct jw *w); /* ConsumerFilterData as JSON */

struct consumer_filters;
struct consumer_filters *consumer_filters_new(const char *dir, struct bloom bloom);
void consumer_filters_free(struct consumer_filters *t);
/* Whose entries have bits. Before the filters are loaded; not called: none have. */
void consumer_filters_set_store(struct consumer_filters *t, struct store *store);
int consumer_filters_load(struct consumer_filters *t, struct err *err);
/* Drops what has been dead for clean_after_ms, and saves if there is anything new. */
int consumer_filters_persist(struct consumer_filters *t, int64_t clean_after_ms, struct err *err);

/* From a heartbeat: subs are SubscriptionData. An older version changes nothing; a malformed expression takes the place
 * of the old one, by leaving none. */
void consumer_filters_register(struct consumer_filters *t, struct str group, const struct json *subs);
void consumer_filters_unregister(struct consumer_filters *t, struct str group); /* its last client is gone */
/* Retained: release it. NULL when there is none. */
struct consumer_filter *consumer_filters_find(struct consumer_filters *t, struct str topic, struct str group);

/* The bits of a message for the entry in its queue; 0: there are none. */
uint32_t consumer_filters_bits(struct consumer_filters *t, struct str topic, struct str properties);
/* The entry tells that the filter does not want the message. */
bool consumer_filter_rules_out(const struct consumer_filter *f, const struct store_entry *e);

#endif
