/*
 * Offline verification of a store directory, ours or Java's: every record of the commit log, consume queues against the
 * log both ways, index entries against the messages' keys, the checkpoint. Read-only; a live store may be checked, its
 * moving end is then left out.
 *
 * What a start after a crash repairs by itself (entries not written yet, a torn last record) is a note; everything else
 * that does not agree is a problem. One thread; blocks for as long as it takes to read the store.
 */
#ifndef CROCKET_STORE_STORE_CHECK_H
#define CROCKET_STORE_STORE_CHECK_H

#include "base/err.h"
#include "os/fs.h"

#include <stdbool.h>
#include <stdint.h>

struct store_finding {
    bool problem;      /* else a note */
    const char *part;  /* "commit log", "consume queue", "compaction log", "index", "checkpoint", "store" */
    const char *where; /* file, or topic and queue id */
    int64_t offset;    /* in the log, queue offset or entry number; -1 none */
    const char *text;  /* what is wrong */
};

struct store_check_options {
    const char *dir;
    const char *commitlog;              /* its folders, separated by ','; NULL: commitlog in dir */
    int32_t index_slots, index_entries; /* 0: RocketMQ's defaults */
    void *arg;
    void (*finding)(void *arg, const struct store_finding *f); /* views are valid during the call */
    void (*progress)(void *arg, int64_t done, int64_t total);  /* bytes of the log; may be NULL */
};

struct store_report {
    bool live;        /* a broker runs on it */
    bool after_crash; /* the abort file is there */
    int64_t log_files, log_min, log_end, messages;
    int64_t queues, queue_entries;                /* entries compared with their messages */
    int64_t not_queued_yet;                       /* messages at the end whose entries are not in the files */
    int64_t compacted_queues, compacted_messages; /* of compaction topics */
    int64_t index_files, index_entries;
    int64_t not_indexed; /* messages with keys outside of what the index files cover */
    int64_t problems, notes;
};

/* 0: checked (see report->problems); -1: the check itself could not be done. */
int store_check(const struct fs *fs, const struct store_check_options *options, struct store_report *report,
                struct err *err);

#endif
