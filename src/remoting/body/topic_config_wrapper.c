#include "remoting/body/body_read.h"
#include "remoting/body/topic_config.h"

static bool read_topics(struct arena *arena, const struct json *table, struct topic_config_wrapper *out)
{
    if (!body_is_object(table))
        return true;
    if (!body_array(arena, table, sizeof *out->topics, &out->topics))
        return false;
    JSON_EACH(member, table)
    {
        if (!body_is_object(member))
            continue;
        struct topic_config *c = &out->topics[out->topic_count];
        if (!topic_config_read(arena, member, c))
            return false;
        if (str_is_null(c->name))
            c->name = json_text(member->key);
        out->topic_count += !str_is_null(c->name);
    }
    return true;
}

static bool read_mappings(struct arena *arena, const struct json *map, struct topic_queue_mapping **out, size_t *count)
{
    if (!body_is_object(map))
        return true;
    if (!body_array(arena, map, sizeof **out, out))
        return false;
    JSON_EACH(member, map)
    {
        if (!body_is_object(member))
            continue;
        struct topic_queue_mapping *m = &(*out)[*count];
        if (!topic_queue_mapping_read(arena, member, m))
            return false;
        if (str_is_null(m->topic))
            m->topic = json_text(member->key);
        *count += !str_is_null(m->topic);
    }
    return true;
}

bool topic_config_wrapper_read(struct arena *arena, const struct json *json, struct topic_config_wrapper *out)
{
    *out = (struct topic_config_wrapper){0};
    data_version_read(json_get(json, "dataVersion"), &out->data_version);
    data_version_read(json_get(json, "mappingDataVersion"), &out->mapping_data_version);
    return body_is_object(json) && read_topics(arena, json_get(json, "topicConfigTable"), out) &&
           read_mappings(arena, json_get(json, "topicQueueMappingInfoMap"), &out->mapping_infos,
                         &out->mapping_info_count) &&
           read_mappings(arena, json_get(json, "topicQueueMappingDetailMap"), &out->mapping_details,
                         &out->mapping_detail_count);
}

void topic_config_wrapper_write(struct jw *w, const struct topic_config_wrapper *t)
{
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, &t->data_version);
    jw_key(w, STR_LIT("mappingDataVersion"));
    data_version_write(w, &t->mapping_data_version);
    jw_kobject(w, "topicConfigTable");
    for (size_t i = 0; i < t->topic_count; i++) {
        jw_key(w, t->topics[i].name);
        topic_config_write(w, &t->topics[i]);
    }
    jw_end_object(w);
    jw_kobject(w, "topicQueueMappingDetailMap");
    for (size_t i = 0; i < t->mapping_detail_count; i++) {
        jw_key(w, t->mapping_details[i].topic);
        topic_queue_mapping_detail_write(w, &t->mapping_details[i], false);
    }
    jw_end_object(w);
    jw_kobject(w, "topicQueueMappingInfoMap");
    for (size_t i = 0; i < t->mapping_info_count; i++) {
        jw_key(w, t->mapping_infos[i].topic);
        topic_queue_mapping_info_write(w, &t->mapping_infos[i], false);
    }
    jw_end_object(w);
    jw_end_object(w);
}
