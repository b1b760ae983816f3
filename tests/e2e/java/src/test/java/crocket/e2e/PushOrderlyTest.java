package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

class PushOrderlyTest extends ClientTest {
    /** Checks that every queue's messages came in offset order and returns how many there were. */
    private static int checkOrder(List<MessageExt> messages) {
        Map<Integer, Long> next = new HashMap<>();
        for (MessageExt message : messages) {
            long expected = next.getOrDefault(message.getQueueId(), 0L);
            assertEquals(expected, message.getQueueOffset(), "order in queue " + message.getQueueId());
            next.put(message.getQueueId(), expected + 1);
        }
        return messages.size();
    }

    @Test
    void keepsTheOrderOfEveryQueue() throws Exception {
        String topic = newTopic(4);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            received.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        List<String> bodies = sendNumbered(topic, 4, "order", 400);
        received.expectExactly(bodies);
        assertEquals(400, checkOrder(received.snapshot()));
    }

    @Test
    void suspendedMessageComesBackBeforeItsSuccessors() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 10);
        List<String> calls = Collections.synchronizedList(new ArrayList<>());
        AtomicInteger refusals = new AtomicInteger();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            String body = text(messages.get(0).getBody());
            calls.add(body + "/" + messages.get(0).getReconsumeTimes());
            if (body.equals("m-4") && refusals.incrementAndGet() <= 2) {
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        eventually("12 calls", () -> calls.size() >= 12);
        Thread.sleep(300);
        assertEquals(List.of("m-0/0", "m-1/0", "m-2/0", "m-3/0", "m-4/0", "m-4/1", "m-4/2", "m-5/0", "m-6/0", "m-7/0", "m-8/0", "m-9/0"),
            new ArrayList<>(calls));
    }

    @Test
    void queueIsHeldByOneMemberAtATimeAlsoDuringTakeOver() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        Received all = new Received();
        Map<Integer, String> holders = new ConcurrentHashMap<>();
        Set<String> clashes = ConcurrentHashMap.newKeySet();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();
        for (String name : List.of("one", "two")) {
            counts.put(name, new AtomicInteger());
            DefaultMQPushConsumer consumer = newPushConsumer(group);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                int queueId = messages.get(0).getQueueId();
                String other = holders.put(queueId, name);
                if (other != null) {
                    clashes.add("queue " + queueId + " at " + name + " and " + other);
                }
                all.addAll(messages);
                counts.get(name).addAndGet(messages.size());
                try {
                    Thread.sleep(2);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                holders.remove(queueId);
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            members.add(consumer);
        }
        eventually("two members in the group", () -> members(group) == 2);
        List<String> bodies = sendNumbered(topic, 4, "first", 100);
        eventually("100 messages", () -> all.count() >= 100);
        eventually("both members consuming", () -> {
            bodies.addAll(sendNumbered(topic, 4, "more-" + bodies.size(), 8));
            Thread.sleep(100);
            return counts.get("one").get() > 0 && counts.get("two").get() > 0;
        });
        eventually("everything sent so far", () -> all.count() >= bodies.size());
        Thread.sleep(300);
        members.get(0).shutdown();
        bodies.addAll(sendNumbered(topic, 4, "after", 100));
        all.expectExactly(bodies);
        assertTrue(clashes.isEmpty(), clashes.toString());
        assertEquals(bodies.size(), checkOrder(all.snapshot()));
    }
}
