/*
 * What a broker under test has promised, kept in memory by the one who was promised it: one entry a message that was
 * sent. A message's body names its entry, so that whatever comes back from the broker can be told.
 *
 * Ownership: ledger_free ends it. Threads: each worker adds entries of its own; their states may be changed by any; the
 * verifier reads all of them while no worker runs.
 */
#ifndef CROCKET_FAULT_LEDGER_H
#define CROCKET_FAULT_LEDGER_H

#include "base/str.h"

#include <stdbool.h>

enum kind { KIND_PLAIN, KIND_DELAYED, KIND_TIMED, KIND_TRANSACTION, KIND_POPPED, KINDS };

enum promise_state {
    PROMISE_NONE,        /* sent, no answer: may be there or not */
    PROMISE_STORED,      /* acknowledged */
    PROMISE_ROLLED_BACK, /* a transaction whose end was acknowledged: must never be seen */
    PROMISE_CONSUMED,    /* popped, and the acknowledgement of that was answered in time: must not come again */
};

struct promise {
    uint8_t state; /* atomic; enum promise_state */
    bool found;    /* by this verification */
    bool asked;    /* popped, and its acknowledgement was sent: without an answer it may come again or not */
    int32_t queue; /* where the broker said it is; -1: it did not say */
    int64_t offset;
    int64_t due_ms; /* wall clock; 0: at once */
};

enum { WORKERS_MAX = 256, BODY_MAX = 4096, QUEUES = 8, CHUNK = 16384, CHUNKS_MAX = 4096 };

struct entries {
    enum kind kind;
    struct promise *chunks[CHUNKS_MAX]; /* entries stay where they are: the popper looks at them while more are added */
    size_t count;                       /* atomic */
    size_t checked;                     /* entries below were there in an earlier verification */
};

struct ledger {
    struct entries workers[WORKERS_MAX];
    size_t worker_count;
    size_t body_size;
};

const char *kind_topic(enum kind kind);

/* A new entry of the worker; its number. */
size_t ledger_add(struct ledger *l, size_t worker, int64_t due_ms);
size_t ledger_count(const struct ledger *l, size_t worker);
struct promise *ledger_at(const struct ledger *l, size_t worker, size_t number);
void ledger_forget(struct ledger *l); /* all entries: the store directory begins anew */
void ledger_free(struct ledger *l);
size_t ledger_promised(const struct ledger *l, enum kind kind); /* how many were acknowledged */

/* The body of an entry, of body_size bytes. */
struct str ledger_body(const struct ledger *l, size_t worker, size_t number, char out[BODY_MAX]);
/* The entry a body names; NULL when it names none or is not that entry's body. */
struct promise *ledger_find(const struct ledger *l, enum kind kind, struct str body, size_t *worker, size_t *number);

#endif
