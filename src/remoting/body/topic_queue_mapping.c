#include "remoting/body/topic_queue_mapping.h"

#include "remoting/body/body_read.h"

static int32_t key_number(const struct json *member)
{
    return (int32_t)json_int(member->key, 0);
}

static bool read_items(struct arena *arena, const struct json *json, struct hosted_queue *out)
{
    if (!body_array(arena, json, sizeof *out->items, &out->items))
        return false;
    JSON_EACH(item, json)
    {
        out->items[out->item_count++] = (struct logic_queue_item){
            .bname = json_str(item, "bname"),
            .gen = body_i32(item, "gen", 0),
            .queue_id = body_i32(item, "queueId", 0),
            .logic_offset = json_i64(item, "logicOffset", 0),
            .start_offset = json_i64(item, "startOffset", 0),
            .end_offset = json_i64(item, "endOffset", -1),
            .time_of_start = json_i64(item, "timeOfStart", -1),
            .time_of_end = json_i64(item, "timeOfEnd", -1),
        };
    }
    return true;
}

bool topic_queue_mapping_read(struct arena *arena, const struct json *json, struct topic_queue_mapping *out)
{
    *out = (struct topic_queue_mapping){
        .topic = json_str(json, "topic"),
        .scope = json_str(json, "scope"),
        .bname = json_str(json, "bname"),
        .total_queues = body_i32(json, "totalQueues", 0),
        .epoch = json_i64(json, "epoch", 0),
        .dirty = json_bool(json, "dirty", false),
    };
    const struct json *ids = json_get(json, "currIdMap"), *hosted = json_get(json, "hostedQueues");
    if (!body_is_object(json) || !body_array(arena, ids, sizeof *out->current_ids, &out->current_ids) ||
        !body_array(arena, hosted, sizeof *out->hosted, &out->hosted))
        return false;
    if (body_is_object(ids))
        JSON_EACH(id, ids)
    out->current_ids[out->current_id_count++] = (struct queue_id_pair){key_number(id), (int32_t)json_int(id, 0)};
    if (body_is_object(hosted))
        JSON_EACH(queue, hosted)
        {
            struct hosted_queue *h = &out->hosted[out->hosted_count++];
            h->global_id = key_number(queue);
            if (!read_items(arena, queue, h))
                return false;
        }
    return true;
}

static void write_items(struct jw *w, const struct hosted_queue *h)
{
    jw_begin_array(w);
    for (size_t i = 0; i < h->item_count; i++) {
        const struct logic_queue_item *item = &h->items[i];
        jw_begin_object(w);
        jw_kstr(w, "bname", item->bname);
        jw_ki64(w, "endOffset", item->end_offset);
        jw_ki64(w, "gen", item->gen);
        jw_ki64(w, "logicOffset", item->logic_offset);
        jw_ki64(w, "queueId", item->queue_id);
        jw_ki64(w, "startOffset", item->start_offset);
        jw_ki64(w, "timeOfEnd", item->time_of_end);
        jw_ki64(w, "timeOfStart", item->time_of_start);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void write_mapping(struct jw *w, const struct topic_queue_mapping *m, bool strict_keys, bool detail)
{
    jw_begin_object(w);
    jw_kstr(w, "bname", m->bname);
    jw_kobject(w, "currIdMap");
    for (size_t i = 0; i < m->current_id_count; i++) {
        jw_key_i64(w, m->current_ids[i].global_id, strict_keys);
        jw_i64(w, m->current_ids[i].physical_id);
    }
    jw_end_object(w);
    jw_kbool(w, "dirty", m->dirty);
    jw_ki64(w, "epoch", m->epoch);
    if (detail) {
        jw_kobject(w, "hostedQueues");
        for (size_t i = 0; i < m->hosted_count; i++) {
            jw_key_i64(w, m->hosted[i].global_id, strict_keys);
            write_items(w, &m->hosted[i]);
        }
        jw_end_object(w);
    }
    jw_kstr(w, "scope", m->scope);
    jw_kstr(w, "topic", m->topic);
    jw_ki64(w, "totalQueues", m->total_queues);
    jw_end_object(w);
}

void topic_queue_mapping_info_write(struct jw *w, const struct topic_queue_mapping *m, bool strict_keys)
{
    write_mapping(w, m, strict_keys, false);
}

void topic_queue_mapping_detail_write(struct jw *w, const struct topic_queue_mapping *m, bool strict_keys)
{
    write_mapping(w, m, strict_keys, true);
}
