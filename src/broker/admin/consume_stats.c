/* How far groups have consumed: 208 of one group, 317 of all groups of the broker, 303 as points in time. */
#include "broker/admin/admin_int.h"

#include "os/clock.h"
#include "remoting/headers_admin.h"
#include <stdio.h>
#include <time.h>

struct lag {
    int64_t behind, in_flight;
};

/* One member of an offsetTable. */
static struct lag write_offsets(struct broker *b, struct jw *w, struct str group, struct str topic, int32_t queue_id)
{
    int64_t end = broker_admin_queue_max(b, topic, queue_id);
    int64_t consumed = offset_query(b->offsets, group, topic, queue_id);
    int64_t pulled = offset_query_pull(b->offsets, group, topic, queue_id);
    if (consumed < 0)
        consumed = 0;
    if (pulled < consumed)
        pulled = consumed;
    int64_t time = consumed > 0 ? broker_admin_queue_time(b, topic, queue_id, consumed - 1) : 0;
    broker_admin_write_queue_key(w, b, topic, queue_id);
    jw_begin_object(w);
    jw_ki64(w, "brokerOffset", end);
    jw_ki64(w, "consumerOffset", consumed);
    jw_ki64(w, "lastTimestamp", time > 0 ? time : 0);
    jw_ki64(w, "pullOffset", pulled);
    jw_end_object(w);
    return (struct lag){end - consumed, pulled - consumed};
}

static double group_tps(struct broker *b, struct arena *a, struct str group, struct str topic)
{
    const char *key = arena_printf(a, "%.*s@%.*s", STR_ARG(topic), STR_ARG(group));
    return key ? stats_tps(b->stats, STATS_GROUP_GET_NUMS, str_from(key)) : 0;
}

/* ---- 208 ---- */

/* The topics asked for: a list as it is; one topic, or all that the group has offsets for, if it consumes them. */
static size_t topics_asked(struct rem_request *rq, const struct consume_stats_req *h, struct str **out)
{
    struct broker *b = broker_of(rq);
    struct str rest = h->topic_list, piece;
    size_t n = 0, kept = 0, max = 1;
    if (!str_blank(h->topic_list)) {
        for (size_t i = 0; i < rest.len; i++)
            max += rest.ptr[i] == ';';
        *out = arena_alloc(rem_arena(rq), max * sizeof **out);
        while (*out && str_split(&rest, ';', &piece))
            if (!str_blank(piece))
                (*out)[n++] = str_trim(piece);
        return n;
    }
    if (!str_blank(h->topic)) {
        *out = arena_alloc(rem_arena(rq), sizeof **out);
        if (*out)
            (*out)[n++] = h->topic;
    } else {
        offset_topics_of(b->offsets, h->consumer_group, rem_arena(rq), out, &n);
    }
    for (size_t i = 0; i < n; i++)
        if (broker_admin_group_consumes(b, h->consumer_group, (*out)[i]))
            (*out)[kept++] = (*out)[i];
    return kept;
}

void broker_admin_consume_stats(struct rem_request *rq, const void *header)
{
    const struct consume_stats_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    struct str *topics = NULL;
    size_t n = topics_asked(rq, h, &topics);
    double tps = 0;
    jw_init(&w, &body);
    jw_begin_object(&w);
    for (size_t i = 0; i < n; i++)
        tps += group_tps(b, rem_arena(rq), h->consumer_group, topics[i]);
    jw_kdouble(&w, "consumeTps", tps);
    jw_kobject(&w, "offsetTable");
    for (size_t i = 0; i < n; i++) {
        const struct topic *t = topic_find(b->topics, topics[i]);
        for (int q = 0; t && q < t->read_queues; q++)
            write_offsets(b, &w, h->consumer_group, topics[i], q);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/* ---- 317 ---- */

static void write_group(struct rem_request *rq, struct jw *w, struct str group, bool order_only, struct lag *total)
{
    struct broker *b = broker_of(rq);
    struct str *topics;
    size_t n;
    offset_topics_of(b->offsets, group, rem_arena(rq), &topics, &n);
    jw_begin_object(w);
    jw_key(w, group);
    jw_begin_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct topic *t = topic_find(b->topics, topics[i]);
        if (t == NULL || (order_only && !t->order) || !broker_admin_group_consumes(b, group, topics[i]))
            continue;
        jw_begin_object(w);
        jw_kdouble(w, "consumeTps", group_tps(b, rem_arena(rq), group, topics[i]));
        jw_kobject(w, "offsetTable");
        for (int q = 0; q < t->write_queues; q++) {
            struct lag lag = write_offsets(b, w, group, topics[i], q);
            total->behind += lag.behind;
            total->in_flight += lag.in_flight;
        }
        jw_end_object(w);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_end_object(w);
}

void broker_admin_all_consume_stats(struct rem_request *rq, const void *header)
{
    const struct broker_consume_stats_req *h = header;
    struct broker *b = broker_of(rq);
    struct lag total = {0};
    struct buf body = {0};
    struct jw w;
    struct str *groups;
    size_t n;
    group_names(b->groups, rem_arena(rq), &groups, &n);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kstr(&w, "brokerAddr", str_from(b->address));
    jw_karray(&w, "consumeStatsList");
    for (size_t i = 0; i < n; i++)
        write_group(rq, &w, groups[i], h->is_order, &total);
    jw_end_array(&w);
    jw_ki64(&w, "totalDiff", total.behind);
    jw_ki64(&w, "totalInflightDiff", total.in_flight);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/* ---- 303 ---- */

static void write_time(struct jw *w, const char *name, const char *text_name, int64_t ms)
{
    char text[64];
    struct tm tm;
    int64_t rest = ms % 1000 < 0 ? ms % 1000 + 1000 : ms % 1000;
    time_t t = (time_t)((ms - rest) / 1000);
    localtime_r(&t, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%d#%H:%M:%S", &tm);
    snprintf(text + len, sizeof text - len, ":%03d", (int)rest);
    jw_ki64(w, name, ms);
    jw_kstr(w, text_name, str_from(text));
}

static void write_span(struct broker *b, struct jw *w, const struct topic_group_req *h, int32_t q)
{
    int64_t first = broker_admin_queue_min(b, h->topic, q), end = broker_admin_queue_max(b, h->topic, q);
    int64_t first_time = broker_admin_queue_time(b, h->topic, q, first);
    int64_t consumed = offset_query(b->offsets, h->group, h->topic, q);
    int64_t next = consumed < 0 ? first : consumed, delay = 0;
    if (consumed < end) {
        int64_t next_time = broker_admin_queue_time(b, h->topic, q, next);
        delay = next_time > 0 ? clock_wall_ms() - next_time : 0;
    }
    jw_begin_object(w);
    write_time(w, "consumeTimeStamp", "consumeTimeStampStr",
               consumed > 0 ? broker_admin_queue_time(b, h->topic, q, consumed - 1) : first_time);
    jw_ki64(w, "delayTime", delay);
    write_time(w, "maxTimeStamp", "maxTimeStampStr", broker_admin_queue_time(b, h->topic, q, end - 1));
    jw_key(w, STR_LIT("messageQueue"));
    broker_admin_write_queue(w, b, h->topic, q);
    write_time(w, "minTimeStamp", "minTimeStampStr", first_time);
    jw_end_object(w);
}

void broker_admin_consume_time_span(struct rem_request *rq, const void *header)
{
    const struct topic_group_req *h = header;
    struct broker *b = broker_of(rq);
    const struct topic *t = topic_find(b->topics, h->topic);
    struct buf body = {0};
    struct jw w;
    if (t == NULL) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "topic[%.*s] not exist", STR_ARG(h->topic));
        return;
    }
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_karray(&w, "consumeTimeSpanSet");
    for (int q = 0; q < t->write_queues; q++)
        write_span(b, &w, h, q);
    jw_end_array(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}
