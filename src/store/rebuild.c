#include "store/rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/progress.h"
#include "store/recovery.h"

enum {
    PIECE = 8 << 20, /* bytes of log between two looks at the world */
    PIECE_MIN = 16 << 10,
    PIECES_A_SECOND = 10,     /* when its speed is limited */
    PERSIST_BYTES = 64 << 20, /* log between two rounds of writing entries to the files */
    MARK_BYTES = 1 << 30,     /* log between two syncs of them ... */
    MARK_MS = 5000,           /* ... but not more often than this */
    RETRY_MS = 1000,
    LOOK_MS = 200, /* whether the limit of the speed was changed */
    PATH_SIZE = 4096,
};

struct compacted_topic {
    struct compacted_topic *next;
    char *name;
    int32_t queues;
};

struct rebuild {
    struct recovery *recovery; /* NULL: done */
    struct progress progress;
    int64_t persist_at, mark_at, marked_ms; /* log offsets; monotonic ms */
    int64_t rate, due_us;                   /* limit of the speed, and when the next piece may be read (monotonic) */
    bool marks;                             /* may follow: no compaction log depends on them */
    bool threads;                           /* the store's own are to be started at the end */
    bool stopping;                          /* atomic */
    struct thread thread;
    struct waker waker;
    pthread_mutex_t lock;
    struct compacted_topic *compacted; /* under lock */
};

static void begin_progress(struct rebuild *b)
{
    progress_begin(&b->progress, recovery_start(b->recovery), recovery_safe(b->recovery));
}

/* Until the compaction logs are opened nobody looks at what in them is not durable, which the mark of the queues says.
 */
static bool has_compaction_logs(const struct store *s)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/compaction", s->conf.storePathRootDir);
    return s->conf.enableCompaction && fs_exists(s->fs, path);
}

int rebuild_new(struct store *s, struct recovery *r, struct err *err)
{
    struct rebuild *b = calloc(1, sizeof *b);
    if (b == NULL)
        return err_sys(err, ENOMEM, "cannot open the store");
    b->recovery = r;
    b->marks = !has_compaction_logs(s);
    b->marked_ms = clock_mono_ms();
    b->persist_at = recovery_start(r) + PERSIST_BYTES;
    b->mark_at = recovery_start(r) + MARK_BYTES;
    pthread_mutex_init(&b->lock, NULL);
    waker_init(&b->waker);
    s->rebuild = b;
    s->visible_to = recovery_safe(r);
    s->resident_from = INT64_MAX; /* of what is there nothing was written by this process */
    begin_progress(b);
    store_flag_set(s, STORE_REBUILDING);
    LOG(LOG_WARN, "store",
        "rebuilding consume queues from %" PRId64 " MiB of the commit log; what is there is served meanwhile, "
        "messages are taken when it is done",
        (recovery_safe(r) - recovery_start(r)) >> 20);
    return 0;
}

void rebuild_free(struct store *s)
{
    struct rebuild *b = s->rebuild;
    if (b == NULL)
        return;
    recovery_free(b->recovery);
    while (b->compacted) {
        struct compacted_topic *t = b->compacted;
        b->compacted = t->next;
        free(t->name);
        free(t);
    }
    waker_free(&b->waker);
    pthread_mutex_destroy(&b->lock);
    free(b);
    s->rebuild = NULL;
}

/* ---- compaction topics
 * ----------------------------------------------------------------------------------------------- */

bool rebuild_note_compacted(struct store *s, struct str topic, int32_t queues)
{
    struct rebuild *b = s->rebuild;
    struct compacted_topic *t = calloc(1, sizeof *t);
    if (t == NULL || (t->name = str_dupz(topic)) == NULL) {
        free(t);
        return false;
    }
    t->queues = queues;
    pthread_mutex_lock(&b->lock);
    t->next = b->compacted;
    b->compacted = t;
    pthread_mutex_unlock(&b->lock);
    return true;
}

bool rebuild_is_compacted(struct store *s, struct str topic)
{
    struct rebuild *b = s->rebuild;
    bool found = false;
    pthread_mutex_lock(&b->lock);
    for (const struct compacted_topic *t = b->compacted; t && !found; t = t->next)
        found = str_eqz(topic, t->name);
    pthread_mutex_unlock(&b->lock);
    return found;
}

static int open_compaction(struct store *s, struct err *err)
{
    struct compaction *c;
    if (!s->conf.enableCompaction)
        return 0;
    if (compaction_open(&c, s, err))
        return -1;
    __atomic_store_n(&s->compaction, c, __ATOMIC_RELEASE);
    for (const struct compacted_topic *t = s->rebuild->compacted; t; t = t->next)
        if (!compaction_add_topic(c, str_from(t->name), t->queues))
            return err_sys(err, ENOMEM, "cannot open the compaction log of topic %s", t->name);
    return 0;
}

/* ---- files and marks
 * ------------------------------------------------------------------------------------------------- */

/* What was entered goes to the files; with `sync` the marks follow. 0, or the ms after which to try again. */
static int64_t keep(struct store *s, bool sync)
{
    struct rebuild *b = s->rebuild;
    struct err err;
    int64_t pos = recovery_pos(b->recovery), to;
    int r = queues_persist(s, sync, pos, &to, &err);
    if (r == -2) {
        store_die(s, "syncing consume queues failed", err.code);
        return RETRY_MS;
    }
    if (r) { /* a full disk, most likely */
        LOG_LIMITED(LOG_ERROR, "store", "%s", err.text);
        return RETRY_MS;
    }
    b->persist_at = pos + PERSIST_BYTES;
    if (sync) {
        b->mark_at = pos + MARK_BYTES;
        b->marked_ms = clock_mono_ms();
        keeper_note_rebuilt(s, to < s->visible_to ? to : s->visible_to);
    }
    return 0;
}

static int64_t keep_when_due(struct store *s)
{
    const struct rebuild *b = s->rebuild;
    int64_t pos = recovery_pos(b->recovery);
    if (b->marks && pos >= b->mark_at && clock_mono_ms() - b->marked_ms >= MARK_MS)
        return keep(s, true);
    return pos >= b->persist_at ? keep(s, false) : 0;
}

void rebuild_keep(struct store *s, bool sync)
{
    if (s->rebuild->recovery && !__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        keep(s, sync && s->rebuild->marks);
}

/* ---- the work
 * -------------------------------------------------------------------------------------------------------- */

static int64_t fail(struct store *s, const struct err *err)
{
    store_die_of(s, err->text);
    return RETRY_MS;
}

static int end(struct store *s, struct err *err)
{
    struct rebuild *b = s->rebuild;
    if (recovery_finish(b->recovery, err))
        return -1;
    recovery_free(b->recovery);
    b->recovery = NULL;
    if (open_compaction(s, err))
        return -1;
    store_recovered(s);
    if (b->threads && store_start_threads(s, err))
        return -1;
    store_flag_clear(s, STORE_REBUILDING);
    s->events.rebuilt(s->events.arg);
    return 0;
}

static void say(const struct rebuild *b)
{
    char text[PROGRESS_TEXT];
    progress_text(&b->progress, text);
    LOG(LOG_INFO, "store", "rebuilding consume queues: %s", text);
}

static int64_t rate_of(const struct store *s)
{
    return atomic_load_explicit(&s->conf.rebuildMaxBytesPerSecond, memory_order_relaxed);
}

/* How long to wait after so many bytes; a pause that was a little too long or too short counts. */
static int64_t pause_ms(struct rebuild *b, int64_t rate, int64_t bytes)
{
    int64_t now = clock_mono_ns() / 1000, second = 1000000;
    if (rate != b->rate || b->due_us < now - second)
        b->due_us = now;
    b->rate = rate;
    if (rate == 0)
        return 0;
    b->due_us += (int64_t)((double)bytes * (double)second / (double)rate);
    return b->due_us > now ? (b->due_us - now + 999) / 1000 : 0;
}

int64_t rebuild_step(struct store *s)
{
    struct rebuild *b = s->rebuild;
    struct err err = {0};
    if (b == NULL || b->recovery == NULL || __atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        return RETRY_MS;
    int64_t wait = keep_when_due(s);
    if (wait)
        return wait;
    int64_t rate = rate_of(s), piece = PIECE;
    if (rate && rate / PIECES_A_SECOND < piece)
        piece = rate / PIECES_A_SECOND > PIECE_MIN ? rate / PIECES_A_SECOND : PIECE_MIN;
    int64_t from = recovery_start(b->recovery), pos = recovery_pos(b->recovery);
    enum recovery_step step = recovery_go_on(b->recovery, piece, &err);
    if (step == RECOVERY_FAILED || (step == RECOVERY_AT_END && end(s, &err)))
        return fail(s, &err);
    if (step == RECOVERY_AT_END)
        return 0;
    if (recovery_start(b->recovery) != from) { /* again, from further back */
        begin_progress(b);
        b->persist_at = b->mark_at = from;
        pos = recovery_start(b->recovery);
    }
    if (progress_move(&b->progress, recovery_pos(b->recovery)))
        say(b);
    return pause_ms(b, rate, recovery_pos(b->recovery) - pos);
}

static bool goes_on(struct rebuild *b)
{
    return b->recovery && !__atomic_load_n(&b->stopping, __ATOMIC_ACQUIRE);
}

static void run(void *arg)
{
    struct store *s = arg;
    struct rebuild *b = s->rebuild;
    while (goes_on(b)) {
        /* Before the step: a limit that is lifted during it ends the wait that was computed with the old one. */
        int64_t rate = rate_of(s), wait = rebuild_step(s);
        for (; wait > 0 && goes_on(b) && rate_of(s) == rate; wait -= LOOK_MS)
            waker_wait(&b->waker, wait < LOOK_MS ? wait : LOOK_MS);
    }
}

int rebuild_start(struct store *s)
{
    s->rebuild->threads = true;
    return thread_start(&s->rebuild->thread, "store-rebuild", run, s);
}

void rebuild_stop(struct store *s)
{
    struct rebuild *b = s->rebuild;
    if (b == NULL)
        return;
    __atomic_store_n(&b->stopping, true, __ATOMIC_RELEASE);
    waker_wake(&b->waker);
    thread_join(&b->thread);
}

bool rebuild_text(struct store *s, char out[PROGRESS_TEXT])
{
    if (!store_rebuilding(s))
        return false;
    progress_text(&s->rebuild->progress, out);
    return true;
}

int64_t rebuild_pos(const struct store *s)
{
    return __atomic_load_n(&s->rebuild->progress.pos, __ATOMIC_RELAXED);
}
