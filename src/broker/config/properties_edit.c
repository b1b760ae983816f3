#include "broker/config/properties_edit.h"

/* Takes one logical line off *rest: with the lines that a backslash at the end joins to it, and its line end. */
static struct str next_line(struct str *rest, bool comment)
{
    size_t i = 0;
    while (i < rest->len) {
        const char *end = memchr(rest->ptr + i, '\n', rest->len - i);
        size_t at = end ? (size_t)(end - rest->ptr) : rest->len, slashes = 0;
        size_t last = at > i && rest->ptr[at - 1] == '\r' ? at - 1 : at;
        while (last > i + slashes && rest->ptr[last - slashes - 1] == '\\')
            slashes++;
        i = end ? at + 1 : at;
        if (comment || slashes % 2 == 0)
            break;
    }
    struct str line = str_make(rest->ptr, i);
    *rest = str_skip(*rest, i);
    return line;
}

static void write_escaped(struct buf *out, struct str s, bool key)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool leading = i == 0 && c == ' ';
        bool special = key && (c == ' ' || c == '=' || c == ':' || ((c == '#' || c == '!') && i == 0));
        if (c == '\n' || c == '\r' || c == '\t') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
            continue;
        }
        if (c == '\\' || leading || special)
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)c);
    }
}

static void write_property(struct buf *out, struct str key, struct str value)
{
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        buf_add_byte(out, '\n');
    write_escaped(out, key, true);
    buf_add_byte(out, '=');
    write_escaped(out, value, false);
    buf_add_byte(out, '\n');
}

static bool is_comment(struct str text)
{
    struct str t = str_trim(text);
    return t.len > 0 && (t.ptr[0] == '#' || t.ptr[0] == '!');
}

/* Index of the change that the line's key is, or -1. */
static ptrdiff_t change_of(struct arena *arena, struct str line, const struct properties *changes)
{
    struct properties one;
    if (properties_parse(arena, line, &one, NULL) < 0 || one.count != 1)
        return -1;
    for (size_t i = 0; i < changes->count; i++)
        if (str_eq(changes->items[i].key, one.items[0].key))
            return (ptrdiff_t)i;
    return -1;
}

void properties_edit(struct arena *arena, struct str text, const struct properties *changes, struct buf *out)
{
    bool *done = arena_calloc(arena, changes->count + 1);
    if (done == NULL) {
        out->failed = true;
        return;
    }
    for (struct str rest = text; rest.len > 0;) {
        struct str first = rest;
        const char *end = memchr(first.ptr, '\n', first.len);
        if (end)
            first.len = (size_t)(end - first.ptr);
        bool comment = is_comment(first);
        struct str line = next_line(&rest, comment);
        ptrdiff_t c = comment ? -1 : change_of(arena, line, changes);
        if (c < 0) {
            buf_add_str(out, line);
        } else if (!done[c]) {
            write_property(out, changes->items[c].key, properties_get(changes, changes->items[c].key));
            done[c] = true;
        }
    }
    for (size_t i = 0; i < changes->count; i++) {
        bool earlier = false;
        for (size_t j = 0; j < i; j++)
            earlier |= str_eq(changes->items[j].key, changes->items[i].key);
        if (!done[i] && !earlier)
            write_property(out, changes->items[i].key, properties_get(changes, changes->items[i].key));
    }
}
