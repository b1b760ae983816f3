/* The folders of queues and index lost, and built again from the log. */
#include "scale.h"

#include <fcntl.h>
#include <unistd.h>

static void drop_caches(const struct bench *b)
{
    const struct fs *fs = fs_real();
    char path[4096];
    struct store_stats st;
    store_stats(b->s, &st);
    for (int64_t base = st.log_min; base < st.log_max; base += b->conf.mappedFileSizeCommitLog) {
        snprintf(path, sizeof path, "%s/commitlog/%020" PRId64, b->conf.storePathRootDir, base);
        int fd = fs->open(fs, path, FS_READ);
        if (fd < 0 || fs->datasync(fs, fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
            die("cannot drop a segment from memory");
        fs->close(fs, fd);
    }
}

static void report_rate(const char *what, int64_t began_ns, int64_t bytes)
{
    double ms = ms_since(began_ns);
    printf("%-34s %8.1f ms, %.0f MB/s\n", what, ms, (double)bytes / ms / 1000);
    fflush(stdout);
}

static void lose_and_rebuild(struct bench *b, const char *how)
{
    static const char *const lost[] = {"consumequeue", "index"};
    char path[4096];
    struct store_stats st;
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->conf.storePathRootDir, lost[i]);
        if (fs_remove_tree(fs_real(), path))
            die("cannot remove a folder");
    }
    printf("%s\n", how);
    b->rebuilt = 0;
    int64_t began = clock_mono_ns();
    open_store(b, true);
    printf("%-34s %8.1f ms\n", "open, old messages can be read:", ms_since(began));
    if (!store_rebuilding(b->s))
        die("the log is too short to be rebuilt in the background");
    while (!__atomic_load_n(&b->rebuilt, __ATOMIC_ACQUIRE))
        usleep(1000);
    store_stats(b->s, &st);
    report_rate("queues rebuilt, messages taken:", began, st.log_max - st.log_min);
    began = clock_mono_ns();
    while (st.dispatched < st.log_max) {
        usleep(10000);
        store_stats(b->s, &st);
    }
    report_rate("index rebuilt behind them:", began, st.log_max - st.log_min);
}

int rebuild(struct bench *b, int64_t gib, int64_t body)
{
    open_store(b, true);
    struct cq *q[64];
    for (int i = 0; i < 64; i++)
        q[i] = queue(b, i);
    if (body < 1 || body > BODY_MAX)
        die("BODY must be 1 to 1024");
    for (int64_t n = 0; b->end < gib << 30; n++)
        put(b, q[n % 64], (size_t)body);
    flush_puts(b);
    store_wait_flushed(b->s, b->end);
    drop_caches(b);
    close_store(b);
    lose_and_rebuild(b, "from the disk");
    close_store(b);
    lose_and_rebuild(b, "from memory, as far as it is there");
    close_store(b);
    return 0;
}
