/*
 * Compares a broker with a ledger: reads the topics with pulls, as a consumer would. One thread, while no worker runs.
 */
#ifndef CROCKET_FAULT_VERIFY_H
#define CROCKET_FAULT_VERIFY_H

#include "base/err.h"
#include "fault/ledger.h"

struct verify {
    struct ledger *ledger;
    const char *address;
    int64_t next[KINDS][QUEUES]; /* entries below were read by an earlier verification */
    bool all;                    /* reading from the beginning */
    int64_t read;                /* messages compared, in all */
    int64_t again;               /* delayed and timed messages that were delivered more than once */
};

/*
 * Reads what came since the last time (all: everything from the beginning) and compares: no message twice, none
 * damaged, unknown or in another place than its acknowledgement said, no rolled back one, queue offsets without gap,
 * every acknowledged one there. seen[q]: offsets below were given to a consumer of the plain queue q and must still be
 * there. Messages for later are only missed when all is read. -1 with err: what is broken.
 */
int verify_run(struct verify *v, bool all, const int64_t *seen, struct err *err);
/* Waits until all messages for later are delivered. */
int verify_settle(struct verify *v, int64_t timeout_ms, struct err *err);
void verify_forget(struct verify *v); /* the store directory begins anew */

#endif
