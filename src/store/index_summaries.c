/* The summaries of the key index: which there are, which are still missing. */
#include "store/index.h"

#include "base/log.h"
#include "os/clock.h"
#include "store/index_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 60000 };

int index_summarize_from(struct index *ix, const char *dir, size_t files)
{
    ix->summaries_dir = strdup(dir);
    ix->summaries_from = files;
    ix->may_lack_summaries = true;
    return ix->summaries_dir ? 0 : -ENOMEM;
}

void index_summaries_free(struct index *ix)
{
    for (size_t i = 0; i < ix->n_summaries; i++)
        index_summary_free(ix->summaries[i]);
    free(ix->summaries);
    free(ix->summaries_dir);
}

/* The file the summary was made of, and no other of its name. */
static struct index_file *file_of(const struct index *ix, const struct index_covered *c)
{
    struct index_file *f = index_file_named(ix, c->name);
    bool same = f && f->writer == NULL && index_file_is_full(ix, f) && f->header.begin_offset == c->begin_offset &&
                f->header.end_offset == c->end_offset;
    return same ? f : NULL;
}

/* Under both locks: takes it in; its files leave those that covered them. False: out of memory. */
static bool take(struct index *ix, struct index_summary *s)
{
    if (ix->n_summaries == ix->cap_summaries) {
        size_t cap = ix->cap_summaries ? ix->cap_summaries * 2 : 16;
        struct index_summary **grown = realloc(ix->summaries, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        ix->summaries = grown;
        ix->cap_summaries = cap;
    }
    ix->summaries[ix->n_summaries++] = s;
    for (size_t i = 0; i < index_summary_files(s); i++) {
        struct index_file *f = file_of(ix, index_summary_covered(s, i));
        if (f == NULL)
            continue;
        if (f->summary)
            index_summary_leave(f->summary);
        f->summary = s;
        f->column = (unsigned)i;
        index_summary_join(s);
    }
    return true;
}

static void remove_file(const struct index *ix, const char *name)
{
    char path[INDEX_PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s", ix->summaries_dir, name);
    int r = n < (int)sizeof path ? ix->fs->unlink(ix->fs, path) : -ENAMETOOLONG;
    if (r && r != -ENOENT)
        LOG_LIMITED(LOG_WARN, "store", "cannot delete the index summary %s: %s", path, strerror(-r));
}

/* One that covers no file any more, out of the list. */
static struct index_summary *take_unused(struct index *ix)
{
    struct index_summary *s = NULL;
    pthread_rwlock_wrlock(&ix->summaries_lock);
    pthread_mutex_lock(&ix->lock);
    for (size_t i = 0; i < ix->n_summaries && s == NULL; i++) {
        if (index_summary_is_used(ix->summaries[i]))
            continue;
        s = ix->summaries[i];
        ix->summaries[i] = ix->summaries[--ix->n_summaries];
    }
    pthread_mutex_unlock(&ix->lock);
    pthread_rwlock_unlock(&ix->summaries_lock);
    return s;
}

static void drop_unused(struct index *ix)
{
    struct index_summary *s;
    while ((s = take_unused(ix)) != NULL) {
        remove_file(ix, index_summary_name(s));
        index_summary_free(s);
    }
}

/* Of those with one file, of eight, of 64: the larger ones are taken last and so are the ones that count. */
static int by_files(const void *a, const void *b)
{
    const struct index_summary *x = *(struct index_summary *const *)a, *y = *(struct index_summary *const *)b;
    size_t n = index_summary_files(x), m = index_summary_files(y);
    return n < m ? -1 : n > m;
}

void index_summaries_load(struct index *ix)
{
    char **names = NULL;
    size_t n = 0, opened = 0;
    if (ix->summaries_dir == NULL || fs_list_sorted(ix->fs, ix->summaries_dir, false, &names, &n))
        return;
    struct index_summary **list = calloc(n + 1, sizeof(struct index_summary *));
    for (size_t i = 0; list && i < n; i++) {
        int r = index_summary_open(&list[opened], ix->fs, ix->summaries_dir, names[i], ix->g);
        if (r == -EILSEQ)
            remove_file(ix, names[i]); /* not made completely, or damaged: it is made again */
        opened += r == 0;
    }
    fs_names_free(names, n);
    if (list)
        qsort(list, opened, sizeof list[0], by_files);
    for (size_t i = 0; i < opened; i++)
        if (!take(ix, list[i]))
            index_summary_free(list[i]);
    free(list);
    drop_unused(ix);
}

/* ---- making what is missing
 * ------------------------------------------------------------------------------------------- */

static bool is_closed(const struct index *ix, const struct index_file *f)
{
    return f->writer == NULL && index_file_is_full(ix, f);
}

/* The oldest closed file without a summary; false: there is none. */
static bool next_file(struct index *ix, struct index_covered *out)
{
    bool found = false;
    pthread_mutex_lock(&ix->lock);
    size_t closed = 0;
    for (size_t i = 0; i < ix->n; i++)
        closed += is_closed(ix, ix->files[i]);
    for (size_t i = 0; i < ix->n && closed >= ix->summaries_from && !found; i++) {
        const struct index_file *f = ix->files[i];
        found = is_closed(ix, f) && f->summary == NULL;
        if (!found)
            continue;
        *out = (struct index_covered){.begin_offset = f->header.begin_offset, .end_offset = f->header.end_offset};
        memcpy(out->name, f->name, INDEX_NAME_SIZE);
    }
    pthread_mutex_unlock(&ix->lock);
    return found;
}

/* Eight summaries of equally many files, one behind the other; how many there are. */
static size_t next_parts(struct index *ix, struct index_summary *parts[INDEX_SUMMARY_FAN])
{
    size_t n = 0;
    pthread_mutex_lock(&ix->lock);
    for (size_t i = 0; i < ix->n && n < INDEX_SUMMARY_FAN; i++) {
        struct index_summary *s = ix->files[i]->summary;
        if (n > 0 && s == parts[n - 1])
            continue;
        if (s == NULL || index_summary_files(s) * INDEX_SUMMARY_FAN > INDEX_SUMMARY_FILES)
            n = 0;
        else {
            if (n > 0 && index_summary_files(s) != index_summary_files(parts[0]))
                n = 0;
            parts[n++] = s;
        }
    }
    pthread_mutex_unlock(&ix->lock);
    return n;
}

static int add(struct index *ix, struct index_summary *s)
{
    pthread_rwlock_wrlock(&ix->summaries_lock);
    pthread_mutex_lock(&ix->lock);
    bool taken = take(ix, s);
    pthread_mutex_unlock(&ix->lock);
    pthread_rwlock_unlock(&ix->summaries_lock);
    if (taken)
        return 0;
    remove_file(ix, index_summary_name(s));
    index_summary_free(s);
    return -ENOMEM;
}

bool index_summarize(struct index *ix, bool (*stop)(void *arg), void *arg)
{
    struct index_summary *parts[INDEX_SUMMARY_FAN], *s;
    struct index_covered covered;
    char path[INDEX_PATH_SIZE];
    int r;
    if (ix->summaries_dir == NULL || !ix->may_lack_summaries || clock_mono_ms() < ix->summaries_retry)
        return false;
    drop_unused(ix);
    if (next_parts(ix, parts) == INDEX_SUMMARY_FAN) {
        r = index_summary_merge(&s, ix->fs, ix->summaries_dir, parts, INDEX_SUMMARY_FAN, stop, arg);
    } else if (next_file(ix, &covered)) {
        r = index_path_of(ix, covered.name, path);
        if (r == 0)
            r = index_summary_build(&s, ix->fs, ix->summaries_dir, path, ix->g, &covered);
    } else {
        ix->may_lack_summaries = false;
        return false;
    }
    if (r == 0)
        r = add(ix, s);
    if (r && r != -EINTR) {
        LOG_LIMITED(LOG_WARN, "store", "cannot make a summary of index files in %s: %s; queries by key take longer",
                    ix->summaries_dir, strerror(-r));
        ix->summaries_retry = clock_mono_ms() + RETRY_MS;
    }
    return r == 0;
}
