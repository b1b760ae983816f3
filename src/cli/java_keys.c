#include "cli/java_keys.h"

#include "broker/broker_conf.h"

/* Of the name server, the controller and the container; the broker knows its own. */
static const char *const others[] = {
    "brokerContainerIP",
    "clientRequestThreadPoolNums",
    "clientRequestThreadPoolQueueCapacity",
    "controllerDLegerGroup",
    "controllerDLegerPeers",
    "controllerDLegerSelfId",
    "controllerRequestThreadPoolQueueCapacity",
    "controllerStorePath",
    "controllerThreadPoolNums",
    "controllerType",
    "defaultThreadPoolNums",
    "defaultThreadPoolQueueCapacity",
    "electMasterMaxRetryCount",
    "enableElectUncleanMaster",
    "isBrokerContainer",
    "isInBrokerContainer",
    "isProcessReadEvent",
    "isScanAvailableNameSrv",
    "jRaftControllerRPCAddr",
    "jRaftElectionTimeoutMs",
    "jRaftGroupId",
    "jRaftInitConf",
    "jRaftScanWaitTimeoutMs",
    "jRaftServerId",
    "jRaftSnapshotIntervalSecs",
    "mappedFileSize",
    "messageIndexSafe",
    "notifyBrokerRoleChanged",
    "scanInactiveMasterInterval",
    "timerCheckMetricsWhen",
    "timerEnableDisruptor",
    "timerStopDequeue",
    "timerWarmEnable",
    "updateNamesrvAddrInterval",
};

bool java_key_without_effect(struct str name)
{
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (str_eqz(name, others[i]))
            return true;
    return broker_conf_without_effect(name);
}
