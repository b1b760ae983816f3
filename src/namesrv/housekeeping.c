#include "namesrv/housekeeping.h"

#include "base/list.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/thread.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct waiting {
    struct list node;
    struct routes_leaving leaving; /* its texts stand behind the struct */
};

struct housekeeping {
    struct routes *routes;
    struct notices *notices;
    const struct namesrv_conf *conf;
    struct thread thread;
    struct waker waker;
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the queue */
    struct list queue;
    size_t queued, capacity;
};

/* ---- queue ---- */

static struct str take(char **at, struct str s)
{
    struct str copy = str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

bool housekeeping_leave(struct housekeeping *h, const struct routes_leaving *l)
{
    struct waiting *w = malloc(sizeof *w + l->cluster.len + l->addr.len + l->broker_name.len + 1);
    if (w == NULL)
        return false;
    char *at = (char *)(w + 1);
    w->leaving = *l;
    w->leaving.cluster = take(&at, l->cluster);
    w->leaving.addr = take(&at, l->addr);
    w->leaving.broker_name = take(&at, l->broker_name);
    pthread_mutex_lock(&h->lock);
    bool full = h->queued >= h->capacity;
    if (!full) {
        list_add_tail(&h->queue, &w->node);
        h->queued++;
    }
    pthread_mutex_unlock(&h->lock);
    if (full) {
        free(w);
        return false;
    }
    waker_wake(&h->waker);
    return true;
}

static void leave(void *arg, const struct routes_leaving *leaving)
{
    /* A full queue is no loss: a broker whose connection ended falls silent, and is found then. */
    housekeeping_leave(arg, leaving);
}

void housekeeping_lost(struct housekeeping *h, struct net_ref conn)
{
    routes_each_of_conn(h->routes, conn, leave, h);
}

/* Everything queued so far, as an array in the arena. */
static struct routes_leaving *take_all(struct housekeeping *h, struct arena *arena, size_t *count)
{
    struct list taken;
    list_init(&taken);
    pthread_mutex_lock(&h->lock);
    size_t n = h->queued;
    for (struct list *node; (node = list_pop(&h->queue));)
        list_add_tail(&taken, node);
    h->queued = 0;
    pthread_mutex_unlock(&h->lock);
    struct routes_leaving *all = arena_alloc(arena, n * sizeof *all + 1);
    *count = 0;
    for (struct list *node; (node = list_pop(&taken));) {
        struct waiting *w = LIST_ENTRY(node, struct waiting, node);
        if (all) {
            all[*count] = w->leaving;
            all[*count].cluster = arena_str(arena, w->leaving.cluster);
            all[*count].addr = arena_str(arena, w->leaving.addr);
            all[*count].broker_name = arena_str(arena, w->leaving.broker_name);
            ++*count;
        }
        free(w);
    }
    return all;
}

static void unregister_queued(struct housekeeping *h)
{
    struct arena arena = {0};
    size_t count;
    struct routes_leaving *all = take_all(h, &arena, &count);
    if (count)
        notices_send(h->notices, routes_unregister(h->routes, &arena, all, count));
    arena_free(&arena);
}

/* ---- silent brokers ---- */

struct close_task {
    struct net_task task;
    struct net_ref conn;
};

static void close_conn(struct net_loop *loop, struct net_task *task)
{
    struct close_task *t = LIST_ENTRY(task, struct close_task, task);
    struct net_conn *c = net_ref_get(t->conn);
    if (c)
        net_conn_close(c, "the broker was silent for too long");
    free(t);
}

static void expire(void *arg, const struct routes_leaving *l)
{
    LOG(LOG_WARN, "namesrv", "broker %.*s of cluster %.*s at %.*s was silent for too long and is removed",
        STR_ARG(l->broker_name), STR_ARG(l->cluster), STR_ARG(l->addr));
    housekeeping_leave(arg, l);
    struct close_task *t = l->conn.loop ? malloc(sizeof *t) : NULL;
    if (t == NULL)
        return;
    *t = (struct close_task){{NULL, close_conn}, l->conn};
    net_loop_post(l->conn.loop, &t->task);
}

static void run(void *arg)
{
    struct housekeeping *h = arg;
    int64_t last_look = clock_mono_ms();
    while (!atomic_load(&h->stopping)) {
        int64_t due = last_look + h->conf->scanNotActiveBrokerInterval;
        int64_t now = clock_mono_ms();
        if (now < due)
            waker_wait(&h->waker, due - now);
        if (clock_mono_ms() >= due) {
            last_look = clock_mono_ms();
            routes_each_expired(h->routes, expire, h);
        }
        unregister_queued(h);
    }
}

/* ---- life ---- */

struct housekeeping *housekeeping_start(struct routes *routes, struct notices *notices, const struct namesrv_conf *conf,
                                        struct err *err)
{
    struct housekeeping *h = calloc(1, sizeof *h);
    if (h == NULL) {
        err_set(err, ENOMEM, "out of memory for the name server's housekeeping");
        return NULL;
    }
    h->routes = routes;
    h->notices = notices;
    h->conf = conf;
    h->capacity = (size_t)conf->unRegisterBrokerQueueCapacity;
    pthread_mutex_init(&h->lock, NULL);
    waker_init(&h->waker);
    list_init(&h->queue);
    int rc = thread_start(&h->thread, "ns-housekeeping", run, h);
    if (rc < 0) {
        err_sys(err, -rc, "cannot start the name server's housekeeping thread");
        housekeeping_free(h);
        return NULL;
    }
    return h;
}

void housekeeping_stop(struct housekeeping *h)
{
    atomic_store(&h->stopping, true);
    waker_wake(&h->waker);
    thread_join(&h->thread);
}

void housekeeping_free(struct housekeeping *h)
{
    if (h == NULL)
        return;
    housekeeping_stop(h);
    for (struct list *node; (node = list_pop(&h->queue));)
        free(LIST_ENTRY(node, struct waiting, node));
    waker_free(&h->waker);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
