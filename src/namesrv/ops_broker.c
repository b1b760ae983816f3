/* Requests by which brokers come, live and leave, and what is asked about them. */
#include "base/crc.h"
#include "base/log.h"
#include "namesrv/namesrv_int.h"
#include "remoting/headers_namesrv.h"
#include <stdlib.h>

/* ---- registration ---- */

struct check_task {
    struct net_task task;
    struct namesrv *ns;
    struct net_ref conn;
};

static void check_conn(struct net_loop *loop, struct net_task *task)
{
    struct check_task *t = LIST_ENTRY(task, struct check_task, task);
    if (net_ref_get(t->conn) == NULL)
        housekeeping_lost(t->ns->housekeeping, t->conn);
    free(t);
}

/* The registration ran beside the connection's loop: if the connection ended meanwhile, nobody has heard of it yet. */
static void check_conn_later(struct namesrv *ns, struct net_ref conn)
{
    struct check_task *t = malloc(sizeof *t);
    if (t == NULL)
        return;
    *t = (struct check_task){{NULL, check_conn}, ns, conn};
    net_loop_post(conn.loop, &t->task);
}

static void reply_registered(struct rem_request *rq, struct namesrv *ns, const struct routes_register_result *result)
{
    struct register_broker_resp answer = {result->ha_addr, result->master_addr};
    struct buf body = {0};
    if (ns->conf.returnOrderTopicConfigToBroker)
        kv_config_list(ns->kv, KV_NAMESPACE_ORDER, &body);
    rem_reply_header(rq, &register_broker_resp_schema, &answer, body.len ? buf_str(&body) : STR_NULL);
    buf_free(&body);
}

static void apply_registration(struct rem_request *rq, const struct register_broker_req *h,
                               struct register_broker_body *body)
{
    struct namesrv *ns = rem_role(rq);
    struct routes_register_result result;
    struct routes_registration in = {
        .cluster = h->cluster_name,
        .addr = h->broker_addr,
        .broker_name = h->broker_name,
        .broker_id = h->broker_id,
        .ha_addr = h->ha_server_addr,
        .zone = rem_ext(rem_cmd(rq), NAMESRV_EXT_ZONE_NAME),
        .heartbeat_timeout_ms = h->heartbeat_timeout_millis,
        .new_version = !str_is_null(h->enable_acting_master),
        .enable_acting_master = str_ieq(h->enable_acting_master, STR_LIT("true")),
        .body = body,
        .conn = rem_conn_ref(rq),
    };
    switch (routes_register(ns->routes, rem_arena(rq), &in, &result)) {
    case ROUTES_REFUSED:
        rem_reply(rq, RESP_SYSTEM_ERROR, "register broker failed");
        return;
    case ROUTES_NO_MEMORY:
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for the registration of broker %.*s", STR_ARG(h->broker_name));
        return;
    case ROUTES_REGISTERED:
        break;
    }
    if (result.new_connection) {
        LOG(LOG_INFO, "namesrv", "broker %.*s (id %lld) of cluster %.*s registered at %.*s with %zu topics",
            STR_ARG(h->broker_name), (long long)h->broker_id, STR_ARG(h->cluster_name), STR_ARG(h->broker_addr),
            body->topics.topic_count);
        check_conn_later(ns, in.conn);
    }
    notices_send(ns->notices, result.notice);
    reply_registered(rq, ns, &result);
}

static void register_broker(struct rem_request *rq, const void *header)
{
    const struct register_broker_req *h = header;
    struct register_broker_body body;
    struct str text = rem_body(rq);
    struct err err = {0};
    if (h->body_crc32 != 0 && (uint32_t)h->body_crc32 != crc32_message(text.ptr, text.len))
        rem_reply(rq, RESP_SYSTEM_ERROR, "crc32 not match");
    else if (register_broker_body_read(rem_arena(rq), text, h->compressed, rem_cmd(rq)->version, &body, &err) < 0)
        rem_reply(rq, RESP_SYSTEM_ERROR, "the registration of broker %.*s cannot be read: %s", STR_ARG(h->broker_name),
                  err.text);
    else
        apply_registration(rq, h, &body);
}

/* ---- leaving and living ---- */

static void unregister_broker(struct rem_request *rq, const void *header)
{
    const struct broker_identity_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct routes_leaving leaving = {
        .why = ROUTES_LEAVE_ASKED,
        .cluster = h->cluster_name,
        .addr = h->broker_addr,
        .broker_name = h->broker_name,
        .broker_id = h->broker_id,
    };
    bool queued = housekeeping_leave(ns->housekeeping, &leaving);
    rem_reply(rq, queued ? RESP_SUCCESS : RESP_SYSTEM_ERROR, NULL);
}

static void query_data_version(struct rem_request *rq, const void *header)
{
    const struct broker_identity_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct data_version theirs, ours;
    bool sent = data_version_read(json_parse(rem_arena(rq), rem_body(rq), NULL), &theirs);
    bool known = routes_touch(ns->routes, h->cluster_name, h->broker_addr, &ours);
    struct query_data_version_resp answer = {!known || !sent || !data_version_eq(&ours, &theirs)};
    struct buf body = {0};
    if (known) {
        struct jw w;
        jw_init(&w, &body);
        data_version_write(&w, &ours);
    }
    rem_reply_header(rq, &query_data_version_resp_schema, &answer, known ? buf_str(&body) : STR_NULL);
    buf_free(&body);
}

static void broker_heartbeat(struct rem_request *rq, const void *header)
{
    const struct broker_heartbeat_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct data_version version;
    routes_touch(ns->routes, h->cluster_name, h->broker_addr, &version);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

/* ---- questions ---- */

static void get_cluster_info(struct rem_request *rq, const void *header)
{
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    routes_write_cluster_info(ns->routes, rem_arena(rq), &out);
    ns_reply_buf(rq, &out);
}

static void get_member_group(struct rem_request *rq, const void *header)
{
    const struct broker_member_group_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    routes_write_member_group(ns->routes, h->cluster_name, h->broker_name, &out);
    ns_reply_buf(rq, &out);
}

/* ---- write permission ---- */

static void wipe_write_perm(struct rem_request *rq, const void *header)
{
    const struct broker_name_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct wipe_write_perm_resp answer = {routes_set_write_perm(ns->routes, h->broker_name, false)};
    LOG(LOG_INFO, "namesrv", "write permission of broker %.*s taken from %d topics", STR_ARG(h->broker_name),
        answer.wipe_topic_count);
    rem_reply_header(rq, &wipe_write_perm_resp_schema, &answer, STR_NULL);
}

static void add_write_perm(struct rem_request *rq, const void *header)
{
    const struct broker_name_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct add_write_perm_resp answer = {routes_set_write_perm(ns->routes, h->broker_name, true)};
    LOG(LOG_INFO, "namesrv", "write permission of broker %.*s given to %d topics", STR_ARG(h->broker_name),
        answer.add_topic_count);
    rem_reply_header(rq, &add_write_perm_resp_schema, &answer, STR_NULL);
}

#define LOOP   REM_LANE_LOOP
#define WORKER REM_LANE_WORKER

const struct rem_op ns_broker_ops[] = {
    {REQ_REGISTER_BROKER, "REGISTER_BROKER", &register_broker_req_schema, register_broker, WORKER, REM_ACT_UPDATE,
     REM_RES_CLUSTER},
    {REQ_UNREGISTER_BROKER, "UNREGISTER_BROKER", &broker_identity_req_schema, unregister_broker, LOOP, REM_ACT_UPDATE,
     REM_RES_CLUSTER},
    {REQ_QUERY_DATA_VERSION, "QUERY_DATA_VERSION", &broker_identity_req_schema, query_data_version, LOOP,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_BROKER_HEARTBEAT, "BROKER_HEARTBEAT", &broker_heartbeat_req_schema, broker_heartbeat, LOOP, REM_ACT_UPDATE,
     REM_RES_CLUSTER},
    {REQ_GET_BROKER_CLUSTER_INFO, "GET_BROKER_CLUSTER_INFO", NULL, get_cluster_info, WORKER, REM_ACT_GET,
     REM_RES_CLUSTER},
    {REQ_GET_BROKER_MEMBER_GROUP, "GET_BROKER_MEMBER_GROUP", &broker_member_group_req_schema, get_member_group, LOOP,
     REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_WIPE_WRITE_PERM_OF_BROKER, "WIPE_WRITE_PERM_OF_BROKER", &broker_name_req_schema, wipe_write_perm, WORKER,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_ADD_WRITE_PERM_OF_BROKER, "ADD_WRITE_PERM_OF_BROKER", &broker_name_req_schema, add_write_perm, WORKER,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
};
const size_t ns_broker_op_count = sizeof ns_broker_ops / sizeof ns_broker_ops[0];
