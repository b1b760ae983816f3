/* A temporary directory for one test: made by tmpdir_make, removed with all in it by tmpdir_remove. Also small file
 * helpers. */
#ifndef CROCKET_TESTS_STORE_TMPDIR_H
#define CROCKET_TESTS_STORE_TMPDIR_H

#include "os/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tmpdir {
    char path[256];
};

static inline void tmpdir_make(struct tmpdir *d)
{
    const char *base = getenv("TMPDIR");
    snprintf(d->path, sizeof d->path, "%s/crocket-test-XXXXXX", base ? base : "/tmp");
    if (mkdtemp(d->path) == NULL) {
        perror("mkdtemp");
        abort();
    }
}

static inline void tmpdir_remove(struct tmpdir *d)
{
    if (fs_remove_tree(fs_real(), d->path))
        fprintf(stderr, "cannot remove %s\n", d->path);
}

/* The file's bytes in malloc'd memory; NULL when it cannot be read. */
static inline unsigned char *file_bytes(const char *path, size_t *n)
{
    char *data;
    return fs_load(fs_real(), path, (size_t)1 << 30, &data, n) ? NULL : (unsigned char *)data;
}

static inline void file_patch(const char *path, long at, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "r+b");
    if (f == NULL || fseek(f, at, SEEK_SET) || fwrite(bytes, 1, n, f) != n || fclose(f)) {
        perror(path);
        abort();
    }
}

static inline long file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (long)st.st_size;
}

#endif
