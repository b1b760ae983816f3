/* Offsets of groups reset, skipped and copied. */
#include "admin/admin_int.h"
#include "admin/time_text.h"
#include "os/clock.h"

#include <errno.h>

/* ---- resetting -----------------------------------------------------------------------------------------------------
 */

struct reset {
    const char *group;
    struct str topic;
    int64_t time_ms; /* -1: behind the last message */
    bool force;
};

static const struct column reset_columns[] = {
    {"#brokerName", "brokerName", -40}, {"#queueId", "queueId", -40}, {"#offset", "offset", -40}};

static void begin_reset(struct admin *a, const struct reset *r, struct rem_frame *f)
{
    *f = admin_begin(a, REQ_INVOKE_BROKER_TO_RESET_OFFSET);
    rem_frame_str(f, "topic", r->topic);
    rem_frame_str(f, "group", str_from(r->group));
    rem_frame_i64(f, "timestamp", r->time_ms);
    rem_frame_bool(f, "isForce", r->force);
}

static int print_reset(struct admin *a, const struct json *json, struct err *err)
{
    struct admin_mq *queues;
    size_t count;
    if (admin_mq_table(a, json_get(json, "offsetTable"), &queues, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        output_cell(&a->out, queues[i].broker_name);
        output_cell_i64(&a->out, queues[i].id);
        output_cell_i64(&a->out, json_int(queues[i].value, 0));
    }
    return 0;
}

/* For brokers that ask the clients to reset, and none is connected: sets the stored offsets. */
static int reset_stored(struct admin *a, const struct reset *r, struct err *err)
{
    struct tool_queue *queues;
    size_t count;
    if (tool_queues(&a->tool, r->topic, TOPIC_PERM_READ, &queues, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct tool_queue *q = &queues[i];
        int64_t offset;
        if (r->time_ms < 0 ? tool_offset(&a->tool, q, REQ_GET_MAX_OFFSET, &offset, err)
                           : tool_offset_by_time(&a->tool, q, r->time_ms, &offset, err))
            return -1;
        struct rem_frame f = admin_begin(a, REQ_UPDATE_CONSUMER_OFFSET);
        rem_frame_str(&f, "consumerGroup", str_from(r->group));
        rem_frame_str(&f, "topic", r->topic);
        rem_frame_i64(&f, "queueId", q->id);
        rem_frame_i64(&f, "commitOffset", offset);
        if (admin_call(a, q->address, &f, STR_NULL, NULL, err))
            return -1;
        output_cell(&a->out, q->broker_name);
        output_cell_i64(&a->out, q->id);
        output_cell_i64(&a->out, offset);
    }
    return 0;
}

static int reset_all(struct admin *a, const struct reset *r, struct err *err)
{
    struct admin_targets brokers;
    int rc = 0;
    if (admin_topic_brokers(a, r->topic, &brokers, err))
        return -1;
    output_table(&a->out, "offsets", reset_columns, 3);
    for (size_t i = 0; rc == 0 && i < brokers.count; i++) {
        struct rem_frame f;
        begin_reset(a, r, &f);
        const struct json *json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
        if (json == NULL && err->code == RESP_CONSUMER_NOT_ONLINE) {
            rc = reset_stored(a, r, err);
            break;
        }
        rc = json ? print_reset(a, json, err) : -1;
    }
    output_table_end(&a->out);
    return rc;
}

static const struct arg_option reset_options[] = {
    {"g", "group", "GROUP", true, "consumer group"},
    OPT_TOPIC,
    {"s", "timestamp", "TIME", true, "now, milliseconds, or yyyy-MM-dd#HH:mm:ss:SSS"},
    {"f", "force", "BOOL", false, "also forward (default true)"},
    {"c", "cplus", NULL, false, "accepted as mqadmin's: for old C++ clients"},
    {"b", "broker", "ADDR", false, "with -q: only a queue of this broker"},
    {"q", "queue", "ID", false, "only this queue, to -o or to the time"},
    {"o", "offset", "OFFSET", false, "with -q: the offset itself"},
};

static int reset_queue(struct admin *a, struct reset *r, const char *broker, struct err *err)
{
    struct tool_queue q = {.topic = r->topic, .address = broker};
    int64_t queue = 0, offset = 0;
    struct rem_frame f;
    if (args_i64(&a->args, "queue", 0, INT32_MAX, &queue, err) ||
        args_i64(&a->args, "offset", 0, INT64_MAX, &offset, err))
        return -1;
    q.id = (int32_t)queue;
    if (!args_has(&a->args, "offset") && tool_offset_by_time(&a->tool, &q, r->time_ms, &offset, err))
        return -1;
    begin_reset(a, r, &f);
    rem_frame_i64(&f, "queueId", queue);
    rem_frame_i64(&f, "offset", offset);
    if (admin_call(a, broker, &f, STR_NULL, NULL, err))
        return -1;
    output_line(&a->out, "reset consumer offset to %lld", (long long)offset);
    return 0;
}

static int reset_offset(struct admin *a, struct err *err)
{
    const char *broker = admin_option(a, "broker"), *time = admin_option(a, "timestamp");
    struct reset r = {.group = admin_option(a, "group"),
                      .topic = str_from(admin_option(a, "topic")),
                      .force = admin_flag(a, "force", true)};
    if (time_parse(time, &r.time_ms, err))
        return -1;
    output_text(&a->out,
                "start reset consumer offset by specified, group[%s], topic[%.*s], force[%s], timestamp(string)[%s], "
                "timestamp(long)[%lld]\n",
                r.group, STR_ARG(r.topic), r.force ? "true" : "false", time, (long long)r.time_ms);
    if (broker && args_has(&a->args, "queue"))
        return reset_queue(a, &r, broker, err);
    if (broker || args_has(&a->args, "queue") || args_has(&a->args, "offset"))
        return err_set(err, EINVAL, "one queue needs both -b ADDR and -q ID");
    return reset_all(a, &r, err);
}

static const struct arg_option skip_options[] = {
    {"g", "group", "GROUP", true, "consumer group"},
    OPT_TOPIC,
    {"f", "force", "BOOL", false, "accepted as mqadmin's (default true)"},
    {"c", "cluster", "CLUSTER", false, "accepted as mqadmin's; brokers are found by the topic"},
};

static int skip_accumulated(struct admin *a, struct err *err)
{
    const struct reset r = {.group = admin_option(a, "group"),
                            .topic = str_from(admin_option(a, "topic")),
                            .time_ms = -1,
                            .force = admin_flag(a, "force", true)};
    return reset_all(a, &r, err);
}

/* ---- cloneGroupOffset ----------------------------------------------------------------------------------------------
 */

static const struct arg_option clone_options[] = {
    {"s", "srcGroup", "GROUP", true, "group to copy from"},
    {"d", "destGroup", "GROUP", true, "group to copy to"},
    OPT_TOPIC,
    {"o", "offline", "BOOL", false, "also when the group is not connected (default false)"},
};

static int clone_offset(struct admin *a, struct err *err)
{
    const char *from = admin_option(a, "srcGroup"), *to = admin_option(a, "destGroup"),
               *topic = admin_option(a, "topic");
    struct admin_targets brokers;
    if (admin_topic_brokers(a, str_from(topic), &brokers, err))
        return -1;
    for (size_t i = 0; i < brokers.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_CLONE_GROUP_OFFSET);
        rem_frame_str(&f, "srcGroup", str_from(from));
        rem_frame_str(&f, "destGroup", str_from(to));
        rem_frame_str(&f, "topic", str_from(topic));
        rem_frame_bool(&f, "offline", admin_flag(a, "offline", false));
        if (admin_call(a, brokers.address[i], &f, STR_NULL, NULL, err))
            return -1;
    }
    output_line(&a->out, "clone group offset success. srcGroup[%s], destGroup=[%s], topic[%s]", from, to, topic);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("resetOffsetByTime", "let a group begin at a time", reset_options, reset_offset),
    ADMIN_COMMAND("skipAccumulatedMessage", "let a group skip all that waits", skip_options, skip_accumulated),
    ADMIN_COMMAND("cloneGroupOffset", "copy the offsets of one group to another", clone_options, clone_offset),
};
const struct admin_table admin_offset_table = {commands, sizeof commands / sizeof commands[0]};
