#include "store/log_cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 * 1024, RECORD_MAX = (1 << 30) + (1 << 17) };

void log_cursor_init(struct log_cursor *c, struct commitlog *log, int64_t pos)
{
    *c = (struct log_cursor){.log = log, .pos = pos, .buf_at = pos, .piece = PIECE};
}

void log_cursor_free(struct log_cursor *c)
{
    free(c->buf);
    c->buf = NULL;
    c->cap = c->have = 0;
}

/* Makes at least `want` bytes from pos on available, fewer at a segment's end. Returns how many, or a negative errno
 * value. */
static ssize_t fill(struct log_cursor *c, size_t want)
{
    size_t used = (size_t)(c->pos - c->buf_at), left = used <= c->have ? c->have - used : 0;
    if (left >= want)
        return (ssize_t)left;
    if (c->cap < want || c->cap == 0) {
        size_t cap = want > c->piece ? want : c->piece;
        uint8_t *grown = realloc(c->buf, cap);
        if (grown == NULL)
            return -ENOMEM;
        c->buf = grown;
        c->cap = cap;
    }
    if (left)
        memmove(c->buf, c->buf + used, left);
    c->buf_at = c->pos;
    c->have = left;
    ssize_t got = clog_read(c->log, c->pos + (int64_t)left, c->buf + left, c->cap - left);
    if (got < 0)
        return got;
    c->have += (size_t)got;
    return (ssize_t)c->have;
}

/* Bytes from pos to the end of its segment. */
static int64_t to_segment_end(const struct log_cursor *c)
{
    int64_t size = clog_segment_size(c->log);
    return size - (c->pos - clog_min(c->log)) % size;
}

enum log_step log_cursor_next(struct log_cursor *c, int64_t limit, struct msg_view *view, int64_t *offset, int *error)
{
    for (;;) {
        if (c->pos >= limit)
            return LOG_END;
        int64_t rest = to_segment_end(c);
        ssize_t have = fill(c, 8);
        if (have < 0) {
            *error = (int)have;
            return LOG_FAILED;
        }
        const uint8_t *at = c->buf + (c->pos - c->buf_at);
        /* What was read may reach into the next segment; a record may not. */
        enum msg_decode_status st = msg_decode(at, have < rest ? (size_t)have : (size_t)rest, view);
        if (st == MSG_INCOMPLETE && have >= 8 && view->size <= rest && view->size <= RECORD_MAX) {
            have = fill(c, view->size);
            if (have < 0) {
                *error = (int)have;
                return LOG_FAILED;
            }
            at = c->buf + (c->pos - c->buf_at);
            st = msg_decode(at, have < rest ? (size_t)have : (size_t)rest, view);
        }
        if (st == MSG_BLANK && view->size == rest) {
            if (c->pos + rest >= limit)
                return LOG_END;
            c->pos += rest;
            c->have = 0;
            c->buf_at = c->pos;
            continue;
        }
        if (st != MSG_OK || view->m.physical_offset != c->pos)
            return LOG_BAD;
        if (c->pos + (int64_t)view->size > limit)
            return LOG_END;
        *offset = c->pos;
        c->pos += view->size;
        return LOG_RECORD;
    }
}
