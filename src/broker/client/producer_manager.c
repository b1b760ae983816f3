#include "broker/client/consumer_manager_int.h"
#include "os/thread.h"
#include <stdlib.h>

struct producer_manager {
    pthread_mutex_t lock;
    struct map groups;  /* name -> struct client_group, while it has connections */
    struct map clients; /* client id -> struct net_ref, of the connection that registered it last */
    struct client_conns conns;
    uint32_t next; /* which one of a group is picked */
};

struct producer_manager *producer_manager_new(void)
{
    struct producer_manager *m = calloc(1, sizeof *m);
    if (m)
        mutex_init_adaptive(&m->lock);
    return m;
}

static void free_group(void *value)
{
    client_group_free(value);
    free(value);
}

void producer_manager_free(struct producer_manager *m)
{
    if (m == NULL)
        return;
    map_free(&m->groups, free_group);
    map_free(&m->clients, free);
    client_conns_free(&m->conns);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct client_group *group_of(struct producer_manager *m, struct str name)
{
    struct client_group *g = map_get(&m->groups, name);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    if (!client_group_init(g, name) || !map_put(&m->groups, name, g, NULL)) {
        free_group(g);
        return NULL;
    }
    return g;
}

static void drop_if_empty(struct producer_manager *m, struct client_group *g)
{
    if (g->count == 0) {
        map_del(&m->groups, g->name);
        free_group(g);
    }
}

static void remember_client(struct producer_manager *m, const struct consumer_client *client)
{
    struct net_ref *ref = map_get(&m->clients, client->client_id);
    if (ref == NULL) {
        ref = malloc(sizeof *ref);
        if (ref && !map_put(&m->clients, client->client_id, ref, NULL)) {
            free(ref);
            ref = NULL;
        }
    }
    if (ref)
        *ref = client->conn;
}

static void forget_client(struct producer_manager *m, struct str client_id, struct net_ref conn)
{
    const struct net_ref *ref = map_get(&m->clients, client_id);
    if (ref && net_ref_eq(*ref, conn))
        free(map_del(&m->clients, client_id));
}

void producer_register(struct producer_manager *m, struct str group, const struct consumer_client *client)
{
    pthread_mutex_lock(&m->lock);
    struct client_group *g = group_of(m, group);
    if (g) {
        if (client_group_put(g, &m->conns, client) >= 0)
            remember_client(m, client);
        drop_if_empty(m, g);
    }
    pthread_mutex_unlock(&m->lock);
}

/* Under the lock: the client leaves the group; its id is forgotten with its last group. */
static void leave(struct producer_manager *m, struct client_group *g, struct net_ref conn)
{
    struct consumer_client *c = client_group_find(g, conn);
    if (c == NULL)
        return;
    struct str id = c->client_id;
    c->client_id = STR_NULL; /* ours now */
    client_group_remove(g, &m->conns, conn);
    if (client_conns_first(&m->conns, conn) == NULL)
        forget_client(m, id, conn);
    free((void *)(uintptr_t)id.ptr);
    drop_if_empty(m, g);
}

void producer_unregister(struct producer_manager *m, struct str group, struct str client_id, struct net_ref conn)
{
    pthread_mutex_lock(&m->lock);
    struct client_group *g = map_get(&m->groups, group);
    if (g)
        leave(m, g, conn);
    pthread_mutex_unlock(&m->lock);
}

void producer_conn_closed(struct producer_manager *m, struct net_ref conn)
{
    struct client_group *g;
    pthread_mutex_lock(&m->lock);
    while ((g = client_conns_first(&m->conns, conn)) != NULL)
        leave(m, g, conn);
    pthread_mutex_unlock(&m->lock);
}

void producer_expire(struct producer_manager *m, int64_t now_ms, int64_t timeout_ms)
{
    bool again;
    pthread_mutex_lock(&m->lock);
    do {
        again = false;
        for (struct map_slot *s = NULL; (s = map_next(&m->groups, s));) {
            struct client_group *g = s->value;
            for (size_t i = 0; i < g->count; i++)
                if (g->clients[i].last_update_ms < now_ms - timeout_ms)
                    forget_client(m, g->clients[i].client_id, g->clients[i].conn);
            if (client_group_expire(g, &m->conns, now_ms - timeout_ms) && g->count == 0) {
                drop_if_empty(m, g); /* changes the map */
                again = true;
                break;
            }
        }
    } while (again);
    pthread_mutex_unlock(&m->lock);
}

bool producer_conn_of_client(struct producer_manager *m, struct str client_id, struct net_ref *out)
{
    pthread_mutex_lock(&m->lock);
    const struct net_ref *ref = map_get(&m->clients, client_id);
    if (ref)
        *out = *ref;
    pthread_mutex_unlock(&m->lock);
    return ref != NULL;
}

bool producer_pick(struct producer_manager *m, struct str group, struct net_ref *out)
{
    pthread_mutex_lock(&m->lock);
    const struct client_group *g = map_get(&m->groups, group);
    if (g)
        *out = g->clients[m->next++ % g->count].conn;
    pthread_mutex_unlock(&m->lock);
    return g != NULL;
}

void producer_clients(struct producer_manager *m, struct str group, struct arena *a, struct consumer_client **clients,
                      size_t *n)
{
    *clients = NULL;
    *n = 0;
    pthread_mutex_lock(&m->lock);
    const struct client_group *g = map_get(&m->groups, group);
    if (g)
        client_group_copy(g, a, clients, n);
    pthread_mutex_unlock(&m->lock);
}

void producer_groups(struct producer_manager *m, struct arena *a, struct str **names, size_t *n)
{
    *n = 0;
    pthread_mutex_lock(&m->lock);
    *names = arena_alloc(a, (m->groups.count + 1) * sizeof **names);
    for (struct map_slot *s = NULL; *names && (s = map_next(&m->groups, s));)
        (*names)[(*n)++] = arena_str(a, s->key);
    pthread_mutex_unlock(&m->lock);
}
