#include "base/properties.h"

#include <errno.h>

struct reader {
    const char *p, *end;
    size_t line; /* number of the line at p */
    char *out;   /* where the next unescaped byte goes */
};

static bool at_line_end(const struct reader *r)
{
    return r->p == r->end || *r->p == '\n' || *r->p == '\r';
}

static bool at_blank(const struct reader *r)
{
    return r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\f');
}

static void skip_line_end(struct reader *r)
{
    if (r->p < r->end && *r->p == '\r' && r->end - r->p > 1 && r->p[1] == '\n')
        r->p++;
    if (r->p < r->end)
        r->p++;
    r->line++;
}

/* A backslash before the end of a line: the next line goes on, without its leading blanks. */
static bool skip_continuation(struct reader *r)
{
    if (r->p == r->end || *r->p != '\\')
        return false;
    struct reader behind = *r;
    behind.p++;
    if (!at_line_end(&behind))
        return false;
    skip_line_end(&behind);
    while (at_blank(&behind))
        behind.p++;
    *r = behind;
    return true;
}

static void skip_blanks(struct reader *r)
{
    for (;;) {
        if (at_blank(r))
            r->p++;
        else if (!skip_continuation(r))
            return;
    }
}

/* Four hex digits behind \u; -1 when they are not there. */
static int32_t code_unit(const char *p, const char *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int letter = p[i] | 0x20;
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static void put_code_point(struct reader *r, uint32_t cp)
{
    if (cp < 0x80) {
        *r->out++ = (char)cp;
        return;
    }
    int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xC0, 0xE0, 0xF0};
    *r->out++ = (char)(lead[more] | cp >> (6 * more));
    while (more-- > 0)
        *r->out++ = (char)(0x80 | (cp >> (6 * more) & 0x3F));
}

/* At the four digits of \uXXXX. Half a surrogate pair becomes U+FFFD. */
static bool take_unicode(struct reader *r)
{
    int32_t cp = code_unit(r->p, r->end);
    if (cp < 0)
        return false;
    r->p += 4;
    if (cp >= 0xD800 && cp < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        int32_t low = code_unit(r->p + 2, r->end);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            r->p += 6;
        }
    }
    put_code_point(r, cp >= 0xD800 && cp <= 0xDFFF ? 0xFFFD : (uint32_t)cp);
    return true;
}

/* One character of a key or value, escaped or not, which is never shorter than what it stands for. */
static bool take_char(struct reader *r)
{
    static const char letters[] = "tnrf", values[] = "\t\n\r\f";
    if (*r->p != '\\') {
        *r->out++ = *r->p++;
        return true;
    }
    r->p++;
    char c = *r->p++;
    if (c == 'u')
        return take_unicode(r);
    const char *at = memchr(letters, c, sizeof letters - 1);
    *r->out++ = at ? values[at - letters] : c;
    return true;
}

static bool take_key(struct reader *r, struct str *key)
{
    const char *start = r->out;
    for (;;) {
        if (skip_continuation(r))
            continue;
        if (at_line_end(r) || at_blank(r) || *r->p == '=' || *r->p == ':')
            break;
        if (!take_char(r))
            return false;
    }
    *key = str_make(start, (size_t)(r->out - start));
    skip_blanks(r);
    if (!at_line_end(r) && (*r->p == '=' || *r->p == ':')) {
        r->p++;
        skip_blanks(r);
    }
    return true;
}

static bool take_value(struct reader *r, struct str *value)
{
    const char *start = r->out;
    for (;;) {
        if (skip_continuation(r))
            continue;
        if (at_line_end(r))
            break;
        if (!take_char(r))
            return false;
    }
    *value = str_make(start, (size_t)(r->out - start));
    return true;
}

/* Moves to the next key; false at the end of the text. */
static bool next_item(struct reader *r)
{
    for (;;) {
        skip_blanks(r);
        if (r->p == r->end)
            return false;
        if (*r->p == '#' || *r->p == '!') {
            while (!at_line_end(r))
                r->p++;
        } else if (!at_line_end(r)) {
            return true;
        }
        skip_line_end(r);
    }
}

static bool append(struct arena *arena, struct properties *out, size_t *cap, struct property item)
{
    if (out->count == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct property *items = arena_alloc(arena, more * sizeof *items);
        if (items == NULL)
            return false;
        if (out->count)
            memcpy(items, out->items, out->count * sizeof *items);
        out->items = items;
        *cap = more;
    }
    out->items[out->count++] = item;
    return true;
}

int properties_parse(struct arena *arena, struct str text, struct properties *out, struct err *err)
{
    *out = (struct properties){0};
    if (text.len == 0)
        return 0;
    size_t cap = 0;
    struct reader r = {text.ptr, text.ptr + text.len, 1, arena_alloc(arena, text.len)};
    if (r.out == NULL)
        return err_set(err, ENOMEM, "out of memory while reading properties of %zu bytes", text.len);
    while (next_item(&r)) {
        struct property item;
        if (!take_key(&r, &item.key) || !take_value(&r, &item.value))
            return err_set(err, EINVAL, "line %zu: \\u must be followed by four hex digits; write \\\\ for a backslash",
                           r.line);
        if (!append(arena, out, &cap, item))
            return err_set(err, ENOMEM, "out of memory while reading properties of %zu bytes", text.len);
    }
    return 0;
}

struct str properties_get(const struct properties *p, struct str key)
{
    for (size_t i = p->count; i-- > 0;)
        if (str_eq(p->items[i].key, key))
            return p->items[i].value;
    return STR_NULL;
}
