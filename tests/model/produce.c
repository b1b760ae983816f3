/* Sends of all kinds. */
#include "ops.h"

enum { MANY = PEERS, BATCH = 4, LEVELS = 4 };

/* The first levels of the default configuration. */
static const int64_t level_ms[LEVELS + 1] = {0, 1000, 5000, 10000, 30000};

void send_request(struct clients *c, int peer, int id, struct buf *properties, int32_t sys_flag)
{
    char body[BODY_MAX];
    const struct message *x = &c->m->messages[id];
    model_properties(properties, id);
    buf_add_byte(properties, '\0');
    CHECK(c->w, buf_ok(properties), "out of memory");
    peer_send(c->w, peer, REQ_SEND_MESSAGE_V2, 0, model_body(id, body),
              (const char *const[]){"a", "PG",
                                    "b", topic_facts[x->topic].name,
                                    "c", "TBW102",
                                    "d", "4",
                                    "e", text_of(x->queue),
                                    "f", text_of(sys_flag),
                                    "g", text_of(clock_wall_ms()),
                                    "h", "0",
                                    "i", (const char *)properties->data,
                                    "j", "0",
                                    "k", "false",
                                    "m", "false",
                                    NULL});
    buf_free(properties);
}

bool send_answered(struct clients *c, int peer, int id, int32_t code)
{
    struct message *x = &c->m->messages[id];
    if (code == NO_ANSWER)
        return false;
    CHECK(c->w, code == RESP_SUCCESS, "message %d is refused with %d: %.*s", id, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    x->stored = true;
    if (x->kind == PLAIN || x->kind == ORDERED)
        x->offset = peer_number(c->w, peer, "queueOffset");
    return true;
}

static int any_peer(struct clients *c)
{
    return (int)dice(c->w, PEERS);
}

static int any_queue(struct clients *c, enum topic_id t)
{
    return (int)dice(c->w, (uint64_t)topic_facts[t].queues);
}

static bool send_one(struct clients *c, int id, struct buf *properties)
{
    int peer = any_peer(c);
    send_request(c, peer, id, properties, 0);
    bool stored = send_answered(c, peer, id, peer_answer(c->w, peer));
    SAY(c->w, "send %d kind %d to %s-%d: %s", id, c->m->messages[id].kind, topic_facts[c->m->messages[id].topic].name,
        c->m->messages[id].queue, stored ? "stored" : "no answer");
    return stored;
}

void op_send(struct clients *c)
{
    struct buf properties = {0};
    send_one(c, model_new(c->m, PLAIN, TOPIC_T, any_queue(c, TOPIC_T), 0), &properties);
}

void op_send_many(struct clients *c)
{
    int first = c->m->count;
    for (int i = 0; i < MANY; i++) {
        struct buf properties = {0};
        send_request(c, i, model_new(c->m, PLAIN, TOPIC_T, any_queue(c, TOPIC_T), 0), &properties, 0);
    }
    for (int i = 0; i < MANY; i++)
        send_answered(c, i, first + i, peer_answer(c->w, i));
    SAY(c->w, "send %d to %d at once", first, first + MANY - 1);
}

void op_send_ordered(struct clients *c)
{
    struct buf properties = {0};
    send_one(c, model_new(c->m, ORDERED, TOPIC_O, any_queue(c, TOPIC_O), 0), &properties);
}

/* Body of a batch: length, magic code, CRC, flag, body, properties of each. */
static void add_to_batch(struct buf *out, int id)
{
    char text[BODY_MAX];
    struct buf properties = {0};
    struct str body = model_body(id, text);
    model_properties(&properties, id);
    buf_add_be32(out, (uint32_t)(4 + 4 + 4 + 4 + 4 + body.len + 2 + properties.len));
    buf_add_be32(out, 0);
    buf_add_be32(out, 0);
    buf_add_be32(out, 0);
    buf_add_be32(out, (uint32_t)body.len);
    buf_add_str(out, body);
    buf_add_be16(out, (uint16_t)properties.len);
    buf_add_str(out, buf_str(&properties));
    buf_free(&properties);
}

void op_send_batch(struct clients *c)
{
    struct buf body = {0};
    int queue = any_queue(c, TOPIC_T), peer = any_peer(c), first = c->m->count;
    for (int i = 0; i < BATCH; i++)
        add_to_batch(&body, model_new(c->m, PLAIN, TOPIC_T, queue, 0));
    int32_t code = ASK_BODY(c->w, peer, REQ_SEND_BATCH_MESSAGE, buf_str(&body), "a", "PG", "b", "T", "c", "TBW102", "d",
                            "4", "e", text_of(queue), "f", "0", "g", text_of(clock_wall_ms()), "h", "0", "j", "0", "k",
                            "false", "m", "true");
    buf_free(&body);
    SAY(c->w, "send %d to %d in a batch to T-%d: %d", first, first + BATCH - 1, queue, code);
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "a batch is refused with %d: %.*s", code,
          STR_ARG(c->w->peers[peer].answer.remark));
    int64_t offset = peer_number(c->w, peer, "queueOffset");
    for (int i = 0; i < BATCH; i++) {
        c->m->messages[first + i].stored = true;
        c->m->messages[first + i].offset = offset + i;
    }
}

void op_send_level(struct clients *c)
{
    struct buf properties = {0};
    int level = 1 + (int)dice(c->w, LEVELS);
    buf_printf(&properties, "DELAY\001%d\002", level);
    send_one(c, model_new(c->m, LEVEL, TOPIC_T, any_queue(c, TOPIC_T), clock_wall_ms() + level_ms[level]), &properties);
}

void op_send_timed(struct clients *c)
{
    struct buf properties = {0};
    /* Some at the same time, so that a slot of the wheel has several. */
    int64_t delay = dice(c->w, 2) ? 5000 + 1000 * (int64_t)dice(c->w, 5) : 1100 + (int64_t)dice(c->w, 90000);
    int64_t due = clock_wall_ms() + delay;
    if (dice(c->w, 2)) {
        due -= due % 1000;
        buf_printf(&properties, "TIMER_DELIVER_MS\001%" PRId64 "\002", due);
    } else {
        buf_printf(&properties, "TIMER_DELAY_MS\001%" PRId64 "\002", delay);
    }
    int id = model_new(c->m, TIMED, TOPIC_T, any_queue(c, TOPIC_T), due);
    struct message *x = &c->m->messages[id];
    int peer = any_peer(c);
    send_request(c, peer, id, &properties, 0);
    bool stored = send_answered(c, peer, id, peer_answer(c->w, peer));
    SAY(c->w, "send %d to T-%d for %" PRId64 ": %s", id, x->queue, due, stored ? "stored" : "no answer");
    if (!stored)
        return;
    struct str handle = rem_ext(&c->w->peers[peer].answer, "recallHandle");
    CHECK(c->w, handle.len && handle.len < sizeof x->handle, "a timed message has no handle");
    snprintf(x->handle, sizeof x->handle, "%.*s", STR_ARG(handle));
}

void op_recall(struct clients *c)
{
    int peer = any_peer(c), id = -1;
    for (int i = c->m->count - 1; i >= 0 && id < 0; i--) {
        const struct message *x = &c->m->messages[i];
        if (x->handle[0] && !x->withdrawing && x->not_before > clock_wall_ms() + 2000 && dice(c->w, 3) == 0)
            id = i;
    }
    if (id < 0)
        return;
    struct message *x = &c->m->messages[id];
    x->withdrawing = true;
    int32_t code = ASK(c->w, peer, REQ_RECALL_MESSAGE, "producerGroup", "PG", "topic", "T", "recallHandle", x->handle);
    SAY(c->w, "recall %d: %d", id, code);
    CHECK(c->w, code == RESP_SUCCESS || code == NO_ANSWER, "the recall of message %d is refused with %d: %.*s", id,
          code, STR_ARG(c->w->peers[peer].answer.remark));
    /* The timer learns of it within a tenth of a second. One that dies before, and wakes up only after the message's
     * time, delivers it, as Java's does. */
    if (code == RESP_SUCCESS)
        world_pass(c->w, 100);
    x->withdrawn = code == RESP_SUCCESS && !world_dead(c->w);
}
