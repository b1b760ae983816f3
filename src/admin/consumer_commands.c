/* Who consumes and produces, and how far they are. */
#include "admin/admin_int.h"
#include "admin/time_text.h"

#include <errno.h>
#include <stdio.h>

/* ---- what a group has consumed -------------------------------------------------------------------------------------
 */

int admin_group_progress(struct admin *a, const char *group, const char *topic, struct admin_progress *out,
                         struct err *err)
{
    struct admin_targets brokers;
    struct str route_of = topic ? str_from(topic) : admin_retry_topic(a, group);
    memset(out, 0, sizeof *out);
    if (admin_topic_brokers(a, route_of, &brokers, err)) {
        if (err->code == RESP_TOPIC_NOT_EXIST && topic == NULL)
            err_set(err, err->code, "group %s: no broker knows it (it has no retry topic)", group);
        return -1;
    }
    for (size_t i = 0; i < brokers.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_CONSUME_STATS);
        struct admin_mq *some, *both;
        size_t n;
        rem_frame_str(&f, "consumerGroup", str_from(group));
        rem_frame_str(&f, "topic", str_from(topic));
        const struct json *json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
        if (json == NULL || admin_mq_table(a, json_get(json, "offsetTable"), &some, &n, err))
            return -1;
        both = arena_alloc(&a->tool.arena, (out->count + n + 1) * sizeof *both);
        if (both == NULL)
            return err_set(err, ENOMEM, "out of memory");
        if (out->count)
            memcpy(both, out->queues, out->count * sizeof *both);
        memcpy(both + out->count, some, n * sizeof *both);
        out->queues = both;
        out->count += n;
        out->tps += json_double(json, "consumeTps", 0);
    }
    admin_mq_sort(out->queues, out->count);
    return 0;
}

const struct json *admin_consumer_connection(struct admin *a, const char *group, const char *broker, struct err *err)
{
    struct admin_targets brokers = {.address = &broker, .count = 1};
    const struct json *json = NULL;
    if (broker == NULL && admin_topic_brokers(a, admin_retry_topic(a, group), &brokers, err)) {
        if (err->code == RESP_TOPIC_NOT_EXIST)
            err_set(err, err->code, "group %s: no broker knows it (it has no retry topic)", group);
        return NULL;
    }
    for (size_t i = 0; i < brokers.count && json == NULL; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_CONSUMER_CONNECTION_LIST);
        rem_frame_str(&f, "consumerGroup", str_from(group));
        json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
    }
    return json;
}

/* ---- consumerProgress ----------------------------------------------------------------------------------------------
 */

static const struct arg_option progress_options[] = {
    {"g", "groupName", "GROUP", false, "consumer group (default: all)"},
    {"t", "topicName", "TOPIC", false, "only this topic"},
    {"s", "showClientIP", "BOOL", false, "show which client has the queue (default false)"},
    {"c", "cluster", "CLUSTER", false, "accepted as mqadmin's; brokers are found by the topic"},
};

struct owner {
    struct admin_mq *queues;
    size_t count;
    struct str client_ip;
};

static struct str ip_of(struct str client_id)
{
    const char *at = client_id.len ? memchr(client_id.ptr, '@', client_id.len) : NULL;
    return at ? str_make(client_id.ptr, (size_t)(at - client_id.ptr)) : client_id;
}

/* Asks every client of the group which queues it has. */
static size_t find_owners(struct admin *a, const char *group, struct owner **out)
{
    struct err ignored;
    struct admin_targets brokers;
    const struct json *connection = admin_consumer_connection(a, group, NULL, &ignored);
    const struct json *set = json_get(connection, "connectionSet");
    size_t n = 0;
    *out = arena_calloc(&a->tool.arena, ((set ? set->count : 0) + 1) * sizeof **out);
    if (*out == NULL || admin_topic_brokers(a, admin_retry_topic(a, group), &brokers, &ignored) || brokers.count == 0)
        return 0;
    JSON_EACH(c, set)
    {
        struct rem_frame f = admin_begin(a, REQ_GET_CONSUMER_RUNNING_INFO);
        struct owner *o = &(*out)[n];
        rem_frame_str(&f, "consumerGroup", str_from(group));
        rem_frame_str(&f, "clientId", json_str(c, "clientId"));
        rem_frame_bool(&f, "jstackEnable", false);
        const struct json *info = admin_call_json(a, brokers.address[0], &f, STR_NULL, &ignored);
        if (info == NULL || admin_mq_table(a, json_get(info, "mqTable"), &o->queues, &o->count, &ignored))
            continue;
        o->client_ip = ip_of(json_str(c, "clientId"));
        n++;
    }
    return n;
}

static struct str owner_of(const struct owner *owners, size_t n, const struct admin_mq *q)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < owners[i].count; j++) {
            const struct admin_mq *p = &owners[i].queues[j];
            if (p->id == q->id && str_eq(p->topic, q->topic) && str_eq(p->broker_name, q->broker_name))
                return owners[i].client_ip;
        }
    return STR_LIT("N/A");
}

static int group_progress(struct admin *a, const char *group, struct err *err)
{
    static const struct column columns[] = {{"#Topic", "topic", -64},
                                            {"#Broker Name", "brokerName", -32},
                                            {"#QID", "queueId", -4},
                                            {"#Broker Offset", "brokerOffset", -20},
                                            {"#Consumer Offset", "consumerOffset", -20},
                                            {"#Diff", "diff", -20},
                                            {"#Inflight", "inflight", -20},
                                            {"#LastTime", "lastTime", -19},
                                            {"#Client IP", "clientIP", -20}};
    bool show_client = admin_flag(a, "showClientIP", false);
    struct owner *owners = NULL;
    struct admin_progress p;
    int64_t diffs = 0, inflights = 0;
    if (admin_group_progress(a, group, admin_option(a, "topicName"), &p, err))
        return -1;
    size_t owner_count = show_client ? find_owners(a, group, &owners) : 0;
    output_table(&a->out, "queues", columns, show_client ? 9 : 8);
    for (size_t i = 0; i < p.count; i++) {
        const struct admin_mq *q = &p.queues[i];
        char time[TIME_TEXT];
        int64_t broker = json_i64(q->value, "brokerOffset", 0), consumer = json_i64(q->value, "consumerOffset", 0);
        int64_t inflight = json_i64(q->value, "pullOffset", consumer) - consumer;
        int64_t last = json_i64(q->value, "lastTimestamp", 0);
        output_cell(&a->out, q->topic);
        output_cell(&a->out, q->broker_name);
        output_cell_i64(&a->out, q->id);
        output_cell_i64(&a->out, broker);
        output_cell_i64(&a->out, consumer);
        output_cell_i64(&a->out, broker - consumer);
        output_cell_i64(&a->out, inflight);
        output_cell(&a->out, str_from(last ? time_text(last, time) : "N/A"));
        if (show_client)
            output_cell(&a->out, owner_of(owners, owner_count, q));
        diffs += broker - consumer;
        inflights += inflight;
    }
    output_table_end(&a->out);
    output_text(&a->out, "\n");
    output_double(&a->out, "Consume TPS:", "consumeTps", p.tps);
    output_i64(&a->out, "Consume Diff Total:", "diffTotal", diffs);
    output_i64(&a->out, "Consume Inflight Total:", "inflightTotal", inflights);
    return 0;
}

static int64_t least_version(const struct json *connection)
{
    int64_t least = INT64_MAX;
    JSON_EACH(c, json_get(connection, "connectionSet"))
    {
        int64_t v = json_i64(c, "version", 0);
        least = v < least ? v : least;
    }
    return least;
}

static void group_summary(struct admin *a, const char *group)
{
    struct err ignored;
    struct admin_progress p;
    int64_t diff = 0;
    bool known = admin_group_progress(a, group, NULL, &p, &ignored) == 0;
    const struct json *connection = admin_consumer_connection(a, group, NULL, &ignored);
    const struct json *set = json_get(connection, "connectionSet");
    struct str type = json_str(connection, "consumeType");
    for (size_t i = 0; known && i < p.count; i++)
        diff += json_i64(p.queues[i].value, "brokerOffset", 0) - json_i64(p.queues[i].value, "consumerOffset", 0);
    bool online = set && set->count;
    bool push = online && !str_eqz(type, "CONSUME_ACTIVELY");
    output_cell(&a->out, str_from(group));
    output_cell_i64(&a->out, online ? set->count : 0);
    output_cell(&a->out, online ? admin_version(a, least_version(connection)) : STR_LIT("OFFLINE"));
    output_cell(&a->out, str_from(!online ? "" : push ? "PUSH" : "PULL"));
    output_cell(&a->out,
                str_eqz(type, "CONSUME_PASSIVELY") && online ? json_str(connection, "messageModel") : STR_LIT(""));
    output_cell_i64(&a->out, known ? (int64_t)p.tps : 0);
    output_cell_i64(&a->out, diff);
}

static int consumer_progress(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Group", "group", -64}, {"#Count", "count", -6}, {"#Version", "version", -24},     {"#Type", "type", -5},
        {"#Model", "model", -14}, {"#TPS", "tps", -7},     {"#Diff Total", "diffTotal", -10}};
    const char *group = admin_option(a, "groupName");
    struct str *topics;
    size_t count;
    if (group)
        return group_progress(a, group, err);
    if (admin_all_topics(a, &topics, &count, err))
        return -1;
    output_table(&a->out, "groups", columns, 7);
    for (size_t i = 0; i < count; i++)
        if (str_starts(topics[i], STR_LIT("%RETRY%")))
            group_summary(a, arena_strz(&a->tool.arena, str_skip(topics[i], 7)));
    output_table_end(&a->out);
    return 0;
}

/* ---- consumerConnection --------------------------------------------------------------------------------------------
 */

static const struct arg_option connection_options[] = {
    {"g", "consumerGroup", "GROUP", true, "consumer group"},
    OPT_BROKER,
};

static const struct column client_columns[] = {{"#ClientId", "clientId", -36},
                                               {"#ClientAddr", "clientAddr", -22},
                                               {"#Language", "language", -10},
                                               {"#Version", "version", -16}};

static void print_clients(struct admin *a, const struct json *set)
{
    output_table(&a->out, "connections", client_columns, 4);
    JSON_EACH(c, set)
    {
        output_cell(&a->out, json_str(c, "clientId"));
        output_cell(&a->out, json_str(c, "clientAddr"));
        output_cell(&a->out, json_str(c, "language"));
        output_cell(&a->out, admin_version(a, json_i64(c, "version", 0)));
    }
    output_table_end(&a->out);
}

static int consumer_connection(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Topic", "topic", -20}, {"#SubExpression", "subExpression", -20}};
    const struct json *c =
        admin_consumer_connection(a, admin_option(a, "consumerGroup"), admin_option(a, "brokerAddr"), err);
    if (c == NULL)
        return -1;
    print_clients(a, json_get(c, "connectionSet"));
    output_text(&a->out, "\nBelow is subscription:\n");
    output_table(&a->out, "subscriptions", columns, 2);
    JSON_EACH(s, json_get(c, "subscriptionTable"))
    {
        output_cell(&a->out, json_str(s, "topic"));
        output_cell(&a->out, json_str(s, "subString"));
    }
    output_table_end(&a->out);
    output_text(&a->out, "\n");
    output_str(&a->out, "ConsumeType:", "consumeType", json_str(c, "consumeType"));
    output_str(&a->out, "MessageModel:", "messageModel", json_str(c, "messageModel"));
    output_str(&a->out, "ConsumeFromWhere:", "consumeFromWhere", json_str(c, "consumeFromWhere"));
    return 0;
}

/* ---- consumerStatus ------------------------------------------------------------------------------------------------
 */

static const struct arg_option status_options[] = {
    {"g", "consumerGroup", "GROUP", true, "consumer group"},
    {"i", "clientId", "ID", false, "all that this client tells about itself"},
    OPT_BROKER,
    {"s", "jstack", NULL, false, "with the stacks of its threads"},
};

static const struct json *running_info(struct admin *a, const char *address, const char *group, struct str client,
                                       struct err *err)
{
    struct rem_frame f = admin_begin(a, REQ_GET_CONSUMER_RUNNING_INFO);
    rem_frame_str(&f, "consumerGroup", str_from(group));
    rem_frame_str(&f, "clientId", client);
    rem_frame_bool(&f, "jstackEnable", args_has(&a->args, "jstack"));
    return admin_call_json(a, address, &f, STR_NULL, err);
}

static int consumer_status(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Index", "index", -10},
                                            {"#ClientId", "clientId", -40},
                                            {"#Version", "version", -20},
                                            {"#Queues", "queues", -8}};
    const char *group = admin_option(a, "consumerGroup"), *client = admin_option(a, "clientId");
    const char *broker = admin_option(a, "brokerAddr");
    struct admin_targets brokers = {.address = &broker, .count = 1};
    if (broker == NULL && admin_topic_brokers(a, admin_retry_topic(a, group), &brokers, err))
        return -1;
    if (brokers.count == 0)
        return err_set(err, ENOENT, "group %s: no broker of it is there", group);
    if (client) {
        const struct json *info = running_info(a, brokers.address[0], group, str_from(client), err);
        if (info == NULL)
            return -1;
        output_raw(&a->out, "consumerRunningInfo", info->text);
        return 0;
    }
    const struct json *c = admin_consumer_connection(a, group, brokers.address[0], err);
    int64_t index = 1;
    if (c == NULL)
        return -1;
    output_table(&a->out, "consumers", columns, 4);
    JSON_EACH(one, json_get(c, "connectionSet"))
    {
        struct err ignored;
        const struct json *info = running_info(a, brokers.address[0], group, json_str(one, "clientId"), &ignored);
        const struct json *queues = json_get(info, "mqTable");
        output_cell_i64(&a->out, index++);
        output_cell(&a->out, json_str(one, "clientId"));
        output_cell(&a->out, admin_version(a, json_i64(one, "version", 0)));
        output_cell_i64(&a->out, queues ? queues->count : 0);
    }
    output_table_end(&a->out);
    return 0;
}

/* ---- producerConnection, producer ----------------------------------------------------------------------------------
 */

static const struct arg_option producer_options[] = {
    {"g", "producerGroup", "GROUP", true, "producer group"},
    OPT_TOPIC,
};

static int producer_connection(struct admin *a, struct err *err)
{
    struct admin_targets brokers;
    if (admin_topic_brokers(a, str_from(admin_option(a, "topic")), &brokers, err))
        return -1;
    const struct json *json = NULL;
    err_set(err, ENOENT, "no broker of the topic is there");
    for (size_t i = 0; i < brokers.count && json == NULL; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_PRODUCER_CONNECTION_LIST);
        rem_frame_str(&f, "producerGroup", str_from(admin_option(a, "producerGroup")));
        json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
    }
    if (json == NULL)
        return -1;
    print_clients(a, json_get(json, "connectionSet"));
    return 0;
}

static const struct arg_option producers_options[] = {{"b", "broker", "ADDR", true, "address of the broker"}};

static int producers(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Group", "group", -32},           {"#ClientId", "clientId", -40},
                                            {"#ClientAddr", "clientAddr", -24}, {"#Language", "language", -10},
                                            {"#Version", "version", -16},       {"#LastUpdate", "lastUpdate", -19}};
    struct rem_frame f = admin_begin(a, REQ_GET_ALL_PRODUCER_INFO);
    const struct json *json = admin_call_json(a, admin_option(a, "broker"), &f, STR_NULL, err);
    if (json == NULL)
        return -1;
    output_table(&a->out, "producers", columns, 6);
    JSON_EACH(group, json_get(json, "data"))
    JSON_EACH(p, group)
    {
        char time[TIME_TEXT];
        output_cell(&a->out, json_text(group->key));
        output_cell(&a->out, json_str(p, "clientId"));
        output_cell(&a->out, json_str(p, "remoteIP"));
        output_cell(&a->out, json_str(p, "language"));
        output_cell(&a->out, admin_version(a, json_i64(p, "version", 0)));
        output_cell(&a->out, str_from(time_text(json_i64(p, "lastUpdateTimestamp", 0), time)));
    }
    output_table_end(&a->out);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("consumerProgress", "offsets and lag of one group, or of all", progress_options, consumer_progress),
    ADMIN_COMMAND("consumerStatus", "what the clients of a group tell about themselves", status_options,
                  consumer_status),
    ADMIN_COMMAND("consumerConnection", "clients and subscriptions of a group", connection_options,
                  consumer_connection),
    ADMIN_COMMAND("producerConnection", "clients of a producer group", producer_options, producer_connection),
    ADMIN_COMMAND("producer", "all producers connected to a broker", producers_options, producers),
};
const struct admin_table admin_consumer_table = {commands, sizeof commands / sizeof commands[0]};
