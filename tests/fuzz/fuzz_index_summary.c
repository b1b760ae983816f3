/*
 * A summary of index files with any content: loading and asking never crash, and it never hides the keys of files that
 * it does not cover. Input: the bytes of the summary file.
 */
#include "base/log.h"
#include "fuzz/must.h"
#include "os/fs_sim.h"
#include "store/index.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 11, ENTRIES = 20, FOUND_MAX = 100, SIZE_MAX_TRIED = 1 << 16 };

#define TOPIC STR_LIT("T")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct index *load(const struct fs *fs)
{
    struct err err;
    struct index *ix = index_new(fs, "/index", SLOTS, ENTRIES);
    must(ix && index_summarize_from(ix, "/summaries", 1) == 0 && index_load(ix, INDEX_CLEAN, 0, &err) == 0);
    return ix;
}

static bool has(struct index *ix, int n)
{
    int64_t out[FOUND_MAX];
    char key[16];
    snprintf(key, sizeof key, "k%d", n);
    const struct index_asked asked = {TOPIC, str_from(key), INT64_MIN, INT64_MAX, NULL, NULL};
    size_t found = index_query(ix, &asked, out, FOUND_MAX);
    for (size_t i = 0; i < found; i++)
        if (out[i] == n * 100)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { KEYS = 3 * (ENTRIES - 1) + 5 };
    struct err err;
    int64_t time;
    log_set_fd(-1);
    if (size > SIZE_MAX_TRIED)
        return 0;
    struct fs_sim *sim = fs_sim_new(1);
    must(sim != NULL);
    const struct fs *fs = fs_sim_fs(sim);
    must(fs_mkdirs(fs, "/summaries") == 0);
    struct index *ix = load(fs);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        must(index_add(ix, TOPIC, STR_NULL, str_from(key), i * 100, 1700000000000 + i, &err) == 0);
    }
    must(index_flush(ix, &time, &err) == 0);
    index_free(ix);
    must(fs_replace(fs, "/summaries/20240101000000000-1", data, size) == 0);
    ix = load(fs);
    for (int i = 0; i < KEYS; i++)
        must(has(ix, i) || i < 3 * (ENTRIES - 1)); /* the last file is not full: nothing covers it */
    while (index_summarize(ix, NULL, NULL))
        continue;
    index_free(ix);
    fs_sim_free(sim);
    return 0;
}
