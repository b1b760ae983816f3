/* Brokers leave, topics are deleted, write permission is given and taken. */
#include "base/log.h"
#include "namesrv/routes_int.h"
#include "os/clock.h"
#include <stdlib.h>

static bool is_expired(const struct route_live *l, int64_t now)
{
    return atomic_load(&l->last_update_ms) + l->timeout_ms < now;
}

/* A broker that came back meanwhile stays. */
static bool still_leaves(const struct routes *r, const struct routes_leaving *l)
{
    if (l->why == ROUTES_LEAVE_ASKED)
        return true;
    const struct route_live *live = route_live_find(r, l->cluster, l->addr);
    if (live == NULL)
        return false;
    return l->why == ROUTES_LEAVE_CLOSED ? net_ref_eq(live->conn, l->conn) : is_expired(live, clock_mono_ms());
}

static void leave_cluster(struct routes *r, struct str cluster, struct str broker_name)
{
    struct map *names = map_get(&r->clusters, cluster);
    if (names == NULL)
        return;
    map_del(names, broker_name);
    if (names->count == 0) {
        map_del(&r->clusters, cluster);
        map_free(names, NULL);
        free(names);
    }
}

static struct routes_notice *remove_one(struct routes *r, struct arena *arena, const struct routes_leaving *l)
{
    struct route_broker *b = map_get(&r->brokers, l->broker_name);
    route_live_remove(r, l->cluster, l->addr);
    if (b == NULL)
        return NULL;
    bool smallest_left = b->addr_count && b->addrs[0].id == l->broker_id;
    for (size_t i = b->addr_count; i-- > 0;)
        if (str_eq(b->addrs[i].addr, l->addr))
            route_broker_remove_addr(b, i);
    b->removed = b->addr_count == 0;
    b->masterless = !b->removed && b->enable_acting_master && b->addrs[0].id != ROUTE_MASTER_ID;
    if (b->removed)
        leave_cluster(r, l->cluster, l->broker_name);
    if (b->removed || !smallest_left || !r->conf->notifyMinBrokerIdChanged || !b->enable_acting_master)
        return NULL;
    return route_broker_notice(b, arena, l->addr, STR_NULL);
}

static void clean_topic(struct route_topic *t)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->queue_count; i++) {
        struct route_queues q = t->queues[i];
        if (q.broker->removed)
            continue;
        if (q.broker->masterless)
            q.perm &= ~TOPIC_PERM_WRITE;
        t->queues[kept++] = q;
    }
    t->queue_count = kept;
}

static void clean_topics(struct routes *r)
{
    struct route_topic *gone = NULL;
    for (struct map_slot *s = NULL; (s = map_next(&r->topics, s));) {
        struct route_topic *t = s->value;
        clean_topic(t);
        route_topic_forget_answers(t);
        if (t->queue_count == 0) {
            t->next_gone = gone;
            gone = t;
        }
    }
    while (gone) {
        struct route_topic *t = gone;
        gone = t->next_gone;
        route_topic_remove(r, t);
    }
}

static void free_if_removed(struct routes *r, struct str broker_name)
{
    struct route_broker *b = map_get(&r->brokers, broker_name);
    if (b == NULL)
        return;
    b->masterless = false;
    if (b->removed) {
        map_del(&r->brokers, broker_name);
        route_broker_free(b);
    }
}

struct routes_notice *routes_unregister(struct routes *r, struct arena *arena, const struct routes_leaving *leaving,
                                        size_t count)
{
    struct routes_notice *notices = NULL;
    size_t left = 0;
    pthread_rwlock_wrlock(&r->lock);
    for (size_t i = 0; i < count; i++) {
        if (!still_leaves(r, &leaving[i]))
            continue;
        struct routes_notice *n = remove_one(r, arena, &leaving[i]);
        left++;
        LOG(LOG_INFO, "namesrv", "broker %.*s of cluster %.*s left: %.*s", STR_ARG(leaving[i].broker_name),
            STR_ARG(leaving[i].cluster), STR_ARG(leaving[i].addr));
        if (n) {
            n->next = notices;
            notices = n;
        }
    }
    if (left) {
        clean_topics(r);
        for (size_t i = 0; i < count; i++)
            free_if_removed(r, leaving[i].broker_name);
    }
    pthread_rwlock_unlock(&r->lock);
    return notices;
}

/* ---- who is to leave ---- */

static bool name_of(const struct routes *r, const struct route_live *l, struct routes_leaving *out)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->brokers, s));) {
        const struct route_broker *b = s->value;
        for (size_t i = 0; i < b->addr_count; i++) {
            if (!str_eqz(b->addrs[i].addr, l->addr) || strcmp(b->cluster, l->cluster) != 0)
                continue;
            out->broker_name = str_from(b->name);
            out->broker_id = b->addrs[i].id;
            return true;
        }
    }
    return false;
}

static void report(const struct routes *r, const struct route_live *l, enum routes_leave why, routes_leaving_fn fn,
                   void *arg)
{
    struct routes_leaving leaving = {
        .why = why, .cluster = str_from(l->cluster), .addr = str_from(l->addr), .conn = l->conn};
    if (name_of(r, l, &leaving))
        fn(arg, &leaving);
}

void routes_each_of_conn(struct routes *r, struct net_ref conn, routes_leaving_fn fn, void *arg)
{
    pthread_rwlock_rdlock(&r->lock);
    for (struct map_slot *s = NULL; (s = map_next(&r->lives, s));) {
        const struct route_live *l = s->value;
        if (net_ref_eq(l->conn, conn))
            report(r, l, ROUTES_LEAVE_CLOSED, fn, arg);
    }
    pthread_rwlock_unlock(&r->lock);
}

void routes_each_expired(struct routes *r, routes_leaving_fn fn, void *arg)
{
    int64_t now = clock_mono_ms();
    pthread_rwlock_rdlock(&r->lock);
    for (struct map_slot *s = NULL; (s = map_next(&r->lives, s));) {
        const struct route_live *l = s->value;
        if (is_expired(l, now))
            report(r, l, ROUTES_LEAVE_EXPIRED, fn, arg);
    }
    pthread_rwlock_unlock(&r->lock);
}

/* ---- what admin tools change ---- */

int32_t routes_set_write_perm(struct routes *r, struct str broker_name, bool writable)
{
    int32_t topics = 0;
    pthread_rwlock_wrlock(&r->lock);
    const struct route_broker *b = map_get(&r->brokers, broker_name);
    for (struct map_slot *s = NULL; b && (s = map_next(&r->topics, s));) {
        struct route_queues *q = route_queues_of(s->value, b);
        if (q == NULL)
            continue;
        q->perm = writable ? TOPIC_PERM_READ | TOPIC_PERM_WRITE : q->perm & ~TOPIC_PERM_WRITE;
        route_topic_forget_answers(s->value);
        topics++;
    }
    pthread_rwlock_unlock(&r->lock);
    return topics;
}

void routes_delete_topic(struct routes *r, struct str topic, struct str cluster)
{
    pthread_rwlock_wrlock(&r->lock);
    struct route_topic *t = map_get(&r->topics, topic);
    const struct map *names = map_get(&r->clusters, cluster);
    if (t && cluster.len == 0) {
        route_topic_remove(r, t);
    } else if (t && names) {
        for (uint32_t i = t->queue_count; i-- > 0;)
            if (map_get(names, str_from(t->queues[i].broker->name)))
                route_topic_drop(t, t->queues[i].broker);
        if (t->queue_count == 0)
            route_topic_remove(r, t);
    }
    pthread_rwlock_unlock(&r->lock);
}

bool routes_register_topic(struct routes *r, struct str topic, const struct queue_data *queues, size_t count)
{
    size_t known = 0;
    bool good = true;
    pthread_rwlock_wrlock(&r->lock);
    while (known < count && map_get(&r->brokers, queues[known].broker_name))
        known++;
    /* A broker nobody knows ends the list; of a new topic nothing is taken then. */
    if (known < count && map_get(&r->topics, topic) == NULL)
        known = 0;
    for (size_t i = 0; i < known && good; i++) {
        const struct queue_data *d = &queues[i];
        struct route_queues q = {map_get(&r->brokers, d->broker_name), d->read_queue_nums, d->write_queue_nums, d->perm,
                                 d->topic_sys_flag};
        good = route_topic_put(r, topic, &q);
    }
    pthread_rwlock_unlock(&r->lock);
    return good;
}
