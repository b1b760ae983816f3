package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.junit.jupiter.api.Test;

class PushConcurrentTest extends ClientTest {
    private DefaultMQPushConsumer start(String group, String topic, Received received) throws Exception {
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static long committed(String group, String topic) throws Exception {
        long sum = 0;
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : admin().examineConsumeStats(group, topic).getOffsetTable().entrySet()) {
            if (entry.getKey().getTopic().equals(topic)) {
                sum += Math.max(0, entry.getValue().getConsumerOffset());
            }
        }
        return sum;
    }

    @Test
    void readsWhatIsThereThenWhatArrivesAndCarriesOnAfterRestart() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        List<String> bodies = sendNumbered(topic, 4, "early", 200);
        Received received = new Received();
        DefaultMQPushConsumer consumer = start(group, topic, received);
        received.expectExactly(bodies);
        for (MessageExt message : received.snapshot()) {
            assertEquals(topic, message.getTopic());
            assertEquals(Target.BROKER, message.getBrokerName());
        }

        bodies.addAll(sendNumbered(topic, 4, "late", 100));
        received.expectExactly(bodies);

        consumer.shutdown();
        eventually("offsets of 300 messages stored at the broker", () -> committed(group, topic) == 300);
        ConsumeStats stats = admin().examineConsumeStats(group, topic);
        assertEquals(0, stats.computeTotalDiff());

        List<String> whileAway = sendNumbered(topic, 4, "away", 40);
        Received second = new Received();
        start(group, topic, second);
        second.expectExactly(whileAway);
    }

    @Test
    void waitingPullIsAnsweredOnArrival() throws Exception {
        String topic = newTopic(1);
        Received received = new Received();
        start(unique("group"), topic, received);
        sendNumbered(topic, 1, "warm-up", 1);
        eventually("the first message", () -> received.count() == 1);
        List<Long> waits = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            Thread.sleep(200); // long enough for the next pull to be parked at the broker
            int before = received.count();
            long sent = System.nanoTime();
            sendNumbered(topic, 1, "wake-up-" + i, 1);
            eventually("message " + i, () -> received.count() == before + 1);
            waits.add((System.nanoTime() - sent) / 1_000_000);
        }
        waits.sort(null);
        // A held pull that is only looked at every five seconds would show here.
        assertTrue(waits.get(waits.size() / 2) < 1_000, "milliseconds from send to consumption: " + waits);
    }

    @Test
    void membersOfGroupShareQueuesAndTakeOver() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        Received first = new Received();
        Received second = new Received();
        DefaultMQPushConsumer one = start(group, topic, first);
        DefaultMQPushConsumer two = start(group, topic, second);
        eventually("two members in the group", () -> members(group) == 2);
        eventually("two queues each", () -> one.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(topic)).count() == 2
            && two.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(topic)).count() == 2);

        List<String> bodies = sendNumbered(topic, 4, "shared", 200);
        eventually("200 messages at both", () -> first.count() + second.count() >= 200);
        Thread.sleep(300);
        List<MessageExt> all = first.snapshot();
        all.addAll(second.snapshot());
        assertEquals(sorted(bodies), sortedBodies(all));
        Set<Integer> queuesOfFirst = new HashSet<>();
        Set<Integer> queuesOfSecond = new HashSet<>();
        first.snapshot().forEach(message -> queuesOfFirst.add(message.getQueueId()));
        second.snapshot().forEach(message -> queuesOfSecond.add(message.getQueueId()));
        assertEquals(2, queuesOfFirst.size(), "queues of the first member: " + queuesOfFirst);
        assertEquals(2, queuesOfSecond.size(), "queues of the second member: " + queuesOfSecond);

        two.shutdown();
        int before = first.count();
        List<String> after = sendNumbered(topic, 4, "alone", 80);
        eventually("all 80 at the member that stayed", () -> first.count() - before >= 80);
        List<MessageExt> tail = first.snapshot();
        assertEquals(sorted(after), sortedBodies(tail.subList(before, tail.size())));
    }

    @Test
    void listenerCanTakeSeveralAtOnce() throws Exception {
        String topic = newTopic(1);
        List<String> bodies = sendNumbered(topic, 1, "m", 100);
        Received received = new Received();
        AtomicInteger largest = new AtomicInteger();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.setConsumeMessageBatchMaxSize(10);
        consumer.setPullBatchSize(64);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            largest.accumulateAndGet(messages.size(), Math::max);
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        received.expectExactly(bodies);
        assertEquals(10, largest.get());
    }

    @Test
    void heartbeatWithFingerprintKeepsTheMember() throws Exception {
        String topic = newTopic(2);
        String group = unique("group");
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.setUseHeartbeatV2(true);
        consumer.setHeartbeatBrokerInterval(500);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        List<String> bodies = sendNumbered(topic, 2, "m", 20);
        received.expectExactly(bodies);
        Thread.sleep(2_000); // several heartbeats without subscriptions
        bodies.addAll(sendNumbered(topic, 2, "n", 20));
        received.expectExactly(bodies);
        assertEquals(topic, admin().examineConsumerConnectionInfo(group).getSubscriptionTable().get(topic).getTopic());
    }

    @Test
    void severalTopicsInOneConsumer() throws Exception {
        String one = newTopic(2);
        String two = newTopic(1);
        List<String> bodies = sendNumbered(one, 2, "one", 30);
        bodies.addAll(sendNumbered(two, 1, "two", 30));
        Map<String, Integer> counts = new ConcurrentHashMap<>();
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.subscribe(one, "*");
        consumer.subscribe(two, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> counts.merge(message.getTopic(), 1, Integer::sum));
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        received.expectExactly(bodies);
        assertEquals(Map.of(one, 30, two, 30), counts);
    }
}
