#include "os/clock.h"
#include "os/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int fail(void)
{
    return errno ? -errno : -EIO;
}

static int real_open(const struct fs *fs, const char *path, int flags)
{
    int how = O_CLOEXEC | (flags & FS_WRITE ? O_RDWR : O_RDONLY);
    if (flags & FS_CREATE)
        how |= O_CREAT;
    if (flags & FS_EXCLUSIVE)
        how |= O_EXCL;
    if (flags & FS_TRUNCATE)
        how |= O_TRUNC;
    int fd = open(path, how, 0644);
    return fd < 0 ? fail() : fd;
}

static void real_close(const struct fs *fs, int fd)
{
    /* Whatever matters was synced before; a failure here cannot be acted upon. */
    close(fd);
}

static ssize_t real_pread(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)buf + done, n - done, at + (int64_t)done);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return fail();
        }
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static ssize_t real_pread_nowait(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    struct iovec iov = {buf, n};
    for (;;) {
        ssize_t got = preadv2(fd, &iov, 1, at, RWF_NOWAIT);
        if (got >= 0)
            return got;
        if (errno == EINTR)
            continue;
        /* A file system without the flag cannot promise anything: treat all as cold. */
        return errno == EOPNOTSUPP || errno == ENOSYS ? -EAGAIN : fail();
    }
}

static ssize_t real_pwrite(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    for (;;) {
        ssize_t put = pwrite(fd, buf, n, at);
        if (put >= 0)
            return put;
        if (errno != EINTR)
            return fail();
    }
}

static ssize_t real_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int n_iov, int64_t at)
{
    for (;;) {
        ssize_t put = pwritev(fd, iov, n_iov, at);
        if (put >= 0)
            return put;
        if (errno != EINTR)
            return fail();
    }
}

static int real_datasync(const struct fs *fs, int fd)
{
    return fdatasync(fd) ? fail() : 0;
}

static int real_sync_range(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (sync_file_range(fd, at, n, flags) == 0)
        return 0;
    return errno == ENOSYS || errno == EOPNOTSUPP ? real_datasync(fs, fd) : fail();
}

static int real_sync_all(const struct fs *fs, int fd)
{
    return syncfs(fd) ? fail() : 0;
}

static int real_allocate(const struct fs *fs, int fd, int64_t size)
{
    for (;;) {
        if (fallocate(fd, 0, 0, size) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return fail();
        break;
    }
    /* A file system without preallocation: the size is set, a full device shows later, on write. */
    return ftruncate(fd, size) ? fail() : 0;
}

static int real_truncate(const struct fs *fs, int fd, int64_t size)
{
    return ftruncate(fd, size) ? fail() : 0;
}

static int real_zero(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    if (n <= 0 || fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, n) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return fail();
    return fs_write_zeros(fs, fd, at, n);
}

static int64_t real_next_data(const struct fs *fs, int fd, int64_t at)
{
    off_t found = lseek(fd, at, SEEK_DATA);
    if (found >= 0)
        return found;
    if (errno != ENXIO)
        return errno == EINVAL || errno == EOPNOTSUPP ? at : fail();
    struct stat st;
    return fstat(fd, &st) ? fail() : st.st_size;
}

static void real_readahead(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    (void)posix_fadvise(fd, at, n, POSIX_FADV_WILLNEED);
}

static void real_scattered(const struct fs *fs, int fd, bool yes)
{
    (void)posix_fadvise(fd, 0, 0, yes ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
}

static void real_dontneed(const struct fs *fs, int fd, int64_t at, int64_t n)
{
    (void)posix_fadvise(fd, at, n, POSIX_FADV_DONTNEED);
}

static int real_map(const struct fs *fs, int fd, size_t len, bool writable, void **out)
{
    void *p = mmap(NULL, len, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return fail();
    *out = p;
    return 0;
}

static void real_unmap(const struct fs *fs, void *map, size_t len)
{
    munmap(map, len);
}

static int real_map_sync(const struct fs *fs, void *map, size_t len)
{
    return msync(map, len, MS_SYNC) ? fail() : 0;
}

static bool real_map_resident(const struct fs *fs, const void *map, size_t at, size_t n)
{
    enum { PAGE = 4096, CHUNK = 256 };
    unsigned char in[CHUNK];
    uintptr_t from = ((uintptr_t)map + at) & ~(uintptr_t)(PAGE - 1);
    uintptr_t to = (uintptr_t)map + at + n;
    while (from < to) {
        size_t pages = (to - from + PAGE - 1) / PAGE;
        if (pages > CHUNK)
            pages = CHUNK;
        if (mincore((void *)from, pages * PAGE, in))
            return false;
        for (size_t i = 0; i < pages; i++)
            if (!(in[i] & 1))
                return false;
        from += pages * PAGE;
    }
    return true;
}

static int real_rename(const struct fs *fs, const char *from, const char *to)
{
    return rename(from, to) ? fail() : 0;
}

static int real_unlink(const struct fs *fs, const char *path)
{
    return unlink(path) ? fail() : 0;
}

static int real_mkdir(const struct fs *fs, const char *path)
{
    return mkdir(path, 0755) ? fail() : 0;
}

static int real_rmdir(const struct fs *fs, const char *path)
{
    return rmdir(path) ? fail() : 0;
}

static int real_sync_dir(const struct fs *fs, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail();
    int r = fsync(fd) ? fail() : 0;
    close(fd);
    /* Some network file systems cannot sync a directory and say so. */
    return r == -EINVAL ? 0 : r;
}

static int real_list(const struct fs *fs, const char *path, fs_list_fn fn, void *arg)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return fail();
    int r = 0;
    struct dirent *e;
    while (r == 0 && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        bool is_dir = e->d_type == DT_DIR;
        if (e->d_type == DT_UNKNOWN || e->d_type == DT_LNK) {
            struct stat st;
            is_dir = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
        }
        r = fn(arg, e->d_name, is_dir);
    }
    closedir(d);
    return r;
}

static void fill(struct fs_stat *out, const struct stat *st)
{
    out->size = st->st_size;
    out->blocks_bytes = (int64_t)st->st_blocks * 512;
    out->mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    out->is_dir = S_ISDIR(st->st_mode);
}

static int real_stat(const struct fs *fs, const char *path, struct fs_stat *out)
{
    struct stat st;
    if (stat(path, &st))
        return fail();
    fill(out, &st);
    return 0;
}

static int real_fstat(const struct fs *fs, int fd, struct fs_stat *out)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail();
    fill(out, &st);
    return 0;
}

static int real_lock(const struct fs *fs, int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    /* An open-file-description lock collides with Java's record lock, and is not lost when another descriptor of the
     * file is closed. */
    if (fcntl(fd, F_OFD_SETLK, &l) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : fail();
}

static int real_space(const struct fs *fs, const char *path, int64_t *total, int64_t *usable)
{
    struct statvfs v;
    if (statvfs(path, &v))
        return fail();
    /* Without what is reserved for the superuser, so that total - usable is what is used (as df and Java count it). */
    *total = (int64_t)(v.f_blocks - v.f_bfree + v.f_bavail) * (int64_t)v.f_frsize;
    *usable = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
    return 0;
}

static int64_t real_now_ms(const struct fs *fs)
{
    return clock_wall_ms();
}

const struct fs *fs_real(void)
{
    static const struct fs table = {
        .open = real_open,
        .close = real_close,
        .pread = real_pread,
        .pread_nowait = real_pread_nowait,
        .pwrite = real_pwrite,
        .pwritev = real_pwritev,
        .datasync = real_datasync,
        .sync_all = real_sync_all,
        .sync_range = real_sync_range,
        .allocate = real_allocate,
        .truncate = real_truncate,
        .zero = real_zero,
        .next_data = real_next_data,
        .readahead = real_readahead,
        .scattered = real_scattered,
        .dontneed = real_dontneed,
        .map = real_map,
        .unmap = real_unmap,
        .map_sync = real_map_sync,
        .map_resident = real_map_resident,
        .rename = real_rename,
        .unlink = real_unlink,
        .mkdir = real_mkdir,
        .rmdir = real_rmdir,
        .sync_dir = real_sync_dir,
        .list = real_list,
        .stat = real_stat,
        .fstat = real_fstat,
        .lock = real_lock,
        .space = real_space,
        .now_ms = real_now_ms,
    };
    return &table;
}
