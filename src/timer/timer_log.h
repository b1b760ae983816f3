/*
 * The timer log: one unit of 52 bytes for each message that waits for its time, in the order in which they came. The
 * units of a time form a chain backwards, whose last one the wheel knows. Files "timerlog/OFFSET" as Java writes them.
 *
 * Ownership: tlog_close ends it. Threads: one at a time. May block.
 */
#ifndef CROCKET_TIMER_TIMER_LOG_H
#define CROCKET_TIMER_TIMER_LOG_H

#include "base/err.h"
#include "os/fs.h"

enum { TLOG_UNIT = 52, TLOG_DEFAULT = 1, TLOG_ROLL = 2, TLOG_DELETE = 4 };

struct tlog;

struct tlog_unit {
    int64_t prev; /* unit before it of the same time, -1: none */
    int32_t magic;
    int64_t write_ms;
    int32_t delay_ms; /* its time less write_ms */
    int64_t physical_offset;
    int32_t size;
    int32_t topic_hash;
};

static inline int64_t tlog_time(const struct tlog_unit *u)
{
    return u->write_ms + u->delay_ms;
}

/* Takes the files of dir without looking into them; the end is where tlog_scan finds it. */
int tlog_open(struct tlog **out, const struct fs *fs, const char *dir, int64_t file_size, struct err *err);
void tlog_close(struct tlog *t);
bool tlog_empty(const struct tlog *t); /* there are no files */
int64_t tlog_min(const struct tlog *t);
int64_t tlog_end(const struct tlog *t);
int64_t tlog_flushed(const struct tlog *t);
/* The beginning of the file that holds pos, or of the first one. */
int64_t tlog_file_of(const struct tlog *t, int64_t pos);

/* Calls fn with every unit from pos on, as far as there are good ones and fn answers true. The end of those, or a
 * negative errno. */
typedef bool (*tlog_scan_fn)(void *arg, int64_t pos, const struct tlog_unit *u);
int64_t tlog_scan(struct tlog *t, int64_t pos, tlog_scan_fn fn, void *arg);
/* Ends the log at `end`: what stands behind it is wiped, later files are removed. flushed: known to be durable. */
int tlog_set_end(struct tlog *t, int64_t end, int64_t flushed, struct err *err);

/* How many units the next tlog_append may have, at least 1; a new file is made when it is time. Or a negative errno. */
int64_t tlog_room(struct tlog *t);
/* Writes n units at the end; the caller has chained them by the positions they get: tlog_end() + i * TLOG_UNIT. */
int tlog_append(struct tlog *t, const struct tlog_unit *u, size_t n);

/* Reads the chain of times [time_ms, time_ms + span) that ends at pos backwards: up to max units. *next: where it goes
 * on, -1 when that was all. Answers how many, or a negative errno. A chain whose beginning is gone or spoiled ends
 * early. */
int64_t tlog_walk(struct tlog *t, int64_t pos, int64_t time_ms, int32_t span, struct tlog_unit *out, size_t max,
                  int64_t *next);

int tlog_sync(struct tlog *t); /* an error is final */
/* Removes files, never the last, whose last message stood before the physical offset. How many, or a negative errno. */
int tlog_remove_before(struct tlog *t, int64_t physical_offset);

#endif
