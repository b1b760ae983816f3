/*
 * Pulls of consumers with code: passed on to the broker as they are, so that all of its rules hold, and answered with
 * the messages that the code wants. The records go on byte for byte.
 *
 * Nothing is passed over that the code has not refused: where it fails, the answer ends before that message, and the
 * pull that begins with it is answered with the error, again and again, until the consumer comes with other code.
 */
#include "base/log.h"
#include "filtersrv/filtersrv_int.h"
#include "remoting/headers_client.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SYS_COMMIT = 1,
    SYS_SUSPEND = 2,
    SYS_SUBSCRIPTION = 4,
    SYS_CLASS_FILTER = 8,
    BROKER_TIMEOUT_MS = 10000, /* besides what it may wait for messages */
    TURNS_MAX = 16,            /* so often the broker is asked before the client has to ask again */
    STEPS_FACTOR = 2,          /* of one message's steps: what one answer may take, so that other consumers get on */
};

struct filter_pull {
    struct filtersrv *f;
    struct rem_token token;
    struct pull_req req; /* its texts are behind the struct */
    int64_t first_offset;
    int64_t deadline_ms;
    int turns;
};

static void ask_broker(struct filter_pull *p);

/* ---- answers ---- */

static void __attribute__((format(printf, 2, 3))) answer_error(struct filter_pull *p, const char *fmt, ...)
{
    struct rem_frame frame;
    char text[1500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (rem_token_begin(&p->token, &frame, RESP_SYSTEM_ERROR))
        rem_token_end(&p->token, &frame, str_from(text), STR_NULL);
    free(p);
}

/* The broker's answer with another code, place to go on and body. */
static void answer(struct filter_pull *p, const struct rem_command *broker, int32_t code, struct str remark,
                   int64_t next, struct str body)
{
    static const char *const fields[] = {"suggestWhichBrokerId", "minOffset",    "maxOffset",
                                         "topicSysFlag",         "groupSysFlag", "forbiddenType"};
    struct rem_frame frame;
    if (rem_token_begin(&p->token, &frame, code)) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            rem_frame_str(&frame, fields[i], rem_ext(broker, fields[i]));
        if (next >= 0)
            rem_frame_i64(&frame, "nextBeginOffset", next);
        rem_token_end(&p->token, &frame, remark, body);
    }
    free(p);
}

/* ---- filtering ---- */

struct outcome {
    int64_t next; /* where to go on: behind all that was looked at, or where the code failed */
    int64_t steps;
    int32_t looked_at, matched;
    bool failed; /* at `next` */
};

static void count(struct filter_class *c, enum script_result r, const struct err *err)
{
    c->messages++;
    c->matched += r == SCRIPT_TRUE;
    c->steps += script_steps(c->script);
    if (r == SCRIPT_FAILED) {
        c->errors++;
        memcpy(c->why, err->text, sizeof c->why);
    }
}

/* What the code wants of the records goes to f->scratch. */
static void filter(struct filtersrv *f, struct filter_class *c, struct str records, int64_t end, struct outcome *o,
                   struct err *err)
{
    struct msg_view v;
    buf_clear(&f->scratch);
    for (; records.len; records = str_skip(records, v.size)) {
        if (o->looked_at && o->steps > STEPS_FACTOR * f->limits.steps)
            return;
        if (msg_decode((const uint8_t *)records.ptr, records.len, &v) != MSG_OK) {
            err_set(err, EPROTO, "the broker's answer has something that is no message");
            o->failed = true;
            return;
        }
        o->next = v.m.queue_offset;
        enum script_result r = script_match(c->script, &v, err);
        count(c, r, err);
        if (r == SCRIPT_FAILED) {
            o->failed = true;
            return;
        }
        if (r == SCRIPT_TRUE) {
            buf_add(&f->scratch, records.ptr, v.size);
            o->matched++;
        }
        o->steps += script_steps(c->script);
        o->looked_at++;
        o->next = v.m.queue_offset + 1;
    }
    o->next = end;
}

static void filter_failed(struct filter_pull *p, int64_t offset, const struct err *err)
{
    const struct pull_req *h = &p->req;
    LOG_LIMITED(LOG_WARN, "filtersrv", "the filter of group %.*s for topic %.*s fails at %d:%" PRId64 ": %s",
                STR_ARG(h->consumer_group), STR_ARG(h->topic), h->queue_id, offset, err->text);
    answer_error(
        p, "do Message Filter Exception, ConsumerGroup: %.*s Topic: %.*s QueueId: %d QueueOffset: %" PRId64 ", %s",
        STR_ARG(h->consumer_group), STR_ARG(h->topic), h->queue_id, offset, err->text);
}

static void answer_found(struct filter_pull *p, const struct rem_command *broker, const struct pull_resp *h)
{
    struct filtersrv *f = p->f;
    struct filter_class *c = filter_class_find(f, p->req.topic, p->req.consumer_group);
    struct outcome o = {.next = p->req.queue_offset};
    struct err err = {0};
    if (c == NULL || c->script == NULL) {
        answer_error(p, "Find Filter class failed, %s", c ? c->why : "not registered");
        return;
    }
    filter(f, c, broker->body, h->next_begin_offset, &o, &err);
    if (!buf_ok(&f->scratch)) {
        answer_error(p, "Pull Callback Exception, out of memory for the messages");
        return;
    }
    if (o.matched) {
        answer(p, broker, RESP_SUCCESS, STR_LIT("FOUND"), o.next, buf_str(&f->scratch));
        return;
    }
    if (o.failed && o.looked_at == 0 && p->req.queue_offset == p->first_offset) {
        filter_failed(p, o.next, &err);
        return;
    }
    if (o.failed || ++p->turns >= TURNS_MAX) {
        answer(p, broker, RESP_PULL_RETRY_IMMEDIATELY, STR_LIT("NO_MATCHED_MESSAGE"), o.next, STR_NULL);
        return;
    }
    p->req.queue_offset = o.next;
    ask_broker(p);
}

/* ---- the broker ---- */

static void broker_answered(void *arg, const struct rem_command *broker, const char *why)
{
    struct filter_pull *p = arg;
    struct pull_resp h;
    const char *bad;
    if (net_ref_get(p->token.conn) == NULL) {
        free(p);
        return;
    }
    if (broker == NULL) {
        answer_error(p, "Pull Callback Exception, the broker: %s", why);
        return;
    }
    bool whole = rem_schema_decode(&pull_resp_schema, broker, &h, &bad);
    if (broker->code == RESP_SUCCESS && whole) {
        answer_found(p, broker, &h);
        return;
    }
    /* Messages were refused before this answer: the client may go on behind them. */
    int32_t code = broker->code == RESP_PULL_NOT_FOUND && p->req.queue_offset > p->first_offset
                       ? RESP_PULL_RETRY_IMMEDIATELY
                       : broker->code;
    answer(p, broker, code, broker->remark, whole ? h.next_begin_offset : -1, STR_NULL);
}

static void ask_broker(struct filter_pull *p)
{
    struct rem_call call;
    int64_t left = p->deadline_ms - net_loop_now_ms(p->f->loop);
    struct pull_req *h = &p->req;
    if (left <= 0)
        h->sys_flag &= ~SYS_SUSPEND;
    h->suspend_timeout = left > 0 ? left : 0;
    if (!rem_channel_begin(p->f->channel, &call, REQ_PULL_MESSAGE, false)) {
        answer_error(p, "Pull Callback Exception, the broker cannot be reached");
        return;
    }
    rem_schema_write(&pull_req_schema, h, &call.frame);
    /* Its answer tells the offset by itself: only the first pull brings one. */
    h->sys_flag &= ~SYS_COMMIT;
    rem_call_send(&call, STR_NULL, h->suspend_timeout + BROKER_TIMEOUT_MS, broker_answered, p);
}

/* ---- requests ---- */

static struct str take(char **at, struct str s)
{
    struct str copy = str_is_null(s) ? s : str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static struct filter_pull *new_pull(struct filtersrv *f, const struct pull_req *h)
{
    struct filter_pull *p = calloc(1, sizeof *p + h->consumer_group.len + h->topic.len + h->proxy_client_id.len);
    if (p == NULL)
        return NULL;
    char *text = (char *)(p + 1);
    int64_t hold = h->suspend_timeout > 0 && h->suspend_timeout < 600000 ? h->suspend_timeout : 0;
    p->f = f;
    p->req = *h;
    p->req.consumer_group = take(&text, h->consumer_group);
    p->req.topic = take(&text, h->topic);
    p->req.proxy_client_id = take(&text, h->proxy_client_id);
    /* The broker has the subscription from the heartbeats: the name of the code, which lets all through there. */
    p->req.subscription = p->req.expression_type = STR_NULL;
    p->req.sys_flag &= ~(SYS_CLASS_FILTER | SYS_SUBSCRIPTION);
    p->first_offset = h->queue_offset;
    p->deadline_ms = net_loop_now_ms(f->loop) + (h->sys_flag & SYS_SUSPEND ? hold : 0);
    return p;
}

static void handle_pull(struct rem_request *rq, const void *header)
{
    const struct pull_req *h = header;
    struct filtersrv *f = rem_role(rq);
    struct filter_class *c = filter_class_find(f, h->topic, h->consumer_group);
    if (c == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR,
                  "Find Filter class failed, not registered: group %.*s has not sent its code for topic %.*s yet",
                  STR_ARG(h->consumer_group), STR_ARG(h->topic));
        return;
    }
    c->used_ms = net_loop_now_ms(f->loop);
    if (c->script == NULL) {
        c->errors++;
        rem_reply(rq, RESP_SYSTEM_ERROR, "Find Filter class failed, registered but no class: %s", c->why);
        return;
    }
    struct filter_pull *p = new_pull(f, h);
    if (p == NULL) {
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for a pull");
        return;
    }
    p->token = rem_later(rq);
    ask_broker(p);
}

const struct rem_op filtersrv_pull_ops[] = {
    {REQ_PULL_MESSAGE, "PULL_MESSAGE", &pull_req_schema, handle_pull, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
};
const size_t filtersrv_pull_op_count = sizeof filtersrv_pull_ops / sizeof filtersrv_pull_ops[0];
