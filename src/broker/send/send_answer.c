/* What becomes of a send: the answer, now or once it is durable, or the refusal. */
#include "broker/send/send_int.h"

#include "base/list.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARKED_MAX = 200000 };

/* Region and trace switch stand in every answer to a send: the Java client reads them without asking whether they are
 * there. */
static void reply_begin(struct rem_request *rq, struct broker *b, struct rem_frame *f, int32_t code)
{
    rem_reply_begin(rq, f, code);
    rem_frame_fields(f, buf_str(&broker_loop_of(b, rem_loop(rq))->answer_stamp[b->conf->trace_on]));
}

void send_refuse(struct rem_request *rq, struct broker *b, int32_t code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct rem_frame f;
    reply_begin(rq, b, &f, code);
    rem_reply_end(rq, &f, str_from(text), STR_NULL);
}

static struct pending_send *pending_of(struct loop_put *p)
{
    return LIST_ENTRY(p, struct pending_send, put);
}

static struct pending_send *pending_new(struct broker_loop *bl)
{
    struct loop_put *p = bl->free_sends;
    if (p) {
        bl->free_sends = p->next;
        return pending_of(p);
    }
    return calloc(1, sizeof(struct pending_send));
}

static void pending_free(struct broker_loop *bl, struct pending_send *p)
{
    p->put.next = bl->free_sends;
    bl->free_sends = &p->put;
}

void send_free_all(struct broker_loop *bl)
{
    while (bl->free_sends) {
        struct pending_send *p = pending_of(bl->free_sends);
        bl->free_sends = p->put.next;
        buf_free(&p->ids);
        free(p);
    }
}

static void add_recall_handle(struct rem_frame *f, const struct broker *b, const struct pending_send *p)
{
    struct buf handle = {0};
    timer_recall_handle(&handle, b, p->timed->name, p->timed_ms, str_make(p->id, p->id_len));
    if (buf_ok(&handle))
        rem_frame_str(f, "recallHandle", buf_str(&handle));
    buf_free(&handle);
}

static void answer(struct broker_loop *bl, struct pending_send *p, int32_t code, struct str msg_ids,
                   int64_t queue_offset)
{
    struct rem_frame f;
    if (!rem_token_begin(&p->token, &f, code))
        return;
    rem_frame_fields(&f, buf_str(&bl->answer_stamp[bl->broker->conf->trace_on]));
    rem_frame_str(&f, "msgId", msg_ids);
    rem_frame_i64(&f, "queueId", p->queue_id);
    rem_frame_i64(&f, "queueOffset", queue_offset);
    if (p->id_len)
        rem_frame_str(&f, "transactionId", str_make(p->id, p->id_len));
    if (p->inner_batch)
        rem_frame_str(&f, "batchUniqId", str_make(p->id, p->id_len));
    if (p->timed && p->id_len)
        add_recall_handle(&f, bl->broker, p);
    rem_token_end(&p->token, &f, STR_NULL, STR_NULL);
}

/* What a put that is not stored is answered with. */
int32_t put_failure(struct broker *b, enum put_status status, char remark[PUT_REMARK_MAX])
{
    const char *why = NULL;
    switch (status) {
    case PUT_CREATE_FILE_FAILED:
        snprintf(remark, PUT_REMARK_MAX, "create mapped file failed, server is busy or broken.");
        return RESP_SYSTEM_ERROR;
    case PUT_MESSAGE_ILLEGAL:
    case PUT_PROPERTIES_SIZE_EXCEEDED:
        snprintf(
            remark, PUT_REMARK_MAX,
            "the message is illegal, maybe msg body or properties length not matched. msg body length limit %lldB, "
            "msg properties length limit 32KB.",
            (long long)b->store_conf->maxMessageSize);
        return RESP_MESSAGE_ILLEGAL;
    case PUT_SERVICE_NOT_AVAILABLE:
        why = store_not_writable(b->store);
        snprintf(remark, PUT_REMARK_MAX, "%s",
                 why ? why
                     : "service not available now. It may be caused by one of the following reasons: the broker's disk "
                       "is full, messages are put to the slave, or the store is stopping.");
        return RESP_SERVICE_NOT_AVAILABLE;
    case PUT_PAGE_CACHE_BUSY:
        why = store_busy(b->store);
        snprintf(remark, PUT_REMARK_MAX, "%s",
                 why ? why : "[PC_SYNCHRONIZED]broker busy, start flow control for a while");
        return RESP_SYSTEM_BUSY;
    default:
        snprintf(remark, PUT_REMARK_MAX, "UNKNOWN_ERROR: the message was not stored");
        return RESP_SYSTEM_ERROR;
    }
}

static void send_durable(struct broker_loop *bl, struct loop_put *put, bool flushed)
{
    struct pending_send *p = pending_of(put);
    answer(bl, p, flushed ? RESP_SUCCESS : RESP_FLUSH_DISK_TIMEOUT, buf_str(&p->ids), p->queue_offset);
    buf_clear(&p->ids);
    pending_free(bl, p);
}

static void add_ids(struct buf *out, const struct broker *b, const struct put_result *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (i)
            buf_add_lit(out, ",");
        uint8_t *at = buf_extend(out, 56);
        if (at)
            out->len -= 56 - msg_id_format((char *)at, &b->store_host, r->physical_offsets[i]);
    }
}

static void send_done(struct broker_loop *bl, struct loop_put *put, const struct put_result *r)
{
    struct pending_send *p = pending_of(put);
    struct broker *b = bl->broker;
    if (r->status != PUT_OK) {
        char remark[PUT_REMARK_MAX];
        struct rem_frame f;
        int32_t code = put_failure(b, r->status, remark);
        if (rem_token_begin(&p->token, &f, code)) {
            rem_frame_fields(&f, buf_str(&bl->answer_stamp[bl->broker->conf->trace_on]));
            rem_token_end(&p->token, &f, str_from(remark), STR_NULL);
        }
        pending_free(bl, p);
        return;
    }
    topic_count_put(b->stats, p->topic, r->messages, r->bytes);
    stats_add(bl->puts, r->messages);
    if (p->half_of)
        transaction_prepared(b->transactions, p->half_of->name);
    if (p->wait_durable && store_flushed(b->store) < r->end_offset) {
        add_ids(&p->ids, b, r);
        p->queue_offset = r->queue_offset;
        broker_loop_park(bl, put, r->end_offset);
        return;
    }
    if (r->count == 1) {
        char id[56];
        size_t n = msg_id_format(id, &b->store_host, r->physical_offsets[0]);
        answer(bl, p, RESP_SUCCESS, str_make(id, n), r->queue_offset);
    } else {
        add_ids(&p->ids, b, r);
        answer(bl, p, RESP_SUCCESS, buf_str(&p->ids), r->queue_offset);
        buf_clear(&p->ids);
    }
    pending_free(bl, p);
}

struct pending_send *send_pending(struct rem_request *rq, struct broker_loop *bl, struct topic *t, int32_t queue_id,
                                  const struct send_seen *s)
{
    unsigned parked = atomic_load_explicit(&bl->parked_count, memory_order_relaxed);
    struct pending_send *p = parked < PARKED_MAX ? pending_new(bl) : NULL;
    if (p == NULL) {
        send_refuse(rq, bl->broker, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, %u sends wait for the disk", parked);
        return NULL;
    }
    p->put.done = send_done;
    p->put.durable = send_durable;
    p->inner_batch = false;
    p->topic = t;
    p->half_of = NULL;
    p->queue_id = queue_id;
    p->timed = NULL;
    p->wait_durable = store_sync_flush(bl->broker->store) && !str_ieq(s->wait, STR_LIT("false"));
    p->id_len = s->uniq_key.len <= sizeof p->id ? (uint32_t)s->uniq_key.len : 0;
    if (p->id_len)
        memcpy(p->id, s->uniq_key.ptr, p->id_len);
    p->token = rem_later(rq);
    return p;
}

void send_failed(struct broker_loop *bl, struct pending_send *p, enum put_status status)
{
    send_done(bl, &p->put, &(struct put_result){.status = status});
}
