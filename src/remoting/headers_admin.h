/*
 * Header schemas of what administration tools ask a broker and of what a broker asks its clients on their behalf. Names
 * and types are those of the RocketMQ protocol. Constants only.
 */
#ifndef CROCKET_REMOTING_HEADERS_ADMIN_H
#define CROCKET_REMOTING_HEADERS_ADMIN_H

#include "remoting/schema.h"

/* ---- topics ---- */

/* 17 */
#define HDR_CREATE_TOPIC_REQ(F)                                                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, default_topic, "defaultTopic", OPTIONAL, STR_NULL)                                                          \
    F(I32, read_queue_nums, "readQueueNums", REQUIRED, 0)                                                              \
    F(I32, write_queue_nums, "writeQueueNums", REQUIRED, 0)                                                            \
    F(I32, perm, "perm", REQUIRED, 0)                                                                                  \
    F(STR, topic_filter_type, "topicFilterType", OPTIONAL, STR_NULL)                                                   \
    F(I32, topic_sys_flag, "topicSysFlag", OPTIONAL, 0)                                                                \
    F(BOOL, order, "order", OPTIONAL, false)                                                                           \
    F(STR, attributes, "attributes", OPTIONAL, STR_NULL)                                                               \
    F(BOOL, force, "force", OPTIONAL, false)
REM_HEADER(create_topic_req, HDR_CREATE_TOPIC_REQ)

/* 21; negative numbers stand for absent fields: a caller without any of the three wants all at once */
#define HDR_ALL_TOPIC_CONFIG_REQ(F)                                                                                    \
    F(I32, seq, "topicSeq", OPTIONAL, -1)                                                                              \
    F(STR, data_version, "dataVersion", OPTIONAL, STR_NULL)                                                            \
    F(I32, max, "maxTopicNum", OPTIONAL, -1)
REM_HEADER(all_topic_config_req, HDR_ALL_TOPIC_CONFIG_REQ)

/* 202, 215, 300, 351 */
#define HDR_TOPIC_REQ(F) F(STR, topic, "topic", REQUIRED, STR_NULL)
REM_HEADER(topic_req, HDR_TOPIC_REQ)

/* 303 */
#define HDR_TOPIC_GROUP_REQ(F)                                                                                         \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, group, "group", REQUIRED, STR_NULL)
REM_HEADER(topic_group_req, HDR_TOPIC_GROUP_REQ)

/* ---- subscription groups ---- */

/* 201; as for topics */
#define HDR_ALL_GROUP_CONFIG_REQ(F)                                                                                    \
    F(I32, seq, "groupSeq", OPTIONAL, -1)                                                                              \
    F(STR, data_version, "dataVersion", OPTIONAL, STR_NULL)                                                            \
    F(I32, max, "maxGroupNum", OPTIONAL, -1)
REM_HEADER(all_group_config_req, HDR_ALL_GROUP_CONFIG_REQ)

/* 207 */
#define HDR_DELETE_GROUP_REQ(F)                                                                                        \
    F(STR, group_name, "groupName", REQUIRED, STR_NULL)                                                                \
    F(BOOL, clean_offset, "cleanOffset", OPTIONAL, false)
REM_HEADER(delete_group_req, HDR_DELETE_GROUP_REQ)

/* 343, 352 */
#define HDR_GROUP_REQ(F) F(STR, group, "group", REQUIRED, STR_NULL)
REM_HEADER(group_req, HDR_GROUP_REQ)

/* 345 */
#define HDR_QUERY_SUBSCRIPTION_REQ(F)                                                                                  \
    F(STR, group, "group", REQUIRED, STR_NULL)                                                                         \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)
REM_HEADER(query_subscription_req, HDR_QUERY_SUBSCRIPTION_REQ)

/* 353; without `readable` the call only reads */
#define HDR_GROUP_FORBIDDEN_REQ(F)                                                                                     \
    F(STR, group, "group", REQUIRED, STR_NULL)                                                                         \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, readable, "readable", OPTIONAL, STR_NULL)
REM_HEADER(group_forbidden_req, HDR_GROUP_FORBIDDEN_REQ)

/* ---- connections, consumption ---- */

/* 204 */
#define HDR_PRODUCER_GROUP_REQ(F) F(STR, producer_group, "producerGroup", REQUIRED, STR_NULL)
REM_HEADER(producer_group_req, HDR_PRODUCER_GROUP_REQ)

/* 208; topicList is separated by ; */
#define HDR_CONSUME_STATS_REQ(F)                                                                                       \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(STR, topic_list, "topicList", OPTIONAL, STR_NULL)
REM_HEADER(consume_stats_req, HDR_CONSUME_STATS_REQ)

/* 317 */
#define HDR_BROKER_CONSUME_STATS_REQ(F) F(BOOL, is_order, "isOrder", OPTIONAL, false)
REM_HEADER(broker_consume_stats_req, HDR_BROKER_CONSUME_STATS_REQ)

/* 222, and 220 to clients. timestamp -1: the end of the queue; queueId -1: all queues */
#define HDR_RESET_OFFSET_REQ(F)                                                                                        \
    F(STR, group, "group", REQUIRED, STR_NULL)                                                                         \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", OPTIONAL, -1)                                                                          \
    F(I64, offset, "offset", OPTIONAL, -1)                                                                             \
    F(I64, timestamp, "timestamp", REQUIRED, 0)                                                                        \
    F(BOOL, is_force, "isForce", OPTIONAL, false)
REM_HEADER(reset_offset_req, HDR_RESET_OFFSET_REQ)

/* 223, and 221 to clients; clientAddr holds a client id */
#define HDR_CONSUMER_STATUS_REQ(F)                                                                                     \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, group, "group", REQUIRED, STR_NULL)                                                                         \
    F(STR, client_addr, "clientAddr", OPTIONAL, STR_NULL)
REM_HEADER(consumer_status_req, HDR_CONSUMER_STATUS_REQ)

/* 307 */
#define HDR_RUNNING_INFO_REQ(F)                                                                                        \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, client_id, "clientId", REQUIRED, STR_NULL)                                                                  \
    F(BOOL, jstack_enable, "jstackEnable", OPTIONAL, false)
REM_HEADER(running_info_req, HDR_RUNNING_INFO_REQ)

/* 309; msgId is an offset message id */
#define HDR_CONSUME_DIRECTLY_REQ(F)                                                                                    \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, client_id, "clientId", OPTIONAL, STR_NULL)                                                                  \
    F(STR, msg_id, "msgId", OPTIONAL, STR_NULL)                                                                        \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)
REM_HEADER(consume_directly_req, HDR_CONSUME_DIRECTLY_REQ)

/* 308; filterGroups is separated by , */
#define HDR_CORRECTION_OFFSET_REQ(F)                                                                                   \
    F(STR, filter_groups, "filterGroups", OPTIONAL, STR_NULL)                                                          \
    F(STR, compare_group, "compareGroup", REQUIRED, STR_NULL)                                                          \
    F(STR, topic, "topic", REQUIRED, STR_NULL)
REM_HEADER(correction_offset_req, HDR_CORRECTION_OFFSET_REQ)

/* 314 */
#define HDR_CLONE_OFFSET_REQ(F)                                                                                        \
    F(STR, src_group, "srcGroup", REQUIRED, STR_NULL)                                                                  \
    F(STR, dest_group, "destGroup", REQUIRED, STR_NULL)                                                                \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(BOOL, offline, "offline", OPTIONAL, false)
REM_HEADER(clone_offset_req, HDR_CLONE_OFFSET_REQ)

/* 321 */
#define HDR_QUERY_CQ_REQ(F)                                                                                            \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(I64, index, "index", REQUIRED, 0)                                                                                \
    F(I32, count, "count", REQUIRED, 0)                                                                                \
    F(STR, consumer_group, "consumerGroup", OPTIONAL, STR_NULL)
REM_HEADER(query_cq_req, HDR_QUERY_CQ_REQ)

/* ---- the broker ---- */

/* 315 */
#define HDR_VIEW_STATS_REQ(F)                                                                                          \
    F(STR, stats_name, "statsName", REQUIRED, STR_NULL)                                                                \
    F(STR, stats_key, "statsKey", REQUIRED, STR_NULL)
REM_HEADER(view_stats_req, HDR_VIEW_STATS_REQ)

/* 355; configType is separated by ; */
#define HDR_EXPORT_CONFIG_REQ(F) F(STR, config_type, "configType", REQUIRED, STR_NULL)
REM_HEADER(export_config_req, HDR_EXPORT_CONFIG_REQ)

/* 326 to the client that waits for a reply */
#define HDR_PUSH_REPLY_REQ(F)                                                                                          \
    F(STR, producer_group, "producerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, default_topic, "defaultTopic", OPTIONAL, STR_NULL)                                                          \
    F(I32, default_topic_queue_nums, "defaultTopicQueueNums", OPTIONAL, 0)                                             \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(I32, sys_flag, "sysFlag", REQUIRED, 0)                                                                           \
    F(I64, born_timestamp, "bornTimestamp", REQUIRED, 0)                                                               \
    F(I32, flag, "flag", REQUIRED, 0)                                                                                  \
    F(STR, properties, "properties", OPTIONAL, STR_NULL)                                                               \
    F(I32, reconsume_times, "reconsumeTimes", OPTIONAL, 0)                                                             \
    F(BOOL, unit_mode, "unitMode", OPTIONAL, false)                                                                    \
    F(STR, born_host, "bornHost", REQUIRED, STR_NULL)                                                                  \
    F(STR, store_host, "storeHost", REQUIRED, STR_NULL)                                                                \
    F(I64, store_timestamp, "storeTimestamp", REQUIRED, 0)
REM_HEADER(push_reply_req, HDR_PUSH_REPLY_REQ)

#endif
