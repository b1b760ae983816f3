/*
 * The broker as its own files see it. Not for other modules.
 * Threads: members are set before the loops run and constant then, except those that say otherwise.
 */
#ifndef CROCKET_BROKER_BROKER_INT_H
#define CROCKET_BROKER_BROKER_INT_H

#include "broker/broker.h"
#include "broker/client/consumer_manager.h"
#include "broker/client/lock_manager.h"
#include "broker/group/subscription_group.h"
#include "broker/offset/consumer_offset.h"
#include "broker/stats.h"
#include "broker/topic/topic_manager.h"
#include "message/message.h"
#include "remoting/call.h"
#include "remoting/server.h"
#include "store/store.h"

struct consumer_filters; /* consumer_filter.h */
struct filter_servers;   /* filter_servers.h */
struct broker_loop;      /* the hot path's state of one event loop: broker_loop.h */
struct registration;
struct schedule;
struct timer;
struct transactions;
struct cold_read;
struct background;
struct pop_state;
struct pop_revive;
struct request_modes;

struct broker {
    struct broker_conf *conf;
    struct store_conf *store_conf;
    char *config_path;
    char *config_dir; /* DIR/config */
    struct net_pool *pool;
    struct rem_server *server;      /* main port */
    struct rem_server *fast_server; /* the same without the pulls */
    struct net_listener *listener, *fast_listener;
    struct msg_host store_host; /* stamped into every message */
    char address[80];           /* brokerIP1:port */
    struct store *store;
    struct topic_manager *topics;
    struct group_manager *groups;
    struct offset_manager *offsets;
    struct consumer_manager *consumers;
    struct consumer_filters *filters;
    struct filter_servers *filter_servers;
    struct producer_manager *producers;
    struct lock_manager *locks;
    struct stats *stats;
    struct registration *registration;
    struct schedule *schedule;
    struct timer *timer; /* NULL: timerWheelEnable is off */
    struct transactions *transactions;
    struct pop_state *pop;
    struct pop_revive *revive;
    struct request_modes *request_modes;
    struct cold_read *cold;
    struct background *background;
    struct broker_loop *loops[NET_MAX_LOOPS];
    void (*fatal)(void *arg, const char *text); /* NULL: broker_die ends the process */
    void *fatal_arg;
    int64_t start_time;
    atomic_bool draining;
    atomic_bool waits; /* for queues that are being rebuilt: waiting.h */
};

/* How Java's refusals end. */
#define FAQ "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."

static inline struct broker *broker_of(struct rem_request *rq)
{
    return rem_role(rq);
}

/* Request tables, one for each file of handlers. */
struct broker_ops {
    const struct rem_op *ops;
    size_t count;
};
extern const struct broker_ops send_ops;                  /* send.c: 10, 310, 320 */
extern const struct broker_ops send_back_ops;             /* send_back.c: 36 */
extern const struct broker_ops reply_ops;                 /* reply.c: 324, 325 */
extern const struct broker_ops pull_ops;                  /* pull.c: 11, 361; main port only */
extern const struct broker_ops pop_ops;                   /* pop_check.c: 200050, 200054, 200055; main port only */
extern const struct broker_ops pop_peek_ops;              /* pop_peek.c: 200052; main port only */
extern const struct broker_ops pop_ack_ops;               /* pop_ack.c: 200051, 200053, 200151 */
extern const struct broker_ops assignment_ops;            /* assignment.c: 400, 401, 402 */
extern const struct broker_ops client_ops;                /* client_requests.c: 34, 35, 46, 38 */
extern const struct broker_ops lock_ops;                  /* lock_requests.c: 41, 42 */
extern const struct broker_ops offset_ops;                /* offset_requests.c: 14, 15, 29, 30, 31, 32 */
extern const struct broker_ops transaction_ops;           /* transaction_end.c: 37, 323 */
extern const struct broker_ops query_ops;                 /* query_requests.c: 12, 33 */
extern const struct broker_ops filter_server_ops;         /* filter_servers.c: 301 */
extern const struct broker_ops timer_ops;                 /* timer_requests.c: 60, 61, 370 */
extern const struct broker_ops broker_admin_topic_ops;    /* admin_topic.c */
extern const struct broker_ops broker_admin_group_ops;    /* admin_group.c */
extern const struct broker_ops broker_admin_consumer_ops; /* admin_consumer.c */
extern const struct broker_ops broker_admin_ops;          /* admin_broker.c: config, runtime info, stats, cleaning */
extern const struct broker_ops unsupported_ops;           /* unsupported.c: what is not built yet, and why */

/* Ends the process at once (or tells broker_options.fatal): nobody knows what is on the disk. Any thread. */
void broker_die(struct broker *b, const char *text);

/* Puts a message from a thread that may block: delayed delivery, send back. topic must exist. */
enum put_status broker_put(struct broker *b, struct topic *t, struct msg *m, struct put_result *r);

/* offset_requests.c: the first message ever of the queue is at hand, near the log's end. Does not block. */
bool broker_queue_young(struct broker *b, struct cq *q);

/* pop_state.c: what pops need; before the loops run, after they have stopped. */
int pop_state_new(struct broker *b, struct err *err);
void pop_state_free(struct broker *b);
/* Saves consumerOrderInfo.json when it changed. Blocks. */
int pop_state_persist(struct broker *b, struct err *err);

/* pop_revive.c: what was popped and not acknowledged in time comes back */
struct pop_revive *pop_revive_new(struct broker *b);
/* Reads what the log knows and the saved offsets do not; before anything is popped. */
int pop_revive_load(struct pop_revive *r, struct err *err);
int pop_revive_start(struct pop_revive *r, struct err *err);
int64_t pop_revive_step(struct pop_revive *r); /* one turn of its thread; ms until the next */
void pop_revive_stop(struct pop_revive *r);
void pop_revive_free(struct pop_revive *r);

/* request_mode.c: config/messageRequestMode.json */
struct request_modes *request_modes_new(const char *config_dir);
int request_modes_load(struct request_modes *m, struct err *err);
void request_modes_free(struct request_modes *m);

/* client_requests.c: for consumer_on_change(b->consumers, notify_consumer_ids_changed, b). */
void notify_consumer_ids_changed(void *broker, struct str group, struct net_ref conn);

/* registration.c */
struct registration *registration_new(struct broker *b);
int registration_start(struct registration *r, struct err *err);
void registration_stop(struct registration *r); /* unregisters; blocks up to 3 s a name server */
void registration_free(struct registration *r);
void registration_all_soon(struct registration *r); /* a full registration now; any thread */

/* schedule.c: delayed messages of the 18 levels */
struct schedule *schedule_new(struct broker *b);
int schedule_load(struct schedule *s, struct err *err); /* reads the file */
/* Progress outside of the queues is brought inside: once these are whole. Part of schedule_start. */
void schedule_clamp(struct schedule *s);
int schedule_start(struct schedule *s, struct err *err);
int64_t schedule_step(struct schedule *s); /* one turn of its thread; ms until the next */
void schedule_stop(struct schedule *s);
void schedule_free(struct schedule *s);
void schedule_write_offsets(struct schedule *s, struct jw *w); /* {"offsetTable":{1:n,...},"dataVersion":..} */
/* How far a level is delivered, and the end of its queue. Any thread. */
void schedule_progress(struct schedule *s, int level, int64_t *offset, int64_t *end);
/* Moves m to SCHEDULE_TOPIC_XXXX when its properties ask for a delay level: returns the schedule topic, with m's topic,
 * queue id and properties (built in props, which must outlive m) changed and *level set;
 * NULL: not delayed. The store gives its queue entry the delivery time as tags code. */
struct topic *schedule_redirect(struct broker *b, struct msg *m, struct buf *props, int *level);

#endif
