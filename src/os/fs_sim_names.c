/* Names and folders of the simulated file system. */
#include "os/fs_sim_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct name *find(const struct names *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->items[i].path, path) == 0)
            return &t->items[i];
    return NULL;
}

struct node *fs_sim_lookup(const struct fs_sim *sim, const char *path)
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
            t->items = fs_sim_must(realloc(t->items, t->cap * sizeof *t->items));
        }
        t->items[t->count++] = (struct name){fs_sim_must(strdup(path)), node};
    }
}

void fs_sim_names_free(struct names *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i].path);
    free(t->items);
    *t = (struct names){0};
}

void fs_sim_names_copy(struct names *to, const struct names *from)
{
    fs_sim_names_free(to);
    for (size_t i = 0; i < from->count; i++)
        set_name(to, from->items[i].path, from->items[i].node);
}

static void change_name(struct fs_sim *sim, const char *path, struct node *node)
{
    set_name(&sim->live, path, node);
    if (sim->n_changes == sim->cap_changes) {
        sim->cap_changes = sim->cap_changes ? sim->cap_changes * 2 : 64;
        sim->changes = fs_sim_must(realloc(sim->changes, sim->cap_changes * sizeof *sim->changes));
    }
    sim->changes[sim->n_changes++] = (struct change){fs_sim_must(strdup(path)), node};
}

/* The first n pending changes reach the disk. */
void fs_sim_commit_names(struct fs_sim *sim, size_t n)
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

bool fs_sim_parent_exists(const struct fs_sim *sim, const char *path)
{
    char dir[4096];
    if (!fs_parent(path, dir, sizeof dir))
        return false;
    const struct node *n = fs_sim_lookup(sim, dir);
    return strcmp(dir, "/") == 0 || strcmp(dir, ".") == 0 || (n && n->is_dir);
}

static void *image(void)
{
    void *p = mmap(NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return fs_sim_must(p == MAP_FAILED ? NULL : p);
}

struct node *fs_sim_make_node(struct fs_sim *sim, const char *path, bool is_dir)
{
    struct node *n = fs_sim_must(calloc(1, sizeof *n));
    n->path = fs_sim_must(strdup(path));
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

static int sim_rename(const struct fs *fs, const char *from, const char *to)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_lookup(sim, from);
    if (fs_sim_step(sim))
        return -EIO;
    if (n == NULL || n->is_dir)
        return n ? -EISDIR : -ENOENT;
    if (!fs_sim_parent_exists(sim, to))
        return -ENOENT;
    free(n->path);
    n->path = fs_sim_must(strdup(to));
    /* The new name first: a crash between the two may leave both, never none. */
    change_name(sim, to, n);
    change_name(sim, from, NULL);
    return 0;
}

static int sim_unlink(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_lookup(sim, path);
    if (fs_sim_step(sim))
        return -EIO;
    if (n == NULL || n->is_dir)
        return n ? -EISDIR : -ENOENT;
    change_name(sim, path, NULL);
    return 0;
}

static int sim_mkdir(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = fs_sim_of(fs);
    if (sim->off)
        return -EIO;
    if (fs_sim_lookup(sim, path))
        return -EEXIST;
    if (!fs_sim_parent_exists(sim, path))
        return -ENOENT;
    if (fs_sim_step(sim))
        return -EIO;
    fs_sim_make_node(sim, path, true);
    return 0;
}

static int sim_rmdir(const struct fs *fs, const char *path)
{
    struct fs_sim *sim = fs_sim_of(fs);
    struct node *n = fs_sim_lookup(sim, path);
    if (fs_sim_step(sim))
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
    struct fs_sim *sim = fs_sim_of(fs);
    if (fs_sim_step(sim))
        return -EIO;
    int error = fs_sim_fault(sim, FS_SIM_SYNC);
    if (error)
        return error;
    size_t n = 0;
    for (size_t i = 0; i < sim->n_changes; i++)
        if (is_in(path, sim->changes[i].path))
            n = i + 1;
    fs_sim_commit_names(sim, n);
    return 0;
}

static int sim_list(const struct fs *fs, const char *path, fs_list_fn fn, void *arg)
{
    struct fs_sim *sim = fs_sim_of(fs);
    if (sim->off)
        return -EIO;
    if (fs_sim_lookup(sim, path) == NULL)
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
    struct fs_sim *sim = fs_sim_of(fs);
    const struct node *n = fs_sim_lookup(sim, path);
    if (sim->off)
        return -EIO;
    if (n == NULL)
        return -ENOENT;
    fill(n, out);
    return 0;
}

static int sim_fstat(const struct fs *fs, int fd, struct fs_stat *out)
{
    const struct node *n = fs_sim_node_of(fs_sim_of(fs), fd);
    if (n == NULL)
        return -EIO;
    fill(n, out);
    return 0;
}

static int sim_lock(const struct fs *fs, int fd)
{
    struct node *n = fs_sim_node_of(fs_sim_of(fs), fd);
    if (n == NULL)
        return -EIO;
    if (n->locked)
        return -EAGAIN;
    n->locked = true;
    return 0;
}

static int sim_space(const struct fs *fs, const char *path, int64_t *total, int64_t *usable)
{
    struct fs_sim *sim = fs_sim_of(fs);
    int64_t left = fs_sim_bad(sim, path, true) == -ENOSPC ? 0 : sim->space - fs_sim_used(sim);
    *total = sim->space;
    *usable = left > 0 ? left : 0;
    return sim->off ? -EIO : 0;
}

static int64_t sim_now_ms(const struct fs *fs)
{
    return fs_sim_of(fs)->now;
}

void fs_sim_names_into(struct fs *table)
{
    table->rename = sim_rename;
    table->unlink = sim_unlink;
    table->mkdir = sim_mkdir;
    table->rmdir = sim_rmdir;
    table->sync_dir = sim_sync_dir;
    table->list = sim_list;
    table->stat = sim_stat;
    table->fstat = sim_fstat;
    table->lock = sim_lock;
    table->space = sim_space;
    table->now_ms = sim_now_ms;
}
