/*
 * Replies of the request-reply pattern: 324 and 325 carry a reply, which is stored (storeReplyMessageEnable) and pushed
 * by 326 to the connection of the client that waits for it. The answer says whether the push arrived.
 */
#include "broker/send/send.h"

#include "base/log.h"
#include "broker/client/client_call.h"
#include "broker/send/late_reply.h"
#include "os/clock.h"
#include "remoting/headers_admin.h"
#include "remoting/headers_client.h"
#include <stdio.h>
#include <stdlib.h>

enum { PUSH_TIMEOUT_MS = 10000 };

/* One reply on its way to the client and back. */
struct reply {
    struct broker *b;
    struct rem_token to;
    char requester[160];
    bool stored;
    char msg_id[56];
    size_t msg_id_len;
    int32_t queue_id;
    int64_t queue_offset;
};

/* why NULL: pushed. Frees r. */
static void finish(struct reply *r, const char *why)
{
    struct late_reply *l = late_reply_new(&r->to, why ? RESP_SYSTEM_ERROR : RESP_SUCCESS);
    if (l) {
        struct rem_frame *f = late_reply_frame(l);
        rem_frame_str(f, "MSG_REGION", str_from(r->b->conf->region_id));
        rem_frame_bool(f, "TRACE_ON", r->b->conf->trace_on);
        if (!why || r->stored) {
            /* "0" stands for a reply that is in no queue: clients parse the fields in any case. */
            rem_frame_str(f, "msgId", r->stored ? str_make(r->msg_id, r->msg_id_len) : STR_LIT("0"));
            rem_frame_i64(f, "queueId", r->queue_id);
            rem_frame_i64(f, "queueOffset", r->queue_offset);
        }
        late_reply_send(l, why ? str_from(why) : STR_NULL, STR_NULL);
    }
    free(r);
}

/* ---- pushing ---- */

static void push_done(void *arg, const struct rem_command *response, const char *why)
{
    struct reply *r = arg;
    char text[320];
    snprintf(text, sizeof text, "push reply message to %sfail. %s", r->requester,
             response ? "The client refused it." : why);
    finish(r, response && response->code == RESP_SUCCESS ? NULL : text);
}

static struct str format_host(char out[80], const struct net_address *a)
{
    return str_make(out, net_address_format(a, out));
}

static void push(struct rem_request *rq, struct reply *r, const struct send_req *h, struct str properties)
{
    char born[80];
    struct str requester = msg_property(h->properties, STR_LIT(MSG_PROP_REPLY_TO_CLIENT));
    struct net_ref to;
    struct client_call *call;
    if (str_is_null(requester)) {
        finish(r, "reply message properties[REPLY_TO_CLIENT] is null");
        return;
    }
    snprintf(r->requester, sizeof r->requester, "%.*s", STR_ARG(requester));
    if (!producer_conn_of_client(r->b->producers, requester, &to)) {
        char text[320];
        snprintf(text, sizeof text, "push reply message fail, channel of <%s> not found.", r->requester);
        finish(r, text);
        return;
    }
    call = client_call_new(REQ_PUSH_REPLY_MESSAGE_TO_CLIENT);
    if (call == NULL) {
        push_done(r, NULL, "out of memory");
        return;
    }
    int64_t now = clock_wall_ms();
    char *with_time = arena_printf(rem_arena(rq), "%.*s" MSG_PROP_PUSH_REPLY_TIME "\x01%lld\x02", STR_ARG(properties),
                                   (long long)now);
    client_call_header(call, &push_reply_req_schema,
                       &(struct push_reply_req){
                           .producer_group = h->producer_group,
                           .topic = h->topic,
                           .default_topic = h->default_topic,
                           .default_topic_queue_nums = h->default_topic_queue_nums,
                           .queue_id = h->queue_id,
                           .sys_flag = h->sys_flag,
                           .born_timestamp = h->born_timestamp,
                           .flag = h->flag,
                           .properties = str_from(with_time),
                           .reconsume_times = h->reconsume_times,
                           .unit_mode = h->unit_mode,
                           .born_host = format_host(born, rem_peer(rq)),
                           .store_host = str_from(r->b->address),
                           .store_timestamp = now,
                       });
    client_call_body(call, rem_body(rq));
    client_call_send(call, to, PUSH_TIMEOUT_MS, push_done, r);
}

/* ---- storing ---- */

static void put(struct rem_request *rq, struct reply *r, struct topic *t, const struct send_req *h,
                struct str properties)
{
    struct put_result result;
    struct msg m = {
        .topic = t->name,
        .body = rem_body(rq),
        .properties = properties,
        .queue_id = r->queue_id,
        .flag = h->flag,
        .sys_flag = h->sys_flag,
        .reconsume_times = h->reconsume_times,
        .born_time = h->born_timestamp,
        .store_host = r->b->store_host,
    };
    msg_host_from(&m.born_host, rem_peer(rq));
    enum put_status status = broker_put(r->b, t, &m, &result);
    if (status == PUT_OK || status == PUT_FLUSH_DISK_TIMEOUT) {
        r->stored = true;
        r->queue_offset = result.queue_offset;
        r->msg_id_len = msg_id_format(r->msg_id, &r->b->store_host, result.end_offset - result.bytes);
    } else {
        char why[PUT_REMARK_MAX];
        put_failure(r->b, status, why);
        LOG_LIMITED(LOG_WARN, "broker", "a reply on topic %.*s was not stored: %s", STR_ARG(t->name), why);
    }
}

/* ---- checks ---- */

static void refuse(struct rem_request *rq, int32_t code, const char *remark)
{
    struct broker *b = broker_of(rq);
    struct rem_frame f;
    rem_reply_begin(rq, &f, code);
    rem_frame_str(&f, "MSG_REGION", str_from(b->conf->region_id));
    rem_frame_bool(&f, "TRACE_ON", b->conf->trace_on);
    rem_reply_end(rq, &f, str_from(remark), STR_NULL);
}

/* The reply's topic; NULL: refused, answered. */
static struct topic *find_topic(struct rem_request *rq, const struct send_req *h)
{
    struct broker *b = broker_of(rq);
    char text[400];
    int32_t code = RESP_TOPIC_NOT_EXIST;
    struct topic *t = topic_find(b->topics, h->topic);
    const char *illegal = name_illegal(h->topic, 127);
    if (t == NULL && !illegal)
        t = topic_auto_create(b->topics, h->topic, h->default_topic, h->default_topic_queue_nums, h->unit_mode,
                              b->conf->default_topic_queue_nums);
    snprintf(text, sizeof text, "topic[%.*s] not exist, apply first please!", STR_ARG(h->topic));
    if (b->conf->start_accept_send_ms > clock_wall_ms()) {
        code = RESP_SYSTEM_ERROR;
        snprintf(text, sizeof text, "broker unable to service, until %lld", (long long)b->conf->start_accept_send_ms);
    } else if (illegal) {
        code = RESP_INVALID_PARAMETER;
        snprintf(text, sizeof text, "The specified topic: %.*s, %s", STR_ARG(h->topic), illegal);
    } else if (topic_send_forbidden(h->topic)) {
        code = RESP_NO_PERMISSION;
        snprintf(text, sizeof text, "Sending message to topic[%.*s] is forbidden.", STR_ARG(h->topic));
    } else if (t && !(b->conf->permission & PERM_WRITE) && t->order) {
        code = RESP_NO_PERMISSION;
        snprintf(text, sizeof text, "the broker[%s] sending message is forbidden", b->address);
    } else if (t && (h->queue_id >= t->read_queues && h->queue_id >= t->write_queues)) {
        code = RESP_INVALID_PARAMETER;
        snprintf(text, sizeof text, "request queueId[%d] is illegal, topic %.*s has %d queues", h->queue_id,
                 STR_ARG(h->topic), t->write_queues);
    } else if (t) {
        return t;
    }
    refuse(rq, code, text);
    return NULL;
}

/* The reply's properties with those that every message gets from its broker. */
static struct str stamp(struct rem_request *rq, struct str properties)
{
    const struct broker_conf *conf = broker_of(rq)->conf;
    bool ended = properties.len == 0 || properties.ptr[properties.len - 1] == 2;
    char *text =
        arena_printf(rem_arena(rq), "%.*s%s" MSG_PROP_MSG_REGION "\x01%s\x02" MSG_PROP_TRACE_ON "\x01%s\x02",
                     STR_ARG(properties), ended ? "" : "\x02", conf->region_id, conf->trace_on ? "true" : "false");
    return text ? str_from(text) : properties;
}

static void send_reply(struct rem_request *rq, const void *header)
{
    const struct send_req *h = header;
    struct topic *t = find_topic(rq, h);
    if (t == NULL)
        return;
    struct reply *r = calloc(1, sizeof *r);
    if (r == NULL) {
        refuse(rq, RESP_SYSTEM_ERROR, "out of memory for a reply");
        return;
    }
    struct str properties = stamp(rq, h->properties);
    int queues = t->write_queues > 0 ? t->write_queues : 1;
    r->b = broker_of(rq);
    r->queue_id = h->queue_id >= 0 ? h->queue_id : (int32_t)((uint32_t)rem_cmd(rq)->opaque % (uint32_t)queues);
    r->to = rem_later(rq);
    if (r->b->conf->store_reply_message)
        put(rq, r, t, h, properties);
    push(rq, r, h, properties);
}

static const struct rem_op rows[] = {
    {REQ_SEND_REPLY_MESSAGE, "SEND_REPLY_MESSAGE", &send_req_schema, send_reply, REM_LANE_WORKER, REM_ACT_PUB,
     REM_RES_TOPIC},
    {REQ_SEND_REPLY_MESSAGE_V2, "SEND_REPLY_MESSAGE_V2", &send_req_v2_schema, send_reply, REM_LANE_WORKER, REM_ACT_PUB,
     REM_RES_TOPIC},
};

const struct broker_ops reply_ops = {rows, sizeof rows / sizeof rows[0]};
