/*
 * What the broker knows of pops while it runs: for each topic and group the position in each queue, who is popping
 * there now, and how many messages are under way. A retry topic and its group have an entry of their own.
 *
 * A queue is popped by one event loop at a time, until the checkpoints of its pops are in the log: then the group's
 * offset is committed behind them. So an offset never stands behind a message whose checkpoint could get lost.
 *
 * Ownership: entries live until pop_table_free. Threads: any, except where it says otherwise.
 */
#ifndef CROCKET_BROKER_POP_POP_QUEUE_H
#define CROCKET_BROKER_POP_POP_QUEUE_H

#include "broker/pop/pop_order.h"
#include <pthread.h>
#include <stdatomic.h>

enum pop_counter { POP_GOT_NUMS, POP_GOT_SIZE, POP_CK_NUMS, POP_ACK_NUMS, POP_COUNTERS };

struct broker;
struct stats_item;
struct pop_group;
struct pop_hold; /* pop_wait.h: the pops of one loop that wait */

struct pop_queue {
    struct pop_group *group;
    int32_t id;
    _Atomic int64_t inflight; /* given away, neither acknowledged nor revived */
    atomic_int waiting;       /* held pops of this queue only */
    /* under the lock */
    pthread_mutex_t lock;
    int owner;        /* loop whose checkpoints are not in the log yet; -1 none */
    uint32_t pending; /* such checkpoints */
    int64_t next;     /* behind the last message given away, while there are such */
    uint64_t refused; /* loops that came while it was owned */
    struct pop_order order;
};

struct pop_group {
    struct str topic, group; /* NUL-terminated */
    enum pop_kind kind;
    struct pop_group *retry[POP_RETRY_V2 + 1];           /* of a normal topic: its retry topics, by kind; [0] unused */
    atomic_int waiting;                                  /* held pops of all queues */
    _Atomic(struct stats_item *) counters[POP_COUNTERS]; /* made on first use */
    pthread_mutex_t lock;
    struct pop_queue **queues;
    int32_t queue_count;
    struct pop_hold *holds; /* of a normal topic: one a loop */
};

struct pop_table;

/* b: handed to the pops that wait, else not used. */
struct pop_table *pop_table_new(struct broker *b, unsigned loops);
void pop_table_free(struct pop_table *t);

/* Makes what is missing; NULL: out of memory, or create is false and there is none. */
struct pop_group *pop_table_group(struct pop_table *t, struct str topic, struct str group, bool create);
struct pop_queue *pop_group_queue(struct pop_group *g, int32_t queue_id, bool create);
/* The entry of a queue that may never have been popped: NULL then. */
struct pop_queue *pop_table_queue(struct pop_table *t, struct str topic, struct str group, int32_t queue_id);
void pop_table_each(struct pop_table *t, void (*fn)(void *arg, struct pop_queue *q), void *arg);

/* A loop begins to pop. False: another loop is at it, and will wake this one when it is done. */
bool pop_queue_enter(struct pop_queue *q, unsigned loop);
/* The loop's checkpoint from `start` to `next` is on its way to the log. */
void pop_queue_put(struct pop_queue *q, int64_t next);
/* It got there, or (not ok) it did not: then `start` is popped again. True: no other is under way, *commit is the new
 * offset of the group. */
bool pop_queue_done(struct pop_queue *q, bool ok, int64_t start, int64_t *commit);
/* The loop leaves if nothing is under way any more: bits of the loops to wake. */
uint64_t pop_queue_leave(struct pop_queue *q);
/* The messages below `next` match nobody. True: nothing is under way, the caller commits `next`. */
bool pop_queue_skip(struct pop_queue *q, int64_t next);
/* Where the next pop begins, given the group's committed offset. */
int64_t pop_queue_start(struct pop_queue *q, int64_t committed);
/* Another loop is at it; it will wake this one. */
bool pop_queue_busy(struct pop_queue *q, unsigned loop);

#endif
