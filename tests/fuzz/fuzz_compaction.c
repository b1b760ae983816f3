/*
 * The files of compaction topics: a small store is made, the input is written over a part of one of them (first byte:
 * which; second: where, in steps of 23 bytes), and the store is opened, read, added to, compacted and checked.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/compaction/compaction.h"
#include "store/store_check.h"
#include "store/store_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 25 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct store *s, int n)
{
    char props[64];
    int len = snprintf(props, sizeof props, "KEYS\x01k%d\x02TAGS\x01t\x02", n % 4);
    struct store_msg m = {.m = {.topic = STR_LIT("K"),
                                .body = STR_LIT("body"),
                                .properties = str_make(props, (size_t)len),
                                .born_time = 1000,
                                .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 1},
                                .store_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 10911}},
                          .queue = store_queue(s, STR_LIT("K"), 0, true)};
    m.tags_code = msg_tags_code(m.m.properties);
    (void)store_put(s, &m, NULL);
}

static struct store *open_store(const struct store_conf *conf, const struct fs *fs)
{
    struct store *s;
    struct err err;
    if (store_open(&s, conf, fs, NULL, &err))
        return NULL;
    must(store_compact_topic(s, STR_LIT("K"), 1));
    return s;
}

static void write_over(const struct fs *fs, const uint8_t *data, size_t n)
{
    static const char *const files[] = {
        "/s/compaction/compactionCq/K/0/00000000000000000000",
        "/s/compaction/compactionCq/K/0/00000000000000004140",
        "/s/compaction/compactionCq/K/0/00000000000000008280",
        "/s/compaction/compactionLog/K/0/00000000000000000000",
        "/s/compaction/compactionLog/K/0/00000000000000008280",
        "/s/compaction/compactionLog/K/0/crocket-compacting/manifest",
        "/s/compaction/position-checkpoint",
    };
    size_t which = data[0] % (sizeof files / sizeof files[0]);
    bool grows = which >= 5; /* files of text begin at 0 and may not be there */
    int64_t at = grows ? 0 : data[1] * 23;
    must(fs_mkdirs(fs, "/s/compaction/compactionLog/K/0/crocket-compacting") == 0);
    int fd = fs->open(fs, files[which], FS_WRITE | (grows ? FS_CREATE | FS_TRUNCATE : 0));
    struct fs_stat st;
    if (fd < 0)
        return;
    must(fs->fstat(fs, fd, &st) == 0);
    if (!grows && at + (int64_t)n - 2 > st.size)
        n = at < st.size ? (size_t)(st.size - at) + 2 : 2;
    must(fs_write_all(fs, fd, data + 2, n - 2, at) == 0);
    fs->close(fs, fd);
}

static void read_all(struct store *s)
{
    struct cq *q = store_queue(s, STR_LIT("K"), 0, true);
    for (int64_t at = 0; at < cq_max(q);) {
        struct get_result r;
        store_get(s, q, at, 8, 1 << 16, NULL, NULL, true, &r);
        for (uint32_t i = 0; i < r.n_ranges; i++)
            for (uint32_t pos = 0; pos < r.ranges[i].len;) {
                struct msg_view v;
                must(msg_decode(r.ranges[i].map + pos, r.ranges[i].len - pos, &v) == MSG_OK);
                pos += v.size;
            }
        bool on = r.next_offset > at;
        at = r.next_offset;
        store_release(s, &r);
        if (!on)
            break;
    }
}

static void finding(void *arg, const struct store_finding *f)
{
    must(strlen(f->text) > 0 && strlen(f->where) > 0);
}

static void check(const struct fs *fs)
{
    struct store_check_options o = {.dir = "/s", .finding = finding};
    struct store_report report;
    struct err err;
    (void)store_check(fs, &o, &report, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_sim *disk = fs_sim_new(1);
    struct store_conf conf = {0};
    struct err err;
    log_set_fd(-1);
    if (size < 2 || size > 4096 || disk == NULL || conf_defaults(store_conf_table(), &conf, &err)) {
        fs_sim_free(disk);
        return 0;
    }
    const struct fs *fs = fs_sim_fs(disk);
    conf.storePathRootDir = strdup("/s");
    conf.mappedFileSizeCommitLog = 16 * 1024;
    conf.mappedFileSizeConsumeQueue = 200 * 20;
    conf.messageIndexEnable = false;
    conf.compactionCqMappedFileSize = 460;
    conf.compactionMappedFileSize = 4096;
    must(fs_mkdirs(fs, "/s") == 0);
    struct store *s = open_store(&conf, fs);
    must(s != NULL && store_mark_running(s, &err) == 0);
    for (int i = 0; i < MESSAGES; i++)
        put(s, i);
    flusher_step(s);
    keeper_step(s, true);
    fs_sim_power_off(disk);
    store_close(s);
    fs_sim_die(disk);
    write_over(fs, data, size);
    check(fs);
    s = open_store(&conf, fs);
    if (s) {
        read_all(s);
        for (int i = 0; i < 20; i++)
            put(s, i);
        flusher_step(s);
        keeper_step(s, true);
        compaction_run(s->compaction, true);
        read_all(s);
        store_close(s);
    }
    store_conf_free(&conf);
    fs_sim_free(disk);
    return 0;
}
