/* Requests about topics: routes and lists. */
#include "namesrv/namesrv_int.h"
#include "os/clock.h"
#include "remoting/headers_namesrv.h"

enum {
    VERSION_STRICT_JSON = 401, /* since 4.9.4 clients read strict JSON */
};

#define FAQ "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."

void ns_reply_buf(struct rem_request *rq, struct buf *out)
{
    if (buf_ok(out))
        rem_reply_body(rq, RESP_SUCCESS, buf_str(out));
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for the answer of the name server");
    buf_free(out);
}

static bool is_too_early(struct namesrv *ns)
{
    int64_t up = clock_mono_ms() - ns->started_ms;
    return ns->conf.needWaitForService && up < 1000 * ns->conf.waitSecondsForService;
}

/* The zone a client wants to stay in, or the null view. */
static struct str wanted_zone(const struct rem_command *cmd)
{
    struct str zone = rem_ext(cmd, NAMESRV_EXT_ZONE_NAME);
    bool on = str_ieq(rem_ext(cmd, NAMESRV_EXT_ZONE_MODE), STR_LIT("true"));
    return on && !str_blank(zone) ? zone : STR_NULL;
}

static void get_route(struct rem_request *rq, const void *header)
{
    const struct get_route_req *h = header;
    const struct rem_command *cmd = rem_cmd(rq);
    struct namesrv *ns = rem_role(rq);
    if (is_too_early(ns)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "name server not ready");
        return;
    }
    bool strict = cmd->version >= VERSION_STRICT_JSON || h->accept_standard_json_only;
    struct str answer = routes_answer(ns->routes, rem_arena(rq), h->topic, strict, wanted_zone(cmd));
    if (str_is_null(answer)) {
        rem_reply(rq, RESP_TOPIC_NOT_EXIST, "No topic route info in name server for the topic: %.*s" FAQ,
                  STR_ARG(h->topic));
        return;
    }
    rem_reply_body(rq, RESP_SUCCESS, answer);
    routes_answer_done(ns->routes);
}

static void get_all_topics(struct rem_request *rq, const void *header)
{
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    if (!ns->conf.enableAllTopicList) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "disable");
        return;
    }
    routes_write_topics(ns->routes, rem_arena(rq), ROUTES_ALL, &out);
    ns_reply_buf(rq, &out);
}

static bool may_list(struct rem_request *rq, struct namesrv *ns)
{
    bool may = ns->conf.enableTopicList;
    if (!may)
        rem_reply(rq, RESP_SYSTEM_ERROR, "disable");
    return may;
}

static void get_topics_by_cluster(struct rem_request *rq, const void *header)
{
    const struct topics_by_cluster_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    if (!may_list(rq, ns))
        return;
    routes_write_topics_of_cluster(ns->routes, rem_arena(rq), h->cluster, &out);
    ns_reply_buf(rq, &out);
}

static void list_topics(struct rem_request *rq, enum routes_topics which)
{
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    if (!may_list(rq, ns))
        return;
    routes_write_topics(ns->routes, rem_arena(rq), which, &out);
    ns_reply_buf(rq, &out);
}

static void get_unit_topics(struct rem_request *rq, const void *header)
{
    list_topics(rq, ROUTES_UNIT);
}

static void get_unit_sub_topics(struct rem_request *rq, const void *header)
{
    list_topics(rq, ROUTES_UNIT_SUB);
}

static void get_unit_sub_not_unit_topics(struct rem_request *rq, const void *header)
{
    list_topics(rq, ROUTES_UNIT_SUB_NOT_UNIT);
}

static void get_system_topics(struct rem_request *rq, const void *header)
{
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    routes_write_system_names(ns->routes, rem_arena(rq), &out);
    ns_reply_buf(rq, &out);
}

static void delete_topic(struct rem_request *rq, const void *header)
{
    const struct namesrv_topic_req *h = header;
    struct namesrv *ns = rem_role(rq);
    routes_delete_topic(ns->routes, h->topic, h->cluster_name);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void register_topic(struct rem_request *rq, const void *header)
{
    const struct namesrv_topic_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct topic_route route;
    struct err err = {0};
    struct json *json = json_parse(rem_arena(rq), rem_body(rq), &err);
    if (json == NULL || !topic_route_read(rem_arena(rq), json, &route))
        rem_reply(rq, RESP_SYSTEM_ERROR, "the body of the registration of topic %.*s is no route: %s",
                  STR_ARG(h->topic), err.text);
    else if (!routes_register_topic(ns->routes, h->topic, route.queues, route.queue_count))
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for the route of topic %.*s", STR_ARG(h->topic));
    else
        rem_reply(rq, RESP_SUCCESS, NULL);
}

#define LOOP   REM_LANE_LOOP
#define WORKER REM_LANE_WORKER

const struct rem_op ns_route_ops[] = {
    {REQ_GET_ROUTEINFO_BY_TOPIC, "GET_ROUTEINFO_BY_TOPIC", &get_route_req_schema, get_route, LOOP, REM_ACT_GET,
     REM_RES_TOPIC},
    {REQ_GET_ALL_TOPIC_LIST_FROM_NAMESERVER, "GET_ALL_TOPIC_LIST_FROM_NAMESERVER", NULL, get_all_topics, WORKER,
     REM_ACT_LIST, REM_RES_TOPIC},
    {REQ_GET_TOPICS_BY_CLUSTER, "GET_TOPICS_BY_CLUSTER", &topics_by_cluster_req_schema, get_topics_by_cluster, WORKER,
     REM_ACT_LIST, REM_RES_CLUSTER},
    {REQ_GET_SYSTEM_TOPIC_LIST_FROM_NS, "GET_SYSTEM_TOPIC_LIST_FROM_NS", NULL, get_system_topics, WORKER, REM_ACT_LIST,
     REM_RES_CLUSTER},
    {REQ_GET_UNIT_TOPIC_LIST, "GET_UNIT_TOPIC_LIST", NULL, get_unit_topics, WORKER, REM_ACT_LIST, REM_RES_TOPIC},
    {REQ_GET_HAS_UNIT_SUB_TOPIC_LIST, "GET_HAS_UNIT_SUB_TOPIC_LIST", NULL, get_unit_sub_topics, WORKER, REM_ACT_LIST,
     REM_RES_TOPIC},
    {REQ_GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, "GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST", NULL, get_unit_sub_not_unit_topics,
     WORKER, REM_ACT_LIST, REM_RES_TOPIC},
    {REQ_DELETE_TOPIC_IN_NAMESRV, "DELETE_TOPIC_IN_NAMESRV", &namesrv_topic_req_schema, delete_topic, WORKER,
     REM_ACT_DELETE, REM_RES_TOPIC},
    {REQ_REGISTER_TOPIC_IN_NAMESRV, "REGISTER_TOPIC_IN_NAMESRV", &namesrv_topic_req_schema, register_topic, WORKER,
     REM_ACT_UPDATE, REM_RES_TOPIC},
};
const size_t ns_route_op_count = sizeof ns_route_ops / sizeof ns_route_ops[0];
