#include "remoting/body/route.h"

#include "remoting/body/body_read.h"
#include <stdlib.h>

/* ---- QueueData ---- */

bool queue_data_read(const struct json *json, struct queue_data *out)
{
    *out = (struct queue_data){
        .broker_name = json_str(json, "brokerName"),
        .read_queue_nums = body_i32(json, "readQueueNums", 0),
        .write_queue_nums = body_i32(json, "writeQueueNums", 0),
        .perm = body_i32(json, "perm", 0),
        .topic_sys_flag = body_i32(json, "topicSysFlag", 0),
    };
    return body_is_object(json);
}

void queue_data_write(struct jw *w, const struct queue_data *q)
{
    jw_begin_object(w);
    jw_kstr(w, "brokerName", q->broker_name);
    jw_ki64(w, "perm", q->perm);
    jw_ki64(w, "readQueueNums", q->read_queue_nums);
    jw_ki64(w, "topicSysFlag", q->topic_sys_flag);
    jw_ki64(w, "writeQueueNums", q->write_queue_nums);
    jw_end_object(w);
}

/* ---- BrokerData ---- */

static int by_id(const void *a, const void *b)
{
    const struct broker_addr *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool read_addrs(struct arena *arena, const struct json *map, struct broker_data *out)
{
    if (!body_is_object(map))
        return true;
    if (!body_array(arena, map, sizeof *out->addrs, &out->addrs))
        return false;
    JSON_EACH(member, map)
    if (member->kind != JSON_NULL)
        out->addrs[out->addr_count++] = (struct broker_addr){json_int(member->key, 0), json_text(member)};
    if (out->addr_count)
        qsort(out->addrs, out->addr_count, sizeof *out->addrs, by_id);
    return true;
}

bool broker_data_read(struct arena *arena, const struct json *json, struct broker_data *out)
{
    *out = (struct broker_data){
        .cluster = json_str(json, "cluster"),
        .broker_name = json_str(json, "brokerName"),
        .zone_name = json_str(json, "zoneName"),
        .enable_acting_master = json_bool(json, "enableActingMaster", false),
    };
    return body_is_object(json) && read_addrs(arena, json_get(json, "brokerAddrs"), out);
}

static void write_addrs(struct jw *w, const struct broker_data *b, bool strict)
{
    jw_kobject(w, "brokerAddrs");
    for (size_t i = 0; i < b->addr_count; i++) {
        jw_key_i64(w, b->addrs[i].id, strict);
        jw_str(w, b->addrs[i].addr);
    }
    jw_end_object(w);
}

void broker_data_write(struct jw *w, const struct broker_data *b, bool strict)
{
    jw_begin_object(w);
    write_addrs(w, b, strict);
    jw_kstr(w, "brokerName", b->broker_name);
    jw_kstr(w, "cluster", b->cluster);
    jw_kbool(w, "enableActingMaster", b->enable_acting_master);
    jw_kstr(w, "zoneName", b->zone_name);
    jw_end_object(w);
}

struct str broker_data_addr(const struct broker_data *b, int64_t id)
{
    for (size_t i = 0; i < b->addr_count; i++)
        if (b->addrs[i].id == id)
            return b->addrs[i].addr;
    return STR_NULL;
}

struct str broker_data_master(const struct broker_data *b)
{
    return broker_data_addr(b, ROUTE_MASTER_ID);
}

struct str broker_data_select(const struct broker_data *b)
{
    struct str master = broker_data_master(b);
    return !str_is_null(master) || b->addr_count == 0 ? master : b->addrs[0].addr;
}

/* ---- TopicRouteData ---- */

static bool read_queues(struct arena *arena, const struct json *list, struct topic_route *out)
{
    if (!body_array(arena, list, sizeof *out->queues, &out->queues))
        return false;
    JSON_EACH(item, list)
    out->queue_count += queue_data_read(item, &out->queues[out->queue_count]);
    return true;
}

static bool read_brokers(struct arena *arena, const struct json *list, struct topic_route *out)
{
    if (!body_array(arena, list, sizeof *out->brokers, &out->brokers))
        return false;
    JSON_EACH(item, list)
    {
        if (!body_is_object(item))
            continue;
        if (!broker_data_read(arena, item, &out->brokers[out->broker_count++]))
            return false;
    }
    return true;
}

static bool read_filters(struct arena *arena, const struct json *map, struct topic_route *out)
{
    if (!body_is_object(map))
        return true;
    if (!body_array(arena, map, sizeof *out->filters, &out->filters))
        return false;
    JSON_EACH(member, map)
    {
        struct filter_servers *f = &out->filters[out->filter_count++];
        f->broker_addr = json_text(member->key);
        if (!body_read_texts(arena, member, &f->servers, &f->server_count))
            return false;
    }
    return true;
}

static bool read_mappings(struct arena *arena, const struct json *map, struct topic_route *out)
{
    out->has_mappings = body_is_object(map);
    if (!out->has_mappings)
        return true;
    if (!body_array(arena, map, sizeof *out->mappings, &out->mappings))
        return false;
    JSON_EACH(member, map)
    {
        struct topic_queue_mapping *m = &out->mappings[out->mapping_count];
        if (!body_is_object(member))
            continue;
        if (!topic_queue_mapping_read(arena, member, m))
            return false;
        if (str_is_null(m->bname))
            m->bname = json_text(member->key);
        out->mapping_count++;
    }
    return true;
}

bool topic_route_read(struct arena *arena, const struct json *json, struct topic_route *out)
{
    *out = (struct topic_route){.order_topic_conf = json_str(json, "orderTopicConf")};
    return body_is_object(json) && read_queues(arena, json_get(json, "queueDatas"), out) &&
           read_brokers(arena, json_get(json, "brokerDatas"), out) &&
           read_filters(arena, json_get(json, "filterServerTable"), out) &&
           read_mappings(arena, json_get(json, "topicQueueMappingByBroker"), out);
}

void topic_route_write(struct jw *w, const struct topic_route *r, bool strict)
{
    jw_begin_object(w);
    jw_karray(w, "brokerDatas");
    for (size_t i = 0; i < r->broker_count; i++)
        broker_data_write(w, &r->brokers[i], strict);
    jw_end_array(w);
    jw_kobject(w, "filterServerTable");
    for (size_t i = 0; i < r->filter_count; i++) {
        jw_key(w, r->filters[i].broker_addr);
        jw_begin_array(w);
        for (size_t k = 0; k < r->filters[i].server_count; k++)
            jw_str(w, r->filters[i].servers[k]);
        jw_end_array(w);
    }
    jw_end_object(w);
    jw_kstr(w, "orderTopicConf", r->order_topic_conf);
    jw_karray(w, "queueDatas");
    for (size_t i = 0; i < r->queue_count; i++)
        queue_data_write(w, &r->queues[i]);
    jw_end_array(w);
    if (r->has_mappings) {
        jw_kobject(w, "topicQueueMappingByBroker");
        for (size_t i = 0; i < r->mapping_count; i++) {
            jw_key(w, r->mappings[i].bname);
            topic_queue_mapping_info_write(w, &r->mappings[i], strict);
        }
        jw_end_object(w);
    }
    jw_end_object(w);
}
