/*
 * What users of the reference lost or suffered, by the number of the issue at apache/rocketmq, on a simulated disk:
 * none of it may happen here.
 */
#include "unit/store/store_fixture.h"

#include <errno.h>

#include "os/fs_sim.h"

enum { SEGMENT = 16 * 1024, SEEDS = 40 };

struct broker {
    struct fs_sim *disk;
    struct store_conf conf;
    struct store *s;
    struct store_batch *batch;
    int32_t sent;
    enum put_status status;
};

static void open_broker(struct broker *b)
{
    struct err err = {0};
    int r = store_open(&b->s, &b->conf, fs_sim_fs(b->disk), NULL, &err);
    if (r == 0)
        r = store_mark_running(b->s, &err);
    if (r)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    b->batch = store_batch_new(b->s);
}

static void make_broker(struct broker *b, uint64_t seed, enum store_flush_type flush)
{
    log_set_fd(-1);
    *b = (struct broker){.disk = fs_sim_new(seed)};
    const struct fs *fs = fs_sim_fs(b->disk);
    fs->mkdir(fs, "/store");
    fs->sync_dir(fs, "/");
    fixture_conf(&b->conf, "/store");
    b->conf.mappedFileSizeCommitLog = SEGMENT;
    b->conf.mappedFileSizeConsumeQueue = 50 * 20;
    b->conf.maxHashSlotNum = 50;
    b->conf.maxIndexNum = 200;
    b->conf.flushDiskType = flush;
    open_broker(b);
}

/* The process is gone; power: and what was not synced is kept or lost at random. */
static void end_broker(struct broker *b, bool power)
{
    store_batch_free(b->batch);
    fs_sim_power_off(b->disk);
    store_close(b->s);
    if (power)
        fs_sim_crash(b->disk);
    else
        fs_sim_die(b->disk);
}

static void free_broker(struct broker *b)
{
    end_broker(b, false);
    store_conf_free(&b->conf);
    fs_sim_free(b->disk);
}

static void note_status(void *arg, void *user, const struct put_result *r)
{
    ((struct broker *)arg)->status = r->status;
}

/* Message n of queue 0 of topic T has the n-th body. */
static enum put_status put(struct broker *b)
{
    char body[512];
    struct store_msg m =
        fixture_msg(b->s, "T", 0, fixture_body(body, "T", b->sent), STR_LIT("UNIQ_KEY\x01u\x02KEYS\x01k\x02"));
    store_batch_add(b->batch, &m, NULL);
    store_batch_commit(b->batch, note_status, b);
    b->sent += b->status == PUT_OK;
    return b->status;
}

static void put_many(struct broker *b, int32_t n)
{
    while (n-- > 0)
        assert_int_equal(put(b), PUT_OK);
}

static int64_t visible(struct broker *b)
{
    struct cq *q = store_queue(b->s, STR_LIT("T"), 0, false);
    return q ? cq_max(q) : 0;
}

/* The first n messages are there, each at its offset, and no other. */
static void expect_messages(struct broker *b, int64_t n)
{
    struct fixture f = {.s = b->s};
    assert_int_equal(visible(b), n);
    fixture_expect(&f, "T", 0, 0, n);
}

/* A consumer read what was not flushed, moved on, and after the crash never saw what then got the same offset. */
static void issue_8239_nobody_reads_what_a_crash_can_take_back(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct broker b;
        make_broker(&b, seed, FLUSH_SYNC);
        int64_t consumed = 0;
        for (int i = 0; i < 20; i++) {
            int64_t before = visible(&b);
            put_many(&b, 3);
            assert_int_equal(visible(&b), before); /* written, not flushed: not there yet */
            if (fs_sim_random(b.disk, 2))
                flusher_step(b.s);
            consumed = visible(&b);
        }
        end_broker(&b, true);
        open_broker(&b);
        assert_true(visible(&b) >= consumed);
        /* What comes next has offsets that no consumer has been past. */
        b.sent = (int32_t)visible(&b);
        put_many(&b, 1);
        flusher_step(b.s);
        assert_int_equal(visible(&b), b.sent);
        expect_messages(&b, b.sent);
        free_broker(&b);
    }
}

/* Messages in the log that had no queue entries at an abnormal end never got any. */
static void issue_467_what_was_not_dispatched_is_dispatched_by_the_next_start(void **state)
{
    struct broker b;
    make_broker(&b, 1, FLUSH_ASYNC);
    put_many(&b, 100);
    keeper_step(b.s, true); /* these have entries on the disk */
    put_many(&b, 100);      /* these have none */
    end_broker(&b, false);
    open_broker(&b);
    expect_messages(&b, 200);
    put_many(&b, 1); /* the next offset fits */
    expect_messages(&b, 201);
    free_broker(&b);
}

/* The checkpoint said that queue entries were flushed when only the index was. */
static void issue_678_the_index_does_not_vouch_for_queues(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct broker b;
        make_broker(&b, seed, FLUSH_ASYNC);
        put_many(&b, 60);
        keeper_step(b.s, true);
        put_many(&b, 60);
        flusher_step(b.s);
        keeper_step(b.s, false);
        while (dispatcher_step(b.s) > 0)
            ;
        dispatcher_flush(b.s); /* with the checkpoint */
        int32_t durable = b.sent;
        end_broker(&b, true);
        open_broker(&b);
        assert_true(visible(&b) >= durable);
        expect_messages(&b, visible(&b));
        free_broker(&b);
    }
}

/* The end of the last but one log file was not dispatched when the last file had begun. The checkpoint is Java's,
 * without marks, and its times are late enough for recovery to begin with the last file. */
static void issue_1434_the_end_of_the_file_before_the_last_is_dispatched(void **state)
{
    struct broker b;
    make_broker(&b, 1, FLUSH_ASYNC);
    put_many(&b, 20);
    keeper_step(b.s, true);
    while (clog_segments(b.s->log) < 3)
        put_many(&b, 1);
    flusher_step(b.s);
    struct checkpoint java = {.log_time = b.s->last_store_time + 60000, .queues_time = b.s->last_store_time + 60000};
    struct err err;
    assert_int_equal(checkpoint_write(&java, fs_sim_fs(b.disk), "/store/checkpoint", &err), 0);
    end_broker(&b, false);
    open_broker(&b);
    expect_messages(&b, b.sent);
    free_broker(&b);
}

static void clean_now(struct broker *b)
{
    b->s->last_clean_ms = 1;
    clean_step(b->s);
}

/* A full disk was emptied by hand, and the broker went on refusing messages until it was started again. */
static void issue_2138_4707_2398_a_full_disk_and_back(void **state)
{
    struct broker b;
    make_broker(&b, 1, FLUSH_ASYNC);
    b.conf.cleanFileForciblyEnable = false;
    put_many(&b, 50);
    keeper_step(b.s, true);
    int64_t full = fs_sim_used(b.disk) + 4096;
    fs_sim_space(b.disk, full);
    while (put(&b) == PUT_OK) {
        preparer_step(b.s);
        assert_true(b.sent < 10000);
    }
    assert_int_equal(b.status, PUT_SERVICE_NOT_AVAILABLE);
    assert_string_equal(store_not_writable(b.s), "the disk is full");
    expect_messages(&b, b.sent); /* consumers do not notice */
    keeper_step(b.s, true);      /* queue files cannot be written either */
    clean_now(&b);
    assert_int_equal(put(&b), PUT_SERVICE_NOT_AVAILABLE);
    expect_messages(&b, b.sent);
    /* Room: the background threads' next rounds are enough. */
    fs_sim_space(b.disk, 100 * full);
    preparer_step(b.s);
    keeper_step(b.s, true);
    clean_now(&b);
    assert_null(store_not_writable(b.s));
    put_many(&b, 50);
    expect_messages(&b, b.sent);
    end_broker(&b, false);
    open_broker(&b);
    expect_messages(&b, b.sent);
    free_broker(&b);
}

/* The same by the watermarks, before anything fails: refused above diskSpaceWarningLevelRatio, taken again below
 * diskSpaceCleanForciblyRatio. */
static void issue_2138_4707_2398_by_the_watermarks(void **state)
{
    struct broker b;
    make_broker(&b, 1, FLUSH_ASYNC);
    put_many(&b, 10);
    preparer_step(b.s);
    int64_t used = fs_sim_used(b.disk);
    fs_sim_space(b.disk, used * 100 / 95);
    clean_now(&b);
    assert_int_equal(put(&b), PUT_SERVICE_NOT_AVAILABLE);
    assert_string_equal(store_not_writable(b.s), "the disk is full");
    expect_messages(&b, 10);
    fs_sim_space(b.disk, used * 100 / 88); /* between the two: it stays so */
    clean_now(&b);
    assert_int_equal(put(&b), PUT_SERVICE_NOT_AVAILABLE);
    fs_sim_space(b.disk, used * 2);
    clean_now(&b);
    put_many(&b, 1);
    free_broker(&b);
}

/* Not an issue there. Commit log files were deleted before the queue entries of their records were synced, the power
 * failed, and the next start took the first record behind the gap for a left-over and cut the log, acknowledged
 * messages and all. */
static void what_retention_leaves_is_kept_although_queues_were_not_synced(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct broker b;
        make_broker(&b, seed, FLUSH_SYNC);
        put_many(&b, 10);
        flusher_step(b.s);
        keeper_step(b.s, true);
        while (clog_segments(b.s->log) < 5)
            put_many(&b, 1);
        flusher_step(b.s);
        keeper_step(b.s, false); /* written, not synced */
        assert_int_equal(clog_remove_first(b.s->log), 1);
        assert_int_equal(clog_remove_first(b.s->log), 1);
        queues_truncate_front(b.s, clog_min(b.s->log));
        struct cq *q = store_queue(b.s, STR_LIT("T"), 0, false);
        int64_t first = cq_min(q);
        assert_true(first > 10);
        end_broker(&b, true);
        open_broker(&b);
        q = store_queue(b.s, STR_LIT("T"), 0, false);
        struct fixture f = {.s = b.s};
        if (clog_min(b.s->log) > 0) { /* else the deletion was taken back by the crash */
            assert_true(cq_min(q) <= first);
            first = cq_min(q);
        } else {
            first = 0;
        }
        assert_int_equal(cq_max(q), b.sent);
        fixture_expect(&f, "T", 0, first, b.sent);
        put_many(&b, 1);
        flusher_step(b.s);
        fixture_expect(&f, "T", 0, first, b.sent);
        free_broker(&b);
    }
}

/* Nor this: the files with all messages of a queue were deleted, its entries were lost, and its offsets began anew. */
static void retention_does_not_forget_where_a_queue_stands(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct broker b;
        make_broker(&b, seed, FLUSH_SYNC);
        struct fixture f = {.s = b.s};
        struct put_result result;
        for (int64_t n = 0; n < 5; n++)
            assert_int_equal(fixture_put(&f, "U", 0, n, &result), PUT_OK);
        while (clog_segments(b.s->log) < 5)
            put_many(&b, 1);
        flusher_step(b.s);
        b.s->conf.fileReservedTime = b.s->conf.deleteCommitLogFilesInterval = 0;
        store_clean_now(b.s);
        clean_now(&b);
        assert_true(clog_min(b.s->log) > 0);
        end_broker(&b, true);
        open_broker(&b);
        f.s = b.s;
        assert_int_equal(cq_max(store_queue(b.s, STR_LIT("U"), 0, false)), 5);
        assert_int_equal(fixture_put(&f, "U", 0, 5, &result), PUT_OK);
        flusher_step(b.s);
        fixture_expect(&f, "U", 0, 5, 6);
        free_broker(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issue_8239_nobody_reads_what_a_crash_can_take_back),
        cmocka_unit_test(issue_467_what_was_not_dispatched_is_dispatched_by_the_next_start),
        cmocka_unit_test(issue_678_the_index_does_not_vouch_for_queues),
        cmocka_unit_test(issue_1434_the_end_of_the_file_before_the_last_is_dispatched),
        cmocka_unit_test(issue_2138_4707_2398_a_full_disk_and_back),
        cmocka_unit_test(issue_2138_4707_2398_by_the_watermarks),
        cmocka_unit_test(what_retention_leaves_is_kept_although_queues_were_not_synced),
        cmocka_unit_test(retention_does_not_forget_where_a_queue_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
