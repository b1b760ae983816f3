#include "namesrv/notice.h"

#include "base/log.h"
#include "base/map.h"
#include "remoting/call.h"
#include "remoting/headers_namesrv.h"
#include <errno.h>
#include <stdlib.h>

struct notices {
    struct net_loop *loop;
    struct map channels; /* address to struct rem_channel; the loop's */
};

/* One notice to one broker on its way to the loop; the texts stand behind it. */
struct letter {
    struct net_task task;
    struct notices *notices;
    struct net_address to;
    struct str to_text;
    struct min_broker_id_change_req header;
};

struct notices *notices_new(struct net_loop *loop, struct err *err)
{
    struct notices *n = calloc(1, sizeof *n);
    if (n == NULL) {
        err_set(err, ENOMEM, "out of memory for the name server's notices");
        return NULL;
    }
    n->loop = loop;
    return n;
}

static struct rem_channel *channel_to(struct notices *n, const struct letter *l)
{
    struct rem_channel *ch = map_get(&n->channels, l->to_text);
    if (ch)
        return ch;
    ch = rem_channel_new(n->loop, &l->to);
    if (ch && !map_put(&n->channels, l->to_text, ch, NULL)) {
        rem_channel_free(ch);
        ch = NULL;
    }
    return ch;
}

static void deliver(struct net_loop *loop, struct net_task *task)
{
    struct letter *l = LIST_ENTRY(task, struct letter, task);
    struct rem_channel *ch = channel_to(l->notices, l);
    struct rem_call call;
    if (ch && rem_channel_begin(ch, &call, REQ_NOTIFY_MIN_BROKER_ID_CHANGE, true)) {
        rem_schema_write(&min_broker_id_change_req_schema, &l->header, &call.frame);
        rem_call_send(&call, STR_NULL, 0, NULL, NULL);
    }
    free(l);
}

static struct str take(char **at, struct str s)
{
    struct str copy = str_is_null(s) ? STR_NULL : str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static void post(struct notices *n, const struct routes_notice *notice, struct str to)
{
    struct err err;
    size_t text = to.len + notice->min_addr.len + notice->offline_addr.len + notice->ha_addr.len + 1;
    struct letter *l = calloc(1, sizeof *l + text);
    if (l == NULL)
        return;
    if (net_address_parse(&l->to, to, &err) < 0) {
        LOG(LOG_WARN, "namesrv", "cannot tell broker %.*s that the smallest broker id changed: %s", STR_ARG(to),
            err.text);
        free(l);
        return;
    }
    char *at = (char *)(l + 1);
    l->task.fn = deliver;
    l->notices = n;
    l->to_text = take(&at, to);
    l->header.min_broker_id = notice->min_id;
    l->header.min_broker_addr = take(&at, notice->min_addr);
    l->header.offline_broker_addr = take(&at, notice->offline_addr);
    l->header.ha_broker_addr = take(&at, notice->ha_addr);
    net_loop_post(n->loop, &l->task);
}

void notices_send(struct notices *n, const struct routes_notice *list)
{
    for (; list; list = list->next)
        for (size_t i = 0; i < list->to_count; i++)
            post(n, list, list->to[i]);
}

static void free_channel(void *channel)
{
    rem_channel_free(channel);
}

void notices_free(struct notices *n)
{
    if (n == NULL)
        return;
    map_free(&n->channels, free_channel);
    free(n);
}
