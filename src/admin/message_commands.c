/* Messages sent, read and counted; entries of queues. */
#include "admin/message_find.h"
#include "admin/message_text.h"
#include "admin/time_text.h"
#include "os/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- printing what a walk finds ------------------------------------------------------------------------------------
 */

struct printer {
    struct admin *a;
    bool body, count_tags, silent;
    int64_t left; /* messages still wanted; below 0: all */
    struct buf json;
    struct jw w;
    struct tag_count {
        struct str tag;
        int64_t count;
    } * tags;
    size_t tag_count;
};

static void count_tag(struct printer *p, struct str tag)
{
    struct arena *arena = &p->a->tool.arena;
    if (str_is_null(tag))
        tag = STR_LIT("");
    for (size_t i = 0; i < p->tag_count; i++)
        if (str_eq(p->tags[i].tag, tag)) {
            p->tags[i].count++;
            return;
        }
    struct tag_count *more = realloc(p->tags, (p->tag_count + 1) * sizeof *more);
    if (more == NULL)
        return;
    p->tags = more;
    p->tags[p->tag_count++] = (struct tag_count){arena_str(arena, tag), 1};
}

static bool print_one(void *arg, const struct message_walk *walk, const struct msg_view *v)
{
    struct printer *p = arg;
    struct buf text = {0};
    char id[56], time[TIME_TEXT];
    if (p->count_tags)
        count_tag(p, msg_property(v->m.properties, STR_LIT(MSG_PROP_TAGS)));
    if (!p->silent && p->a->out.json) {
        message_json(&p->w, v, walk->queue->broker_name);
    } else if (!p->silent) {
        buf_printf(&text,
                   "MSGID: %.*s MessageExt [brokerName=%.*s, queueId=%d, storeSize=%u, queueOffset=%" PRId64
                   ", sysFlag=%d, storeTimestamp=%s, commitLogOffset=%" PRId64 ", reconsumeTimes=%d, properties=",
                   STR_ARG(message_id(v, id)), STR_ARG(walk->queue->broker_name), v->m.queue_id, v->size,
                   v->m.queue_offset, v->m.sys_flag, time_text_ms(v->m.store_time, time), v->m.physical_offset,
                   v->m.reconsume_times);
        message_properties_text(&text, v->m.properties);
        buf_add_lit(&text, "] BODY: ");
        if (p->body)
            message_body_text(&text, v);
        else
            buf_add_lit(&text, "NOT PRINT BODY");
        output_text(&p->a->out, "%.*s\n", STR_ARG(buf_str(&text)));
    }
    buf_free(&text);
    if (p->left > 0)
        p->left--;
    return p->left != 0;
}

static void printer_begin(struct printer *p, struct admin *a)
{
    *p = (struct printer){.a = a, .body = true, .left = -1};
    jw_init(&p->w, &p->json);
    jw_begin_array(&p->w);
}

static void printer_end(struct printer *p)
{
    jw_end_array(&p->w);
    if (p->a->out.json && !p->silent)
        output_raw(&p->a->out, "found", buf_str(&p->json));
    buf_free(&p->json);
    free(p->tags);
}

static int walk_queue(struct admin *a, struct printer *p, const struct tool_queue *q, const char *expression,
                      struct err *err)
{
    struct message_walk w = {.queue = q, .expression = expression, .fn = print_one, .arg = p};
    if (message_range(a, q, admin_option(a, "beginTimestamp"), admin_option(a, "endTimestamp"), &w.from, &w.to, err))
        return -1;
    output_text(&a->out, "minOffset=%lld, maxOffset=%lld, MessageQueue [topic=%.*s, brokerName=%.*s, queueId=%d]\n",
                (long long)w.from, (long long)w.to, STR_ARG(q->topic), STR_ARG(q->broker_name), q->id);
    if (message_walk(a, &w, err))
        return -1;
    output_text(&a->out, "--------------------------------------------------------\n");
    return 0;
}

/* ---- printMsg ------------------------------------------------------------------------------------------------------
 */

static const struct arg_option print_options[] = {
    OPT_TOPIC,
    {"c", "charsetName", "CHARSET", false, "accepted as mqadmin's; bodies are shown as UTF-8"},
    {"s", "subExpression", "EXPRESSION", false, "tags: TagA || TagB (default *)"},
    {"b", "beginTimestamp", "TIME", false, "stored since: milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"},
    {"e", "endTimestamp", "TIME", false, "stored until"},
    {"d", "printBody", "BOOL", false, "print bodies (default true)"},
    {"l", "lmqParentTopic", "TOPIC", false, "topic whose route is used"},
};

static int print_messages(struct admin *a, struct err *err)
{
    const char *parent = admin_option(a, "lmqParentTopic"), *topic = admin_option(a, "topic");
    struct tool_queue *queues;
    struct printer p;
    size_t count;
    if (tool_queues(&a->tool, str_from(parent ? parent : topic), TOPIC_PERM_READ, &queues, &count, err))
        return -1;
    printer_begin(&p, a);
    p.body = admin_flag(a, "printBody", true);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        queues[i].topic = str_from(topic);
        rc = walk_queue(a, &p, &queues[i], admin_option(a, "subExpression"), err);
    }
    printer_end(&p);
    return rc;
}

/* ---- printMsgByQueue -----------------------------------------------------------------------------------------------
 */

static const struct arg_option queue_options[] = {
    OPT_TOPIC,
    {"a", "brokerName", "NAME", true, "name of the broker"},
    {"i", "queueId", "ID", true, "queue"},
    {"c", "charsetName", "CHARSET", false, "accepted as mqadmin's; bodies are shown as UTF-8"},
    {"s", "subExpression", "EXPRESSION", false, "tags: TagA || TagB (default *)"},
    {"b", "beginTimestamp", "TIME", false, "stored since: milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"},
    {"e", "endTimestamp", "TIME", false, "stored until"},
    {"p", "printMsg", "BOOL", false, "print the messages (default false)"},
    {"d", "printBody", "BOOL", false, "print bodies (default false)"},
    {"f", "calculate", "BOOL", false, "count the messages of each tag (default false)"},
};

static int compare_counts(const void *x, const void *y)
{
    const struct tag_count *p = x, *q = y;
    return (p->count < q->count) - (p->count > q->count);
}

static void print_tag_counts(struct admin *a, const struct printer *p)
{
    static const struct column columns[] = {{"#Tag", "tag", -30}, {"#Count", "count", -10}};
    if (p->tag_count)
        qsort(p->tags, p->tag_count, sizeof *p->tags, compare_counts);
    if (a->out.json)
        output_table(&a->out, "tags", columns, 2);
    for (size_t i = 0; i < p->tag_count; i++) {
        if (a->out.json) {
            output_cell(&a->out, p->tags[i].tag);
            output_cell_i64(&a->out, p->tags[i].count);
        } else {
            output_text(&a->out, "Tag: %-30.*s Count: %lld\n", STR_ARG(p->tags[i].tag), (long long)p->tags[i].count);
        }
    }
    if (a->out.json)
        output_table_end(&a->out);
}

static int print_queue(struct admin *a, struct err *err)
{
    struct tool_queue q = {.topic = str_from(admin_option(a, "topic")),
                           .broker_name = str_from(admin_option(a, "brokerName"))};
    struct printer p;
    int64_t queue = 0;
    if (args_i64(&a->args, "queueId", 0, INT32_MAX, &queue, err))
        return -1;
    q.id = (int32_t)queue;
    q.address = tool_broker_address(&a->tool, q.broker_name, err);
    if (q.address == NULL)
        return -1;
    printer_begin(&p, a);
    p.silent = !admin_flag(a, "printMsg", false);
    p.body = admin_flag(a, "printBody", false);
    p.count_tags = admin_flag(a, "calculate", false);
    int rc = walk_queue(a, &p, &q, admin_option(a, "subExpression"), err);
    if (rc == 0 && p.count_tags)
        print_tag_counts(a, &p);
    printer_end(&p);
    return rc;
}

/* ---- consumeMessage ------------------------------------------------------------------------------------------------
 */

static const struct arg_option consume_options[] = {
    OPT_TOPIC,
    {"b", "brokerName", "NAME", false, "only queues of this broker"},
    {"i", "queueId", "ID", false, "with -b: only this queue"},
    {"o", "offset", "OFFSET", false, "with -i: begin there"},
    {"g", "consumerGroup", "GROUP", false, "consumer group to ask as"},
    {"s", "beginTimestamp", "TIME", false, "stored since: milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"},
    {"e", "endTimestamp", "TIME", false, "stored until"},
    {"c", "MessageNumber", "N", false, "at most so many (default 128)"},
};

static int consume_messages(struct admin *a, struct err *err)
{
    const char *broker = admin_option(a, "brokerName");
    int64_t queue = -1, offset = -1, most = 128;
    struct tool_queue *queues;
    struct printer p;
    size_t count;
    int rc = 0;
    if (args_i64(&a->args, "queueId", 0, INT32_MAX, &queue, err) ||
        args_i64(&a->args, "offset", 0, INT64_MAX, &offset, err) ||
        args_i64(&a->args, "MessageNumber", 1, INT64_MAX, &most, err))
        return -1;
    if (queue >= 0 && broker == NULL)
        return err_set(err, EINVAL, "-i ID needs -b NAME");
    if (offset >= 0 && queue < 0)
        return err_set(err, EINVAL, "-o OFFSET needs -i ID");
    if (tool_queues(&a->tool, str_from(admin_option(a, "topic")), TOPIC_PERM_READ, &queues, &count, err))
        return -1;
    printer_begin(&p, a);
    p.left = most;
    for (size_t i = 0; rc == 0 && i < count && p.left > 0; i++) {
        struct message_walk w = {
            .queue = &queues[i], .group = admin_option(a, "consumerGroup"), .fn = print_one, .arg = &p};
        if ((broker && !str_eqz(queues[i].broker_name, broker)) || (queue >= 0 && queues[i].id != queue))
            continue;
        rc = message_range(a, &queues[i], admin_option(a, "beginTimestamp"), admin_option(a, "endTimestamp"), &w.from,
                           &w.to, err);
        if (offset >= 0)
            w.from = offset;
        if (rc == 0)
            rc = message_walk(a, &w, err);
    }
    int64_t left = p.left;
    printer_end(&p);
    if (rc == 0 && left > 0 && left < most)
        output_line(&a->out, "only %lld messages are there", (long long)(most - left));
    if (rc == 0)
        output_line(&a->out, left < most ? "Consume ok" : "no message matched");
    return rc;
}

/* ---- sendMessage ---------------------------------------------------------------------------------------------------
 */

static const struct arg_option send_options[] = {
    OPT_TOPIC,
    {"p", "body", "TEXT", true, "body of the message"},
    {"k", "key", "KEYS", false, "keys, separated by spaces"},
    {"c", "tags", "TAG", false, "tag"},
    {"b", "broker", "NAME", false, "broker to send it to"},
    {"i", "qid", "ID", false, "with -b: queue to send it to"},
    {"m", "msgTraceEnable", "BOOL", false, "accepted as mqadmin's"},
};

static int send_message(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Broker Name", "brokerName", -32},
                                            {"#QID", "queueId", -4},
                                            {"#Send Result", "sendStatus", -20},
                                            {"#MsgId", "msgId", -32}};
    const char *broker = admin_option(a, "broker"), *key = admin_option(a, "key"), *tag = admin_option(a, "tags");
    struct str topic = str_from(admin_option(a, "topic"));
    struct tool_queue *queues;
    const struct tool_queue *to = NULL;
    struct buf properties = {0};
    struct tool_sent sent;
    int64_t queue = -1;
    size_t count;
    if (args_i64(&a->args, "qid", 0, INT32_MAX, &queue, err))
        return -1;
    if (queue >= 0 && broker == NULL)
        return err_set(err, EINVAL, "-i ID needs -b NAME");
    if (tool_queues(&a->tool, topic, TOPIC_PERM_WRITE, &queues, &count, err))
        return -1;
    /* Begin anywhere, so that calls one after another use all queues. */
    for (size_t i = 0, from = (size_t)clock_wall_ms(); i < count && to == NULL; i++) {
        const struct tool_queue *q = &queues[(from + i) % count];
        if ((broker == NULL || str_eqz(q->broker_name, broker)) && (queue < 0 || q->id == queue))
            to = q;
    }
    if (to == NULL)
        return err_set(err, ENOENT, "topic %.*s has no such queue to write to", STR_ARG(topic));
    if (key)
        msg_property_add(&properties, STR_LIT(MSG_PROP_KEYS), str_from(key));
    if (tag)
        msg_property_add(&properties, STR_LIT(MSG_PROP_TAGS), str_from(tag));
    int rc =
        tool_send(&a->tool, to, "PID_SMSC", str_from(args_get(&a->args, "body")), buf_str(&properties), &sent, err);
    buf_free(&properties);
    if (rc)
        return -1;
    output_table(&a->out, "sent", columns, 4);
    output_cell(&a->out, to->broker_name);
    output_cell_i64(&a->out, sent.queue_id);
    output_cell(&a->out, str_from(sent.status));
    output_cell(&a->out, str_from(sent.msg_id));
    output_table_end(&a->out);
    return 0;
}

/* ---- queryCq -------------------------------------------------------------------------------------------------------
 */

static const struct arg_option cq_options[] = {
    OPT_TOPIC,
    {"q", "queue", "ID", true, "queue"},
    {"i", "index", "N", true, "first entry"},
    {"c", "count", "N", false, "entries (default 10)"},
    {"b", "broker", "ADDR", false, "address of the broker (default: the topic's first)"},
    {"g", "consumer", "GROUP", false, "whether its filter takes each entry"},
};

static int query_cq(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Index", "index", -12},
                                            {"#PhysicOffset", "physicOffset", -20},
                                            {"#Size", "physicSize", -10},
                                            {"#TagsCode", "tagsCode", -20},
                                            {"#Filter", "eval", -8}};
    struct str topic = str_from(admin_option(a, "topic"));
    const char *broker = admin_option(a, "broker"), *group = admin_option(a, "consumer");
    int64_t queue = 0, index = 0, count = 10;
    struct admin_targets brokers;
    if (args_i64(&a->args, "queue", 0, INT32_MAX, &queue, err) ||
        args_i64(&a->args, "index", 0, INT64_MAX, &index, err) || args_i64(&a->args, "count", 1, 100000, &count, err))
        return -1;
    if (broker == NULL) {
        if (admin_topic_brokers(a, topic, &brokers, err))
            return -1;
        if (brokers.count == 0)
            return err_set(err, ENOENT, "topic %.*s has no broker", STR_ARG(topic));
        broker = brokers.address[0];
    }
    struct rem_frame f = admin_begin(a, REQ_QUERY_CONSUME_QUEUE);
    rem_frame_str(&f, "topic", topic);
    rem_frame_i64(&f, "queueId", queue);
    rem_frame_i64(&f, "index", index);
    rem_frame_i64(&f, "count", count);
    rem_frame_str(&f, "consumerGroup", str_from(group));
    const struct json *json = admin_call_json(a, broker, &f, STR_NULL, err);
    if (json == NULL)
        return -1;
    output_i64(&a->out, "max:", "maxQueueIndex", json_i64(json, "maxQueueIndex", 0));
    output_i64(&a->out, "min:", "minQueueIndex", json_i64(json, "minQueueIndex", 0));
    output_table(&a->out, "entries", columns, 5);
    JSON_EACH(e, json_get(json, "queueData"))
    {
        output_cell_i64(&a->out, index++);
        output_cell_i64(&a->out, json_i64(e, "physicOffset", 0));
        output_cell_i64(&a->out, json_i64(e, "physicSize", 0));
        output_cell_i64(&a->out, json_i64(e, "tagsCode", 0));
        output_cell(&a->out, str_from(json_bool(e, "eval", false) ? "true" : "false"));
    }
    output_table_end(&a->out);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("printMsg", "print the messages of a topic", print_options, print_messages),
    ADMIN_COMMAND("printMsgByQueue", "print or count the messages of one queue", queue_options, print_queue),
    ADMIN_COMMAND("consumeMessage", "print some messages of a topic", consume_options, consume_messages),
    ADMIN_COMMAND("sendMessage", "send one message", send_options, send_message),
    ADMIN_COMMAND("queryCq", "entries of a consume queue", cq_options, query_cq),
};
const struct admin_table admin_read_table = {commands, sizeof commands / sizeof commands[0]};
