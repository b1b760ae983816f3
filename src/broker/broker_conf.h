/*
 * The broker's configuration: the keys of Java's BrokerConfig (and NettyServerConfig's port) as a table; see
 * base/conf.h. Ownership: strings belong to the struct (conf_free). Threads: written under the admin lock, read
 * anywhere; strings do not change while the broker runs.
 */
#ifndef CROCKET_BROKER_BROKER_CONF_H
#define CROCKET_BROKER_BROKER_CONF_H

#include "base/conf.h"

struct broker_conf {
    char *broker_name, *cluster_name, *broker_ip1, *broker_ip2, *namesrv_addr, *region_id;
    char *bind_address; /* bindAddress of the file; NULL: not said */
    int64_t broker_id;
    int32_t listen_port; /* 10911 */
    int32_t permission;
    int32_t default_topic_queue_nums;
    bool auto_create_topic, auto_create_group, auto_create_system_group, cluster_topic, broker_topic, trace_topic,
        trace_on;
    char *trace_topic_name;
    bool reject_transaction, long_polling, slave_read, fast_failure, lite_pull, reject_pull_consumer,
        enable_property_filter, filter_support_retry;
    int32_t bloom_error_percent, bloom_consumers;
    int64_t filter_clean_ms; /* filterDataCleanTimeSpan */
    bool store_reply_message, server_side_reset, recall_enable, recall_when_not_writable;
    bool register_producer; /* false: producers are kept only where transactions need them */
    bool validate_system_topic;
    int64_t transaction_timeout_ms, transaction_check_interval_ms, transaction_metric_interval_ms;
    int32_t transaction_check_max, transaction_op_max_size, transaction_op_interval_ms;
    int32_t short_polling_ms;
    int32_t register_period_ms, flush_offset_interval_ms, namesrv_timeout_ms;
    bool force_register, split_registration;
    int32_t split_registration_size;
    int64_t start_accept_send_ms;
    int32_t channel_expired_ms;
    int32_t idle_seconds;       /* serverChannelMaxIdleTimeSeconds */
    int64_t wait_send_queue_ms; /* waitTimeMillsInSendQueue */
    char *config_black_list;
    int32_t pop_polling_size;
    int64_t max_pop_polling_size;
    int32_t pop_from_retry_probability; /* percent */
    bool enable_retry_topic_v2, retrieve_from_retry_v1, pop_actual_retry_topic, init_pop_offset_by_memory;
    bool enable_pop_threshold;
    int64_t pop_inflight_threshold;
    int32_t revive_queue_nums;
    int default_request_mode; /* enum request_mode */
    int32_t default_pop_share_queue_num;
    bool server_load_balancer;
    int32_t loops;   /* event loops; 0 = one a core */
    int32_t workers; /* threads for requests that may block */
};

extern const struct conf_table broker_conf_table;

/* Sets what is unset and has no fixed default: brokerName becomes the host's name. */
int broker_conf_complete(struct broker_conf *c, struct err *err);

/*
 * For a key that is in no table: Java's broker takes it (in its broker, network, store or authorization configuration),
 * but here it means nothing: thread pools, buffers, parts that this broker does not have. A Java broker.conf is used
 * unchanged, so such keys are no error.
 */
bool broker_conf_without_effect(struct str name);

#endif
