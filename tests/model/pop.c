/* Consumers that pop: handles, acknowledgements, other times of invisibility, what comes again. */
#include "ops.h"

enum { SHORT_MS = 10000, SPAN_MS = 60000, LONG_MS = 20000, BATCH_ACKS = 8 };
static const char group[] = "GPOP", topic[] = "T";

/* ---- what a pop gives ---- */

/* The next of the parts of startOffsetInfo or msgOffsetInfo: "kind queue rest". */
static bool next_part(struct str *rest, int32_t *kind, int *queue, struct str *value)
{
    struct str part, number;
    int32_t q = -1;
    if (!str_split(rest, ';', &part) || part.len == 0)
        return false;
    *kind = -1;
    if (str_split(&part, ' ', &number))
        str_to_i32(number, kind);
    if (str_split(&part, ' ', &number))
        str_to_i32(number, &q);
    *queue = q;
    *value = part;
    return true;
}

/* A message that comes again: an earlier delivery of it was not acknowledged in time. */
static void comes_again(struct clients *c, int id)
{
    for (int i = 0; i < c->delivery_count; i++) {
        struct delivery *d = &c->deliveries[i];
        if (d->id == id && !d->acked && d->again <= d->spare && d->pop_time + d->invisible <= clock_wall_ms()) {
            d->again++;
            return;
        }
    }
    CHECK(c->w, c->lost_pops || c->m->clock_went_back, "message %d was popped again though nothing failed", id);
}

static void deliver(struct clients *c, int peer, struct delivery d, const struct msg_view *v)
{
    d.id = model_id(c->m, v->m.body);
    model_given(c->m, d.id, group);
    if (d.kind == 0) {
        model_seen(c->m, TOPIC_T, d.queue, d.offset, d.id);
        /* A clock that went back hides which of the saved offset and the checkpoint is newer. */
        CHECK(c->w, !c->given[d.queue][d.offset] || c->m->clock_went_back,
              "offset %" PRId64 " of T-%d (message %d) was popped twice", d.offset, d.queue, d.id);
        c->given[d.queue][d.offset] = true;
    } else {
        comes_again(c, d.id);
    }
    CHECK(c->w, c->delivery_count < DELIVERIES_MAX, "the test has too many deliveries");
    c->deliveries[c->delivery_count++] = d;
    SAY(c->w, "peer %d popped %d: kind %d queue %d offset %" PRId64, peer, d.id, d.kind, d.queue, d.offset);
}

static int take_messages(struct clients *c, int peer)
{
    const struct rem_command *a = &c->w->peers[peer].answer;
    struct str starts = rem_ext(a, "startOffsetInfo"), offsets = rem_ext(a, "msgOffsetInfo"), body = a->body, start,
               list;
    struct delivery d = {.pop_time = peer_number(c->w, peer, "popTime"),
                         .invisible = peer_number(c->w, peer, "invisibleTime"),
                         .revive_queue = (int32_t)peer_number(c->w, peer, "reviveQid")};
    int32_t kind;
    int queue, n = 0;
    while (next_part(&starts, &d.kind, &d.queue, &start)) {
        CHECK(c->w, next_part(&offsets, &kind, &queue, &list) && kind == d.kind && queue == d.queue,
              "the parts of a pop's answer do not agree");
        CHECK(c->w, str_to_i64(start, &d.start), "a pop's answer has a start \"%.*s\"", STR_ARG(start));
        for (struct str one; str_split(&list, ',', &one);) {
            struct msg_view v;
            CHECK(c->w, str_to_i64(one, &d.offset), "a pop's answer has an offset \"%.*s\"", STR_ARG(one));
            CHECK(c->w, msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK,
                  "a pop's answer has fewer messages than offsets");
            body = str_skip(body, v.size);
            deliver(c, peer, d, &v);
            n++;
        }
    }
    CHECK(c->w, body.len == 0, "a pop's answer has more messages than offsets");
    return n;
}

static void send_pop(struct clients *c, int peer, int max, int64_t invisible, int64_t poll)
{
    peer_send(c->w, peer, REQ_POP_MESSAGE, 0, STR_NULL,
              (const char *const[]){"consumerGroup",
                                    group,
                                    "topic",
                                    topic,
                                    "queueId",
                                    "-1",
                                    "maxMsgNums",
                                    text_of(max),
                                    "invisibleTime",
                                    text_of(invisible),
                                    "pollTime",
                                    text_of(poll),
                                    "bornTime",
                                    text_of(clock_wall_ms()),
                                    "initMode",
                                    "0",
                                    "exp",
                                    "*",
                                    "expType",
                                    "TAG",
                                    "order",
                                    "false",
                                    NULL});
}

static int take_pop(struct clients *c, int peer, int32_t code)
{
    if (code == NO_ANSWER) {
        c->lost_pops++;
        return 0;
    }
    CHECK(c->w, code == RESP_SUCCESS || code == RESP_POLLING_TIMEOUT || code == RESP_POLLING_FULL,
          "a pop is answered with %d: %.*s", code, STR_ARG(c->w->peers[peer].answer.remark));
    return code == RESP_SUCCESS ? take_messages(c, peer) : 0;
}

static int pop(struct clients *c, int max, int64_t invisible)
{
    int peer = (int)dice(c->w, PEERS);
    if (world_dead(c->w))
        return 0;
    send_pop(c, peer, max, invisible, 0);
    return take_pop(c, peer, peer_answer(c->w, peer));
}

void op_pop(struct clients *c)
{
    pop(c, 1 + (int)dice(c->w, 8), SHORT_MS + (int64_t)dice(c->w, SPAN_MS));
}

/* A pop that waits is answered by the message it waits for. */
void op_long_pop(struct clients *c)
{
    for (int i = 0; i < 20 && !world_dead(c->w); i++)
        pop(c, 32, SPAN_MS);
    if (world_dead(c->w))
        return;
    send_pop(c, 3, 1, SPAN_MS, LONG_MS);
    int32_t code = peer_poll(c->w, 3);
    if (code != NO_ANSWER) { /* there was more than the pops above took */
        take_pop(c, 3, code);
        return;
    }
    struct buf properties = {0};
    int id = model_new(c->m, PLAIN, TOPIC_T, (int)dice(c->w, (uint64_t)topic_facts[TOPIC_T].queues), 0);
    send_request(c, 0, id, &properties, 0);
    bool stored = send_answered(c, 0, id, peer_answer(c->w, 0));
    int n = stored ? take_pop(c, 3, peer_answer(c->w, 3)) : take_pop(c, 3, NO_ANSWER);
    CHECK(c->w, n == 1 || world_dead(c->w), "a waiting pop got %d messages when one was sent", n);
}

/* ---- acknowledgements ---- */

static const char *topic_of(const struct clients *c, const struct delivery *d)
{
    return d->kind == 0 ? topic : d->kind == 2 ? "%RETRY%GPOP+T" : "%RETRY%GPOP_T";
}

static void handle_of(const struct delivery *d, char out[200])
{
    snprintf(out, 200, "%" PRId64 " %" PRId64 " %" PRId64 " %d %d broker-a %d %" PRId64, d->start, d->pop_time,
             d->invisible, d->revive_queue, d->kind, d->queue, d->offset);
}

/* In time: a little before the broker gives up on it. */
static bool is_open(const struct delivery *d)
{
    return !d->acked && !d->unsure && !d->again && d->pop_time + d->invisible > clock_wall_ms();
}

static void ack(struct clients *c, struct delivery *d)
{
    char handle[200];
    int peer = (int)dice(c->w, PEERS);
    handle_of(d, handle);
    d->unsure = true;
    int32_t code = ASK(c->w, peer, REQ_ACK_MESSAGE, "consumerGroup", group, "topic", topic_of(c, d), "queueId",
                       text_of(d->queue), "offset", text_of(d->offset), "extraInfo", handle);
    SAY(c->w, "ack %d: %d", d->id, code);
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "the acknowledgement of message %d is refused with %d: %.*s", d->id, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    d->acked = true;
    d->unsure = false;
    c->m->messages[d->id].popped++;
}

static struct delivery *any_open(struct clients *c)
{
    if (c->delivery_count == 0)
        return NULL;
    int from = (int)dice(c->w, (uint64_t)c->delivery_count);
    for (int i = from; i < c->delivery_count; i++)
        if (is_open(&c->deliveries[i]))
            return &c->deliveries[i];
    return NULL;
}

void op_ack(struct clients *c)
{
    struct delivery *d = any_open(c);
    if (d)
        ack(c, d);
}

/* The messages of one part of one pop, as a bit set of their distances from its start. */
void op_ack_batch(struct clients *c)
{
    struct delivery *first = any_open(c), *taken[BATCH_ACKS];
    struct buf body = {0};
    uint8_t bits[8] = {0};
    int n = 0, peer = (int)dice(c->w, PEERS);
    if (first == NULL)
        return;
    for (int i = 0; i < c->delivery_count && n < BATCH_ACKS; i++) {
        struct delivery *d = &c->deliveries[i];
        int64_t bit = d->offset - d->start;
        if (!is_open(d) || d->kind != first->kind || d->queue != first->queue || d->start != first->start ||
            d->pop_time != first->pop_time || d->revive_queue != first->revive_queue || bit >= 64 || dice(c->w, 4) == 0)
            continue;
        bits[bit / 8] |= (uint8_t)(1 << bit % 8);
        taken[n++] = d;
        d->unsure = true;
    }
    if (n == 0)
        return;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char base64[16] = "";
    for (int i = 0; i < 9; i += 3) {
        uint32_t word =
            (uint32_t)bits[i] << 16 | (i + 1 < 8 ? (uint32_t)bits[i + 1] << 8 : 0) | (i + 2 < 8 ? bits[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            base64[i / 3 * 4 + k] = digits[word >> (18 - 6 * k) & 63];
    }
    base64[11] = '=';
    buf_printf(&body,
               "{\"brokerName\":\"broker-a\",\"acks\":[{\"c\":\"%s\",\"t\":\"%s\",\"r\":\"%d\",\"so\":%" PRId64
               ",\"q\":%d,\"rq\":%d,\"pt\":%" PRId64 ",\"it\":%" PRId64 ",\"b\":\"%s\"}]}",
               group, topic, first->kind, first->start, first->queue, first->revive_queue, first->pop_time,
               first->invisible, base64);
    int32_t code = ASK_BODY(c->w, peer, REQ_BATCH_ACK_MESSAGE, buf_str(&body), NULL);
    buf_free(&body);
    for (int i = 0; i < n; i++)
        SAY(c->w, "ack %d with %d others: %d", taken[i]->id, n - 1, code);
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "acknowledging %d messages is refused with %d: %.*s", n, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    for (int i = 0; i < n; i++) {
        taken[i]->acked = true;
        taken[i]->unsure = false;
        c->m->messages[taken[i]->id].popped++;
    }
}

/* The message gets another time, and another handle. */
void op_change(struct clients *c)
{
    char handle[200];
    struct delivery *d = any_open(c);
    int peer = (int)dice(c->w, PEERS);
    int64_t invisible = dice(c->w, 3) == 0 ? 1000 : SHORT_MS + (int64_t)dice(c->w, SPAN_MS);
    if (d == NULL)
        return;
    handle_of(d, handle);
    d->unsure = true;
    int32_t code =
        ASK(c->w, peer, REQ_CHANGE_MESSAGE_INVISIBLETIME, "consumerGroup", group, "topic", topic_of(c, d), "queueId",
            text_of(d->queue), "offset", text_of(d->offset), "extraInfo", handle, "invisibleTime", text_of(invisible));
    SAY(c->w, "another time for %d: %d", d->id, code);
    if (code == NO_ANSWER) {
        c->lost_pops++;
        return;
    }
    CHECK(c->w, code == RESP_SUCCESS, "another time for message %d is refused with %d: %.*s", d->id, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    struct delivery other = *d;
    d->acked = true; /* this handle is done with */
    d->unsure = false;
    other.unsure = false;
    other.start = d->offset;
    other.pop_time = peer_number(c->w, peer, "popTime");
    other.invisible = peer_number(c->w, peer, "invisibleTime");
    other.revive_queue = (int32_t)peer_number(c->w, peer, "reviveQid");
    CHECK(c->w, c->delivery_count < DELIVERIES_MAX, "the test has too many deliveries");
    c->deliveries[c->delivery_count++] = other;
}

void pop_died(struct clients *c)
{
    /* A write that was torn in its middle has the message that is to be given again and not that this is done. */
    for (int i = 0; i < c->delivery_count; i++)
        if (!c->deliveries[i].acked)
            c->deliveries[i].spare++;
}

/* ---- the end ---- */

bool pop_all(struct clients *c)
{
    bool any = false;
    for (int empty = 0; empty < 8 && !world_dead(c->w);) {
        int from = c->delivery_count;
        empty = pop(c, 32, SPAN_MS) ? 0 : empty + 1;
        any |= c->delivery_count > from;
        for (int i = from; i < c->delivery_count && !world_dead(c->w); i++)
            ack(c, &c->deliveries[i]);
    }
    return any;
}

void pop_final(struct clients *c)
{
    for (int q = 0; q < topic_facts[TOPIC_T].queues; q++) {
        for (int64_t at = 0; at < c->m->end[TOPIC_T][q]; at++) {
            int id = c->m->place[TOPIC_T][q][at] - 1;
            CHECK(c->w, c->given[q][at] || c->lost_pops, "offset %" PRId64 " of T-%d (message %d) was never popped", at,
                  q, id);
            bool unsure = false;
            for (int i = 0; i < c->delivery_count; i++)
                unsure |= c->deliveries[i].id == id && c->deliveries[i].unsure;
            CHECK(c->w, c->m->messages[id].popped || unsure || c->lost_pops,
                  "message %d was popped, never acknowledged, and did not come again", id);
        }
    }
}
