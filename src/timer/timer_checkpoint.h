/*
 * config/timercheck: a page whose first 56 bytes are Java's (how far delivery and reading of the timer topic have come,
 * durably), and behind them our own more exact state, which is up to date but not durable: it holds as long as the
 * machine has not failed, and not when a Java broker has moved on. Plain values; one thread at a time.
 */
#ifndef CROCKET_TIMER_TIMER_CHECKPOINT_H
#define CROCKET_TIMER_TIMER_CHECKPOINT_H

#include "base/err.h"
#include "os/fs.h"

enum { TCHECK_JAVA_SIZE = 56, TCHECK_BOOT_SIZE = 40 };

struct tcheck_java {
    int64_t read_ms;             /* lastReadTimeMs: everything before is delivered */
    int64_t log_flushed;         /* lastTimerLogFlushPos */
    int64_t queue_offset;        /* lastTimerQueueOffset: everything before is in the wheel */
    int64_t master_queue_offset; /* the same on a master */
    int64_t state_version, timestamp, counter;
};

struct tcheck_live {
    int64_t read_ms, queue_offset;
    int64_t slot_done; /* messages of the time read_ms that are delivered */
    int64_t log_end;
    int64_t total; /* in the wheel */
    bool clean;    /* all of it is durable */
};

struct tcheck {
    struct tcheck_java java;
    struct tcheck_live live;
    bool there;     /* there is a file */
    bool have_live; /* live can be trusted */
};

/* boot_id: names the run of the machine, "" when unknown. */
int tcheck_read(struct tcheck *c, const struct fs *fs, const char *path, const char *boot_id, struct err *err);
/* Writes both parts; with sync durably. The descriptor of the file, opened by tcheck_open, is the caller's. */
int tcheck_open(const struct fs *fs, const char *path, struct err *err);
int tcheck_write(const struct tcheck *c, const struct fs *fs, int fd, const char *boot_id, bool sync);
void tcheck_encode(const struct tcheck_java *c, uint8_t out[TCHECK_JAVA_SIZE]);

#endif
