#include "broker/pop/pop_info.h"

#define RETRY "%RETRY%"

bool pop_handle_parse(struct str text, struct pop_handle *out)
{
    struct str field[6];
    size_t n = 0;
    while (n < 6 && str_split(&text, ' ', &field[n]))
        n++;
    out->broker_name = n == 6 ? field[5] : STR_NULL;
    return n == 6 && str_to_i64(field[0], &out->start_offset) && str_to_i64(field[1], &out->pop_time) &&
           str_to_i64(field[2], &out->invisible_ms) && str_to_i32(field[3], &out->revive_queue);
}

static void add_number(struct buf *out, int64_t v, char after)
{
    buf_add_i64(out, v);
    if (after)
        buf_add_byte(out, (uint8_t)after);
}

void pop_handle_write(struct buf *out, const struct pop_handle *h, enum pop_kind kind, int32_t queue_id, int64_t offset)
{
    add_number(out, h->start_offset, ' ');
    add_number(out, h->pop_time, ' ');
    add_number(out, h->invisible_ms, ' ');
    add_number(out, h->revive_queue, ' ');
    add_number(out, kind, ' ');
    buf_add_str(out, h->broker_name);
    buf_add_byte(out, ' ');
    add_number(out, queue_id, ' ');
    add_number(out, offset, 0);
}

static void begin(struct buf *out, enum pop_kind kind)
{
    if (out->len)
        buf_add_byte(out, ';');
    add_number(out, kind, ' ');
}

void pop_info_start(struct buf *out, enum pop_kind kind, int32_t queue_id, int64_t start_offset)
{
    begin(out, kind);
    add_number(out, queue_id, ' ');
    add_number(out, start_offset, 0);
}

void pop_info_offsets(struct buf *out, enum pop_kind kind, int32_t queue_id, const int64_t *offsets, size_t n)
{
    begin(out, kind);
    add_number(out, queue_id, ' ');
    for (size_t i = 0; i < n; i++)
        add_number(out, offsets[i], i + 1 < n ? ',' : 0);
}

void pop_info_queue_count(struct buf *out, enum pop_kind kind, int32_t queue_id, int32_t count)
{
    begin(out, kind);
    add_number(out, queue_id, ' ');
    add_number(out, count, 0);
}

void pop_info_offset_count(struct buf *out, enum pop_kind kind, int32_t queue_id, int64_t offset, int32_t count)
{
    begin(out, kind);
    buf_add_lit(out, "qo");
    add_number(out, queue_id, '%');
    add_number(out, offset, ' ');
    add_number(out, count, 0);
}

enum pop_kind pop_kind_of(struct str topic)
{
    if (!str_starts(topic, STR_LIT(RETRY)))
        return POP_NORMAL;
    return memchr(topic.ptr, '+', topic.len) ? POP_RETRY_V2 : POP_RETRY_V1;
}

void pop_retry_topic(struct buf *out, struct str topic, struct str group, enum pop_kind kind)
{
    buf_add_lit(out, RETRY);
    buf_add_str(out, group);
    buf_add_byte(out, kind == POP_RETRY_V2 ? '+' : '_');
    buf_add_str(out, topic);
}

struct str pop_normal_topic(struct str topic, struct str group)
{
    if (!str_starts(topic, STR_LIT(RETRY)))
        return topic;
    struct str rest = str_skip(topic, sizeof RETRY - 1);
    if (!str_starts(rest, group) || rest.len == group.len)
        return topic;
    rest = str_skip(rest, group.len);
    return rest.ptr[0] == '+' || rest.ptr[0] == '_' ? str_skip(rest, 1) : topic;
}
