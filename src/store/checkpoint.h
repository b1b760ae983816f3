/*
 * The checkpoint file: a page whose first 40 bytes are Java's (up to which store time log, queues and index are safe on
 * the disk), and behind them our own more exact marks as log offsets, which Java leaves alone. All marks only ever
 * understate. Plain values; one thread at a time.
 */
#ifndef CROCKET_STORE_CHECKPOINT_H
#define CROCKET_STORE_CHECKPOINT_H

#include "base/err.h"
#include "os/fs.h"

/* Folders of queues that were there: when one of them is not, its queues are lost. */
enum checkpoint_folder { FOLDER_QUEUES = 1, FOLDER_BATCH_QUEUES = 2 };

struct checkpoint {
    int64_t log_time;    /* physicMsgTimestamp */
    int64_t queues_time; /* logicsMsgTimestamp */
    int64_t index_time;  /* indexMsgTimestamp */
    int64_t master_flushed;
    int64_t confirm;
    /* Ours; valid only if have_marks: a Java broker that stored something has moved the times above without them. */
    bool have_marks;
    int64_t log_mark;    /* the log below is whole and durable */
    int64_t queues_mark; /* entries of all records below are in queue files, durably */
    int64_t index_mark;  /* keys of all records below are in index files, durably */
    int64_t shared_mark; /* position below which the shared files of small queues are durable; -1: there are none */
    uint32_t folders;    /* checkpoint_folder bits: what the marks vouch for lies there too */
};

/* All zero when there is no file. */
int checkpoint_read(struct checkpoint *c, const struct fs *fs, const char *path, struct err *err);
/* Durable when it returns 0. */
int checkpoint_write(const struct checkpoint *c, const struct fs *fs, const char *path, struct err *err);
/* Java's rule: messages stored before this time are safe. */
int64_t checkpoint_min_time(const struct checkpoint *c);

#endif
