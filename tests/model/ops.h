/* What clients do in a seed: one function an operation, chosen at random by model.c. */
#ifndef CROCKET_TESTS_MODEL_OPS_H
#define CROCKET_TESTS_MODEL_OPS_H

#include "expect.h"

/* A queue being read by offsets, with a committed position at the broker. */
#define MODEL_SQL "TAGS = 'A'" /* what the reader of tag A asks for where that is SQL92 */
enum { READERS = 4, DELIVERIES_MAX = 4000, AGAIN_MAX = 2 };
struct reader {
    const char *group;
    enum topic_id topic;
    bool tagged;                       /* wants tag A only */
    int64_t next[QUEUES_MAX];          /* to pull */
    int64_t committed[QUEUES_MAX];     /* acknowledged by the broker */
    int64_t tried[QUEUES_MAX];         /* the furthest ever sent */
    bool seen[QUEUES_MAX][PLACES_MAX]; /* what it was given */
    int holder[QUEUES_MAX];            /* the peer that has the lock, -1: none */
    int64_t held_until[QUEUES_MAX];    /* monotonic: until then nobody else gets it */
};

/* A popped message and its handle. */
struct delivery {
    int id;
    int32_t kind; /* as in the handle: 0 from its topic, else from a retry topic */
    int queue;
    int64_t start, pop_time, invisible, offset;
    int32_t revive_queue;
    bool acked, unsure; /* the acknowledgement was answered; or sent without an answer */
    int again, spare;   /* how often it was given again since, and may be more than once */
};

struct ordered_queue {
    int64_t done;       /* all below are acknowledged */
    int64_t first, end; /* what is given and not acknowledged */
    int64_t visible_at; /* then it may be given again */
    bool acked[PLACES_MAX];
    int64_t pop_time, start;
};

struct clients {
    struct model *m;
    struct world *w;
    struct reader readers[READERS];
    struct delivery deliveries[DELIVERIES_MAX];
    int delivery_count;
    int lost_pops;                      /* messages may have been given in answers that never arrived */
    bool given[QUEUES_MAX][PLACES_MAX]; /* popped from T itself */
    struct ordered_queue ordered[QUEUES_MAX];
    int64_t next_heartbeat; /* monotonic */
    int heartbeats;
    bool order_forgotten; /* the broker may have lost the last seconds of the ordered pops */
};

/* admin and connections */
void clients_setup(struct clients *c);             /* topics and groups; once */
void clients_begin(struct clients *c, bool clean); /* after each start; clean: the last stop was in good order */
void clients_heartbeat(struct clients *c);

/* produce.c */
void op_send(struct clients *c);
void op_send_many(struct clients *c); /* by several clients at once */
void op_send_batch(struct clients *c);
void op_send_ordered(struct clients *c);
void op_send_level(struct clients *c);
void op_send_timed(struct clients *c);
void op_recall(struct clients *c);

/* transact.c */
void op_send_half(struct clients *c);
void op_end_half(struct clients *c);
void transact_request(struct clients *c, int peer, const struct rem_command *request); /* the broker asks */
void transact_decide_all(struct clients *c);
int transact_open(const struct clients *c);

/* pull.c */
void op_pull(struct clients *c);
void op_commit(struct clients *c);
void op_lock(struct clients *c);
void op_long_pull(struct clients *c);
void pull_begin(struct clients *c, bool clean);
bool pull_all(struct clients *c); /* reads all to the end; true: there was something */
void pull_final(struct clients *c);

/* pop.c */
void op_pop(struct clients *c);
void op_long_pop(struct clients *c);
void op_ack(struct clients *c);
void op_ack_batch(struct clients *c);
void op_change(struct clients *c);
bool pop_all(struct clients *c); /* pops and acknowledges until there is nothing; true: there was something */
void pop_died(struct clients *c);
void pop_final(struct clients *c);

/* pop_ordered.c */
void op_pop_ordered(struct clients *c);
void op_ack_ordered(struct clients *c);
bool pop_ordered_all(struct clients *c);
void pop_ordered_final(struct clients *c);
void pop_ordered_died(struct clients *c);

/* The producer's request for message id; properties are completed with the common ones. */
void send_request(struct clients *c, int peer, int id, struct buf *properties, int32_t sys_flag);
/* Takes the answer; true: stored. */
bool send_answered(struct clients *c, int peer, int id, int32_t code);

#endif
