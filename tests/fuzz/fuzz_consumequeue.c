/*
 * Queue files with any content: loading them never crashes or loops, gives a queue that is consistent in itself, keeps
 * it through a second start, and goes on from there. Input: a byte that chooses what is trusted, then the files' bytes.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/consumequeue.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_SIZE = 10 * CQ_ENTRY_SIZE, FILES_MAX = 6 };

#define TOPIC STR_LIT("T")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(const struct fs *fs, int64_t start, const uint8_t *data, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "/q/T/0/%020lld", (long long)start);
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    must(fd >= 0 && fs->truncate(fs, fd, FILE_SIZE) == 0 && fs_write_all(fs, fd, data, n, 0) == 0);
    fs->close(fs, fd);
}

static struct cq_set *load(const struct fs *fs, int64_t trust)
{
    struct err err;
    struct cq_set *set = cq_set_new(fs, "/q", FILE_SIZE);
    must(set != NULL);
    cq_set_trust(set, trust);
    must(cq_set_load(set, &err) == 0);
    return set;
}

/* All entries can be read, one by one as in a row; valid ones unless junk was said to be trusted. */
static void read_all(struct cq *q, bool valid)
{
    struct store_entry row[FILES_MAX * 10 + 10], one;
    int64_t min = cq_min(q), max = cq_max(q);
    must(min >= 0 && min <= max && cq_next(q) == max);
    int n = cq_read(q, min, row, (int)(max - min), true);
    must(n == max - min);
    for (int i = 0; i < n; i++) {
        must(cq_read(q, min + i, &one, 1, true) == 1 && one.physical_offset == row[i].physical_offset);
        must(!valid || (one.physical_offset >= 0 && one.size > 0));
    }
}

static void go_on(struct cq_set *set, struct cq *q)
{
    struct err err;
    int64_t to, from = 1LL << 50, next = cq_next(q);
    if (cq_set_dispatched(set) > from)
        return;
    for (int i = 0; i < 15; i++) {
        must(cq_append(q, next + i, from + i * 10, 10, i));
        cq_publish(q, next + i + 1);
    }
    must(cq_max(q) == next + 15);
    must(cq_set_persist(set, true, from + 150, &to, &err) == 0 && to == from + 150);
}

/* few: no more files than Java's recovery reads. */
static void try_all(struct fs_sim *sim, int64_t trust, int64_t cut, bool few)
{
    const struct fs *fs = fs_sim_fs(sim);
    struct err err;
    struct cq_set *set = load(fs, trust);
    struct cq *q = cq_get(set, TOPIC, 0, true);
    read_all(q, few && trust == -1);
    int64_t min = cq_min(q), max = cq_max(q);
    cq_set_free(set);

    /* What the first start accepted the second one, which trusts nothing it has not read, may only shorten. */
    set = load(fs, -1);
    q = cq_get(set, TOPIC, 0, true);
    must(cq_max(q) <= max && (!few || trust != -1 || (cq_max(q) == max && cq_min(q) == min)));
    must(cq_set_truncate(set, cut, &err) == 0);
    read_all(q, few);
    cq_set_truncate_front(set, cut / 2);
    read_all(q, few);
    go_on(set, q);
    max = cq_max(q);
    cq_set_free(set);

    set = load(fs, INT64_MAX);
    q = cq_get(set, TOPIC, 0, true);
    must(cq_max(q) == max);
    cq_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_fd(-1);
    if (size < 2 || size > FILES_MAX * FILE_SIZE)
        return 0;
    struct fs_sim *sim = fs_sim_new(1);
    must(sim != NULL && fs_mkdirs(fs_sim_fs(sim), "/q/T/0") == 0);
    uint8_t how = data[0];
    data++;
    size--;
    int64_t start = (how >> 4) * (int64_t)FILE_SIZE;
    for (size_t at = 0; at < size; at += FILE_SIZE, start += FILE_SIZE)
        write_file(fs_sim_fs(sim), start, data + at, size - at < FILE_SIZE ? size - at : FILE_SIZE);
    try_all(sim, how % 4 == 0 ? INT64_MAX : how % 4 == 1 ? -1 : 1000, (int64_t)(how & 15) * 200, size <= 3 * FILE_SIZE);
    fs_sim_free(sim);
    return 0;
}
