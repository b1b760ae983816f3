/*
 * Reads that would block an event loop: threads that bring the pages of a read into memory and hand it back to its
 * loop. Ownership: has a job between cold_read_submit and its warmed or drop. Threads: submit from any loop.
 */
#ifndef CROCKET_BROKER_PULL_COLD_READ_H
#define CROCKET_BROKER_PULL_COLD_READ_H

#include "base/err.h"
#include "net/loop.h"
#include "store/store.h"

struct cold_read;

/* What is to be read, for store_warm, and who waits for it: member of a pull or a pop. */
struct cold_job {
    struct cold_job *next; /* in the cold reader's queue */
    struct net_task task;  /* back to the loop */
    struct net_loop *loop;
    struct cq *queue;
    int64_t offset;
    uint32_t max_count, max_bytes;
    store_filter_fn filter; /* of the read, NULL: everything is wanted */
    void *filter_arg;
    bool filtered;                                             /* by what stands in the messages */
    void (*warmed)(struct net_loop *loop, struct cold_job *j); /* on the loop */
    void (*drop)(struct cold_job *j);                          /* at the end, unread */
};

struct cold_read *cold_read_new(struct store *store, unsigned threads, struct err *err);
void cold_read_submit(struct cold_read *c, struct cold_job *j);
/* Reads for one that waits, on this thread; false: none does. May block. */
bool cold_read_step(struct cold_read *c);
void cold_read_stop(struct cold_read *c); /* ends the threads; what waits stays unread */
void cold_read_free(struct cold_read *c); /* after the loops have stopped: frees what never got back */

#endif
