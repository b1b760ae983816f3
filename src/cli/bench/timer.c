/*
 * Timer: messages that are all due at one moment, and long-polling consumers of their topic. The latency is how long
 * after that moment each of them was received; the server's CPU counts from the first send to the last receipt.
 */
#include "cli/bench/bench.h"
#include "cli/bench/consumer.h"
#include "cli/bench/producer.h"
#include "cli/cmd.h"
#include "message/message.h"
#include "os/clock.h"
#include "os/host.h"
#include "os/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MARK_BYTES = 8, DEFAULT_COUNT = 100000, SETTLE_MS = 300, LATE_MS = 300000 };

static uint64_t run_mark; /* tells this run's messages from others; set before any thread starts */

struct receiver {
    struct hist lateness; /* ns */
    int64_t due_ns;       /* on the monotonic clock */
    atomic_ullong arrived, early;
    _Atomic int64_t last_ns;
};

static void mark(uint8_t *body, size_t size, int64_t intended_ns)
{
    put_be64(body, run_mark);
}

static void receive(void *arg, struct str body, int64_t now_ns)
{
    struct receiver *r = arg;
    if (body.len < MARK_BYTES || get_be64(body.ptr) != run_mark)
        return;
    int64_t late = now_ns - r->due_ns;
    hist_record(&r->lateness, late > 0 ? (uint64_t)late : 0);
    if (late < 0)
        atomic_fetch_add_explicit(&r->early, 1, memory_order_relaxed);
    atomic_store_explicit(&r->last_ns, now_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->arrived, 1, memory_order_release);
}

int bench_timer(const struct bench_options *given)
{
    static struct bench_run send_run, receive_run;
    static struct receiver receiver;
    struct bench_options send = *given, take = *given;
    struct bench_route route;
    struct bench_result result = {.work = "timer", .latency_means = "due to receipt"};
    struct producer *producer = NULL;
    struct consumer *consumer = NULL;
    struct thread threads[2] = {0};
    char properties[64];
    struct err err;
    if (given->size < MARK_BYTES || given->batch > 1)
        return cmd_failf("timer needs --size %d or more, and no --batch", MARK_BYTES);
    if (given->count == 0)
        send.count = DEFAULT_COUNT;
    host_random(&run_mark, sizeof run_mark);
    if (bench_route_load(&route, given, &err))
        return cmd_fail(&err);
    /* A whole second: brokers keep what is due in one together. */
    int64_t wall = clock_wall_ms(), due = (wall + given->delay_ms + 999) / 1000 * 1000;
    snprintf(properties, sizeof properties, MSG_PROP_TIMER_DELIVER_MS "=%" PRId64, due);
    receiver.due_ns = clock_mono_ns() + (due - wall) * 1000000;
    hist_init(&receiver.lateness);
    send.properties = properties;
    send.warmup_ms = 0;
    take.connections = 1;
    bench_run_init(&send_run, &send, &route);
    bench_run_init(&receive_run, &take, &route);
    receive_run.phase = BENCH_MEASURE;
    double cpu = bench_process_cpu(given->server_pid);
    int rc = consumer_new(&consumer, &receive_run, 0, 1, CONSUME_LIVE, receive, &receiver, &err);
    if (rc == 0)
        rc = thread_start(&threads[1], "receive", consumer_run, consumer);
    if (rc == 0)
        bench_sleep_ms(SETTLE_MS);
    if (rc == 0)
        rc = producer_new(&producer, &send_run, 0, 1, mark, &err);
    if (rc == 0)
        rc = thread_start(&threads[0], "produce", producer_run, producer);
    if (rc == 0)
        bench_watch(&send_run, 1, &result);
    atomic_store(&send_run.phase, BENCH_STOP);
    thread_join(&threads[0]);
    int64_t sent_ns = clock_mono_ns();
    unsigned long long sent = atomic_load(&send_run.counts[0].messages);
    while (rc == 0 && atomic_load_explicit(&receiver.arrived, memory_order_acquire) < sent &&
           clock_mono_ns() < receiver.due_ns + LATE_MS * INT64_C(1000000))
        bench_sleep_ms(10);
    double cpu_end = bench_process_cpu(given->server_pid);
    atomic_store(&receive_run.phase, BENCH_STOP);
    thread_join(&threads[1]);
    unsigned long long arrived = atomic_load(&receiver.arrived), early = atomic_load(&receiver.early);
    bool bad = false;
    if (rc == 0) {
        result.latency = &receiver.lateness;
        result.messages = arrived;
        result.seconds = (double)(atomic_load(&receiver.last_ns) - receiver.due_ns) / 1e9;
        if (result.seconds < 0.001) /* a rate needs a time; nothing arrives within a millisecond of the others */
            result.seconds = 0.001;
        result.errors += atomic_load(&receive_run.counts[0].errors) + early;
        result.server_cpu_seconds = cpu < 0 || cpu_end < 0 ? -1 : cpu_end - cpu;
        bench_print(&send, receive_run.first_error[0] ? &receive_run : &send_run, &result);
    } else {
        cmd_fail(&err);
    }
    if (rc == 0 && sent_ns > receiver.due_ns)
        bad = cmd_failf("sending took longer than --delay: some messages were due before they were sent");
    if (rc == 0 && early)
        bad = cmd_failf("%llu messages were delivered before they were due", early);
    if (rc == 0 && arrived < sent)
        bad = cmd_failf("only %llu of %llu messages were delivered", arrived, sent);
    producer_free(producer);
    consumer_free(consumer);
    bench_route_free(&route);
    return rc || bad || result.errors || arrived == 0;
}
