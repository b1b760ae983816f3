#include "base/str.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool str_ieq(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (tolower((unsigned char)a.ptr[i]) != tolower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_blank(struct str s)
{
    return str_trim(s).len == 0;
}

bool str_to_i64(struct str s, int64_t *out)
{
    size_t i = 0;
    bool negative = false;
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        negative = s.ptr[0] == '-';
        i = 1;
    }
    if (i == s.len)
        return false;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t v = 0;
    size_t safe = i + 18 < s.len ? i + 18 : s.len; /* 18 digits cannot overflow */
    for (; i < safe; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    for (; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9 || v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_i32(struct str s, int32_t *out)
{
    int64_t v;
    if (!str_to_i64(s, &v) || v < INT32_MIN || v > INT32_MAX)
        return false;
    *out = (int32_t)v;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t str_find(struct str s, struct str sub)
{
    if (sub.len == 0)
        return 0;
    if (s.len < sub.len)
        return -1;
    const char *at = memmem(s.ptr, s.len, sub.ptr, sub.len);
    return at ? at - s.ptr : -1;
}

bool str_split(struct str *rest, char sep, struct str *piece)
{
    if (rest->ptr == NULL)
        return false;
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (at == NULL) {
        *piece = *rest;
        *rest = STR_NULL;
        return true;
    }
    *piece = str_make(rest->ptr, (size_t)(at - rest->ptr));
    *rest = str_make(at + 1, rest->len - piece->len - 1);
    return true;
}

char *str_dupz(struct str s)
{
    char *z = malloc(s.len + 1);
    if (z == NULL)
        return NULL;
    if (s.len)
        memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    return z;
}

uint64_t str_hash(struct str s)
{
    return XXH3_64bits(s.ptr ? s.ptr : "", s.len);
}

void str_hash128(struct str s, uint64_t seed, uint64_t out[2])
{
    XXH128_hash_t h = XXH3_128bits_withSeed(s.ptr ? s.ptr : "", s.len, seed);
    out[0] = h.low64;
    out[1] = h.high64;
}

size_t fmt_i64(char *out, int64_t v)
{
    char tmp[20];
    size_t at = sizeof tmp;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    for (; u >= 100; u /= 100) {
        unsigned two = (unsigned)(u % 100);
        tmp[--at] = (char)('0' + two % 10);
        tmp[--at] = (char)('0' + two / 10);
    }
    if (u >= 10) {
        tmp[--at] = (char)('0' + u % 10);
        u /= 10;
    }
    tmp[--at] = (char)('0' + u);
    size_t sign = v < 0;
    if (sign)
        out[0] = '-';
    memcpy(out + sign, tmp + at, sizeof tmp - at);
    return sign + sizeof tmp - at;
}
