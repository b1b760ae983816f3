#include "expect.h"

const struct topic_facts topic_facts[TOPICS] = {
    [TOPIC_T] = {"T", 3},
    [TOPIC_O] = {"O", 2},
    [TOPIC_RETRY] = {"%RETRY%GPULL", 1},
    [TOPIC_DLQ] = {"%DLQ%GPULL", 1},
};

int model_new(struct model *m, enum kind kind, enum topic_id topic, int queue, int64_t not_before)
{
    CHECK(m->w, m->count < MESSAGES_MAX, "the test has too many messages");
    m->messages[m->count] =
        (struct message){.kind = kind, .topic = topic, .queue = queue, .not_before = not_before, .offset = -1};
    return m->count++;
}

struct str model_body(int id, char out[BODY_MAX])
{
    int len = snprintf(out, BODY_MAX, "%d:", id), more = id * 37 % 100;
    memset(out + len, 'a' + id % 26, (size_t)more);
    return str_make(out, (size_t)(len + more));
}

void model_properties(struct buf *out, int id)
{
    buf_printf(out, "UNIQ_KEY\001key-%d\002TAGS\001%s\002", id, message_tagged(id) ? "A" : "B");
}

int model_id(struct model *m, struct str body)
{
    char expected[BODY_MAX];
    struct str number, rest = body;
    int32_t id = -1;
    CHECK(m->w, str_split(&rest, ':', &number) && str_to_i32(number, &id) && id >= 0 && id < m->count,
          "a message \"%.*s\" that nobody sent", STR_ARG(body));
    CHECK(m->w, str_eq(body, model_body(id, expected)), "message %d has another body: \"%.*s\"", id, STR_ARG(body));
    return id;
}

void model_seen(struct model *m, enum topic_id topic, int queue, int64_t offset, int id)
{
    const char *name = topic_facts[topic].name;
    CHECK(m->w, offset >= 0 && offset < PLACES_MAX, "offset %" PRId64 " of %s-%d", offset, name, queue);
    int32_t *place = &m->place[topic][queue][offset];
    if (*place) {
        CHECK(m->w, *place == id + 1, "message %d is at offset %" PRId64 " of %s-%d, where message %d was before", id,
              offset, name, queue, *place - 1);
        return;
    }
    struct message *x = &m->messages[id];
    *place = id + 1;
    if (offset >= m->end[topic][queue])
        m->end[topic][queue] = offset + 1;
    if (topic == TOPIC_RETRY || topic == TOPIC_DLQ) {
        CHECK(m->w, x->sent_back + x->maybe_sent_back > 0, "message %d is in %s, and nobody sent it back", id, name);
        CHECK(m->w, ++x->retries <= x->sent_back + x->maybe_sent_back || x->retry_may_repeat,
              "message %d was sent back %d times and is in the retry topics %d times", id, x->sent_back, x->retries);
        return;
    }
    CHECK(m->w, x->topic == topic && x->queue == queue, "message %d of %s-%d is in %s-%d", id,
          topic_facts[x->topic].name, x->queue, name, queue);
    CHECK(m->w, x->offset < 0 || x->offset == offset,
          "message %d is at offset %" PRId64 " of %s-%d, its acknowledgement said %" PRId64, id, offset, name, queue,
          x->offset);
    CHECK(m->w, ++x->copies == 1 || x->may_repeat || x->commits > 1, "message %d is there %d times", id, x->copies);
}

void model_given(struct model *m, int id, const char *to)
{
    const struct message *x = &m->messages[id];
    int64_t now = clock_wall_ms();
    CHECK(m->w, x->kind != HALF || x->committing, "%s was given message %d, which is not committed", to, id);
    /* A message that is late when the timer reads it goes straight to its topic, and its recall comes too late: when
     * the clock went back, and when the power failed before the timer's state was durable and the timer of the next
     * life ran only after the message's time. */
    CHECK(m->w, !x->withdrawn || (x->kind == TIMED && (m->clock_went_back || x->may_repeat || x->recall_may_fail)),
          "%s was given message %d, which was taken back", to, id);
    CHECK(m->w, now >= x->not_before || m->clock_went_back, "%s was given message %d %" PRId64 " ms before its time",
          to, id, x->not_before - now);
}

/* After a start the timer runs first after the clock was set ahead, at worst. */
enum { FIRST_TURN_MS = 31000 };

void model_died(struct model *m)
{
    int64_t latest = m->clock_went_back ? INT64_MAX - FIRST_TURN_MS : clock_wall_ms();
    for (int i = 0; i < m->count; i++) {
        struct message *x = &m->messages[i];
        x->may_repeat |= x->kind == HALF || (x->not_before && x->not_before <= latest);
        x->recall_may_fail |= x->not_before && x->not_before <= latest + FIRST_TURN_MS;
        x->retry_may_repeat |= x->sent_back + x->maybe_sent_back > 0;
    }
}

static void queue_is_whole(struct model *m, enum topic_id topic, int queue)
{
    int last = -1;
    for (int64_t at = 0; at < m->end[topic][queue]; at++) {
        int id = m->place[topic][queue][at] - 1;
        CHECK(m->w, id >= 0, "nobody has seen offset %" PRId64 " of %s-%d", at, topic_facts[topic].name, queue);
        if (m->messages[id].kind != ORDERED)
            continue;
        CHECK(m->w, id > last, "message %d is behind message %d in %s-%d", id, last, topic_facts[topic].name, queue);
        last = id;
    }
}

void model_final(struct model *m)
{
    for (enum topic_id t = 0; t < TOPICS; t++)
        for (int q = 0; q < topic_facts[t].queues; q++)
            queue_is_whole(m, t, q);
    for (int i = 0; i < m->count; i++) {
        const struct message *x = &m->messages[i];
        bool promised = x->stored && !x->withdrawing && (x->kind != HALF || x->committing);
        CHECK(m->w, x->copies || !promised, "message %d was acknowledged and is lost", i);
        CHECK(m->w, x->retries >= x->sent_back, "message %d was sent back %d times and came again %d times", i,
              x->sent_back, x->retries);
    }
}
