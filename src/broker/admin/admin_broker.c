/* The broker by administrators: 25, 26, 28 (in their own files), 306, 315, 329, 354, 355, 907, 1007, 2003. */
#include "broker/admin/admin_int.h"

#include "remoting/headers_admin.h"

/* The store drops files of consume queues together with the part of the log they point to: nothing is left to do. */
static void clean_expired_queues(struct rem_request *rq, const void *header)
{
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void delete_expired_log(struct rem_request *rq, const void *header)
{
    store_clean_now(broker_of(rq)->store);
    rem_reply(rq, RESP_SUCCESS, NULL);
}

static void view_stats(struct rem_request *rq, const void *header)
{
    const struct view_stats_req *h = header;
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    if (stats_write(broker_of(rq)->stats, h->stats_name, h->stats_key, &w))
        broker_admin_reply_json(rq, &body);
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "The stats <%.*s> <%.*s> not exist", STR_ARG(h->stats_name),
                  STR_ARG(h->stats_key));
}

/* There is no second kind of consume queue that could lag behind. */
static void check_rocksdb_queues(struct rem_request *rq, const void *header)
{
    rem_reply_body(
        rq, RESP_SUCCESS,
        STR_LIT("{\"checkResult\":\"this broker keeps no consume queues in RocksDB, there is nothing to check\","
                "\"checkStatus\":0}"));
}

/* The tables are JSON files already: what was asked for is that they are up to date. */
static void export_config(struct rem_request *rq, const void *header)
{
    const struct export_config_req *h = header;
    struct broker *b = broker_of(rq);
    struct str rest = h->config_type, type;
    struct err err;
    int rc = 0;
    while (rc == 0 && str_split(&rest, ';', &type)) {
        type = str_trim(type);
        if (str_ieq(type, STR_LIT("topics"))) {
            rc = topic_persist(b->topics, &err);
        } else if (str_ieq(type, STR_LIT("subscriptionGroups"))) {
            rc = group_persist(b->groups, &err);
        } else if (str_ieq(type, STR_LIT("consumerOffsets"))) {
            rc = offset_persist(b->offsets, &err);
        } else if (type.len > 0) {
            rem_reply(rq, RESP_SYSTEM_ERROR,
                      "Invalid config type: %.*s; there are topics, subscriptionGroups and consumerOffsets",
                      STR_ARG(type));
            return;
        }
    }
    if (rc < 0)
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else
        rem_reply(rq, RESP_SUCCESS, "export done.");
}

/* A master on its own: nobody copies from it. */
static void ha_status(struct rem_request *rq, const void *header)
{
    struct store_stats st;
    struct buf body = {0};
    struct jw w;
    store_stats(broker_of(rq)->store, &st);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "haClientRuntimeInfo");
    jw_ki64(&w, "lastReadTimestamp", 0);
    jw_ki64(&w, "lastWriteTimestamp", 0);
    jw_ki64(&w, "masterFlushOffset", 0);
    jw_ki64(&w, "maxOffset", 0);
    jw_ki64(&w, "transferredByteInSecond", 0);
    jw_end_object(&w);
    jw_karray(&w, "haConnectionInfo");
    jw_end_array(&w);
    jw_ki64(&w, "inSyncSlaveNums", 0);
    jw_kbool(&w, "master", true);
    jw_ki64(&w, "masterCommitLogMaxOffset", st.log_max);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static void epoch_cache(struct rem_request *rq, const void *header)
{
    rem_reply(rq, RESP_SYSTEM_ERROR, "this request only for controllerMode ");
}

/* Reads of cold data are not limited here; the thresholds are those that Java has without a configuration. */
static void cold_data_info(struct rem_request *rq, const void *header)
{
    rem_reply_body(rq, RESP_SUCCESS,
                   STR_LIT("{\"cgColdReadThreshold\":3145728,\"configTable\":{},\"globalAcc\":0,"
                           "\"globalColdReadThreshold\":104857600,\"runtimeTable\":{}}"));
}

static const struct rem_op rows[] = {
    {REQ_UPDATE_BROKER_CONFIG, "UPDATE_BROKER_CONFIG", NULL, broker_admin_update_config, REM_LANE_WORKER,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_GET_BROKER_CONFIG, "GET_BROKER_CONFIG", NULL, broker_admin_get_config, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_CLUSTER},
    {REQ_GET_BROKER_RUNTIME_INFO, "GET_BROKER_RUNTIME_INFO", NULL, broker_admin_runtime_info, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_CLEAN_EXPIRED_CONSUMEQUEUE, "CLEAN_EXPIRED_CONSUMEQUEUE", NULL, clean_expired_queues, REM_LANE_WORKER,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_VIEW_BROKER_STATS_DATA, "VIEW_BROKER_STATS_DATA", &view_stats_req_schema, view_stats, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_DELETE_EXPIRED_COMMITLOG, "DELETE_EXPIRED_COMMITLOG", NULL, delete_expired_log, REM_LANE_WORKER,
     REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_CHECK_ROCKSDB_CQ_WRITE_PROGRESS, "CHECK_ROCKSDB_CQ_WRITE_PROGRESS", NULL, check_rocksdb_queues,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_EXPORT_ROCKSDB_CONFIG_TO_JSON, "EXPORT_ROCKSDB_CONFIG_TO_JSON", &export_config_req_schema, export_config,
     REM_LANE_WORKER, REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_GET_BROKER_HA_STATUS, "GET_BROKER_HA_STATUS", NULL, ha_status, REM_LANE_WORKER, REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_GET_BROKER_EPOCH_CACHE, "GET_BROKER_EPOCH_CACHE", NULL, epoch_cache, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_CLUSTER},
    {REQ_GET_COLD_DATA_FLOW_CTR_INFO, "GET_COLD_DATA_FLOW_CTR_INFO", NULL, cold_data_info, REM_LANE_WORKER, REM_ACT_GET,
     REM_RES_CLUSTER},
};

const struct broker_ops broker_admin_ops = {rows, sizeof rows / sizeof rows[0]};
