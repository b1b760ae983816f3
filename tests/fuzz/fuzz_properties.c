/* Properties: what is accepted, written with every character escaped that can be, reads back as the same items. */
#include "base/buf.h"
#include "base/properties.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_escaped(struct buf *out, struct str s)
{
    static const char letters[] = "tnrf", values[] = "\t\n\r\f";
    for (size_t i = 0; i < s.len; i++) {
        const char *at = memchr(values, s.ptr[i], 4);
        char c = at ? letters[at - values] : s.ptr[i];
        /* A backslash before these letters means something else. */
        if (at || memchr("tnrfu", c, 5) == NULL)
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct err err = {0};
    struct properties p, again;
    struct buf out = {0};
    if (properties_parse(&a, str_make(data, size), &p, &err) < 0) {
        if (err.code == 0)
            abort();
        arena_free(&a);
        return 0;
    }
    for (size_t i = 0; i < p.count; i++) {
        write_escaped(&out, p.items[i].key);
        buf_add_byte(&out, '=');
        write_escaped(&out, p.items[i].value);
        buf_add_byte(&out, '\n');
    }
    if (properties_parse(&a, buf_str(&out), &again, NULL) < 0 || again.count != p.count)
        abort();
    for (size_t i = 0; i < p.count; i++) {
        if (!str_eq(p.items[i].key, again.items[i].key) || !str_eq(p.items[i].value, again.items[i].value))
            abort();
        if (str_is_null(properties_get(&p, p.items[i].key)))
            abort();
    }
    buf_free(&out);
    arena_free(&a);
    return 0;
}
