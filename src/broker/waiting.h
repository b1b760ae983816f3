/*
 * While the store rebuilds lost queues (store_rebuilding) the broker serves what is built already. This says what has
 * to wait: all that stores something, needs a queue's end or beginning, or changes topics. It is refused with
 * SERVICE_NOT_AVAILABLE (14), the cause and how far it is; what asks a queue for what is not there yet waits as for a
 * new message. The threads that follow queues start when these are whole.
 */
#ifndef CROCKET_BROKER_WAITING_H
#define CROCKET_BROKER_WAITING_H

#include "broker/broker_int.h"

static inline bool broker_waits(const struct broker *b)
{
    return atomic_load_explicit(&b->waits, memory_order_acquire);
}

/* For rem_server_conf.admit: false when the request has to wait, and was answered. Loops and workers. */
bool waiting_admit(struct rem_request *rq);
/* Refuses a request that turns out to need a whole queue. */
void waiting_refuse(struct rem_request *rq);

#endif
