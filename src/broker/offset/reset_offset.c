/* Offsets changed by an operator: 222 reset, 314 clone; 308 compares those of groups. */
#include "broker/admin/admin_int.h"

#include "broker/client/client_call.h"
#include "remoting/headers_admin.h"

enum { CLIENT_KNOWS_RESET = 27 /* V3_0_7_SNAPSHOT */ };

struct target {
    int32_t queue_id;
    int64_t offset;
};

static int64_t offset_at(struct broker *b, struct str topic, int32_t queue_id, int64_t time)
{
    struct cq *q = store_queue(b->store, topic, queue_id, false);
    if (q == NULL)
        return 0;
    int64_t offset = time < 0 ? cq_max(q) : store_offset_by_time(b->store, q, time, false);
    return offset > 0 ? offset : 0;
}

static void write_targets(struct broker *b, struct jw *w, struct str topic, const struct target *t, size_t n)
{
    jw_begin_object(w);
    jw_kobject(w, "offsetTable");
    for (size_t i = 0; i < n; i++) {
        broker_admin_write_queue_key(w, b, topic, t[i].queue_id);
        jw_i64(w, t[i].offset);
    }
    jw_end_object(w);
    jw_end_object(w);
}

/* C++ clients read a list where others read a map. */
static void write_targets_for_cpp(struct broker *b, struct jw *w, struct str topic, const struct target *t, size_t n)
{
    jw_begin_object(w);
    jw_karray(w, "offsetTable");
    for (size_t i = 0; i < n; i++) {
        jw_begin_object(w);
        jw_kstr(w, "brokerName", str_from(b->conf->broker_name));
        jw_ki64(w, "offset", t[i].offset);
        jw_ki64(w, "queueId", t[i].queue_id);
        jw_kstr(w, "topic", topic);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_end_object(w);
}

/* ---- kept here until the next pull ---- */

/* One queue at one offset, one queue at a time, or all queues at a time. False: refused, answered. */
static bool choose_targets(struct rem_request *rq, const struct reset_offset_req *h, struct target *t, size_t n)
{
    struct broker *b = broker_of(rq);
    if (h->queue_id < 0) {
        for (size_t i = 0; i < n; i++)
            t[i] = (struct target){(int32_t)i, offset_at(b, h->topic, (int32_t)i, h->timestamp)};
    } else if (h->offset != -1) {
        int64_t min = broker_admin_queue_min(b, h->topic, h->queue_id),
                max = broker_admin_queue_max(b, h->topic, h->queue_id);
        if (h->offset < min || h->offset > max + 1) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "Target offset %lld not in consume queue range [%lld-%lld]",
                      (long long)h->offset, (long long)min, (long long)max);
            return false;
        }
        t[0] = (struct target){h->queue_id, h->offset};
    } else {
        t[0] = (struct target){h->queue_id, offset_at(b, h->topic, h->queue_id, h->timestamp)};
    }
    return true;
}

static void reset_here(struct rem_request *rq, const struct reset_offset_req *h, const struct topic *topic)
{
    struct broker *b = broker_of(rq);
    size_t n = h->queue_id >= 0 ? 1 : (size_t)topic->read_queues;
    struct target *t = arena_alloc(rem_arena(rq), (n + 1) * sizeof *t);
    struct buf body = {0};
    struct jw w;
    if (n == 0 || t == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "No queues to reset.");
        return;
    }
    if (!choose_targets(rq, h, t, n))
        return;
    for (size_t i = 0; i < n; i++)
        offset_reset(b->offsets, h->group, h->topic, t[i].queue_id, t[i].offset);
    jw_init(&w, &body);
    write_targets(b, &w, h->topic, t, n);
    broker_admin_reply_json(rq, &body);
}

/* ---- told to the clients (useServerSideResetOffset=false) ---- */

/* Forward only when forced, as Java: otherwise a queue keeps an offset that lies before the wanted one. False:
 * answered. */
static bool choose_for_clients(struct rem_request *rq, const struct reset_offset_req *h, struct target *t, size_t n)
{
    struct broker *b = broker_of(rq);
    for (size_t i = 0; i < n; i++) {
        int64_t now = offset_query(b->offsets, h->group, h->topic, (int32_t)i);
        if (now < 0) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "THe consumer group <%.*s> not exist", STR_ARG(h->group));
            return false;
        }
        int64_t wanted = offset_at(b, h->topic, (int32_t)i, h->timestamp);
        t[i] = (struct target){(int32_t)i, h->is_force || wanted < now ? wanted : now};
    }
    return true;
}

static void tell_clients(struct broker *b, const struct reset_offset_req *h, const struct consumer_client *clients,
                         size_t n, struct str body)
{
    struct reset_offset_req told = *h;
    told.queue_id = -1;
    for (size_t i = 0; i < n; i++) {
        struct client_call *c = client_call_new(REQ_RESET_CONSUMER_CLIENT_OFFSET);
        if (c == NULL)
            return;
        client_call_header(c, &reset_offset_req_schema, &told);
        client_call_body(c, body);
        client_call_send(c, clients[i].conn, 0, NULL, NULL);
    }
}

static void reset_in_clients(struct rem_request *rq, const struct reset_offset_req *h, const struct topic *topic)
{
    struct broker *b = broker_of(rq);
    size_t n = (size_t)topic->write_queues, n_clients;
    struct target *t = arena_alloc(rem_arena(rq), (n + 1) * sizeof *t);
    struct consumer_client *clients;
    struct buf told = {0}, body = {0};
    struct jw w;
    if (t == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for %zu queues", n);
        return;
    }
    if (!choose_for_clients(rq, h, t, n))
        return;
    consumer_clients(b->consumers, h->group, rem_arena(rq), &clients, &n_clients);
    if (n_clients == 0) {
        rem_reply(rq, RESP_CONSUMER_NOT_ONLINE,
                  "Consumer not online, so can not reset offset, Group: %.*s Topic: %.*s Timestamp: %lld",
                  STR_ARG(h->group), STR_ARG(h->topic), (long long)h->timestamp);
        return;
    }
    for (size_t i = 0; i < n_clients; i++) {
        if (clients[i].version < CLIENT_KNOWS_RESET) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "the client does not support this feature. version=%d",
                      clients[i].version);
            return;
        }
    }
    jw_init(&w, &told);
    if (rem_cmd(rq)->language == REM_LANG_CPP)
        write_targets_for_cpp(b, &w, h->topic, t, n);
    else
        write_targets(b, &w, h->topic, t, n);
    tell_clients(b, h, clients, n_clients, buf_str(&told));
    buf_free(&told);
    jw_init(&w, &body);
    write_targets(b, &w, h->topic, t, n);
    broker_admin_reply_json(rq, &body);
}

void broker_admin_reset_offset(struct rem_request *rq, const void *header)
{
    const struct reset_offset_req *h = header;
    struct broker *b = broker_of(rq);
    const struct topic *topic = topic_find(b->topics, h->topic);
    if (topic == NULL)
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "Topic %.*s does not exist", STR_ARG(h->topic));
    else if (!b->conf->server_side_reset)
        reset_in_clients(rq, h, topic);
    else if (group_known(b->groups, h->group) == NULL)
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "Group %.*s does not exist", STR_ARG(h->group));
    else
        reset_here(rq, h, topic);
}

/* ---- 308 ---- */

struct corrections {
    struct broker *b;
    struct str topic;
    int64_t *offsets; /* -1: none */
    int32_t queues;
};

static void take_least(void *arg, int32_t queue_id, int64_t offset)
{
    struct corrections *c = arg;
    if (queue_id < 0 || queue_id >= c->queues || offset < broker_admin_queue_min(c->b, c->topic, queue_id))
        return;
    if (c->offsets[queue_id] < 0 || offset < c->offsets[queue_id])
        c->offsets[queue_id] = offset;
}

/* A queue in which the compared group lags is marked by the largest number. */
static void compare(void *arg, int32_t queue_id, int64_t offset)
{
    struct corrections *c = arg;
    if (queue_id >= 0 && queue_id < c->queues && c->offsets[queue_id] > offset)
        c->offsets[queue_id] = INT64_MAX;
}

static bool is_filtered(struct str list, struct str group)
{
    struct str piece;
    while (!str_is_null(list) && str_split(&list, ',', &piece))
        if (str_eq(piece, group))
            return true;
    return false;
}

/*
 * The least offset of all groups in each queue. Java deletes the offsets of the groups to be left out while it answers
 * this question; here they are only left out.
 */
void broker_admin_correction_offset(struct rem_request *rq, const void *header)
{
    const struct correction_offset_req *h = header;
    struct broker *b = broker_of(rq);
    const struct topic *t = topic_find(b->topics, h->topic);
    struct corrections c = {b, h->topic, NULL, 0};
    struct buf body = {0};
    struct jw w;
    struct str *groups;
    size_t n;
    if (t)
        c.queues = t->read_queues > t->write_queues ? t->read_queues : t->write_queues;
    c.offsets = arena_alloc(rem_arena(rq), ((size_t)c.queues + 1) * sizeof *c.offsets);
    for (int32_t i = 0; c.offsets && i < c.queues; i++)
        c.offsets[i] = -1;
    offset_groups_of(b->offsets, h->topic, rem_arena(rq), &groups, &n);
    for (size_t i = 0; c.offsets && i < n; i++)
        if (!is_filtered(h->filter_groups, groups[i]))
            offset_each(b->offsets, groups[i], h->topic, take_least, &c);
    if (c.offsets)
        offset_each(b->offsets, h->compare_group, h->topic, compare, &c);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "correctionOffsets");
    for (int32_t i = 0; c.offsets && i < c.queues; i++) {
        if (c.offsets[i] < 0)
            continue;
        jw_key_i64(&w, i, true);
        jw_i64(&w, c.offsets[i]);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/* ---- 314 ---- */

void broker_admin_clone_offset(struct rem_request *rq, const void *header)
{
    const struct clone_offset_req *h = header;
    struct broker *b = broker_of(rq);
    struct str one = h->topic, *topics = &one;
    size_t n = 1;
    if (str_blank(h->topic))
        offset_topics_of(b->offsets, h->src_group, rem_arena(rq), &topics, &n);
    for (size_t i = 0; i < n; i++)
        if (topic_find(b->topics, topics[i]) && (h->offline || broker_admin_group_consumes(b, h->src_group, topics[i])))
            offset_clone(b->offsets, h->src_group, h->dest_group, topics[i]);
    rem_reply(rq, RESP_SUCCESS, NULL);
}
