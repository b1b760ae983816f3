/*
 * A store directory with any bytes in its files: it opens or says why not, what it shows can be read, and after a clean
 * stop it opens again with the same queues. The first byte chooses what else is there besides the log: 1 the abort
 * file, 2 a checkpoint (the next 128 bytes), 4 a queue file (the next 400 bytes), 8 a file of a batch queue (the next
 * 460 bytes). The rest is the log's first segment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "os/fs_sim.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEGMENT = 16 * 1024,
    CHECKPOINT = 128,
    QUEUE_HEAD = 400,
    QUEUE_FILE = 400000,
    BATCH_HEAD = 460,
    BATCH_FILE = 460 * 10,
    STEPS = 1000
};

static void put_file(const struct fs *fs, const char *path, const uint8_t *data, size_t n, int64_t size)
{
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || fs->truncate(fs, fd, size) || fs_write_all(fs, fd, data, n, 0))
        abort();
    fs->close(fs, fd);
}

/* Takes n bytes of the input, or what is left. */
static size_t take(const uint8_t **data, size_t *size, size_t n, const uint8_t **out)
{
    *out = *data;
    if (n > *size)
        n = *size;
    *data += n;
    *size -= n;
    return n;
}

static void make_directory(const struct fs *fs, const uint8_t *data, size_t size)
{
    const uint8_t *part;
    size_t n;
    uint8_t what = 0;
    if (take(&data, &size, 1, &part))
        what = part[0];
    fs_mkdirs(fs, "/s/commitlog");
    if (what & 1)
        put_file(fs, "/s/abort", NULL, 0, 0);
    if (what & 2) {
        n = take(&data, &size, CHECKPOINT, &part);
        put_file(fs, "/s/checkpoint", part, n, 4096);
    }
    if (what & 4) {
        n = take(&data, &size, QUEUE_HEAD, &part);
        fs_mkdirs(fs, "/s/consumequeue/T/0");
        put_file(fs, "/s/consumequeue/T/0/00000000000000000000", part, n, QUEUE_FILE);
    }
    if (what & 8) {
        n = take(&data, &size, BATCH_HEAD, &part);
        fs_mkdirs(fs, "/s/batchconsumequeue/B/0");
        put_file(fs, "/s/batchconsumequeue/B/0/00000000000000000000", part, n, BATCH_FILE);
    }
    n = take(&data, &size, SEGMENT, &part);
    put_file(fs, "/s/commitlog/00000000000000000000", part, n, SEGMENT);
}

struct sum {
    struct store *s;
    int64_t messages;
};

static void read_queue(void *arg, struct cq *q)
{
    struct sum *sum = arg;
    struct get_result r;
    sum->messages += cq_max(q);
    /* A damaged record can pretend a queue of any length, most of it without files: a few thousand steps tell enough.
     */
    int steps = 0;
    for (int64_t at = cq_min(q), max = cq_max(q); at < max && steps < STEPS; steps++) {
        store_get(sum->s, q, at, 32, 1 << 20, NULL, NULL, true, &r);
        for (uint32_t i = 0; i < r.n_ranges; i++) {
            struct msg_view v;
            (void)msg_decode(r.ranges[i].map, r.ranges[i].len, &v);
        }
        if (r.next_offset <= at)
            abort();
        at = r.next_offset;
        store_release(sum->s, &r);
    }
    (void)store_offset_by_time(sum->s, q, 1700000000000, false);
}

static bool is_batch_topic(void *arg, struct str topic)
{
    return str_eqz(topic, "B");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct store_events events = {.batch_topic = is_batch_topic};
    struct fs_sim *sim = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(sim);
    struct store_conf conf = {0};
    struct err err = {0};
    log_set_fd(-1);
    make_directory(fs, data, size);
    if (conf_defaults(store_conf_table(), &conf, &err))
        abort();
    conf.storePathRootDir = strdup("/s");
    conf.mappedFileSizeCommitLog = SEGMENT;
    conf.mappedFileSizeConsumeQueue = QUEUE_FILE;
    conf.mapperFileSizeBatchConsumeQueue = BATCH_FILE;
    conf.enableLmq = conf.enableMultiDispatch = true;
    conf.messageIndexEnable = false;
    struct sum sums[2] = {{0}};
    for (int round = 0; round < 2; round++) {
        err.text[0] = '\0';
        if (store_open(&sums[round].s, &conf, fs, &events, &err)) {
            if (round == 1 || err.text[0] == '\0')
                abort();
            break;
        }
        store_each_queue(sums[round].s, read_queue, &sums[round]);
        store_close(sums[round].s);
        if (round == 1 && sums[0].messages != sums[1].messages)
            abort();
    }
    store_conf_free(&conf);
    fs_sim_free(sim);
    return 0;
}
