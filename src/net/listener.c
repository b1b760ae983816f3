/* Listening, and handing new connections to the loops. */
#include "base/log.h"
#include "net/loop_internal.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct net_listener {
    struct net_source source;
    struct net_pool *pool;
    pthread_mutex_t
        lock; /* accepting and stopping exclude each other: the descriptor's number may be another's afterwards */
    int fd;
    const struct net_protocol *protocol;
    void *user;
    struct net_loop *half_pair; /* loop of a connection that waits for its partner */
    int64_t half_pair_until_ms;
};

enum { PAIR_MS = 1000 };

struct adopt {
    struct net_task task;
    int fd;
    struct net_address peer;
    const struct net_protocol *protocol;
    void *user;
};

static void adopt_task(struct net_loop *l, struct net_task *t)
{
    struct adopt *a = LIST_ENTRY(t, struct adopt, task);
    net_conn_adopt(l, a->fd, &a->peer, a->protocol, a->user);
    free(a);
}

static struct net_loop *least_loaded(struct net_pool *pool)
{
    struct net_loop *best = pool->loops[0];
    for (unsigned i = 1; i < pool->count; i++)
        if (atomic_load_explicit(&pool->loops[i]->conn_count, memory_order_relaxed) <
            atomic_load_explicit(&best->conn_count, memory_order_relaxed))
            best = pool->loops[i];
    return best;
}

/*
 * The loop with the fewest connections, but two that come one after the other share one: they often belong together, a
 * producer and the consumer of what it sends, and a message that needs no second loop wakes one thread less. Under the
 * listener's lock.
 */
static struct net_loop *choose_loop(struct net_listener *listener, int64_t now_ms)
{
    struct net_loop *to = listener->half_pair;
    listener->half_pair = NULL;
    if (to && now_ms <= listener->half_pair_until_ms)
        return to;
    to = least_loaded(listener->pool);
    listener->half_pair = to;
    listener->half_pair_until_ms = now_ms + PAIR_MS;
    return to;
}

/* Under the listener's lock. */
static void accept_some(struct net_loop *l, struct net_listener *listener)
{
    for (int i = 0; i < 64 && listener->fd >= 0; i++) {
        struct net_address peer = {.len = sizeof peer.sa};
        int fd = accept4(listener->fd, (struct sockaddr *)&peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                LOG_LIMITED(LOG_ERROR, "net",
                            "cannot accept connections: %s; raise the limit of open files (ulimit -n)",
                            strerror(errno));
            return;
        }
        struct net_loop *to = choose_loop(listener, l->now_ms);
        atomic_fetch_add_explicit(&to->conn_count, 1, memory_order_relaxed);
        if (to == l) {
            net_conn_adopt(l, fd, &peer, listener->protocol, listener->user);
            continue;
        }
        struct adopt *a = malloc(sizeof *a);
        if (a == NULL) {
            atomic_fetch_sub_explicit(&to->conn_count, 1, memory_order_relaxed);
            close(fd);
            continue;
        }
        *a = (struct adopt){{NULL, adopt_task}, fd, peer, listener->protocol, listener->user};
        net_loop_post(to, &a->task);
    }
}

static void listener_ready(struct net_loop *l, struct net_source *s, uint32_t events)
{
    struct net_listener *listener = LIST_ENTRY(s, struct net_listener, source);
    pthread_mutex_lock(&listener->lock);
    accept_some(l, listener);
    pthread_mutex_unlock(&listener->lock);
}

int net_listen(struct net_listener **out, struct net_pool *pool, struct str host, uint16_t port,
               const struct net_protocol *protocol, void *user, struct err *err)
{
    char text[300];
    struct net_address at;
    bool v6 = host.len && memchr(host.ptr, ':', host.len) && host.ptr[0] != '[';
    snprintf(text, sizeof text, v6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(host), port);
    if (net_address_parse(&at, str_from(text), err) < 0)
        return -1;
    int fd = socket(at.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return err_sys(err, errno, "cannot open a socket for %s", text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at.sa, at.len) < 0 || listen(fd, 1024) < 0) {
        int code = errno;
        close(fd);
        if (code == EADDRINUSE)
            return err_set(err, code, "port %u is in use on %.*s: stop the process that has it, or choose another port",
                           port, STR_ARG(host));
        return err_sys(err, code, "cannot listen on %s", text);
    }
    struct net_listener *l = calloc(1, sizeof *l);
    if (l == NULL) {
        close(fd);
        return err_set(err, ENOMEM, "out of memory for the listener on %s", text);
    }
    *l = (struct net_listener){.source = {listener_ready}, .pool = pool, .fd = fd, .protocol = protocol, .user = user};
    pthread_mutex_init(&l->lock, NULL);
    if (net_loop_watch(pool->loops[0], fd, EPOLLIN, &l->source, false) < 0) {
        err_sys(err, errno, "cannot watch the listener on %s", text);
        net_listener_free(l);
        return -1;
    }
    *out = l;
    return 0;
}

uint16_t net_listener_port(const struct net_listener *l)
{
    struct net_address a = {.len = sizeof a.sa};
    getsockname(l->fd, (struct sockaddr *)&a.sa, &a.len);
    return net_address_port(&a);
}

void net_listener_stop(struct net_listener *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->fd >= 0) {
        epoll_ctl(l->pool->loops[0]->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
        close(l->fd);
    }
    l->fd = -1;
    pthread_mutex_unlock(&l->lock);
}

void net_listener_free(struct net_listener *l)
{
    if (l == NULL)
        return;
    net_listener_stop(l);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
