/*
 * Reading the commit log record by record, across segments, through a buffer of its own (pread: a bad sector is an
 * error code, not a signal). Used by recovery, the index builder and the tools. One thread at a time; may block.
 */
#ifndef CROCKET_STORE_LOG_CURSOR_H
#define CROCKET_STORE_LOG_CURSOR_H

#include "store/commitlog.h"

struct log_cursor {
    struct commitlog *log;
    int64_t pos; /* log offset of the next record */
    uint8_t *buf;
    size_t cap;
    int64_t buf_at; /* log offset of buf[0] */
    size_t have;
    size_t piece; /* bytes read at once; may be raised behind log_cursor_init */
};

enum log_step {
    LOG_RECORD, /* view is filled, pos stands behind the record */
    LOG_END,    /* pos has reached the limit, or the end of the last segment */
    LOG_BAD,    /* what stands at pos is no record; pos unchanged */
    LOG_FAILED, /* pos could not be read: cursor's error */
};

void log_cursor_init(struct log_cursor *c, struct commitlog *log, int64_t pos);
void log_cursor_free(struct log_cursor *c);
/* The next record that ends at or before limit; views stay valid until the next call. *offset: where it begins.
 * A record that claims another physical offset than its place is bad (it is the rest of an older log). */
enum log_step log_cursor_next(struct log_cursor *c, int64_t limit, struct msg_view *view, int64_t *offset, int *error);

#endif
