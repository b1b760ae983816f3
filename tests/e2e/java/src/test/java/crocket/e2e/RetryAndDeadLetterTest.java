package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

class RetryAndDeadLetterTest extends ClientTest {
    /** A consumer looks for the route of its retry topic every 20 s; creating the topic first spares the tests that wait. */
    private static String newGroupWithRetryTopic() throws Exception {
        String group = unique("group");
        createTopic("%RETRY%" + group, 1);
        return group;
    }

    private DefaultMQPushConsumer start(String group, String topic, MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    @Test
    void refusedMessageComesBackUntilItIsAccepted() throws Exception {
        String topic = newTopic(2);
        // No retry topic made beforehand: the ordinary way of a new group.
        String group = unique("group");
        List<MessageExt> deliveries = Collections.synchronizedList(new ArrayList<>());
        Map<String, AtomicInteger> attempts = new ConcurrentHashMap<>();
        start(group, topic, (messages, context) -> {
            context.setDelayLevelWhenNextConsume(1);
            MessageExt message = messages.get(0);
            deliveries.add(message);
            int attempt = attempts.computeIfAbsent(text(message.getBody()), body -> new AtomicInteger()).getAndIncrement();
            boolean accept = text(message.getBody()).startsWith("good") || attempt == 2;
            return accept ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        List<SendResult> sent = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Message message = new Message(topic, "tag", "key" + i, bytes("bad-" + i));
            message.putUserProperty("colour", "blue" + i);
            sent.add(producer().send(message));
            producer().send(message(topic, "good-" + i));
        }
        eventually("three deliveries of each of the three, one of the others: " + attempts,
            () -> deliveries.size() >= 12);
        Thread.sleep(1_500);
        assertEquals(12, deliveries.size(), "nothing comes again after success");
        for (int i = 0; i < 3; i++) {
            List<MessageExt> own = new ArrayList<>();
            for (MessageExt message : new ArrayList<>(deliveries)) {
                if (text(message.getBody()).equals("bad-" + i)) {
                    own.add(message);
                }
            }
            assertEquals(3, own.size());
            for (int attempt = 0; attempt < 3; attempt++) {
                MessageExt message = own.get(attempt);
                assertEquals(attempt, message.getReconsumeTimes());
                assertEquals(topic, message.getTopic(), "the retried message shows its original topic");
                assertEquals(sent.get(i).getMsgId(), message.getMsgId());
                assertEquals("tag", message.getTags());
                assertEquals("key" + i, message.getKeys());
                assertEquals("blue" + i, message.getUserProperty("colour"));
                if (attempt > 0) {
                    assertEquals(sent.get(i).getOffsetMsgId(), message.getProperty(MessageConst.PROPERTY_ORIGIN_MESSAGE_ID));
                    assertEquals(topic, message.getProperty(MessageConst.PROPERTY_RETRY_TOPIC));
                    long waited = message.getStoreTimestamp() - own.get(attempt - 1).getStoreTimestamp();
                    assertTrue(waited >= 900, "came back " + waited + " ms after the earlier delivery was stored");
                }
            }
        }
    }

    @Test
    void afterTheLastAttemptTheMessageIsADeadLetter() throws Exception {
        String topic = newTopic(1);
        String group = newGroupWithRetryTopic();
        AtomicInteger calls = new AtomicInteger();
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            context.setDelayLevelWhenNextConsume(1);
            calls.addAndGet(messages.size());
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        SendResult sent = producer().send(new Message(topic, "tag", "key", bytes("never accepted")));
        eventually("a route for the dead letters", () -> routeExists("%DLQ%" + group));
        MessageExt letter = readAll("%DLQ%" + group, 1).get(0);
        assertEquals(3, calls.get(), "one delivery and two retries");
        assertEquals("never accepted", text(letter.getBody()));
        assertEquals("tag", letter.getTags());
        assertEquals("key", letter.getKeys());
        assertEquals(sent.getMsgId(), letter.getMsgId());
        assertEquals(topic, letter.getProperty(MessageConst.PROPERTY_RETRY_TOPIC));
        assertEquals(sent.getOffsetMsgId(), letter.getProperty(MessageConst.PROPERTY_ORIGIN_MESSAGE_ID));
        assertEquals(3, letter.getReconsumeTimes());
    }

    @Test
    void negativeDelayLevelMeansDeadLetterAtOnce() throws Exception {
        String topic = newTopic(1);
        String group = newGroupWithRetryTopic();
        AtomicInteger calls = new AtomicInteger();
        start(group, topic, (messages, context) -> {
            context.setDelayLevelWhenNextConsume(-1);
            calls.addAndGet(messages.size());
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        producer().send(message(topic, "hopeless"));
        eventually("a route for the dead letters", () -> routeExists("%DLQ%" + group));
        MessageExt letter = readAll("%DLQ%" + group, 1).get(0);
        assertEquals("hopeless", text(letter.getBody()));
        assertEquals(1, calls.get());
    }

    @Test
    void orderlyConsumerGivesUpIntoTheDeadLetters() throws Exception {
        String topic = newTopic(1);
        String group = newGroupWithRetryTopic();
        List<String> calls = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.setMaxReconsumeTimes(1);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            String body = text(messages.get(0).getBody());
            calls.add(body);
            return body.equals("stuck") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        producer().send(message(topic, "before"));
        producer().send(message(topic, "stuck"));
        producer().send(message(topic, "after"));
        eventually("a route for the dead letters", () -> routeExists("%DLQ%" + group));
        assertEquals("stuck", text(readAll("%DLQ%" + group, 1).get(0).getBody()));
        eventually("the queue goes on", () -> calls.contains("after"));
        assertEquals(List.of("before", "stuck", "stuck", "after"), new ArrayList<>(calls));
    }

    @Test
    void delayLevelsHoldMessagesBack() throws Exception {
        String topic = newTopic(1);
        Map<String, Long> arrivals = new ConcurrentHashMap<>();
        Map<String, MessageExt> messagesByBody = new ConcurrentHashMap<>();
        start(unique("group"), topic, (messages, context) -> {
            for (MessageExt message : messages) {
                arrivals.put(text(message.getBody()), System.currentTimeMillis());
                messagesByBody.put(text(message.getBody()), message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        producer().send(message(topic, "at once"));
        eventually("the message without delay", () -> arrivals.containsKey("at once"));
        long begin = System.currentTimeMillis();
        for (int level = 1; level <= 2; level++) {
            Message message = new Message(topic, "tag" + level, "key" + level, bytes("level " + level));
            message.setDelayTimeLevel(level);
            producer().send(message);
        }
        eventually("both delayed messages", () -> arrivals.size() == 3);
        long[] delays = {0, 1_000, 5_000};
        for (int level = 1; level <= 2; level++) {
            long waited = arrivals.get("level " + level) - begin;
            assertTrue(waited >= delays[level] - 50, "level " + level + " came after " + waited + " ms");
            assertTrue(waited < delays[level] + 8_000, "level " + level + " came after " + waited + " ms");
            MessageExt message = messagesByBody.get("level " + level);
            assertNotNull(message);
            assertEquals("tag" + level, message.getTags());
            assertEquals("key" + level, message.getKeys());
            assertEquals(topic, message.getTopic());
        }
        readAll(topic, 3);
    }

    private static boolean routeExists(String topic) {
        try {
            return !admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty();
        } catch (Exception e) {
            return false;
        }
    }
}
