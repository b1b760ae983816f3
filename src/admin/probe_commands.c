/* Test messages sent to measure how long a broker takes. */
#include "admin/admin_int.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char probe_group[] = "PID_PROBE";

/* A body of that many bytes, in the arena. */
static struct str probe_body(struct admin *a, int64_t size)
{
    char *body = arena_alloc(&a->tool.arena, (size_t)size);
    if (body)
        memset(body, 'a', (size_t)size);
    return str_make(body, body ? (size_t)size : 0);
}

/* ms it took, -1 when it failed. */
static int64_t probe(struct admin *a, const struct tool_queue *q, struct str body, struct tool_sent *sent,
                     struct err *err)
{
    int64_t from = clock_mono_ms();
    return tool_send(&a->tool, q, probe_group, body, STR_NULL, sent, err) ? -1 : clock_mono_ms() - from;
}

/* ---- checkMsgSendRT ------------------------------------------------------------------------------------------------
 */

static const struct arg_option check_options[] = {
    OPT_TOPIC,
    {"a", "amount", "N", false, "messages (default 100)"},
    {"s", "size", "BYTES", false, "body size (default 128)"},
};

static int check_send_rt(struct admin *a, struct err *err)
{
    static const struct column columns[] = {{"#Broker Name", "brokerName", -32},
                                            {"#QID", "queueId", -4},
                                            {"#Send Result", "success", -20},
                                            {"#RT", "rt", -8}};
    struct tool_queue *queues;
    size_t count;
    int64_t amount = 100, size = 128, total = 0, good = 0;
    if (args_i64(&a->args, "amount", 1, 1000000, &amount, err) || args_i64(&a->args, "size", 1, 4 << 20, &size, err) ||
        tool_queues(&a->tool, str_from(admin_option(a, "topic")), TOPIC_PERM_WRITE, &queues, &count, err))
        return -1;
    if (count == 0)
        return err_set(err, ENOENT, "the topic has no queue to write to");
    struct str body = probe_body(a, size);
    output_table(&a->out, "sends", columns, 4);
    for (int64_t i = 0; i < amount; i++) {
        const struct tool_queue *q = &queues[(size_t)i % count];
        struct tool_sent sent;
        struct err why;
        int64_t took = probe(a, q, body, &sent, &why);
        output_cell(&a->out, q->broker_name);
        output_cell_i64(&a->out, q->id);
        output_cell(&a->out, str_from(took >= 0 ? "true" : "false"));
        output_cell_i64(&a->out, took);
        if (i == 0 || took < 0) /* the first one opens connections */
            continue;
        total += took;
        good++;
    }
    output_table_end(&a->out);
    output_double(&a->out, "Avg RT:", "averageRt", good ? (double)total / (double)good : 0);
    return 0;
}

/* ---- sendMsgStatus -------------------------------------------------------------------------------------------------
 */

static const struct arg_option status_options[] = {
    {"b", "brokerName", "NAME", true, "name of the broker; the topic of that name is written"},
    {"s", "messageSize", "BYTES", false, "body size (default 128)"},
    {"c", "count", "N", false, "messages (default 50)"},
};

static int broker_queue(struct admin *a, struct str broker_name, struct tool_queue *out, struct err *err)
{
    *out = (struct tool_queue){.topic = broker_name, .broker_name = broker_name};
    out->address = tool_broker_address(&a->tool, broker_name, err);
    return out->address ? 0 : -1;
}

static int send_status(struct admin *a, struct err *err)
{
    struct tool_queue q;
    int64_t size = 128, count = 50;
    if (args_i64(&a->args, "messageSize", 1, 4 << 20, &size, err) ||
        args_i64(&a->args, "count", 1, 1000000, &count, err) ||
        broker_queue(a, str_from(admin_option(a, "brokerName")), &q, err))
        return -1;
    struct str body = probe_body(a, size);
    for (int64_t i = 0; i < count; i++) {
        struct tool_sent sent;
        int64_t took = probe(a, &q, body, &sent, err);
        if (took < 0)
            return -1;
        output_line(&a->out,
                    "rt=%lldms, SendResult=SendResult [sendStatus=%s, msgId=%s, offsetMsgId=%s, queueOffset=%lld]",
                    (long long)took, sent.status, sent.msg_id, sent.offset_id, (long long)sent.queue_offset);
    }
    return 0;
}

/* ---- clusterRT -----------------------------------------------------------------------------------------------------
 */

static const struct arg_option cluster_options[] = {
    {"a", "amount", "N", false, "messages a broker (default 100)"},
    {"s", "size", "BYTES", false, "body size (default 128)"},
    {"c", "cluster", "CLUSTER", false, "only this cluster"},
    {"p", "print log", "BOOL", false, "accepted as mqadmin's"},
    {"m", "machine room", "NAME", false, "accepted as mqadmin's"},
    {"i", "interval", "SECONDS", false, "print again and again; without it once"},
};

static int probe_brokers(struct admin *a, int64_t amount, int64_t size, struct err *err)
{
    static const struct column columns[] = {{"#Cluster Name", "clusterName", -24},
                                            {"#Broker Name", "brokerName", -24},
                                            {"#RT", "rt", -8},
                                            {"#successCount", "successCount", -16},
                                            {"#failCount", "failCount", -16}};
    const char *only = admin_option(a, "cluster");
    struct str body = probe_body(a, size);
    struct cluster_info info;
    if (tool_cluster(&a->tool, &info, err))
        return -1;
    output_table(&a->out, "brokers", columns, 5);
    for (size_t i = 0; i < info.broker_count; i++) {
        struct tool_queue q;
        int64_t total = 0, good = 0, bad = 0;
        if ((only && !str_eqz(info.brokers[i].cluster, only)) || broker_queue(a, info.brokers[i].broker_name, &q, err))
            continue;
        for (int64_t n = 0; n < amount; n++) {
            struct tool_sent sent;
            struct err why;
            int64_t took = probe(a, &q, body, &sent, &why);
            total += took > 0 ? took : 0;
            good += took >= 0;
            bad += took < 0;
        }
        output_cell(&a->out, info.brokers[i].cluster);
        output_cell(&a->out, info.brokers[i].broker_name);
        output_cell_double(&a->out, 2, good ? (double)total / (double)good : 0);
        output_cell_i64(&a->out, good);
        output_cell_i64(&a->out, bad);
    }
    output_table_end(&a->out);
    return 0;
}

static int cluster_rt(struct admin *a, struct err *err)
{
    int64_t amount = 100, size = 128, interval = 0;
    if (args_i64(&a->args, "amount", 1, 1000000, &amount, err) || args_i64(&a->args, "size", 1, 4 << 20, &size, err) ||
        args_i64(&a->args, "interval", 1, 86400, &interval, err))
        return -1;
    if (interval && a->out.json)
        return err_set(err, EINVAL, "--json and -i do not go together");
    for (;;) {
        if (probe_brokers(a, amount, size, err))
            return -1;
        if (interval == 0)
            return 0;
        fflush(stdout);
        nanosleep(&(struct timespec){.tv_sec = (time_t)interval}, NULL);
        tool_forget(&a->tool);
    }
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("checkMsgSendRT", "how long sends to a topic take", check_options, check_send_rt),
    ADMIN_COMMAND("sendMsgStatus", "how long sends to a broker take", status_options, send_status),
    ADMIN_COMMAND("clusterRT", "how long sends to each broker take", cluster_options, cluster_rt),
};
const struct admin_table admin_probe_table = {commands, sizeof commands / sizeof commands[0]};
