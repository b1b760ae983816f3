#include "admin/message_find.h"

#include "admin/message_text.h"
#include "admin/time_text.h"

#include <errno.h>

enum { PULL_BATCH = 32 };

static int add_found(struct admin *a, struct str body, struct str broker_name, struct found_message **out,
                     size_t *count, struct err *err)
{
    struct str copy = arena_str(&a->tool.arena, body), rest = copy;
    struct msg_view v;
    size_t n = 0;
    if (str_is_null(copy))
        return str_is_null(body) ? 0 : err_set(err, ENOMEM, "out of memory");
    while (message_next(&rest, &v))
        n++;
    struct found_message *all = arena_alloc(&a->tool.arena, (*count + n + 1) * sizeof *all);
    if (all == NULL)
        return err_set(err, ENOMEM, "out of memory");
    if (*count)
        memcpy(all, *out, *count * sizeof *all);
    *out = all;
    for (rest = copy; message_next(&rest, &v);)
        all[(*count)++] = (struct found_message){v, broker_name};
    return 0;
}

int message_find_id(struct admin *a, struct str topic, struct str id, struct found_message *out, size_t *count,
                    struct err *err)
{
    struct msg_host host;
    int64_t offset;
    char address[64];
    struct found_message *found = NULL;
    struct rem_command answer;
    *count = 0;
    if (!msg_id_parse(id, &host, &offset))
        return err_set(err, EINVAL, "\"%.*s\" is no offset message id: 32 or 56 hexadecimal digits", STR_ARG(id));
    message_host_text(&host, address);
    struct rem_frame f = admin_begin(a, REQ_VIEW_MESSAGE_BY_ID);
    rem_frame_str(&f, "topic", topic);
    rem_frame_i64(&f, "offset", offset);
    if (admin_call(a, address, &f, STR_NULL, &answer, err) ||
        add_found(a, answer.body, STR_LIT(""), &found, count, err))
        return -1;
    if (*count)
        *out = found[0];
    return 0;
}

int message_find_key(struct admin *a, const struct message_query *q, struct found_message **out, size_t *count,
                     struct err *err)
{
    struct admin_targets brokers;
    *out = NULL;
    *count = 0;
    if (admin_topic_brokers(a, q->topic, &brokers, err))
        return -1;
    for (size_t i = 0; i < brokers.count; i++) {
        struct rem_command answer;
        struct rem_frame f = admin_begin(a, REQ_QUERY_MESSAGE);
        rem_frame_str(&f, "topic", q->topic);
        rem_frame_str(&f, "key", q->key);
        rem_frame_i64(&f, "maxNum", q->max);
        rem_frame_i64(&f, "beginTimestamp", q->begin_ms);
        rem_frame_i64(&f, "endTimestamp", q->end_ms);
        rem_frame_str(&f, "_UNIQUE_KEY_QUERY", q->unique ? STR_LIT("true") : STR_LIT("false"));
        if (sync_call(a->tool.client, brokers.address[i], &f, STR_NULL, &answer, err))
            return -1;
        if (answer.code == RESP_QUERY_NOT_FOUND)
            continue;
        if (answer.code != RESP_SUCCESS)
            return sync_refused(brokers.address[i], &answer, err);
        if (add_found(a, answer.body, brokers.name[i], out, count, err))
            return -1;
    }
    return 0;
}

int message_walk(struct admin *a, const struct message_walk *w, struct err *err)
{
    struct tool_pull p = {
        .group = w->group, .expression = w->expression, .offset = w->from, .max_messages = PULL_BATCH};
    while (p.offset < w->to) {
        struct tool_pulled pulled;
        struct msg_view v;
        if (tool_pull(&a->tool, w->queue, &p, &pulled, err))
            return -1;
        while (pulled.code == RESP_SUCCESS && message_next(&pulled.body, &v)) {
            if (v.m.queue_offset >= w->to)
                return 0;
            if (!w->fn(w->arg, w, &v))
                return 0;
        }
        if (pulled.next_offset <= p.offset) /* nothing there, and nothing to skip */
            return 0;
        p.offset = pulled.next_offset;
    }
    return 0;
}

int message_range(struct admin *a, const struct tool_queue *q, const char *begin, const char *end, int64_t *from,
                  int64_t *to, struct err *err)
{
    int64_t time;
    if (begin ? time_parse(begin, &time, err) || tool_offset_by_time(&a->tool, q, time, from, err)
              : tool_offset(&a->tool, q, REQ_GET_MIN_OFFSET, from, err))
        return -1;
    if (end ? time_parse(end, &time, err) || tool_offset_by_time(&a->tool, q, time, to, err)
            : tool_offset(&a->tool, q, REQ_GET_MAX_OFFSET, to, err))
        return -1;
    return 0;
}
