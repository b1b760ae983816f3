#include "admin/tool.h"

#include "message/message.h"
#include "os/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char tools_group[] = "TOOLS_CONSUMER";

int tool_init(struct tool *t, const char *namesrv, int64_t timeout_ms, struct err *err)
{
    const char *env = getenv("NAMESRV_ADDR");
    memset(t, 0, sizeof *t);
    t->namesrv = namesrv ? namesrv : env && *env ? env : "127.0.0.1:9876";
    t->client = sync_client_new(timeout_ms);
    return t->client ? 0 : err_set(err, ENOMEM, "out of memory");
}

void tool_free(struct tool *t)
{
    sync_client_free(t->client);
    arena_free(&t->arena);
    memset(t, 0, sizeof *t);
}

void tool_forget(struct tool *t)
{
    arena_reset(&t->arena);
}

int tool_ask_namesrv(struct tool *t, struct rem_frame *f, struct str body, struct rem_command *answer, struct err *err)
{
    if (sync_call_any(t->client, t->namesrv, f, body, answer, err))
        return -1;
    return answer->code == RESP_SUCCESS ? 0 : sync_refused(t->namesrv, answer, err);
}

const struct json *tool_json(struct tool *t, const struct rem_command *answer, struct err *err)
{
    struct err why;
    struct str text = arena_str(&t->arena, str_is_null(answer->body) ? STR_LIT("{}") : answer->body);
    const struct json *json = str_is_null(text) ? NULL : json_parse(&t->arena, text, &why);
    if (json == NULL)
        err_set(err, EPROTO, "the answer cannot be read: %s", str_is_null(text) ? "out of memory" : why.text);
    return json;
}

static int unreadable(struct err *err, const char *what)
{
    return err_set(err, EPROTO, "the %s in the answer cannot be read", what);
}

int tool_cluster(struct tool *t, struct cluster_info *out, struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    const struct json *json;
    sync_begin(t->client, &f, REQ_GET_BROKER_CLUSTER_INFO);
    if (tool_ask_namesrv(t, &f, STR_NULL, &answer, err) || (json = tool_json(t, &answer, err)) == NULL)
        return -1;
    return cluster_info_read(&t->arena, json, out) ? 0 : unreadable(err, "cluster list");
}

int tool_route(struct tool *t, struct str topic, struct topic_route *out, struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    const struct json *json;
    sync_begin(t->client, &f, REQ_GET_ROUTEINFO_BY_TOPIC);
    rem_frame_str(&f, "topic", topic);
    if (sync_call_any(t->client, t->namesrv, &f, STR_NULL, &answer, err))
        return -1;
    if (answer.code == RESP_TOPIC_NOT_EXIST)
        return err_set(err, RESP_TOPIC_NOT_EXIST, "topic %.*s: no broker at %s has it", STR_ARG(topic), t->namesrv);
    if (answer.code != RESP_SUCCESS)
        return sync_refused(t->namesrv, &answer, err);
    if ((json = tool_json(t, &answer, err)) == NULL)
        return -1;
    return topic_route_read(&t->arena, json, out) ? 0 : unreadable(err, "route");
}

const char *tool_broker_address(struct tool *t, struct str broker_name, struct err *err)
{
    struct cluster_info info;
    if (tool_cluster(t, &info, err))
        return NULL;
    const struct broker_data *b = cluster_info_broker(&info, broker_name);
    struct str address = b ? broker_data_select(b) : STR_NULL;
    if (str_is_null(address)) {
        err_set(err, ENOENT, "broker %.*s is not known at %s; clusterList shows what is", STR_ARG(broker_name),
                t->namesrv);
        return NULL;
    }
    return arena_strz(&t->arena, address);
}

static int compare_queues(const void *a, const void *b)
{
    const struct tool_queue *x = a, *y = b;
    int order = str_cmp(x->broker_name, y->broker_name);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

int tool_queues(struct tool *t, struct str topic, int32_t perm, struct tool_queue **out, size_t *count, struct err *err)
{
    struct topic_route route = {0};
    size_t n = 0;
    if (tool_route(t, topic, &route, err))
        return -1;
    for (size_t i = 0; i < route.queue_count; i++)
        n += (size_t)(perm == TOPIC_PERM_READ ? route.queues[i].read_queue_nums : route.queues[i].write_queue_nums);
    struct tool_queue *queues = arena_calloc(&t->arena, (n + 1) * sizeof *queues);
    topic = arena_str(&t->arena, topic);
    if (queues == NULL || str_is_null(topic))
        return err_set(err, ENOMEM, "out of memory");
    *count = 0;
    for (size_t i = 0; i < route.queue_count; i++) {
        const struct queue_data *q = &route.queues[i];
        struct str address = STR_NULL;
        if (!(q->perm & perm))
            continue;
        for (size_t j = 0; j < route.broker_count; j++)
            if (str_eq(route.brokers[j].broker_name, q->broker_name))
                address = perm == TOPIC_PERM_READ ? broker_data_select(&route.brokers[j])
                                                  : broker_data_master(&route.brokers[j]);
        const char *z = str_is_null(address) ? NULL : arena_strz(&t->arena, address);
        int32_t nums = perm == TOPIC_PERM_READ ? q->read_queue_nums : q->write_queue_nums;
        for (int32_t id = 0; z && id < nums; id++)
            queues[(*count)++] = (struct tool_queue){topic, q->broker_name, z, id};
    }
    qsort(queues, *count, sizeof *queues, compare_queues);
    *out = queues;
    return 0;
}

static void begin_queue(struct tool *t, struct rem_frame *f, int32_t code, const struct tool_queue *q)
{
    sync_begin(t->client, f, code);
    rem_frame_str(f, "topic", q->topic);
    rem_frame_i64(f, "queueId", q->id);
}

static int ask_offset(struct tool *t, const struct tool_queue *q, struct rem_frame *f, int64_t *out, struct err *err)
{
    struct rem_command answer;
    if (sync_call_ok(t->client, q->address, f, STR_NULL, &answer, err))
        return -1;
    return str_to_i64(rem_ext(&answer, "offset"), out) ? 0 : unreadable(err, "offset");
}

int tool_offset(struct tool *t, const struct tool_queue *q, int32_t code, int64_t *out, struct err *err)
{
    struct rem_frame f;
    begin_queue(t, &f, code, q);
    return ask_offset(t, q, &f, out, err);
}

int tool_offset_by_time(struct tool *t, const struct tool_queue *q, int64_t time_ms, int64_t *out, struct err *err)
{
    struct rem_frame f;
    begin_queue(t, &f, REQ_SEARCH_OFFSET_BY_TIMESTAMP, q);
    rem_frame_i64(&f, "timestamp", time_ms);
    return ask_offset(t, q, &f, out, err);
}

static void begin_pull(struct tool *t, const struct tool_queue *q, const struct tool_pull *p, struct rem_frame *f)
{
    enum { SUSPEND = 2, SUBSCRIPTION = 4 };
    begin_queue(t, f, REQ_PULL_MESSAGE, q);
    rem_frame_str(f, "consumerGroup", str_from(p->group ? p->group : tools_group));
    rem_frame_i64(f, "queueOffset", p->offset);
    rem_frame_i64(f, "maxMsgNums", p->max_messages);
    rem_frame_i64(f, "sysFlag", SUBSCRIPTION | (p->suspend_ms ? SUSPEND : 0));
    rem_frame_i64(f, "commitOffset", 0);
    rem_frame_i64(f, "suspendTimeoutMillis", p->suspend_ms);
    rem_frame_str(f, "subscription", str_from(p->expression ? p->expression : "*"));
    rem_frame_i64(f, "subVersion", 0);
    rem_frame_str(f, "expressionType", str_from(p->type ? p->type : "TAG"));
    rem_frame_str(f, "bname", q->broker_name);
}

int tool_pull_read(const struct rem_command *answer, const char *address, struct tool_pulled *out, struct err *err)
{
    out->code = answer->code;
    out->body = answer->body;
    if (answer->code != RESP_SUCCESS && (answer->code < RESP_PULL_NOT_FOUND || answer->code > RESP_PULL_OFFSET_MOVED))
        return sync_refused(address, answer, err);
    if (!str_to_i64(rem_ext(answer, "nextBeginOffset"), &out->next_offset) ||
        !str_to_i64(rem_ext(answer, "minOffset"), &out->min_offset) ||
        !str_to_i64(rem_ext(answer, "maxOffset"), &out->max_offset))
        return unreadable(err, "offsets");
    return 0;
}

int tool_pull(struct tool *t, const struct tool_queue *q, const struct tool_pull *p, struct tool_pulled *out,
              struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    begin_pull(t, q, p, &f);
    return sync_call(t->client, q->address, &f, STR_NULL, &answer, err) ? -1
                                                                        : tool_pull_read(&answer, q->address, out, err);
}

int tool_pull_post(struct tool *t, const struct tool_queue *q, const struct tool_pull *p, int32_t *opaque,
                   struct err *err)
{
    struct rem_frame f;
    begin_pull(t, q, p, &f);
    return sync_post(t->client, q->address, &f, STR_NULL, opaque, err);
}

static const char *sent_status(int32_t code)
{
    switch (code) {
    case RESP_SUCCESS:
        return "SEND_OK";
    case RESP_FLUSH_DISK_TIMEOUT:
        return "FLUSH_DISK_TIMEOUT";
    case RESP_FLUSH_SLAVE_TIMEOUT:
        return "FLUSH_SLAVE_TIMEOUT";
    case RESP_SLAVE_NOT_AVAILABLE:
        return "SLAVE_NOT_AVAILABLE";
    default:
        return NULL;
    }
}

int tool_send(struct tool *t, const struct tool_queue *q, const char *group, struct str body, struct str properties,
              struct tool_sent *out, struct err *err)
{
    struct buf all = {0};
    struct rem_frame f;
    struct rem_command answer;
    int64_t number = 0;
    memset(out, 0, sizeof *out);
    msg_unique_id(out->msg_id);
    buf_add_str(&all, properties);
    msg_property_add(&all, STR_LIT(MSG_PROP_UNIQ_KEY), str_make(out->msg_id, 32));
    msg_property_add(&all, STR_LIT(MSG_PROP_WAIT), STR_LIT("true"));
    sync_begin(t->client, &f, REQ_SEND_MESSAGE_V2);
    rem_frame_str(&f, "a", str_from(group));
    rem_frame_str(&f, "b", q->topic);
    rem_frame_str(&f, "c", STR_LIT("TBW102"));
    rem_frame_i64(&f, "d", 4);
    rem_frame_i64(&f, "e", q->id);
    rem_frame_i64(&f, "f", 0);
    rem_frame_i64(&f, "g", clock_wall_ms());
    rem_frame_i64(&f, "h", 0);
    rem_frame_str(&f, "i", buf_str(&all));
    rem_frame_i64(&f, "j", 0);
    rem_frame_bool(&f, "k", false);
    rem_frame_bool(&f, "m", false);
    rem_frame_str(&f, "n", q->broker_name);
    int rc =
        buf_ok(&all) ? sync_call(t->client, q->address, &f, body, &answer, err) : err_set(err, ENOMEM, "out of memory");
    buf_free(&all);
    if (rc)
        return -1;
    out->status = sent_status(answer.code);
    if (out->status == NULL)
        return sync_refused(q->address, &answer, err);
    snprintf(out->offset_id, sizeof out->offset_id, "%.*s", STR_ARG(rem_ext(&answer, "msgId")));
    if (!str_to_i64(rem_ext(&answer, "queueOffset"), &out->queue_offset) ||
        !str_to_i64(rem_ext(&answer, "queueId"), &number))
        return unreadable(err, "queue offset");
    out->queue_id = (int32_t)number;
    return 0;
}
