/* "crocket tail": follows all queues of a topic by long polling, one request under way for each. */
#include "admin/message_text.h"
#include "admin/time_text.h"
#include "admin/tool.h"
#include "cli/cmd.h"
#include "os/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { TIMEOUT_MS = 30000, SUSPEND_MS = 15000, ROUTE_MS = 10000, BATCH = 32 };

static const struct arg_option options[] = {
    {"n", "namesrvAddr", "ADDRS", false, "name servers (default NAMESRV_ADDR, else 127.0.0.1:9876)"},
    {NULL, "from-beginning", NULL, false, "begin with the oldest message that is there"},
    {NULL, "from", "TIME", false, "begin with messages stored at that time: milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"},
    {NULL, "tag", "EXPRESSION", false, "only messages with these tags: \"TagA || TagB\""},
    {NULL, "sql", "EXPRESSION", false, "only messages whose properties fit: \"colour = 'red' AND weight > 3\""},
    {"g", "group", "GROUP", false, "consumer group to ask as (default TOOLS_CONSUMER); no offsets are kept"},
    {NULL, "count", "N", false, "end after so many messages"},
    {NULL, "raw", NULL, false, "only the bodies, one a line"},
    {NULL, "json", NULL, false, "one line of JSON for each message"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

struct followed {
    struct tool_queue queue;
    int64_t offset;
    int32_t opaque; /* of the request under way; 0: none */
};

struct follower {
    struct tool tool; /* its arena holds the queues' names: kept for as long as it runs */
    const struct args *args;
    struct str topic;
    struct followed *queues;
    size_t queue_count;
    int64_t left; /* messages still wanted; below 0: no end */
    struct buf out;
    bool waited; /* told that the topic is not there yet */
};

static int start_offset(struct follower *f, struct followed *q, bool is_new, struct err *err)
{
    const char *from = args_get(f->args, "from");
    int64_t time;
    /* A queue that came up while following: nothing of it was seen yet. */
    if (is_new || args_has(f->args, "from-beginning"))
        return tool_offset(&f->tool, &q->queue, REQ_GET_MIN_OFFSET, &q->offset, err);
    if (from)
        return time_parse(from, &time, err) || tool_offset_by_time(&f->tool, &q->queue, time, &q->offset, err);
    return tool_offset(&f->tool, &q->queue, REQ_GET_MAX_OFFSET, &q->offset, err);
}

static const struct followed *find_queue(const struct follower *f, const struct tool_queue *q)
{
    for (size_t i = 0; i < f->queue_count; i++)
        if (f->queues[i].queue.id == q->id && str_eq(f->queues[i].queue.broker_name, q->broker_name))
            return &f->queues[i];
    return NULL;
}

/* The few queues of a topic: the whole list is made anew, in the arena. */
static int add_queue(struct follower *f, const struct followed *q, struct err *err)
{
    struct followed *all = arena_alloc(&f->tool.arena, (f->queue_count + 1) * sizeof *all);
    if (all == NULL)
        return err_set(err, ENOMEM, "out of memory");
    if (f->queue_count)
        memcpy(all, f->queues, f->queue_count * sizeof *all);
    all[f->queue_count++] = *q;
    f->queues = all;
    return 0;
}

/* Adds queues that are not followed yet. */
static int look_for_queues(struct follower *f, struct err *err)
{
    struct tool_queue *all;
    size_t n;
    struct err why;
    bool first = f->queue_count == 0 && !f->waited;
    if (tool_queues(&f->tool, f->topic, TOPIC_PERM_READ, &all, &n, &why)) {
        if (why.code != RESP_TOPIC_NOT_EXIST)
            return err_set(err, why.code, "%s", why.text);
        if (!f->waited)
            fprintf(stderr, "crocket: topic %.*s does not exist yet; waiting for it\n", STR_ARG(f->topic));
        f->waited = true;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (find_queue(f, &all[i]))
            continue;
        struct followed found = {.queue = all[i]};
        if (start_offset(f, &found, !first, err))
            return -1;
        if (add_queue(f, &found, err))
            return -1;
    }
    return 0;
}

static void print_line(struct buf *out, const struct msg_view *v, struct str broker_name)
{
    char time[TIME_TEXT];
    struct str tag = msg_property(v->m.properties, STR_LIT(MSG_PROP_TAGS));
    struct str keys = msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS));
    buf_printf(out, "%s  %.*s:%d:%" PRId64, time_text_ms(v->m.store_time, time), STR_ARG(broker_name), v->m.queue_id,
               v->m.queue_offset);
    if (!str_is_null(tag))
        buf_printf(out, "  tag=%.*s", STR_ARG(tag));
    if (!str_is_null(keys))
        buf_printf(out, "  keys=%.*s", STR_ARG(keys));
    buf_add_lit(out, "  ");
    message_body_text(out, v);
    buf_add_lit(out, "\n");
}

static void print_message(struct follower *f, const struct msg_view *v, struct str broker_name)
{
    struct jw w;
    if (args_has(f->args, "json")) {
        jw_init(&w, &f->out);
        message_json(&w, v, broker_name);
        buf_add_lit(&f->out, "\n");
    } else if (args_has(f->args, "raw")) {
        message_body_text(&f->out, v);
        buf_add_lit(&f->out, "\n");
    } else {
        print_line(&f->out, v, broker_name);
    }
}

/* The broker compares hash codes of tags only; the text decides. */
static bool is_wanted(const char *expression, struct str tag)
{
    struct str rest = str_from(expression), one;
    if (expression == NULL || str_eq(str_trim(rest), STR_LIT("*")))
        return true;
    while (str_split(&rest, '|', &one))
        if (!str_is_null(tag) && one.len && str_eq(str_trim(one), tag))
            return true;
    return false;
}

static int take_answer(struct follower *f, struct followed *q, const struct rem_command *answer, struct err *err)
{
    struct tool_pulled p;
    struct msg_view v;
    q->opaque = 0;
    if (tool_pull_read(answer, q->queue.address, &p, err))
        return -1;
    q->offset = p.next_offset;
    while (p.code == RESP_SUCCESS && f->left != 0 && message_next(&p.body, &v)) {
        if (!is_wanted(args_get(f->args, "tag"), msg_property(v.m.properties, STR_LIT(MSG_PROP_TAGS))))
            continue;
        print_message(f, &v, q->queue.broker_name);
        f->left -= f->left > 0;
    }
    bool ok = buf_ok(&f->out) && fwrite(f->out.data, 1, f->out.len, stdout) == f->out.len && fflush(stdout) == 0;
    buf_clear(&f->out);
    return ok ? 0 : err_sys(err, errno, "cannot write the messages");
}

static int ask_queues(struct follower *f, struct err *err)
{
    const char *sql = args_get(f->args, "sql");
    const struct tool_pull base = {.group = args_get(f->args, "group"),
                                   .expression = sql ? sql : args_get(f->args, "tag"),
                                   .type = sql ? "SQL92" : NULL,
                                   .suspend_ms = SUSPEND_MS,
                                   .max_messages = BATCH};
    for (size_t i = 0; i < f->queue_count; i++) {
        struct followed *q = &f->queues[i];
        struct tool_pull p = base;
        p.offset = q->offset;
        if (q->opaque == 0 && tool_pull_post(&f->tool, &q->queue, &p, &q->opaque, err))
            return -1;
    }
    return 0;
}

/* A broken connection answers nothing any more: ask again. address NULL: it is not known which one broke. */
static void forget_requests(struct follower *f, const char *address)
{
    for (size_t i = 0; i < f->queue_count; i++)
        if (address == NULL || strcmp(f->queues[i].queue.address, address) == 0)
            f->queues[i].opaque = 0;
}

static int follow(struct follower *f, struct err *err)
{
    int64_t next_look = 0;
    bool broken = false;
    while (f->left != 0) {
        struct rem_command answer;
        const char *address;
        struct err why;
        int64_t now = clock_mono_ms();
        if (now >= next_look || f->queue_count == 0) {
            if (look_for_queues(f, err) && !broken)
                return -1;
            next_look = now + ROUTE_MS;
        }
        int rc = ask_queues(f, &why);
        address = NULL;
        if (rc == 0 && f->queue_count)
            rc = sync_take_any(f->tool.client, 1000, &address, &answer, &why);
        else if (rc || f->queue_count == 0)
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        if (rc && why.code != ETIMEDOUT) {
            if (!broken)
                fprintf(stderr, "crocket: %s; trying again\n", why.text);
            broken = true;
            forget_requests(f, address);
            continue;
        }
        for (size_t i = 0; rc == 0 && address && i < f->queue_count; i++) {
            struct followed *q = &f->queues[i];
            if (q->opaque != answer.opaque || strcmp(q->queue.address, address) != 0)
                continue;
            broken = false;
            if (take_answer(f, q, &answer, err))
                return -1;
            break;
        }
    }
    return 0;
}

int cmd_tail(int argc, char **argv)
{
    static struct args args;
    struct follower f = {.args = &args, .left = -1};
    struct err err;
    if (args_parse(&args, options, OPTIONS, argc, argv, &err))
        return cmd_fail(&err);
    if (args_wants_help(&args)) {
        cmd_help("crocket tail TOPIC [OPTIONS]", "Prints the messages of a topic as they arrive, from all its queues.",
                 options, OPTIONS);
        return 0;
    }
    if (args.plain_count != 1)
        return cmd_failf("tail needs one topic: crocket tail TOPIC");
    if (args_has(&args, "sql") && args_has(&args, "tag"))
        return cmd_failf("tail takes --tag or --sql, not both: in SQL the tag is the property TAGS");
    f.topic = str_from(args.plain[0]);
    int rc = args_i64(&args, "count", 1, INT64_MAX, &f.left, &err) ||
             tool_init(&f.tool, args_get(&args, "namesrvAddr"), TIMEOUT_MS, &err) || follow(&f, &err);
    buf_free(&f.out);
    tool_free(&f.tool);
    return rc ? cmd_fail(&err) : 0;
}
