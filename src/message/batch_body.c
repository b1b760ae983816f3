#include "base/bytes.h"
#include "message/message.h"

enum { ENTRY_FIXED = 22 }; /* total, magic, crc, flag, body length, properties length */

bool msg_batch_next(struct str *rest, struct msg_batch_entry *out, bool *bad)
{
    *bad = false;
    if (rest->len == 0)
        return false;
    *bad = true;
    if (rest->len < ENTRY_FIXED)
        return false;
    size_t size = get_be32(rest->ptr);
    if (size < ENTRY_FIXED || size > rest->len)
        return false;
    size_t body_len = get_be32(rest->ptr + 16);
    if (body_len > size - ENTRY_FIXED)
        return false;
    const char *tail = rest->ptr + 20 + body_len;
    size_t properties_len = get_be16(tail);
    if (properties_len != size - ENTRY_FIXED - body_len || properties_len > MSG_PROPERTIES_MAX)
        return false;
    out->flag = (int32_t)get_be32(rest->ptr + 12);
    out->body = str_make(rest->ptr + 20, body_len);
    out->properties = str_make(tail + 2, properties_len);
    *rest = str_skip(*rest, size);
    *bad = false;
    return true;
}

void msg_batch_add(struct buf *out, int32_t flag, struct str body, struct str properties)
{
    buf_add_be32(out, (uint32_t)(ENTRY_FIXED + body.len + properties.len));
    buf_add_be32(out, 0);
    buf_add_be32(out, 0);
    buf_add_be32(out, (uint32_t)flag);
    buf_add_be32(out, (uint32_t)body.len);
    buf_add_str(out, body);
    buf_add_be16(out, (uint16_t)properties.len);
    buf_add_str(out, properties);
}
