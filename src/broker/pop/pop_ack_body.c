#include "broker/pop/pop_ack_body.h"

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(struct arena *arena, struct str text, struct str *out)
{
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    uint8_t *at = arena_alloc(arena, text.len + 1);
    uint32_t word = 0;
    unsigned bits = 0;
    size_t n = 0;
    for (size_t i = 0; at && i < text.len; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0)
            return false;
        word = word << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            at[n++] = (uint8_t)(word >> bits);
        }
    }
    *out = str_make(at, n);
    return at != NULL;
}

/* Each member has a short name and a long one. */
static struct str text(const struct json *j, const char *name, const char *long_name)
{
    struct str s = json_str(j, name);
    return str_is_null(s) ? json_str(j, long_name) : s;
}

static int64_t number(const struct json *j, const char *name, const char *long_name)
{
    return json_i64(j, json_get(j, name) ? name : long_name, 0);
}

bool pop_batch_ack_read(struct arena *arena, const struct json *entry, struct str broker_name,
                        struct pop_batch_ack *out)
{
    struct str retry = text(entry, "r", "retry"), topic = text(entry, "t", "topic");
    int64_t queue = number(entry, "q", "queueId"), revive = number(entry, "rq", "reviveQueueId");
    *out = (struct pop_batch_ack){
        .key =
            {
                .topic = topic,
                .group = text(entry, "c", "consumerGroup"),
                .broker_name = broker_name,
                .queue_id = queue >= 0 && queue <= INT32_MAX ? (int32_t)queue : -1,
                .start_offset = number(entry, "so", "startOffset"),
                .pop_time = number(entry, "pt", "popTime"),
            },
        .revive_queue = revive >= 0 && revive <= INT32_MAX ? (int32_t)revive : -1,
    };
    if (topic.len == 0 || out->key.group.len == 0 || retry.len != 1 || retry.ptr[0] < '0' || retry.ptr[0] > '2')
        return false;
    if (retry.ptr[0] != '0') {
        struct buf name = {0};
        pop_retry_topic(&name, topic, out->key.group, (enum pop_kind)(retry.ptr[0] - '0'));
        out->key.topic = buf_ok(&name) ? arena_str(arena, buf_str(&name)) : STR_NULL;
        buf_free(&name);
    }
    return out->key.topic.len && decode_base64(arena, text(entry, "b", "bitSet"), &out->bits);
}
