#include "broker/send/late_reply.h"

#include <stdlib.h>

struct late_reply {
    struct net_task task;
    struct rem_token to;
    struct rem_frame frame;
    struct buf out;
};

struct late_reply *late_reply_new(const struct rem_token *to, int32_t code)
{
    struct late_reply *l = to->oneway ? NULL : calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->to = *to;
    rem_frame_begin(&l->frame, &l->out, code);
    return l;
}

struct rem_frame *late_reply_frame(struct late_reply *l)
{
    return &l->frame;
}

static void write_out(struct net_loop *loop, struct net_task *t)
{
    struct late_reply *l = LIST_ENTRY(t, struct late_reply, task);
    struct net_conn *c = net_ref_get(l->to.conn);
    if (c && buf_ok(&l->out)) {
        buf_add_str(net_conn_out(c), buf_str(&l->out));
        net_conn_written(c);
    }
    buf_free(&l->out);
    free(l);
}

void late_reply_send(struct late_reply *l, struct str remark, struct str body)
{
    if (l == NULL)
        return;
    rem_frame_header_end(&l->frame, REM_FLAG_RESPONSE, l->to.opaque, remark);
    buf_add_str(&l->out, body);
    rem_frame_finish(&l->frame, 0);
    l->task.fn = write_out;
    net_loop_post(l->to.conn.loop, &l->task);
}
