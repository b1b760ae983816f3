/*
 * The messages of one time, once it is over. Their chain in the timer log runs from the newest to the oldest; it is
 * read in parts of bounded size, and each part is delivered from its oldest message on, which is the order of the
 * commit log as well. Messages that take others back are looked at first.
 */
#include "base/log.h"
#include "broker/timer/timer_int.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

enum {
    PART = 256 * 1024,    /* units in memory */
    NEAR = 64 * 1024,     /* records that lie closer are read ahead in one piece */
    READ_RETRY_MS = 1000, /* when the timer log cannot be read */
};

struct timer_deleted {
    struct str topic; /* of the message that takes back */
    bool found;
};

void timer_slot_free(struct timer_slot *s)
{
    map_free(&s->deleted, NULL);
    arena_free(&s->names);
    free(s->starts);
    free(s->units);
    *s = (struct timer_slot){0};
}

static bool takes_back(const struct tlog_unit *u)
{
    return (u->magic & TLOG_DELETE) && !(u->magic & TLOG_ROLL);
}

static int64_t step_of(const struct timer *t, int64_t time_ms)
{
    return time_ms / t->precision_ms;
}

/*
 * Reads the message of a unit; NULL, or why it is not there. When a log ends earlier than it did (a loss of power, a
 * cut by an operator or to a master's end), units that outlive it lead to whatever is written there later. Such a
 * message has a unit of its own or needs none. Of units that roll the time is not compared, as timers_known does: the
 * window may have been another one, and what is left out here is lost.
 */
static const char *read_message(struct timer *t, const struct tlog_unit *u, struct msg_view *v, struct timer_seen *seen)
{
    if (!store_read_next(t->b->store, u->physical_offset, &t->window, v))
        return "it is not in the log any more";
    if (!str_eqz(v->m.topic, TIMER_TOPIC) || v->size != (uint32_t)u->size)
        return "another message stands there";
    timer_look(v->m.properties, seen);
    if (!(u->magic & TLOG_ROLL) && seen->has_out && step_of(t, seen->out_ms) != step_of(t, tlog_time(u)))
        return "a message of another time stands there";
    return NULL;
}

static bool note_deleted(struct timer *t, const struct tlog_unit *u)
{
    struct timer_slot *s = &t->slot;
    struct msg_view v;
    struct timer_seen seen;
    if (read_message(t, u, &v, &seen))
        return true;
    if (seen.delete_key.len == 0 || map_get(&s->deleted, seen.delete_key))
        return true;
    struct timer_deleted *d = arena_alloc(&s->names, sizeof *d + seen.real_topic.len + 1);
    if (d == NULL)
        return false;
    char *name = (char *)(d + 1);
    memcpy(name, seen.real_topic.ptr ? seen.real_topic.ptr : "", seen.real_topic.len);
    *d = (struct timer_deleted){.topic = str_make(name, seen.real_topic.len)};
    return map_put(&s->deleted, seen.delete_key, d, NULL);
}

static int read_part(struct timer *t, int64_t pos, int64_t *next)
{
    struct timer_slot *s = &t->slot;
    if (s->units == NULL)
        s->units = malloc(PART * sizeof *s->units);
    int64_t n = s->units ? timers_walk(t->files, pos, s->time_ms, s->units, PART, next) : -ENOMEM;
    s->n_units = n < 0 ? 0 : (size_t)n;
    s->next = 0;
    return n < 0 ? (int)n : 0;
}

static bool add_start(struct timer_slot *s, int64_t pos)
{
    if (s->n_starts == s->cap_starts) {
        size_t cap = s->cap_starts ? s->cap_starts * 2 : 16;
        int64_t *grown = realloc(s->starts, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        s->starts = grown;
        s->cap_starts = cap;
    }
    s->starts[s->n_starts++] = pos;
    return true;
}

static void close_slot(struct timer_slot *s)
{
    map_clear(&s->deleted, NULL);
    arena_free(&s->names);
    /* Large only while many messages are due. */
    if (s->before > 0 || s->n_starts > 1 || s->n_units > PART / 16) {
        free(s->units);
        s->units = NULL;
    }
    s->open = false;
}

/* Reads the whole chain once: where its parts begin, and what is taken back. The oldest part is in memory then. */
static int open_slot(struct timer *t, const struct wheel_slot *slot)
{
    struct timer_slot *s = &t->slot;
    int64_t pos = slot->last, next;
    s->time_ms = slot->time_ms;
    s->n_starts = s->n_units = s->next = 0;
    s->before = 0;
    while (pos >= 0) {
        int r = read_part(t, pos, &next);
        bool ok = r == 0 && add_start(s, pos);
        for (size_t i = 0; ok && i < s->n_units; i++)
            if (takes_back(&s->units[i]))
                ok = note_deleted(t, &s->units[i]);
        if (!ok) {
            close_slot(s);
            return r ? r : -ENOMEM;
        }
        pos = next;
    }
    s->open = true;
    return 0;
}

/* Goes over to where delivery stands: some may have been delivered before the last stop. */
static int find_place(struct timer *t)
{
    struct timer_slot *s = &t->slot;
    int64_t done = timers_done(t->files), next;
    while (done - s->before >= (int64_t)s->n_units && s->n_starts > 1) {
        s->before += (int64_t)s->n_units;
        int r = read_part(t, s->starts[--s->n_starts - 1], &next);
        if (r)
            return r;
    }
    s->next = (size_t)(done - s->before);
    return 0;
}

static const struct tlog_unit *unit(const struct timer_slot *s, size_t i)
{
    return &s->units[s->n_units - 1 - i];
}

/* Asks for the records of the next round that may have to come from the disk. */
static void read_ahead(struct timer *t)
{
    const struct timer_slot *s = &t->slot;
    int64_t from = -1, to = -1;
    for (size_t i = s->next; i < s->n_units && i < s->next + TIMER_BATCH; i++) {
        const struct tlog_unit *u = unit(s, i);
        if (from >= 0 && u->physical_offset >= from && u->physical_offset - to <= NEAR) {
            to = u->physical_offset + u->size;
            continue;
        }
        if (from >= 0)
            store_want(t->b->store, from, to - from);
        from = u->physical_offset;
        to = from + u->size;
    }
    if (from >= 0)
        store_want(t->b->store, from, to - from);
}

/* The message is taken back by another one of its time. */
static bool is_deleted(struct timer *t, const struct timer_seen *seen)
{
    char key[1024];
    size_t len = seen->real_topic.len + 1 + seen->uniq_key.len;
    if (t->slot.deleted.count == 0 || seen->uniq_key.len == 0 || len > sizeof key)
        return false;
    memcpy(key, seen->real_topic.ptr, seen->real_topic.len);
    key[seen->real_topic.len] = '+';
    memcpy(key + seen->real_topic.len + 1, seen->uniq_key.ptr, seen->uniq_key.len);
    struct timer_deleted *d = map_get(&t->slot.deleted, str_make(key, len));
    if (d)
        d->found = true;
    return d != NULL;
}

static enum timer_added deliver_one(struct timer *t, const struct tlog_unit *u, size_t index, size_t *bytes)
{
    struct msg_view v;
    struct timer_seen seen;
    bool roll = u->magic & TLOG_ROLL;
    if (takes_back(u))
        return TIMER_LEFT_OUT;
    const char *why = read_message(t, u, &v, &seen);
    if (why)
        return timer_leave_out(u->physical_offset, why);
    if (seen.real_topic.len && is_deleted(t, &seen))
        return TIMER_LEFT_OUT;
    enum timer_added added = timer_put_add(t, &v, &seen, u->write_ms, roll, index, bytes);
    if (added == TIMER_ADDED)
        timer_tally_add(t, seen.real_topic, index, -1);
    return added;
}

/* What could not be taken back was counted as if it were. */
static void finish(struct timer *t)
{
    struct timer_slot *s = &t->slot;
    for (struct map_slot *e = NULL; (e = map_next(&s->deleted, e));) {
        const struct timer_deleted *d = e->value;
        if (!d->found && d->topic.len)
            timer_metrics_add(t->metrics, d->topic, 1, clock_wall_ms());
    }
    close_slot(s);
    timers_slot_done(t->files);
}

static void deliver_round(struct timer *t)
{
    struct timer_slot *s = &t->slot;
    size_t i = s->next, bytes = 0;
    read_ahead(t);
    for (; i < s->n_units && i - s->next < TIMER_BATCH && bytes < TIMER_BATCH_BYTES; i++)
        if (deliver_one(t, unit(s, i), i, &bytes) == TIMER_REFUSED) {
            t->retry_ms = clock_mono_ms() + READ_RETRY_MS;
            break;
        }
    size_t failed = timer_put_commit(t);
    if (failed < i)
        i = failed;
    timer_tally_apply(t, i);
    s->next = i;
    timers_set_done(t->files, s->before + (int64_t)i);
}

bool timer_deliver(struct timer *t, int64_t now_ms)
{
    struct timer_slot *s = &t->slot;
    struct wheel_slot due;
    int r = 0;
    if (clock_mono_ms() < t->retry_ms)
        return false;
    if (!s->open) {
        if (!timers_due(t->files, t->write_ms, &due))
            return false;
        r = open_slot(t, &due);
    }
    if (r == 0)
        r = find_place(t);
    if (r) {
        LOG_LIMITED(LOG_ERROR, "broker", "cannot read the timer log: %s; trying again", strerror(-r));
        t->retry_ms = clock_mono_ms() + READ_RETRY_MS;
        close_slot(s);
        return false;
    }
    if (s->next < s->n_units)
        deliver_round(t);
    t->changed = true;
    if (s->next >= s->n_units && s->n_starts <= 1)
        finish(t);
    return true;
}
