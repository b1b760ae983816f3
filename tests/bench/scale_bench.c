/*
 * The store at sizes that no disk here holds: what a start, an idle queue, a read and the removal of old files cost
 * when there is very much of everything. Logs and queues are made of sparse files wherever nobody looks at the content.
 *
 *   scale_bench restart DIR [GIB]              start after kill -9 under full load, with GIB of log (100)
 *   scale_bench queues DIR [QUEUES [ENTRIES]]  starts with so many queues (200000 of 1): after a clean stop, after kill
 * -9, with the queues' folder lost; memory and files of each queue
 *   scale_bench rebuild DIR [GIB [BODY]]       loses the folders of queues and index of a log of GIB (4) with messages
 * of BODY bytes (1024): how fast they are rebuilt
 *
 * DIR must be empty or absent; the caller removes it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/fs.h"
#include "store/store.h"

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
    int rebuilt; /* atomic */
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

static void on_rebuilt(void *arg)
{
    __atomic_store_n(&((struct bench *)arg)->rebuilt, 1, __ATOMIC_RELEASE);
}

static void open_store(struct bench *b)
{
    struct err err;
    struct store_events events = {.arg = b, .rebuilt = on_rebuilt};
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

/* ---- rebuild
 * ----------------------------------------------------------------------------------------------------------- */

static void drop_caches(const struct bench *b)
{
    const struct fs *fs = fs_real();
    char path[4096];
    struct store_stats st;
    store_stats(b->s, &st);
    for (int64_t base = st.log_min; base < st.log_max; base += b->conf.mappedFileSizeCommitLog) {
        snprintf(path, sizeof path, "%s/commitlog/%020" PRId64, b->conf.storePathRootDir, base);
        int fd = fs->open(fs, path, FS_READ);
        if (fd < 0 || fs->datasync(fs, fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
            die("cannot drop a segment from memory");
        fs->close(fs, fd);
    }
}

static void report_rate(const char *what, int64_t began_ns, int64_t bytes)
{
    double ms = ms_since(began_ns);
    printf("%-34s %8.1f ms, %.0f MB/s\n", what, ms, (double)bytes / ms / 1000);
    fflush(stdout);
}

static void lose_and_rebuild(struct bench *b, const char *how)
{
    static const char *const lost[] = {"consumequeue", "index"};
    char path[4096];
    struct store_stats st;
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->conf.storePathRootDir, lost[i]);
        if (fs_remove_tree(fs_real(), path))
            die("cannot remove a folder");
    }
    printf("%s\n", how);
    b->rebuilt = 0;
    int64_t began = clock_mono_ns();
    open_store(b);
    printf("%-34s %8.1f ms\n", "open, old messages can be read:", ms_since(began));
    if (!store_rebuilding(b->s))
        die("the log is too short to be rebuilt in the background");
    while (!__atomic_load_n(&b->rebuilt, __ATOMIC_ACQUIRE))
        usleep(1000);
    store_stats(b->s, &st);
    report_rate("queues rebuilt, messages taken:", began, st.log_max - st.log_min);
    began = clock_mono_ns();
    while (st.dispatched < st.log_max) {
        usleep(10000);
        store_stats(b->s, &st);
    }
    report_rate("index rebuilt behind them:", began, st.log_max - st.log_min);
}

static int rebuild(struct bench *b, int64_t gib, int64_t body)
{
    open_store(b);
    struct cq *q[64];
    for (int i = 0; i < 64; i++)
        q[i] = queue(b, i);
    if (body < 1 || body > (int64_t)sizeof body_bytes)
        die("BODY must be 1 to 1024");
    for (int64_t n = 0; b->end < gib << 30; n++)
        put(b, q[n % 64], (size_t)body);
    store_batch_commit(b->batch, note, b);
    if (b->failed)
        die("a message could not be stored");
    store_wait_flushed(b->s, b->end);
    drop_caches(b);
    close_store(b);
    lose_and_rebuild(b, "from the disk");
    close_store(b);
    lose_and_rebuild(b, "from memory, as far as it is there");
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
    {"rebuild", rebuild, 4, sizeof body_bytes},
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
    fprintf(stderr,
            "usage: scale_bench restart DIR [GIB] | queues DIR [QUEUES [ENTRIES]] | rebuild DIR [GIB [BODY]]\n");
    return 1;
}
