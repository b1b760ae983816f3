/* Where the topic of a run is, made first when it is missing. */
#include "admin/tool.h"
#include "cli/bench/bench.h"
#include "os/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 10000, ROUTE_WAIT_MS = 15000, ROUTE_STEP_MS = 20 };

static int add_broker(struct bench_route *r, const struct queue_data *q, struct str address, struct err *err)
{
    if (r->count == BENCH_MAX_BROKERS)
        return err_set(err, E2BIG, "the topic is on more than %d brokers", BENCH_MAX_BROKERS);
    struct bench_broker *b = &r->brokers[r->count++];
    b->name = str_dupz(q->broker_name);
    b->address = str_dupz(address);
    b->read_queues = q->read_queue_nums;
    b->write_queues = q->write_queue_nums;
    return b->name && b->address ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int ask_route(struct bench_route *r, struct tool *t, const struct bench_options *o, struct err *err)
{
    struct topic_route route = {0};
    int rc = tool_route(t, str_from(o->topic), &route, err);
    for (size_t i = 0; rc == 0 && i < route.queue_count; i++) {
        const struct queue_data *q = &route.queues[i];
        for (size_t j = 0; rc == 0 && j < route.broker_count; j++) {
            struct str address = broker_data_master(&route.brokers[j]);
            if (str_eq(route.brokers[j].broker_name, q->broker_name) && !str_is_null(address))
                rc = add_broker(r, q, o->broker ? str_from(o->broker) : address, err);
        }
    }
    return rc;
}

static int create_on(struct tool *t, const char *address, const struct bench_options *o, struct err *err)
{
    struct rem_frame f;
    struct rem_command answer;
    sync_begin(t->client, &f, REQ_UPDATE_AND_CREATE_TOPIC);
    rem_frame_str(&f, "topic", str_from(o->topic));
    rem_frame_str(&f, "defaultTopic", STR_LIT("TBW102"));
    rem_frame_i64(&f, "readQueueNums", o->queues);
    rem_frame_i64(&f, "writeQueueNums", o->queues);
    rem_frame_i64(&f, "perm", TOPIC_PERM_READ | TOPIC_PERM_WRITE);
    rem_frame_str(&f, "topicFilterType", STR_LIT("SINGLE_TAG"));
    rem_frame_i64(&f, "topicSysFlag", 0);
    rem_frame_bool(&f, "order", false);
    return sync_call_ok(t->client, address, &f, STR_NULL, &answer, err);
}

static int create_topic(struct tool *t, const struct bench_options *o, struct err *err)
{
    struct cluster_info info = {0};
    if (o->broker)
        return create_on(t, o->broker, o, err);
    int rc = tool_cluster(t, &info, err);
    if (rc == 0 && info.broker_count == 0)
        rc = err_set(err, ENOENT, "no broker is registered at %s", o->namesrv);
    for (size_t i = 0; rc == 0 && i < info.broker_count; i++) {
        char *address = arena_strz(&t->arena, broker_data_master(&info.brokers[i]));
        if (address)
            rc = create_on(t, address, o, err);
    }
    return rc;
}

int bench_route_load(struct bench_route *r, const struct bench_options *o, struct err *err)
{
    struct tool t;
    memset(r, 0, sizeof *r);
    if (tool_init(&t, o->namesrv, TIMEOUT_MS, err))
        return -1;
    int rc = ask_route(r, &t, o, err);
    if (rc && err->code == RESP_TOPIC_NOT_EXIST) {
        int64_t deadline = clock_mono_ms() + ROUTE_WAIT_MS;
        rc = create_topic(&t, o, err);
        while (rc == 0 && (rc = ask_route(r, &t, o, err)) && err->code == RESP_TOPIC_NOT_EXIST &&
               clock_mono_ms() < deadline) { /* until the broker has told the name server */
            nanosleep(&(struct timespec){.tv_nsec = ROUTE_STEP_MS * 1000000L}, NULL);
            tool_forget(&t);
            rc = 0;
        }
    }
    if (rc == 0 && r->count == 0)
        rc = err_set(err, ENOENT, "no broker with topic %s has a master", o->topic);
    tool_free(&t);
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

int bench_queue_offset(struct tool *t, const struct bench_broker *b, const char *topic, int queue, bool max,
                       int64_t *offset, struct err *err)
{
    const struct tool_queue q = {str_from(topic), str_from(b->name), b->address, queue};
    return tool_offset(t, &q, max ? REQ_GET_MAX_OFFSET : REQ_GET_MIN_OFFSET, offset, err);
}
