#include "timer/timer_checkpoint.h"

#include "base/bytes.h"
#include "base/crc.h"
#include <errno.h>
#include <stdio.h>

enum {
    FILE_SIZE = 4096,
    LIVE_AT = 64, /* in the same disk sector as Java's part: both are written or neither */
    COPY_AT = 8,
    BOOT_AT = COPY_AT + TCHECK_JAVA_SIZE,
    VALUES_AT = BOOT_AT + TCHECK_BOOT_SIZE,
    CRC_AT = VALUES_AT + 6 * 8,
    LIVE_SIZE = CRC_AT + 4,
};

static const char own_magic[8] = "CROCKET1";

void tcheck_encode(const struct tcheck_java *c, uint8_t out[TCHECK_JAVA_SIZE])
{
    const int64_t values[] = {c->read_ms,       c->log_flushed, c->queue_offset, c->master_queue_offset,
                              c->state_version, c->timestamp,   c->counter};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        put_be64(out + i * 8, (uint64_t)values[i]);
}

static void decode(struct tcheck_java *c, const uint8_t *p)
{
    int64_t *const values[] = {&c->read_ms,       &c->log_flushed, &c->queue_offset, &c->master_queue_offset,
                               &c->state_version, &c->timestamp,   &c->counter};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        *values[i] = (int64_t)get_be64(p + i * 8);
        /* No time, offset or count: spoiled. */
        if (*values[i] < 0 || *values[i] > INT64_MAX / 2)
            *values[i] = 0;
    }
}

static void read_live(struct tcheck *c, const uint8_t *page, const char *boot_id)
{
    const uint8_t *own = page + LIVE_AT, *v = own + VALUES_AT;
    char boot[TCHECK_BOOT_SIZE] = "";
    if (memcmp(own, own_magic, sizeof own_magic) != 0 || memcmp(own + COPY_AT, page, TCHECK_JAVA_SIZE) != 0 ||
        get_be32(own + CRC_AT) != crc32_ieee(own, CRC_AT))
        return;
    snprintf(boot, sizeof boot, "%s", boot_id);
    c->live = (struct tcheck_live){
        .read_ms = (int64_t)get_be64(v),
        .queue_offset = (int64_t)get_be64(v + 8),
        .slot_done = (int64_t)get_be64(v + 16),
        .log_end = (int64_t)get_be64(v + 24),
        .total = (int64_t)get_be64(v + 32),
        .clean = get_be64(v + 40) == 1,
    };
    c->have_live = c->live.clean || (boot[0] && memcmp(boot, own + BOOT_AT, sizeof boot) == 0);
}

int tcheck_read(struct tcheck *c, const struct fs *fs, const char *path, const char *boot_id, struct err *err)
{
    uint8_t page[FILE_SIZE] = {0};
    memset(c, 0, sizeof *c);
    int fd = fs->open(fs, path, FS_READ);
    if (fd == -ENOENT)
        return 0;
    ssize_t got = fd < 0 ? fd : fs->pread(fs, fd, page, sizeof page, 0);
    if (fd >= 0)
        fs->close(fs, fd);
    if (got < 0)
        return err_sys(err, (int)-got, "cannot read %s", path);
    c->there = true;
    decode(&c->java, page);
    read_live(c, page, boot_id);
    return 0;
}

int tcheck_open(const struct fs *fs, const char *path, struct err *err)
{
    char dir[4096];
    struct fs_stat st;
    int r = fs_parent(path, dir, sizeof dir) ? fs_mkdirs(fs, dir) : -ENAMETOOLONG;
    int fd = r ? r : fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0)
        return err_sys(err, -fd, "cannot open %s", path);
    r = fs->fstat(fs, fd, &st);
    if (r == 0 && st.size < FILE_SIZE) {
        r = fs->truncate(fs, fd, FILE_SIZE);
        if (r == 0)
            r = fs->sync_dir(fs, dir);
    }
    if (r == 0)
        return fd;
    fs->close(fs, fd);
    return err_sys(err, -r, "cannot write %s", path);
}

int tcheck_write(const struct tcheck *c, const struct fs *fs, int fd, const char *boot_id, bool sync)
{
    uint8_t page[LIVE_AT + LIVE_SIZE] = {0}, *own = page + LIVE_AT, *v = own + VALUES_AT;
    tcheck_encode(&c->java, page);
    memcpy(own, own_magic, sizeof own_magic);
    memcpy(own + COPY_AT, page, TCHECK_JAVA_SIZE);
    snprintf((char *)own + BOOT_AT, TCHECK_BOOT_SIZE, "%s", boot_id);
    put_be64(v, (uint64_t)c->live.read_ms);
    put_be64(v + 8, (uint64_t)c->live.queue_offset);
    put_be64(v + 16, (uint64_t)c->live.slot_done);
    put_be64(v + 24, (uint64_t)c->live.log_end);
    put_be64(v + 32, (uint64_t)c->live.total);
    put_be64(v + 40, c->live.clean);
    put_be32(own + CRC_AT, crc32_ieee(own, CRC_AT));
    int r = fs_write_all(fs, fd, page, sizeof page, 0);
    return r == 0 && sync ? fs->datasync(fs, fd) : r;
}
