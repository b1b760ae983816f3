#include "os/fs_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FILE_MAX = 64 << 20, /* address space of each file's image */
    SECTOR = 512,
    PAGE = 4096,
    FDS = 4096,
};

struct node {
    char *path; /* where it is now; of removed ones the last */
    bool is_dir, locked;
    uint8_t *data, *durable; /* the page cache's image and the disk's */
    int64_t size, durable_size, allocated, mtime;
    struct node *next; /* all nodes ever, newest first */
};

/* One entry of a name table. */
struct name {
    char *path;
    struct node *node;
};

struct names {
    struct name *items;
    size_t count, cap;
};

/* A change of names that is not durable yet: path now means node, or nothing (NULL). */
struct change {
    char *path;
    struct node *node;
};

struct fs_sim {
    struct fs fs;
    uint64_t random;
    struct names live, durable;
    struct change *changes;
    size_t n_changes, cap_changes;
    struct node *nodes;
    struct node *fds[FDS];
    int64_t space, now;
    uint64_t count, off_at;
    bool off;
    unsigned cold;
    struct {
        uint64_t at, seen;
        int error;
    } faults[FS_SIM_CALLS];
};

static struct fs_sim *of(const struct fs *fs)
{
    return fs->ctx;
}

uint64_t fs_sim_random(struct fs_sim *sim, uint64_t below)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;
    return below ? (sim->random >> 11) % below : 0;
}

/* ---- names
 * ----------------------------------------------------------------------------------------------------------- */

static void *must(void *p)
{
    if (p == NULL)
        abort(); /* a test's machine has memory */
    return p;
}

static struct name *find(const struct names *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->items[i].path, path) == 0)
            return &t->items[i];
    return NULL;
}

static struct node *lookup(const struct fs_sim *sim, const char *path)
{
    const struct name *n = find(&sim->live, path);
    return n ? n->node : NULL;
}

static void set_name(struct names *t, const char *path, struct node *node)
{
    struct name *n = find(t, path);
    if (n && node) {
        n->node = node;
    } else if (n) {
        free(n->path);
        *n = t->items[--t->count]; /* NOLINT(clang-analyzer-core.NullDereference): n is one of the items */
    } else if (node) {
        if (t->count == t->cap) {
            t->cap = t->cap ? t->cap * 2 : 64;
            t->items = must(realloc(t->items, t->cap * sizeof *t->items));
        }
        t->items[t->count++] = (struct name){must(strdup(path)), node};
    }
}

static void free_names(struct names *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i].path);
    free(t->items);
    *t = (struct names){0};
}

static void copy_names(struct names *to, const struct names *from)
{
    free_names(to);
    for (size_t i = 0; i < from->count; i++)
        set_name(to, from->items[i].path, from->items[i].node);
}

static void change_name(struct fs_sim *sim, const char *path, struct node *node)
{
    set_name(&sim->live, path, node);
    if (sim->n_changes == sim->cap_changes) {
        sim->cap_changes = sim->cap_changes ? sim->cap_changes * 2 : 64;
        sim->changes = must(realloc(sim->changes, sim->cap_changes * sizeof *sim->changes));
    }
    sim->changes[sim->n_changes++] = (struct change){must(strdup(path)), node};
}

/* The first n pending changes reach the disk. */
static void commit_names(struct fs_sim *sim, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        set_name(&sim->durable, sim->changes[i].path, sim->changes[i].node);
        free(sim->changes[i].path);
    }
    sim->n_changes -= n;
    memmove(sim->changes, sim->changes + n, sim->n_changes * sizeof *sim->changes);
}

static bool is_in(const char *dir, const char *path)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL;
}

static bool parent_exists(const struct fs_sim *sim, const char *path)
{
    char dir[4096];
    if (!fs_parent(path, dir, sizeof dir))
        return false;
    const struct node *n = lookup(sim, dir);
    return strcmp(dir, "/") == 0 || strcmp(dir, ".") == 0 || (n && n->is_dir);
}

static void *image(void)
{
    void *p = mmap(NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return must(p == MAP_FAILED ? NULL : p);
}

static struct node *make_node(struct fs_sim *sim, const char *path, bool is_dir)
{
    struct node *n = must(calloc(1, sizeof *n));
    n->path = must(strdup(path));
    n->is_dir = is_dir;
    n->mtime = sim->now;
    if (!is_dir) {
        n->data = image();
        n->durable = image();
    }
    n->next = sim->nodes;
    sim->nodes = n;
    change_name(sim, path, n);
    return n;
}

/* ---- faults
 * ---------------------------------------------------------------------------------------------------------- */

/* Counts a changing call; -EIO when the power is off or fails now. */
static int step(struct fs_sim *sim)
{
    if (!sim->off) {
        sim->count++;
        sim->off = sim->off_at && sim->count >= sim->off_at;
    }
    return sim->off ? -EIO : 0;
}

static int fault(struct fs_sim *sim, enum fs_sim_call call)
{
    if (sim->faults[call].error && ++sim->faults[call].seen == sim->faults[call].at) {
        int error = sim->faults[call].error;
        sim->faults[call].error = 0;
        return -error;
    }
    return 0;
}

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

/* ---- files
 * ----------------------------------------------------------------------------------------------------------- */

static struct node *node_of(struct fs_sim *sim, int fd)
{
    return fd >= 0 && fd < FDS && !sim->off ? sim->fds[fd] : NULL;
}

static int sim_open(const struct fs *fs, const char *path, int flags)
{
    struct fs_sim *sim = of(fs);
    if (sim->off)
        return -EIO;
    struct node *n = lookup(sim, path);
    if (n && (flags & FS_EXCLUSIVE))
        return -EEXIST;
    if (n && n->is_dir)
        return -EISDIR;
    if (n == NULL) {
        if (!(flags & FS_CREATE) || !parent_exists(sim, path))
            return -ENOENT;
        if (step(sim))
            return -EIO;
        n = make_node(sim, path, false);
    } else if (flags & FS_TRUNCATE) {
        if (step(sim))
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
    struct fs_sim *sim = of(fs);
    if (fd < 0 || fd >= FDS || sim->fds[fd] == NULL)
        return;
    sim->fds[fd]->locked = false; /* only the lock file is ever locked, and it is opened once */
    sim->fds[fd] = NULL;
}

static ssize_t sim_pread(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    struct node *node = node_of(of(fs), fd);
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
    struct fs_sim *sim = of(fs);
    return fs_sim_random(sim, 100) < sim->cold ? -EAGAIN : sim_pread(fs, fd, buf, n, at);
}

static ssize_t sim_pwrite(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    struct fs_sim *sim = of(fs);
    struct node *node = node_of(sim, fd);
    bool dying = step(sim) != 0;
    if (node == NULL)
        return -EIO;
    if (at + (int64_t)n > FILE_MAX)
        return -EFBIG;
    int error = dying ? -EIO : fault(sim, FS_SIM_WRITE);
    /* The call in which the power fails, or that fails, may have done a part of its work. */
    if (error)
        n = (size_t)fs_sim_random(sim, n + 1);
    else if (n > 1 && fault(sim, FS_SIM_SHORT_WRITE))
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
    uint8_t *all = must(malloc(n + 1));
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
static void settle(struct fs_sim *sim, struct node *n)
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

static void make_durable(struct node *n)
{
    int64_t end = n->size > n->durable_size ? n->size : n->durable_size;
    memcpy(n->durable, n->data, (size_t)end);
    n->durable_size = n->size;
}

static int sim_datasync(const struct fs *fs, int fd)
{
    struct fs_sim *sim = of(fs);
    struct node *n = node_of(sim, fd);
    bool dying = step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    int error = fault(sim, FS_SIM_SYNC);
    if (error)
        settle(sim, n);
    else
        make_durable(n);
    return error;
}

static int sim_sync_range(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    struct fs_sim *sim = of(fs);
    struct node *node = node_of(sim, fd);
    bool dying = step(sim) != 0;
    if (node == NULL || dying)
        return -EIO;
    int error = fault(sim, FS_SIM_SYNC);
    if (error) {
        settle(sim, node);
        return error;
    }
    int64_t from = at - at % PAGE, to = at + n;
    if (to > node->durable_size)
        to = node->durable_size;
    if (from < to)
        memcpy(node->durable + from, node->data + from, (size_t)(to - from));
    return 0;
}

static int sim_sync_all(const struct fs *fs, int fd)
{
    struct fs_sim *sim = of(fs);
    bool known = node_of(sim, fd) != NULL;
    bool dying = step(sim) != 0;
    if (!known || dying)
        return -EIO;
    int error = fault(sim, FS_SIM_SYNC);
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->is_dir)
            continue;
        if (error)
            settle(sim, n);
        else
            make_durable(n);
    }
    if (error == 0)
        commit_names(sim, sim->n_changes);
    return error;
}

static int sim_allocate(const struct fs *fs, int fd, int64_t size)
{
    struct fs_sim *sim = of(fs);
    struct node *n = node_of(sim, fd);
    bool dying = step(sim) != 0;
    if (n == NULL || dying)
        return -EIO;
    int error = fault(sim, FS_SIM_ALLOCATE);
    if (error)
        return error;
    if (size > FILE_MAX)
        return -EFBIG;
    if (take_space(sim, n, size) < size)
        return -ENOSPC;
    if (size > n->size)
        n->size = size;
    return 0;
}

static int sim_truncate(const struct fs *fs, int fd, int64_t size)
{
    struct fs_sim *sim = of(fs);
    struct node *n = node_of(sim, fd);
    bool dying = step(sim) != 0;
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
    struct fs_sim *sim = of(fs);
    struct node *n = node_of(sim, fd);
    bool dying = step(sim) != 0;
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
    struct node *n = node_of(of(fs), fd);
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
    struct node *n = node_of(of(fs), fd);
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
    struct fs_sim *sim = of(fs);
    if (step(sim))
        return -EIO;
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->data != map)
            continue;
        int error = fault(sim, FS_SIM_SYNC);
        if (error)
            settle(sim, n);
        else
            make_durable(n);
        return error;
    }
    return -EINVAL;
}

static bool sim_map_resident(const struct fs *fs, const void *map, size_t at, size_t n)
{
    return fs_sim_random(of(fs), 100) >= of(fs)->cold;
}

/* ---- names and the rest
 * ---------------------------------------------------------------------------------------------- */

static int sim_rename(const struct fs *fs, const char *from, const char *to)
{
    struct fs_sim *sim = of(fs);
    struct node *n = lookup(sim, from);
    if (step(sim))
        return -EIO;
    if (n == NULL || n->is_dir)
        return n ? -EISDIR : -ENOENT;
    if (!parent_exists(sim, to))
        return -ENOENT;
    free(n->path);
    n->path = must(strdup(to));
    /* The new name first: a crash between the two may leave both, never none. */
    change_name(sim, to, n);
    change_name(sim, from, NULL);
    return 0;
}

static int sim_unlink(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = of(fs);
    struct node *n = lookup(sim, path);
    if (step(sim))
        return -EIO;
    if (n == NULL || n->is_dir)
        return n ? -EISDIR : -ENOENT;
    change_name(sim, path, NULL);
    return 0;
}

static int sim_mkdir(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = of(fs);
    if (sim->off)
        return -EIO;
    if (lookup(sim, path))
        return -EEXIST;
    if (!parent_exists(sim, path))
        return -ENOENT;
    if (step(sim))
        return -EIO;
    make_node(sim, path, true);
    return 0;
}

static int sim_rmdir(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = of(fs);
    struct node *n = lookup(sim, path);
    if (step(sim))
        return -EIO;
    if (n == NULL || !n->is_dir)
        return n ? -ENOTDIR : -ENOENT;
    for (size_t i = 0; i < sim->live.count; i++)
        if (is_in(path, sim->live.items[i].path))
            return -ENOTEMPTY;
    change_name(sim, path, NULL);
    return 0;
}

static int sim_sync_dir(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = of(fs);
    if (step(sim))
        return -EIO;
    int error = fault(sim, FS_SIM_SYNC);
    if (error)
        return error;
    size_t n = 0;
    for (size_t i = 0; i < sim->n_changes; i++)
        if (is_in(path, sim->changes[i].path))
            n = i + 1;
    commit_names(sim, n);
    return 0;
}

static int sim_list(const struct fs *fs, const char *path, fs_list_fn fn, void *arg)
{
    struct fs_sim *sim = of(fs);
    if (sim->off)
        return -EIO;
    if (lookup(sim, path) == NULL)
        return -ENOENT;
    for (size_t i = 0; i < sim->live.count; i++) {
        const struct name *n = &sim->live.items[i];
        if (!is_in(path, n->path))
            continue;
        int r = fn(arg, strrchr(n->path, '/') + 1, n->node->is_dir);
        if (r)
            return r;
    }
    return 0;
}

static void fill(const struct node *n, struct fs_stat *out)
{
    *out = (struct fs_stat){.size = n->size, .blocks_bytes = n->allocated, .mtime_ms = n->mtime, .is_dir = n->is_dir};
}

static int sim_stat(const struct fs *fs, const char *path, struct fs_stat *out)
{
    struct fs_sim *sim = of(fs);
    const struct node *n = lookup(sim, path);
    if (sim->off)
        return -EIO;
    if (n == NULL)
        return -ENOENT;
    fill(n, out);
    return 0;
}

static int sim_fstat(const struct fs *fs, int fd, struct fs_stat *out)
{
    const struct node *n = node_of(of(fs), fd);
    if (n == NULL)
        return -EIO;
    fill(n, out);
    return 0;
}

static int sim_lock(const struct fs *fs, int fd)
{
    struct node *n = node_of(of(fs), fd);
    if (n == NULL)
        return -EIO;
    if (n->locked)
        return -EAGAIN;
    n->locked = true;
    return 0;
}

static int sim_space(const struct fs *fs, const char *path, int64_t *total, int64_t *usable)
{
    struct fs_sim *sim = of(fs);
    int64_t left = sim->space - fs_sim_used(sim);
    *total = sim->space;
    *usable = left > 0 ? left : 0;
    return sim->off ? -EIO : 0;
}

static int64_t sim_now_ms(const struct fs *fs)
{
    return of(fs)->now;
}

/* ---- the simulator's own
 * --------------------------------------------------------------------------------------------- */

struct fs_sim *fs_sim_new(uint64_t seed)
{
    struct fs_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        return NULL;
    sim->random = seed * 0x9E3779B97F4A7C15u + 0x1234567;
    if (sim->random == 0)
        sim->random = 1;
    sim->space = INT64_MAX / 2;
    sim->now = 1700000000000;
    sim->fs = (struct fs){
        .ctx = sim,
        .open = sim_open,
        .close = sim_close,
        .pread = sim_pread,
        .pread_nowait = sim_pread_nowait,
        .pwrite = sim_pwrite,
        .pwritev = sim_pwritev,
        .datasync = sim_datasync,
        .sync_all = sim_sync_all,
        .sync_range = sim_sync_range,
        .allocate = sim_allocate,
        .truncate = sim_truncate,
        .zero = sim_zero,
        .next_data = sim_next_data,
        .readahead = sim_hint,
        .scattered = sim_scattered,
        .dontneed = sim_hint,
        .map = sim_map,
        .unmap = sim_unmap,
        .map_sync = sim_map_sync,
        .map_resident = sim_map_resident,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .rmdir = sim_rmdir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .stat = sim_stat,
        .fstat = sim_fstat,
        .lock = sim_lock,
        .space = sim_space,
        .now_ms = sim_now_ms,
    };
    return sim;
}

static void free_node(struct node *n)
{
    if (n->data) {
        munmap(n->data, FILE_MAX);
        munmap(n->durable, FILE_MAX);
    }
    free(n->path);
    free(n);
}

void fs_sim_free(struct fs_sim *sim)
{
    if (sim == NULL)
        return;
    while (sim->nodes) {
        struct node *n = sim->nodes;
        sim->nodes = n->next;
        free_node(n);
    }
    free_names(&sim->live);
    free_names(&sim->durable);
    for (size_t i = 0; i < sim->n_changes; i++)
        free(sim->changes[i].path);
    free(sim->changes);
    free(sim);
}

const struct fs *fs_sim_fs(struct fs_sim *sim)
{
    return &sim->fs;
}

void fs_sim_power_off_after(struct fs_sim *sim, uint64_t n)
{
    sim->off_at = sim->count + n;
}

void fs_sim_power_off(struct fs_sim *sim)
{
    sim->off = true;
}

bool fs_sim_is_off(const struct fs_sim *sim)
{
    return sim->off;
}

/* Nodes that no name leads to any more cannot come back. */
static void sweep(struct fs_sim *sim)
{
    for (struct node **at = &sim->nodes; *at;) {
        struct node *n = *at;
        bool named = false;
        for (size_t i = 0; i < sim->live.count && !named; i++)
            named = sim->live.items[i].node == n;
        for (size_t i = 0; i < sim->durable.count && !named; i++)
            named = sim->durable.items[i].node == n;
        for (size_t i = 0; i < sim->n_changes && !named; i++)
            named = sim->changes[i].node == n;
        if (named) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        free_node(n);
    }
}

static void power_on(struct fs_sim *sim)
{
    memset(sim->fds, 0, sizeof sim->fds);
    memset(sim->faults, 0, sizeof sim->faults);
    for (struct node *n = sim->nodes; n; n = n->next)
        n->locked = false;
    sim->off = false;
    sim->off_at = 0;
    sweep(sim);
}

void fs_sim_die(struct fs_sim *sim)
{
    power_on(sim);
}

void fs_sim_crash(struct fs_sim *sim)
{
    commit_names(sim, (size_t)fs_sim_random(sim, sim->n_changes + 1));
    for (size_t i = 0; i < sim->n_changes; i++)
        free(sim->changes[i].path);
    sim->n_changes = 0;
    copy_names(&sim->live, &sim->durable);
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->is_dir)
            continue;
        settle(sim, n);
        if (fs_sim_random(sim, 2))
            n->durable_size = n->size;
        int64_t end = n->size > n->durable_size ? n->size : n->durable_size;
        if (n->durable_size < end)
            memset(n->durable + n->durable_size, 0, (size_t)(end - n->durable_size));
        memcpy(n->data, n->durable, (size_t)end);
        n->size = n->durable_size;
        n->allocated = n->size;
    }
    power_on(sim);
}

void fs_sim_fail(struct fs_sim *sim, enum fs_sim_call call, uint64_t n, int error)
{
    sim->faults[call].at = n;
    sim->faults[call].seen = 0;
    sim->faults[call].error = error;
}

void fs_sim_space(struct fs_sim *sim, int64_t bytes)
{
    sim->space = bytes;
}

void fs_sim_cold(struct fs_sim *sim, unsigned percent)
{
    sim->cold = percent;
}

void fs_sim_clock(struct fs_sim *sim, int64_t now_ms)
{
    sim->now = now_ms;
}

uint64_t fs_sim_changes(const struct fs_sim *sim)
{
    return sim->count;
}
