/* What the files of the delayed delivery share. Not for others. */
#ifndef CROCKET_BROKER_SCHEDULE_SCHEDULE_INT_H
#define CROCKET_BROKER_SCHEDULE_SCHEDULE_INT_H

#include "broker/broker_int.h"
#include "message/delay_level.h"
#include "os/thread.h"

#define SCHEDULE_TOPIC "SCHEDULE_TOPIC_XXXX"

struct schedule {
    struct broker *b;
    char *path; /* delayOffset.json */
    struct delay_levels levels;

    pthread_mutex_t lock;                 /* offsets and version */
    int64_t offset[DELAY_LEVELS_MAX + 1]; /* next queue offset to deliver; -1: never used */
    struct data_version version;
    uint64_t updates;

    /* the delivering thread's own */
    struct thread thread;
    struct waker waker;
    atomic_bool stopping;
    struct store_batch *batch;
    struct buf record;
    int64_t delivered_end; /* physical end of the last message delivered */
    /* The state that waits to be saved until all that it says is delivered is durable. */
    bool has_snapshot;
    int64_t snapshot[DELAY_LEVELS_MAX + 1];
    int64_t snapshot_end;
    uint64_t saved_updates;
    int64_t next_save_ms;
};

/* schedule_file.c */
int schedule_save(struct schedule *s, const int64_t *offsets, struct err *err);
/* Saves when flushDelayOffsetInterval is over and what was delivered is durable. On the delivering thread. */
void schedule_save_when_due(struct schedule *s, int64_t now_ms);
void schedule_set_offset(struct schedule *s, int level, int64_t offset);
/* The level's queue; NULL while no message of that level was ever stored. */
struct cq *schedule_queue(struct schedule *s, int level);

#endif
