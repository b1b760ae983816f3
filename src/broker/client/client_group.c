#include "base/log.h"
#include "broker/client/consumer_manager_int.h"
#include <stdlib.h>

static struct str conn_key(const struct net_ref *conn)
{
    _Static_assert(sizeof *conn == sizeof(void *) + 2 * sizeof(uint32_t), "a key has no padding");
    return str_make(conn, sizeof *conn);
}

/* ---- connections ---- */

static bool conns_add(struct client_conns *c, struct net_ref conn, struct client_group *g)
{
    struct conn_groups *list = map_get(&c->map, conn_key(&conn));
    if (list == NULL) {
        list = calloc(1, sizeof *list);
        if (list == NULL || !map_put(&c->map, conn_key(&conn), list, NULL)) {
            free(list);
            return false;
        }
    }
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 2;
        struct client_group **more = realloc(list->groups, cap * sizeof(struct client_group *));
        if (more == NULL)
            return false;
        list->groups = more;
        list->cap = cap;
    }
    list->groups[list->count++] = g;
    return true;
}

static void free_list(void *value)
{
    struct conn_groups *list = value;
    free(list->groups);
    free(list);
}

static void conns_remove(struct client_conns *c, struct net_ref conn, const struct client_group *g)
{
    struct conn_groups *list = map_get(&c->map, conn_key(&conn));
    for (size_t i = 0; list && i < list->count; i++)
        if (list->groups[i] == g) {
            list->groups[i] = list->groups[--list->count];
            break;
        }
    if (list && list->count == 0)
        free_list(map_del(&c->map, conn_key(&conn)));
}

struct client_group *client_conns_first(const struct client_conns *c, struct net_ref conn)
{
    const struct conn_groups *list = map_get(&c->map, conn_key(&conn));
    return list && list->count ? list->groups[0] : NULL;
}

void client_conns_free(struct client_conns *c)
{
    map_free(&c->map, free_list);
}

/* ---- groups ---- */

bool client_group_init(struct client_group *g, struct str name)
{
    char *copy = str_dupz(name);
    *g = (struct client_group){.name = str_make(copy, name.len)};
    return copy != NULL;
}

static void free_text(struct str s)
{
    free((void *)(uintptr_t)s.ptr);
}

void client_group_free(struct client_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        free_text(g->clients[i].client_id);
    free(g->clients);
    free_text(g->name);
}

struct consumer_client *client_group_find(const struct client_group *g, struct net_ref conn)
{
    for (size_t i = 0; i < g->count; i++)
        if (net_ref_eq(g->clients[i].conn, conn))
            return &g->clients[i];
    return NULL;
}

static int refresh(struct client_group *g, struct consumer_client *there, const struct consumer_client *client)
{
    there->last_update_ms = client->last_update_ms;
    there->version = client->version;
    there->language = client->language;
    if (str_eq(there->client_id, client->client_id))
        return 0;
    char *id = str_dupz(client->client_id);
    if (id == NULL)
        return -1;
    LOG(LOG_WARN, "broker", "a connection of group %.*s changed its client id from %.*s to %.*s", STR_ARG(g->name),
        STR_ARG(there->client_id), STR_ARG(client->client_id));
    free_text(there->client_id);
    there->client_id = str_make(id, client->client_id.len);
    return 0;
}

int client_group_put(struct client_group *g, struct client_conns *conns, const struct consumer_client *client)
{
    struct consumer_client *there = client_group_find(g, client->conn);
    if (there)
        return refresh(g, there, client);
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 2;
        struct consumer_client *more = realloc(g->clients, cap * sizeof *more);
        if (more == NULL)
            return -1;
        g->clients = more;
        g->cap = cap;
    }
    char *id = str_dupz(client->client_id);
    if (id == NULL || !conns_add(conns, client->conn, g)) {
        free(id);
        return -1;
    }
    there = &g->clients[g->count++];
    *there = *client;
    there->client_id = str_make(id, client->client_id.len);
    return 1;
}

bool client_group_remove(struct client_group *g, struct client_conns *conns, struct net_ref conn)
{
    struct consumer_client *there = client_group_find(g, conn);
    if (there == NULL)
        return false;
    free_text(there->client_id);
    *there = g->clients[--g->count];
    conns_remove(conns, conn, g);
    return true;
}

struct close_task {
    struct net_task task;
    struct net_ref conn;
};

static void close_now(struct net_loop *loop, struct net_task *task)
{
    struct close_task *t = (struct close_task *)(void *)task;
    struct net_conn *c = net_ref_get(t->conn);
    if (c)
        net_conn_close(c, "no heartbeat");
    free(t);
}

static void close_later(struct net_ref conn)
{
    struct close_task *t = conn.loop ? malloc(sizeof *t) : NULL;
    if (t == NULL)
        return;
    *t = (struct close_task){.task = {.fn = close_now}, .conn = conn};
    net_loop_post(conn.loop, &t->task);
}

size_t client_group_expire(struct client_group *g, struct client_conns *conns, int64_t since_ms)
{
    size_t expired = 0;
    for (size_t i = g->count; i-- > 0;) {
        struct consumer_client *c = &g->clients[i];
        if (c->last_update_ms >= since_ms)
            continue;
        LOG(LOG_WARN, "broker", "client %.*s of group %.*s sent no heartbeat any more, closing its connection",
            STR_ARG(c->client_id), STR_ARG(g->name));
        close_later(c->conn);
        client_group_remove(g, conns, c->conn);
        expired++;
    }
    return expired;
}

bool client_copy(struct arena *a, const struct consumer_client *from, struct consumer_client *to)
{
    *to = *from;
    to->client_id = arena_str(a, from->client_id);
    return to->client_id.ptr != NULL;
}

void client_group_copy(const struct client_group *g, struct arena *a, struct consumer_client **clients, size_t *n)
{
    *n = 0;
    *clients = arena_alloc(a, (g->count + 1) * sizeof **clients);
    for (size_t i = 0; *clients && i < g->count; i++)
        if (client_copy(a, &g->clients[i], &(*clients)[*n]))
            ++*n;
}
