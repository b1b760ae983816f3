/*
 * What the files of the registration share. Not for others.
 *
 * The registration has an event loop and a thread of its own: building the table of ten thousand topics disturbs nobody
 * there. All of it runs on that loop, except registration_* and the waiting for acknowledgements, which are guarded by
 * the lock.
 */
#ifndef CROCKET_BROKER_REGISTRATION_REGISTRATION_INT_H
#define CROCKET_BROKER_REGISTRATION_REGISTRATION_INT_H

#include "broker/broker_int.h"
#include "os/thread.h"

/* One name server. */
struct reg_server {
    struct registration *r;
    char *text;                  /* host:port as configured */
    struct rem_channel *channel; /* NULL until the name could be resolved */
    unsigned in_flight;          /* calls without answer */
    bool failed;                 /* one of them failed */
    bool resting;                /* the retry timer is set: nothing is sent before */
    bool full_wanted;            /* all topics are to be sent */
    bool fresh_wanted;           /* with a version that the name server does not know */
    bool registered;             /* it may know this broker */
    bool complained;             /* the failure is in the log */
    int64_t backoff_ms;
    struct net_timer retry;
    struct data_version last_version; /* of the last registration sent */
    uint64_t sent;                    /* changes up to here are sent */
    /* under the lock */
    uint64_t acked;
    bool healthy; /* answered the last time */
    bool lagging; /* somebody waited in vain: not waited for until it answers */
    bool tried;   /* there was an answer or a failure */
};

struct registration {
    struct broker *b;
    struct reg_server *servers;
    size_t count;
    struct net_loop *loop;
    struct thread thread;
    struct net_timer period;
    size_t leaving; /* unregister calls without answer */
    bool stopping;  /* on the loop */

    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool running;
    bool posted; /* the task below is on its way */
    struct net_task changed;
    /* Changed topics in the order of their changes: topic i stands at change number log_base + i. */
    struct topic **log;
    size_t log_len, log_cap;
    uint64_t log_base;
};

/* Sends what the name server does not have yet, unless something is under way already. */
void reg_server_pump(struct reg_server *s);
/* Asks whether the name server's version is the current one (forceRegister=false). */
void reg_server_ask_version(struct reg_server *s);
void reg_server_unregister(struct reg_server *s);
void reg_server_closed(void *server); /* the connection broke */
/* A name server has everything up to its `sent` (ok), or nothing is known of it. */
void registration_answered(struct reg_server *s, bool ok);
void registration_left(struct registration *r); /* an unregister call ended */

#endif
