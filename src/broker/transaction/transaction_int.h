/* What the files of the transactional messages share. Not for others. */
#ifndef CROCKET_BROKER_TRANSACTION_TRANSACTION_INT_H
#define CROCKET_BROKER_TRANSACTION_TRANSACTION_INT_H

#include "base/map.h"
#include "broker/transaction/transaction.h"
#include "os/thread.h"

#define TRANSACTION_HALF_TOPIC    "RMQ_SYS_TRANS_HALF_TOPIC"
#define TRANSACTION_OP_TOPIC      "RMQ_SYS_TRANS_OP_HALF_TOPIC"
#define TRANSACTION_DISCARD_TOPIC "TRANS_CHECK_MAX_TIME_TOPIC"
#define TRANSACTION_GROUP         "CID_RMQ_SYS_TRANS" /* its offsets say how far the search has come */
#define TRANSACTION_OP_TAG        "d"

/* ---- transaction_op.c: ended half messages that are not noted down yet ---- */

struct transaction_ops {
    pthread_mutex_t lock; /* of the offsets */
    int64_t *offsets;     /* a queue: first .. first + count */
    size_t first, count, cap;
    size_t bytes;                 /* of their text */
    pthread_mutex_t writing;      /* one at a time writes */
    struct store_batch *batch;    /* under writing */
    struct buf text;              /* under writing */
    size_t written, written_size; /* under writing: offsets and bytes in the batch */
    bool failed;                  /* under writing */
};

/* The half message at that queue offset is committed or rolled back. Any thread; does not wait for the disk. */
void transaction_op_add(struct transactions *t, int64_t half_offset);
/* It was added and is not in the op topic yet. */
bool transaction_op_waits(struct transactions *t, int64_t half_offset);
/* Writes full op messages, with all also the last, shorter one. What cannot be written stays. */
void transaction_op_flush(struct transactions *t, bool all);
/* Takes one offset of an op message's body; false at the end. Pieces that are no offset are passed over. */
bool transaction_op_next(struct str *rest, int64_t *half_offset);

/* ---- transaction_metrics.c: how many half messages of each topic are undecided; config/transactionMetrics ---- */

struct transaction_metrics {
    char *path;
    pthread_mutex_t lock;
    struct map topics; /* name -> struct transaction_metric */
    struct data_version version;
    uint64_t changes, saved;
};

int transaction_metrics_load(struct transaction_metrics *m, struct err *err);
void transaction_metrics_add(struct transaction_metrics *m, struct str topic, int64_t n);
int64_t transaction_metrics_count(struct transaction_metrics *m, struct str topic);
int transaction_metrics_save(struct transaction_metrics *m, struct err *err); /* nothing to do when unchanged */
void transaction_metrics_free(struct transaction_metrics *m);

/* ---- transaction_judge.c: what is to be done with an undecided half message ---- */

struct transaction_rules {
    int64_t timeout_ms;
    int64_t reserved_ms; /* how long the log is kept */
    int32_t check_max;
};

enum transaction_verdict {
    TRANSACTION_LATER,   /* it is too young, and so are those behind it */
    TRANSACTION_IMMUNE,  /* its producer asked for more time: behind the others with it */
    TRANSACTION_ASK,     /* ask a producer */
    TRANSACTION_DISCARD, /* asked in vain too often, or too old */
};

/* begin: when the search began. */
enum transaction_verdict transaction_judge(const struct transaction_rules *rules, const struct msg *half, int64_t now,
                                           int64_t begin);
int32_t transaction_check_times(const struct msg *half); /* how often it was asked about */
/* CHECK_IMMUNITY_TIME_IN_SECONDS in ms as the end of a transaction sees it: never less than the timeout. */
int64_t transaction_immunity_ms(struct str seconds, int64_t timeout_ms);

/* ---- transaction_check.c: the search ---- */

/* One search. On the check thread; may block. */
void transaction_check_all(struct transactions *t);
/* Stores a half message once more, at the end of the half queue, with name=value among its properties (built in props,
 * into which m's views then point). May block. */
enum put_status transaction_put_back(struct broker *b, struct msg *m, struct buf *props, const char *name,
                                     int64_t value, struct put_result *r);

struct transactions {
    struct broker *b;
    struct transaction_ops ops;
    struct transaction_metrics metrics;
    struct thread op_thread, check_thread;
    struct waker op_waker, check_waker;
    atomic_bool stopping;
    int64_t next_op, next_save; /* the op thread's own, monotonic */
    int64_t last_check;         /* the check thread's own, monotonic */
    /* The check thread's own: half messages that were put back during their immunity, by the queue offset of their
     * first copy, which is what their producer ends. */
    struct map immune; /* 8 bytes of the offset -> struct immune */
    bool immune_known; /* those of earlier runs are in it */
};

#endif
