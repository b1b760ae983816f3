/* What the table of consumer filters and its file share. Not for others. */
#ifndef CROCKET_BROKER_FILTER_CONSUMER_FILTER_INT_H
#define CROCKET_BROKER_FILTER_CONSUMER_FILTER_INT_H

#include "base/map.h"
#include "broker/config/config_file.h"
#include "broker/filter/consumer_filter.h"
#include "os/thread.h"

enum { FILTER_KEY_MAX = 600 };

struct consumer_filters {
    char *path; /* consumerFilter.json */
    struct bloom bloom;
    pthread_mutex_t lock;
    struct store *store;
    struct map filters;  /* topic, NUL, group -> struct consumer_filter */
    struct map by_topic; /* topic -> the first of its filters */
    _Atomic size_t count;
    uint64_t changes, saved;
};

struct consumer_filter *consumer_filter_alloc(struct str topic, struct str group, struct str expression,
                                              struct str type);
bool consumer_filter_is_dead(const struct consumer_filter *f);
/* Null when the names are too long. */
struct str consumer_filters_key(char key[FILTER_KEY_MAX], struct str topic, struct str group);
/* Under the lock. Takes f; false: not put, out of memory. */
bool consumer_filters_put(struct consumer_filters *t, struct consumer_filter *f);
void consumer_filters_drop(struct consumer_filters *t, struct consumer_filter *f); /* under the lock */
void consumer_filters_clear(struct consumer_filters *t);                           /* under the lock */

#endif
