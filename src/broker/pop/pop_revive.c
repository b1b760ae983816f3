/*
 * Reviving: a thread follows the revive log, knows which checkpoints are open, and stores again, in the group's retry
 * topic, what nobody acknowledged in time. The group CID_RMQ_SYS_REVIVE_GROUP stands before the oldest open checkpoint
 * of each queue of the log, so that a restart finds all of them.
 *
 * With the messages stored again goes an acknowledgement of them, in one write: a restart does not store them twice.
 */
#include "base/log.h"
#include "base/map.h"
#include "broker/config/config_file.h"
#include "broker/pop/pop.h"
#include "broker/pop/pop_wait.h"
#include "broker/send/send.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/thread.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REVIVE_GROUP   "CID_RMQ_SYS_REVIVE_GROUP"
#define PROP_FIRST_POP "1ST_POP_TIME"

enum {
    QUEUES_MAX = 256,
    SLOTS = 1024, /* of the wheel */
    SLOT_MS = 100,
    LOOK_MS = 100,
    IDLE_MS = 500,
    GRACE_MS = 1000,       /* acknowledgements a little late count, as in Java */
    TIMER_GRACE_MS = 3000, /* checkpoints of a Java broker's timer get here before their acknowledgements */
    TIMER_EARLY_MS = 1500, /* how long before its time a timer delivers a checkpoint, at most */
    RETRY_MS = 1000,
    READ_MAX = 4096,       /* records of one queue before the next one's turn */
    BATCH_MAX = 256,       /* messages in one write */
    REWRITE_SPAN = 100000, /* records behind an open checkpoint before it is written anew */
    REWRITE_AHEAD_MS = 30000,
    SAVED_MARGIN_MS = 2000, /* offsets may be so much older than their file */
};

struct open_checkpoint {
    struct list order; /* of its queue, by revive offset */
    struct list slot;  /* of the wheel */
    int64_t due;
    int64_t revive_offset;
    int32_t revive_queue;
    struct pop_checkpoint c; /* its texts lie behind */
    char text[];
};

struct revive_queue {
    struct cq *queue;
    int64_t next; /* to read */
    int64_t committed;
    struct list open;
};

struct pop_revive {
    struct broker *b;
    struct thread thread;
    struct waker waker;
    atomic_bool stopping;
    struct store_batch *batch;
    struct map open; /* key -> struct open_checkpoint * */
    struct list wheel[SLOTS];
    int64_t wheel_time; /* slots before it have been looked at */
    struct revive_queue queues[QUEUES_MAX];
    struct buf key, record, body, properties, topic;
    struct arena arena;
    bool failed; /* the last batch */
    bool loading;
    int64_t offsets_saved; /* when consumerOffset.json was written */
};

/* ---- open checkpoints ---- */

static struct str key_of(struct pop_revive *r, const struct pop_key *k)
{
    buf_clear(&r->key);
    buf_add_str(&r->key, k->topic);
    buf_add_byte(&r->key, '@');
    buf_add_str(&r->key, k->group);
    buf_printf(&r->key, "@%d@%lld@%lld@", k->queue_id, (long long)k->start_offset, (long long)k->pop_time);
    buf_add_str(&r->key, k->broker_name);
    return buf_str(&r->key);
}

static uint32_t all_bits(uint32_t count)
{
    return count >= 32 ? UINT32_MAX : (UINT32_C(1) << count) - 1;
}

static void enter_wheel(struct pop_revive *r, struct open_checkpoint *o)
{
    int64_t at = o->due < r->wheel_time ? r->wheel_time : o->due;
    list_add_tail(&r->wheel[at / SLOT_MS % SLOTS], &o->slot);
}

static void close_checkpoint(struct pop_revive *r, struct open_checkpoint *o)
{
    map_del(&r->open, key_of(r, &o->c.key));
    list_del(&o->order);
    list_del(&o->slot);
    free(o);
}

static struct open_checkpoint *checkpoint_new(const struct pop_checkpoint *c)
{
    const struct pop_key *k = &c->key;
    struct open_checkpoint *o = malloc(sizeof *o + k->topic.len + k->group.len + k->broker_name.len);
    if (o == NULL)
        return NULL;
    *o = (struct open_checkpoint){.c = *c};
    list_init(&o->order);
    list_init(&o->slot);
    char *at = o->text;
    struct str *const texts[] = {&o->c.key.topic, &o->c.key.group, &o->c.key.broker_name};
    for (size_t i = 0; i < 3; i++) {
        if (texts[i]->len)
            memcpy(at, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    return o;
}

/* After a sudden death the saved offsets are behind the pops of the last seconds, whose checkpoints know better.
 * Offsets saved after a pop are left as they are: an operator may have set them. */
static void restore_offset(struct pop_revive *r, const struct pop_checkpoint *c, int64_t store_time)
{
    const struct pop_key *k = &c->key;
    struct offset_manager *offsets = r->b->offsets;
    if (c->count == 0 || store_time < r->offsets_saved - SAVED_MARGIN_MS)
        return;
    int64_t end = k->start_offset + c->diff[c->count - 1] + 1;
    if (end > offset_query(offsets, k->group, k->topic, k->queue_id))
        offset_commit(offsets, k->group, k->topic, k->queue_id, end);
}

static void open_one(struct pop_revive *r, int32_t id, int64_t revive_offset, int64_t store_time,
                     const struct pop_checkpoint *c)
{
    struct str key = key_of(r, &c->key);
    struct open_checkpoint *o = map_get(&r->open, key);
    if (o) { /* written anew */
        o->c.acked |= c->acked;
        o->revive_offset = revive_offset;
        list_del(&o->order);
        list_add_tail(&r->queues[id].open, &o->order);
    } else {
        int64_t revive_time = c->key.pop_time + c->invisible_ms;
        o = checkpoint_new(c);
        if (o == NULL || !map_put(&r->open, key, o, NULL)) {
            free(o);
            LOG_LIMITED(LOG_ERROR, "broker", "out of memory for the checkpoint of a pop of group %.*s",
                        STR_ARG(c->key.group));
            r->failed = true;
            return;
        }
        bool timer = c->invisible_ms > 2 * TIMER_EARLY_MS && store_time >= revive_time - TIMER_EARLY_MS;
        o->due = revive_time + (timer ? TIMER_GRACE_MS : GRACE_MS);
        o->revive_offset = revive_offset;
        o->revive_queue = id;
        list_add_tail(&r->queues[id].open, &o->order);
        enter_wheel(r, o);
    }
    if ((o->c.acked & all_bits(o->c.count)) == all_bits(o->c.count))
        close_checkpoint(r, o);
}

static void acknowledge(struct pop_revive *r, const struct pop_acks *a)
{
    struct open_checkpoint *o = map_get(&r->open, key_of(r, &a->key));
    if (o == NULL)
        return;
    for (size_t i = 0; i < a->count; i++) {
        int at = pop_checkpoint_index(&o->c, a->offset[i]);
        if (at >= 0)
            o->c.acked |= UINT32_C(1) << at;
    }
    if ((o->c.acked & all_bits(o->c.count)) == all_bits(o->c.count))
        close_checkpoint(r, o);
}

/* ---- following the log ---- */

static void take_record(struct pop_revive *r, int32_t id, const struct msg_view *v)
{
    struct pop_record record;
    arena_reset(&r->arena);
    switch (pop_record_read(&v->m, &r->arena, str_from(r->b->conf->broker_name), &record)) {
    case POP_RECORD_CHECKPOINT:
        if (r->loading)
            restore_offset(r, &record.checkpoint, v->m.store_time);
        open_one(r, id, v->m.queue_offset, v->m.store_time, &record.checkpoint);
        break;
    case POP_RECORD_ACKS:
        acknowledge(r, &record.acks);
        break;
    case POP_RECORD_NONE:
        LOG_LIMITED(LOG_WARN, "broker", "record %lld of revive queue %d is none of a pop", (long long)v->m.queue_offset,
                    id);
        break;
    }
}

/* How many records were read. */
static int64_t read_some(struct pop_revive *r, int32_t id)
{
    struct revive_queue *q = &r->queues[id];
    struct get_result g;
    int64_t before = q->next;
    if (q->next < cq_min(q->queue))
        q->next = cq_min(q->queue);
    if (q->next >= cq_max(q->queue))
        return 0;
    store_get(r->b->store, q->queue, q->next, STORE_GET_RANGES, 1 << 20, NULL, NULL, true, &g);
    for (uint32_t i = 0; g.status == GET_FOUND && i < g.n_ranges && !r->failed; i++) {
        struct msg_view v;
        for (uint32_t at = 0; at < g.ranges[i].len && !r->failed; at += v.size) {
            if (msg_decode(g.ranges[i].map + at, g.ranges[i].len - at, &v) != MSG_OK)
                break;
            take_record(r, id, &v);
            if (!r->failed)
                q->next = v.m.queue_offset + 1;
        }
    }
    if (g.status != GET_FOUND && g.next_offset > q->next)
        q->next = g.next_offset;
    store_release(r->b->store, &g);
    return q->next - before;
}

static bool follow(struct pop_revive *r)
{
    bool more = false;
    for (int32_t id = 0; id < r->b->conf->revive_queue_nums && !atomic_load(&r->stopping); id++) {
        int64_t read = 0, n;
        while (read < READ_MAX && (n = read_some(r, id)) > 0)
            read += n;
        more |= read >= READ_MAX;
    }
    return more;
}

static void commit(struct pop_revive *r)
{
    struct topic *t = r->b->pop->revive_topic;
    for (int32_t id = 0; id < r->b->conf->revive_queue_nums; id++) {
        struct revive_queue *q = &r->queues[id];
        /* Java's rule: the offset of the last record that is done with. */
        int64_t done =
            (list_empty(&q->open) ? q->next : LIST_ENTRY(q->open.next, struct open_checkpoint, order)->revive_offset) -
            1;
        if (done <= q->committed)
            continue;
        q->committed = done;
        offset_commit(r->b->offsets, STR_LIT(REVIVE_GROUP), t->name, id, done);
    }
}

/* ---- storing again ---- */

static void put_done(void *arg, void *user, const struct put_result *res)
{
    struct pop_revive *r = arg;
    struct topic *t = user;
    if (res->status != PUT_OK)
        r->failed = true;
    else if (t)
        topic_count_put(r->b->stats, t, res->count, res->bytes);
}

/* The retry topic of the checkpoint, made when it is not there; NULL: failed. */
static struct topic *retry_topic(struct pop_revive *r, const struct pop_key *k)
{
    struct broker *b = r->b;
    struct err err;
    buf_clear(&r->topic);
    if (pop_kind_of(k->topic) != POP_NORMAL)
        buf_add_str(&r->topic, k->topic);
    else
        pop_retry_topic(&r->topic, k->topic, k->group, b->conf->enable_retry_topic_v2 ? POP_RETRY_V2 : POP_RETRY_V1);
    struct topic *t = topic_find(b->topics, buf_str(&r->topic));
    if (t)
        return t;
    t = topic_ensure(b->topics, buf_str(&r->topic), 1, PERM_READ | PERM_WRITE, 0, &err);
    if (t == NULL)
        LOG_LIMITED(LOG_ERROR, "broker", "no retry topic %.*s: %s", STR_ARG(buf_str(&r->topic)), err.text);
    else if (offset_query(b->offsets, k->group, t->name, 0) < 0)
        offset_commit(b->offsets, k->group, t->name, 0, 0);
    return t;
}

static bool add_message(struct pop_revive *r, struct topic *t, const struct pop_key *k, int64_t offset)
{
    struct broker *b = r->b;
    struct store_entry e;
    struct msg_view v;
    struct cq *from = store_queue(b->store, k->topic, k->queue_id, false);
    buf_clear(&r->record);
    if (from == NULL || store_entries(b->store, from, offset, &e, 1) != 1 ||
        !store_read(b->store, e.physical_offset, &r->record, &v))
        return true; /* gone: nothing to give again */
    struct store_msg put = {.m = v.m, .queue = topic_queue(b->topics, t, 0)};
    buf_clear(&r->properties);
    buf_add_str(&r->properties, v.m.properties);
    if (str_is_null(msg_property(v.m.properties, STR_LIT(PROP_FIRST_POP)))) {
        char number[24];
        if (r->properties.len && r->properties.data[r->properties.len - 1] != 2)
            buf_add_byte(&r->properties, 2);
        msg_property_add(&r->properties, STR_LIT(PROP_FIRST_POP), str_make(number, fmt_i64(number, k->pop_time)));
    }
    put.m.topic = t->name;
    put.m.queue_id = 0;
    put.m.properties = r->properties.len <= MSG_PROPERTIES_MAX ? buf_str(&r->properties) : v.m.properties;
    put.m.reconsume_times++;
    put.m.born_host = put.m.store_host = b->store_host;
    put.m.prepared_transaction_offset = 0;
    put.tags_code = msg_tags_code(put.m.properties);
    if (put.queue == NULL || !buf_ok(&r->properties))
        return false;
    enum put_status status = store_batch_add(r->batch, &put, t);
    if (status == PUT_MESSAGE_ILLEGAL || status == PUT_PROPERTIES_SIZE_EXCEEDED) {
        LOG_LIMITED(LOG_ERROR, "broker", "leaving out message %lld of %.*s: the store does not take it again",
                    (long long)offset, STR_ARG(k->topic));
        return true;
    }
    return status == PUT_OK;
}

/* Whether anybody could get the messages. */
static bool wanted(struct broker *b, const struct pop_key *k)
{
    return topic_find(b->topics, pop_normal_topic(k->topic, k->group)) && group_find(b->groups, k->group);
}

/* Stores again what is open of the checkpoint. False: it has to be tried later. */
static bool revive(struct pop_revive *r, struct open_checkpoint *o)
{
    struct broker *b = r->b;
    struct pop_acks done = {.key = o->c.key};
    if (!wanted(b, &o->c.key))
        return true;
    struct topic *t = retry_topic(r, &o->c.key);
    r->failed = t == NULL;
    for (uint32_t i = 0; i < o->c.count && !r->failed; i++) {
        if (o->c.acked & UINT32_C(1) << i)
            continue;
        int64_t offset = o->c.key.start_offset + o->c.diff[i];
        r->failed = !add_message(r, t, &o->c.key, offset);
        done.offset[done.count++] = offset;
    }
    if (done.count && !r->failed) {
        struct msg m;
        pop_acks_record(&done, true, clock_wall_ms(), &r->body, &r->properties, &m);
        r->failed = !buf_ok(&r->body) || !buf_ok(&r->properties) ||
                    pop_log_add(b, r->batch, o->revive_queue, &m, NULL) != PUT_OK;
    }
    /* Also what was added before a failure: messages twice are better than none. */
    store_batch_commit(r->batch, put_done, r);
    if (r->failed)
        return false;
    struct pop_queue *q = pop_table_queue(b->pop->table, o->c.key.topic, o->c.key.group, o->c.key.queue_id);
    if (q && o->c.key.pop_time >= b->start_time)
        atomic_fetch_sub_explicit(&q->inflight, (int64_t)done.count, memory_order_relaxed);
    struct pop_group *g =
        pop_table_group(b->pop->table, pop_normal_topic(o->c.key.topic, o->c.key.group), o->c.key.group, false);
    if (g && g->holds)
        pop_wait_wake_all(b, g);
    return true;
}

static void revive_slot(struct pop_revive *r, struct list *slot, int64_t now)
{
    struct list due;
    list_init(&due);
    for (struct list *n = slot->next, *next; n != slot; n = next) {
        next = n->next;
        if (LIST_ENTRY(n, struct open_checkpoint, slot)->due > now)
            continue; /* of a later turn of the wheel */
        list_del(n);
        list_add_tail(&due, n);
    }
    for (struct list *n; (n = list_pop(&due));) {
        struct open_checkpoint *o = LIST_ENTRY(n, struct open_checkpoint, slot);
        if (!atomic_load(&r->stopping) && revive(r, o)) {
            close_checkpoint(r, o);
        } else {
            o->due = now + RETRY_MS;
            enter_wheel(r, o);
        }
    }
}

static void revive_due(struct pop_revive *r)
{
    int64_t now = clock_wall_ms();
    if (r->wheel_time < now - (int64_t)SLOTS * SLOT_MS)
        r->wheel_time = now - (int64_t)SLOTS * SLOT_MS;
    for (; r->wheel_time + SLOT_MS <= now && !atomic_load(&r->stopping); r->wheel_time += SLOT_MS)
        revive_slot(r, &r->wheel[r->wheel_time / SLOT_MS % SLOTS], now);
}

/* A checkpoint that is open for long would keep the group from moving on: a restart would read all that lies behind. */
static void write_anew(struct pop_revive *r)
{
    int64_t now = clock_wall_ms();
    for (int32_t id = 0; id < r->b->conf->revive_queue_nums; id++) {
        struct revive_queue *q = &r->queues[id];
        struct list *n = q->open.next;
        if (n == &q->open)
            continue;
        struct open_checkpoint *o = LIST_ENTRY(n, struct open_checkpoint, order);
        struct msg m;
        if (q->next - o->revive_offset < REWRITE_SPAN || o->due - now < REWRITE_AHEAD_MS)
            continue;
        pop_checkpoint_record(&o->c, now, &r->body, &r->properties, &m);
        if (pop_log_add(r->b, r->batch, id, &m, NULL) == PUT_OK)
            store_batch_commit(r->batch, put_done, r);
    }
    r->failed = false;
}

/* ---- life ---- */

int64_t pop_revive_step(struct pop_revive *r)
{
    r->failed = false;
    /* What was acknowledged in time is known before anything is given up. */
    bool more = follow(r);
    if (!more) {
        revive_due(r);
        write_anew(r);
    }
    commit(r);
    return more ? 0 : r->open.count ? LOOK_MS : IDLE_MS;
}

static void run(void *arg)
{
    struct pop_revive *r = arg;
    while (!atomic_load(&r->stopping)) {
        int64_t rest = pop_revive_step(r);
        if (rest > 0)
            waker_wait(&r->waker, rest);
    }
}

struct pop_revive *pop_revive_new(struct broker *b)
{
    struct pop_revive *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->b = b;
    for (int i = 0; i < SLOTS; i++)
        list_init(&r->wheel[i]);
    for (int i = 0; i < QUEUES_MAX; i++)
        list_init(&r->queues[i].open);
    waker_init(&r->waker);
    return r;
}

int pop_revive_load(struct pop_revive *r, struct err *err)
{
    struct broker *b = r->b;
    struct topic *t = b->pop->revive_topic;
    const struct fs *fs = fs_real();
    struct fs_stat st;
    char *path = config_file_path(b->config_dir, "consumerOffset.json");
    if (path && fs->stat(fs, path, &st) == 0)
        r->offsets_saved = st.mtime_ms;
    free(path);
    r->wheel_time = clock_wall_ms() / SLOT_MS * SLOT_MS;
    for (int32_t id = 0; id < b->conf->revive_queue_nums; id++) {
        struct revive_queue *q = &r->queues[id];
        q->queue = topic_queue(b->topics, t, id);
        q->committed = offset_query(b->offsets, STR_LIT(REVIVE_GROUP), t->name, id);
        q->next = q->committed + 1;
        if (q->queue == NULL)
            return err_set(err, EINVAL, "topic %s has no queue %d; set reviveQueueNum to what it has", t->name.ptr, id);
    }
    r->loading = true;
    while (follow(r))
        ;
    r->loading = false;
    return r->failed ? err_set(err, ENOMEM, "out of memory for the checkpoints of pops") : 0;
}

int pop_revive_start(struct pop_revive *r, struct err *err)
{
    r->batch = store_batch_new(r->b->store);
    if (r->batch == NULL)
        return err_set(err, ENOMEM, "out of memory for reviving messages");
    int e = thread_start(&r->thread, "pop-revive", run, r);
    return e < 0 ? err_sys(err, -e, "cannot start the thread that revives messages") : 0;
}

void pop_revive_stop(struct pop_revive *r)
{
    if (r == NULL || !r->thread.running)
        return;
    atomic_store(&r->stopping, true);
    waker_wake(&r->waker);
    thread_join(&r->thread);
}

void pop_revive_free(struct pop_revive *r)
{
    if (r == NULL)
        return;
    pop_revive_stop(r);
    map_free(&r->open, free);
    store_batch_free(r->batch);
    buf_free(&r->key);
    buf_free(&r->record);
    buf_free(&r->body);
    buf_free(&r->properties);
    buf_free(&r->topic);
    arena_free(&r->arena);
    waker_free(&r->waker);
    free(r);
}
