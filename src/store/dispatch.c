/* The dispatcher: reads the log behind the append and puts message keys into the index. */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/log_cursor.h"
#include "store/store_int.h"

enum {
    FLUSH_BYTES = 256 << 20, /* log between two syncs of the index */
    FLUSH_INTERVAL_MS = 60000,
    FLUSH_SHARE = 20,         /* syncs take at most a twentieth of the time */
    BEHIND_BYTES = 256 << 20, /* so much of the log is worth telling how it goes ... */
    READ_PIECE = 4 << 20,     /* ... and reading in larger pieces */
};

/* The index must not point at messages that a crash takes away: it is made durable only when the log below it is. */
void dispatcher_flush(struct store *s)
{
    struct err err;
    int64_t now = clock_mono_ms(), time, mark = __atomic_load_n(&s->dispatched, __ATOMIC_RELAXED);
    if (clog_flushed(s->log) < mark)
        return;
    int r = index_flush(s->index, &time, &err);
    if (r == -2)
        store_die(s, "syncing the key index failed", err.code);
    else if (r) /* a full disk, most likely: tried again */
        LOG_LIMITED(LOG_ERROR, "store", "%s", err.text);
    if (r)
        return;
    pthread_mutex_lock(&s->ckpt_lock);
    s->ckpt.index_time = time;
    s->ckpt.index_mark = mark;
    pthread_mutex_unlock(&s->ckpt_lock);
    s->index_flushed_end = mark;
    s->index_flushed_ms = clock_mono_ms();
    s->index_flush_took_ms = s->index_flushed_ms - now;
}

/* True while a sync of the index is due; indexing pauses until the flusher has caught up. */
static bool flush_is_due(const struct store *s, int64_t now)
{
    int64_t ahead = s->dispatched - s->index_flushed_end, since = now - s->index_flushed_ms;
    if (ahead <= 0 || since < s->index_flush_took_ms * FLUSH_SHARE)
        return false;
    return ahead >= FLUSH_BYTES || since >= FLUSH_INTERVAL_MS;
}

static int add(struct store *s, const struct msg_view *v, int64_t offset, struct err *err)
{
    if ((v->m.sys_flag & MSG_FLAG_TRANSACTION_MASK) == MSG_FLAG_TRANSACTION_ROLLBACK)
        return 0;
    struct str uniq = msg_property(v->m.properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    struct str keys = msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS));
    if (uniq.len == 0 && keys.len == 0)
        return 0;
    return index_add(s->index, v->m.topic, uniq, keys, offset, v->m.store_time, err);
}

static void tell_progress(struct store *s, int64_t from, int64_t pos, int64_t limit)
{
    struct progress *p = &s->index_progress;
    char text[PROGRESS_TEXT];
    if (!s->index_behind && limit - from < BEHIND_BYTES)
        return;
    if (!s->index_behind) {
        progress_begin(p, from, limit);
        __atomic_store_n(&s->index_behind, true, __ATOMIC_RELAXED);
        LOG(LOG_INFO, "store", "building the key index from %" PRId64 " MiB of the commit log", (limit - from) >> 20);
    }
    if (progress_move(p, pos)) {
        progress_text(p, text);
        LOG(LOG_INFO, "store", "building the key index: %s", text);
    }
    if (pos >= p->to) {
        __atomic_store_n(&s->index_behind, false, __ATOMIC_RELAXED);
        LOG(LOG_INFO, "store", "the key index is built in %" PRId64 " ms", clock_mono_ms() - p->begun_ms);
    }
}

/* Indexes up to DISPATCH_ROUND records; returns how many. */
static int64_t index_some(struct store *s)
{
    struct log_cursor c;
    struct err err = {0};
    int64_t n = 0, limit = clog_max(s->log), from = s->dispatched;
    if (from < clog_min(s->log))
        from = clog_min(s->log);
    log_cursor_init(&c, s->log, from);
    if (limit - from >= BEHIND_BYTES)
        c.piece = READ_PIECE;
    for (; n < DISPATCH_ROUND; n++) {
        struct msg_view v;
        int64_t offset;
        int error;
        enum log_step step = log_cursor_next(&c, limit, &v, &offset, &error);
        if (step == LOG_END)
            break;
        if (step != LOG_RECORD) {
            /* The cleaner may have removed the file under the cursor; otherwise the rest stays without keys until a
             * restart. */
            if (c.pos >= clog_min(s->log))
                LOG_LIMITED(LOG_ERROR, "store", "the key index cannot read the commit log at offset %" PRId64, c.pos);
            break;
        }
        if (add(s, &v, offset, &err)) {
            c.pos = offset;
            LOG_LIMITED(LOG_ERROR, "store", "%s", err.text);
            break;
        }
    }
    tell_progress(s, from, c.pos, limit);
    __atomic_store_n(&s->dispatched, c.pos, __ATOMIC_RELEASE);
    log_cursor_free(&c);
    return n;
}

static bool is_stopping(void *arg)
{
    return store_stopping(arg);
}

int64_t dispatcher_step(struct store *s)
{
    int64_t now = clock_mono_ms();
    if (__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        return 0;
    if (flush_is_due(s, now)) {
        dispatcher_flush(s);
        if (flush_is_due(s, now))
            return 0;
    }
    int64_t n = index_some(s);
    if (n < DISPATCH_ROUND && !store_stopping(s))
        index_summarize(s->index, is_stopping, s);
    return n;
}
