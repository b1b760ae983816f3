/*
 * PEEK_MESSAGE (200052): what a pop would give, without taking it. Nothing is noted down and no offset moves, so the
 * same comes again next time. Runs on a worker: it may read the disk.
 */
#include "broker/pop/pop.h"
#include "os/host.h"
#include "remoting/headers_pop.h"

enum {
    BODY_MAX = 4 << 20,
    RETRIES_FIRST_PERCENT = 20 /* as in Java, which does not ask popFromRetryProbability here */
};

struct peek {
    struct broker *b;
    uint32_t wanted, count;
    int64_t rest; /* messages behind the group's position, in all queues looked at */
    struct buf body;
};

static bool is_full(const struct peek *p)
{
    return p->count >= p->wanted || p->body.len >= BODY_MAX;
}

static void read_from(const struct peek *p, struct cq *q, int64_t start, struct get_result *r)
{
    const struct store_conf *conf = p->b->store_conf;
    uint32_t most = (uint32_t)conf->maxTransferCountOnMessageInMemory, left = p->wanted - p->count;
    store_get(p->b->store, q, start, left < most ? left : most, (uint32_t)conf->maxTransferBytesOnMessageInMemory, NULL,
              NULL, true, r);
}

/* Where a pop would begin. */
static int64_t position(struct broker *b, struct pop_group *g, const struct cq *q, int32_t id)
{
    int64_t committed = offset_query(b->offsets, g->group, g->topic, id);
    struct pop_queue *popped = pop_group_queue(g, id, false);
    if (committed < 0)
        committed = cq_min(q);
    return popped ? pop_queue_start(popped, committed) : committed;
}

static void peek_queue(struct peek *p, struct topic *t, struct pop_group *g, int32_t id)
{
    struct cq *q = topic_queue(p->b->topics, t, id);
    struct get_result r;
    if (q == NULL)
        return;
    int64_t start = position(p->b, g, q, id), behind = cq_max(q) - start;
    p->rest += behind > 0 ? behind : 0;
    if (is_full(p))
        return;
    read_from(p, q, start, &r);
    if (r.status == GET_OFFSET_TOO_SMALL || r.status == GET_OFFSET_OVERFLOW_BADLY) {
        start = r.next_offset;
        store_release(p->b->store, &r);
        read_from(p, q, start, &r);
    }
    if (r.status == GET_FOUND) {
        for (uint32_t i = 0; i < r.n_ranges; i++)
            buf_add(&p->body, r.ranges[i].map, r.ranges[i].len);
        p->count += r.count;
    }
    store_release(p->b->store, &r);
}

static void peek_topic(struct peek *p, struct topic *t, struct pop_group *g, uint32_t first)
{
    int queues = t ? atomic_load_explicit(&t->read_queues, memory_order_relaxed) : 0;
    for (int i = 0; i < queues; i++)
        peek_queue(p, t, g, (int32_t)((first + (uint32_t)i) % (uint32_t)queues));
}

static void peek_retries(struct peek *p, struct pop_group *g, uint32_t first)
{
    struct pop_group *retry = g->retry[p->b->conf->enable_retry_topic_v2 ? POP_RETRY_V2 : POP_RETRY_V1];
    peek_topic(p, topic_find(p->b->topics, retry->topic), retry, first);
}

static void peek(struct peek *p, struct topic *t, struct pop_group *g, int32_t queue_id)
{
    uint16_t dice;
    host_random(&dice, sizeof dice);
    uint32_t first = dice % 100;
    bool retries_first = first < RETRIES_FIRST_PERCENT;
    if (retries_first)
        peek_retries(p, g, first);
    if (queue_id < 0)
        peek_topic(p, t, g, first);
    else
        peek_queue(p, t, g, queue_id);
    if (!retries_first && !is_full(p))
        peek_retries(p, g, first);
}

static void handle_peek(struct rem_request *rq, const void *header)
{
    const struct peek_req *h = header;
    struct broker *b = broker_of(rq);
    struct topic *t = topic_find(b->topics, h->topic);
    struct pop_group *g = pop_allowed(rq, t, h->topic, h->queue_id, h->consumer_group, "peeking");
    if (g == NULL)
        return;
    struct peek p = {.b = b, .wanted = h->max_msg_nums > 0 ? (uint32_t)h->max_msg_nums : 0};
    peek(&p, t, g, h->queue_id);
    struct rem_frame f;
    bool found = p.count > 0 && buf_ok(&p.body);
    pop_reply_begin(rq, &f, found ? RESP_SUCCESS : RESP_PULL_NOT_FOUND, p.rest);
    rem_reply_end(rq, &f, found ? STR_LIT("FOUND") : STR_LIT("NO_MESSAGE_IN_QUEUE"),
                  found ? buf_str(&p.body) : STR_NULL);
    if (found) {
        pop_count(b, g, POP_GOT_NUMS, p.count);
        pop_count(b, g, POP_GOT_SIZE, (int64_t)p.body.len);
        stats_add(broker_loop_of(b, rem_loop(rq))->gets, p.count);
    }
    buf_free(&p.body);
}

static const struct rem_op rows[] = {
    {REQ_PEEK_MESSAGE, "PEEK_MESSAGE", &peek_req_schema, handle_peek, REM_LANE_WORKER, REM_ACT_SUB, REM_RES_TOPIC},
};
const struct broker_ops pop_peek_ops = {rows, sizeof rows / sizeof rows[0]};
