#include "remoting/headers_client.h"

REM_HEADER_TABLE(send_req, HDR_SEND_REQ)

/* The short names fill the same struct. */
static const struct rem_schema_field *send_req_v2_table(size_t *count)
{
    typedef struct send_req rem_self_;
    static const struct rem_schema_field table[] = {HDR_SEND_REQ_V2(REM_FIELD_)};
    *count = sizeof table / sizeof table[0];
    return table;
}
struct rem_schema send_req_v2_schema = {
    .name = "send_req_v2", .table = send_req_v2_table, .defaults = send_req_defaults, .size = sizeof(struct send_req)};

REM_HEADER_TABLE(send_resp, HDR_SEND_RESP)
REM_HEADER_TABLE(pull_req, HDR_PULL_REQ)
REM_HEADER_TABLE(register_filter_server_req, HDR_REGISTER_FILTER_SERVER_REQ)
REM_HEADER_TABLE(register_filter_class_req, HDR_REGISTER_FILTER_CLASS_REQ)
REM_HEADER_TABLE(pull_resp, HDR_PULL_RESP)
REM_HEADER_TABLE(query_message_req, HDR_QUERY_MESSAGE_REQ)
REM_HEADER_TABLE(query_message_resp, HDR_QUERY_MESSAGE_RESP)
REM_HEADER_TABLE(query_consumer_offset_req, HDR_QUERY_CONSUMER_OFFSET_REQ)
REM_HEADER_TABLE(update_consumer_offset_req, HDR_UPDATE_CONSUMER_OFFSET_REQ)
REM_HEADER_TABLE(topic_queue_req, HDR_TOPIC_QUEUE_REQ)
REM_HEADER_TABLE(search_offset_req, HDR_SEARCH_OFFSET_REQ)
REM_HEADER_TABLE(offset_resp, HDR_OFFSET_RESP)
REM_HEADER_TABLE(timestamp_resp, HDR_TIMESTAMP_RESP)
REM_HEADER_TABLE(view_message_req, HDR_VIEW_MESSAGE_REQ)
REM_HEADER_TABLE(unregister_client_req, HDR_UNREGISTER_CLIENT_REQ)
REM_HEADER_TABLE(send_back_req, HDR_SEND_BACK_REQ)
REM_HEADER_TABLE(recall_message_req, HDR_RECALL_MESSAGE_REQ)
REM_HEADER_TABLE(consumer_group_req, HDR_CONSUMER_GROUP_REQ)
REM_HEADER_TABLE(end_transaction_req, HDR_END_TRANSACTION_REQ)
REM_HEADER_TABLE(check_transaction_req, HDR_CHECK_TRANSACTION_REQ)
REM_HEADER_TABLE(resume_check_req, HDR_RESUME_CHECK_REQ)
