/*
 * Transactional messages. A send with TRAN_MSG=true is stored as a half message in RMQ_SYS_TRANS_HALF_TOPIC, where no
 * consumer looks; its producer then ends the transaction: a commit stores the message once more under its own topic,
 * and commit and roll-back alike note the half message's queue offset down in RMQ_SYS_TRANS_OP_HALF_TOPIC. Half
 * messages that stay undecided are found by a search, and one producer of their group is asked.
 *
 * Ownership: belongs to the broker. Threads: transaction_redirect and transaction_prepared any, without blocking; two
 * threads of its own note down and search.
 */
#ifndef CROCKET_BROKER_TRANSACTION_TRANSACTION_H
#define CROCKET_BROKER_TRANSACTION_TRANSACTION_H

#include "broker/broker_int.h"

struct transactions *transactions_new(struct broker *b);
int transactions_load(struct transactions *t, struct err *err);
int transactions_start(struct transactions *t, struct err *err);
/* One turn of either thread; ms until the next. */
int64_t transactions_op_step(struct transactions *t);
int64_t transactions_check_step(struct transactions *t);
void transactions_stop(struct transactions *t); /* ends the threads; transactions may still be ended */
void transactions_free(struct transactions *t); /* notes down what is left, before the store is closed; NULL is fine */

/* Makes a half message of m: returns the topic of half messages, with m's topic, queue id, flag and properties (built
 * in props, which must outlive m) changed. NULL: there is no such topic. */
struct topic *transaction_redirect(struct broker *b, struct msg *m, struct buf *props);
/* A half message of that topic was stored. */
void transaction_prepared(struct transactions *t, struct str topic);

#endif
