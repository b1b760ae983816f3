/*
 * A worker that makes topics while the load runs and sends one message to each at once: a topic whose message was
 * acknowledged must be there after the broker's death, or the message is lost to its consumers.
 *
 * Ownership: made_free ends it. One caller; made_end waits for the worker.
 */
#ifndef CROCKET_FAULT_MADE_H
#define CROCKET_FAULT_MADE_H

#include "base/err.h"
#include "os/thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct made {
    const char *address;
    bool stop;         /* atomic */
    int64_t next;      /* number of the next topic */
    int64_t *promised; /* numbers of the topics whose message was acknowledged */
    size_t count, cap; /* of them */
    size_t checked;    /* so many were there in an earlier check */
    int64_t seen;      /* topics found by checks, in all */
    struct thread worker;
};

void made_begin(struct made *m);
void made_end(struct made *m); /* after the server's death, or before it */
/* Every promised topic (all: also those of earlier checks) has its configuration and its message. -1 with err: which
 * one has not. While no worker runs. */
int made_check(struct made *m, bool all, struct err *err);
void made_forget(struct made *m); /* the store directory begins anew */
void made_free(struct made *m);

#endif
