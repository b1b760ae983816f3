#include "cli/bench/consume_frame.h"

#include "base/base64.h"
#include "base/json.h"
#include "cli/bench/header.h"

enum { SYS_COMMIT = 1, SYS_SUSPEND = 2, SYS_SUBSCRIPTION = 4, ACK_BYTES = 64 };

void pull_frame_write(struct buf *out, const struct pull_spec *s, int64_t offset, int64_t commit, uint32_t slot)
{
    struct bench_header h;
    size_t at = out->len;
    bench_header_begin(&h, out, REQ_PULL_MESSAGE, s->binary);
    bench_header_str(&h, "bname", str_from(s->broker_name));
    bench_header_i64(&h, "commitOffset", commit < 0 ? 0 : commit);
    bench_header_str(&h, "consumerGroup", str_from(s->group));
    bench_header_str(&h, "expressionType", s->sql ? STR_LIT("SQL92") : STR_LIT("TAG"));
    bench_header_i64(&h, "maxMsgBytes", s->max_bytes);
    bench_header_i64(&h, "maxMsgNums", s->max_messages);
    bench_header_i64(&h, "queueId", s->queue);
    bench_header_i64(&h, "queueOffset", offset);
    bench_header_i64(&h, "subVersion", 0);
    if (s->sql == NULL)
        bench_header_str(&h, "subscription", STR_LIT("*"));
    bench_header_i64(&h, "suspendTimeoutMillis", s->suspend_ms);
    bench_header_i64(&h, "sysFlag",
                     (s->sql ? 0 : SYS_SUBSCRIPTION) | (s->suspend_ms > 0 ? SYS_SUSPEND : 0) |
                         (commit < 0 ? 0 : SYS_COMMIT));
    bench_header_str(&h, "topic", str_from(s->topic));
    bench_header_end(&h, 0, slot);
    bench_frame_finish(out, at);
}

void commit_offset_frame_write(struct buf *out, const struct pull_spec *s, int64_t offset)
{
    struct bench_header h;
    size_t at = out->len;
    bench_header_begin(&h, out, REQ_UPDATE_CONSUMER_OFFSET, s->binary);
    bench_header_str(&h, "bname", str_from(s->broker_name));
    bench_header_i64(&h, "commitOffset", offset);
    bench_header_str(&h, "consumerGroup", str_from(s->group));
    bench_header_i64(&h, "queueId", s->queue);
    bench_header_str(&h, "topic", str_from(s->topic));
    bench_header_end(&h, REM_FLAG_ONEWAY, 0);
    bench_frame_finish(out, at);
}

/* ---- pop -----------------------------------------------------------------------------------------------------------
 */

void pop_frame_write(struct buf *out, const struct pull_spec *s, int64_t invisible_ms, int64_t born_ms, uint32_t slot)
{
    struct bench_header h;
    size_t at = out->len;
    bench_header_begin(&h, out, REQ_POP_MESSAGE, s->binary);
    bench_header_str(&h, "bname", str_from(s->broker_name));
    bench_header_i64(&h, "bornTime", born_ms);
    bench_header_str(&h, "consumerGroup", str_from(s->group));
    bench_header_str(&h, "exp", STR_LIT("*"));
    bench_header_str(&h, "expType", STR_LIT("TAG"));
    bench_header_i64(&h, "initMode", 0); /* a new group begins at the first message */
    bench_header_i64(&h, "invisibleTime", invisible_ms);
    bench_header_i64(&h, "maxMsgNums", s->max_messages);
    bench_header_str(&h, "order", STR_LIT("false"));
    bench_header_i64(&h, "pollTime", s->suspend_ms);
    bench_header_i64(&h, "queueId", s->queue);
    bench_header_str(&h, "topic", str_from(s->topic));
    bench_header_end(&h, 0, slot);
    bench_frame_finish(out, at);
}

bool pop_answer_read(const struct bench_response *r, struct str broker_name, struct pop_answer *out)
{
    *out = (struct pop_answer){
        .starts = bench_response_view(r, "startOffsetInfo"),
        .offsets = bench_response_view(r, "msgOffsetInfo"),
        .handle = {.pop_time = bench_response_i64(r, "popTime", -1),
                   .invisible_ms = bench_response_i64(r, "invisibleTime", -1),
                   .revive_queue = (int32_t)bench_response_i64(r, "reviveQid", -1),
                   .broker_name = broker_name},
    };
    return out->starts.len && out->offsets.len && out->handle.pop_time >= 0 && out->handle.revive_queue >= 0;
}

/* "KIND QUEUE REST" */
static bool read_part(struct str text, int32_t *kind, int32_t *queue, struct str *rest)
{
    struct str a, b;
    *rest = text;
    return str_split(rest, ' ', &a) && str_split(rest, ' ', &b) && str_to_i32(a, kind) && str_to_i32(b, queue) &&
           *kind >= POP_NORMAL && *kind <= POP_RETRY_V2;
}

/* The start of that queue, wherever it stands. */
static bool find_start(struct str starts, int32_t kind, int32_t queue, int64_t *out)
{
    struct str one, rest;
    int32_t k, q;
    while (str_split(&starts, ';', &one))
        if (read_part(one, &k, &q, &rest) && k == kind && q == queue)
            return str_to_i64(rest, out);
    return false;
}

bool pop_answer_next(struct pop_answer *a, struct pop_answer_part *out, bool *bad)
{
    struct str one;
    int32_t kind;
    if (a->offsets.len == 0 || !str_split(&a->offsets, ';', &one))
        return false;
    *bad = !read_part(one, &kind, &out->queue, &out->offsets) ||
           !find_start(a->starts, kind, out->queue, &out->start_offset);
    out->kind = *bad ? POP_NORMAL : (enum pop_kind)kind;
    return !*bad;
}

void ack_frame_write(struct buf *out, const struct pull_spec *s, const struct pop_answer *a,
                     const struct pop_answer_part *part, int64_t offset, uint32_t slot)
{
    struct bench_header h;
    struct buf text = {0}, topic = {0};
    struct pop_handle handle = a->handle;
    size_t at = out->len;
    handle.start_offset = part->start_offset;
    pop_handle_write(&text, &handle, part->kind, part->queue, offset);
    if (part->kind == POP_NORMAL)
        buf_add_str(&topic, str_from(s->topic));
    else
        pop_retry_topic(&topic, str_from(s->topic), str_from(s->group), part->kind);
    bench_header_begin(&h, out, REQ_ACK_MESSAGE, s->binary);
    bench_header_str(&h, "bname", str_from(s->broker_name));
    bench_header_str(&h, "consumerGroup", str_from(s->group));
    bench_header_str(&h, "extraInfo", buf_str(&text));
    bench_header_i64(&h, "offset", offset);
    bench_header_i64(&h, "queueId", part->queue);
    bench_header_str(&h, "topic", buf_str(&topic));
    bench_header_end(&h, 0, slot);
    bench_frame_finish(out, at);
    buf_free(&text);
    buf_free(&topic);
}

/* The offsets of a part as bits of their distance from its start, the lowest first. */
static void write_bits(struct jw *w, const struct pop_answer_part *part)
{
    struct buf text = {0};
    struct str rest = part->offsets, one;
    uint8_t bits[ACK_BYTES] = {0};
    size_t n = 0;
    int64_t offset;
    while (rest.len && str_split(&rest, ',', &one)) {
        if (!str_to_i64(one, &offset) || offset < part->start_offset || offset - part->start_offset >= ACK_BYTES * 8)
            continue;
        size_t bit = (size_t)(offset - part->start_offset);
        bits[bit / 8] |= (uint8_t)(1 << bit % 8);
        n = bit / 8 + 1 > n ? bit / 8 + 1 : n;
    }
    base64_add(&text, str_make(bits, n));
    jw_kstr(w, "b", buf_str(&text));
    buf_free(&text);
}

void batch_ack_frame_write(struct buf *out, const struct pull_spec *s, const struct pop_answer *answer, uint32_t slot)
{
    struct bench_header h;
    struct pop_answer left = *answer;
    struct pop_answer_part part;
    struct jw w;
    bool bad = false;
    size_t at = out->len;
    bench_header_begin(&h, out, REQ_BATCH_ACK_MESSAGE, s->binary);
    bench_header_end(&h, 0, slot);
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_kstr(&w, "brokerName", str_from(s->broker_name));
    jw_karray(&w, "acks");
    while (pop_answer_next(&left, &part, &bad)) {
        const char kind = (char)('0' + part.kind);
        jw_begin_object(&w);
        jw_kstr(&w, "c", str_from(s->group));
        jw_kstr(&w, "t", str_from(s->topic));
        jw_kstr(&w, "r", str_make(&kind, 1));
        jw_ki64(&w, "so", part.start_offset);
        jw_ki64(&w, "q", part.queue);
        jw_ki64(&w, "rq", left.handle.revive_queue);
        jw_ki64(&w, "pt", left.handle.pop_time);
        jw_ki64(&w, "it", left.handle.invisible_ms);
        write_bits(&w, &part);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    bench_frame_finish(out, at);
}

/* ---- locks ---------------------------------------------------------------------------------------------------------
 */

void lock_frame_write(struct buf *out, const struct pull_spec *s, const char *client_id, const int *ids, size_t n,
                      uint32_t slot)
{
    struct bench_header h;
    struct jw w;
    size_t at = out->len;
    bench_header_begin(&h, out, REQ_LOCK_BATCH_MQ, s->binary);
    bench_header_end(&h, 0, slot);
    jw_init(&w, out);
    jw_begin_object(&w);
    jw_kstr(&w, "clientId", str_from(client_id));
    jw_kstr(&w, "consumerGroup", str_from(s->group));
    jw_karray(&w, "mqSet");
    for (size_t i = 0; i < n; i++) {
        jw_begin_object(&w);
        jw_kstr(&w, "brokerName", str_from(s->broker_name));
        jw_ki64(&w, "queueId", ids[i]);
        jw_kstr(&w, "topic", str_from(s->topic));
        jw_end_object(&w);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    bench_frame_finish(out, at);
}
