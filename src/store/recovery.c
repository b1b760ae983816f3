/*
 * Finding the end of the log and rebuilding the queue entries that are not in files yet.
 *
 * With our own marks in the checkpoint the scan begins where log and queues are known to be durable, so it takes as
 * long as what was not flushed; without them (a Java broker wrote last) Java's rules choose the file to begin with.
 */
#include "store/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/log_cursor.h"
#include "store/mutant.h"

enum {
    PERSIST_EVERY = 64 << 20, /* bytes of log between two rounds of writing rebuilt queue entries */
    READ_PIECE = 4 << 20,     /* of the log, when there is ... */
    READ_MUCH = 64 << 20,     /* ... so much of it */
    PROGRESS_MS = 3000,
    PATH_SIZE = 4096,
    HEAD_SIZE = 8, /* of a record: size and magic */
    SECTOR = 512,
};

/* No queue gets that long; a larger number would overflow as a position in its files. */
static const int64_t QUEUE_OFFSET_MAX = INT64_MAX / 64;

/* A queue with entries that are not visible yet, and whom to tell that they are. */
struct touched {
    struct cq *q;
    uint64_t loops;
};

struct recovery {
    struct store *s;
    struct log_cursor cursor;
    int64_t start, limit;
    int64_t safe;       /* the marks say that the log is durable up to here; -1 without marks */
    int64_t dispatched; /* clean stop: queue entries of everything below exist; -1 otherwise */
    int64_t again;      /* a queue lacks entries before `start`: begin there instead; -1 none does */
    bool anew;          /* queues are built again that the marks vouch for */
    int64_t records, last_time;
    int64_t persist_at, progress_at, begun_ms;
    bool in_pieces; /* recovery_go_on: whoever calls it writes the queues and tells how far it is */
    struct touched *touched;
    size_t n_touched, cap_touched;
};

/* The first record of the segment at base; false when there is none or it fails its CRC. */
static bool first_record(struct store *s, int64_t base, struct msg_view *view, struct log_cursor *c)
{
    int64_t offset;
    int error;
    log_cursor_init(c, s->log, base);
    return log_cursor_next(c, INT64_MAX, view, &offset, &error) == LOG_RECORD && offset == base && msg_crc_ok(view);
}

/* Java's choice: the last file whose first message is old enough (after a crash), or was dispatched (clean stop). */
static int64_t start_by_file(struct store *s)
{
    int64_t size = clog_segment_size(s->log), min = clog_min(s->log);
    int64_t safe_time = checkpoint_min_time(&s->ckpt), dispatched = queues_dispatched(s);
    for (int64_t base = clog_max(s->log) - size; base > min; base -= size) {
        struct msg_view view;
        struct log_cursor c;
        bool ok = first_record(s, base, &view, &c) && view.m.store_time != 0;
        log_cursor_free(&c);
        if (ok && (s->after_crash ? view.m.store_time <= safe_time : view.m.physical_offset <= dispatched))
            return base;
    }
    return min;
}

/* Of a head across two sectors either one may not have been written. */
static bool is_half_magic(const uint8_t *head, int64_t at, uint32_t magic)
{
    int64_t first = SECTOR - at % SECTOR;
    if (first >= HEAD_SIZE)
        return false;
    for (int i = MSG_POS_MAGIC; i < MSG_POS_MAGIC + 4; i++)
        if (head[i] != 0 && head[i] != (uint8_t)(magic >> (24 - 8 * (i - MSG_POS_MAGIC))))
            return false;
    return true;
}

/* Our marks point at a record's begin or at unused space; anything else means that the files were changed since. The
 * record there may be torn: it is the first that was not synced. */
static bool mark_fits(struct store *s, int64_t mark)
{
    static const uint32_t magics[] = {MSG_MAGIC_V1, MSG_MAGIC_V2, MSG_MAGIC_BLANK};
    uint8_t head[HEAD_SIZE];
    if (mark < clog_min(s->log) || mark > clog_max(s->log))
        return false;
    ssize_t got = clog_read(s->log, mark, head, sizeof head);
    if (got < (ssize_t)sizeof head)
        return mark == clog_max(s->log);
    if (get_be64(head) == 0)
        return true;
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (get_be32(head + MSG_POS_MAGIC) == magics[i] || is_half_magic(head, mark, magics[i]))
            return true;
    return false;
}

static int choose_start(struct recovery *r, struct err *err)
{
    struct store *s = r->s;
    const struct checkpoint *c = &s->ckpt;
    if (c->have_marks && c->log_mark > clog_max(s->log))
        return err_set(err, EILSEQ,
                       "commit log files are missing in %s: the log ends at offset %" PRId64
                       " but was durable up to %" PRId64 "; bring the files back, or remove %s to accept the loss",
                       clog_dir(s->log), clog_max(s->log), c->log_mark, s->checkpoint_path);
    if (c->have_marks) {
        r->start = c->log_mark < c->queues_mark ? c->log_mark : c->queues_mark;
        r->safe = c->log_mark;
        if (r->start < clog_min(s->log))
            r->start = clog_min(s->log);
        if (mark_fits(s, r->start))
            return 0;
        LOG(LOG_WARN, "store", "the checkpoint does not fit the commit log; recovering by file");
        s->ckpt.have_marks = false;
        r->safe = -1;
    }
    r->start = start_by_file(s);
    /* Marks that are on the disk but could not be read now must not be believed by a later start: what they vouch for
     * is about to be cut off and built anew. */
    return s->after_crash ? checkpoint_write(c, s->fs, s->checkpoint_path, err) : 0;
}

/* Commit log files can be deleted before the entries of their records are synced. All that is known of such a queue
 * then lies in deleted files, and it goes on with a gap. */
static bool may_have_gap(const struct recovery *r, const struct cq *q)
{
    int64_t min = clog_min(r->s->log);
    return r->s->ckpt.queues_mark < min && cq_last_end(q) <= min;
}

/* True when the record's place in its queue shows that it is no part of this log (left over from a longer one). */
static bool is_stale(const struct recovery *r, const struct cq *q, const struct store_entry *e)
{
    const struct checkpoint *c = &r->s->ckpt;
    int64_t next = cq_next(q);
    return c->have_marks && e->physical_offset >= c->log_mark && next > 0 && e->queue_offset != next &&
           !(e->queue_offset > next && may_have_gap(r, q));
}

/* Entries are missing between the queue's last one and this record: a damaged entry misled the cut at the start. What
 * is missing stands in the log before it. */
static bool lacks_entries(struct recovery *r, const struct cq *q, int64_t queue_offset)
{
    int64_t from = cq_last_end(q) > clog_min(r->s->log) ? cq_last_end(q) : clog_min(r->s->log);
    if (queue_offset <= cq_next(q) || !cq_has_files(q) || from >= r->start)
        return false;
    LOG(LOG_WARN, "store",
        "consume queue %.*s/%d lacks entries before %" PRId64 "; reading the log from %" PRId64 " on",
        STR_ARG(cq_topic(q)), cq_id(q), queue_offset, from);
    r->again = from;
    return true;
}

/* Of a record that was not synced its properties can be lost, which no CRC covers: a batch is without its number of
 * messages, or a list of offsets in light message queues ends in zeros, so that some of them would lack the message. */
static bool is_torn(const struct recovery *r, const struct cq *q, const struct msg_view *v, int64_t offset)
{
    const struct checkpoint *c = &r->s->ckpt;
    struct msg_multi multi;
    int64_t base;
    int32_t messages;
    bool unsynced = c->have_marks ? offset >= c->log_mark : r->s->after_crash;
    if (!unsynced)
        return false;
    if (cq_is_batch(q))
        return (v->m.sys_flag & MSG_FLAG_INNER_BATCH) && !msg_inner_batch(v->m.properties, &base, &messages);
    return store_dispatches(r->s) && msg_multi_begin(&multi, v->m.topic, v->m.properties) &&
           memchr(multi.offsets.ptr, '\0', multi.offsets.len) != NULL;
}

/* The queue's new entries are to be made visible at the end of the piece. */
static bool note_touched(struct recovery *r, struct cq *q)
{
    if (r->n_touched == r->cap_touched) {
        size_t cap = r->cap_touched ? 2 * r->cap_touched : 64;
        struct touched *grown = realloc(r->touched, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        r->touched = grown;
        r->cap_touched = cap;
    }
    r->touched[r->n_touched++] = (struct touched){.q = q};
    return true;
}

/* Adds one entry; as dispatch. */
static int enter(struct recovery *r, struct cq *q, const struct store_entry *e)
{
    if (e->physical_offset + e->size <= cq_last_end(q))
        return 0; /* entered already */
    if (e->queue_offset > QUEUE_OFFSET_MAX || lacks_entries(r, q, e->queue_offset) || is_stale(r, q, e))
        return 1;
    /* What is behind the durable part becomes visible when all of it was looked at. */
    bool show = r->in_pieces && e->physical_offset + e->size <= r->safe;
    if (show && cq_behind(q) == cq_end(q) && !note_touched(r, q))
        return -1;
    return cq_enter(q, e) ? 0 : -1;
}

/* Adds the queue entries of one record; 0, 1 = the record is stale or damaged (the CRC only covers the body), -1 = out
 * of memory. */
static int dispatch(struct recovery *r, const struct msg_view *v, int64_t offset)
{
    struct store *s = r->s;
    struct store_multi multi;
    struct store_entry e;
    if (!store_is_queued(v->m.sys_flag) || offset + (int64_t)v->size <= r->dispatched)
        return 0;
    if (!store_topic_ok(v->m.topic) || v->m.queue_offset < 0 || v->m.queue_offset > QUEUE_OFFSET_MAX)
        return 1;
    struct cq *q = store_queue(s, v->m.topic, v->m.queue_id, true);
    if (q == NULL)
        return -1;
    int result = store_place(s, q, v, &e) && !is_torn(r, q, v, offset) ? enter(r, q, &e) : 1;
    if (result == 0 && store_multi_begin(s, q, v, &multi))
        while (result == 0 && store_multi_next(s, &multi, &q))
            result = q ? enter(r, q, &multi.e) : -1;
    return result;
}

/* Keeps memory bounded and the operator informed during a long scan. */
static int housekeeping(struct recovery *r, struct err *err)
{
    int64_t pos = r->cursor.pos, now = clock_mono_ms(), to;
    if (now >= r->progress_at) {
        LOG(LOG_INFO, "store", "recovering: %" PRId64 " of %" PRId64 " MiB of the commit log, %" PRId64 " messages",
            (pos - r->start) >> 20, (r->limit - r->start) >> 20, r->records);
        r->progress_at = now + PROGRESS_MS;
    }
    r->persist_at = pos + PERSIST_EVERY;
    return queues_persist(r->s, false, pos, &to, err) ? -1 : 0;
}

/* Walks to the end of the log: 0; or to `until`: 1. */
static int scan(struct recovery *r, int64_t until, struct err *err)
{
    struct store *s = r->s;
    for (;;) {
        struct msg_view v;
        int64_t offset;
        int error;
        if (r->cursor.pos >= until)
            return 1;
        enum log_step step = log_cursor_next(&r->cursor, r->limit, &v, &offset, &error);
        if (step == LOG_FAILED)
            return err_sys(err, -error, "cannot read the commit log in %s at offset %" PRId64, clog_dir(s->log),
                           r->cursor.pos);
        if (step != LOG_RECORD)
            return 0;
        int d = s->conf.checkCRCOnRecover && !MUTANT(NO_CRC_IN_RECOVERY) && !store_record_ok(s, &v)
                    ? 1
                    : dispatch(r, &v, offset);
        if (d < 0)
            return err_set(err, ENOMEM, "no memory for the consume queues of %s", clog_dir(s->log));
        if (d > 0) {
            r->cursor.pos = offset;
            return 0;
        }
        r->records++;
        r->last_time = v.m.store_time;
        if (!r->in_pieces && r->cursor.pos >= r->persist_at && housekeeping(r, err))
            return -1;
    }
}

/* A later file that begins with a good record: the log did not end at `end`, something before is damaged. */
static bool goes_on_behind(struct store *s, int64_t end)
{
    int64_t size = clog_segment_size(s->log), min = clog_min(s->log);
    for (int64_t base = min + ((end - min) / size + 1) * size; base < clog_max(s->log); base += size) {
        struct msg_view view;
        struct log_cursor c;
        bool ok = first_record(s, base, &view, &c);
        log_cursor_free(&c);
        if (ok)
            return true;
    }
    return false;
}

/* Only a tail that nobody promised to keep may be cut off. */
static int check_end(struct recovery *r, int64_t end, struct err *err)
{
    struct store *s = r->s;
    const struct checkpoint *c = &s->ckpt;
    bool promised =
        c->have_marks ? end < c->log_mark : !s->after_crash && (goes_on_behind(s, end) || end < queues_dispatched(s));
    if (!promised) {
        if (s->after_crash && goes_on_behind(s, end))
            LOG(LOG_WARN, "store",
                "the commit log is cut at offset %" PRId64 ": behind it files were not written completely", end);
        return 0;
    }
    char path[PATH_SIZE];
    clog_file_path(s->log, end, path, sizeof path);
    return err_set(
        err, EILSEQ,
        "the commit log is damaged: %s holds no valid message at position %" PRId64
        " although later messages were stored; run 'crocket store check' on the directory, then restore the file "
        "from a copy or a replica",
        path, end % clog_segment_size(s->log));
}

static void tell(const struct recovery *r, struct cq *q, uint64_t loops)
{
    if (loops && r->s->events.arrived)
        r->s->events.arrived(r->s->events.arg, q, loops);
}

static void publish_all(void *arg, struct cq *q)
{
    tell(arg, q, cq_publish(q, cq_end(q)));
}

static void publish_touched(struct recovery *r)
{
    pthread_mutex_lock(&r->s->append_lock);
    for (size_t i = 0; i < r->n_touched; i++)
        r->touched[i].loops = cq_publish(r->touched[i].q, cq_end(r->touched[i].q));
    pthread_mutex_unlock(&r->s->append_lock);
    for (size_t i = 0; i < r->n_touched; i++)
        tell(r, r->touched[i].q, r->touched[i].loops);
    r->n_touched = 0;
}

/* What the marks say of records that were cut off must not be taken for what comes in their place: queues and index
 * would pass for written before they are. */
static void lower_marks(struct store *s, int64_t end)
{
    pthread_mutex_lock(&s->ckpt_lock);
    if (s->ckpt.queues_mark > end)
        s->ckpt.queues_mark = end;
    if (s->ckpt.index_mark > end)
        s->ckpt.index_mark = end;
    pthread_mutex_unlock(&s->ckpt_lock);
}

static int finish(struct recovery *r, int64_t end, struct err *err)
{
    struct store *s = r->s;
    int64_t durable = s->ckpt.have_marks ? s->ckpt.log_mark : s->after_crash ? r->start : end;
    /* We stopped here ourselves, and left nothing behind the end. */
    bool rest_is_zero = !s->after_crash && s->ckpt.have_marks && s->ckpt.log_mark == end;
    if (queues_truncate(s, end, err) || clog_set_end(s->log, end, durable, rest_is_zero, err))
        return -1;
    lower_marks(s, end);
    if (s->after_crash && !s->ckpt.have_marks)
        s->begun_by_file = r->start;
    if (s->hide_unflushed || s->begun_by_file >= 0) {
        /* Nobody may see a message that another crash could take back. And marks are noted only for what is there. */
        int e = clog_sync(s->log, end);
        if (e)
            return err_sys(err, -e, "cannot sync the commit log in %s", clog_dir(s->log));
    }
    queues_truncate_front(s, clog_min(s->log));
    store_each_queue(s, publish_all, r);
    s->last_store_time = r->last_time > s->ckpt.log_time ? r->last_time : s->ckpt.log_time;
    return 0;
}

/* ---- where to begin
 * -------------------------------------------------------------------------------------------------- */

/* Where a batch queue begins and ends in messages stands in its first and last entry only, so these must be right. */
static void check_batch_ends(void *arg, struct cq *q)
{
    const struct recovery *r = arg;
    if (cq_is_batch(q))
        store_verify_ends(r->s, q, r->s->after_crash ? r->start : r->limit);
}

/* What the marks say of queues is gone with their folder. */
static void include_lost(struct recovery *r)
{
    struct store *s = r->s;
    if (queues_count(s) > 0 && !queues_folder_lost(s))
        return;
    r->dispatched = -1;
    if (r->start <= clog_min(s->log) && s->ckpt.have_marks)
        return; /* which then vouch for nothing */
    LOG(LOG_WARN, "store", "consume queues are lost; building them from the whole commit log");
    r->start = clog_min(s->log);
    r->anew = true;
}

/* Queues that were found damaged are filled from the end of what is left of them. */
static void include_damaged(struct recovery *r)
{
    struct store *s = r->s;
    int64_t from = queues_rebuild_from(s), min = clog_min(s->log);
    if (from == INT64_MAX)
        return;
    r->dispatched = -1;
    if (from < min)
        from = min;
    if (from >= r->start)
        return;
    r->start = mark_fits(s, from) ? from : from - (from - min) % clog_segment_size(s->log);
    r->anew = true;
}

/* From here on the marks on the disk vouch for queues of which entries are missing. If this start does not get to its
 * end, the next one must know: it goes on where the marks say then. Java's time of the queues is one of them. */
static int take_marks_back(struct recovery *r, struct err *err)
{
    struct store *s = r->s;
    if (MUTANT(MARKS_KEPT_WHILE_REBUILDING))
        return 0;
    if (!s->after_crash && store_mark_running(s, err))
        return -1;
    s->ckpt.queues_time = 0;
    if (s->ckpt.have_marks && s->ckpt.queues_mark > r->start)
        s->ckpt.queues_mark = r->start;
    return checkpoint_write(&s->ckpt, s->fs, s->checkpoint_path, err);
}

static void begin_at(struct recovery *r, int64_t start)
{
    r->start = start;
    r->again = -1;
    r->persist_at = start + PERSIST_EVERY;
    log_cursor_free(&r->cursor);
    log_cursor_init(&r->cursor, r->s->log, start);
    if (r->safe - start >= READ_MUCH)
        r->cursor.piece = READ_PIECE;
}

/* Everything up to the reading of the log. */
static int prepare(struct recovery *r, struct err *err)
{
    struct store *s = r->s;
    if (choose_start(r, err))
        return -1;
    if (!s->after_crash)
        r->dispatched = queues_dispatched(s);
    else if (!MUTANT(QUEUES_NOT_CUT) && queues_truncate(s, r->start, err))
        return -1;
    store_each_queue(s, check_batch_ends, r);
    include_lost(r);
    include_damaged(r);
    if (r->anew && take_marks_back(r, err))
        return -1;
    begin_at(r, r->start);
    return 0;
}

/* ---- the walk
 * -------------------------------------------------------------------------------------------------------- */

/* As scan; again from further back for queues that turn out to lack entries. */
static int scan_all(struct recovery *r, int64_t until, struct err *err)
{
    int result;
    while ((result = scan(r, until, err)) == 0 && r->again >= 0) {
        begin_at(r, r->again);
        if (take_marks_back(r, err))
            return -1;
    }
    return result;
}

enum recovery_step recovery_go_on(struct recovery *r, int64_t bytes, struct err *err)
{
    struct store *s = r->s;
    int64_t pos = r->cursor.pos, until = pos + bytes;
    if (pos < r->safe && until > r->safe)
        until = r->safe;
    store_want(s, until, bytes);
    pthread_mutex_lock(&s->append_lock);
    int result = scan_all(r, until, err);
    pthread_mutex_unlock(&s->append_lock);
    publish_touched(r);
    return result < 0 ? RECOVERY_FAILED : result == 0 ? RECOVERY_AT_END : RECOVERY_MORE;
}

int recovery_finish(struct recovery *r, struct err *err)
{
    struct store *s = r->s;
    int64_t end = r->cursor.pos;
    if (check_end(r, end, err) || finish(r, end, err))
        return -1;
    LOG(LOG_INFO, "store",
        "%s stop before; read %" PRId64 " messages from log offset %" PRId64 " to %" PRId64 " in %" PRId64 " ms",
        s->after_crash ? "no clean" : "clean", r->records, r->start, end, clock_mono_ms() - r->begun_ms);
    return 0;
}

int64_t recovery_start(const struct recovery *r)
{
    return r->start;
}

int64_t recovery_pos(const struct recovery *r)
{
    return r->cursor.pos;
}

int64_t recovery_safe(const struct recovery *r)
{
    return r->safe;
}

void recovery_free(struct recovery *r)
{
    if (r == NULL)
        return;
    log_cursor_free(&r->cursor);
    free(r->touched);
    free(r);
}

/* Only where our marks say that the log is durable may it be shown before all of it was looked at. */
static bool can_wait(const struct recovery *r)
{
    const struct store *s = r->s;
    return s->events.rebuilt && r->safe - r->start >= s->conf.rebuildInBackgroundFrom;
}

int store_recover(struct store *s, struct err *err)
{
    struct recovery *r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_sys(err, ENOMEM, "cannot recover the store");
    *r = (struct recovery){
        .s = s, .limit = clog_max(s->log), .safe = -1, .dispatched = -1, .again = -1, .begun_ms = clock_mono_ms()};
    r->progress_at = r->begun_ms + PROGRESS_MS;
    int result = 0;
    if (clog_segments(s->log) == 0) {
        result = finish(r, 0, err);
    } else {
        result = prepare(r, err);
        if (result == 0 && can_wait(r)) {
            r->in_pieces = true;
            result = rebuild_new(s, r, err);
            if (result == 0)
                return 0; /* it owns r now */
        } else if (result == 0) {
            result = scan_all(r, INT64_MAX, err) < 0 ? -1 : recovery_finish(r, err);
        }
    }
    recovery_free(r);
    return result;
}
