#include "cli/server_run.h"

#include "base/log.h"
#include "broker/broker.h"
#include "filtersrv/filtersrv.h"
#include "namesrv/namesrv.h"
#include "os/host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct server {
    struct server_conf *conf;
    struct net_pool pool;
    struct namesrv *namesrv;
    struct broker *broker;
    struct filtersrv **filtersrvs;
    int filtersrv_count;
};

/* ---- the roles -----------------------------------------------------------------------------------------------------
 */

/* Where this machine reaches its own servers. */
static const char *own_host(const struct server_conf *c)
{
    return strcmp(c->listen, "0.0.0.0") == 0 ? "127.0.0.1" : c->listen;
}

static int namesrv_role_create(struct server *s, struct err *err)
{
    struct server_conf *c = s->conf;
    s->namesrv = namesrv_create(&c->namesrv, &s->pool, str_from(c->listen), (uint16_t)c->namesrv.listenPort, err);
    return s->namesrv ? server_conf_namesrv_listens(c, namesrv_port(s->namesrv), err) : -1;
}

static void namesrv_role_drain(struct server *s)
{
    if (s->namesrv)
        namesrv_stop(s->namesrv);
}

static void namesrv_role_free(struct server *s)
{
    namesrv_free(s->namesrv);
}

static int broker_role_create(struct server *s, struct err *err)
{
    struct server_conf *c = s->conf;
    const struct broker_options options = {
        .conf = &c->broker, .store_conf = &c->store, .listen_host = c->listen, .config_path = c->file};
    return broker_create(&s->broker, &options, &s->pool, err);
}

static int broker_role_start(struct server *s, struct err *err)
{
    return broker_start(s->broker, err);
}

static void broker_role_drain(struct server *s)
{
    if (s->broker)
        broker_drain(s->broker);
}

static void broker_role_free(struct server *s)
{
    if (s->broker)
        broker_free(s->broker);
}

/* Filter servers stand before the broker, with loops of their own. */
static int filtersrv_role_create(struct server *s, struct err *err)
{
    struct server_conf *c = s->conf;
    const char *host = own_host(c);
    int count = c->broker.filter_server_nums, first = c->broker.filter_server_port;
    char broker[128];
    if (count == 0)
        return 0;
    if (first + count - 1 > 65535)
        return err_set(err, EINVAL, "filterServerPort=%d leaves no ports for %d filter servers", first, count);
    snprintf(broker, sizeof broker, "%s:%u", host, broker_port(s->broker));
    s->filtersrvs = calloc((size_t)count, sizeof(struct filtersrv *));
    if (s->filtersrvs == NULL)
        return err_set(err, ENOMEM, "out of memory for the filter servers");
    for (; s->filtersrv_count < count; s->filtersrv_count++) {
        const struct filtersrv_options options = {
            .listen_host = str_from(c->listen),
            .port = (uint16_t)(first ? first + s->filtersrv_count : 0),
            .advertised = c->broker.broker_ip1,
            .broker = broker,
            .limits = {c->broker.filter_server_steps, (size_t)c->broker.filter_server_memory},
            .source_max = (size_t)c->broker.filter_server_source_max,
        };
        s->filtersrvs[s->filtersrv_count] = filtersrv_create(&options, err);
        if (s->filtersrvs[s->filtersrv_count] == NULL)
            return -1;
    }
    return 0;
}

static int filtersrv_role_start(struct server *s, struct err *err)
{
    for (int i = 0; i < s->filtersrv_count; i++)
        if (filtersrv_start(s->filtersrvs[i], err) < 0)
            return -1;
    return 0;
}

static void filtersrv_role_drain(struct server *s)
{
    for (int i = 0; i < s->filtersrv_count; i++)
        filtersrv_stop(s->filtersrvs[i]);
}

static void filtersrv_role_free(struct server *s)
{
    for (int i = 0; i < s->filtersrv_count; i++)
        filtersrv_free(s->filtersrvs[i]);
    free(s->filtersrvs);
}

/* In the order of start; ended the other way round, so that a broker can still unregister. */
static const struct role {
    unsigned bit;
    int (*create)(struct server *s, struct err *err); /* opens and listens, before the loops run */
    int (*start)(struct server *s, struct err *err);  /* the loops run; may be NULL */
    void (*drain)(struct server *s);                  /* the loops still run */
    void (*free)(struct server *s);                   /* the loops have stopped */
} roles[] = {
    {SERVER_NAMESRV, namesrv_role_create, NULL, namesrv_role_drain, namesrv_role_free},
    {SERVER_BROKER, broker_role_create, broker_role_start, broker_role_drain, broker_role_free},
    {SERVER_BROKER, filtersrv_role_create, filtersrv_role_start, filtersrv_role_drain, filtersrv_role_free},
};
enum { ROLES = sizeof roles / sizeof roles[0] };

/* ---- the start-up screen -------------------------------------------------------------------------------------------
 */

static void print_screen(const struct server *s)
{
    const struct server_conf *c = s->conf;
    unsigned route_port = s->namesrv ? namesrv_port(s->namesrv) : 0;
    const char *host = own_host(c);
    printf("Crocket %s, a RocketMQ 5 server\n\n", CROCKET_VERSION);
    if (s->namesrv)
        printf("  name server   %s:%u\n", c->listen, route_port);
    if (s->broker) {
        printf("  broker        %s:%u, fast port %u   (%s in %s)\n", c->listen, broker_port(s->broker),
               broker_port(s->broker) - 2, c->broker.broker_name, c->broker.cluster_name);
        printf("  advertised    %s   clients are told this address; --advertise ADDR changes it\n",
               broker_address(s->broker));
        for (int i = 0; i < s->filtersrv_count; i++)
            printf("  filter server %s\n", filtersrv_address(s->filtersrvs[i]));
        printf("  registers at  %s\n",
               c->broker.namesrv_addr ? c->broker.namesrv_addr : "no name server; -n ADDRS names them");
    }
    printf("  data          %s\n", c->data);
    if (s->broker)
        printf("  flush         %s\n",
               c->store.flushDiskType == FLUSH_SYNC
                   ? "SYNC_FLUSH: a send is answered when its message is on the disk"
                   : "ASYNC_FLUSH: the disk follows the sends; flushDiskType=SYNC_FLUSH waits for it");
    if (s->namesrv && s->broker) {
        char at[96] = "";
        if (route_port != 9876 || strcmp(host, "127.0.0.1") != 0)
            snprintf(at, sizeof at, " -n %s:%u", host, route_port);
        printf("\n  first message: %s send%s hello -m \"Hello, world\"\n", program_invocation_name, at);
        printf("  and see it:    %s tail%s hello --from-beginning\n", program_invocation_name, at);
        printf("  or point any RocketMQ client at the name server %s:%u\n", host, route_port);
    }
    printf("\nready\n");
    fflush(stdout);
}

/* ---- start and end -------------------------------------------------------------------------------------------------
 */

/* Every connection and every open file of the store takes a descriptor. */
static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int start(struct server *s, struct err *err)
{
    const struct server_conf *c = s->conf;
    unsigned loops = c->broker.loops > 0 ? (unsigned)c->broker.loops : host_cores();
    if (loops > NET_MAX_LOOPS)
        loops = NET_MAX_LOOPS;
    if (net_pool_init(&s->pool, loops, err))
        return -1;
    for (size_t i = 0; i < ROLES; i++)
        if ((c->roles & roles[i].bit) && roles[i].create(s, err))
            return -1;
    if (net_pool_start(&s->pool, err))
        return -1;
    for (size_t i = 0; i < ROLES; i++)
        if ((c->roles & roles[i].bit) && roles[i].start && roles[i].start(s, err))
            return -1;
    return 0;
}

static void stop(struct server *s)
{
    for (size_t i = ROLES; i-- > 0;)
        roles[i].drain(s);
    net_pool_stop(&s->pool);
    for (size_t i = ROLES; i-- > 0;)
        roles[i].free(s);
    net_pool_free(&s->pool);
}

int server_run(struct server_conf *c, struct err *err)
{
    struct server s = {.conf = c};
    sigset_t ends;
    int signal_number;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before any thread starts: only this one takes them */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a closed terminal ends no server */
    raise_file_limit();

    int rc = start(&s, err);
    if (rc == 0) {
        print_screen(&s);
        sigwait(&ends, &signal_number);
        LOG(LOG_INFO, "server", "%s: draining", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
        /* A second signal ends at once, as if the process had been killed. */
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
    }
    stop(&s);
    if (rc == 0)
        LOG(LOG_INFO, "server", "stopped in good order");
    return rc;
}
