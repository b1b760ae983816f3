/* Route answers: what a topic's entry and its brokers amount to, as bytes. */
#include "namesrv/routes_int.h"
#include <stdlib.h>

/* Groups whose member list is kept in step by this topic see the slaves as what they are. */
#define SYNC_BROKER_MEMBER_PREFIX STR_LIT("rmq_sys_SYNC_BROKER_MEMBER_")

/* A lost master's slave with the smallest id stands in its place, if the queues are read-only already. */
static bool act_as_master(struct arena *arena, const struct route_queues *q, struct broker_data *d)
{
    if (d->addr_count == 0 || d->addrs[0].id == ROUTE_MASTER_ID || !d->enable_acting_master ||
        (q->perm & TOPIC_PERM_WRITE))
        return true;
    struct broker_addr *addrs = arena_alloc(arena, d->addr_count * sizeof *addrs);
    if (addrs == NULL)
        return false;
    memcpy(addrs, d->addrs, d->addr_count * sizeof *addrs);
    addrs[0].id = ROUTE_MASTER_ID;
    d->addrs = addrs;
    return true;
}

static bool add_filter_servers(const struct routes *r, struct arena *arena, const struct broker_data *d,
                               struct topic_route *out)
{
    for (size_t i = 0; i < d->addr_count; i++) {
        const struct route_live *live = route_live_find(r, d->cluster, d->addrs[i].addr);
        if (live == NULL || live->filter_server_count == 0)
            continue;
        struct filter_servers *more = arena_alloc(arena, (out->filter_count + 1) * sizeof *more);
        struct str *servers = arena_alloc(arena, live->filter_server_count * sizeof *servers);
        if (more == NULL || servers == NULL)
            return false;
        for (size_t k = 0; k < live->filter_server_count; k++)
            servers[k] = str_from(live->filter_servers[k]);
        if (out->filter_count)
            memcpy(more, out->filters, out->filter_count * sizeof *more);
        more[out->filter_count++] = (struct filter_servers){d->addrs[i].addr, servers, live->filter_server_count};
        out->filters = more;
    }
    return true;
}

/* master down: consume from its slave wherever it is */
static bool in_zone(const struct broker_data *d, struct str zone)
{
    return str_is_null(broker_data_master(d)) || (!str_is_null(d->zone_name) && str_ieq(d->zone_name, zone));
}

static bool collect_mappings(const struct routes *r, struct arena *arena, struct str topic, struct topic_route *out)
{
    const struct route_mappings *all = map_get(&r->mappings, topic);
    if (all == NULL)
        return true;
    out->has_mappings = true;
    out->mappings = arena_alloc(arena, all->count * sizeof *out->mappings + 1);
    if (out->mappings == NULL)
        return false;
    for (; out->mapping_count < all->count; out->mapping_count++)
        out->mappings[out->mapping_count] = *all->items[out->mapping_count];
    return true;
}

static bool collect(const struct routes *r, struct arena *arena, const struct route_topic *t, struct str zone,
                    struct topic_route *out)
{
    bool acting = r->conf->supportActingMaster && !str_starts(t->name, SYNC_BROKER_MEMBER_PREFIX);
    *out = (struct topic_route){
        .queues = arena_alloc(arena, t->queue_count * sizeof *out->queues),
        .brokers = arena_alloc(arena, t->queue_count * sizeof *out->brokers),
    };
    if (out->queues == NULL || out->brokers == NULL)
        return false;
    for (uint32_t i = 0; i < t->queue_count; i++) {
        const struct route_queues *q = &t->queues[i];
        struct broker_data d = route_broker_data(q->broker);
        if (acting && !act_as_master(arena, q, &d))
            return false;
        if (!str_is_null(zone) && !in_zone(&d, zone))
            continue;
        out->queues[out->queue_count++] =
            (struct queue_data){d.broker_name, q->read_queue_nums, q->write_queue_nums, q->perm, q->topic_sys_flag};
        out->brokers[out->broker_count++] = d;
        if (!add_filter_servers(r, arena, &d, out))
            return false;
    }
    if (r->conf->orderMessageEnable)
        out->order_topic_conf = kv_config_get(r->kv, arena, KV_NAMESPACE_ORDER, t->name);
    return collect_mappings(r, arena, t->name, out);
}

static bool encode(const struct routes *r, struct arena *arena, const struct route_topic *t, bool strict,
                   struct str zone, struct buf *out)
{
    struct topic_route route;
    struct jw w;
    if (!collect(r, arena, t, zone, &route))
        return false;
    jw_init(&w, out);
    w.escape_non_ascii = strict;
    topic_route_write(&w, &route, strict);
    return buf_ok(out);
}

/* Encodes the answer and keeps it, unless another thread was faster. Changes wait for the lock meanwhile. */
static struct route_answer *make_answer(const struct routes *r, struct arena *arena, struct route_topic *t, bool strict)
{
    struct buf text = {0};
    struct route_answer *made = NULL, *other = NULL;
    if (encode(r, arena, t, strict, STR_NULL, &text) && (made = malloc(sizeof *made + text.len))) {
        made->len = text.len;
        memcpy(made->data, text.data, text.len);
        if (!atomic_compare_exchange_strong(&t->answers[strict ? ANSWER_STRICT : ANSWER_FASTJSON], &other, made)) {
            free(made);
            made = other;
        }
    }
    buf_free(&text);
    return made;
}

static struct str answer_of_zone(const struct routes *r, struct arena *arena, const struct route_topic *t,
                                 struct str zone)
{
    struct buf text = {0};
    struct str answer = STR_NULL;
    if (encode(r, arena, t, false, zone, &text))
        answer = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return answer;
}

struct str routes_answer(struct routes *r, struct arena *arena, struct str topic, bool strict, struct str zone)
{
    struct str answer = STR_NULL;
    pthread_rwlock_rdlock(&r->lock);
    struct route_topic *t = map_get(&r->topics, topic);
    if (t && !str_is_null(zone)) {
        answer = answer_of_zone(r, arena, t, zone);
    } else if (t) {
        struct route_answer *a = atomic_load(&t->answers[strict ? ANSWER_STRICT : ANSWER_FASTJSON]);
        if (a == NULL)
            a = make_answer(r, arena, t, strict);
        if (a)
            answer = str_make(a->data, a->len);
    }
    if (str_is_null(answer))
        pthread_rwlock_unlock(&r->lock);
    return answer;
}

void routes_answer_done(struct routes *r)
{
    pthread_rwlock_unlock(&r->lock);
}
