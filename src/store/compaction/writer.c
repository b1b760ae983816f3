/* Writing records and their units to the last file of a list; rolling to the next one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/compaction/compaction_int.h"

enum { BUFFER = 1 << 20 };

void cwriter_init(struct cwriter *w, struct compaction_queue *q, const char *sub, struct cfile_list *list)
{
    *w = (struct cwriter){.q = q, .sub = sub, .list = list};
}

void cwriter_free(struct cwriter *w)
{
    buf_free(&w->records);
    buf_free(&w->units);
}

static struct cfile *last_of(const struct cwriter *w)
{
    return w->list->n ? w->list->at[w->list->n - 1] : NULL;
}

static int forget(struct cwriter *w, int r)
{
    buf_clear(&w->records);
    buf_clear(&w->units);
    w->n = 0;
    return r;
}

int cwriter_flush(struct cwriter *w)
{
    struct cfile *f = last_of(w);
    if (w->n == 0)
        return 0;
    const struct fs *fs = w->q->c->fs;
    uint32_t there = atomic_load_explicit(&f->units, memory_order_relaxed);
    int r = buf_ok(&w->records) && buf_ok(&w->units) ? 0 : -ENOMEM;
    if (r == 0)
        r = fs_write_all(fs, f->log->fd, w->records.data, w->records.len, f->end);
    if (r == 0)
        r = fs_write_all(fs, f->queue_fd, w->units.data, w->units.len, (int64_t)there * CUNIT_SIZE);
    if (r)
        return forget(w, r);
    f->end += (int64_t)w->records.len;
    if (there == 0)
        atomic_store_explicit(&f->first, w->first, memory_order_relaxed);
    atomic_store_explicit(&f->last, w->last, memory_order_relaxed);
    atomic_store_explicit(&f->units, there + w->n, memory_order_release);
    if (w->sub == NULL)
        atomic_store(&w->q->dirty, true);
    return forget(w, 0);
}

int cfile_sync(const struct cfile *f)
{
    const struct fs *fs = f->c->fs;
    int r = f->log ? fs->datasync(fs, f->log->fd) : 0;
    return r == 0 && f->queue_fd >= 0 ? fs->datasync(fs, f->queue_fd) : r;
}

int cwriter_close(struct cwriter *w)
{
    int r = cwriter_flush(w);
    struct cfile *f = last_of(w);
    if (r || f == NULL || f->closed)
        return r;
    const struct fs *fs = w->q->c->fs;
    int64_t used = (int64_t)atomic_load_explicit(&f->units, memory_order_relaxed) * CUNIT_SIZE;
    uint8_t blank[CLOSE_ROOM], closing[CUNIT_SIZE];
    put_be32(blank, (uint32_t)(w->q->c->log_size - f->end));
    put_be32(blank + 4, MSG_MAGIC_BLANK);
    cunit_write(closing, &(struct cunit){.position = -1});
    r = fs_write_all(fs, f->log->fd, blank, sizeof blank, f->end);
    if (r == 0 && used + CUNIT_SIZE <= w->q->c->queue_size)
        r = fs_write_all(fs, f->queue_fd, closing, sizeof closing, used);
    if (r)
        return r;
    r = cfile_sync(f);
    /* What becomes of an unfinished compaction does not matter; of the queue's own file nobody knows what the disk has.
     */
    if (r && w->sub == NULL)
        store_die(w->q->c->s, "syncing a compaction log failed", -r);
    f->closed = r == 0;
    return r;
}

/* ---- new files ---- */

/* Makes the folder; its name, and those of the folders it is in, are durable. */
static int make_dir(const struct compaction_queue *q, enum cpart part, const char *sub)
{
    const struct fs *fs = q->c->fs;
    char path[CPATH_SIZE], parent[CPATH_SIZE];
    cfile_path(q, part, sub, -1, path);
    if (fs_exists(fs, path))
        return 0;
    int r = fs_mkdirs(fs, path);
    size_t root = strlen(q->c->s->conf.storePathRootDir);
    while (r == 0 && strlen(path) > root && fs_parent(path, parent, sizeof parent)) {
        r = fs->sync_dir(fs, parent);
        memcpy(path, parent, strlen(parent) + 1);
    }
    return r;
}

static int make_file(const struct compaction_queue *q, enum cpart part, const char *sub, int64_t base, int64_t size)
{
    const struct fs *fs = q->c->fs;
    char path[CPATH_SIZE];
    int r = make_dir(q, part, sub);
    if (r)
        return r;
    cfile_path(q, part, sub, base, path);
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE);
    if (fd < 0)
        return fd;
    /* Sparse, as Java makes them: many queues never fill one. */
    r = fs->truncate(fs, fd, size);
    if (r == 0)
        r = fs->datasync(fs, fd);
    fs->close(fs, fd);
    if (r == 0) {
        cfile_path(q, part, sub, -1, path);
        r = fs->sync_dir(fs, path);
    }
    return r;
}

/* The next file, with its name durable before anything is written to it. */
static int roll(struct cwriter *w)
{
    struct compaction_queue *q = w->q;
    int r = cwriter_close(w);
    if (r)
        return r;
    const struct cfile *last = last_of(w);
    int64_t base = last ? last->base + q->c->log_size : 0;
    struct cfile *f = cfile_new(q->c, base);
    if (f == NULL)
        return -ENOMEM;
    r = make_file(q, CPART_LOG, w->sub, base, q->c->log_size);
    if (r == 0)
        r = make_file(q, CPART_QUEUE, w->sub, base, q->c->queue_size);
    if (r == 0)
        r = cfile_open(q, w->sub, f);
    if (r == 0) {
        pthread_mutex_lock(&q->lock);
        r = cfile_list_add(w->list, f) ? 0 : -ENOMEM;
        pthread_mutex_unlock(&q->lock);
    }
    if (r)
        cfile_release(f);
    return r;
}

/* As in Java: the last unit of a queue file and the last 8 bytes of a log file are for closing them. */
static bool has_room(const struct cwriter *w, const struct cfile *f, uint32_t size)
{
    const struct compaction *c = w->q->c;
    int64_t units = (int64_t)atomic_load_explicit(&f->units, memory_order_relaxed) + w->n;
    return !f->closed && (units + 2) * CUNIT_SIZE <= c->queue_size &&
           f->end + (int64_t)w->records.len + size + CLOSE_ROOM <= c->log_size;
}

int cwriter_put(struct cwriter *w, const struct msg_view *v, const uint8_t *record, int64_t tags_code)
{
    struct cfile *f = last_of(w);
    if ((int64_t)v->size + CLOSE_ROOM > w->q->c->log_size)
        return 1;
    if (f == NULL || !has_room(w, f, v->size)) {
        int r = roll(w);
        if (r)
            return forget(w, r);
        f = last_of(w);
    }
    struct cunit u = {.position = f->base + f->end + (int64_t)w->records.len,
                      .size = (int32_t)v->size,
                      .tags_code = tags_code,
                      .store_time = v->m.store_time,
                      .queue_offset = v->m.queue_offset,
                      .count = 1};
    uint8_t *to = buf_extend(&w->records, v->size), *unit = buf_extend(&w->units, CUNIT_SIZE);
    if (to == NULL || unit == NULL)
        return forget(w, -ENOMEM);
    memcpy(to, record, v->size);
    put_be64(to + MSG_POS_PHYSICAL_OFFSET, (uint64_t)u.position);
    if (msg_record_crc(v) != MSG_RECORD_CRC_NONE)
        msg_record_crc_seal(to);
    cunit_write(unit, &u);
    if (w->n++ == 0)
        w->first = u.queue_offset;
    w->last = u.queue_offset;
    return w->records.len >= BUFFER ? cwriter_flush(w) : 0;
}
