/*
 * Comparing queue entries with their records when they are read for the first time after a start: what lay on the disk
 * meanwhile may have changed. Runs where cold reads run; what was compared is remembered by the queue (cq_check).
 *
 * A wrong entry is mended from the log, which has the message with its queue and queue offset. A damaged message is
 * passed over and reported; nobody ever gets it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/consumequeue_int.h"
#include "store/log_files.h"
#include "store/store_int.h"

enum {
    ENTRIES = 64,
    AHEAD_ENTRIES = 2048,   /* compared beyond what is asked for, as long as ... */
    AHEAD_SPAN = 4 << 20,   /* ... they lie in the part of the log that was read ahead */
    SEARCH_MAX = 256 << 20, /* bytes of log looked through for the message of a wrong entry */
    PLACE_SIZE = 600,
    BACK_MAX = 16,
    WINDOW =
        96 << 10, /* bytes of log read at once for entries whose messages lie together; small enough for malloc's own */
    NEAR = 16 << 10,     /* ... which they do up to this gap */
    TRUSTED = 256 << 10, /* an entry that says more has to be confirmed before so much is read */
};

struct verifier {
    struct store *s;
    struct cq *q;
    uint8_t *buf; /* the last bytes read of the log: `have` from `base` on */
    size_t cap, have;
    int64_t base;
    int64_t log_end;  /* messages of the queue's entries stand before */
    int64_t last_end; /* physical end of the entry before, -1 unknown */
    int back;         /* how many entries back the search for a good one went */
};

bool store_record_ok(const struct store *s, const struct msg_view *v)
{
    bool forced = s->conf.forceVerifyPropCRC;
    if (!msg_crc_ok(v))
        return false;
    if (!forced && !s->conf.enabledAppendPropCRC)
        return true;
    enum msg_record_crc crc = msg_record_crc(v);
    return crc == MSG_RECORD_CRC_OK || (crc == MSG_RECORD_CRC_NONE && !forced);
}

static const char *log_place(const struct store *s, int64_t offset, char out[PLACE_SIZE])
{
    clog_file_path(s->log, offset, out, PLACE_SIZE);
    size_t n = strlen(out);
    snprintf(out + n, PLACE_SIZE - n, " position %" PRId64, offset % clog_segment_size(s->log));
    return out;
}

void store_report_damage(struct store *s, int64_t offset, const struct msg_view *v, const char *what)
{
    char place[PLACE_SIZE], id[56] = "unknown";
    size_t n = v ? msg_id_format(id, &v->m.store_host, offset) : strlen(id);
    stat_add(&s->damaged, 1);
    LOG_LIMITED(
        LOG_ERROR, "store",
        "damaged message (id %.*s) in %s: %s; it is not served. 'crocket store check' finds all damage, 'crocket "
        "store repair' shows what can be done; or bring the file back from a copy",
        (int)n, id, log_place(s, offset, place), what);
}

bool store_may_serve(struct store *s, const struct msg_view *v)
{
    if (v->m.physical_offset >= __atomic_load_n(&s->resident_from, __ATOMIC_RELAXED) || store_record_ok(s, v))
        return true;
    store_report_damage(s, v->m.physical_offset, v, "its content does not match its CRC");
    return false;
}

/* The n bytes of the log at offset, or NULL; good until the next call. */
static uint8_t *log_bytes(struct verifier *f, int64_t offset, size_t n)
{
    int64_t end = f->base + (int64_t)f->have;
    if (f->have && offset >= f->base && offset + (int64_t)n <= end)
        return f->buf + (offset - f->base);
    bool near = f->have && offset >= f->base && offset <= end + NEAR;
    size_t want = near && n < WINDOW ? WINDOW : n;
    f->have = 0;
    if (want > f->cap) {
        uint8_t *grown = realloc(f->buf, want);
        if (grown == NULL)
            return NULL;
        f->buf = grown;
        f->cap = want;
    }
    ssize_t got = clog_read(f->s->log, offset, f->buf, want);
    if (got < (ssize_t)n)
        return NULL;
    f->base = offset;
    f->have = (size_t)got;
    return f->buf;
}

/* The whole record at offset; false when none of that size stands there. */
static bool read_record(struct verifier *f, int64_t offset, int32_t size, struct msg_view *v)
{
    if (size < MSG_FIXED_V4 || offset < clog_min(f->s->log) || offset > clog_max(f->s->log) - size)
        return false;
    uint8_t *record = log_bytes(f, offset, size <= TRUSTED ? (size_t)size : 8);
    if (record == NULL || get_be32(record) != (uint32_t)size)
        return false;
    record = log_bytes(f, offset, (size_t)size);
    return record && msg_decode(record, (size_t)size, v) == MSG_OK && v->m.physical_offset == offset;
}

/* The record is the one whose entry stands at this position of the queue; *e: what the entry must be. In a batch queue
 * only what stands before and behind tells that. */
static bool belongs(const struct verifier *f, int64_t position, const struct msg_view *v, struct store_entry *e)
{
    return store_place(f->s, f->q, v, e) && (cq_is_batch(f->q) || e->queue_offset == position);
}

/* Delivery times depend on delays that may have been configured otherwise when the entry was made. */
static bool agrees(const struct store *s, const struct msg_view *v, const struct store_entry *e,
                   const struct store_entry *right)
{
    return e->queue_offset == right->queue_offset && e->messages == right->messages &&
           e->store_time == right->store_time &&
           (e->tags_code == right->tags_code || store_delay_of(s, v->m.topic, v->m.properties) >= 0);
}

/* Physical end of the entry before offset, as far as it is known. */
static int64_t end_before(struct cq *q, int64_t offset)
{
    struct store_entry e;
    int64_t to;
    if (offset <= cq_first(q) || cq_check(q, offset - 1, &to) != CQ_GOOD || cq_read(q, offset - 1, &e, 1, true) != 1 ||
        !cq_entry_valid(&e) || cq_entry_preblank(&e))
        return -1;
    return e.physical_offset + e.size;
}

/* Where the log may hold the message of a wrong entry: behind the entry before, in front of the entry behind. */
static void search_range(struct verifier *f, int64_t offset, int64_t *from, int64_t *to)
{
    struct store *s = f->s;
    struct store_entry next, right;
    struct msg_view v;
    *from = f->last_end >= clog_min(s->log) ? f->last_end : clog_min(s->log);
    *to = f->log_end;
    if (cq_read(f->q, offset + 1, &next, 1, true) == 1 && next.physical_offset >= *from &&
        read_record(f, next.physical_offset, next.size, &v) && belongs(f, offset + 1, &v, &right))
        *to = next.physical_offset;
    if (*to - *from > SEARCH_MAX)
        *to = *from + SEARCH_MAX;
}

/* Looks for the message of the entry at the position. True: found and whole, *e is what the entry must be. */
static bool find_message(struct verifier *f, int64_t offset, struct store_entry *e)
{
    struct store *s = f->s;
    struct log_files *files;
    struct log_scan scan;
    struct err err;
    int64_t from, to;
    bool found = false;
    search_range(f, offset, &from, &to);
    if (log_files_open(&files, s->fs, clog_dir(s->log), &err))
        return false;
    log_scan_init(&scan, files, from);
    while (scan.pos < to) {
        struct msg_view v;
        int64_t at;
        int error;
        bool used;
        enum log_scan_step step = log_scan_next(&scan, &v, &at, &error);
        if (step == SCAN_BAD && log_scan_resync(&scan, &used))
            continue;
        if (step != SCAN_RECORD || at >= to)
            break;
        if (!belongs(f, offset, &v, e))
            continue;
        found = store_record_ok(s, &v);
        if (!found)
            store_report_damage(s, at, &v, "its content does not match its CRC");
        log_scan_free(&scan);
        log_files_close(files);
        return found;
    }
    log_scan_free(&scan);
    log_files_close(files);
    store_report_damage(s, from, NULL, "between here and the next message of its queue one is missing");
    return false;
}

static enum cq_check compare_one(struct verifier *f, int64_t position);

/* In a batch queue the message is the next one behind the entry before: that must be known. */
static bool knows_begin(struct verifier *f, int64_t position)
{
    if (!cq_is_batch(f->q) || f->last_end >= 0 || position <= cq_first(f->q))
        return true;
    if (f->back == BACK_MAX)
        return false;
    f->back++;
    bool good = compare_one(f, position - 1) == CQ_GOOD;
    f->last_end = end_before(f->q, position);
    f->back--;
    return good;
}

static enum cq_check mend(struct verifier *f, int64_t offset)
{
    char place[PLACE_SIZE];
    struct store_entry right;
    cq_entry_place(f->q, offset, place, sizeof place);
    if (!knows_begin(f, offset) || !find_message(f, offset, &right)) {
        LOG_LIMITED(LOG_ERROR, "store", "entry %" PRId64 " of topic %.*s, queue %d is passed over (in %s)", offset,
                    STR_ARG(cq_topic(f->q)), cq_id(f->q), place);
        return CQ_BAD;
    }
    int r = cq_mend(f->q, offset, &right);
    LOG_LIMITED(LOG_WARN, "store", "damaged consume queue entry in %s (topic %.*s, queue %d, entry %" PRId64 "): %s%s",
                place, STR_ARG(cq_topic(f->q)), cq_id(f->q), offset,
                r ? "it cannot be written: " : "mended from the log", r ? strerror(-r) : "");
    if (r)
        return CQ_BAD;
    stat_add(&f->s->mended, 1);
    f->last_end = right.physical_offset + right.size;
    return CQ_GOOD;
}

/* The log's file is gone already, and the queue has not followed yet. */
static bool is_expired(const struct verifier *f, const struct store_entry *e)
{
    struct store_entry first;
    int64_t min = clog_min(f->s->log);
    return cq_entry_valid(e) && e->physical_offset < min &&
           (cq_read(f->q, cq_first(f->q), &first, 1, true) != 1 || first.physical_offset < min);
}

static enum cq_check compare(struct verifier *f, int64_t offset, const struct store_entry *e)
{
    struct store *s = f->s;
    struct store_entry right;
    struct msg_view v;
    if (cq_entry_preblank(e) || is_expired(f, e))
        return CQ_GOOD; /* says that there is no message */
    bool there = read_record(f, e->physical_offset, e->size, &v);
    if (there && belongs(f, offset, &v, &right) && agrees(s, &v, e, &right)) {
        f->last_end = e->physical_offset + e->size;
        if (store_record_ok(s, &v))
            return CQ_GOOD;
        store_report_damage(s, e->physical_offset, &v, "its content does not match its CRC");
        return CQ_BAD;
    }
    return mend(f, offset);
}

/* Compares the unchecked entries of [*at, to) that lie below the physical limit; false: no more can be read. */
static bool compare_run(struct verifier *f, int64_t *at, int64_t to, int64_t limit)
{
    struct store_entry entries[ENTRIES];
    int n = cq_read(f->q, *at, entries, to - *at < ENTRIES ? (int)(to - *at) : ENTRIES, true);
    f->last_end = end_before(f->q, *at);
    for (int i = 0; i < n; i++, ++*at) {
        if (entries[i].physical_offset > limit)
            return false;
        enum cq_check what = compare(f, *at, &entries[i]);
        cq_set_checked(f->q, *at, *at + 1, what);
    }
    return n > 0;
}

/* Compares the entry at the position if nobody has yet. */
static enum cq_check compare_one(struct verifier *f, int64_t position)
{
    int64_t to, at = position;
    if (cq_check(f->q, position, &to) == CQ_UNCHECKED)
        compare_run(f, &at, position + 1, INT64_MAX);
    return cq_check(f->q, position, &to);
}

/* The position of the queue offset. In a batch queue a wrong entry could mislead the search, so those it looks at are
 * compared first. */
static int64_t locate(struct verifier *f, int64_t offset)
{
    struct cq *q = f->q;
    struct store_entry e;
    int64_t to, lo = cq_locate(q, offset, true), hi = cq_behind(q);
    if (!cq_is_batch(q) ||
        (lo >= 0 && cq_check(q, lo, &to) == CQ_GOOD && cq_read(q, lo, &e, 1, true) == 1 && e.queue_offset <= offset))
        return lo;
    for (lo = cq_first(q); lo < hi;) {
        int64_t mid = lo + (hi - lo) / 2, at = mid;
        while (at < hi && (compare_one(f, at) != CQ_GOOD || cq_read(q, at, &e, 1, true) != 1))
            at++;
        if (at < hi && e.queue_offset + e.messages <= offset)
            lo = at + 1;
        else
            hi = mid;
    }
    if (lo > cq_first(q))
        compare_one(f, lo - 1);
    return lo;
}

void store_verify_ends(struct store *s, struct cq *q, int64_t log_end)
{
    struct verifier f = {.s = s, .q = q, .log_end = log_end, .last_end = -1};
    if (cq_first(q) < cq_behind(q)) {
        compare_one(&f, cq_first(q));
        compare_one(&f, cq_behind(q) - 1);
    }
    free(f.buf);
}

void store_verify(struct store *s, struct cq *q, int64_t offset, uint32_t count, bool ahead)
{
    if (offset < cq_min(q) || offset >= cq_max(q))
        return;
    struct verifier f = {.s = s, .q = q, .log_end = clog_max(s->log), .last_end = -1};
    struct store_entry first;
    int64_t at = locate(&f, offset), to, needed = at + count, end = needed, limit = INT64_MAX;
    if (at < 0 || (cq_check(q, at, &to) != CQ_UNCHECKED && to >= end))
        end = at;
    else if (ahead && cq_read(q, at, &first, 1, true) == 1) {
        limit = first.physical_offset > INT64_MAX - AHEAD_SPAN ? INT64_MAX : first.physical_offset + AHEAD_SPAN;
        end = at + AHEAD_ENTRIES;
    }
    if (end > cq_behind(q))
        end = cq_behind(q);
    while (at < end) {
        if (cq_check(q, at, &to) != CQ_UNCHECKED) {
            at = to;
            continue;
        }
        int64_t stop = at < needed ? needed : end;
        if (!compare_run(&f, &at, to < stop ? to : stop, at < needed ? INT64_MAX : limit))
            break;
    }
    free(f.buf);
}
