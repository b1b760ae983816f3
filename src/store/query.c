/* Finding single messages: by physical offset, by time, by key. All of it may block. */
#include "store/store_int.h"

enum { TIME_BYTES = 76 }; /* up to the store time's end with an IPv6 born host */

bool store_read(struct store *s, int64_t physical_offset, struct buf *out, struct msg_view *view)
{
    uint8_t head[8];
    if (physical_offset < clog_min(s->log) || clog_read(s->log, physical_offset, head, sizeof head) != sizeof head)
        return false;
    uint32_t size = get_be32(head), magic = get_be32(head + 4);
    if ((magic != MSG_MAGIC_V1 && magic != MSG_MAGIC_V2) || size < MSG_FIXED_V4 || size > INT32_MAX ||
        physical_offset + (int64_t)size > store_visible_end(s))
        return false;
    size_t before = out->len;
    uint8_t *at = buf_extend(out, size);
    if (at && clog_read(s->log, physical_offset, at, size) == (ssize_t)size && msg_decode(at, size, view) == MSG_OK &&
        view->m.physical_offset == physical_offset && store_may_serve(s, view))
        return true;
    out->len = before;
    return false;
}

/* Store time of the record at the offset, -1 when there is none. */
static int64_t time_at(struct store *s, int64_t physical_offset)
{
    uint8_t head[TIME_BYTES];
    if (physical_offset < clog_min(s->log) || clog_read(s->log, physical_offset, head, sizeof head) != sizeof head)
        return -1;
    uint32_t magic = get_be32(head + MSG_POS_MAGIC);
    if (magic != MSG_MAGIC_V1 && magic != MSG_MAGIC_V2)
        return -1;
    bool v6 = get_be32(head + MSG_POS_SYS_FLAG) & MSG_FLAG_BORNHOST_V6;
    return (int64_t)get_be64(head + MSG_POS_STORE_TIME_V4 + (v6 ? 12 : 0));
}

static int64_t time_of_entry(struct store *s, struct cq *q, int64_t position, struct store_entry *e)
{
    if (cq_read(q, position, e, 1, true) != 1 || cq_entry_preblank(e))
        return -1;
    return time_at(s, e->physical_offset);
}

int64_t store_time_of(struct store *s, struct cq *q, int64_t offset)
{
    struct store_entry e;
    if (offset < cq_min(q) || offset >= cq_max(q))
        return -1;
    return time_of_entry(s, q, cq_locate(q, offset, true), &e);
}

/* Among batches, as Java: the first one that is not older, of those with the same time the last one for the upper
 * bound; the last batch of all for a time behind. */
static int64_t batch_by_time(struct store *s, struct cq *q, int64_t time, bool upper)
{
    struct store_entry e;
    int64_t first = cq_first(q), low = first, high = cq_behind(q), max = cq_max(q);
    if (low >= high)
        return cq_min(q);
    if (time_of_entry(s, q, high - 1, &e) <= time)
        return e.queue_offset < max ? e.queue_offset : max;
    while (low < high) {
        int64_t middle = low + (high - low) / 2, t = time_of_entry(s, q, middle, &e);
        if (t < time || (upper && t == time))
            low = middle + 1;
        else
            high = middle;
    }
    int64_t found = upper && low > first ? low - 1 : low;
    return cq_read(q, found, &e, 1, true) == 1 ? e.queue_offset : cq_min(q);
}

int64_t store_earliest_time(struct store *s)
{
    return time_at(s, clog_min(s->log));
}

int64_t store_offset_by_time(struct store *s, struct cq *q, int64_t time, bool upper)
{
    if (cq_is_batch(q))
        return batch_by_time(s, q, time, upper);
    int64_t min = cq_min(q), max = cq_max(q), low = min, high = max;
    /* First entry whose time is >= time, or > time for the upper bound. A message that is gone counts as old. */
    while (low < high) {
        int64_t middle = low + (high - low) / 2, t = store_time_of(s, q, middle);
        if (t < time || (upper && t == time))
            low = middle + 1;
        else
            high = middle;
    }
    if (!upper)
        return low;
    return low > min ? low - 1 : min;
}

size_t store_entries(struct store *s, struct cq *q, int64_t offset, struct store_entry *out, size_t n)
{
    size_t done = 0;
    store_verify(s, q, offset, n < INT32_MAX ? (uint32_t)n : INT32_MAX, false);
    offset = offset >= cq_min(q) && offset < cq_max(q) ? cq_locate(q, offset, true) : -1; /* from here on a position */
    while (offset >= 0 && done < n) {
        size_t want = n - done < INT32_MAX ? n - done : INT32_MAX;
        int got = cq_read(q, offset + (int64_t)done, out + done, (int)want, true);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    for (size_t i = 0; i < done;) {
        int64_t to, at = offset + (int64_t)i;
        bool bad = cq_check(q, at, &to) == CQ_BAD;
        for (; i < done && offset + (int64_t)i < to; i++)
            if (bad)
                out[i].physical_offset = -1;
    }
    return done;
}

/* A message that the index led to: the record decides. */
struct asked_key {
    struct store *s;
    const struct str *topic, *key;
    struct buf record;
};

static bool has_asked_key(void *arg, int64_t offset)
{
    struct asked_key *asked = arg;
    struct msg_view view;
    asked->record.len = 0;
    return store_read(asked->s, offset, &asked->record, &view) && str_eq(view.m.topic, *asked->topic) &&
           msg_has_key(view.m.properties, *asked->key);
}

size_t store_query(struct store *s, struct str topic, struct str key, int64_t begin, int64_t end, int64_t *offsets,
                   size_t max, int64_t *last_time, int64_t *last_offset)
{
    *last_time = *last_offset = 0;
    if (s->index == NULL)
        return 0;
    *last_time = index_end_time(s->index);
    *last_offset = index_end_offset(s->index);
    struct asked_key check = {.s = s, .topic = &topic, .key = &key};
    struct index_asked asked = {topic, key, begin, end, has_asked_key, &check};
    size_t n = index_query(s->index, &asked, offsets, max);
    buf_free(&check.record);
    return n;
}
