/*
 * Header schemas of pop consumption. Names and types are those of the RocketMQ protocol. Constants only.
 */
#ifndef CROCKET_REMOTING_HEADERS_POP_H
#define CROCKET_REMOTING_HEADERS_POP_H

#include "remoting/schema.h"

/* 200050; a missing bornTime is the time of arrival */
#define HDR_POP_REQ(F)                                                                                                 \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, -1)                                                                          \
    F(I32, max_msg_nums, "maxMsgNums", REQUIRED, 0)                                                                    \
    F(I64, invisible_time, "invisibleTime", REQUIRED, 0)                                                               \
    F(I64, poll_time, "pollTime", REQUIRED, 0)                                                                         \
    F(I64, born_time, "bornTime", OPTIONAL, 0)                                                                         \
    F(I32, init_mode, "initMode", REQUIRED, 0)                                                                         \
    F(STR, exp_type, "expType", OPTIONAL, STR_NULL)                                                                    \
    F(STR, exp, "exp", OPTIONAL, STR_NULL)                                                                             \
    F(BOOL, order, "order", OPTIONAL, false)                                                                           \
    F(STR, attempt_id, "attemptId", OPTIONAL, STR_NULL)
REM_HEADER(pop_req, HDR_POP_REQ)

/* 200051 */
#define HDR_ACK_REQ(F)                                                                                                 \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, 0)                                                                           \
    F(STR, extra_info, "extraInfo", REQUIRED, STR_NULL)                                                                \
    F(I64, offset, "offset", REQUIRED, 0)
REM_HEADER(ack_req, HDR_ACK_REQ)

/* 200053 */
#define HDR_CHANGE_INVISIBLE_REQ(F)                                                                                    \
    HDR_ACK_REQ(F)                                                                                                     \
    F(I64, invisible_time, "invisibleTime", REQUIRED, 0)
REM_HEADER(change_invisible_req, HDR_CHANGE_INVISIBLE_REQ)

#define HDR_CHANGE_INVISIBLE_RESP(F)                                                                                   \
    F(I64, pop_time, "popTime", REQUIRED, 0)                                                                           \
    F(I64, invisible_time, "invisibleTime", REQUIRED, 0)                                                               \
    F(I32, revive_queue, "reviveQid", REQUIRED, 0)
REM_HEADER(change_invisible_resp, HDR_CHANGE_INVISIBLE_RESP)

/* 200054 */
#define HDR_NOTIFICATION_REQ(F)                                                                                        \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, -1)                                                                          \
    F(I64, poll_time, "pollTime", REQUIRED, 0)                                                                         \
    F(I64, born_time, "bornTime", OPTIONAL, 0)                                                                         \
    F(BOOL, order, "order", OPTIONAL, false)                                                                           \
    F(STR, attempt_id, "attemptId", OPTIONAL, STR_NULL)
REM_HEADER(notification_req, HDR_NOTIFICATION_REQ)

/* 200055 */
#define HDR_POLLING_INFO_REQ(F)                                                                                        \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, -1)
REM_HEADER(polling_info_req, HDR_POLLING_INFO_REQ)

/* 200052 */
#define HDR_PEEK_REQ(F)                                                                                                \
    F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)                                                        \
    F(STR, topic, "topic", REQUIRED, STR_NULL)                                                                         \
    F(I32, queue_id, "queueId", REQUIRED, -1)                                                                          \
    F(I32, max_msg_nums, "maxMsgNums", REQUIRED, 0)
REM_HEADER(peek_req, HDR_PEEK_REQ)

#endif
