/*
 * Pulls of consumers that are far behind step back for what is new: while a loop takes messages or delivers new ones,
 * pulls of old ones get a share of its time (catchUpShare), or as much as it takes to give out on each loop what comes
 * in on all, so that nobody falls back for ever. The others wait for the next turn. Otherwise a few consumers that read
 * a backlog at full speed would hold up every new message.
 *
 * Ownership: part of the broker_loop; a pull that waits belongs to it. Threads: the loop's.
 */
#ifndef CROCKET_BROKER_PULL_CATCH_UP_H
#define CROCKET_BROKER_PULL_CATCH_UP_H

#include "base/list.h"
#include "net/loop.h"
#include <stdatomic.h>

struct broker_loop;
struct pull;

struct catch_up {
    struct list waiting; /* pulls */
    struct net_timer timer;
    int64_t turn_ms;        /* when this turn began */
    int64_t spent_ns;       /* on old messages in it */
    int64_t log_end;        /* of the broker at its beginning */
    int64_t log_end_before; /* at the beginning of the one before */
    int64_t given;          /* bytes of old messages in it */
    int64_t new_ms;         /* when the loop last had something new */
    _Atomic int64_t waits;  /* how often a pull had to wait, so far */
};

void catch_up_init(struct broker_loop *bl);
void catch_up_free(struct broker_loop *bl);

/* The loop takes or delivers new messages. */
void catch_up_new(struct broker_loop *bl);
/* Whether the pull is of old messages. */
bool catch_up_is(const struct pull *p);
/* True: the pull, which is of old messages, waits for a later turn and runs then. */
bool catch_up_waits(struct broker_loop *bl, struct pull *p);
/* So much time went into a pull of so many bytes of old messages, without the sending of its answer. */
void catch_up_spent(struct broker_loop *bl, int64_t ns, int64_t given);

#endif
