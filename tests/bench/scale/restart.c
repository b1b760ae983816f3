/* Starts with a very long log. */
#include "scale.h"

static void write_for(struct bench *b, int64_t ms)
{
    open_store(b, true);
    int64_t until = clock_mono_ms() + ms;
    struct cq *q[8];
    for (int i = 0; i < 8; i++)
        q[i] = queue(b, i);
    for (int64_t n = 0; n % 4096 || clock_mono_ms() < until; n++)
        put(b, q[n % 8], 1024);
}

static void sparse_segment(const struct bench *b, int64_t base)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/commitlog/%020" PRId64, b->conf.storePathRootDir, base);
    sparse_file(b, path, b->conf.mappedFileSizeCommitLog);
}

int restart(struct bench *b, int64_t gib, int64_t unused)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/commitlog", b->conf.storePathRootDir);
    if (fs_mkdirs(b->fs, path))
        die("cannot make the folder");
    int64_t begin = (gib > 4 ? gib - 4 : 0) << 30;
    sparse_segment(b, begin);
    in_killed_child(write_for, b, 4000);
    for (int64_t base = 0; base < begin; base += b->conf.mappedFileSizeCommitLog)
        sparse_segment(b, base);
    report_start(b, "kill -9 under full load:");
    struct store_stats st;
    store_stats(b->s, &st);
    printf("log of %" PRId64 " MiB\n", (st.log_max - st.log_min) >> 20);
    close_store(b);
    report_start(b, "clean stop:");
    report_in_use(b);
    close_store(b);
    return 0;
}
