#include "remoting/call.h"

#include <stdatomic.h>
#include <stdlib.h>

/* One call that waits for its answer. */
struct pending {
    struct list node;
    struct net_timer timer;
    int32_t opaque;
    rem_done_fn done;
    void *arg;
};

struct rem_calls {
    struct list waiting;
};

static atomic_int next_opaque;

/* Kept in the connection's state pointer, made when the first call is sent. */
static struct rem_calls *calls_of(struct net_conn *c)
{
    void **state = net_conn_state(c);
    if (*state == NULL) {
        struct rem_calls *calls = malloc(sizeof *calls);
        if (calls)
            list_init(&calls->waiting);
        *state = calls;
    }
    return *state;
}

static void finish(struct net_loop *loop, struct pending *p, const struct rem_command *response, const char *why)
{
    list_del(&p->node);
    net_timer_cancel(loop, &p->timer);
    p->done(p->arg, response, why);
    free(p);
}

static void timed_out(struct net_loop *loop, struct net_timer *t)
{
    finish(loop, LIST_ENTRY(t, struct pending, timer), NULL, "no answer in time");
}

static bool begin(struct rem_call *call, struct net_conn *c, int32_t code, bool oneway)
{
    call->conn = c;
    call->opaque = atomic_fetch_add(&next_opaque, 1);
    call->oneway = oneway;
    rem_frame_begin(&call->frame, net_conn_out(c), code);
    return true;
}

bool rem_call_begin(struct rem_call *call, struct net_ref to, int32_t code, bool oneway)
{
    struct net_conn *c = to.generation ? net_ref_get(to) : NULL;
    return c && begin(call, c, code, oneway);
}

void rem_call_send(struct rem_call *call, struct str body, int64_t timeout_ms, rem_done_fn done, void *arg)
{
    rem_frame_header_end(&call->frame, call->oneway ? REM_FLAG_ONEWAY : 0, call->opaque, STR_NULL);
    buf_add_str(call->frame.out, body);
    rem_frame_finish(&call->frame, 0);
    net_conn_written(call->conn);
    if (call->oneway)
        return;
    struct rem_calls *calls = calls_of(call->conn);
    struct pending *p = calls ? calloc(1, sizeof *p) : NULL;
    if (p == NULL) {
        done(arg, NULL, "out of memory");
        return;
    }
    p->opaque = call->opaque;
    p->done = done;
    p->arg = arg;
    p->timer.fn = timed_out;
    list_add_tail(&calls->waiting, &p->node);
    net_timer_set(net_conn_loop(call->conn), &p->timer, timeout_ms);
}

static void take_answer(struct net_conn *c, const struct rem_command *response)
{
    struct rem_calls *calls = *net_conn_state(c);
    if (calls == NULL)
        return;
    for (struct list *n = calls->waiting.next; n != &calls->waiting; n = n->next) {
        struct pending *p = LIST_ENTRY(n, struct pending, node);
        if (p->opaque == response->opaque) {
            finish(net_conn_loop(c), p, response, NULL);
            return;
        }
    }
}

ptrdiff_t rem_take_frames(struct net_conn *c, uint8_t *data, size_t len, size_t *want, rem_request_fn request,
                          void *arg, const char **why)
{
    struct rem_command cmd;
    size_t used = 0;
    *why = "frame length or header length out of range";
    for (;;) {
        size_t total;
        enum rem_frame_status status = rem_frame_peek(data + used, len - used, &total);
        if (status == REM_FRAME_INCOMPLETE) {
            *want = total;
            return (ptrdiff_t)used;
        }
        if (status == REM_FRAME_BAD) {
            if (data[used] == 0x16)
                *why = "a TLS handshake, and TLS is not switched on";
            return -1;
        }
        if (!rem_decode(data + used, total, &cmd, why))
            return -1;
        if (cmd.flag & REM_FLAG_RESPONSE)
            take_answer(c, &cmd);
        else if (request)
            request(arg, c, &cmd, data + used, total);
        used += total;
    }
}

void rem_calls_closed(struct net_conn *c, const char *why)
{
    struct rem_calls *calls = *net_conn_state(c);
    if (calls == NULL)
        return;
    *net_conn_state(c) = NULL;
    while (!list_empty(&calls->waiting))
        finish(net_conn_loop(c), LIST_ENTRY(calls->waiting.next, struct pending, node), NULL, why);
    free(calls);
}

/* ---- channels ---- */

struct rem_channel {
    struct net_loop *loop;
    struct net_address to;
    struct net_conn *conn;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static ptrdiff_t channel_data(struct net_conn *c, uint8_t *data, size_t len, size_t *want)
{
    const char *why;
    return rem_take_frames(c, data, len, want, NULL, NULL, &why);
}

static void channel_closed(struct net_conn *c, const char *why)
{
    struct rem_channel *ch = net_conn_user(c);
    if (ch)
        ch->conn = NULL;
    rem_calls_closed(c, why);
    if (ch && ch->on_closed)
        ch->on_closed(ch->on_closed_arg);
}

static const struct net_protocol channel_protocol = {NULL, channel_data, channel_closed, 120000};

struct rem_channel *rem_channel_new(struct net_loop *loop, const struct net_address *to)
{
    struct rem_channel *ch = calloc(1, sizeof *ch);
    if (ch == NULL)
        return NULL;
    ch->loop = loop;
    ch->to = *to;
    return ch;
}

void rem_channel_free(struct rem_channel *ch)
{
    if (ch == NULL)
        return;
    if (ch->conn) {
        net_conn_set_user(ch->conn, NULL);
        net_conn_close(ch->conn, "closed");
    }
    free(ch);
}

void rem_channel_on_closed(struct rem_channel *ch, void (*fn)(void *arg), void *arg)
{
    ch->on_closed = fn;
    ch->on_closed_arg = arg;
}

bool rem_channel_begin(struct rem_channel *ch, struct rem_call *call, int32_t code, bool oneway)
{
    if (ch->conn == NULL)
        ch->conn = net_connect(ch->loop, &ch->to, &channel_protocol, ch, NULL);
    return ch->conn && begin(call, ch->conn, code, oneway);
}
