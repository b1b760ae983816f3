/* What tests do to the simulated file system: power, faults, space, clock. */
#include "os/fs_sim_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

uint64_t fs_sim_random(struct fs_sim *sim, uint64_t below)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;
    return below ? (sim->random >> 11) % below : 0;
}

void *fs_sim_must(void *p)
{
    if (p == NULL)
        abort(); /* a test's machine has memory */
    return p;
}

/* Some file's pages go to the disk, or some of them, or parts. */
static void write_back(struct fs_sim *sim)
{
    size_t files = 0;
    for (const struct node *n = sim->nodes; n; n = n->next)
        files += !n->is_dir;
    uint64_t nth = fs_sim_random(sim, files);
    for (struct node *n = sim->nodes; n; n = n->next)
        if (!n->is_dir && nth-- == 0)
            fs_sim_settle(sim, n);
}

/* Counts a changing call; -EIO when the power is off or fails now. */
int fs_sim_step(struct fs_sim *sim)
{
    if (!sim->off) {
        sim->count++;
        if (sim->write_back && fs_sim_random(sim, sim->write_back) == 0)
            write_back(sim);
        sim->off = sim->off_at && sim->count >= sim->off_at;
    }
    return sim->off ? -EIO : 0;
}

int fs_sim_bad(const struct fs_sim *sim, const char *path, bool needs_room)
{
    size_t n = sim->bad_path ? strlen(sim->bad_path) : 0;
    if (n == 0 || strncmp(path, sim->bad_path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return 0;
    return sim->bad_error != ENOSPC || needs_room ? -sim->bad_error : 0;
}

int fs_sim_sync_takes_time(struct fs_sim *sim)
{
    if (sim->sync_fn && !sim->in_sync_fn && ++sim->syncs % sim->sync_every == 0) {
        sim->in_sync_fn = true;
        sim->sync_fn(sim->sync_arg);
        sim->in_sync_fn = false;
    }
    return sim->off ? -EIO : 0;
}

void fs_sim_write_back(struct fs_sim *sim, uint64_t n)
{
    sim->write_back = n;
}

void fs_sim_during_sync(struct fs_sim *sim, uint64_t n, void (*fn)(void *arg), void *arg)
{
    sim->sync_every = n ? n : 1;
    sim->sync_fn = fn;
    sim->sync_arg = arg;
}

void fs_sim_bad_folder(struct fs_sim *sim, const char *path, int error)
{
    free(sim->bad_path);
    sim->bad_path = path ? fs_sim_must(strdup(path)) : NULL;
    sim->bad_error = error;
}

int fs_sim_fault(struct fs_sim *sim, enum fs_sim_call call)
{
    if (sim->faults[call].error && ++sim->faults[call].seen == sim->faults[call].at) {
        int error = sim->faults[call].error;
        sim->faults[call].error = 0;
        return -error;
    }
    return 0;
}

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
    sim->fs.ctx = sim;
    fs_sim_files_into(&sim->fs);
    fs_sim_names_into(&sim->fs);
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
    fs_sim_names_free(&sim->live);
    fs_sim_names_free(&sim->durable);
    for (size_t i = 0; i < sim->n_changes; i++)
        free(sim->changes[i].path);
    free(sim->changes);
    free(sim->bad_path);
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
    fs_sim_commit_names(sim, (size_t)fs_sim_random(sim, sim->n_changes + 1));
    for (size_t i = 0; i < sim->n_changes; i++)
        free(sim->changes[i].path);
    sim->n_changes = 0;
    fs_sim_names_copy(&sim->live, &sim->durable);
    for (struct node *n = sim->nodes; n; n = n->next) {
        if (n->is_dir)
            continue;
        fs_sim_settle(sim, n);
        if (fs_sim_random(sim, 2))
            n->durable_size = n->size;
        int64_t end = n->size > n->durable_size ? n->size : n->durable_size;
        if (n->durable_size < end)
            memset(n->durable + n->durable_size, 0, (size_t)(end - n->durable_size));
        fs_sim_copy(n->data, n->durable, end);
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
