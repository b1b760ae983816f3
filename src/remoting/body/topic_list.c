#include "remoting/body/topic_list.h"

#include "remoting/body/body_read.h"

bool topic_list_read(struct arena *arena, const struct json *json, struct topic_list *out)
{
    *out = (struct topic_list){.broker_addr = json_str(json, "brokerAddr")};
    return body_is_object(json) && body_read_texts(arena, json_get(json, "topicList"), &out->topics, &out->topic_count);
}

void topic_list_write(struct jw *w, const struct topic_list *l)
{
    jw_begin_object(w);
    jw_kstr(w, "brokerAddr", l->broker_addr);
    body_write_texts(w, "topicList", l->topics, l->topic_count);
    jw_end_object(w);
}

bool kv_table_read(struct arena *arena, const struct json *json, struct kv_table *out)
{
    const struct json *table = json_get(json, "table");
    *out = (struct kv_table){0};
    if (!body_is_object(json) || !body_array(arena, table, sizeof *out->pairs, &out->pairs))
        return false;
    if (body_is_object(table))
        JSON_EACH(member, table)
    if (member->kind != JSON_NULL)
        out->pairs[out->pair_count++] = (struct kv_pair){json_text(member->key), json_text(member)};
    return true;
}

void kv_table_write(struct jw *w, const struct kv_table *t)
{
    jw_begin_object(w);
    jw_kobject(w, "table");
    for (size_t i = 0; i < t->pair_count; i++) {
        jw_key(w, t->pairs[i].key);
        jw_str(w, t->pairs[i].value);
    }
    jw_end_object(w);
    jw_end_object(w);
}

struct str kv_table_get(const struct kv_table *t, struct str key)
{
    for (size_t i = 0; i < t->pair_count; i++)
        if (str_eq(t->pairs[i].key, key))
            return t->pairs[i].value;
    return STR_NULL;
}
