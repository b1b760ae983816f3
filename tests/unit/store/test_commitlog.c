/* The commit log by itself: segment ends, failed appends, cutting, removing; cursor and checkpoint. */
#include "unit/store/store_fixture.h"

#include <errno.h>

#include "os/fs_sim.h"
#include "store/commitlog_int.h"
#include "store/log_cursor.h"

enum { SIZE = 4096, KEEP_OPEN = 2 };

static struct commitlog *open_log(const struct fs *fs, int64_t end)
{
    struct commitlog *log;
    struct err err = {0};
    int r = clog_open(&log, fs, "/log", NULL, SIZE, KEEP_OPEN, &err);
    if (r == 0)
        r = clog_set_end(log, end, end, false, &err);
    if (r)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    return log;
}

/* A record that makes `size` bytes, for offset `at`. */
static void make_record(uint8_t *out, size_t size, int64_t at)
{
    char body[SIZE];
    memset(body, 'b', sizeof body);
    struct msg m = {
        .topic = STR_LIT("T"), .born_host = {.addr_len = 4}, .store_host = {.addr_len = 4}, .physical_offset = at};
    m.body = str_make(body, size - MSG_FIXED_V4 - 1);
    assert_int_equal(msg_record_size(&m), size);
    msg_encode(out, &m);
}

static void put_record(struct commitlog *log, size_t size)
{
    uint8_t record[SIZE];
    if ((int64_t)size > clog_room(log)) {
        assert_int_equal(clog_ensure_next(log), 0);
        assert_int_equal(clog_append(log, NULL, 0, true), 0);
    }
    make_record(record, size, clog_max(log));
    assert_int_equal(clog_append(log, record, size, false), 0);
}

static void a_blank_record_closes_each_segment(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    uint8_t end[8];
    put_record(log, 3000);
    put_record(log, 1088); /* exactly fills the room: 8 bytes stay */
    assert_int_equal(clog_room(log), 0);
    put_record(log, 200);
    assert_int_equal(clog_max(log), SIZE + 200);
    assert_int_equal(clog_read(log, SIZE - 8, end, 8), 8);
    assert_int_equal(get_be32(end), 8);
    assert_int_equal(get_be32(end + 4), MSG_MAGIC_BLANK);
    put_record(log, 3889); /* one byte too much: 3896 are left, 8 of them reserved */
    assert_int_equal(clog_max(log), 2 * SIZE + 3889);
    assert_int_equal(clog_read(log, SIZE + 200, end, 8), 8);
    assert_int_equal(get_be32(end), 3896);
    struct log_cursor c;
    struct msg_view v;
    int64_t offset, expected[] = {0, 3000, SIZE, 2 * SIZE};
    int error;
    log_cursor_init(&c, log, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(log_cursor_next(&c, clog_max(log), &v, &offset, &error), LOG_RECORD);
        assert_int_equal(offset, expected[i]);
    }
    assert_int_equal(log_cursor_next(&c, clog_max(log), &v, &offset, &error), LOG_END);
    log_cursor_free(&c);
    clog_close(log);
    fs_sim_free(sim);
}

static void a_failed_append_leaves_nothing(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    uint8_t record[1000];
    put_record(log, 500);
    fs_sim_fail(sim, FS_SIM_WRITE, 1, ENOSPC);
    make_record(record, sizeof record, 500);
    assert_int_equal(clog_append(log, record, sizeof record, false), -ENOSPC);
    assert_int_equal(clog_max(log), 500);
    assert_non_null(clog_problem(log));
    assert_true(clog_append(log, record, 100, false) < 0); /* not before it is wiped */
    assert_int_equal(clog_prepare(log), 0);
    assert_null(clog_problem(log));
    struct log_segment *seg = clog_pin(log, 0, true, NULL);
    for (int i = 500; i < SIZE; i++)
        assert_int_equal(seg->map[i], 0);
    seg_release(seg);
    put_record(log, 300);
    assert_int_equal(clog_max(log), 800);
    clog_close(log);
    fs_sim_free(sim);
}

static void without_space_for_the_next_segment_the_log_says_so_and_heals(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    put_record(log, 3800);
    fs_sim_space(sim, fs_sim_used(sim) + 100);
    assert_int_equal(clog_ensure_next(log), -ENOSPC);
    assert_string_equal(clog_problem(log), "the disk is full");
    assert_false(fs_exists(fs, "/log/00000000000000004096"));
    fs_sim_space(sim, INT64_MAX / 2);
    assert_int_equal(clog_prepare(log), 0);
    assert_null(clog_problem(log));
    put_record(log, 500);
    clog_close(log);
    fs_sim_free(sim);
}

static void the_end_is_cut_and_wiped(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    for (int i = 0; i < 12; i++)
        put_record(log, 1000);
    clog_close(log);
    log = open_log(fs, SIZE + 1000);
    assert_int_equal(clog_segments(log), 2);
    assert_false(fs_exists(fs, "/log/00000000000000008192"));
    struct log_segment *seg = clog_pin(log, SIZE, true, NULL);
    assert_int_equal(get_be32(seg->map + 4), MSG_MAGIC_V1);
    for (int i = 1000; i < SIZE; i++)
        assert_int_equal(seg->map[i], 0);
    seg_release(seg);
    clog_close(log);
    fs_sim_free(sim);
}

static void a_removed_segment_stays_readable_while_pinned(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    for (int i = 0; i < 6; i++)
        put_record(log, 1500);
    struct log_segment *seg = clog_pin(log, 0, true, NULL);
    assert_int_equal(clog_remove_first(log), 1);
    assert_int_equal(clog_min(log), SIZE);
    assert_null(clog_pin(log, 0, true, NULL));
    clog_reclaim(log);
    assert_int_equal(get_be32(seg->map + 4), MSG_MAGIC_V1);
    seg_release(seg);
    clog_reclaim(log);
    while (clog_segments(log) > 1)
        assert_int_equal(clog_remove_first(log), 1);
    assert_int_equal(clog_remove_first(log), 0); /* never the last */
    clog_close(log);
    fs_sim_free(sim);
}

/* A log of ten files of which about two are open: each can be read, and what somebody holds stays open. */
static void files_that_nobody_reads_are_closed(void **state)
{
    enum { FILES = 10 };
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    bool closed;
    for (int i = 0; i < FILES; i++)
        put_record(log, 3000);
    assert_int_equal(log->open, FILES); /* not synced: an error of writing them would get lost */
    assert_int_equal(clog_sync(log, clog_max(log)), 0);
    for (int i = 0; i < FILES; i++)
        clog_reclaim(log);
    assert_int_equal(log->open, KEEP_OPEN);
    int64_t end = clog_max(log);
    clog_close(log);
    log = open_log(fs, end);
    assert_int_equal(clog_segments(log), FILES);
    assert_int_equal(log->open, KEEP_OPEN);
    assert_null(clog_pin(log, 0, false, &closed));
    assert_true(closed);
    struct log_segment *first = clog_pin(log, 0, true, &closed), *again;
    assert_non_null(first);
    assert_false(closed);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < FILES; i++) {
            uint8_t head[MSG_FIXED_V4];
            assert_int_equal(clog_read(log, i * SIZE, head, sizeof head), sizeof head);
            assert_int_equal(get_be64(head + MSG_POS_PHYSICAL_OFFSET), i * SIZE);
            assert_true(log->open <= KEEP_OPEN + 1);
        }
    assert_int_equal(get_be32(first->map + MSG_POS_MAGIC), MSG_MAGIC_V1);
    again = clog_pin(log, 0, false, &closed);
    assert_ptr_equal(again, first);
    seg_release(again);
    seg_release(first);
    assert_null(clog_pin(log, end + SIZE, true, &closed));
    assert_false(closed);
    /* Appending and removing go on as ever. */
    for (int i = 0; i < 3; i++)
        put_record(log, 3000);
    assert_int_equal(clog_sync(log, clog_max(log)), 0);
    while (clog_segments(log) > 1)
        assert_int_equal(clog_remove_first(log), 1);
    clog_reclaim(log);
    assert_int_equal(log->open, 1);
    clog_close(log);
    fs_sim_free(sim);
}

/* A file that has changed its size is noticed when it is opened, late as that may be. */
static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    bool closed;
    uint8_t head[8];
    for (int i = 0; i < 6; i++)
        put_record(log, 3000);
    int64_t end = clog_max(log);
    clog_close(log);
    log = open_log(fs, end);
    int fd = fs->open(fs, "/log/00000000000000004096", FS_WRITE);
    assert_int_equal(fs->truncate(fs, fd, 100), 0);
    fs->close(fs, fd);
    log_set_fd(-1);
    assert_int_equal(clog_read(log, SIZE, head, sizeof head), -EILSEQ);
    assert_null(clog_pin(log, SIZE, true, &closed));
    assert_true(closed);
    fs->unlink(fs, "/log/00000000000000004096");
    assert_int_equal(clog_read(log, SIZE, head, sizeof head), -EIO);
    log_set_fd(2);
    assert_int_equal(clog_read(log, 0, head, sizeof head), sizeof head);
    clog_close(log);
    fs_sim_free(sim);
}

static void strange_files_are_refused_by_name(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    struct err err;
    for (int i = 0; i < 9; i++)
        put_record(log, 1500);
    clog_close(log);
    assert_int_equal(fs_replace(fs, "/log/notes.txt", "x", 1), 0);
    assert_int_equal(clog_open(&log, fs, "/log", NULL, SIZE, KEEP_OPEN, &err), -1);
    assert_non_null(strstr(err.text, "/log/notes.txt"));
    fs->unlink(fs, "/log/notes.txt");
    fs->unlink(fs, "/log/00000000000000004096");
    assert_int_equal(clog_open(&log, fs, "/log", NULL, SIZE, KEEP_OPEN, &err), -1);
    assert_non_null(strstr(err.text, "00000000000000004096"));
    fs_sim_free(sim);
}

static void an_empty_last_file_is_removed(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct commitlog *log = open_log(fs, 0);
    clog_close(log);
    fs->close(fs, fs->open(fs, "/log/00000000000000004096", FS_WRITE | FS_CREATE));
    log = open_log(fs, 0);
    assert_int_equal(clog_segments(log), 1);
    clog_close(log);
    fs_sim_free(sim);
}

static void the_checkpoint_is_javas_page_with_our_marks(void **state)
{
    struct fs_sim *sim = fs_sim_new(3);
    const struct fs *fs = fs_sim_fs(sim);
    struct err err;
    struct checkpoint c = {.log_time = 1, .queues_time = 2, .index_time = 3, .confirm = 5, .have_marks = true}, back;
    c.log_mark = 100;
    c.queues_mark = 90;
    c.index_mark = 80;
    assert_int_equal(checkpoint_read(&back, fs, "/checkpoint", &err), 0);
    assert_false(back.have_marks);
    assert_int_equal(checkpoint_write(&c, fs, "/checkpoint", &err), 0);
    char *page;
    size_t n;
    assert_int_equal(fs_load(fs, "/checkpoint", 1 << 20, &page, &n), 0);
    assert_int_equal(n, 4096);
    assert_int_equal(get_be64(page), 1);
    assert_int_equal(get_be64(page + 8), 2);
    assert_int_equal(get_be64(page + 16), 3);
    assert_int_equal(get_be64(page + 32), 5);
    free(page);
    assert_int_equal(checkpoint_read(&back, fs, "/checkpoint", &err), 0);
    assert_true(back.have_marks);
    assert_int_equal(back.log_mark, 100);
    assert_int_equal(back.queues_mark, 90);
    assert_int_equal(back.index_mark, 80);
    /* Java writes its times and knows nothing of the marks. */
    uint8_t time[8];
    put_be64(time, 7);
    int fd = fs->open(fs, "/checkpoint", FS_WRITE);
    assert_int_equal(fs_write_all(fs, fd, time, 8, 8), 0);
    fs->close(fs, fd);
    assert_int_equal(checkpoint_read(&back, fs, "/checkpoint", &err), 0);
    assert_false(back.have_marks);
    assert_int_equal(back.queues_time, 7);
    assert_int_equal(checkpoint_min_time(&back), 0);
    back.log_time = 10000;
    back.queues_time = 9000;
    assert_int_equal(checkpoint_min_time(&back), 6000);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blank_record_closes_each_segment),
        cmocka_unit_test(a_failed_append_leaves_nothing),
        cmocka_unit_test(without_space_for_the_next_segment_the_log_says_so_and_heals),
        cmocka_unit_test(the_end_is_cut_and_wiped),
        cmocka_unit_test(a_removed_segment_stays_readable_while_pinned),
        cmocka_unit_test(files_that_nobody_reads_are_closed),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_an_error),
        cmocka_unit_test(strange_files_are_refused_by_name),
        cmocka_unit_test(an_empty_last_file_is_removed),
        cmocka_unit_test(the_checkpoint_is_javas_page_with_our_marks),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
