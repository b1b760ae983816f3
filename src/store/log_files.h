/*
 * The commit log's files for tools: read-only, tolerant of damage, with nothing of the running log behind it
 * (commitlog.h). Files may come and go meanwhile (a live store): what is gone reads as missing.
 *
 * Ownership: log_files_close ends it. A scan owns its buffer. One thread at a time; may block.
 */
#ifndef CROCKET_STORE_LOG_FILES_H
#define CROCKET_STORE_LOG_FILES_H

#include "base/err.h"
#include "message/message.h"
#include "os/fs.h"

struct log_files;

struct log_file {
    int64_t base, size;
    const char *path;
};

/* dirs: the folder, or several separated by ','. No files: count 0. */
int log_files_open(struct log_files **out, const struct fs *fs, const char *dirs, struct err *err);
void log_files_close(struct log_files *l);
size_t log_files_count(const struct log_files *l);
const struct log_file *log_files_at(const struct log_files *l, size_t i); /* in order of their offsets */
const struct log_file *log_files_find(const struct log_files *l, int64_t offset);
int64_t log_files_min(const struct log_files *l);
int64_t log_files_end(const struct log_files *l); /* end of the last file, whatever it holds */
/* Up to n bytes, not across the end of a file; 0: no file there. */
ssize_t log_files_read(struct log_files *l, int64_t offset, void *buf, size_t n);

struct log_scan {
    struct log_files *files;
    int64_t pos; /* of the next record */
    uint8_t *buf;
    size_t cap, have;
    int64_t buf_at;
};

enum log_scan_step {
    SCAN_RECORD, /* view is filled, pos stands behind the record */
    SCAN_END,    /* no file at pos or behind it */
    SCAN_BAD,    /* what stands at pos is no record of this place; pos unchanged */
    SCAN_FAILED, /* pos could not be read: *error */
};

void log_scan_init(struct log_scan *s, struct log_files *files, int64_t pos);
void log_scan_free(struct log_scan *s);
/* Views are valid until the next call. */
enum log_scan_step log_scan_next(struct log_scan *s, struct msg_view *view, int64_t *offset, int *error);
/* After SCAN_BAD: moves pos to the next place that holds a whole record which claims to stand there. False: there is
 * none; pos unchanged. *used: whether anything but zeros was met before it (or before the end). */
bool log_scan_resync(struct log_scan *s, bool *used);

#endif
