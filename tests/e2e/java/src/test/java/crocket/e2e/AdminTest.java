package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.constant.PermName;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.ProducerConnection;
import org.apache.rocketmq.remoting.protocol.body.QueryConsumeQueueResponseBody;
import org.apache.rocketmq.remoting.protocol.body.QueueTimeSpan;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumeType;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.api.MessageTrack;
import org.apache.rocketmq.tools.admin.api.TrackType;
import org.junit.jupiter.api.Test;

class AdminTest extends ClientTest {
    private DefaultMQPushConsumer consume(String group, String topic, Received received) throws Exception {
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    /** Sends ten messages, consumes them with the group and leaves the offsets at the broker. */
    private DefaultMQPushConsumer consumeTen(String group, String topic) throws Exception {
        Received received = new Received();
        List<String> bodies = sendNumbered(topic, 1, "m", 10);
        DefaultMQPushConsumer consumer = consume(group, topic, received);
        received.expectExactly(bodies);
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        eventually("the offset of " + group + " at the broker", () -> offset(group, queue(topic, 0)) == 10);
        return consumer;
    }

    private static long offset(String group, MessageQueue queue) throws Exception {
        OffsetWrapper offset = admin().examineConsumeStats(group, queue.getTopic()).getOffsetTable().get(queue);
        return offset == null ? -1 : offset.getConsumerOffset();
    }

    @Test
    void clusterInfoNamesTheBroker() throws Exception {
        ClusterInfo info = admin().examineBrokerClusterInfo();
        assertEquals(Set.of(Target.BROKER), info.getClusterAddrTable().get(Target.CLUSTER));
        assertEquals(Target.CLUSTER, info.getBrokerAddrTable().get(Target.BROKER).getCluster());
        assertTrue(info.getBrokerAddrTable().get(Target.BROKER).getBrokerAddrs().get(0L).startsWith("127.0.0.1:"));
        assertEquals(List.of(Target.NAMESRV), admin().getNameServerAddressList());
    }

    @Test
    void topicIsCreatedChangedAndDeleted() throws Exception {
        String topic = unique("topic");
        TopicConfig config = new TopicConfig(topic, 3, 5, PermName.PERM_READ | PermName.PERM_WRITE);
        admin().createAndUpdateTopicConfig(brokerAddress(), config);
        eventually("a route", () -> hasRoute(topic));
        TopicRouteData route = admin().examineTopicRouteInfo(topic);
        assertEquals(1, route.getQueueDatas().size());
        QueueData queues = route.getQueueDatas().get(0);
        assertEquals(Target.BROKER, queues.getBrokerName());
        assertEquals(3, queues.getReadQueueNums());
        assertEquals(5, queues.getWriteQueueNums());
        assertEquals(6, queues.getPerm());
        assertEquals(brokerAddress(), route.getBrokerDatas().get(0).getBrokerAddrs().get(0L));
        assertTrue(admin().fetchAllTopicList().getTopicList().contains(topic));
        assertTrue(admin().fetchTopicsByCLuster(Target.CLUSTER).getTopicList().contains(topic));
        assertEquals(Set.of(Target.CLUSTER), admin().getTopicClusterList(topic));

        config = new TopicConfig(topic, 8, 8, PermName.PERM_READ);
        admin().createAndUpdateTopicConfig(brokerAddress(), config);
        eventually("the changed route", () -> admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm() == PermName.PERM_READ);
        TopicConfig stored = admin().examineTopicConfig(brokerAddress(), topic);
        assertEquals(topic, stored.getTopicName());
        assertEquals(8, stored.getReadQueueNums());
        assertEquals(8, stored.getWriteQueueNums());
        assertEquals(PermName.PERM_READ, stored.getPerm());
        assertEquals(8, admin().getAllTopicConfig(brokerAddress(), 10_000).getTopicConfigTable().get(topic).getReadQueueNums());
        assertTrue(admin().getUserTopicConfig(brokerAddress(), false, 10_000).getTopicConfigTable().containsKey(topic));
        assertFalse(admin().getUserTopicConfig(brokerAddress(), false, 10_000).getTopicConfigTable().containsKey("TBW102"));

        admin().deleteTopicInBroker(Set.of(brokerAddress()), topic);
        admin().deleteTopicInNameServer(Set.of(Target.NAMESRV), Target.CLUSTER, topic);
        eventually("no route any more", () -> !hasRoute(topic));
        assertFalse(admin().getAllTopicConfig(brokerAddress(), 10_000).getTopicConfigTable().containsKey(topic));
    }

    @Test
    void deletedTopicStartsAfreshWhenCreatedAgain() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "old", 5);
        readAll(topic, 5);
        admin().deleteTopic(topic, Target.CLUSTER);
        eventually("no route any more", () -> !hasRoute(topic));
        createTopic(topic, 1);
        assertEquals(0, admin().maxOffset(queue(topic, 0)));
        sendNumbered(topic, 1, "new", 3);
        List<MessageExt> stored = readAll(topic, 3);
        assertEquals("new-0", text(stored.get(0).getBody()));
    }

    @Test
    void severalTopicsInOneCall() throws Exception {
        List<TopicConfig> configs = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            configs.add(new TopicConfig(unique("many"), i + 1, i + 1));
        }
        admin().createAndUpdateTopicConfigList(brokerAddress(), configs);
        for (int i = 0; i < 5; i++) {
            assertEquals(i + 1, admin().examineTopicConfig(brokerAddress(), configs.get(i).getTopicName()).getReadQueueNums());
        }
    }

    @Test
    void illegalTopicsAreRefused() throws Exception {
        for (String name : List.of("white space", "new/path", "RMQ_SYS_TRANS_HALF_TOPIC", "x".repeat(128))) {
            MQClientException refusal = assertThrows(MQClientException.class,
                () -> admin().createAndUpdateTopicConfig(brokerAddress(), new TopicConfig(name, 1, 1)), name);
            assertEquals(ResponseCode.INVALID_PARAMETER, refusal.getResponseCode(), name + ": " + refusal.getErrorMessage());
        }
        MQClientException missing = assertThrows(MQClientException.class, () -> admin().examineTopicRouteInfo(unique("missing")));
        assertEquals(ResponseCode.TOPIC_NOT_EXIST, missing.getResponseCode());
        MQBrokerException config = assertThrows(MQBrokerException.class, () -> admin().examineTopicConfig(brokerAddress(), unique("missing")));
        assertEquals(ResponseCode.TOPIC_NOT_EXIST, config.getResponseCode());
    }

    @Test
    void topicStatsCountMessages() throws Exception {
        String topic = newTopic(4);
        sendNumbered(topic, 4, "m", 22);
        List<MessageExt> stored = readAll(topic, 22);
        TopicStatsTable stats = admin().examineTopicStats(topic);
        Map<Integer, Long> maxima = new HashMap<>();
        for (Map.Entry<MessageQueue, TopicOffset> entry : stats.getOffsetTable().entrySet()) {
            assertEquals(0, entry.getValue().getMinOffset());
            maxima.put(entry.getKey().getQueueId(), entry.getValue().getMaxOffset());
            long last = 0;
            for (MessageExt message : stored) {
                if (message.getQueueId() == entry.getKey().getQueueId()) {
                    last = message.getStoreTimestamp();
                }
            }
            assertEquals(last, entry.getValue().getLastUpdateTimestamp());
        }
        assertEquals(Map.of(0, 6L, 1, 6L, 2, 5L, 3, 5L), maxima);
        assertEquals(4, admin().examineTopicStats(brokerAddress(), topic).getOffsetTable().size());
    }

    @Test
    void groupIsCreatedChangedAndDeleted() throws Exception {
        String group = unique("group");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(5);
        config.setConsumeBroadcastEnable(false);
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        SubscriptionGroupConfig stored = admin().examineSubscriptionGroupConfig(brokerAddress(), group);
        assertEquals(group, stored.getGroupName());
        assertEquals(5, stored.getRetryMaxTimes());
        assertFalse(stored.isConsumeBroadcastEnable());
        assertTrue(stored.isConsumeEnable());
        config.setRetryMaxTimes(7);
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        assertEquals(7, admin().examineSubscriptionGroupConfig(brokerAddress(), group).getRetryMaxTimes());
        assertTrue(admin().getAllSubscriptionGroup(brokerAddress(), 10_000).getSubscriptionGroupTable().containsKey(group));
        assertTrue(admin().getUserSubscriptionGroup(brokerAddress(), 10_000).getSubscriptionGroupTable().containsKey(group));
        assertFalse(admin().getUserSubscriptionGroup(brokerAddress(), 10_000).getSubscriptionGroupTable().containsKey("TOOLS_CONSUMER"));

        List<SubscriptionGroupConfig> several = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            SubscriptionGroupConfig one = new SubscriptionGroupConfig();
            one.setGroupName(unique("group"));
            one.setRetryMaxTimes(i);
            several.add(one);
        }
        admin().createAndUpdateSubscriptionGroupConfigList(brokerAddress(), several);
        for (int i = 0; i < 3; i++) {
            assertEquals(i, admin().examineSubscriptionGroupConfig(brokerAddress(), several.get(i).getGroupName()).getRetryMaxTimes());
        }

        admin().deleteSubscriptionGroup(brokerAddress(), group, true);
        assertFalse(admin().getAllSubscriptionGroup(brokerAddress(), 10_000).getSubscriptionGroupTable().containsKey(group));
    }

    @Test
    void disabledGroupReadsNothing() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setConsumeEnable(false);
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        List<String> bodies = sendNumbered(topic, 1, "m", 3);
        Received received = new Received();
        consume(group, topic, received);
        Thread.sleep(1_500);
        assertEquals(0, received.count());
        config.setConsumeEnable(true);
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        received.expectExactly(bodies);
    }

    @Test
    void consumeStatsShowLagAndProgress() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        DefaultMQPushConsumer consumer = consumeTen(group, topic);
        consumer.shutdown();
        eventually("the group without members", () -> members(group) == 0);
        sendNumbered(topic, 1, "lag", 4);
        ConsumeStats stats = admin().examineConsumeStats(group, topic);
        OffsetWrapper offset = stats.getOffsetTable().get(queue(topic, 0));
        assertEquals(14, offset.getBrokerOffset());
        assertEquals(10, offset.getConsumerOffset());
        assertEquals(4, stats.computeTotalDiff());
        MessageExt last = readAll(topic, 14).get(9);
        assertEquals(last.getStoreTimestamp(), offset.getLastTimestamp());
        assertTrue(admin().queryTopicConsumeByWho(topic).getGroupList().contains(group));
        assertTrue(admin().queryTopicsByConsumer(group).getTopicList().contains(topic));
        assertTrue(admin().fetchConsumeStatsInBroker(brokerAddress(), false, 10_000).getConsumeStatsList().stream()
            .anyMatch(map -> map.containsKey(group)), "the broker's list of all groups has this one");
        List<QueueTimeSpan> spans = admin().queryConsumeTimeSpan(topic, group);
        assertEquals(1, spans.size());
        assertEquals(queue(topic, 0), spans.get(0).getMessageQueue());
        assertEquals(readAll(topic, 14).get(0).getStoreTimestamp(), spans.get(0).getMinTimeStamp());
        assertEquals(readAll(topic, 14).get(13).getStoreTimestamp(), spans.get(0).getMaxTimeStamp());
    }

    @Test
    void onlineConsumerCanBeExamined() throws Exception {
        String topic = newTopic(2);
        String group = unique("group");
        DefaultMQPushConsumer consumer = consumeTen(group, topic);
        ConsumerConnection connection = admin().examineConsumerConnectionInfo(group);
        assertEquals(1, connection.getConnectionSet().size());
        assertEquals(MessageModel.CLUSTERING, connection.getMessageModel());
        assertEquals(ConsumeType.CONSUME_PASSIVELY, connection.getConsumeType());
        assertEquals(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, connection.getConsumeFromWhere());
        assertEquals("*", connection.getSubscriptionTable().get(topic).getSubString());
        assertTrue(connection.getSubscriptionTable().containsKey("%RETRY%" + group));
        var member = connection.getConnectionSet().iterator().next();
        assertEquals(LanguageCode.JAVA, member.getLanguage());
        assertEquals(consumer.buildMQClientId(), member.getClientId());
        assertTrue(member.getClientAddr().startsWith("127.0.0.1:"));
        assertEquals(1, admin().examineConsumerConnectionInfo(group, brokerAddress()).getConnectionSet().size());

        ConsumerRunningInfo info = admin().getConsumerRunningInfo(group, member.getClientId(), true);
        assertEquals("CONSUME_PASSIVELY", info.getProperties().getProperty(ConsumerRunningInfo.PROP_CONSUME_TYPE));
        assertTrue(info.getMqTable().containsKey(queue(topic, 0)));
        assertTrue(info.getMqTable().containsKey(queue(topic, 1)));
        assertEquals(10, info.getMqTable().get(queue(topic, 0)).getCommitOffset());
        assertNotNull(info.getJstack());
        assertEquals("*", admin().querySubscription(group, topic).getSubString());
        Map<String, Map<MessageQueue, Long>> status = admin().getConsumeStatus(topic, group, "");
        assertEquals(10L, status.get(member.getClientId()).get(queue(topic, 0)));
    }

    @Test
    void producerConnectionsAreListed() throws Exception {
        String topic = newTopic(1);
        DefaultMQProducer producer = newProducer();
        producer.send(message(topic, "m"));
        producer.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
        ProducerConnection connection = admin().examineProducerConnectionInfo(producer.getProducerGroup(), topic);
        assertEquals(1, connection.getConnectionSet().size());
        var member = connection.getConnectionSet().iterator().next();
        assertEquals(producer.buildMQClientId(), member.getClientId());
        assertEquals(LanguageCode.JAVA, member.getLanguage());
        assertTrue(admin().getAllProducerInfo(brokerAddress()).getData().containsKey(producer.getProducerGroup()));
    }

    @Test
    void unknownGroupsAreNotOnline() {
        MQBrokerException consumer = assertThrows(MQBrokerException.class,
            () -> admin().examineConsumerConnectionInfo(unique("nobody"), brokerAddress()));
        assertEquals(ResponseCode.CONSUMER_NOT_ONLINE, consumer.getResponseCode());
        MQBrokerException producer = assertThrows(MQBrokerException.class,
            () -> admin().examineProducerConnectionInfo(unique("nobody"), newTopic(1)));
        assertEquals(ResponseCode.SYSTEM_ERROR, producer.getResponseCode());
    }

    @Test
    void runtimeStatsAreThere() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 5);
        Map<String, String> table = admin().fetchBrokerRuntimeStats(brokerAddress()).getTable();
        for (String key : List.of("bootTimestamp", "brokerVersion", "brokerVersionDesc", "putTps", "getTotalTps", "getFoundTps",
            "msgPutTotalTodayNow", "msgGetTotalTodayNow", "commitLogMaxOffset", "commitLogMinOffset", "commitLogDirCapacity",
            "commitLogDiskRatio", "consumeQueueDiskRatio", "dispatchBehindBytes", "dispatchMaxBuffer", "earliestMessageTimeStamp",
            "getMessageEntireTimeMax", "getMissTps", "getTransferredTps", "pageCacheLockTimeMills", "pullThreadPoolQueueCapacity",
            "pullThreadPoolQueueSize", "putMessageAverageSize", "putMessageDistributeTime", "putMessageEntireTimeMax",
            "putMessageSizeTotal", "putMessageTimesTotal", "queryThreadPoolQueueCapacity", "remainHowManyDataToFlush", "runtime",
            "sendThreadPoolQueueCapacity", "sendThreadPoolQueueHeadWaitTimeMills", "sendThreadPoolQueueSize", "startAcceptSendRequestTimeStamp")) {
            assertNotNull(table.get(key), key + " is missing in " + table.keySet());
        }
        assertTrue(Long.parseLong(table.get("commitLogMaxOffset")) > Long.parseLong(table.get("commitLogMinOffset")));
        assertTrue(Long.parseLong(table.get("putMessageTimesTotal")) >= 5);
        long bootedAt = Long.parseLong(table.get("bootTimestamp"));
        assertTrue(bootedAt > 0 && bootedAt <= System.currentTimeMillis());
    }

    @Test
    void brokerConfigIsReadAndChanged() throws Exception {
        Properties config = admin().getBrokerConfig(brokerAddress());
        assertEquals(Target.BROKER, config.getProperty("brokerName"));
        assertEquals(Target.CLUSTER, config.getProperty("brokerClusterName"));
        assertEquals("0", config.getProperty("brokerId"));
        assertEquals("127.0.0.1", config.getProperty("brokerIP1"));
        for (String key : List.of("listenPort", "flushDiskType", "storePathRootDir", "maxMessageSize", "autoCreateTopicEnable",
            "fileReservedTime", "deleteWhen", "messageDelayLevel", "mappedFileSizeCommitLog", "brokerRole")) {
            assertNotNull(config.getProperty(key), key);
        }
        String before = config.getProperty("defaultQueryMaxNum");
        assertEquals("32", before);
        Properties change = new Properties();
        change.setProperty("defaultQueryMaxNum", "48");
        admin().updateBrokerConfig(brokerAddress(), change);
        assertEquals("48", admin().getBrokerConfig(brokerAddress()).getProperty("defaultQueryMaxNum"));
        change.setProperty("defaultQueryMaxNum", before);
        admin().updateBrokerConfig(brokerAddress(), change);
        assertEquals(before, admin().getBrokerConfig(brokerAddress()).getProperty("defaultQueryMaxNum"));
    }

    @Test
    void nameServerConfigIsReadAndChanged() throws Exception {
        List<String> servers = List.of(Target.NAMESRV);
        Properties config = admin().getNameServerConfig(servers).get(Target.NAMESRV);
        assertEquals(Target.NAMESRV.split(":")[1], config.getProperty("listenPort"));
        String before = config.getProperty("waitSecondsForService");
        assertNotNull(before);
        Properties change = new Properties();
        change.setProperty("waitSecondsForService", "46");
        admin().updateNameServerConfig(change, servers);
        assertEquals("46", admin().getNameServerConfig(servers).get(Target.NAMESRV).getProperty("waitSecondsForService"));
        change.setProperty("waitSecondsForService", before);
        admin().updateNameServerConfig(change, servers);
    }

    @Test
    void keyValuesOfTheNameServer() throws Exception {
        String namespace = unique("namespace");
        admin().createAndUpdateKvConfig(namespace, "colour", "blue");
        admin().createAndUpdateKvConfig(namespace, "size", "large");
        assertEquals("blue", admin().getKVConfig(namespace, "colour"));
        assertEquals(Map.of("colour", "blue", "size", "large"), admin().getKVListByNamespace(namespace).getTable());
        admin().createAndUpdateKvConfig(namespace, "colour", "green");
        assertEquals("green", admin().getKVConfig(namespace, "colour"));
        admin().deleteKvConfig(namespace, "colour");
        assertThrows(MQClientException.class, () -> admin().getKVConfig(namespace, "colour"));
        assertEquals(Map.of("size", "large"), admin().getKVListByNamespace(namespace).getTable());
    }

    @Test
    void groupOffsetsAreCloned() throws Exception {
        String topic = newTopic(1);
        String from = unique("from");
        String to = unique("to");
        consumeTen(from, topic).shutdown();
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(to);
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        admin().cloneGroupOffset(from, to, topic, true);
        createTopic("%RETRY%" + to, 1); // the statistics of a group are found by way of its retry topic
        assertEquals(10, offset(to, queue(topic, 0)));
        sendNumbered(topic, 1, "later", 3);
        Received received = new Received();
        consume(to, topic, received);
        received.expectExactly(List.of("later-0", "later-1", "later-2"));
    }

    @Test
    void oneMessageIsConsumedOnRequestAndTracked() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        Received received = new Received();
        DefaultMQPushConsumer consumer = consume(group, topic, received);
        SendResult sent = producer().send(new Message(topic, "tag", "key", bytes("track me")));
        received.expectExactly(List.of("track me"));
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        eventually("the offset at the broker", () -> offset(group, queue(topic, 0)) == 1);

        ConsumeMessageDirectlyResult result =
            admin().consumeMessageDirectly(group, consumer.buildMQClientId(), topic, sent.getOffsetMsgId());
        assertEquals(CMResult.CR_SUCCESS, result.getConsumeResult());
        received.expectExactly(List.of("track me", "track me"));

        MessageExt message = admin().viewMessage(topic, sent.getOffsetMsgId());
        eventually("the message tracked as consumed", () -> {
            List<MessageTrack> tracks = admin().messageTrackDetail(message);
            return tracks.stream().anyMatch(track -> track.getConsumerGroup().equals(group) && track.getTrackType() == TrackType.CONSUMED);
        });
    }

    @Test
    void consumeQueueUnitsAreShown() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 9);
        List<MessageExt> stored = readAll(topic, 9);
        QueryConsumeQueueResponseBody body = admin().queryConsumeQueue(brokerAddress(), topic, 0, 2, 4, null);
        assertEquals(0, body.getMinQueueIndex());
        assertEquals(9, body.getMaxQueueIndex());
        assertEquals(4, body.getQueueData().size());
        for (int i = 0; i < 4; i++) {
            assertEquals(stored.get(2 + i).getCommitLogOffset(), body.getQueueData().get(i).getPhysicOffset());
            assertEquals(stored.get(2 + i).getStoreSize(), body.getQueueData().get(i).getPhysicSize());
        }
    }

    @Test
    void statisticsOfTheTopicAreKept() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 5);
        // The numbers are sampled every ten seconds or more, so only the answer's shape is certain.
        assertTrue(admin().viewBrokerStatsData(brokerAddress(), "TOPIC_PUT_NUMS", topic).getStatsMinute().getSum() >= 0);
        assertNotNull(admin().viewBrokerStatsData(brokerAddress(), "TOPIC_PUT_NUMS", topic).getStatsDay());
    }

    @Test
    void systemTopicsExist() throws Exception {
        Set<String> topics = new HashSet<>(admin().getAllTopicConfig(brokerAddress(), 10_000).getTopicConfigTable().keySet());
        for (String topic : List.of("TBW102", "SELF_TEST_TOPIC", "BenchmarkTest", Target.CLUSTER, Target.BROKER, "OFFSET_MOVED_EVENT",
            "SCHEDULE_TOPIC_XXXX", Target.CLUSTER + "_REPLY_TOPIC", "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC",
            "rmq_sys_REVIVE_LOG_" + Target.CLUSTER)) {
            assertTrue(topics.contains(topic), topic + " is missing in " + topics);
        }
    }

    private static boolean hasRoute(String topic) throws Exception {
        try {
            return !admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty();
        } catch (MQClientException e) {
            assertEquals(ResponseCode.TOPIC_NOT_EXIST, e.getResponseCode());
            return false;
        }
    }
}
