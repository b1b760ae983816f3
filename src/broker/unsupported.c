/*
 * Requests that RocketMQ's brokers know and this one does not serve (yet), with the reason. They are answered like an
 * unknown code, which clients and tools understand, and the remark says why.
 */
#include "broker/broker_int.h"

#define UNSUPPORTED(R)                                                                                                 \
    R(POP_ROLLBACK, "pops are not kept in RocksDB here")                                                               \
    R(UPDATE_AND_CREATE_STATIC_TOPIC, "static topics are not built yet")                                               \
    R(NOTIFY_MIN_BROKER_ID_CHANGE, "replication is not built yet")                                                     \
    R(EXCHANGE_BROKER_HA_INFO, "replication is not built yet")                                                         \
    R(RESET_MASTER_FLUSH_OFFSET, "replication is not built yet")                                                       \
    R(NOTIFY_BROKER_ROLE_CHANGED, "this broker is not controlled by a controller")                                     \
    R(UPDATE_COLD_DATA_FLOW_CTR_CONFIG, "reads of cold data are not limited by this broker")                           \
    R(REMOVE_COLD_DATA_FLOW_CTR_CONFIG, "reads of cold data are not limited by this broker")                           \
    R(SET_COMMITLOG_READ_MODE, "read-ahead of the commit log is not switched by hand")                                 \
    R(AUTH_CREATE_USER, "authorization is not built yet")                                                              \
    R(AUTH_UPDATE_USER, "authorization is not built yet")                                                              \
    R(AUTH_DELETE_USER, "authorization is not built yet")                                                              \
    R(AUTH_GET_USER, "authorization is not built yet")                                                                 \
    R(AUTH_LIST_USER, "authorization is not built yet")                                                                \
    R(AUTH_CREATE_ACL, "authorization is not built yet")                                                               \
    R(AUTH_UPDATE_ACL, "authorization is not built yet")                                                               \
    R(AUTH_DELETE_ACL, "authorization is not built yet")                                                               \
    R(AUTH_GET_ACL, "authorization is not built yet")                                                                  \
    R(AUTH_LIST_ACL, "authorization is not built yet")

static const char *reason(int32_t code)
{
    switch (code) {
#define REASON(name, because)                                                                                          \
    case REQ_##name:                                                                                                   \
        return because;
        UNSUPPORTED(REASON)
#undef REASON
    default:
        return "nobody has said why";
    }
}

static void refuse(struct rem_request *rq, const void *header)
{
    int32_t code = rem_cmd(rq)->code;
    rem_reply(rq, RESP_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported: %s", code, reason(code));
}

#define ROW(name, because) {REQ_##name, #name, NULL, refuse, REM_LANE_LOOP, REM_ACT_NONE, REM_RES_NONE},
static const struct rem_op rows[] = {UNSUPPORTED(ROW)};
#undef ROW

const struct broker_ops unsupported_ops = {rows, sizeof rows / sizeof rows[0]};
