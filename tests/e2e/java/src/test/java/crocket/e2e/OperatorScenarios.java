package crocket.e2e;

import static crocket.e2e.ClientTest.admin;
import static crocket.e2e.ClientTest.brokerAddress;
import static crocket.e2e.ClientTest.deadLetters;
import static crocket.e2e.ClientTest.eventually;
import static crocket.e2e.ClientTest.members;
import static crocket.e2e.ClientTest.message;
import static crocket.e2e.ClientTest.newTopic;
import static crocket.e2e.ClientTest.producer;
import static crocket.e2e.ClientTest.queue;
import static crocket.e2e.ClientTest.readAll;
import static crocket.e2e.ClientTest.sendNumbered;
import static crocket.e2e.ClientTest.text;
import static crocket.e2e.ClientTest.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.topic.TopicValidator;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.subscription.CustomizedRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicyType;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.api.MessageTrack;
import org.apache.rocketmq.tools.admin.api.TrackType;

/** What operators set up and look at, over a restart: positions, order configuration, policies, deletions, traces, tracks. */
final class OperatorScenarios {
    private OperatorScenarios() {
    }

    static List<FeaturesOverRestart.Scenario> all(FeaturesOverRestart test) {
        RefusingGroup refusing = new RefusingGroup(test);
        List<FeaturesOverRestart.Scenario> all = new ArrayList<>(List.of(refusing, new Positions(test), new FromATime(test),
            new RetryPolicy(), new Traced(test), new DeletedGroup(test, refusing), new Tracked(test)));
        // It is the name server's, whose files are not in the store directory that changes sides.
        if (!FeaturesOverRestart.HOW.equals("switch")) {
            all.add(new OrderConfiguration(test));
        }
        return all;
    }

    /** A push consumer that keeps what it gets. */
    private static DefaultMQPushConsumer consume(FeaturesOverRestart test, String group, String topic, Received received) throws Exception {
        DefaultMQPushConsumer consumer = test.newPushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static long offset(String group, String topic) throws Exception {
        ConsumeStats stats = admin().examineConsumeStats(group, topic);
        long sum = 0;
        for (int i = 0; i < 2; i++) {
            MessageQueue queue = queue(topic, i);
            sum += stats.getOffsetTable().get(queue).getConsumerOffset();
        }
        return sum;
    }

    /** Positions that were set, cloned, and moved to the end are where they were. */
    private static final class Positions extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final String group = unique("positions");
        private final String clone = unique("clone");
        private final String skipper = unique("skipper");
        private String topic;

        Positions(FeaturesOverRestart test) {
            super("reset, cloned and skipped positions");
            this.test = test;
        }

        private void known(String name) throws Exception {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName(name);
            admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        }

        /** A consumer that has read everything and is gone. */
        private void readOnce(String name) throws Exception {
            Received received = new Received();
            DefaultMQPushConsumer consumer = consume(test, name, topic, received);
            eventually("all read by " + name, () -> received.count() >= 20);
            consumer.shutdown();
            eventually("the offsets of " + name, () -> offset(name, topic) == 20);
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            sendNumbered(topic, 2, "m", 20);
            for (String name : List.of(group, clone, skipper)) {
                known(name);
            }
            readOnce(group);
            admin().cloneGroupOffset(group, clone, topic, false);
            assertEquals(20, offset(clone, topic));
            readOnce(skipper);
            // Back to the beginning while nobody is there, then over all of it.
            admin().resetOffsetByTimestamp(topic, skipper, 0, true);
            admin().resetOffsetByTimestamp(topic, group, 0, true);
            eventually("the beginning", () -> offset(skipper, topic) == 0 && offset(group, topic) == 0);
            admin().resetOffsetByTimestamp(topic, skipper, -1, true);
            eventually("the end", () -> offset(skipper, topic) == 20);
            // Java saves offsets every five seconds.
            Thread.sleep(6_000);
        }

        @Override
        void after() throws Exception {
            assertEquals(0, offset(group, topic));
            assertEquals(20, offset(clone, topic));
            assertEquals(20, offset(skipper, topic));
            Received skipped = new Received();
            consume(test, skipper, topic, skipped);
            Received again = new Received();
            consume(test, group, topic, again);
            List<String> more = sendNumbered(topic, 2, "more", 4);
            eventually("all of them once more", () -> again.count() >= 24);
            skipped.expectExactly(more);
        }
    }

    /**
     * A consumer finds the messages of a time, also of one before the restart. (A push consumer's CONSUME_FROM_TIMESTAMP counts only for
     * queues whose first message has left the broker's memory.)
     */
    private static final class FromATime extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private List<String> bodies;
        private String topic;
        private long time;

        FromATime(FeaturesOverRestart test) {
            super("consuming from a time");
            this.test = test;
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            sendNumbered(topic, 2, "old", 10);
            Thread.sleep(2_100);
            time = System.currentTimeMillis();
            Thread.sleep(1_100);
            bodies = sendNumbered(topic, 2, "new", 10);
        }

        @Override
        void after() throws Exception {
            Received received = new Received();
            DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(unique("from_time"));
            Target.connect(consumer);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.start();
            test.closeLater(consumer::shutdown);
            List<MessageQueue> queues = List.of(queue(topic, 0), queue(topic, 1));
            consumer.assign(queues);
            // The client pulls at once, and hands out what such a pull brings after a seek, too: so that is awaited first.
            Received all = new Received();
            eventually("all messages", () -> {
                all.addAll(consumer.poll(500));
                return all.count() >= 2 * bodies.size();
            });
            for (MessageQueue queue : queues) {
                // The connection of a client that has just begun can still be replaced by another of its own threads.
                eventually("the offset of a time", () -> {
                    try {
                        consumer.seek(queue, consumer.offsetForTimestamp(queue, time));
                        return true;
                    } catch (MQClientException e) {
                        return false;
                    }
                });
            }
            eventually("the messages since then", () -> {
                received.addAll(consumer.poll(500));
                return received.count() >= bodies.size();
            });
            received.expectExactly(bodies);
        }
    }

    /** Which queues an ordered topic has, whatever the brokers say: the name server keeps it. */
    private static final class OrderConfiguration extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private String topic;

        OrderConfiguration(FeaturesOverRestart test) {
            super("the order configuration of a topic");
            this.test = test;
        }

        private void check() throws Exception {
            Properties on = new Properties();
            on.setProperty("orderMessageEnable", "true");
            admin().updateNameServerConfig(on, List.of(Target.NAMESRV));
            assertEquals(Target.BROKER + ":2", admin().examineTopicRouteInfo(topic).getOrderTopicConf());
            DefaultMQProducer producer = test.newProducer();
            assertEquals(2, producer.fetchPublishMessageQueues(topic).size());
        }

        @Override
        void before() throws Exception {
            topic = newTopic(4);
            admin().createOrUpdateOrderConf(topic, Target.BROKER + ":2", false);
            check();
        }

        @Override
        void after() throws Exception {
            check();
        }
    }

    /** A group's policy is kept as it was given. */
    private static final class RetryPolicy extends FeaturesOverRestart.Scenario {
        private final String group = unique("policy");

        RetryPolicy() {
            super("the retry policy of a group");
        }

        private void check() throws Exception {
            SubscriptionGroupConfig config = admin().examineSubscriptionGroupConfig(brokerAddress(), group);
            assertEquals(GroupRetryPolicyType.CUSTOMIZED, config.getGroupRetryPolicy().getType());
            assertEquals(3_000, config.getGroupRetryPolicy().getRetryPolicy().nextDelayDuration(2));
            assertEquals(7, config.getRetryMaxTimes());
        }

        @Override
        void before() throws Exception {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName(group);
            config.setRetryMaxTimes(7);
            GroupRetryPolicy policy = new GroupRetryPolicy();
            policy.setType(GroupRetryPolicyType.CUSTOMIZED);
            policy.setCustomizedRetryPolicy(new CustomizedRetryPolicy(new long[] {1_000, 2_000, 3_000}));
            config.setGroupRetryPolicy(policy);
            admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
            check();
        }

        @Override
        void after() throws Exception {
            check();
        }
    }

    /** What a group refuses for good is among its dead letters. */
    private static final class RefusingGroup extends FeaturesOverRestart.Scenario {
        final String group = unique("deleted");
        private final FeaturesOverRestart test;
        private String topic;
        private long left;

        RefusingGroup(FeaturesOverRestart test) {
            super("a group that refuses");
            this.test = test;
        }

        /** A pull that Java's broker still holds (15 s, looked after every 5 s) makes its group anew when it is answered. */
        void awaitItsPulls() throws Exception {
            eventually("the last pull of a consumer that left", () -> System.nanoTime() - left > 21_000_000_000L);
        }

        @Override
        void before() throws Exception {
            topic = newTopic(1);
            Received received = new Received();
            DefaultMQPushConsumer consumer = test.newPushConsumer(group);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                received.addAll(messages);
                context.setDelayLevelWhenNextConsume(-1);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
            consumer.start();
            sendNumbered(topic, 1, "m", 2);
            eventually("both refused", () -> received.count() >= 2);
            // Both have to be there: a message that is sent back later would make the group and its retry topic anew.
            eventually("both dead letters", () -> deadLetters(group) == 2);
            consumer.shutdown();
            left = System.nanoTime();
        }

        @Override
        void after() throws Exception {
            assertEquals(2, deadLetters(group));
        }
    }

    /** A group that is deleted with its offsets is gone; its retry and dead-letter topics are an operator's to delete. */
    private static final class DeletedGroup extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final RefusingGroup refusing;
        private final String group;

        DeletedGroup(FeaturesOverRestart test, RefusingGroup refusing) {
            super("a deleted group");
            this.test = test;
            this.refusing = refusing;
            this.group = refusing.group;
        }

        private boolean hasTopic(String name) throws Exception {
            return admin().getAllTopicConfig(brokerAddress(), 10_000).getTopicConfigTable().containsKey(name);
        }

        private boolean hasGroup() throws Exception {
            return admin().getAllSubscriptionGroup(brokerAddress(), 10_000).getSubscriptionGroupTable().containsKey(group);
        }

        @Override
        void before() throws Exception {
            refusing.awaitItsPulls();
            assertTrue(hasTopic("%RETRY%" + group));
            assertTrue(hasGroup());
            admin().deleteSubscriptionGroup(brokerAddress(), group, true);
            assertFalse(hasGroup());
            assertTrue(hasTopic("%RETRY%" + group));
            admin().deleteTopicInBroker(java.util.Set.of(brokerAddress()), "%RETRY%" + group);
        }

        @Override
        void after() throws Exception {
            assertFalse(hasGroup());
            assertFalse(hasTopic("%RETRY%" + group));
            assertTrue(hasTopic("%DLQ%" + group));
            // Under the same name a new one begins, and at the first message.
            Received received = new Received();
            consume(test, group, refusing.topic, received);
            eventually("both messages", () -> received.count() >= 2);
            assertTrue(hasGroup());
        }
    }

    /** Clients that trace: the dispatcher's records of sends and of consumption. */
    private static final class Traced extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private DefaultMQProducer producer;
        private Received received;
        private String topic;
        private SendResult first;

        Traced(FeaturesOverRestart test) {
            super("message traces");
            this.test = test;
        }

        /** The trace topic has a record of that kind about the message. */
        private boolean isTraced(String id, String kind) throws Exception {
            List<MessageExt> found;
            try {
                found = admin().queryMessage(TopicValidator.RMQ_SYS_TRACE_TOPIC, id, 64, 0, Long.MAX_VALUE).getMessageList();
            } catch (MQClientException e) {
                return false;
            }
            for (MessageExt record : found) {
                for (TraceContext context : TraceDataEncoder.decoderFromTraceDataString(text(record.getBody()))) {
                    if (context.getTraceType().name().equals(kind) && context.getTraceBeans().get(0).getMsgId().equals(id)) {
                        return true;
                    }
                }
            }
            return false;
        }

        private void sendAndFollow(String body) throws Exception {
            SendResult sent = producer.send(message(topic, body));
            first = first == null ? sent : first;
            eventually("trace of the send", () -> isTraced(sent.getMsgId(), "Pub"));
            eventually("trace before its consumption", () -> isTraced(sent.getMsgId(), "SubBefore"));
            eventually("trace after its consumption", () -> isTraced(sent.getMsgId(), "SubAfter"));
        }

        @Override
        void before() throws Exception {
            topic = newTopic(1);
            producer = new DefaultMQProducer(unique("traced"), null, true, null);
            Target.connect(producer);
            producer.setSendMsgTimeout(15_000);
            producer.start();
            test.closeLater(producer::shutdown);
            received = new Received();
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(unique("traced_group"));
            Target.connect(consumer);
            consumer.setEnableTrace(true);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            test.closeLater(consumer::shutdown);
            sendAndFollow("before");
        }

        @Override
        void after() throws Exception {
            sendAndFollow("after");
            assertTrue(isTraced(first.getMsgId(), "SubAfter"));
        }
    }

    /** Who has consumed a message, what its consumers are doing, and one more consumption of it on request. */
    private static final class Tracked extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final String group = unique("tracked");
        private final Received received = new Received();
        private DefaultMQPushConsumer consumer;
        private String topic;
        private SendResult sent;

        Tracked(FeaturesOverRestart test) {
            super("message track, running info, consumption on request");
            this.test = test;
        }

        private void check(int times) throws Exception {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            MessageExt message = admin().viewMessage(topic, sent.getOffsetMsgId());
            eventually("the message tracked as consumed", () -> {
                for (MessageTrack track : admin().messageTrackDetail(message)) {
                    if (track.getConsumerGroup().equals(group) && track.getTrackType() == TrackType.CONSUMED) {
                        return true;
                    }
                }
                return false;
            });
            String id = consumer.buildMQClientId();
            assertNotNull(admin().getConsumerRunningInfo(group, id, false).getSubscriptionSet());
            assertEquals(CMResult.CR_SUCCESS, admin().consumeMessageDirectly(group, id, topic, sent.getOffsetMsgId()).getConsumeResult());
            eventually("consumed once more", () -> received.count() >= times);
            Map<String, Map<MessageQueue, Long>> status = admin().getConsumeStatus(topic, group, id);
            assertEquals(1L, status.get(id).get(queue(topic, 0)));
        }

        @Override
        void before() throws Exception {
            topic = newTopic(1);
            consumer = consume(test, group, topic, received);
            sent = producer().send(message(topic, "track me"));
            received.expectExactly(List.of("track me"));
            check(2);
        }

        @Override
        void after() throws Exception {
            eventually("the consumer is back", () -> members(group) == 1);
            check(3);
            assertEquals(1, readAll(topic, 1).size());
        }
    }
}
