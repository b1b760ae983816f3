/* Consume: reads all that a topic holds, as fast as the server gives it; by pulls, in order, or by pops. */
#include "cli/bench/bench.h"
#include "cli/bench/consumer.h"
#include "cli/cmd.h"
#include "os/thread.h"

#include <stdlib.h>

int bench_consume(const struct bench_options *given)
{
    static struct bench_run run;
    struct bench_options options = *given;
    struct bench_route route;
    struct bench_result result = {.work = "consume", .latency_means = "request to its messages"};
    struct consumer *workers[BENCH_MAX_THREADS] = {0};
    struct thread threads[BENCH_MAX_THREADS] = {0};
    const enum consumer_mode mode = given->pop ? CONSUME_POP : given->orderly ? CONSUME_ORDERLY : CONSUME_TO_END;
    struct err err;
    unsigned n = (unsigned)(options.threads < options.connections ? options.threads : options.connections);
    options.warmup_ms = 0; /* what is read while warming up would be missing afterwards */
    if (bench_route_load(&route, &options, &err))
        return cmd_fail(&err);
    bench_run_init(&run, &options, &route);
    options.count = (given->count + n - 1) / n;
    result.latency = calloc(1, sizeof *result.latency);
    int rc = result.latency ? 0 : err_set(&err, 0, "out of memory");
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = consumer_new(&workers[i], &run, i, n, mode, NULL, NULL, &err);
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = thread_start(&threads[i], "consume", consumer_run, workers[i]);
    if (rc == 0)
        bench_watch(&run, n, &result);
    atomic_store(&run.phase, BENCH_STOP);
    for (unsigned i = 0; i < n; i++) {
        thread_join(&threads[i]);
        if (rc == 0)
            hist_add(result.latency, consumer_latency(workers[i]));
        consumer_free(workers[i]);
    }
    if (rc == 0)
        bench_print(&options, &run, &result);
    else
        cmd_fail(&err);
    free(result.latency);
    bench_route_free(&route);
    return rc || result.errors || result.messages == 0;
}
