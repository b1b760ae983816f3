#include "cli/server_conf.h"

#include "base/log.h"
#include "base/properties.h"
#include "cli/java_keys.h"
#include "net/conn.h"
#include "os/fs.h"
#include "os/host.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONFIG_FILE_MAX = 1 << 20 };

const struct arg_option server_options[] = {
    {"c", "configFile", "FILE", false, "configuration file (.properties) of the Java server, read unchanged"},
    {"n", "namesrvAddr", "ADDRS", false, "name servers a broker registers with: host:port;host:port"},
    {NULL, "data", "DIR", false, "where everything is kept (default ./crocket-data)"},
    {NULL, "roles", "LIST", false, "only these roles: namesrv,broker"},
    {NULL, "listen", "ADDR", false, "address to listen on (all in one: 127.0.0.1, one role: all)"},
    {NULL, "advertise", "ADDR", false, "address that clients are told to use (brokerIP1)"},
    {NULL, "namesrv-port", "PORT", false, "port of the name server (default 9876)"},
    {NULL, "broker-port", "PORT", false, "port of the broker (default 10911)"},
    {NULL, "grpc-port", "PORT", false, "port of the gRPC proxy (reserved, default 8081)"},
    {NULL, "console-port", "PORT", false, "port of the console (reserved, default 8080)"},
    {NULL, "set", "KEY=VALUE", false, "any RocketMQ configuration key; may be repeated"},
    {NULL, "log-level", "LEVEL", false, "error, warn, info or debug (default info)"},
    {NULL, "check-config", NULL, false, "check options and files, then end"},
    {"p", "printConfigItem", NULL, false, "print the whole configuration, then end"},
    {"m", "printImportantConfig", NULL, false, "the same as -p"},
};
const size_t server_option_count = sizeof server_options / sizeof server_options[0];

static int no_memory(struct err *err)
{
    return err_set(err, ENOMEM, "out of memory while reading the configuration");
}

static int replace(char **at, const char *text, struct err *err)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return no_memory(err);
    free(*at);
    *at = copy;
    return 0;
}

/* Sets the key wherever it is known. 1: known nowhere. */
static int set_key(struct server_conf *c, struct str key, struct str value, struct err *err)
{
    const struct {
        const struct conf_table *table;
        void *at;
        unsigned role;
    } tables[] = {
        {&namesrv_conf_table, &c->namesrv, SERVER_NAMESRV},
        {&broker_conf_table, &c->broker, SERVER_BROKER},
        {store_conf_table(), &c->store, SERVER_BROKER},
    };
    bool known = false;
    if (str_eqz(key, "bindAddress")) {
        char *text = str_dupz(value);
        free(c->listen);
        c->listen = text;
        c->listen_set = true;
        if (text == NULL)
            return no_memory(err);
    }
    /* One port key for two servers: where both run it means the broker's, as the file is then a broker's. */
    bool port = str_eqz(key, "listenPort");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (conf_find(tables[i].table, key) == NULL)
            continue;
        known = true;
        if (port && tables[i].role == SERVER_NAMESRV && (c->roles & SERVER_BROKER))
            continue;
        if (conf_set(tables[i].table, tables[i].at, key, value, err))
            return -1;
    }
    c->broker_port_set |= port && (c->roles & SERVER_BROKER);
    c->namesrv_port_set |= port && !(c->roles & SERVER_BROKER);
    c->ha_port_set |= str_eqz(key, "haListenPort");
    c->kv_path_set |= str_eqz(key, "kvConfigPath");
    c->config_path_set |= str_eqz(key, "configStorePath");
    return known || java_key_without_effect(key) ? 0 : 1;
}

/* "; did you mean ...?" when a known key is similar, else "". */
static const char *similar_key(struct server_conf *c, struct str key, struct err *why)
{
    static const char mark[] = "; did you mean";
    conf_set(&broker_conf_table, &c->broker, key, STR_LIT(""), why);
    if (strstr(why->text, mark) == NULL)
        conf_set(store_conf_table(), &c->store, key, STR_LIT(""), why);
    const char *hint = strstr(why->text, mark);
    return hint ? hint : "";
}

static int read_file(struct server_conf *c, const char *path, struct err *err)
{
    struct arena arena = {0};
    struct properties p = {0};
    char *text = NULL, *full = realpath(path, NULL);
    size_t len = 0;
    int rc = full ? fs_load(fs_real(), full, CONFIG_FILE_MAX, &text, &len) : -errno;
    if (rc) {
        free(full);
        return err_sys(err, -rc, "cannot read the configuration file %s", path);
    }
    c->file = full;
    struct err why;
    rc = properties_parse(&arena, str_make(text, len), &p, &why);
    if (rc)
        err_set(err, why.code, "%s: %s", path, why.text);
    for (size_t i = 0; rc == 0 && i < p.count; i++) {
        rc = set_key(c, str_trim(p.items[i].key), str_trim(p.items[i].value), &why);
        if (rc > 0) {
            fprintf(stderr, "crocket: %s: RocketMQ has no configuration key \"%.*s\"%s; it has no effect\n", c->file,
                    STR_ARG(p.items[i].key), similar_key(c, p.items[i].key, &why));
            c->unknown_keys++;
            rc = 0;
        } else if (rc < 0) {
            err_set(err, why.code, "%s: %s", path, why.text);
        }
    }
    arena_free(&arena);
    free(text);
    return rc;
}

static int set_pair(struct server_conf *c, const char *pair, struct err *err)
{
    const char *equals = strchr(pair, '=');
    struct err why;
    if (equals == NULL)
        return err_set(err, EINVAL, "--set %s: write --set key=value", pair);
    struct str key = str_trim(str_make(pair, (size_t)(equals - pair)));
    int rc = set_key(c, key, str_trim(str_from(equals + 1)), &why);
    if (rc > 0)
        return err_set(err, ENOENT, "--set %s: RocketMQ has no configuration key \"%.*s\"%s", pair, STR_ARG(key),
                       similar_key(c, key, &why));
    return rc ? err_set(err, why.code, "--set %s: %s", pair, why.text) : 0;
}

static int read_roles(struct server_conf *c, const char *list, struct err *err)
{
    struct str rest = str_from(list), word;
    c->roles = 0;
    while (str_split(&rest, ',', &word)) {
        word = str_trim(word);
        if (str_eqz(word, "namesrv"))
            c->roles |= SERVER_NAMESRV;
        else if (str_eqz(word, "broker"))
            c->roles |= SERVER_BROKER;
        else if (str_eqz(word, "proxy") || str_eqz(word, "controller"))
            return err_set(err, ENOSYS, "--roles %s: the role %.*s is not built yet; namesrv and broker are", list,
                           STR_ARG(word));
        else
            return err_set(err, EINVAL,
                           "--roles %s: there is no role \"%.*s\"; write namesrv, broker or namesrv,broker", list,
                           STR_ARG(word));
    }
    return 0;
}

static bool is_wildcard(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, "[::]") == 0 ||
           strcmp(host, "*") == 0;
}

static int read_options(struct server_conf *c, const struct args *args, struct err *err)
{
    int64_t port;
    const char *text;
    size_t at = 0;
    if ((text = args_get(args, "configFile")) && read_file(c, text, err))
        return -1;
    while ((text = args_next(args, "set", &at)))
        if (set_pair(c, text, err))
            return -1;
    if ((text = args_get(args, "namesrvAddr")) && replace(&c->broker.namesrv_addr, text, err))
        return -1;
    if ((text = args_get(args, "data")) && replace(&c->store.storePathRootDir, text, err))
        return -1;
    if ((text = args_get(args, "advertise")) && replace(&c->broker.broker_ip1, text, err))
        return -1;
    if ((text = args_get(args, "listen"))) {
        c->listen_set = true;
        if (replace(&c->listen, text, err))
            return -1;
    }
    if (args_has(args, "namesrv-port")) {
        if (args_i64(args, "namesrv-port", 0, 65535, &port, err))
            return -1;
        c->namesrv.listenPort = (int32_t)port;
        c->namesrv_port_set = true;
    }
    if (args_has(args, "broker-port")) {
        if (args_i64(args, "broker-port", 0, 65535, &port, err))
            return -1;
        c->broker.listen_port = (int32_t)port;
        c->broker_port_set = true;
    }
    /* Reserved: checked, so that a mistake is seen now and not when the roles are there. */
    return args_i64(args, "grpc-port", 0, 65535, &port, err) || args_i64(args, "console-port", 0, 65535, &port, err);
}

static int full_path(char **at, struct err *err)
{
    char here[PATH_MAX], *joined;
    if (**at == '/')
        return 0;
    if (getcwd(here, sizeof here) == NULL)
        return err_sys(err, errno, "cannot tell the current directory");
    const char *rest = strncmp(*at, "./", 2) == 0 ? *at + 2 : *at;
    if (asprintf(&joined, "%s/%s", here, rest) < 0)
        return no_memory(err);
    free(*at);
    *at = joined;
    return 0;
}

static int default_path(char **at, bool set, const char *dir, const char *name, struct err *err)
{
    if (set)
        return 0;
    free(*at);
    if (asprintf(at, "%s/%s", dir, name) < 0) {
        *at = NULL;
        return no_memory(err);
    }
    return 0;
}

static int default_broker_name(struct server_conf *c, struct err *err)
{
    char host[256] = "";
    if (c->broker.broker_name && *c->broker.broker_name)
        return 0;
    if (gethostname(host, sizeof host - 1) || host[0] == '\0')
        snprintf(host, sizeof host, "broker-a");
    return replace(&c->broker.broker_name, host, err);
}

/* What was not said follows from what was. */
static int complete(struct server_conf *c, struct err *err)
{
    char ip[64];
    if (!c->listen_set && replace(&c->listen, c->all_in_one ? "127.0.0.1" : "0.0.0.0", err))
        return -1;
    if (is_wildcard(c->listen) && replace(&c->listen, "0.0.0.0", err))
        return -1;
    if (c->store.storePathRootDir == NULL && replace(&c->store.storePathRootDir, "crocket-data", err))
        return -1;
    if (full_path(&c->store.storePathRootDir, err) || replace(&c->data, c->store.storePathRootDir, err))
        return -1;
    /* As in Java, a name server saves changes to the file it was started with. */
    if (c->file && !(c->roles & SERVER_BROKER) && !c->config_path_set) {
        c->config_path_set = true;
        if (replace(&c->namesrv.configStorePath, c->file, err))
            return -1;
    }
    if (default_path(&c->namesrv.kvConfigPath, c->kv_path_set, c->data, "namesrv/kvConfig.json", err) ||
        default_path(&c->namesrv.configStorePath, c->config_path_set, c->data, "namesrv/namesrv.properties", err))
        return -1;
    if (c->broker.broker_ip1 == NULL || c->broker.broker_ip1[0] == '\0') {
        if (is_wildcard(c->listen)) {
            uint8_t a[4];
            host_ipv4(a);
            snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
        }
        if (replace(&c->broker.broker_ip1, is_wildcard(c->listen) ? ip : c->listen, err))
            return -1;
    }
    if ((c->broker.broker_ip2 == NULL || c->broker.broker_ip2[0] == '\0') &&
        replace(&c->broker.broker_ip2, c->broker.broker_ip1, err))
        return -1;
    if (default_broker_name(c, err))
        return -1;
    if (!c->ha_port_set && c->broker.listen_port > 0 && c->broker.listen_port < 65535)
        c->store.haListenPort = c->broker.listen_port + 1;
    if ((c->broker.namesrv_addr == NULL || c->broker.namesrv_addr[0] == '\0') && !(c->roles & SERVER_NAMESRV)) {
        const char *env = getenv("NAMESRV_ADDR");
        if (env && *env && replace(&c->broker.namesrv_addr, env, err))
            return -1;
    }
    return 0;
}

int server_conf_namesrv_listens(struct server_conf *c, uint16_t port, struct err *err)
{
    char text[512];
    c->namesrv.listenPort = port;
    if (c->broker.namesrv_addr && c->broker.namesrv_addr[0])
        return 0;
    snprintf(text, sizeof text, "%s:%u", is_wildcard(c->listen) ? "127.0.0.1" : c->listen, port);
    return replace(&c->broker.namesrv_addr, text, err);
}

int server_conf_load(struct server_conf *c, const struct args *args, unsigned roles, bool all_in_one, struct err *err)
{
    const char *text;
    enum log_level level;
    memset(c, 0, sizeof *c);
    c->roles = roles;
    c->all_in_one = all_in_one;
    if (args->plain_count)
        return err_set(err, EINVAL, "unexpected \"%s\"; --help lists the options", args->plain[0]);
    if ((text = args_get(args, "log-level"))) {
        if (!log_level_parse(str_from(text), &level))
            return err_set(err, EINVAL, "--log-level cannot be \"%s\"; it must be error, warn, info or debug", text);
        log_set_level(level);
    }
    if ((text = args_get(args, "roles")) && read_roles(c, text, err))
        return -1;
    if (conf_defaults(&namesrv_conf_table, &c->namesrv, err) || conf_defaults(&broker_conf_table, &c->broker, err) ||
        conf_defaults(store_conf_table(), &c->store, err))
        return -1;
    return read_options(c, args, err) ? -1 : complete(c, err);
}

void server_conf_free(struct server_conf *c)
{
    namesrv_conf_free(&c->namesrv);
    conf_free(&broker_conf_table, &c->broker);
    conf_free(store_conf_table(), &c->store);
    free(c->listen);
    free(c->data);
    free(c->file);
    memset(c, 0, sizeof *c);
}

void server_conf_print(const struct server_conf *c, struct buf *out)
{
    if (c->roles & SERVER_NAMESRV)
        conf_print(&namesrv_conf_table, &c->namesrv, out);
    if (c->roles & SERVER_BROKER) {
        conf_print(&broker_conf_table, &c->broker, out);
        conf_print(store_conf_table(), &c->store, out);
    }
}
