/*
 * The folders of the commit log: those of storePathCommitLog, separated by ',' as in Java, and those of
 * readOnlyCommitLogStorePaths, where nothing new is made. The rules of Java's broker 5.3 say which folder gets the next
 * file: of those that are neither full nor read-only, in the order of their names, one after the other by the file's
 * number. A folder in which no file could be made is passed over too, until the next round of cleaning.
 *
 * Ownership: log_dirs_free ends log_dirs_make. Threads: the list stands still; full and failed are atomic.
 */
#ifndef CROCKET_STORE_LOG_DIRS_H
#define CROCKET_STORE_LOG_DIRS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_dir {
    char *path;
    bool read_only;
    bool full;   /* atomic: set by the cleaner, above the ratio at which files go whatever their age */
    bool failed; /* atomic: no file could be made in it */
};

struct log_dirs {
    struct log_dir *items; /* in the order of their names; each once */
    size_t count, writable;
    char *text; /* all paths, separated by ',' */
};

/* read_only: NULL or a list. -1 with err: none to write to, or out of memory. */
int log_dirs_make(struct log_dirs *d, const char *paths, const char *read_only, struct err *err);
void log_dirs_free(struct log_dirs *d);

/* Where file number `number` of the log is to be made. When all are full or failed: one that is not read-only, as if
 * none was. */
struct log_dir *log_dirs_choose(const struct log_dirs *d, int64_t number);

void log_dir_set_full(struct log_dir *dir, bool full);
void log_dir_set_failed(struct log_dir *dir, bool failed);

#endif
