/*
 * A file system of its own for a server under test, on a file by way of the loop driver, whose power can be cut: what
 * its page cache has not written back is gone then, and so is the part of its journal that was not flushed. Needs root,
 * and a kernel that can.
 *
 * Ownership: disk_free unmounts and removes it. One thread.
 */
#ifndef CROCKET_FAULT_DISK_H
#define CROCKET_FAULT_DISK_H

#include "base/err.h"

#include <stdint.h>

struct disk {
    const char *kind; /* "ext4" or "xfs" */
    char image[512], mount[512];
};

int disk_make(struct disk *d, const char *dir, const char *kind, int64_t bytes, struct err *err);
/* From now on every write and sync fails and nothing more reaches the image. The server may still run. */
int disk_cut(struct disk *d, struct err *err);
/* Mounts what the image holds, which replays the journal. Nobody may use the mounted folder. */
int disk_power_on(struct disk *d, struct err *err);
void disk_free(struct disk *d);

#endif
