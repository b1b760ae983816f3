/*
 * END_TRANSACTION (37) and RESUME_CHECK_HALF_MESSAGE (323). Producers end transactions without waiting for an answer,
 * shortly after the half message was stored: then it lies in memory and everything is done on the loop, the commit in
 * the round's batch. What has to wait, for the disk or for durability, goes to a worker.
 */
#include "base/list.h"
#include "base/log.h"
#include "broker/broker_loop.h"
#include "broker/send/send.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include "remoting/headers_client.h"
#include <stdlib.h>

/* ---- checks ---- */

/* RESP_SUCCESS: the request may end this half message; v NULL: there is none. */
static int32_t judge_end(const struct broker *b, const struct end_transaction_req *h, const struct msg_view *v,
                         const char **remark)
{
    *remark = NULL;
    if (v == NULL || !str_eqz(v->m.topic, TRANSACTION_HALF_TOPIC)) {
        *remark = "Find prepared transaction message failed";
        return RESP_SYSTEM_ERROR;
    }
    struct str immunity = msg_property(v->m.properties, STR_LIT(MSG_PROP_CHECK_IMMUNITY));
    int64_t age = clock_wall_ms() - (v->m.born_time < 0 ? 0 : v->m.born_time);
    /* From then on producers are asked, and their answers to that count. */
    if (!h->from_transaction_check && immunity.len &&
        age > transaction_immunity_ms(immunity, b->conf->transaction_timeout_ms))
        return RESP_ILLEGAL_OPERATION;
    struct str group = msg_property(v->m.properties, STR_LIT(MSG_PROP_PGROUP));
    if (str_is_null(group) || !str_eq(group, h->producer_group))
        *remark = "The producer group wrong";
    else if (v->m.queue_offset != h->tran_state_table_offset)
        *remark = "The transaction state table offset wrong";
    return *remark ? RESP_SYSTEM_ERROR : RESP_SUCCESS;
}

/* ---- the message under its own name ---- */

/* Its properties stay as they are, as in Java: consumers see where it waited. *t: NULL when its topic is gone, the
 * message is stored all the same. False: the half message does not say where it belongs, asks for
 * an impossible time, or no memory. */
static bool final_message(struct broker *b, const struct msg_view *half, struct store_msg *put, struct topic **t,
                          struct buf *changed)
{
    int level;
    int64_t timed_ms;
    *put = (struct store_msg){.m = half->m};
    struct msg *m = &put->m;
    m->topic = msg_property(half->m.properties, STR_LIT(MSG_PROP_REAL_TOPIC));
    if (m->topic.len == 0 || !str_to_i32(msg_property(half->m.properties, STR_LIT(MSG_PROP_REAL_QID)), &m->queue_id) ||
        m->queue_id < 0 || m->queue_id >= TOPIC_MAX_QUEUES)
        return false;
    m->sys_flag = (m->sys_flag & ~MSG_FLAG_TRANSACTION_MASK) | MSG_FLAG_TRANSACTION_COMMIT;
    m->prepared_transaction_offset = half->m.physical_offset;
    *t = schedule_redirect(b, m, changed, &level);
    if (*t == NULL) {
        enum timer_verdict v = timer_redirect(b, m, changed, t, &timed_ms);
        if (v == TIMER_NONE)
            *t = topic_find(b->topics, m->topic);
        else if (v != TIMER_MOVED)
            return false;
    }
    put->queue = store_queue(b->store, m->topic, m->queue_id, true);
    put->tags_code = msg_tags_code(m->properties);
    return put->queue && buf_ok(changed);
}

static void count_commit(struct broker *b, struct topic *t, const struct put_result *r)
{
    if (t)
        topic_count_put(b->stats, t, r->count, r->bytes);
}

static void decided(struct broker *b, int64_t half_offset, struct str real_topic)
{
    transaction_op_add(b->transactions, half_offset);
    transaction_metrics_add(&b->transactions->metrics, real_topic, -1);
}

static struct str real_topic(const struct msg_view *half)
{
    return msg_property(half->m.properties, STR_LIT(MSG_PROP_REAL_TOPIC));
}

/* ---- on a worker ---- */

static void commit_and_wait(struct rem_request *rq, const struct msg_view *half)
{
    struct broker *b = broker_of(rq);
    struct buf changed = {0};
    struct store_msg put;
    struct put_result r;
    struct topic *t;
    char remark[PUT_REMARK_MAX];
    bool whole = final_message(b, half, &put, &t, &changed);
    enum put_status status = whole ? store_put(b->store, &put, &r) : PUT_MESSAGE_ILLEGAL;
    buf_free(&changed);
    if (status != PUT_OK && status != PUT_FLUSH_DISK_TIMEOUT) {
        int32_t code = put_failure(b, status, remark);
        rem_reply(rq, code, "%s", remark);
        return;
    }
    decided(b, half->m.queue_offset, real_topic(half));
    count_commit(b, t, &r);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void end_on_worker(struct rem_request *rq, const struct end_transaction_req *h)
{
    struct broker *b = broker_of(rq);
    struct buf record = {0};
    struct msg_view v;
    const char *remark;
    bool found = store_read(b->store, h->commit_log_offset, &record, &v);
    int32_t code = judge_end(b, h, found ? &v : NULL, &remark);
    if (remark) {
        rem_reply(rq, code, "%s", remark);
    } else if (code != RESP_SUCCESS) {
        rem_reply(rq, code, NULL);
    } else if (h->commit_or_rollback == MSG_FLAG_TRANSACTION_COMMIT) {
        commit_and_wait(rq, &v);
    } else {
        decided(b, v.m.queue_offset, real_topic(&v));
        rem_reply(rq, RESP_SUCCESS, NULL);
    }
    buf_free(&record);
}

/* ---- on the loop: nobody waits for an answer ---- */

struct ending {
    struct loop_put put;
    struct topic *topic; /* NULL: deleted */
    int64_t half_offset;
    size_t real_topic_len;
    char real_topic[];
};

static void committed(struct broker_loop *bl, struct loop_put *put, const struct put_result *r)
{
    struct ending *e = LIST_ENTRY(put, struct ending, put);
    if (r->status == PUT_OK) {
        decided(bl->broker, e->half_offset, str_make(e->real_topic, e->real_topic_len));
        count_commit(bl->broker, e->topic, r);
        stats_add(bl->puts, r->count);
    } else {
        LOG_LIMITED(LOG_WARN, "broker",
                    "the commit of a message of topic %.*s cannot be stored now, asking again later",
                    STR_ARG(str_make(e->real_topic, e->real_topic_len)));
    }
    free(e);
}

static void commit_on_loop(struct broker_loop *bl, const struct msg_view *half)
{
    struct buf changed = {0};
    struct store_msg put;
    struct topic *t;
    struct str topic = real_topic(half);
    struct ending *e = malloc(sizeof *e + topic.len);
    if (e && final_message(bl->broker, half, &put, &t, &changed)) {
        *e = (struct ending){{.done = committed}, t, half->m.queue_offset, topic.len};
        memcpy(e->real_topic, topic.ptr, topic.len);
        if (store_batch_add(bl->batch, &put, e) == PUT_OK)
            e = NULL;
    }
    free(e);
    buf_free(&changed);
}

/* False: it has to wait for the disk. */
static bool end_on_loop(struct broker_loop *bl, const struct end_transaction_req *h)
{
    struct broker *b = bl->broker;
    struct store_range range;
    struct msg_view v;
    const char *remark;
    enum get_status found = store_look(b->store, h->commit_log_offset, &range, &v);
    if (found == GET_COLD)
        return false;
    int32_t code = judge_end(b, h, found == GET_FOUND ? &v : NULL, &remark);
    if (code != RESP_SUCCESS)
        LOG_LIMITED(LOG_WARN, "broker", "a producer of group %.*s cannot end its transaction at %lld: %s",
                    STR_ARG(h->producer_group), (long long)h->commit_log_offset,
                    remark ? remark : "its immunity is over");
    else if (h->commit_or_rollback == MSG_FLAG_TRANSACTION_COMMIT)
        commit_on_loop(bl, &v);
    else
        decided(b, v.m.queue_offset, real_topic(&v));
    if (found == GET_FOUND)
        store_range_release(&range);
    return true;
}

static void handle_end_transaction(struct rem_request *rq, const void *header)
{
    const struct end_transaction_req *h = header;
    struct broker *b = broker_of(rq);
    if (rem_conn(rq) == NULL) {
        end_on_worker(rq, h);
        return;
    }
    if (b->store_conf->brokerRole == ROLE_SLAVE) {
        rem_reply(rq, RESP_SLAVE_NOT_AVAILABLE, NULL);
        return;
    }
    /* A producer that does not know yet is asked later; as in Java it gets no answer, and neither does nonsense. */
    if (h->commit_or_rollback != MSG_FLAG_TRANSACTION_COMMIT && h->commit_or_rollback != MSG_FLAG_TRANSACTION_ROLLBACK)
        return;
    bool oneway = rem_cmd(rq)->flag & REM_FLAG_ONEWAY;
    if (!oneway || !end_on_loop(broker_loop_of(b, rem_loop(rq)), h))
        rem_to_worker(rq);
}

/* ---- beginning to ask again ---- */

static bool can_be_asked_about(const struct msg *m)
{
    return (str_eqz(m->topic, TRANSACTION_DISCARD_TOPIC) || str_eqz(m->topic, TRANSACTION_HALF_TOPIC)) &&
           msg_property(m->properties, STR_LIT(MSG_PROP_REAL_TOPIC)).len &&
           msg_property(m->properties, STR_LIT(MSG_PROP_REAL_QID)).len &&
           msg_property(m->properties, STR_LIT(MSG_PROP_PGROUP)).len;
}

static void resume_check(struct rem_request *rq, const void *header)
{
    const struct resume_check_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf record = {0}, props = {0};
    struct msg_host host;
    struct msg_view v;
    struct put_result r;
    int64_t offset;
    if (str_is_null(h->msg_id) || !msg_id_parse(h->msg_id, &host, &offset) ||
        !store_read(b->store, offset, &record, &v) || !can_be_asked_about(&v.m)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.");
    } else if (transaction_put_back(b, &v.m, &props, MSG_PROP_CHECK_TIMES, 0, &r) == PUT_OK) {
        LOG(LOG_INFO, "broker", "the half message %.*s is put back, its producers are asked again", STR_ARG(h->msg_id));
        rem_reply(rq, RESP_SUCCESS, NULL);
    } else {
        rem_reply(rq, RESP_SYSTEM_ERROR, "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.");
    }
    buf_free(&record);
    buf_free(&props);
}

static const struct rem_op rows[] = {
    {REQ_END_TRANSACTION, "END_TRANSACTION", &end_transaction_req_schema, handle_end_transaction, REM_LANE_LOOP,
     REM_ACT_PUB, REM_RES_TOPIC},
    {REQ_RESUME_CHECK_HALF_MESSAGE, "RESUME_CHECK_HALF_MESSAGE", &resume_check_req_schema, resume_check,
     REM_LANE_WORKER, REM_ACT_UPDATE, REM_RES_TOPIC},
};
const struct broker_ops transaction_ops = {rows, sizeof rows / sizeof rows[0]};
