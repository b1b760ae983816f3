/*
 * A file system in memory that behaves like a bad day: it can lose what was not synced (page by page, sector by sector,
 * name by name), stop at any operation, run out of space and fail single calls. The same seed gives the same day.
 *
 * The model is harsher than real file systems: a data sync makes a file's bytes and size durable but not its name;
 * names are made durable by sync_dir, and without it a crash keeps any beginning of the sequence of name changes.
 *
 * Owner: the one who made it; maps stay readable until fs_sim_free or the next crash. One thread at a time.
 */
#ifndef CROCKET_OS_FS_SIM_H
#define CROCKET_OS_FS_SIM_H

#include "os/fs.h"

struct fs_sim;

struct fs_sim *fs_sim_new(uint64_t seed); /* NULL when out of memory */
void fs_sim_free(struct fs_sim *sim);
const struct fs *fs_sim_fs(struct fs_sim *sim);

/* The power fails in the n-th changing call from now (1 = the next): it and all calls after it answer -EIO and do
 * nothing. */
void fs_sim_power_off_after(struct fs_sim *sim, uint64_t n);
/* Off: every call answers -EIO. For throwing away what used the files without letting it write. */
void fs_sim_power_off(struct fs_sim *sim);
bool fs_sim_is_off(const struct fs_sim *sim);
/* Power is back after a crash of the machine: what was not synced is kept or lost at random. All descriptors are gone.
 */
void fs_sim_crash(struct fs_sim *sim);
/* Power is back after the death of the process only: everything written is there. All descriptors are gone. */
void fs_sim_die(struct fs_sim *sim);

/* From now on the operating system writes some page back in about every n-th changing call, as it does without being
 * asked: what a page held then may be what is found after a crash. 0: only at the crash (the default). */
void fs_sim_write_back(struct fs_sim *sim, uint64_t n);
/* Called in every n-th sync of any kind, when it is decided what that sync brings to the disk and before it answers:
 * what other threads do while a sync takes its time. NULL: nothing (the default). fn is not called out of fn. */
void fs_sim_during_sync(struct fs_sim *sim, uint64_t n, void (*fn)(void *arg), void *arg);
/* A folder's disk is broken or full: what writes, makes or syncs below the path answers this error (positive errno
 * value); with ENOSPC only what needs room, and fs->space says so. path NULL: it is well again. */
void fs_sim_bad_folder(struct fs_sim *sim, const char *path, int error);

enum fs_sim_call { FS_SIM_WRITE, FS_SIM_SHORT_WRITE, FS_SIM_SYNC, FS_SIM_ALLOCATE, FS_SIM_CALLS };
/* The n-th such call from now fails with the error (positive errno value); a write may have written a part. A
 * short write does not fail: it writes a part and says so. 0 takes it back. */
void fs_sim_fail(struct fs_sim *sim, enum fs_sim_call call, uint64_t n, int error);
void fs_sim_space(struct fs_sim *sim, int64_t bytes); /* size of the disk; INT64_MAX at first */
int64_t fs_sim_used(const struct fs_sim *sim);
/* Share of reads that find nothing in memory (percent). */
void fs_sim_cold(struct fs_sim *sim, unsigned percent);
void fs_sim_clock(struct fs_sim *sim, int64_t now_ms); /* stands still otherwise */
uint64_t fs_sim_changes(const struct fs_sim *sim);     /* changing calls so far */
/* Random numbers of the same seed, for the test's own decisions. */
uint64_t fs_sim_random(struct fs_sim *sim, uint64_t below);

#endif
