/*
 * Configuration of the name server: RocketMQ's own keys. One row a key makes the field and the table entry. Keys that
 * only Java's inner workings need (thread pools, queues of requests, Netty buffers) are in no table: the one who reads
 * a configuration file skips them.
 *
 * Owner: whoever called conf_defaults(&namesrv_conf_table, ...) ends with namesrv_conf_free. namesrv_create takes a
 * copy.
 */
#ifndef CROCKET_NAMESRV_NAMESRV_CONF_H
#define CROCKET_NAMESRV_NAMESRV_CONF_H

#include "base/conf.h"

/* B(name, default, live, doc)  I and L(name, default, min, max, live, doc)  S(name, default, live, doc) */
#define NAMESRV_CONF_KEYS(B, I, L, S)                                                                                  \
    S(rocketmqHome, NULL, false, "kept for tools that print it; nothing is read from there")                           \
    S(kvConfigPath, NULL, false, "file of the key-value table; namesrv/kvConfig.json in the home folder when not set") \
    S(configStorePath, NULL, false, "file a changed configuration is saved to; namesrv/namesrv.properties when unset") \
    S(productEnvName, "center", false, "name of the environment")                                                      \
    B(clusterTest, "false", false, "look up unknown topics in another environment; not available")                     \
    B(orderMessageEnable, "false", true, "routes carry the order configuration of the key-value table")                \
    B(returnOrderTopicConfigToBroker, "true", true, "registering brokers are told the order configuration")            \
    L(scanNotActiveBrokerInterval, "5000", 10, 3600000, true, "ms between two looks for brokers that fell silent")     \
    I(unRegisterBrokerQueueCapacity, "3000", 1, 1000000, false, "brokers that may wait to be removed")                 \
    B(supportActingMaster, "false", true, "routes show the slave of a lost master in its place, to read only")         \
    B(enableAllTopicList, "true", true, "the list of all topics may be asked for")                                     \
    B(enableTopicList, "true", true, "the lists by cluster and of unit topics may be asked for")                       \
    B(notifyMinBrokerIdChanged, "false", true, "tell brokers when the smallest id of their group changes")             \
    B(enableControllerInNamesrv, "false", false, "run a controller in the name server; not available")                 \
    B(needWaitForService, "false", true, "refuse route queries for a while after the start")                           \
    I(waitSecondsForService, "45", 0, 86400, true, "how long needWaitForService refuses, in seconds")                  \
    B(deleteTopicWithBrokerRegistration, "false", true, "topics missing in a registration are removed")                \
    S(configBlackList, "configBlackList;configStorePath;kvConfigPath", false, "keys no command may change")            \
    S(bindAddress, "0.0.0.0", false, "address to listen on")                                                           \
    I(listenPort, "9876", 0, 65535, false, "port to listen on; 0 takes a free one")                                    \
    I(serverChannelMaxIdleTimeSeconds, "120", 1, 86400, false, "silent connections end after this many seconds")

struct namesrv_conf {
#define FIELD_B(name, def, live, doc)           conf_bool name;
#define FIELD_I(name, def, min, max, live, doc) conf_i32 name;
#define FIELD_L(name, def, min, max, live, doc) conf_i64 name;
#define FIELD_S(name, def, live, doc)           char *name;
    NAMESRV_CONF_KEYS(FIELD_B, FIELD_I, FIELD_L, FIELD_S)
#undef FIELD_B
#undef FIELD_I
#undef FIELD_L
#undef FIELD_S
};

extern const struct conf_table namesrv_conf_table;

/* A copy with its own strings; -1 when out of memory. */
int namesrv_conf_copy(struct namesrv_conf *to, const struct namesrv_conf *from, struct err *err);
void namesrv_conf_free(struct namesrv_conf *c);

#endif
