/* What a pull request must pass before the store is read, in the order of the Java broker's checks. */
#include "broker/pull/pull.h"

#include "base/log.h"
#include "os/clock.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SYS_COMMIT = 1, SYS_SUSPEND = 2, SYS_SUBSCRIPTION = 4 };

enum {
    FORBIDDEN_BROKER = 1,
    FORBIDDEN_GROUP = 2,
    FORBIDDEN_TOPIC = 3,
    FORBIDDEN_BROADCAST = 4,
    FORBIDDEN_SUBSCRIPTION = 5,
};

static void forbid(struct rem_request *rq, int type, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void forbid(struct rem_request *rq, int type, const char *fmt, ...)
{
    struct rem_frame f;
    char text[640];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rem_reply_begin(rq, &f, RESP_NO_PERMISSION);
    rem_frame_i64(&f, "forbiddenType", type);
    rem_reply_end(rq, &f, str_from(text), STR_NULL);
}

/* What the heartbeats' subscription has to pass. False: answered. */
static bool is_latest(struct rem_request *rq, const struct pull_req *h, const struct message_filter *f)
{
    if (f->subscription && f->subscription->version < h->sub_version) {
        rem_reply(rq, RESP_SUBSCRIPTION_NOT_LATEST,
                  "the consumer's subscription not latest: a heartbeat with the new one is on its way");
        return false;
    }
    if (message_filter_is_tag(f))
        return true;
    if (f->data == NULL) {
        rem_reply(rq, RESP_FILTER_DATA_NOT_EXIST,
                  "The broker's consumer filter data is not exist!Your expression may be wrong!");
        return false;
    }
    if (atomic_load(&f->data->client_version) < h->sub_version) {
        rem_reply(rq, RESP_FILTER_DATA_NOT_LATEST, "the consumer's consumer filter data not latest");
        return false;
    }
    return true;
}

static void refuse_type(struct rem_request *rq, struct str type)
{
    rem_reply(rq, RESP_SYSTEM_ERROR, "The broker does not support consumer to filter message by %.*s", STR_ARG(type));
}

/* The filter of this pull: sent along, or known from the heartbeat. False: answered, and there is nothing to release.
 */
static bool find_filter(struct rem_request *rq, struct broker *b, const struct pull_req *h, struct topic *t,
                        struct message_filter *out)
{
    struct err err;
    if (h->sys_flag & SYS_SUBSCRIPTION) {
        /* Whether the expression is right is not looked at then. */
        if (!b->conf->enable_property_filter && h->subscription.len && !subscription_is_tag_type(h->expression_type)) {
            refuse_type(rq, h->expression_type);
            return false;
        }
        if (message_filter_parse(out, b, t->name, h->consumer_group, h->subscription, h->expression_type,
                                 h->sub_version, &err) == 0)
            return true;
        rem_reply(rq, RESP_SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed: %s", err.text);
        return false;
    }
    struct consumer_group_info info;
    if (!consumer_group_live(b->consumers, h->consumer_group, &info)) {
        rem_reply(rq, RESP_SUBSCRIPTION_NOT_EXIST,
                  "the consumer's group info not exist: no client of group %.*s has sent a heartbeat",
                  STR_ARG(h->consumer_group));
        return false;
    }
    struct group *g = group_known(b->groups, h->consumer_group);
    if (g && !atomic_load(&g->consume_broadcast_enable) && info.model == MODEL_BROADCASTING) {
        forbid(rq, FORBIDDEN_BROADCAST, "the consumer group[%.*s] can not consume by broadcast way",
               STR_ARG(h->consumer_group));
        return false;
    }
    if (group_forbidden(b->groups, h->consumer_group, t->name)) {
        forbid(rq, FORBIDDEN_SUBSCRIPTION, "the consumer group[%.*s] is forbidden for topic[%.*s]",
               STR_ARG(h->consumer_group), STR_ARG(t->name));
        return false;
    }
    bool known;
    struct subscription *s = consumer_subscription(b->consumers, h->consumer_group, t->name, &known);
    if (s == NULL) {
        rem_reply(rq, RESP_SUBSCRIPTION_NOT_EXIST,
                  "the consumer's subscription not exist: group %.*s does not subscribe to %.*s",
                  STR_ARG(h->consumer_group), STR_ARG(t->name));
        return false;
    }
    message_filter_take(out, b, s, h->consumer_group);
    if (is_latest(rq, h, out))
        return true;
    message_filter_done(out);
    return false;
}

static bool property_filter_allowed(struct rem_request *rq, const struct broker *b, struct message_filter *f)
{
    if (message_filter_is_tag(f) || b->conf->enable_property_filter)
        return true;
    refuse_type(rq, f->subscription->type);
    message_filter_done(f);
    return false;
}

static struct group *allowed_group(struct rem_request *rq, struct broker *b, const struct pull_req *h)
{
    if (!(b->conf->permission & PERM_READ)) {
        forbid(rq, FORBIDDEN_BROKER, "the broker[%s] pulling message is forbidden", b->conf->broker_ip1);
        return NULL;
    }
    if (rem_cmd(rq)->code == REQ_LITE_PULL_MESSAGE && !b->conf->lite_pull) {
        forbid(rq, FORBIDDEN_BROKER, "the broker[%s] for lite pull consumer is forbidden (litePullMessageEnable=false)",
               b->conf->broker_ip1);
        return NULL;
    }
    struct group *g = group_find(b->groups, h->consumer_group);
    if (g == NULL) {
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [%.*s] does not exist, " FAQ,
                  STR_ARG(h->consumer_group));
        return NULL;
    }
    if (!atomic_load_explicit(&g->consume_enable, memory_order_relaxed)) {
        forbid(rq, FORBIDDEN_GROUP, "subscription group no permission, %.*s", STR_ARG(h->consumer_group));
        return NULL;
    }
    return g;
}

static struct topic *allowed_topic(struct rem_request *rq, struct broker_loop *bl, const struct pull_req *h)
{
    struct topic *t = broker_loop_topic(bl, h->topic);
    if (t == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist, apply first please! " FAQ, STR_ARG(h->topic));
        return NULL;
    }
    if (!(atomic_load_explicit(&t->perm, memory_order_relaxed) & PERM_READ)) {
        forbid(rq, FORBIDDEN_TOPIC, "the topic[%s] pulling message is forbidden", t->name.ptr);
        return NULL;
    }
    int queues = atomic_load_explicit(&t->read_queues, memory_order_relaxed);
    if (h->queue_id < 0 || h->queue_id >= queues) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]",
                  h->queue_id, t->name.ptr, queues);
        return NULL;
    }
    return t;
}

/* An operator's reset of this group's offset is told to the first pull that meets it. True: answered. */
static bool told_reset(struct rem_request *rq, struct broker *b, const struct pull_req *h, const struct topic *t,
                       struct cq *q)
{
    if (!b->conf->server_side_reset || !offset_any_reset(b->offsets))
        return false;
    int64_t reset = offset_take_reset(b->offsets, h->consumer_group, t->name, h->queue_id);
    if (reset < 0)
        return false;
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_PULL_OFFSET_MOVED);
    rem_frame_i64(&f, "suggestWhichBrokerId", 0);
    rem_frame_i64(&f, "nextBeginOffset", reset);
    rem_frame_i64(&f, "minOffset", cq_min(q));
    rem_frame_i64(&f, "maxOffset", cq_max(q));
    rem_reply_end(rq, &f, STR_LIT("OFFSET_RESET"), STR_NULL);
    return true;
}

static int32_t hold_time(const struct broker *b, const struct pull_req *h)
{
    if (!(h->sys_flag & SYS_SUSPEND))
        return 0;
    int64_t ms = b->conf->long_polling ? h->suspend_timeout : b->conf->short_polling_ms;
    return ms < 0 ? 0 : ms > 600000 ? 600000 : (int32_t)ms;
}

static uint32_t least(int32_t wanted, int32_t limit)
{
    return (uint32_t)(wanted > 0 && wanted < limit ? wanted : limit);
}

struct pull *pull_check(struct rem_request *rq, struct broker_loop *bl, const struct pull_req *h)
{
    struct broker *b = bl->broker;
    struct group *g = allowed_group(rq, b, h);
    struct topic *t = g ? allowed_topic(rq, bl, h) : NULL;
    struct message_filter filter;
    if (t == NULL || !find_filter(rq, b, h, t, &filter) || !property_filter_allowed(rq, b, &filter))
        return NULL;
    struct cq *q = topic_queue(b->topics, t, h->queue_id);
    struct pull *p = q ? calloc(1, sizeof *p) : NULL;
    if (p == NULL || told_reset(rq, b, h, t, q)) {
        if (p == NULL)
            rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for a pull");
        free(p);
        message_filter_done(&filter);
        return NULL;
    }
    if (h->sys_flag & SYS_COMMIT)
        offset_commit(b->offsets, h->consumer_group, t->name, h->queue_id, h->commit_offset);
    offset_commit_pull(b->offsets, h->consumer_group, t->name, h->queue_id, h->queue_offset);
    list_init(&p->node);
    p->broker = b;
    p->topic = t;
    p->queue = q;
    p->filter = filter;
    p->offset = p->first_offset = h->queue_offset;
    p->max_count = least(h->max_msg_nums, b->store_conf->maxTransferCountOnMessageInMemory);
    p->max_bytes = least(h->max_msg_bytes, b->store_conf->maxTransferBytesOnMessageInMemory);
    p->suggest_broker = 0;
    p->group_sys_flag = atomic_load_explicit(&g->sys_flag, memory_order_relaxed);
    p->hold_ms = hold_time(b, h);
    char key[600];
    int n = snprintf(key, sizeof key, "%.*s@%.*s", STR_ARG(t->name), STR_ARG(g->name));
    struct str item = str_make(key, n < 0 ? 0 : (size_t)n < sizeof key ? (size_t)n : sizeof key - 1);
    p->got_nums = stats_item(b->stats, STATS_GROUP_GET_NUMS, item);
    p->got_size = stats_item(b->stats, STATS_GROUP_GET_SIZE, item);
    p->token = rem_later(rq);
    return p;
}

void pull_free(struct pull *p)
{
    message_filter_done(&p->filter);
    free(p);
}

void pull_count(struct broker *b, struct pull *p, int64_t count, int64_t bytes)
{
    if (p->got_nums)
        stats_add(p->got_nums, count);
    if (p->got_size)
        stats_add(p->got_size, bytes);
}
