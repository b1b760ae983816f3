/* What a connection has to send: bytes of its buffer and pieces of files, in their order, written once a round. */
#include "net/loop_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>

enum {
    OUTPUT_HIGH = 4 * 1024 * 1024, /* unsent bytes that stop reading more requests from this peer */
    OUTPUT_LOW = 1024 * 1024,
};

struct buf *net_conn_out(struct net_conn *c)
{
    return &c->out;
}

void net_conn_written(struct net_conn *c)
{
    if (list_empty(&c->flush_node))
        list_add_tail(&c->loop->flush, &c->flush_node);
}

size_t net_conn_unsent(const struct net_conn *c)
{
    return c->out.len - c->out_pos + c->file_unsent;
}

static bool piece_add(struct net_conn *c, struct piece p)
{
    if (c->piece_first + c->piece_count == c->piece_cap) {
        if (c->piece_first > 0) {
            memmove(c->pieces, c->pieces + c->piece_first, c->piece_count * sizeof *c->pieces);
            c->piece_first = 0;
        } else {
            size_t cap = c->piece_cap ? c->piece_cap * 2 : 8;
            struct piece *pieces = realloc(c->pieces, cap * sizeof *pieces);
            if (pieces == NULL)
                return false;
            c->pieces = pieces;
            c->piece_cap = cap;
        }
    }
    c->pieces[c->piece_first + c->piece_count++] = p;
    return true;
}

void net_conn_send_file(struct net_conn *c, int fd, int64_t offset, size_t len, void (*release)(void *arg), void *arg)
{
    struct piece bytes = {.fd = -1, .len = c->out.len - c->out_filed};
    struct piece file = {.fd = fd, .offset = offset, .len = len, .release = release, .arg = arg};
    if ((bytes.len && !piece_add(c, bytes)) || !piece_add(c, file)) {
        release(arg);
        net_conn_close(c, "out of memory");
        return;
    }
    c->out_filed = c->out.len;
    c->file_unsent += len;
    net_conn_written(c);
}

static void piece_done(struct net_conn *c)
{
    struct piece *p = &c->pieces[c->piece_first];
    if (p->release)
        p->release(p->arg);
    c->piece_first++;
    if (--c->piece_count == 0)
        c->piece_first = 0;
}

void net_conn_drop_pieces(struct net_conn *c)
{
    while (c->piece_count)
        piece_done(c);
}

/* Sends up to len bytes of out. Returns bytes sent, 0 when the socket is full, -1 on error. */
static ssize_t send_bytes(struct net_conn *c, size_t len, bool more)
{
    ssize_t n = send(c->fd, c->out.data + c->out_pos, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    c->out_pos += (size_t)n;
    return n;
}

static ssize_t send_piece(struct net_conn *c, struct piece *p)
{
    ssize_t n;
    if (p->fd < 0) {
        n = send_bytes(c, p->len, true);
    } else {
        off_t at = p->offset;
        n = sendfile(c->fd, p->fd, &at, p->len);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        if (n == 0)
            return -1; /* the file ends before the range: it was truncated under us */
        c->file_unsent -= (size_t)n;
        p->offset += n;
    }
    if (n > 0)
        p->len -= (size_t)n;
    return n;
}

static void flush_conn(struct net_conn *c)
{
    if (c->close_why || c->connecting)
        return;
    if (!buf_ok(&c->out)) {
        net_conn_close(c, "out of memory for output");
        return;
    }
    bool full = false;
    while (c->piece_count && !full) {
        struct piece *p = &c->pieces[c->piece_first];
        ssize_t n = send_piece(c, p);
        if (n < 0) {
            net_conn_close(c, "write failed");
            return;
        }
        if (p->len == 0)
            piece_done(c);
        else if (n == 0)
            full = true;
    }
    while (!full && c->out_pos < c->out.len) {
        ssize_t n = send_bytes(c, c->out.len - c->out_pos, false);
        if (n < 0) {
            net_conn_close(c, "write failed");
            return;
        }
        full = n == 0;
    }
    if (c->out_pos == c->out.len) {
        c->out.len = c->out_pos = c->out_filed = 0;
        if (c->out.cap > NET_KEEP_BUFFER)
            buf_free(&c->out);
    } else if (c->out_pos > OUTPUT_LOW) {
        memmove(c->out.data, c->out.data + c->out_pos, c->out.len - c->out_pos);
        c->out.len -= c->out_pos;
        c->out_filed -= c->out_filed > c->out_pos ? c->out_pos : c->out_filed;
        c->out_pos = 0;
    }
    size_t unsent = net_conn_unsent(c);
    c->writable_wanted = unsent > 0;
    if (unsent > OUTPUT_HIGH)
        c->stopped_by_output = true;
    else if (unsent < OUTPUT_LOW)
        c->stopped_by_output = false;
    net_conn_update_events(c);
}

void net_conn_flush_pending(struct net_loop *l)
{
    for (struct list *n; (n = list_pop(&l->flush));)
        flush_conn(LIST_ENTRY(n, struct net_conn, flush_node));
}
