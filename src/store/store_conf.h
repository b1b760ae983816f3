/*
 * Configuration of the store: the keys of Java's MessageStoreConfig that have a meaning here, under their own names.
 * One row a key makes the field and the table entry. Keys that only Java's inner workings need (mapped buffers, thread
 * pools, page counts) are in no table: the one who reads a configuration file skips them.
 *
 * Owner: whoever called conf_defaults(store_conf_table(), ...) ends with conf_free. store_open takes a copy.
 * Any thread may read; changes at run time go through store_update_conf.
 */
#ifndef CROCKET_STORE_STORE_CONF_H
#define CROCKET_STORE_STORE_CONF_H

#include "base/conf.h"

enum store_flush_type { FLUSH_ASYNC, FLUSH_SYNC };
enum store_role { ROLE_ASYNC_MASTER, ROLE_SYNC_MASTER, ROLE_SLAVE };

/* B(name, default, live, doc)  I and L(name, default, min, max, live, doc)  S(name, default, live, doc)
 * E(name, names, default, live, doc) */
#define STORE_CONF_KEYS(B, I, L, S, E)                                                                                 \
    S(storePathRootDir, NULL, false, "folder of all the store keeps")                                                  \
    S(storePathCommitLog, NULL, false,                                                                                 \
      "folders of the commit log, separated by , (default: commitlog under the root)")                                 \
    S(readOnlyCommitLogStorePaths, NULL, false, "folders with commit log files in which nothing new is made")          \
    E(flushDiskType, flush_types, "ASYNC_FLUSH", false, "SYNC_FLUSH answers a send after its message is on the disk")  \
    E(brokerRole, roles, "ASYNC_MASTER", false, "part this broker plays in replication")                               \
    I(mappedFileSizeCommitLog, "1073741824", 4096, INT32_MAX, false, "bytes of one commit log file")                   \
    I(commitLogFilesKeptOpen, "1000", 1, INT32_MAX, false, "commit log files open at a time; others when read")        \
    I(mappedFileSizeConsumeQueue, "6000000", 20, INT32_MAX, false, "bytes of one consume queue file, 20 an entry")     \
    I(mapperFileSizeBatchConsumeQueue, "13800000", 46, INT32_MAX, false, "bytes of one batch queue file, 46 an entry") \
    I(sharedQueuesFrom, "10000", -1, INT32_MAX, false, "queues from which on new small ones share files; -1: never")   \
    I(flushIntervalCommitLog, "500", 1, 3600000, true, "ms between two flushes of the log with ASYNC_FLUSH")           \
    I(flushIntervalConsumeQueue, "1000", 1, 3600000, true, "ms between two rounds of writing consume queues")          \
    I(flushConsumeQueueThoroughInterval, "60000", 1, INT32_MAX, true, "ms between two syncs of queues, index, marks")  \
    I(syncFlushTimeout, "5000", 1, INT32_MAX, true, "ms a send waits for SYNC_FLUSH")                                  \
    I(putMessageTimeout, "8000", 1, INT32_MAX, true, "ms a send waits for flush and replicas together")                \
    I(slaveTimeout, "3000", 1, INT32_MAX, true, "ms a send waits for a slave")                                         \
    I(maxMessageSize, "4194304", 1, 1 << 30, true, "largest message body in bytes")                                    \
    B(autoMessageVersionOnTopicLen, "true", false, "longer topics than 127 bytes are stored in format v2")             \
    B(checkCRCOnRecover, "true", false, "recovery checks the CRC of every body it passes")                             \
    L(rebuildInBackgroundFrom, "1073741824", 1, INT64_MAX, false,                                                      \
      "bytes of log from which on lost consume queues are rebuilt while old data is served")                           \
    L(rebuildMaxBytesPerSecond, "0", 0, INT64_MAX, true, "most log such a rebuild reads a second; 0: all it can")      \
    B(enabledAppendPropCRC, "false", false, "each record gets a CRC over all of it, as its last property __CRC32#")    \
    B(forceVerifyPropCRC, "false", false, "a record without that CRC counts as damaged")                               \
    B(enableCompaction, "true", false, "compaction topics keep the newest message of each key")                        \
    I(compactionMappedFileSize, "104857600", 4096, INT32_MAX, false, "bytes of one compaction log file, about")        \
    I(compactionCqMappedFileSize, "10485760", 460, INT32_MAX / 8, false, "bytes of its queue's file, 46 an entry")     \
    I(compactionScheduleInternal, "900000", 1, INT32_MAX, false, "ms between two compactions of a queue, at least")    \
    I(maxOffsetMapSize, "104857600", 1, INT32_MAX, false, "bytes of memory for the keys of one compaction")            \
    B(messageIndexEnable, "true", false, "keep the key index")                                                         \
    I(maxHashSlotNum, "5000000", 1, 1 << 29, false, "hash slots of an index file")                                     \
    I(maxIndexNum, "20000000", 2, 1 << 29, false, "entries of an index file")                                          \
    I(indexSummaryFrom, "16", -1, INT32_MAX, false, "full index files from which on they are summarized; -1: never")   \
    I(maxMsgsNumBatch, "64", 1, 4096, true, "most messages one query by key answers")                                  \
    I(defaultQueryMaxNum, "32", 1, 4096, true, "messages a query by key answers when it does not say")                 \
    I(maxTransferBytesOnMessageInMemory, "262144", 1, INT32_MAX, true, "bytes of one pull from memory")                \
    I(maxTransferCountOnMessageInMemory, "32", 1, INT32_MAX, true, "messages of one pull from memory")                 \
    I(maxTransferBytesOnMessageInDisk, "65536", 1, INT32_MAX, true, "bytes of one pull from disk")                     \
    I(maxTransferCountOnMessageInDisk, "8", 1, INT32_MAX, true, "messages of one pull from disk")                      \
    I(accessMessageInMemoryMaxRatio, "40", 1, 99, true, "percent of memory taken as the part of the log held in it")   \
    I(maxFilterMessageSize, "16000", 20, INT32_MAX, true, "bytes of queue entries one pull looks at")                  \
    I(pullBatchMaxMessageCount, "160", 1, INT32_MAX, true, "most messages of one pull")                                \
    S(deleteWhen, "04", true, "hours of the day at which old files go, separated by ;")                                \
    I(fileReservedTime, "72", 0, INT32_MAX, true, "hours a commit log file is kept after its last write")              \
    I(deleteFileBatchMax, "10", 1, INT32_MAX, true, "most files removed in one round")                                 \
    I(deleteCommitLogFilesInterval, "100", 0, INT32_MAX, true, "ms between two removals of commit log files")          \
    I(deleteConsumeQueueFilesInterval, "100", 0, INT32_MAX, true, "ms between two removals of queue files")            \
    I(cleanResourceInterval, "10000", 10, INT32_MAX, true, "ms between two rounds of cleaning")                        \
    I(diskMaxUsedSpaceRatio, "75", 10, 95, true, "percent of the disk above which old files go at any hour")           \
    I(diskSpaceCleanForciblyRatio, "85", 30, 100, true, "percent of the disk above which files go whatever their age") \
    I(diskSpaceWarningLevelRatio, "90", 35, 100, true, "percent of the disk above which sends are refused")            \
    B(cleanFileForciblyEnable, "true", true, "a nearly full disk may cost files that are not old enough")              \
    L(osPageCacheBusyTimeOutMills, "1000", 1, INT64_MAX, true, "ms an append may take before sends are refused early") \
    B(offsetCheckInSlave, "false", true, "a slave corrects pull offsets outside its queues")                           \
    B(duplicationEnable, "false", false, "the log is filled from another log")                                         \
    B(enableLmq, "false", false, "light message queues")                                                               \
    B(enableMultiDispatch, "false", false, "one message in several queues")                                            \
    I(maxLmqConsumeQueueNum, "20000", 1, INT32_MAX, true, "most light message queues")                                 \
    S(messageDelayLevel, "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h", false, "delay levels, from 1")  \
    L(flushDelayOffsetInterval, "10000", 1, INT64_MAX, true, "ms between two saves of the delay progress")             \
    B(enableScheduleAsyncDeliver, "false", false, "delayed messages are delivered without waiting for each")           \
    B(timerWheelEnable, "true", false, "messages with any delivery time")                                              \
    I(timerPrecisionMs, "1000", 100, 1000, false, "step of delivery times in ms")                                      \
    I(timerMaxDelaySec, "259200", 1, INT32_MAX, true, "longest delay in seconds")                                      \
    I(timerRollWindowSlot, "172800", 1, INT32_MAX, false, "steps the timer wheel reaches ahead")                       \
    I(mappedFileSizeTimerLog, "104857600", 4096, INT32_MAX, false, "bytes of one timer log file")                      \
    I(timerFlushIntervalMs, "1000", 1, 3600000, true, "ms between two syncs of the timer wheel and its log")           \
    I(timerCongestNumEachSlot, "2147483647", 0, INT32_MAX, true, "messages of one step before sends are refused")      \
    B(timerStopEnqueue, "false", true, "messages with a delivery time are kept out of the wheel")                      \
    I(haListenPort, "10912", 0, 65535, false, "port of replication")                                                   \
    S(haMasterAddress, NULL, true, "where a slave finds its master")                                                   \
    I(haSendHeartbeatInterval, "5000", 1, INT32_MAX, true, "ms between heartbeats to slaves")                          \
    I(haHousekeepingInterval, "20000", 1, INT32_MAX, true, "ms after which a silent replica connection ends")          \
    I(haTransferBatchSize, "32768", 1, INT32_MAX, true, "bytes of one transfer to a slave")                            \
    I(totalReplicas, "1", 1, 255, false, "copies, with this one")                                                      \
    I(inSyncReplicas, "1", 1, 255, true, "copies a send waits for")                                                    \
    I(minInSyncReplicas, "1", 1, 255, true, "copies below which sends are refused")                                    \
    B(readUnCommitted, "false", false, "consumers see messages before they are flushed")

struct store_conf {
#define FIELD_B(name, def, live, doc)           conf_bool name;
#define FIELD_I(name, def, min, max, live, doc) conf_i32 name;
#define FIELD_L(name, def, min, max, live, doc) conf_i64 name;
#define FIELD_S(name, def, live, doc)           char *name;
#define FIELD_E(name, names, def, live, doc)    conf_enum name;
    STORE_CONF_KEYS(FIELD_B, FIELD_I, FIELD_L, FIELD_S, FIELD_E)
#undef FIELD_B
#undef FIELD_I
#undef FIELD_L
#undef FIELD_S
#undef FIELD_E
};

const struct conf_table *store_conf_table(void);
/* A copy with its own strings; -1 when out of memory. */
int store_conf_copy(struct store_conf *to, const struct store_conf *from, struct err *err);
void store_conf_free(struct store_conf *c);

#endif
