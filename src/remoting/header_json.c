/*
 * The JSON header, read in one pass without a tree: the known members go to their fields, the members of extFields to
 * the field array, everything else is skipped. Escaped strings are unescaped in place. Numbers, booleans and whole
 * objects are accepted as field values and kept as their text, since some clients send them.
 */
#include "remoting/command.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct reader {
    char *at;
    char *end;
    const char *why;
};

enum { MAX_DEPTH = 32 };

static bool fail(struct reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return false;
}

static inline void skip_space(struct reader *r)
{
    while (r->at < r->end && (unsigned char)*r->at <= ' ')
        r->at++;
}

static inline bool take(struct reader *r, char c)
{
    if (r->at < r->end && *r->at == c) { /* no white space: what every client sends */
        r->at++;
        return true;
    }
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* First quote or backslash at or behind p. */
static inline char *find_quote(char *p, char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *to, unsigned cp)
{
    if (cp < 0x80) {
        *to++ = (char)cp;
    } else if (cp < 0x800) {
        *to++ = (char)(0xC0 | cp >> 6);
        *to++ = (char)(0x80 | (cp & 0x3F));
    } else if (cp < 0x10000) {
        *to++ = (char)(0xE0 | cp >> 12);
        *to++ = (char)(0x80 | (cp >> 6 & 0x3F));
        *to++ = (char)(0x80 | (cp & 0x3F));
    } else {
        *to++ = (char)(0xF0 | cp >> 18);
        *to++ = (char)(0x80 | (cp >> 12 & 0x3F));
        *to++ = (char)(0x80 | (cp >> 6 & 0x3F));
        *to++ = (char)(0x80 | (cp & 0x3F));
    }
    return to;
}

/* One escape at r->at (behind the backslash) to `to`, which never overtakes r->at. */
static char *unescape_rare(struct reader *r, char *to)
{
    if (r->at == r->end)
        return NULL;
    char c = *r->at++;
    switch (c) {
    case 'n':
        *to++ = '\n';
        return to;
    case 't':
        *to++ = '\t';
        return to;
    case 'r':
        *to++ = '\r';
        return to;
    case 'b':
        *to++ = '\b';
        return to;
    case 'f':
        *to++ = '\f';
        return to;
    case 'v':
        *to++ = '\v';
        return to;
    case 'u': {
        if (r->end - r->at < 4)
            return NULL;
        int cp = hex4(r->at);
        if (cp < 0)
            return NULL;
        r->at += 4;
        if (cp >= 0xD800 && cp < 0xDC00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
            int low = hex4(r->at + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                r->at += 6;
                cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        return put_utf8(to, cp >= 0xD800 && cp < 0xE000 ? 0xFFFD : (unsigned)cp);
    }
    default: /* \" \\ \/ \' stand for themselves */
        *to++ = c;
        return to;
    }
}

/* The separators of message properties, \u0001 and \u0002, are nearly all escapes there are: they take the short way.
 */
static inline char *unescape(struct reader *r, char *to)
{
    if (r->end - r->at >= 5 && memcmp(r->at, "u000", 4) == 0 && (unsigned char)(r->at[4] - '0') < 10) {
        *to = (char)(r->at[4] - '0');
        r->at += 5;
        return to + 1;
    }
    return unescape_rare(r, to);
}

/* Moves the plain characters up to the next quote or backslash from r->at down to `to`; r->at ends there. */
static inline char *move_plain(struct reader *r, char *to)
{
    char *p = r->at, *end = r->end;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16, to += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash))))
            break;
        _mm_storeu_si128((__m128i *)(void *)to, v);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        *to++ = *p++;
    r->at = p;
    return to;
}

/* A string whose opening quote has been taken. */
static inline bool string_rest(struct reader *r, struct str *out)
{
    char *start = r->at;
    char *p = find_quote(start, r->end);
    if (__builtin_expect(p == r->end, 0))
        return fail(r, "string without end");
    if (*p == '"') {
        *out = str_make(start, (size_t)(p - start));
        r->at = p + 1;
        return true;
    }
    char *to = p;
    r->at = p;
    do {
        r->at++; /* the backslash */
        to = unescape(r, to);
        if (to == NULL)
            return fail(r, "bad escape in a string");
        to = move_plain(r, to);
        if (r->at == r->end)
            return fail(r, "string without end");
    } while (*r->at != '"');
    r->at++;
    *out = str_make(start, (size_t)(to - start));
    return true;
}

/* A value that is no string: *text = its source text, *is_null for null. */
static bool other_value(struct reader *r, struct str *text, bool *is_null)
{
    if (r->at == r->end)
        return fail(r, "value missing");
    char *start = r->at;
    if (*r->at == '{' || *r->at == '[') {
        int depth = 0;
        while (r->at < r->end) {
            char c = *r->at++;
            if (c == '"') {
                while (r->at < r->end && *r->at != '"')
                    r->at += *r->at == '\\' && r->end - r->at > 1 ? 2 : 1;
                if (r->at == r->end)
                    return fail(r, "string without end");
                r->at++;
            } else if (c == '{' || c == '[') {
                if (++depth > MAX_DEPTH)
                    return fail(r, "nested too deeply");
            } else if (c == '}' || c == ']') {
                if (--depth == 0) {
                    *text = str_make(start, (size_t)(r->at - start));
                    return true;
                }
            }
        }
        return fail(r, "object or array without end");
    }
    while (r->at < r->end && *r->at != ',' && *r->at != '}' && *r->at != ']' && (unsigned char)*r->at > ' ')
        r->at++;
    *text = str_make(start, (size_t)(r->at - start));
    if (text->len == 0)
        return fail(r, "value missing");
    *is_null = str_eq(*text, STR_LIT("null"));
    return true;
}

/* Any value; *text = its source text (of a string: the unescaped content), *is_null for null. */
static inline bool value(struct reader *r, struct str *text, bool *is_null)
{
    *is_null = false;
    if (take(r, '"'))
        return string_rest(r, text);
    return other_value(r, text, is_null);
}

static inline bool key(struct reader *r, struct str *out)
{
    if (!take(r, '"'))
        return fail(r, "member name missing");
    if (!string_rest(r, out))
        return false;
    return take(r, ':') || fail(r, "colon missing");
}

enum fields_state { NEXT_FIELD, BEHIND_FIELD, FIELDS_CLOSED, FIELDS_BAD };

/*
 * The fields as every known client writes them: "key":"value", no white space, no escapes in the key. Works on a local
 * pointer, which halves the time of the general way; stops at the first field that looks different.
 */
static enum fields_state plain_fields(struct reader *r, struct rem_command *c)
{
    char *p = r->at, *end = r->end;
    uint32_t n = c->n_ext;
    enum fields_state state = NEXT_FIELD;
    while (state == NEXT_FIELD && n < REM_MAX_EXT && end - p > 6 && *p == '"') {
        char *k = p + 1;
        char *q = k[1] == '"' && k[0] != '\\' ? k + 1 : find_quote(k, end);
        if (end - q < 4 || q[0] != '"' || q[1] != ':' || q[2] != '"')
            break;
        char *v = q + 3;
        char *e = find_quote(v, end);
        struct str text = str_make(v, (size_t)(e - v));
        if (e < end && *e == '\\') {
            r->at = v;
            if (!string_rest(r, &text))
                return FIELDS_BAD;
            e = r->at - 1;
        }
        if (end - e < 2)
            break;
        c->ext[n].key = str_make(k, (size_t)(q - k));
        c->ext[n++].value = text;
        p = e + 2;
        if (e[1] == '}') {
            state = FIELDS_CLOSED;
        } else if (e[1] != ',') {
            p = e + 1;
            state = BEHIND_FIELD;
        }
    }
    r->at = p;
    c->n_ext = n;
    return state;
}

static bool any_field(struct reader *r, struct rem_command *c)
{
    if (c->n_ext == REM_MAX_EXT)
        return fail(r, "too many header fields");
    struct rem_field *f = &c->ext[c->n_ext];
    bool is_null;
    if (!key(r, &f->key) || !value(r, &f->value, &is_null))
        return false;
    if (is_null)
        f->value = STR_NULL;
    c->n_ext++;
    return true;
}

static bool ext_fields(struct reader *r, struct rem_command *c)
{
    if (!take(r, '{')) {
        struct str ignored;
        bool is_null;
        return value(r, &ignored, &is_null); /* null, or something senseless that Java would ignore */
    }
    c->has_ext = true;
    if (take(r, '}'))
        return true;
    enum fields_state state = plain_fields(r, c);
    if (state == FIELDS_CLOSED || state == FIELDS_BAD)
        return state == FIELDS_CLOSED;
    for (;;) {
        if (state == NEXT_FIELD && !any_field(r, c))
            return false;
        if (take(r, '}'))
            return true;
        if (!take(r, ','))
            return fail(r, "comma missing");
        state = NEXT_FIELD;
    }
}

static uint8_t language(struct str name)
{
    int32_t ordinal;
    if (str_eq(name, STR_LIT("JAVA")))
        return REM_LANG_JAVA;
    for (uint8_t i = 0; strcmp(rem_language_name(i), "OTHER") != 0 || i == 7; i++)
        if (str_eqz(name, rem_language_name(i)))
            return i;
    return str_to_i32(name, &ordinal) && ordinal >= 0 && ordinal < REM_LANG_UNKNOWN ? (uint8_t)ordinal
                                                                                    : REM_LANG_UNKNOWN;
}

static bool number(struct reader *r, struct str text, int32_t *out)
{
    return str_to_i32(text, out) || fail(r, "a number is malformed");
}

static bool member(struct reader *r, struct rem_command *c)
{
    struct str name, text;
    bool is_null;
    if (!key(r, &name))
        return false;
    if (str_eq(name, STR_LIT("extFields")))
        return ext_fields(r, c);
    if (!value(r, &text, &is_null))
        return false;
    if (is_null)
        return true;
    switch (name.len) {
    case 4:
        if (memcmp(name.ptr, "code", 4) == 0)
            return number(r, text, &c->code);
        if (memcmp(name.ptr, "flag", 4) == 0)
            return number(r, text, &c->flag);
        return true;
    case 6:
        if (memcmp(name.ptr, "opaque", 6) == 0)
            return number(r, text, &c->opaque);
        if (memcmp(name.ptr, "remark", 6) == 0)
            c->remark = text;
        return true;
    case 7:
        return memcmp(name.ptr, "version", 7) != 0 || number(r, text, &c->version);
    case 8:
        if (memcmp(name.ptr, "language", 8) == 0)
            c->language = language(text);
        return true;
    default:
        return true;
    }
}

bool rem_decode_json_header(char *text, size_t len, struct rem_command *out, const char **why)
{
    struct reader r = {text, text + len, NULL};
    bool ok = take(&r, '{') || fail(&r, "header is no JSON object");
    if (ok && !take(&r, '}')) {
        do
            ok = member(&r, out);
        while (ok && take(&r, ','));
        ok = ok && (take(&r, '}') || fail(&r, "header is not closed"));
    }
    *why = r.why;
    return ok;
}
