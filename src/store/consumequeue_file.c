/* The files of the queues: names, a bounded set of open descriptors, reading entries. */
#include "store/consumequeue.h"

#include "base/log.h"
#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPEN_MAX = 512, /* descriptors kept for all queues together; more only while that many are in use at once */
    BUCKETS = 1024,
    READ_UNITS = 204,
};

int cq_files_init(struct cq_files *f)
{
    pthread_mutex_init(&f->lock, NULL);
    f->buckets = calloc(BUCKETS, sizeof f->buckets[0]);
    return f->buckets ? 0 : -ENOMEM;
}

void cq_files_free(struct cq_set *set)
{
    struct cq_files *f = &set->files;
    while (f->newest) {
        struct cq_file *file = f->newest;
        f->newest = file->older;
        set->fs->close(set->fs, file->fd);
        free(file);
    }
    free(f->buckets);
    pthread_mutex_destroy(&f->lock);
}

int cq_path(const struct cq *q, int64_t start, char out[CQ_PATH_SIZE])
{
    int n = start < 0 ? snprintf(out, CQ_PATH_SIZE, "%s/%s/%d", q->set->dir, q->topic, q->id)
                      : snprintf(out, CQ_PATH_SIZE, "%s/%s/%d/%020lld", q->set->dir, q->topic, q->id, (long long)start);
    return n < 0 || n >= CQ_PATH_SIZE ? -ENAMETOOLONG : 0;
}

static struct cq_file **bucket(struct cq_files *f, const struct cq *q, int64_t start)
{
    uint64_t h = ((uint64_t)(uintptr_t)q / 64 + (uint64_t)start / CQ_ENTRY_SIZE) * 0x9E3779B97F4A7C15u;
    return &f->buckets[h >> 54];
}

static void lru_remove(struct cq_files *f, struct cq_file *file)
{
    *(file->newer ? &file->newer->older : &f->newest) = file->older;
    *(file->older ? &file->older->newer : &f->oldest) = file->newer;
}

static void lru_add(struct cq_files *f, struct cq_file *file)
{
    file->newer = NULL;
    file->older = f->newest;
    *(f->newest ? &f->newest->newer : &f->oldest) = file;
    f->newest = file;
}

static void unhash(struct cq_files *f, struct cq_file *file)
{
    struct cq_file **at = bucket(f, file->q, file->start);
    while (*at != file)
        at = &(*at)->hash_next;
    *at = file->hash_next;
}

/* Takes out of the cache what was used longest ago, once it is over its bound. */
static struct cq_file *evict(struct cq_files *f)
{
    struct cq_file *out = NULL;
    for (struct cq_file *file = f->oldest; file && f->count >= OPEN_MAX;) {
        struct cq_file *newer = file->newer;
        if (file->refs == 0) {
            unhash(f, file);
            lru_remove(f, file);
            f->count--;
            file->hash_next = out;
            out = file;
        }
        file = newer;
    }
    return out;
}

static void close_all(struct cq_set *set, struct cq_file *file)
{
    while (file) {
        struct cq_file *next = file->hash_next;
        set->fs->close(set->fs, file->fd);
        free(file);
        file = next;
    }
}

static struct cq_file *lookup(struct cq_files *f, const struct cq *q, int64_t start)
{
    struct cq_file *file = *bucket(f, q, start);
    while (file && (file->q != q || file->start != start))
        file = file->hash_next;
    if (file && file->refs++ == 0) {
        lru_remove(f, file);
        lru_add(f, file);
    }
    return file;
}

/* Opens the file; a new one gets its full size at once (sparse), as Java's. */
static int open_file(struct cq *q, int64_t start, bool create, bool *created)
{
    const struct fs *fs = q->set->fs;
    char path[CQ_PATH_SIZE];
    int r = cq_path(q, start, path);
    if (r)
        return r;
    int fd = fs->open(fs, path, FS_WRITE);
    if (fd != -ENOENT || !create)
        return fd;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    r = fs_mkdirs(fs, path);
    *slash = '/';
    if (r)
        return r;
    fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0)
        return fd;
    r = fs->truncate(fs, fd, q->set->file_size);
    if (r) {
        fs->close(fs, fd);
        (void)fs->unlink(fs, path);
        return r;
    }
    *created = true;
    return fd;
}

int cq_file_acquire(struct cq *q, int64_t start, bool open, bool create, struct cq_file **out, bool *created)
{
    struct cq_files *f = &q->set->files;
    bool made = false;
    pthread_mutex_lock(&f->lock);
    struct cq_file *file = lookup(f, q, start);
    pthread_mutex_unlock(&f->lock);
    if (file == NULL) {
        if (!open)
            return -EAGAIN;
        int fd = open_file(q, start, create, &made);
        if (fd < 0)
            return fd;
        struct cq_file *fresh = malloc(sizeof *fresh);
        if (fresh == NULL) {
            q->set->fs->close(q->set->fs, fd);
            return -ENOMEM;
        }
        *fresh = (struct cq_file){.q = q, .start = start, .fd = fd, .refs = 1};
        pthread_mutex_lock(&f->lock);
        struct cq_file *closing = evict(f);
        file = lookup(f, q, start);
        if (file) { /* somebody was faster */
            fresh->hash_next = closing;
            closing = fresh;
        } else {
            file = fresh;
            struct cq_file **at = bucket(f, q, start);
            file->hash_next = *at;
            *at = file;
            lru_add(f, file);
            f->count++;
        }
        pthread_mutex_unlock(&f->lock);
        close_all(q->set, closing);
    }
    if (created)
        *created = made;
    *out = file;
    return 0;
}

void cq_file_release(struct cq_set *set, struct cq_file *file)
{
    struct cq_files *f = &set->files;
    pthread_mutex_lock(&f->lock);
    bool last = --file->refs == 0 && file->q == NULL;
    pthread_mutex_unlock(&f->lock);
    if (last) {
        file->hash_next = NULL;
        close_all(set, file);
    }
}

/* Takes the file out of the cache; whoever still reads it closes it. */
static void forget(struct cq_files *f, struct cq_file *file, struct cq_file **closing)
{
    unhash(f, file);
    lru_remove(f, file);
    f->count--;
    file->q = NULL;
    if (file->refs == 0) {
        file->hash_next = *closing;
        *closing = file;
    }
}

void cq_file_forget(struct cq *q, int64_t start)
{
    struct cq_files *f = &q->set->files;
    struct cq_file *closing = NULL, *file;
    pthread_mutex_lock(&f->lock);
    if (start >= 0) {
        for (file = *bucket(f, q, start); file && (file->q != q || file->start != start);)
            file = file->hash_next;
        if (file)
            forget(f, file, &closing);
    } else {
        for (file = f->newest; file;) {
            struct cq_file *older = file->older;
            if (file->q == q)
                forget(f, file, &closing);
            file = older;
        }
    }
    pthread_mutex_unlock(&f->lock);
    close_all(q->set, closing);
}

int cq_file_remove(struct cq *q, int64_t start)
{
    char path[CQ_PATH_SIZE];
    cq_file_forget(q, start);
    int r = cq_path(q, start, path);
    return r ? r : q->set->fs->unlink(q->set->fs, path);
}

int cq_files_remove(struct cq *q)
{
    char path[CQ_PATH_SIZE];
    cq_file_forget(q, -1);
    q->first_file = -1;
    q->unsynced = -1;
    int r = cq_path(q, -1, path);
    if (r == 0)
        r = fs_remove_tree(q->set->fs, path);
    if (r)
        LOG(LOG_WARN, "store", "cannot remove the consume queue %s/%d: %s; remove its folder under %s by hand",
            q->topic, q->id, strerror(-r), q->set->dir);
    return r;
}

int cq_file_read(struct cq *q, int64_t offset, struct store_entry *out, int n, bool may_block)
{
    struct cq_set *set = q->set;
    /* Entries leave the tail only after this was raised above them. */
    int64_t end = atomic_load_explicit(&q->persisted, memory_order_acquire);
    if (n > end - offset)
        n = end > offset ? (int)(end - offset) : 0;
    if (n > 0 && atomic_load_explicit(&q->shared, memory_order_acquire) >= 0) {
        int got = cq_shared_read(q, offset, out, n, may_block);
        if (got || atomic_load_explicit(&q->shared, memory_order_acquire) >= 0)
            return got;
    }
    int done = 0, r = 0;
    while (done < n) {
        int64_t at = (offset + done) * set->unit, start = cq_file_of(set, offset + done);
        int64_t want = (int64_t)(n - done) * set->unit;
        if (want > set->file_size - (at - start))
            want = set->file_size - (at - start);
        struct cq_file *file;
        r = cq_file_acquire(q, start, may_block, false, &file, NULL);
        if (r)
            break;
        uint8_t buf[READ_UNITS * CQ_BATCH_ENTRY_SIZE];
        if (want > READ_UNITS * set->unit)
            want = READ_UNITS * set->unit;
        ssize_t got = may_block ? set->fs->pread(set->fs, file->fd, buf, (size_t)want, at - start)
                                : set->fs->pread_nowait(set->fs, file->fd, buf, (size_t)want, at - start);
        cq_file_release(set, file);
        if (got < 0)
            r = (int)got;
        if (got < set->unit) {
            /* Also a part of an entry, whose other page is not in memory. */
            if (got >= 0 && !may_block)
                r = -EAGAIN;
            break;
        }
        for (int i = 0; i < got / set->unit; i++, done++)
            out[done] = cq_get_entry(buf + i * set->unit, set->unit, offset + done);
        if (got < want && !may_block) {
            r = -EAGAIN;
            break;
        }
    }
    if (r && r != -EAGAIN && r != -ENOENT)
        LOG_LIMITED(LOG_ERROR, "store", "cannot read consume queue %s/%d at entry %lld: %s; check the disk", q->topic,
                    q->id, (long long)(offset + done), strerror(-r));
    return done ? done : r;
}

int cq_peek(struct cq *q, int64_t offset, struct store_entry *out, int n)
{
    int done = 0, r = 0;
    while (done < n) {
        r = cq_tail_read(q, offset + done, out + done, n - done, false);
        if (r < 0)
            r = cq_file_read(q, offset + done, out + done, n - done, true);
        if (r <= 0)
            break;
        done += r;
    }
    return done ? done : r;
}

int cq_file_zero_from(struct cq *q, int64_t from)
{
    struct cq_set *set = q->set;
    int64_t start = from - from % set->file_size;
    struct cq_file *file;
    int r = cq_file_acquire(q, start, true, false, &file, NULL);
    if (r)
        return r;
    /* Never by way of a shorter file: a crash in between would leave one of a size that no reader accepts. */
    r = set->fs->zero(set->fs, file->fd, from - start, set->file_size - (from - start));
    cq_file_release(set, file);
    return r;
}
