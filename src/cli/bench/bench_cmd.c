/* "crocket bench": options and help of the load generator. */
#include "cli/bench/bench.h"
#include "cli/cmd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct arg_option options[] = {
    {"n", "namesrvAddr", "ADDRS", false, "name servers (default NAMESRV_ADDR, else 127.0.0.1:9876)"},
    {NULL, "broker", "ADDR", false, "broker address to use instead of the one in the route"},
    {"t", "topic", "TOPIC", false, "topic (default BenchmarkTest); made when it is missing"},
    {"g", "group", "GROUP", false, "producer and consumer group (default BenchmarkGroup)"},
    {NULL, "queues", "N", false, "queues of a topic that is made (default 8)"},
    {NULL, "connections", "N", false, "connections (default 1)"},
    {NULL, "inflight", "N", false, "requests under way on each connection (default 1)"},
    {NULL, "threads", "N", false, "threads of the generator (default 1)"},
    {NULL, "size", "BYTES", false, "body size (default 1024)"},
    {NULL, "batch", "N", false, "messages a request (default 1)"},
    {NULL, "transaction", NULL, false, "produce: half messages, each committed when it is acknowledged"},
    {NULL, "properties", "LIST", false,
     "name=value;name=value of each message sent; a run of three # or more becomes digits of its number"},
    {NULL, "rate", "N", false, "messages a second, open loop: latency counts from the time a send was due"},
    {NULL, "duration", "SECONDS", false, "how long to measure (default 10)"},
    {NULL, "warmup", "SECONDS", false, "how long to run before (default 2; 0 with --count)"},
    {NULL, "count", "N", false, "messages to send or read, instead of --duration"},
    {NULL, "orderly", NULL, false, "consume: lock the queues and commit their offsets, as an orderly consumer does"},
    {NULL, "pop", NULL, false, "consume: pop, and acknowledge each message"},
    {NULL, "batch-ack", NULL, false, "with --pop: acknowledge the messages of a pop by one request"},
    {NULL, "sql", "EXPR", false, "consume: filter by SQL92; counts what the server looked through"},
    {NULL, "delay", "SECONDS", false, "timer: how long after the start all messages are due (default 10)"},
    {NULL, "dir", "DIR", false, "disk: directory on the disk to measure (default .)"},
    {NULL, "header", "KIND", false, "json (default, as most clients) or binary"},
    {NULL, "pull-batch", "N", false, "messages a pull asks for (default 32)"},
    {NULL, "pull-bytes", "N", false, "bytes a pull asks for (default 262144)"},
    {NULL, "server-pid", "PID", false, "process whose CPU time is measured"},
    {NULL, "json", NULL, false, "one line of JSON instead of the table"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static const struct work {
    const char *name;
    int (*run)(const struct bench_options *o);
} works[] = {{"produce", bench_produce},
             {"consume", bench_consume},
             {"e2e", bench_e2e},
             {"timer", bench_timer},
             {"disk", bench_disk}};
enum { WORKS = sizeof works / sizeof works[0] };

static const char about[] =
    "Load generator for any RocketMQ server.\n\n"
    "  produce  sends messages: closed loop (each connection keeps --inflight requests under way), or open loop "
    "(--rate)\n"
    "  consume  reads all messages of the topic with pull requests, as the Java push consumer asks for them\n"
    "  e2e      sends at --rate (default 5000) and receives by long polling; latency from send to receipt\n"
    "  timer    sends --count messages (default 100000) that are due at the same moment; latency from then to receipt\n"
    "  disk     writes --size bytes and fdatasync, over and over: what a synchronous flush costs at least";

static int seconds(const struct args *a, const char *name, int64_t *ms, struct err *err)
{
    const char *text = args_get(a, name);
    char *end;
    if (text == NULL)
        return 0;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < 0 || v > 1e6)
        return err_set(err, 0, "option --%s cannot be \"%s\"; it must be a number of seconds", name, text);
    *ms = (int64_t)(v * 1000);
    return 0;
}

static int read_options(const struct args *a, const struct work *w, struct bench_options *o, struct err *err)
{
    const char *env = getenv("NAMESRV_ADDR"), *header = args_or(a, "header", "json");
    int64_t pid = 0;
    *o = (struct bench_options){.namesrv = args_or(a, "namesrvAddr", env && *env ? env : "127.0.0.1:9876"),
                                .broker = args_get(a, "broker"),
                                .topic = args_or(a, "topic", "BenchmarkTest"),
                                .group = args_or(a, "group", "BenchmarkGroup"),
                                .queues = 8,
                                .connections = 1,
                                .inflight = 1,
                                .threads = 1,
                                .size = 1024,
                                .batch = 1,
                                .rate = w->run == bench_e2e ? 5000 : 0,
                                .duration_ms = 10000,
                                .warmup_ms = args_has(a, "count") ? 0 : 2000,
                                .pull_batch = 32,
                                .pull_bytes = 262144,
                                .binary = strcmp(header, "binary") == 0,
                                .transaction = args_has(a, "transaction"),
                                .orderly = args_has(a, "orderly"),
                                .pop = args_has(a, "pop"),
                                .batch_ack = args_has(a, "batch-ack"),
                                .sql = args_get(a, "sql"),
                                .properties = args_get(a, "properties"),
                                .dir = args_or(a, "dir", "."),
                                .delay_ms = 10000,
                                .json = args_has(a, "json")};
    if (!o->binary && strcmp(header, "json") != 0)
        return err_set(err, 0, "option --header cannot be \"%s\"; it must be json or binary", header);
    if (args_i64(a, "queues", 1, 65535, &o->queues, err) || args_i64(a, "connections", 1, 4096, &o->connections, err) ||
        args_i64(a, "inflight", 1, 65536, &o->inflight, err) ||
        args_i64(a, "threads", 1, BENCH_MAX_THREADS, &o->threads, err) ||
        args_i64(a, "size", 1, 4 << 20, &o->size, err) || args_i64(a, "batch", 1, 4096, &o->batch, err) ||
        args_i64(a, "rate", 1, 100000000, &o->rate, err) || args_i64(a, "count", 1, INT64_MAX / 4, &o->count, err) ||
        args_i64(a, "pull-batch", 1, 100000, &o->pull_batch, err) ||
        args_i64(a, "pull-bytes", 1, 16 << 20, &o->pull_bytes, err) ||
        args_i64(a, "server-pid", 1, INT32_MAX, &pid, err) || seconds(a, "duration", &o->duration_ms, err) ||
        seconds(a, "warmup", &o->warmup_ms, err) || seconds(a, "delay", &o->delay_ms, err))
        return -1;
    if (o->transaction && (w->run != bench_produce || o->batch > 1))
        return err_set(err, 0, "option --transaction is for produce without --batch");
    if ((o->orderly || o->pop || o->sql) && w->run != bench_consume)
        return err_set(err, 0, "options --orderly, --pop and --sql are for consume");
    if (o->orderly + o->pop + (o->sql != NULL) > 1 || (o->batch_ack && !o->pop))
        return err_set(err, 0, "of --orderly, --pop and --sql only one can be given, and --batch-ack only with --pop");
    if (o->pop && o->binary)
        return err_set(err, 0, "option --pop needs --header json: a binary header has no room for the codes of pops");
    if (o->properties && w->run == bench_timer)
        return err_set(err, 0, "timer sets the properties of its messages itself; leave --properties out");
    /* Reading ends by itself: only a duration that was asked for limits it. */
    if (w->run == bench_consume && !args_has(a, "duration"))
        o->duration_ms = INT64_MAX / 4000000;
    o->server_pid = (pid_t)pid;
    return 0;
}

int cmd_bench(int argc, char **argv)
{
    static struct args args;
    struct bench_options o;
    struct err err;
    const struct work *w = NULL;
    if (args_parse(&args, options, OPTIONS, argc, argv, &err))
        return cmd_fail(&err);
    if (args_wants_help(&args) || (argc == 1 && args.plain_count == 0)) {
        cmd_help("crocket bench produce|consume|e2e|timer|disk [OPTIONS]", about, options, OPTIONS);
        return 0;
    }
    for (size_t i = 0; args.plain_count == 1 && i < WORKS; i++)
        if (strcmp(args.plain[0], works[i].name) == 0)
            w = &works[i];
    if (w == NULL)
        return cmd_failf("write crocket bench produce, consume, e2e, timer or disk; --help tells more");
    if (args_check(&args, &err) || read_options(&args, w, &o, &err))
        return cmd_fail(&err);
    return w->run(&o);
}
