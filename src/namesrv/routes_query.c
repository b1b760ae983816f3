/* What tools ask about brokers and topics. */
#include "namesrv/routes_int.h"
#include "remoting/body/topic_list.h"

static void write_list(struct buf *out, const struct topic_list *list)
{
    struct jw w;
    jw_init(&w, out);
    topic_list_write(&w, list);
}

/* ---- brokers ---- */

static bool collect_clusters(const struct routes *r, struct arena *arena, struct cluster_info *out)
{
    out->brokers = arena_alloc(arena, r->brokers.count * sizeof *out->brokers + 1);
    out->clusters = arena_calloc(arena, r->clusters.count * sizeof *out->clusters + 1);
    if (out->brokers == NULL || out->clusters == NULL)
        return false;
    for (struct map_slot *s = NULL; (s = map_next(&r->brokers, s));)
        out->brokers[out->broker_count++] = route_broker_data(s->value);
    for (struct map_slot *s = NULL; (s = map_next(&r->clusters, s));) {
        const struct map *names = s->value;
        struct cluster_brokers *c = &out->clusters[out->cluster_count++];
        c->cluster = s->key;
        c->broker_names = arena_alloc(arena, names->count * sizeof *c->broker_names + 1);
        if (c->broker_names == NULL)
            return false;
        for (struct map_slot *n = NULL; (n = map_next(names, n));)
            c->broker_names[c->broker_name_count++] = n->key;
    }
    return true;
}

void routes_write_cluster_info(struct routes *r, struct arena *arena, struct buf *out)
{
    struct cluster_info info = {0};
    struct jw w;
    pthread_rwlock_rdlock(&r->lock);
    jw_init(&w, out);
    if (collect_clusters(r, arena, &info))
        cluster_info_write(&w, &info);
    else
        out->failed = true;
    pthread_rwlock_unlock(&r->lock);
}

void routes_write_member_group(struct routes *r, struct str cluster, struct str broker_name, struct buf *out)
{
    struct broker_data group = {0};
    struct jw w;
    pthread_rwlock_rdlock(&r->lock);
    const struct route_broker *b = map_get(&r->brokers, broker_name);
    if (b)
        group = route_broker_data(b);
    group.cluster = cluster;
    group.broker_name = broker_name;
    jw_init(&w, out);
    broker_member_group_write(&w, &group);
    pthread_rwlock_unlock(&r->lock);
}

/* ---- topics ---- */

static bool is_wanted(const struct route_topic *t, enum routes_topics which)
{
    int32_t flag = t->queue_count ? t->queues[0].topic_sys_flag : 0;
    switch (which) {
    case ROUTES_UNIT:
        return flag & TOPIC_FLAG_UNIT;
    case ROUTES_UNIT_SUB:
        return flag & TOPIC_FLAG_UNIT_SUB;
    case ROUTES_UNIT_SUB_NOT_UNIT:
        return (flag & TOPIC_FLAG_UNIT_SUB) && !(flag & TOPIC_FLAG_UNIT);
    default:
        return true;
    }
}

void routes_write_topics(struct routes *r, struct arena *arena, enum routes_topics which, struct buf *out)
{
    struct topic_list list = {0};
    pthread_rwlock_rdlock(&r->lock);
    list.topics = arena_alloc(arena, r->topics.count * sizeof *list.topics + 1);
    for (struct map_slot *s = NULL; list.topics && (s = map_next(&r->topics, s));)
        if (is_wanted(s->value, which))
            list.topics[list.topic_count++] = s->key;
    write_list(out, &list);
    out->failed |= list.topics == NULL;
    pthread_rwlock_unlock(&r->lock);
}

static bool is_in_cluster(const struct route_topic *t, const struct map *broker_names)
{
    for (uint32_t i = 0; i < t->queue_count; i++)
        if (map_get(broker_names, str_from(t->queues[i].broker->name)))
            return true;
    return false;
}

void routes_write_topics_of_cluster(struct routes *r, struct arena *arena, struct str cluster, struct buf *out)
{
    struct topic_list list = {0};
    pthread_rwlock_rdlock(&r->lock);
    const struct map *names = map_get(&r->clusters, cluster);
    list.topics = arena_alloc(arena, r->topics.count * sizeof *list.topics + 1);
    for (struct map_slot *s = NULL; names && list.topics && (s = map_next(&r->topics, s));)
        if (is_in_cluster(s->value, names))
            list.topics[list.topic_count++] = s->key;
    write_list(out, &list);
    out->failed |= list.topics == NULL;
    pthread_rwlock_unlock(&r->lock);
}

void routes_write_system_names(struct routes *r, struct arena *arena, struct buf *out)
{
    struct topic_list list = {0};
    pthread_rwlock_rdlock(&r->lock);
    size_t count = r->clusters.count;
    for (struct map_slot *s = NULL; (s = map_next(&r->clusters, s));)
        count += ((const struct map *)s->value)->count;
    list.topics = arena_alloc(arena, count * sizeof *list.topics + 1);
    for (struct map_slot *s = NULL; list.topics && (s = map_next(&r->clusters, s));) {
        list.topics[list.topic_count++] = s->key;
        for (struct map_slot *n = NULL; (n = map_next(s->value, n));)
            list.topics[list.topic_count++] = n->key;
    }
    for (struct map_slot *s = NULL; str_is_null(list.broker_addr) && (s = map_next(&r->brokers, s));) {
        struct broker_data b = route_broker_data(s->value);
        list.broker_addr = broker_data_select(&b);
    }
    write_list(out, &list);
    out->failed |= list.topics == NULL;
    pthread_rwlock_unlock(&r->lock);
}
