/* Transactions: half messages, their ends, and what a producer answers when it is asked. */
#include "ops.h"

enum { COMMIT = 8, ROLLBACK = 12 };

void op_send_half(struct clients *c)
{
    struct buf properties = {0};
    int peer = (int)dice(c->w, PEERS);
    int id = model_new(c->m, HALF, TOPIC_T, (int)dice(c->w, (uint64_t)topic_facts[TOPIC_T].queues), 0);
    struct message *x = &c->m->messages[id];
    struct msg_host host;
    buf_printf(&properties, "TRAN_MSG\001true\002PGROUP\001PG\002");
    send_request(c, peer, id, &properties, 4);
    x->open = true;
    bool stored = send_answered(c, peer, id, peer_answer(c->w, peer));
    SAY(c->w, "half %d: %s", id, stored ? "stored" : "no answer");
    if (!stored)
        return;
    x->half_offset = peer_number(c->w, peer, "queueOffset");
    CHECK(c->w, msg_id_parse(rem_ext(&c->w->peers[peer].answer, "msgId"), &host, &x->log_offset),
          "a half message has no id");
}

/* The decision is the same whenever the producer is asked: one in three is rolled back. */
static bool commits(int id)
{
    return id % 3 != 1;
}

static void end(struct clients *c, int peer, int id, int64_t half_offset, int64_t log_offset, bool check)
{
    struct message *x = &c->m->messages[id];
    char key[40];
    bool oneway = dice(c->w, 2);
    snprintf(key, sizeof key, "key-%d", id);
    x->open = false;
    if (commits(id)) {
        x->committing = true;
        x->commits++;
    } else {
        x->withdrawing = true;
    }
    peer_send(c->w, peer, REQ_END_TRANSACTION, oneway ? REM_FLAG_ONEWAY : 0, STR_NULL,
              (const char *const[]){"producerGroup", "PG", "tranStateTableOffset", text_of(half_offset),
                                    "commitLogOffset", text_of(log_offset), "commitOrRollback",
                                    text_of(commits(id) ? COMMIT : ROLLBACK), "fromTransactionCheck",
                                    check ? "true" : "false", "msgId", key, "transactionId", key, NULL});
    int32_t code = RESP_SUCCESS;
    if (oneway)
        world_turn(c->w);
    else
        code = peer_answer(c->w, peer);
    SAY(c->w, "%s %d%s: %d", commits(id) ? "commit" : "roll back", id, oneway ? " without an answer" : "", code);
    CHECK(c->w, code == RESP_SUCCESS || code == NO_ANSWER, "the end of message %d is refused with %d: %.*s", id, code,
          STR_ARG(c->w->peers[peer].answer.remark));
    if (!commits(id) && !oneway && code == RESP_SUCCESS)
        x->withdrawn = true;
}

void op_end_half(struct clients *c)
{
    for (int i = 0; i < c->m->count; i++) {
        const struct message *x = &c->m->messages[i];
        if (x->kind == HALF && x->stored && x->open && dice(c->w, 3) == 0) {
            end(c, (int)dice(c->w, PEERS), i, x->half_offset, x->log_offset, false);
            return;
        }
    }
}

void transact_request(struct clients *c, int peer, const struct rem_command *request)
{
    struct msg_view v;
    int64_t half_offset, log_offset;
    if (request->code != REQ_CHECK_TRANSACTION_STATE)
        return;
    CHECK(c->w, msg_decode((const uint8_t *)request->body.ptr, request->body.len, &v) == MSG_OK,
          "the broker asks about something that is no message");
    CHECK(c->w,
          str_to_i64(rem_ext(request, "tranStateTableOffset"), &half_offset) &&
              str_to_i64(rem_ext(request, "commitLogOffset"), &log_offset),
          "the broker does not say where the message is that it asks about");
    int id = model_id(c->m, v.m.body);
    CHECK(c->w, c->m->messages[id].kind == HALF, "the broker asks about message %d, which is no half message", id);
    SAY(c->w, "asked about %d", id);
    if (dice(c->w, 3) == 0)
        return; /* the producer does not know yet */
    /* The answer comes on its own, so that it does not take the place of another request's. */
    struct message *x = &c->m->messages[id];
    char key[40];
    snprintf(key, sizeof key, "key-%d", id);
    x->open = false;
    if (commits(id)) {
        x->committing = true;
        x->commits++;
    } else {
        x->withdrawing = true;
    }
    struct peer *p = &c->w->peers[peer];
    int32_t before = p->opaque;
    peer_send(c->w, peer, REQ_END_TRANSACTION, REM_FLAG_ONEWAY, STR_NULL,
              (const char *const[]){"producerGroup", "PG", "tranStateTableOffset", text_of(half_offset),
                                    "commitLogOffset", text_of(log_offset), "commitOrRollback",
                                    text_of(commits(id) ? COMMIT : ROLLBACK), "fromTransactionCheck", "true", "msgId",
                                    key, "transactionId", key, NULL});
    p->opaque = before;
}

int transact_open(const struct clients *c)
{
    int n = 0;
    for (int i = 0; i < c->m->count; i++)
        n += c->m->messages[i].kind == HALF && c->m->messages[i].stored && c->m->messages[i].open;
    return n;
}

void transact_decide_all(struct clients *c)
{
    for (int i = 0; i < c->m->count && !world_dead(c->w); i++) {
        const struct message *x = &c->m->messages[i];
        if (x->kind == HALF && x->stored && x->open && dice(c->w, 2))
            end(c, 0, i, x->half_offset, x->log_offset, false);
    }
}
