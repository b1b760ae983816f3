/* Storing messages whose time has come, or that roll on. */
#include "broker/timer/timer_int.h"

#include "base/javahash.h"
#include "base/log.h"
#include "broker/send/send.h"
#include "os/clock.h"

enum { RETRY_MS = 1000 };

void timer_look(struct str properties, struct timer_seen *s)
{
    struct str name, value;
    *s = (struct timer_seen){.real_qid = -1};
    while (msg_property_next(&properties, &name, &value)) {
        switch (name.ptr[0]) {
        case 'R':
            if (str_eqz(name, MSG_PROP_REAL_TOPIC))
                s->real_topic = value;
            else if (str_eqz(name, MSG_PROP_REAL_QID) && !str_to_i32(value, &s->real_qid))
                s->real_qid = -1;
            break;
        case 'U':
            if (str_eqz(name, MSG_PROP_UNIQ_KEY))
                s->uniq_key = value;
            break;
        case 'T':
            if (str_eqz(name, MSG_PROP_TAGS))
                s->tags = value;
            else if (str_eqz(name, MSG_PROP_TIMER_OUT_MS))
                s->has_out = str_to_i64(value, &s->out_ms);
            else if (str_eqz(name, MSG_PROP_TIMER_DEL_UNIQKEY))
                s->delete_key = value;
            else if (str_eqz(name, MSG_PROP_TIMER_ENQUEUE_MS) || str_eqz(name, MSG_PROP_TIMER_DEQUEUE_MS))
                s->stamped = true;
            else if (str_eqz(name, MSG_PROP_TIMER_ROLL_TIMES))
                s->stamped = str_to_i32(value, &s->rolls) || true;
            break;
        default:
            break;
        }
    }
}

enum timer_added timer_leave_out(int64_t physical_offset, const char *why)
{
    LOG_LIMITED(LOG_ERROR, "broker", "leaving out the timed message at %lld of the log: %s", (long long)physical_offset,
                why);
    return TIMER_LEFT_OUT;
}

static void add_number(struct buf *out, struct str name, int64_t value)
{
    char number[24];
    msg_property_add(out, name, str_make(number, fmt_i64(number, value)));
}

/* REAL_TOPIC and REAL_QID stay, as in Java. */
static struct str stamped(struct timer *t, const struct msg_view *v, const struct timer_seen *s, int64_t enqueue_ms,
                          bool roll)
{
    static const struct str replaced[] = {
        {MSG_PROP_TIMER_ENQUEUE_MS, sizeof MSG_PROP_TIMER_ENQUEUE_MS - 1},
        {MSG_PROP_TIMER_DEQUEUE_MS, sizeof MSG_PROP_TIMER_DEQUEUE_MS - 1},
        {MSG_PROP_TIMER_ROLL_TIMES, sizeof MSG_PROP_TIMER_ROLL_TIMES - 1},
    };
    struct buf *out = &t->properties;
    buf_clear(out);
    if (s->stamped)
        msg_properties_without(out, v->m.properties, replaced, sizeof replaced / sizeof replaced[0]);
    else
        buf_add_str(out, v->m.properties);
    if (out->len && out->data[out->len - 1] != 2)
        buf_add_byte(out, 2);
    add_number(out, STR_LIT(MSG_PROP_TIMER_ENQUEUE_MS), enqueue_ms);
    add_number(out, STR_LIT(MSG_PROP_TIMER_DEQUEUE_MS), clock_wall_ms());
    if (roll || s->rolls > 0)
        add_number(out, STR_LIT(MSG_PROP_TIMER_ROLL_TIMES), s->rolls + roll);
    return buf_str(out);
}

static struct topic *topic_of(struct timer *t, struct str name)
{
    if (t->last_topic == NULL || !str_eq(t->last_topic->name, name) || atomic_load(&t->last_topic->deleted))
        t->last_topic = topic_find(t->b->topics, name);
    return t->last_topic;
}

enum timer_added timer_put_add(struct timer *t, const struct msg_view *v, const struct timer_seen *s,
                               int64_t enqueue_ms, bool roll, size_t index, size_t *bytes)
{
    struct broker *b = t->b;
    struct store_msg put = {.m = v->m};
    if (!roll && s->delete_key.len)
        return TIMER_LEFT_OUT; /* it came too late to take anything back */
    if (s->real_topic.len == 0 || s->real_qid < 0 || s->real_qid >= TOPIC_MAX_QUEUES)
        return timer_leave_out(v->m.physical_offset, "it does not say where it belongs");
    if (!roll) {
        put.m.topic = s->real_topic;
        put.m.queue_id = s->real_qid;
    }
    put.m.properties = stamped(t, v, s, enqueue_ms, roll);
    put.m.prepared_transaction_offset = 0;
    struct topic *topic = topic_of(t, put.m.topic);
    put.queue = topic ? topic_queue(b->topics, topic, put.m.queue_id) : NULL;
    /* Also when its topic is gone or has fewer queues by now: the message stays, as in Java. */
    if (put.queue == NULL)
        put.queue = store_queue(b->store, put.m.topic, put.m.queue_id, true);
    put.tags_code = s->tags.len ? java_hash(s->tags) : 0;
    if (put.queue == NULL || !buf_ok(&t->properties))
        return TIMER_REFUSED;
    enum put_status status = store_batch_add(t->batch, &put, (void *)(uintptr_t)index);
    if (status == PUT_MESSAGE_ILLEGAL || status == PUT_PROPERTIES_SIZE_EXCEEDED)
        return timer_leave_out(v->m.physical_offset, "the store does not take such a message");
    if (status != PUT_OK)
        return TIMER_REFUSED;
    *bytes += v->size;
    if (topic)
        topic_count_put(b->stats, topic, 1, v->size);
    return TIMER_ADDED;
}

struct outcome {
    size_t failed_at, stored;
    int64_t end;
};

static void put_done(void *arg, void *user, const struct put_result *r)
{
    struct outcome *o = arg;
    size_t index = (size_t)(uintptr_t)user;
    if (r->status != PUT_OK) {
        o->failed_at = index < o->failed_at ? index : o->failed_at;
        return;
    }
    o->stored++;
    o->end = r->end_offset > o->end ? r->end_offset : o->end;
}

size_t timer_put_commit(struct timer *t)
{
    struct outcome o = {.failed_at = SIZE_MAX};
    store_batch_commit(t->batch, put_done, &o);
    if (o.end > t->touched_end)
        t->touched_end = o.end;
    t->dequeued += (int64_t)o.stored;
    if (o.failed_at != SIZE_MAX) {
        LOG_LIMITED(LOG_WARN, "broker", "timed messages cannot be delivered now, trying again: %zu stored of a round",
                    o.stored);
        t->retry_ms = clock_mono_ms() + RETRY_MS;
    }
    return o.failed_at;
}

/* ---- tally ---- */

static size_t tally_topic(struct timer_tally *y, struct str topic)
{
    for (size_t i = y->n_topics; i-- > 0;)
        if (str_eq(str_make(y->names.data + y->topics[i].at, y->topics[i].len), topic))
            return i;
    if (y->n_topics == sizeof y->topics / sizeof y->topics[0])
        return SIZE_MAX;
    y->topics[y->n_topics].at = y->names.len;
    y->topics[y->n_topics].len = topic.len;
    y->topics[y->n_topics].n = 0;
    buf_add_str(&y->names, topic);
    return y->n_topics++;
}

void timer_tally_add(struct timer *t, struct str topic, size_t index, int32_t n)
{
    struct timer_tally *y = &t->tally;
    size_t i = tally_topic(y, topic);
    if (i == SIZE_MAX || y->n_items == TIMER_BATCH) {
        timer_metrics_add(t->metrics, topic, n, clock_wall_ms());
        return;
    }
    y->items[y->n_items].index = (uint32_t)index;
    y->items[y->n_items].topic = (uint8_t)i;
    y->items[y->n_items++].n = n;
}

void timer_tally_apply(struct timer *t, size_t below)
{
    struct timer_tally *y = &t->tally;
    int64_t now = y->n_items ? clock_wall_ms() : 0;
    for (size_t i = 0; i < y->n_items; i++)
        if (y->items[i].index < below)
            y->topics[y->items[i].topic].n += y->items[i].n;
    for (size_t i = 0; buf_ok(&y->names) && i < y->n_topics; i++)
        if (y->topics[i].n)
            timer_metrics_add(t->metrics, str_make(y->names.data + y->topics[i].at, y->topics[i].len), y->topics[i].n,
                              now);
    y->n_topics = y->n_items = 0;
    buf_clear(&y->names);
}
