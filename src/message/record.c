#include "base/bytes.h"
#include "base/crc.h"
#include "message/message.h"

enum {
    V2_TOPIC_LEN = 127, /* a longer topic takes the two-byte length of v2 */
    V6_EXTRA = 12,
    POS_BORN_HOST = 48,
};

static size_t host_size(const struct msg_host *h)
{
    return h->addr_len == 16 ? 20 : 8;
}

size_t msg_record_size(const struct msg *m)
{
    size_t n = MSG_FIXED_V4 + m->body.len + m->topic.len + msg_properties_own(m->properties).len;
    n += host_size(&m->born_host) - 8;
    n += host_size(&m->store_host) - 8;
    return m->topic.len > V2_TOPIC_LEN ? n + 1 : n;
}

static uint8_t *put_host(uint8_t *at, const struct msg_host *h)
{
    size_t n = h->addr_len == 16 ? 16 : 4;
    memcpy(at, h->addr, n);
    put_be32(at + n, (uint32_t)h->port);
    return at + n + 4;
}

static uint8_t *put_bytes(uint8_t *at, struct str s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

void msg_encode(uint8_t *at, const struct msg *m)
{
    bool v2 = m->topic.len > V2_TOPIC_LEN;
    uint32_t sys_flag = (uint32_t)m->sys_flag & ~(uint32_t)(MSG_FLAG_BORNHOST_V6 | MSG_FLAG_STOREHOST_V6);
    if (m->born_host.addr_len == 16)
        sys_flag |= MSG_FLAG_BORNHOST_V6;
    if (m->store_host.addr_len == 16)
        sys_flag |= MSG_FLAG_STOREHOST_V6;
    put_be32(at, (uint32_t)msg_record_size(m));
    put_be32(at + MSG_POS_MAGIC, v2 ? MSG_MAGIC_V2 : MSG_MAGIC_V1);
    put_be32(at + MSG_POS_BODY_CRC, crc32_message(m->body.ptr, m->body.len));
    put_be32(at + MSG_POS_QUEUE_ID, (uint32_t)m->queue_id);
    put_be32(at + 16, (uint32_t)m->flag);
    put_be64(at + MSG_POS_QUEUE_OFFSET, (uint64_t)m->queue_offset);
    put_be64(at + MSG_POS_PHYSICAL_OFFSET, (uint64_t)m->physical_offset);
    put_be32(at + MSG_POS_SYS_FLAG, sys_flag);
    put_be64(at + MSG_POS_BORN_TIME, (uint64_t)m->born_time);
    uint8_t *p = put_host(at + POS_BORN_HOST, &m->born_host);
    put_be64(p, (uint64_t)m->store_time);
    p = put_host(p + 8, &m->store_host);
    put_be32(p, (uint32_t)m->reconsume_times);
    put_be64(p + 4, (uint64_t)m->prepared_transaction_offset);
    put_be32(p + 12, (uint32_t)m->body.len);
    p = put_bytes(p + 16, m->body);
    if (v2) {
        put_be16(p, (uint16_t)m->topic.len);
        p += 2;
    } else {
        *p++ = (uint8_t)m->topic.len;
    }
    p = put_bytes(p, m->topic);
    struct str properties = msg_properties_own(m->properties);
    put_be16(p, (uint16_t)properties.len);
    put_bytes(p + 2, properties);
}

void msg_patch(uint8_t *record, int64_t queue_offset, int64_t physical_offset, int64_t store_time)
{
    uint32_t sys_flag = get_be32(record + MSG_POS_SYS_FLAG);
    put_be64(record + MSG_POS_QUEUE_OFFSET, (uint64_t)queue_offset);
    put_be64(record + MSG_POS_PHYSICAL_OFFSET, (uint64_t)physical_offset);
    put_be64(record + MSG_POS_STORE_TIME_V4 + (sys_flag & MSG_FLAG_BORNHOST_V6 ? V6_EXTRA : 0), (uint64_t)store_time);
}

/* What is left of a record while it is taken apart. */
struct cursor {
    const uint8_t *at, *end;
};

static bool has(const struct cursor *c, size_t n)
{
    return (size_t)(c->end - c->at) >= n;
}

static bool take_str(struct cursor *c, size_t n, struct str *out)
{
    if (!has(c, n))
        return false;
    *out = str_make(c->at, n);
    c->at += n;
    return true;
}

static bool take_host(struct cursor *c, bool v6, struct msg_host *out)
{
    size_t n = v6 ? 16 : 4;
    if (!has(c, n + 4))
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->addr, c->at, n);
    out->addr_len = (uint8_t)n;
    out->port = (int32_t)get_be32(c->at + n);
    c->at += n + 4;
    return true;
}

/* From the born host to the end; false when a length does not fit. */
static bool take_rest(struct cursor *c, bool v2, struct msg *m)
{
    if (!take_host(c, m->sys_flag & MSG_FLAG_BORNHOST_V6, &m->born_host) || !has(c, 8))
        return false;
    m->store_time = (int64_t)get_be64(c->at);
    c->at += 8;
    if (!take_host(c, m->sys_flag & MSG_FLAG_STOREHOST_V6, &m->store_host) || !has(c, 16))
        return false;
    m->reconsume_times = (int32_t)get_be32(c->at);
    m->prepared_transaction_offset = (int64_t)get_be64(c->at + 4);
    size_t body_len = get_be32(c->at + 12);
    c->at += 16;
    if (!take_str(c, body_len, &m->body) || !has(c, v2 ? 2 : 1))
        return false;
    size_t topic_len = v2 ? get_be16(c->at) : *c->at;
    c->at += v2 ? 2 : 1;
    if (topic_len > (v2 ? INT16_MAX : INT8_MAX) || !take_str(c, topic_len, &m->topic) || !has(c, 2))
        return false;
    size_t properties_len = get_be16(c->at);
    c->at += 2;
    /* The length is a signed 16-bit number on disk and negative means none. */
    if (properties_len > MSG_PROPERTIES_MAX)
        properties_len = 0;
    return take_str(c, properties_len, &m->properties) && c->at == c->end;
}

enum msg_decode_status msg_decode(const uint8_t *at, size_t avail, struct msg_view *out)
{
    if (avail < 8)
        return MSG_INCOMPLETE;
    out->size = get_be32(at);
    out->magic = get_be32(at + MSG_POS_MAGIC);
    if (out->magic == MSG_MAGIC_BLANK)
        return out->size >= 8 && out->size <= INT32_MAX ? MSG_BLANK : MSG_BAD;
    bool v2 = out->magic == MSG_MAGIC_V2;
    if (!v2 && out->magic != MSG_MAGIC_V1)
        return MSG_BAD;
    if (out->size < MSG_FIXED_V4 || out->size > INT32_MAX)
        return MSG_BAD;
    if (out->size > avail)
        return MSG_INCOMPLETE;
    struct msg *m = &out->m;
    out->body_crc = get_be32(at + MSG_POS_BODY_CRC);
    m->queue_id = (int32_t)get_be32(at + MSG_POS_QUEUE_ID);
    m->flag = (int32_t)get_be32(at + 16);
    m->queue_offset = (int64_t)get_be64(at + MSG_POS_QUEUE_OFFSET);
    m->physical_offset = (int64_t)get_be64(at + MSG_POS_PHYSICAL_OFFSET);
    m->sys_flag = (int32_t)get_be32(at + MSG_POS_SYS_FLAG);
    m->born_time = (int64_t)get_be64(at + MSG_POS_BORN_TIME);
    struct cursor c = {at + POS_BORN_HOST, at + out->size};
    return take_rest(&c, v2, m) ? MSG_OK : MSG_BAD;
}

bool msg_crc_ok(const struct msg_view *v)
{
    return crc32_message(v->m.body.ptr, v->m.body.len) == v->body_crc;
}
