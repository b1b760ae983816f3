/* Taking back a message that waits (370), and what is known of those that wait: 60, 61. */
#include "base/base64.h"
#include "broker/admin/admin_int.h"
#include "broker/send/send.h"
#include "broker/timer/timer.h"
#include "os/clock.h"
#include "remoting/headers_client.h"

#define RECALL_TAG "_RECALL_TAG_"

struct recall {
    struct str topic, broker, id;
    int64_t time_ms; /* -1: no number */
};

/* v1 TOPIC BROKER TIME ID */
static bool parse_handle(struct arena *arena, struct str handle, struct recall *out)
{
    struct buf plain = {0};
    struct str rest, item[5];
    char *text = NULL;
    size_t n = 0;
    if (handle.len && base64_url_decode(&plain, handle) && plain.len) {
        text = arena_alloc(arena, plain.len);
        if (text)
            memcpy(text, plain.data, plain.len);
    }
    rest = str_make(text, text ? plain.len : 0);
    buf_free(&plain);
    while (n < 5 && str_split(&rest, ' ', &item[n]))
        n++;
    if (n < 5 || !str_eqz(item[0], "v1") || item[4].len == 0)
        return false;
    *out = (struct recall){.topic = item[1], .broker = item[2], .id = item[4]};
    if (!str_to_i64(item[3], &out->time_ms))
        out->time_ms = -1;
    return true;
}

static void answer(struct rem_request *rq, int32_t code, struct str remark, struct str id)
{
    struct rem_frame f;
    rem_reply_begin(rq, &f, code);
    rem_frame_str(&f, MSG_PROP_MSG_REGION, str_from(broker_of(rq)->conf->region_id));
    if (id.len)
        rem_frame_str(&f, "msgId", id);
    rem_reply_end(rq, &f, remark, STR_NULL);
}

#define REFUSE(rq, code, text) answer(rq, code, STR_LIT(text), STR_NULL)

/* What stands in the way, answered; false: nothing does. */
static bool is_refused(struct rem_request *rq, const struct recall_message_req *h)
{
    struct broker *b = broker_of(rq);
    int64_t now = clock_wall_ms();
    if (!b->conf->recall_enable)
        REFUSE(rq, RESP_NO_PERMISSION, "recall failed, operation is forbidden");
    else if (b->store_conf->brokerRole == ROLE_SLAVE)
        REFUSE(rq, RESP_SLAVE_NOT_AVAILABLE, "recall failed, broker service not available");
    else if (now < b->conf->start_accept_send_ms ||
             (!(b->conf->permission & PERM_WRITE) && !b->conf->recall_when_not_writable))
        REFUSE(rq, RESP_SERVICE_NOT_AVAILABLE, "recall failed, broker service not available");
    else if (topic_find(b->topics, h->topic) == NULL)
        answer(rq, RESP_TOPIC_NOT_EXIST,
               str_from(arena_printf(rem_arena(rq), "recall failed, the topic[%.*s] not exist", STR_ARG(h->topic))),
               STR_NULL);
    else
        return false;
    return true;
}

static bool is_illegal(struct rem_request *rq, const struct recall_message_req *h, struct recall *r)
{
    struct broker *b = broker_of(rq);
    if (!parse_handle(rem_arena(rq), h->recall_handle, r)) {
        REFUSE(rq, RESP_ILLEGAL_OPERATION, "recall handle is invalid");
        return true;
    }
    int64_t left = r->time_ms - clock_wall_ms();
    if (!str_eq(r->topic, h->topic))
        REFUSE(rq, RESP_ILLEGAL_OPERATION, "recall failed, topic not match");
    else if (!str_eqz(r->broker, b->conf->broker_name))
        REFUSE(rq, RESP_ILLEGAL_OPERATION, "recall failed, broker service not available");
    else if (left <= 0 || left >= b->store_conf->timerMaxDelaySec * INT64_C(1000))
        REFUSE(rq, RESP_ILLEGAL_OPERATION, "recall failed, timestamp invalid");
    else
        return false;
    return true;
}

static void properties_of(struct buf *out, const struct recall_message_req *h, const struct recall *r, int64_t now)
{
    struct buf key = {0};
    char number[24];
    buf_add_str(&key, r->topic);
    buf_add_byte(&key, '+');
    buf_add_str(&key, r->id);
    msg_property_add(out, STR_LIT(MSG_PROP_TAGS), STR_LIT(RECALL_TAG));
    msg_property_add(out, STR_LIT(MSG_PROP_TIMER_DEL_UNIQKEY), buf_str(&key));
    msg_property_add(out, STR_LIT(MSG_PROP_UNIQ_KEY), r->id);
    msg_property_add(out, STR_LIT(MSG_PROP_TIMER_DELIVER_MS), str_make(number, fmt_i64(number, r->time_ms)));
    msg_property_add(out, STR_LIT(MSG_PROP_BORN_TIMESTAMP), str_make(number, fmt_i64(number, now)));
    if (h->producer_group.len)
        msg_property_add(out, STR_LIT(MSG_PROP_PGROUP), h->producer_group);
    out->failed |= !buf_ok(&key);
    buf_free(&key);
}

/* Puts the message of the same time that takes the other one back. */
static void handle_recall(struct rem_request *rq, const void *header)
{
    const struct recall_message_req *h = header;
    struct broker *b = broker_of(rq);
    struct recall r;
    if (is_refused(rq, h) || is_illegal(rq, h, &r))
        return;
    struct buf given = {0}, props = {0};
    struct topic *to;
    struct put_result result;
    int64_t now = clock_wall_ms(), out_ms;
    properties_of(&given, h, &r, now);
    struct msg m = {
        .topic = r.topic,
        .body = STR_LIT("0"),
        .properties = buf_str(&given),
        .born_time = now,
        .store_host = b->store_host,
    };
    msg_host_from(&m.born_host, rem_peer(rq));
    enum put_status status = PUT_UNKNOWN_ERROR;
    if (buf_ok(&given) && timer_redirect(b, &m, &props, &to, &out_ms) == TIMER_MOVED && buf_ok(&props))
        status = broker_put(b, to, &m, &result);
    if (status == PUT_OK || status == PUT_FLUSH_DISK_TIMEOUT || status == PUT_FLUSH_SLAVE_TIMEOUT ||
        status == PUT_SLAVE_NOT_AVAILABLE)
        answer(rq, RESP_SUCCESS, STR_NULL, r.id);
    else
        REFUSE(rq, RESP_SYSTEM_ERROR, "recall failed, execute error");
    buf_free(&given);
    buf_free(&props);
}

static void handle_checkpoint(struct rem_request *rq, const void *header)
{
    uint8_t body[TIMER_CHECKPOINT_SIZE];
    struct broker *b = broker_of(rq);
    if (b->timer == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "The checkpoint is null");
        return;
    }
    timer_checkpoint(b->timer, body);
    rem_reply_body(rq, RESP_SUCCESS, str_make(body, sizeof body));
}

static void handle_metrics(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    if (b->timer == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "The timer message store is null");
        return;
    }
    jw_init(&w, &body);
    timer_write_metrics(b->timer, &w);
    broker_admin_reply_json(rq, &body);
}

static const struct rem_op rows[] = {
    {REQ_RECALL_MESSAGE, "RECALL_MESSAGE", &recall_message_req_schema, handle_recall, REM_LANE_WORKER, REM_ACT_PUB,
     REM_RES_TOPIC},
    {REQ_GET_TIMER_CHECK_POINT, "GET_TIMER_CHECK_POINT", NULL, handle_checkpoint, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_CLUSTER},
    {REQ_GET_TIMER_METRICS, "GET_TIMER_METRICS", NULL, handle_metrics, REM_LANE_WORKER, REM_ACT_GET, REM_RES_CLUSTER},
};
const struct broker_ops timer_ops = {rows, sizeof rows / sizeof rows[0]};
