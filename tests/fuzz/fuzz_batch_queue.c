/*
 * Files of a batch queue with any content: loading them never crashes or loops, gives a queue that is consistent in
 * itself, keeps it through a second start, and goes on from there. Input: a byte that chooses what is trusted, then the
 * files' bytes.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/consumequeue.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_SIZE = 10 * CQ_BATCH_ENTRY_SIZE, FILES_MAX = 6, SAMPLES = 50, MORE = 15 };

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
    struct cq_set *set = cq_set_new_batch(fs, "/q", FILE_SIZE);
    must(set != NULL);
    cq_set_trust(set, trust);
    must(cq_set_load(set, &err) == 0);
    return set;
}

/* All entries can be read and found by their messages; in order unless junk was said to be trusted. */
static void read_all(struct cq *q, bool verified)
{
    struct store_entry e, row[FILES_MAX * 10 + MORE];
    int64_t first = cq_first(q), behind = cq_behind(q), min = cq_min(q), max = cq_max(q);
    must(cq_is_batch(q) && first <= behind && behind == cq_end(q) && max == cq_next(q) && min >= 0);
    must(cq_read(q, first, row, (int)(behind - first), true) == behind - first);
    for (int64_t at = first; at < behind; at++) {
        must(cq_read(q, at, &e, 1, true) == 1 && e.physical_offset == row[at - first].physical_offset);
        if (!verified)
            continue;
        must(e.physical_offset >= 0 && e.size > 0 && e.messages > 0 && e.queue_offset >= min);
        must(at == first || e.queue_offset >= row[at - first - 1].queue_offset + row[at - first - 1].messages);
        must(cq_locate(q, e.queue_offset, true) == at);
        must(cq_locate(q, e.queue_offset + e.messages - 1, true) == at);
    }
    int64_t step = max > min ? (max - min) / SAMPLES + 1 : 1;
    for (int64_t offset = min; offset < max && offset >= 0; offset += step) {
        int64_t at = cq_locate(q, offset, true);
        must(at >= first && at <= behind);
        if (offset > INT64_MAX - step)
            break;
    }
}

/* verified: what is there is in order. */
static void go_on(struct cq_set *set, struct cq *q, bool verified)
{
    struct err err;
    int64_t to, from = 1LL << 50, next = cq_next(q);
    if (cq_set_dispatched(set) > from || next > 1LL << 60)
        return;
    for (int i = 0; i < MORE; i++) {
        struct store_entry e = {.physical_offset = from + i * 10L, .size = 10, .messages = 1 + i, .queue_offset = next};
        next += e.messages;
        must(cq_enter(q, &e));
        cq_publish(q, cq_end(q));
        must(cq_max(q) == next && (!verified || cq_locate(q, next - 1, true) == cq_end(q) - 1));
    }
    must(cq_set_persist(set, true, from + MORE * 10, &to, &err) == 0 && to == from + MORE * 10);
}

/* few: no more files than Java's recovery reads. */
static void try_all(struct fs_sim *sim, int64_t trust, int64_t cut, bool few)
{
    const struct fs *fs = fs_sim_fs(sim);
    struct err err;
    struct cq_set *set = load(fs, trust);
    struct cq *q = cq_get(set, TOPIC, 0, true);
    read_all(q, few && trust == -1);
    int64_t behind = cq_behind(q);
    cq_set_free(set);

    /* What the first start accepted the second one, which trusts nothing it has not read, may only shorten. */
    set = load(fs, -1);
    q = cq_get(set, TOPIC, 0, true);
    must(cq_behind(q) <= behind && (!few || trust != -1 || cq_behind(q) == behind));
    must(cq_set_truncate(set, cut, &err) == 0);
    read_all(q, few);
    cq_set_truncate_front(set, cut / 2);
    read_all(q, few);
    go_on(set, q, few);
    int64_t max = cq_max(q);
    cq_set_free(set);

    set = load(fs, INT64_MAX);
    q = cq_get(set, TOPIC, 0, true);
    must(!few || cq_max(q) == max); /* a start drops an end that cannot be, wherever the junk before it was not read */
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
