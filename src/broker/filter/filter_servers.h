/*
 * The filter servers that stand before this broker: each registers here over a connection of its own and is passed on
 * to the name servers, whose routes tell consumers with filter code where to pull. One that is silent for 30 s or
 * whose connection breaks is forgotten. Ownership: the table owns itself. Threads: any (one lock).
 */
#ifndef CROCKET_BROKER_FILTER_FILTER_SERVERS_H
#define CROCKET_BROKER_FILTER_FILTER_SERVERS_H

#include "base/str.h"
#include "net/conn.h"

enum { FILTER_SERVERS_MAX = 64, FILTER_SERVER_NAME = 64 };

struct filter_servers;
struct filter_servers *filter_servers_new(void);
void filter_servers_free(struct filter_servers *t);

enum filter_server_said { FILTER_SERVER_KNOWN, FILTER_SERVER_NEW, FILTER_SERVER_REFUSED };
/* addr: host:port. Refused with err: no address, or too many. */
enum filter_server_said filter_servers_register(struct filter_servers *t, struct net_ref conn, struct str addr,
                                                int64_t now_ms, struct err *err);
/* True: the list is another one now. */
bool filter_servers_closed(struct filter_servers *t, struct net_ref conn);
bool filter_servers_expire(struct filter_servers *t, int64_t now_ms);
/* Copies the addresses, each once; returns how many. */
size_t filter_servers_list(struct filter_servers *t, char out[FILTER_SERVERS_MAX][FILTER_SERVER_NAME]);

#endif
