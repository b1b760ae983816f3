/* A consumer that pops in order: a queue gives nothing more until all that it gave is acknowledged, or its time over.
 */
#include "ops.h"

enum { INVISIBLE_MS = 30000, ORDER_QUEUE = 999 };
static const char group[] = "GORDERPOP", topic[] = "O";

static void take_part(struct clients *c, int queue, int64_t first, int64_t end, int64_t pop_time)
{
    struct ordered_queue *q = &c->ordered[queue];
    int64_t now = clock_wall_ms();
    SAY(c->w, "%s was given O-%d from %" PRId64 " to %" PRId64, group, queue, first, end - 1);
    CHECK(c->w, first <= q->done, "%s was given offset %" PRId64 " of O-%d before %" PRId64 " was acknowledged", group,
          first, queue, q->done);
    if (!c->order_forgotten && !c->m->clock_went_back) {
        CHECK(c->w, first == q->done, "%s was given offset %" PRId64 " of O-%d again, which it had acknowledged", group,
              first, queue);
        CHECK(c->w, q->first >= q->end || now >= q->visible_at,
              "%s was given O-%d again while its messages from %" PRId64 " on are under way", group, queue, q->first);
    }
    for (int64_t at = first; at < end; at++)
        q->acked[at] = false;
    q->done = q->first = q->start = first;
    q->end = end;
    q->pop_time = pop_time;
    q->visible_at = now + INVISIBLE_MS;
}

/* Parts of an ordered pop: "0 queue offsets". */
static int take_messages(struct clients *c, int peer)
{
    const struct rem_command *a = &c->w->peers[peer].answer;
    struct str offsets = rem_ext(a, "msgOffsetInfo"), body = a->body, part, word;
    int64_t pop_time = peer_number(c->w, peer, "popTime");
    int n = 0;
    CHECK(c->w, peer_number(c->w, peer, "reviveQid") == ORDER_QUEUE, "an ordered pop has a revive queue");
    while (str_split(&offsets, ';', &part) && part.len) {
        int32_t queue = -1;
        int64_t first = -1, next = -1, at;
        CHECK(c->w, str_split(&part, ' ', &word) && str_eqz(word, "0"),
              "an ordered pop gives messages of a retry topic");
        CHECK(c->w, str_split(&part, ' ', &word) && str_to_i32(word, &queue) && queue >= 0 && queue < QUEUES_MAX,
              "an ordered pop names no queue");
        for (struct str one; str_split(&part, ',', &one); n++) {
            struct msg_view v;
            CHECK(c->w, str_to_i64(one, &at) && (next < 0 || at == next),
                  "an ordered pop passes over offset %" PRId64 " of O-%d", next, queue);
            CHECK(c->w, msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK,
                  "an ordered pop has fewer messages than offsets");
            body = str_skip(body, v.size);
            int id = model_id(c->m, v.m.body);
            model_seen(c->m, TOPIC_O, queue, at, id);
            model_given(c->m, id, group);
            first = first < 0 ? at : first;
            next = at + 1;
        }
        take_part(c, queue, first, next, pop_time);
    }
    return n;
}

static int pop(struct clients *c, int max)
{
    static int attempt;
    char id[24];
    int peer = (int)dice(c->w, PEERS);
    snprintf(id, sizeof id, "attempt-%d", attempt++);
    int32_t code = ASK(c->w, peer, REQ_POP_MESSAGE, "consumerGroup", group, "topic", topic, "queueId", "-1",
                       "maxMsgNums", text_of(max), "invisibleTime", text_of(INVISIBLE_MS), "pollTime", "0", "bornTime",
                       text_of(clock_wall_ms()), "initMode", "0", "order", "true", "attemptId", id);
    if (code == NO_ANSWER) {
        /* It may hold messages that nobody knows of. */
        c->order_forgotten = true;
        return 0;
    }
    CHECK(c->w, code == RESP_SUCCESS || code == RESP_POLLING_TIMEOUT || code == RESP_POLLING_FULL,
          "an ordered pop is answered with %d: %.*s", code, STR_ARG(c->w->peers[peer].answer.remark));
    return code == RESP_SUCCESS ? take_messages(c, peer) : 0;
}

void op_pop_ordered(struct clients *c)
{
    pop(c, 1 + (int)dice(c->w, 4));
}

static void ack(struct clients *c, int queue, int64_t at)
{
    char handle[200];
    struct ordered_queue *q = &c->ordered[queue];
    int peer = (int)dice(c->w, PEERS);
    snprintf(handle, sizeof handle, "%" PRId64 " %" PRId64 " %d %d 0 broker-a %d %" PRId64, q->start, q->pop_time,
             INVISIBLE_MS, ORDER_QUEUE, queue, at);
    int32_t code = ASK(c->w, peer, REQ_ACK_MESSAGE, "consumerGroup", group, "topic", topic, "queueId", text_of(queue),
                       "offset", text_of(at), "extraInfo", handle);
    SAY(c->w, "ack offset %" PRId64 " of O-%d: %d", at, queue, code);
    if (code == NO_ANSWER) {
        c->order_forgotten = true;
        return;
    }
    CHECK(c->w, code == RESP_SUCCESS || (code == RESP_MESSAGE_ILLEGAL && c->order_forgotten),
          "the acknowledgement of offset %" PRId64 " of O-%d is refused with %d: %.*s", at, queue, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    if (code != RESP_SUCCESS)
        return;
    q->acked[at] = true;
    while (q->done < q->end && q->acked[q->done])
        q->done++;
    q->first = q->done;
}

void op_ack_ordered(struct clients *c)
{
    int queue = (int)dice(c->w, (uint64_t)topic_facts[TOPIC_O].queues);
    struct ordered_queue *q = &c->ordered[queue];
    if (q->first >= q->end || clock_wall_ms() >= q->visible_at)
        return;
    int64_t at = q->first + (int64_t)dice(c->w, (uint64_t)(q->end - q->first));
    if (!q->acked[at])
        ack(c, queue, at);
}

void pop_ordered_died(struct clients *c)
{
    c->order_forgotten = true;
}

bool pop_ordered_all(struct clients *c)
{
    bool any = false;
    while (!world_dead(c->w) && pop(c, 16) > 0) {
        any = true;
        for (int i = 0; i < topic_facts[TOPIC_O].queues; i++)
            for (int64_t at = c->ordered[i].first; at < c->ordered[i].end && !world_dead(c->w); at++)
                if (!c->ordered[i].acked[at])
                    ack(c, i, at);
    }
    return any;
}

void pop_ordered_final(struct clients *c)
{
    for (int q = 0; q < topic_facts[TOPIC_O].queues; q++)
        CHECK(c->w, c->ordered[q].done == c->m->end[TOPIC_O][q],
              "%s has acknowledged O-%d up to %" PRId64 " of %" PRId64 " and is given no more", group, q,
              c->ordered[q].done, c->m->end[TOPIC_O][q]);
}
