/*
 * Delayed messages of the fixed levels. A message with a delay level is stored in SCHEDULE_TOPIC_XXXX, in the queue of
 * its level; the entries of such a queue carry the time of delivery in place of the tags code. Since all messages of a
 * queue wait equally long, they fall due in the order of the queue: one thread looks at the head of each queue, sleeps
 * until the first is due, and stores what is due once more, under its real topic.
 */
#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/schedule/schedule_int.h"
#include "broker/send/send.h"
#include "os/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_MS = 900,   /* no level is shorter than 1 s, so a look this often misses no delivery */
    RETRY_MS = 1000, /* when the store takes no messages */
    TURN_MAX = 512,  /* messages of one level before the next level's turn */
    TURN_BYTES = 4 * 1024 * 1024,
};

/* ---- into the schedule ---- */

struct topic *schedule_redirect(struct broker *b, struct msg *m, struct buf *props, int *level)
{
    static const struct str dropped[] = {
        {MSG_PROP_DELAY, sizeof MSG_PROP_DELAY - 1},
        {MSG_PROP_REAL_TOPIC, sizeof MSG_PROP_REAL_TOPIC - 1},
        {MSG_PROP_REAL_QID, sizeof MSG_PROP_REAL_QID - 1},
        {"TIMER_DELIVER_MS", 16},
        {"TIMER_DELAY_SEC", 15},
        {"TIMER_DELAY_MS", 14},
    };
    int transaction = m->sys_flag & MSG_FLAG_TRANSACTION_MASK;
    char number[24];
    *level = delay_level_of(&b->schedule->levels, msg_property(m->properties, STR_LIT(MSG_PROP_DELAY)));
    if (*level == 0 || (transaction != 0 && transaction != MSG_FLAG_TRANSACTION_COMMIT))
        return NULL;
    struct topic *t = topic_find(b->topics, STR_LIT(SCHEDULE_TOPIC));
    if (t == NULL)
        return NULL;
    msg_properties_without(props, m->properties, dropped, sizeof dropped / sizeof dropped[0]);
    msg_property_add(props, STR_LIT(MSG_PROP_DELAY), str_make(number, fmt_i64(number, *level)));
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_TOPIC), m->topic);
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_QID), str_make(number, fmt_i64(number, m->queue_id)));
    m->properties = buf_str(props);
    m->topic = t->name;
    m->queue_id = *level - 1;
    return t;
}

/* ---- out of the schedule ---- */

/* One turn of a level: which of its messages are stored. */
struct turn {
    struct schedule *s;
    size_t failed_at; /* the first that is not */
    int64_t end;      /* physical end of those that are */
};

static void put_done(void *arg, void *user, const struct put_result *r)
{
    struct turn *turn = arg;
    size_t index = (size_t)(uintptr_t)user;
    if (r->status != PUT_OK) {
        if (index < turn->failed_at)
            turn->failed_at = index;
        return;
    }
    if (r->end_offset > turn->end)
        turn->end = r->end_offset;
}

enum added { ADDED, LEFT_OUT, REFUSED };

static enum added leave_out(int level, int64_t physical_offset, const char *why)
{
    LOG_LIMITED(LOG_ERROR, "broker", "leaving out the delayed message of level %d at %lld of the log: %s", level,
                (long long)physical_offset, why);
    return LEFT_OUT;
}

/* The message under its real name. Its properties stay as they are, as in Java: consumers see which delay it had. */
static enum added add_message(struct schedule *s, int level, int64_t physical_offset, size_t index, size_t *bytes)
{
    struct broker *b = s->b;
    struct msg_view view;
    buf_clear(&s->record);
    if (!store_read(b->store, physical_offset, &s->record, &view))
        return leave_out(level, physical_offset, "it is not in the log any more");
    struct store_msg put = {.m = view.m};
    int32_t queue_id;
    struct str topic = msg_property(view.m.properties, STR_LIT(MSG_PROP_REAL_TOPIC));
    if (topic.len == 0 || !str_to_i32(msg_property(view.m.properties, STR_LIT(MSG_PROP_REAL_QID)), &queue_id) ||
        queue_id < 0 || queue_id >= TOPIC_MAX_QUEUES)
        return leave_out(level, physical_offset, "it does not say where it belongs");
    if (str_eqz(topic, "RMQ_SYS_TRANS_HALF_TOPIC"))
        return leave_out(level, physical_offset, "half messages are not delayed");
    put.m.topic = topic;
    put.m.queue_id = queue_id;
    put.m.store_host = b->store_host;
    /* Also when its topic is gone or has fewer queues by now: the message stays, as in Java. */
    put.queue = store_queue(b->store, topic, queue_id, true);
    put.tags_code = msg_tags_code(view.m.properties);
    if (put.queue == NULL)
        return REFUSED;
    enum put_status status = store_batch_add(s->batch, &put, (void *)(uintptr_t)index);
    if (status == PUT_MESSAGE_ILLEGAL || status == PUT_PROPERTIES_SIZE_EXCEEDED)
        return leave_out(level, physical_offset, "the store does not take such a message");
    if (status != PUT_OK)
        return REFUSED;
    *bytes += view.size;
    struct topic *t = topic_find(b->topics, topic);
    if (t)
        topic_count_put(b->stats, t, 1, view.size);
    return ADDED;
}

/* A delivery time that lies further ahead than the level's delay comes from a clock that was set back. */
static int64_t due_of(const struct schedule *s, int level, struct cq *q, int64_t offset, const struct store_entry *e,
                      int64_t now)
{
    int64_t due = e->tags_code;
    if (store_is_extension(due))
        due = store_time_of(s->b->store, q, offset) + s->levels.ms[level];
    return due > now + s->levels.ms[level] ? now : due;
}

static int64_t start_of(struct schedule *s, int level, const struct cq *q)
{
    int64_t offset = s->offset[level] < 0 ? 0 : s->offset[level];
    return offset < cq_min(q) ? cq_min(q) : offset > cq_max(q) ? cq_max(q) : offset;
}

/* Delivers what is due in one level; answers when it wants its next turn. */
static int64_t deliver_level(struct schedule *s, int level, int64_t now)
{
    struct store_entry entries[TURN_MAX];
    struct cq *q = schedule_queue(s, level);
    if (q == NULL)
        return INT64_MAX;
    int64_t offset = start_of(s, level, q);
    if (offset >= cq_max(q)) {
        schedule_set_offset(s, level, offset);
        return INT64_MAX;
    }
    struct turn turn = {.s = s, .failed_at = SIZE_MAX};
    size_t n = store_entries(s->b->store, q, offset, entries, TURN_MAX), handled = 0, bytes = 0;
    int64_t next = n == TURN_MAX ? now : n ? INT64_MAX : now + RETRY_MS;
    for (; handled < n; handled++) {
        int64_t due = due_of(s, level, q, offset + (int64_t)handled, &entries[handled], now);
        if (due > now || bytes >= TURN_BYTES) {
            next = due > now ? due : now;
            break;
        }
        if (add_message(s, level, entries[handled].physical_offset, handled, &bytes) == REFUSED) {
            next = now + RETRY_MS;
            break;
        }
    }
    store_batch_commit(s->batch, put_done, &turn);
    if (turn.end > s->delivered_end)
        s->delivered_end = turn.end;
    if (turn.failed_at < handled) {
        LOG_LIMITED(LOG_WARN, "broker", "delayed messages of level %d cannot be delivered now, trying again", level);
        handled = turn.failed_at;
        next = now + RETRY_MS;
    }
    schedule_set_offset(s, level, offset + (int64_t)handled);
    return next;
}

int64_t schedule_step(struct schedule *s)
{
    int64_t now = clock_wall_ms(), next = now + LOOK_MS;
    for (int level = 1; level <= s->levels.count && !atomic_load(&s->stopping); level++) {
        int64_t due = deliver_level(s, level, now);
        if (due < next)
            next = due;
    }
    now = clock_wall_ms();
    schedule_save_when_due(s, now);
    return next - now;
}

static void run(void *arg)
{
    struct schedule *s = arg;
    while (!atomic_load(&s->stopping)) {
        int64_t rest = schedule_step(s);
        if (rest > 0)
            waker_wait(&s->waker, rest);
    }
}

/* ---- life ---- */

struct schedule *schedule_new(struct broker *b)
{
    struct schedule *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->b = b;
    s->path = config_file_path(b->config_dir, "delayOffset.json");
    for (int level = 0; level <= DELAY_LEVELS_MAX; level++)
        s->offset[level] = -1;
    s->version.timestamp = clock_wall_ms();
    pthread_mutex_init(&s->lock, NULL);
    waker_init(&s->waker);
    if (s->path)
        return s;
    schedule_free(s);
    return NULL;
}

/* Levels beyond the usual 18 need more queues than the topic has. */
static int ensure_queues(struct schedule *s, struct err *err)
{
    struct topic *t = topic_find(s->b->topics, STR_LIT(SCHEDULE_TOPIC));
    struct arena a = {0};
    struct topic_config c;
    int r = 0;
    if (t && s->levels.count > atomic_load(&t->write_queues) && topic_config_of(s->b->topics, t->name, &a, &c)) {
        c.read_queue_nums = c.write_queue_nums = s->levels.count;
        r = topic_put(s->b->topics, &c, err) ? 0 : -1;
    }
    arena_free(&a);
    return r;
}

int schedule_start(struct schedule *s, struct err *err)
{
    if (ensure_queues(s, err) < 0)
        return -1;
    schedule_clamp(s);
    s->batch = store_batch_new(s->b->store);
    if (s->batch == NULL)
        return err_set(err, ENOMEM, "out of memory for the delivery of delayed messages");
    s->next_save_ms = clock_wall_ms() + s->b->store_conf->flushDelayOffsetInterval;
    int r = thread_start(&s->thread, "schedule", run, s);
    return r < 0 ? err_sys(err, -r, "cannot start the thread that delivers delayed messages") : 0;
}

void schedule_stop(struct schedule *s)
{
    struct err err;
    if (s == NULL || !s->thread.running)
        return;
    atomic_store(&s->stopping, true);
    waker_wake(&s->waker);
    thread_join(&s->thread);
    /* The store flushes when it is closed, after this. */
    if (schedule_save(s, s->offset, &err) < 0)
        LOG(LOG_ERROR, "broker", "%s", err.text);
}

void schedule_free(struct schedule *s)
{
    if (s == NULL)
        return;
    schedule_stop(s);
    store_batch_free(s->batch);
    buf_free(&s->record);
    waker_free(&s->waker);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}
