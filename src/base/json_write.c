#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void jw_init(struct jw *w, struct buf *out)
{
    *w = (struct jw){.out = out, .first = true};
}

static void new_line(struct jw *w)
{
    buf_add_byte(w->out, '\n');
    for (int i = 0; i < w->depth; i++)
        buf_add_byte(w->out, '\t');
}

/* What stands before a key or a value. */
static void separate(struct jw *w, bool own_line)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (!w->first)
        buf_add_byte(w->out, ',');
    w->first = false;
    if (own_line && w->pretty && w->depth > 0)
        new_line(w);
}

static void begin(struct jw *w, char bracket)
{
    separate(w, true);
    buf_add_byte(w->out, (uint8_t)bracket);
    w->depth++;
    w->first = true;
}

static void end(struct jw *w, char bracket)
{
    w->depth--;
    if (w->pretty && !w->first)
        new_line(w);
    buf_add_byte(w->out, (uint8_t)bracket);
    w->first = false;
}

void jw_begin_object(struct jw *w)
{
    begin(w, '{');
}

void jw_end_object(struct jw *w)
{
    end(w, '}');
}

void jw_begin_array(struct jw *w)
{
    begin(w, '[');
}

void jw_end_array(struct jw *w)
{
    end(w, ']');
}

/* Length of the well-formed UTF-8 sequence at p with its code point, or 0. */
static size_t utf8_decode(const unsigned char *p, size_t left, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : 0;
    if (n == 0 || n > left)
        return 0;
    uint32_t v = p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    *cp = v;
    return v >= least[n] && v <= 0x10FFFF && (v < 0xD800 || v > 0xDFFF) ? n : 0;
}

static void escape_unit(struct jw *w, uint32_t unit)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[6] = {'\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    buf_add(w->out, text, sizeof text);
}

/* Writes what stands at p outside printable ASCII or must be escaped; returns its length. */
static size_t write_special(struct jw *w, const unsigned char *p, size_t left)
{
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['/'] = '/', ['\\'] = '\\'};
    if (p[0] < sizeof letters && letters[p[0]]) {
        char text[2] = {'\\', letters[p[0]]};
        buf_add(w->out, text, 2);
        return 1;
    }
    if (p[0] < 0x80) {
        escape_unit(w, p[0]);
        return 1;
    }
    uint32_t cp;
    size_t n = utf8_decode(p, left, &cp);
    if (n == 0) {
        /* The text must stay UTF-8 whatever a name holds; Java's decoder puts the same character. */
        cp = 0xFFFD;
        p = (const unsigned char *)"\xEF\xBF\xBD";
    }
    if (!w->escape_non_ascii) {
        buf_add(w->out, p, n ? n : 3);
    } else if (cp < 0x10000) {
        escape_unit(w, cp);
    } else {
        escape_unit(w, 0xD800 + ((cp - 0x10000) >> 10));
        escape_unit(w, 0xDC00 + ((cp - 0x10000) & 0x3FF));
    }
    return n ? n : 1;
}

/* The strict encoding, made for web pages, escapes the slash too. */
static bool is_plain(const struct jw *w, unsigned char c)
{
    return c >= ' ' && c < 0x7F && c != '"' && c != '\\' && (c != '/' || !w->escape_non_ascii);
}

static void write_quoted(struct jw *w, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    buf_add_byte(w->out, '"');
    while (i < s.len) {
        size_t start = i;
        while (i < s.len && is_plain(w, p[i]))
            i++;
        buf_add(w->out, p + start, i - start);
        if (i < s.len)
            i += write_special(w, p + i, s.len - i);
    }
    buf_add_byte(w->out, '"');
}

static void colon(struct jw *w)
{
    buf_add_byte(w->out, ':');
    w->after_key = true;
}

void jw_key(struct jw *w, struct str key)
{
    separate(w, true);
    write_quoted(w, key);
    colon(w);
}

void jw_key_i64(struct jw *w, int64_t key, bool quoted)
{
    /* fastjson's pretty format puts only names on lines of their own. */
    separate(w, quoted);
    if (quoted)
        buf_add_byte(w->out, '"');
    buf_add_i64(w->out, key);
    if (quoted)
        buf_add_byte(w->out, '"');
    colon(w);
}

void jw_key_object_begin(struct jw *w)
{
    separate(w, false);
    w->after_key = true;
}

void jw_key_object_end(struct jw *w)
{
    colon(w);
}

void jw_str(struct jw *w, struct str value)
{
    separate(w, true);
    if (str_is_null(value))
        buf_add_lit(w->out, "null");
    else
        write_quoted(w, value);
}

void jw_i64(struct jw *w, int64_t value)
{
    separate(w, true);
    buf_add_i64(w->out, value);
}

void jw_double(struct jw *w, double value)
{
    char text[40];
    if (!isfinite(value)) {
        jw_null(w);
        return;
    }
    separate(w, true);
    /* The shortest of the three that reads back as the same number. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    size_t mantissa = strcspn(text, "e");
    buf_add(w->out, text, mantissa);
    if (memchr(text, '.', mantissa) == NULL)
        buf_add_lit(w->out, ".0");
    buf_add(w->out, text + mantissa, strlen(text + mantissa));
}

void jw_bool(struct jw *w, bool value)
{
    separate(w, true);
    buf_add_str(w->out, value ? STR_LIT("true") : STR_LIT("false"));
}

void jw_null(struct jw *w)
{
    separate(w, true);
    buf_add_lit(w->out, "null");
}

void jw_raw(struct jw *w, struct str json)
{
    separate(w, true);
    buf_add_str(w->out, json);
}

static void node_key(struct jw *w, const struct json *key)
{
    if (key->kind == JSON_OBJECT) {
        jw_key_object_begin(w);
        jw_node(w, key);
        jw_key_object_end(w);
    } else if (key->kind == JSON_INT) {
        jw_key_i64(w, key->i, false);
    } else {
        jw_key(w, key->text);
    }
}

void jw_node(struct jw *w, const struct json *node)
{
    switch (node->kind) {
    case JSON_OBJECT:
        jw_begin_object(w);
        JSON_EACH(member, node)
        {
            if (member->kind == JSON_NULL)
                continue;
            node_key(w, member->key);
            jw_node(w, member);
        }
        jw_end_object(w);
        break;
    case JSON_ARRAY:
        jw_begin_array(w);
        JSON_EACH(child, node)
        jw_node(w, child);
        jw_end_array(w);
        break;
    case JSON_STRING:
        jw_str(w, node->text);
        break;
    default:
        jw_raw(w, node->text);
    }
}

void jw_kstr(struct jw *w, const char *key, struct str value)
{
    if (str_is_null(value))
        return;
    jw_key(w, str_from(key));
    jw_str(w, value);
}

void jw_ki64(struct jw *w, const char *key, int64_t value)
{
    jw_key(w, str_from(key));
    jw_i64(w, value);
}

void jw_kdouble(struct jw *w, const char *key, double value)
{
    jw_key(w, str_from(key));
    jw_double(w, value);
}

void jw_kbool(struct jw *w, const char *key, bool value)
{
    jw_key(w, str_from(key));
    jw_bool(w, value);
}

void jw_kobject(struct jw *w, const char *key)
{
    jw_key(w, str_from(key));
    jw_begin_object(w);
}

void jw_karray(struct jw *w, const char *key)
{
    jw_key(w, str_from(key));
    jw_begin_array(w);
}
