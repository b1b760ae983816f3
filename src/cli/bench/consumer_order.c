/* Queue locks, as a consumer holds them that consumes in order: none of its queues is pulled before it is locked. */
#include "cli/bench/consumer_int.h"

#include <stdio.h>
#include <unistd.h>

enum { RENEW_S = 20, MAX_IDS = 1024 };

static size_t queues_of(const struct consumer *c, const struct consumer_conn *k, int ids[MAX_IDS],
                        const struct consumer_queue **first)
{
    size_t n = 0;
    for (size_t i = 0; i < c->queue_count && n < MAX_IDS; i++) {
        if (c->queues[i].conn != k)
            continue;
        if (n == 0)
            *first = &c->queues[i];
        ids[n++] = c->queues[i].spec.queue;
    }
    return n;
}

void consumer_lock_write(struct consumer *c)
{
    int ids[MAX_IDS];
    char client_id[64];
    const struct consumer_queue *first = NULL;
    snprintf(client_id, sizeof client_id, "127.0.0.1@bench-%d", (int)getpid());
    for (size_t i = 0; i < c->conn_count; i++) {
        struct consumer_conn *k = &c->conns[i];
        if (k->net.fd < 0 || (k->lock_ns && c->now_ns - k->lock_ns < RENEW_S * INT64_C(1000000000)))
            continue;
        size_t n = queues_of(c, k, ids, &first);
        k->lock_ns = c->now_ns;
        if (n)
            lock_frame_write(&k->net.out, &first->spec, client_id, ids, n, consumer_slot(c, first, 1));
    }
}

static size_t times_in(struct str text, struct str what)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, what)) >= 0; n++)
        text = str_skip(text, (size_t)at + what.len);
    return n;
}

void consumer_locked(struct consumer *c, struct consumer_queue *q, const struct bench_response *r)
{
    struct consumer_conn *k = q->conn;
    int ids[MAX_IDS];
    const struct consumer_queue *first = NULL;
    size_t n = queues_of(c, k, ids, &first), got = times_in(str_make(r->body, r->body_len), STR_LIT("\"queueId\""));
    if (r->code == RESP_SUCCESS && got != n) {
        c->errors++;
        bench_note_error(c->run, "%zu of %zu queues could be locked: another consumer of the group holds the others",
                         got, n);
    } else if (r->code != RESP_SUCCESS) {
        consumer_refused(c, q, "lock", r);
    }
    bool ok = r->code == RESP_SUCCESS && got == n;
    for (size_t i = 0; i < c->queue_count; i++) {
        if (c->queues[i].conn != k)
            continue;
        if (!ok)
            consumer_finish_queue(c, &c->queues[i]);
        else if (!k->locked)
            c->queues[i].due = true;
    }
    k->locked = ok;
}
