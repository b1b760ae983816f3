/*
 * Queue offsets inside of properties: INNER_BASE of a batch that is kept as one record, INNER_MULTI_QUEUE_OFFSET of a
 * message for light message queues. They are text and known only under the append lock, so a record is encoded with
 * room for the digits that it will have if nobody else appends; when a number got longer meanwhile, which is rare, the
 * batch is laid out anew.
 */
#include <stdlib.h>
#include <string.h>

#include "message/multi_dispatch.h"
#include "store/batch_int.h"

enum {
    SPARE_DIGITS = 2, /* a number of properties at their limit can still grow by this */
};

static uint32_t digits_of(int64_t n)
{
    uint32_t digits = 1;
    while (n >= 10) {
        n /= 10;
        digits++;
    }
    return digits;
}

/* Adds one number to the text, as wide as it is expected to be. */
static enum put_status add_number(struct store_batch *b, struct cq *q, bool entry)
{
    static const char zeros[BATCH_NUMBER_MAX] = "00000000000000000000";
    void *numbers = b->numbers, *queues = b->queues;
    bool ok = batch_grow(&numbers, &b->cap_numbers, b->n_numbers + 1, sizeof *b->numbers);
    b->numbers = numbers;
    ok = ok && batch_grow(&queues, &b->cap_queues, b->n_queues + 1, sizeof *b->queues);
    b->queues = queues;
    int32_t queue = ok ? batch_queue_index(b, q) : BATCH_NO_QUEUE;
    if (queue == BATCH_NO_QUEUE)
        return PUT_UNKNOWN_ERROR;
    struct batch_queue *bq = &b->queues[queue];
    uint32_t record = (uint32_t)b->n_records + 1;
    /* A queue named twice gets the message once. */
    bool again = entry && bq->last_record == record;
    struct batch_number n = {
        .pos = (uint32_t)b->text.len,
        .queue = queue,
        .nth = again ? bq->count - 1 : bq->count,
        .entry = entry && !again,
    };
    n.digits = digits_of(cq_next(q) + n.nth);
    if (n.entry) {
        bq->last_record = record;
        bq->count++;
    }
    b->numbers[b->n_numbers++] = n;
    buf_add(&b->text, zeros, n.digits);
    return PUT_OK;
}

/* The properties without `name`, and its beginning. */
static void begin_property(struct store_batch *b, struct str properties, struct str name)
{
    buf_clear(&b->text);
    properties = msg_properties_own(properties);
    if (str_is_null(msg_property(properties, name)))
        buf_add_str(&b->text, properties);
    else
        msg_properties_without(&b->text, properties, &name, 1);
    if (b->text.len && b->text.data[b->text.len - 1] != 2)
        buf_add_byte(&b->text, 2);
    buf_add_str(&b->text, name);
    buf_add_byte(&b->text, 1);
}

static enum put_status add_queues(struct store_batch *b, struct str names)
{
    struct str name;
    bool bad, more = false;
    while (msg_multi_next(&names, &name, &bad)) {
        struct cq *q = bad ? NULL : store_queue(b->s, name, MSG_LMQ_QUEUE_ID, true);
        if (bad)
            return PUT_MESSAGE_ILLEGAL;
        if (more)
            buf_add_byte(&b->text, ',');
        more = true;
        enum put_status status = q ? add_number(b, q, true) : PUT_UNKNOWN_ERROR;
        if (status != PUT_OK)
            return status;
    }
    return PUT_OK;
}

void batch_numbers_forget(struct store_batch *b, size_t first)
{
    while (b->n_numbers > first) {
        const struct batch_number *n = &b->numbers[--b->n_numbers];
        if (n->entry) {
            b->queues[n->queue].count--;
            b->queues[n->queue].last_record = 0;
        }
    }
}

enum put_status batch_numbers_prepare(struct store_batch *b, const struct store_msg *given, struct msg *m)
{
    size_t first = b->n_numbers;
    enum put_status status = PUT_OK;
    *m = given->m;
    if (given->batch_messages > 0 && (!store_is_queued(m->sys_flag) || !cq_is_batch(given->queue)))
        return PUT_MESSAGE_ILLEGAL;
    if (given->batch_messages > 0) {
        begin_property(b, m->properties, STR_LIT(MSG_PROP_INNER_BASE));
        status = add_number(b, given->queue, false);
    } else if (store_dispatches(b->s) && store_is_queued(m->sys_flag) && !cq_is_batch(given->queue)) {
        struct str names = msg_multi_names(m->topic, m->properties);
        if (names.len == 0)
            return PUT_OK;
        begin_property(b, m->properties, STR_LIT(MSG_PROP_MULTI_OFFSET));
        status = add_queues(b, names);
    } else {
        return PUT_OK;
    }
    buf_add_byte(&b->text, 2);
    m->properties = buf_str(&b->text);
    if (status == PUT_OK && !buf_ok(&b->text))
        status = PUT_UNKNOWN_ERROR;
    if (status == PUT_OK && m->properties.len + (b->n_numbers - first) * SPARE_DIGITS > MSG_PROPERTIES_MAX)
        status = PUT_PROPERTIES_SIZE_EXCEEDED;
    if (status != PUT_OK)
        batch_numbers_forget(b, first);
    return status;
}

void batch_numbers_place(struct store_batch *b, size_t first, uint32_t record, size_t encoded)
{
    uint32_t properties = (uint32_t)(encoded - b->text.len);
    for (size_t i = first; i < b->n_numbers; i++) {
        b->numbers[i].record = record;
        b->numbers[i].properties = properties;
        b->numbers[i].pos += properties;
    }
}

static int64_t value_of(const struct store_batch *b, const struct batch_number *n)
{
    return b->queues[n->queue].base + n->nth;
}

/* What the batch grows by (or shrinks: a queue was emptied meanwhile). */
static int64_t growth(const struct store_batch *b)
{
    int64_t more = 0, any = 0;
    for (size_t i = 0; i < b->n_numbers; i++) {
        int64_t d = (int64_t)digits_of(value_of(b, &b->numbers[i])) - b->numbers[i].digits;
        more += d;
        any |= d;
    }
    return any && more == 0 ? -1 : more;
}

/* Copies a record with all its numbers, which begin at *next, in their new widths; false: properties too long. */
static bool copy_record(struct store_batch *b, uint32_t record, size_t *next, uint8_t *to, size_t *len)
{
    struct batch_record *r = &b->records[record];
    const uint8_t *from = b->data + r->at;
    uint32_t done = 0, out = 0, properties = 0;
    for (; *next < b->n_numbers && b->numbers[*next].record == record; ++*next) {
        struct batch_number *n = &b->numbers[*next];
        memcpy(to + out, from + done, n->pos - done);
        out += n->pos - done;
        done = n->pos + n->digits;
        properties = n->properties;
        n->digits = digits_of(value_of(b, n));
        n->pos = out;
        out += n->digits;
    }
    memcpy(to + out, from + done, r->size - done);
    out += r->size - done;
    r->at = (uint32_t)*len;
    *len += out;
    if (out == r->size)
        return true;
    uint32_t text = get_be16(to + properties - 2) + out - r->size;
    r->size = out;
    put_be32(to, out);
    put_be16(to + properties - 2, (uint16_t)text);
    return text <= MSG_PROPERTIES_MAX;
}

static bool lay_out(struct store_batch *b)
{
    size_t cap = b->cap + b->n_numbers * BATCH_NUMBER_MAX, len = 0, next = 0;
    uint8_t *data = malloc(cap);
    bool ok = data != NULL;
    for (size_t i = 0; i < b->n_records && ok; i++)
        ok = copy_record(b, (uint32_t)i, &next, data + len, &len);
    if (!ok) {
        free(data);
        return false;
    }
    free(b->data);
    b->data = data;
    b->cap = cap;
    b->len = len;
    for (size_t i = 0; i < b->n_puts; i++) {
        struct batch_put *p = &b->puts[i];
        p->bytes = 0;
        for (uint32_t k = p->first; k < p->first + p->count; k++)
            p->bytes += b->records[k].size;
    }
    return true;
}

bool batch_numbers_fill(struct store_batch *b)
{
    if (growth(b) != 0 && !lay_out(b))
        return false;
    for (size_t i = 0; i < b->n_numbers; i++) {
        const struct batch_number *n = &b->numbers[i];
        char text[BATCH_NUMBER_MAX];
        fmt_i64(text, value_of(b, n));
        memcpy(b->data + b->records[n->record].at + n->pos, text, n->digits);
    }
    return true;
}
