/* Looking up messages: 12 by key, 33 by physical offset. Both read the disk. */
#include "broker/broker_int.h"

#include "remoting/headers_client.h"

enum { QUERY_MAX = 4096 };

static int32_t wanted(const struct broker *b, const struct rem_command *c, const struct query_message_req *h)
{
    int32_t max = h->max_num;
    if (str_eqz(rem_ext(c, "_UNIQUE_KEY_QUERY"), "true"))
        max = b->store_conf->defaultQueryMaxNum;
    if (max > b->store_conf->maxMsgsNumBatch)
        max = b->store_conf->maxMsgsNumBatch;
    return max > QUERY_MAX ? QUERY_MAX : max;
}

/* Appends the records found, oldest first. */
static void collect(struct broker *b, const int64_t *offsets, size_t n, struct buf *out)
{
    for (size_t i = n; i-- > 0;) {
        struct msg_view view;
        size_t before = out->len;
        if (!store_read(b->store, offsets[i], out, &view))
            out->len = before;
    }
}

static void query_message(struct rem_request *rq, const void *header)
{
    const struct query_message_req *h = header;
    struct broker *b = broker_of(rq);
    int32_t max = wanted(b, rem_cmd(rq), h);
    int64_t *offsets = max > 0 ? arena_alloc(rem_arena(rq), (size_t)max * sizeof *offsets) : NULL;
    int64_t last_time = 0, last_offset = 0;
    struct buf found = {0};
    if (offsets) {
        size_t n = store_query(b->store, h->topic, h->key, h->begin_timestamp, h->end_timestamp, offsets, (size_t)max,
                               &last_time, &last_offset);
        collect(b, offsets, n, &found);
    }
    struct rem_frame f;
    bool any = found.len > 0 && buf_ok(&found);
    rem_reply_begin(rq, &f, any ? RESP_SUCCESS : RESP_QUERY_NOT_FOUND);
    rem_frame_i64(&f, "indexLastUpdatePhyoffset", last_offset);
    rem_frame_i64(&f, "indexLastUpdateTimestamp", last_time);
    rem_reply_end(rq, &f, any ? STR_NULL : STR_LIT("can not find message, maybe time range not correct"),
                  any ? buf_str(&found) : STR_NULL);
    buf_free(&found);
}

static void view_message(struct rem_request *rq, const void *header)
{
    const struct view_message_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf record = {0};
    struct msg_view view;
    if (store_read(b->store, h->offset, &record, &view) && buf_ok(&record))
        rem_reply_body(rq, RESP_SUCCESS, buf_str(&record));
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "can not find message by the offset, %lld", (long long)h->offset);
    buf_free(&record);
}

static const struct rem_op rows[] = {
    {REQ_QUERY_MESSAGE, "QUERY_MESSAGE", &query_message_req_schema, query_message, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_TOPIC},
    {REQ_VIEW_MESSAGE_BY_ID, "VIEW_MESSAGE_BY_ID", &view_message_req_schema, view_message, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_TOPIC},
};

const struct broker_ops query_ops = {rows, sizeof rows / sizeof rows[0]};
