/*
 * Repairing a store directory that a broker refuses, or whose check found problems. What is taken out of it is kept
 * under DIR/repaired; consume queues and index are built again from the log by the next start, ours or Java's.
 * One thread; blocks for as long as it takes to read the log. Nobody may run on the directory: its lock is taken.
 */
#ifndef CROCKET_STORE_STORE_REPAIR_H
#define CROCKET_STORE_STORE_REPAIR_H

#include "base/err.h"
#include "os/fs.h"

enum repair_choice {
    REPAIR_REBUILD, /* only queues and index; damage of the log is told and left */
    REPAIR_SKIP,    /* damaged places become fillers, so that reading goes on behind them */
    REPAIR_CUT,     /* the log ends at the first damage */
};

struct repair_step {
    const char *file;
    int64_t offset, bytes; /* in the log; -1 for what is not of the log */
    const char *text;      /* what is wrong and what is done */
};

struct repair_options {
    const char *dir, *commitlog; /* commitlog NULL: in dir */
    enum repair_choice choice;
    bool dry_run; /* only tell */
    void *arg;
    void (*step)(void *arg, const struct repair_step *s);
    void (*progress)(void *arg, int64_t done, int64_t total); /* may be NULL */
};

struct repair_report {
    int64_t damages, damaged_bytes, cut_bytes, messages;
};

/* -1: it could not be done, or not to the end; may be called again. */
int store_repair(const struct fs *fs, const struct repair_options *options, struct repair_report *out, struct err *err);

#endif
