/* What pops, notifications and questions about them must pass, in the order of the Java broker's checks. */
#include "broker/pop/pop.h"
#include "broker/pop/pop_wait.h"
#include "os/clock.h"
#include "remoting/headers_pop.h"
#include <stdlib.h>

enum { TOO_LATE_MS = 500 };

struct pop_group *pop_allowed(struct rem_request *rq, struct topic *t, struct str topic, int32_t queue_id,
                              struct str group, const char *doing)
{
    struct broker *b = broker_of(rq);
    if (!(b->conf->permission & PERM_READ)) {
        rem_reply(rq, RESP_NO_PERMISSION, "the broker[%s] %s message is forbidden", b->conf->broker_ip1, doing);
        return NULL;
    }
    if (t == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist, apply first please! " FAQ, STR_ARG(topic));
        return NULL;
    }
    if (!(atomic_load_explicit(&t->perm, memory_order_relaxed) & PERM_READ)) {
        rem_reply(rq, RESP_NO_PERMISSION, "the topic[%s] peeking message is forbidden", t->name.ptr);
        return NULL;
    }
    int queues = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    if (queue_id >= queues) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]",
                  queue_id, t->name.ptr, queues);
        return NULL;
    }
    struct group *g = group_find(b->groups, group);
    if (g == NULL) {
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [%.*s] does not exist, " FAQ,
                  STR_ARG(group));
        return NULL;
    }
    if (!atomic_load_explicit(&g->consume_enable, memory_order_relaxed)) {
        rem_reply(rq, RESP_NO_PERMISSION, "subscription group no permission, %.*s", STR_ARG(group));
        return NULL;
    }
    struct pop_group *out = pop_table_group(b->pop->table, t->name, g->name, true);
    if (out == NULL || out->holds == NULL) {
        /* Out of memory, or somebody pops a retry topic itself. */
        rem_reply(rq, RESP_SYSTEM_ERROR, "topic %s cannot be popped", t->name.ptr);
        return NULL;
    }
    return out;
}

/* The same for a handler on a loop, which has the topics at hand. NULL: answered. */
static struct topic *allowed(struct rem_request *rq, struct broker_loop *bl, struct str topic, int32_t queue_id,
                             struct str group, struct pop_group **out)
{
    struct topic *t = broker_loop_topic(bl, topic);
    *out = pop_allowed(rq, t, topic, queue_id, group, "pop");
    return *out ? t : NULL;
}

static struct pop *pop_new(struct rem_request *rq, struct topic *t, struct pop_group *g, int32_t queue_id,
                           struct str attempt)
{
    struct pop *p = calloc(1, sizeof *p);
    if (p && !str_is_null(attempt) && (p->attempt = str_dupz(attempt)) == NULL) {
        free(p);
        p = NULL;
    }
    if (p == NULL) {
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for a pop");
        return NULL;
    }
    list_init(&p->node);
    p->broker = broker_of(rq);
    p->topic = t;
    p->group = g;
    p->queue_id = queue_id < 0 ? -1 : queue_id;
    p->free_at = INT64_MAX;
    return p;
}

void pop_reply_begin(struct rem_request *rq, struct rem_frame *f, int32_t code, int64_t rest)
{
    rem_reply_begin(rq, f, code);
    rem_frame_i64(f, "popTime", 0);
    rem_frame_i64(f, "invisibleTime", 0);
    rem_frame_i64(f, "reviveQid", 0);
    rem_frame_i64(f, "restNum", rest);
}

static void reply_late(struct rem_request *rq, struct broker *b)
{
    struct rem_frame f;
    const char *remark =
        arena_printf(rem_arena(rq), "the broker[%s] pop message is timeout too much", b->conf->broker_ip1);
    pop_reply_begin(rq, &f, RESP_POLLING_TIMEOUT, 0);
    rem_reply_end(rq, &f, str_from(remark ? remark : "the pop message is timeout too much"), STR_NULL);
}

/* False: answered. */
static bool parse_filter(struct rem_request *rq, const struct pop_req *h, struct topic *t, struct message_filter *out)
{
    struct broker *b = broker_of(rq);
    struct err err;
    struct str exp = h->exp.len ? h->exp : STR_LIT("*"), type = h->exp.len ? h->exp_type : STR_NULL;
    if (message_filter_parse(out, b, t->name, h->consumer_group, exp, type, clock_wall_ms(), &err) < 0) {
        rem_reply(rq, RESP_SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed");
        return false;
    }
    return true;
}

static void handle_pop(struct rem_request *rq, const void *header)
{
    const struct pop_req *h = header;
    struct broker *b = broker_of(rq);
    struct broker_loop *bl = broker_loop_of(b, rem_loop(rq));
    int64_t now = clock_wall_ms(), born = h->born_time ? h->born_time : now;
    struct pop_group *g;
    struct message_filter filter;
    if (now - born - h->poll_time > TOO_LATE_MS) {
        reply_late(rq, b);
        return;
    }
    if (h->max_msg_nums > POP_MAX_MESSAGES) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "the broker[%s] pop message's num is greater than %d",
                  b->conf->broker_ip1, POP_MAX_MESSAGES);
        return;
    }
    struct topic *t = allowed(rq, bl, h->topic, h->queue_id, h->consumer_group, &g);
    if (t == NULL || !parse_filter(rq, h, t, &filter))
        return;
    struct pop *p = pop_new(rq, t, g, h->queue_id, h->attempt_id);
    if (p == NULL) {
        message_filter_done(&filter);
        return;
    }
    p->filter = filter;
    p->invisible_ms = h->invisible_time;
    p->expires = h->poll_time > 0 ? born + h->poll_time : 0;
    p->init_mode = h->init_mode;
    p->max_count = h->max_msg_nums > 0 ? (uint32_t)h->max_msg_nums : 1;
    p->order = h->order;
    p->token = rem_later(rq);
    pop_run(bl, p);
}

static void handle_notification(struct rem_request *rq, const void *header)
{
    const struct notification_req *h = header;
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    struct pop_group *g;
    struct topic *t = allowed(rq, bl, h->topic, h->queue_id, h->consumer_group, &g);
    struct pop *p = t ? pop_new(rq, t, g, h->queue_id, h->attempt_id) : NULL;
    if (p == NULL)
        return;
    p->notice = true;
    p->order = h->order;
    p->expires = h->poll_time > 0 ? (h->born_time ? h->born_time : clock_wall_ms()) + h->poll_time : 0;
    p->token = rem_later(rq);
    pop_notify(bl, p);
}

static void handle_polling_info(struct rem_request *rq, const void *header)
{
    const struct polling_info_req *h = header;
    struct broker_loop *bl = broker_loop_of(broker_of(rq), rem_loop(rq));
    struct pop_group *g;
    struct rem_frame f;
    if (allowed(rq, bl, h->topic, h->queue_id, h->consumer_group, &g) == NULL)
        return;
    struct pop_queue *q = h->queue_id >= 0 ? pop_group_queue(g, h->queue_id, false) : NULL;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_i64(&f, "pollingNum", h->queue_id < 0 ? atomic_load(&g->waiting) : q ? atomic_load(&q->waiting) : 0);
    rem_reply_end(rq, &f, STR_NULL, STR_NULL);
}

static const struct rem_op rows[] = {
    {REQ_POP_MESSAGE, "POP_MESSAGE", &pop_req_schema, handle_pop, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
    {REQ_NOTIFICATION, "NOTIFICATION", &notification_req_schema, handle_notification, REM_LANE_LOOP, REM_ACT_SUB,
     REM_RES_TOPIC},
    {REQ_POLLING_INFO, "POLLING_INFO", &polling_info_req_schema, handle_polling_info, REM_LANE_LOOP, REM_ACT_SUB,
     REM_RES_TOPIC},
};
const struct broker_ops pop_ops = {rows, sizeof rows / sizeof rows[0]};
