/* Consumers that read queues by offset: positions, locks, tags, sending back. */
#include "ops.h"

enum { SYS_SUSPEND = 2, SYS_SUBSCRIPTION = 4, LOCK_MS = 60000, LONG_MS = 15000, TRIES_MAX = 2 };

static struct reader *any_reader(struct clients *c)
{
    return &c->readers[dice(c->w, READERS)];
}

static int any_queue(struct clients *c, const struct reader *r)
{
    return (int)dice(c->w, (uint64_t)topic_facts[r->topic].queues);
}

/* ---- positions ---- */

static void commit(struct clients *c, struct reader *r, int queue)
{
    int peer = (int)dice(c->w, PEERS);
    int64_t offset = r->next[queue];
    if (offset > r->tried[queue])
        r->tried[queue] = offset;
    int32_t code = ASK(c->w, peer, REQ_UPDATE_CONSUMER_OFFSET, "consumerGroup", r->group, "topic",
                       topic_facts[r->topic].name, "queueId", text_of(queue), "commitOffset", text_of(offset));
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "offset %" PRId64 " of %s in %s-%d is refused with %d", offset, r->group,
          topic_facts[r->topic].name, queue, code);
    r->committed[queue] = offset;
}

void op_commit(struct clients *c)
{
    struct reader *r = any_reader(c);
    commit(c, r, any_queue(c, r));
}

/* Consumers begin where the broker says. */
static void look_up(struct clients *c, struct reader *r, int queue, bool clean)
{
    int64_t offset = 0;
    int32_t code = ASK(c->w, 0, REQ_QUERY_CONSUMER_OFFSET, "consumerGroup", r->group, "topic",
                       topic_facts[r->topic].name, "queueId", text_of(queue), "setZeroIfNotFound", "false");
    if (code == NO_ANSWER)
        return;
    if (code == RESP_SUCCESS)
        offset = peer_number(c->w, 0, "offset");
    CHECK(c->w, offset <= r->tried[queue], "%s stands at %" PRId64 " of %s-%d and never was behind %" PRId64, r->group,
          offset, topic_facts[r->topic].name, queue, r->tried[queue]);
    CHECK(c->w, !clean || offset >= r->committed[queue],
          "%s stands at %" PRId64 " of %s-%d after a clean stop and was at %" PRId64, r->group, offset,
          topic_facts[r->topic].name, queue, r->committed[queue]);
    r->next[queue] = r->committed[queue] = offset;
}

void pull_begin(struct clients *c, bool clean)
{
    for (int i = 0; i < READERS; i++) {
        struct reader *r = &c->readers[i];
        for (int q = 0; q < topic_facts[r->topic].queues; q++) {
            look_up(c, r, q, clean);
            r->holder[q] = -1;
            r->held_until[q] = 0;
        }
    }
}

/* ---- reading ---- */

static void send_back(struct clients *c, int id, const struct msg_view *v)
{
    struct message *x = &c->m->messages[id];
    char at[24];
    snprintf(at, sizeof at, "%" PRId64, v->m.physical_offset);
    x->maybe_sent_back++;
    int32_t code = ASK(c->w, 3, REQ_CONSUMER_SEND_MSG_BACK, "group", "GPULL", "offset", at, "delayLevel",
                       dice(c->w, 2) ? "1" : "0", "maxReconsumeTimes", text_of(TRIES_MAX));
    SAY(c->w, "send %d back: %d", id, code);
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "message %d cannot be sent back: %d", id, code);
    x->maybe_sent_back--;
    x->sent_back++;
}

struct to_send_back {
    int id;
    struct msg_view v;
};

/* The messages of an answer to peer 1 or 2; the answers to sending back come to peer 3. */
static int take_messages(struct clients *c, struct reader *r, int queue, struct str body, bool reject)
{
    struct msg_view v;
    const char *name = topic_facts[r->topic].name;
    int n = 0;
    for (; body.len; body = str_skip(body, v.size), n++) {
        CHECK(c->w, msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK, "a pull of %s gives no message",
              name);
        int id = model_id(c->m, v.m.body);
        int64_t at = v.m.queue_offset;
        CHECK(c->w, r->tagged ? at >= r->next[queue] : at == r->next[queue],
              "%s asked for offset %" PRId64 " of %s-%d and got %" PRId64, r->group, r->next[queue], name, queue, at);
        CHECK(c->w, !r->tagged || message_tagged(id), "%s wants tag A and got message %d", r->group, id);
        model_seen(c->m, r->topic, queue, at, id);
        model_given(c->m, id, r->group);
        r->seen[queue][at] = true;
        r->next[queue] = at + 1;
        if (reject && !world_dead(c->w) && dice(c->w, 12) == 0 && (r->topic == TOPIC_T || r->topic == TOPIC_RETRY) &&
            !r->tagged)
            send_back(c, id, &v);
    }
    return n;
}

static void send_pull(struct clients *c, struct reader *r, int queue, int peer, int count, bool suspend)
{
    peer_send(c->w, peer, REQ_PULL_MESSAGE, 0, STR_NULL,
              (const char *const[]){"consumerGroup",
                                    r->group,
                                    "topic",
                                    topic_facts[r->topic].name,
                                    "queueId",
                                    text_of(queue),
                                    "queueOffset",
                                    text_of(r->next[queue]),
                                    "maxMsgNums",
                                    text_of(count),
                                    "sysFlag",
                                    text_of(SYS_SUBSCRIPTION | (suspend ? SYS_SUSPEND : 0)),
                                    "commitOffset",
                                    "0",
                                    "suspendTimeoutMillis",
                                    suspend ? text_of(LONG_MS) : "0",
                                    "subscription",
                                    !r->tagged  ? "*"
                                    : c->w->sql ? MODEL_SQL
                                                : "A",
                                    "subVersion",
                                    "1",
                                    "expressionType",
                                    r->tagged && c->w->sql ? "SQL92" : "TAG",
                                    NULL});
}

/* How many messages came; the end of the queue is known when none did. */
static int take_pull(struct clients *c, struct reader *r, int queue, int peer, int32_t code, bool reject)
{
    const char *name = topic_facts[r->topic].name;
    int n = 0;
    if (code == NO_ANSWER)
        return 0;
    CHECK(c->w, code == RESP_SUCCESS || code == RESP_PULL_NOT_FOUND || code == RESP_PULL_RETRY_IMMEDIATELY,
          "a pull of %s-%d at %" PRId64 " is answered with %d: %.*s", name, queue, r->next[queue], code,
          STR_ARG(c->w->peers[peer].answer.remark));
    int64_t next = peer_number(c->w, peer, "nextBeginOffset");
    if (code == RESP_SUCCESS)
        n = take_messages(c, r, queue, c->w->peers[peer].answer.body, reject);
    if (r->tagged)
        CHECK(c->w, next >= r->next[queue], "a pull of %s-%d goes back to %" PRId64, name, queue, next);
    else if (code == RESP_SUCCESS)
        CHECK(c->w, next == r->next[queue], "a pull of %s-%d goes on at %" PRId64 " instead of %" PRId64, name, queue,
              next, r->next[queue]);
    if (r->tagged && next > r->next[queue])
        r->next[queue] = next;
    return n;
}

static int pull(struct clients *c, struct reader *r, int queue, int count, bool reject)
{
    int peer = 1 + (int)dice(c->w, 2);
    if (world_dead(c->w))
        return 0;
    send_pull(c, r, queue, peer, count, false);
    int n = take_pull(c, r, queue, peer, peer_answer(c->w, peer), reject);
    SAY(c->w, "%s pulls %s-%d: %d messages, goes on at %" PRId64, r->group, topic_facts[r->topic].name, queue, n,
        r->next[queue]);
    return n;
}

void op_pull(struct clients *c)
{
    struct reader *r = any_reader(c);
    int queue = any_queue(c, r);
    if (r->topic == TOPIC_O && r->holder[queue] < 0)
        return;
    pull(c, r, queue, 1 + (int)dice(c->w, 12), true);
    if (dice(c->w, 2) && !world_dead(c->w))
        commit(c, r, queue);
}

/* A pull that waits is answered by the message it waits for. */
void op_long_pull(struct clients *c)
{
    struct reader *r = &c->readers[0];
    int queue = any_queue(c, r);
    while (pull(c, r, queue, 32, false))
        ;
    if (world_dead(c->w))
        return;
    send_pull(c, r, queue, 2, 1, true);
    int32_t code = peer_poll(c->w, 2);
    if (code != NO_ANSWER) { /* a commit has just got there */
        CHECK(c->w, take_pull(c, r, queue, 2, code, false) > 0, "a pull at the end of a queue does not wait: %d", code);
        return;
    }
    struct buf properties = {0};
    int id = model_new(c->m, PLAIN, r->topic, queue, 0);
    send_request(c, 0, id, &properties, 0);
    if (!send_answered(c, 0, id, peer_answer(c->w, 0)))
        return;
    int n = take_pull(c, r, queue, 2, peer_answer(c->w, 2), false);
    SAY(c->w, "a waiting pull of T-%d got %d messages", queue, n);
    CHECK(c->w, n == 1 || world_dead(c->w), "a waiting pull got %d messages when one was sent", n);
}

/* ---- locks ---- */

/* Two clients of the group ask for the queue; one at most has it. */
void op_lock(struct clients *c)
{
    struct buf body = {0};
    struct reader *r = &c->readers[2];
    int queue = any_queue(c, r), peer = (int)dice(c->w, 2);
    bool release = dice(c->w, 4) == 0;
    buf_printf(&body,
               "{\"clientId\":\"c%d\",\"consumerGroup\":\"%s\",\"mqSet\":[{\"brokerName\":\"broker-a\",\"queueId\":%d,"
               "\"topic\":\"%s\"}]}",
               peer, r->group, queue, topic_facts[r->topic].name);
    int32_t code = ASK_BODY(c->w, peer, release ? REQ_UNLOCK_BATCH_MQ : REQ_LOCK_BATCH_MQ, buf_str(&body), NULL);
    buf_free(&body);
    if (code == NO_ANSWER)
        return;
    CHECK(c->w, code == RESP_SUCCESS, "a lock is refused with %d", code);
    bool free = r->holder[queue] < 0 || r->holder[queue] == peer || clock_mono_ms() > r->held_until[queue];
    if (release) {
        if (r->holder[queue] == peer)
            r->holder[queue] = -1;
        return;
    }
    const struct json *ok = json_get(c->w->peers[peer].json, "lockOKMQSet");
    bool got = ok && ok->first;
    SAY(c->w, "client %d asks for the lock of %s-%d: %s", peer, topic_facts[r->topic].name, queue, got ? "yes" : "no");
    CHECK(c->w, free || !got, "client %d got the lock of queue %d that client %d has", peer, queue, r->holder[queue]);
    CHECK(c->w, !free || got, "client %d did not get the lock of queue %d that nobody has", peer, queue);
    if (got) {
        r->holder[queue] = peer;
        r->held_until[queue] = clock_mono_ms() + LOCK_MS;
    }
}

/* ---- the end ---- */

bool pull_all(struct clients *c)
{
    bool any = false;
    for (int i = 0; i < READERS; i++) {
        struct reader *r = &c->readers[i];
        for (int q = 0; q < topic_facts[r->topic].queues; q++) {
            int64_t before;
            do {
                before = r->next[q];
                any |= pull(c, r, q, 32, false) > 0;
            } while (r->next[q] > before);
        }
    }
    return any;
}

/* A reader that begins at the first offset of everything, and sees the same as the others. */
static void audit(struct clients *c, enum topic_id t)
{
    struct reader *r = calloc(1, sizeof *r);
    CHECK(c->w, r, "out of memory");
    r->group = "AUDIT";
    r->topic = t;
    for (int q = 0; q < topic_facts[t].queues; q++)
        while (pull(c, r, q, 32, false))
            ;
    free(r);
}

void pull_final(struct clients *c)
{
    for (enum topic_id t = 0; t < TOPICS; t++)
        audit(c, t);
    for (int i = 0; i < READERS; i++) {
        const struct reader *r = &c->readers[i];
        for (int q = 0; q < topic_facts[r->topic].queues; q++)
            for (int64_t at = 0; at < c->m->end[r->topic][q]; at++) {
                int id = c->m->place[r->topic][q][at] - 1;
                const struct message *x = &c->m->messages[id];
                /* No CRC covers the properties: a record that was never acknowledged may have been torn there. */
                bool maybe_torn = x->may_repeat || !x->stored;
                CHECK(c->w, r->seen[q][at] || (r->tagged && (!message_tagged(id) || maybe_torn)),
                      "%s was never given offset %" PRId64 " of %s-%d, message %d", r->group, at,
                      topic_facts[r->topic].name, q, id);
            }
    }
}
