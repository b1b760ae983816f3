/* "crocket send": lines, files or texts become messages. */
#include "admin/tool.h"
#include "cli/cmd.h"
#include "message/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 5000, NEW_TOPIC_QUEUES = 4 };

static const struct arg_option options[] = {
    {"n", "namesrvAddr", "ADDRS", false, "name servers (default NAMESRV_ADDR, else 127.0.0.1:9876)"},
    {"m", "message", "TEXT", false, "send this text; may be repeated"},
    {NULL, "whole", NULL, false, "each FILE is one message, not one message a line"},
    {NULL, "key", "KEYS", false, "index keys, separated by spaces"},
    {NULL, "tag", "TAG", false, "tag of the messages"},
    {NULL, "property", "NAME=VALUE", false, "a property; may be repeated"},
    {NULL, "delay-level", "N", false, "deliver later: level 1 (1 s) to 18 (2 h)"},
    {"g", "group", "GROUP", false, "producer group (default crocket_send)"},
    {NULL, "address", "ADDR", false, "straight to the broker at this address, without a name server"},
    {NULL, "broker", "NAME", false, "only to queues of this broker"},
    {NULL, "queue", "ID", false, "only to the queue of this number"},
    {"q", "quiet", NULL, false, "print nothing for messages that were stored"},
    {NULL, "json", NULL, false, "one line of JSON for each message"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

struct sender {
    struct tool tool;
    struct tool_queue *queues;
    size_t queue_count, next;
    struct buf properties;
    const char *group;
    bool quiet, json;
    uint64_t sent;
};

/* As clients do for a topic that does not exist: the queues it will get when its first message arrives. */
static int find_new_topic(struct sender *s, struct str topic, struct err *err)
{
    struct err why;
    size_t n = 0;
    if (tool_queues(&s->tool, STR_LIT("TBW102"), TOPIC_PERM_WRITE, &s->queues, &s->queue_count, &why))
        return why.code == RESP_TOPIC_NOT_EXIST
                   ? err_set(err, ENOENT,
                             "topic %.*s does not exist and is not made by sending to it; make it with crocket admin "
                             "updateTopic -c DefaultCluster -t %.*s",
                             STR_ARG(topic), STR_ARG(topic))
                   : err_set(err, why.code, "%s", why.text);
    for (size_t i = 0; i < s->queue_count; i++) {
        if (s->queues[i].id >= NEW_TOPIC_QUEUES)
            continue;
        s->queues[n] = s->queues[i];
        s->queues[n++].topic = topic;
    }
    s->queue_count = n;
    return 0;
}

/* One queue of a broker whose address is known; an unknown topic is made by the broker when it makes any. */
static int take_address(struct sender *s, struct str topic, const char *address, int64_t queue, struct err *err)
{
    s->queues = arena_calloc(&s->tool.arena, sizeof *s->queues);
    if (s->queues == NULL)
        return err_set(err, ENOMEM, "out of memory");
    s->queues[0] = (struct tool_queue){topic, STR_LIT("-"), address, queue < 0 ? 0 : (int32_t)queue};
    s->queue_count = 1;
    return 0;
}

static int find_queues(struct sender *s, const struct args *a, struct str topic, struct err *err)
{
    const char *broker = args_get(a, "broker"), *address = args_get(a, "address");
    int64_t queue = -1;
    size_t n = 0;
    struct err why;
    if (args_i64(a, "queue", 0, INT32_MAX, &queue, err))
        return -1;
    if (address)
        return take_address(s, topic, address, queue, err);
    if (tool_queues(&s->tool, topic, TOPIC_PERM_WRITE, &s->queues, &s->queue_count, &why)) {
        if (why.code != RESP_TOPIC_NOT_EXIST)
            return err_set(err, why.code, "%s", why.text);
        if (find_new_topic(s, topic, err))
            return -1;
    }
    for (size_t i = 0; i < s->queue_count; i++)
        if ((broker == NULL || str_eqz(s->queues[i].broker_name, broker)) && (queue < 0 || s->queues[i].id == queue))
            s->queues[n++] = s->queues[i];
    s->queue_count = n;
    return n ? 0 : err_set(err, ENOENT, "topic %.*s has no such queue to write to", STR_ARG(topic));
}

static int read_properties(struct sender *s, const struct args *a, struct err *err)
{
    const char *text;
    int64_t level = 0;
    if (args_i64(a, "delay-level", 1, 18, &level, err))
        return -1;
    if ((text = args_get(a, "key")))
        msg_property_add(&s->properties, STR_LIT(MSG_PROP_KEYS), str_from(text));
    if ((text = args_get(a, "tag")))
        msg_property_add(&s->properties, STR_LIT(MSG_PROP_TAGS), str_from(text));
    if (level) {
        char digits[24];
        msg_property_add(&s->properties, STR_LIT(MSG_PROP_DELAY), str_make(digits, fmt_i64(digits, level)));
    }
    for (size_t at = 0; (text = args_next(a, "property", &at));) {
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals[1] == '\0')
            return err_set(err, EINVAL, "--property %s: write --property name=value", text);
        msg_property_add(&s->properties, str_make(text, (size_t)(equals - text)), str_from(equals + 1));
    }
    return buf_ok(&s->properties) ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int send_one(struct sender *s, struct str body, struct err *err)
{
    struct tool_sent sent;
    if (body.len == 0)
        return 0; /* brokers take no empty bodies: an empty line is no message */
    const struct tool_queue *q = &s->queues[s->next++ % s->queue_count];
    if (tool_send(&s->tool, q, s->group, body, buf_str(&s->properties), &sent, err))
        return -1;
    s->sent++;
    if (s->json)
        printf("{\"msgId\":\"%s\",\"offsetMsgId\":\"%s\",\"status\":\"%s\",\"brokerName\":\"%.*s\",\"queueId\":%d,"
               "\"queueOffset\":%" PRId64 "}\n",
               sent.msg_id, sent.offset_id, sent.status, STR_ARG(q->broker_name), sent.queue_id, sent.queue_offset);
    else if (!s->quiet)
        printf("%s  %s  %.*s:%d:%" PRId64 "\n", sent.msg_id, sent.status, STR_ARG(q->broker_name), sent.queue_id,
               sent.queue_offset);
    return 0;
}

static int send_lines(struct sender *s, FILE *in, const char *name, struct err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getline(&line, &cap, in)) > 0)
        rc = send_one(s, str_make(line, (size_t)n - (line[n - 1] == '\n')), err);
    if (rc == 0 && ferror(in))
        rc = err_sys(err, errno, "cannot read %s", name);
    free(line);
    return rc;
}

static int send_whole(struct sender *s, FILE *in, const char *name, struct err *err)
{
    struct buf all = {0};
    size_t n = 1;
    while (n > 0 && buf_reserve(&all, 65536)) {
        n = fread(all.data + all.len, 1, all.cap - all.len, in);
        all.len += n;
    }
    int rc = ferror(in)      ? err_sys(err, errno, "cannot read %s", name)
             : !buf_ok(&all) ? err_set(err, ENOMEM, "out of memory")
                             : send_one(s, buf_str(&all), err);
    buf_free(&all);
    return rc;
}

static int send_file(struct sender *s, const char *name, bool whole, struct err *err)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(name, "re");
    if (in == NULL)
        return err_sys(err, errno, "cannot open %s", name);
    int rc = whole ? send_whole(s, in, name, err) : send_lines(s, in, name, err);
    if (!is_stdin)
        fclose(in);
    return rc;
}

static int send_all(struct sender *s, const struct args *a, struct err *err)
{
    const char *text;
    bool any = false;
    for (size_t at = 0; (text = args_next(a, "message", &at)); any = true)
        if (send_one(s, str_from(text), err))
            return -1;
    for (size_t i = 1; i < a->plain_count; i++, any = true)
        if (send_file(s, a->plain[i], args_has(a, "whole"), err))
            return -1;
    return any ? 0 : send_file(s, "-", args_has(a, "whole"), err);
}

int cmd_send(int argc, char **argv)
{
    static struct args args;
    struct sender s = {0};
    struct err err;
    if (args_parse(&args, options, OPTIONS, argc, argv, &err))
        return cmd_fail(&err);
    if (args_wants_help(&args)) {
        cmd_help(
            "crocket send TOPIC [FILE...] [OPTIONS]",
            "Sends each line of the files (or of standard input) as a message, or the texts of -m. Prints the id,\n"
            "the result and broker:queue:offset of each.",
            options, OPTIONS);
        return 0;
    }
    if (args.plain_count == 0)
        return cmd_failf("send needs a topic: crocket send TOPIC -m \"text\"");
    s.group = args_or(&args, "group", "crocket_send");
    s.quiet = args_has(&args, "quiet");
    s.json = args_has(&args, "json");
    int rc = tool_init(&s.tool, args_get(&args, "namesrvAddr"), TIMEOUT_MS, &err) || read_properties(&s, &args, &err) ||
             find_queues(&s, &args, str_from(args.plain[0]), &err) || send_all(&s, &args, &err);
    if (rc)
        cmd_fail(&err);
    if (rc && s.sent)
        fprintf(stderr, "crocket: %" PRIu64 " messages were sent before that\n", s.sent);
    buf_free(&s.properties);
    tool_free(&s.tool);
    return rc;
}
