/* Several folders for one commit log: which one gets the next file, and what happens when one breaks or runs full. */
#include "store/log_dirs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "os/fs_sim.h"
#include "store/commitlog.h"

enum { SIZE = 4096, RECORD = 1000, KEEP_OPEN = 2 };

static void the_next_file_goes_where_java_puts_it(void **state)
{
    struct log_dirs d;
    struct err err;
    assert_int_equal(log_dirs_make(&d, "/c, /a,/b,/a,", "/b,/old", &err), 0);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.writable, 2);
    assert_string_equal(d.text, "/a,/b,/c,/old");
    assert_string_equal(log_dirs_choose(&d, 0)->path, "/a");
    assert_string_equal(log_dirs_choose(&d, 1)->path, "/c");
    assert_string_equal(log_dirs_choose(&d, 2)->path, "/a");
    log_dir_set_full(&d.items[0], true);
    assert_string_equal(log_dirs_choose(&d, 2)->path, "/c");
    log_dir_set_failed(&d.items[2], true);
    assert_string_equal(log_dirs_choose(&d, 2)->path, "/a"); /* as if none was */
    assert_string_equal(log_dirs_choose(&d, 3)->path, "/c");
    log_dirs_free(&d);
    assert_int_equal(log_dirs_make(&d, "/a", "/a", &err), -1);
    assert_non_null(strstr(err.text, "no folder is left"));
}

static struct commitlog *open_log(struct fs_sim *sim, const char *dirs, const char *read_only)
{
    struct commitlog *log;
    struct err err = {0};
    int r = clog_open(&log, fs_sim_fs(sim), dirs, read_only, SIZE, KEEP_OPEN, &err);
    if (r)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    return log;
}

/* A record as far as the log looks at it; the answer of clog_append. */
static int put(struct commitlog *log, uint8_t fill)
{
    uint8_t data[RECORD];
    memset(data, fill, sizeof data);
    bool roll = clog_room(log) < RECORD;
    if (roll && clog_ensure_next(log))
        return -ENOSPC;
    int r = roll ? clog_append(log, NULL, 0, true) : 0;
    return r ? r : clog_append(log, data, sizeof data, false);
}

static void put_files(struct commitlog *log, size_t files)
{
    while (clog_segments(log) < files)
        assert_int_equal(put(log, 'x'), 0);
}

static void expect_file(struct fs_sim *sim, const char *path, bool there)
{
    if (fs_exists(fs_sim_fs(sim), path) != there)
        print_error("%s\n", path);
    assert_int_equal(fs_exists(fs_sim_fs(sim), path), there);
}

static void files_take_turns_and_are_found_again(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    struct err err;
    struct commitlog *log = open_log(sim, "/b,/a", NULL);
    assert_int_equal(clog_set_end(log, 0, 0, false, &err), 0);
    put_files(log, 4);
    expect_file(sim, "/a/00000000000000000000", true);
    expect_file(sim, "/b/00000000000000004096", true);
    expect_file(sim, "/a/00000000000000008192", true);
    expect_file(sim, "/b/00000000000000012288", true);
    char path[64];
    clog_file_path(log, 5000, path, sizeof path);
    assert_string_equal(path, "/b/00000000000000004096");
    clog_close(log);
    /* One folder does not get new files any more; what is in it can be read. */
    log = open_log(sim, "/a,/b", "/b");
    assert_int_equal(clog_max(log), 4 * SIZE);
    assert_int_equal(clog_set_end(log, 2 * SIZE + RECORD, 2 * SIZE + RECORD, false, &err), 0);
    expect_file(sim, "/b/00000000000000012288", false);
    put_files(log, 5);
    expect_file(sim, "/a/00000000000000012288", true);
    expect_file(sim, "/a/00000000000000016384", true);
    uint8_t byte;
    assert_int_equal(clog_read(log, SIZE, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(clog_remove_first(log), 1);
    assert_int_equal(clog_remove_first(log), 1);
    expect_file(sim, "/a/00000000000000000000", false);
    expect_file(sim, "/b/00000000000000004096", false);
    clog_close(log);
    fs_sim_free(sim);
}

static void a_full_or_broken_folder_is_passed_over(void **state)
{
    static const int errors[] = {ENOSPC, EIO};
    for (size_t i = 0; i < 2; i++) {
        struct fs_sim *sim = fs_sim_new(1);
        struct err err;
        log_set_fd(-1);
        struct commitlog *log = open_log(sim, "/a,/b", NULL);
        assert_int_equal(clog_set_end(log, 0, 0, false, &err), 0);
        fs_sim_bad_folder(sim, "/b", errors[i]);
        put_files(log, 4);
        expect_file(sim, "/a/00000000000000004096", true);
        expect_file(sim, "/a/00000000000000012288", true);
        assert_null(clog_problem(log));
        /* It is well again, and the cleaner lets it be tried. */
        fs_sim_bad_folder(sim, NULL, 0);
        log_dir_set_failed(&clog_dirs(log)->items[1], false);
        put_files(log, 6);
        expect_file(sim, "/b/00000000000000020480", true);
        clog_close(log);
        fs_sim_free(sim);
    }
}

static void when_all_are_full_the_log_says_so_and_heals(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    struct err err;
    log_set_fd(-1);
    struct commitlog *log = open_log(sim, "/a,/b", NULL);
    assert_int_equal(clog_set_end(log, 0, 0, false, &err), 0);
    fs_sim_space(sim, fs_sim_used(sim));
    while (put(log, 'x') == 0)
        ;
    assert_string_equal(clog_problem(log), "the disk is full");
    fs_sim_space(sim, INT64_MAX / 2);
    assert_int_equal(clog_prepare(log), 0);
    assert_null(clog_problem(log));
    assert_int_equal(put(log, 'x'), 0);
    clog_close(log);
    fs_sim_free(sim);
}

/* A file that could not be made in one folder may be left there when the machine dies before its removal is durable. */
static void of_two_files_with_one_name_the_unused_one_goes(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(sim);
    struct err err;
    log_set_fd(-1);
    struct commitlog *log = open_log(sim, "/a,/b", NULL);
    assert_int_equal(clog_set_end(log, 0, 0, false, &err), 0);
    put_files(log, 2);
    clog_close(log);
    int fd = fs->open(fs, "/b/00000000000000000000", FS_WRITE | FS_CREATE);
    assert_int_equal(fs->truncate(fs, fd, SIZE), 0);
    fs->close(fs, fd);
    log = open_log(sim, "/a,/b", NULL);
    expect_file(sim, "/a/00000000000000000000", true);
    expect_file(sim, "/b/00000000000000000000", false);
    clog_close(log);
    fd = fs->open(fs, "/b/00000000000000000000", FS_WRITE | FS_CREATE);
    assert_int_equal(fs->truncate(fs, fd, SIZE), 0);
    assert_int_equal(fs_write_all(fs, fd, "data", 4, 0), 0);
    fs->close(fs, fd);
    assert_int_equal(clog_open(&log, fs, "/a,/b", NULL, SIZE, KEEP_OPEN, &err), -1);
    assert_non_null(strstr(err.text, "a second time"));
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_file_goes_where_java_puts_it),
        cmocka_unit_test(files_take_turns_and_are_found_again),
        cmocka_unit_test(a_full_or_broken_folder_is_passed_over),
        cmocka_unit_test(when_all_are_full_the_log_says_so_and_heals),
        cmocka_unit_test(of_two_files_with_one_name_the_unused_one_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
