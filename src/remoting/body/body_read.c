#include "remoting/body/body_read.h"

bool body_array(struct arena *arena, const struct json *json, size_t item_size, void *out)
{
    void *items = NULL;
    if (json && json->kind >= JSON_ARRAY && json->count > 0) {
        items = arena_calloc(arena, json->count * item_size);
        if (items == NULL)
            return false;
    }
    memcpy(out, &items, sizeof items);
    return true;
}

bool body_read_texts(struct arena *arena, const struct json *json, struct str **out, size_t *count)
{
    *count = 0;
    if (!body_array(arena, json, sizeof **out, out))
        return false;
    JSON_EACH(item, json)
    if (item->kind != JSON_NULL)
        (*out)[(*count)++] = json_text(item);
    return true;
}

void body_write_texts(struct jw *w, const char *key, const struct str *texts, size_t count)
{
    jw_karray(w, key);
    for (size_t i = 0; i < count; i++)
        jw_str(w, texts[i]);
    jw_end_array(w);
}

int32_t body_i32(const struct json *obj, const char *name, int32_t absent)
{
    int64_t v = json_i64(obj, name, absent);
    return v < INT32_MIN || v > INT32_MAX ? absent : (int32_t)v;
}
