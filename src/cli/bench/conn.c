#include "cli/bench/conn.h"

#include "net/conn.h"
#include "remoting/command.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

enum { READ_STEP = 256 * 1024, ANSWER_SECONDS = 30 };

int bench_conn_open(struct bench_conn *c, const char *address, int epoll, void *user, struct err *err)
{
    struct net_address to;
    memset(c, 0, sizeof *c);
    c->fd = -1;
    c->epoll = epoll;
    c->user = user;
    if (net_address_parse(&to, str_from(address), err))
        return -1;
    c->fd = socket(to.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to.sa, to.len))
        return err_sys(err, errno, "cannot connect to %s", address);
    net_socket_tune(c->fd, &to);
    if (epoll < 0) {
        struct timeval limit = {.tv_sec = ANSWER_SECONDS};
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return 0;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = user};
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e))
        return err_sys(err, errno, "cannot watch the connection to %s", address);
    return 0;
}

void bench_conn_close(struct bench_conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
    buf_free(&c->out);
}

bool bench_conn_receive(struct bench_conn *c, const char **why)
{
    *why = "out of memory";
    if (!buf_reserve(&c->in, READ_STEP))
        return false;
    ssize_t n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len, 0);
    if (n > 0) {
        c->in.len += (size_t)n;
        return true;
    }
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && c->epoll >= 0)))
        return true;
    *why = n == 0 ? "the server closed the connection" : errno == EAGAIN ? "no answer in 30 s" : strerror(errno);
    return false;
}

bool bench_conn_frames(struct bench_conn *c, void (*fn)(void *arg, uint8_t *frame, size_t len), void *arg,
                       const char **why)
{
    size_t at = 0, total;
    for (;;) {
        enum rem_frame_status s = rem_frame_peek(c->in.data + at, c->in.len - at, &total);
        if (s == REM_FRAME_BAD) {
            *why = "the server does not speak RocketMQ's protocol";
            return false;
        }
        if (s == REM_FRAME_INCOMPLETE || c->in.len - at < total)
            break;
        fn(arg, c->in.data + at, total);
        at += total;
    }
    if (at && at < c->in.len)
        memmove(c->in.data, c->in.data + at, c->in.len - at);
    c->in.len -= at;
    return true;
}

static bool want_write(struct bench_conn *c, bool wanted, const char **why)
{
    struct epoll_event e = {.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0), .data.ptr = c->user};
    if (c->wants_write == wanted)
        return true;
    c->wants_write = wanted;
    *why = "epoll_ctl failed";
    return epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0;
}

bool bench_conn_flush(struct bench_conn *c, const char **why)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n > 0) {
            c->out_sent += (size_t)n;
        } else if (errno == EAGAIN && c->epoll >= 0) {
            return want_write(c, true, why);
        } else if (errno != EINTR) {
            *why = strerror(errno);
            return false;
        }
    }
    c->out_sent = 0;
    buf_clear(&c->out);
    return c->epoll < 0 || want_write(c, false, why);
}
