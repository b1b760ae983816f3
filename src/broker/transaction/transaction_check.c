/*
 * The search for undecided half messages. Both topics are queues of which a prefix is done: what the op messages name
 * is decided; what they do not name is asked about when it is old enough. A half message that is asked about, or whose
 * producer wanted more time, is stored again at the end of the half queue, so that the search can go on behind it.
 *
 * The offsets of CID_RMQ_SYS_TRANS say how far both queues are done. They are saved when everything that they rely on
 * is durable: a half message is never passed by for the sake of a record that a failing machine can still lose.
 */
#include "base/log.h"
#include "broker/client/client_call.h"
#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include "remoting/headers_client.h"
#include <stdlib.h>

enum {
    ENTRIES = 64,           /* queue entries read at once */
    SEARCH_MAX_MS = 60000,  /* then the rest waits for the next search */
    DURABLE_MAX_MS = 30000, /* a disk that takes longer is not waited for */
    DURABLE_LOOK_MS = 20,
    COMMITS_MAX = 32, /* records of one key looked at */
    CLOCKS_DIFFER_MS = 3600000,
};

/* A half message that was put back during its immunity. */
struct immune {
    int32_t op; /* 1 + index of the op message that names it, 0: none that this search has read */
};

struct search {
    struct transactions *t;
    struct broker *b;
    struct cq *half, *op;
    int64_t half_offset, op_offset; /* where it began */
    int64_t begin;                  /* wall clock */
    struct transaction_rules rules;
    int32_t *ended; /* of the half messages from half_offset on: 1 + index of the op message that names it, else 0 */
    size_t ended_count;
    int32_t *open; /* of the op messages from op_offset on: how many half messages it names that are still ahead */
    size_t open_count, open_cap;
    struct buf record, props;
    unsigned asked, put_back, discarded;
};

/* ---- storing again ---- */

enum put_status transaction_put_back(struct broker *b, struct msg *m, struct buf *props, const char *name,
                                     int64_t value, struct put_result *r)
{
    char number[24];
    struct str key = str_from(name);
    struct topic *t = topic_find(b->topics, STR_LIT(TRANSACTION_HALF_TOPIC));
    buf_clear(props);
    msg_properties_without(props, m->properties, &key, 1);
    msg_property_add(props, key, str_make(number, fmt_i64(number, value)));
    m->properties = buf_str(props);
    m->queue_id = 0;
    if (t == NULL || !buf_ok(props))
        return PUT_UNKNOWN_ERROR;
    m->topic = t->name;
    return broker_put(b, t, m, r);
}

static bool discard(struct search *s, struct msg *m)
{
    struct err err;
    struct put_result r;
    struct broker *b = s->b;
    struct topic *t = topic_ensure(b->topics, STR_LIT(TRANSACTION_DISCARD_TOPIC), 1, PERM_READ | PERM_WRITE, 0, &err);
    struct str topic = msg_property(m->properties, STR_LIT(MSG_PROP_REAL_TOPIC));
    m->queue_id = 0;
    if (t == NULL || broker_put(b, t, m, &r) != PUT_OK) {
        LOG_LIMITED(LOG_ERROR, "broker", "a half message of topic %.*s cannot be moved to " TRANSACTION_DISCARD_TOPIC,
                    STR_ARG(topic));
        return false;
    }
    LOG_LIMITED(LOG_WARN, "broker",
                "a half message of topic %.*s and producer group %.*s stayed undecided too long: moved "
                "to " TRANSACTION_DISCARD_TOPIC,
                STR_ARG(topic), STR_ARG(msg_property(m->properties, STR_LIT(MSG_PROP_PGROUP))));
    transaction_metrics_add(&s->t->metrics, topic, -1);
    s->discarded++;
    return true;
}

/* ---- asking ---- */

/* The message as its producer knows it: under its own topic, at the place of its last copy. */
static void send_check(struct broker *b, struct net_ref to, const struct msg *half, int32_t queue_id,
                       const struct put_result *r)
{
    char id[56];
    struct buf body = {0};
    struct msg m = *half;
    int64_t physical = r->end_offset - r->bytes;
    struct str key = msg_property(half->properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    m.topic = msg_property(half->properties, STR_LIT(MSG_PROP_REAL_TOPIC));
    m.queue_id = queue_id;
    struct check_transaction_req header = {
        .topic = STR_LIT(TRANSACTION_HALF_TOPIC),
        .tran_state_table_offset = r->queue_offset,
        .commit_log_offset = physical,
        .msg_id = key,
        .transaction_id = key,
        .offset_msg_id = str_make(id, msg_id_format(id, &half->store_host, physical)),
        .bname = str_from(b->conf->broker_name),
    };
    uint8_t *at = buf_extend(&body, msg_record_size(&m));
    struct client_call *call = at ? client_call_new(REQ_CHECK_TRANSACTION_STATE) : NULL;
    if (call) {
        msg_encode(at, &m);
        msg_patch(at, r->queue_offset, physical, half->store_time);
        client_call_header(call, &check_transaction_req_schema, &header);
        client_call_body(call, buf_str(&body));
        client_call_send(call, to, 0, NULL, NULL);
    }
    buf_free(&body);
}

static void ask(struct broker *b, const struct msg *half, const struct put_result *r)
{
    struct net_ref to;
    int32_t queue_id;
    struct str group = msg_property(half->properties, STR_LIT(MSG_PROP_PGROUP));
    if (msg_property(half->properties, STR_LIT(MSG_PROP_REAL_TOPIC)).len == 0 ||
        !str_to_i32(msg_property(half->properties, STR_LIT(MSG_PROP_REAL_QID)), &queue_id))
        LOG_LIMITED(LOG_ERROR, "broker", "the half message at %lld does not say where it belongs",
                    (long long)r->queue_offset);
    else if (producer_pick(b->producers, group, &to))
        send_check(b, to, half, queue_id, r);
    else
        LOG_LIMITED(LOG_WARN, "broker", "nobody of producer group %.*s is there to be asked about a half message",
                    STR_ARG(group));
}

/* Its commit is in the log, but no op message tells of it: those that wait in memory are lost with the process. */
static bool is_committed(struct broker *b, const struct msg *half)
{
    int64_t offsets[COMMITS_MAX], ignored;
    struct buf record = {0};
    struct msg_view v;
    bool found = false;
    struct str topic = msg_property(half->properties, STR_LIT(MSG_PROP_REAL_TOPIC));
    struct str key = msg_property(half->properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    if (topic.len == 0 || key.len == 0)
        return false;
    int64_t from = half->born_time > CLOCKS_DIFFER_MS ? half->born_time - CLOCKS_DIFFER_MS : 0;
    size_t n = store_query(b->store, topic, key, from, INT64_MAX, offsets, COMMITS_MAX, &ignored, &ignored);
    for (size_t i = 0; i < n && !found; i++) {
        buf_clear(&record);
        found = store_read(b->store, offsets[i], &record, &v) &&
                (v.m.sys_flag & MSG_FLAG_TRANSACTION_MASK) == MSG_FLAG_TRANSACTION_COMMIT &&
                v.m.born_time == half->born_time && v.m.prepared_transaction_offset <= half->physical_offset &&
                str_eq(msg_property(v.m.properties, STR_LIT(MSG_PROP_UNIQ_KEY)), key);
    }
    buf_free(&record);
    return found;
}

/* ---- what the op messages name ---- */

static struct str key_of(const int64_t *offset)
{
    return str_make(offset, sizeof *offset);
}

static void forget(struct transactions *t, int64_t original)
{
    free(map_del(&t->immune, key_of(&original)));
}

static void remember(struct transactions *t, int64_t original)
{
    struct immune *i = map_get(&t->immune, key_of(&original)) ? NULL : calloc(1, sizeof *i);
    if (i && !map_put(&t->immune, key_of(&original), i, NULL))
        free(i);
}

/* Where an op message that names the half message is kept; NULL: nobody will ask. */
static int32_t *ended_slot(struct search *s, int64_t half_offset)
{
    if (half_offset < s->half_offset) {
        struct immune *i = map_get(&s->t->immune, key_of(&half_offset));
        return i ? &i->op : NULL;
    }
    if (half_offset >= cq_max(s->half))
        return NULL;
    size_t at = (size_t)(half_offset - s->half_offset);
    if (at >= s->ended_count) {
        size_t count = at + 1 > s->ended_count * 2 ? at + 1 : s->ended_count * 2;
        int32_t *grown = realloc(s->ended, count * sizeof *grown);
        if (grown == NULL)
            return NULL;
        memset(grown + s->ended_count, 0, (count - s->ended_count) * sizeof *grown);
        s->ended = grown;
        s->ended_count = count;
    }
    return &s->ended[at];
}

static void take_op(struct search *s, const struct msg *m, int32_t index)
{
    struct str rest = m->body;
    int64_t offset;
    if (!str_eqz(msg_property(m->properties, STR_LIT(MSG_PROP_TAGS)), TRANSACTION_OP_TAG))
        return;
    while (transaction_op_next(&rest, &offset)) {
        int32_t *slot = ended_slot(s, offset);
        if (slot == NULL)
            continue;
        if (*slot)
            s->open[*slot - 1]--;
        *slot = index + 1;
        s->open[index]++;
    }
}

static bool open_room(struct search *s)
{
    if (s->open_count < s->open_cap)
        return true;
    size_t cap = s->open_cap ? s->open_cap * 2 : 256;
    int32_t *grown = cap < INT32_MAX ? realloc(s->open, cap * sizeof *grown) : NULL;
    if (grown == NULL)
        return false;
    s->open = grown;
    s->open_cap = cap;
    return true;
}

static void read_ops(struct search *s)
{
    struct store_entry e[ENTRIES];
    struct msg_view v;
    size_t n;
    while ((n = store_entries(s->b->store, s->op, s->op_offset + (int64_t)s->open_count, e, ENTRIES)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (!open_room(s))
                return;
            s->open[s->open_count++] = 0;
            buf_clear(&s->record);
            if (store_read(s->b->store, e[i].physical_offset, &s->record, &v))
                take_op(s, &v.m, (int32_t)s->open_count - 1);
        }
    }
}

/* True: decided. Its op message has one half message less ahead. */
static bool take_slot(struct search *s, int32_t *slot)
{
    if (*slot == 0)
        return false;
    s->open[*slot - 1]--;
    *slot = 0;
    return true;
}

static bool is_ended(struct search *s, int64_t offset, int64_t original)
{
    size_t at = (size_t)(offset - s->half_offset);
    if (at < s->ended_count && take_slot(s, &s->ended[at]))
        return true;
    if (original == offset)
        return transaction_op_waits(s->t, offset);
    struct immune *i = map_get(&s->t->immune, key_of(&original));
    return (i && take_slot(s, &i->op)) || transaction_op_waits(s->t, offset) || transaction_op_waits(s->t, original);
}

/* ---- going through the half messages ---- */

/* The queue offset of the first copy, which a message that was put back during its immunity carries along. */
static int64_t original_of(const struct msg *m)
{
    int64_t offset;
    return str_to_i64(msg_property(m->properties, STR_LIT(MSG_PROP_PREPARED_OFFSET)), &offset) && offset >= 0
               ? offset
               : m->queue_offset;
}

static bool put_back_immune(struct search *s, struct msg *m, int64_t original)
{
    struct put_result r;
    if (transaction_put_back(s->b, m, &s->props, MSG_PROP_PREPARED_OFFSET, original, &r) != PUT_OK)
        return false;
    remember(s->t, original);
    s->put_back++;
    return true;
}

static bool put_back_and_ask(struct search *s, struct msg *m, int64_t original)
{
    struct put_result r;
    enum put_status status =
        transaction_put_back(s->b, m, &s->props, MSG_PROP_CHECK_TIMES, (int64_t)transaction_check_times(m) + 1, &r);
    if (status == PUT_MESSAGE_ILLEGAL || status == PUT_PROPERTIES_SIZE_EXCEEDED)
        return discard(s, m);
    if (status != PUT_OK)
        return false;
    forget(s->t, original);
    ask(s->b, m, &r);
    s->asked++;
    return true;
}

/* False: the search ends before this one. */
static bool look_at(struct search *s, int64_t offset)
{
    struct store_entry e;
    struct msg_view v;
    size_t at = (size_t)(offset - s->half_offset);
    if (at < s->ended_count && take_slot(s, &s->ended[at]))
        return true;
    buf_clear(&s->record);
    if (store_entries(s->b->store, s->half, offset, &e, 1) != 1)
        return false;
    if (!store_read(s->b->store, e.physical_offset, &s->record, &v)) {
        LOG_LIMITED(LOG_WARN, "broker", "the half message at %lld is not in the log any more", (long long)offset);
        return true;
    }
    int64_t original = original_of(&v.m);
    enum transaction_verdict verdict = transaction_judge(&s->rules, &v.m, clock_wall_ms(), s->begin);
    if (verdict != TRANSACTION_LATER && is_ended(s, offset, original)) {
        forget(s->t, original);
        return true;
    }
    switch (verdict) {
    case TRANSACTION_LATER:
        return false;
    case TRANSACTION_IMMUNE:
        return put_back_immune(s, &v.m, original);
    case TRANSACTION_DISCARD:
        if (!discard(s, &v.m))
            return false;
        forget(s->t, original);
        return true;
    default:
        return is_committed(s->b, &v.m) || put_back_and_ask(s, &v.m, original);
    }
}

/* After a start: what is immune from before it stands in the queue only. */
static void learn_immune(struct search *s)
{
    struct store_entry e[ENTRIES];
    struct msg_view v;
    int64_t offset = s->half_offset;
    size_t n;
    while ((n = store_entries(s->b->store, s->half, offset, e, ENTRIES)) > 0 && !atomic_load(&s->t->stopping)) {
        for (size_t i = 0; i < n; i++) {
            buf_clear(&s->record);
            if (store_read(s->b->store, e[i].physical_offset, &s->record, &v) && original_of(&v.m) != offset)
                remember(s->t, original_of(&v.m));
            offset++;
        }
    }
    s->t->immune_known = true;
}

static int64_t start_of(struct broker *b, struct cq *q)
{
    int64_t offset = offset_query(b->offsets, STR_LIT(TRANSACTION_GROUP), cq_topic(q), cq_id(q));
    return offset < cq_min(q) ? cq_min(q) : offset > cq_max(q) ? cq_max(q) : offset;
}

static void wait_durable(struct transactions *t)
{
    struct store_stats st;
    int64_t deadline = clock_mono_ms() + DURABLE_MAX_MS;
    store_stats(t->b->store, &st);
    while (store_flushed(t->b->store) < st.log_max && !atomic_load(&t->stopping) && clock_mono_ms() < deadline)
        waker_wait(&t->check_waker, DURABLE_LOOK_MS);
}

/* How far both queues are done. */
static void save(struct search *s, int64_t half_next)
{
    struct err err;
    struct str group = STR_LIT(TRANSACTION_GROUP);
    struct broker *b = s->b;
    int64_t op_next = s->op_offset;
    for (size_t i = 0; i < s->open_count && s->open[i] == 0; i++)
        op_next++;
    if (half_next == s->half_offset && op_next == s->op_offset)
        return;
    wait_durable(s->t);
    offset_commit(b->offsets, group, cq_topic(s->half), 0, half_next);
    offset_commit(b->offsets, group, cq_topic(s->op), 0, op_next);
    if ((s->asked || s->put_back || s->discarded) && offset_save_changes(b->offsets, &err) < 0)
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
}

static struct cq *queue_of(struct broker *b, const char *topic)
{
    struct topic *t = topic_find(b->topics, str_from(topic));
    return t ? topic_queue(b->topics, t, 0) : NULL;
}

static void forget_ops(struct transactions *t)
{
    for (struct map_slot *i = NULL; (i = map_next(&t->immune, i));)
        ((struct immune *)i->value)->op = 0;
}

void transaction_check_all(struct transactions *t)
{
    struct broker *b = t->b;
    struct search s = {.t = t, .b = b, .begin = clock_wall_ms()};
    int64_t deadline = clock_mono_ms() + SEARCH_MAX_MS;
    s.half = queue_of(b, TRANSACTION_HALF_TOPIC);
    s.op = queue_of(b, TRANSACTION_OP_TOPIC);
    if (s.half == NULL || s.op == NULL || b->store_conf->brokerRole == ROLE_SLAVE)
        return;
    s.rules = (struct transaction_rules){
        .timeout_ms = b->conf->transaction_timeout_ms,
        .reserved_ms = (int64_t)b->store_conf->fileReservedTime * 3600000,
        .check_max = b->conf->transaction_check_max,
    };
    transaction_op_flush(t, true);
    s.half_offset = start_of(b, s.half);
    s.op_offset = start_of(b, s.op);
    if (!t->immune_known)
        learn_immune(&s);
    forget_ops(t);
    read_ops(&s);
    int64_t next = s.half_offset;
    while (next < cq_max(s.half) && !atomic_load(&t->stopping) && clock_mono_ms() < deadline && look_at(&s, next))
        next++;
    save(&s, next);
    if (s.asked || s.discarded)
        LOG(LOG_INFO, "broker", "asked producers about %u undecided half messages, gave up on %u; %u have more time",
            s.asked, s.discarded, s.put_back);
    free(s.ended);
    free(s.open);
    buf_free(&s.record);
    buf_free(&s.props);
}
