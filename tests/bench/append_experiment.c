/*
 * How should the commit log be written: stores into a shared mapping, or one pwrite for each batch?
 *
 *   append_experiment DIR [MIB]
 *
 * For each way and batch size: MIB (default 600) of 1 KiB records into a fallocated segment while another thread syncs
 * every 500 ms, the time of every batch measured; then 200 times one 4 KiB append and a sync. Decision: docs/adr/0002.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 1024, SYNCS = 200, SYNC_EVERY_MS = 500 };
enum way { MAPPED, MAPPED_POPULATED, PWRITE, PWRITE_PREREAD, PWRITE_ZEROED, WAYS };
static const char *const way_names[WAYS] = {"mapped, fresh", "mapped, populated", "pwrite, fallocated",
                                            "pwrite, pre-read", "pwrite, zero-filled"};

struct run {
    enum way way;
    int fd;
    uint8_t *map;
    size_t size;
    volatile bool stop;
};

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char *what)
{
    fprintf(stderr, "append_experiment: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool is_mapped(enum way w)
{
    return w == MAPPED || w == MAPPED_POPULATED;
}

/* Only the range a mapped log would force; a file has one sync. */
static void sync_run(struct run *r, size_t from, size_t to)
{
    if (!is_mapped(r->way)) {
        if (fdatasync(r->fd))
            die("fdatasync");
        return;
    }
    from &= ~(size_t)4095;
    if (msync(r->map + from, to - from, MS_SYNC))
        die("msync");
}

static size_t written; /* atomic */

static void *flusher(void *arg)
{
    struct run *r = arg;
    size_t flushed = 0;
    while (!r->stop) {
        usleep(SYNC_EVERY_MS * 1000);
        size_t to = __atomic_load_n(&written, __ATOMIC_ACQUIRE);
        if (to > flushed)
            sync_run(r, flushed, to);
        flushed = to;
    }
    return NULL;
}

static void append(struct run *r, const uint8_t *batch, size_t n, size_t at)
{
    if (is_mapped(r->way))
        memcpy(r->map + at, batch, n);
    else if (pwrite(r->fd, batch, n, (off_t)at) != (ssize_t)n)
        die("pwrite");
    __atomic_store_n(&written, at + n, __ATOMIC_RELEASE);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void prepare(struct run *r, const char *path)
{
    r->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (r->fd < 0 || fallocate(r->fd, 0, 0, (off_t)r->size))
        die(path);
    if (r->way == PWRITE_ZEROED) {
        size_t chunk = 64 << 10; /* larger pieces make larger pages, slow to walk for small appends */
        uint8_t *zero = calloc(1, chunk);
        for (size_t at = 0; at < r->size; at += chunk)
            if (pwrite(r->fd, zero, r->size - at < chunk ? r->size - at : chunk, (off_t)at) < 0)
                die("zero fill");
        free(zero);
    }
    if (r->way == PWRITE_PREREAD) {
        size_t chunk = 1 << 20;
        uint8_t *sink = malloc(chunk);
        for (size_t at = 0; at < r->size; at += chunk)
            if (pread(r->fd, sink, chunk, (off_t)at) < 0)
                die("pre-read");
        free(sink);
    }
    int flags = MAP_SHARED | (r->way == MAPPED_POPULATED ? MAP_POPULATE : 0);
    r->map = mmap(NULL, r->size, PROT_READ | PROT_WRITE, flags, r->fd, 0);
    if (r->map == MAP_FAILED || fdatasync(r->fd))
        die("prepare");
}

static void measure(const char *path, enum way way, size_t mib, size_t batch)
{
    struct run r = {.way = way, .size = (mib << 20) + SYNCS * 4096 + (1 << 20)};
    size_t bytes = batch * RECORD, batches = (mib << 20) / bytes;
    uint8_t *data = malloc(bytes < 4096 ? 4096 : bytes);
    float *took = malloc(sizeof *took * (batches > SYNCS ? batches : SYNCS));
    memset(data, 'x', bytes < 4096 ? 4096 : bytes);
    prepare(&r, path);
    written = 0;
    pthread_t t;
    pthread_create(&t, NULL, flusher, &r);
    double begin = now_us();
    for (size_t i = 0; i < batches; i++) {
        double before = now_us();
        append(&r, data, bytes, i * bytes);
        took[i] = (float)(now_us() - before);
    }
    double total = now_us() - begin;
    r.stop = true;
    pthread_join(t, NULL);
    qsort(took, batches, sizeof *took, by_value);
    printf("%-20s batch %2zu  %6.0f ns/record  batch p50 %7.1f us  p99 %7.1f  p99.9 %8.1f  max %9.1f", way_names[way],
           batch, total * 1000 / (double)(batches * batch), took[batches / 2], took[batches * 99 / 100],
           took[batches * 999 / 1000], took[batches - 1]);
    sync_run(&r, 0, batches * bytes);
    for (size_t i = 0; i < SYNCS; i++) {
        size_t at = batches * bytes + i * 4096;
        append(&r, data, 4096, at);
        double before = now_us();
        sync_run(&r, at, at + 4096);
        took[i] = (float)(now_us() - before);
    }
    qsort(took, SYNCS, sizeof *took, by_value);
    printf("  then sync p50 %6.0f us  p99 %6.0f\n", took[SYNCS / 2], took[SYNCS * 99 / 100]);
    fflush(stdout);
    munmap(r.map, r.size);
    close(r.fd);
    unlink(path);
    free(data);
    free(took);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: append_experiment DIR [MIB]\n");
        return 1;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/append_experiment.tmp", argv[1]);
    size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 600;
    static const size_t batches[] = {1, 8, 32};
    for (int w = 0; w < WAYS; w++)
        for (size_t b = 0; b < 3; b++)
            measure(path, (enum way)w, mib, batches[b]);
    return 0;
}
