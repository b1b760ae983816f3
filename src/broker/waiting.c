#include "broker/waiting.h"

#include "remoting/codes.h"

/* What cannot be answered from half of a queue; in the order of the codes. */
static const int32_t waiting_codes[] = {
    REQ_SEND_MESSAGE,
    REQ_UPDATE_AND_CREATE_TOPIC,
    REQ_SEARCH_OFFSET_BY_TIMESTAMP,
    REQ_GET_MAX_OFFSET,
    REQ_GET_MIN_OFFSET,
    REQ_GET_EARLIEST_MSG_STORETIME,
    REQ_CONSUMER_SEND_MSG_BACK,
    REQ_END_TRANSACTION,
    REQ_GET_TIMER_CHECK_POINT,
    REQ_GET_TIMER_METRICS,
    REQ_GET_TOPIC_STATS_INFO,
    REQ_GET_CONSUME_STATS,
    REQ_DELETE_TOPIC_IN_BROKER,
    REQ_INVOKE_BROKER_TO_RESET_OFFSET,
    REQ_QUERY_CONSUME_TIME_SPAN,
    REQ_SEND_MESSAGE_V2,
    REQ_CLEAN_UNUSED_TOPIC,
    REQ_GET_BROKER_CONSUME_STATS,
    REQ_SEND_BATCH_MESSAGE,
    REQ_RESUME_CHECK_HALF_MESSAGE,
    REQ_SEND_REPLY_MESSAGE,
    REQ_SEND_REPLY_MESSAGE_V2,
    REQ_RECALL_MESSAGE,
    REQ_UPDATE_AND_CREATE_TOPIC_LIST,
    REQ_POP_MESSAGE,
    REQ_ACK_MESSAGE,
    REQ_BATCH_ACK_MESSAGE,
    REQ_CHANGE_MESSAGE_INVISIBLETIME,
    REQ_NOTIFICATION,
};

void waiting_refuse(struct rem_request *rq)
{
    char how_far[PROGRESS_TEXT] = "done, the broker starts";
    store_progress(broker_of(rq)->store, STORE_REBUILDS_QUEUES, how_far);
    rem_reply(rq, RESP_SERVICE_NOT_AVAILABLE,
              "the consume queues are being rebuilt from the commit log (%s); until then messages can be read but not "
              "stored: try again, or use another broker",
              how_far);
}

bool waiting_admit(struct rem_request *rq)
{
    if (__builtin_expect(!broker_waits(broker_of(rq)), 1))
        return true;
    for (size_t i = 0; i < sizeof waiting_codes / sizeof waiting_codes[0]; i++) {
        if (waiting_codes[i] == rem_request_op(rq)->code) {
            waiting_refuse(rq);
            return false;
        }
    }
    return true;
}
