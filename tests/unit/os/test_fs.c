/* The file layer: the real one and the simulated one must agree on what both promise; then the simulator's own powers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/fs_sim.h"
#include "unit/os/counting_fs.h"

struct place {
    const struct fs *fs;
    struct fs_sim *sim;
    char dir[64];
};

static void make_place(struct place *p, bool simulated)
{
    memset(p, 0, sizeof *p);
    if (simulated) {
        p->sim = fs_sim_new(7);
        p->fs = fs_sim_fs(p->sim);
        strcpy(p->dir, "/t");
        assert_int_equal(p->fs->mkdir(p->fs, p->dir), 0);
    } else {
        p->fs = fs_real();
        strcpy(p->dir, "/tmp/crocket-fs-XXXXXX");
        assert_non_null(mkdtemp(p->dir));
    }
}

static void free_place(struct place *p)
{
    assert_int_equal(fs_remove_tree(p->fs, p->dir), 0);
    assert_false(fs_exists(p->fs, p->dir));
    fs_sim_free(p->sim);
}

static const char *in(const struct place *p, const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, 128, "%s/%s", p->dir, name);
    return out;
}

static void files_are_written_read_and_mapped(const struct place *p)
{
    const struct fs *fs = p->fs;
    char buf[16];
    void *map;
    struct fs_stat st;
    assert_int_equal(fs->open(fs, in(p, "a"), FS_READ), -ENOENT);
    int fd = fs->open(fs, in(p, "a"), FS_WRITE | FS_CREATE | FS_EXCLUSIVE);
    assert_true(fd >= 0);
    assert_int_equal(fs->open(fs, in(p, "a"), FS_WRITE | FS_CREATE | FS_EXCLUSIVE), -EEXIST);
    assert_int_equal(fs->truncate(fs, fd, 8192), 0);
    assert_int_equal(fs->allocate(fs, fd, 8192), 0);
    assert_int_equal(fs_all_zero(fs, fd, 0, 8192), 1);
    assert_int_equal(fs->map(fs, fd, 8192, false, &map), 0);
    assert_int_equal(fs_write_all(fs, fd, "hello", 5, 4090), 0);
    assert_memory_equal((char *)map + 4090, "hello", 5);
    struct iovec iov[2] = {{.iov_base = buf, .iov_len = 2}, {.iov_base = buf, .iov_len = 1}};
    memcpy(buf, "xy", 2);
    assert_int_equal(fs->pwritev(fs, fd, iov, 2, 4095), 3);
    assert_int_equal(fs_read_all(fs, fd, buf, 9, 4089), 0);
    assert_memory_equal(buf, "\0helloxyx", 9);
    assert_int_equal(fs->pread(fs, fd, buf, 16, 8190), 2);
    assert_int_equal(fs_read_all(fs, fd, buf, 3, 8190), -ENODATA);
    assert_int_equal(fs_all_zero(fs, fd, 0, 4090), 1);
    assert_int_equal(fs_all_zero(fs, fd, 0, 4091), 0);
    assert_int_equal(fs->zero(fs, fd, 4090, 8192 - 4090), 0);
    assert_int_equal(fs_all_zero(fs, fd, 0, 8192), 1);
    assert_int_equal(fs->fstat(fs, fd, &st), 0);
    assert_int_equal(st.size, 8192);
    assert_int_equal(fs->datasync(fs, fd), 0);
    fs->unmap(fs, map, 8192);
    fs->close(fs, fd);
}

static int count_entry(void *arg, const char *name, bool is_dir)
{
    *(int *)arg += is_dir ? 100 : 1;
    return 0;
}

static void names_are_made_listed_and_removed(const struct place *p)
{
    const struct fs *fs = p->fs;
    char *data, **names;
    size_t n;
    int count = 0;
    assert_int_equal(fs_mkdirs(fs, in(p, "d/e/f")), 0);
    assert_int_equal(fs_mkdirs(fs, in(p, "d/e/f")), 0);
    assert_int_equal(fs_replace(fs, in(p, "d/two"), "22", 2), 0);
    assert_int_equal(fs_replace(fs, in(p, "d/one"), "1", 1), 0);
    assert_int_equal(fs_replace(fs, in(p, "d/one"), "11", 2), 0);
    assert_int_equal(fs_load(fs, in(p, "d/one"), 100, &data, &n), 0);
    assert_string_equal(data, "11");
    free(data);
    assert_int_equal(fs_load(fs, in(p, "d/one"), 1, &data, &n), -EFBIG);
    assert_int_equal(fs_list_sorted(fs, in(p, "d"), false, &names, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "one");
    assert_string_equal(names[1], "two");
    fs_names_free(names, n);
    assert_int_equal(fs->list(fs, in(p, "d"), count_entry, &count), 0);
    assert_int_equal(count, 102);
    assert_int_equal(fs->rmdir(fs, in(p, "d")), -ENOTEMPTY);
    assert_int_equal(fs->list(fs, in(p, "none"), count_entry, &count), -ENOENT);
    assert_int_equal(fs_remove_tree(fs, in(p, "d")), 0);
    assert_int_equal(fs_remove_tree(fs, in(p, "d")), 0);
}

static void a_lock_is_held_by_one(const struct place *p)
{
    const struct fs *fs = p->fs;
    int a = fs->open(fs, in(p, "lock"), FS_WRITE | FS_CREATE), b = fs->open(fs, in(p, "lock"), FS_WRITE);
    assert_int_equal(fs->lock(fs, a), 0);
    assert_int_equal(fs->lock(fs, b), -EAGAIN);
    fs->close(fs, b);
    fs->close(fs, a);
    a = fs->open(fs, in(p, "lock"), FS_WRITE);
    assert_int_equal(fs->lock(fs, a), 0);
    fs->close(fs, a);
}

static void real_and_simulated_agree(void **state)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        struct place p;
        make_place(&p, simulated);
        files_are_written_read_and_mapped(&p);
        names_are_made_listed_and_removed(&p);
        if (!simulated)
            a_lock_is_held_by_one(&p);
        free_place(&p);
    }
}

/* After a crash the log was just read up to its end, and read ahead behind it: a GiB of prepared space took seconds. */
static void prepared_space_is_not_read_for_the_last_byte(void **state)
{
    enum { SIZE = 256 << 20, LAST = 1000001, PIECE = 65536 };
    struct place p;
    char piece[PIECE];
    make_place(&p, false);
    int fd = p.fs->open(p.fs, in(&p, "log"), FS_WRITE | FS_CREATE);
    assert_int_equal(p.fs->allocate(p.fs, fd, SIZE), 0);
    assert_int_equal(fs_write_all(p.fs, fd, "end", 3, LAST - 3), 0);
    for (int64_t at = 0; at < 4 * LAST; at += PIECE)
        assert_int_equal(fs_read_all(p.fs, fd, piece, PIECE, at), 0);
    counted_reads = 0;
    assert_int_equal(fs_nonzero_end(counting_fs(), fd, 100, SIZE), LAST);
    assert_in_range(counted_reads, 1, 200);
    p.fs->close(p.fs, fd);
    free_place(&p);
}

static void parents_of_paths(void **state)
{
    char out[16];
    assert_true(fs_parent("/a/b/c", out, sizeof out));
    assert_string_equal(out, "/a/b");
    assert_true(fs_parent("/a", out, sizeof out));
    assert_string_equal(out, "/");
    assert_true(fs_parent("a", out, sizeof out));
    assert_string_equal(out, ".");
    assert_false(fs_parent("/0123456789abcdef/x", out, sizeof out));
}

/* A file with a synced half and an un-synced half, crashed. */
static void a_crash_keeps_what_was_synced_and_only_that_for_sure(void **state)
{
    int kept = 0, lost = 0, torn = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fs_sim *sim = fs_sim_new(seed);
        const struct fs *fs = fs_sim_fs(sim);
        char data[8192], back[8192];
        memset(data, 'x', sizeof data);
        fs->mkdir(fs, "/d");
        fs->sync_dir(fs, "/");
        int fd = fs->open(fs, "/d/f", FS_WRITE | FS_CREATE);
        fs->truncate(fs, fd, 8192);
        fs_write_all(fs, fd, data, 4096, 0);
        fs->datasync(fs, fd);
        fs->sync_dir(fs, "/d");
        fs_write_all(fs, fd, data, 4096, 4096);
        fs_sim_crash(sim);
        fd = fs->open(fs, "/d/f", FS_READ);
        assert_true(fd >= 0);
        assert_int_equal(fs_read_all(fs, fd, back, 8192, 0), 0);
        assert_memory_equal(back, data, 4096);
        size_t there = 0;
        for (size_t i = 4096; i < 8192; i++)
            there += back[i] == 'x';
        kept += there == 4096;
        lost += there == 0;
        torn += there != 0 && there != 4096;
        fs_sim_free(sim);
    }
    assert_true(kept > 20 && lost > 20 && torn > 10);
}

static void an_unsynced_name_can_be_lost_a_synced_one_not(void **state)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct fs_sim *sim = fs_sim_new(seed);
        const struct fs *fs = fs_sim_fs(sim);
        fs->mkdir(fs, "/d");
        fs->sync_dir(fs, "/");
        fs->close(fs, fs->open(fs, "/d/a", FS_WRITE | FS_CREATE));
        fs->sync_dir(fs, "/d");
        fs->close(fs, fs->open(fs, "/d/b", FS_WRITE | FS_CREATE));
        fs_sim_crash(sim);
        assert_true(fs_exists(fs, "/d/a"));
        lost += !fs_exists(fs, "/d/b");
        fs_sim_free(sim);
    }
    assert_true(lost > 10 && lost < 40);
}

static void the_power_fails_at_the_chosen_call(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(sim);
    int fd = fs->open(fs, "/f", FS_WRITE | FS_CREATE);
    fs_sim_power_off_after(sim, 2);
    assert_int_equal(fs->pwrite(fs, fd, "a", 1, 0), 1);
    assert_int_equal(fs->pwrite(fs, fd, "b", 1, 1), -EIO);
    assert_true(fs_sim_is_off(sim));
    char c;
    assert_int_equal(fs->pread(fs, fd, &c, 1, 0), -EIO);
    fs_sim_die(sim);
    fd = fs->open(fs, "/f", FS_READ);
    assert_int_equal(fs->pread(fs, fd, &c, 1, 0), 1);
    assert_int_equal(c, 'a');
    fs_sim_free(sim);
}

static void the_disk_gets_full_and_calls_fail_as_told(void **state)
{
    struct fs_sim *sim = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(sim);
    char data[100] = {0};
    int64_t total, usable;
    int fd = fs->open(fs, "/f", FS_WRITE | FS_CREATE);
    fs_sim_space(sim, 150);
    assert_int_equal(fs->pwrite(fs, fd, data, 100, 0), 100);
    assert_int_equal(fs->pwrite(fs, fd, data, 100, 100), 50);
    assert_int_equal(fs->pwrite(fs, fd, data, 100, 150), -ENOSPC);
    assert_int_equal(fs->pwrite(fs, fd, data, 100, 0), 100); /* in place needs no space */
    assert_int_equal(fs->space(fs, "/", &total, &usable), 0);
    assert_int_equal(usable, 0);
    assert_int_equal(fs->allocate(fs, fd, 1000), -ENOSPC);
    fs_sim_fail(sim, FS_SIM_SYNC, 2, EIO);
    assert_int_equal(fs->datasync(fs, fd), 0);
    assert_int_equal(fs->datasync(fs, fd), -EIO);
    assert_int_equal(fs->datasync(fs, fd), 0);
    fs_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_and_simulated_agree),
        cmocka_unit_test(prepared_space_is_not_read_for_the_last_byte),
        cmocka_unit_test(parents_of_paths),
        cmocka_unit_test(a_crash_keeps_what_was_synced_and_only_that_for_sure),
        cmocka_unit_test(an_unsynced_name_can_be_lost_a_synced_one_not),
        cmocka_unit_test(the_power_fails_at_the_chosen_call),
        cmocka_unit_test(the_disk_gets_full_and_calls_fail_as_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
