#include "store/checkpoint.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"

enum {
    FILE_SIZE = 4096,
    OWN_AT = 64, /* in the same disk sector as Java's part: both are written or neither */
    OWN_SIZE = 72,
    OLD_SIZE = 68, /* without `folders` */
    TIME_SLACK_MS = 3000,
};

static const char own_magic[8] = "CROCKET3", old_magic[8] = "CROCKET2";

int checkpoint_read(struct checkpoint *c, const struct fs *fs, const char *path, struct err *err)
{
    uint8_t page[FILE_SIZE] = {0};
    *c = (struct checkpoint){.shared_mark = -1};
    int fd = fs->open(fs, path, FS_READ);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return err_sys(err, -fd, "cannot open the checkpoint file %s", path);
    ssize_t got = fs->pread(fs, fd, page, sizeof page, 0);
    fs->close(fs, fd);
    if (got < 0)
        return err_sys(err, (int)-got, "cannot read the checkpoint file %s", path);
    c->log_time = (int64_t)get_be64(page);
    c->queues_time = (int64_t)get_be64(page + 8);
    c->index_time = (int64_t)get_be64(page + 16);
    c->master_flushed = (int64_t)get_be64(page + 24);
    c->confirm = (int64_t)get_be64(page + 32);
    const uint8_t *own = page + OWN_AT;
    /* The copy of Java's part tells whether a Java broker has moved on since. */
    size_t size = memcmp(own, own_magic, sizeof own_magic) == 0   ? OWN_SIZE
                  : memcmp(own, old_magic, sizeof old_magic) == 0 ? OLD_SIZE
                                                                  : 0;
    if (size && memcmp(own + 8, page, 24) == 0 && get_be32(own + size - 4) == crc32_ieee(own, size - 4)) {
        c->have_marks = true;
        c->log_mark = (int64_t)get_be64(own + 32);
        c->queues_mark = (int64_t)get_be64(own + 40);
        c->index_mark = (int64_t)get_be64(own + 48);
        c->shared_mark = (int64_t)get_be64(own + 56);
        c->folders = size == OWN_SIZE ? get_be32(own + 64) : 0;
    }
    return 0;
}

static void put_marks(uint8_t *page, const struct checkpoint *c)
{
    uint8_t *own = page + OWN_AT;
    memcpy(own, own_magic, sizeof own_magic);
    memcpy(own + 8, page, 24);
    put_be64(own + 32, (uint64_t)c->log_mark);
    put_be64(own + 40, (uint64_t)c->queues_mark);
    put_be64(own + 48, (uint64_t)c->index_mark);
    put_be64(own + 56, (uint64_t)c->shared_mark);
    put_be32(own + 64, c->folders);
    put_be32(own + OWN_SIZE - 4, crc32_ieee(own, OWN_SIZE - 4));
}

static int write_in_place(const uint8_t page[FILE_SIZE], const struct fs *fs, const char *path)
{
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0)
        return fd;
    int r = fs_write_all(fs, fd, page, FILE_SIZE, 0);
    if (r == 0)
        r = fs->datasync(fs, fd);
    fs->close(fs, fd);
    return r;
}

int checkpoint_write(const struct checkpoint *c, const struct fs *fs, const char *path, struct err *err)
{
    uint8_t page[FILE_SIZE] = {0};
    put_be64(page, (uint64_t)c->log_time);
    put_be64(page + 8, (uint64_t)c->queues_time);
    put_be64(page + 16, (uint64_t)c->index_time);
    put_be64(page + 24, (uint64_t)c->master_flushed);
    put_be64(page + 32, (uint64_t)c->confirm);
    if (c->have_marks)
        put_marks(page, c);
    /* A write that fails half way would leave times of which no mark tells what they stand for. */
    int r = fs_replace(fs, path, page, FILE_SIZE);
    if (r == -ENOSPC || r == -EDQUOT)
        r = write_in_place(page, fs, path); /* which needs no room */
    return r ? err_sys(err, -r, "cannot write the checkpoint file %s", path) : 0;
}

int64_t checkpoint_min_time(const struct checkpoint *c)
{
    int64_t t = c->log_time < c->queues_time ? c->log_time : c->queues_time;
    return t > TIME_SLACK_MS ? t - TIME_SLACK_MS : 0;
}
