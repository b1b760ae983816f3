/* REGISTER_BROKER: what a broker tells about itself and its topics goes into the tables. */
#include "namesrv/routes_int.h"
#include "os/clock.h"
#include <stdlib.h>

enum { DEFAULT_TIMEOUT_MS = 120000 };

static const struct broker_addr *addr_of_id(const struct route_broker *b, int64_t id)
{
    for (size_t i = 0; i < b->addr_count; i++)
        if (b->addrs[i].id == id)
            return &b->addrs[i];
    return NULL;
}

/* A slave is the prime one when no smaller id is registered: then it speaks for the topics of the group. */
static bool is_prime_slave(const struct route_broker *b, const struct routes_registration *in)
{
    return in->new_version && in->broker_id != ROUTE_MASTER_ID && b->addr_count && b->addrs[0].id == in->broker_id;
}

static bool speaks_for_topics(const struct route_broker *b, const struct routes_registration *in)
{
    return in->broker_id == ROUTE_MASTER_ID || is_prime_slave(b, in);
}

/* A slave learns where its master is. */
static void tell_master(struct routes *r, struct arena *arena, const struct route_broker *b,
                        const struct routes_registration *in, struct routes_register_result *out)
{
    if (in->broker_id == ROUTE_MASTER_ID)
        return;
    struct str master = route_broker_addr(b, ROUTE_MASTER_ID);
    const struct route_live *live = str_is_null(master) ? NULL : route_live_find(r, in->cluster, master);
    if (live == NULL)
        return;
    out->master_addr = arena_str(arena, master);
    out->ha_addr = arena_str(arena, str_from(live->ha_addr));
}

/* ---- nothing new ---- */

static bool same_text(const char *known, struct str given)
{
    return (known == NULL) == str_is_null(given) && str_eq(str_from(known), given);
}

static bool same_filter_servers(const struct route_live *l, const struct register_broker_body *body)
{
    if (!body->has_filter_servers)
        return true;
    if (l->filter_server_count != body->filter_server_count)
        return false;
    for (size_t i = 0; i < l->filter_server_count; i++)
        if (!same_text(l->filter_servers[i], body->filter_servers[i]))
            return false;
    return true;
}

static int64_t timeout_of(const struct routes_registration *in)
{
    return in->heartbeat_timeout_ms < 0 ? DEFAULT_TIMEOUT_MS : in->heartbeat_timeout_ms;
}

static bool same_broker(const struct routes *r, const struct route_broker *b, const struct routes_registration *in)
{
    const struct broker_addr *a = addr_of_id(b, in->broker_id);
    const struct map *names = map_get(&r->clusters, in->cluster);
    if (a == NULL || !str_eq(a->addr, in->addr) || !same_text(b->zone, in->zone) ||
        b->enable_acting_master != in->enable_acting_master || names == NULL || !map_get(names, in->broker_name))
        return false;
    for (size_t i = 0; i < b->addr_count; i++)
        if (&b->addrs[i] != a && str_eq(b->addrs[i].addr, in->addr))
            return false;
    return true;
}

static bool knows_topics(const struct routes *r, const struct route_broker *b, const struct routes_registration *in)
{
    const struct topic_config_wrapper *topics = &in->body->topics;
    if (!speaks_for_topics(b, in))
        return true;
    if (r->conf->deleteTopicWithBrokerRegistration)
        return false;
    for (size_t i = 0; i < topics->topic_count; i++) {
        const struct route_topic *t = map_get(&r->topics, topics->topics[i].name);
        if (t == NULL || route_queues_of(t, b) == NULL)
            return false;
    }
    return true;
}

/* The usual registration every 30 s is a sign of life and nothing else: done with the lock shared. */
static bool register_unchanged(struct routes *r, struct arena *arena, const struct routes_registration *in,
                               struct routes_register_result *out)
{
    pthread_rwlock_rdlock(&r->lock);
    const struct route_broker *b = map_get(&r->brokers, in->broker_name);
    struct route_live *live = b ? route_live_find(r, in->cluster, in->addr) : NULL;
    bool same = live && data_version_eq(&live->version, &in->body->topics.data_version) &&
                net_ref_eq(live->conn, in->conn) && live->timeout_ms == timeout_of(in) &&
                same_text(live->ha_addr, in->ha_addr) && same_filter_servers(live, in->body) && same_broker(r, b, in) &&
                knows_topics(r, b, in);
    if (same) {
        atomic_store(&live->last_update_ms, clock_mono_ms());
        tell_master(r, arena, b, in, out);
    }
    pthread_rwlock_unlock(&r->lock);
    return same;
}

/* ---- the broker ---- */

static bool set_text(char **at, struct str text)
{
    char *copy = str_is_null(text) ? NULL : str_dupz(text);
    if (copy == NULL && !str_is_null(text))
        return false;
    free(*at);
    *at = copy;
    return true;
}

static bool join_cluster(struct routes *r, const struct routes_registration *in)
{
    struct map *names = map_get(&r->clusters, in->cluster);
    if (names == NULL) {
        names = calloc(1, sizeof *names);
        if (names == NULL || !map_put(&r->clusters, in->cluster, names, NULL)) {
            free(names);
            return false;
        }
    }
    return map_put(names, in->broker_name, names, NULL);
}

static struct route_broker *new_broker(struct routes *r, const struct routes_registration *in)
{
    struct route_broker *b = calloc(1, sizeof *b);
    if (b && set_text(&b->name, in->broker_name) && set_text(&b->cluster, in->cluster) &&
        map_put(&r->brokers, in->broker_name, b, NULL))
        return b;
    if (b)
        route_broker_free(b);
    return NULL;
}

/* One id an address: a slave that became master leaves its old id. */
static void leave_other_ids(struct route_broker *b, const struct routes_registration *in)
{
    for (size_t i = b->addr_count; i-- > 0;)
        if (b->addrs[i].id != in->broker_id && str_eq(b->addrs[i].addr, in->addr))
            route_broker_remove_addr(b, i);
}

static bool put_addr(struct route_broker *b, int64_t id, struct str addr)
{
    size_t at = 0;
    char *copy = str_dupz(addr);
    struct broker_addr *more = copy ? realloc(b->addrs, (b->addr_count + 1) * sizeof *more) : NULL;
    if (more == NULL) {
        free(copy);
        return false;
    }
    b->addrs = more;
    while (at < b->addr_count && more[at].id < id)
        at++;
    if (at < b->addr_count && more[at].id == id) {
        free((void *)(uintptr_t)more[at].addr.ptr);
    } else {
        memmove(&more[at + 1], &more[at], (b->addr_count - at) * sizeof *more);
        b->addr_count++;
    }
    more[at] = (struct broker_addr){id, str_make(copy, addr.len)};
    return true;
}

/* ---- its topics ---- */

static void drop_missing_topics(struct routes *r, const struct route_broker *b,
                                const struct topic_config_wrapper *topics)
{
    struct route_topic *gone = NULL;
    r->mark++;
    for (size_t i = 0; i < topics->topic_count; i++) {
        struct route_topic *t = map_get(&r->topics, topics->topics[i].name);
        if (t)
            t->mark = r->mark;
    }
    for (struct map_slot *s = NULL; (s = map_next(&r->topics, s));) {
        struct route_topic *t = s->value;
        if (t->mark != r->mark && route_queues_of(t, b) && route_topic_drop(t, b)) {
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

static bool put_topics(struct routes *r, struct route_broker *b, const struct routes_registration *in, bool changed)
{
    const struct topic_config_wrapper *topics = &in->body->topics;
    bool read_only = is_prime_slave(b, in) && b->enable_acting_master;
    if (r->conf->deleteTopicWithBrokerRegistration && topics->mapping_info_count == 0)
        drop_missing_topics(r, b, topics);
    for (size_t i = 0; i < topics->topic_count; i++) {
        const struct topic_config *c = &topics->topics[i];
        const struct route_topic *known = changed ? NULL : map_get(&r->topics, c->name);
        if (known && route_queues_of(known, b))
            continue;
        struct route_queues q = {b, c->read_queue_nums, c->write_queue_nums,
                                 read_only ? c->perm & ~TOPIC_PERM_WRITE : c->perm, c->topic_sys_flag};
        if (!route_topic_put(r, c->name, &q))
            return false;
    }
    for (size_t i = 0; changed && i < topics->mapping_info_count; i++) {
        if (!route_mapping_put(r, &topics->mapping_infos[i]))
            return false;
        struct route_topic *t = map_get(&r->topics, topics->mapping_infos[i].topic);
        if (t)
            route_topic_forget_answers(t);
    }
    return true;
}

/* ---- its address ---- */

static struct route_live *live_of(struct routes *r, const struct routes_registration *in)
{
    struct route_live *live = route_live_find(r, in->cluster, in->addr);
    if (live)
        return live;
    struct buf key = {0};
    live = calloc(1, sizeof *live);
    bool good = live && route_live_key(&key, in->cluster, in->addr) && set_text(&live->cluster, in->cluster) &&
                set_text(&live->addr, in->addr) && map_put(&r->lives, buf_str(&key), live, NULL);
    buf_free(&key);
    if (!good) {
        route_live_free(live);
        return NULL;
    }
    return live;
}

static bool set_filter_servers(struct routes *r, struct route_live *l, const struct register_broker_body *body)
{
    if (same_filter_servers(l, body))
        return true;
    char **servers = calloc(body->filter_server_count + 1, sizeof *servers);
    if (servers == NULL)
        return false;
    for (size_t i = 0; i < l->filter_server_count; i++)
        free(l->filter_servers[i]);
    free(l->filter_servers);
    l->filter_servers = servers;
    l->filter_server_count = 0;
    for (; l->filter_server_count < body->filter_server_count; l->filter_server_count++)
        if (!set_text(&servers[l->filter_server_count], body->filter_servers[l->filter_server_count]))
            return false;
    routes_forget_answers(r);
    return true;
}

static bool put_live(struct routes *r, const struct routes_registration *in, struct routes_register_result *out)
{
    struct route_live *live = live_of(r, in);
    if (live == NULL || !set_text(&live->ha_addr, in->ha_addr))
        return false;
    out->new_connection = !net_ref_eq(live->conn, in->conn);
    atomic_store(&live->last_update_ms, clock_mono_ms());
    live->timeout_ms = timeout_of(in);
    live->version = in->body->topics.data_version;
    live->conn = in->conn;
    return set_filter_servers(r, live, in->body);
}

/* ---- all together, with the lock held alone ---- */

/* The id belongs to another address whose broker is alive and further ahead: the newcomer is not heard. */
static bool is_outdated(struct routes *r, const struct route_broker *b, const struct routes_registration *in)
{
    const struct broker_addr *a = addr_of_id(b, in->broker_id);
    if (a == NULL || str_eq(a->addr, in->addr))
        return false;
    const struct route_live *holder = route_live_find(r, in->cluster, a->addr);
    return holder && holder->version.state_version > in->body->topics.data_version.state_version;
}

static enum routes_registered apply(struct routes *r, struct arena *arena, const struct routes_registration *in,
                                    struct routes_register_result *out)
{
    struct route_broker *b = map_get(&r->brokers, in->broker_name);
    bool first = b == NULL, new_id = first || addr_of_id(b, in->broker_id) == NULL;
    /* A single topic is an addition to a registration; without one it would pass for all the broker has. */
    if (new_id && in->body->topics.topic_count == 1)
        return ROUTES_REFUSED;
    if (!join_cluster(r, in) || (first && (b = new_broker(r, in)) == NULL))
        return ROUTES_NO_MEMORY;

    bool same = same_broker(r, b, in);
    int64_t smallest = b->addr_count ? b->addrs[0].id : 0;
    b->enable_acting_master = in->enable_acting_master;
    if (!same && !set_text(&b->zone, in->zone))
        return ROUTES_NO_MEMORY;
    leave_other_ids(b, in);
    if (!same)
        routes_forget_answers(r);
    if (is_outdated(r, b, in)) {
        route_live_remove(r, in->cluster, in->addr);
        return ROUTES_REGISTERED;
    }
    if (!same && !put_addr(b, in->broker_id, in->addr))
        return ROUTES_NO_MEMORY;

    const struct route_live *before = route_live_find(r, in->cluster, in->addr);
    bool changed = new_id || before == NULL || !data_version_eq(&before->version, &in->body->topics.data_version);
    if (speaks_for_topics(b, in) && !put_topics(r, b, in, changed))
        return ROUTES_NO_MEMORY;
    if (!put_live(r, in, out))
        return ROUTES_NO_MEMORY;
    tell_master(r, arena, b, in, out);
    if (in->broker_id < smallest && r->conf->notifyMinBrokerIdChanged)
        out->notice = route_broker_notice(b, arena, STR_NULL, in->ha_addr);
    return ROUTES_REGISTERED;
}

enum routes_registered routes_register(struct routes *r, struct arena *arena, const struct routes_registration *in,
                                       struct routes_register_result *out)
{
    *out = (struct routes_register_result){0};
    if (register_unchanged(r, arena, in, out))
        return ROUTES_REGISTERED;
    pthread_rwlock_wrlock(&r->lock);
    enum routes_registered result = apply(r, arena, in, out);
    pthread_rwlock_unlock(&r->lock);
    return result;
}

bool routes_touch(struct routes *r, struct str cluster, struct str addr, struct data_version *version)
{
    pthread_rwlock_rdlock(&r->lock);
    struct route_live *live = route_live_find(r, cluster, addr);
    if (live) {
        atomic_store(&live->last_update_ms, clock_mono_ms());
        *version = live->version;
    }
    pthread_rwlock_unlock(&r->lock);
    return live != NULL;
}
