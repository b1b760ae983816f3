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
};

struct verifier {
    struct store *s;
    struct cq *q;
    uint8_t *buf;
    size_t cap;
    int64_t last_end; /* physical end of the entry before, -1 unknown */
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
    int64_t size = clog_segment_size(s->log), base = offset - offset % size;
    snprintf(out, PLACE_SIZE, "%s/%020" PRId64 " position %" PRId64, clog_dir(s->log), base, offset - base);
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
    if (v->m.physical_offset >= s->resident_from || store_record_ok(s, v))
        return true;
    store_report_damage(s, v->m.physical_offset, v, "its content does not match its CRC");
    return false;
}

/* The whole record at offset; false when none of that size stands there. */
static bool read_record(struct verifier *f, int64_t offset, int32_t size, struct msg_view *v)
{
    if (size < MSG_FIXED_V4 || offset < clog_min(f->s->log) || offset > clog_max(f->s->log) - size)
        return false;
    uint8_t head[8];
    if (clog_read(f->s->log, offset, head, sizeof head) != sizeof head || get_be32(head) != (uint32_t)size)
        return false;
    if ((size_t)size > f->cap) {
        uint8_t *grown = realloc(f->buf, (size_t)size);
        if (grown == NULL)
            return false;
        f->buf = grown;
        f->cap = (size_t)size;
    }
    return clog_read(f->s->log, offset, f->buf, (size_t)size) == size &&
           msg_decode(f->buf, (size_t)size, v) == MSG_OK && v->m.physical_offset == offset;
}

/* The record is the one that stands at this offset of the queue. */
static bool belongs(const struct cq *q, int64_t offset, const struct msg_view *v)
{
    return v->m.queue_offset == offset && v->m.queue_id == cq_id(q) && str_eq(v->m.topic, cq_topic(q)) &&
           store_is_queued(v->m.sys_flag);
}

/* Delivery times depend on delays that may have been configured otherwise when the entry was made. */
static bool tags_agree(const struct store *s, const struct msg_view *v, int64_t tags_code)
{
    return store_delay_of(s, v->m.topic, v->m.properties) >= 0 ||
           store_tags_code(s, v->m.topic, v->m.properties, v->m.store_time) == tags_code;
}

/* Where the log may hold the message of a wrong entry: behind the entry before, in front of the entry behind. */
static void search_range(struct verifier *f, int64_t offset, int64_t *from, int64_t *to)
{
    struct store *s = f->s;
    struct store_entry next;
    struct msg_view v;
    *from = f->last_end >= clog_min(s->log) ? f->last_end : clog_min(s->log);
    *to = clog_max(s->log);
    if (cq_read(f->q, offset + 1, &next, 1, true) == 1 && next.physical_offset >= *from &&
        read_record(f, next.physical_offset, next.size, &v) && belongs(f->q, offset + 1, &v))
        *to = next.physical_offset;
    if (*to - *from > SEARCH_MAX)
        *to = *from + SEARCH_MAX;
}

/* Looks for the message of queue offset `offset`. True: found and whole, *e is what its entry must be. */
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
        if (step != SCAN_RECORD)
            break;
        if (!belongs(f->q, offset, &v))
            continue;
        found = store_record_ok(s, &v);
        if (!found)
            store_report_damage(s, at, &v, "its content does not match its CRC");
        *e = (struct store_entry){at, (int32_t)v.size, store_tags_code(s, v.m.topic, v.m.properties, v.m.store_time)};
        log_scan_free(&scan);
        log_files_close(files);
        return found;
    }
    log_scan_free(&scan);
    log_files_close(files);
    store_report_damage(s, from, NULL, "between here and the next message of its queue one is missing");
    return false;
}

static enum cq_check mend(struct verifier *f, int64_t offset)
{
    char place[PLACE_SIZE];
    struct store_entry right;
    cq_entry_place(f->q, offset, place, sizeof place);
    if (!find_message(f, offset, &right)) {
        LOG_LIMITED(LOG_ERROR, "store", "queue offset %" PRId64 " of topic %.*s, queue %d is passed over (entry in %s)",
                    offset, STR_ARG(cq_topic(f->q)), cq_id(f->q), place);
        return CQ_BAD;
    }
    int r = cq_mend(f->q, offset, &right);
    LOG_LIMITED(LOG_WARN, "store",
                "damaged consume queue entry in %s (topic %.*s, queue %d, queue offset %" PRId64 "): %s%s", place,
                STR_ARG(cq_topic(f->q)), cq_id(f->q), offset, r ? "it cannot be written: " : "mended from the log",
                r ? strerror(-r) : "");
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
           (cq_read(f->q, cq_min(f->q), &first, 1, true) != 1 || first.physical_offset < min);
}

static enum cq_check compare(struct verifier *f, int64_t offset, const struct store_entry *e)
{
    struct store *s = f->s;
    struct msg_view v;
    if (cq_entry_preblank(e) || is_expired(f, e))
        return CQ_GOOD; /* says that there is no message */
    bool there = read_record(f, e->physical_offset, e->size, &v);
    if (there && belongs(f->q, offset, &v) && tags_agree(s, &v, e->tags_code)) {
        f->last_end = e->physical_offset + e->size;
        if (store_record_ok(s, &v))
            return CQ_GOOD;
        store_report_damage(s, e->physical_offset, &v, "its content does not match its CRC");
        return CQ_BAD;
    }
    return mend(f, offset);
}

/* Physical end of the entry before offset, as far as it is known. */
static int64_t end_before(struct cq *q, int64_t offset)
{
    struct store_entry e;
    int64_t to;
    if (offset <= cq_min(q) || cq_check(q, offset - 1, &to) != CQ_GOOD || cq_read(q, offset - 1, &e, 1, true) != 1 ||
        !cq_entry_valid(&e) || cq_entry_preblank(&e))
        return -1;
    return e.physical_offset + e.size;
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

void store_verify(struct store *s, struct cq *q, int64_t offset, uint32_t count, bool ahead)
{
    int64_t to, end = offset + count, max = cq_max(q), limit = INT64_MAX;
    if (offset < cq_min(q) || offset >= max || (cq_check(q, offset, &to) != CQ_UNCHECKED && to >= end))
        return;
    struct verifier f = {.s = s, .q = q, .last_end = -1};
    struct store_entry first;
    if (ahead && cq_read(q, offset, &first, 1, true) == 1) {
        limit = first.physical_offset + AHEAD_SPAN;
        end = offset + AHEAD_ENTRIES;
    }
    if (end > max)
        end = max;
    int64_t needed = offset + count;
    while (offset < end) {
        if (cq_check(q, offset, &to) != CQ_UNCHECKED) {
            offset = to;
            continue;
        }
        int64_t stop = offset < needed ? needed : end;
        if (!compare_run(&f, &offset, to < stop ? to : stop, offset < needed ? INT64_MAX : limit))
            break;
    }
    free(f.buf);
}
