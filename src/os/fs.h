/*
 * Files as a table of functions. fs_real() is the kernel's file system; fs_sim.h has a simulated twin that can crash,
 * tear writes, run out of space and fail, so nothing above this layer may call open, write, mmap ... itself.
 *
 * Every function answers a negative errno value on failure (-ENOENT, -EIO, -ENOSPC ...) and is tried once: what a
 * failure means is decided above. Descriptors belong to whoever opened them. With fs_real they are the kernel's own
 * (sendfile works). Any thread; calls on one descriptor may run side by side.
 */
#ifndef CROCKET_OS_FS_H
#define CROCKET_OS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct fs_stat {
    int64_t size;
    int64_t blocks_bytes; /* really allocated on the device */
    int64_t mtime_ms;
    bool is_dir;
};

enum fs_open {
    FS_READ = 0,
    FS_WRITE = 1,     /* for reading and writing */
    FS_CREATE = 2,    /* when absent */
    FS_EXCLUSIVE = 4, /* fail with -EEXIST when there (with FS_CREATE) */
    FS_TRUNCATE = 8,
};

/* Visits one directory entry ("." and ".." are left out); a result other than 0 ends the listing and is its result. */
typedef int (*fs_list_fn)(void *arg, const char *name, bool is_dir);

struct fs {
    void *ctx; /* the implementation's own */

    int (*open)(const struct fs *fs, const char *path, int flags); /* descriptor */
    void (*close)(const struct fs *fs, int fd);

    /* May be short only at the end of the file. */
    ssize_t (*pread)(const struct fs *fs, int fd, void *buf, size_t n, int64_t at);
    /* Only what is in memory: -EAGAIN when nothing of it is, may be short. */
    ssize_t (*pread_nowait)(const struct fs *fs, int fd, void *buf, size_t n, int64_t at);
    /* May write less than asked when the device is full or fails: the next write tells the error. */
    ssize_t (*pwrite)(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at);
    ssize_t (*pwritev)(const struct fs *fs, int fd, const struct iovec *iov, int n_iov, int64_t at);

    /* After a failure the kernel may have dropped the dirty pages: never call it a second time to "repair". */
    int (*datasync)(const struct fs *fs, int fd);
    /* Brings the bytes of the range to the disk, as far as they stand in blocks the file had before; sync_dir or
     * datasync behind it empties the disk's own cache. Costs no more than the range, whatever else of the file is
     * dirty. */
    int (*sync_range)(const struct fs *fs, int fd, int64_t at, int64_t n);
    /* Everything written and named so far on the file system that holds the descriptor's file is durable: for many
     * files at once. Reports what failed since the descriptor was opened, whichever file it was. */
    int (*sync_all)(const struct fs *fs, int fd);
    /* Real blocks for [0, size), reading as zero, and the size of the file set to it. */
    int (*allocate)(const struct fs *fs, int fd, int64_t size);
    int (*truncate)(const struct fs *fs, int fd, int64_t size);
    /* The range reads as zero from now on; the file's size stays. */
    int (*zero)(const struct fs *fs, int fd, int64_t at, int64_t n);
    /* First place at or behind `at` that may hold something else than zero, the file's size if there is none. */
    int64_t (*next_data)(const struct fs *fs, int fd, int64_t at);
    /* Hint: starts reading the range into memory. */
    void (*readahead)(const struct fs *fs, int fd, int64_t at, int64_t n);
    /* Hint: reads of this descriptor ask for all they want; nothing behind it is to be read ahead. */
    void (*scattered)(const struct fs *fs, int fd, bool yes);
    /* Hint: the pages of the range are not wanted any more. */
    void (*dontneed)(const struct fs *fs, int fd, int64_t at, int64_t n);

    /* Shared mapping of [0, len); coherent with pread and pwrite. Stores into a writable one are durable after
     * map_sync. */
    int (*map)(const struct fs *fs, int fd, size_t len, bool writable, void **out);
    void (*unmap)(const struct fs *fs, void *map, size_t len);
    int (*map_sync)(const struct fs *fs, void *map, size_t len); /* the whole mapping; same rule as datasync */
    /* All pages of map[at, at + n) are in memory. */
    bool (*map_resident)(const struct fs *fs, const void *map, size_t at, size_t n);

    int (*rename)(const struct fs *fs, const char *from, const char *to);
    int (*unlink)(const struct fs *fs, const char *path);
    int (*mkdir)(const struct fs *fs, const char *path); /* one level; -EEXIST when there */
    int (*rmdir)(const struct fs *fs, const char *path);
    /* Names created, renamed and removed in the directory are durable after this. */
    int (*sync_dir)(const struct fs *fs, const char *path);
    int (*list)(const struct fs *fs, const char *path, fs_list_fn fn, void *arg); /* any order */
    int (*stat)(const struct fs *fs, const char *path, struct fs_stat *out);
    int (*fstat)(const struct fs *fs, int fd, struct fs_stat *out);
    /* Exclusive lock of byte range [0, 1), as Java's FileChannel.tryLock(0, 1, false); held until close. -EAGAIN:
     * taken. */
    int (*lock)(const struct fs *fs, int fd);
    /* Of the partition holding path: bytes in all, and usable by this process. */
    int (*space)(const struct fs *fs, const char *path, int64_t *total, int64_t *usable);
    /* Wall clock, ms since 1970, that the files are stamped with. */
    int64_t (*now_ms)(const struct fs *fs);
};

const struct fs *fs_real(void);

/* Helpers over any implementation. */

/* Writes all of it, going on after short writes; 0 or the error. */
int fs_write_all(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at);
/* Writes n zero bytes, 64 KiB at a time; 0 or the error. */
int fs_write_zeros(const struct fs *fs, int fd, int64_t at, int64_t n);
/* Reads exactly n bytes; -ENODATA when the file is shorter. */
int fs_read_all(const struct fs *fs, int fd, void *buf, size_t n, int64_t at);
/* 1 when all bytes of [at, end) are zero, 0 when not. Passes over holes and unwritten space without reading it. */
int fs_all_zero(const struct fs *fs, int fd, int64_t at, int64_t end);
/* Where the last byte of [at, end) that is not zero ends; `at` when there is none. */
int64_t fs_nonzero_end(const struct fs *fs, int fd, int64_t at, int64_t end);
/* Makes the directory and its parents. 0 also when it is there. */
int fs_mkdirs(const struct fs *fs, const char *path);
/* The directory a path lies in: everything before the last slash, "." without one. False when out is too small. */
bool fs_parent(const char *path, char *out, size_t size);
/* The name of the file, made before, survives the loss of power. 0 or a negative errno value. */
int fs_sync_name(const struct fs *fs, const char *path);
/* Replaces the file: temporary name, write, sync, rename, sync of the directory. */
int fs_replace(const struct fs *fs, const char *path, const void *data, size_t n);
/* The whole file in malloc'd memory (one NUL behind it); -EFBIG above max. */
int fs_load(const struct fs *fs, const char *path, size_t max, char **data, size_t *n);
bool fs_exists(const struct fs *fs, const char *path);
/* Names of the plain files (dirs: of the sub-directories) in a directory, sorted: malloc'd array of malloc'd strings.
 * -ENOENT when there is no directory. */
int fs_list_sorted(const struct fs *fs, const char *dir, bool dirs, char ***names, size_t *count);
void fs_names_free(char **names, size_t count);
/* Removes a file, or a directory with all in it. 0 also when absent. */
int fs_remove_tree(const struct fs *fs, const char *path);

#endif
