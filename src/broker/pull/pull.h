/*
 * A pull request on its way: what pull.c (reading, waiting, answering), pull_check.c (may it, and of what) and
 * cold_read.c share. Ownership: made by pull_check, freed by pull_free. Threads: the loop of its connection; while the
 * cold reader has it, that thread.
 */
#ifndef CROCKET_BROKER_PULL_PULL_H
#define CROCKET_BROKER_PULL_PULL_H

#include "broker/broker_loop.h"
#include "broker/filter/message_filter.h"
#include "broker/pull/cold_read.h"
#include "remoting/headers_client.h"

struct pull {
    struct list node; /* held on a queue, or catching up */
    struct net_timer timer;
    struct cold_job cold;
    struct net_task task; /* to go on filtering */
    struct broker *broker;
    struct rem_token token;
    struct topic *topic;
    struct cq *queue;
    struct message_filter filter;
    struct stats_item *got_nums, *got_size;
    int64_t offset;       /* where to read */
    int64_t first_offset; /* asked for */
    uint32_t max_count, max_bytes;
    int64_t suggest_broker;
    int32_t group_sys_flag;
    int32_t hold_ms; /* 0: answer at once */
    int64_t deadline_ms;
    int cold_tries;
    int filter_turns; /* how often it went on behind entries that its filter refused */
    bool woken;
};

/* Checks the request as the broker's rules say. NULL: answered already. */
struct pull *pull_check(struct rem_request *rq, struct broker_loop *bl, const struct pull_req *h);
void pull_free(struct pull *p);
void pull_count(struct broker *b, struct pull *p, int64_t count, int64_t bytes);
/* A pull that waited for its turn. Takes it. */
void pull_run_again(struct net_loop *loop, struct pull *p);
void pull_wake_task(struct net_loop *loop, struct net_task *task);

#endif
