/*
 * "./dev kill": lets a server die again and again under full load of synchronous sends, starts it again and reads back
 * every message it had acknowledged. With --power the file system under it loses at each death what was not synced.
 *
 * Exit code 0: nothing lost, nothing twice, nothing out of place. 1: something was; 2: could not be run; 77: this
 * machine cannot do it (--power).
 */
#include "base/args.h"
#include "base/log.h"
#include "fault/disk.h"
#include "fault/load.h"
#include "fault/made.h"
#include "fault/server.h"
#include "fault/verify.h"
#include "os/clock.h"
#include "os/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_LOST = 1, EXIT_FAILED = 2, EXIT_CANNOT = 77, SETTLE_MS = 30000, DISK_BYTES = 3 << 28, CUT_MS = 20 };

static const struct arg_option options[] = {
    {NULL, "crocket", "FILE", true, "the executable to test"},
    {NULL, "data", "DIR", true, "a folder for its data; it is made, and emptied now and then"},
    {NULL, "port", "N", false, "port of the broker; the one below is the name server's (default 43911)"},
    {NULL, "cycles", "N", false, "how many deaths (default 20)"},
    {NULL, "senders", "N", false, "connections that send plain messages (default 24)"},
    {NULL, "size", "BYTES", false, "of a body (default 200)"},
    {NULL, "load-ms", "N", false, "longest time of load before a death (default 500)"},
    {NULL, "fresh", "N", false, "cycles before everything is checked and the directory begins anew (default 50)"},
    {NULL, "seed", "N", false, "of the moments of death (default: the time)"},
    {NULL, "async", NULL, false, "asynchronous flush (default: synchronous)"},
    {NULL, "power", "FS", false,
     "ext4 or xfs: each death is a loss of power of a disk of its own (needs root). With --async, which promises\n"
     "                                 nothing then, the run is good when it finds a loss: the disk really drops data"},
    {NULL, "set", "KEY=VALUE", false, "a setting of the server; may be repeated"},
};
enum { OPTIONS = sizeof options / sizeof options[0], SETTINGS_MAX = 24 };

struct harness {
    struct args args;
    int64_t cycles, load_ms, fresh, seed, senders, size, port;
    uint64_t random;
    const char *settings[SETTINGS_MAX + 8];
    char address[32], data[600], log[600];
    struct server server;
    struct ledger ledger;
    struct load load;
    struct verify verify;
    struct made made;
    struct disk disk;
    bool power, control;
    int64_t deaths[3]; /* by enum death */
    int64_t promised[KINDS], consumed;
};

enum death { DIE_LOADED, DIE_STARTING, STOP_LOADED };

static uint64_t dice(struct harness *h, uint64_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return (h->random >> 11) % below;
}

static void sleep_us(uint64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000}, NULL);
}

/* ---- life and death ------------------------------------------------------------------------------------------------
 */

/* The server dies now; on a disk of its own the power goes with it, and what was not synced. */
static int die(struct harness *h, struct err *err)
{
    if (h->power) {
        if (disk_cut(&h->disk, err))
            return -1;
        sleep_us(CUT_MS * 1000); /* whatever it still says it must not promise */
    }
    server_end(&h->server, SIGKILL);
    return 0;
}

static int power_on(struct harness *h, struct err *err)
{
    return h->power ? disk_power_on(&h->disk, err) : 0;
}

static int start(struct harness *h, struct err *err)
{
    return server_spawn(&h->server, err) || server_wait_ready(&h->server, err) ? -1 : 0;
}

static int stop(struct harness *h, struct err *err)
{
    int status = server_end(&h->server, SIGTERM);
    return status ? err_set(err, 0, "the server did not end in good order: wait status %d", status) : 0;
}

static int check_store(struct harness *h, struct err *err)
{
    pid_t pid = fork();
    if (pid == 0) {
        int log = open(h->log, O_WRONLY | O_APPEND);
        dup2(log, 1);
        dup2(log, 2);
        execl(h->server.executable, h->server.executable, "store", "check", h->data, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status ? err_set(err, 0, "crocket store check found something in %s (wait status %d): see %s", h->data,
                            status, h->log)
                  : 0;
}

/* Everything is read from the beginning, what is for later is waited for, and the files are checked. */
static int check_everything(struct harness *h, struct err *err)
{
    if (verify_settle(&h->verify, SETTLE_MS, err))
        return -1;
    int64_t open = load_drain_pops(&h->load, SETTLE_MS);
    if (open)
        return err_set(err, 0, "%" PRId64 " messages stored for pops were never given out", open);
    if (h->load.again)
        return err_set(err, 0, "%" PRId64 " messages were popped again after they were acknowledged", h->load.again);
    if (made_check(&h->made, true, err) || verify_run(&h->verify, true, h->load.seen, err) || stop(h, err) ||
        check_store(h, err))
        return -1;
    for (int k = 0; k < KINDS; k++)
        h->promised[k] += (int64_t)ledger_promised(&h->ledger, (enum kind)k);
    for (size_t w = 0; w < h->ledger.worker_count; w++)
        for (size_t i = 0; i < h->ledger.workers[w].count; i++)
            h->consumed += ledger_at(&h->ledger, w, i)->state == PROMISE_CONSUMED;
    return 0;
}

static int begin_anew(struct harness *h, struct err *err)
{
    const struct fs *fs = fs_real();
    int r = fs_remove_tree(fs, h->data);
    if (r)
        return err_sys(err, -r, "cannot empty %s", h->data);
    ledger_forget(&h->ledger);
    verify_forget(&h->verify);
    made_forget(&h->made);
    memset(h->load.seen, 0, sizeof h->load.seen);
    return start(h, err) || load_make_topics(h->address, err) ? -1 : 0;
}

/* One life under load and its end; the server is down after it. */
static int live(struct harness *h, struct err *err)
{
    enum death how = dice(h, 16) == 0 ? STOP_LOADED : DIE_LOADED;
    load_begin(&h->load);
    made_begin(&h->made);
    sleep_us(20000 + dice(h, (uint64_t)h->load_ms * 1000));
    int r = how == STOP_LOADED ? stop(h, err) : die(h, err);
    load_end(&h->load);
    made_end(&h->made);
    h->deaths[how]++;
    return r || power_on(h, err) ? -1 : 0;
}

/* Sometimes it dies again while it starts. */
static int start_again(struct harness *h, struct err *err)
{
    while (dice(h, 8) == 0) {
        if (server_spawn(&h->server, err))
            return -1;
        sleep_us(dice(h, 60000));
        if (die(h, err) || power_on(h, err))
            return -1;
        h->deaths[DIE_STARTING]++;
    }
    return start(h, err);
}

static int run_cycles(struct harness *h, struct err *err)
{
    int64_t began = clock_mono_ms();
    if (begin_anew(h, err))
        return -1;
    for (int64_t cycle = 1; cycle <= h->cycles; cycle++) {
        if (live(h, err) || start_again(h, err) || verify_run(&h->verify, false, h->load.seen, err) ||
            made_check(&h->made, false, err))
            return -1;
        if (cycle % h->fresh == 0 || cycle == h->cycles) {
            if (check_everything(h, err) || (cycle < h->cycles && begin_anew(h, err)))
                return -1;
            printf("%" PRId64 " of %" PRId64 " cycles, %" PRId64 " messages read back, %.2f s a cycle\n", cycle,
                   h->cycles, h->verify.read, (double)(clock_mono_ms() - began) / 1000.0 / (double)cycle);
            fflush(stdout);
        }
    }
    return 0;
}

/* ---- the command ---------------------------------------------------------------------------------------------------
 */

static int read_options(struct harness *h, int argc, char **argv, struct err *err)
{
    struct args *a = &h->args;
    const char *text;
    size_t n = 0, at = 0;
    h->cycles = 20, h->load_ms = 500, h->fresh = 50, h->senders = 24, h->size = 200, h->port = 43911;
    h->seed = clock_wall_ms();
    if (args_parse(a, options, OPTIONS, argc, argv, err))
        return -1;
    if (args_wants_help(a)) {
        struct buf help = {0};
        args_help(&help, options, OPTIONS);
        printf("%.*s", STR_ARG(buf_str(&help)));
        exit(0);
    }
    if (args_check(a, err) || args_i64(a, "cycles", 1, 1000000, &h->cycles, err) ||
        args_i64(a, "load-ms", 1, 60000, &h->load_ms, err) || args_i64(a, "fresh", 1, 1000000, &h->fresh, err) ||
        args_i64(a, "seed", 0, INT64_MAX, &h->seed, err) || args_i64(a, "senders", 1, 200, &h->senders, err) ||
        args_i64(a, "size", 16, BODY_MAX - 100, &h->size, err) || args_i64(a, "port", 2, 65535, &h->port, err))
        return -1;
    /* Small files, so that deaths meet the ends of many. */
    h->settings[n++] = "mappedFileSizeCommitLog=16777216";
    h->settings[n++] = "mappedFileSizeConsumeQueue=60000";
    h->settings[n++] = "brokerName=broker-a";
    while (n < SETTINGS_MAX && (text = args_next(a, "set", &at)))
        h->settings[n++] = text;
    h->power = args_has(a, "power");
    h->control = h->power && args_has(a, "async");
    return 0;
}

static void make_ledger(struct harness *h)
{
    static const struct {
        enum kind kind;
        int64_t workers;
    } others[] = {{KIND_DELAYED, 2}, {KIND_TIMED, 2}, {KIND_TRANSACTION, 2}, {KIND_POPPED, 1}};
    h->ledger.body_size = (size_t)h->size;
    for (int64_t i = 0; i < h->senders; i++)
        h->ledger.workers[h->ledger.worker_count++].kind = KIND_PLAIN;
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
        for (int64_t i = 0; i < others[k].workers; i++)
            h->ledger.workers[h->ledger.worker_count++].kind = others[k].kind;
}

static int prepare(struct harness *h, struct err *err)
{
    const char *dir = args_get(&h->args, "data"), *kind = args_get(&h->args, "power");
    snprintf(h->address, sizeof h->address, "127.0.0.1:%" PRId64, h->port);
    snprintf(h->log, sizeof h->log, "%s.log", dir);
    snprintf(h->data, sizeof h->data, "%s", dir);
    unlink(h->log);
    if (h->power) {
        if (disk_make(&h->disk, dir, kind, DISK_BYTES, err))
            return -1;
        snprintf(h->data, sizeof h->data, "%s/store", h->disk.mount);
    }
    h->server = (struct server){
        .executable = args_get(&h->args, "crocket"),
        .data = h->data,
        .log = h->log,
        .port = (int)h->port,
        .sync_flush = !args_has(&h->args, "async"),
        .settings = h->settings,
    };
    make_ledger(h);
    load_init(&h->load, &h->ledger, h->address);
    h->verify = (struct verify){.ledger = &h->ledger, .address = h->address};
    h->made = (struct made){.address = h->address};
    return 0;
}

static void report(const struct harness *h, double seconds)
{
    printf("%" PRId64 " deaths under load, %" PRId64 " while starting, %" PRId64
           " clean stops under load; %.2f s a cycle\n",
           h->deaths[DIE_LOADED], h->deaths[DIE_STARTING], h->deaths[STOP_LOADED], seconds / (double)h->cycles);
    printf("acknowledged: %" PRId64 " plain, %" PRId64 " delayed, %" PRId64 " timed messages, %" PRId64
           " ended transactions, %" PRId64 " messages for pops, %" PRId64 " acknowledged pops\n",
           h->promised[KIND_PLAIN], h->promised[KIND_DELAYED], h->promised[KIND_TIMED], h->promised[KIND_TRANSACTION],
           h->promised[KIND_POPPED], h->consumed);
    printf("topics made under load and found again: %" PRId64 "\n", h->made.seen);
    printf("delivered more than once: %" PRId64 " delayed or timed messages\n", h->verify.again);
    if (h->load.refused[0])
        printf("first refused request: %s\n", h->load.refused);
    printf("0 lost, 0 twice, 0 out of place\n");
}

/* The control must lose something, or the runs with synchronous flush prove nothing. A server that does not start is no
 * loss. */
static int end_control(const struct harness *h, int r, const struct err *err)
{
    if (r && (err->code == ENODATA || err->code == EILSEQ)) {
        printf("as it must be without synchronous flush: %s\n", err->text);
        return 0;
    }
    if (r)
        fprintf(stderr, "kill_cycles: FAILED: %s\n", err->text);
    else
        fprintf(stderr,
                "kill_cycles: nothing was lost in %" PRId64 " losses of power with asynchronous flush: the disk "
                "at %s drops nothing\n",
                h->deaths[DIE_LOADED], h->disk.mount);
    return EXIT_LOST;
}

int main(int argc, char **argv)
{
    static struct harness h;
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    log_set_fd(-1);
    if (read_options(&h, argc, argv, &err)) {
        fprintf(stderr, "kill_cycles: %s\n", err.text);
        return EXIT_FAILED;
    }
    h.random = (uint64_t)h.seed * 0x9E3779B97F4A7C15u + 1;
    printf("seed %" PRId64 ", %s flush, deaths by %s\n", h.seed,
           args_has(&h.args, "async") ? "asynchronous" : "synchronous", h.power ? "loss of power" : "kill -9");
    if (prepare(&h, &err)) {
        fprintf(stderr, "kill_cycles: %s\n", err.text);
        if (h.power)
            disk_free(&h.disk);
        return h.power ? EXIT_CANNOT : EXIT_FAILED;
    }
    int64_t began = clock_mono_ms();
    int r = run_cycles(&h, &err);
    server_end(&h.server, SIGKILL);
    if (h.control)
        r = end_control(&h, r, &err);
    else if (r) {
        fprintf(stderr, "kill_cycles: FAILED after %" PRId64 " deaths: %s\nthe directory is left as it is: %s\n",
                h.deaths[0] + h.deaths[1] + h.deaths[2], err.text, h.data);
        server_show_log(&h.server);
        return EXIT_LOST;
    } else {
        report(&h, (double)(clock_mono_ms() - began) / 1000);
    }
    fs_remove_tree(fs_real(), h.data);
    if (h.power)
        disk_free(&h.disk);
    ledger_free(&h.ledger);
    made_free(&h.made);
    return r;
}
