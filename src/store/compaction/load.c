/* Loading the queues at the start: which files there are, where they end, what of them can be believed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/compaction/compaction_int.h"

static int file_error(const struct compaction_queue *q, int r, const char *what, struct err *err)
{
    return err_sys(err, -r, "cannot %s of the compaction log of topic %s, queue %d in %s", what, q->topic, q->id,
                   q->c->dir);
}

/* ---- which files ---- */

struct bases {
    int64_t *at;
    size_t n;
};

static bool has(const struct bases *b, int64_t base)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->at[i] == base)
            return true;
    return false;
}

static int take_file(const struct compaction_queue *q, enum cpart part, const char *name, bool last, struct bases *out,
                     struct err *err)
{
    static const char *const keys[CPARTS] = {"compactionMappedFileSize", "compactionCqMappedFileSize"};
    const struct compaction *c = q->c;
    int64_t base, size = part == CPART_LOG ? c->log_size : c->queue_size;
    char path[CPATH_SIZE];
    struct fs_stat st;
    if (!cfile_name(name, &base))
        return 0;
    cfile_path(q, part, NULL, base, path);
    int r = c->fs->stat(c->fs, path, &st);
    if (r)
        return err_sys(err, -r, "cannot look at %s", path);
    if (st.size == 0 && last) {
        LOG(LOG_WARN, "store", "removing the empty file %s (its making was interrupted)", path);
        r = c->fs->unlink(c->fs, path);
        return r ? err_sys(err, -r, "cannot remove the empty file %s", path) : 0;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): the configuration's least sizes are above 0 */
    if (st.size != size || base % c->log_size)
        return err_set(err, EINVAL,
                       "%s has %" PRId64 " bytes, but with %s=%d such files have %" PRId64
                       " and stand at multiples of %" PRId64 ": set it to what it was when they were made",
                       path, st.size, keys[part],
                       part == CPART_LOG ? c->s->conf.compactionMappedFileSize : c->s->conf.compactionCqMappedFileSize,
                       size, c->log_size);
    out->at[out->n++] = base;
    return 0;
}

static int list_files(const struct compaction_queue *q, enum cpart part, struct bases *out, struct err *err)
{
    char dir[CPATH_SIZE], **names;
    size_t n;
    *out = (struct bases){0};
    cfile_path(q, part, NULL, -1, dir);
    int r = fs_list_sorted(q->c->fs, dir, false, &names, &n);
    if (r)
        return r == -ENOENT ? 0 : err_sys(err, -r, "cannot list %s", dir);
    out->at = calloc(n + 1, sizeof *out->at);
    if (out->at == NULL)
        r = err_set(err, ENOMEM, "out of memory for %s", dir);
    for (size_t i = 0; i < n && r == 0; i++)
        r = take_file(q, part, names[i], i + 1 == n, out, err);
    fs_names_free(names, n);
    return r;
}

/* ---- rebuilding a queue file from its log file ---- */

/* Records from the beginning of the log file on, as long as they are this queue's. */
static int rebuild_units(const struct compaction_queue *q, int log_fd, int queue_fd, int64_t base)
{
    const struct compaction *c = q->c;
    int64_t at = 0, units = 0;
    uint8_t *record = NULL, raw[CUNIT_SIZE], head[8];
    int r = 0;
    while (r == 0 && at + MSG_FIXED_V4 <= c->log_size && (units + 2) * CUNIT_SIZE <= c->queue_size) {
        if (fs_read_all(c->fs, log_fd, head, sizeof head, at))
            break;
        int64_t size = get_be32(head);
        if (size < MSG_FIXED_V4 || at + size > c->log_size || get_be32(head + 4) == MSG_MAGIC_BLANK)
            break;
        uint8_t *grown = realloc(record, (size_t)size);
        if (grown == NULL) {
            r = -ENOMEM;
            break;
        }
        record = grown;
        struct msg_view v;
        r = fs_read_all(c->fs, log_fd, record, (size_t)size, at);
        if (r || msg_decode(record, (size_t)size, &v) != MSG_OK)
            break;
        struct cunit u = {base + at, (int32_t)size, msg_tags_code(v.m.properties), v.m.store_time, v.m.queue_offset, 1};
        if (!cfile_record_ok(q, &u, record, &v))
            break;
        cunit_write(raw, &u);
        r = fs_write_all(c->fs, queue_fd, raw, sizeof raw, units++ * CUNIT_SIZE);
        at += size;
    }
    free(record);
    return r;
}

static int rebuild(const struct compaction_queue *q, int64_t base, struct err *err)
{
    const struct fs *fs = q->c->fs;
    char log_path[CPATH_SIZE], path[CPATH_SIZE], dir[CPATH_SIZE];
    cfile_path(q, CPART_LOG, NULL, base, log_path);
    cfile_path(q, CPART_QUEUE, NULL, base, path);
    cfile_path(q, CPART_QUEUE, NULL, -1, dir);
    LOG(LOG_WARN, "store", "building %s from its log: it is missing", path);
    int log_fd = fs->open(fs, log_path, FS_READ), fd = log_fd;
    int r = log_fd < 0 ? log_fd : fs_mkdirs(fs, dir);
    if (r == 0)
        fd = r = fs->open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE);
    if (r >= 0)
        r = fs->truncate(fs, fd, q->c->queue_size);
    if (r == 0)
        r = rebuild_units(q, log_fd, fd, base);
    if (r == 0)
        r = fs->datasync(fs, fd);
    if (fd >= 0 && fd != log_fd)
        fs->close(fs, fd);
    if (log_fd >= 0)
        fs->close(fs, log_fd);
    if (r == 0)
        r = fs->sync_dir(fs, dir);
    return r ? err_sys(err, -r, "cannot build %s from its log", path) : 0;
}

/* Afterwards both folders have the same files. */
static int pair_files(const struct compaction_queue *q, const struct bases *log, const struct bases *queue,
                      struct err *err)
{
    char path[CPATH_SIZE];
    for (size_t i = 0; i < log->n; i++)
        if (!has(queue, log->at[i]) && rebuild(q, log->at[i], err))
            return -1;
    for (size_t i = 0; i < queue->n; i++) {
        if (has(log, queue->at[i]))
            continue;
        cfile_path(q, CPART_QUEUE, NULL, queue->at[i], path);
        LOG(LOG_WARN, "store", "removing %s: its log file is missing", path);
        int r = q->c->fs->unlink(q->c->fs, path);
        if (r)
            return err_sys(err, -r, "cannot remove %s", path);
    }
    return 0;
}

/* ---- where a file ends ---- */

/* Units stand at the beginning of the file without gaps. */
static int count_units(const struct cfile *f, int64_t *n)
{
    int64_t lo = 0, hi = f->c->queue_size / CUNIT_SIZE;
    while (lo < hi) {
        uint8_t raw[CUNIT_SIZE];
        struct cunit u;
        int64_t mid = lo + (hi - lo) / 2;
        int r = fs_read_all(f->c->fs, f->queue_fd, raw, sizeof raw, mid * CUNIT_SIZE);
        if (r)
            return r;
        if (cunit_read(raw, &u))
            lo = mid + 1;
        else
            hi = mid;
    }
    *n = lo;
    return 0;
}

static int set_units(struct cfile *f, int64_t n)
{
    struct cunit first = {.queue_offset = -1}, last = {.position = f->base, .queue_offset = -1};
    int r = n ? cfile_units(f, 0, &first, 1, true) : 0;
    if (r >= 0 && n)
        r = cfile_units(f, (uint32_t)(n - 1), &last, 1, true);
    if (r < 0)
        return r;
    if (last.position < f->base || last.position - f->base > f->c->log_size - last.size ||
        last.queue_offset < first.queue_offset)
        return -EILSEQ;
    f->end = last.position + last.size - f->base;
    atomic_store(&f->units, (uint32_t)n);
    atomic_store(&f->first, first.queue_offset);
    atomic_store(&f->last, last.queue_offset);
    return 0;
}

/* What stands behind the last unit is the closing unit, or must be zero: units of before could come back to life. */
static int end_file(struct cfile *f, int64_t n)
{
    const struct fs *fs = f->c->fs;
    uint8_t raw[CUNIT_SIZE];
    struct cunit u;
    int64_t at = n * CUNIT_SIZE, size = f->c->queue_size;
    int r = set_units(f, n);
    if (r)
        return r;
    f->closed = at + CUNIT_SIZE > size;
    if (f->closed)
        return 0;
    r = fs_read_all(fs, f->queue_fd, raw, sizeof raw, at);
    if (r)
        return r;
    (void)cunit_read(raw, &u);
    if (u.position == -1 && u.size == 0) {
        f->closed = true;
        return 0;
    }
    r = fs_all_zero(fs, f->queue_fd, at, size);
    if (r == 0) {
        r = fs->zero(fs, f->queue_fd, at, size - at);
        return r ? r : fs->datasync(fs, f->queue_fd);
    }
    return r < 0 ? r : 0;
}

/* Messages below this queue offset were made durable here by the last sync. */
static int64_t durable_below(struct compaction_queue *q)
{
    struct store *s = q->c->s;
    struct cq *ordinary = store_queue(s, str_from(q->topic), q->id, false);
    if (!s->after_crash)
        return INT64_MAX;
    if (!s->ckpt.have_marks || ordinary == NULL)
        return 0;
    int64_t lo = cq_min(ordinary), hi = cq_next(ordinary);
    while (lo < hi) {
        struct store_entry e;
        int64_t mid = lo + (hi - lo) / 2;
        if (cq_read(ordinary, mid, &e, 1, true) != 1)
            return lo;
        if (e.physical_offset < s->ckpt.queues_mark)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The first of n units that is not known to be durable. Those behind it may hold anything. */
static int64_t first_doubtful(const struct cfile *f, int64_t n, int64_t durable)
{
    struct cunit u[64];
    for (int64_t at = 0; at < n;) {
        int got = cfile_units(f, (uint32_t)at, u, n - at < 64 ? (int)(n - at) : 64, true);
        if (got < 0)
            return got == -EILSEQ ? at : got;
        for (int i = 0; i < got; i++, at++)
            if (u[i].queue_offset >= durable)
                return at;
    }
    return n;
}

/* After a crash only what is whole counts of what was not synced: the last file, from its first doubtful unit on. */
static int verify_last(struct compaction_queue *q, struct cfile *f, int64_t *n)
{
    int64_t durable = durable_below(q), at = durable == INT64_MAX ? *n : first_doubtful(f, *n, durable);
    if (at < 0 || at == *n)
        return at < 0 ? (int)at : 0;
    struct cscan scan;
    enum cscan_step step;
    int r;
    cscan_init(&scan, q);
    atomic_store(&f->units, (uint32_t)*n);
    cscan_begin(&scan, f, (uint32_t)at);
    do {
        struct cunit u;
        struct msg_view v;
        at = scan.at;
        step = cscan_next(&scan, &u, &v, &r);
    } while (step == CSCAN_RECORD);
    cscan_free(&scan);
    if (step == CSCAN_FAILED && r != -EILSEQ)
        return r;
    if (step != CSCAN_END)
        LOG(LOG_INFO, "store",
            "the last %" PRId64 " messages in the compaction log of topic %s, queue %d were not completely written and "
            "are copied again",
            *n - at, q->topic, q->id);
    *n = at;
    return 0;
}

static int load_file(struct compaction_queue *q, int64_t base, bool last, struct err *err)
{
    struct cfile *f = cfile_new(q->c, base);
    int64_t n = 0;
    int r = f ? cfile_open(q, NULL, f) : -ENOMEM;
    if (r == 0)
        r = count_units(f, &n);
    if (r == 0 && last)
        r = verify_last(q, f, &n);
    if (r == 0)
        r = last ? end_file(f, n) : set_units(f, n);
    if (r == 0 && !cfile_list_add(&q->files, f))
        r = -ENOMEM;
    if (r == 0) {
        f->closed |= !last;
        if (!last)
            cfile_shut(f);
        return 0;
    }
    if (f)
        cfile_release(f);
    if (r == -EILSEQ) {
        char path[CPATH_SIZE];
        cfile_path(q, CPART_QUEUE, NULL, base, path);
        return err_set(err, EILSEQ,
                       "%s is damaged: its last unit cannot be right; remove the file, it is then built from its log",
                       path);
    }
    return file_error(q, r, "load a file", err);
}

static void note_end(struct compaction_queue *q)
{
    int64_t end = atomic_load(&q->compacted) + 1;
    for (size_t i = 0; i < q->files.n; i++)
        if (atomic_load(&q->files.at[i]->last) >= end)
            end = atomic_load(&q->files.at[i]->last) + 1;
    atomic_store(&q->end, end);
    atomic_store(&q->durable_end, end);
}

static int load_queue(struct compaction_queue *q, struct err *err)
{
    struct bases log = {0}, queue = {0};
    int r = compaction_settle(q, err);
    if (r == 0)
        r = list_files(q, CPART_LOG, &log, err);
    if (r == 0)
        r = list_files(q, CPART_QUEUE, &queue, err);
    if (r == 0)
        r = pair_files(q, &log, &queue, err);
    for (size_t i = 0; i < log.n && r == 0; i++)
        r = load_file(q, log.at[i], i + 1 == log.n, err);
    free(log.at);
    free(queue.at);
    return r;
}

static int remove_file(struct compaction_queue *q, struct cfile *f)
{
    char path[CPATH_SIZE];
    int r = 0;
    for (int part = CPARTS - 1; part >= 0 && r == 0; part--) {
        cfile_path(q, (enum cpart)part, NULL, f->base, path);
        r = q->c->fs->unlink(q->c->fs, path);
        cfile_path(q, (enum cpart)part, NULL, -1, path);
        if (r == 0)
            r = q->c->fs->sync_dir(q->c->fs, path);
    }
    return r;
}

int compaction_cut(struct compaction_queue *q, int64_t queue_offset)
{
    struct cfile_list *l = &q->files;
    int r = 0;
    while (l->n > 1 && atomic_load(&l->at[l->n - 1]->first) >= queue_offset && r == 0) {
        r = remove_file(q, l->at[l->n - 1]);
        if (r == 0)
            cfile_release(l->at[--l->n]);
    }
    struct cfile *f = l->n ? l->at[l->n - 1] : NULL;
    if (r == 0 && f)
        r = cfile_open(q, NULL, f);
    if (r == 0 && f && atomic_load(&f->last) >= queue_offset) {
        int64_t n = cfile_find(f, queue_offset, true);
        r = n < 0 ? (int)n : end_file(f, n);
    }
    if (atomic_load(&q->compacted) >= queue_offset)
        atomic_store(&q->compacted, queue_offset - 1);
    note_end(q);
    return r;
}

/* ---- all queues ---- */

static int load_topic(struct compaction *c, const char *dir, const char *topic, struct err *err)
{
    char path[CPATH_SIZE], **names;
    size_t n;
    int len = snprintf(path, sizeof path, "%s/%s", dir, topic);
    int r = len < 0 || len >= CPATH_SIZE ? -ENAMETOOLONG : fs_list_sorted(c->fs, path, true, &names, &n);
    if (r)
        return err_sys(err, -r, "cannot list %s", path);
    for (size_t i = 0; i < n && r == 0; i++) {
        int32_t id;
        if (!str_to_i32(str_from(names[i]), &id) || id < 0)
            continue;
        if (compaction_queue_get(c, str_from(topic), id) == NULL)
            r = err_set(err, ENOMEM, "out of memory for the compaction logs in %s", c->dir);
    }
    fs_names_free(names, n);
    return r;
}

static int find_queues(struct compaction *c, struct err *err)
{
    char dir[CPATH_SIZE], **names;
    size_t n;
    int len = snprintf(dir, sizeof dir, "%s/compactionLog", c->dir);
    int r = len < 0 || len >= CPATH_SIZE ? -ENAMETOOLONG : fs_list_sorted(c->fs, dir, true, &names, &n);
    if (r)
        return r == -ENOENT ? 0 : err_sys(err, -r, "cannot list %s", dir);
    for (size_t i = 0; i < n && r == 0; i++)
        r = load_topic(c, dir, names[i], err);
    fs_names_free(names, n);
    return r;
}

int compaction_load(struct compaction *c, struct err *err)
{
    int r = find_queues(c, err);
    for (struct compaction_queue *q = atomic_load(&c->all); q && r == 0; q = q->next)
        r = load_queue(q, err);
    if (r == 0)
        r = compaction_positions_load(c, err);
    for (struct compaction_queue *q = atomic_load(&c->all); q && r == 0; q = q->next)
        note_end(q);
    return r ? -1 : 0;
}
