/*
 * Every byte of every file of a small store is changed once. Whatever the change, nobody is served a wrong message: it
 * is found at the start (refused, or mended from what is there twice), mended or reported when it is read, or it stands
 * where nothing is kept.
 */
#include "unit/store/store_fixture.h"

#include "os/fs_sim.h"

enum {
    FILES = 32,
    QUEUES = 5,
    BATCHES = 3,
    LIGHT = 4,
    EACH = 12,
    SEGMENT = 4096,
    INDEX_ENTRIES = 60,
    FILE_BYTES = 8192
};

struct kept {
    char path[200];
    uint8_t bytes[FILE_BYTES];
    size_t n;
};

struct damage {
    struct fs_sim *disk;
    const struct fs *fs;
    struct store_conf conf;
    struct store *s;
    struct kept files[FILES];
    size_t n_files;
    char record[QUEUES][EACH][512]; /* as stored */
    uint32_t size[QUEUES][EACH];
    int64_t at[QUEUES][EACH], log_end, promised; /* promised: the checkpoint says that the log is whole up to here */
};

/* Of the batch queue every record is a batch of two; what is sent to One stands in the light message queue too. */
static const char *const topics[QUEUES] = {"One", "Two", "Three", "Batches", "%LMQ%light"};
static const int64_t per[QUEUES] = {1, 1, 1, 2, 1}; /* messages of a record */

static int32_t queue_id(int q)
{
    return q == LIGHT ? 0 : q;
}

static bool is_batch_topic(void *arg, struct str topic)
{
    return str_eqz(topic, topics[BATCHES]);
}

static bool open_store(struct damage *d, struct err *err)
{
    struct store_events events = {.batch_topic = is_batch_topic};
    return store_open(&d->s, &d->conf, d->fs, &events, err) == 0;
}

static int64_t put(struct damage *d, int q, int n)
{
    char body[64], props[128];
    struct put_result r;
    int body_len = snprintf(body, sizeof body, "message %d of %s", n, topics[q]);
    const char *more = q == BATCHES ? "\x02INNER_NUM\x01"
                                      "2"
                       : q == 0     ? "\x02INNER_MULTI_DISPATCH\x01%LMQ%light"
                                    : "";
    int len = snprintf(props, sizeof props, "UNIQ_KEY\x01%d-%d\x02TAGS\x01T%d%s", q, n, n % 2, more);
    struct store_msg m =
        fixture_msg(d->s, topics[q], q, str_make(body, (size_t)body_len), str_make(props, (size_t)len));
    if (q == BATCHES) {
        m.m.sys_flag = MSG_FLAG_INNER_BATCH;
        m.batch_messages = 2;
    }
    assert_int_equal(store_put(d->s, &m, &r), PUT_OK);
    return r.queue_offset;
}

static int keep(void *arg, const char *name, bool is_dir);

struct lister {
    struct damage *d;
    const char *dir;
};

static void keep_folder(struct damage *d, const char *dir)
{
    struct lister l = {d, dir};
    assert_int_equal(d->fs->list(d->fs, dir, keep, &l), 0);
}

static int keep(void *arg, const char *name, bool is_dir)
{
    struct lister *l = arg;
    struct damage *d = l->d;
    char path[200], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    if (is_dir) {
        keep_folder(d, path);
        return 0;
    }
    struct kept *k = &d->files[d->n_files++];
    assert_true(d->n_files <= FILES);
    assert_int_equal(fs_load(d->fs, path, FILE_BYTES, &text, &n), 0);
    snprintf(k->path, sizeof k->path, "%s", path);
    memcpy(k->bytes, text, n);
    k->n = n;
    free(text);
    return 0;
}

static void make(struct damage *d, bool crashed, int32_t shared_from)
{
    struct err err = {0};
    d->disk = fs_sim_new(7);
    d->fs = fs_sim_fs(d->disk);
    d->fs->mkdir(d->fs, "/store");
    fixture_conf(&d->conf, "/store");
    d->conf.mappedFileSizeCommitLog = SEGMENT;
    d->conf.mappedFileSizeConsumeQueue = 10 * 20;
    d->conf.mapperFileSizeBatchConsumeQueue = 10 * 46;
    d->conf.enableLmq = d->conf.enableMultiDispatch = true;
    d->conf.sharedQueuesFrom = shared_from;
    d->conf.maxHashSlotNum = 10;
    d->conf.maxIndexNum = INDEX_ENTRIES;
    d->conf.enabledAppendPropCRC = true;
    assert_true(open_store(d, &err));
    for (int n = 0; n < EACH; n++) {
        for (int q = 0; q < LIGHT; q++)
            assert_int_equal(put(d, q, n), n * per[q]);
        if (crashed && n == EACH / 2) {
            flusher_step(d->s);
            keeper_step(d->s, true);
            d->promised = clog_max(d->s->log);
        }
    }
    d->log_end = clog_max(d->s->log);
    if (!crashed)
        d->promised = d->log_end;
    for (int q = 0; q < QUEUES; q++) {
        struct cq *cq = store_queue(d->s, str_from(topics[q]), queue_id(q), false);
        for (int n = 0; n < EACH; n++) {
            struct store_entry e;
            assert_int_equal(store_entries(d->s, cq, n * per[q], &e, 1), 1);
            d->at[q][n] = e.physical_offset;
            d->size[q][n] = (uint32_t)e.size;
            assert_int_equal(clog_read(d->s->log, e.physical_offset, d->record[q][n], (size_t)e.size), e.size);
        }
    }
    struct err why;
    if (crashed) {
        assert_int_equal(store_mark_running(d->s, &why), 0);
        flusher_step(d->s);
        fs_sim_power_off(d->disk);
    }
    store_close(d->s);
    fs_sim_die(d->disk);
    keep_folder(d, "/store");
}

static void end(struct damage *d)
{
    fs_sim_free(d->disk);
    store_conf_free(&d->conf);
}

static void put_back(struct damage *d)
{
    char dir[200];
    fs_remove_tree(d->fs, "/store");
    for (size_t i = 0; i < d->n_files; i++) {
        const struct kept *k = &d->files[i];
        assert_true(fs_parent(k->path, dir, sizeof dir));
        assert_int_equal(fs_mkdirs(d->fs, dir), 0);
        int fd = d->fs->open(d->fs, k->path, FS_WRITE | FS_CREATE);
        assert_true(fd >= 0);
        assert_int_equal(fs_write_all(d->fs, fd, k->bytes, k->n, 0), 0);
        if (i + 1 == d->n_files)
            assert_int_equal(d->fs->sync_all(d->fs, fd), 0); /* lets the disk forget what was removed */
        d->fs->close(d->fs, fd);
    }
    fs_sim_die(d->disk);
}

static void flip(struct damage *d, const struct kept *k, size_t i, uint8_t bits)
{
    uint8_t byte = k->bytes[i] ^ bits;
    int fd = d->fs->open(d->fs, k->path, FS_WRITE);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(d->fs, fd, &byte, 1, (int64_t)i), 0);
    d->fs->close(d->fs, fd);
}

#define WRONG(k, i, ...)                                                                                               \
    do {                                                                                                               \
        print_error("%s byte %zu: ", (k)->path, (i));                                                                  \
        print_error(__VA_ARGS__);                                                                                      \
        fail();                                                                                                        \
    } while (0)

/* How many of the messages of queue q are served; each exactly as it was stored. */
static int served(struct damage *d, int q, const struct kept *k, size_t i)
{
    struct cq *cq = store_queue(d->s, str_from(topics[q]), queue_id(q), false);
    int count = 0;
    struct get_result r;
    for (int64_t at = cq ? cq_min(cq) : 0; cq && at < cq_max(cq); at = r.next_offset) {
        store_get(d->s, cq, at, 5, 1 << 16, NULL, NULL, false, &r);
        if (r.status == GET_COLD) {
            store_warm(d->s, cq, at, 5, 1 << 16, NULL, NULL);
            store_get(d->s, cq, at, 5, 1 << 16, NULL, NULL, false, &r);
        }
        for (uint32_t n = 0; n < r.n_ranges; n++) {
            for (uint32_t pos = 0; pos < r.ranges[n].len;) {
                const uint8_t *record = r.ranges[n].map + pos;
                int64_t offset = (int64_t)get_be64(record + MSG_POS_QUEUE_OFFSET) / per[q];
                if (offset * per[q] < at || offset >= EACH || r.ranges[n].len - pos < d->size[q][offset] ||
                    memcmp(record, d->record[q][offset], d->size[q][offset]) != 0)
                    WRONG(k, i, "a wrong message was served in queue %d at %" PRId64 "\n", q, at);
                pos += d->size[q][offset];
                count++;
            }
        }
        store_release(d->s, &r);
        if (r.next_offset <= at)
            WRONG(k, i, "queue %d does not go on at %" PRId64 ", status %d\n", q, at, r.status);
    }
    return count;
}

static bool is_log(const struct kept *k)
{
    return strstr(k->path, "/commitlog/") != NULL;
}

static int64_t log_offset(const struct kept *k, size_t i)
{
    return strtoll(strrchr(k->path, '/') + 1, NULL, 10) + (int64_t)i;
}

/* Byte i of the log file belongs to a message. */
static bool holds_message(const struct damage *d, const struct kept *k, size_t i)
{
    int64_t at = log_offset(k, i);
    for (int q = 0; q < QUEUES; q++)
        for (int n = 0; n < EACH; n++)
            if (at >= d->at[q][n] && at < d->at[q][n] + d->size[q][n])
                return true;
    return false;
}

/* After a crash the log ends at what is damaged behind the checkpoint's mark: messages that stand before the byte. */
static int whole_before(const struct damage *d, int q, const struct kept *k, size_t i)
{
    int count = 0;
    while (count < EACH &&
           (!is_log(k) || log_offset(k, i) < d->promised || d->at[q][count] + d->size[q][count] <= log_offset(k, i)))
        count++;
    return count;
}

static void look(struct damage *d, const struct kept *k, size_t i)
{
    struct err err = {0};
    if (!open_store(d, &err)) {
        if (!is_log(k) || strstr(err.text, "/store/commitlog") == NULL)
            WRONG(k, i, "refused: %s\n", err.text);
        fs_sim_die(d->disk);
        return;
    }
    int count = 0, whole = 0, first = 0, expected[QUEUES];
    for (int q = 0; q < QUEUES; q++) {
        int n = served(d, q, k, i);
        expected[q] = whole_before(d, q, k, i);
        if (is_log(k) && !holds_message(d, k, i) && n == EACH)
            expected[q] = EACH; /* the byte matters to nobody */
        if (q == LIGHT && n != first)
            WRONG(k, i, "%d messages in the light message queue, %d in the one they were sent to\n", n, first);
        first = q == 0 ? n : first;
        count += q == LIGHT ? 0 : n;
        whole += q == LIGHT ? 0 : expected[q];
    }
    int64_t missing = whole - count;
    if (missing > 1 || (missing && d->s->damaged == 0))
        WRONG(k, i, "%" PRId64 " messages missing, %" PRId64 " reported\n", missing, d->s->damaged);
    if (missing && !is_log(k))
        WRONG(k, i, "a message is missing although the log is whole\n");
    if (missing == 0 && is_log(k) && holds_message(d, k, i) && log_offset(k, i) < d->promised)
        WRONG(k, i, "not found\n");
    /* The queues go on where they were. */
    for (int q = 0; q < QUEUES; q++) {
        int64_t offset = q == LIGHT ? cq_max(store_queue(d->s, str_from(topics[q]), 0, false)) - 1 : put(d, q, EACH);
        if (offset != expected[q] * per[q])
            WRONG(k, i, "queue %d goes on at %" PRId64 "\n", q, offset);
    }
    /* What was lost of the index is built again; a key leads to its message or to nothing. */
    struct buf out = {0};
    struct msg_view v;
    int64_t offsets[8], time, end_offset;
    while (dispatcher_step(d->s))
        ;
    size_t n = store_query(d->s, str_from("Two"), STR_LIT("1-3"), 0, INT64_MAX, offsets, 8, &time, &end_offset);
    for (size_t j = 0; j < n; j++)
        if (store_read(d->s, offsets[j], &out, &v) && offsets[j] == d->at[1][3])
            assert_memory_equal(out.data, d->record[1][3], d->size[1][3]);
    buf_free(&out);
    store_close(d->s);
    fs_sim_die(d->disk);
}

/* Unused space between the end of the log and the end of its file is long and all alike. */
static size_t stride(const struct damage *d, const struct kept *k, size_t i)
{
    return (is_log(k) && !holds_message(d, k, i)) || (strstr(k->path, "checkpoint") && i > 130) ? 61 : TEST_SHARE;
}

/* The other files are the same with shared queues. */
static bool is_of_shared_queues(const struct kept *k)
{
    return strstr(k->path, "/sharedqueues/") || strstr(k->path, "/checkpoint") || strstr(k->path, "/abort");
}

static void flip_all(bool crashed, uint8_t bits, int32_t shared_from)
{
    struct damage *d = calloc(1, sizeof *d);
    if (getenv("DAMAGE_LOG") == NULL)
        log_set_fd(-1); /* the reports are meant */
    make(d, crashed, shared_from);
    assert_true(d->log_end > SEGMENT);
    for (size_t f = 0; f < d->n_files; f++) {
        const struct kept *k = &d->files[f];
        if (shared_from == 0 && !is_of_shared_queues(k))
            continue;
        for (size_t i = 0; i < k->n; i += stride(d, k, i)) {
            put_back(d);
            flip(d, k, i, bits);
            look(d, k, i);
        }
    }
    end(d);
    free(d);
}

static void test_after_clean_stop(void **state)
{
    flip_all(false, 0x01, -1);
    flip_all(false, 0x80, -1);
}

static void test_after_crash(void **state)
{
    flip_all(true, 0x10, -1);
}

static void test_shared_queues(void **state)
{
    flip_all(false, 0x04, 0);
    flip_all(true, 0x20, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_after_clean_stop), cmocka_unit_test(test_after_crash),
                                       cmocka_unit_test(test_shared_queues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
