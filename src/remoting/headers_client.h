/*
 * Header schemas of what clients ask a broker (request-codes of every client's basic work) and of the answers.
 * Names and types are those of the RocketMQ protocol. Constants only.
 */
#ifndef CROCKET_REMOTING_HEADERS_CLIENT_H
#define CROCKET_REMOTING_HEADERS_CLIENT_H

#include "remoting/schema.h"

/* 10 */
#define HDR_SEND_REQ(F)                                                                                                \
    F(STR, producer_group, "producerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, default_topic, "defaultTopic", OPTIONAL, STR_NULL)                                                          \
    F(I32, default_topic_queue_nums, "defaultTopicQueueNums", OPTIONAL, 4)                                             \
    F(I32, queue_id, "queueId", REQUIRED, -1)                                                                          \
    F(I32, sys_flag, "sysFlag", REQUIRED, 0)                                                                           \
    F(I64, born_timestamp, "bornTimestamp", REQUIRED, 0)                                                               \
    F(I32, flag, "flag", REQUIRED, 0)                                                                                  \
    F(STR, properties, "properties", OPTIONAL, STR_NULL)                                                               \
    F(I32, reconsume_times, "reconsumeTimes", OPTIONAL, 0)                                                             \
    F(BOOL, unit_mode, "unitMode", OPTIONAL, false)                                                                    \
    F(BOOL, batch, "batch", OPTIONAL, false)                                                                           \
    F(I32, max_reconsume_times, "maxReconsumeTimes", OPTIONAL, -1)                                                     \
    F(STR, bname, "bname", OPTIONAL, STR_NULL)
REM_HEADER(send_req, HDR_SEND_REQ)

/* 310, 320, 325: the same struct, short names */
#define HDR_SEND_REQ_V2(F)                                                                                             \
    F(STR, producer_group, "a", REQUIRED, STR_NULL)                                                                    \
    F(STR, topic, "b", REQUIRED, STR_NULL)                                                                             \
    F(STR, default_topic, "c", OPTIONAL, STR_NULL)                                                                     \
    F(I32, default_topic_queue_nums, "d", OPTIONAL, 4)                                                                 \
    F(I32, queue_id, "e", REQUIRED, -1)                                                                                \
    F(I32, sys_flag, "f", REQUIRED, 0)                                                                                 \
    F(I64, born_timestamp, "g", REQUIRED, 0)                                                                           \
    F(I32, flag, "h", REQUIRED, 0)                                                                                     \
    F(STR, properties, "i", OPTIONAL, STR_NULL)                                                                        \
    F(I32, reconsume_times, "j", OPTIONAL, 0)                                                                          \
    F(BOOL, unit_mode, "k", OPTIONAL, false)                                                                           \
    F(BOOL, batch, "m", OPTIONAL, false)                                                                               \
    F(I32, max_reconsume_times, "l", OPTIONAL, -1)                                                                     \
    F(STR, bname, "n", OPTIONAL, STR_NULL)
extern struct rem_schema send_req_v2_schema; /* fills struct send_req */

#define HDR_SEND_RESP(F)                                                                                               \
    F(STR, msg_id, "msgId", REQUIRED, STR_NULL)                                                                        \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(I64, queue_offset, "queueOffset", REQUIRED, 0)                                                                   \
    F(STR, transaction_id, "transactionId", OPTIONAL, STR_NULL)                                                        \
    F(STR, batch_uniq_id, "batchUniqId", OPTIONAL, STR_NULL)                                                           \
    F(STR, recall_handle, "recallHandle", OPTIONAL, STR_NULL)
REM_HEADER(send_resp, HDR_SEND_RESP)

/* 11, 361 */
#define HDR_PULL_REQ(F)                                                                                                \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(I64, queue_offset, "queueOffset", REQUIRED, 0)                                                                   \
    F(I32, max_msg_nums, "maxMsgNums", REQUIRED, 0)                                                                    \
    F(I32, sys_flag, "sysFlag", REQUIRED, 0)                                                                           \
    F(I64, commit_offset, "commitOffset", REQUIRED, 0)                                                                 \
    F(I64, suspend_timeout, "suspendTimeoutMillis", REQUIRED, 0)                                                       \
    F(STR, subscription, "subscription", OPTIONAL, STR_NULL)                                                           \
    F(I64, sub_version, "subVersion", OPTIONAL, 0)                                                                     \
    F(STR, expression_type, "expressionType", OPTIONAL, STR_NULL)                                                      \
    F(I32, max_msg_bytes, "maxMsgBytes", OPTIONAL, 0)                                                                  \
    F(I32, request_source, "requestSource", OPTIONAL, 0)                                                               \
    F(STR, proxy_client_id, "proxyFrowardClientId", OPTIONAL, STR_NULL)
REM_HEADER(pull_req, HDR_PULL_REQ)

/* 301: a filter server tells its broker where it is */
#define HDR_REGISTER_FILTER_SERVER_REQ(F) F(STR, filter_server_addr, "filterServerAddr", REQUIRED, STR_NULL)
REM_HEADER(register_filter_server_req, HDR_REGISTER_FILTER_SERVER_REQ)

/* 302: a consumer tells a filter server its code, which is the body */
#define HDR_REGISTER_FILTER_CLASS_REQ(F)                                                                               \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, class_name, "className", REQUIRED, STR_NULL)                                                                \
    F(I32, class_crc, "classCRC", REQUIRED, 0)
REM_HEADER(register_filter_class_req, HDR_REGISTER_FILTER_CLASS_REQ)

#define HDR_PULL_RESP(F)                                                                                               \
    F(I64, suggest_which_broker_id, "suggestWhichBrokerId", REQUIRED, 0)                                               \
    F(I64, next_begin_offset, "nextBeginOffset", REQUIRED, 0)                                                          \
    F(I64, min_offset, "minOffset", REQUIRED, 0)                                                                       \
    F(I64, max_offset, "maxOffset", REQUIRED, 0)                                                                       \
    F(I32, topic_sys_flag, "topicSysFlag", OPTIONAL, 0)                                                                \
    F(I32, group_sys_flag, "groupSysFlag", OPTIONAL, 0)
REM_HEADER(pull_resp, HDR_PULL_RESP)

/* 12 */
#define HDR_QUERY_MESSAGE_REQ(F)                                                                                       \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, key, "key", REQUIRED, STR_NULL)                                                                             \
    F(I32, max_num, "maxNum", REQUIRED, 0)                                                                             \
    F(I64, begin_timestamp, "beginTimestamp", REQUIRED, 0)                                                             \
    F(I64, end_timestamp, "endTimestamp", REQUIRED, 0)
REM_HEADER(query_message_req, HDR_QUERY_MESSAGE_REQ)

#define HDR_QUERY_MESSAGE_RESP(F)                                                                                      \
    F(I64, index_last_update_timestamp, "indexLastUpdateTimestamp", REQUIRED, 0)                                       \
    F(I64, index_last_update_phyoffset, "indexLastUpdatePhyoffset", REQUIRED, 0)
REM_HEADER(query_message_resp, HDR_QUERY_MESSAGE_RESP)

/* 14 */
#define HDR_QUERY_CONSUMER_OFFSET_REQ(F)                                                                               \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(BOOL, set_zero_if_not_found, "setZeroIfNotFound", OPTIONAL, true)
REM_HEADER(query_consumer_offset_req, HDR_QUERY_CONSUMER_OFFSET_REQ)

/* 15; a missing queue or offset answers INVALID_PARAMETER, so they are optional here */
#define HDR_UPDATE_CONSUMER_OFFSET_REQ(F)                                                                              \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", OPTIONAL, INT32_MIN)                                                                   \
    F(I64, commit_offset, "commitOffset", OPTIONAL, INT64_MIN)
REM_HEADER(update_consumer_offset_req, HDR_UPDATE_CONSUMER_OFFSET_REQ)

/* 30, 31, 32: topic and queue */
#define HDR_TOPIC_QUEUE_REQ(F)                                                                                         \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)
REM_HEADER(topic_queue_req, HDR_TOPIC_QUEUE_REQ)

/* 29 */
#define HDR_SEARCH_OFFSET_REQ(F)                                                                                       \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(I64, timestamp, "timestamp", REQUIRED, 0)                                                                        \
    F(STR, boundary_type, "boundaryType", OPTIONAL, STR_NULL)
REM_HEADER(search_offset_req, HDR_SEARCH_OFFSET_REQ)

#define HDR_OFFSET_RESP(F) F(I64, offset, "offset", REQUIRED, 0)
REM_HEADER(offset_resp, HDR_OFFSET_RESP)

#define HDR_TIMESTAMP_RESP(F) F(I64, timestamp, "timestamp", REQUIRED, 0)
REM_HEADER(timestamp_resp, HDR_TIMESTAMP_RESP)

/* 33 */
#define HDR_VIEW_MESSAGE_REQ(F)                                                                                        \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(I64, offset, "offset", REQUIRED, 0)
REM_HEADER(view_message_req, HDR_VIEW_MESSAGE_REQ)

/* 35 */
#define HDR_UNREGISTER_CLIENT_REQ(F)                                                                                   \
    F(STR, client_id, "clientID", REQUIRED, STR_NULL)                                                                  \
    F(STR, producer_group, "producerGroup", OPTIONAL, STR_NULL)                                                        \
    F(STR, consumer_group, "consumerGroup", OPTIONAL, STR_NULL)
REM_HEADER(unregister_client_req, HDR_UNREGISTER_CLIENT_REQ)

/* 36 */
#define HDR_SEND_BACK_REQ(F)                                                                                           \
    F(I64, offset, "offset", REQUIRED, 0)                                                                              \
    F(STR, group, "group", REQUIRED, STR_NULL)                                                                         \
    F(I32, delay_level, "delayLevel", REQUIRED, 0)                                                                     \
    F(STR, origin_msg_id, "originMsgId", OPTIONAL, STR_NULL)                                                           \
    F(STR, origin_topic, "originTopic", OPTIONAL, STR_NULL)                                                            \
    F(BOOL, unit_mode, "unitMode", OPTIONAL, false)                                                                    \
    F(I32, max_reconsume_times, "maxReconsumeTimes", OPTIONAL, -1)
REM_HEADER(send_back_req, HDR_SEND_BACK_REQ)

/* 370 */
#define HDR_RECALL_MESSAGE_REQ(F)                                                                                      \
    F(STR, producer_group, "producerGroup", OPTIONAL, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(STR, recall_handle, "recallHandle", REQUIRED, STR_NULL)
REM_HEADER(recall_message_req, HDR_RECALL_MESSAGE_REQ)

/* 38, 40 and others that carry one consumer group */
#define HDR_CONSUMER_GROUP_REQ(F) F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)
REM_HEADER(consumer_group_req, HDR_CONSUMER_GROUP_REQ)

/* 37; commitOrRollback holds the transaction bits of a sysFlag */
#define HDR_END_TRANSACTION_REQ(F)                                                                                     \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(STR, producer_group, "producerGroup", REQUIRED, STR_NULL)                                                        \
    F(I64, tran_state_table_offset, "tranStateTableOffset", REQUIRED, 0)                                               \
    F(I64, commit_log_offset, "commitLogOffset", REQUIRED, 0)                                                          \
    F(I32, commit_or_rollback, "commitOrRollback", REQUIRED, 0)                                                        \
    F(BOOL, from_transaction_check, "fromTransactionCheck", OPTIONAL, false)                                           \
    F(STR, msg_id, "msgId", REQUIRED, STR_NULL)                                                                        \
    F(STR, transaction_id, "transactionId", OPTIONAL, STR_NULL)
REM_HEADER(end_transaction_req, HDR_END_TRANSACTION_REQ)

/* 39, to clients */
#define HDR_CHECK_TRANSACTION_REQ(F)                                                                                   \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(I64, tran_state_table_offset, "tranStateTableOffset", REQUIRED, 0)                                               \
    F(I64, commit_log_offset, "commitLogOffset", REQUIRED, 0)                                                          \
    F(STR, msg_id, "msgId", OPTIONAL, STR_NULL)                                                                        \
    F(STR, transaction_id, "transactionId", OPTIONAL, STR_NULL)                                                        \
    F(STR, offset_msg_id, "offsetMsgId", OPTIONAL, STR_NULL)                                                           \
    F(STR, bname, "bname", OPTIONAL, STR_NULL)
REM_HEADER(check_transaction_req, HDR_CHECK_TRANSACTION_REQ)

/* 323; msgId is an offset message id */
#define HDR_RESUME_CHECK_REQ(F)                                                                                        \
    F(STR, topic, "topic", OPTIONAL, STR_NULL)                                                                         \
    F(STR, msg_id, "msgId", OPTIONAL, STR_NULL)
REM_HEADER(resume_check_req, HDR_RESUME_CHECK_REQ)

#endif
