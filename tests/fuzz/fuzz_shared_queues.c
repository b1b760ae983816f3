/* The shared files of small queues: the input is such a file, the first byte says how much of it was durable. All
 * blocks are read, the file is taken apart, and what was kept is read again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "os/fs_sim.h"
#include "store/shared_queues.h"

enum { FILE_SIZE = 64 * 1024 };

struct use {
    struct sq_log *log;
    int64_t pos; /* of the last block */
};

static int look(void *arg, const struct sq_block *b, int64_t pos, uint32_t size)
{
    struct use *u = arg;
    volatile uint8_t sum = 0;
    for (uint32_t i = 0; i < b->n * 20; i++)
        sum = (uint8_t)(sum + b->entries[i]);
    if (size != sq_size(b->topic.len, b->n))
        abort();
    u->pos = pos;
    return 0;
}

static int keep(void *arg, const struct sq_block *b, int64_t pos, uint32_t size)
{
    struct use *u = arg;
    return sq_append(u->log, b, &u->pos);
}

static int count(void *arg, const struct sq_block *b)
{
    ++*(int *)arg;
    return 0;
}

static void use(struct use *u, const struct fs *fs, int64_t durable)
{
    struct err err;
    struct sq_block b = {.kind = SQ_QUEUE, .topic = STR_LIT("T"), .base = 7};
    uint8_t buf[SQ_BLOCK_MAX];
    bool damaged;
    int64_t end;
    int blocks = 0;
    if (sq_load(u->log, durable, look, u, &damaged, &err))
        return;
    if (u->pos >= 0 && sq_read(u->log, u->pos, buf, true, &b))
        abort();
    if (sq_append(u->log, &b, &u->pos) || sq_roll(u->log) || sq_oldest(u->log, keep, u, &damaged))
        abort();
    sq_drop_oldest(u->log);
    if (sq_sync_begin(u->log, &end) || sq_sync(u->log, end))
        abort();
    sq_remove_dropped(u->log);
    if (u->pos >= 0 && sq_read(u->log, u->pos, buf, true, &b))
        abort();
    if (sq_each(fs, "/q", count, &blocks))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n > FILE_SIZE)
        return 0;
    log_set_fd(-1);
    struct fs_sim *disk = fs_sim_new(1);
    const struct fs *fs = fs_sim_fs(disk);
    fs->mkdir(fs, "/q");
    int fd = fs->open(fs, "/q/00000000000000000000", FS_WRITE | FS_CREATE);
    if (fd < 0 || (n > 1 && fs_write_all(fs, fd, data + 1, n - 1, 0)))
        abort();
    fs->close(fs, fd);
    struct use u = {sq_new(fs, "/q", FILE_SIZE), -1};
    if (u.log == NULL)
        abort();
    use(&u, fs, (int64_t)(n - 1) * data[0] / 255);
    sq_free(u.log);
    fs_sim_free(disk);
    return 0;
}
