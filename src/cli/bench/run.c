/* The course of a run and its report. */
#include "cli/bench/bench.h"

#include "os/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

void bench_run_init(struct bench_run *run, const struct bench_options *o, const struct bench_route *route)
{
    memset(run, 0, sizeof *run);
    run->options = o;
    run->route = route;
    pthread_mutex_init(&run->first_error_lock, NULL);
}

void bench_sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

void bench_wait_for_start(const struct bench_run *run)
{
    while (atomic_load(&run->phase) == BENCH_READY)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

double bench_process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
        return -1;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sum(const struct bench_run *run, unsigned workers, struct bench_result *r)
{
    r->messages = r->matched = r->bytes = r->requests = r->errors = 0;
    for (unsigned i = 0; i < workers; i++) {
        r->messages += atomic_load(&run->counts[i].messages);
        r->matched += atomic_load(&run->counts[i].matched);
        r->bytes += atomic_load(&run->counts[i].bytes);
        r->requests += atomic_load(&run->counts[i].requests);
        r->errors += atomic_load(&run->counts[i].errors);
    }
}

static bool all_finished(const struct bench_run *run, unsigned workers)
{
    for (unsigned i = 0; i < workers; i++)
        if (!atomic_load(&run->counts[i].finished))
            return false;
    return true;
}

static void sleep_until(const struct bench_run *run, unsigned workers, int64_t end_ms)
{
    for (int64_t left; (left = end_ms - clock_mono_ms()) > 0 && !all_finished(run, workers);)
        bench_sleep_ms(left < 5 ? left : 5);
}

void bench_watch(struct bench_run *run, unsigned workers, struct bench_result *r)
{
    const struct bench_options *o = run->options;
    struct bench_result before = {0};
    if (o->warmup_ms) {
        atomic_store(&run->phase, BENCH_WARMUP);
        sleep_until(run, workers, clock_mono_ms() + o->warmup_ms);
    }
    double server = bench_process_cpu(o->server_pid), own = own_cpu();
    int64_t from = clock_mono_ns();
    sum(run, workers, &before);
    atomic_store(&run->measure_from_ns, from);
    atomic_store(&run->phase, BENCH_MEASURE);
    sleep_until(run, workers, from / 1000000 + (o->count ? INT64_MAX / 2000000 : o->duration_ms));
    int64_t to = clock_mono_ns();
    sum(run, workers, r);
    double server_end = bench_process_cpu(o->server_pid);
    r->own_cpu_seconds = own_cpu() - own;
    atomic_store(&run->phase, BENCH_STOP);
    r->messages -= before.messages;
    r->bytes -= before.bytes;
    r->requests -= before.requests;
    r->errors -= before.errors;
    r->seconds = (double)(to - from) / 1e9;
    r->server_cpu_seconds = server < 0 || server_end < 0 ? -1 : server_end - server;
}

void bench_note_error(struct bench_run *run, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&run->first_error_lock);
    if (run->first_error[0] == '\0')
        vsnprintf(run->first_error, sizeof run->first_error, fmt, ap);
    pthread_mutex_unlock(&run->first_error_lock);
    va_end(ap);
}

/* ---- report --------------------------------------------------------------------------------------------------------
 */

static const struct percentile {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
enum { PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

static double at_percent(const struct hist *h, double percent)
{
    return (double)(percent >= 100 ? h->max : hist_percentile(h, percent)) / 1000;
}

static void print_latency(const struct hist *h, const char *means)
{
    printf("  latency, %s (us)\n   ", means);
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(" %10s", percentiles[i].name);
    printf("\n   ");
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(" %10.1f", h->count ? at_percent(h, percentiles[i].percent) : 0);
    printf("\n");
}

static void json_latency(const struct hist *h, const char *name)
{
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.1f", name, h->count, hist_mean(h) / 1000);
    for (size_t i = 0; i < PERCENTILES; i++)
        printf(",\"%s\":%.1f", percentiles[i].name, h->count ? at_percent(h, percentiles[i].percent) : 0);
    printf("}");
}

static double per_million(double seconds, uint64_t messages)
{
    return messages ? seconds * 1e6 / (double)messages : 0;
}

static void print_json(const struct bench_options *o, const struct bench_result *r)
{
    printf("{\"work\":\"%s\",\"connections\":%" PRId64 ",\"inflight\":%" PRId64 ",\"size\":%" PRId64
           ",\"batch\":%" PRId64 ",\"rate\":%" PRId64 ",\"header\":\"%s\",\"seconds\":%.3f,\"messages\":%" PRIu64
           ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"messages_per_second\":%.1f,\"mib_per_second\":%.2f",
           r->work, o->connections, o->inflight, o->size, o->batch, o->rate, o->binary ? "binary" : "json", r->seconds,
           r->messages, r->requests, r->errors, (double)r->messages / r->seconds,
           (double)r->bytes / r->seconds / 1048576);
    if (o->sql)
        printf(",\"matched\":%" PRIu64, r->matched);
    if (r->latency)
        json_latency(r->latency, "latency_us");
    if (r->latency2)
        json_latency(r->latency2, "send_latency_us");
    if (r->server_cpu_seconds >= 0)
        printf(",\"server_cpu_s_per_million\":%.3f", per_million(r->server_cpu_seconds, r->messages));
    printf(",\"generator_cpu_s_per_million\":%.3f}\n", per_million(r->own_cpu_seconds, r->messages));
}

void bench_print(const struct bench_options *o, const struct bench_run *run, const struct bench_result *r)
{
    if (o->json) {
        print_json(o, r);
    } else {
        printf("%s: %" PRIu64 " messages in %.2f s: %.0f messages/s, %.1f MiB/s, %" PRIu64 " requests, %" PRIu64
               " errors\n",
               r->work, r->messages, r->seconds, (double)r->messages / r->seconds,
               (double)r->bytes / r->seconds / 1048576, r->requests, r->errors);
        if (o->sql)
            printf("  %" PRIu64 " of them fit \"%s\"\n", r->matched, o->sql);
        if (r->latency)
            print_latency(r->latency, r->latency_means);
        if (r->latency2)
            print_latency(r->latency2, r->latency2_means);
        if (r->server_cpu_seconds >= 0)
            printf("  server CPU      %.2f s, %.2f s per million messages\n", r->server_cpu_seconds,
                   per_million(r->server_cpu_seconds, r->messages));
        printf("  generator CPU   %.2f s, %.2f s per million messages\n", r->own_cpu_seconds,
               per_million(r->own_cpu_seconds, r->messages));
    }
    fflush(stdout);
    if (run->first_error[0])
        fprintf(stderr, "crocket: first error of the run: %s\n", run->first_error);
}
