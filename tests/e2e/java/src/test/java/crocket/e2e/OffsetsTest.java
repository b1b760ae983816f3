package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.RollbackStats;
import org.junit.jupiter.api.Test;

class OffsetsTest extends ClientTest {
    @Test
    void minimumAndMaximum() throws Exception {
        String topic = newTopic(2);
        MessageQueue queue = queue(topic, 0);
        assertEquals(0, admin().minOffset(queue));
        assertEquals(0, admin().maxOffset(queue));
        sendNumbered(topic, 1, "m", 7);
        readAll(topic, 7);
        assertEquals(0, admin().minOffset(queue));
        assertEquals(7, admin().maxOffset(queue));
        assertEquals(0, admin().maxOffset(queue(topic, 1)));
        MessageExt first = readAll(topic, 7).get(0);
        assertEquals(first.getStoreTimestamp(), admin().earliestMsgStoreTime(queue));
    }

    @Test
    void searchByTimeFindsTheBoundary() throws Exception {
        String topic = newTopic(1);
        MessageQueue queue = queue(topic, 0);
        for (int i = 0; i < 8; i++) {
            // Several at a time, so that some share a millisecond.
            sendNumbered(topic, 1, "burst-" + i, 4);
            Thread.sleep(5);
        }
        List<MessageExt> stored = readAll(topic, 32);
        List<Long> times = new ArrayList<>();
        stored.forEach(message -> times.add(message.getStoreTimestamp()));
        for (long time : times) {
            assertEquals(firstNotBefore(times, time), admin().searchOffset(queue, time), "at " + time + " in " + times);
            assertEquals(firstNotBefore(times, time), admin().searchLowerBoundaryOffset(queue, time), "lower at " + time + " in " + times);
            assertEquals(lastNotAfter(times, time), admin().searchUpperBoundaryOffset(queue, time), "upper at " + time + " in " + times);
        }
        for (int i = 0; i + 1 < times.size(); i++) {
            if (times.get(i + 1) - times.get(i) >= 2) {
                long between = times.get(i) + 1;
                assertEquals(i + 1, admin().searchLowerBoundaryOffset(queue, between), "lower between two messages");
                assertEquals(i, admin().searchUpperBoundaryOffset(queue, between), "upper between two messages");
            }
        }
        long first = times.get(0);
        long last = times.get(31);
        assertEquals(0, admin().searchLowerBoundaryOffset(queue, first - 10_000));
        assertEquals(0, admin().searchUpperBoundaryOffset(queue, first - 10_000));
        assertEquals(32, admin().searchLowerBoundaryOffset(queue, last + 10_000));
        assertEquals(31, admin().searchUpperBoundaryOffset(queue, last + 10_000));
        assertEquals(0, admin().searchOffset(queue(newTopic(1), 0), System.currentTimeMillis()), "an empty queue");
    }

    private static int firstNotBefore(List<Long> times, long time) {
        for (int i = 0; i < times.size(); i++) {
            if (times.get(i) >= time) {
                return i;
            }
        }
        return times.size();
    }

    private static int lastNotAfter(List<Long> times, long time) {
        int found = 0;
        for (int i = 0; i < times.size(); i++) {
            if (times.get(i) <= time) {
                found = i;
            }
        }
        return found;
    }

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

    private static long committed(String group, String topic) throws Exception {
        ConsumeStats stats = admin().examineConsumeStats(group, topic);
        return stats.getOffsetTable().get(queue(topic, 0)).getConsumerOffset();
    }

    @Test
    void resetWhileTheGroupIsOnline() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        List<String> early = sendNumbered(topic, 1, "early", 10);
        Thread.sleep(20);
        long middle = System.currentTimeMillis();
        Thread.sleep(20);
        List<String> late = sendNumbered(topic, 1, "late", 10);
        List<String> all = new ArrayList<>(early);
        all.addAll(late);
        Received received = new Received();
        DefaultMQPushConsumer consumer = consume(group, topic, received);
        received.expectExactly(all);
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        eventually("the offset at the broker", () -> committed(group, topic) == 20);

        Map<MessageQueue, Long> table = admin().resetOffsetByTimestamp(topic, group, middle, true);
        assertEquals(Map.of(queue(topic, 0), 10L), table);
        all.addAll(late);
        received.expectExactly(all);
    }

    @Test
    void resetWhileTheGroupIsAway() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        List<String> early = sendNumbered(topic, 1, "early", 10);
        Thread.sleep(20);
        long middle = System.currentTimeMillis();
        Thread.sleep(20);
        List<String> late = sendNumbered(topic, 1, "late", 10);
        List<String> all = new ArrayList<>(early);
        all.addAll(late);
        Received received = new Received();
        DefaultMQPushConsumer consumer = consume(group, topic, received);
        received.expectExactly(all);
        consumer.shutdown();
        eventually("the offset at the broker", () -> committed(group, topic) == 20);

        List<RollbackStats> stats = admin().resetOffsetByTimestampOld(group, topic, middle, true);
        assertEquals(1, stats.size());
        assertEquals(20, stats.get(0).getConsumerOffset());
        assertEquals(10, stats.get(0).getTimestampOffset());
        assertEquals(10, stats.get(0).getRollbackOffset());
        assertEquals(20, stats.get(0).getBrokerOffset());
        assertEquals(10, committed(group, topic));

        Received again = new Received();
        consume(group, topic, again);
        again.expectExactly(late);
    }

    @Test
    void offsetCanBeSetDirectly() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        List<String> bodies = sendNumbered(topic, 1, "m", 10);
        Received received = new Received();
        DefaultMQPushConsumer consumer = consume(group, topic, received);
        received.expectExactly(bodies);
        consumer.shutdown();
        eventually("the offset at the broker", () -> committed(group, topic) == 10);
        admin().updateConsumeOffset(brokerAddress(), group, queue(topic, 0), 4);
        assertEquals(4, committed(group, topic));
        assertTrue(committed(group, topic) < 10);
        Received again = new Received();
        consume(group, topic, again);
        again.expectExactly(bodies.subList(4, 10));
    }
}
