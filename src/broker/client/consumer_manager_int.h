/* What the managers of consumers and producers share: groups of client connections. Not for others; the manager locks.
 */
#ifndef CROCKET_BROKER_CLIENT_CONSUMER_MANAGER_INT_H
#define CROCKET_BROKER_CLIENT_CONSUMER_MANAGER_INT_H

#include "base/map.h"
#include "broker/client/consumer_manager.h"

struct client_group {
    struct str name;                 /* owned */
    struct consumer_client *clients; /* one a connection; client ids are owned */
    size_t count, cap;
};

/* connection -> the groups that have it */
struct client_conns {
    struct map map;
};

struct conn_groups {
    struct client_group **groups;
    size_t count, cap;
};

bool client_group_init(struct client_group *g, struct str name);
void client_group_free(struct client_group *g); /* not the struct */
struct consumer_client *client_group_find(const struct client_group *g, struct net_ref conn);
/* Adds or refreshes the client of the connection. 1: new, 0: was there, -1: out of memory. */
int client_group_put(struct client_group *g, struct client_conns *conns, const struct consumer_client *client);
/* False when the group does not have the connection. */
bool client_group_remove(struct client_group *g, struct client_conns *conns, struct net_ref conn);
/* Removes clients that were silent since before `since_ms` and closes their connections; returns how many. */
size_t client_group_expire(struct client_group *g, struct client_conns *conns, int64_t since_ms);
/* A copy in the arena. */
bool client_copy(struct arena *a, const struct consumer_client *from, struct consumer_client *to);
void client_group_copy(const struct client_group *g, struct arena *a, struct consumer_client **clients, size_t *n);

/* A group of the connection, NULL when it has none. */
struct client_group *client_conns_first(const struct client_conns *c, struct net_ref conn);
void client_conns_free(struct client_conns *c);

/* subscription.c */
struct subscription *subscription_from_json(const struct json *data); /* NULL: no topic, malformed, or out of memory */

#endif
