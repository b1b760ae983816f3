/* Clusters and brokers looked at and cleaned. */
#include "admin/admin_int.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct json *runtime_info(struct admin *a, const char *address, struct err *err)
{
    struct rem_frame f = admin_begin(a, REQ_GET_BROKER_RUNTIME_INFO);
    const struct json *json = admin_call_json(a, address, &f, STR_NULL, err);
    return json ? json_get(json, "table") : NULL;
}

/* ---- clusterList ---------------------------------------------------------------------------------------------------
 */

static const struct arg_option list_options[] = {
    {"m", "moreStats", NULL, false, "messages of yesterday and today"},
    {"i", "interval", "SECONDS", false, "print again and again"},
    {"c", "clusterName", "CLUSTER", false, "only this cluster"},
};

/* The first number of "10s 60s 600s". */
static double first_rate(struct str triple)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", STR_ARG(triple));
    return strtod(text, NULL);
}

static struct str or_dash(struct str s, const char *otherwise)
{
    return str_is_null(s) ? str_from(otherwise) : s;
}

static struct str text_of(const char *text)
{
    return str_from(text ? text : "");
}

/* A rate, for people with the state of the thread pools behind it. */
static void load_cell(struct admin *a, double rate, const char *load)
{
    if (a->out.json)
        output_cell_double(&a->out, 2, rate);
    else
        output_cell(&a->out, text_of(arena_printf(&a->tool.arena, "%9.2f%s", rate, load ? load : "")));
}

static void print_base(struct admin *a, struct str cluster, struct str name, const struct broker_addr *b)
{
    struct err ignored;
    char *address = arena_strz(&a->tool.arena, b->addr);
    const struct json *t = address ? runtime_info(a, address, &ignored) : NULL;
    struct arena *m = &a->tool.arena;
    int64_t earliest = json_i64(t, "earliestMessageTimeStamp", 0);
    double hours = earliest > 0 ? (double)(clock_wall_ms() - earliest) / 3600000.0 : 0;
    output_cell(&a->out, cluster);
    output_cell(&a->out, name);
    output_cell_i64(&a->out, b->id);
    output_cell(&a->out, b->addr);
    output_cell(&a->out, or_dash(json_str(t, "brokerVersionDesc"), ""));
    load_cell(a, first_rate(json_str(t, "putTps")),
              arena_printf(m, "(%.*s,%.*sms)", STR_ARG(json_str(t, "sendThreadPoolQueueSize")),
                           STR_ARG(json_str(t, "sendThreadPoolQueueHeadWaitTimeMills"))));
    load_cell(a, first_rate(json_str(t, "getTransferredTps")),
              arena_printf(m, "(%.*s,%.*sms|%.*s,%.*sms)", STR_ARG(json_str(t, "pullThreadPoolQueueSize")),
                           STR_ARG(json_str(t, "pullThreadPoolQueueHeadWaitTimeMills")),
                           STR_ARG(or_dash(json_str(t, "ackThreadPoolQueueSize"), "N")),
                           STR_ARG(or_dash(json_str(t, "ackThreadPoolQueueHeadWaitTimeMills"), "N"))));
    output_cell(&a->out,
                text_of(arena_printf(
                    m, "%lld-%lld(%.1fw, %.1f, %.1f)", (long long)json_i64(t, "timerReadBehind", 0),
                    (long long)json_i64(t, "timerOffsetBehind", 0), (double)json_i64(t, "timerCongestNum", 0) / 10000,
                    first_rate(json_str(t, "timerEnqueueTps")), first_rate(json_str(t, "timerDequeueTps")))));
    output_cell_i64(&a->out, json_i64(t, "pageCacheLockTimeMills", 0));
    output_cell_double(&a->out, 2, hours);
    output_cell_double(&a->out, 4, first_rate(json_str(t, "commitLogDiskRatio")));
    output_cell(&a->out, str_from(json_bool(t, "brokerActive", false) ? "true" : "false"));
}

static void print_more(struct admin *a, struct str cluster, struct str name, const struct broker_addr *b)
{
    struct err ignored;
    char *address = arena_strz(&a->tool.arena, b->addr);
    const struct json *t = address ? runtime_info(a, address, &ignored) : NULL;
    int64_t put = json_i64(t, "msgPutTotalTodayMorning", 0), got = json_i64(t, "msgGetTotalTodayMorning", 0);
    output_cell(&a->out, cluster);
    output_cell(&a->out, name);
    output_cell_i64(&a->out, put - json_i64(t, "msgPutTotalYesterdayMorning", 0));
    output_cell_i64(&a->out, got - json_i64(t, "msgGetTotalYesterdayMorning", 0));
    output_cell_i64(&a->out, json_i64(t, "msgPutTotalTodayNow", 0) - put);
    output_cell_i64(&a->out, json_i64(t, "msgGetTotalTodayNow", 0) - got);
}

static int print_clusters(struct admin *a, struct err *err)
{
    static const struct column base[] = {{"#Cluster Name", "clusterName", -22},
                                         {"#Broker Name", "brokerName", -22},
                                         {"#BID", "brokerId", -4},
                                         {"#Addr", "addr", -22},
                                         {"#Version", "version", -16},
                                         {"#InTPS(LOAD)", "inTps", 16},
                                         {"#OutTPS(LOAD)", "outTps", 30},
                                         {"#Timer(Progress)", "timer", -22},
                                         {"#PCWait(ms)", "pageCacheWaitMs", 11},
                                         {"#Hour", "hours", -12},
                                         {"#SPACE", "space", -8},
                                         {"#ACTIVATED", "activated", -10}};
    static const struct column more[] = {
        {"#Cluster Name", "clusterName", -16},    {"#Broker Name", "brokerName", -32},
        {"#InTotalYest", "inTotalYesterday", 14}, {"#OutTotalYest", "outTotalYesterday", 14},
        {"#InTotalToday", "inTotalToday", 14},    {"#OutTotalToday", "outTotalToday", 14}};
    const char *only = admin_option(a, "clusterName");
    bool more_stats = args_has(&a->args, "moreStats");
    struct cluster_info info;
    if (tool_cluster(&a->tool, &info, err))
        return -1;
    output_table(&a->out, "brokers", more_stats ? more : base, more_stats ? 6 : 12);
    for (size_t i = 0; i < info.cluster_count; i++) {
        const struct cluster_brokers *c = &info.clusters[i];
        for (size_t j = 0; j < c->broker_name_count && (only == NULL || str_eqz(c->cluster, only)); j++) {
            const struct broker_data *b = cluster_info_broker(&info, c->broker_names[j]);
            for (size_t k = 0; b && k < b->addr_count; k++)
                (more_stats ? print_more : print_base)(a, c->cluster, b->broker_name, &b->addrs[k]);
        }
    }
    output_table_end(&a->out);
    return 0;
}

static int cluster_list(struct admin *a, struct err *err)
{
    int64_t interval = 0;
    if (args_i64(&a->args, "interval", 1, 86400, &interval, err))
        return -1;
    if (interval && a->out.json)
        return err_set(err, EINVAL, "--json and -i do not go together");
    for (;;) {
        if (print_clusters(a, err))
            return -1;
        if (interval == 0)
            return 0;
        fflush(stdout);
        nanosleep(&(struct timespec){.tv_sec = (time_t)interval}, NULL);
        tool_forget(&a->tool);
    }
}

/* ---- brokerStatus --------------------------------------------------------------------------------------------------
 */

static const struct arg_option broker_options[] = {OPT_BROKER, OPT_CLUSTER};

static int compare_members(const void *x, const void *y)
{
    const struct json *const *p = x, *const *q = y;
    return str_cmp(json_text((*p)->key), json_text((*q)->key));
}

static int broker_status(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Addr", "brokerAddr", -24}, {"#Key", "key", -32}, {"#Value", "value", -20}};
    struct admin_targets targets;
    bool named = args_has(&a->args, "brokerAddr");
    if (admin_targets(a, false, &targets, err))
        return -1;
    if (a->out.json)
        output_table(&a->out, "status", columns, 3);
    for (size_t i = 0; i < targets.count; i++) {
        const struct json *table = runtime_info(a, targets.address[i], err);
        if (table == NULL)
            return -1;
        const struct json **members = arena_alloc(&a->tool.arena, (table->count + 1) * sizeof *members);
        size_t n = 0;
        if (members == NULL)
            return err_set(err, ENOMEM, "out of memory");
        JSON_EACH(m, table)
        members[n++] = m;
        qsort(members, n, sizeof *members, compare_members);
        for (size_t j = 0; j < n; j++) {
            struct str key = json_text(members[j]->key), value = json_text(members[j]);
            if (a->out.json) {
                output_cell(&a->out, str_from(targets.address[i]));
                output_cell(&a->out, key);
                output_cell(&a->out, value);
            } else if (named) {
                output_text(&a->out, "%-32.*s: %.*s\n", STR_ARG(key), STR_ARG(value));
            } else {
                output_text(&a->out, "%-24s %-32.*s: %.*s\n", targets.address[i], STR_ARG(key), STR_ARG(value));
            }
        }
    }
    if (a->out.json)
        output_table_end(&a->out);
    return 0;
}

/* ---- cleaning ------------------------------------------------------------------------------------------------------
 */

static const struct arg_option clean_options[] = {OPT_BROKER, OPT_CLUSTER};

static int clean(struct admin *a, int32_t code, struct err *err)
{
    struct admin_targets targets;
    if (admin_targets(a, true, &targets, err))
        return -1;
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, code);
        if (admin_call(a, targets.address[i], &f, STR_NULL, NULL, err))
            return -1;
        output_line(&a->out, "%s: success", targets.address[i]);
    }
    return 0;
}

static int clean_expired_queues(struct admin *a, struct err *err)
{
    return clean(a, REQ_CLEAN_EXPIRED_CONSUMEQUEUE, err);
}

static int delete_expired_log(struct admin *a, struct err *err)
{
    return clean(a, REQ_DELETE_EXPIRED_COMMITLOG, err);
}

static int clean_unused_topics(struct admin *a, struct err *err)
{
    return clean(a, REQ_CLEAN_UNUSED_TOPIC, err);
}

/* ---- haStatus ------------------------------------------------------------------------------------------------------
 */

static const struct arg_option ha_options[] = {OPT_BROKER, OPT_CLUSTER};

static int ha_status(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#SlaveAddr", "slaveAddr", -32},
                                            {"#SlaveAckOffset", "slaveAckOffset", -16},
                                            {"#Diff", "diff", 16},
                                            {"#TransferSpeed(KB/s)", "transferKbPerSecond", 20},
                                            {"#Status", "status", 16},
                                            {"#TransferFromWhere", "transferFromWhere", 18}};
    struct admin_targets targets;
    if (admin_targets(a, false, &targets, err))
        return -1;
    if (a->out.json && targets.count > 1)
        return err_set(err, EINVAL, "--json shows one broker: name it with -b ADDR");
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_BROKER_HA_STATUS);
        const struct json *json = admin_call_json(a, targets.address[i], &f, STR_NULL, err);
        if (json == NULL)
            return -1;
        output_str(&a->out, "#MasterAddr", "masterAddr", str_from(targets.address[i]));
        output_i64(&a->out, "#MasterCommitLogMaxOffset", "masterCommitLogMaxOffset",
                   json_i64(json, "masterCommitLogMaxOffset", 0));
        output_i64(&a->out, "#InSyncSlaveNum", "inSyncSlaveNum", json_i64(json, "inSyncSlaveNums", 0));
        output_table(&a->out, "slaves", columns, 6);
        JSON_EACH(s, json_get(json, "haConnectionInfo"))
        {
            output_cell(&a->out, json_str(s, "addr"));
            output_cell_i64(&a->out, json_i64(s, "slaveAckOffset", 0));
            output_cell_i64(&a->out, json_i64(s, "diff", 0));
            output_cell_double(&a->out, 2, (double)json_i64(s, "transferredByteInSecond", 0) / 1024);
            output_cell(&a->out, str_from(json_bool(s, "inSync", false) ? "OK" : "Fall Behind"));
            output_cell_i64(&a->out, json_i64(s, "transferFromWhere", 0));
        }
        output_table_end(&a->out);
    }
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("clusterList", "clusters with their brokers", list_options, cluster_list),
    ADMIN_COMMAND("brokerStatus", "all that a broker tells about itself", broker_options, broker_status),
    ADMIN_COMMAND("haStatus", "replication of a broker", ha_options, ha_status),
    ADMIN_COMMAND("cleanExpiredCQ", "remove queue files whose messages are gone", clean_options, clean_expired_queues),
    ADMIN_COMMAND("deleteExpiredCommitLog", "remove old commit log files now", clean_options, delete_expired_log),
    ADMIN_COMMAND("cleanUnusedTopic", "remove queues of topics that are not there any more", clean_options,
                  clean_unused_topics),
};
const struct admin_table admin_cluster_table = {commands, sizeof commands / sizeof commands[0]};
