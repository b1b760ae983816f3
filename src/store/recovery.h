/*
 * Finding the end of the log and rebuilding the queue entries that are not in files yet: in pieces, for whoever goes
 * through it (store_recover at the start, rebuild.c while the store is read already).
 *
 * Ownership: recovery_free ends it. One thread at a time; may block.
 */
#ifndef CROCKET_STORE_RECOVERY_H
#define CROCKET_STORE_RECOVERY_H

#include "store/store_int.h"

struct recovery;

enum recovery_step {
    RECOVERY_MORE,
    RECOVERY_AT_END, /* recovery_finish is next */
    RECOVERY_FAILED,
};

int64_t recovery_start(const struct recovery *r); /* where it began */
int64_t recovery_pos(const struct recovery *r);   /* entries of all records below are in the queues */
/* The log in front of this is durable and whole: what is found there may be seen at once. */
int64_t recovery_safe(const struct recovery *r);

/* Goes on, through about so many bytes of log, and makes visible what may be. Takes the append lock. */
enum recovery_step recovery_go_on(struct recovery *r, int64_t bytes, struct err *err);
/* Ends the log where it was found to end, and makes everything visible. */
int recovery_finish(struct recovery *r, struct err *err);
void recovery_free(struct recovery *r);

#endif
