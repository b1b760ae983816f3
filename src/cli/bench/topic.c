/* Where the topic of a run is, made first when it is missing. */
#include "cli/bench/bench.h"

#include "os/clock.h"
#include "remoting/body/route.h"
#include "remoting/sync_client.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { ROUTE_WAIT_MS = 15000, ROUTE_STEP_MS = 20 };

static int add_broker(struct bench_route *r, struct str name, struct str address, int read_queues, int write_queues,
                      struct err *err)
{
    if (r->count == BENCH_MAX_BROKERS)
        return err_set(err, E2BIG, "the topic is on more than %d brokers", BENCH_MAX_BROKERS);
    struct bench_broker *b = &r->brokers[r->count++];
    b->name = str_dupz(name);
    b->address = str_dupz(address);
    b->read_queues = read_queues;
    b->write_queues = write_queues;
    return b->name && b->address ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* 1: there is no such topic. */
static int ask_route(struct bench_route *r, struct sync_client *c, const struct bench_options *o, struct err *err)
{
    struct arena arena = {0};
    struct rem_frame f;
    struct rem_command answer;
    struct topic_route route = {0};
    sync_begin(c, &f, REQ_GET_ROUTEINFO_BY_TOPIC);
    rem_frame_str(&f, "topic", str_from(o->topic));
    int rc = sync_call_any(c, o->namesrv, &f, STR_NULL, &answer, err);
    if (rc == 0 && answer.code == RESP_TOPIC_NOT_EXIST) {
        rc = 1;
    } else if (rc == 0 && answer.code != RESP_SUCCESS) {
        rc = sync_refused(o->namesrv, &answer, err);
    } else if (rc == 0) {
        struct json *json = json_parse(&arena, answer.body, err);
        if (json == NULL || !topic_route_read(&arena, json, &route))
            rc = err_set(err, EPROTO, "the route of topic %s cannot be read", o->topic);
    }
    for (size_t i = 0; rc == 0 && i < route.queue_count; i++) {
        const struct queue_data *q = &route.queues[i];
        for (size_t j = 0; rc == 0 && j < route.broker_count; j++) {
            struct str address = broker_data_master(&route.brokers[j]);
            if (str_eq(route.brokers[j].broker_name, q->broker_name) && !str_is_null(address))
                rc = add_broker(r, q->broker_name, o->broker ? str_from(o->broker) : address, q->read_queue_nums,
                                q->write_queue_nums, err);
        }
    }
    arena_free(&arena);
    return rc;
}

static int create_on(struct sync_client *c, const char *address, const struct bench_options *o, struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    sync_begin(c, &f, REQ_UPDATE_AND_CREATE_TOPIC);
    rem_frame_str(&f, "topic", str_from(o->topic));
    rem_frame_str(&f, "defaultTopic", STR_LIT("TBW102"));
    rem_frame_i64(&f, "readQueueNums", o->queues);
    rem_frame_i64(&f, "writeQueueNums", o->queues);
    rem_frame_i64(&f, "perm", 6);
    rem_frame_str(&f, "topicFilterType", STR_LIT("SINGLE_TAG"));
    rem_frame_i64(&f, "topicSysFlag", 0);
    rem_frame_bool(&f, "order", false);
    return sync_call_ok(c, address, &f, STR_NULL, &answer, err);
}

static int create_topic(struct sync_client *c, const struct bench_options *o, struct err *err)
{
    struct arena arena = {0};
    struct rem_frame f;
    struct rem_command answer;
    struct cluster_info info;
    if (o->broker)
        return create_on(c, o->broker, o, err);
    sync_begin(c, &f, REQ_GET_BROKER_CLUSTER_INFO);
    int rc = sync_call_any(c, o->namesrv, &f, STR_NULL, &answer, err);
    struct json *json = rc == 0 ? json_parse(&arena, arena_str(&arena, answer.body), err) : NULL;
    if (rc == 0 && (json == NULL || !cluster_info_read(&arena, json, &info)))
        rc = err_set(err, EPROTO, "the cluster list of %s cannot be read", o->namesrv);
    if (rc == 0 && info.broker_count == 0)
        rc = err_set(err, ENOENT, "no broker is registered at %s", o->namesrv);
    for (size_t i = 0; rc == 0 && i < info.broker_count; i++) {
        char *address = arena_strz(&arena, broker_data_master(&info.brokers[i]));
        if (address)
            rc = create_on(c, address, o, err);
    }
    arena_free(&arena);
    return rc;
}

int bench_route_load(struct bench_route *r, const struct bench_options *o, struct err *err)
{
    struct sync_client *c = sync_client_new(10000);
    int64_t deadline = clock_mono_ms() + ROUTE_WAIT_MS;
    memset(r, 0, sizeof *r);
    if (c == NULL)
        return err_set(err, ENOMEM, "out of memory");
    int rc = ask_route(r, c, o, err);
    if (rc == 1)
        rc = create_topic(c, o, err) ? -1 : 1;
    while (rc == 1 && clock_mono_ms() < deadline) { /* until the broker has told the name server */
        const struct timespec step = {.tv_nsec = ROUTE_STEP_MS * 1000000L};
        nanosleep(&step, NULL);
        rc = ask_route(r, c, o, err);
    }
    if (rc == 1)
        rc = err_set(err, ENOENT, "topic %s was created but %s has no route to it yet", o->topic, o->namesrv);
    if (rc == 0 && r->count == 0)
        rc = err_set(err, ENOENT, "no broker with topic %s has a master", o->topic);
    sync_client_free(c);
    if (rc)
        bench_route_free(r);
    return rc;
}

void bench_route_free(struct bench_route *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->brokers[i].name);
        free(r->brokers[i].address);
    }
    r->count = 0;
}

int bench_queue_offset(struct sync_client *c, const struct bench_broker *b, const char *topic, int queue, bool max,
                       int64_t *offset, struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    sync_begin(c, &f, max ? REQ_GET_MAX_OFFSET : REQ_GET_MIN_OFFSET);
    rem_frame_str(&f, "topic", str_from(topic));
    rem_frame_i64(&f, "queueId", queue);
    if (sync_call_ok(c, b->address, &f, STR_NULL, &answer, err))
        return -1;
    if (!str_to_i64(rem_ext(&answer, "offset"), offset))
        return err_set(err, EPROTO, "%s answered no offset for queue %d of %s", b->address, queue, topic);
    return 0;
}
