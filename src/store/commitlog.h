/*
 * The commit log: one endless sequence of records, cut into files ("segments") of the same size, each named by the log
 * offset of its first byte. A record never crosses a segment's end: what is left there is filled by an 8-byte blank
 * record.
 *
 * Appending is one pwrite at the end of the log (docs/adr/0002); reading goes through a shared read-only mapping of
 * each segment or sendfile. The segment after the last is made ready beforehand by clog_prepare, never inside an
 * append.
 *
 * A log of many files keeps only some of them open and mapped; the others are opened when somebody reads them.
 *
 * Ownership: the log owns its segments; whoever pins one keeps it mapped and open until seg_release, also when it is
 * removed meanwhile. Threads: clog_append, clog_ensure_next by the holder of the append lock; clog_prepare,
 * clog_reclaim by one background thread; clog_sync by the flusher; clog_remove_first by the cleaner; the rest from any
 * thread.
 */
#ifndef CROCKET_STORE_COMMITLOG_H
#define CROCKET_STORE_COMMITLOG_H

#include "base/err.h"
#include "message/message.h"
#include "os/fs.h"
#include "store/log_dirs.h"

struct commitlog;

struct log_segment {
    struct commitlog *log;
    int64_t base; /* log offset of the first byte */
    int64_t size;
    int fd;              /* -1 and no map: its file is closed, which it never is while pinned */
    struct log_dir *dir; /* where its file is */
    const uint8_t *map;
    int refs;       /* atomic; one is the log's own */
    bool used;      /* under the log's lock: pinned since it was last looked at as one to close */
    int64_t zeroed; /* atomic: the file's blocks below were written once (clog_prewrite) */
    struct log_segment *next_dead;
};

enum { CLOG_TAIL_RESERVE = 8 }; /* the blank record's place at the end of each segment */

/* Loads the files of the folders (made when absent) without looking into them: the end is the end of the last file
 * until clog_set_end. dirs, read_only: see log_dirs.h. keep_open: about how many files are open at most. */
int clog_open(struct commitlog **out, const struct fs *fs, const char *dirs, const char *read_only,
              int64_t segment_size, size_t keep_open, struct err *err);
void clog_close(struct commitlog *log); /* nothing may be pinned any more */

int64_t clog_min(const struct commitlog *log);     /* offset of the first byte there */
int64_t clog_max(const struct commitlog *log);     /* append position: everything below can be read */
int64_t clog_flushed(const struct commitlog *log); /* everything below is on the disk */
int64_t clog_segment_size(const struct commitlog *log);
const char *clog_dir(const struct commitlog *log); /* its folders, for texts and log_files_open */
const struct log_dirs *clog_dirs(const struct commitlog *log);
/* Path of the file that holds, or would hold, the offset. */
void clog_file_path(struct commitlog *log, int64_t offset, char *out, size_t size);
size_t clog_segments(const struct commitlog *log);

/* The segment holding the offset, pinned, with its file open. NULL: there is none, or (*closed, which may be NULL) its
 * file is closed and may_block is false, or it cannot be opened. */
struct log_segment *clog_pin(struct commitlog *log, int64_t offset, bool may_block, bool *closed);
void seg_retain(struct log_segment *seg);
void seg_release(struct log_segment *seg);

/* Ends the log at `end` (end of the last whole record): removes later segments and wipes what is left behind it in its
 * own, unless rest_is_zero says that nothing can be there. `flushed`: the log below is known to be durable. Before the
 * first append; what lies in front of `end` may be read meanwhile. */
int clog_set_end(struct commitlog *log, int64_t end, int64_t flushed, bool rest_is_zero, struct err *err);

/* Bytes left for records in the last segment, without the blank record's place. */
int64_t clog_room(const struct commitlog *log);
/* Waits until the next segment is ready; 0 or the reason why there is none (-ENOSPC ...). */
int clog_ensure_next(struct commitlog *log);
/* Writes n bytes at the end of the log; n <= clog_room. With roll it closes the segment with a blank record and goes to
 * the next one, which must be ready. On failure nothing of it becomes part of the log, and the log takes no more
 * appends until clog_prepare has wiped what may have been written. */
int clog_append(struct commitlog *log, const void *data, size_t n, bool roll);

/* Zeroes what a failed append may have left behind the end of the log, durably. Part of clog_prepare; not beside it. */
int clog_wipe_torn(struct commitlog *log);

/* Background: wipes after failed appends, makes the next segment, prewrites. 0 when all is ready, else the reason why
 * not. */
int clog_prepare(struct commitlog *log);
/* Wakes this function's caller when the next segment is needed: set before appending, NULL = clog_ensure_next prepares
 * itself. */
void clog_on_need(struct commitlog *log, void (*fn)(void *arg), void *arg);
/* For synchronous flush: keeps some MiB ahead of the append position written with zeros, so that a sync has data to
 * write but no block allocation to record (docs/adr/0002). Done by clog_prepare. Before the first append. */
void clog_prewrite(struct commitlog *log);
/* Background: unmaps and closes segments nobody holds any more. */
void clog_reclaim(struct commitlog *log);
/* NULL, or why appends are refused now. */
const char *clog_problem(const struct commitlog *log);

/* Makes everything below `target` durable. An error is final: the pages may be gone. */
int clog_sync(struct commitlog *log, int64_t target);

/* Time of the last write to the oldest segment's file (ms), -1 when there is only one segment. */
int64_t clog_first_mtime(struct commitlog *log);
/* Removes the oldest segment's file, never the last one. 1 = removed, 0 = only one there, or a negative errno value. */
int clog_remove_first(struct commitlog *log);

/* Copies up to n bytes from offset on, not across a segment's end or the end of the log; may block. */
ssize_t clog_read(struct commitlog *log, int64_t offset, void *buf, size_t n);

#endif
