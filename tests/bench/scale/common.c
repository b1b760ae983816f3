#include "scale.h"

#include <ftw.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_int.h"

enum { QUEUES_A_TOPIC = 8, BATCH = 32 };

void die(const char *text)
{
    fprintf(stderr, "scale_bench: %s\n", text);
    exit(1);
}

double ms_since(int64_t began_ns)
{
    return (double)(clock_mono_ns() - began_ns) / 1e6;
}

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* ---- a store
 * ---------------------------------------------------------------------------------------------------------- */

static void note(void *arg, void *user, const struct put_result *r)
{
    struct bench *b = arg;
    b->failed += r->status != PUT_OK;
    b->end = r->end_offset;
}

static void on_rebuilt(void *arg)
{
    __atomic_store_n(&((struct bench *)arg)->rebuilt, 1, __ATOMIC_RELEASE);
}

void open_store(struct bench *b, bool threads)
{
    struct err err;
    struct store_events events = {.arg = b, .rebuilt = on_rebuilt};
    if (store_open(&b->s, &b->conf, b->fs, &events, &err) ||
        (threads ? store_start(b->s, &err) : store_mark_running(b->s, &err)))
        die(err.text);
    b->batch = store_batch_new(b->s);
}

void close_store(struct bench *b)
{
    store_batch_free(b->batch);
    store_close(b->s);
}

static struct store_msg message(struct cq *q, size_t body)
{
    static char body_bytes[BODY_MAX];
    static const char props[] = "UNIQ_KEY\x01"
                                "7F0000010A0B5C6D7E8F000000000001\x02WAIT\x01true\x02TAGS\x01TagA\x02";
    if (body_bytes[0] == 0)
        memset(body_bytes, 'x', sizeof body_bytes);
    return (struct store_msg){.m = {.topic = cq_topic(q),
                                    .queue_id = cq_id(q),
                                    .body = str_make(body_bytes, body),
                                    .properties = str_make(props, sizeof props - 1),
                                    .born_host = {.addr_len = 4},
                                    .store_host = {.addr_len = 4}},
                              .queue = q,
                              .tags_code = 123};
}

struct cq *queue(struct bench *b, int64_t n)
{
    char topic[32];
    snprintf(topic, sizeof topic, "ScaleTopic%" PRId64, n / QUEUES_A_TOPIC);
    struct cq *q = store_queue(b->s, str_from(topic), (int32_t)(n % QUEUES_A_TOPIC), true);
    if (q == NULL)
        die("no memory for the queues");
    return q;
}

void flush_puts(struct bench *b)
{
    store_batch_commit(b->batch, note, b);
    if (b->failed)
        die("a message could not be stored");
}

void put(struct bench *b, struct cq *q, size_t body)
{
    struct store_msg m = message(q, body);
    if (store_batch_add(b->batch, &m, NULL) != PUT_OK)
        die("a message was refused");
    if (store_batch_count(b->batch) >= BATCH)
        flush_puts(b);
}

void fill_queues(struct bench *b, int64_t n, int64_t entries)
{
    for (int64_t round = 0; round < entries; round++)
        for (int64_t i = 0; i < n; i++)
            put(b, queue(b, i), 100);
    flush_puts(b);
}

void sparse_file(const struct bench *b, const char *path, int64_t size)
{
    int fd = b->fs->open(b->fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || b->fs->truncate(b->fs, fd, size))
        die("cannot make a sparse file");
    b->fs->close(b->fs, fd);
}

void in_killed_child(void (*fn)(struct bench *b, int64_t arg), struct bench *b, int64_t arg)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn(b, arg);
        fflush(stdout);
        kill(getpid(), SIGKILL);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the writing process did not get through");
}

void report_start(struct bench *b, const char *what)
{
    int64_t began = clock_mono_ns();
    open_store(b, true);
    double open_ms = ms_since(began);
    while (store_rebuilding(b->s))
        usleep(1000);
    put(b, queue(b, 0), 100);
    flush_puts(b);
    printf("%-34s open and start %8.1f ms, first message stored after %8.1f ms\n", what, open_ms, ms_since(began));
    fflush(stdout);
}

void report_stop(struct bench *b)
{
    int64_t began = clock_mono_ns();
    close_store(b);
    printf("stop: %.1f ms\n", ms_since(began));
    fflush(stdout);
}

/* ---- what is in use
 * --------------------------------------------------------------------------------------------------- */

int64_t status_kib(const char *name)
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

static int count_name(void *arg, const char *name, bool is_dir)
{
    ++*(int64_t *)arg;
    return 0;
}

static int64_t n_files, n_bytes;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    n_files += type == FTW_F;
    n_bytes += (int64_t)st->st_blocks * 512;
    return 0;
}

void report_in_use(const struct bench *b)
{
    int64_t fds = 0, maps = 0;
    fs_real()->list(fs_real(), "/proc/self/fd", count_name, &fds);
    FILE *f = fopen("/proc/self/maps", "r");
    for (int c; f && (c = getc(f)) != EOF;)
        maps += c == '\n';
    if (f)
        fclose(f);
    n_files = n_bytes = 0;
    if (nftw(b->conf.storePathRootDir, count_file, 64, FTW_PHYS))
        die("cannot count the files");
    printf("in use: %" PRId64 " files with %" PRId64 " MiB on the disk, %" PRId64 " descriptors, %" PRId64
           " mappings, %" PRId64 " MiB anonymous memory\n",
           n_files, n_bytes >> 20, fds - 1, maps, status_kib("RssAnon:") >> 10);
    fflush(stdout);
}

/* ---- counting
 * --------------------------------------------------------------------------------------------------------- */

static struct fs_calls calls;

static int counted_open(const struct fs *fs, const char *path, int flags)
{
    calls.opens++;
    return fs_real()->open(fs_real(), path, flags);
}

static ssize_t counted_pread(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    calls.reads++;
    return fs_real()->pread(fs_real(), fd, buf, n, at);
}

static int counted_stat(const struct fs *fs, const char *path, struct fs_stat *out)
{
    calls.stats++;
    return fs_real()->stat(fs_real(), path, out);
}

static int counted_fstat(const struct fs *fs, int fd, struct fs_stat *out)
{
    calls.stats++;
    return fs_real()->fstat(fs_real(), fd, out);
}

const struct fs *counting_fs(void)
{
    static struct fs counting;
    counting = *fs_real();
    counting.open = counted_open;
    counting.pread = counted_pread;
    counting.stat = counted_stat;
    counting.fstat = counted_fstat;
    return &counting;
}

struct fs_calls calls_so_far(void)
{
    return calls;
}
