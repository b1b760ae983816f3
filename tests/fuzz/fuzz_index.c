/*
 * An index file with any content: loading, asking, adding, flushing and loading again never crash, loop or lose what
 * was added afterwards. Input: a byte that chooses how to load, then the file's bytes.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/index.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 11, ENTRIES = 20, FILE_SIZE = 40 + SLOTS * 4 + ENTRIES * 20, FOUND_MAX = 100 };

#define TOPIC STR_LIT("T")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t ask(struct index *ix, const char *key, int64_t *out)
{
    const struct index_asked asked = {TOPIC, str_from(key), INT64_MIN, INT64_MAX, NULL, NULL};
    size_t n = index_query(ix, &asked, out, FOUND_MAX);
    must(n <= FOUND_MAX);
    return n;
}

static struct index *load(const struct fs *fs, bool crash, int64_t time)
{
    struct err err;
    struct index *ix = index_new(fs, "/index", SLOTS, ENTRIES);
    must(ix != NULL && index_load(ix, crash ? INDEX_OWN_CRASH : INDEX_CLEAN, time, &err) == 0);
    return ix;
}

static void try_all(const struct fs *fs, uint8_t how)
{
    int64_t out[FOUND_MAX], time, far = INT64_MAX - 1000;
    struct err err;
    struct index *ix = load(fs, how & 1, how & 2 ? INT64_MAX : 1700000000000);
    ask(ix, "a", out);
    ask(ix, "b", out);
    int64_t end = index_end_offset(ix);
    int added = 0;
    for (int i = 0; i < 30; i++) {
        char keys[16];
        snprintf(keys, sizeof keys, "new x%d", i);
        must(index_add(ix, TOPIC, STR_NULL, str_from(keys), far + i, 1700000000000 + i, &err) == 0);
        added += far + i > end;
    }
    size_t before = ask(ix, "new", out);
    must(end > far || (before >= (size_t)added && out[0] == far + 29));
    must(index_flush(ix, &time, &err) == 0);
    index_clean(ix, end);
    must(ask(ix, "new", out) <= before);
    index_free(ix);
    ix = load(fs, true, time);
    must(end > far || ask(ix, "new", out) > 0);
    index_free(ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_fd(-1);
    if (size < 2 || size > FILE_SIZE + 1)
        return 0;
    struct fs_sim *sim = fs_sim_new(1);
    must(sim != NULL);
    const struct fs *fs = fs_sim_fs(sim);
    must(fs_mkdirs(fs, "/index") == 0);
    int fd = fs->open(fs, "/index/20240101000000000", FS_WRITE | FS_CREATE);
    must(fd >= 0 && fs->truncate(fs, fd, FILE_SIZE) == 0 && fs_write_all(fs, fd, data + 1, size - 1, 0) == 0);
    fs->close(fs, fd);
    try_all(fs, data[0]);
    fs_sim_free(sim);
    return 0;
}
