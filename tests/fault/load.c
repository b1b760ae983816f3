#include "fault/load.h"

#include "base/buf.h"
#include "base/err.h"
#include "broker/pop/pop_info.h"
#include "message/message.h"
#include "os/clock.h"
#include "remoting/sync_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 10000, POP_MAX = 32, POP_OPEN_MAX = 400, PAUSE_MS = 2 };

static const char group[] = "fault_group", pop_group[] = "fault_pop_group";

/* One worker's connection and what it needs for requests. */
struct client {
    struct load *load;
    struct sync_client *sync;
    struct rem_command answer;
    struct buf properties;
};

static bool is_over(const struct load *l)
{
    return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
}

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void note_refusal(struct load *l, const struct rem_command *answer)
{
    pthread_mutex_lock(&l->lock);
    if (l->refused[0] == '\0')
        snprintf(l->refused, sizeof l->refused, "code %d: %.*s", answer->code, STR_ARG(answer->remark));
    pthread_mutex_unlock(&l->lock);
}

/* 1: answered with success, 0: with something else, -1: the connection broke. */
static int call(struct client *c, struct rem_frame *f, struct str body)
{
    struct err err;
    if (sync_call(c->sync, c->load->address, f, body, &c->answer, &err))
        return -1;
    if (c->answer.code == RESP_SUCCESS)
        return 1;
    note_refusal(c->load, &c->answer);
    return 0;
}

/* ---- sending -------------------------------------------------------------------------------------------------------
 */

static void add_number(struct buf *properties, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    msg_property_add(properties, str_from(name), str_from(text));
}

static void add_properties(struct buf *p, enum kind kind, int64_t due_ms)
{
    char id[33];
    buf_clear(p);
    msg_unique_id(id);
    msg_property_add(p, STR_LIT(MSG_PROP_UNIQ_KEY), str_make(id, 32));
    msg_property_add(p, STR_LIT(MSG_PROP_WAIT), STR_LIT("true"));
    if (kind == KIND_DELAYED)
        add_number(p, MSG_PROP_DELAY, 1);
    if (kind == KIND_TIMED)
        add_number(p, MSG_PROP_TIMER_DELIVER_MS, due_ms);
    if (kind == KIND_TRANSACTION) {
        msg_property_add(p, STR_LIT(MSG_PROP_TRAN_MSG), STR_LIT("true"));
        msg_property_add(p, STR_LIT(MSG_PROP_PGROUP), STR_LIT("fault_group"));
    }
}

static int send(struct client *c, enum kind kind, int32_t queue, struct str body, int64_t due_ms)
{
    struct rem_frame f;
    add_properties(&c->properties, kind, due_ms);
    sync_begin(c->sync, &f, REQ_SEND_MESSAGE_V2);
    rem_frame_str(&f, "a", str_from(group));
    rem_frame_str(&f, "b", str_from(kind_topic(kind)));
    rem_frame_str(&f, "c", STR_LIT("TBW102"));
    rem_frame_i64(&f, "d", 4);
    rem_frame_i64(&f, "e", queue);
    rem_frame_i64(&f, "f", kind == KIND_TRANSACTION ? MSG_FLAG_TRANSACTION_PREPARED : 0);
    rem_frame_i64(&f, "g", clock_wall_ms());
    rem_frame_i64(&f, "h", 0);
    rem_frame_str(&f, "i", buf_str(&c->properties));
    rem_frame_i64(&f, "j", 0);
    rem_frame_bool(&f, "k", false);
    rem_frame_bool(&f, "m", false);
    return call(c, &f, body);
}

static int64_t number_of(const struct rem_command *answer, const char *name)
{
    int64_t n = -1;
    return str_to_i64(rem_ext(answer, name), &n) ? n : -1;
}

/* Every other transaction is committed, the others are rolled back. */
static int end_transaction(struct client *c, bool commit)
{
    struct msg_host host;
    int64_t log_offset, queue_offset = number_of(&c->answer, "queueOffset");
    char id[128];
    snprintf(id, sizeof id, "%.*s", STR_ARG(rem_ext(&c->answer, "msgId")));
    if (!msg_id_parse(str_from(id), &host, &log_offset))
        return 0;
    struct rem_frame f;
    sync_begin(c->sync, &f, REQ_END_TRANSACTION);
    rem_frame_str(&f, "producerGroup", str_from(group));
    rem_frame_i64(&f, "tranStateTableOffset", queue_offset);
    rem_frame_i64(&f, "commitLogOffset", log_offset);
    rem_frame_i64(&f, "commitOrRollback", commit ? MSG_FLAG_TRANSACTION_COMMIT : MSG_FLAG_TRANSACTION_ROLLBACK);
    rem_frame_bool(&f, "fromTransactionCheck", false);
    rem_frame_str(&f, "msgId", str_from(id));
    return call(c, &f, STR_NULL);
}

/* Sends one message and notes the answer. False: the connection broke. */
static bool send_next(struct client *c, size_t worker)
{
    struct ledger *l = c->load->ledger;
    enum kind kind = l->workers[worker].kind;
    char text[BODY_MAX];
    int64_t now = clock_wall_ms();
    int64_t due = kind == KIND_DELAYED ? now + DELAY_MS : kind == KIND_TIMED ? now + TIMED_MS : 0;
    size_t number = ledger_add(l, worker, due);
    if (kind == KIND_POPPED)
        __atomic_add_fetch(&c->load->popped_open, 1, __ATOMIC_RELAXED);
    int32_t queue = (int32_t)((worker + number) % QUEUES);
    int r = send(c, kind, queue, ledger_body(l, worker, number, text), due);
    if (r <= 0)
        return r == 0;
    struct promise *p = ledger_at(l, worker, number);
    if (kind == KIND_TRANSACTION) {
        bool commit = number % 2 == 0;
        r = end_transaction(c, commit);
        if (r > 0)
            p->state = commit ? PROMISE_STORED : PROMISE_ROLLED_BACK;
        return r >= 0;
    }
    if (kind == KIND_PLAIN) {
        p->queue = (int32_t)number_of(&c->answer, "queueId");
        p->offset = number_of(&c->answer, "queueOffset");
    }
    /* The popper may have been faster. */
    uint8_t none = PROMISE_NONE;
    __atomic_compare_exchange_n(&p->state, &none, PROMISE_STORED, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return true;
}

static bool client_open(struct client *c, struct load *l)
{
    *c = (struct client){.load = l, .sync = sync_client_new(TIMEOUT_MS)};
    return c->sync != NULL;
}

static void client_close(struct client *c)
{
    sync_client_free(c->sync);
    buf_free(&c->properties);
}

static void run_sender(void *arg)
{
    struct load_worker *w = arg;
    struct client *c = &(struct client){0};
    bool pops = w->load->ledger->workers[w->index].kind == KIND_POPPED;
    if (!client_open(c, w->load))
        return;
    while (!is_over(w->load)) {
        /* The popper is to keep up: what it never gets to tells nothing about pops. */
        if (pops && __atomic_load_n(&w->load->popped_open, __ATOMIC_RELAXED) > POP_OPEN_MAX)
            pause_ms(PAUSE_MS);
        else if (!send_next(c, w->index))
            break;
    }
    client_close(c);
}

/* ---- reading -------------------------------------------------------------------------------------------------------
 */

static int pull(struct client *c, int32_t queue, int64_t offset)
{
    struct rem_frame f;
    sync_begin(c->sync, &f, REQ_PULL_MESSAGE);
    rem_frame_str(&f, "consumerGroup", str_from(group));
    rem_frame_str(&f, "topic", str_from(kind_topic(KIND_PLAIN)));
    rem_frame_i64(&f, "queueId", queue);
    rem_frame_i64(&f, "queueOffset", offset);
    rem_frame_i64(&f, "maxMsgNums", 32);
    rem_frame_i64(&f, "sysFlag", 4);
    rem_frame_i64(&f, "commitOffset", 0);
    rem_frame_i64(&f, "suspendTimeoutMillis", 0);
    rem_frame_str(&f, "subscription", STR_LIT("*"));
    rem_frame_str(&f, "expressionType", STR_LIT("TAG"));
    rem_frame_i64(&f, "subVersion", 0);
    struct err err;
    return sync_call(c->sync, c->load->address, &f, STR_NULL, &c->answer, &err);
}

/* Follows the ends of the plain queues: what a consumer was given must not be taken back by anything. */
static void run_reader(void *arg)
{
    struct load_worker *w = arg;
    struct load *l = w->load;
    struct client *c = &(struct client){0};
    if (!client_open(c, l))
        return;
    for (int32_t q = 0; !is_over(l); q = (q + 1) % QUEUES) {
        if (pull(c, q, l->seen[q]))
            break;
        if (c->answer.code == RESP_SUCCESS)
            l->seen[q] = number_of(&c->answer, "nextBeginOffset");
    }
    client_close(c);
}

/* ---- popping -------------------------------------------------------------------------------------------------------
 */

static int pop(struct client *c)
{
    struct rem_frame f;
    sync_begin(c->sync, &f, REQ_POP_MESSAGE);
    rem_frame_str(&f, "consumerGroup", str_from(pop_group));
    rem_frame_str(&f, "topic", str_from(kind_topic(KIND_POPPED)));
    rem_frame_i64(&f, "queueId", -1);
    rem_frame_i64(&f, "maxMsgNums", POP_MAX);
    rem_frame_i64(&f, "invisibleTime", INVISIBLE_MS);
    rem_frame_i64(&f, "pollTime", 0);
    rem_frame_i64(&f, "bornTime", clock_wall_ms());
    rem_frame_i64(&f, "initMode", 0);
    rem_frame_bool(&f, "order", false);
    struct err err;
    return sync_call(c->sync, c->load->address, &f, STR_NULL, &c->answer, &err);
}

/* The first offset of a part of the answer: "KIND QUEUE START;..." */
static int64_t start_of(struct str info, enum pop_kind kind, int32_t queue)
{
    struct str piece;
    while (str_split(&info, ';', &piece)) {
        struct str k, q;
        int64_t kind_number, queue_number, start;
        piece = str_trim(piece);
        if (str_split(&piece, ' ', &k) && str_split(&piece, ' ', &q) && str_to_i64(k, &kind_number) &&
            str_to_i64(q, &queue_number) && str_to_i64(piece, &start) && kind_number == (int64_t)kind &&
            queue_number == queue)
            return start;
    }
    return -1;
}

/* A message that came out of a pop: how to acknowledge it, and whose it is. */
struct popped {
    char topic[256], handle[256];
    int32_t queue;
    int64_t offset;
    int64_t pop_time;
    bool first_time;
    struct promise *promise;
};

/* A message that comes again carries its handle; its topic tells where it was sent to, not where it is. */
static void take_handle(struct popped *out, struct str handle)
{
    struct str piece[8], rest = handle;
    struct buf topic = {0};
    int64_t kind, queue;
    size_t n = 0;
    while (n < 8 && str_split(&rest, ' ', &piece[n]))
        n++;
    if (n < 8 || !str_to_i64(piece[4], &kind) || !str_to_i64(piece[6], &queue) || !str_to_i64(piece[7], &out->offset))
        return;
    out->queue = (int32_t)queue;
    if (kind != POP_NORMAL)
        pop_retry_topic(&topic, str_from(kind_topic(KIND_POPPED)), str_from(pop_group), (enum pop_kind)kind);
    else
        buf_add_str(&topic, str_from(kind_topic(KIND_POPPED)));
    snprintf(out->topic, sizeof out->topic, "%.*s", STR_ARG(buf_str(&topic)));
    snprintf(out->handle, sizeof out->handle, "%.*s", STR_ARG(handle));
    buf_free(&topic);
}

/* The others' handles are put together from the answer's header. */
static void make_handle(struct popped *out, const struct rem_command *answer, const struct msg_view *v)
{
    struct buf text = {0};
    enum pop_kind kind = pop_kind_of(v->m.topic);
    struct pop_handle h = {
        .pop_time = out->pop_time,
        .invisible_ms = number_of(answer, "invisibleTime"),
        .revive_queue = (int32_t)number_of(answer, "reviveQid"),
        .start_offset = start_of(rem_ext(answer, "startOffsetInfo"), kind, v->m.queue_id),
        .broker_name = STR_LIT("broker-a"),
    };
    pop_handle_write(&text, &h, kind, v->m.queue_id, v->m.queue_offset);
    snprintf(out->topic, sizeof out->topic, "%.*s", STR_ARG(v->m.topic));
    snprintf(out->handle, sizeof out->handle, "%.*s", STR_ARG(buf_str(&text)));
    out->queue = v->m.queue_id;
    out->offset = v->m.queue_offset;
    buf_free(&text);
}

/* All messages of a pop's answer, noted before the next request takes the answer's place. */
static size_t take_popped(struct client *c, struct popped *out)
{
    struct load *l = c->load;
    struct str body = c->answer.body;
    size_t n = 0;
    struct msg_view v;
    while (n < POP_MAX && body.len && msg_decode((const uint8_t *)body.ptr, body.len, &v) == MSG_OK) {
        size_t worker, number;
        struct str handle = msg_property(v.m.properties, STR_LIT(MSG_PROP_POP_CK));
        struct promise *p = ledger_find(l->ledger, KIND_POPPED, v.m.body, &worker, &number);
        if (p && __atomic_load_n(&p->state, __ATOMIC_RELAXED) == PROMISE_CONSUMED)
            l->again++;
        out[n] = (struct popped){.promise = p,
                                 .pop_time = number_of(&c->answer, "popTime"),
                                 .first_time = str_is_null(handle) && pop_kind_of(v.m.topic) == POP_NORMAL};
        if (str_is_null(handle))
            make_handle(&out[n], &c->answer, &v);
        else
            take_handle(&out[n], handle);
        n++;
        body = str_make(body.ptr + v.size, body.len - v.size);
    }
    return n;
}

static int acknowledge(struct client *c, const struct popped *m)
{
    struct rem_frame f;
    sync_begin(c->sync, &f, REQ_ACK_MESSAGE);
    rem_frame_str(&f, "consumerGroup", str_from(pop_group));
    rem_frame_str(&f, "topic", str_from(m->topic));
    rem_frame_i64(&f, "queueId", m->queue);
    rem_frame_str(&f, "extraInfo", str_from(m->handle));
    rem_frame_i64(&f, "offset", m->offset);
    return call(c, &f, STR_NULL);
}

/* One pop and its acknowledgements; every eighth message is left, to come again. -1: the connection broke. */
static int pop_round(struct client *c, bool all)
{
    struct popped messages[POP_MAX];
    if (pop(c))
        return -1;
    size_t n = c->answer.code == RESP_SUCCESS ? take_popped(c, messages) : 0;
    for (size_t i = 0; i < n; i++) {
        struct popped *m = &messages[i];
        if (!all && m->first_time && m->offset % 8 == 7)
            continue;
        if (m->promise)
            m->promise->asked = true;
        int r = acknowledge(c, m);
        if (r < 0)
            return -1;
        /* An acknowledgement that comes late may find the message stored again. */
        if (r > 0 && m->promise && clock_wall_ms() < m->pop_time + INVISIBLE_MS / 2 &&
            __atomic_exchange_n(&m->promise->state, PROMISE_CONSUMED, __ATOMIC_RELAXED) != PROMISE_CONSUMED)
            __atomic_sub_fetch(&c->load->popped_open, 1, __ATOMIC_RELAXED);
    }
    return (int)n;
}

static void run_popper(void *arg)
{
    struct load_worker *w = arg;
    struct client *c = &(struct client){0};
    int n = 0;
    if (!client_open(c, w->load))
        return;
    while (!is_over(w->load) && (n = pop_round(c, false)) >= 0)
        if (n == 0)
            pause_ms(PAUSE_MS);
    client_close(c);
}

static int64_t open_pops(const struct ledger *l)
{
    int64_t n = 0;
    for (size_t w = 0; w < l->worker_count; w++)
        for (size_t i = 0; l->workers[w].kind == KIND_POPPED && i < l->workers[w].count; i++)
            n += ledger_at(l, w, i)->state == PROMISE_STORED && !ledger_at(l, w, i)->asked;
    return n;
}

int64_t load_drain_pops(struct load *l, int64_t timeout_ms)
{
    struct client *c = &(struct client){0};
    int64_t until = clock_mono_ms() + timeout_ms;
    int n = 0;
    if (!client_open(c, l))
        return -1;
    while (open_pops(l->ledger) && clock_mono_ms() < until && (n = pop_round(c, true)) >= 0)
        if (n == 0)
            pause_ms(10 * PAUSE_MS);
    client_close(c);
    return open_pops(l->ledger);
}

/* ---- all of them ---------------------------------------------------------------------------------------------------
 */

void load_init(struct load *l, struct ledger *ledger, const char *address)
{
    *l = (struct load){.ledger = ledger, .address = address, .sender_count = ledger->worker_count};
    pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < l->sender_count; i++)
        l->senders[i] = (struct load_worker){.load = l, .index = i};
    l->reader.load = l->popper.load = l;
}

void load_begin(struct load *l)
{
    __atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
    l->popped_open = open_pops(l->ledger);
    for (size_t i = 0; i < l->sender_count; i++)
        thread_start(&l->senders[i].thread, "sender", run_sender, &l->senders[i]);
    thread_start(&l->reader.thread, "reader", run_reader, &l->reader);
    thread_start(&l->popper.thread, "popper", run_popper, &l->popper);
}

void load_end(struct load *l)
{
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < l->sender_count; i++)
        thread_join(&l->senders[i].thread);
    thread_join(&l->reader.thread);
    thread_join(&l->popper.thread);
}

int load_make_topic(struct sync_client *c, const char *address, struct str topic, int queues,
                    struct rem_command *answer, struct err *err)
{
    struct rem_frame f;
    sync_begin(c, &f, REQ_UPDATE_AND_CREATE_TOPIC);
    rem_frame_str(&f, "topic", topic);
    rem_frame_str(&f, "defaultTopic", STR_LIT("TBW102"));
    rem_frame_i64(&f, "readQueueNums", queues);
    rem_frame_i64(&f, "writeQueueNums", queues);
    rem_frame_i64(&f, "perm", 6);
    rem_frame_str(&f, "topicFilterType", STR_LIT("SINGLE_TAG"));
    rem_frame_i64(&f, "topicSysFlag", 0);
    rem_frame_bool(&f, "order", false);
    return sync_call_ok(c, address, &f, STR_NULL, answer, err);
}

int load_make_topics(const char *address, struct err *err)
{
    struct sync_client *c = sync_client_new(TIMEOUT_MS);
    struct rem_command answer = {0};
    int r = c ? 0 : err_set(err, ENOMEM, "out of memory");
    for (int k = 0; r == 0 && k < KINDS; k++)
        r = load_make_topic(c, address, str_from(kind_topic((enum kind)k)), QUEUES, &answer, err);
    sync_client_free(c);
    return r;
}
