#include "broker/filter/filter_servers.h"

#include "base/log.h"
#include "broker/broker_int.h"
#include "os/clock.h"
#include "os/thread.h"
#include "remoting/headers_client.h"
#include <errno.h>
#include <stdlib.h>

enum { IDLE_MAX_MS = 30000 };

struct filter_server {
    struct net_ref conn;
    int64_t last_ms;
    char addr[FILTER_SERVER_NAME];
};

struct filter_servers {
    pthread_mutex_t lock;
    size_t count;
    struct filter_server servers[FILTER_SERVERS_MAX];
};

struct filter_servers *filter_servers_new(void)
{
    struct filter_servers *t = calloc(1, sizeof *t);
    if (t)
        mutex_init_adaptive(&t->lock);
    return t;
}

void filter_servers_free(struct filter_servers *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* Numeric, as name lookups may block and every consumer would have to do them. */
static bool is_address(struct str addr)
{
    struct net_address a;
    const char *colon = memrchr(addr.ptr ? addr.ptr : "", ':', addr.len);
    if (colon == NULL || addr.len >= FILTER_SERVER_NAME)
        return false;
    for (const char *c = addr.ptr; c < addr.ptr + addr.len; c++)
        if (strchr("0123456789abcdefABCDEF.:[]", *c) == NULL || *c == '\0')
            return false;
    return net_address_parse(&a, addr, NULL) == 0 && net_address_port(&a) != 0;
}

enum filter_server_said filter_servers_register(struct filter_servers *t, struct net_ref conn, struct str addr,
                                                int64_t now_ms, struct err *err)
{
    enum filter_server_said said = FILTER_SERVER_KNOWN;
    if (!is_address(addr)) {
        err_set(err, EINVAL, "filterServerAddr '%.*s' is no address; it must be a numeric IP:port", STR_ARG(addr));
        return FILTER_SERVER_REFUSED;
    }
    pthread_mutex_lock(&t->lock);
    size_t i = 0;
    while (i < t->count && !net_ref_eq(t->servers[i].conn, conn))
        i++;
    if (i == FILTER_SERVERS_MAX) {
        said = FILTER_SERVER_REFUSED;
        err_set(err, ENOSPC, "there are %d filter servers at this broker already", FILTER_SERVERS_MAX);
    } else {
        struct filter_server *s = &t->servers[i];
        if (i == t->count) {
            said = FILTER_SERVER_NEW;
            t->count++;
            s->conn = conn;
            memcpy(s->addr, addr.ptr, addr.len);
            s->addr[addr.len] = '\0';
        }
        s->last_ms = now_ms;
    }
    pthread_mutex_unlock(&t->lock);
    return said;
}

/* Under the lock. */
static void drop(struct filter_servers *t, size_t i, const char *why)
{
    LOG(LOG_INFO, "broker", "the filter server %s is gone: %s", t->servers[i].addr, why);
    t->servers[i] = t->servers[--t->count];
}

bool filter_servers_closed(struct filter_servers *t, struct net_ref conn)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count && !found; i++)
        if (net_ref_eq(t->servers[i].conn, conn)) {
            drop(t, i, "its connection ended");
            found = true;
        }
    pthread_mutex_unlock(&t->lock);
    return found;
}

bool filter_servers_expire(struct filter_servers *t, int64_t now_ms)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = t->count; i-- > 0;)
        if (now_ms - t->servers[i].last_ms > IDLE_MAX_MS) {
            drop(t, i, "it has not registered again for 30 s");
            found = true;
        }
    pthread_mutex_unlock(&t->lock);
    return found;
}

size_t filter_servers_list(struct filter_servers *t, char out[FILTER_SERVERS_MAX][FILTER_SERVER_NAME])
{
    size_t n = 0;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count; i++) {
        size_t k = 0;
        while (k < n && strcmp(out[k], t->servers[i].addr) != 0)
            k++;
        if (k == n)
            memcpy(out[n++], t->servers[i].addr, FILTER_SERVER_NAME);
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* ---- requests ---- */

static void handle_register(struct rem_request *rq, const void *header)
{
    const struct register_filter_server_req *h = header;
    struct broker *b = broker_of(rq);
    struct err err;
    enum filter_server_said said =
        filter_servers_register(b->filter_servers, rem_conn_ref(rq), h->filter_server_addr, clock_mono_ms(), &err);
    if (said == FILTER_SERVER_REFUSED) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
        return;
    }
    if (said == FILTER_SERVER_NEW) {
        LOG(LOG_INFO, "broker", "a new filter server: %.*s", STR_ARG(h->filter_server_addr));
        registration_all_soon(b->registration);
    }
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_str(&f, "brokerName", str_from(b->conf->broker_name));
    rem_frame_i64(&f, "brokerId", b->conf->broker_id);
    rem_reply_end(rq, &f, STR_NULL, STR_NULL);
}

static const struct rem_op rows[] = {
    {REQ_REGISTER_FILTER_SERVER, "REGISTER_FILTER_SERVER", &register_filter_server_req_schema, handle_register,
     REM_LANE_LOOP, REM_ACT_NONE, REM_RES_NONE},
};
const struct broker_ops filter_server_ops = {rows, sizeof rows / sizeof rows[0]};
