/*
 * Inside of the simulated file system, shared by fs_sim*.c only: fs_sim.c is what tests call (power, faults, the
 * clock), fs_sim_names.c the names and folders, fs_sim_files.c the files' bytes.
 */
#ifndef CROCKET_OS_FS_SIM_INT_H
#define CROCKET_OS_FS_SIM_INT_H

#include "os/fs_sim.h"

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
    uint64_t write_back, sync_every, syncs;
    void (*sync_fn)(void *arg);
    void *sync_arg;
    bool in_sync_fn;
    char *bad_path;
    int bad_error;
    struct {
        uint64_t at, seen;
        int error;
    } faults[FS_SIM_CALLS];
};

static inline struct fs_sim *fs_sim_of(const struct fs *fs)
{
    return fs->ctx;
}

/* fs_sim.c */
void *fs_sim_must(void *p);
/* Counts a changing call; -EIO when the power is off or fails now. */
int fs_sim_step(struct fs_sim *sim);
/* 0 or the error this call was told to fail with. */
int fs_sim_fault(struct fs_sim *sim, enum fs_sim_call call);

/* The error of the broken or full folder that holds the path, 0 elsewhere. */
int fs_sim_bad(const struct fs_sim *sim, const char *path, bool needs_room);
/* A sync has been decided: the others' turn. -EIO when the power failed meanwhile, else 0. */
int fs_sim_sync_takes_time(struct fs_sim *sim);

/* fs_sim_names.c */
struct node *fs_sim_lookup(const struct fs_sim *sim, const char *path);
bool fs_sim_parent_exists(const struct fs_sim *sim, const char *path);
struct node *fs_sim_make_node(struct fs_sim *sim, const char *path, bool is_dir);
/* The first n pending changes reach the disk. */
void fs_sim_commit_names(struct fs_sim *sim, size_t n);
void fs_sim_names_free(struct names *t);
void fs_sim_names_copy(struct names *to, const struct names *from);
void fs_sim_names_into(struct fs *table);

/* fs_sim_files.c */
struct node *fs_sim_node_of(struct fs_sim *sim, int fd);
/* Each page with changes goes to the disk, stays away, or is torn. */
void fs_sim_copy(uint8_t *to, const uint8_t *from, int64_t end);
void fs_sim_settle(struct fs_sim *sim, struct node *n);
void fs_sim_files_into(struct fs *table);

#endif
