/* The table of queues: which are kept here, finding, forgetting, closing. */
#include "store/compaction/compaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/host.h"
#include "store/compaction/compaction_int.h"

#define TRASH "crocket-deleted-"

size_t ckey(char out[CKEY_SIZE], struct str topic, int32_t id)
{
    int n = snprintf(out, CKEY_SIZE, "%.*s_%d", STR_ARG(topic), id);
    return n < CKEY_SIZE ? (size_t)n : CKEY_SIZE - 1;
}

/* ---- opening and closing ---- */

/* Java's: as many whole units as fit; the log a multiple of the queue file's size. */
static void set_sizes(struct compaction *c)
{
    const struct store_conf *conf = &c->s->conf;
    c->queue_size = conf->compactionCqMappedFileSize / CUNIT_SIZE * CUNIT_SIZE;
    int64_t n = conf->compactionMappedFileSize / c->queue_size, rest = conf->compactionMappedFileSize % c->queue_size;
    if (n < 5)
        n = 5;
    else if (rest == 0 || rest >= c->queue_size / 2)
        n++;
    c->log_size = n * c->queue_size;
}

static int last_trash(void *arg, const char *name, bool is_dir)
{
    struct compaction *c = arg;
    struct str s = str_from(name);
    int64_t number;
    if (is_dir && str_starts(s, STR_LIT(TRASH)) && str_to_i64(str_skip(s, strlen(TRASH)), &number) && number > c->trash)
        c->trash = number;
    return 0;
}

void compaction_empty_trash(struct compaction *c)
{
    char **names, path[CPATH_SIZE];
    size_t n;
    if (!atomic_exchange(&c->have_trash, false) || fs_list_sorted(c->fs, c->dir, true, &names, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        if (!str_starts(str_from(names[i]), STR_LIT(TRASH)))
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", c->dir, names[i]);
        int r = len < 0 || len >= CPATH_SIZE ? -ENAMETOOLONG : fs_remove_tree(c->fs, path);
        if (r)
            LOG(LOG_ERROR, "store", "cannot remove %s: %s", path, strerror(-r));
    }
    fs_names_free(names, n);
}

int compaction_open(struct compaction **out, struct store *s, struct err *err)
{
    struct compaction *c = calloc(1, sizeof *c);
    if (c == NULL || asprintf(&c->dir, "%s/compaction", s->conf.storePathRootDir) < 0) {
        free(c);
        return err_sys(err, ENOMEM, "cannot open the compaction store");
    }
    c->s = s;
    c->fs = s->fs;
    pthread_mutex_init(&c->disk_lock, NULL);
    pthread_mutex_init(&c->table_lock, NULL);
    set_sizes(c);
    int r = c->fs->list(c->fs, c->dir, last_trash, c);
    atomic_init(&c->have_trash, c->trash > 0);
    if (r && r != -ENOENT)
        r = err_sys(err, -r, "cannot list %s", c->dir);
    else
        r = compaction_load(c, err);
    if (r) {
        compaction_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void compaction_reclaim(struct compaction *c)
{
    struct cfile *f = atomic_exchange_explicit(&c->dead, NULL, memory_order_acquire);
    while (f) {
        struct cfile *next = f->next_dead;
        cfile_shut(f);
        free(f);
        f = next;
    }
}

void compaction_close(struct compaction *c)
{
    if (c == NULL)
        return;
    for (struct compaction_queue *q = atomic_load(&c->all); q;) {
        struct compaction_queue *next = q->next;
        cfile_list_release(&q->files);
        pthread_mutex_destroy(&q->lock);
        free(q->topic);
        free(q);
        q = next;
    }
    compaction_reclaim(c);
    map_free(&c->queues, NULL);
    map_free(&c->positions, free);
    pthread_mutex_destroy(&c->disk_lock);
    pthread_mutex_destroy(&c->table_lock);
    free(c->dir);
    free(c);
}

/* ---- queues ---- */

struct compaction_queue *compaction_queue_get(struct compaction *c, struct str topic, int32_t id)
{
    char key[CKEY_SIZE];
    struct str name = str_make(key, ckey(key, topic, id));
    struct compaction_queue *q = map_get(&c->queues, name);
    if (q)
        return q;
    q = calloc(1, sizeof *q);
    if (q == NULL || (q->topic = str_dupz(topic)) == NULL || !map_put(&c->queues, name, q, NULL)) {
        free(q ? q->topic : NULL);
        free(q);
        return NULL;
    }
    q->c = c;
    q->id = id;
    pthread_mutex_init(&q->lock, NULL);
    atomic_init(&q->compacted, -1);
    /* Not all at the same time. */
    uint32_t dice;
    int64_t interval = c->s->conf.compactionScheduleInternal;
    host_random(&dice, sizeof dice);
    q->period_ms = interval + 1000 + dice % interval;
    q->due_ms = clock_mono_ms() + q->period_ms;
    q->next = atomic_load(&c->all);
    atomic_store(&c->all, q);
    return q;
}

/* The first unit that stands for a queue offset the ordinary queue has not reached was stored after all that is in the
 * log: the log lost its end, and these numbers are given to other messages soon. Otherwise the ordinary queue was lost,
 * and with the messages gone from the log built anew from 0. */
static bool log_was_cut(struct compaction_queue *q, int64_t next)
{
    for (size_t i = 0; i < q->files.n; i++) {
        struct cfile *f = q->files.at[i];
        struct cunit u;
        if (atomic_load(&f->last) < next)
            continue;
        if (cfile_open(q, NULL, f))
            return true;
        int64_t at = cfile_find(f, next, true);
        return at < 0 || cfile_units(f, (uint32_t)at, &u, 1, true) != 1 || u.store_time >= q->c->s->last_store_time;
    }
    return false;
}

/* Before anything is appended: numbers that the ordinary queue does not know. */
static void reconcile(struct compaction_queue *q, struct cq *ordinary)
{
    int64_t end = atomic_load(&q->end), next = cq_next(ordinary);
    if (end <= next)
        return;
    if (!log_was_cut(q, next) && cq_begin_at(ordinary, end)) {
        LOG(LOG_WARN, "store",
            "consume queue %s/%d was lost with its messages expired; it goes on at %" PRId64
            ", behind what its compaction log has",
            q->topic, q->id, end);
        return;
    }
    LOG(LOG_WARN, "store",
        "the compaction log of topic %s, queue %d has messages from queue offset %" PRId64
        " on that the commit log lost; they are taken out",
        q->topic, q->id, next);
    int r = compaction_cut(q, next);
    if (r)
        LOG(LOG_ERROR, "store", "cannot cut the compaction log of topic %s, queue %d: %s", q->topic, q->id,
            strerror(-r));
}

/* At the start, before anything is appended, numbers are set right; later there can only be files of a topic of this
 * name that was deleted just before a crash. */
static bool fits(struct compaction_queue *q, struct cq *ordinary)
{
    if (!q->c->s->running) {
        reconcile(q, ordinary);
        return true;
    }
    if (atomic_load(&q->end) <= cq_next(ordinary))
        return true;
    LOG(LOG_ERROR, "store",
        "the compaction log of topic %s, queue %d belongs to an earlier topic of this name: its messages are not "
        "compacted until the next start",
        q->topic, q->id);
    return false;
}

bool compaction_add_topic(struct compaction *c, struct str topic, int32_t queues)
{
    bool ok = true;
    pthread_mutex_lock(&c->table_lock);
    for (int32_t id = 0; id < queues && ok; id++) {
        struct cq *ordinary = store_queue(c->s, topic, id, true);
        struct compaction_queue *q = ordinary ? compaction_queue_get(c, topic, id) : NULL;
        ok = q != NULL;
        if (q == NULL || atomic_load(&q->queue) == ordinary || cq_is_batch(ordinary) || !fits(q, ordinary))
            continue;
        atomic_store(&q->queue, ordinary);
        cq_set_compacted(ordinary, q);
    }
    pthread_mutex_unlock(&c->table_lock);
    return ok;
}

static int to_trash(const struct compaction *c, const char *folder, const char *topic)
{
    char from[CPATH_SIZE], to[CPATH_SIZE];
    int n = snprintf(from, sizeof from, "%s/%s/%s", c->dir, folder, topic);
    int m = snprintf(to, sizeof to, "%s/" TRASH "%" PRId64, c->dir, c->trash);
    return n < 0 || n >= CPATH_SIZE || m < 0 || m >= CPATH_SIZE ? -ENAMETOOLONG : c->fs->rename(c->fs, from, to);
}

void compaction_delete_topic(struct compaction *c, struct str topic)
{
    const char *name = NULL;
    pthread_mutex_lock(&c->disk_lock);
    for (struct compaction_queue *q = atomic_load(&c->all); q; q = q->next) {
        if (!str_eqz(topic, q->topic))
            continue;
        name = q->topic;
        struct cq *ordinary = atomic_exchange(&q->queue, NULL);
        if (ordinary)
            cq_set_compacted(ordinary, NULL);
        pthread_mutex_lock(&q->lock);
        cfile_list_release(&q->files);
        atomic_fetch_add(&q->life, 1);
        atomic_store(&q->end, 0);
        atomic_store(&q->compacted, -1);
        pthread_mutex_unlock(&q->lock);
        atomic_store(&q->durable_end, 0);
        atomic_store(&q->dirty, false);
    }
    /* Out of the way at once, whatever comes next; removed when there is time. */
    static const char *const folders[] = {"compactionLog", "compactionCq"};
    for (size_t i = 0; name && i < sizeof folders / sizeof folders[0]; i++) {
        c->trash++;
        int r = to_trash(c, folders[i], name);
        if (r && r != -ENOENT)
            LOG(LOG_ERROR, "store", "cannot remove the files of topic %s in %s/%s: %s", name, c->dir, folders[i],
                strerror(-r));
    }
    atomic_store(&c->have_trash, true);
    pthread_mutex_unlock(&c->disk_lock);
}
