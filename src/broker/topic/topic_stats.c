/* Counting the messages of a topic: its items are looked up once and kept with the topic. */
#include "broker/send/send.h"

#include <stdlib.h>

struct topic_stats {
    struct stats_item *nums, *size;
};

void topic_count_put(struct stats *stats, struct topic *t, int64_t count, int64_t bytes)
{
    struct topic_stats *ts = atomic_load_explicit(&t->stats, memory_order_acquire);
    if (ts == NULL) {
        struct topic_stats *made = malloc(sizeof *made), *none = NULL;
        if (made == NULL)
            return;
        made->nums = stats_item(stats, STATS_TOPIC_PUT_NUMS, t->name);
        made->size = stats_item(stats, STATS_TOPIC_PUT_SIZE, t->name);
        if (made->nums == NULL || made->size == NULL || !atomic_compare_exchange_strong(&t->stats, &none, made)) {
            free(made);
            made = none;
        }
        if (made == NULL)
            return;
        ts = made;
    }
    stats_add(ts->nums, count);
    stats_add(ts->size, bytes);
}
