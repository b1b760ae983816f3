#include "base/javahash.h"
#include "message/message.h"

enum { NAME_END = 0x01, PAIR_END = 0x02 };

/* A chunk between two pair separators, taken apart; false when it is no pair (no name, no value, no separator). */
static bool split_pair(struct str chunk, struct str *name, struct str *value)
{
    const char *sep = chunk.len ? memchr(chunk.ptr, NAME_END, chunk.len) : NULL;
    if (sep == NULL || sep == chunk.ptr || sep + 1 == chunk.ptr + chunk.len)
        return false;
    *name = str_make(chunk.ptr, (size_t)(sep - chunk.ptr));
    *value = str_make(sep + 1, (size_t)(chunk.ptr + chunk.len - sep - 1));
    return true;
}

struct str msg_property(struct str properties, struct str name)
{
    /* From the back: of a repeated name the last value counts, and the first hit ends the search. */
    struct str rest = properties;
    while (rest.len) {
        const char *cut = memrchr(rest.ptr, PAIR_END, rest.len);
        const char *chunk = cut ? cut + 1 : rest.ptr;
        size_t len = (size_t)(rest.ptr + rest.len - chunk);
        struct str found, value;
        if (len > name.len && chunk[name.len] == NAME_END && memcmp(chunk, name.ptr, name.len) == 0 &&
            split_pair(str_make(chunk, len), &found, &value) && found.len == name.len)
            return value;
        rest.len = cut ? (size_t)(cut - rest.ptr) : 0;
    }
    return STR_NULL;
}

bool msg_has_key(struct str properties, struct str key)
{
    struct str keys = msg_property(properties, STR_LIT(MSG_PROP_KEYS)), one;
    if (str_eq(msg_property(properties, STR_LIT(MSG_PROP_UNIQ_KEY)), key))
        return true;
    while (str_split(&keys, ' ', &one))
        if (one.len && str_eq(one, key))
            return true;
    return false;
}

bool msg_property_next(struct str *rest, struct str *name, struct str *value)
{
    struct str chunk;
    while (str_split(rest, PAIR_END, &chunk))
        if (split_pair(chunk, name, value))
            return true;
    return false;
}

void msg_property_add(struct buf *out, struct str name, struct str value)
{
    buf_add_str(out, name);
    buf_add_byte(out, NAME_END);
    buf_add_str(out, value);
    buf_add_byte(out, PAIR_END);
}

static bool listed(struct str name, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, list[i]))
            return true;
    return false;
}

void msg_properties_without(struct buf *out, struct str properties, const struct str *drop, size_t n)
{
    struct str name, value;
    while (msg_property_next(&properties, &name, &value))
        if (!listed(name, drop, n))
            msg_property_add(out, name, value);
}

int64_t msg_tags_code(struct str properties)
{
    struct str tags = msg_property(properties, STR_LIT(MSG_PROP_TAGS));
    return tags.len ? java_hash(tags) : 0;
}
