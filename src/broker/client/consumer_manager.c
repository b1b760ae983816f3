#include "base/log.h"
#include "broker/client/consumer_manager_int.h"
#include "os/thread.h"
#include <stdlib.h>

struct cgroup {
    struct client_group clients; /* first: the connection index holds pointers to it */
    struct consumer_group_info info;
    struct map subs;     /* topic -> struct subscription */
    int32_t fingerprint; /* of the last heartbeat */
    bool has_fingerprint;
};

struct consumer_manager {
    pthread_mutex_t lock;
    struct map groups; /* name -> struct cgroup, while it has connections */
    struct client_conns conns;
    _Atomic uint64_t generation;
    void (*on_change)(void *arg, struct str group, struct net_ref conn);
    void *on_change_arg;
    void (*on_gone)(void *arg, struct str group);
    void *on_gone_arg;
};

struct consumer_manager *consumer_manager_new(void)
{
    struct consumer_manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    mutex_init_adaptive(&m->lock);
    atomic_init(&m->generation, 1);
    return m;
}

static void release(void *value)
{
    subscription_release(value);
}

static void free_group(void *value)
{
    struct cgroup *g = value;
    map_free(&g->subs, release);
    client_group_free(&g->clients);
    free(g);
}

void consumer_manager_free(struct consumer_manager *m)
{
    if (m == NULL)
        return;
    map_free(&m->groups, free_group);
    client_conns_free(&m->conns);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void consumer_on_change(struct consumer_manager *m, void (*fn)(void *arg, struct str group, struct net_ref conn),
                        void *arg)
{
    m->on_change_arg = arg;
    m->on_change = fn;
}

void consumer_on_gone(struct consumer_manager *m, void (*fn)(void *arg, struct str group), void *arg)
{
    m->on_gone_arg = arg;
    m->on_gone = fn;
}

uint64_t consumer_generation(const struct consumer_manager *m)
{
    return atomic_load_explicit(&m->generation, memory_order_acquire);
}

static void next_generation(struct consumer_manager *m)
{
    atomic_fetch_add_explicit(&m->generation, 1, memory_order_release);
}

/* ---- changes ---- */

static struct cgroup *group_of(struct consumer_manager *m, struct str name)
{
    struct cgroup *g = map_get(&m->groups, name);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    if (!client_group_init(&g->clients, name) || !map_put(&m->groups, name, g, NULL)) {
        free_group(g);
        return NULL;
    }
    next_generation(m);
    return g;
}

static void drop_if_empty(struct consumer_manager *m, struct cgroup *g)
{
    if (g->clients.count)
        return;
    LOG(LOG_INFO, "broker", "the last consumer of group %.*s is gone", STR_ARG(g->clients.name));
    if (m->on_gone)
        m->on_gone(m->on_gone_arg, g->clients.name);
    map_del(&m->groups, g->clients.name);
    free_group(g);
    next_generation(m);
}

static void tell(struct consumer_manager *m, const struct cgroup *g)
{
    if (m->on_change == NULL || g->info.model == MODEL_BROADCASTING)
        return;
    for (size_t i = 0; i < g->clients.count; i++)
        m->on_change(m->on_change_arg, g->clients.name, g->clients.clients[i].conn);
}

/* A topic that comes or goes is a change that the members must hear of; a newer version of the same topic is not. */
static bool update_subscription(struct consumer_manager *m, struct cgroup *g, const struct json *data)
{
    struct subscription *s = subscription_from_json(data);
    if (s == NULL) {
        LOG_LIMITED(LOG_WARN, "broker",
                    "group %.*s has a subscription that cannot be read: topic '%.*s', expression '%.*s'",
                    STR_ARG(g->clients.name), STR_ARG(json_str(data, "topic")), STR_ARG(json_str(data, "subString")));
        return false;
    }
    struct subscription *old = map_get(&g->subs, s->topic);
    if ((old && s->version <= old->version) || !map_put(&g->subs, s->topic, s, NULL)) {
        subscription_release(s);
        return false;
    }
    subscription_release(old);
    next_generation(m);
    return old == NULL;
}

static bool subscribed(const struct json *subs, struct str topic)
{
    JSON_EACH(data, subs)
    if (str_eq(json_str(data, "topic"), topic))
        return true;
    return false;
}

static struct subscription *first_left_out(const struct cgroup *g, const struct json *subs)
{
    for (struct map_slot *s = NULL; (s = map_next(&g->subs, s));)
        if (!subscribed(subs, s->key))
            return s->value;
    return NULL;
}

static bool update_subscriptions(struct consumer_manager *m, struct cgroup *g, const struct json *subs)
{
    bool changed = false;
    struct subscription *gone;
    JSON_EACH(data, subs)
    changed |= update_subscription(m, g, data);
    while ((gone = first_left_out(g, subs)) != NULL) {
        LOG(LOG_INFO, "broker", "group %.*s does not subscribe to topic %.*s any more", STR_ARG(g->clients.name),
            STR_ARG(gone->topic));
        map_del(&g->subs, gone->topic);
        subscription_release(gone);
        next_generation(m);
        changed = true;
    }
    return changed;
}

static struct str static_from_where(struct str text)
{
    static const char *const names[] = {
        "CONSUME_FROM_LAST_OFFSET",  "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        "CONSUME_FROM_MIN_OFFSET",   "CONSUME_FROM_MAX_OFFSET",
        "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eqz(text, names[i]))
            return str_from(names[i]);
    return str_from(names[0]);
}

bool consumer_register(struct consumer_manager *m, struct str group, const struct consumer_client *client,
                       const struct consumer_group_info *info, const struct json *subs, bool with_subs)
{
    pthread_mutex_lock(&m->lock);
    struct cgroup *g = group_of(m, group);
    int put = g ? client_group_put(&g->clients, &m->conns, client) : -1;
    if (put < 0) {
        if (g)
            drop_if_empty(m, g);
        pthread_mutex_unlock(&m->lock);
        LOG_LIMITED(LOG_ERROR, "broker", "out of memory for a consumer of group %.*s", STR_ARG(group));
        return false;
    }
    if (g->info.type != info->type || g->info.model != info->model)
        next_generation(m);
    g->info = *info;
    g->info.from_where = static_from_where(info->from_where);
    bool changed = put > 0;
    if (with_subs)
        changed |= update_subscriptions(m, g, subs);
    if (changed)
        tell(m, g);
    pthread_mutex_unlock(&m->lock);
    return changed;
}

bool consumer_fingerprint(struct consumer_manager *m, struct str group, int32_t fingerprint, bool without_subs)
{
    pthread_mutex_lock(&m->lock);
    struct cgroup *g = map_get(&m->groups, group);
    bool again = false;
    if (g) {
        again = (g->has_fingerprint && g->fingerprint != fingerprint) || (without_subs && g->subs.count == 0);
        g->has_fingerprint = true;
        g->fingerprint = fingerprint;
    }
    pthread_mutex_unlock(&m->lock);
    return again;
}

void consumer_unregister(struct consumer_manager *m, struct str group, struct str client_id, struct net_ref conn)
{
    pthread_mutex_lock(&m->lock);
    struct cgroup *g = map_get(&m->groups, group);
    if (g) {
        if (client_group_remove(&g->clients, &m->conns, conn))
            LOG(LOG_INFO, "broker", "consumer %.*s left group %.*s", STR_ARG(client_id), STR_ARG(group));
        tell(m, g);
        drop_if_empty(m, g);
    }
    pthread_mutex_unlock(&m->lock);
}

void consumer_conn_closed(struct consumer_manager *m, struct net_ref conn)
{
    struct client_group *first;
    pthread_mutex_lock(&m->lock);
    while ((first = client_conns_first(&m->conns, conn)) != NULL) {
        struct cgroup *g = (struct cgroup *)(void *)first;
        client_group_remove(first, &m->conns, conn);
        tell(m, g);
        drop_if_empty(m, g);
    }
    pthread_mutex_unlock(&m->lock);
}

/* As in Java the others are not told: they hear of it when the connections that are closed here are gone. */
void consumer_expire(struct consumer_manager *m, int64_t now_ms, int64_t timeout_ms)
{
    bool again;
    pthread_mutex_lock(&m->lock);
    do {
        again = false;
        for (struct map_slot *s = NULL; (s = map_next(&m->groups, s));) {
            struct cgroup *g = s->value;
            if (client_group_expire(&g->clients, &m->conns, now_ms - timeout_ms) && g->clients.count == 0) {
                drop_if_empty(m, g); /* changes the map */
                again = true;
                break;
            }
        }
    } while (again);
    pthread_mutex_unlock(&m->lock);
}

/* ---- questions ---- */

bool consumer_group_live(struct consumer_manager *m, struct str group, struct consumer_group_info *info)
{
    pthread_mutex_lock(&m->lock);
    const struct cgroup *g = map_get(&m->groups, group);
    if (g && info)
        *info = g->info;
    pthread_mutex_unlock(&m->lock);
    return g != NULL;
}

struct subscription *consumer_subscription(struct consumer_manager *m, struct str group, struct str topic,
                                           bool *group_known)
{
    pthread_mutex_lock(&m->lock);
    const struct cgroup *g = map_get(&m->groups, group);
    struct subscription *s = g ? map_get(&g->subs, topic) : NULL;
    if (s)
        subscription_retain(s);
    pthread_mutex_unlock(&m->lock);
    if (group_known)
        *group_known = g != NULL;
    return s;
}

void consumer_clients(struct consumer_manager *m, struct str group, struct arena *a, struct consumer_client **clients,
                      size_t *n)
{
    *clients = NULL;
    *n = 0;
    pthread_mutex_lock(&m->lock);
    const struct cgroup *g = map_get(&m->groups, group);
    if (g)
        client_group_copy(&g->clients, a, clients, n);
    pthread_mutex_unlock(&m->lock);
}

void consumer_client_ids(struct consumer_manager *m, struct str group, struct arena *a, struct str **ids, size_t *n)
{
    struct consumer_client *clients;
    consumer_clients(m, group, a, &clients, n);
    *ids = *n ? arena_alloc(a, *n * sizeof **ids) : NULL;
    if (*ids == NULL)
        *n = 0;
    for (size_t i = 0; i < *n; i++)
        (*ids)[i] = clients[i].client_id;
}

bool consumer_find(struct consumer_manager *m, struct str group, struct str client_id, struct consumer_client *out,
                   struct arena *a)
{
    bool found = false;
    pthread_mutex_lock(&m->lock);
    const struct cgroup *g = map_get(&m->groups, group);
    for (size_t i = 0; g && !found && i < g->clients.count; i++)
        if (str_eq(g->clients.clients[i].client_id, client_id))
            found = client_copy(a, &g->clients.clients[i], out);
    pthread_mutex_unlock(&m->lock);
    return found;
}

void consumer_write_subscriptions(struct consumer_manager *m, struct str group, struct jw *w)
{
    pthread_mutex_lock(&m->lock);
    const struct cgroup *g = map_get(&m->groups, group);
    for (struct map_slot *s = NULL; g && (s = map_next(&g->subs, s));) {
        jw_key(w, s->key);
        subscription_write(s->value, w);
    }
    pthread_mutex_unlock(&m->lock);
}

void consumer_groups_of_topic(struct consumer_manager *m, struct str topic, struct arena *a, struct str **names,
                              size_t *n)
{
    *n = 0;
    pthread_mutex_lock(&m->lock);
    *names = arena_alloc(a, (m->groups.count + 1) * sizeof **names);
    for (struct map_slot *s = NULL; *names && (s = map_next(&m->groups, s));) {
        const struct cgroup *g = s->value;
        if (map_get(&g->subs, topic))
            (*names)[(*n)++] = arena_str(a, s->key);
    }
    pthread_mutex_unlock(&m->lock);
}
