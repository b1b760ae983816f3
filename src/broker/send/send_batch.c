/* Batches: requests 310 with the flag, and 320. */
#include "broker/send/send_int.h"

#include "base/javahash.h"
#include "message/multi_dispatch.h"

enum { BATCH_ENTRIES_MAX = 4096 };

/* ---- a batch for a batch topic: one record, one queue entry; Java's clients take it apart ---- */

static void send_inner_batch(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h, struct topic *t,
                             struct cq *queue, int32_t queue_id, const struct send_seen *s)
{
    struct broker *b = bl->broker;
    struct msg_batch_entry e;
    struct str rest = rem_body(rq), text = arena_str(rem_arena(rq), buf_str(&bl->scratch));
    bool bad = false;
    int32_t messages = 0;
    while (messages <= MSG_INNER_MAX && msg_batch_next(&rest, &e, &bad))
        messages++;
    if (queue == NULL || text.ptr == NULL || bad || messages == 0 || messages > MSG_INNER_MAX) {
        send_refuse(rq, b, RESP_MESSAGE_ILLEGAL, "the batch for topic %.*s is malformed or has more than %d messages",
                    STR_ARG(h->topic), MSG_INNER_MAX);
        return;
    }
    char number[24];
    const struct str given = STR_LIT(MSG_PROP_INNER_NUM);
    struct store_msg put = {
        .m =
            {
                .topic = t->name,
                .body = rem_body(rq),
                .queue_id = queue_id,
                .flag = h->flag,
                .sys_flag = h->sys_flag | MSG_FLAG_NEED_UNWRAP | MSG_FLAG_INNER_BATCH |
                            (atomic_load_explicit(&t->multi_tag, memory_order_relaxed) ? MSG_FLAG_MULTI_TAGS : 0),
                .reconsume_times = h->reconsume_times,
                .born_time = h->born_timestamp,
                .store_host = b->store_host,
            },
        .queue = queue,
        .tags_code = s->tags.len ? java_hash(s->tags) : 0,
        .batch_messages = messages,
    };
    buf_clear(&bl->scratch);
    msg_properties_without(&bl->scratch, text, &given, 1);
    msg_property_add(&bl->scratch, given, str_make(number, fmt_i64(number, messages)));
    put.m.properties = buf_str(&bl->scratch);
    msg_host_from(&put.m.born_host, rem_peer(rq));
    struct pending_send *p = send_pending(rq, bl, t, queue_id, s);
    if (p == NULL)
        return;
    p->inner_batch = true;
    enum put_status status = store_batch_add(bl->batch, &put, &p->put);
    if (status != PUT_OK)
        send_failed(bl, p, status);
}

/* ---- a batch: every entry becomes a message of its own, all with consecutive queue offsets ---- */

void send_batch(struct rem_request *rq, struct broker_loop *bl, const struct send_req *h)
{
    struct broker *b = bl->broker;
    if (str_starts(h->topic, STR_LIT("%RETRY%"))) {
        send_refuse(rq, b, RESP_MESSAGE_ILLEGAL, "batch request does not support retry group %.*s", STR_ARG(h->topic));
        return;
    }
    if (h->topic.len > 127) {
        send_refuse(rq, b, RESP_MESSAGE_ILLEGAL, "message topic length over 127: %zu", h->topic.len);
        return;
    }
    /* The limit of one message holds for the batch as a whole, as in Java. */
    if (rem_body(rq).len > (size_t)b->store_conf->maxMessageSize) {
        char remark[PUT_REMARK_MAX];
        int32_t code = put_failure(b, PUT_MESSAGE_ILLEGAL, remark);
        send_refuse(rq, b, code, "%s", remark);
        return;
    }
    struct topic *t = send_topic(rq, bl, h);
    int32_t queue_id = h->queue_id;
    if (t == NULL || !send_queue_allowed(rq, bl, t, &queue_id))
        return;
    struct cq *queue = topic_queue(b->topics, t, queue_id);
    struct send_seen common;
    send_look(h->properties, &common);
    send_complete(&bl->scratch, buf_str(&bl->stamp[bl->broker->conf->trace_on]), h->properties, &common);
    if (t->batch && common.uniq_key.len) {
        send_inner_batch(rq, bl, h, t, queue, queue_id, &common);
        return;
    }
    struct str suffix = buf_str(&bl->scratch);
    struct msg_host born;
    msg_host_from(&born, rem_peer(rq));
    struct str rest = rem_body(rq);
    struct msg_batch_entry e;
    bool bad = false;
    size_t entries = 0, n = 0;
    while (entries < BATCH_ENTRIES_MAX && msg_batch_next(&rest, &e, &bad))
        entries++;
    bool whole = !bad && rest.len == 0;
    struct store_msg *puts = whole && entries ? arena_alloc(rem_arena(rq), entries * sizeof *puts) : NULL;
    rest = rem_body(rq);
    while (puts && n < entries && msg_batch_next(&rest, &e, &bad)) {
        struct send_seen s;
        send_look(e.properties, &s);
        /* Java's broker takes it, and nobody ever gets it. */
        if (!send_has_key(rq, bl, t, &s))
            return;
        bool separator = e.properties.len && e.properties.ptr[e.properties.len - 1] != 2;
        size_t len = e.properties.len + separator + suffix.len;
        char *text = arena_alloc(rem_arena(rq), len + 1);
        if (text == NULL)
            break;
        if (e.properties.len)
            memcpy(text, e.properties.ptr, e.properties.len);
        if (separator)
            text[e.properties.len] = 2;
        memcpy(text + e.properties.len + separator, suffix.ptr, suffix.len);
        puts[n++] = (struct store_msg){
            .m =
                {
                    .topic = t->name,
                    .body = e.body,
                    .properties = str_make(text, len),
                    .queue_id = queue_id,
                    .flag = e.flag,
                    .sys_flag = h->sys_flag,
                    .reconsume_times = h->reconsume_times,
                    .born_time = h->born_timestamp,
                    .born_host = born,
                    .store_host = b->store_host,
                },
            .queue = queue,
            .tags_code = s.tags.len ? java_hash(s.tags) : 0,
        };
    }
    if (queue == NULL || puts == NULL || n < entries) {
        send_refuse(rq, b, RESP_MESSAGE_ILLEGAL, "the batch for topic %.*s is malformed or has more than %d messages",
                    STR_ARG(h->topic), BATCH_ENTRIES_MAX);
        return;
    }
    common.uniq_key = STR_NULL;
    struct pending_send *p = send_pending(rq, bl, t, queue_id, &common);
    if (p == NULL)
        return;
    enum put_status status = store_batch_add_many(bl->batch, puts, n, &p->put);
    if (status != PUT_OK)
        send_failed(bl, p, status);
}
