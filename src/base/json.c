#include "base/json.h"

#include <stdlib.h>

const struct json *json_get(const struct json *obj, const char *name)
{
    if (obj == NULL || obj->kind != JSON_OBJECT)
        return NULL;
    struct str wanted = str_from(name);
    const struct json *found = NULL;
    JSON_EACH(child, obj)
    {
        if (child->key->kind != JSON_OBJECT && str_eq(child->key->text, wanted))
            found = child;
    }
    return found;
}

struct str json_text(const struct json *node)
{
    return node == NULL || node->kind == JSON_NULL ? STR_NULL : node->text;
}

static bool number_of(struct str text, double *out)
{
    char z[64];
    char *end;
    text = str_trim(text);
    if (text.len == 0 || text.len >= sizeof z)
        return false;
    memcpy(z, text.ptr, text.len);
    z[text.len] = '\0';
    *out = strtod(z, &end);
    return end == z + text.len;
}

int64_t json_int(const struct json *node, int64_t absent)
{
    int64_t v;
    if (node == NULL)
        return absent;
    switch (node->kind) {
    case JSON_INT:
        return node->i;
    case JSON_BOOL:
        return node->b;
    case JSON_DOUBLE:
        /* 2^63 is the first double that no longer fits. */
        return node->d >= -0x1p63 && node->d < 0x1p63 ? (int64_t)node->d : absent;
    case JSON_STRING:
        return str_to_i64(str_trim(node->text), &v) ? v : absent;
    default:
        return absent;
    }
}

struct str json_str(const struct json *obj, const char *name)
{
    return json_text(json_get(obj, name));
}

int64_t json_i64(const struct json *obj, const char *name, int64_t absent)
{
    return json_int(json_get(obj, name), absent);
}

bool json_bool(const struct json *obj, const char *name, bool absent)
{
    const struct json *node = json_get(obj, name);
    if (node == NULL)
        return absent;
    if (node->kind == JSON_BOOL)
        return node->b;
    if (node->kind == JSON_INT)
        return node->i == 1;
    if (node->kind != JSON_STRING)
        return absent;
    if (str_ieq(node->text, STR_LIT("true")) || str_eqz(node->text, "1"))
        return true;
    return str_ieq(node->text, STR_LIT("false")) || str_eqz(node->text, "0") ? false : absent;
}

double json_double(const struct json *obj, const char *name, double absent)
{
    const struct json *node = json_get(obj, name);
    double d;
    if (node && node->kind == JSON_DOUBLE)
        return node->d;
    if (node && node->kind == JSON_INT)
        return (double)node->i;
    return node && node->kind == JSON_STRING && number_of(node->text, &d) ? d : absent;
}

const struct json *json_key_object(struct arena *arena, const struct json *member)
{
    if (member == NULL || member->key == NULL)
        return NULL;
    if (member->key->kind == JSON_OBJECT)
        return member->key;
    if (member->key->kind != JSON_STRING)
        return NULL;
    struct json *parsed = json_parse(arena, member->key->text, NULL);
    return parsed && parsed->kind == JSON_OBJECT ? parsed : NULL;
}
