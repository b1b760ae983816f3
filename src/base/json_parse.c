#include "base/json_ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
    const char *p, *end, *start;
    struct arena *arena;
    struct err *err;
    size_t nodes;
    unsigned depth;
    struct json_ref *refs, *last_ref; /* in the order of the text */
};

static struct json *parse_value(struct parser *ps);

/* Says where and what; returns NULL so that a parsing function can return it. */
static void *fail_at(struct parser *ps, const char *at, int code, const char *what)
{
    size_t line = 1;
    const char *line_start = ps->start;
    for (const char *c = ps->start; c < at; c++) {
        if (*c == '\n') {
            line++;
            line_start = c + 1;
        }
    }
    err_set(ps->err, code, "JSON line %zu, column %zu (byte %zu): %s", line, (size_t)(at - line_start) + 1,
            (size_t)(at - ps->start), what);
    return NULL;
}

static void *fail_expected(struct parser *ps, const char *expected)
{
    char what[160];
    unsigned char c = ps->p < ps->end ? (unsigned char)*ps->p : 0;
    if (ps->p >= ps->end)
        snprintf(what, sizeof what, "expected %s, found the end of the text", expected);
    else if (c > ' ' && c < 0x7F)
        snprintf(what, sizeof what, "expected %s, found '%c'", expected, c);
    else
        snprintf(what, sizeof what, "expected %s, found byte 0x%02X", expected, c);
    return fail_at(ps, ps->p, EINVAL, what);
}

static void *out_of_memory(struct parser *ps)
{
    err_set(ps->err, ENOMEM, "out of memory while reading a JSON text of %zu bytes", (size_t)(ps->end - ps->start));
    return NULL;
}

static struct json *new_node(struct parser *ps, enum json_kind kind)
{
    if (++ps->nodes > JSON_NODES_MAX)
        return fail_at(ps, ps->p, E2BIG, "more values than the limit of 4194304");
    struct json *node = arena_alloc(ps->arena, sizeof *node);
    if (node == NULL)
        return out_of_memory(ps);
    *node = (struct json){.kind = kind};
    return node;
}

static bool skip_comment(struct parser *ps)
{
    const char *start = ps->p;
    size_t left = (size_t)(ps->end - start);
    const char *last = NULL;
    if (left >= 2 && start[1] == '/') {
        last = memchr(start, '\n', left);
        ps->p = last ? last + 1 : ps->end;
        return true;
    }
    if (left >= 2 && start[1] == '*')
        last = memmem(start + 2, left - 2, "*/", 2);
    if (last == NULL) {
        fail_at(ps, start, EINVAL, left >= 2 && start[1] == '*' ? "comment without an end" : "unexpected '/'");
        return false;
    }
    ps->p = last + 2;
    return true;
}

/* False, with the error set, when a comment is broken. */
static bool skip_space(struct parser *ps)
{
    while (ps->p < ps->end) {
        char c = *ps->p;
        if (c == '/') {
            if (!skip_comment(ps))
                return false;
        } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
            ps->p++;
        } else {
            break;
        }
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Value of n hex digits at p, -1 when they are not there. */
static int32_t hex_value(const char *p, const char *end, int n)
{
    int32_t v = 0;
    if (end - p < n)
        return -1;
    for (int i = 0; i < n; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static char *put_utf8(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        *out++ = (char)cp;
    } else if (cp < 0x800) {
        *out++ = (char)(0xC0 | cp >> 6);
        *out++ = (char)(0x80 | (cp & 0x3F));
    } else if (cp < 0x10000) {
        *out++ = (char)(0xE0 | cp >> 12);
        *out++ = (char)(0x80 | (cp >> 6 & 0x3F));
        *out++ = (char)(0x80 | (cp & 0x3F));
    } else {
        *out++ = (char)(0xF0 | cp >> 18);
        *out++ = (char)(0x80 | (cp >> 12 & 0x3F));
        *out++ = (char)(0x80 | (cp >> 6 & 0x3F));
        *out++ = (char)(0x80 | (cp & 0x3F));
    }
    return out;
}

/* The code point of the escape whose letter u stands at *p, which moves behind it; a half surrogate is U+FFFD. */
static int32_t unicode_escape(const char **p, const char *end)
{
    int32_t cp = hex_value(*p + 1, end, 4);
    if (cp < 0)
        return -1;
    *p += 5;
    if (cp < 0xD800 || cp > 0xDFFF)
        return cp;
    if (cp < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        int32_t low = hex_value(*p + 2, end, 4);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *p += 6;
            return 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return 0xFFFD;
}

/* The code point of the escape whose letter stands at *p; -1 when there is no such escape. */
static int32_t escape(const char **p, const char *end)
{
    static const char letters[] = "\"\\/'bfnrtvF";
    static const char values[] = "\"\\/'\b\f\n\r\t\v\f";
    char c = **p;
    if (c == 'u')
        return unicode_escape(p, end);
    if (c == 'x') {
        int32_t v = hex_value(*p + 1, end, 2);
        *p += v < 0 ? 0 : 3;
        return v;
    }
    ++*p;
    if (c >= '0' && c <= '7')
        return c - '0';
    const char *at = c ? strchr(letters, c) : NULL;
    return at ? values[at - letters] : -1;
}

static bool unescape(struct parser *ps, const char *from, const char *to, struct str *out)
{
    /* No escape is shorter than what it stands for. */
    char *text = arena_alloc(ps->arena, (size_t)(to - from));
    if (text == NULL) {
        out_of_memory(ps);
        return false;
    }
    char *o = text;
    for (const char *p = from; p < to;) {
        const char *stop = memchr(p, '\\', (size_t)(to - p));
        size_t plain = (size_t)((stop ? stop : to) - p);
        memcpy(o, p, plain);
        o += plain;
        p += plain;
        if (stop == NULL)
            break;
        p++;
        int32_t cp = escape(&p, to);
        if (cp < 0) {
            fail_at(ps, stop, EINVAL, "unknown or incomplete escape in a string");
            return false;
        }
        o = put_utf8(o, (uint32_t)cp);
    }
    *out = str_make(text, (size_t)(o - text));
    return true;
}

/* The next quote or backslash at or behind p, or end; eight bytes at a step. */
static const char *find_special(const char *p, const char *end, char quote)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    const uint64_t quotes = ones * (unsigned char)quote, slashes = ones * (unsigned char)'\\';
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t q = w ^ quotes, s = w ^ slashes;
        if ((((q - ones) & ~q) | ((s - ones) & ~s)) & highs)
            break;
        p += 8;
    }
    while (p < end && *p != quote && *p != '\\')
        p++;
    return p;
}

static bool parse_string(struct parser *ps, struct str *out)
{
    const char *start = ps->p + 1;
    char quote = *ps->p;
    bool escaped = false;
    const char *p = find_special(start, ps->end, quote);
    while (p < ps->end && *p == '\\') {
        escaped = true;
        p = ps->end - p < 2 ? ps->end : find_special(p + 2, ps->end, quote);
    }
    if (p >= ps->end) {
        fail_at(ps, ps->p, EINVAL, "string without a closing quote");
        return false;
    }
    ps->p = p + 1;
    *out = str_make(start, (size_t)(p - start));
    return !escaped || unescape(ps, start, p, out);
}

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static bool to_double(struct parser *ps, struct str text, double *out)
{
    /* strtod wants a NUL behind the digits. */
    char small[64];
    char *z = small;
    if (text.len < sizeof small) {
        memcpy(small, text.ptr, text.len);
        small[text.len] = '\0';
    } else if ((z = arena_strz(ps->arena, text)) == NULL) {
        out_of_memory(ps);
        return false;
    }
    *out = strtod(z, NULL);
    return true;
}

static struct json *parse_number(struct parser *ps)
{
    struct json *node = new_node(ps, JSON_INT);
    if (node == NULL)
        return NULL;
    const char *start = ps->p;
    if (*ps->p == '-')
        ps->p++;
    if (!is_digit(ps->p, ps->end))
        return fail_expected(ps, "a digit");
    while (is_digit(ps->p, ps->end))
        ps->p++;
    node->text = str_make(start, (size_t)(ps->p - start));
    bool fraction = ps->p < ps->end && *ps->p == '.';
    if (fraction && !is_digit(++ps->p, ps->end))
        return fail_expected(ps, "a digit");
    while (fraction && is_digit(ps->p, ps->end))
        ps->p++;
    bool exponent = ps->p < ps->end && (*ps->p == 'e' || *ps->p == 'E');
    if (exponent) {
        ps->p++;
        if (ps->p < ps->end && (*ps->p == '+' || *ps->p == '-'))
            ps->p++;
        if (!is_digit(ps->p, ps->end))
            return fail_expected(ps, "a digit");
    }
    while (exponent && is_digit(ps->p, ps->end))
        ps->p++;
    if (!fraction && !exponent && str_to_i64(node->text, &node->i))
        return node;
    node->kind = JSON_DOUBLE;
    node->text = str_make(start, (size_t)(ps->p - start));
    return to_double(ps, node->text, &node->d) ? node : NULL;
}

/* An unquoted name or literal: what Java takes as an identifier. */
static struct str take_word(struct parser *ps)
{
    const char *start = ps->p;
    for (; ps->p < ps->end; ps->p++) {
        unsigned char c = (unsigned char)*ps->p;
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool digit = c >= '0' && c <= '9' && ps->p > start;
        if (!letter && !digit && c != '_' && c != '$' && c < 0x80)
            break;
    }
    return str_make(start, (size_t)(ps->p - start));
}

static struct json *parse_literal(struct parser *ps)
{
    const char *start = ps->p;
    struct json *node = new_node(ps, JSON_NULL);
    if (node == NULL)
        return NULL;
    struct str word = node->text = take_word(ps);
    if (str_eqz(word, "true") || str_eqz(word, "false")) {
        node->kind = JSON_BOOL;
        node->b = word.len == 4;
        return node;
    }
    if (str_eqz(word, "null") || str_eqz(word, "NaN") || str_eqz(word, "undefined"))
        return node;
    ps->p = start;
    return fail_expected(ps, "a value");
}

static struct json *parse_key(struct parser *ps)
{
    char c = ps->p < ps->end ? *ps->p : 0;
    if (c == '{')
        return parse_value(ps);
    if (c == '-' || (c >= '0' && c <= '9')) {
        struct json *key = parse_number(ps);
        /* A number that is no int64 is still a name. */
        if (key && key->kind == JSON_DOUBLE)
            key->kind = JSON_STRING;
        return key;
    }
    struct json *key = new_node(ps, JSON_STRING);
    if (key == NULL)
        return NULL;
    if (c == '"' || c == '\'')
        return parse_string(ps, &key->text) ? key : NULL;
    key->text = take_word(ps);
    return key->text.len ? key : fail_expected(ps, "a name or '}'");
}

static struct json *parse_member(struct parser *ps)
{
    struct json *key = parse_key(ps);
    if (key && ps->last_ref && ps->last_ref->node == key)
        ps->last_ref->is_key = true;
    if (key == NULL || !skip_space(ps))
        return NULL;
    if (ps->p >= ps->end || *ps->p != ':')
        return fail_expected(ps, "':' behind a name");
    ps->p++;
    struct json *value = skip_space(ps) ? parse_value(ps) : NULL;
    if (value)
        value->key = key;
    return value;
}

static bool note_reference(struct parser *ps, struct json *object)
{
    const struct json *only = object->first;
    if (object->count != 1 || only->kind != JSON_STRING || only->key->kind != JSON_STRING ||
        !str_eqz(only->key->text, "$ref"))
        return true;
    struct json_ref *ref = arena_alloc(ps->arena, sizeof *ref);
    if (ref == NULL) {
        out_of_memory(ps);
        return false;
    }
    *ref = (struct json_ref){.node = object, .path = only->text, .depth = ps->depth};
    if (ps->last_ref)
        ps->last_ref->next = ref;
    else
        ps->refs = ref;
    ps->last_ref = ref;
    return true;
}

/* An array or an object, without the look at the depth. */
static bool parse_children(struct parser *ps, struct json *parent)
{
    bool object = parent->kind == JSON_OBJECT;
    char close = object ? '}' : ']';
    struct json **tail = &parent->first;
    ps->p++;
    for (;;) {
        if (!skip_space(ps))
            return false;
        if (ps->p < ps->end && *ps->p == close)
            break;
        struct json *child = object ? parse_member(ps) : parse_value(ps);
        if (child == NULL || !skip_space(ps))
            return false;
        *tail = child;
        tail = &child->next;
        parent->count++;
        if (ps->p < ps->end && *ps->p == ',') {
            ps->p++;
        } else if (ps->p >= ps->end || *ps->p != close) {
            fail_expected(ps, object ? "',' or '}'" : "',' or ']'");
            return false;
        }
    }
    ps->p++;
    return true;
}

static struct json *parse_container(struct parser *ps, enum json_kind kind)
{
    const char *start = ps->p;
    struct json *node = new_node(ps, kind);
    if (node == NULL)
        return NULL;
    if (ps->depth == JSON_DEPTH_MAX)
        return fail_at(ps, start, E2BIG, "more than 64 levels deep");
    ps->depth++;
    bool good = parse_children(ps, node);
    node->text = str_make(start, (size_t)(ps->p - start));
    good = good && (kind != JSON_OBJECT || note_reference(ps, node));
    ps->depth--;
    return good ? node : NULL;
}

static struct json *parse_value(struct parser *ps)
{
    char c = ps->p < ps->end ? *ps->p : 0;
    if (c == '{')
        return parse_container(ps, JSON_OBJECT);
    if (c == '[')
        return parse_container(ps, JSON_ARRAY);
    if (c == '-' || (c >= '0' && c <= '9'))
        return parse_number(ps);
    if (c != '"' && c != '\'')
        return parse_literal(ps);
    struct json *node = new_node(ps, JSON_STRING);
    return node && parse_string(ps, &node->text) ? node : NULL;
}

struct json *json_parse(struct arena *arena, struct str text, struct err *err)
{
    static const char bom[] = "\xEF\xBB\xBF";
    if (text.ptr == NULL)
        text = STR_LIT("");
    struct parser ps = {.p = text.ptr, .end = text.ptr + text.len, .start = text.ptr, .arena = arena, .err = err};
    if (str_starts(text, STR_LIT(bom)))
        ps.p += 3;
    struct json *root = skip_space(&ps) ? parse_value(&ps) : NULL;
    if (root == NULL || !skip_space(&ps))
        return NULL;
    if (ps.p < ps.end)
        return fail_expected(&ps, "the end of the text");
    return json_refs_resolve(root, ps.refs, ps.nodes, ps.start, err) < 0 ? NULL : root;
}
