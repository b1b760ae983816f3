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
    conf_i64 broker_id;
    conf_i32 listen_port; /* 10911 */
    conf_i32 permission;
    conf_i32 default_topic_queue_nums;
    conf_bool auto_create_topic, auto_create_group, auto_create_system_group, cluster_topic, broker_topic, trace_topic,
        trace_on;
    char *trace_topic_name;
    conf_bool reject_transaction, long_polling, slave_read, fast_failure, lite_pull, reject_pull_consumer,
        enable_property_filter, calc_filter_bits, filter_support_retry;
    conf_i32 bloom_error_percent, bloom_consumers;
    conf_i64 filter_clean_ms; /* filterDataCleanTimeSpan */
    conf_bool store_reply_message, server_side_reset, recall_enable, recall_when_not_writable;
    conf_bool register_producer; /* false: producers are kept only where transactions need them */
    conf_bool validate_system_topic;
    conf_i64 transaction_timeout_ms, transaction_check_interval_ms, transaction_metric_interval_ms;
    conf_i32 transaction_check_max, transaction_op_max_size, transaction_op_interval_ms;
    conf_i32 short_polling_ms;
    conf_i32 register_period_ms, flush_offset_interval_ms, namesrv_timeout_ms;
    conf_bool force_register, split_registration;
    conf_i32 split_registration_size;
    conf_i64 start_accept_send_ms;
    conf_i32 channel_expired_ms;
    conf_i32 idle_seconds;       /* serverChannelMaxIdleTimeSeconds */
    conf_i64 wait_send_queue_ms; /* waitTimeMillsInSendQueue */
    char *config_black_list;
    conf_i32 pop_polling_size;
    conf_i64 max_pop_polling_size;
    conf_i32 pop_from_retry_probability; /* percent */
    conf_bool enable_retry_topic_v2, retrieve_from_retry_v1, pop_actual_retry_topic, init_pop_offset_by_memory;
    conf_bool enable_pop_threshold;
    conf_i64 pop_inflight_threshold;
    conf_i32 revive_queue_nums;
    conf_enum default_request_mode; /* enum request_mode */
    conf_i32 default_pop_share_queue_num;
    conf_bool server_load_balancer;
    conf_i32 filter_server_nums, filter_server_port;
    conf_i64 filter_server_steps, filter_server_memory; /* of a consumer's code */
    conf_i32 filter_server_source_max;
    conf_i32 catch_up_share; /* percent */
    conf_i32 loops;          /* event loops; 0 = one a core */
    conf_i32 workers;        /* threads for requests that may block */
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
