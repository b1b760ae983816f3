/*
 * Which queues a client of a group gets, by the rules that Java clients and brokers share. Any thread.
 */
#ifndef CROCKET_BROKER_POP_ASSIGNMENT_RULES_H
#define CROCKET_BROKER_POP_ASSIGNMENT_RULES_H

#include "base/str.h"
#include <stdint.h>

struct assigned_queue {
    struct str broker_name;
    int32_t queue_id; /* -1: all of that broker, for pops */
};

enum assignment_strategy { ASSIGN_UNKNOWN, ASSIGN_AVERAGELY, ASSIGN_BY_CIRCLE };
enum assignment_strategy assignment_strategy_of(struct str name); /* "AVG", "AVG_BY_CIRCLE" */

/* Sorts as Java compares queues of one topic. */
void assigned_queues_sort(struct assigned_queue *queues, size_t n);

/* out has room for `n`; returns how many. me: index of the client among `clients`. */
size_t assign_pull(enum assignment_strategy s, const struct assigned_queue *queues, size_t n, size_t me, size_t clients,
                   struct assigned_queue *out);
/* Of a client that pops: its own queues and those of the `share` clients behind it. me >= clients: none of the group.
 */
size_t assign_pop(enum assignment_strategy s, const struct assigned_queue *queues, size_t n, size_t me, size_t clients,
                  int32_t share, struct assigned_queue *out);

#endif
