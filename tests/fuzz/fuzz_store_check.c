/*
 * A store directory with any content under the check and the dump: they never crash or loop, whatever the files hold.
 * Input: four bytes of lengths, then the bytes of commit log, one queue file, one index file and the checkpoint in
 * turn.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/store_check.h"
#include "store/store_dump.h"

#include <stdlib.h>

enum { SLOTS = 11, ENTRIES = 20, INDEX_SIZE = 40 + SLOTS * 4 + ENTRIES * 20, LOG_FILE = 600, QUEUE_FILE = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(const struct fs *fs, const char *path, const uint8_t *data, size_t n, int64_t size)
{
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if ((int64_t)n > size)
        n = (size_t)size;
    must(fd >= 0 && fs->truncate(fs, fd, size) == 0 && fs_write_all(fs, fd, data, n, 0) == 0);
    fs->close(fs, fd);
}

static void finding(void *arg, const struct store_finding *f)
{
    must(strlen(f->text) > 0 && strlen(f->where) > 0);
}

static void message(void *arg, const struct msg_view *v, int64_t offset)
{
    must(offset >= 0 && v->size > 0);
}

static void damage(void *arg, const char *file, int64_t offset, int64_t bytes)
{
    must(bytes > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_fd(-1);
    if (size < 4 || size > 8192)
        return 0;
    size_t part[4], at = 4;
    for (int i = 0; i < 4; i++) {
        part[i] = data[i] * (size_t)8;
        if (part[i] > size - at)
            part[i] = size - at;
        at += part[i];
    }
    struct fs_sim *sim = fs_sim_new(1);
    must(sim != NULL);
    const struct fs *fs = fs_sim_fs(sim);
    must(fs_mkdirs(fs, "/s/commitlog") == 0 && fs_mkdirs(fs, "/s/consumequeue/T/0") == 0 &&
         fs_mkdirs(fs, "/s/index") == 0);
    const uint8_t *p = data + 4;
    size_t first = part[0] < LOG_FILE ? part[0] : LOG_FILE;
    write_file(fs, "/s/commitlog/00000000000000000000", p, first, LOG_FILE);
    write_file(fs, "/s/commitlog/00000000000000000600", p + first, part[0] - first, LOG_FILE);
    p += part[0];
    write_file(fs, "/s/consumequeue/T/0/00000000000000000000", p, part[1], QUEUE_FILE);
    p += part[1];
    write_file(fs, "/s/index/20240101000000000", p, part[2], INDEX_SIZE);
    p += part[2];
    write_file(fs, "/s/checkpoint", p, part[3], 4096);
    struct store_check_options o = {.dir = "/s", .index_slots = SLOTS, .index_entries = ENTRIES, .finding = finding};
    struct store_report report;
    struct err err;
    must(store_check(fs, &o, &report, &err) == 0);
    struct store_dump_filter f = {.queue_id = -1, .to = INT64_MAX, .since = INT64_MIN, .until = INT64_MAX, .count = -1};
    struct store_dump_sink sink = {NULL, message, damage, NULL};
    int64_t n = store_dump_messages(fs, "/s", NULL, &f, &sink, &err);
    must(n >= report.messages);
    fs_sim_free(sim);
    return 0;
}
