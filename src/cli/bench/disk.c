/* Disk: one write and one fdatasync after the other, into a file whose blocks are there, as a commit log's are. */
#include "cli/bench/bench.h"
#include "cli/cmd.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, CHUNK = 1 << 20 };

static int prepare(int fd, uint8_t *chunk)
{
    memset(chunk, 0, CHUNK);
    for (off_t at = 0; at < FILE_BYTES; at += CHUNK)
        if (pwrite(fd, chunk, CHUNK, at) != CHUNK)
            return -1;
    memset(chunk, 'x', CHUNK);
    return fsync(fd);
}

static int write_and_sync(const struct bench_options *o, int fd, const uint8_t *data, struct bench_result *r)
{
    const int64_t from = clock_mono_ns(), warm = from + o->warmup_ms * 1000000, to = warm + o->duration_ms * 1000000;
    off_t at = 0;
    for (int64_t before = from; before < to;) {
        if (pwrite(fd, data, (size_t)o->size, at) != o->size || fdatasync(fd))
            return -1;
        int64_t now = clock_mono_ns();
        if (before >= warm) {
            hist_record(r->latency, (uint64_t)(now - before));
            r->messages++;
        }
        before = now;
        at += o->size;
        if (at + o->size > FILE_BYTES)
            at = 0;
    }
    r->seconds = (double)o->duration_ms / 1000;
    r->requests = r->messages;
    r->bytes = r->messages * (uint64_t)o->size;
    return 0;
}

int bench_disk(const struct bench_options *o)
{
    static struct bench_run run;
    static struct hist latency;
    struct bench_result result = {
        .work = "disk", .latency = &latency, .latency_means = "write and fdatasync", .server_cpu_seconds = -1};
    char path[4096];
    uint8_t *data = malloc(CHUNK > o->size ? CHUNK : (size_t)o->size);
    snprintf(path, sizeof path, "%s/crocket-bench-disk-%d.tmp", o->dir, (int)getpid());
    if (data == NULL)
        return cmd_failf("out of memory");
    bench_run_init(&run, o, NULL);
    hist_init(&latency);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int rc = fd < 0 || prepare(fd, data) || write_and_sync(o, fd, data, &result);
    if (rc)
        cmd_failf("cannot measure the disk with %s: %s", path, strerror(errno));
    else
        bench_print(o, &run, &result);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(data);
    return rc;
}
