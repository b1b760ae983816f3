/* One message found and shown, with who has consumed it. */
#include "admin/message_find.h"
#include "admin/message_text.h"
#include "admin/time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { UNIQUE_MAX = 32 };

/* ---- tracks --------------------------------------------------------------------------------------------------------
 */

static const char *clustering_track(struct admin *a, const char *group, const struct found_message *m)
{
    struct admin_progress p;
    struct err ignored;
    const char *topic = arena_strz(&a->tool.arena, m->v.m.topic);
    if (admin_group_progress(a, group, topic, &p, &ignored))
        return "UNKNOWN";
    for (size_t i = 0; i < p.count; i++)
        if (p.queues[i].id == m->v.m.queue_id && str_eq(p.queues[i].topic, m->v.m.topic) &&
            (m->broker_name.len == 0 || str_eq(p.queues[i].broker_name, m->broker_name)))
            return json_i64(p.queues[i].value, "consumerOffset", 0) > m->v.m.queue_offset ? "CONSUMED"
                                                                                          : "NOT_CONSUME_YET";
    return "UNKNOWN";
}

static const char *track_of(struct admin *a, const char *group, const struct found_message *m)
{
    struct err why;
    const struct json *c = admin_consumer_connection(a, group, NULL, &why);
    if (c == NULL)
        return why.code == RESP_CONSUMER_NOT_ONLINE ? "NOT_ONLINE" : "UNKNOWN";
    if (str_eqz(json_str(c, "consumeType"), "CONSUME_ACTIVELY"))
        return "PULL";
    if (str_eqz(json_str(c, "messageModel"), "BROADCASTING"))
        return "CONSUME_BROADCASTING";
    return clustering_track(a, group, m);
}

static void print_tracks(struct admin *a, const struct found_message *m)
{
    static const struct column columns[] = {{"#Consumer Group", "consumerGroup", -64}, {"#Track", "trackType", -20}};
    struct str *groups;
    size_t count;
    struct err ignored;
    if (admin_topic_groups(a, m->v.m.topic, &groups, &count, &ignored))
        count = 0;
    output_text(&a->out, count ? "\n\n" : "\n\nWARN: No Consumer\n");
    if (count == 0 && !a->out.json)
        return;
    output_table(&a->out, "tracks", columns, 2);
    for (size_t i = 0; i < count; i++) {
        output_cell(&a->out, groups[i]);
        output_cell(&a->out, str_from(track_of(a, arena_strz(&a->tool.arena, groups[i]), m)));
    }
    output_table_end(&a->out);
}

static void print_message(struct admin *a, const char *name, const struct found_message *m)
{
    struct buf text = {0};
    struct jw w;
    if (a->out.json) {
        jw_init(&w, &text);
        message_json(&w, &m->v, m->broker_name);
        output_raw(&a->out, name, buf_str(&text));
    } else {
        message_print(&text, &m->v);
        output_text(&a->out, "%.*s", STR_ARG(buf_str(&text)));
    }
    buf_free(&text);
}

/* ---- handing a message to a consumer, sending it again -------------------------------------------------------------
 */

static int consume_directly(struct admin *a, const struct found_message *m, struct err *err)
{
    char id[56], address[64];
    message_host_text(&m->v.m.store_host, address);
    struct rem_frame f = admin_begin(a, REQ_CONSUME_MESSAGE_DIRECTLY);
    rem_frame_str(&f, "consumerGroup", str_from(admin_option(a, "consumerGroup")));
    rem_frame_str(&f, "clientId", str_from(admin_option(a, "clientId")));
    rem_frame_str(&f, "msgId", str_make(id, msg_id_format(id, &m->v.m.store_host, m->v.m.physical_offset)));
    rem_frame_str(&f, "topic", m->v.m.topic);
    const struct json *result = admin_call_json(a, address, &f, STR_NULL, err);
    if (result == NULL)
        return -1;
    output_raw(&a->out, "consumeMessageDirectlyResult", result->text);
    return 0;
}

static int send_again(struct admin *a, const struct found_message *m, struct err *err)
{
    /* What brokers and clients set themselves is left to them. */
    static const struct str own[] = {{MSG_PROP_UNIQ_KEY, 8},
                                     {MSG_PROP_WAIT, 4},
                                     {MSG_PROP_CLUSTER, 7},
                                     {MSG_PROP_TRACE_ON, 8},
                                     {MSG_PROP_MSG_REGION, 10}};
    struct tool_queue *queues;
    size_t count;
    struct buf properties = {0};
    struct tool_sent sent;
    if (tool_queues(&a->tool, m->v.m.topic, TOPIC_PERM_WRITE, &queues, &count, err))
        return -1;
    if (count == 0)
        return err_set(err, ENOENT, "topic %.*s has no queue to write to", STR_ARG(m->v.m.topic));
    msg_properties_without(&properties, m->v.m.properties, own, sizeof own / sizeof own[0]);
    int rc = tool_send(&a->tool, &queues[0], "ReSendMsgById", m->v.m.body, buf_str(&properties), &sent, err);
    buf_free(&properties);
    if (rc)
        return -1;
    output_line(&a->out, "prepare resend msg. SendResult [sendStatus=%s, msgId=%s, offsetMsgId=%s]", sent.status,
                sent.msg_id, sent.offset_id);
    return 0;
}

/* ---- queryMsgById --------------------------------------------------------------------------------------------------
 */

static const struct arg_option id_options[] = {
    OPT_TOPIC,
    {"i", "msgId", "ID", true, "offset message id, or the client's; several separated by commas"},
    {"g", "consumerGroup", "GROUP", false, "with -d: let this consumer consume it now"},
    {"d", "clientId", "ID", false, "client of -g"},
    {"s", "sendMessage", "BOOL", false, "send it again (default false)"},
    {"u", "unitName", "NAME", false, "accepted as mqadmin's"},
    {"f", "bodyFormat", "CHARSET", false, "accepted as mqadmin's; bodies are shown as UTF-8"},
    {"c", "cluster", "CLUSTER", false, "accepted as mqadmin's; brokers are found by the topic"},
};

/* By offset id, or by unique key when it is none or the broker holds nothing there. */
static int find_any(struct admin *a, struct str topic, struct str id, struct found_message *out, struct err *err)
{
    struct err why;
    size_t count = 0;
    struct found_message *found;
    int rc = message_find_id(a, topic, id, out, &count, &why);
    if (rc == 0 && count)
        return 0;
    const struct message_query q = {.topic = topic, .key = id, .unique = true, .end_ms = INT64_MAX, .max = UNIQUE_MAX};
    if (message_find_key(a, &q, &found, &count, err))
        return -1;
    if (count == 0)
        return err_set(err, ENOENT, "message %.*s was not found in topic %.*s", STR_ARG(id), STR_ARG(topic));
    *out = found[0];
    return 0;
}

static int query_by_id(struct admin *a, struct err *err)
{
    struct str topic = str_from(admin_option(a, "topic")), ids = str_from(admin_option(a, "msgId")), id;
    bool direct = args_has(&a->args, "consumerGroup") && args_has(&a->args, "clientId");
    for (unsigned n = 0; str_split(&ids, ',', &id); n++) {
        struct found_message m;
        char name[32] = "message";
        if (n)
            snprintf(name, sizeof name, "message%u", n + 1);
        if (find_any(a, topic, str_trim(id), &m, err))
            return -1;
        if (direct || admin_flag(a, "sendMessage", false)) {
            if (direct ? consume_directly(a, &m, err) : send_again(a, &m, err))
                return -1;
            continue;
        }
        print_message(a, name, &m);
        if (n == 0 || !a->out.json)
            print_tracks(a, &m);
    }
    return 0;
}

/* ---- queryMsgByKey -------------------------------------------------------------------------------------------------
 */

static const struct arg_option key_options[] = {
    OPT_TOPIC,
    {"k", "msgKey", "KEY", true, "key of the messages"},
    {"b", "beginTimestamp", "TIME", false, "stored since (ms; default 0)"},
    {"e", "endTimestamp", "TIME", false, "stored until (ms; default: any time)"},
    {"m", "maxNum", "N", false, "at most so many (default 64)"},
    {"c", "cluster", "CLUSTER", false, "accepted as mqadmin's; brokers are found by the topic"},
};

static int query_by_key(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Message ID", "msgId", -50}, {"#QID", "queueId", 4}, {"#Offset", "queueOffset", 40}};
    struct message_query q = {.topic = str_from(admin_option(a, "topic")),
                              .key = str_from(admin_option(a, "msgKey")),
                              .end_ms = INT64_MAX,
                              .max = 64};
    const char *begin = admin_option(a, "beginTimestamp"), *end = admin_option(a, "endTimestamp");
    struct found_message *found;
    size_t count;
    if (args_i64(&a->args, "maxNum", 1, 10000, &q.max, err) || (begin && time_parse(begin, &q.begin_ms, err)) ||
        (end && time_parse(end, &q.end_ms, err)) || message_find_key(a, &q, &found, &count, err))
        return -1;
    output_table(&a->out, "messages", columns, 3);
    for (size_t i = 0; i < count; i++) {
        char id[56];
        output_cell(&a->out, message_id(&found[i].v, id));
        output_cell_i64(&a->out, found[i].v.m.queue_id);
        output_cell_i64(&a->out, found[i].v.m.queue_offset);
    }
    output_table_end(&a->out);
    return 0;
}

/* ---- queryMsgByUniqueKey -------------------------------------------------------------------------------------------
 */

static const struct arg_option unique_options[] = {
    {"i", "msgId", "ID", true, "the client's message id"},
    {"g", "consumerGroup", "GROUP", false, "with -d: let this consumer consume it now"},
    {"d", "clientId", "ID", false, "client of -g"},
    OPT_TOPIC,
    {"a", "showAll", NULL, false, "all messages with that id, at most 32"},
    {"c", "cluster", "CLUSTER", false, "accepted as mqadmin's; brokers are found by the topic"},
};

static int query_by_unique_key(struct admin *a, struct err *err)
{
    const struct message_query q = {.topic = str_from(admin_option(a, "topic")),
                                    .key = str_from(admin_option(a, "msgId")),
                                    .unique = true,
                                    .end_ms = INT64_MAX,
                                    .max = UNIQUE_MAX};
    struct found_message *found;
    size_t count;
    if (message_find_key(a, &q, &found, &count, err))
        return -1;
    if (count == 0)
        return err_set(err, ENOENT, "message %.*s was not found in topic %.*s", STR_ARG(q.key), STR_ARG(q.topic));
    if (args_has(&a->args, "consumerGroup") && args_has(&a->args, "clientId"))
        return consume_directly(a, &found[0], err);
    size_t shown = args_has(&a->args, "showAll") ? count : 1;
    for (size_t i = 0; i < shown; i++) {
        char name[32] = "message";
        if (i)
            snprintf(name, sizeof name, "message%zu", i + 1);
        print_message(a, name, &found[i]);
        if (i + 1 < shown)
            output_text(&a->out, "\n");
    }
    print_tracks(a, &found[0]);
    return 0;
}

/* ---- queryMsgByOffset ----------------------------------------------------------------------------------------------
 */

static const struct arg_option offset_options[] = {
    OPT_TOPIC,
    {"b", "brokerName", "NAME", true, "name of the broker"},
    {"i", "queueId", "ID", true, "queue"},
    {"o", "offset", "OFFSET", true, "offset in the queue"},
    {"f", "bodyFormat", "CHARSET", false, "accepted as mqadmin's; bodies are shown as UTF-8"},
};

static int query_by_offset(struct admin *a, struct err *err)
{
    struct tool_queue q = {.topic = str_from(admin_option(a, "topic")),
                           .broker_name = str_from(admin_option(a, "brokerName"))};
    int64_t queue = 0, offset = 0;
    struct tool_pulled p;
    struct found_message m = {.broker_name = q.broker_name};
    if (args_i64(&a->args, "queueId", 0, INT32_MAX, &queue, err) ||
        args_i64(&a->args, "offset", 0, INT64_MAX, &offset, err))
        return -1;
    q.id = (int32_t)queue;
    q.address = tool_broker_address(&a->tool, q.broker_name, err);
    const struct tool_pull pull = {.offset = offset, .max_messages = 1};
    if (q.address == NULL || tool_pull(&a->tool, &q, &pull, &p, err))
        return -1;
    if (p.code != RESP_SUCCESS || !message_next(&p.body, &m.v))
        return err_set(err, ENOENT, "queue %lld of topic %.*s has no message at offset %lld; it holds %lld to %lld",
                       (long long)queue, STR_ARG(q.topic), (long long)offset, (long long)p.min_offset,
                       (long long)p.max_offset);
    /* The record is a view of the connection's buffer: print it before asking anything else. */
    print_message(a, "message", &m);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("queryMsgById", "a message by its id, and who consumed it", id_options, query_by_id),
    ADMIN_COMMAND("queryMsgByKey", "messages by a key", key_options, query_by_key),
    ADMIN_COMMAND("queryMsgByUniqueKey", "a message by the client's id, and who consumed it", unique_options,
                  query_by_unique_key),
    ADMIN_COMMAND("queryMsgByOffset", "a message by its place in a queue", offset_options, query_by_offset),
};
const struct admin_table admin_message_table = {commands, sizeof commands / sizeof commands[0]};
