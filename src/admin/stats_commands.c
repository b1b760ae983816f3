/* Rates of topics and groups. */
#include "admin/admin_int.h"
#include "admin/time_text.h"

#include <errno.h>

static const struct arg_option all_options[] = {
    {"a", "activeTopic", NULL, false, "only topics with messages in the last minute"},
    {"t", "topic", "TOPIC", false, "only this topic"},
};

struct rates {
    double tps;
    int64_t today;
};

/* Adds what one broker counts for a key; nothing when it counts none. */
static void add_rates(struct admin *a, const char *address, const char *name, struct str key, struct rates *out)
{
    struct err ignored;
    struct rem_frame f = admin_begin(a, REQ_VIEW_BROKER_STATS_DATA);
    rem_frame_str(&f, "statsName", str_from(name));
    rem_frame_str(&f, "statsKey", key);
    const struct json *json = admin_call_json(a, address, &f, STR_NULL, &ignored);
    if (json == NULL)
        return;
    static const char *const spans[] = {"statsDay", "statsHour", "statsMinute"};
    out->tps += json_double(json_get(json, "statsMinute"), "tps", 0);
    for (size_t i = 0; i < 3; i++) {
        int64_t sum = json_i64(json_get(json, spans[i]), "sum", 0);
        out->today += sum;
        if (sum)
            break;
    }
}

static void print_group(struct admin *a, const struct admin_targets *brokers, struct str topic, struct str group,
                        const struct rates *in, bool only_active)
{
    struct rates out = {0};
    struct admin_progress p;
    struct err ignored;
    int64_t lag = 0;
    const char *group_z = arena_strz(&a->tool.arena, group), *topic_z = arena_strz(&a->tool.arena, topic);
    const char *key = arena_printf(&a->tool.arena, "%.*s@%.*s", STR_ARG(topic), STR_ARG(group));
    for (size_t i = 0; i < brokers->count; i++)
        add_rates(a, brokers->address[i], "GROUP_GET_NUMS", str_from(key), &out);
    if (admin_group_progress(a, group_z, topic_z, &p, &ignored) == 0)
        for (size_t i = 0; i < p.count; i++)
            lag += json_i64(p.queues[i].value, "brokerOffset", 0) - json_i64(p.queues[i].value, "consumerOffset", 0);
    if (only_active && in->tps <= 0 && out.tps <= 0)
        return;
    output_cell(&a->out, topic);
    output_cell(&a->out, group);
    output_cell_i64(&a->out, lag > 0 ? lag : 0);
    output_cell_double(&a->out, 2, in->tps);
    output_cell_double(&a->out, 2, out.tps);
    output_cell_i64(&a->out, in->today);
    output_cell_i64(&a->out, out.today);
}

static void print_topic(struct admin *a, struct str topic, bool only_active)
{
    struct admin_targets brokers;
    struct rates in = {0};
    struct str *groups;
    size_t count;
    struct err ignored;
    if (admin_topic_brokers(a, topic, &brokers, &ignored))
        return;
    for (size_t i = 0; i < brokers.count; i++)
        add_rates(a, brokers.address[i], "TOPIC_PUT_NUMS", topic, &in);
    if (admin_topic_groups(a, topic, &groups, &count, &ignored))
        count = 0;
    for (size_t i = 0; i < count; i++)
        print_group(a, &brokers, topic, groups[i], &in, only_active);
    if (count || (only_active && in.tps <= 0))
        return;
    output_cell(&a->out, topic);
    output_cell(&a->out, STR_LIT(""));
    output_cell_i64(&a->out, 0);
    output_cell_double(&a->out, 2, in.tps);
    output_cell(&a->out, STR_LIT(""));
    output_cell_i64(&a->out, in.today);
    output_cell(&a->out, STR_LIT("NO_CONSUMER"));
}

static int stats_all(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Topic", "topic", -64},
                                            {"#Consumer Group", "consumerGroup", -64},
                                            {"#Accumulation", "accumulation", 12},
                                            {"#InTPS", "inTps", 11},
                                            {"#OutTPS", "outTps", 11},
                                            {"#InMsg24Hour", "inMessages24Hours", 14},
                                            {"#OutMsg24Hour", "outMessages24Hours", 14}};
    const char *only = admin_option(a, "topic");
    struct str *topics;
    size_t count;
    if (admin_all_topics(a, &topics, &count, err))
        return -1;
    output_table(&a->out, "stats", columns, 7);
    for (size_t i = 0; i < count; i++)
        if (!admin_is_retry_or_dead(topics[i]) && (only == NULL || str_eqz(topics[i], only)))
            print_topic(a, topics[i], args_has(&a->args, "activeTopic"));
    output_table_end(&a->out);
    return 0;
}

/* ---- brokerConsumeStats --------------------------------------------------------------------------------------------
 */

static const struct arg_option consume_options[] = {
    {"b", "brokerAddr", "ADDR", true, "address of the broker"},
    {"t", "timeoutMillis", "MS", false, "accepted as mqadmin's"},
    {"l", "level", "N", false, "only queues that lag so far behind (default 0)"},
    {"o", "order", "BOOL", false, "ordered topics (default false)"},
};

static int print_consume(struct admin *a, struct str group, const struct json *stats, int64_t level, struct err *err)
{
    struct admin_mq *queues;
    size_t count;
    if (admin_mq_table(a, json_get(stats, "offsetTable"), &queues, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        char time[TIME_TEXT];
        const struct json *v = queues[i].value;
        int64_t broker = json_i64(v, "brokerOffset", 0), consumer = json_i64(v, "consumerOffset", 0);
        int64_t last = json_i64(v, "lastTimestamp", 0);
        if (broker - consumer < level)
            continue;
        output_cell(&a->out, queues[i].topic);
        output_cell(&a->out, group);
        output_cell(&a->out, queues[i].broker_name);
        output_cell_i64(&a->out, queues[i].id);
        output_cell_i64(&a->out, broker);
        output_cell_i64(&a->out, consumer);
        output_cell_i64(&a->out, broker - consumer);
        output_cell(&a->out, str_from(last > 0 ? time_text(last, time) : "-"));
    }
    return 0;
}

static int broker_consume_stats(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Topic", "topic", -64},
        {"#Group", "group", -64},
        {"#Broker Name", "brokerName", -32},
        {"#QID", "queueId", -4},
        {"#Broker Offset", "brokerOffset", -20},
        {"#Consumer Offset", "consumerOffset", -20},
        {"#Diff", "diff", -20},
        {"#LastTime", "lastTime", -19},
    };
    int64_t level = 0;
    struct rem_frame f = admin_begin(a, REQ_GET_BROKER_CONSUME_STATS);
    rem_frame_bool(&f, "isOrder", admin_flag(a, "order", false));
    if (args_i64(&a->args, "level", 0, INT64_MAX, &level, err))
        return -1;
    const struct json *json = admin_call_json(a, admin_option(a, "brokerAddr"), &f, STR_NULL, err);
    if (json == NULL)
        return -1;
    output_table(&a->out, "queues", columns, 8);
    JSON_EACH(by_group, json_get(json, "consumeStatsList"))
    JSON_EACH(group, by_group)
    JSON_EACH(stats, group)
    if (print_consume(a, json_text(group->key), stats, level, err))
        return -1;
    output_table_end(&a->out);
    output_text(&a->out, "\n");
    output_i64(&a->out, "Diff Total:", "totalDiff", json_i64(json, "totalDiff", 0));
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("statsAll", "rates and lag of topics and their groups", all_options, stats_all),
    ADMIN_COMMAND("brokerConsumeStats", "offsets of all groups on a broker", consume_options, broker_consume_stats),
};
const struct admin_table admin_stats_table = {commands, sizeof commands / sizeof commands[0]};
