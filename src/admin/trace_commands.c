/* Message traces: what clients wrote to the trace topic about one message. */
#include "admin/message_find.h"
#include "admin/message_text.h"
#include "admin/time_text.h"

static const struct arg_option trace_options[] = {
    {"i", "msgId", "ID", true, "the client's message id"},
    {"t", "traceTopic", "TOPIC", false, "trace topic (default RMQ_SYS_TRACE_TOPIC)"},
    {"b", "beginTimestamp", "TIME", false, "traced since (ms; default 0)"},
    {"e", "endTimestamp", "TIME", false, "traced until (ms; default: any time)"},
    {"c", "maxNum", "N", false, "at most so many trace messages (default 64)"},
};

enum { FIELDS = 16 };

/* Records end with 0x02, their fields with 0x01. */
static bool next_record(struct str *rest, struct str fields[FIELDS], size_t *count)
{
    struct str record;
    *count = 0;
    if (!str_split(rest, '\x02', &record))
        return false;
    while (*count < FIELDS && str_split(&record, '\x01', &fields[*count]))
        (*count)++;
    return true;
}

static void print_row(struct admin *a, const char *type, struct str group, struct str host, struct str time,
                      struct str cost, bool success)
{
    char text[TIME_TEXT];
    int64_t ms = 0;
    output_cell(&a->out, str_from(type));
    output_cell(&a->out, group);
    output_cell(&a->out, host);
    output_cell(&a->out, str_from(str_to_i64(time, &ms) ? time_text(ms, text) : "-"));
    output_cell(&a->out, cost);
    output_cell(&a->out, str_from(success ? "success" : "failed"));
}

/* A consumer writes two records: before (whom, when) and after (how long, how it went), tied by the request id. */
static void print_consumed(struct admin *a, struct str all, struct str id, struct str host)
{
    struct str rest = all, f[FIELDS], after[FIELDS];
    size_t n, m;
    while (next_record(&rest, f, &n)) {
        if (n < 8 || !str_eqz(f[0], "SubBefore") || !str_eq(f[5], id))
            continue;
        struct str cost = STR_LIT("-");
        bool success = false;
        for (struct str again = all; next_record(&again, after, &m);)
            if (m >= 5 && str_eqz(after[0], "SubAfter") && str_eq(after[1], f[4]) && str_eq(after[2], id)) {
                cost = after[3];
                success = str_eqz(after[4], "true");
            }
        print_row(a, "Sub", f[3], host, f[1], cost, success);
    }
}

static int query_trace(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Type", "type", -10}, {"#Group", "group", -32},          {"#ClientHost", "clientHost", -24},
        {"#Time", "time", -20}, {"#CostTimes(ms)", "costMs", -14}, {"#Status", "status", -10}};
    const char *begin = admin_option(a, "beginTimestamp"), *end = admin_option(a, "endTimestamp");
    const char *topic = admin_option(a, "traceTopic");
    struct message_query q = {.topic = str_from(topic ? topic : "RMQ_SYS_TRACE_TOPIC"),
                              .key = str_from(admin_option(a, "msgId")),
                              .end_ms = INT64_MAX,
                              .max = 64};
    struct found_message *found;
    size_t count;
    if (args_i64(&a->args, "maxNum", 1, 10000, &q.max, err) || (begin && time_parse(begin, &q.begin_ms, err)) ||
        (end && time_parse(end, &q.end_ms, err)) || message_find_key(a, &q, &found, &count, err))
        return -1;
    output_table(&a->out, "traces", columns, 6);
    for (size_t i = 0; i < count; i++) {
        struct str all = found[i].v.m.body, rest = all, f[FIELDS];
        char host[64];
        size_t n;
        message_host_text(&found[i].v.m.born_host, host);
        while (next_record(&rest, f, &n))
            if (n >= 14 && str_eqz(f[0], "Pub") && str_eq(f[5], q.key))
                print_row(a, "Pub", f[3], str_from(host), f[1], f[10], str_eqz(f[13], "true"));
        print_consumed(a, all, q.key, str_from(host));
    }
    output_table_end(&a->out);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("queryMsgTraceById", "who sent and consumed a message, from its trace", trace_options, query_trace),
};
const struct admin_table admin_trace_table = {commands, sizeof commands / sizeof commands[0]};
