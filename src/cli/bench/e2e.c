/*
 * End to end: an open-loop producer and long-polling consumers of the same topic; each body carries the time its send
 * was due, so the latency is what a user of the message would see.
 */
#include "cli/bench/bench.h"
#include "cli/bench/consumer.h"
#include "cli/bench/producer.h"
#include "cli/cmd.h"
#include "os/host.h"
#include "os/thread.h"

#include <stdlib.h>

enum { STAMP_BYTES = 16, SETTLE_MS = 300, LAST_MS = 2000 };

static uint64_t run_mark; /* tells this run's messages from others; set before any thread starts */

struct receiver {
    struct bench_run *run;
    struct hist latency;   /* of messages that were due in the measured part */
    atomic_ullong arrived; /* of the whole run */
};

static void stamp(uint8_t *body, size_t size, int64_t intended_ns)
{
    put_be64(body, run_mark);
    put_be64(body + 8, (uint64_t)intended_ns);
}

static void receive(void *arg, struct str body, int64_t now_ns)
{
    struct receiver *r = arg;
    int64_t from = atomic_load_explicit(&r->run->measure_from_ns, memory_order_relaxed);
    if (body.len < STAMP_BYTES || get_be64(body.ptr) != run_mark)
        return;
    atomic_fetch_add_explicit(&r->arrived, 1, memory_order_relaxed);
    int64_t sent = (int64_t)get_be64(body.ptr + 8);
    if (from && sent >= from)
        hist_record(&r->latency, now_ns > sent ? (uint64_t)(now_ns - sent) : 0);
}

int bench_e2e(const struct bench_options *o)
{
    static struct bench_run send_run, receive_run;
    static struct receiver receiver;
    struct bench_route route;
    struct bench_result result = {
        .work = "e2e", .latency_means = "intended send to receipt", .latency2_means = "intended send to answer"};
    struct producer *producer = NULL;
    struct consumer *consumer = NULL;
    struct thread threads[2] = {0};
    struct bench_options receive_options = *o;
    struct err err;
    if (o->size < STAMP_BYTES)
        return cmd_failf("--size %lld is too small for e2e: a body carries %d bytes of its own", (long long)o->size,
                         STAMP_BYTES);
    host_random(&run_mark, sizeof run_mark);
    if (bench_route_load(&route, o, &err))
        return cmd_fail(&err);
    bench_run_init(&send_run, o, &route);
    receive_options.connections = 1;
    bench_run_init(&receive_run, &receive_options, &route);
    receive_run.phase = BENCH_MEASURE; /* it receives from the start on; what counts is decided by the sender's run */
    receiver.run = &send_run;
    hist_init(&receiver.latency);
    int rc = consumer_new(&consumer, &receive_run, 0, 1, CONSUME_LIVE, receive, &receiver, &err);
    if (rc == 0)
        rc = thread_start(&threads[1], "receive", consumer_run, consumer);
    if (rc == 0)
        bench_sleep_ms(SETTLE_MS); /* the pulls wait before the first message is there */
    if (rc == 0)
        rc = producer_new(&producer, &send_run, 0, 1, stamp, &err);
    if (rc == 0)
        rc = thread_start(&threads[0], "produce", producer_run, producer);
    if (rc == 0)
        bench_watch(&send_run, 1, &result);
    atomic_store(&send_run.phase, BENCH_STOP);
    thread_join(&threads[0]);
    /* The last messages are on their way. */
    for (int i = 0; rc == 0 && i < LAST_MS / 10; i++) {
        if (atomic_load(&receiver.arrived) >= atomic_load(&send_run.counts[0].messages))
            break;
        bench_sleep_ms(10);
    }
    atomic_store(&receive_run.phase, BENCH_STOP);
    thread_join(&threads[1]);
    if (rc == 0) {
        struct hist *sent = calloc(1, sizeof *sent);
        result.latency = &receiver.latency;
        if (sent)
            hist_add(sent, producer_latency(producer));
        result.latency2 = sent;
        result.errors += atomic_load(&receive_run.counts[0].errors);
        bench_print(o, receive_run.first_error[0] ? &receive_run : &send_run, &result);
        free(sent);
    } else {
        cmd_fail(&err);
    }
    unsigned long long arrived = atomic_load(&receiver.arrived), sent = atomic_load(&send_run.counts[0].messages);
    bool lost = rc == 0 && arrived < sent;
    if (lost)
        cmd_failf("only %llu of %llu messages were received", arrived, sent);
    producer_free(producer);
    consumer_free(consumer);
    bench_route_free(&route);
    return rc || lost || result.errors;
}
