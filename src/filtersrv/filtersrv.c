#include "filtersrv/filtersrv_int.h"

#include "base/log.h"
#include "remoting/headers_client.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REGISTER_EVERY_MS = 10000,
    REGISTER_AGAIN_MS = 1000, /* after a failure */
    REGISTER_TIMEOUT_MS = 3000,
    EXPIRE_EVERY_MS = 60000,
    IDLE_MS = 120000,
};

/* ---- registering with the broker ---- */

static void registered(void *arg, const struct rem_command *answer, const char *why)
{
    struct filtersrv *f = arg;
    bool ok = answer && answer->code == RESP_SUCCESS;
    if (ok && !f->registered)
        LOG(LOG_INFO, "filtersrv", "the filter server %s stands before the broker %.*s at %s", f->address,
            STR_ARG(rem_ext(answer, "brokerName")), f->broker);
    if (!ok && f->running && !f->complained)
        LOG(LOG_WARN, "filtersrv", "the filter server %s cannot register with its broker %s: %.*s; trying again",
            f->address, f->broker, STR_ARG(answer ? answer->remark : str_from(why)));
    f->registered = ok;
    f->complained = !ok;
    if (f->running)
        net_timer_set(f->loop, &f->register_timer, ok ? REGISTER_EVERY_MS : REGISTER_AGAIN_MS);
}

static void register_now(struct net_loop *loop, struct net_timer *t)
{
    struct filtersrv *f = LIST_ENTRY(t, struct filtersrv, register_timer);
    struct register_filter_server_req header = {.filter_server_addr = str_from(f->address)};
    struct rem_call call;
    if (!rem_channel_begin(f->channel, &call, REQ_REGISTER_FILTER_SERVER, false)) {
        registered(f, NULL, "cannot connect");
        return;
    }
    rem_schema_write(&register_filter_server_req_schema, &header, &call.frame);
    rem_call_send(&call, STR_NULL, REGISTER_TIMEOUT_MS, registered, f);
}

/* The broker forgets a filter server whose connection breaks. */
static void channel_closed(void *arg)
{
    struct filtersrv *f = arg;
    f->registered = false;
    if (f->running)
        net_timer_set(f->loop, &f->register_timer, REGISTER_AGAIN_MS);
}

static void expire(struct net_loop *loop, struct net_timer *t)
{
    struct filtersrv *f = LIST_ENTRY(t, struct filtersrv, expire_timer);
    filter_classes_expire(f);
    net_timer_set(loop, t, EXPIRE_EVERY_MS);
}

/* ---- life ---- */

static struct rem_server *new_server(struct filtersrv *f, struct err *err)
{
    struct rem_server_conf conf = {.what = "filtersrv", .role = f, .idle_timeout_ms = IDLE_MS};
    struct rem_server *s = rem_server_new(&conf, filtersrv_class_ops, filtersrv_class_op_count, err);
    if (s && rem_server_add(s, filtersrv_pull_ops, filtersrv_pull_op_count, err) < 0) {
        rem_server_free(s);
        return NULL;
    }
    rem_schema_ready(&pull_resp_schema);
    rem_schema_ready(&register_filter_server_req_schema);
    return s;
}

static int open_all(struct filtersrv *f, const struct filtersrv_options *o, struct err *err)
{
    struct net_address broker;
    if (net_address_parse(&broker, str_from(o->broker), err) < 0 || net_pool_init(&f->pool, 1, err) < 0)
        return -1;
    f->loop = f->pool.loops[0];
    f->server = new_server(f, err);
    if (f->server == NULL ||
        net_listen(&f->listener, &f->pool, o->listen_host, o->port, rem_server_protocol(f->server), f->server, err) < 0)
        return -1;
    f->channel = rem_channel_new(f->loop, &broker);
    if (f->channel == NULL)
        return err_set(err, ENOMEM, "out of memory for a filter server");
    rem_channel_on_closed(f->channel, channel_closed, f);
    snprintf(f->broker, sizeof f->broker, "%s", o->broker);
    snprintf(f->address, sizeof f->address, "%s:%u", o->advertised, net_listener_port(f->listener));
    return 0;
}

struct filtersrv *filtersrv_create(const struct filtersrv_options *o, struct err *err)
{
    struct filtersrv *f = calloc(1, sizeof *f);
    if (f == NULL) {
        err_set(err, ENOMEM, "out of memory for a filter server");
        return NULL;
    }
    f->limits = o->limits;
    f->source_max = o->source_max;
    f->register_timer.fn = register_now;
    f->expire_timer.fn = expire;
    if (open_all(f, o, err) < 0) {
        filtersrv_free(f);
        return NULL;
    }
    return f;
}

int filtersrv_start(struct filtersrv *f, struct err *err)
{
    f->running = true;
    net_timer_set(f->loop, &f->register_timer, 0);
    net_timer_set(f->loop, &f->expire_timer, EXPIRE_EVERY_MS);
    if (net_pool_start(&f->pool, err) < 0)
        return -1;
    pthread_setname_np((pthread_t)f->pool.threads[0], "filtersrv");
    return 0;
}

const char *filtersrv_address(const struct filtersrv *f)
{
    return f->address;
}

struct stop_task {
    struct net_task task;
    struct filtersrv *f;
};

static void say_stop(struct net_loop *loop, struct net_task *task)
{
    ((struct stop_task *)(void *)task)->f->running = false;
}

void filtersrv_stop(struct filtersrv *f)
{
    struct stop_task stop = {{NULL, say_stop}, f};
    if (f->listener)
        net_listener_stop(f->listener);
    if (f->loop) {
        net_loop_post(f->loop, &stop.task);
        net_pool_stop(&f->pool);
    }
}

void filtersrv_free(struct filtersrv *f)
{
    if (f == NULL)
        return;
    net_listener_free(f->listener);
    rem_channel_free(f->channel);
    rem_server_free(f->server);
    if (f->loop)
        net_pool_free(&f->pool);
    filter_classes_free(f);
    buf_free(&f->scratch);
    free(f);
}
