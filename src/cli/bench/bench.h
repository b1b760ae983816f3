/*
 * The load generator: what its works (produce, consume, e2e, timer, disk) share. It talks to any RocketMQ server with
 * frames that are built beforehand, from one or two threads of its own, so that it costs much less than the server it
 * measures. Ownership: the command owns everything; workers borrow it until they are joined. Threads: as each function
 * says.
 */
#ifndef CROCKET_CLI_BENCH_BENCH_H
#define CROCKET_CLI_BENCH_BENCH_H

#include "base/args.h"
#include "base/hist.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum { BENCH_MAX_BROKERS = 32, BENCH_MAX_THREADS = 16 };

struct bench_options {
    const char *namesrv;
    const char *broker; /* address instead of the route's; NULL */
    const char *topic, *group;
    int64_t connections, inflight, size, batch, queues, threads;
    int64_t rate;  /* messages a second; 0: closed loop */
    int64_t count; /* messages to do; 0: as long as duration */
    int64_t pull_batch, pull_bytes;
    int64_t duration_ms, warmup_ms;
    pid_t server_pid;       /* 0: none */
    const char *properties; /* of each message sent, see send_frame_spec; NULL */
    const char *sql;        /* filter of a consumer; NULL */
    const char *dir;        /* of the disk that is measured */
    int64_t delay_ms;       /* of messages with a delivery time */
    bool binary;            /* header */
    bool transaction;       /* half messages, each committed after its answer */
    bool orderly, pop, batch_ack;
    bool json; /* output */
};

/* Where the topic is. */
struct bench_broker {
    char *name;
    char *address; /* of the master */
    int read_queues, write_queues;
};
struct bench_route {
    struct bench_broker brokers[BENCH_MAX_BROKERS];
    size_t count;
};
/* Creates the topic first when it is missing. topic.c */
int bench_route_load(struct bench_route *r, const struct bench_options *o, struct err *err);
void bench_route_free(struct bench_route *r);
/* Offset range of a queue. */
struct tool;
int bench_queue_offset(struct tool *t, const struct bench_broker *b, const char *topic, int queue, bool max,
                       int64_t *offset, struct err *err);

/* The course of a run: workers wait for it to start, then look at the phase once a round. */
enum bench_phase { BENCH_READY, BENCH_WARMUP, BENCH_MEASURE, BENCH_STOP };

/* What one worker counts; padded so that workers do not disturb each other. */
struct bench_counts {
    _Alignas(128) atomic_ullong messages, bytes, requests, errors;
    atomic_ullong matched; /* of the messages a filter looked at */
    atomic_bool finished;  /* its share of --count is done, or it failed */
};

struct bench_run {
    const struct bench_options *options;
    const struct bench_route *route;
    _Atomic enum bench_phase phase;
    _Atomic int64_t measure_from_ns; /* set before phase becomes MEASURE */
    struct bench_counts counts[BENCH_MAX_THREADS];
    pthread_mutex_t first_error_lock;
    char first_error[480]; /* of a request that was refused or a connection that broke */
};

void bench_run_init(struct bench_run *run, const struct bench_options *o, const struct bench_route *route);
void bench_wait_for_start(const struct bench_run *run); /* first thing that a worker does */
void bench_note_error(struct bench_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct bench_result {
    const char *work;
    double seconds;
    uint64_t messages, matched, bytes, requests, errors;
    struct hist *latency;      /* ns; NULL: not measured */
    const char *latency_means; /* "send to answer" */
    struct hist *latency2;     /* a second one, or NULL */
    const char *latency2_means;
    double server_cpu_seconds; /* below 0: unknown */
    double own_cpu_seconds;
};

/* Sleeps through warm-up and measurement while the workers run, and fills seconds, counts and CPU. run.c */
void bench_watch(struct bench_run *run, unsigned workers, struct bench_result *result);
void bench_sleep_ms(int64_t ms);
double bench_process_cpu(pid_t pid); /* seconds so far; below 0: not known */
void bench_print(const struct bench_options *o, const struct bench_run *run, const struct bench_result *r);

/* The works: the exit code. */
int bench_produce(const struct bench_options *o);
int bench_consume(const struct bench_options *o);
int bench_e2e(const struct bench_options *o);
int bench_timer(const struct bench_options *o);
int bench_disk(const struct bench_options *o);

#endif
