/*
 * Requests 400 to 402: a client that leaves it to the broker asks which queues it gets and how it is to take their
 * messages. The queues of other brokers come from the name server. On worker threads, since those may wait.
 */
#include "broker/broker_int.h"
#include "broker/pop/assignment_rules.h"
#include "broker/pop/request_mode.h"
#include "remoting/body/route.h"
#include "remoting/sync_client.h"

enum { NAMESRV_MS = 3000 };

/* ---- queues of a topic ---- */

static struct assigned_queue *add_queues(struct arena *a, struct assigned_queue *all, size_t *n, struct str broker_name,
                                         int32_t count)
{
    struct assigned_queue *more = count > 0 ? arena_alloc(a, (*n + (size_t)count) * sizeof *more) : NULL;
    if (more == NULL)
        return all;
    if (*n)
        memcpy(more, all, *n * sizeof *more);
    for (int32_t i = 0; i < count; i++)
        more[(*n)++] = (struct assigned_queue){broker_name, i};
    return more;
}

static struct assigned_queue *from_route(struct arena *a, const char *namesrv, struct str topic, size_t *n)
{
    struct sync_client *c = sync_client_new(NAMESRV_MS);
    struct assigned_queue *all = NULL;
    struct rem_command answer;
    struct rem_frame f;
    struct topic_route route;
    if (c == NULL)
        return NULL;
    sync_begin(c, &f, REQ_GET_ROUTEINFO_BY_TOPIC);
    rem_frame_str(&f, "topic", topic);
    rem_frame_bool(&f, "acceptStandardJsonOnly", true);
    struct err err;
    if (sync_call_any(c, namesrv, &f, STR_NULL, &answer, &err) == 0 && answer.code == RESP_SUCCESS) {
        struct str body = arena_str(a, answer.body);
        const struct json *j = body.len ? json_parse(a, body, NULL) : NULL;
        if (j && topic_route_read(a, j, &route))
            for (size_t i = 0; i < route.queue_count; i++)
                if (route.queues[i].perm & PERM_READ && route.queues[i].read_queue_nums <= TOPIC_MAX_QUEUES)
                    all = add_queues(a, all, n, route.queues[i].broker_name, route.queues[i].read_queue_nums);
    }
    sync_client_free(c);
    return all;
}

/* NULL: the topic is not known. Without a name server that knows it, this broker's queues. */
static struct assigned_queue *queues_of(struct broker *b, struct arena *a, struct str topic, size_t *n)
{
    struct assigned_queue *all = NULL;
    *n = 0;
    if (b->conf->namesrv_addr && b->conf->namesrv_addr[0])
        all = from_route(a, b->conf->namesrv_addr, topic, n);
    struct topic *t = all ? NULL : topic_find(b->topics, topic);
    if (t && atomic_load(&t->perm) & PERM_READ)
        all = add_queues(a, all, n, str_from(b->conf->broker_name), atomic_load(&t->read_queues));
    assigned_queues_sort(all, *n);
    return all;
}

/* ---- 400 ---- */

struct question {
    struct str topic, group, client_id, strategy;
    bool broadcast;
    enum request_mode mode;
    int32_t pop_share;
};

/* Index of the client among those of its group, by name; *count = 0: the group has none. */
static size_t position(struct broker *b, struct arena *a, const struct question *q, size_t *count)
{
    struct str *ids;
    size_t me = 0;
    bool found = false;
    consumer_client_ids(b->consumers, q->group, a, &ids, count);
    for (size_t i = 0; i < *count; i++) {
        me += str_cmp(ids[i], q->client_id) < 0;
        found |= str_eq(ids[i], q->client_id);
    }
    return found ? me : *count;
}

/* NULL: no answer, and the client keeps what it has. */
static struct assigned_queue *assign(struct broker *b, struct arena *a, const struct question *q, size_t *n)
{
    size_t total, clients;
    struct assigned_queue *all = queues_of(b, a, q->topic, &total);
    *n = total;
    if (all == NULL || q->broadcast || !b->conf->server_load_balancer)
        return all;
    enum assignment_strategy strategy = assignment_strategy_of(q->strategy);
    size_t me = position(b, a, q, &clients);
    struct assigned_queue *out =
        clients && strategy != ASSIGN_UNKNOWN ? arena_alloc(a, (total + 1) * sizeof *out) : NULL;
    if (out == NULL)
        return NULL;
    *n = q->mode == REQUEST_MODE_POP ? assign_pop(strategy, all, total, me, clients, q->pop_share, out)
                                     : assign_pull(strategy, all, total, me, clients, out);
    return out;
}

static void write_assignments(struct jw *w, const struct question *q, const struct assigned_queue *queues, size_t n)
{
    jw_begin_object(w);
    if (queues) {
        jw_karray(w, "messageQueueAssignments");
        for (size_t i = 0; i < n; i++) {
            jw_begin_object(w);
            jw_kobject(w, "messageQueue");
            jw_kstr(w, "brokerName", queues[i].broker_name);
            jw_ki64(w, "queueId", queues[i].queue_id);
            jw_kstr(w, "topic", q->topic);
            jw_end_object(w);
            jw_kstr(w, "mode", str_from(request_mode_name(q->mode)));
            jw_end_object(w);
        }
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void handle_query(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct arena *a = rem_arena(rq);
    const struct json *j = json_parse(a, rem_body(rq), NULL);
    struct question q = {
        .topic = json_str(j, "topic"),
        .group = json_str(j, "consumerGroup"),
        .client_id = json_str(j, "clientId"),
        .strategy = json_str(j, "strategyName"),
        .broadcast = str_eqz(json_str(j, "messageModel"), "BROADCASTING"),
    };
    if (q.topic.len == 0 || q.group.len == 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "the body does not say of which topic and group");
        return;
    }
    if (!request_mode_get(b->request_modes, q.topic, q.group, &q.mode, &q.pop_share)) {
        q.mode = str_starts(q.topic, STR_LIT("%RETRY%")) ? REQUEST_MODE_PULL
                                                         : (enum request_mode)b->conf->default_request_mode;
        q.pop_share = b->conf->default_pop_share_queue_num;
    }
    size_t n;
    struct assigned_queue *queues = assign(b, a, &q, &n);
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    write_assignments(&w, &q, queues, n);
    rem_reply_body(rq, RESP_SUCCESS, buf_str(&body));
    buf_free(&body);
}

/* ---- 401, 402 ---- */

static void handle_set(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    const struct json *j = json_parse(rem_arena(rq), rem_body(rq), NULL);
    struct str topic = json_str(j, "topic"), group = json_str(j, "consumerGroup");
    struct str mode = json_str(j, "mode");
    int64_t share = json_i64(j, "popShareQueueNum", 0);
    struct err err;
    if (str_starts(topic, STR_LIT("%RETRY%")))
        rem_reply(rq, RESP_NO_PERMISSION, "retry topic is not allowed to set mode");
    else if (topic_find(b->topics, topic) == NULL)
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist", STR_ARG(topic));
    else if (group_find(b->groups, group) == NULL)
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group does not exist");
    else if (share < INT32_MIN || share > INT32_MAX || (mode.len && !str_eqz(mode, "POP") && !str_eqz(mode, "PULL")))
        rem_reply(rq, RESP_SYSTEM_ERROR, "a mode is PULL or POP, not %.*s", STR_ARG(mode));
    else if (request_mode_set(b->request_modes, topic, group,
                              str_eqz(mode, "POP") ? REQUEST_MODE_POP : REQUEST_MODE_PULL, (int32_t)share, &err) < 0)
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else
        rem_reply(rq, RESP_SUCCESS, NULL);
}

static void handle_all(struct rem_request *rq, const void *header)
{
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    request_modes_write(broker_of(rq)->request_modes, &w);
    rem_reply_body(rq, RESP_SUCCESS, buf_str(&body));
    buf_free(&body);
}

static const struct rem_op rows[] = {
    {REQ_QUERY_ASSIGNMENT, "QUERY_ASSIGNMENT", NULL, handle_query, REM_LANE_WORKER, REM_ACT_GET, REM_RES_NONE},
    {REQ_SET_MESSAGE_REQUEST_MODE, "SET_MESSAGE_REQUEST_MODE", NULL, handle_set, REM_LANE_WORKER, REM_ACT_UPDATE,
     REM_RES_NONE},
    {REQ_GET_ALL_MESSAGE_REQUEST_MODE, "GET_ALL_MESSAGE_REQUEST_MODE", NULL, handle_all, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_NONE},
};
const struct broker_ops assignment_ops = {rows, sizeof rows / sizeof rows[0]};
