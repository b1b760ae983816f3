#include "store/index.h"

#include "base/javahash.h"
#include "base/log.h"
#include "store/index_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIME_MAX ((int64_t)1 << 60)

struct index *index_new(const struct fs *fs, const char *dir, int32_t slots, int32_t entries)
{
    struct index *ix = calloc(1, sizeof *ix);
    if (ix == NULL)
        return NULL;
    ix->fs = fs;
    ix->g = (struct index_geometry){slots, entries};
    ix->partial_offset = -1;
    ix->dir = strdup(dir);
    pthread_mutex_init(&ix->lock, NULL);
    pthread_rwlock_init(&ix->summaries_lock, NULL);
    if (ix->dir == NULL || slots < 1 || entries < 2) {
        index_free(ix);
        return NULL;
    }
    return ix;
}

void index_file_free(struct index_file *f)
{
    index_writer_free(f->writer);
    free(f);
}

void index_free(struct index *ix)
{
    if (ix == NULL)
        return;
    for (size_t i = 0; i < ix->n; i++)
        index_file_free(ix->files[i]);
    free(ix->files);
    index_summaries_free(ix);
    pthread_rwlock_destroy(&ix->summaries_lock);
    pthread_mutex_destroy(&ix->lock);
    free(ix->dir);
    free(ix);
}

int index_path_of(const struct index *ix, const char *name, char out[INDEX_PATH_SIZE])
{
    int n = snprintf(out, INDEX_PATH_SIZE, "%s/%s", ix->dir, name);
    return n < 0 || n >= INDEX_PATH_SIZE ? -ENAMETOOLONG : 0;
}

static struct index_file *list_add(struct index *ix, const char *name)
{
    if (ix->n == ix->cap) {
        size_t cap = ix->cap ? ix->cap * 2 : 16;
        struct index_file **p = realloc(ix->files, cap * sizeof *p);
        if (p == NULL)
            return NULL;
        ix->files = p;
        ix->cap = cap;
    }
    struct index_file *f = calloc(1, sizeof *f);
    if (f) {
        snprintf(f->name, sizeof f->name, "%s", name);
        f->header.count = 1;
        ix->files[ix->n++] = f;
    }
    return f;
}

static struct index_file *last_file(const struct index *ix)
{
    return ix->n ? ix->files[ix->n - 1] : NULL;
}

struct index_file *index_file_named(const struct index *ix, const char *name)
{
    size_t lo = 0, hi = ix->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = strcmp(ix->files[mid]->name, name);
        if (order == 0)
            return ix->files[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool index_file_is_full(const struct index *ix, const struct index_file *f)
{
    return f->header.count >= ix->g.entries;
}

/* ---- loading
 * ---------------------------------------------------------------------------------------------------------- */

static bool is_plausible(const struct index *ix, const struct index_header *h)
{
    return h->count > 1 && h->count <= ix->g.entries && h->begin_time >= 0 && h->begin_time <= TIME_MAX &&
           h->end_time >= 0 && h->end_time <= TIME_MAX && h->begin_offset >= 0 && h->begin_offset <= h->end_offset;
}

/* 1: use it, 0: delete it, -1: err. */
static int judge(const struct index *ix, const char *path, enum index_end end, int64_t checkpoint_time,
                 struct index_header *h, struct err *err)
{
    struct fs_stat st;
    uint8_t b[INDEX_HEADER_SIZE];
    int flushed = 0, fd = ix->fs->open(ix->fs, path, FS_READ);
    if (fd < 0)
        return err_sys(err, -fd, "cannot open the index file %s", path);
    int r = ix->fs->fstat(ix->fs, fd, &st);
    if (r == 0 && st.size == index_file_size(ix->g))
        r = fs_read_all(ix->fs, fd, b, sizeof b, 0);
    if (r == 0 && st.size == index_file_size(ix->g) && end == INDEX_OWN_CRASH)
        flushed = index_header_is_flushed(ix->fs, fd, ix->g, b);
    ix->fs->close(ix->fs, fd);
    if (flushed < 0)
        r = flushed;
    if (r)
        return err_sys(err, -r, "cannot read the index file %s", path);
    if (st.size == 0)
        return 0; /* the process died while making it */
    if (st.size != index_file_size(ix->g))
        return err_set(
            err, EINVAL,
            "the index file %s has %" PRId64 " bytes where maxHashSlotNum and maxIndexNum say %" PRId64
            ": set these keys to what the store was written with, or remove the index folder to have it rebuilt",
            path, st.size, index_file_size(ix->g));
    *h = index_header_decode(b);
    if (h->used_slots < 0 || h->used_slots > ix->g.slots)
        h->used_slots = ix->g.slots; /* only a statistic */
    /* Of a file that Java wrote only the checkpoint's time tells whether all that its header counts is there. */
    return is_plausible(ix, h) && (end == INDEX_CLEAN || flushed || h->end_time <= checkpoint_time);
}

static int load_file(struct index *ix, const char *name, enum index_end end, int64_t checkpoint_time, struct err *err)
{
    char path[INDEX_PATH_SIZE];
    struct index_header h;
    int r = index_path_of(ix, name, path);
    if (r)
        return err_sys(err, -r, "index folder %s", ix->dir);
    r = judge(ix, path, end, checkpoint_time, &h, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        r = ix->fs->unlink(ix->fs, path);
        if (r)
            return err_sys(err, -r, "cannot delete the unfinished index file %s", path);
        LOG(LOG_INFO, "store", "deleted the unfinished index file %s; its messages are indexed again", path);
        return 0;
    }
    struct index_file *f = list_add(ix, name);
    if (f == NULL)
        return err_set(err, ENOMEM, "out of memory while loading the index %s", ix->dir);
    f->header = h;
    return 0;
}

static int open_writer(struct index *ix, struct index_file *f, bool repair, struct err *err)
{
    char path[INDEX_PATH_SIZE];
    int r = index_path_of(ix, f->name, path);
    if (r)
        return err_sys(err, -r, "index folder %s", ix->dir);
    int fd = ix->fs->open(ix->fs, path, FS_WRITE);
    if (fd < 0)
        return err_sys(err, -fd, "cannot open the index file %s for writing", path);
    f->writer = index_writer_new(ix->fs, fd, ix->g, &f->header);
    if (f->writer == NULL) {
        ix->fs->close(ix->fs, fd);
        return err_set(err, ENOMEM, "out of memory while opening the index file %s", path);
    }
    r = repair ? index_writer_repair(f->writer) : 0;
    return r ? err_sys(err, -r, "cannot read the index file %s", path) : 0;
}

int index_load(struct index *ix, enum index_end end, int64_t checkpoint_time, struct err *err)
{
    char **names = NULL;
    size_t n = 0;
    int r = fs_list_sorted(ix->fs, ix->dir, false, &names, &n);
    if (r == -ENOENT)
        return 0;
    if (r)
        return err_sys(err, -r, "cannot list the index folder %s", ix->dir);
    for (size_t i = 0; i < n && r == 0; i++)
        if (strlen(names[i]) < INDEX_NAME_SIZE && strspn(names[i], "0123456789") == strlen(names[i]))
            r = load_file(ix, names[i], end, checkpoint_time, err);
    fs_names_free(names, n);
    struct index_file *last = last_file(ix);
    if (r == 0 && last && !index_file_is_full(ix, last))
        r = open_writer(ix, last, end != INDEX_CLEAN, err);
    if (r == 0)
        index_summaries_load(ix);
    return r;
}

/* ---- adding
 * ----------------------------------------------------------------------------------------------------------- */

/* The local time in milliseconds, moved behind the last file's name so that names stay in order of age. */
static void next_name(const struct index *ix, char out[INDEX_NAME_SIZE])
{
    int64_t now = ix->fs->now_ms(ix->fs), last = 0, mine = 0;
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    char text[INDEX_NAME_SIZE];
    size_t n = strftime(text, sizeof text, "%Y%m%d%H%M%S", &tm);
    snprintf(text + n, sizeof text - n, "%03d", (int)(now % 1000));
    str_to_i64(str_from(text), &mine);
    if (ix->n)
        str_to_i64(str_from(last_file(ix)->name), &last);
    snprintf(out, INDEX_NAME_SIZE, "%017" PRId64, mine > last ? mine : last + 1);
}

static int create_file(struct index *ix, struct err *err)
{
    const struct fs *fs = ix->fs;
    char name[INDEX_NAME_SIZE], path[INDEX_PATH_SIZE];
    next_name(ix, name);
    int r = index_path_of(ix, name, path);
    if (r == 0)
        r = fs_mkdirs(fs, ix->dir);
    if (r)
        return err_sys(err, -r, "cannot make the index folder %s", ix->dir);
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE | FS_EXCLUSIVE);
    if (fd < 0)
        return err_sys(err, -fd, "cannot make the index file %s", path);
    r = fs->truncate(fs, fd, index_file_size(ix->g));
    if (r == 0)
        r = fs->sync_dir(fs, ix->dir);
    struct index_file *before = last_file(ix), *f = NULL;
    if (r == 0 && (f = list_add(ix, name)) == NULL)
        r = -ENOMEM;
    if (r == 0 && (f->writer = index_writer_new(fs, fd, ix->g, &f->header)) == NULL) {
        ix->n--;
        free(f);
        r = -ENOMEM;
    }
    if (r) {
        fs->close(fs, fd);
        (void)fs->unlink(fs, path);
        return err_sys(err, -r, "cannot make the index file %s", path);
    }
    /* As in Java: the times of the first entry count from the end of the file before. */
    if (before) {
        f->header.begin_time = f->header.end_time = before->header.end_time;
        f->header.begin_offset = f->header.end_offset = before->header.end_offset;
        /* On disk too, since Java goes on indexing from the end that the last file names. */
        uint8_t bytes[INDEX_HEADER_SIZE];
        index_header_encode(&f->header, bytes);
        ssize_t put = fs->pwrite(fs, fd, bytes, sizeof bytes, 0);
        if (put != (ssize_t)sizeof bytes)
            return err_sys(err, put < 0 ? (int)-put : ENOSPC, "cannot write the header of the index file %s", path);
    }
    return 0;
}

int32_t index_key_hash(struct str topic, struct str key)
{
    int32_t h = java_hash_more(java_hash_more(java_hash(topic), STR_LIT("#")), key);
    return h == INT32_MIN ? 0 : h < 0 ? -h : h;
}

/* Puts the key that waits longest. Slots are all over 20 MB: by now its own has arrived in the processor's cache. */
static int put_first(struct index *ix, struct err *err)
{
    const struct waiting_key *k = &ix->waiting[ix->first_waiting];
    struct index_file *f = last_file(ix);
    if ((f == NULL || index_file_is_full(ix, f)) && create_file(ix, err))
        return -1;
    f = last_file(ix);
    int r = index_writer_put(f->writer, k->hash, k->offset, k->store_time);
    if (r)
        return err_sys(err, -r, "cannot write the index file %s/%s", ix->dir, f->name);
    ix->first_waiting = (ix->first_waiting + 1) % INDEX_WAITING;
    ix->n_waiting--;
    return 0;
}

int index_put_waiting(struct index *ix, struct err *err)
{
    while (ix->n_waiting)
        if (put_first(ix, err))
            return -1;
    return 0;
}

static int add_key(struct index *ix, struct str topic, struct str key, int64_t offset, int64_t store_time,
                   struct err *err)
{
    if (ix->n_waiting == INDEX_WAITING && put_first(ix, err))
        return -1;
    struct waiting_key *k = &ix->waiting[(ix->first_waiting + ix->n_waiting) % INDEX_WAITING];
    *k = (struct waiting_key){index_key_hash(topic, key), offset, store_time};
    ix->n_waiting++;
    ix->last_offset = offset;
    const struct index_file *f = last_file(ix);
    if (f && f->writer)
        index_writer_prefetch(f->writer, k->hash);
    return 0;
}

/* Key number n: the unique key first, then those of KEYS, empty ones left out. */
static int add_keys(struct index *ix, struct str topic, struct str uniq_key, struct str keys, int64_t offset,
                    int64_t store_time, int32_t skip, int32_t *done, struct err *err)
{
    struct str key = uniq_key;
    bool more = !str_is_null(uniq_key) || str_split(&keys, ' ', &key);
    bool is_uniq = !str_is_null(uniq_key);
    *done = 0;
    while (more) {
        if (is_uniq || key.len > 0) {
            if (*done >= skip && add_key(ix, topic, key, offset, store_time, err))
                return -1;
            ++*done;
        }
        is_uniq = false;
        more = str_split(&keys, ' ', &key);
    }
    return 0;
}

/* A file that is full may end in the middle of a message's keys; if the process died then, the rest is missing, so the
 * last message of a full last file is taken again. */
static bool is_indexed(const struct index *ix, int64_t offset)
{
    const struct index_file *f = last_file(ix);
    if (ix->n_waiting)
        return offset <= ix->last_offset;
    if (f == NULL || f->header.end_offset < offset)
        return false;
    return f->header.end_offset > offset || (f->writer && f->header.count > 1);
}

int index_add(struct index *ix, struct str topic, struct str uniq_key, struct str keys, int64_t physical_offset,
              int64_t store_time, struct err *err)
{
    if (str_is_null(uniq_key) && keys.len == 0)
        return 0;
    pthread_mutex_lock(&ix->lock);
    int r = 0;
    bool again = ix->partial_offset == physical_offset;
    if (again || !is_indexed(ix, physical_offset)) {
        int32_t done;
        r = add_keys(ix, topic, uniq_key, keys, physical_offset, store_time, again ? ix->partial_keys : 0, &done, err);
        ix->partial_offset = r ? physical_offset : -1;
        ix->partial_keys = done;
        ix->quiet = false;
    }
    pthread_mutex_unlock(&ix->lock);
    return r;
}

static struct index_header newest(const struct index *ix)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&ix->lock;
    pthread_mutex_lock(lock);
    const struct index_file *f = last_file(ix);
    struct index_header h = f ? f->header : (struct index_header){0};
    if (ix->n_waiting) {
        const struct waiting_key *k = &ix->waiting[(ix->first_waiting + ix->n_waiting - 1) % INDEX_WAITING];
        h.end_offset = k->offset;
        h.end_time = k->store_time;
    }
    pthread_mutex_unlock(lock);
    return h;
}

int64_t index_end_offset(const struct index *ix)
{
    return newest(ix).end_offset;
}

int64_t index_end_time(const struct index *ix)
{
    return newest(ix).end_time;
}

/* ---- flushing
 * ---------------------------------------------------------------------------------------------------------- */

static int flush_file(struct index *ix, struct index_file *f, struct err *err)
{
    for (int phase = 0; phase < INDEX_PHASES && index_writer_dirty(f->writer); phase++) {
        pthread_mutex_lock(&ix->lock);
        int r = index_writer_write(f->writer, (enum index_phase)phase);
        pthread_mutex_unlock(&ix->lock);
        if (r)
            return err_sys(err, -r, "cannot write the index file %s/%s", ix->dir, f->name);
        /* Another sync could succeed only because the kernel has dropped what the first one could not write. */
        r = ix->sync_failed ? -EIO : index_writer_sync(f->writer);
        if (r) {
            ix->sync_failed = true;
            err_sys(err, -r,
                    "cannot sync the index file %s/%s: what is on the disk is not known any more; check the disk",
                    ix->dir, f->name);
            return -2;
        }
    }
    return 0;
}

/* Oldest first: the header of a file must not be durable before those in front of it. The lock is not held while the
 * disk works: only this thread adds, and index_clean leaves files with a writer alone. */
int index_flush(struct index *ix, int64_t *time, struct err *err)
{
    pthread_mutex_lock(&ix->lock);
    int waiting = index_put_waiting(ix, err);
    pthread_mutex_unlock(&ix->lock);
    if (waiting)
        return -1;
    for (;;) {
        size_t i = 0;
        pthread_mutex_lock(&ix->lock);
        for (; i < ix->n && ix->files[i]->writer == NULL; i++)
            continue;
        struct index_file *f = i < ix->n ? ix->files[i] : NULL;
        bool last = i + 1 == ix->n;
        pthread_mutex_unlock(&ix->lock);
        int r = f ? flush_file(ix, f, err) : 0;
        if (r)
            return r;
        pthread_mutex_lock(&ix->lock);
        if (f && !last) {
            index_writer_free(f->writer);
            f->writer = NULL;
            ix->may_lack_summaries = true;
        } else if (f) {
            index_writer_flushed(f->writer);
            if (ix->quiet)
                index_writer_rest(f->writer);
        }
        pthread_mutex_unlock(&ix->lock);
        if (f == NULL || last)
            break;
    }
    ix->quiet = true;
    *time = index_end_time(ix);
    return 0;
}
