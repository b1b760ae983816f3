/* Topics listed and looked at. */
#include "admin/admin_int.h"
#include "admin/time_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- topicList -----------------------------------------------------------------------------------------------------
 */

static const struct arg_option list_options[] = {
    {"c", "clusterModel", NULL, false, "with the cluster and the consumer groups of each topic"},
};

static struct str cluster_of_topic(struct admin *a, struct str topic)
{
    struct topic_route route;
    struct err ignored;
    if (tool_route(&a->tool, topic, &route, &ignored) || route.broker_count == 0)
        return STR_LIT("");
    return route.brokers[0].cluster;
}

static int topic_list_by_cluster(struct admin *a, const struct str *topics, size_t count)
{
    static const struct column columns[] = {
        {"#Cluster Name", "clusterName", -20}, {"#Topic", "topic", -64}, {"#Consumer Group", "consumerGroup", -64}};
    output_table(&a->out, "topics", columns, 3);
    for (size_t i = 0; i < count; i++) {
        struct str *groups = NULL, cluster;
        size_t n = 0;
        struct err ignored;
        if (admin_is_retry_or_dead(topics[i]))
            continue;
        cluster = cluster_of_topic(a, topics[i]);
        if (admin_topic_groups(a, topics[i], &groups, &n, &ignored))
            n = 0;
        for (size_t j = 0; j < (n ? n : 1); j++) {
            output_cell(&a->out, cluster);
            output_cell(&a->out, topics[i]);
            output_cell(&a->out, n ? groups[j] : STR_LIT(""));
        }
    }
    output_table_end(&a->out);
    return 0;
}

static int topic_list(struct admin *a, struct err *err)
{
    static const struct column column = {"#Topic", "topic", -64};
    struct str *topics;
    size_t count;
    if (admin_all_topics(a, &topics, &count, err))
        return -1;
    if (args_has(&a->args, "clusterModel"))
        return topic_list_by_cluster(a, topics, count);
    if (!a->out.json) { /* plain names, as scripts expect them */
        for (size_t i = 0; i < count; i++)
            output_text(&a->out, "%.*s\n", STR_ARG(topics[i]));
        return 0;
    }
    output_table(&a->out, "topics", &column, 1);
    for (size_t i = 0; i < count; i++)
        output_cell(&a->out, topics[i]);
    output_table_end(&a->out);
    return 0;
}

/* ---- topicRoute ----------------------------------------------------------------------------------------------------
 */

static const struct arg_option route_options[] = {
    OPT_TOPIC,
    {"l", "list", NULL, false, "as a table"},
};

static struct str addresses_text(struct admin *a, const struct broker_data *b)
{
    struct buf text = {0};
    buf_add_lit(&text, "{");
    for (size_t i = 0; i < b->addr_count; i++)
        buf_printf(&text, "%s%lld=%.*s", i ? ", " : "", (long long)b->addrs[i].id, STR_ARG(b->addrs[i].addr));
    buf_add_lit(&text, "}");
    struct str copy = arena_str(&a->tool.arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static void route_table(struct admin *a, const struct topic_route *r)
{
    static const struct column columns[] = {
        {"#ClusterName", "clusterName", -20},   {"#BrokerName", "brokerName", -20},
        {"#BrokerAddrs", "brokerAddrs", -50},   {"#ReadQueue", "readQueueNums", -10},
        {"#WriteQueue", "writeQueueNums", -11}, {"#Perm", "perm", -5}};
    int64_t reads = 0, writes = 0;
    output_table(&a->out, "route", columns, 6);
    for (size_t i = 0; i < r->broker_count; i++) {
        const struct broker_data *b = &r->brokers[i];
        for (size_t j = 0; j < r->queue_count; j++) {
            const struct queue_data *q = &r->queues[j];
            if (!str_eq(q->broker_name, b->broker_name))
                continue;
            output_cell(&a->out, b->cluster);
            output_cell(&a->out, b->broker_name);
            output_cell(&a->out, addresses_text(a, b));
            output_cell_i64(&a->out, q->read_queue_nums);
            output_cell_i64(&a->out, q->write_queue_nums);
            output_cell_i64(&a->out, q->perm);
            reads += q->read_queue_nums;
            writes += q->write_queue_nums;
        }
    }
    output_table_end(&a->out);
    output_text(&a->out, "%-20s  %-20zu  %-50s  %-10lld  %-11lld\n", "Total:", r->broker_count, "", (long long)reads,
                (long long)writes);
}

static int topic_route(struct admin *a, struct err *err)
{
    struct topic_route route;
    if (tool_route(&a->tool, str_from(admin_option(a, "topic")), &route, err))
        return -1;
    if (args_has(&a->args, "list")) {
        route_table(a, &route);
        return 0;
    }
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    w.pretty = !a->out.json;
    topic_route_write(&w, &route, true);
    output_raw(&a->out, "route", buf_str(&text));
    buf_free(&text);
    return 0;
}

/* ---- topicStatus ---------------------------------------------------------------------------------------------------
 */

static const struct arg_option status_options[] = {
    OPT_TOPIC,
    {"c", "cluster", "CLUSTER", false, "ask the brokers of this cluster (for topics without a route)"},
};

static int topic_status(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Broker Name", "brokerName", -32},
                                            {"#QID", "queueId", -4},
                                            {"#Min Offset", "minOffset", -20},
                                            {"#Max Offset", "maxOffset", -20},
                                            {"#Last Updated", "lastUpdated", -23}};
    struct str topic = str_from(admin_option(a, "topic"));
    const char *cluster = admin_option(a, "cluster");
    struct admin_targets brokers;
    double tps = 0;
    if (cluster ? admin_masters(a, cluster, &brokers, err) : admin_topic_brokers(a, topic, &brokers, err))
        return -1;
    struct admin_mq *all = NULL;
    size_t count = 0;
    for (size_t i = 0; i < brokers.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_TOPIC_STATS_INFO);
        struct admin_mq *some, *both;
        size_t n;
        rem_frame_str(&f, "topic", topic);
        const struct json *json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
        if (json == NULL || admin_mq_table(a, json_get(json, "offsetTable"), &some, &n, err))
            return -1;
        both = arena_alloc(&a->tool.arena, (count + n + 1) * sizeof *both);
        if (both == NULL)
            return err_set(err, ENOMEM, "out of memory");
        if (count)
            memcpy(both, all, count * sizeof *both);
        memcpy(both + count, some, n * sizeof *both);
        all = both;
        count += n;
        tps += json_double(json, "topicPutTps", 0);
    }
    admin_mq_sort(all, count);
    output_table(&a->out, "queues", columns, 5);
    for (size_t i = 0; i < count; i++) {
        char time[TIME_TEXT] = "";
        int64_t updated = json_i64(all[i].value, "lastUpdateTimestamp", 0);
        output_cell(&a->out, all[i].broker_name);
        output_cell_i64(&a->out, all[i].id);
        output_cell_i64(&a->out, json_i64(all[i].value, "minOffset", 0));
        output_cell_i64(&a->out, json_i64(all[i].value, "maxOffset", 0));
        output_cell(&a->out, str_from(updated > 0 ? time_text_ms(updated, time) : ""));
    }
    output_table_end(&a->out);
    output_text(&a->out, "\n");
    output_double(&a->out, "Topic Put TPS:", "topicPutTps", tps);
    return 0;
}

/* ---- topicClusterList ----------------------------------------------------------------------------------------------
 */

static const struct arg_option cluster_options[] = {OPT_TOPIC};

static int topic_cluster_list(struct admin *a, struct err *err)
{
    static const struct column column = {"#Cluster Name", "clusterName", -20};
    struct topic_route route;
    if (tool_route(&a->tool, str_from(admin_option(a, "topic")), &route, err))
        return -1;
    if (a->out.json)
        output_table(&a->out, "clusters", &column, 1);
    for (size_t i = 0; i < route.broker_count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen |= str_eq(route.brokers[j].cluster, route.brokers[i].cluster);
        if (seen)
            continue;
        if (a->out.json)
            output_cell(&a->out, route.brokers[i].cluster);
        else
            output_text(&a->out, "%.*s\n", STR_ARG(route.brokers[i].cluster));
    }
    if (a->out.json)
        output_table_end(&a->out);
    return 0;
}

/* ---- allocateMQ ----------------------------------------------------------------------------------------------------
 */

static const struct arg_option allocate_options[] = {
    OPT_TOPIC,
    {"i", "ipList", "LIST", true, "addresses of consumers, separated by commas"},
};

static void write_queue(struct jw *w, const struct tool_queue *q)
{
    jw_begin_object(w);
    jw_kstr(w, "brokerName", q->broker_name);
    jw_ki64(w, "queueId", q->id);
    jw_kstr(w, "topic", q->topic);
    jw_end_object(w);
}

/* The AVG strategy of the clients: blocks of queues, the first consumers get one more. */
static int allocate_queues(struct admin *a, struct err *err)
{
    struct tool_queue *queues;
    struct str rest = str_from(admin_option(a, "ipList")), ip;
    size_t count, consumers = 0, index = 0;
    struct buf text = {0};
    struct jw w;
    if (tool_queues(&a->tool, str_from(admin_option(a, "topic")), TOPIC_PERM_READ, &queues, &count, err))
        return -1;
    for (struct str left = rest; str_split(&left, ',', &ip);)
        consumers++;
    if (consumers == 0)
        return err_set(err, EINVAL, "-i names no consumer");
    jw_init(&w, &text);
    jw_begin_object(&w);
    for (; str_split(&rest, ',', &ip); index++) {
        size_t extra = count % consumers, size = count / consumers + (index < extra);
        size_t from = index * (count / consumers) + (index < extra ? index : extra);
        jw_key(&w, str_trim(ip));
        jw_begin_array(&w);
        for (size_t i = from; i < from + size; i++)
            write_queue(&w, &queues[i]);
        jw_end_array(&w);
    }
    jw_end_object(&w);
    if (a->out.json)
        output_raw(&a->out, "result", buf_str(&text));
    else
        output_text(&a->out, "{\"result\":%.*s}\n", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("topicList", "all topics of the name server", list_options, topic_list),
    ADMIN_COMMAND("topicRoute", "brokers and queues of a topic", route_options, topic_route),
    ADMIN_COMMAND("topicStatus", "offsets of the queues of a topic", status_options, topic_status),
    ADMIN_COMMAND("topicClusterList", "clusters that have a topic", cluster_options, topic_cluster_list),
    ADMIN_COMMAND("allocateMQ", "which consumer would get which queues", allocate_options, allocate_queues),
};
const struct admin_table admin_topics_table = {commands, sizeof commands / sizeof commands[0]};
