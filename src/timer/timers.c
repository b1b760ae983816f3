#include "timer/timers.h"

#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ADD_MAX = 4096,      /* messages of one write */
    TABLE = 2 * ADD_MAX, /* slots they change, hashed by time */
    BLANK_SLOTS = 60,    /* what the window leaves free of a turn, as in Java */
    KNOWN_SLACK = 4096,  /* units before the durable ones that are remembered too */
    PATH_SIZE = 4096,
};

struct timers {
    const struct fs *fs;
    struct timers_conf conf;
    char wheel_path[PATH_SIZE], log_path[PATH_SIZE], check_path[PATH_SIZE], boot_id[TCHECK_BOOT_SIZE];
    int check_fd;
    _Atomic(struct wheel *) wheel; /* NULL until there is something to keep in it */
    struct tlog *log;              /* likewise */
    struct wheel_slot *changed;    /* TABLE; time 0: free */
    struct tlog_unit *units;       /* ADD_MAX */

    _Atomic int64_t read_ms, queue_offset, total;
    int64_t slot_done;
    pthread_mutex_t lock; /* check.java */
    struct tcheck check;
    struct tcheck_java snapshot;
    /* Units that the checkpoint may not know of, by physical offset. */
    struct tlog_unit *known;
    size_t n_known, cap_known;
};

/* ---- the files ---- */

static int open_files(struct timers *t, struct err *err)
{
    struct wheel *w;
    if (t->log)
        return 0;
    t->changed = calloc(TABLE, sizeof *t->changed);
    t->units = malloc(ADD_MAX * sizeof *t->units);
    if (t->changed == NULL || t->units == NULL)
        return err_set(err, ENOMEM, "out of memory for the timer wheel");
    if (wheel_open(&w, t->fs, t->wheel_path, 2 * t->conf.slots, t->conf.precision_ms, err) < 0)
        return -1;
    int r = t->fs->sync_dir(t->fs, t->conf.root);
    if (r) {
        wheel_close(w);
        return err_sys(err, -r, "cannot sync %s", t->conf.root);
    }
    if (tlog_open(&t->log, t->fs, t->log_path, t->conf.log_file_size, err) < 0) {
        wheel_close(w);
        return -1;
    }
    t->wheel = w;
    return 0;
}

static void close_files(struct timers *t)
{
    wheel_close(t->wheel);
    tlog_close(t->log);
    free(t->changed);
    free(t->units);
    t->wheel = NULL;
    t->log = NULL;
    t->changed = NULL;
    t->units = NULL;
}

/* ---- recovery ---- */

struct recovery {
    struct timers *t;
    int64_t known_from; /* position */
    int64_t min_first;
    bool no_memory;
};

/* A unit whose message the commit log has lost ends the log: something else will stand there. */
static bool remember(void *arg, int64_t pos, const struct tlog_unit *u)
{
    struct recovery *r = arg;
    struct timers *t = r->t;
    if (u->physical_offset + u->size > t->conf.physical_max)
        return false;
    if (pos < r->known_from)
        return true;
    if (t->n_known == t->cap_known) {
        size_t cap = t->cap_known ? t->cap_known * 2 : 1024;
        struct tlog_unit *grown = realloc(t->known, cap * sizeof *grown);
        if (grown == NULL) {
            r->no_memory = true;
            return false;
        }
        t->known = grown;
        t->cap_known = cap;
    }
    t->known[t->n_known++] = *u;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct tlog_unit *x = a, *y = b;
    return x->physical_offset < y->physical_offset ? -1 : x->physical_offset > y->physical_offset;
}

/* A slot that points behind the log was written by a life of which the log has lost the end. */
static void drop_wrong(void *arg, const struct wheel_slot *s)
{
    struct recovery *r = arg;
    if (s->last < tlog_end(r->t->log) && s->last >= 0)
        return;
    if (s->first < r->min_first)
        r->min_first = s->first;
    wheel_drop(r->t->wheel, s->time_ms);
}

static void enter(struct wheel_slot *s, int64_t pos, bool deletes)
{
    if (s->first < 0)
        s->first = pos;
    s->last = pos;
    s->num += deletes ? -1 : 1;
}

static int64_t round_down(const struct timers *t, int64_t ms)
{
    return ms - ms % t->conf.precision_ms;
}

/* What the wheel does not know of the log. */
static bool apply(void *arg, int64_t pos, const struct tlog_unit *u)
{
    struct timers *t = ((struct recovery *)arg)->t;
    struct wheel_slot s;
    int64_t time = round_down(t, tlog_time(u));
    bool deletes = u->magic & TLOG_DELETE;
    if (time < t->read_ms)
        return true;
    if (!wheel_get(t->wheel, time, &s))
        s = (struct wheel_slot){.time_ms = time, .first = -1, .last = -1};
    if (s.last < pos) {
        enter(&s, pos, deletes);
        wheel_put(t->wheel, &s);
    }
    /* What the wheel knows already, the checkpoint does not. */
    t->total += deletes ? -1 : 1;
    return true;
}

static void sum(void *arg, const struct wheel_slot *s)
{
    *(int64_t *)arg += s->num;
}

static int recover(struct timers *t, bool wheel_lost, struct err *err)
{
    bool live = t->check.have_live && !wheel_lost;
    int64_t flushed = t->check.java.log_flushed > 0 ? t->check.java.log_flushed : 0;
    struct recovery r = {.t = t, .min_first = INT64_MAX};
    r.known_from = live ? t->check.live.log_end : flushed - KNOWN_SLACK * (int64_t)TLOG_UNIT;
    int64_t from = wheel_lost ? tlog_min(t->log)
                   : live     ? t->check.live.log_end
                              : tlog_file_of(t->log, flushed - t->conf.log_file_size);
    int64_t end = tlog_scan(t->log, from, remember, &r);
    if (end < 0 || r.no_memory)
        return err_sys(err, r.no_memory ? ENOMEM : (int)-end, "cannot read the timer log %s", t->log_path);
    if (tlog_set_end(t->log, end, flushed, err) < 0)
        return -1;
    if (t->n_known)
        qsort(t->known, t->n_known, sizeof t->known[0], by_place);
    if (!live)
        wheel_each(t->wheel, t->read_ms, drop_wrong, &r);
    if (r.min_first < from)
        from = r.min_first > tlog_min(t->log) ? r.min_first : tlog_min(t->log);
    end = tlog_scan(t->log, from, apply, &r);
    if (end < 0)
        return err_sys(err, (int)-end, "cannot read the timer log %s", t->log_path);
    if (!live) {
        int64_t total = 0;
        wheel_each(t->wheel, t->read_ms, sum, &total);
        t->total = total;
        /* A dropped slot that came back with the next crash would pass for a good one once the log has grown. */
        int e = wheel_sync(t->wheel);
        if (e)
            return err_sys(err, -e, "cannot sync the timer wheel %s", t->wheel_path);
    }
    LOG(LOG_INFO, "timer", "%" PRId64 " messages wait for their time, log end %" PRId64 ", queue offset %" PRId64,
        (int64_t)t->total, end, (int64_t)t->queue_offset);
    return 0;
}

static void take_positions(struct timers *t, int64_t now_ms, bool files)
{
    const struct tcheck *c = &t->check;
    int64_t read = c->have_live ? c->live.read_ms : c->java.read_ms;
    t->queue_offset = c->have_live ? c->live.queue_offset : c->java.queue_offset;
    t->slot_done = c->have_live ? c->live.slot_done : 0;
    t->total = c->have_live ? c->live.total : 0;
    /* Without a checkpoint nobody knows what is delivered: no further back than a window can reach. */
    if (read <= 0)
        read = files ? now_ms - (t->conf.slots - BLANK_SLOTS) * t->conf.precision_ms : now_ms;
    t->read_ms = round_down(t, read);
}

static int load(struct timers *t, int64_t now_ms, struct err *err)
{
    if (tcheck_read(&t->check, t->fs, t->check_path, t->boot_id, err) < 0)
        return -1;
    bool wheel = fs_exists(t->fs, t->wheel_path), files = wheel || fs_exists(t->fs, t->log_path);
    take_positions(t, now_ms, files);
    t->check_fd = tcheck_open(t->fs, t->check_path, err);
    if (t->check_fd < 0)
        return -1;
    if (files && (open_files(t, err) < 0 || recover(t, !wheel, err) < 0))
        return -1;
    bool was_clean = t->check.live.clean;
    t->check.live.clean = false;
    if (!was_clean)
        return 0;
    int r = tcheck_write(&t->check, t->fs, t->check_fd, t->boot_id, true);
    return r ? err_sys(err, -r, "cannot write %s", t->check_path) : 0;
}

static bool set_paths(struct timers *t, const struct timers_conf *c)
{
    return snprintf(t->wheel_path, PATH_SIZE, "%s/timerwheel", c->root) < PATH_SIZE &&
           snprintf(t->log_path, PATH_SIZE, "%s/timerlog", c->root) < PATH_SIZE &&
           snprintf(t->check_path, PATH_SIZE, "%s/config/timercheck", c->root) < PATH_SIZE;
}

static void destroy(struct timers *t)
{
    close_files(t);
    if (t->check_fd >= 0)
        t->fs->close(t->fs, t->check_fd);
    pthread_mutex_destroy(&t->lock);
    free(t->known);
    free(t);
}

int timers_open(struct timers **out, const struct timers_conf *conf, const struct fs *fs, int64_t now_ms,
                struct err *err)
{
    struct timers *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(err, ENOMEM, "out of memory for the timers");
    t->fs = fs;
    t->conf = *conf;
    t->check_fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    snprintf(t->boot_id, sizeof t->boot_id, "%s", conf->boot_id);
    if (t->conf.window_slots > t->conf.slots - BLANK_SLOTS || t->conf.window_slots < 2)
        t->conf.window_slots = t->conf.slots - BLANK_SLOTS;
    if (!set_paths(t, conf)) {
        err_set(err, ENAMETOOLONG, "the store path '%s' is too long", conf->root);
    } else if (load(t, now_ms, err) == 0) {
        *out = t;
        return 0;
    }
    destroy(t);
    return -1;
}

/* ---- adding ---- */

/* The slot's state with what was added to it in this round; the table is never full. */
static struct wheel_slot *changed_slot(struct timers *t, int64_t time_ms)
{
    size_t i = (size_t)((uint64_t)(time_ms / t->conf.precision_ms) * 0x9E3779B97F4A7C15u >> 40) % TABLE;
    while (t->changed[i].time_ms && t->changed[i].time_ms != time_ms)
        i = (i + 1) % TABLE;
    if (t->changed[i].time_ms == 0 && !wheel_get(t->wheel, time_ms, &t->changed[i]))
        t->changed[i] = (struct wheel_slot){.time_ms = time_ms, .first = -1, .last = -1};
    return &t->changed[i];
}

/* Where a message waits: not further ahead than the window, from where it rolls on; the last leg is not a short one. */
static int64_t place_of(const struct timers *t, int64_t write_ms, int64_t deliver_ms, int32_t *magic)
{
    int64_t step = t->conf.precision_ms, window = t->conf.window_slots;
    if (deliver_ms - write_ms < window * step)
        return deliver_ms;
    *magic |= TLOG_ROLL;
    return write_ms + (deliver_ms - write_ms - window * step < window / 3 * step ? window / 2 : window) * step;
}

/*
 * Of a place in the log that was lost and written anew there can be a unit of the message that is gone, when the crash
 * after that took the wiping of it back.
 */
static bool is_of(const struct timers *t, const struct tlog_unit *u, const struct timer_entry *e)
{
    int32_t magic = TLOG_DEFAULT | (e->deletes ? TLOG_DELETE : 0);
    return u->size == e->size && round_down(t, tlog_time(u)) == place_of(t, u->write_ms, e->deliver_ms, &magic) &&
           u->magic == magic;
}

bool timers_known(const struct timers *t, const struct timer_entry *e)
{
    size_t low = 0, high = t->n_known;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->known[middle].physical_offset < e->physical_offset)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < t->n_known && t->known[low].physical_offset == e->physical_offset; low++)
        if (is_of(t, &t->known[low], e))
            return true;
    return false;
}

static int add_some(struct timers *t, int64_t write_ms, const struct timer_entry *e, size_t n)
{
    int64_t end = tlog_end(t->log), net = 0;
    memset(t->changed, 0, TABLE * sizeof *t->changed);
    for (size_t i = 0; i < n; i++) {
        int32_t magic = TLOG_DEFAULT | (e[i].deletes ? TLOG_DELETE : 0);
        int64_t at = place_of(t, write_ms, e[i].deliver_ms, &magic);
        struct wheel_slot *s = changed_slot(t, at);
        t->units[i] = (struct tlog_unit){
            .prev = s->last,
            .magic = magic,
            .write_ms = write_ms,
            .delay_ms = (int32_t)(at - write_ms),
            .physical_offset = e[i].physical_offset,
            .size = e[i].size,
            .topic_hash = e[i].topic_hash,
        };
        enter(s, end + (int64_t)i * TLOG_UNIT, e[i].deletes);
        net += e[i].deletes ? -1 : 1;
    }
    int r = tlog_append(t->log, t->units, n);
    if (r)
        return r;
    for (size_t i = 0; i < TABLE; i++)
        if (t->changed[i].time_ms)
            wheel_put(t->wheel, &t->changed[i]);
    t->total += net;
    return 0;
}

int64_t timers_add(struct timers *t, int64_t write_ms, const struct timer_entry *e, size_t n)
{
    struct err err;
    size_t done = 0;
    if (n && t->log == NULL && open_files(t, &err) < 0) {
        LOG_LIMITED(LOG_ERROR, "timer", "%s", err.text);
        close_files(t);
        return -err.code;
    }
    while (done < n) {
        int64_t room = tlog_room(t->log);
        size_t some = n - done < ADD_MAX ? n - done : ADD_MAX;
        if (room > 0 && (int64_t)some > room)
            some = (size_t)room;
        int r = room < 0 ? (int)room : add_some(t, write_ms, e + done, some);
        if (r && done == 0)
            return r;
        if (r)
            break;
        done += some;
    }
    return (int64_t)done;
}

/* ---- reading ---- */

int64_t timers_read_ms(const struct timers *t)
{
    return t->read_ms;
}

bool timers_due(struct timers *t, int64_t to, struct wheel_slot *slot)
{
    if (t->read_ms >= to)
        return false;
    int64_t next = t->wheel ? wheel_next(t->wheel, t->read_ms, to) : to;
    if (next != t->read_ms) {
        t->slot_done = 0;
        t->read_ms = next;
    }
    return next < to && wheel_get(t->wheel, next, slot);
}

int64_t timers_walk(struct timers *t, int64_t pos, int64_t time_ms, struct tlog_unit *out, size_t max, int64_t *next)
{
    return tlog_walk(t->log, pos, time_ms, t->conf.precision_ms, out, max, next);
}

int64_t timers_done(const struct timers *t)
{
    return t->slot_done;
}

void timers_set_done(struct timers *t, int64_t done)
{
    t->slot_done = done;
}

void timers_slot_done(struct timers *t)
{
    t->total -= timers_num(t, t->read_ms);
    t->read_ms += t->conf.precision_ms;
    t->slot_done = 0;
}

int64_t timers_queue_offset(const struct timers *t)
{
    return t->queue_offset;
}

void timers_set_queue_offset(struct timers *t, int64_t offset)
{
    t->queue_offset = offset;
}

int32_t timers_num(const struct timers *t, int64_t time_ms)
{
    const struct wheel *w = t->wheel;
    return w ? wheel_num(w, time_ms) : 0;
}

int64_t timers_total(const struct timers *t)
{
    return t->total;
}

/* ---- durability ---- */

static void take_live(struct timers *t)
{
    t->check.live.read_ms = t->read_ms;
    t->check.live.queue_offset = t->queue_offset;
    t->check.live.slot_done = t->slot_done;
    t->check.live.log_end = t->log ? tlog_end(t->log) : 0;
    t->check.live.total = t->total;
}

int timers_save(struct timers *t, struct err *err)
{
    take_live(t);
    int r = tcheck_write(&t->check, t->fs, t->check_fd, t->boot_id, false);
    return r ? err_sys(err, -r, "cannot write %s", t->check_path) : 0;
}

void timers_snapshot(struct timers *t, int64_t now_ms)
{
    struct tcheck_java *s = &t->snapshot, last = t->check.java;
    *s = last;
    s->read_ms = t->read_ms;
    s->queue_offset = s->master_queue_offset = t->queue_offset;
    if (s->read_ms != last.read_ms || s->queue_offset != last.queue_offset) {
        s->counter++;
        s->timestamp = now_ms;
    }
}

int timers_flush(struct timers *t, struct err *err)
{
    int r = t->log ? tlog_sync(t->log) : 0;
    if (r == 0 && t->wheel)
        r = wheel_sync(t->wheel);
    if (r) {
        err_sys(err, -r, "cannot sync %s and %s", t->log_path, t->wheel_path);
        if (err)
            err->code = EIO;
        return -1;
    }
    if (t->log)
        t->snapshot.log_flushed = tlog_flushed(t->log);
    pthread_mutex_lock(&t->lock);
    t->check.java = t->snapshot;
    pthread_mutex_unlock(&t->lock);
    take_live(t);
    r = tcheck_write(&t->check, t->fs, t->check_fd, t->boot_id, true);
    return r ? err_sys(err, -r, "cannot write %s", t->check_path) : 0;
}

int timers_clean(struct timers *t, int64_t physical_min, struct err *err)
{
    int r = t->log ? tlog_remove_before(t->log, physical_min) : 0;
    return r < 0 ? err_sys(err, -r, "cannot remove files in %s", t->log_path) : 0;
}

struct tcheck_java timers_checkpoint(const struct timers *t)
{
    struct timers *changed = (struct timers *)(uintptr_t)t;
    pthread_mutex_lock(&changed->lock);
    struct tcheck_java now = t->check.java;
    pthread_mutex_unlock(&changed->lock);
    now.read_ms = t->read_ms;
    now.queue_offset = now.master_queue_offset = t->queue_offset;
    return now;
}

int timers_close(struct timers *t, bool clean, struct err *err)
{
    int r;
    t->check.live.clean = clean;
    if (clean) {
        timers_snapshot(t, t->fs->now_ms(t->fs));
        r = timers_flush(t, err);
    } else {
        r = timers_save(t, err);
    }
    destroy(t);
    return r;
}
