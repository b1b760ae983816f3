/* Consumer offsets and offsets of queues: 14, 15, 29, 30, 31, 32. */
#include "broker/admin/admin_int.h"

#include "broker/waiting.h"
#include "remoting/headers_client.h"
#include <unistd.h>

static void reply_offset(struct rem_request *rq, int64_t offset)
{
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_i64(&f, "offset", offset);
    rem_reply_end(rq, &f, STR_NULL, STR_NULL);
}

/* How much of the log's end is taken to be in memory: Java's estimate, a part of the machine's memory. */
static int64_t memory_span(const struct broker *b)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    return bytes / 100 * b->store_conf->accessMessageInMemoryMaxRatio;
}

/*
 * A queue whose first message ever is still there and near the log's end is young: a new group begins with that message
 * whatever it asked for. Runs on a loop, so cold data counts as far away and is not waited for.
 */
bool broker_queue_young(struct broker *b, struct cq *q)
{
    struct store_stats st;
    struct get_result r;
    if (q == NULL || cq_min(q) > 0 || cq_max(q) <= 0)
        return false;
    store_stats(b->store, &st);
    int64_t span = memory_span(b);
    if (st.log_max - st.log_min <= span)
        return true;
    store_get(b->store, q, 0, 1, 1, NULL, NULL, false, &r);
    int64_t at = -1;
    if (r.status == GET_FOUND && r.n_ranges > 0 && r.ranges[0].map && r.ranges[0].len >= MSG_FIXED_V4)
        at = (int64_t)get_be64(r.ranges[0].map + MSG_POS_PHYSICAL_OFFSET);
    store_release(b->store, &r);
    return at >= 0 && st.log_max - at <= span;
}

static void query_consumer_offset(struct rem_request *rq, const void *header)
{
    const struct query_consumer_offset_req *h = header;
    struct broker *b = broker_of(rq);
    int64_t offset = offset_query(b->offsets, h->consumer_group, h->topic, h->queue_id);
    if (offset >= 0)
        reply_offset(rq, offset);
    else if (broker_waits(b)) /* where a new group begins depends on the ends of the queue */
        waiting_refuse(rq);
    else if (!h->set_zero_if_not_found)
        rem_reply(rq, RESP_QUERY_NOT_FOUND, "Not found, do not set to zero, maybe this group boot first");
    else if (broker_queue_young(b, store_queue(b->store, h->topic, h->queue_id, false)))
        reply_offset(rq, 0);
    else
        rem_reply(rq, RESP_QUERY_NOT_FOUND, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first");
}

static void update_consumer_offset(struct rem_request *rq, const void *header)
{
    const struct update_consumer_offset_req *h = header;
    struct broker *b = broker_of(rq);
    if (group_known(b->groups, h->consumer_group) == NULL) {
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "Group %.*s not exist!", STR_ARG(h->consumer_group));
    } else if (topic_find(b->topics, h->topic) == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "Topic %.*s not exist!", STR_ARG(h->topic));
    } else if (h->queue_id == INT32_MIN) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "QueueId is null, topic is %.*s", STR_ARG(h->topic));
    } else if (h->commit_offset == INT64_MIN) {
        rem_reply(rq, RESP_INVALID_PARAMETER, "Offset is null, topic is %.*s", STR_ARG(h->topic));
    } else if (b->conf->server_side_reset && offset_any_reset(b->offsets) &&
               offset_has_reset(b->offsets, h->consumer_group, h->topic, h->queue_id)) {
        rem_reply(rq, RESP_SUCCESS, "Offset has been previously reset");
    } else {
        offset_commit(b->offsets, h->consumer_group, h->topic, h->queue_id, h->commit_offset);
        rem_reply(rq, RESP_SUCCESS, NULL);
    }
}

static void search_offset(struct rem_request *rq, const void *header)
{
    const struct search_offset_req *h = header;
    struct broker *b = broker_of(rq);
    struct cq *q = store_queue(b->store, h->topic, h->queue_id, false);
    bool upper = str_ieq(h->boundary_type, STR_LIT("UPPER"));
    reply_offset(rq, q ? store_offset_by_time(b->store, q, h->timestamp, upper) : 0);
}

static void max_offset(struct rem_request *rq, const void *header)
{
    const struct topic_queue_req *h = header;
    reply_offset(rq, broker_admin_queue_max(broker_of(rq), h->topic, h->queue_id));
}

static void min_offset(struct rem_request *rq, const void *header)
{
    const struct topic_queue_req *h = header;
    reply_offset(rq, broker_admin_queue_min(broker_of(rq), h->topic, h->queue_id));
}

static void earliest_time(struct rem_request *rq, const void *header)
{
    const struct topic_queue_req *h = header;
    struct broker *b = broker_of(rq);
    int64_t first = broker_admin_queue_min(b, h->topic, h->queue_id);
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_i64(&f, "timestamp", broker_admin_queue_time(b, h->topic, h->queue_id, first));
    rem_reply_end(rq, &f, STR_NULL, STR_NULL);
}

static const struct rem_op rows[] = {
    {REQ_QUERY_CONSUMER_OFFSET, "QUERY_CONSUMER_OFFSET", &query_consumer_offset_req_schema, query_consumer_offset,
     REM_LANE_LOOP, REM_ACT_GET, REM_RES_GROUP},
    {REQ_UPDATE_CONSUMER_OFFSET, "UPDATE_CONSUMER_OFFSET", &update_consumer_offset_req_schema, update_consumer_offset,
     REM_LANE_LOOP, REM_ACT_UPDATE, REM_RES_GROUP},
    {REQ_SEARCH_OFFSET_BY_TIMESTAMP, "SEARCH_OFFSET_BY_TIMESTAMP", &search_offset_req_schema, search_offset,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_TOPIC},
    {REQ_GET_MAX_OFFSET, "GET_MAX_OFFSET", &topic_queue_req_schema, max_offset, REM_LANE_LOOP, REM_ACT_GET,
     REM_RES_TOPIC},
    {REQ_GET_MIN_OFFSET, "GET_MIN_OFFSET", &topic_queue_req_schema, min_offset, REM_LANE_LOOP, REM_ACT_GET,
     REM_RES_TOPIC},
    {REQ_GET_EARLIEST_MSG_STORETIME, "GET_EARLIEST_MSG_STORETIME", &topic_queue_req_schema, earliest_time,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_TOPIC},
};

const struct broker_ops offset_ops = {rows, sizeof rows / sizeof rows[0]};
