/* The store's cleaning: one round of retention, then queues and index follow the log's new beginning. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "os/clock.h"
#include "store/clean.h"
#include "store/store_int.h"

enum {
    FIRST_ROUND_MS = 60000,  /* after the start, as in Java */
    NO_ROOM_ROUND_MS = 1000, /* while the next commit log file cannot be made */
    MANUAL_ROUNDS = 20,
    SLICE_MS = 50,
    PATH_SIZE = 4096,
};

static int64_t first_mtime(void *arg)
{
    return clog_first_mtime(((struct store *)arg)->log);
}

static int remove_first(void *arg)
{
    struct store *s = arg;
    char path[PATH_SIZE];
    clog_file_path(s->log, clog_min(s->log), path, sizeof path);
    int64_t time, end = clog_min(s->log) + clog_segment_size(s->log);
    /* Without its records nothing can tell anew where a queue stands. On a full disk it goes all the same: that makes
     * the room for the entries. */
    if (s->ckpt.queues_mark < end)
        keeper_step(s, true);
    /* What compaction topics keep is copied out of it first. */
    if (s->compaction && compaction_safe_end(s->compaction, end, &time) < end)
        return 0;
    int r = clog_remove_first(s->log);
    if (r > 0)
        LOG(LOG_INFO, "store", "deleted the expired commit log file %s", path);
    return r;
}

/* Sleeps in slices: a stopping store does not wait for the rest of the round. */
static bool pause_removing(void *arg, int ms)
{
    struct store *s = arg;
    for (; ms > 0 && !store_stopping(s); ms -= SLICE_MS) {
        struct timespec t = {.tv_nsec = (ms < SLICE_MS ? ms : SLICE_MS) * 1000000L};
        nanosleep(&t, NULL);
    }
    return !store_stopping(s);
}

/* The rules as they are now; *when owns the text. */
static struct clean_rules rules_now(struct store *s, char **when)
{
    pthread_mutex_lock(&s->conf_lock);
    const struct store_conf *c = &s->conf;
    *when = strdup(c->deleteWhen ? c->deleteWhen : "");
    struct clean_rules rules = {
        .delete_when = *when ? *when : "",
        .reserved_hours = c->fileReservedTime,
        .max_used_percent = c->diskMaxUsedSpaceRatio,
        .forcibly_percent = c->diskSpaceCleanForciblyRatio,
        .warning_percent = c->diskSpaceWarningLevelRatio,
        .may_force = c->cleanFileForciblyEnable,
        .files_max = c->deleteFileBatchMax,
        .pause_ms = c->deleteCommitLogFilesInterval,
    };
    pthread_mutex_unlock(&s->conf_lock);
    return rules;
}

/* The next commit log file cannot be made, and not because the disk is broken. */
static bool is_short_of_room(struct store *s)
{
    const struct log_dirs *dirs = clog_dirs(s->log);
    bool known = false;
    for (size_t i = 0; i < dirs->count; i++) {
        int64_t total, usable;
        if (dirs->items[i].read_only || s->fs->space(s->fs, dirs->items[i].path, &total, &usable))
            continue;
        if (usable >= clog_segment_size(s->log))
            return false;
        known = true;
    }
    return known && clog_problem(s->log) != NULL;
}

/* The emptiest of the log's folders decides what is done, as in Java; a full one gets no new file while another can
 * take it. */
static double log_ratio(struct store *s, int forcibly_percent)
{
    const struct log_dirs *dirs = clog_dirs(s->log);
    double least = -1;
    for (size_t i = 0; i < dirs->count; i++) {
        struct log_dir *dir = &dirs->items[i];
        double ratio = clean_disk_ratio(s->fs, dir->path);
        if (dir->read_only)
            continue;
        log_dir_set_full(dir, ratio > clean_forcibly_ratio(forcibly_percent));
        log_dir_set_failed(dir, false); /* tried again when its turn comes */
        if (ratio >= 0 && (least < 0 || ratio < least))
            least = ratio;
    }
    return least;
}

static struct clean_state state_now(struct store *s, const struct clean_rules *rules)
{
    struct clean_state state = {.now_ms = s->fs->now_ms(s->fs)};
    time_t seconds = (time_t)(state.now_ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    state.hour = tm.tm_hour;
    state.log_ratio = log_ratio(s, rules->forcibly_percent);
    state.queue_ratio = clean_disk_ratio(s->fs, s->conf.storePathRootDir);
    state.no_room = is_short_of_room(s);
    state.was_full = __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE) & STORE_DISK_FULL;
    int left = __atomic_load_n(&s->clean_now, __ATOMIC_RELAXED);
    if (left > 0) {
        state.manual = true;
        __atomic_store_n(&s->clean_now, left - 1, __ATOMIC_RELAXED);
    }
    return state;
}

static void take_outcome(struct store *s, const struct clean_state *state, const struct clean_outcome *out)
{
    if (out->full && !state->was_full) {
        store_flag_set(s, STORE_DISK_FULL);
        LOG(LOG_ERROR, "store",
            "the disk of %s is %.0f %% full: messages are refused until files were deleted or room was made",
            clog_dir(s->log), (state->log_ratio > state->queue_ratio ? state->log_ratio : state->queue_ratio) * 100);
    } else if (!out->full && state->was_full) {
        store_flag_clear(s, STORE_DISK_FULL);
        LOG(LOG_INFO, "store", "the disk of %s has room again: messages are taken", clog_dir(s->log));
    }
    if (out->error)
        LOG_LIMITED(LOG_ERROR, "store", "cannot delete the oldest commit log file in %s: %s", clog_dir(s->log),
                    strerror(-out->error));
    else if (out->at_once && out->removed == 0)
        LOG_LIMITED(LOG_WARN, "store", "the disk of %s is nearly full and no old commit log file is left to delete",
                    clog_dir(s->log));
}

static bool is_due(struct store *s)
{
    int64_t now = clock_mono_ms(), wait = s->conf.cleanResourceInterval;
    if (s->last_clean_ms == 0)
        s->last_clean_ms = now + FIRST_ROUND_MS - wait;
    if (clog_problem(s->log) && wait > NO_ROOM_ROUND_MS) {
        wait = NO_ROOM_ROUND_MS;
        if (s->last_clean_ms > now)
            s->last_clean_ms = now - wait;
    }
    if (now - s->last_clean_ms < wait)
        return false;
    s->last_clean_ms = now;
    return true;
}

void clean_step(struct store *s)
{
    if (__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE) || !is_due(s))
        return;
    char *when;
    struct clean_rules rules = rules_now(s, &when);
    struct clean_state state = state_now(s, &rules);
    struct clean_hands hands = {s, first_mtime, remove_first, pause_removing};
    struct clean_outcome out = clean_round(&rules, &state, &hands);
    free(when);
    take_outcome(s, &state, &out);
    if (out.removed > 0)
        waker_wake(&s->preparer_wake); /* closes the removed files, and may have room now */
    int64_t log_min = clog_min(s->log);
    if (log_min <= s->cleaned_log_min)
        return;
    s->cleaned_log_min = log_min;
    int64_t queue_files = queues_truncate_front(s, log_min);
    int index_files = s->index ? index_clean(s->index, log_min) : 0;
    if (queue_files || index_files)
        LOG(LOG_INFO, "store",
            "the commit log begins at offset %" PRId64 " now: deleted %" PRId64 " consume queue and %d index files",
            log_min, queue_files, index_files);
}

void store_clean_now(struct store *s)
{
    __atomic_store_n(&s->clean_now, MANUAL_ROUNDS, __ATOMIC_RELAXED);
}

struct unwanted {
    bool (*wanted)(void *arg, struct str topic);
    void *arg;
    struct str *topics; /* views of the queues' names, which live as long as the store */
    size_t n, cap;
};

static void note_unwanted(void *arg, struct cq *q)
{
    struct unwanted *u = arg;
    struct str topic = cq_topic(q);
    if (u->wanted(u->arg, topic))
        return;
    if (u->n == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : 64;
        struct str *p = realloc(u->topics, cap * sizeof *p);
        if (p == NULL)
            return; /* the next call finds it again */
        u->topics = p;
        u->cap = cap;
    }
    u->topics[u->n++] = topic;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void store_clean_unused_queues(struct store *s, bool (*wanted)(void *arg, struct str topic), void *arg)
{
    struct unwanted u = {.wanted = wanted, .arg = arg};
    store_each_queue(s, note_unwanted, &u);
    if (u.n > 0)
        qsort(u.topics, u.n, sizeof u.topics[0], by_name);
    for (size_t i = 0; i < u.n; i++)
        if (i == 0 || !str_eq(u.topics[i], u.topics[i - 1]))
            store_delete_topic(s, u.topics[i]);
    free(u.topics);
}
