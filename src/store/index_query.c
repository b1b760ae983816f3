/* The key index: asking it, and removing what is expired. */
#include "store/index.h"

#include "base/log.h"
#include "store/index_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STRANGERS = 64 }; /* room for other keys with the same hash in one file */

static bool time_matches(const struct index_header *h, int64_t begin, int64_t end)
{
    return begin <= h->end_time && end >= h->begin_time;
}

/* What is in memory under the lock, the rest from the file without it: entries in a file never change. */
static int query_file(struct index *ix, const char *name, struct index_walk *walk)
{
    char path[INDEX_PATH_SIZE];
    int r = index_path_of(ix, name, path);
    if (r)
        return r;
    int fd = ix->fs->open(ix->fs, path, FS_READ);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd; /* deleted meanwhile */
    bool in_file = true;
    pthread_mutex_lock(&ix->lock);
    struct index_file *f = index_file_named(ix, name);
    if (f) {
        /* Now, not when the list was copied: the slots may have moved on. */
        walk->begin_time = f->header.begin_time;
        walk->limit = f->header.count;
    }
    if (f && f->writer) {
        r = index_writer_walk(f->writer, walk);
        in_file = false;
    }
    pthread_mutex_unlock(&ix->lock);
    if (r == 0 && in_file)
        r = index_walk_start(ix->fs, fd, ix->g, walk);
    if (r == 0)
        r = index_walk_file(ix->fs, fd, ix->g, walk);
    ix->fs->close(ix->fs, fd);
    return r;
}

/* A file in which the key may be. */
struct candidate {
    char name[INDEX_NAME_SIZE];
    struct index_summary *summary;
    unsigned column;
};

/* The files of the time, newest first. */
static struct candidate *candidates(struct index *ix, int64_t begin, int64_t end, size_t *n)
{
    struct err err;
    struct candidate *list = NULL;
    size_t cap = 0;
    *n = 0;
    pthread_mutex_lock(&ix->lock);
    if (index_put_waiting(ix, &err))
        LOG_LIMITED(LOG_WARN, "store", "a query by key misses the newest messages: %s", err.text);
    for (size_t i = ix->n; i > 0; i--) {
        const struct index_file *f = ix->files[i - 1];
        if (time_matches(&f->header, begin, end)) {
            if (*n == cap) {
                cap = cap ? cap * 4 : 64;
                struct candidate *grown = realloc(list, cap * sizeof *list);
                if (grown == NULL)
                    break;
                list = grown;
            }
            struct candidate *c = &list[(*n)++];
            memcpy(c->name, f->name, INDEX_NAME_SIZE);
            c->summary = f->summary;
            c->column = f->column;
        }
        if (f->header.begin_time < begin)
            break;
    }
    pthread_mutex_unlock(&ix->lock);
    return list;
}

/* What a summary says of the key, kept for the other files it covers. */
struct told {
    const struct index_summary *by;
    uint64_t columns;
};

static bool may_have(const struct candidate *c, int32_t hash, struct told *told)
{
    if (c->summary == NULL)
        return true;
    if (told->by != c->summary) {
        told->by = c->summary;
        told->columns = index_summary_ask(c->summary, hash);
    }
    return told->columns >> c->column & 1;
}

/* Only hashes are stored: takes of the offsets found in one file those that are wanted, up to max. */
static size_t take_wanted(const struct index_asked *asked, const int64_t *offsets, size_t n, int64_t *out, size_t max)
{
    size_t taken = 0;
    for (size_t i = 0; i < n && taken < max; i++)
        if (asked->want == NULL || asked->want(asked->arg, offsets[i]))
            out[taken++] = offsets[i];
    return taken;
}

size_t index_query(struct index *ix, const struct index_asked *asked, int64_t *offsets, size_t max)
{
    size_t n, found = 0, room = max + STRANGERS;
    int32_t hash = index_key_hash(asked->topic, asked->key);
    struct told told = {0};
    int64_t *of_file = malloc(room * sizeof *of_file);
    if (of_file == NULL)
        return 0;
    pthread_rwlock_rdlock(&ix->summaries_lock);
    struct candidate *files = candidates(ix, asked->begin, asked->end, &n);
    for (size_t i = 0; i < n && found < max; i++) {
        if (!may_have(&files[i], hash, &told))
            continue;
        struct index_walk walk = {
            .hash = hash,
            .begin = asked->begin,
            .end = asked->end,
            .offsets = of_file,
            .max = room,
        };
        int r = query_file(ix, files[i].name, &walk);
        found += take_wanted(asked, of_file, walk.n, offsets + found, max - found);
        if (r)
            LOG_LIMITED(LOG_ERROR, "store", "cannot read the index file %s/%s: %s; check the disk", ix->dir,
                        files[i].name, strerror(-r));
    }
    pthread_rwlock_unlock(&ix->summaries_lock);
    free(files);
    free(of_file);
    return found;
}

/* Under the lock: takes file i off the list. */
static struct index_file *take_off(struct index *ix, size_t i)
{
    struct index_file *f = ix->files[i];
    if (f->summary)
        index_summary_leave(f->summary);
    memmove(ix->files + i, ix->files + i + 1, (--ix->n - i) * sizeof ix->files[0]);
    return f;
}

static void delete_file(struct index *ix, struct index_file *f, const char *what)
{
    char path[INDEX_PATH_SIZE];
    int r = index_path_of(ix, f->name, path);
    if (r == 0)
        r = ix->fs->unlink(ix->fs, path);
    if (r && r != -ENOENT)
        LOG(LOG_WARN, "store", "cannot delete the %s index file %s: %s; delete it by hand", what, path, strerror(-r));
    index_file_free(f);
}

int index_clean(struct index *ix, int64_t log_min)
{
    int deleted = 0;
    for (;;) {
        struct index_file *gone = NULL;
        pthread_mutex_lock(&ix->lock);
        if (ix->n > 1 && ix->files[0]->header.end_offset < log_min && ix->files[0]->writer == NULL)
            gone = take_off(ix, 0);
        pthread_mutex_unlock(&ix->lock);
        if (gone == NULL)
            return deleted;
        delete_file(ix, gone, "expired");
        deleted++;
    }
}

void index_cut(struct index *ix, int64_t log_end)
{
    pthread_mutex_lock(&ix->lock);
    while (ix->n && ix->files[ix->n - 1]->header.end_offset >= log_end) {
        struct index_file *f = take_off(ix, ix->n - 1);
        LOG(LOG_WARN, "store", "the index file %s/%s knows messages behind the end of the log; they are indexed again",
            ix->dir, f->name);
        delete_file(ix, f, "wrong");
    }
    pthread_mutex_unlock(&ix->lock);
}
