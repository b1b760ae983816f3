#include "broker/broker_conf.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(struct broker_conf, member)
#define S(name, member, def, live, doc)                                                                                \
    {                                                                                                                  \
        name, CONF_STR, AT(member), def, 0, 0, NULL, live, doc                                                         \
    }
#define B(name, member, def, doc)                                                                                      \
    {                                                                                                                  \
        name, CONF_BOOL, AT(member), def, 0, 0, NULL, true, doc                                                        \
    }
#define I(name, member, def, low, high, live, doc)                                                                     \
    {                                                                                                                  \
        name, CONF_I32, AT(member), def, low, high, NULL, live, doc                                                    \
    }
#define L(name, member, def, low, high, live, doc)                                                                     \
    {                                                                                                                  \
        name, CONF_I64, AT(member), def, low, high, NULL, live, doc                                                    \
    }

#define E(name, member, def, names, doc)                                                                               \
    {                                                                                                                  \
        name, CONF_ENUM, AT(member), def, 0, 0, names, true, doc                                                       \
    }

enum { DAY_MS = 86400000 };

static const char *const request_modes[] = {"PULL", "POP", NULL};

/* clang-format off */
static const struct conf_key keys[] = {
    S("brokerName", broker_name, NULL, false, "name of this broker; the name of the host when not set"),
    S("brokerClusterName", cluster_name, "DefaultCluster", false, "name of the cluster it belongs to"),
    L("brokerId", broker_id, "0", 0, INT64_MAX, false, "0: the master of its name, larger: a slave"),
    S("brokerIP1", broker_ip1, NULL, false, "address that clients use; found out when not set"),
    S("brokerIP2", broker_ip2, NULL, false, "address that slaves use; brokerIP1 when not set"),
    S("bindAddress", bind_address, NULL, false, "address to listen on"),
    I("listenPort", listen_port, "10911", 0, 65535, false, "port to listen on; 0: any free one"),
    S("namesrvAddr", namesrv_addr, NULL, false, "name servers, host:port, separated by ;"),
    S("regionId", region_id, "DefaultRegion", false, "region written into messages and answers"),

    I("brokerPermission", permission, "6", 0, 15, true, "what clients may do: 4 read, 2 write, 6 both"),
    I("defaultTopicQueueNums", default_topic_queue_nums, "8", 1, 65536, true, "queues of a topic that is created by a send"),
    B("autoCreateTopicEnable", auto_create_topic, "true", "a send to an unknown topic creates it"),
    B("autoCreateSubscriptionGroup", auto_create_group, "true", "an unknown consumer group is created when it is first seen"),
    B("enableCreateSysGroup", auto_create_system_group, "true", "groups named CID_RMQ_SYS_... are created in any case"),
    B("clusterTopicEnable", cluster_topic, "true", "the topic named like the cluster can be read and written"),
    B("brokerTopicEnable", broker_topic, "true", "the topic named like the broker can be read and written"),
    B("traceTopicEnable", trace_topic, "false", "keep the topic of message traces"),
    S("msgTraceTopicName", trace_topic_name, "RMQ_SYS_TRACE_TOPIC", false, "topic of message traces"),
    B("traceOn", trace_on, "true", "tells clients to trace"),
    B("validateSystemTopicWhenUpdateTopic", validate_system_topic, "true", "system topics cannot be changed by admin commands"),

    B("rejectTransactionMessage", reject_transaction, "false", "refuse transactional messages"),
    L("transactionTimeOut", transaction_timeout_ms, "6000", 0, INT64_MAX, true, "ms a half message may be undecided before its producers are asked"),
    I("transactionCheckMax", transaction_check_max, "15", 1, INT32_MAX, true, "how often they are asked"),
    L("transactionCheckInterval", transaction_check_interval_ms, "30000", 1, DAY_MS, true, "ms between two searches for undecided half messages"),
    I("transactionOpMsgMaxSize", transaction_op_max_size, "4096", 1, 1048576, true, "bytes of ended half messages that are noted down at once"),
    I("transactionOpBatchInterval", transaction_op_interval_ms, "3000", 1, DAY_MS, true, "ms until fewer are noted down"),
    L("transactionMetricFlushInterval", transaction_metric_interval_ms, "3000", 1, DAY_MS, true, "ms between two saves of the numbers of half messages"),
    B("enableRegisterProducer", register_producer, "true", "keep producers also where rejectTransactionMessage makes them needless"),
    B("longPollingEnable", long_polling, "true", "a pull that finds nothing waits for messages as long as it allows"),
    I("shortPollingTimeMills", short_polling_ms, "1000", 1, DAY_MS, true, "ms such a pull waits without longPollingEnable"),
    B("litePullMessageEnable", lite_pull, "true", "answer lite pull requests"),
    B("rejectPullConsumerEnable", reject_pull_consumer, "false", "refuse consumers that only pull"),
    B("slaveReadEnable", slave_read, "false", "a consumer that lags far behind is sent to a slave"),
    B("enablePropertyFilter", enable_property_filter, "false", "consumers may filter by SQL92"),
    B("enableCalcFilterBitMap", calc_filter_bits, "false", "a new message's queue entry tells which SQL92 filters want it: the others need not read it"),
    B("filterSupportRetry", filter_support_retry, "false", "filters by SQL92 hold for messages that come back, too"),
    L("filterDataCleanTimeSpan", filter_clean_ms, "86400000", 0, INT64_MAX, true, "ms that the filter of a group without clients is kept"),
    I("expectConsumerNumUseFilter", bloom_consumers, "32", 1, 1000000, false, "groups expected to filter by SQL92; a size in consumerFilter.json"),
    I("maxErrorRateOfBloomFilter", bloom_error_percent, "20", 1, 99, false, "percent of false hits; the other size there"),
    B("useServerSideResetOffset", server_side_reset, "true", "a reset of offsets is kept here until the next pull"),
    B("storeReplyMessageEnable", store_reply_message, "true", "replies are stored besides being pushed to their requester"),
    B("recallMessageEnable", recall_enable, "false", "delayed messages may be recalled"),
    B("allowRecallWhenBrokerNotWriteable", recall_when_not_writable, "true", "also while brokerPermission forbids sends"),

    B("brokerFastFailureEnable", fast_failure, "true", "refuse sends early while the store is held up"),
    L("waitTimeMillsInSendQueue", wait_send_queue_ms, "200", 0, INT64_MAX, true, "ms a send may wait before it is refused"),
    L("startAcceptSendRequestTimeStamp", start_accept_send_ms, "0", 0, INT64_MAX, true, "sends before this time (ms) are refused"),

    I("registerNameServerPeriod", register_period_ms, "30000", 1, INT32_MAX, true, "ms between registrations, within 10 s to 60 s"),
    I("registerBrokerTimeoutMills", namesrv_timeout_ms, "24000", 1, INT32_MAX, true, "ms a registration may take"),
    B("forceRegister", force_register, "true", "register every time; else only when a name server knows another state"),
    B("enableSplitRegistration", split_registration, "false", "register in pieces"),
    I("splitRegistrationSize", split_registration_size, "800", 2, INT32_MAX, true, "topics of such a piece"),

    I("flushConsumerOffsetInterval", flush_offset_interval_ms, "5000", 10, DAY_MS, true, "ms between two saves of consumer offsets"),
    I("channelExpiredTimeout", channel_expired_ms, "120000", 1000, INT32_MAX, true, "ms after which a consumer without heartbeat is gone"),
    I("serverChannelMaxIdleTimeSeconds", idle_seconds, "120", 0, 1000000, false, "seconds after which a silent connection ends; 0: never"),
    S("configBlackList", config_black_list, "configBlackList;brokerConfigPath", false, "keys that admin commands cannot change"),

    I("popFromRetryProbability", pop_from_retry_probability, "20", 0, 100, true, "percent of pops that look for messages to try again first"),
    B("enableRetryTopicV2", enable_retry_topic_v2, "false", "unacknowledged messages go to %RETRY%GROUP+TOPIC instead of %RETRY%GROUP_TOPIC"),
    B("retrieveMessageFromPopRetryTopicV1", retrieve_from_retry_v1, "true", "with enableRetryTopicV2 the other topic is popped too"),
    B("popResponseReturnActualRetryTopic", pop_actual_retry_topic, "false", "messages to try again are given out under their retry topic"),
    B("initPopOffsetByCheckMsgInMem", init_pop_offset_by_memory, "true", "a new group that wants the newest messages begins a young queue at its first"),
    I("popPollingSize", pop_polling_size, "1024", 0, INT32_MAX, true, "pops of one topic, group and queue that may wait for messages"),
    L("maxPopPollingSize", max_pop_polling_size, "100000", 0, INT64_MAX, true, "pops that may wait for messages"),
    B("enablePopMessageThreshold", enable_pop_threshold, "false", "no more pops of a queue with too many messages under way"),
    L("popInflightMessageThreshold", pop_inflight_threshold, "10000", 0, INT64_MAX, true, "so many are too many"),
    I("reviveQueueNum", revive_queue_nums, "8", 1, 256, false, "queues of the topic that keeps what was popped and acknowledged"),
    E("defaultMessageRequestMode", default_request_mode, "PULL", request_modes, "how groups take messages unless told by setConsumeMode"),
    I("defaultPopShareQueueNum", default_pop_share_queue_num, "-1", INT32_MIN, INT32_MAX, true, "clients that share a client's queues in that mode; below 1: all"),
    B("serverLoadBalancerEnable", server_load_balancer, "true", "queues are shared out among the clients of a group; false: each gets all"),

    I("filterServerNums", filter_server_nums, "0", 0, 64, false, "filter servers, which run the code that consumers subscribe with; 0: none"),
    I("filterServerPort", filter_server_port, "0", 0, 65535, false, "port of the first of them, the next ones follow; 0: any free ones"),
    L("filterServerSteps", filter_server_steps, "1000000", 1000, INT64_MAX, false, "steps that code may take for one message"),
    L("filterServerMemory", filter_server_memory, "8388608", 65536, INT64_MAX / 2, false, "bytes that a consumer's code may hold"),
    I("filterServerMaxSource", filter_server_source_max, "65536", 1, 1048576, false, "bytes of a consumer's code"),

    I("catchUpShare", catch_up_share, "10", 1, 100, true, "percent of a loop's time for consumers far behind while there are new messages; 100: no limit"),
    I("eventLoops", loops, "0", 0, 64, false, "event loops; 0: one a core"),
    I("workerThreads", workers, "4", 1, 256, false, "threads for requests that may wait for the disk"),
};
/* clang-format on */

const struct conf_table broker_conf_table = {"broker", keys, sizeof keys / sizeof keys[0]};

int broker_conf_complete(struct broker_conf *c, struct err *err)
{
    char host[128] = "";
    if (c->broker_name && c->broker_name[0])
        return 0;
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        strcpy(host, "DEFAULT_BROKER");
    return conf_set(&broker_conf_table, c, STR_LIT("brokerName"), str_from(host), err);
}
