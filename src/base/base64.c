#include "base/base64.h"

static void add(struct buf *out, struct str s, const char *digits)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        unsigned bits = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        buf_add(out, four, 4);
    }
}

void base64_add(struct buf *out, struct str s)
{
    add(out, s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

void base64_url_add(struct buf *out, struct str s)
{
    add(out, s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64_url_decode(struct buf *out, struct str text)
{
    unsigned bits = 0, have = 0;
    size_t len = text.len;
    while (len && text.len - len < 2 && text.ptr[len - 1] == '=')
        len--;
    if (len % 4 == 1 || (len != text.len && text.len % 4 != 0))
        return false;
    for (size_t i = 0; i < len; i++) {
        int v = value_of(text.ptr[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_add_byte(out, (uint8_t)(bits >> have));
        }
    }
    return buf_ok(out);
}
