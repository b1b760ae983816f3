/*
 * Produce: closed loop (every connection keeps --inflight requests under way) or open loop (--rate; a request is due at
 * its time whether or not earlier ones were answered, and its latency counts from that time).
 */
#include "cli/bench/bench.h"
#include "cli/bench/producer.h"
#include "cli/cmd.h"
#include "os/thread.h"

#include <stdlib.h>

int bench_produce(const struct bench_options *o)
{
    static struct bench_run run;
    struct bench_route route;
    struct bench_result result = {.work = "produce",
                                  .latency_means = o->rate ? "intended send to answer" : "send to answer"};
    struct producer *workers[BENCH_MAX_THREADS] = {0};
    struct thread threads[BENCH_MAX_THREADS] = {0};
    struct err err;
    unsigned n = (unsigned)(o->threads < o->connections ? o->threads : o->connections);
    if (bench_route_load(&route, o, &err))
        return cmd_fail(&err);
    bench_run_init(&run, o, &route);
    result.latency = calloc(1, sizeof *result.latency);
    int rc = result.latency ? 0 : err_set(&err, 0, "out of memory");
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = producer_new(&workers[i], &run, i, n, NULL, &err);
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = thread_start(&threads[i], "produce", producer_run, workers[i]);
    if (rc == 0)
        bench_watch(&run, n, &result);
    atomic_store(&run.phase, BENCH_STOP);
    for (unsigned i = 0; i < n; i++) {
        thread_join(&threads[i]);
        if (rc == 0)
            hist_add(result.latency, producer_latency(workers[i]));
        producer_free(workers[i]);
    }
    if (rc == 0)
        bench_print(o, &run, &result);
    else
        cmd_fail(&err);
    free(result.latency);
    bench_route_free(&route);
    return rc || result.errors || result.messages == 0;
}
