/* Reading many records of the log one after the other, without a call for each and without mapping all of it. */
#include <stdlib.h>

#include "store/store_int.h"

enum { WINDOW_MIN = 4096, WINDOW_MAX = 256 * 1024 };

static bool has(const struct store_window *w, int64_t at, size_t n)
{
    return w->len && at >= w->at && at + (int64_t)n <= w->at + (int64_t)w->len;
}

/* The n bytes at `at`, and what is likely to be wanted next. */
static const uint8_t *bytes_at(struct store *s, struct store_window *w, int64_t at, size_t n)
{
    if (has(w, at, n))
        return w->data + (at - w->at);
    bool near = w->len && at >= w->at && at <= w->at + 2 * (int64_t)w->len;
    w->want = !near ? WINDOW_MIN : w->want < WINDOW_MAX ? w->want * 2 : WINDOW_MAX;
    size_t want = n > w->want ? n : w->want;
    w->len = 0;
    if (want > w->cap) {
        uint8_t *grown = realloc(w->data, want);
        if (grown == NULL)
            return NULL;
        w->data = grown;
        w->cap = want;
    }
    ssize_t got = clog_read(s->log, at, w->data, want);
    w->at = at;
    w->len = got > 0 ? (size_t)got : 0;
    return has(w, at, n) ? w->data : NULL;
}

bool store_read_next(struct store *s, int64_t physical_offset, struct store_window *w, struct msg_view *view)
{
    if (physical_offset < clog_min(s->log))
        return false;
    const uint8_t *head = bytes_at(s, w, physical_offset, MSG_FIXED_V4);
    if (head == NULL)
        return false;
    uint32_t size = get_be32(head), magic = get_be32(head + MSG_POS_MAGIC);
    if ((magic != MSG_MAGIC_V1 && magic != MSG_MAGIC_V2) || size < MSG_FIXED_V4 || size > INT32_MAX ||
        physical_offset + (int64_t)size > store_visible_end(s))
        return false;
    const uint8_t *record = bytes_at(s, w, physical_offset, size);
    return record && msg_decode(record, size, view) == MSG_OK && view->m.physical_offset == physical_offset;
}

void store_window_free(struct store_window *w)
{
    free(w->data);
    *w = (struct store_window){0};
}
