/* Reading a compaction queue: units from its files, adjacent records of the log merged to ranges, nothing copied. */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "store/compaction/compaction_int.h"

enum { UNITS = 64, READ_AHEAD = 1 << 20 };

struct creader {
    struct compaction_queue *q;
    struct cfile *f; /* pinned */
    struct get_result *out;
    int64_t log_end; /* of the compaction log */
    uint32_t max_count;
    int64_t max_bytes;
    bool may_block;
    store_filter_fn filter;
    void *arg;
    int64_t limit; /* units still to be looked at */
};

/* The first file with messages from offset on, pinned; *log_end: where the queue's log ends. */
static struct cfile *pin(struct compaction_queue *q, int64_t offset, bool may_block, bool *cold, int64_t *log_end)
{
    struct cfile *found = NULL;
    *cold = false;
    pthread_mutex_lock(&q->lock);
    struct cfile_list *l = &q->files;
    for (size_t i = 0; i < l->n && found == NULL; i++)
        if (atomic_load_explicit(&l->at[i]->last, memory_order_acquire) >= offset)
            found = l->at[i];
    *log_end = l->n ? l->at[l->n - 1]->base + q->c->log_size : 0;
    if (found && found->log == NULL) {
        int r = may_block ? cfile_open(q, NULL, found) : -EAGAIN;
        if (r && r != -EAGAIN)
            LOG_LIMITED(LOG_ERROR, "store", "cannot open file %020" PRId64 " of the compaction log of %s/%d: error %d",
                        found->base, q->topic, q->id, -r);
        if (r) {
            *cold = true;
            found = NULL;
        }
    }
    if (found)
        cfile_retain(found);
    pthread_mutex_unlock(&q->lock);
    return found;
}

static bool add(struct creader *r, const struct cunit *u)
{
    struct get_result *out = r->out;
    struct log_segment *seg = r->f->log;
    int64_t at = u->position - r->f->base;
    struct store_range *last = out->n_ranges ? &out->ranges[out->n_ranges - 1] : NULL;
    if (last && last->segment == seg && last->offset + last->len == at) {
        last->len += (uint32_t)u->size;
    } else {
        if (out->n_ranges == STORE_GET_RANGES)
            return false;
        seg_retain(seg);
        out->ranges[out->n_ranges++] = (struct store_range){
            .segment = seg, .fd = seg->fd, .offset = at, .len = (uint32_t)u->size, .map = seg->map + at};
    }
    if (out->count == 0)
        out->first_store_time = u->store_time;
    out->count++;
    out->bytes += (uint32_t)u->size;
    return true;
}

static void report_damage(struct creader *r, const struct cunit *u)
{
    stat_add(&r->q->c->s->damaged, 1);
    LOG_LIMITED(LOG_ERROR, "store",
                "damaged message in file %020" PRId64 " position %" PRId64
                " of the compaction log of topic %s, queue %d (queue offset %" PRId64 "); it is not served",
                r->f->base, u->position - r->f->base, r->q->topic, r->q->id, u->queue_offset);
}

enum take { TAKEN, SKIPPED, COLD, FULL };

static enum take take(struct creader *r, const struct cunit *u)
{
    struct store *s = r->q->c->s;
    struct msg_view v;
    int64_t at = u->position - r->f->base;
    if (at < 0 || at > r->f->log->size - u->size) {
        report_damage(r, u);
        return SKIPPED;
    }
    if (store_pull_is_full(s, r->out, r->max_count, r->max_bytes, u->size, (uint32_t)u->count,
                           r->log_end - u->position))
        return FULL;
    const struct store_entry e = {
        .physical_offset = u->position, .size = u->size, .messages = u->count, .tags_code = u->tags_code};
    enum filter_verdict wanted = r->filter ? r->filter(r->arg, &e, NULL) : FILTER_YES;
    if (wanted == FILTER_NO)
        return SKIPPED;
    if (!r->may_block && !s->fs->map_resident(s->fs, r->f->log->map, (size_t)at, (size_t)u->size))
        return COLD;
    /* These files may be old, and nothing else has the message any more. */
    if (!cfile_record_ok(r->q, u, r->f->log->map + at, &v)) {
        report_damage(r, u);
        return SKIPPED;
    }
    if (wanted == FILTER_NEED_RECORD && r->filter(r->arg, &e, &v) != FILTER_YES)
        return SKIPPED;
    return add(r, u) ? TAKEN : FULL;
}

/* Units of the pinned file. False: the read ends here. */
static bool walk_file(struct creader *r)
{
    struct cunit units[UNITS];
    struct get_result *out = r->out;
    int64_t at = cfile_find(r->f, out->next_offset, r->may_block);
    int64_t to = atomic_load_explicit(&r->f->units, memory_order_acquire);
    while (at >= 0 && at < to) {
        int n = cfile_units(r->f, (uint32_t)at, units, to - at < UNITS ? (int)(to - at) : UNITS, r->may_block);
        if (n < 0)
            at = n;
        for (int i = 0; i < n; i++, at++) {
            enum take t = r->limit-- > 0 ? take(r, &units[i]) : FULL;
            if (t == COLD && out->count == 0)
                out->status = GET_COLD;
            if (t == COLD || t == FULL)
                return false;
            out->next_offset = units[i].queue_offset + units[i].count;
        }
    }
    if (at >= 0)
        return true;
    if (at == -EAGAIN) {
        if (out->count == 0)
            out->status = GET_COLD;
        return false;
    }
    LOG_LIMITED(LOG_ERROR, "store",
                "cannot read file %020" PRId64 " of compactionCq of topic %s, queue %d: error %" PRId64
                "; it is passed over",
                r->f->base, r->q->topic, r->q->id, -at);
    out->next_offset = atomic_load(&r->f->last) + 1;
    return true;
}

bool compaction_get(struct compaction_queue *q, int64_t offset, uint32_t max_count, int64_t max_bytes,
                    store_filter_fn filter, void *filter_arg, bool may_block, struct get_result *out)
{
    int64_t end = atomic_load_explicit(&q->end, memory_order_acquire), limit;
    bool cold, more = true;
    if (offset >= end)
        return false;
    limit = q->c->s->conf.maxFilterMessageSize / 20; /* as many as of an ordinary queue */
    struct creader r = {.q = q,
                        .out = out,
                        .max_count = max_count,
                        .max_bytes = max_bytes,
                        .may_block = may_block,
                        .filter = filter,
                        .arg = filter_arg,
                        .limit = limit > max_count ? limit : max_count};
    out->status = GET_NO_MATCHED_MESSAGE;
    out->next_offset = offset > 0 ? offset : 0;
    while (more && out->next_offset < end) {
        r.f = pin(q, out->next_offset, may_block, &cold, &r.log_end);
        if (cold && out->count == 0)
            out->status = GET_COLD;
        if (r.f == NULL && !cold)
            out->next_offset = end; /* nothing is left of the rest */
        if (r.f == NULL)
            break;
        more = walk_file(&r);
        cfile_release(r.f);
    }
    if (out->count)
        out->status = GET_FOUND;
    return true;
}

int64_t compaction_min(struct compaction_queue *q, int64_t otherwise)
{
    int64_t first = -1;
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < q->files.n && first < 0; i++)
        first = atomic_load(&q->files.at[i]->first);
    pthread_mutex_unlock(&q->lock);
    return first >= 0 ? first : otherwise;
}

bool compaction_warm(struct compaction_queue *q, int64_t offset, uint32_t max_count, uint32_t max_bytes)
{
    const struct fs *fs = q->c->fs;
    struct cunit u[UNITS];
    char sink[32 * 1024];
    int64_t log_end, bytes = 0;
    bool cold;
    if (offset >= atomic_load(&q->end))
        return false;
    struct cfile *f = pin(q, offset, true, &cold, &log_end);
    if (f == NULL)
        return true;
    int64_t at = cfile_find(f, offset, true), to = atomic_load(&f->units), from = -1, end = -1;
    for (uint32_t count = 0; at >= 0 && at < to && count < max_count && bytes < max_bytes;) {
        int n = cfile_units(f, (uint32_t)at, u, to - at < UNITS ? (int)(to - at) : UNITS, true);
        if (n <= 0)
            break;
        if (from < 0)
            from = u[0].position - f->base;
        for (int i = 0; i < n && count < max_count && bytes < max_bytes; i++, count++, at++) {
            bytes += u[i].size;
            end = u[i].position + u[i].size - f->base;
        }
    }
    if (from >= 0 && end <= f->log->size && end > from) {
        fs->readahead(fs, f->log->fd, from, end - from + READ_AHEAD);
        while (from < end) {
            ssize_t got = fs->pread(fs, f->log->fd, sink,
                                    end - from < (int64_t)sizeof sink ? (size_t)(end - from) : sizeof sink, from);
            if (got <= 0)
                break;
            from += got;
        }
    }
    cfile_release(f);
    return true;
}
