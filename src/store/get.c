/* Reading a queue: entries from the consume queue, adjacent records of the log merged to ranges, nothing copied. */
#include <string.h>

#include "store/store_int.h"

enum {
    ENTRIES = 64,           /* entries read at once */
    RECENT_MAX = 256 << 20, /* of the newest log taken as resident without asking ... */
    RECENT_SHARE = 16,      /* ... but not more than this part of memory */
    READ_AHEAD = 4 << 20,   /* bytes read ahead behind a cold read */
    ASK_SPAN = 1 << 20,     /* ranges within so many bytes are asked about at once */
    FILTER_SPAN = 64 << 10, /* the same for records that a filter wants to see */
    PULL_BYTES_MAX = 128 << 20,
    PULL_BYTES_MIN = 100,
};

/* A read in progress. */
struct reader {
    struct store *s;
    struct get_result *out;
    struct log_segment *seg; /* pinned: the one of the last record, or NULL */
    uint32_t max_count;
    int64_t max_bytes;
    bool may_block;
    bool closed;                /* the file of the last record looked for is not open */
    int64_t warm_from, warm_to; /* this part of the log was found in memory */
    /* Of each range: its first entry and how many records it has, so that cold ones can be given back. */
    int64_t range_first[STORE_GET_RANGES];
    uint32_t range_count[STORE_GET_RANGES];
};

static bool is_recent(const struct store *s, int64_t offset)
{
    int64_t recent = s->memory_bytes / RECENT_SHARE < RECENT_MAX ? s->memory_bytes / RECENT_SHARE : RECENT_MAX;
    return offset >= __atomic_load_n(&s->resident_from, __ATOMIC_RELAXED) && clog_max(s->log) - offset <= recent;
}

static bool is_resident(const struct reader *r, const struct log_segment *seg, int64_t at, size_t n)
{
    const struct fs *fs = r->s->fs;
    return r->may_block || is_recent(r->s, seg->base + at) || fs->map_resident(fs, seg->map, (size_t)at, n);
}

/* Pins the segment that holds the whole record. */
static bool find(struct reader *r, const struct store_entry *e)
{
    struct store *s = r->s;
    int64_t at = e->physical_offset;
    if (r->seg && at >= r->seg->base && at < r->seg->base + r->seg->size && at >= clog_min(s->log))
        return e->size > 0 && at <= r->seg->base + r->seg->size - e->size;
    if (r->seg)
        seg_release(r->seg);
    r->closed = false;
    r->seg = e->size > 0 && at <= clog_max(s->log) - e->size ? clog_pin(s->log, at, r->may_block, &r->closed) : NULL;
    return r->seg && at + e->size <= r->seg->base + r->seg->size;
}

bool store_pull_is_full(const struct store *s, const struct get_result *out, uint32_t max_count, int64_t max_bytes,
                        int32_t size, uint32_t messages, int64_t behind)
{
    const struct store_conf *c = &s->conf;
    if (out->count == 0)
        return false;
    if (out->count + messages > max_count || (int64_t)out->bytes + size > max_bytes)
        return true;
    bool in_memory = behind <= s->memory_bytes / 100 * c->accessMessageInMemoryMaxRatio;
    int64_t bytes = in_memory ? c->maxTransferBytesOnMessageInMemory : c->maxTransferBytesOnMessageInDisk;
    uint32_t count = (uint32_t)(in_memory ? c->maxTransferCountOnMessageInMemory : c->maxTransferCountOnMessageInDisk);
    return (int64_t)out->bytes + size > bytes || out->count >= count;
}

static bool is_full(const struct reader *r, const struct store_entry *e)
{
    return store_pull_is_full(r->s, r->out, r->max_count, r->max_bytes, e->size, (uint32_t)e->messages,
                              clog_max(r->s->log) - e->physical_offset);
}

/* False: no room for another range. */
static bool add(struct reader *r, const struct store_entry *e)
{
    struct get_result *out = r->out;
    int64_t at = e->physical_offset - r->seg->base;
    struct store_range *last = out->n_ranges ? &out->ranges[out->n_ranges - 1] : NULL;
    if (last && last->segment == r->seg && last->offset + last->len == at) {
        last->len += (uint32_t)e->size;
    } else {
        if (out->n_ranges == STORE_GET_RANGES)
            return false;
        seg_retain(r->seg);
        r->range_first[out->n_ranges] = out->next_offset;
        r->range_count[out->n_ranges] = 0;
        out->ranges[out->n_ranges++] = (struct store_range){
            .segment = r->seg, .fd = r->seg->fd, .offset = at, .len = (uint32_t)e->size, .map = r->seg->map + at};
    }
    r->range_count[out->n_ranges - 1] += (uint32_t)e->messages;
    out->count += (uint32_t)e->messages;
    out->bytes += (uint32_t)e->size;
    return true;
}

/* A filter looks at one record after the other, mostly not far apart. */
static bool record_is_resident(struct reader *r, const struct store_entry *e)
{
    const struct log_segment *seg = r->seg;
    int64_t from = e->physical_offset, to = from + e->size, end = seg->base + seg->size;
    if (from >= r->warm_from && to <= r->warm_to)
        return true;
    int64_t ahead = to + FILTER_SPAN < end ? to + FILTER_SPAN : end;
    if (!is_resident(r, seg, from - seg->base, (size_t)(ahead - from))) {
        ahead = to;
        if (!is_resident(r, seg, from - seg->base, (size_t)e->size))
            return false;
    }
    r->warm_from = from;
    r->warm_to = ahead;
    return true;
}

enum take { TAKEN, SKIPPED, REMOVED, COLD, FULL };

/* Decides about one entry. */
static enum take take(struct reader *r, const struct store_entry *e, store_filter_fn filter, void *arg)
{
    enum filter_verdict wanted = filter ? filter(arg, e, NULL) : FILTER_YES;
    if (wanted == FILTER_NO)
        return SKIPPED;
    if (!find(r, e))
        return r->closed ? COLD : REMOVED;
    if (wanted == FILTER_NEED_RECORD) {
        struct msg_view v;
        int64_t at = e->physical_offset - r->seg->base;
        if (!record_is_resident(r, e))
            return COLD;
        if (msg_decode(r->seg->map + at, (size_t)e->size, &v) != MSG_OK || filter(arg, e, &v) != FILTER_YES)
            return SKIPPED;
    }
    return add(r, e) ? TAKEN : FULL;
}

/* Gives back the ranges from i on: the read ends before the first entry of range i. */
static void cut(struct reader *r, uint32_t i)
{
    struct get_result *out = r->out;
    out->next_offset = r->range_first[i];
    while (out->n_ranges > i) {
        struct store_range *last = &out->ranges[--out->n_ranges];
        out->bytes -= last->len;
        out->count -= r->range_count[out->n_ranges];
        store_range_release(last);
    }
}

/* How many ranges from i on lie so close together in one segment that asking for all at once is cheaper. *len: their
 * span. */
static uint32_t close_together(const struct get_result *out, uint32_t i, size_t *len)
{
    const struct store_range *first = &out->ranges[i];
    uint32_t n = 1;
    *len = first->len;
    while (i + n < out->n_ranges) {
        const struct store_range *g = &out->ranges[i + n];
        int64_t end = g->offset + g->len;
        if (g->segment != first->segment || g->offset < first->offset || end - first->offset > ASK_SPAN)
            break;
        *len = (size_t)(end - first->offset);
        n++;
    }
    return n;
}

/* Keeps only ranges that can be read without waiting for the disk. */
static void drop_cold(struct reader *r)
{
    struct get_result *out = r->out;
    for (uint32_t i = 0; i < out->n_ranges;) {
        const struct store_range *g = &out->ranges[i];
        size_t span;
        uint32_t n = close_together(out, i, &span);
        if (n > 1 && !is_resident(r, g->segment, g->offset, span))
            n = 1; /* perhaps only a gap between them is cold */
        if (n == 1 && !is_resident(r, g->segment, g->offset, g->len)) {
            cut(r, i);
            if (i == 0)
                out->status = GET_COLD;
            return;
        }
        i += n;
    }
}

/* Goes on with the next file of the queue. */
static void skip_file(const struct reader *r, struct cq *q, int64_t position)
{
    struct get_result *out = r->out;
    struct store_entry e;
    out->status = GET_OFFSET_FOUND_NULL;
    position = cq_next_file(q, position);
    if (cq_is_batch(q))
        out->next_offset = cq_read(q, position, &e, 1, r->may_block) == 1 && e.queue_offset > out->next_offset
                               ? e.queue_offset
                               : out->max_offset;
    else
        out->next_offset = position;
}

/* The file that holds the entry cannot be read, so nobody can check it. */
static bool skip_unreadable(const struct reader *r, struct cq *q, int64_t position)
{
    struct store_entry e;
    if (!r->may_block || cq_read(q, position, &e, 1, true) > 0)
        return false;
    skip_file(r, q, position);
    return true;
}

/* Where reading goes on, and whether the entry there may be believed. In a batch queue one in front of it that may not
 * be can have misled the search. */
static enum cq_check locate(const struct reader *r, struct cq *q, int64_t *position, int64_t *alike)
{
    enum cq_check what = CQ_UNCHECKED;
    if (!cq_is_batch(q)) {
        *position = r->out->next_offset;
        return cq_check(q, *position, alike);
    }
    *position = cq_locate(q, r->out->next_offset, r->may_block);
    if (*position >= 0)
        what = cq_check(q, *position, alike);
    int64_t ignored;
    if (what == CQ_GOOD && *position > cq_first(q) && cq_check(q, *position - 1, &ignored) == CQ_UNCHECKED) {
        struct store_entry e;
        if (cq_read(q, *position, &e, 1, r->may_block) != 1 || e.queue_offset > r->out->next_offset)
            what = CQ_UNCHECKED;
    }
    return what;
}

/* The next queue offset behind an entry whose message is damaged. */
static int64_t behind_bad(const struct reader *r, struct cq *q, int64_t position)
{
    struct store_entry e;
    int64_t next = r->out->next_offset + 1;
    if (!cq_is_batch(q))
        return next;
    int64_t to, max = r->out->max_offset;
    do
        position++;
    while (cq_check(q, position, &to) == CQ_BAD);
    if (cq_read(q, position, &e, 1, r->may_block) != 1 || e.queue_offset >= max)
        return max;
    return e.queue_offset > next ? e.queue_offset : next;
}

/* So many entries are looked at, wanted or not. */
static int64_t walk_limit(const struct store *s, const struct cq *q, uint32_t max_count)
{
    int64_t limit = s->conf.maxFilterMessageSize / cq_unit(q);
    return limit < max_count ? max_count : limit;
}

static void walk(struct reader *r, struct cq *q, int64_t offset, store_filter_fn filter, void *arg)
{
    struct store *s = r->s;
    struct get_result *out = r->out;
    struct store_entry entries[ENTRIES];
    int64_t limit = walk_limit(s, q, r->max_count), skip_below = INT64_MIN, position;
    out->status = GET_NO_MATCHED_MESSAGE;
    while (out->next_offset < out->max_offset && out->count < r->max_count) {
        int64_t alike;
        enum cq_check what = locate(r, q, &position, &alike);
        if (what == CQ_UNCHECKED && r->may_block) {
            store_verify(s, q, out->next_offset, r->max_count, false);
            what = locate(r, q, &position, &alike);
        }
        if (what == CQ_UNCHECKED) {
            /* What was passed over so far is not looked at again. */
            if (out->next_offset == offset && !(position >= 0 && skip_unreadable(r, q, position)))
                out->status = GET_COLD;
            return;
        }
        if (what == CQ_BAD) {
            if (out->next_offset - offset >= limit)
                return;
            out->next_offset = behind_bad(r, q, position);
            continue;
        }
        int64_t same = alike - position;
        int n = cq_read(q, position, entries, same < ENTRIES ? (int)same : ENTRIES, r->may_block);
        if (n <= 0 && out->count)
            return;
        if (n < 0) {
            out->status = GET_COLD;
            return;
        }
        if (n == 0) {
            skip_file(r, q, position);
            return;
        }
        for (int i = 0; i < n; i++) {
            const struct store_entry *e = &entries[i];
            if (out->next_offset - offset >= limit || is_full(r, e))
                return;
            enum take t = e->physical_offset < skip_below ? SKIPPED : take(r, e, filter, arg);
            if (t == FULL || t == COLD) {
                if (out->count == 0)
                    out->status = GET_COLD;
                return;
            }
            if (t == REMOVED) {
                int64_t size = clog_segment_size(s->log), min = clog_min(s->log);
                /* The cleaner took the file: none of its messages needs looking at. */
                skip_below = e->physical_offset < min ? min : e->physical_offset + size;
                if (out->count == 0)
                    out->status = GET_MESSAGE_WAS_REMOVING;
            } else if (t == TAKEN) {
                out->status = GET_FOUND;
            } else if (out->count == 0 && skip_below == INT64_MIN) {
                out->status = GET_NO_MATCHED_MESSAGE;
            }
            if (e->queue_offset >= out->next_offset - e->messages)
                out->next_offset = e->queue_offset + e->messages;
        }
    }
}

/* On a slave an offset outside the queue may only mean that replication is behind. */
static int64_t corrected(const struct store *s, int64_t asked, int64_t right)
{
    return s->conf.brokerRole == ROLE_SLAVE && !s->conf.offsetCheckInSlave ? asked : right;
}

static int64_t pull_bytes(uint32_t max_bytes)
{
    return max_bytes < PULL_BYTES_MIN ? PULL_BYTES_MIN : max_bytes > PULL_BYTES_MAX ? PULL_BYTES_MAX : max_bytes;
}

void store_get_log(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
                   store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out)
{
    memset(out, 0, offsetof(struct get_result, ranges));
    if (q == NULL) {
        out->status = GET_NO_MATCHED_LOGIC_QUEUE;
        out->next_offset = corrected(s, offset, 0);
        return;
    }
    /* Asked before the queue is: what was there is known to be all of it, or may grow. */
    bool rebuilding = store_rebuilding(s);
    out->min_offset = cq_min(q);
    out->max_offset = cq_max(q);
    out->next_offset = offset;
    if (rebuilding &&
        (offset >= out->max_offset || (offset < out->min_offset && rebuild_is_compacted(s, cq_topic(q))))) {
        out->status = GET_OFFSET_OVERFLOW_ONE; /* nothing there yet */
    } else if (out->max_offset == 0) {
        out->status = GET_NO_MESSAGE_IN_QUEUE;
        out->next_offset = corrected(s, offset, 0);
    } else if (offset < out->min_offset) {
        out->status = GET_OFFSET_TOO_SMALL;
        out->next_offset = corrected(s, offset, out->min_offset);
    } else if (offset == out->max_offset) {
        out->status = GET_OFFSET_OVERFLOW_ONE;
    } else if (offset > out->max_offset) {
        out->status = GET_OFFSET_OVERFLOW_BADLY;
        out->next_offset = corrected(s, offset, out->max_offset);
    } else {
        struct reader r = {.s = s, .out = out, .max_count = max_count, .may_block = may_block};
        r.max_bytes = pull_bytes(max_bytes);
        walk(&r, q, offset, filter, filter_arg);
        if (!may_block)
            drop_cold(&r);
        if (r.seg)
            seg_release(r.seg);
        if (out->n_ranges)
            out->first_store_time = store_time_in(out->ranges[0].map);
        if (rebuilding && out->status == GET_OFFSET_FOUND_NULL) {
            out->status = GET_OFFSET_OVERFLOW_ONE;
            out->next_offset = offset;
        }
    }
}

void store_get(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
               store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out)
{
    struct compaction_queue *compacted = q ? cq_compacted(q) : NULL;
    memset(out, 0, offsetof(struct get_result, ranges));
    /* What is not copied to the compaction log yet is read from the commit log. */
    if (compacted == NULL ||
        !compaction_get(compacted, offset, max_count, pull_bytes(max_bytes), filter, filter_arg, may_block, out))
        store_get_log(s, q, offset, max_count, max_bytes, filter, filter_arg, may_block, out);
    if (compacted) {
        out->min_offset = compaction_min(compacted, cq_min(q));
        out->max_offset = cq_max(q);
    }
    stat_add(out->status == GET_FOUND ? &s->gets_found : &s->gets_missed, 1);
    if (out->count)
        stat_add(&s->got_messages, out->count);
}

static enum get_status look_in(struct reader *r, int64_t at, struct msg_view *view)
{
    const struct log_segment *seg = r->seg;
    int64_t end = store_visible_end(r->s) - seg->base;
    if (end > seg->size)
        end = seg->size;
    if (at + MSG_FIXED_V4 > end)
        return GET_OFFSET_FOUND_NULL;
    if (!is_resident(r, seg, at, MSG_FIXED_V4))
        return GET_COLD;
    uint32_t size = get_be32(seg->map + at), magic = get_be32(seg->map + at + MSG_POS_MAGIC);
    if ((magic != MSG_MAGIC_V1 && magic != MSG_MAGIC_V2) || size < MSG_FIXED_V4 || at + (int64_t)size > end)
        return GET_OFFSET_FOUND_NULL;
    if (!is_resident(r, seg, at, size))
        return GET_COLD;
    return msg_decode(seg->map + at, size, view) == MSG_OK && view->m.physical_offset == seg->base + at
               ? GET_FOUND
               : GET_OFFSET_FOUND_NULL;
}

enum get_status store_look(struct store *s, int64_t physical_offset, struct store_range *range, struct msg_view *view)
{
    struct reader r = {.s = s};
    r.seg = physical_offset >= clog_min(s->log) ? clog_pin(s->log, physical_offset, false, &r.closed) : NULL;
    if (r.seg == NULL)
        return r.closed ? GET_COLD : GET_OFFSET_FOUND_NULL;
    int64_t at = physical_offset - r.seg->base;
    enum get_status status = look_in(&r, at, view);
    if (status == GET_FOUND && !store_may_serve(s, view))
        status = GET_OFFSET_FOUND_NULL;
    if (status == GET_FOUND)
        *range = (struct store_range){
            .segment = r.seg, .fd = r.seg->fd, .offset = at, .len = view->size, .map = r.seg->map + at};
    else
        seg_release(r.seg);
    return status;
}

void store_range_retain(struct store_range *r)
{
    seg_retain(r->segment);
}

void store_range_release(struct store_range *r)
{
    seg_release(r->segment);
}

void store_release(struct store *s, struct get_result *r)
{
    for (uint32_t i = 0; i < r->n_ranges; i++)
        store_range_release(&r->ranges[i]);
    r->n_ranges = 0;
}

/* Reads [from, to) of the log for the sake of the page cache. */
static void load_range(struct store *s, int64_t from, int64_t to)
{
    char sink[32 * 1024];
    while (from < to) {
        ssize_t got =
            clog_read(s->log, from, sink, to - from < (int64_t)sizeof sink ? (size_t)(to - from) : sizeof sink);
        if (got <= 0)
            return;
        from += got;
    }
}

/* Consumers of several queues that catch up go through the log side by side: what one of them has had read ahead serves
 * the others, until they are through half of it. */
static void read_ahead(struct store *s, int64_t from)
{
    int64_t last = __atomic_load_n(&s->read_ahead_from, __ATOMIC_RELAXED);
    if (from >= last && from - READ_AHEAD / 2 < last)
        return;
    __atomic_store_n(&s->read_ahead_from, from, __ATOMIC_RELAXED);
    struct log_segment *seg = clog_pin(s->log, from, true, NULL);
    if (seg == NULL)
        return;
    int64_t end = seg->base + seg->size < clog_max(s->log) ? seg->base + seg->size : clog_max(s->log);
    int64_t n = end - from < READ_AHEAD ? end - from : READ_AHEAD;
    if (n > 0)
        s->fs->readahead(s->fs, seg->fd, from - seg->base, n);
    seg_release(seg);
}

void store_warm(struct store *s, struct cq *q, int64_t offset, uint32_t max_count, uint32_t max_bytes,
                store_filter_fn filter, void *filter_arg)
{
    struct store_entry entries[ENTRIES];
    uint32_t count = 0;
    int64_t bytes = 0, from = -1, to = -1;
    struct compaction_queue *compacted = cq_compacted(q);
    if (compacted && compaction_warm(compacted, offset, max_count, max_bytes))
        return;
    store_verify(s, q, offset, max_count, true);
    if (offset >= cq_min(q) && offset < cq_max(q))
        offset = cq_locate(q, offset, true); /* from here on a position */
    int64_t end = offset + walk_limit(s, q, max_count);
    while (offset >= 0 && offset < end && count < max_count && bytes < max_bytes) {
        uint32_t want = max_count - count < ENTRIES ? max_count - count : ENTRIES;
        int n = cq_read(q, offset, entries, (int)want, true);
        if (n <= 0)
            break;
        for (int i = 0; i < n; i++) {
            const struct store_entry *e = &entries[i];
            if (!cq_entry_valid(e) || (filter && filter(filter_arg, e, NULL) == FILTER_NO))
                continue;
            if (e->physical_offset != to) {
                load_range(s, from, to);
                from = e->physical_offset;
                read_ahead(s, from);
            }
            to = e->physical_offset + e->size;
            bytes += e->size;
            count++;
        }
        offset += n;
    }
    load_range(s, from, to);
}

void store_want(struct store *s, int64_t physical_offset, int64_t n)
{
    struct log_segment *seg = is_recent(s, physical_offset) ? NULL : clog_pin(s->log, physical_offset, false, NULL);
    if (seg == NULL)
        return;
    int64_t at = physical_offset - seg->base;
    s->fs->readahead(s->fs, seg->fd, at, n < seg->size - at ? n : seg->size - at);
    seg_release(seg);
}
