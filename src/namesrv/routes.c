#include "namesrv/routes_int.h"

#include <errno.h>
#include <stdlib.h>

/* ---- life and lock ---- */

struct routes *routes_new(const struct namesrv_conf *conf, struct kv_config *kv, struct err *err)
{
    struct routes *r = calloc(1, sizeof *r);
    if (r == NULL) {
        err_set(err, ENOMEM, "out of memory for the route tables");
        return NULL;
    }
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* A stream of lookups must not keep a registration out. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&r->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    r->conf = conf;
    r->kv = kv;
    return r;
}

static void free_topic(void *topic)
{
    struct route_topic *t = topic;
    route_topic_forget_answers(t);
    free(t->queues);
    free(t);
}

static void free_cluster(void *names)
{
    map_free(names, NULL);
    free(names);
}

static void free_mappings(void *mappings)
{
    struct route_mappings *m = mappings;
    for (size_t i = 0; i < m->count; i++)
        free(m->items[i]);
    free(m->items);
    free(m);
}

void routes_free(struct routes *r)
{
    if (r == NULL)
        return;
    map_free(&r->topics, free_topic);
    map_free(&r->brokers, route_broker_free);
    map_free(&r->clusters, free_cluster);
    map_free(&r->lives, route_live_free);
    map_free(&r->mappings, free_mappings);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}

void routes_change_begin(struct routes *r)
{
    pthread_rwlock_wrlock(&r->lock);
}

void routes_change_end(struct routes *r)
{
    routes_forget_answers(r);
    pthread_rwlock_unlock(&r->lock);
}

void routes_look_begin(struct routes *r)
{
    pthread_rwlock_rdlock(&r->lock);
}

void routes_look_end(struct routes *r)
{
    pthread_rwlock_unlock(&r->lock);
}

/* ---- registered addresses ---- */

bool route_live_key(struct buf *out, struct str cluster, struct str addr)
{
    buf_add_str(out, cluster);
    buf_add_byte(out, 0);
    buf_add_str(out, addr);
    return buf_ok(out);
}

struct route_live *route_live_find(const struct routes *r, struct str cluster, struct str addr)
{
    struct buf key = {0};
    struct route_live *live = route_live_key(&key, cluster, addr) ? map_get(&r->lives, buf_str(&key)) : NULL;
    buf_free(&key);
    return live;
}

void route_live_remove(struct routes *r, struct str cluster, struct str addr)
{
    struct buf key = {0};
    if (route_live_key(&key, cluster, addr))
        route_live_free(map_del(&r->lives, buf_str(&key)));
    buf_free(&key);
}

void route_live_free(void *live)
{
    struct route_live *l = live;
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->filter_server_count; i++)
        free(l->filter_servers[i]);
    free(l->filter_servers);
    free(l->cluster);
    free(l->addr);
    free(l->ha_addr);
    free(l);
}

/* ---- brokers ---- */

struct str route_broker_addr(const struct route_broker *b, int64_t id)
{
    struct broker_data d = route_broker_data(b);
    return broker_data_addr(&d, id);
}

void route_broker_remove_addr(struct route_broker *b, size_t index)
{
    free((void *)(uintptr_t)b->addrs[index].addr.ptr);
    b->addr_count--;
    memmove(&b->addrs[index], &b->addrs[index + 1], (b->addr_count - index) * sizeof *b->addrs);
}

void route_broker_free(void *broker)
{
    struct route_broker *b = broker;
    while (b->addr_count)
        route_broker_remove_addr(b, b->addr_count - 1);
    free(b->addrs);
    free(b->name);
    free(b->cluster);
    free(b->zone);
    free(b);
}

struct broker_data route_broker_data(const struct route_broker *b)
{
    return (struct broker_data){
        .cluster = str_from(b->cluster),
        .broker_name = str_from(b->name),
        .zone_name = str_from(b->zone),
        .enable_acting_master = b->enable_acting_master,
        .addrs = b->addrs,
        .addr_count = b->addr_count,
    };
}

struct routes_notice *route_broker_notice(const struct route_broker *b, struct arena *arena, struct str offline_addr,
                                          struct str ha_addr)
{
    struct routes_notice *n = arena_calloc(arena, sizeof *n);
    struct str *to = arena_alloc(arena, b->addr_count * sizeof *to + 1);
    if (b->addr_count == 0 || n == NULL || to == NULL)
        return NULL;
    /* A newcomer with the smallest id knows; when one went, all that are left are told. */
    size_t first = str_is_null(offline_addr) && b->addr_count > 1 ? 1 : 0;
    n->to = to;
    for (size_t i = first; i < b->addr_count; i++)
        to[n->to_count++] = arena_str(arena, b->addrs[i].addr);
    n->min_id = b->addrs[0].id;
    n->min_addr = arena_str(arena, b->addrs[0].addr);
    n->offline_addr = arena_str(arena, offline_addr);
    n->ha_addr = arena_str(arena, ha_addr);
    return n;
}

/* ---- topics ---- */

void route_topic_forget_answers(struct route_topic *t)
{
    for (int i = 0; i < ANSWER_KINDS; i++)
        free(atomic_exchange(&t->answers[i], NULL));
}

void routes_forget_answers(struct routes *r)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->topics, s));)
        route_topic_forget_answers(s->value);
}

struct route_queues *route_queues_of(const struct route_topic *t, const struct route_broker *b)
{
    for (uint32_t i = 0; i < t->queue_count; i++)
        if (t->queues[i].broker == b)
            return &t->queues[i];
    return NULL;
}

static struct route_topic *topic_of(struct routes *r, struct str name)
{
    struct route_topic *t = map_get(&r->topics, name);
    if (t)
        return t;
    t = calloc(1, sizeof *t + name.len + 1);
    if (t == NULL)
        return NULL;
    char *copy = (char *)(t + 1);
    if (name.len)
        memcpy(copy, name.ptr, name.len);
    t->name = str_make(copy, name.len);
    if (!map_put(&r->topics, name, t, NULL)) {
        free(t);
        return NULL;
    }
    return t;
}

static bool same_queues(const struct route_queues *a, const struct route_queues *b)
{
    return a->read_queue_nums == b->read_queue_nums && a->write_queue_nums == b->write_queue_nums &&
           a->perm == b->perm && a->topic_sys_flag == b->topic_sys_flag;
}

bool route_topic_put(struct routes *r, struct str topic, const struct route_queues *q)
{
    struct route_topic *t = topic_of(r, topic);
    if (t == NULL)
        return false;
    struct route_queues *known = route_queues_of(t, q->broker);
    if (known && same_queues(known, q))
        return true;
    if (known == NULL) {
        struct route_queues *more = realloc(t->queues, (t->queue_count + 1) * sizeof *more);
        if (more == NULL) {
            if (t->queue_count == 0)
                route_topic_remove(r, t);
            return false;
        }
        t->queues = more;
        known = &more[t->queue_count++];
    }
    *known = *q;
    route_topic_forget_answers(t);
    return true;
}

bool route_topic_drop(struct route_topic *t, const struct route_broker *b)
{
    struct route_queues *q = route_queues_of(t, b);
    if (q) {
        size_t behind = t->queue_count - (size_t)(q - t->queues) - 1;
        memmove(q, q + 1, behind * sizeof *q);
        t->queue_count--;
        route_topic_forget_answers(t);
    }
    return t->queue_count == 0;
}

void route_topic_remove(struct routes *r, struct route_topic *t)
{
    map_del(&r->topics, t->name);
    free_topic(t);
}

/* ---- mappings of static topics ---- */

static struct str take(char **at, struct str s)
{
    struct str copy = str_is_null(s) ? STR_NULL : str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static struct topic_queue_mapping *copy_mapping(const struct topic_queue_mapping *m)
{
    size_t ids = m->current_id_count * sizeof *m->current_ids;
    struct topic_queue_mapping *copy = malloc(sizeof *copy + ids + m->topic.len + m->scope.len + m->bname.len + 1);
    if (copy == NULL)
        return NULL;
    *copy = *m;
    copy->hosted = NULL;
    copy->hosted_count = 0;
    copy->current_ids = (struct queue_id_pair *)(copy + 1);
    if (ids)
        memcpy(copy->current_ids, m->current_ids, ids);
    char *at = (char *)copy->current_ids + ids;
    copy->topic = take(&at, m->topic);
    copy->scope = take(&at, m->scope);
    copy->bname = take(&at, m->bname);
    return copy;
}

static struct route_mappings *mappings_of(struct routes *r, struct str topic)
{
    struct route_mappings *all = map_get(&r->mappings, topic);
    if (all)
        return all;
    all = calloc(1, sizeof *all);
    if (all && !map_put(&r->mappings, topic, all, NULL)) {
        free(all);
        all = NULL;
    }
    return all;
}

bool route_mapping_put(struct routes *r, const struct topic_queue_mapping *m)
{
    struct route_mappings *all = mappings_of(r, m->topic);
    struct topic_queue_mapping *copy = all ? copy_mapping(m) : NULL;
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < all->count; i++) {
        if (str_eq(all->items[i]->bname, m->bname)) {
            free(all->items[i]);
            all->items[i] = copy;
            return true;
        }
    }
    struct topic_queue_mapping **more = realloc(all->items, (all->count + 1) * sizeof *more);
    if (more == NULL) {
        free(copy);
        return false;
    }
    all->items = more;
    more[all->count++] = copy;
    return true;
}
