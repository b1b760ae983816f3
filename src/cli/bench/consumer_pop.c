/* Pops of each queue, every message acknowledged: one by one as the push consumer does, or a pop's together. */
#include "cli/bench/consumer_int.h"

#include "os/clock.h"

enum { INVISIBLE_MS = 60000 };

void consumer_pop_write(struct consumer *c, struct consumer_queue *q)
{
    q->due = false;
    q->asked_ns = c->now_ns;
    pop_frame_write(&q->conn->net.out, &q->spec, INVISIBLE_MS, clock_wall_ms(), consumer_slot(c, q, 0));
}

static size_t free_place(const struct consumer_queue *q)
{
    size_t i = 0;
    while (i < POPS_OPEN && q->open[i])
        i++;
    return i;
}

/* The next pop, when there is more and a place for it; it must not be under way. */
static void go_on(struct consumer_queue *q)
{
    q->due = !q->done && q->offset < q->end && free_place(q) < POPS_OPEN;
}

static void acknowledge(struct consumer *c, struct consumer_queue *q, struct pop_answer *a, size_t place)
{
    struct pop_answer_part part;
    uint32_t slot = consumer_slot(c, q, 1 + place);
    struct str one;
    bool bad = false;
    int64_t offset;
    if (c->run->options->batch_ack) {
        batch_ack_frame_write(&q->conn->net.out, &q->spec, a, slot);
        return;
    }
    while (pop_answer_next(a, &part, &bad))
        while (part.offsets.len && str_split(&part.offsets, ',', &one))
            if (str_to_i64(one, &offset))
                ack_frame_write(&q->conn->net.out, &q->spec, a, &part, offset, slot);
}

void consumer_popped(struct consumer *c, struct consumer_queue *q, const struct bench_response *r)
{
    struct pop_answer a;
    switch (r->code) {
    case RESP_SUCCESS:
        break;
    case RESP_PULL_NOT_FOUND:
    case RESP_PULL_RETRY_IMMEDIATELY:
    case RESP_POLLING_TIMEOUT:
    case RESP_POLLING_FULL:
        go_on(q);
        return;
    default:
        consumer_refused(c, q, "pop", r);
        consumer_finish_queue(c, q);
        return;
    }
    hist_record(&c->latency, (uint64_t)(c->now_ns - q->asked_ns));
    uint32_t n = consumer_take(c, q, r);
    size_t place = free_place(q);
    if (n == 0 || place == POPS_OPEN || !pop_answer_read(r, str_from(q->spec.broker_name), &a)) {
        c->errors++;
        bench_note_error(c->run, "the answer to a pop does not say what it holds");
        consumer_finish_queue(c, q);
        return;
    }
    q->open[place] = n;
    q->offset += n;
    acknowledge(c, q, &a, place);
    go_on(q);
}

void consumer_acked(struct consumer *c, struct consumer_queue *q, size_t pop, const struct bench_response *r)
{
    uint32_t n = c->run->options->batch_ack ? q->open[pop] : q->open[pop] > 0;
    bool was_full = free_place(q) == POPS_OPEN;
    q->open[pop] -= n;
    q->acked += n;
    if (r->code == RESP_SUCCESS)
        c->messages += n;
    else
        consumer_refused(c, q, "acknowledgement", r);
    if (q->acked >= q->end)
        consumer_finish_queue(c, q);
    else if (was_full)
        go_on(q);
}
