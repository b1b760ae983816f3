/* The files of messages that wait: the first byte says which of them the rest of the input becomes (the checkpoint, a
 * slot and its neighbours of the wheel, the timer log); then all is loaded, read to the end and added to. */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "os/fs_sim.h"
#include "timer/timers.h"

enum { STEP = 1000, SLOTS = 300, FILE_SIZE = 52 * 20 + 30 };

static const int64_t T0 = 1700000000000;

static void put(const struct fs *fs, const char *path, const uint8_t *data, size_t n, int64_t at, int64_t size)
{
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0 || fs->truncate(fs, fd, size) || (n && fs_write_all(fs, fd, data, n, at)))
        abort();
    fs->close(fs, fd);
}

static void put_input(const struct fs *fs, const uint8_t *data, size_t n)
{
    size_t rest = n - 1;
    int64_t wheel = INT64_C(2) * SLOTS * 32, at = T0 / STEP % (2 * SLOTS) * 32;
    const char *log = "/s/timerlog/00000000000000000000";
    switch (data[0] % 3) {
    case 0:
        put(fs, "/s/config/timercheck", data + 1, rest < 4096 ? rest : 4096, 0, 4096);
        break;
    case 1:
        put(fs, "/s/timerwheel", data + 1, (int64_t)rest < wheel - at ? rest : (size_t)(wheel - at), at, wheel);
        break;
    default:
        put(fs, log, data + 1, rest < FILE_SIZE ? rest : FILE_SIZE, 0, FILE_SIZE);
    }
}

static void use(struct timers *t)
{
    struct tlog_unit u[16];
    struct wheel_slot s;
    struct err err;
    struct timer_entry e = {T0 + 20 * STEP, 500, 100, 7, false};
    int64_t next;
    for (int i = 0; i < 2 * SLOTS && timers_due(t, T0 + 15 * STEP, &s); i++) {
        for (int64_t pos = s.last; pos >= 0; pos = next)
            if (timers_walk(t, pos, s.time_ms, u, 16, &next) < 0)
                break;
        timers_slot_done(t);
    }
    (void)timers_known(t, &e);
    (void)timers_add(t, T0 + 15 * STEP, &e, 1);
    timers_snapshot(t, T0);
    (void)timers_flush(t, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fs_sim *disk = fs_sim_new(1);
    struct timers *t;
    struct err err;
    if (n == 0 || disk == NULL) {
        fs_sim_free(disk);
        return 0;
    }
    log_set_level(LOG_ERROR);
    const struct fs *fs = fs_sim_fs(disk);
    struct timers_conf conf = {"/s", "boot", SLOTS, 100, STEP, FILE_SIZE, INT64_MAX};
    if (fs_mkdirs(fs, "/s/config") || fs_mkdirs(fs, "/s/timerlog"))
        abort();
    put_input(fs, data, n);
    if (timers_open(&t, &conf, fs, T0, &err) == 0) {
        use(t);
        (void)timers_close(t, true, &err);
    }
    fs_sim_free(disk);
    return 0;
}
