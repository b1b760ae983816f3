/*
 * Full load on a broker: every worker is a thread with a connection of its own that sends, waits for the answer, notes
 * in the ledger what was promised and goes on, until the connection breaks or the load is told to end.
 *
 * Ownership: load_end waits for all threads. One caller.
 */
#ifndef CROCKET_FAULT_LOAD_H
#define CROCKET_FAULT_LOAD_H

#include "fault/ledger.h"
#include "os/thread.h"

struct load;

struct load_worker {
    struct load *load;
    size_t index; /* of its entries in the ledger; of the reader and the popper: none */
    struct thread thread;
};

enum { INVISIBLE_MS = 6000, DELAY_MS = 1000, TIMED_MS = 2000 };

struct load {
    struct ledger *ledger;
    const char *address;
    bool stop;         /* atomic */
    char refused[512]; /* the first answer that was no success; under lock */
    pthread_mutex_t lock;
    int64_t seen[QUEUES]; /* KIND_PLAIN: offsets below were given to a consumer; the reader's own */
    int64_t again; /* popped messages that came again after their acknowledgement was answered; the popper's own */
    int64_t popped_open; /* atomic: messages sent for pops and not yet acknowledged */
    struct load_worker senders[WORKERS_MAX], reader, popper;
    size_t sender_count;
};

void load_init(struct load *l, struct ledger *ledger, const char *address);
void load_begin(struct load *l);
void load_end(struct load *l); /* after the server's death, or before it */
/* Pops and acknowledges without other load until every message stored for pops was consumed, or the time is over. */
int64_t load_drain_pops(struct load *l, int64_t timeout_ms); /* how many were not; -1: no connection */

/* The topics of all kinds, made on the broker. */
struct err;
int load_make_topics(const char *address, struct err *err);
/* One topic, with a client and an answer of the caller's. */
struct sync_client;
struct rem_command;
int load_make_topic(struct sync_client *c, const char *address, struct str topic, int queues,
                    struct rem_command *answer, struct err *err);

#endif
