package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.junit.jupiter.api.AfterEach;

/**
 * What every test class needs: names nobody else uses (so that the suite can be repeated on one broker), topics that exist, clients that
 * are shut down afterwards, and a way to read back what a topic holds that is independent of the consumer under test.
 */
abstract class ClientTest {
    /** Generous, because the machine may be busy with other work; nothing waits this long unless it fails. */
    static final long PATIENCE_MS = 60_000;

    private static final AtomicInteger SEQUENCE = new AtomicInteger();
    private static final String RUN = Long.toString(System.currentTimeMillis(), 36);
    /** Stopping a client takes the Java client up to three seconds, so nobody waits for it. */
    private static final ExecutorService CLOSER = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task, "closer");
        thread.setDaemon(true);
        return thread;
    });

    private static DefaultMQAdminExt sharedAdmin;
    private static DefaultMQProducer sharedProducer;
    private static DefaultMQPullConsumer sharedReader;

    private final Deque<Runnable> toClose = new ArrayDeque<>();

    @AfterEach
    void closeClients() {
        while (!toClose.isEmpty()) {
            CLOSER.execute(toClose.pop());
        }
    }

    /** Runs the given shutdown when the test has ended. */
    void closeLater(Runnable shutdown) {
        toClose.push(shutdown);
    }

    static String unique(String what) {
        return what + "_" + RUN + "_" + SEQUENCE.incrementAndGet();
    }

    /** An admin client for all tests of the run. */
    static synchronized DefaultMQAdminExt admin() throws MQClientException {
        if (sharedAdmin == null) {
            DefaultMQAdminExt admin = new DefaultMQAdminExt(10_000);
            admin.setInstanceName(unique("admin"));
            Target.start(admin);
            sharedAdmin = admin;
        }
        return sharedAdmin;
    }

    /** A producer for tests whose subject is something else. */
    static synchronized DefaultMQProducer producer() throws MQClientException {
        if (sharedProducer == null) {
            sharedProducer = startProducer(unique("shared_producer"));
        }
        return sharedProducer;
    }

    private static synchronized DefaultMQPullConsumer reader() throws MQClientException {
        if (sharedReader == null) {
            DefaultMQPullConsumer reader = new DefaultMQPullConsumer(unique("reader"));
            reader.setInstanceName(unique("reader"));
            Target.start(reader);
            sharedReader = reader;
        }
        return sharedReader;
    }

    private static DefaultMQProducer startProducer(String group) throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(group);
        Target.connect(producer);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        return producer;
    }

    /** A started producer with a group of its own, shut down after the test. */
    DefaultMQProducer newProducer() throws MQClientException {
        DefaultMQProducer producer = startProducer(unique("producer"));
        closeLater(producer::shutdown);
        return producer;
    }

    /** A push consumer that reads from the first offset; the test subscribes and starts it. Shut down after the test. */
    DefaultMQPushConsumer newPushConsumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        closeLater(consumer::shutdown);
        return consumer;
    }

    static String brokerAddress() throws Exception {
        BrokerData broker = admin().examineBrokerClusterInfo().getBrokerAddrTable().get(Target.BROKER);
        if (broker == null) {
            fail("the cluster has no broker named " + Target.BROKER);
        }
        return broker.getBrokerAddrs().get(0L);
    }

    /** A new topic with that many queues, known to the name server when this returns. */
    static String newTopic(int queues) throws Exception {
        String topic = unique("topic");
        createTopic(topic, queues);
        return topic;
    }

    static void createTopic(String topic, int queues) throws Exception {
        TopicConfig config = new TopicConfig(topic, queues, queues);
        admin().createAndUpdateTopicConfig(brokerAddress(), config);
        eventually("a route for " + topic, () -> {
            try {
                return admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getReadQueueNums() == queues;
            } catch (MQClientException e) {
                return false;
            }
        });
    }

    /** A new subscription group. */
    static String newGroup() throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(unique("group"));
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        return config.getGroupName();
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] body) {
        return new String(body, StandardCharsets.UTF_8);
    }

    static Message message(String topic, String body) {
        return new Message(topic, bytes(body));
    }

    static MessageQueue queue(String topic, int queueId) {
        return new MessageQueue(topic, Target.BROKER, queueId);
    }

    /** Sends "PREFIX-0" .. "PREFIX-(count - 1)", message i to queue i modulo queues, and returns the bodies. */
    static List<String> sendNumbered(String topic, int queues, String prefix, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String body = prefix + "-" + i;
            producer().send(message(topic, body), queue(topic, i % queues));
            bodies.add(body);
        }
        return bodies;
    }

    /** Waits until the condition holds; fails with the description when it never does. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        eventually(what, condition, PATIENCE_MS);
    }

    static void eventually(String what, Callable<Boolean> condition, long patienceMs) throws Exception {
        long deadline = System.currentTimeMillis() + patienceMs;
        while (!condition.call()) {
            if (System.currentTimeMillis() > deadline) {
                fail("did not happen within " + patienceMs + " ms: " + what);
            }
            Thread.sleep(20);
        }
    }

    /** How many members the group has by now. */
    static int members(String group) throws Exception {
        try {
            return admin().examineConsumerConnectionInfo(group).getConnectionSet().size();
        } catch (MQBrokerException e) {
            assertEquals(ResponseCode.CONSUMER_NOT_ONLINE, e.getResponseCode());
        } catch (MQClientException e) {
            assertEquals(ResponseCode.TOPIC_NOT_EXIST, e.getResponseCode()); // its retry topic comes with the first of them
        }
        return 0;
    }

    /** How many dead letters the group has by now. */
    static long deadLetters(String group) {
        try {
            return admin().maxOffset(queue("%DLQ%" + group, 0));
        } catch (Exception e) {
            return 0; // the topic comes with the first of them
        }
    }

    /**
     * Reads the whole topic with plain pulls: waits until it holds the expected number of messages, then checks that there are exactly so
     * many and that every queue's offsets run from 0 without gap or repeat. Sorted by queue and offset.
     */
    static List<MessageExt> readAll(String topic, int expected) throws Exception {
        List<MessageQueue> queues = new ArrayList<>(reader().fetchSubscribeMessageQueues(topic));
        queues.sort(Comparator.comparingInt(MessageQueue::getQueueId));
        eventually(expected + " messages in " + topic, () -> {
            long stored = 0;
            for (MessageQueue queue : queues) {
                stored += admin().maxOffset(queue);
            }
            return stored >= expected;
        });
        List<MessageExt> found = new ArrayList<>();
        for (MessageQueue queue : queues) {
            long end = admin().maxOffset(queue);
            long next = 0;
            while (next < end) {
                PullResult result = reader().pull(queue, "*", next, 32, 15_000);
                assertEquals(PullStatus.FOUND, result.getPullStatus(), "pulling " + queue + " at " + next + " of " + end);
                for (MessageExt message : result.getMsgFoundList()) {
                    assertEquals(next, message.getQueueOffset(), "queue offset in " + queue);
                    assertEquals(queue.getQueueId(), message.getQueueId());
                    assertEquals(topic, message.getTopic());
                    next++;
                    found.add(message);
                }
                assertEquals(next, result.getNextBeginOffset(), "next offset of " + queue);
            }
        }
        assertEquals(expected, found.size(), "messages in " + topic);
        return found;
    }

    /** The bodies of the messages as sorted text, to compare without regard to order but with regard to repeats. */
    static List<String> sortedBodies(Iterable<? extends Message> messages) {
        List<String> bodies = new ArrayList<>();
        messages.forEach(message -> bodies.add(text(message.getBody())));
        bodies.sort(null);
        return bodies;
    }

    static List<String> sorted(List<String> bodies) {
        List<String> copy = new ArrayList<>(bodies);
        copy.sort(null);
        return copy;
    }

    static Map<String, MessageExt> byBody(List<MessageExt> messages) {
        Map<String, MessageExt> map = new HashMap<>();
        for (MessageExt message : messages) {
            MessageExt other = map.put(text(message.getBody()), message);
            if (other != null) {
                fail("the same body twice: " + message + " and " + other);
            }
        }
        return map;
    }
}
