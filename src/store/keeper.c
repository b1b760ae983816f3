/* The keeper: writes queue entries from memory to their files and, from time to time, makes them durable and notes in
 * the checkpoint how far log, queues and index are safe. */
#include <errno.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/mutant.h"
#include "store/store_int.h"

enum {
    SYNC_BYTES = 64 << 20,  /* a sync is due after so much log: it bounds what a start after a crash must read again */
    SYNC_AT_LEAST_MS = 300, /* but not more often than this ... */
    SYNC_SHARE = 1,         /* ... and not for more than half of the time */
};

static bool sync_is_due(const struct store *s, int64_t now, int64_t log_end)
{
    int64_t since = now - s->last_sync_ms;
    if (log_end == s->last_sync_end && !(s->compaction && compaction_is_dirty(s->compaction)))
        return false;
    if (since >= s->conf.flushConsumeQueueThoroughInterval)
        return true;
    int64_t pause = s->sync_took_ms * SYNC_SHARE;
    return log_end - s->last_sync_end >= SYNC_BYTES && since >= (pause > SYNC_AT_LEAST_MS ? pause : SYNC_AT_LEAST_MS);
}

bool keeper_is_behind(const struct store *s)
{
    return clog_max(s->log) - __atomic_load_n(&s->last_sync_end, __ATOMIC_RELAXED) >= SYNC_BYTES;
}

/* Every mark is a value that was true before this call: a crash in between makes the next start read a little more. */
static void write_checkpoint(struct store *s, int64_t log_mark, int64_t queues_mark, int64_t queues_time)
{
    struct err err;
    uint32_t folders = queues_folders(s);
    pthread_mutex_lock(&s->ckpt_lock);
    /* Lower ones too: the clock may have stepped back. */
    if (s->flushed_time > 0)
        s->ckpt.log_time = s->flushed_time;
    if (queues_time > 0)
        s->ckpt.queues_time = queues_time;
    /* A Java broker does not know the shared files: it is to build the queues from the begin of the log. */
    if (cq_set_shares(s->queues))
        s->ckpt.queues_time = 0;
    s->ckpt.shared_mark = cq_set_shared_mark(s->queues);
    s->ckpt.have_marks = true;
    s->ckpt.log_mark = MUTANT(CHECKPOINT_BEFORE_DATA) ? clog_max(s->log) : log_mark;
    s->ckpt.folders = folders;
    s->ckpt.queues_mark = queues_mark;
    struct checkpoint copy = s->ckpt;
    pthread_mutex_unlock(&s->ckpt_lock);
    if (checkpoint_write(&copy, s->fs, s->checkpoint_path, &err)) {
        LOG_LIMITED(LOG_ERROR, "store", "%s", err.text);
        if (err.code == EIO)
            store_die(s, "writing the checkpoint failed", err.code);
    }
}

/* The marks of the queues are also those of the compaction logs: neither may be ahead of what is in these. */
static int sync_compaction(struct store *s, int64_t log_end, int64_t *mark, int64_t *time)
{
    struct err err;
    int64_t until;
    if (s->compaction == NULL)
        return 0;
    if (compaction_sync(s->compaction, &err)) {
        store_die(s, "syncing a compaction log failed", err.code);
        return -1;
    }
    int64_t safe = compaction_safe_end(s->compaction, log_end, &until);
    if (safe < *mark)
        *mark = safe;
    if (until < *time)
        *time = until;
    return 0;
}

/* Times alone must not choose again: the clock may have stepped back meanwhile, and a file with what was only then
 * written would look old enough to begin with, though entries before it were cut off and are not durable yet. */
void keeper_note_recovered(struct store *s)
{
    int64_t mark = s->begun_by_file, time = 0;
    if (sync_compaction(s, mark, &mark, &time) == 0)
        write_checkpoint(s, clog_flushed(s->log), mark, time);
}

void keeper_note_rebuilt(struct store *s, int64_t queues_mark)
{
    write_checkpoint(s, s->visible_to, queues_mark, 0);
}

void keeper_step(struct store *s, bool force)
{
    struct err err;
    int64_t now = clock_mono_ms(), written_to;
    if (__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        return;
    bool early = now - s->last_persist_ms < s->conf.flushIntervalConsumeQueue;
    if (!force && early && !sync_is_due(s, now, clog_max(s->log)))
        return;
    s->last_persist_ms = now;
    if (s->compaction)
        compaction_copy(s->compaction, force);
    pthread_mutex_lock(&s->append_lock);
    int64_t log_end = clog_max(s->log), time = s->last_store_time;
    pthread_mutex_unlock(&s->append_lock);
    bool sync = force || sync_is_due(s, now, log_end);
    int r = queues_persist(s, sync, log_end, &written_to, &err);
    if (r == -2) {
        store_die(s, "syncing consume queues failed", err.code);
        return;
    }
    if (r) {
        LOG_LIMITED(LOG_ERROR, "store", "%s", err.text);
        store_flag_set(s, STORE_QUEUE_ERROR);
        return;
    }
    store_flag_clear(s, STORE_QUEUE_ERROR);
    if (!sync)
        return;
    if (written_to < log_end)
        time = 0;
    if (sync_compaction(s, log_end, &written_to, &time))
        return;
    write_checkpoint(s, clog_flushed(s->log), written_to, time);
    s->last_sync_ms = clock_mono_ms();
    s->sync_took_ms = s->last_sync_ms - now;
    __atomic_store_n(&s->last_sync_end, log_end, __ATOMIC_RELAXED);
}
