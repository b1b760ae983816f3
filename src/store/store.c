/* Opening, starting and closing the store; what all its parts share. */
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/host.h"
#include "store/mutant.h"
#include "store/store_int.h"

#define SCHEDULE_TOPIC    "SCHEDULE_TOPIC_XXXX"
#define ABORT_TEXT_SHARED "stopped cleanly; consume queues are in sharedqueues"

enum { RETRY_MS = 1000, CLOSE_INDEX_MS = 1000, DISPATCH_PAUSE_MS = 20, ABORT_MAX = 4096 };

/* ---- flags
 * ----------------------------------------------------------------------------------------------------------- */

void store_flag_set(struct store *s, enum store_flag bit)
{
    __atomic_or_fetch(&s->flags, bit, __ATOMIC_ACQ_REL);
}

void store_flag_clear(struct store *s, enum store_flag bit)
{
    __atomic_and_fetch(&s->flags, ~(uint32_t)bit, __ATOMIC_ACQ_REL);
}

const char *store_not_writable(const struct store *s)
{
    uint32_t flags = __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE);
    if (flags == 0)
        return clog_problem(s->log);
    if (__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE))
        return "a disk error stopped the store";
    if (flags & STORE_DISK_FULL)
        return "the disk is full";
    if (flags & STORE_REBUILDING)
        return "the consume queues are being rebuilt from the commit log";
    if (flags & STORE_QUEUE_ERROR)
        return "consume queues cannot be written";
    if (flags & STORE_INDEX_ERROR)
        return "the key index cannot be written";
    return flags & STORE_FENCED ? "the broker is fenced" : "the store is stopping";
}

bool store_rebuilding(const struct store *s)
{
    return __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE) & STORE_REBUILDING;
}

int64_t store_delay_of(const struct store *s, struct str topic, struct str properties)
{
    if (!str_eqz(topic, SCHEDULE_TOPIC))
        return -1;
    int level = delay_level_of(&s->delays, msg_property(properties, STR_LIT(MSG_PROP_DELAY)));
    return level ? s->delays.ms[level] : -1;
}

int64_t store_tags_code(const struct store *s, struct str topic, struct str properties, int64_t store_time)
{
    int64_t delay = store_delay_of(s, topic, properties);
    return delay >= 0 ? store_time + delay : msg_tags_code(properties);
}

/* ---- opening
 * --------------------------------------------------------------------------------------------------------- */

static char *path_of(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int take_lock(struct store *s, struct err *err)
{
    const char *root = s->conf.storePathRootDir;
    int r = fs_mkdirs(s->fs, root);
    if (r)
        return err_sys(err, -r, "cannot make the store folder %s", root);
    s->lock_fd = s->fs->open(s->fs, s->lock_path, FS_WRITE | FS_CREATE);
    if (s->lock_fd < 0)
        return err_sys(err, -s->lock_fd, "cannot open the lock file %s", s->lock_path);
    r = s->fs->lock(s->fs, s->lock_fd);
    if (r == -EAGAIN)
        return err_set(err, EAGAIN, "another broker is running on %s; stop it, or choose another folder", root);
    if (r)
        return err_sys(err, -r, "cannot lock %s", s->lock_path);
    /* What Java writes into it; nobody reads it, so that a full disk is no reason not to start. */
    (void)fs_write_all(s->fs, s->lock_fd, "lock", 4, 0);
    return 0;
}

static int open_index(struct store *s, struct err *err)
{
    if (!s->conf.messageIndexEnable)
        return 0;
    char *dir = path_of(s->conf.storePathRootDir, "index");
    int r = 0;
    if (dir && clog_segments(s->log) == 0)
        r = fs_remove_tree(s->fs, dir);
    s->index_lost = dir && r == 0 && !fs_exists(s->fs, dir);
    if (dir && s->index_lost)
        r = fs_mkdirs(s->fs, dir);
    if (dir && r == 0)
        s->index = index_new(s->fs, dir, s->conf.maxHashSlotNum, s->conf.maxIndexNum);
    free(dir);
    dir = s->conf.indexSummaryFrom >= 0 ? path_of(s->conf.storePathRootDir, "indexsummary") : NULL;
    if (s->index && dir)
        r = index_summarize_from(s->index, dir, (size_t)s->conf.indexSummaryFrom);
    free(dir);
    if (r)
        return err_sys(err, -r, "cannot prepare the index folder in %s", s->conf.storePathRootDir);
    if (s->index == NULL)
        return err_sys(err, ENOMEM, "cannot open the store");
    if (s->index_lost && (s->ckpt.index_mark > 0 || s->ckpt.index_time > 0)) {
        /* Before there are new files that the old marks would vouch for. */
        s->ckpt.index_mark = s->ckpt.index_time = 0;
        if (checkpoint_write(&s->ckpt, s->fs, s->checkpoint_path, err))
            return -1;
    }
    enum index_end end = !s->after_crash ? INDEX_CLEAN : s->ckpt.have_marks ? INDEX_OWN_CRASH : INDEX_CRASH;
    return index_load(s->index, end, s->ckpt.index_time, err);
}

static int open_log(struct store *s, struct err *err)
{
    const char *set = s->conf.storePathCommitLog;
    char *dir = set ? NULL : path_of(s->conf.storePathRootDir, "commitlog");
    if (set == NULL && dir == NULL)
        return err_sys(err, ENOMEM, "cannot open the store");
    int r = clog_open(&s->log, s->fs, set ? set : dir, s->conf.readOnlyCommitLogStorePaths,
                      s->conf.mappedFileSizeCommitLog, (size_t)s->conf.commitLogFilesKeptOpen, err);
    free(dir);
    return r;
}

/* Keys of messages below this offset are in the index already. */
static int64_t indexed_up_to(const struct store *s)
{
    if (s->index == NULL)
        return clog_max(s->log);
    int64_t at = index_end_offset(s->index);
    /* A mark of an index whose folder was lost or removed says nothing. */
    if (!s->after_crash && s->ckpt.have_marks && s->ckpt.index_mark > at && !s->index_lost)
        at = s->ckpt.index_mark;
    if (at > clog_max(s->log))
        at = clog_max(s->log);
    if (at < clog_min(s->log))
        return clog_min(s->log);
    /* The log may have been cut and written anew since: begin where a record begins. */
    uint8_t head[MSG_POS_SYS_FLAG];
    if (at == clog_max(s->log) || (clog_read(s->log, at, head, sizeof head) == sizeof head &&
                                   (int64_t)get_be64(head + MSG_POS_PHYSICAL_OFFSET) == at))
        return at;
    return at - (at - clog_min(s->log)) % clog_segment_size(s->log);
}

enum store_abort store_abort_file(const struct fs *fs, const char *path)
{
    char *text = NULL;
    size_t n;
    int r = fs_load(fs, path, ABORT_MAX, &text, &n);
    bool shared = r == 0 && str_eqz(str_make(text, n), ABORT_TEXT_SHARED);
    free(text);
    return r == -ENOENT ? ABORT_ABSENT : shared ? ABORT_SHARED : ABORT_NOT_CLEAN;
}

/* A text that could not be written is none of ours: the next start then reads more than it had to. */
static int write_abort(struct store *s, const char *text, bool durable)
{
    int fd = s->fs->open(s->fs, s->abort_path, FS_WRITE | FS_CREATE | FS_TRUNCATE);
    int r = fd < 0 ? fd : 0;
    if (r == 0) {
        (void)fs_write_all(s->fs, fd, text, strlen(text), 0);
        if (durable)
            r = s->fs->datasync(s->fs, fd);
        s->fs->close(s->fs, fd);
    }
    return r;
}

static int load(struct store *s, struct err *err)
{
    const char *root = s->conf.storePathRootDir;
    s->checkpoint_path = path_of(root, "checkpoint");
    s->abort_path = path_of(root, "abort");
    s->lock_path = path_of(root, "lock");
    if (s->checkpoint_path == NULL || s->abort_path == NULL || s->lock_path == NULL)
        return err_sys(err, ENOMEM, "cannot open the store");
    if (delay_levels_parse(&s->delays, str_from(s->conf.messageDelayLevel), err) || take_lock(s, err))
        return -1;
    if (s->events.opening && s->events.opening(s->events.arg, err))
        return -1;
    s->begun_by_file = -1;
    s->abort_file = store_abort_file(s->fs, s->abort_path);
    if (checkpoint_read(&s->ckpt, s->fs, s->checkpoint_path, err))
        return -1;
    /* Without marks the shared files do not count: what stands in them must be built from the log. */
    s->after_crash = s->abort_file == ABORT_NOT_CLEAN || (s->abort_file == ABORT_SHARED && !s->ckpt.have_marks);
    s->read_ahead_from = INT64_MIN / 2;
    if (open_log(s, err) || queues_open(s, err) || open_index(s, err) || store_recover(s, err))
        return -1;
    if (store_rebuilding(s))
        return 0;
    if (s->conf.enableCompaction && compaction_open(&s->compaction, s, err))
        return -1;
    store_recovered(s);
    return 0;
}

void store_recovered(struct store *s)
{
    if (s->begun_by_file >= 0)
        keeper_note_recovered(s);
    s->last_sync_end = clog_min(s->log) - 1;
    __atomic_store_n(&s->resident_from, clog_max(s->log), __ATOMIC_RELAXED);
    if (s->index)
        index_cut(s->index, clog_max(s->log));
    __atomic_store_n(&s->dispatched, indexed_up_to(s), __ATOMIC_RELAXED);
}

static void destroy(struct store *s)
{
    rebuild_free(s);
    compaction_close(s->compaction);
    if (s->index)
        index_free(s->index);
    queues_free(s);
    if (s->log)
        clog_close(s->log);
    if (s->lock_fd >= 0)
        s->fs->close(s->fs, s->lock_fd);
    store_batch_free(s->put_batch);
    free(s->pending);
    free(s->checkpoint_path);
    free(s->abort_path);
    free(s->lock_path);
    store_conf_free(&s->conf);
    pthread_mutex_destroy(&s->append_lock);
    pthread_mutex_destroy(&s->conf_lock);
    pthread_mutex_destroy(&s->put_lock);
    pthread_mutex_destroy(&s->flushed_lock);
    pthread_mutex_destroy(&s->ckpt_lock);
    pthread_cond_destroy(&s->flushed_cond);
    waker_free(&s->flusher_wake);
    waker_free(&s->keeper_wake);
    waker_free(&s->preparer_wake);
    waker_free(&s->dispatcher_wake);
    waker_free(&s->compactor_wake);
    free(s);
}

static void init_locks(struct store *s)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->flushed_cond, &attr);
    pthread_condattr_destroy(&attr);
    mutex_init_adaptive(&s->append_lock);
    pthread_mutex_init(&s->conf_lock, NULL);
    pthread_mutex_init(&s->put_lock, NULL);
    pthread_mutex_init(&s->flushed_lock, NULL);
    pthread_mutex_init(&s->ckpt_lock, NULL);
    waker_init(&s->flusher_wake);
    waker_init(&s->keeper_wake);
    waker_init(&s->preparer_wake);
    waker_init(&s->dispatcher_wake);
    waker_init(&s->compactor_wake);
}

int store_open(struct store **out, const struct store_conf *conf, const struct fs *fs,
               const struct store_events *events, struct err *err)
{
    if (conf->storePathRootDir == NULL)
        return err_set(err, EINVAL, "storePathRootDir is not set: name the folder of the store");
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL || store_conf_copy(&s->conf, conf, err)) {
        free(s);
        return err_sys(err, ENOMEM, "cannot open the store");
    }
    s->fs = fs;
    s->lock_fd = -1;
    if (events)
        s->events = *events;
    s->sync_flush = conf->flushDiskType == FLUSH_SYNC;
    s->hide_unflushed = s->sync_flush && !conf->readUnCommitted;
    s->boot_time = fs->now_ms(fs);
    s->memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    init_locks(s);
    if (load(s, err)) {
        destroy(s);
        return -1;
    }
    *out = s;
    return 0;
}

/* ---- threads
 * --------------------------------------------------------------------------------------------------------- */

static void flusher_loop(void *arg)
{
    struct store *s = arg;
    int64_t last = clock_mono_ms();
    while (!store_stopping(s)) {
        waker_wait(&s->flusher_wake, s->conf.flushIntervalCommitLog);
        /* Asynchronous flush keeps its pace whoever asks: a request only matters when the interval is over. */
        int64_t wait = last + s->conf.flushIntervalCommitLog - clock_mono_ms();
        if (!s->sync_flush && wait > 0 && !__atomic_load_n(&s->flushed_waiters, __ATOMIC_SEQ_CST) && !store_stopping(s))
            continue;
        flusher_step(s);
        last = clock_mono_ms();
        /* The checkpoint can follow: under full load there is much between two of the keeper's rounds. */
        if (keeper_is_behind(s))
            waker_wake(&s->keeper_wake);
    }
}

static void dispatcher_loop(void *arg)
{
    struct store *s = arg;
    while (!store_stopping(s)) {
        int64_t n = dispatcher_step(s);
        if (n >= DISPATCH_ROUND)
            continue; /* behind: a rebuild, or more than this thread keeps up with */
        if (n == 0)
            waker_wait(&s->dispatcher_wake, RETRY_MS);
        /* A pause, so that a stream of single messages costs a few rounds a second and not a wake-up each. */
        struct timespec pause = {.tv_nsec = DISPATCH_PAUSE_MS * 1000000};
        nanosleep(&pause, NULL);
    }
}

static void keeper_loop(void *arg)
{
    struct store *s = arg;
    while (!store_stopping(s)) {
        int64_t wait = s->conf.flushIntervalConsumeQueue < RETRY_MS ? s->conf.flushIntervalConsumeQueue : RETRY_MS;
        waker_wait(&s->keeper_wake, wait);
        keeper_step(s, false);
        clean_step(s);
    }
}

static void preparer_loop(void *arg)
{
    struct store *s = arg;
    while (!store_stopping(s)) {
        preparer_step(s);
        waker_wait(&s->preparer_wake, RETRY_MS);
    }
}

static void compactor_loop(void *arg)
{
    struct store *s = arg;
    while (!store_stopping(s)) {
        compaction_run(s->compaction, false);
        waker_wait(&s->compactor_wake, RETRY_MS);
    }
}

int preparer_step(struct store *s)
{
    int r = clog_prepare(s->log);
    if (r)
        LOG_LIMITED(LOG_ERROR, "store", "cannot make the next commit log file in %s: %s", clog_dir(s->log),
                    strerror(-r));
    clog_reclaim(s->log);
    return r;
}

static void need_segment(void *arg)
{
    waker_wake(&((struct store *)arg)->preparer_wake);
}

int store_mark_running(struct store *s, struct err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%" PRId32, host_pid());
    /* It is there or not, and the number in it is for people; but a word that says more must be gone for good. */
    int r = write_abort(s, text, s->abort_file == ABORT_SHARED);
    if (r == 0)
        r = s->fs->sync_dir(s->fs, s->conf.storePathRootDir);
    return r ? err_sys(err, -r, "cannot write the abort file %s", s->abort_path) : 0;
}

static void stop_threads(struct store *s)
{
    __atomic_store_n(&s->stopping, true, __ATOMIC_RELEASE);
    waker_wake(&s->flusher_wake);
    waker_wake(&s->keeper_wake);
    waker_wake(&s->preparer_wake);
    waker_wake(&s->dispatcher_wake);
    waker_wake(&s->compactor_wake);
    thread_join(&s->compactor);
    thread_join(&s->dispatcher);
    thread_join(&s->keeper);
    thread_join(&s->preparer);
    thread_join(&s->flusher);
    clog_on_need(s->log, NULL, NULL);
    s->running = false;
}

int store_start(struct store *s, struct err *err)
{
    if (store_mark_running(s, err))
        return -1;
    if (!store_rebuilding(s))
        return store_start_threads(s, err);
    int r = rebuild_start(s);
    return r ? err_sys(err, -r, "cannot start the thread that rebuilds consume queues") : 0;
}

int store_start_threads(struct store *s, struct err *err)
{
    clog_on_need(s->log, need_segment, s);
    if (s->sync_flush)
        clog_prewrite(s->log);
    s->running = true;
    int r = thread_start(&s->flusher, "store-flush", flusher_loop, s);
    if (r == 0)
        r = thread_start(&s->preparer, "store-prepare", preparer_loop, s);
    if (r == 0)
        r = thread_start(&s->keeper, "store-keeper", keeper_loop, s);
    if (r == 0 && s->index)
        r = thread_start(&s->dispatcher, "store-index", dispatcher_loop, s);
    if (r == 0 && s->compaction)
        r = thread_start(&s->compactor, "store-compact", compactor_loop, s);
    if (r == 0)
        return 0;
    stop_threads(s);
    return err_sys(err, -r, "cannot start the store's threads");
}

void store_stop_rebuild(struct store *s)
{
    rebuild_stop(s);
}

void store_close(struct store *s)
{
    rebuild_stop(s);
    store_flag_set(s, STORE_NOT_WRITABLE);
    if (s->running)
        stop_threads(s);
    if (store_rebuilding(s)) { /* goes on with the next start */
        rebuild_keep(s, true);
        destroy(s);
        return;
    }
    flusher_step(s);
    if (s->index) {
        /* A long rebuild of the index goes on after the next start. */
        int64_t until = clock_mono_ms() + CLOSE_INDEX_MS;
        while (dispatcher_step(s) && clock_mono_ms() < until)
            ;
        dispatcher_flush(s);
    }
    keeper_step(s, true);
    /* The next start takes the log as whole only if all the above worked. */
    bool clean = clog_wipe_torn(s->log) == 0 && !__atomic_load_n(&s->dead, __ATOMIC_ACQUIRE) &&
                 clog_flushed(s->log) == clog_max(s->log) && s->ckpt.have_marks &&
                 s->ckpt.queues_mark >= clog_max(s->log);
    if (clean && !cq_set_shares(s->queues))
        s->fs->unlink(s->fs, s->abort_path);
    else if (clean)
        (void)write_abort(s, ABORT_TEXT_SHARED, true); /* if it fails, the next start reads a little more */
    destroy(s);
}

/* ---- the rest of the interface
 * --------------------------------------------------------------------------------------- */

int store_update_conf(struct store *s, struct str name, struct str value, struct err *err)
{
    const struct conf_key *k = conf_find(store_conf_table(), name);
    if (k && !k->live)
        return err_set(err, EINVAL, "%s can only be set before the start", k->name);
    pthread_mutex_lock(&s->conf_lock);
    int r = conf_set(store_conf_table(), &s->conf, name, value, err);
    pthread_mutex_unlock(&s->conf_lock);
    return r;
}

/* Of the folder of the commit log with the most room: the one that decides. */
static void disk_stats(struct store *s, struct store_stats *out)
{
    const struct log_dirs *dirs = clog_dirs(s->log);
    for (size_t i = 0; i < dirs->count; i++) {
        int64_t total, usable;
        if (dirs->items[i].read_only || s->fs->space(s->fs, dirs->items[i].path, &total, &usable) || total <= 0)
            continue;
        double ratio = 1.0 - (double)usable / (double)total;
        if (out->disk_total && ratio >= out->disk_ratio)
            continue;
        out->disk_ratio = ratio;
        out->disk_total = total;
        out->disk_free = usable;
    }
}

void store_stats(struct store *s, struct store_stats *out)
{
    memset(out, 0, sizeof *out);
    out->log_min = clog_min(s->log);
    out->log_max = clog_max(s->log);
    out->flushed = clog_flushed(s->log);
    out->dispatched = __atomic_load_n(&s->dispatched, __ATOMIC_RELAXED);
    if (store_rebuilding(s)) {
        out->log_max = out->flushed = s->visible_to;
        out->dispatched = rebuild_pos(s);
    }
    out->puts = __atomic_load_n(&s->puts, __ATOMIC_RELAXED);
    out->put_bytes = __atomic_load_n(&s->put_bytes, __ATOMIC_RELAXED);
    out->put_failed = __atomic_load_n(&s->put_failed, __ATOMIC_RELAXED);
    out->gets_found = __atomic_load_n(&s->gets_found, __ATOMIC_RELAXED);
    out->gets_missed = __atomic_load_n(&s->gets_missed, __ATOMIC_RELAXED);
    out->got_messages = __atomic_load_n(&s->got_messages, __ATOMIC_RELAXED);
    out->damaged = __atomic_load_n(&s->damaged, __ATOMIC_RELAXED);
    out->mended = __atomic_load_n(&s->mended, __ATOMIC_RELAXED);
    out->boot_time = s->boot_time;
    int64_t since = __atomic_load_n(&s->append_since, __ATOMIC_RELAXED);
    out->put_lock_held_ms = since ? clock_mono_ms() - since : 0;
    out->not_writable_because = store_not_writable(s);
    out->writable = out->not_writable_because == NULL;
    disk_stats(s, out);
}

bool store_progress(struct store *s, enum store_work what, char out[PROGRESS_TEXT])
{
    if (what == STORE_REBUILDS_QUEUES)
        return rebuild_text(s, out);
    if (!__atomic_load_n(&s->index_behind, __ATOMIC_RELAXED))
        return false;
    progress_text(&s->index_progress, out);
    return true;
}

const char *store_log_dir(struct store *s, size_t n, double *used)
{
    const struct log_dirs *dirs = clog_dirs(s->log);
    for (size_t i = 0; i < dirs->count; i++) {
        const struct log_dir *dir = &dirs->items[i];
        int64_t total, usable;
        if (dir->read_only || n--)
            continue;
        bool known = s->fs->space(s->fs, dir->path, &total, &usable) == 0 && total > 0;
        *used = known ? 1.0 - (double)usable / (double)total : -1;
        return dir->path;
    }
    return NULL;
}
