/* The binary header ("ROCKETMQ" serialisation): fixed fields, remark, then key and value pairs. */
#include "remoting/command.h"

static bool bad(const char **why, const char *text)
{
    *why = text;
    return false;
}

bool rem_decode_binary_header(const uint8_t *p, size_t len, struct rem_command *out, const char **why)
{
    const uint8_t *end = p + len;
    if (len < 21)
        return bad(why, "binary header shorter than its fixed fields");
    out->code = (int16_t)get_be16(p);
    out->language = p[2];
    out->version = (int16_t)get_be16(p + 3);
    out->opaque = (int32_t)get_be32(p + 5);
    out->flag = (int32_t)get_be32(p + 9);
    uint32_t remark_len = get_be32(p + 13);
    p += 17;
    if (remark_len > (size_t)(end - p) || (size_t)(end - p) - remark_len < 4)
        return bad(why, "remark longer than the header");
    if (remark_len)
        out->remark = str_make(p, remark_len);
    p += remark_len;
    uint32_t ext_len = get_be32(p);
    p += 4;
    if (ext_len > (size_t)(end - p))
        return bad(why, "fields longer than the header");
    end = p + ext_len;
    out->has_ext = ext_len > 0;
    while (p < end) {
        if (end - p < 2)
            return bad(why, "truncated field name");
        uint16_t key_len = get_be16(p);
        p += 2;
        if (key_len > INT16_MAX || (size_t)(end - p) < (size_t)key_len + 4)
            return bad(why, "field name longer than the header");
        struct str key = key_len ? str_make(p, key_len) : STR_NULL;
        p += key_len;
        uint32_t value_len = get_be32(p);
        p += 4;
        if (value_len > (size_t)(end - p))
            return bad(why, "field value longer than the header");
        if (out->n_ext == REM_MAX_EXT)
            return bad(why, "too many header fields");
        /* An empty value is indistinguishable from null in this encoding; Java reads null. */
        out->ext[out->n_ext++] = (struct rem_field){key, value_len ? str_make(p, value_len) : STR_NULL};
        p += value_len;
    }
    return true;
}
