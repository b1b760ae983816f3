#include "store/shared_queues.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/log.h"
#include "store/mutant.h"

enum {
    MAGIC = (int32_t)0xDAA5C0A1u,
    ALIGN = 8,
    ENTRY_SIZE = 20,
    BUFFER = 256 * 1024, /* blocks gathered for one write */
    PATH_SIZE = 4096,
    NAME_DIGITS = 20,
};

struct sq_file {
    int64_t base;
    int fd;
    uint32_t refs; /* readers; under lock */
    bool created;  /* its name is not durable yet */
    struct sq_file *next_dropped;
};

struct sq_log {
    const struct fs *fs;
    char *dir;
    int64_t file_size;
    int64_t damaged_to;
    pthread_mutex_t lock; /* what readers see: files, written, buffer */
    struct sq_file **files;
    size_t n, cap;
    struct sq_file *dropped; /* oldest first */
    bool ended;              /* the newest file takes no more blocks */
    int64_t written;         /* everything below is in the files */
    int64_t synced;
    uint8_t *buffer; /* [written, written + buffered) */
    size_t buffered;
};

struct sq_log *sq_new(const struct fs *fs, const char *dir, int64_t file_size)
{
    struct sq_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return NULL;
    log->fs = fs;
    log->file_size = file_size;
    log->dir = strdup(dir);
    pthread_mutex_init(&log->lock, NULL);
    if (log->dir == NULL) {
        sq_free(log);
        return NULL;
    }
    return log;
}

static void free_file(struct sq_log *log, struct sq_file *f)
{
    if (f->fd >= 0)
        log->fs->close(log->fs, f->fd);
    free(f);
}

void sq_free(struct sq_log *log)
{
    if (log == NULL)
        return;
    for (size_t i = 0; i < log->n; i++)
        free_file(log, log->files[i]);
    while (log->dropped) {
        struct sq_file *f = log->dropped;
        log->dropped = f->next_dropped;
        free_file(log, f);
    }
    pthread_mutex_destroy(&log->lock);
    free(log->files);
    free(log->buffer);
    free(log->dir);
    free(log);
}

bool sq_is_used(const struct sq_log *log)
{
    return log->n > 0;
}

int64_t sq_end(const struct sq_log *log)
{
    return log->written + (int64_t)log->buffered;
}

int64_t sq_bytes(const struct sq_log *log)
{
    return log->n ? sq_end(log) - log->files[0]->base : 0;
}

bool sq_is_damaged(const struct sq_log *log)
{
    return log->n > 0 && log->files[0]->base < log->damaged_to;
}

static int path_of(const struct sq_log *log, int64_t base, char out[PATH_SIZE])
{
    int n = snprintf(out, PATH_SIZE, "%s/%020lld", log->dir, (long long)base);
    return n < 0 || n >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

/* ---- blocks
 * ----------------------------------------------------------------------------------------------------------- */

uint32_t sq_size(size_t topic_len, uint32_t n)
{
    return (uint32_t)(SQ_HEADER_SIZE + topic_len + (size_t)n * ENTRY_SIZE + ALIGN - 1) / ALIGN * ALIGN;
}

static uint32_t encode(const struct sq_block *b, uint8_t *to)
{
    uint32_t size = sq_size(b->topic.len, b->n);
    memset(to, 0, size);
    put_be32(to, (uint32_t)MAGIC);
    put_be32(to + 8, size);
    to[12] = (uint8_t)b->kind;
    to[13] = (uint8_t)b->topic.len;
    to[14] = (uint8_t)(b->n >> 8);
    to[15] = (uint8_t)b->n;
    put_be32(to + 16, (uint32_t)b->queue_id);
    put_be64(to + 24, (uint64_t)b->base);
    if (b->topic.len)
        memcpy(to + SQ_HEADER_SIZE, b->topic.ptr, b->topic.len);
    if (b->n)
        memcpy(to + SQ_HEADER_SIZE + b->topic.len, b->entries, (size_t)b->n * ENTRY_SIZE);
    put_be32(to + 4, crc32_ieee(to + 8, size - 8));
    return size;
}

/* Size of the block at `at`, 0 when the n bytes there begin with none. */
static uint32_t decode(const uint8_t *at, size_t n, struct sq_block *b)
{
    if (n < SQ_HEADER_SIZE || get_be32(at) != (uint32_t)MAGIC)
        return 0;
    uint32_t size = get_be32(at + 8);
    *b = (struct sq_block){
        .kind = (enum sq_kind)at[12],
        .topic = str_make((const char *)at + SQ_HEADER_SIZE, at[13]),
        .n = (uint32_t)at[14] << 8 | at[15],
        .queue_id = (int32_t)get_be32(at + 16),
        .base = (int64_t)get_be64(at + 24),
        .entries = at + SQ_HEADER_SIZE + at[13],
    };
    if (b->n > SQ_ENTRIES_MAX || size != sq_size(b->topic.len, b->n) || size > n ||
        get_be32(at + 4) != crc32_ieee(at + 8, size - 8))
        return 0;
    bool named = b->topic.len > 0 && memchr(b->topic.ptr, '\0', b->topic.len) == NULL &&
                 memchr(b->topic.ptr, '/', b->topic.len) == NULL;
    bool fits = b->kind == SQ_QUEUE  ? named && b->base >= 0 && b->base <= INT64_MAX / 64
                : b->kind == SQ_NONE ? named && b->n == 0
                                     : b->kind == SQ_END && b->n == 0;
    return fits ? size : 0;
}

/* ---- files
 * ------------------------------------------------------------------------------------------------------------ */

static int add_file(struct sq_log *log, int64_t base, int flags, struct sq_file **out)
{
    char path[PATH_SIZE];
    int r = path_of(log, base, path);
    if (r)
        return r;
    if (log->n == log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 16;
        struct sq_file **more = realloc(log->files, cap * sizeof *more);
        if (more == NULL)
            return -ENOMEM;
        log->files = more;
        log->cap = cap;
    }
    struct sq_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return -ENOMEM;
    *f = (struct sq_file){.base = base, .created = flags & FS_CREATE};
    f->fd = log->fs->open(log->fs, path, flags);
    if (f->fd < 0) {
        r = f->fd;
        free(f);
        return r;
    }
    log->files[log->n++] = f;
    *out = f;
    return 0;
}

static int add_name(void *arg, const char *name, bool is_dir)
{
    struct sq_log *log = arg;
    struct sq_file *f;
    int64_t base;
    if (is_dir || strlen(name) != NAME_DIGITS || strspn(name, "0123456789") != NAME_DIGITS ||
        !str_to_i64(str_from(name), &base))
        return 0;
    return add_file(log, base, FS_WRITE, &f);
}

static int by_base(const void *a, const void *b)
{
    const struct sq_file *x = *(struct sq_file *const *)a, *y = *(struct sq_file *const *)b;
    return x->base < y->base ? -1 : x->base > y->base;
}

static int load_file(const struct sq_log *log, const struct sq_file *f, uint8_t **data, size_t *n)
{
    char path[PATH_SIZE], *text;
    int r = path_of(log, f->base, path);
    if (r == 0)
        r = fs_load(log->fs, path, (size_t)log->file_size * 2 + SQ_BLOCK_MAX, &text, n);
    if (r == 0)
        *data = (uint8_t *)text;
    return r;
}

typedef int (*block_fn)(void *arg, const struct sq_block *b, int64_t pos, uint32_t size);

/* Goes through the blocks of one file. sound_to: below, what is no block is passed over and *damaged set; above it ends
 * the walk. *end: behind the last block. *ended: by a block that says so. */
static int walk(const uint8_t *data, size_t n, int64_t base, int64_t sound_to, block_fn fn, void *arg, int64_t *end,
                bool *ended, bool *damaged)
{
    *end = base;
    *ended = false;
    for (size_t at = 0; at < n && !*ended;) {
        struct sq_block b;
        int64_t pos = base + (int64_t)at;
        uint32_t size = decode(data + at, n - at, &b);
        if (size == 0 && pos >= sound_to)
            return 0;
        *damaged |= size == 0;
        at += size ? size : ALIGN;
        if (size == 0)
            continue;
        *end = pos + size;
        *ended = b.kind == SQ_END;
        int r = *ended ? 0 : fn(arg, &b, pos, size);
        if (r)
            return r;
    }
    return 0;
}

/* Nothing from file i on was synced: the next blocks come behind `end`. */
static int cut_off(struct sq_log *log, size_t i, int64_t end)
{
    int r = 0;
    while (r == 0 && log->n > i + 1) {
        char path[PATH_SIZE];
        struct sq_file *f = log->files[--log->n];
        r = path_of(log, f->base, path);
        if (r == 0)
            r = log->fs->unlink(log->fs, path);
        free_file(log, f);
    }
    if (r == 0)
        r = log->fs->truncate(log->fs, log->files[i]->fd, end - log->files[i]->base);
    log->files[i]->created = true; /* so that the folder is synced too */
    return r;
}

/* What comes next must not stand behind damage: whoever reads the file again would not get to it. */
static void go_on_behind(struct sq_log *log, int64_t pos)
{
    if (pos > log->written)
        log->written = pos;
    log->ended = true;
    log->damaged_to = log->written;
}

static int load_files(struct sq_log *log, int64_t durable, block_fn fn, void *arg, bool *damaged)
{
    for (size_t i = 0; i < log->n; i++) {
        uint8_t *data = NULL;
        size_t n = 0;
        int64_t base = log->files[i]->base, end;
        bool bad = false, last = i + 1 == log->n;
        int r = load_file(log, log->files[i], &data, &n);
        if (r)
            return r;
        r = walk(data, n, base, durable, fn, arg, &end, &log->ended, &bad);
        free(data);
        if (r)
            return r;
        log->written = end;
        bool whole = last ? end == base + (int64_t)n : log->ended && end == log->files[i + 1]->base;
        bad |= end < durable && (last || !whole);
        if (bad) {
            *damaged = true;
            go_on_behind(log, base + (int64_t)n);
            go_on_behind(log, last ? durable : 0);
        } else if (!whole) {
            return cut_off(log, i, end);
        }
    }
    return 0;
}

int sq_load(struct sq_log *log, int64_t durable, block_fn fn, void *arg, bool *damaged, struct err *err)
{
    *damaged = false;
    int r = log->fs->list(log->fs, log->dir, add_name, log);
    if (r && r != -ENOENT)
        return err_sys(err, -r, "cannot open the files of small queues in %s", log->dir);
    if (log->n) {
        qsort(log->files, log->n, sizeof log->files[0], by_base);
        r = load_files(log, durable, fn, arg, damaged);
        if (r)
            return err_sys(err, -r, "cannot read the files of small queues in %s", log->dir);
    } else if (durable > 0) {
        *damaged = true;
        go_on_behind(log, durable);
    }
    return 0;
}

struct each {
    int (*fn)(void *arg, const struct sq_block *b);
    void *arg;
};

static int give(void *arg, const struct sq_block *b, int64_t pos, uint32_t size)
{
    const struct each *e = arg;
    return e->fn(e->arg, b);
}

int sq_each(const struct fs *fs, const char *dir, int (*fn)(void *arg, const struct sq_block *b), void *arg)
{
    struct each e = {fn, arg};
    char **names = NULL, path[PATH_SIZE];
    size_t count = 0;
    int r = fs_list_sorted(fs, dir, false, &names, &count);
    if (r == -ENOENT)
        return 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        char *text;
        size_t n;
        int64_t base, end;
        bool ended, damaged = false;
        if (strlen(names[i]) != NAME_DIGITS || !str_to_i64(str_from(names[i]), &base))
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        r = len < (int)sizeof path ? fs_load(fs, path, INT32_MAX, &text, &n) : -ENAMETOOLONG;
        if (r)
            break;
        r = walk((const uint8_t *)text, n, base, INT64_MAX, give, &e, &end, &ended, &damaged);
        free(text);
    }
    fs_names_free(names, count);
    return r;
}

/* ---- adding
 * ----------------------------------------------------------------------------------------------------------- */

static struct sq_file *newest(const struct sq_log *log)
{
    return log->n ? log->files[log->n - 1] : NULL;
}

int sq_flush(struct sq_log *log)
{
    if (log->buffered == 0)
        return 0;
    struct sq_file *f = newest(log);
    int r = fs_write_all(log->fs, f->fd, log->buffer, log->buffered, log->written - f->base);
    if (r)
        return r;
    pthread_mutex_lock(&log->lock);
    log->written += (int64_t)log->buffered;
    log->buffered = 0;
    pthread_mutex_unlock(&log->lock);
    return 0;
}

/* Room for a block above what begins a write, and for the end of a file. */
static bool has_buffer(struct sq_log *log)
{
    if (log->buffer == NULL)
        log->buffer = malloc(BUFFER + 2 * SQ_BLOCK_MAX);
    return log->buffer != NULL;
}

static void buffer_add(struct sq_log *log, const struct sq_block *b)
{
    pthread_mutex_lock(&log->lock);
    log->buffered += encode(b, log->buffer + log->buffered);
    pthread_mutex_unlock(&log->lock);
}

/* The file that takes the next block. */
static int open_next(struct sq_log *log)
{
    struct sq_file *f;
    int r = sq_flush(log);
    if (r == 0)
        r = fs_mkdirs(log->fs, log->dir);
    if (r)
        return r;
    pthread_mutex_lock(&log->lock);
    r = add_file(log, log->written, FS_WRITE | FS_CREATE | FS_TRUNCATE, &f);
    log->ended = r != 0;
    pthread_mutex_unlock(&log->lock);
    return r;
}

int sq_roll(struct sq_log *log)
{
    const struct sq_block end = {.kind = SQ_END};
    if (!has_buffer(log))
        return -ENOMEM;
    if (log->n && !log->ended) {
        buffer_add(log, &end);
        log->ended = true;
    }
    return open_next(log);
}

int sq_append(struct sq_log *log, const struct sq_block *b, int64_t *pos)
{
    int r = 0;
    if (!has_buffer(log))
        return -ENOMEM;
    if (log->n == 0 || log->ended)
        r = open_next(log);
    else if (sq_end(log) - newest(log)->base >= log->file_size)
        r = sq_roll(log);
    else if (log->buffered >= BUFFER)
        r = sq_flush(log);
    if (r)
        return r;
    *pos = sq_end(log);
    buffer_add(log, b);
    return 0;
}

int sq_sync_begin(struct sq_log *log, int64_t *end)
{
    int r = sq_flush(log);
    *end = log->written;
    return r;
}

/* The file number i if it has something in front of `end` that was not synced; NULL: *more tells whether others follow.
 */
static struct sq_file *unsynced_file(struct sq_log *log, size_t i, int64_t end, bool *more)
{
    struct sq_file *out = NULL;
    pthread_mutex_lock(&log->lock);
    *more = i < log->n && log->files[i]->base < end;
    if (*more) {
        struct sq_file *f = log->files[i];
        int64_t file_end = i + 1 < log->n ? log->files[i + 1]->base : log->written;
        out = f->created || file_end > log->synced ? f : NULL;
    }
    pthread_mutex_unlock(&log->lock);
    return out;
}

static int sync_names(const struct sq_log *log)
{
    char parent[PATH_SIZE];
    int r = log->fs->sync_dir(log->fs, log->dir);
    if (r == 0 && fs_parent(log->dir, parent, sizeof parent))
        r = log->fs->sync_dir(log->fs, parent);
    return r;
}

int sq_sync(struct sq_log *log, int64_t end)
{
    bool created = false, more = !MUTANT(NO_SHARED_SYNC);
    int r = 0;
    for (size_t i = 0; more && r == 0; i++) {
        struct sq_file *f = unsynced_file(log, i, end, &more);
        if (f == NULL)
            continue;
        r = log->fs->datasync(log->fs, f->fd);
        created |= f->created;
        if (r == 0)
            f->created = false;
    }
    /* Also what is about to go: as long as it is there, a torn end would make the next start cut off all behind it. */
    for (struct sq_file *f = log->dropped; f && r == 0 && !MUTANT(NO_SHARED_SYNC); f = f->next_dropped)
        r = log->fs->datasync(log->fs, f->fd);
    if (r == 0 && created)
        r = sync_names(log);
    if (r == 0)
        log->synced = end;
    return r;
}

/* ---- reading
 * ---------------------------------------------------------------------------------------------------------- */

/* The file that holds pos, pinned; NULL: gone. Under the lock. */
static struct sq_file *pin(struct sq_log *log, int64_t pos)
{
    size_t lo = 0, hi = log->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (log->files[mid]->base <= pos)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    log->files[lo - 1]->refs++;
    return log->files[lo - 1];
}

int sq_read(struct sq_log *log, int64_t pos, uint8_t *buf, bool may_block, struct sq_block *out)
{
    size_t n = 0;
    struct sq_file *f = NULL;
    pthread_mutex_lock(&log->lock);
    if (pos >= log->written && pos < sq_end(log)) {
        n = (size_t)(sq_end(log) - pos);
        n = n < SQ_BLOCK_MAX ? n : SQ_BLOCK_MAX;
        memcpy(buf, log->buffer + (pos - log->written), n);
    } else {
        f = pin(log, pos);
    }
    pthread_mutex_unlock(&log->lock);
    if (f) {
        const struct fs *fs = log->fs;
        ssize_t got = may_block ? fs->pread(fs, f->fd, buf, SQ_BLOCK_MAX, pos - f->base)
                                : fs->pread_nowait(fs, f->fd, buf, SQ_BLOCK_MAX, pos - f->base);
        pthread_mutex_lock(&log->lock);
        f->refs--;
        pthread_mutex_unlock(&log->lock);
        if (got < 0)
            return (int)got;
        n = (size_t)got;
    } else if (n == 0) {
        return -ENOENT;
    }
    if (decode(buf, n, out))
        return 0;
    return may_block ? -EILSEQ : -EAGAIN; /* perhaps only the rest of it is not in memory */
}

/* ---- the oldest file
 * -------------------------------------------------------------------------------------------------- */

bool sq_has_oldest(const struct sq_log *log)
{
    return log->n > 1;
}

int sq_oldest(struct sq_log *log, block_fn fn, void *arg, bool *damaged)
{
    uint8_t *data = NULL;
    size_t n = 0;
    int64_t end;
    bool ended;
    int r = load_file(log, log->files[0], &data, &n);
    if (r == 0)
        r = walk(data, n, log->files[0]->base, INT64_MAX, fn, arg, &end, &ended, damaged);
    free(data);
    return r;
}

void sq_drop_oldest(struct sq_log *log)
{
    pthread_mutex_lock(&log->lock);
    struct sq_file *f = log->files[0];
    memmove(log->files, log->files + 1, --log->n * sizeof(struct sq_file *));
    struct sq_file **at = &log->dropped;
    while (*at)
        at = &(*at)->next_dropped;
    *at = f;
    pthread_mutex_unlock(&log->lock);
    if (MUTANT(SHARED_FILE_REMOVED_EARLY))
        sq_remove_dropped(log);
}

/* One after the other: a block must not outlive the one that says that it is void. */
void sq_remove_dropped(struct sq_log *log)
{
    while (log->dropped) {
        struct sq_file *f = log->dropped;
        char path[PATH_SIZE];
        pthread_mutex_lock(&log->lock);
        bool busy = f->refs > 0;
        pthread_mutex_unlock(&log->lock);
        if (busy)
            return;
        int r = path_of(log, f->base, path);
        if (r == 0)
            r = log->fs->unlink(log->fs, path);
        if (r && r != -ENOENT) {
            LOG_LIMITED(LOG_WARN, "store", "cannot remove an old file of small queues in %s: %s; tried again later",
                        log->dir, strerror(-r));
            return;
        }
        log->dropped = f->next_dropped;
        free_file(log, f);
    }
}

int sq_remove_all(struct sq_log *log)
{
    while (log->n > 0)
        sq_drop_oldest(log);
    sq_remove_dropped(log);
    return log->dropped ? -EBUSY : log->fs->rmdir(log->fs, log->dir);
}
