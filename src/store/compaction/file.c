/* The pairs of files of a compaction queue: naming, opening, reading units and records. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/compaction/compaction_int.h"

enum { SCAN_UNITS = 512, WINDOW = 1 << 20, RECORD_MAX = 1 << 30 };

void cfile_path(const struct compaction_queue *q, enum cpart part, const char *sub, int64_t base, char out[CPATH_SIZE])
{
    static const char *const folders[CPARTS] = {"compactionLog", "compactionCq"};
    int n = snprintf(out, CPATH_SIZE, "%s/%s/%s/%d", q->c->dir, folders[part], q->topic, q->id);
    if (sub && n > 0 && n < CPATH_SIZE)
        n += snprintf(out + n, (size_t)(CPATH_SIZE - n), "/%s", sub);
    if (base >= 0 && n > 0 && n < CPATH_SIZE)
        snprintf(out + n, (size_t)(CPATH_SIZE - n), "/%020" PRId64, base);
}

bool cfile_name(const char *name, int64_t *base)
{
    return strlen(name) == CNAME_DIGITS && strspn(name, "0123456789") == CNAME_DIGITS &&
           str_to_i64(str_from(name), base);
}

struct cfile *cfile_new(struct compaction *c, int64_t base)
{
    struct cfile *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->c = c;
    f->base = base;
    f->queue_fd = -1;
    atomic_init(&f->refs, 1);
    atomic_init(&f->first, -1);
    atomic_init(&f->last, -1);
    return f;
}

void cfile_retain(struct cfile *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void cfile_release(struct cfile *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    struct cfile *first = atomic_load_explicit(&f->c->dead, memory_order_relaxed);
    do
        f->next_dead = first;
    while (!atomic_compare_exchange_weak_explicit(&f->c->dead, &first, f, memory_order_release, memory_order_relaxed));
}

static int open_log(const struct compaction_queue *q, const char *sub, const struct cfile *f, struct log_segment **out)
{
    const struct fs *fs = q->c->fs;
    char path[CPATH_SIZE];
    struct log_segment *seg = calloc(1, sizeof *seg);
    if (seg == NULL)
        return -ENOMEM;
    /* Released ones are unmapped and closed with those of the commit log. */
    *seg = (struct log_segment){.log = q->c->s->log, .base = f->base, .size = q->c->log_size, .refs = 1};
    cfile_path(q, CPART_LOG, sub, f->base, path);
    int r = seg->fd = fs->open(fs, path, FS_WRITE);
    if (r >= 0) {
        void *map;
        r = fs->map(fs, seg->fd, (size_t)seg->size, false, &map);
        if (r == 0)
            seg->map = map;
    }
    if (r < 0) {
        if (seg->fd >= 0)
            fs->close(fs, seg->fd);
        free(seg);
        return r;
    }
    *out = seg;
    return 0;
}

int cfile_open(const struct compaction_queue *q, const char *sub, struct cfile *f)
{
    const struct fs *fs = q->c->fs;
    char path[CPATH_SIZE];
    if (f->log)
        return 0;
    if (f->queue_fd < 0) {
        cfile_path(q, CPART_QUEUE, sub, f->base, path);
        int fd = fs->open(fs, path, FS_WRITE);
        if (fd < 0)
            return fd;
        f->queue_fd = fd;
    }
    return open_log(q, sub, f, &f->log);
}

void cfile_shut(struct cfile *f)
{
    if (f->log)
        seg_release(f->log);
    if (f->queue_fd >= 0)
        f->c->fs->close(f->c->fs, f->queue_fd);
    f->log = NULL;
    f->queue_fd = -1;
}

bool cfile_list_add(struct cfile_list *l, struct cfile *f)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct cfile **grown = realloc(l->at, cap * sizeof(struct cfile *));
        if (grown == NULL)
            return false;
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = f;
    return true;
}

void cfile_list_release(struct cfile_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        cfile_release(l->at[i]);
    free(l->at);
    *l = (struct cfile_list){0};
}

/* ---- reading ---- */

int cfile_units(const struct cfile *f, uint32_t from, struct cunit *out, int n, bool may_block)
{
    const struct fs *fs = f->c->fs;
    uint8_t raw[64 * CUNIT_SIZE];
    int done = 0;
    while (done < n) {
        int want = n - done < 64 ? n - done : 64;
        int64_t at = ((int64_t)from + done) * CUNIT_SIZE;
        ssize_t got = may_block ? fs->pread(fs, f->queue_fd, raw, (size_t)want * CUNIT_SIZE, at)
                                : fs->pread_nowait(fs, f->queue_fd, raw, (size_t)want * CUNIT_SIZE, at);
        if (got < 0)
            return done ? done : (int)got;
        int whole = (int)(got / CUNIT_SIZE);
        for (int i = 0; i < whole; i++)
            if (!cunit_read(raw + i * CUNIT_SIZE, &out[done++]))
                return done - 1 ? done - 1 : -EILSEQ;
        if (whole < want)
            return done ? done : may_block ? -ENODATA : -EAGAIN;
    }
    return done;
}

int64_t cfile_find(const struct cfile *f, int64_t offset, bool may_block)
{
    int64_t lo = 0, hi = atomic_load_explicit(&f->units, memory_order_acquire);
    while (lo < hi) {
        struct cunit u;
        int64_t mid = lo + (hi - lo) / 2;
        int r = cfile_units(f, (uint32_t)mid, &u, 1, may_block);
        if (r < 0)
            return r;
        if (u.queue_offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool cfile_record_ok(const struct compaction_queue *q, const struct cunit *u, const uint8_t *at, struct msg_view *v)
{
    /* Not the CRC of the whole record: Java changes the position in it and leaves that as it was. */
    return msg_decode(at, (size_t)u->size, v) == MSG_OK && v->size == (uint32_t)u->size &&
           v->m.physical_offset == u->position && v->m.queue_offset == u->queue_offset && v->m.queue_id == q->id &&
           str_eqz(v->m.topic, q->topic) && msg_crc_ok(v);
}

/* ---- scanning ---- */

void cscan_init(struct cscan *s, struct compaction_queue *q)
{
    *s = (struct cscan){.q = q};
}

void cscan_free(struct cscan *s)
{
    free(s->units);
    free(s->window);
    *s = (struct cscan){0};
}

void cscan_begin(struct cscan *s, struct cfile *f, uint32_t from)
{
    s->f = f;
    s->at = from;
    s->to = atomic_load_explicit(&f->units, memory_order_acquire);
    s->units_n = 0;
    s->window_len = 0;
}

static int fill_units(struct cscan *s)
{
    if (s->at >= s->units_at && s->at < s->units_at + (uint32_t)s->units_n)
        return 0;
    if (s->units == NULL && (s->units = malloc(SCAN_UNITS * sizeof *s->units)) == NULL)
        return -ENOMEM;
    int want = s->to - s->at < SCAN_UNITS ? (int)(s->to - s->at) : SCAN_UNITS;
    int n = cfile_units(s->f, s->at, s->units, want, true);
    s->units_at = s->at;
    s->units_n = n < 0 ? 0 : n;
    return n < 0 ? n : 0;
}

/* The record's bytes; NULL with *error: they cannot be had. */
static const uint8_t *fill_window(struct cscan *s, const struct cunit *u, int *error)
{
    int64_t at = u->position - s->f->base;
    size_t size = (size_t)u->size;
    *error = 0;
    if (at < 0 || size > RECORD_MAX || at > s->q->c->log_size - u->size)
        return NULL;
    if (at >= s->window_at && at + u->size <= s->window_at + (int64_t)s->window_len)
        return s->window + (at - s->window_at);
    size_t want = size > WINDOW ? size : WINDOW;
    if (want > s->window_cap) {
        uint8_t *grown = realloc(s->window, want);
        if (grown == NULL) {
            *error = -ENOMEM;
            return NULL;
        }
        s->window = grown;
        s->window_cap = want;
    }
    ssize_t got = s->q->c->fs->pread(s->q->c->fs, s->f->log->fd, s->window, want, at);
    s->window_at = at;
    s->window_len = got < 0 ? 0 : (size_t)got;
    if (got < 0)
        *error = (int)got;
    return got >= (ssize_t)size ? s->window : NULL;
}

enum cscan_step cscan_next(struct cscan *s, struct cunit *u, struct msg_view *v, int *error)
{
    if (s->at >= s->to)
        return CSCAN_END;
    *error = fill_units(s);
    if (*error)
        return CSCAN_FAILED;
    *u = s->units[s->at - s->units_at];
    const uint8_t *record = fill_window(s, u, error);
    if (record == NULL && *error)
        return CSCAN_FAILED;
    s->at++;
    s->record = record;
    return record && cfile_record_ok(s->q, u, record, v) ? CSCAN_RECORD : CSCAN_DAMAGED;
}
