/*
 * Header schemas of what is asked of a name server, of its answers and of its notices. Where the protocol calls a field
 * required but an answer exists for its absence, it is optional here. Constants only.
 */
#ifndef CROCKET_REMOTING_HEADERS_NAMESRV_H
#define CROCKET_REMOTING_HEADERS_NAMESRV_H

#include "remoting/schema.h"

/* Fields beside the schemas that carry the zone of a broker or client. */
#define NAMESRV_EXT_ZONE_NAME "__ZONE_NAME"
#define NAMESRV_EXT_ZONE_MODE "__ZONE_MODE"

/* 100, 101, 102, 219 */
#define HDR_KV_CONFIG_REQ(F)                                                                                           \
    F(STR, kv_namespace, "namespace", OPTIONAL, STR_NULL)                                                              \
    F(STR, key, "key", OPTIONAL, STR_NULL)                                                                             \
    F(STR, value, "value", OPTIONAL, STR_NULL)
REM_HEADER(kv_config_req, HDR_KV_CONFIG_REQ)

/* 101 */
#define HDR_KV_CONFIG_RESP(F) F(STR, value, "value", OPTIONAL, STR_NULL)
REM_HEADER(kv_config_resp, HDR_KV_CONFIG_RESP)

/* 103; enableActingMaster absent marks a broker older than 5.0, so it is kept as text.
 * A negative heartbeatTimeoutMillis is the absent one: whoever sends the header sets it (RocketMQ: 120000). */
#define HDR_REGISTER_BROKER_REQ(F)                                                                                     \
    F(STR, broker_name, "brokerName", REQUIRED, STR_NULL)                                                              \
    F(STR, broker_addr, "brokerAddr", REQUIRED, STR_NULL)                                                              \
    F(STR, cluster_name, "clusterName", REQUIRED, STR_NULL)                                                            \
    F(STR, ha_server_addr, "haServerAddr", OPTIONAL, STR_NULL)                                                         \
    F(I64, broker_id, "brokerId", REQUIRED, 0)                                                                         \
    F(I64, heartbeat_timeout_millis, "heartbeatTimeoutMillis", OPTIONAL, -1)                                           \
    F(STR, enable_acting_master, "enableActingMaster", OPTIONAL, STR_NULL)                                             \
    F(BOOL, compressed, "compressed", OPTIONAL, false)                                                                 \
    F(I32, body_crc32, "bodyCrc32", OPTIONAL, 0)
REM_HEADER(register_broker_req, HDR_REGISTER_BROKER_REQ)

#define HDR_REGISTER_BROKER_RESP(F)                                                                                    \
    F(STR, ha_server_addr, "haServerAddr", OPTIONAL, STR_NULL)                                                         \
    F(STR, master_addr, "masterAddr", OPTIONAL, STR_NULL)
REM_HEADER(register_broker_resp, HDR_REGISTER_BROKER_RESP)

/* 104, 322 */
#define HDR_BROKER_IDENTITY_REQ(F)                                                                                     \
    F(STR, broker_name, "brokerName", REQUIRED, STR_NULL)                                                              \
    F(STR, broker_addr, "brokerAddr", REQUIRED, STR_NULL)                                                              \
    F(STR, cluster_name, "clusterName", REQUIRED, STR_NULL)                                                            \
    F(I64, broker_id, "brokerId", OPTIONAL, 0)
REM_HEADER(broker_identity_req, HDR_BROKER_IDENTITY_REQ)

/* 322 */
#define HDR_QUERY_DATA_VERSION_RESP(F) F(BOOL, changed, "changed", REQUIRED, false)
REM_HEADER(query_data_version_resp, HDR_QUERY_DATA_VERSION_RESP)

/* 105 */
#define HDR_GET_ROUTE_REQ(F)                                                                                           \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(BOOL, accept_standard_json_only, "acceptStandardJsonOnly", OPTIONAL, false)
REM_HEADER(get_route_req, HDR_GET_ROUTE_REQ)

/* 205, 327 */
#define HDR_BROKER_NAME_REQ(F) F(STR, broker_name, "brokerName", REQUIRED, STR_NULL)
REM_HEADER(broker_name_req, HDR_BROKER_NAME_REQ)

#define HDR_WIPE_WRITE_PERM_RESP(F) F(I32, wipe_topic_count, "wipeTopicCount", REQUIRED, 0)
REM_HEADER(wipe_write_perm_resp, HDR_WIPE_WRITE_PERM_RESP)

#define HDR_ADD_WRITE_PERM_RESP(F) F(I32, add_topic_count, "addTopicCount", REQUIRED, 0)
REM_HEADER(add_write_perm_resp, HDR_ADD_WRITE_PERM_RESP)

/* 216, 217 */
#define HDR_NAMESRV_TOPIC_REQ(F)                                                                                       \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, cluster_name, "clusterName", OPTIONAL, STR_NULL)
REM_HEADER(namesrv_topic_req, HDR_NAMESRV_TOPIC_REQ)

/* 224 */
#define HDR_TOPICS_BY_CLUSTER_REQ(F) F(STR, cluster, "cluster", REQUIRED, STR_NULL)
REM_HEADER(topics_by_cluster_req, HDR_TOPICS_BY_CLUSTER_REQ)

/* 901 */
#define HDR_BROKER_MEMBER_GROUP_REQ(F)                                                                                 \
    F(STR, cluster_name, "clusterName", REQUIRED, STR_NULL)                                                            \
    F(STR, broker_name, "brokerName", REQUIRED, STR_NULL)
REM_HEADER(broker_member_group_req, HDR_BROKER_MEMBER_GROUP_REQ)

/* 904 */
#define HDR_BROKER_HEARTBEAT_REQ(F)                                                                                    \
    F(STR, cluster_name, "clusterName", REQUIRED, STR_NULL)                                                            \
    F(STR, broker_addr, "brokerAddr", REQUIRED, STR_NULL)                                                              \
    F(STR, broker_name, "brokerName", OPTIONAL, STR_NULL)                                                              \
    F(I64, broker_id, "brokerId", OPTIONAL, -1)                                                                        \
    F(I32, epoch, "epoch", OPTIONAL, -1)                                                                               \
    F(I64, max_offset, "maxOffset", OPTIONAL, -1)                                                                      \
    F(I64, confirm_offset, "confirmOffset", OPTIONAL, -1)                                                              \
    F(I64, heartbeat_timeout_mills, "heartbeatTimeoutMills", OPTIONAL, -1)                                             \
    F(I32, election_priority, "electionPriority", OPTIONAL, -1)
REM_HEADER(broker_heartbeat_req, HDR_BROKER_HEARTBEAT_REQ)

/* 905, name server to broker */
#define HDR_MIN_BROKER_ID_CHANGE_REQ(F)                                                                                \
    F(I64, min_broker_id, "minBrokerId", OPTIONAL, -1)                                                                 \
    F(STR, broker_name, "brokerName", OPTIONAL, STR_NULL)                                                              \
    F(STR, min_broker_addr, "minBrokerAddr", OPTIONAL, STR_NULL)                                                       \
    F(STR, offline_broker_addr, "offlineBrokerAddr", OPTIONAL, STR_NULL)                                               \
    F(STR, ha_broker_addr, "haBrokerAddr", OPTIONAL, STR_NULL)
REM_HEADER(min_broker_id_change_req, HDR_MIN_BROKER_ID_CHANGE_REQ)

#endif
