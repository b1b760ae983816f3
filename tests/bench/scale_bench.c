/*
 * The store at sizes that no disk here holds: what a start, an idle queue, a read and the removal of old files cost
 * when there is very much of everything. Logs and queues are made of sparse files wherever nobody looks at the content.
 *
 *   scale_bench restart DIR [GIB]              start after kill -9 under full load, with GIB of log (100)
 *   scale_bench queues DIR [QUEUES [ENTRIES]]  starts with so many queues (200000 of 1): after a clean stop, after kill
 * -9, with the queues' folder lost; memory and files of each queue
 *
 * DIR must be empty or absent; the caller removes it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/fs.h"
#include "store/store_int.h"

enum { QUEUES_A_TOPIC = 8, BATCH = 32 };

static void die(const char *text)
{
    fprintf(stderr, "scale_bench: %s\n", text);
    exit(1);
}

static double ms_since(int64_t began_ns)
{
    return (double)(clock_mono_ns() - began_ns) / 1e6;
}

/* A number of /proc/self/status in KiB. */
static int64_t status_kib(const char *name)
{
    char line[256];
    int64_t value = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoll(line + strlen(name) + 1, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

/* ---- a store
 * --------------------------------------------------------------------------------------------------------- */

struct bench {
    struct store_conf conf;
    struct store *s;
    struct store_batch *batch;
    int64_t failed, end;
};

static void note(void *arg, void *user, const struct put_result *r)
{
    struct bench *b = arg;
    b->failed += r->status != PUT_OK;
    b->end = r->end_offset;
}

static void make_conf(struct bench *b, const char *dir)
{
    struct err err;
    if (conf_defaults(store_conf_table(), &b->conf, &err))
        die(err.text);
    b->conf.storePathRootDir = strdup(dir);
}

static void open_store(struct bench *b)
{
    struct err err;
    struct store_events events = {0};
    if (store_open(&b->s, &b->conf, fs_real(), &events, &err) || store_start(b->s, &err))
        die(err.text);
    b->batch = store_batch_new(b->s);
}

static void close_store(struct bench *b)
{
    store_batch_free(b->batch);
    store_close(b->s);
}

static char body_bytes[1024];

static struct store_msg message(struct cq *q, size_t body)
{
    static const char props[] = "UNIQ_KEY\x01"
                                "7F0000010A0B5C6D7E8F000000000001\x02WAIT\x01true\x02TAGS\x01TagA\x02";
    return (struct store_msg){.m = {.topic = cq_topic(q),
                                    .queue_id = cq_id(q),
                                    .body = str_make(body_bytes, body),
                                    .properties = str_make(props, sizeof props - 1),
                                    .born_host = {.addr_len = 4},
                                    .store_host = {.addr_len = 4}},
                              .queue = q,
                              .tags_code = 123};
}

static struct cq *queue(struct bench *b, int64_t n)
{
    char topic[32];
    snprintf(topic, sizeof topic, "ScaleTopic%" PRId64, n / QUEUES_A_TOPIC);
    struct cq *q = store_queue(b->s, str_from(topic), (int32_t)(n % QUEUES_A_TOPIC), true);
    if (q == NULL)
        die("no memory for the queues");
    return q;
}

static void put(struct bench *b, struct cq *q, size_t body)
{
    struct store_msg m = message(q, body);
    if (store_batch_add(b->batch, &m, NULL) != PUT_OK)
        die("a message was refused");
    if (store_batch_count(b->batch) >= BATCH)
        store_batch_commit(b->batch, note, b);
}

/* Runs fn in a process that then dies as by kill -9. */
static void in_killed_child(void (*fn)(struct bench *b, int64_t arg), struct bench *b, int64_t arg)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn(b, arg);
        kill(getpid(), SIGKILL);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the writing process did not get through");
}

static void report_start(struct bench *b, const char *what)
{
    int64_t began = clock_mono_ns();
    open_store(b);
    double open_ms = ms_since(began);
    put(b, queue(b, 0), 100);
    store_batch_commit(b->batch, note, b);
    printf("%-34s open and start %8.1f ms, first message stored after %8.1f ms\n", what, open_ms, ms_since(began));
    fflush(stdout);
    if (b->failed)
        die("a message could not be stored");
}

/* ---- restart
 * ----------------------------------------------------------------------------------------------------------- */

static void write_for(struct bench *b, int64_t ms)
{
    open_store(b);
    int64_t until = clock_mono_ms() + ms;
    struct cq *q[8];
    for (int i = 0; i < 8; i++)
        q[i] = queue(b, i);
    for (int64_t n = 0; n % 4096 || clock_mono_ms() < until; n++)
        put(b, q[n % 8], sizeof body_bytes);
}

static void sparse_segment(const struct bench *b, int64_t base)
{
    char path[4096];
    const struct fs *fs = fs_real();
    snprintf(path, sizeof path, "%s/commitlog/%020" PRId64, b->conf.storePathRootDir, base);
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || fs->truncate(fs, fd, b->conf.mappedFileSizeCommitLog))
        die("cannot make a segment");
    fs->close(fs, fd);
}

static int restart(struct bench *b, int64_t gib, int64_t unused)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/commitlog", b->conf.storePathRootDir);
    if (fs_mkdirs(fs_real(), path))
        die("cannot make the folder");
    int64_t begin = (gib > 4 ? gib - 4 : 0) << 30;
    sparse_segment(b, begin);
    in_killed_child(write_for, b, 4000);
    for (int64_t base = 0; base < begin; base += b->conf.mappedFileSizeCommitLog)
        sparse_segment(b, base);
    report_start(b, "kill -9 under full load:");
    struct store_stats st;
    store_stats(b->s, &st);
    printf("log of %" PRId64 " MiB\n", (st.log_max - st.log_min) >> 20);
    close_store(b);
    report_start(b, "clean stop:");
    close_store(b);
    return 0;
}

/* ---- queues
 * ------------------------------------------------------------------------------------------------------------ */

static int64_t entries_each = 1;

static void fill_queues(struct bench *b, int64_t queues)
{
    for (int64_t round = 0; round < entries_each; round++)
        for (int64_t n = 0; n < queues; n++)
            put(b, queue(b, n), 100);
    store_batch_commit(b->batch, note, b);
}

static void append_and_die(struct bench *b, int64_t queues)
{
    open_store(b);
    fill_queues(b, queues);
}

static void fill_and_stop(struct bench *b, int64_t queues)
{
    open_store(b);
    fill_queues(b, queues);
    int64_t began = clock_mono_ns();
    close_store(b);
    printf("stop: %.1f ms\n", ms_since(began));
    fflush(stdout);
}

static void measure_start(struct bench *b, int64_t queues)
{
    int64_t before = status_kib("RssAnon:");
    report_start(b, queues < 0 ? "lost queue folder:" : "start:");
    if (queues > 0)
        printf("%.0f bytes of anonymous memory a queue\n",
               (double)(status_kib("RssAnon:") - before) * 1024 / (double)queues);
    int64_t began = clock_mono_ns();
    close_store(b);
    printf("stop: %.1f ms\n", ms_since(began));
    fflush(stdout);
}

static int queues(struct bench *b, int64_t n, int64_t entries)
{
    char path[4096];
    entries_each = entries;
    printf("%" PRId64 " queues\n", n);
    in_killed_child(fill_and_stop, b, n);
    printf("after a clean stop\n");
    in_killed_child(measure_start, b, n);
    in_killed_child(append_and_die, b, n);
    printf("after kill -9\n");
    in_killed_child(measure_start, b, n);
    snprintf(path, sizeof path, "%s/consumequeue", b->conf.storePathRootDir);
    if (fs_remove_tree(fs_real(), path))
        die("cannot remove the queues");
    in_killed_child(measure_start, b, -1);
    return 0;
}

/* ---- depth
 * -------------------------------------------------------------------------------------------------------------- */

enum { SPACING = 128, PROBES = 200 };

static const int64_t SEGMENT = 1 << 30, A_SEGMENT = ((1 << 30) - 256) / SPACING, BEGIN_MS = 1600000000000;

static int64_t place_of(int64_t i)
{
    return i / A_SEGMENT * SEGMENT + i % A_SEGMENT * SPACING;
}

/* Message i was stored in millisecond i. */
static void write_record(struct bench *b, const char *dir, int64_t i)
{
    uint8_t record[512], unit[20];
    char path[4096], topic[] = "Deep", keys[64];
    const struct fs *fs = fs_real();
    int64_t at = place_of(i), per_file = b->conf.mappedFileSizeConsumeQueue / 20;
    int n = snprintf(keys, sizeof keys, "KEYS\x01k%" PRId64, i);
    struct msg m = {.topic = str_from(topic),
                    .properties = str_make(keys, (size_t)n),
                    .born_host = {.addr_len = 4},
                    .store_host = {.addr_len = 4}};
    size_t size = msg_record_size(&m);
    if (size > SPACING)
        die("a record of the deep queue is too long");
    msg_encode(record, &m);
    msg_patch(record, i, at, BEGIN_MS + i);
    snprintf(path, sizeof path, "%s/commitlog/%020" PRId64, dir, at / SEGMENT * SEGMENT);
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || fs_write_all(fs, fd, record, size, at % SEGMENT))
        die("cannot write the log");
    fs->close(fs, fd);
    put_be64(unit, (uint64_t)at);
    put_be32(unit + 8, (uint32_t)size);
    put_be64(unit + 12, 0);
    snprintf(path, sizeof path, "%s/consumequeue/Deep/0/%020" PRId64, dir, i / per_file * per_file * 20);
    fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || fs_write_all(fs, fd, unit, sizeof unit, i % per_file * 20))
        die("cannot write the queue");
    fs->close(fs, fd);
}

/* What a search for message `wanted` by time looks at. */
static void write_path(struct bench *b, const char *dir, int64_t n, int64_t wanted)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        write_record(b, dir, middle);
        if (middle < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    write_record(b, dir, wanted);
}

static int64_t probe(int64_t n, int i)
{
    uint64_t x = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
    return (int64_t)((x >> 11) % (uint64_t)n);
}

static void make_files(struct bench *b, const char *dir, int64_t n)
{
    char path[4096];
    const struct fs *fs = fs_real();
    int64_t per_file = b->conf.mappedFileSizeConsumeQueue / 20;
    snprintf(path, sizeof path, "%s/consumequeue/Deep/0", dir);
    if (fs_mkdirs(fs, path))
        die("cannot make the queue's folder");
    snprintf(path, sizeof path, "%s/commitlog", dir);
    if (fs_mkdirs(fs, path))
        die("cannot make the log's folder");
    for (int64_t base = 0; base <= place_of(n - 1); base += SEGMENT)
        sparse_segment(b, base);
    for (int64_t i = 0; i < n; i += per_file) {
        snprintf(path, sizeof path, "%s/consumequeue/Deep/0/%020" PRId64, dir, i * 20);
        int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
        if (fd < 0 || fs->truncate(fs, fd, b->conf.mappedFileSizeConsumeQueue))
            die("cannot make a queue file");
        fs->close(fs, fd);
        write_record(b, dir, i);
    }
    write_record(b, dir, 0);
    /* A start looks for the end of the queue in the last file. */
    for (int64_t i = (n - 1) / per_file * per_file; i < n; i++)
        write_record(b, dir, i);
}

static void report_reads(struct bench *b, const char *topic, int64_t n)
{
    struct cq *q = store_queue(b->s, str_from(topic), 0, false);
    int64_t offset_ns = 0, time_ns = 0, began;
    if (q == NULL || cq_max(q) < n)
        die("the queue is not as long as it should be");
    for (int round = 0; round < 2; round++) { /* the first brings all into memory */
        offset_ns = time_ns = 0;
        for (int i = 0; i < PROBES; i++) {
            struct get_result r;
            int64_t wanted = probe(n, i);
            began = clock_mono_ns();
            store_get(b->s, q, wanted, 1, 4096, NULL, NULL, true, &r);
            offset_ns += clock_mono_ns() - began;
            if (r.count != 1)
                die("a message was not found by its offset");
            int64_t time = r.first_store_time;
            store_release(b->s, &r);
            began = clock_mono_ns();
            int64_t found = store_offset_by_time(b->s, q, time, false);
            time_ns += clock_mono_ns() - began;
            if (found > wanted)
                die("a message was not found by its time");
        }
    }
    printf("%12" PRId64 " entries: by offset %6.2f us, by time %6.2f us\n", n, (double)offset_ns / PROBES / 1e3,
           (double)time_ns / PROBES / 1e3);
    fflush(stdout);
}

static int depth(struct bench *b, int64_t n, int64_t unused)
{
    const char *dir = b->conf.storePathRootDir;
    n = (n - 1) / A_SEGMENT * A_SEGMENT + 1; /* the last message is the first of the last file: the log ends there */
    make_files(b, dir, n);
    for (int i = 0; i < PROBES; i++)
        write_path(b, dir, n, probe(n, i));
    report_start(b, "start:");
    struct cq *q = store_queue(b->s, STR_LIT("Small"), 0, true);
    for (int i = 0; i < 1000; i++)
        put(b, q, 10);
    store_batch_commit(b->batch, note, b);
    close_store(b);
    open_store(b);
    report_reads(b, "Small", 1000);
    report_reads(b, "Deep", n);
    int64_t began = clock_mono_ns(), log_min = 0;
    for (int i = 0; i < 10; i++) {
        if (clog_remove_first(b->s->log) < 0)
            die("cannot remove a file of the log");
        log_min = clog_min(b->s->log);
        queues_truncate_front(b->s, log_min);
    }
    printf("removing 10 files of the log and what only they needed: %.1f ms\n", ms_since(began));
    close_store(b);
    return 0;
}

/* ---- the program
 * ------------------------------------------------------------------------------------------------------- */

static const struct work {
    const char *name;
    int (*run)(struct bench *b, int64_t first, int64_t second);
    int64_t first, second; /* when not given */
} works[] = {
    {"restart", restart, 100, 0},
    {"queues", queues, 200000, 1},
    {"depth", depth, 1000000000, 0},
};

int main(int argc, char **argv)
{
    log_set_level(getenv("SCALE_LOG") ? LOG_INFO : LOG_WARN);
    for (size_t i = 0; argc > 2 && i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(argv[1], works[i].name) != 0)
            continue;
        struct bench b = {0};
        make_conf(&b, argv[2]);
        memset(body_bytes, 'x', sizeof body_bytes);
        int r = works[i].run(&b, argc > 3 ? strtoll(argv[3], NULL, 10) : works[i].first,
                             argc > 4 ? strtoll(argv[4], NULL, 10) : works[i].second);
        store_conf_free(&b.conf);
        return r;
    }
    fprintf(stderr, "usage: scale_bench restart DIR [GIB] | queues DIR [QUEUES [ENTRIES]] | depth DIR [ENTRIES]\n");
    return 1;
}
