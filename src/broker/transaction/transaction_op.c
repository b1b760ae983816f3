/*
 * Op messages: their body is the decimal queue offsets of half messages that are committed or rolled back, each
 * followed by a comma. Many ends share one op message: they wait in memory until they fill one or the interval is over.
 * Lost with the process they cost a question to a producer, no message.
 */
#include "base/log.h"
#include "broker/send/send.h"
#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include <stdlib.h>

enum {
    WAITING_MAX = 4000000, /* beyond, while the store takes no messages, the search finds them again */
    ROUND_MAX = 256,       /* op messages in one append */
};

static size_t text_size(int64_t offset)
{
    char number[24];
    return fmt_i64(number, offset) + 1;
}

/* Room for one more behind the last. */
static bool make_room(struct transaction_ops *o)
{
    if (o->first + o->count < o->cap)
        return true;
    if (o->first > o->cap / 2) {
        memmove(o->offsets, o->offsets + o->first, o->count * sizeof *o->offsets);
        o->first = 0;
        return true;
    }
    size_t cap = o->cap ? o->cap * 2 : 1024;
    int64_t *grown = o->count < WAITING_MAX ? realloc(o->offsets, cap * sizeof *grown) : NULL;
    if (grown == NULL)
        return false;
    o->offsets = grown;
    o->cap = cap;
    return true;
}

void transaction_op_add(struct transactions *t, int64_t half_offset)
{
    struct transaction_ops *o = &t->ops;
    pthread_mutex_lock(&o->lock);
    bool room = make_room(o);
    if (room) {
        o->offsets[o->first + o->count++] = half_offset;
        o->bytes += text_size(half_offset);
    }
    bool full = o->bytes > (size_t)t->b->conf->transaction_op_max_size;
    pthread_mutex_unlock(&o->lock);
    if (!room)
        LOG_LIMITED(LOG_ERROR, "broker", "the end of the half message at %lld is not noted down: too many wait",
                    (long long)half_offset);
    if (full)
        waker_wake(&t->op_waker);
}

bool transaction_op_waits(struct transactions *t, int64_t half_offset)
{
    struct transaction_ops *o = &t->ops;
    size_t i = 0;
    pthread_mutex_lock(&o->lock);
    while (i < o->count && o->offsets[o->first + i] != half_offset)
        i++;
    bool found = i < o->count;
    pthread_mutex_unlock(&o->lock);
    return found;
}

/* The next body, from the offsets behind those that are in the batch. False: not enough for a message. */
static bool take_body(struct transaction_ops *o, size_t max, bool all)
{
    char number[24];
    buf_clear(&o->text);
    pthread_mutex_lock(&o->lock);
    bool enough = all ? o->count > o->written : o->bytes - o->written_size >= max;
    while (enough && o->written < o->count && o->text.len < max) {
        buf_add(&o->text, number, fmt_i64(number, o->offsets[o->first + o->written]));
        buf_add_byte(&o->text, ',');
        o->written++;
    }
    pthread_mutex_unlock(&o->lock);
    o->written_size += o->text.len;
    return enough && buf_ok(&o->text);
}

static bool add_message(struct transactions *t, struct topic *topic)
{
    const struct broker *b = t->b;
    struct store_msg put = {
        .m = {.topic = topic->name,
              .body = buf_str(&t->ops.text),
              .properties = STR_LIT(MSG_PROP_WAIT "\1true\2" MSG_PROP_TAGS "\1" TRANSACTION_OP_TAG "\2"),
              .born_time = clock_wall_ms(),
              .born_host = b->store_host,
              .store_host = b->store_host},
        .queue = topic_queue(b->topics, topic, 0),
        .tags_code = TRANSACTION_OP_TAG[0],
    };
    return put.queue && store_batch_add(t->ops.batch, &put, topic) == PUT_OK;
}

static void put_done(void *arg, void *user, const struct put_result *r)
{
    struct transactions *t = arg;
    if (r->status == PUT_OK)
        topic_count_put(t->b->stats, user, 1, r->bytes);
    else
        t->ops.failed = true;
}

/* Writes some. True: there is more for at least one message. */
static bool write_some(struct transactions *t, struct topic *topic, bool all)
{
    struct transaction_ops *o = &t->ops;
    size_t max = (size_t)t->b->conf->transaction_op_max_size, messages = 0;
    bool more = true;
    o->written = o->written_size = 0;
    o->failed = false;
    while (messages < ROUND_MAX && !o->failed && (more = take_body(o, max, all))) {
        o->failed = !add_message(t, topic);
        messages++;
    }
    store_batch_commit(o->batch, put_done, t);
    if (o->failed) {
        /* Noted down twice is as good as once. */
        LOG_LIMITED(LOG_WARN, "broker", "ends of transactions cannot be noted down in %s now, they wait",
                    TRANSACTION_OP_TOPIC);
        return false;
    }
    pthread_mutex_lock(&o->lock);
    o->first += o->written;
    o->count -= o->written;
    o->bytes -= o->written_size;
    if (o->count == 0)
        o->first = 0;
    pthread_mutex_unlock(&o->lock);
    return more;
}

void transaction_op_flush(struct transactions *t, bool all)
{
    pthread_mutex_lock(&t->ops.writing);
    struct topic *topic = topic_find(t->b->topics, STR_LIT(TRANSACTION_OP_TOPIC));
    while (topic && write_some(t, topic, all))
        continue;
    pthread_mutex_unlock(&t->ops.writing);
}

bool transaction_op_next(struct str *rest, int64_t *half_offset)
{
    struct str piece;
    while (str_split(rest, ',', &piece))
        if (str_to_i64(piece, half_offset) && *half_offset >= 0)
            return true;
    return false;
}
