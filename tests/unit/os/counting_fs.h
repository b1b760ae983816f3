/* The real file system, counting what is read and opened. */
#ifndef CROCKET_TESTS_COUNTING_FS_H
#define CROCKET_TESTS_COUNTING_FS_H

#include "os/fs.h"

static _Atomic int64_t counted_reads, counted_opens; /* background threads count, too */

static inline ssize_t counted_pread(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    counted_reads++;
    return fs_real()->pread(fs_real(), fd, buf, n, at);
}

static inline int counted_open(const struct fs *fs, const char *path, int flags)
{
    counted_opens++;
    return fs_real()->open(fs_real(), path, flags);
}

static inline const struct fs *counting_fs(void)
{
    static struct fs fs;
    fs = *fs_real();
    fs.pread = counted_pread;
    fs.open = counted_open;
    return &fs;
}

#endif
