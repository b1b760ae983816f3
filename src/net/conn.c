#include "net/conn.h"

#include "net/loop_internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    LARGE_FRAME = 256 * 1024,         /* frames from this size on are under the input budget */
    INPUT_BUDGET = 512 * 1024 * 1024, /* of all incomplete large frames together */
    BUDGET_RETRY_MS = 10,
    READS_PER_ROUND = 4,
};

static _Atomic int64_t input_charged;

/* ---- slots: references that outlive the connection ---- */

static bool slot_take(struct net_loop *l, struct net_conn *c)
{
    if (l->free_slot == UINT32_MAX) {
        uint32_t cap = l->slots_cap ? l->slots_cap * 2 : 64;
        struct net_slot *slots = realloc(l->slots, cap * sizeof *slots);
        if (slots == NULL)
            return false;
        l->slots = slots;
        for (uint32_t i = cap; i-- > l->slots_cap;) {
            slots[i] = (struct net_slot){NULL, 1, l->free_slot};
            l->free_slot = i;
        }
        l->slots_cap = cap;
    }
    uint32_t i = l->free_slot;
    l->free_slot = l->slots[i].next_free;
    l->slots[i].conn = c;
    c->slot = i;
    c->generation = l->slots[i].generation;
    return true;
}

static void slot_give(struct net_loop *l, uint32_t i)
{
    l->slots[i].conn = NULL;
    if (++l->slots[i].generation == 0)
        l->slots[i].generation = 1;
    l->slots[i].next_free = l->free_slot;
    l->free_slot = i;
}

struct net_ref net_conn_ref(const struct net_conn *c)
{
    return (struct net_ref){c->loop, c->slot, c->generation};
}

struct net_conn *net_ref_get(struct net_ref r)
{
    if (r.generation == 0 || r.slot >= r.loop->slots_cap || r.loop->slots[r.slot].generation != r.generation)
        return NULL;
    struct net_conn *c = r.loop->slots[r.slot].conn;
    return c && !c->close_why ? c : NULL;
}

void net_loop_each_conn(struct net_loop *l, void (*fn)(void *arg, struct net_conn *c), void *arg)
{
    for (uint32_t i = 0; i < l->slots_cap; i++)
        if (l->slots[i].conn && !l->slots[i].conn->close_why)
            fn(arg, l->slots[i].conn);
}

/* ---- accessors ---- */

struct net_loop *net_conn_loop(const struct net_conn *c)
{
    return c->loop;
}

void *net_conn_user(const struct net_conn *c)
{
    return c->user;
}

void net_conn_set_user(struct net_conn *c, void *user)
{
    c->user = user;
}

void **net_conn_state(struct net_conn *c)
{
    return &c->state;
}

const struct net_address *net_conn_peer(const struct net_conn *c)
{
    return &c->peer;
}

const struct net_address *net_conn_local(const struct net_conn *c)
{
    return &c->local;
}

/* ---- events ---- */

void net_conn_update_events(struct net_conn *c)
{
    uint32_t events = 0;
    if (!c->paused && !c->stopped_by_output && !c->connecting)
        events |= EPOLLIN;
    if (c->writable_wanted || c->connecting)
        events |= EPOLLOUT;
    if (events == c->events)
        return;
    c->events = events;
    if (net_loop_watch(c->loop, c->fd, events, &c->source, true) < 0)
        net_conn_close(c, "cannot watch the socket");
}

void net_conn_pause(struct net_conn *c)
{
    c->paused++;
    net_conn_update_events(c);
}

void net_conn_resume(struct net_conn *c)
{
    c->paused--;
    net_conn_update_events(c);
}

void net_conn_close(struct net_conn *c, const char *why)
{
    if (c->close_why)
        return;
    c->close_why = why;
    list_add_tail(&c->loop->closing, &c->closing_node);
    net_loop_again(c->loop);
}

/* ---- input ---- */

static void uncharge(struct net_conn *c)
{
    if (c->charged)
        atomic_fetch_sub(&input_charged, c->charged);
    c->charged = 0;
}

static void budget_retry(struct net_loop *l, struct net_timer *t)
{
    net_conn_resume(LIST_ENTRY(t, struct net_conn, budget_wait));
}

/* Room in `in` for the frame under way. False: over the budget, or out of memory; reading is paused for a moment. */
static bool room_for_frame(struct net_conn *c)
{
    size_t target = c->want > c->in.len ? c->want : c->in.len + 4096;
    if (target >= LARGE_FRAME && c->charged == 0) {
        int64_t charge = (int64_t)target;
        int64_t now = atomic_fetch_add(&input_charged, charge) + charge;
        if (now > INPUT_BUDGET && now != charge) {
            atomic_fetch_sub(&input_charged, charge);
            net_conn_pause(c);
            net_timer_set(c->loop, &c->budget_wait, BUDGET_RETRY_MS);
            return false;
        }
        c->charged = charge;
    }
    if (!buf_reserve(&c->in, target - c->in.len)) {
        net_conn_close(c, "out of memory for a frame");
        return false;
    }
    return true;
}

/* Gives the protocol what is at data; returns bytes used or -1. */
static ptrdiff_t hand_over(struct net_conn *c, uint8_t *data, size_t len)
{
    c->want = 0;
    ptrdiff_t used = c->protocol->data(c, data, len, &c->want);
    if (used < 0)
        net_conn_close(c, "bad data from the peer");
    return used;
}

/* recv() into data; 0 and the connection marked for closing, or nothing there. */
static size_t receive(struct net_conn *c, uint8_t *data, size_t room)
{
    ssize_t n = recv(c->fd, data, room, 0);
    if (n > 0)
        return (size_t)n;
    if (n == 0)
        net_conn_close(c, "closed by the peer");
    else if (errno != EAGAIN && errno != EINTR)
        net_conn_close(c, "read failed");
    return 0;
}

/* Reads into the loop's buffer, behind the beginning of a frame that came before. True: there may be more. */
static bool read_many(struct net_conn *c)
{
    struct net_loop *l = c->loop;
    size_t before = c->in.len;
    if (before)
        memcpy(l->read_buffer, c->in.data, before);
    size_t n = receive(c, l->read_buffer + before, NET_READ_BUFFER - before);
    if (n == 0)
        return false;
    ptrdiff_t used = 0;
    if (before + n >= c->want)
        used = hand_over(c, l->read_buffer, before + n);
    if (used < 0)
        return false;
    size_t kept = used ? 0 : before; /* of the rest, is in `in` already */
    c->in.len = kept;
    size_t rest = before + n - (size_t)used - kept;
    if (rest && !c->close_why) {
        buf_reserve(&c->in, c->want > kept + rest && c->want < LARGE_FRAME ? c->want - kept : rest);
        buf_add(&c->in, l->read_buffer + (size_t)used + kept, rest);
        if (!buf_ok(&c->in))
            net_conn_close(c, "out of memory for a frame");
    }
    if (c->in.len == 0 && c->in.cap > NET_KEEP_BUFFER)
        buf_free(&c->in);
    return n == NET_READ_BUFFER - before;
}

/* Reads once. True: there may be more. */
static bool read_once(struct net_conn *c)
{
    /* A long frame is collected where it stays; whatever is shorter must not bind us to one system call a frame. */
    if (c->in.len <= NET_KEEP_BUFFER && c->want < LARGE_FRAME)
        return read_many(c);
    if (!room_for_frame(c))
        return false;
    size_t room = (c->want > c->in.len ? c->want : c->in.cap) - c->in.len;
    size_t n = receive(c, c->in.data + c->in.len, room);
    if (n == 0)
        return false;
    c->in.len += n;
    if (c->in.len < c->want)
        return n == room;
    ptrdiff_t used = hand_over(c, c->in.data, c->in.len);
    if (used < 0)
        return false;
    if (used > 0) {
        uncharge(c);
        memmove(c->in.data, c->in.data + used, c->in.len - (size_t)used);
        c->in.len -= (size_t)used;
    }
    if (c->in.len == 0 && c->in.cap > NET_KEEP_BUFFER)
        buf_free(&c->in);
    return true;
}

static void idle_check(struct net_loop *l, struct net_timer *t)
{
    struct net_conn *c = LIST_ENTRY(t, struct net_conn, idle);
    int64_t left = c->last_active_ms + c->protocol->idle_timeout_ms - l->now_ms;
    if (left <= 0)
        net_conn_close(c, "idle for too long");
    else
        net_timer_set(l, t, left);
}

static void opened(struct net_conn *c)
{
    c->opened = true;
    socklen_t len = sizeof c->local.sa;
    getsockname(c->fd, (struct sockaddr *)&c->local.sa, &len);
    c->local.len = len;
    if (c->protocol->idle_timeout_ms)
        net_timer_set(c->loop, &c->idle, c->protocol->idle_timeout_ms);
    if (c->protocol->opened)
        c->protocol->opened(c);
}

static void finish_connect(struct net_conn *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        net_conn_close(c, "cannot connect");
        return;
    }
    c->connecting = false;
    net_conn_update_events(c);
    opened(c);
    net_conn_written(c);
}

static void conn_ready(struct net_loop *l, struct net_source *s, uint32_t events)
{
    struct net_conn *c = LIST_ENTRY(s, struct net_conn, source);
    if (c->close_why)
        return;
    c->last_active_ms = l->now_ms;
    if (c->connecting) {
        finish_connect(c);
        return;
    }
    if (events & EPOLLOUT)
        net_conn_written(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        for (int i = 0; i < READS_PER_ROUND && !c->close_why && !c->paused; i++)
            if (!read_once(c))
                break;
        /* A dead peer whose connection is paused would wake us for ever. */
        if ((events & (EPOLLHUP | EPOLLERR)) && (c->paused || c->stopped_by_output) && !c->close_why)
            net_conn_close(c, "closed by the peer");
    }
}

/* ---- life ---- */

static struct net_conn *conn_new(struct net_loop *l, int fd, const struct net_address *peer,
                                 const struct net_protocol *protocol, void *user)
{
    struct net_conn *c = calloc(1, sizeof *c);
    if (c == NULL || !slot_take(l, c)) {
        free(c);
        return NULL;
    }
    c->source.ready = conn_ready;
    c->loop = l;
    c->fd = fd;
    c->protocol = protocol;
    c->user = user;
    c->last_active_ms = l->now_ms;
    c->idle.fn = idle_check;
    c->budget_wait.fn = budget_retry;
    list_init(&c->flush_node);
    list_init(&c->closing_node);
    net_socket_tune(fd, peer);
    c->peer = *peer;
    return c;
}

static void conn_free(struct net_conn *c)
{
    struct net_loop *l = c->loop;
    c->protocol->closed(c, c->close_why);
    net_timer_cancel(l, &c->idle);
    net_timer_cancel(l, &c->budget_wait);
    uncharge(c);
    net_conn_drop_pieces(c);
    list_del(&c->flush_node);
    slot_give(l, c->slot);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c->pieces);
    free(c);
    atomic_fetch_sub_explicit(&l->conn_count, 1, memory_order_relaxed);
}

void net_conn_destroy_closing(struct net_loop *l)
{
    for (struct list *n; (n = list_pop(&l->closing));)
        conn_free(LIST_ENTRY(n, struct net_conn, closing_node));
}

void net_conn_close_all(struct net_loop *l)
{
    for (uint32_t i = 0; i < l->slots_cap; i++)
        if (l->slots[i].conn)
            net_conn_close(l->slots[i].conn, "stopping");
    net_conn_destroy_closing(l);
}

struct net_conn *net_connect(struct net_loop *l, const struct net_address *to, const struct net_protocol *protocol,
                             void *user, struct err *err)
{
    char name[64];
    net_address_format(to, name);
    int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_sys(err, errno, "cannot open a socket to %s", name);
        return NULL;
    }
    if (connect(fd, (const struct sockaddr *)&to->sa, to->len) < 0 && errno != EINPROGRESS) {
        err_sys(err, errno, "cannot connect to %s", name);
        close(fd);
        return NULL;
    }
    struct net_conn *c = conn_new(l, fd, to, protocol, user);
    if (c == NULL) {
        err_set(err, ENOMEM, "out of memory for a connection to %s", name);
        close(fd);
        return NULL;
    }
    atomic_fetch_add_explicit(&l->conn_count, 1, memory_order_relaxed);
    c->connecting = true;
    c->events = EPOLLOUT;
    if (net_loop_watch(l, fd, c->events, &c->source, false) < 0)
        net_conn_close(c, "cannot watch the socket");
    return c;
}

void net_conn_adopt(struct net_loop *l, int fd, const struct net_address *peer, const struct net_protocol *protocol,
                    void *user)
{
    struct net_conn *c = conn_new(l, fd, peer, protocol, user);
    if (c == NULL) {
        atomic_fetch_sub_explicit(&l->conn_count, 1, memory_order_relaxed);
        close(fd);
        return;
    }
    c->events = EPOLLIN;
    if (net_loop_watch(l, fd, c->events, &c->source, false) < 0) {
        net_conn_close(c, "cannot watch the socket");
        return;
    }
    opened(c);
}
