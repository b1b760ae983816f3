/*
 * Putting compacted files in the place of those they were made from.
 *
 * They are written, whole and durable, to the folder crocket-compacting inside the queue's two folders, as files 0, 1,
 * ... n - 1 of the log. The file `manifest` there, made durable last, is the decision: from then on each start finishes
 * what it says, before it only removes the folder. Java's brokers do the same in a folder `compacting`, without
 * deciding at one point: what they leave behind is carried on where both the old and the new state can be told apart.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/compaction/compaction_int.h"

#define JAVA_DIR     "compacting"
#define JAVA_DELETED ".delete"

#define FILES "files "
#define UP_TO "replace up to "

enum { MANIFEST_MAX = 256, FILES_MAX = 1 << 20 };

static void manifest_path(const struct compaction_queue *q, char out[CPATH_SIZE])
{
    cfile_path(q, CPART_LOG, COMPACTING_DIR, -1, out);
    size_t n = strlen(out);
    snprintf(out + n, CPATH_SIZE - n, "/manifest");
}

/* Calls fn for each file of the folder (absent: none). */
struct each {
    const struct compaction_queue *q;
    enum cpart part;
    int64_t up_to;
    size_t n;
};
typedef int (*each_fn)(struct each *e, const char *dir, const char *name);

static int each_name(struct each *e, const char *sub, each_fn fn)
{
    char dir[CPATH_SIZE], **names;
    size_t n;
    cfile_path(e->q, e->part, sub, -1, dir);
    int r = fs_list_sorted(e->q->c->fs, dir, false, &names, &n);
    if (r)
        return r == -ENOENT ? 0 : r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = fn(e, dir, names[i]);
    fs_names_free(names, n);
    return r;
}

static int remove_name(const struct compaction_queue *q, const char *dir, const char *name)
{
    char path[CPATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n < 0 || n >= CPATH_SIZE ? -ENAMETOOLONG : q->c->fs->unlink(q->c->fs, path);
}

static int move_name(const struct compaction_queue *q, const char *from_dir, const char *from, const char *to_dir,
                     struct str to)
{
    char a[CPATH_SIZE], b[CPATH_SIZE];
    int n = snprintf(a, sizeof a, "%s/%s", from_dir, from);
    int m = snprintf(b, sizeof b, "%s/%.*s", to_dir, STR_ARG(to));
    return n < 0 || n >= CPATH_SIZE || m < 0 || m >= CPATH_SIZE ? -ENAMETOOLONG : q->c->fs->rename(q->c->fs, a, b);
}

static int sync_folder(const struct compaction_queue *q, enum cpart part, const char *sub)
{
    char dir[CPATH_SIZE];
    cfile_path(q, part, sub, -1, dir);
    return q->c->fs->sync_dir(q->c->fs, dir);
}

static int remove_sub(const struct compaction_queue *q, const char *sub)
{
    int r = 0;
    for (int part = 0; part < CPARTS && r == 0; part++) {
        char dir[CPATH_SIZE];
        cfile_path(q, (enum cpart)part, sub, -1, dir);
        r = fs_exists(q->c->fs, dir) ? fs_remove_tree(q->c->fs, dir) : 0;
    }
    return r;
}

int compaction_discard(struct compaction_queue *q)
{
    return remove_sub(q, COMPACTING_DIR);
}

/* ---- ours ---- */

static int drop_replaced(struct each *e, const char *dir, const char *name)
{
    int64_t base;
    if (!cfile_name(name, &base) || base > e->up_to || base < (int64_t)e->n * e->q->c->log_size)
        return 0;
    return remove_name(e->q, dir, name);
}

static int move_up(struct each *e, const char *dir, const char *name)
{
    int64_t base;
    char parent[CPATH_SIZE];
    if (!cfile_name(name, &base))
        return 0;
    cfile_path(e->q, e->part, NULL, -1, parent);
    return move_name(e->q, dir, name, parent, str_from(name));
}

/* Can be done again from any point of it: n files take the place of all up to the position up_to. */
static int apply(struct compaction_queue *q, size_t n, int64_t up_to)
{
    int r = 0;
    for (int part = 0; part < CPARTS && r == 0; part++) {
        struct each e = {q, (enum cpart)part, up_to, n};
        r = each_name(&e, NULL, drop_replaced);
        if (r == 0)
            r = each_name(&e, COMPACTING_DIR, move_up);
        if (r == 0)
            r = sync_folder(q, (enum cpart)part, NULL);
    }
    char path[CPATH_SIZE];
    manifest_path(q, path);
    if (r == 0)
        r = q->c->fs->unlink(q->c->fs, path);
    if (r == 0)
        r = sync_folder(q, CPART_LOG, COMPACTING_DIR);
    return r ? r : compaction_discard(q);
}

/* The durable decision. */
static int decide(struct compaction_queue *q, size_t n, int64_t up_to)
{
    char path[CPATH_SIZE], text[MANIFEST_MAX];
    int r = 0, len = snprintf(text, sizeof text, FILES "%zu\n" UP_TO "%" PRId64 "\n", n, up_to);
    for (int part = 0; part < CPARTS && r == 0 && n; part++) {
        r = sync_folder(q, (enum cpart)part, COMPACTING_DIR);
        if (r == 0)
            r = sync_folder(q, (enum cpart)part, NULL);
    }
    manifest_path(q, path);
    if (r == 0 && n == 0) {
        char dir[CPATH_SIZE];
        cfile_path(q, CPART_LOG, COMPACTING_DIR, -1, dir);
        r = fs_mkdirs(q->c->fs, dir);
        if (r == 0)
            r = sync_folder(q, CPART_LOG, NULL);
    }
    return r ? r : fs_replace(q->c->fs, path, text, (size_t)len);
}

int compaction_replace(struct compaction_queue *q, size_t n, struct cfile_list *by)
{
    size_t made = by->n;
    int64_t up_to = q->files.at[n - 1]->base;
    int r = decide(q, made, up_to);
    if (r)
        return r;
    /* Readers see the new files from here on; the old ones stay as long as somebody holds them. */
    pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < n; i++)
        cfile_release(q->files.at[i]);
    memmove(q->files.at + by->n, q->files.at + n, (q->files.n - n) * sizeof q->files.at[0]);
    for (size_t i = 0; i < by->n; i++)
        q->files.at[i] = by->at[i];
    q->files.n = q->files.n - n + by->n;
    by->n = 0;
    pthread_mutex_unlock(&q->lock);
    return apply(q, made, up_to);
}

static bool read_manifest(struct str text, int64_t *n, int64_t *up_to)
{
    struct str files, upto;
    return str_split(&text, '\n', &files) && str_split(&text, '\n', &upto) && str_starts(files, STR_LIT(FILES)) &&
           str_starts(upto, STR_LIT(UP_TO)) && str_to_i64(str_skip(files, strlen(FILES)), n) &&
           str_to_i64(str_skip(upto, strlen(UP_TO)), up_to) && *n >= 0 && *n < FILES_MAX && *up_to >= 0;
}

static int settle_ours(struct compaction_queue *q, struct err *err)
{
    char path[CPATH_SIZE], *data;
    size_t len;
    int64_t n, up_to;
    manifest_path(q, path);
    int r = fs_load(q->c->fs, path, MANIFEST_MAX, &data, &len);
    if (r == -ENOENT) {
        r = compaction_discard(q);
        return r ? err_sys(err, -r, "cannot remove an unfinished compaction of topic %s, queue %d in %s", q->topic,
                           q->id, q->c->dir)
                 : 0;
    }
    if (r)
        return err_sys(err, -r, "cannot read %s", path);
    bool ok = read_manifest(str_make(data, len), &n, &up_to);
    free(data);
    if (!ok)
        return err_set(err, EILSEQ,
                       "%s is damaged: it says which files of topic %s, queue %d were compacted; if all of them are "
                       "still there (crocket store check), remove its folder",
                       path, q->topic, q->id);
    LOG(LOG_INFO, "store", "finishing the interrupted replacement of compacted files of topic %s, queue %d", q->topic,
        q->id);
    r = apply(q, (size_t)n, up_to);
    return r ? err_sys(err, -r, "cannot put compacted files of topic %s, queue %d in %s into their place", q->topic,
                       q->id, q->c->dir)
             : 0;
}

/* ---- Java's ---- */

static bool is_deleted(const char *name, struct str *plain)
{
    struct str s = str_from(name), end = STR_LIT(JAVA_DELETED);
    if (s.len != CNAME_DIGITS + end.len || !str_eq(str_skip(s, CNAME_DIGITS), end))
        return false;
    *plain = str_make(name, CNAME_DIGITS);
    return true;
}

static int count_deleted(struct each *e, const char *dir, const char *name)
{
    struct str plain;
    e->n += is_deleted(name, &plain);
    return 0;
}

static int count_all(struct each *e, const char *dir, const char *name)
{
    e->n++;
    return 0;
}

static int bring_back(struct each *e, const char *dir, const char *name)
{
    struct str plain;
    return is_deleted(name, &plain) ? move_name(e->q, dir, name, dir, plain) : 0;
}

static int drop_deleted(struct each *e, const char *dir, const char *name)
{
    struct str plain;
    return is_deleted(name, &plain) ? remove_name(e->q, dir, name) : 0;
}

static int drop_without_queue(struct each *e, const char *dir, const char *name)
{
    char path[CPATH_SIZE];
    int64_t base;
    if (!cfile_name(name, &base))
        return 0;
    cfile_path(e->q, CPART_QUEUE, NULL, base, path);
    return fs_exists(e->q->c->fs, path) ? 0 : remove_name(e->q, dir, name);
}

static int count(const struct compaction_queue *q, enum cpart part, const char *sub, each_fn fn, size_t *n)
{
    struct each e = {.q = q, .part = part};
    int r = each_name(&e, sub, fn);
    *n = e.n;
    return r;
}

/* Java renames the old log files, moves the new ones up, deletes the old ones, and then does the same with the queue
 * files. As long as new log files wait in its folder all the old ones are still there; after that all the new ones
 * are. */
static int settle_java(struct compaction_queue *q)
{
    size_t log_deleted, queue_deleted, log_waiting, queue_waiting;
    int r = count(q, CPART_LOG, NULL, count_deleted, &log_deleted);
    if (r == 0)
        r = count(q, CPART_QUEUE, NULL, count_deleted, &queue_deleted);
    if (r == 0)
        r = count(q, CPART_LOG, JAVA_DIR, count_all, &log_waiting);
    if (r == 0)
        r = count(q, CPART_QUEUE, JAVA_DIR, count_all, &queue_waiting);
    if (r || log_deleted + queue_deleted + log_waiting + queue_waiting == 0)
        return r;
    bool back = log_waiting > 0;
    LOG(LOG_INFO, "store", "%s the compaction of topic %s, queue %d that a Java broker left unfinished",
        back ? "undoing" : "finishing", q->topic, q->id);
    struct each log = {.q = q, .part = CPART_LOG}, queue = {.q = q, .part = CPART_QUEUE};
    if (back) {
        r = each_name(&log, NULL, bring_back);
        if (r == 0 && log_deleted)
            r = each_name(&log, NULL, drop_without_queue);
    } else {
        r = each_name(&queue, JAVA_DIR, move_up);
        if (r == 0)
            r = each_name(&queue, NULL, drop_deleted);
        if (r == 0)
            r = each_name(&log, NULL, drop_deleted);
    }
    return r ? r : remove_sub(q, JAVA_DIR);
}

int compaction_settle(struct compaction_queue *q, struct err *err)
{
    int r = settle_java(q);
    if (r)
        return err_sys(err, -r, "cannot settle an unfinished compaction of topic %s, queue %d in %s", q->topic, q->id,
                       q->c->dir);
    return settle_ours(q, err);
}
