#include "namesrv/namesrv.h"

#include "base/log.h"
#include "namesrv/namesrv_int.h"
#include "os/clock.h"
#include "remoting/headers_namesrv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void on_closed(void *role, struct net_conn *c)
{
    struct namesrv *ns = role;
    housekeeping_lost(ns->housekeeping, net_conn_ref(c));
}

/* A path below the home folder for a key that is not set. */
static int default_path(char **path, const char *name, struct err *err)
{
    const char *home = getenv("HOME");
    char text[4096];
    if (*path)
        return 0;
    int n = snprintf(text, sizeof text, "%s/namesrv/%s", home ? home : ".", name);
    if (n < 0 || (size_t)n >= sizeof text)
        return err_set(err, ENAMETOOLONG, "the path of the home folder is too long; set kvConfigPath, configStorePath");
    *path = strdup(text);
    return *path ? 0 : err_set(err, ENOMEM, "out of memory for the path %s", text);
}

static int take_conf(struct namesrv *ns, const struct namesrv_conf *conf, struct str host, uint16_t port,
                     struct err *err)
{
    struct namesrv_conf *c = &ns->conf;
    if (namesrv_conf_copy(c, conf, err) < 0 || default_path(&c->kvConfigPath, "kvConfig.json", err) < 0 ||
        default_path(&c->configStorePath, "namesrv.properties", err) < 0)
        return -1;
    if (c->clusterTest)
        return err_set(err, ENOTSUP, "clusterTest=true is not available: remove it from the configuration");
    if (c->enableControllerInNamesrv)
        return err_set(err, ENOTSUP,
                       "enableControllerInNamesrv=true is not available: remove it, and run the controller "
                       "as a process of its own");
    c->listenPort = port;
    return conf_set(&namesrv_conf_table, c, STR_LIT("bindAddress"), host, err);
}

static struct rem_server *make_server(struct namesrv *ns, struct err *err)
{
    struct rem_server_conf conf = {
        .what = "namesrv",
        .role = ns,
        .idle_timeout_ms = 1000 * (int64_t)ns->conf.serverChannelMaxIdleTimeSeconds,
        .workers = 1, /* so the registrations of a broker are applied in their order */
        .closed = on_closed,
    };
    struct rem_server *s = rem_server_new(&conf, ns_route_ops, ns_route_op_count, err);
    if (s == NULL)
        return NULL;
    if (rem_server_add(s, ns_broker_ops, ns_broker_op_count, err) < 0 ||
        rem_server_add(s, ns_admin_ops, ns_admin_op_count, err) < 0) {
        rem_server_free(s);
        return NULL;
    }
    return s;
}

static int start(struct namesrv *ns, struct net_pool *pool, struct str host, uint16_t port, struct err *err)
{
    ns->started_ms = clock_mono_ms();
    ns->kv = kv_config_open(ns->conf.kvConfigPath, err);
    if (ns->kv == NULL || (ns->routes = routes_new(&ns->conf, ns->kv, err)) == NULL ||
        (ns->notices = notices_new(pool->loops[0], err)) == NULL || (ns->server = make_server(ns, err)) == NULL ||
        (ns->housekeeping = housekeeping_start(ns->routes, ns->notices, &ns->conf, err)) == NULL ||
        net_listen(&ns->listener, pool, host, port, rem_server_protocol(ns->server), ns->server, err) < 0)
        return -1;
    routes_change_begin(ns->routes);
    ns->conf.listenPort = net_listener_port(ns->listener);
    routes_change_end(ns->routes);
    return 0;
}

struct namesrv *namesrv_create(const struct namesrv_conf *conf, struct net_pool *pool, struct str host, uint16_t port,
                               struct err *err)
{
    struct namesrv *ns = calloc(1, sizeof *ns);
    if (ns == NULL) {
        err_set(err, ENOMEM, "out of memory for the name server");
        return NULL;
    }
    if (take_conf(ns, conf, host, port, err) < 0 || start(ns, pool, host, port, err) < 0) {
        namesrv_free(ns);
        return NULL;
    }
    return ns;
}

uint16_t namesrv_port(const struct namesrv *ns)
{
    return net_listener_port(ns->listener);
}

uint64_t namesrv_requests(const struct namesrv *ns)
{
    return rem_server_requests(ns->server);
}

void namesrv_stop(struct namesrv *ns)
{
    housekeeping_stop(ns->housekeeping);
}

void namesrv_free(struct namesrv *ns)
{
    if (ns == NULL)
        return;
    net_listener_free(ns->listener);
    rem_server_free(ns->server);
    housekeeping_free(ns->housekeeping);
    notices_free(ns->notices);
    routes_free(ns->routes);
    kv_config_free(ns->kv);
    namesrv_conf_free(&ns->conf);
    free(ns);
}
