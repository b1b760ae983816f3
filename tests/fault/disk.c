#include "fault/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ioctl that ext4 and XFS share (EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN), and its flag "do not flush the log". */
#define FS_SHUTDOWN _IOR('X', 125, uint32_t)
enum { NO_LOG_FLUSH = 2 };

extern char **environ;

static int run(const char *const argv[], struct err *err)
{
    pid_t pid;
    int status = 0;
    int r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (r)
        return err_sys(err, r, "cannot run %s", argv[0]);
    waitpid(pid, &status, 0);
    return status ? err_set(err, ECHILD, "%s failed (wait status %d)", argv[0], status) : 0;
}

static int mount_image(struct disk *d, struct err *err)
{
    const char *const argv[] = {"mount", "-o", "loop", d->image, d->mount, NULL};
    return run(argv, err);
}

int disk_make(struct disk *d, const char *dir, const char *kind, int64_t bytes, struct err *err)
{
    char mkfs[32];
    *d = (struct disk){.kind = kind};
    snprintf(d->image, sizeof d->image, "%s/image", dir);
    snprintf(d->mount, sizeof d->mount, "%s/mounted", dir);
    snprintf(mkfs, sizeof mkfs, "mkfs.%s", kind);
    umount2(d->mount, MNT_DETACH); /* of a run that ended badly */
    mkdir(dir, 0755);
    mkdir(d->mount, 0755);
    unlink(d->image);
    int fd = open(d->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, bytes))
        return err_sys(err, errno, "cannot make the disk image %s", d->image);
    close(fd);
    const char *const argv[] = {mkfs, "-q", d->image, NULL};
    return run(argv, err) || mount_image(d, err) ? -1 : 0;
}

int disk_cut(struct disk *d, struct err *err)
{
    uint32_t flags = NO_LOG_FLUSH;
    int fd = open(d->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -1 : ioctl(fd, FS_SHUTDOWN, &flags);
    int code = errno;
    if (fd >= 0)
        close(fd);
    return r ? err_sys(err, code, "cannot cut off the file system at %s", d->mount) : 0;
}

int disk_power_on(struct disk *d, struct err *err)
{
    if (umount2(d->mount, 0))
        return err_sys(err, errno, "cannot unmount %s", d->mount);
    return mount_image(d, err);
}

void disk_free(struct disk *d)
{
    umount2(d->mount, MNT_DETACH);
    rmdir(d->mount);
    unlink(d->image);
}
