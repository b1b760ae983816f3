/* The bytes of the simulated files: what is in memory, what is on the disk. */
#include "os/fs_sim_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { COPY_PAGES = 1024, LARGE = 16 << 20 };

int64_t fs_sim_used(const struct fs_sim *sim)
{
    int64_t used = 0;
    for (size_t i = 0; i < sim->live.count; i++)
        used += sim->live.items[i].node->allocated;
    return used;
}

/* Blocks for [0, end) of n; how far they reach. */
static int64_t take_space(struct fs_sim *sim, struct node *n, int64_t end)
{
    if (end <= n->allocated)
        return end;
    int64_t left = sim->space - fs_sim_used(sim);
    int64_t more = end - n->allocated < left ? end - n->allocated : left > 0 ? left : 0;
    n->allocated += more;
    return n->allocated < end ? n->allocated : end;
}

struct node *fs_sim_node_of(struct fs_sim *sim, int fd)
{
    return fd >= 0 && fd < FDS && !sim->off ? sim->fds[fd] : NULL;
}

static int sim_open(const struct fs *fs, const char *path, int flags)
{
    struct fs_sim *sim = fs_sim_of(fs);
    if (sim->off)
        return -EIO;
    struct node *n = fs_sim_lookup(sim, path);
    if (n && (flags & FS_EXCLUSIVE))
        return -EEXIST;
    if (n && n->is_dir)
        return -EISDIR;
    if (n == NULL) {
        if (!(flags & FS_CREATE) || !fs_sim_parent_exists(sim, path))
            return -ENOENT;
        if (fs_sim_bad(sim, path, false))
            return fs_sim_bad(sim, path, false);
        if (fs_sim_step(sim))
            return -EIO;
        n = fs_sim_make_node(sim, path, false);
    } else if (flags & FS_TRUNCATE) {
        if (fs_sim_step(sim))
            return -EIO;
        memset(n->data, 0, (size_t)n->size);
        n->size = n->allocated = 0;
    }
    for (int fd = 0; fd < FDS; fd++) {
        if (sim->fds[fd] == NULL) {
            sim->fds[fd] = n;
            return fd;
        }
    }
    return -EMFILE;
}

static void sim_close(const struct fs *fs, int fd)
{
    struct fs_sim *sim = fs_sim_of(fs);
    if (fd < 0 || fd >= FDS || sim->fds[fd] == NULL)
        return;
    sim->fds[fd]->locked = false; /* only the lock file is ever locked, and it is opened once */
    sim->fds[fd] = NULL;
}

static ssize_t sim_pread(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    struct node *node = fs_sim_node_of(fs_sim_of(fs), fd);
    if (node == NULL)
        return -EIO;
    if (at >= node->size)
        return 0;
    if ((int64_t)n > node->size - at)
        n = (size_t)(node->size - at);
    memcpy(buf, node->data + at, n);
    return (ssize_t)n;
}

static ssize_t sim_pread_nowait(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    struct fs_sim *sim = fs_sim_of(fs);
    uint64_t dice = fs_sim_random(sim, 100);
    if (dice >= sim->cold)
        return sim_pread(fs, fd, buf, n, at);
    /* Nothing of it is in memory, or what lies in the first page. */
    size_t first = (size_t)(PAGE - at % PAGE);
    return dice % 2 ? -EAGAIN : sim_pread(fs, fd, buf, n < first ? n : first, at);
}

static ssize_t sim_pwrite(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *node = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (node == NULL)
        return -EIO;
    if (at + (int64_t)n > FILE_MAX)
        return -EFBIG;
    int error = dying ? -EIO : fs_sim_fault(sim, FS_SIM_WRITE);
    if (error == 0)
        error = fs_sim_bad(sim, node->path, at + (int64_t)n > node->allocated);
    /* The call in which the power fails, or that fails, may have done a part of its work. */
    if (error)
        n = (size_t)fs_sim_random(sim, n + 1);
    else if (n > 1 && fs_sim_fault(sim, FS_SIM_SHORT_WRITE))
        n = 1 + (size_t)fs_sim_random(sim, n - 1);
    int64_t end = take_space(sim, node, at + (int64_t)n);
    if (end < at)
        end = at;
    n = (size_t)(end - at);
    memcpy(node->data + at, buf, n);
    if (end > node->size)
        node->size = end;
    node->mtime = sim->now;
    return error ? error : n ? (ssize_t)n : -ENOSPC;
}

static ssize_t sim_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int n_iov, int64_t at)
{
    size_t n = 0;
    for (int i = 0; i < n_iov; i++)
        n += iov[i].iov_len;
    uint8_t *all = fs_sim_must(malloc(n + 1));
    size_t len = 0;
    for (int i = 0; i < n_iov; i++) {
        memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    ssize_t put = sim_pwrite(fs, fd, all, n, at);
    free(all);
    return put;
}

/* Each page with changes goes to the disk, stays away, or is torn. */
void fs_sim_settle(struct fs_sim *sim, struct node *n)
{
    int64_t end = n->size > n->durable_size ? n->size : n->durable_size;
    for (int64_t page = 0; page < end; page += PAGE) {
        if (memcmp(n->data + page, n->durable + page, PAGE) == 0)
            continue;
        uint64_t fate = fs_sim_random(sim, 5);
        for (int64_t s = page; s < page + PAGE; s += SECTOR)
            if (fate < 2 || (fate == 4 && fs_sim_random(sim, 2)))
                memcpy(n->durable + s, n->data + s, SECTOR);
    }
}

/* Files may be large and nearly empty: pages that neither image has in memory are zeros in both, and zeros are not
 * written where there is nothing, so that such a file costs little time and no memory. */
void fs_sim_copy(uint8_t *to, const uint8_t *from, int64_t end)
{
    static const uint8_t zeros[PAGE];
    unsigned char to_there[COPY_PAGES], from_there[COPY_PAGES];
    for (int64_t at = 0; at < end; at += COPY_PAGES * PAGE) {
        size_t len = end - at < COPY_PAGES * PAGE ? (size_t)(end - at) : COPY_PAGES * PAGE;
        if (mincore(to + at, len, to_there) != 0 || mincore((void *)(uintptr_t)(from + at), len, from_there) != 0)
            abort();
        for (size_t i = 0; i * PAGE < len; i++) {
            size_t page = (size_t)at + i * PAGE, n = len - i * PAGE < PAGE ? len - i * PAGE : PAGE;
            bool there = to_there[i] & 1;
            if ((there || from_there[i] & 1) && memcmp(there ? to + page : zeros, from + page, n) != 0)
                memcpy(to + page, from + page, n);
        }
    }
}

static void make_durable(struct node *n)
{
    fs_sim_copy(n->durable, n->data, n->size > n->durable_size ? n->size : n->durable_size);
    n->durable_size = n->size;
}

static int sim_datasync(const struct fs *fs, int fd)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    int error = fs_sim_fault(sim, FS_SIM_SYNC);
    if (error == 0)
        error = fs_sim_bad(sim, n->path, false);
    if (error)
        fs_sim_settle(sim, n);
    else
        make_durable(n);
    return error ? error : fs_sim_sync_takes_time(sim);
}

static int sim_sync_range(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *node = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (node == NULL || dying)
        return -EIO;
    int error = fs_sim_fault(sim, FS_SIM_SYNC);
    if (error) {
        fs_sim_settle(sim, node);
        return error;
    }
    int64_t from = at - at % PAGE, to = at + n;
    if (to > node->durable_size)
        to = node->durable_size;
    if (from < to)
        memcpy(node->durable + from, node->data + from, (size_t)(to - from));
    return fs_sim_sync_takes_time(sim);
}

static int sim_sync_all(const struct fs *fs, int fd)
{
    struct fs_sim *sim = fs_sim_of(fs);
    bool known = fs_sim_node_of(sim, fd) != NULL;
    bool dying = fs_sim_step(sim) != 0;
    if (!known || dying)
        return -EIO;
    int error = fs_sim_fault(sim, FS_SIM_SYNC);
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->is_dir)
            continue;
        if (error)
            fs_sim_settle(sim, n);
        else
            make_durable(n);
    }
    if (error == 0)
        fs_sim_commit_names(sim, sim->n_changes);
    return error ? error : fs_sim_sync_takes_time(sim);
}

static int sim_allocate(const struct fs *fs, int fd, int64_t size)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    int error = fs_sim_fault(sim, FS_SIM_ALLOCATE);
    if (error == 0)
        error = fs_sim_bad(sim, n->path, true);
    if (error)
        return error;
    if (size > FILE_MAX)
        return -EFBIG;
    if (take_space(sim, n, size) < size)
        return -ENOSPC;
    if (size > n->size)
        n->size = size;
    /* Read from one end to the other by who opens it: the kernel's large zero page saves thousands of faults. */
    if (size >= LARGE)
        madvise(n->data, (size_t)size, MADV_HUGEPAGE);
    return 0;
}

static int sim_truncate(const struct fs *fs, int fd, int64_t size)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    if (size > FILE_MAX)
        return -EFBIG;
    if (size < n->size)
        memset(n->data + size, 0, (size_t)(n->size - size));
    if (size < n->allocated)
        n->allocated = size;
    n->size = size;
    return 0;
}

static int sim_zero(const struct fs *fs, int fd, int64_t at, int64_t len)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_node_of(sim, fd);
    bool dying = fs_sim_step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    if (at + len > n->size)
        len = n->size - at;
    if (len > 0)
        memset(n->data + at, 0, (size_t)len);
    return 0;
}

static int64_t sim_next_data(const struct fs *fs, int fd, int64_t at)
{
    struct node *n = fs_sim_node_of(fs_sim_of(fs), fd);
    if (n == NULL)
        return -EIO;
    static const uint8_t zeros[PAGE];
    while (at + PAGE <= n->size && memcmp(n->data + at, zeros, PAGE) == 0)
        at += PAGE;
    while (at < n->size && n->data[at] == 0)
        at++;
    return at < n->size ? at : n->size;
}

static void sim_hint(const struct fs *fs, int fd, int64_t at, int64_t n)
{
}

static void sim_scattered(const struct fs *fs, int fd, bool yes)
{
}

static int sim_map(const struct fs *fs, int fd, size_t len, bool writable, void **out)
{
    struct node *n = fs_sim_node_of(fs_sim_of(fs), fd);
    if (n == NULL || len > FILE_MAX)
        return -EIO;
    *out = n->data;
    return 0;
}

static void sim_unmap(const struct fs *fs, void *map, size_t len)
{
}

static int sim_map_sync(const struct fs *fs, void *map, size_t len)
{
    struct fs_sim *sim = fs_sim_of(fs);
    if (fs_sim_step(sim))
        return -EIO;
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->data != map)
            continue;
        int error = fs_sim_fault(sim, FS_SIM_SYNC);
        if (error)
            fs_sim_settle(sim, n);
        else
            make_durable(n);
        return error;
    }
    return -EINVAL;
}

static bool sim_map_resident(const struct fs *fs, const void *map, size_t at, size_t n)
{
    return fs_sim_random(fs_sim_of(fs), 100) >= fs_sim_of(fs)->cold;
}

void fs_sim_files_into(struct fs *table)
{
    table->open = sim_open;
    table->close = sim_close;
    table->pread = sim_pread;
    table->pread_nowait = sim_pread_nowait;
    table->pwrite = sim_pwrite;
    table->pwritev = sim_pwritev;
    table->datasync = sim_datasync;
    table->sync_all = sim_sync_all;
    table->sync_range = sim_sync_range;
    table->allocate = sim_allocate;
    table->truncate = sim_truncate;
    table->zero = sim_zero;
    table->next_data = sim_next_data;
    table->readahead = sim_hint;
    table->scattered = sim_scattered;
    table->dontneed = sim_hint;
    table->map = sim_map;
    table->unmap = sim_unmap;
    table->map_sync = sim_map_sync;
    table->map_resident = sim_map_resident;
}
