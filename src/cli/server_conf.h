/*
 * What a server process is told: its roles and the configuration of each, put together from defaults, a Java
 * .properties file, --set and the other options, the later one winning.
 * Ownership: server_conf_free ends what server_conf_load began. Main thread only.
 */
#ifndef CROCKET_CLI_SERVER_CONF_H
#define CROCKET_CLI_SERVER_CONF_H

#include "base/args.h"
#include "broker/broker_conf.h"
#include "namesrv/namesrv_conf.h"
#include "store/store_conf.h"

enum server_role { SERVER_NAMESRV = 1, SERVER_BROKER = 2 };

struct server_conf {
    unsigned roles;
    bool all_in_one; /* started as "crocket" or "crocket server": loopback unless told otherwise */
    struct namesrv_conf namesrv;
    struct broker_conf broker;
    struct store_conf store;
    char *listen; /* address to listen on */
    char *data;   /* absolute path */
    char *file;   /* of -c, absolute; NULL: none */
    bool listen_set, namesrv_port_set, broker_port_set, ha_port_set, kv_path_set, config_path_set;
    unsigned unknown_keys; /* of the file: each was told on stderr */
};

/* The options of the server commands, for args_parse. */
extern const struct arg_option server_options[];
extern const size_t server_option_count;

/* roles: what the subcommand stands for; --roles replaces it. -1 with err: what is wrong, where, what to do. */
int server_conf_load(struct server_conf *c, const struct args *args, unsigned roles, bool all_in_one, struct err *err);
/* The name server of this process listens there: the broker beside it is told, unless it was given addresses. */
int server_conf_namesrv_listens(struct server_conf *c, uint16_t port, struct err *err);
void server_conf_free(struct server_conf *c);
/* key=value lines of all roles, as the Java servers print with -p. */
void server_conf_print(const struct server_conf *c, struct buf *out);

#endif
