/*
 * A pop (or a notification, which only asks whether a pop would get something) on its way: what pop_check.c (may it),
 * pop.c (reading), pop_answer.c and pop_wait.c share.
 *
 * Ownership: made by pop_check.c, freed by pop_free. Threads: the loop of its connection; the cold reader has it while
 * it reads.
 */
#ifndef CROCKET_BROKER_POP_POP_H
#define CROCKET_BROKER_POP_POP_H

#include "broker/broker_loop.h"
#include "broker/filter/message_filter.h"
#include "broker/pop/pop_queue.h"
#include "broker/pull/cold_read.h"

/* What the pops of a broker share. */
struct pop_state {
    struct pop_table *table;
    struct topic *revive_topic;
    atomic_uint next_revive_queue;
    _Atomic int64_t waiting; /* held pops and notifications */
    struct stats_item *checkpoints, *acks;
    struct pop_loop *loops; /* one a loop */
    _Atomic uint64_t order_changes;
    uint64_t order_saved; /* the saver's */
    char *order_path;
};

/* What one loop keeps for its pops. */
struct pop_loop {
    struct buf body, properties; /* of a record under construction */
};

/* Messages of one queue in a pop. */
struct pop_part {
    struct pop_queue *queue;
    int64_t start;
    size_t body_at, body_len;
    uint32_t first, count; /* in pop.offset */
    bool failed;
};

struct pop {
    struct list node; /* held */
    struct loop_put put;
    struct net_timer timer;
    struct cold_job cold;
    struct broker *broker;
    struct rem_token token;
    struct topic *topic;
    struct pop_group *group;
    struct message_filter filter;
    char *attempt; /* attemptId or NULL */
    int64_t invisible_ms;
    int64_t expires;  /* wall clock */
    int32_t queue_id; /* -1: all */
    int32_t init_mode;
    uint32_t max_count;
    bool order, notice;
    /* of the run */
    uint32_t random;
    int cold_tries;
    bool is_cold;
    int64_t pop_time, rest, free_at;
    int32_t revive_queue;
    uint32_t count, part_count, done;
    enum put_status failure;
    int64_t log_end;
    struct pop_part parts[POP_MAX_MESSAGES];
    int64_t offset[POP_MAX_MESSAGES];
    struct buf body, counts;
};

/* pop.c */
void pop_free(struct pop *p); /* NULL is fine */
struct pop_loop *pop_loop_of(struct broker_loop *bl);
/* Reads, then answers, holds, or goes to the cold reader. Takes p. */
void pop_run(struct broker_loop *bl, struct pop *p);
/* Where the group stands in a queue that it never popped. */
int64_t pop_initial_offset(struct broker *b, struct cq *q, enum pop_kind kind, int32_t init_mode);
struct str pop_attempt(const struct pop *p);
/* Whether as many messages are under way as are allowed. */
bool pop_stopped(const struct broker *b, struct pop_queue *q);
void pop_count(struct broker *b, struct pop_group *g, enum pop_counter which, int64_t value);
/* m with topic, queue and hosts of the revive log, into a batch. user as in store_batch_add. */
enum put_status pop_log_add(struct broker *b, struct store_batch *batch, int32_t revive_queue, struct msg *m,
                            void *user);

/* pop_check.c: whether a request may read topic t (NULL: there is none of that name) with the group. NULL: answered.
 * doing: Java's word for it in the refusal. */
struct pop_group *pop_allowed(struct rem_request *rq, struct topic *t, struct str topic, int32_t queue_id,
                              struct str group, const char *doing);
/* An answer that gives away nothing, with the header of one to a pop. */
void pop_reply_begin(struct rem_request *rq, struct rem_frame *f, int32_t code, int64_t rest);

/* pop_answer.c */
void pop_checkpoint_parts(struct broker_loop *bl,
                          struct pop *p); /* puts the checkpoints; the answer follows. Takes p */
void pop_answer_empty(struct broker_loop *bl, struct pop *p, int32_t code); /* takes p */

#endif
