#include "remoting/sync_client.h"

#include "net/conn.h"
#include "os/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024 };

struct sync_conn {
    struct sync_conn *next;
    char *address;
    int fd; /* -1: not connected */
    struct buf in;
    size_t used; /* of in: frames given out already */
};

struct sync_client {
    int64_t timeout_ms;
    int32_t opaque;
    struct buf out; /* the request being built */
    struct sync_conn *conns;
};

struct sync_client *sync_client_new(int64_t timeout_ms)
{
    struct sync_client *c = calloc(1, sizeof *c);
    if (c)
        c->timeout_ms = timeout_ms;
    return c;
}

static void disconnect(struct sync_conn *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
    buf_clear(&k->in);
    k->used = 0;
}

void sync_client_free(struct sync_client *c)
{
    if (c == NULL)
        return;
    for (struct sync_conn *k = c->conns, *next; k; k = next) {
        next = k->next;
        disconnect(k);
        buf_free(&k->in);
        free(k->address);
        free(k);
    }
    buf_free(&c->out);
    free(c);
}

static struct sync_conn *conn_of(struct sync_client *c, const char *address, struct err *err)
{
    for (struct sync_conn *k = c->conns; k; k = k->next)
        if (strcmp(k->address, address) == 0)
            return k;
    struct sync_conn *k = calloc(1, sizeof *k);
    if (k)
        k->address = strdup(address);
    if (k == NULL || k->address == NULL) {
        free(k);
        err_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    k->fd = -1;
    k->next = c->conns;
    c->conns = k;
    return k;
}

/* 0, -ETIMEDOUT or another negative errno value. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = deadline_ms - clock_mono_ms();
        if (left < 0)
            left = 0;
        int n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int open_conn(struct sync_conn *k, int64_t deadline_ms, struct err *err)
{
    struct net_address to;
    int error = 0;
    socklen_t len = sizeof error;
    if (net_address_parse(&to, str_from(k->address), err))
        return -1;
    k->fd = socket(to.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->fd < 0)
        return err_sys(err, errno, "cannot open a socket");
    net_socket_tune(k->fd, &to);
    if (connect(k->fd, (struct sockaddr *)&to.sa, to.len) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
            error = -wait_for(k->fd, POLLOUT, deadline_ms);
            if (error == 0 && getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &len))
                error = errno;
        }
    }
    if (error == 0)
        return 0;
    disconnect(k);
    return err_sys(err, error, "cannot connect to %s", k->address);
}

static int write_all(struct sync_conn *k, const uint8_t *data, size_t n, int64_t deadline_ms, struct err *err)
{
    while (n > 0) {
        ssize_t sent = send(k->fd, data, n, MSG_NOSIGNAL);
        int error = sent < 0 ? errno : 0;
        if (sent >= 0) {
            data += sent;
            n -= (size_t)sent;
        } else if (error == EAGAIN) {
            error = -wait_for(k->fd, POLLOUT, deadline_ms);
            if (error)
                goto failed;
        } else if (error != EINTR) {
            goto failed;
        }
        continue;
    failed:
        disconnect(k);
        return err_sys(err, error, "cannot send to %s", k->address);
    }
    return 0;
}

void sync_begin(struct sync_client *c, struct rem_frame *f, int32_t code)
{
    buf_clear(&c->out);
    rem_frame_begin(f, &c->out, code);
}

static int post(struct sync_client *c, const char *address, struct rem_frame *f, struct str body, int32_t flag,
                int32_t *opaque, struct err *err)
{
    int64_t deadline = clock_mono_ms() + c->timeout_ms;
    struct sync_conn *k = conn_of(c, address, err);
    if (k == NULL || (k->fd < 0 && open_conn(k, deadline, err)))
        return -1;
    *opaque = ++c->opaque;
    rem_frame_header_end(f, flag, *opaque, STR_NULL);
    buf_add_str(&c->out, body);
    rem_frame_finish(f, 0);
    if (!buf_ok(&c->out))
        return err_set(err, ENOMEM, "out of memory");
    return write_all(k, c->out.data, c->out.len, deadline, err);
}

int sync_post(struct sync_client *c, const char *address, struct rem_frame *f, struct str body, int32_t *opaque,
              struct err *err)
{
    return post(c, address, f, body, 0, opaque, err);
}

int sync_oneway(struct sync_client *c, const char *address, struct rem_frame *f, struct str body, struct err *err)
{
    int32_t opaque;
    return post(c, address, f, body, REM_FLAG_ONEWAY, &opaque, err);
}

/* Receives what is there: 0, or -1 with err. *waits: nothing is there. */
static int read_more(struct sync_conn *k, bool *waits, struct err *err)
{
    if (!buf_reserve(&k->in, READ_STEP))
        return err_set(err, ENOMEM, "out of memory");
    ssize_t n = recv(k->fd, k->in.data + k->in.len, k->in.cap - k->in.len, 0);
    int error = n < 0 ? errno : 0;
    if (n > 0)
        k->in.len += (size_t)n;
    *waits = error == EAGAIN;
    if (n > 0 || error == EAGAIN || error == EINTR)
        return 0;
    disconnect(k);
    return n == 0 ? err_set(err, ECONNRESET, "%s closed the connection", k->address)
                  : err_sys(err, error, "cannot read from %s", k->address);
}

static int refuse_request(struct sync_client *c, struct sync_conn *k, const struct rem_command *rq, struct err *err)
{
    struct rem_frame f;
    if (rq->flag & REM_FLAG_ONEWAY)
        return 0;
    int32_t opaque = rq->opaque;
    buf_clear(&c->out);
    rem_frame_begin(&f, &c->out, RESP_REQUEST_CODE_NOT_SUPPORTED);
    rem_frame_header_end(&f, REM_FLAG_RESPONSE, opaque, STR_LIT("this client is a tool and serves no requests"));
    rem_frame_finish(&f, 0);
    return write_all(k, c->out.data, c->out.len, clock_mono_ms() + c->timeout_ms, err);
}

/* 1: an answer. 0: there is none in what was received. -1: err. */
static int next_answer(struct sync_client *c, struct sync_conn *k, struct rem_command *answer, struct err *err)
{
    for (;;) {
        const char *why = "a frame larger than 16 MiB";
        size_t total, have = k->in.len - k->used;
        enum rem_frame_status status = rem_frame_peek(k->in.data + k->used, have, &total);
        if (status == REM_FRAME_INCOMPLETE || (status == REM_FRAME_OK && have < total)) {
            if (k->used) { /* keep what is not used yet at the start */
                memmove(k->in.data, k->in.data + k->used, have);
                k->in.len = have;
                k->used = 0;
            }
            return 0;
        }
        if (status == REM_FRAME_BAD || !rem_decode(k->in.data + k->used, total, answer, &why)) {
            disconnect(k);
            return err_set(err, EPROTO, "%s does not speak RocketMQ's protocol: %s", k->address, why);
        }
        k->used += total;
        if (answer->flag & REM_FLAG_RESPONSE)
            return 1;
        if (refuse_request(c, k, answer, err))
            return -1;
    }
}

int sync_take(struct sync_client *c, const char *address, int64_t timeout_ms, struct rem_command *answer,
              struct err *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    struct sync_conn *k = conn_of(c, address, err);
    bool waits = false;
    if (k == NULL)
        return -1;
    if (k->fd < 0)
        return err_set(err, ENOTCONN, "not connected to %s", address);
    for (;;) {
        int rc = next_answer(c, k, answer, err);
        if (rc)
            return rc < 0 ? -1 : 0;
        rc = waits ? wait_for(k->fd, POLLIN, deadline) : 0;
        if (rc)
            return err_sys(err, -rc, "no answer from %s", address);
        if (read_more(k, &waits, err))
            return -1;
    }
}

int sync_take_any(struct sync_client *c, int64_t timeout_ms, const char **address, struct rem_command *answer,
                  struct err *err)
{
    enum { POLLED = 64 };
    int64_t deadline = clock_mono_ms() + timeout_ms;
    for (;;) {
        struct pollfd polled[POLLED];
        struct sync_conn *conns[POLLED];
        nfds_t n = 0;
        *address = NULL;
        for (struct sync_conn *k = c->conns; k && n < POLLED; k = k->next) {
            if (k->fd < 0)
                continue;
            int rc = next_answer(c, k, answer, err);
            *address = rc ? k->address : NULL;
            if (rc)
                return rc < 0 ? -1 : 0;
            conns[n] = k;
            polled[n++] = (struct pollfd){.fd = k->fd, .events = POLLIN};
        }
        int64_t left = deadline - clock_mono_ms();
        int ready = poll(polled, n, left < 0 ? 0 : (int)left);
        if (ready == 0)
            return err_set(err, ETIMEDOUT, "nothing arrived in time");
        for (nfds_t i = 0; ready > 0 && i < n; i++) {
            bool waits;
            if (polled[i].revents && read_more(conns[i], &waits, err)) {
                *address = conns[i]->address;
                return -1;
            }
        }
    }
}

int sync_call(struct sync_client *c, const char *address, struct rem_frame *f, struct str body,
              struct rem_command *answer, struct err *err)
{
    int32_t opaque;
    if (sync_post(c, address, f, body, &opaque, err))
        return -1;
    do {
        if (sync_take(c, address, c->timeout_ms, answer, err))
            return -1;
    } while (answer->opaque != opaque);
    return 0;
}

int sync_refused(const char *address, const struct rem_command *answer, struct err *err)
{
    return err_set(err, answer->code, "%s answered %d: %.*s", address, answer->code,
                   STR_ARG(str_is_null(answer->remark) ? STR_LIT("no reason given") : answer->remark));
}

int sync_call_ok(struct sync_client *c, const char *address, struct rem_frame *f, struct str body,
                 struct rem_command *answer, struct err *err)
{
    if (sync_call(c, address, f, body, answer, err))
        return -1;
    return answer->code == RESP_SUCCESS ? 0 : sync_refused(address, answer, err);
}

int sync_call_any(struct sync_client *c, const char *addresses, struct rem_frame *f, struct str body,
                  struct rem_command *answer, struct err *err)
{
    struct str rest = str_from(addresses), one;
    struct buf unsent = {0}; /* a frame is finished once: keep it for the next address */
    struct rem_frame again = *f;
    int rc = err_set(err, EINVAL, "no name server address; -n ADDRS names them");
    buf_add(&unsent, c->out.data, c->out.len);
    while (rc && str_split(&rest, ';', &one)) {
        char *address = str_dupz(str_trim(one));
        if (address && *address && buf_ok(&unsent)) {
            buf_clear(&c->out);
            buf_add_str(&c->out, buf_str(&unsent));
            *f = again;
            rc = sync_call(c, address, f, body, answer, err);
        }
        free(address);
    }
    buf_free(&unsent);
    return rc;
}
