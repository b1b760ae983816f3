#include "remoting/body/body_read.h"
#include "remoting/body/route.h"

static bool read_brokers(struct arena *arena, const struct json *map, struct cluster_info *out)
{
    if (!body_is_object(map))
        return true;
    if (!body_array(arena, map, sizeof *out->brokers, &out->brokers))
        return false;
    JSON_EACH(member, map)
    {
        struct broker_data *b = &out->brokers[out->broker_count];
        if (!body_is_object(member))
            continue;
        if (!broker_data_read(arena, member, b))
            return false;
        if (str_is_null(b->broker_name))
            b->broker_name = json_text(member->key);
        out->broker_count++;
    }
    return true;
}

static bool read_clusters(struct arena *arena, const struct json *map, struct cluster_info *out)
{
    if (!body_is_object(map))
        return true;
    if (!body_array(arena, map, sizeof *out->clusters, &out->clusters))
        return false;
    JSON_EACH(member, map)
    {
        struct cluster_brokers *c = &out->clusters[out->cluster_count++];
        c->cluster = json_text(member->key);
        if (!body_read_texts(arena, member, &c->broker_names, &c->broker_name_count))
            return false;
    }
    return true;
}

bool cluster_info_read(struct arena *arena, const struct json *json, struct cluster_info *out)
{
    *out = (struct cluster_info){0};
    return body_is_object(json) && read_brokers(arena, json_get(json, "brokerAddrTable"), out) &&
           read_clusters(arena, json_get(json, "clusterAddrTable"), out);
}

void cluster_info_write(struct jw *w, const struct cluster_info *c)
{
    jw_begin_object(w);
    jw_kobject(w, "brokerAddrTable");
    for (size_t i = 0; i < c->broker_count; i++) {
        jw_key(w, c->brokers[i].broker_name);
        broker_data_write(w, &c->brokers[i], false);
    }
    jw_end_object(w);
    jw_kobject(w, "clusterAddrTable");
    for (size_t i = 0; i < c->cluster_count; i++) {
        jw_key(w, c->clusters[i].cluster);
        jw_begin_array(w);
        for (size_t k = 0; k < c->clusters[i].broker_name_count; k++)
            jw_str(w, c->clusters[i].broker_names[k]);
        jw_end_array(w);
    }
    jw_end_object(w);
    jw_end_object(w);
}

const struct broker_data *cluster_info_broker(const struct cluster_info *c, struct str broker_name)
{
    for (size_t i = 0; i < c->broker_count; i++)
        if (str_eq(c->brokers[i].broker_name, broker_name))
            return &c->brokers[i];
    return NULL;
}

bool broker_member_group_read(struct arena *arena, const struct json *json, struct broker_data *out)
{
    return broker_data_read(arena, json_get(json, "brokerMemberGroup"), out);
}

void broker_member_group_write(struct jw *w, const struct broker_data *group)
{
    jw_begin_object(w);
    jw_kobject(w, "brokerMemberGroup");
    jw_kobject(w, "brokerAddrs");
    for (size_t i = 0; i < group->addr_count; i++) {
        jw_key_i64(w, group->addrs[i].id, false);
        jw_str(w, group->addrs[i].addr);
    }
    jw_end_object(w);
    jw_kstr(w, "brokerName", group->broker_name);
    jw_kstr(w, "cluster", group->cluster);
    jw_end_object(w);
    jw_end_object(w);
}
