/*
 * Messages that wait for their time, as files: wheel, timer log and checkpoint together, in Java's formats. Knows where
 * the messages stand in the commit log, but not the messages themselves.
 *
 * Order on the disk: units go to the log, then the wheel learns of them, then the checkpoint. All three are in the page
 * cache at once, so the death of the process loses nothing: what the checkpoint does not know yet is found in the log.
 * What the checkpoint says durably (Java's part of it) is written by timers_flush after the rest was synced; the caller
 * sees to it that what it delivered is durable before.
 *
 * Ownership: timers_close ends it. Threads: one at a time, but timers_num and timers_total from any. May block.
 */
#ifndef CROCKET_TIMER_TIMERS_H
#define CROCKET_TIMER_TIMERS_H

#include "timer/timer_checkpoint.h"
#include "timer/timer_log.h"
#include "timer/wheel.h"

enum { TIMERS_SLOTS = 7 * 24 * 3600 }; /* the wheel's turn is twice that */

struct timers_conf {
    const char *root; /* of the store: root/timerwheel, root/timerlog, root/config/timercheck */
    const char *boot_id;
    int64_t slots; /* TIMERS_SLOTS */
    int64_t window_slots;
    int32_t precision_ms;
    int64_t log_file_size;
    int64_t physical_max; /* end of the commit log when the timers are opened */
};

struct timers;

/* A message for the wheel. */
struct timer_entry {
    int64_t deliver_ms; /* a multiple of the precision */
    int64_t physical_offset;
    int32_t size;
    int32_t topic_hash;
    bool deletes; /* it takes back another message */
};

/* Loads and recovers what is there. Files are made with the first message. now_ms: where reading begins without a
 * checkpoint. */
int timers_open(struct timers **out, const struct timers_conf *conf, const struct fs *fs, int64_t now_ms,
                struct err *err);
/* clean: what is delivered is durable; makes all the rest durable too. */
int timers_close(struct timers *t, bool clean, struct err *err);

/* Puts messages that came at write_ms; those too far ahead roll. Answers how many are in, or a negative errno. */
int64_t timers_add(struct timers *t, int64_t write_ms, const struct timer_entry *e, size_t n);
/* The message is in the wheel already: only for some of those that come first after a start. */
bool timers_known(const struct timers *t, const struct timer_entry *e);

/* Everything before is delivered. */
int64_t timers_read_ms(const struct timers *t);
/* The next time in [timers_read_ms, to) that has messages, which reading moves on to; false: none, reading is at to. */
bool timers_due(struct timers *t, int64_t to, struct wheel_slot *slot);
/* Units of a due slot, backwards: see tlog_walk. */
int64_t timers_walk(struct timers *t, int64_t pos, int64_t time_ms, struct tlog_unit *out, size_t max, int64_t *next);
/* So many messages of the slot at timers_read_ms are delivered: the place to go on from after a start. */
int64_t timers_done(const struct timers *t);
void timers_set_done(struct timers *t, int64_t done);
void timers_slot_done(struct timers *t); /* all of them: reading goes on with the next */

int64_t timers_queue_offset(const struct timers *t);
void timers_set_queue_offset(struct timers *t, int64_t offset);

/* Messages that wait: of one time, of all. Any thread. */
int32_t timers_num(const struct timers *t, int64_t time_ms);
int64_t timers_total(const struct timers *t);

/* Writes the state to the checkpoint so that it outlives the process. */
int timers_save(struct timers *t, struct err *err);
/* A moment of which timers_flush will write that it is durable. */
void timers_snapshot(struct timers *t, int64_t now_ms);
/* -1: failed; err->code EIO is final, the state of the files is unknown then. */
int timers_flush(struct timers *t, struct err *err);
/* Removes log files of which nothing is left from that offset of the commit log on. */
int timers_clean(struct timers *t, int64_t physical_min, struct err *err);
/* Java's part of the checkpoint as of now. */
struct tcheck_java timers_checkpoint(const struct timers *t);

#endif
