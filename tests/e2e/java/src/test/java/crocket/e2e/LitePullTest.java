package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;

class LitePullTest extends ClientTest {
    private DefaultLitePullConsumer newConsumer(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.setPullThreadNums(4);
        closeLater(consumer::shutdown);
        return consumer;
    }

    /** Polls until so many messages came, or until it is clear that they do not. */
    private static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        eventually(count + " polled messages", () -> {
            messages.addAll(consumer.poll(200));
            return messages.size() >= count;
        });
        return messages;
    }

    private static List<Long> offsets(List<MessageExt> messages) {
        List<Long> offsets = new ArrayList<>();
        messages.forEach(message -> offsets.add(message.getQueueOffset()));
        return offsets;
    }

    @Test
    void assignedQueuesAndSeek() throws Exception {
        String topic = newTopic(2);
        sendNumbered(topic, 2, "m", 60);
        DefaultLitePullConsumer consumer = newConsumer(unique("group"));
        consumer.start();
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        assertEquals(new HashSet<>(List.of(queue(topic, 0), queue(topic, 1))), new HashSet<>(queues));
        MessageQueue queue = queue(topic, 1);
        consumer.assign(List.of(queue));

        List<MessageExt> all = poll(consumer, 30);
        assertEquals(30, all.size());
        for (int i = 0; i < 30; i++) {
            assertEquals(i, all.get(i).getQueueOffset());
            assertEquals("m-" + (2 * i + 1), text(all.get(i).getBody()));
        }

        consumer.seek(queue, 20);
        assertEquals(List.of(20L, 21L, 22L, 23L, 24L, 25L, 26L, 27L, 28L, 29L), offsets(poll(consumer, 10)));
        consumer.seekToBegin(queue);
        assertEquals(0L, poll(consumer, 30).get(0).getQueueOffset());
        consumer.seekToEnd(queue);
        assertTrue(consumer.poll(500).isEmpty(), "nothing after the end");
        producer().send(message(topic, "fresh"), queue);
        List<MessageExt> fresh = poll(consumer, 1);
        assertEquals("fresh", text(fresh.get(0).getBody()));
        assertEquals(30, fresh.get(0).getQueueOffset());
        assertThrows(MQClientException.class, () -> consumer.seek(queue, 1_000));
        long stored = all.get(10).getStoreTimestamp();
        long found = consumer.offsetForTimestamp(queue, stored);
        assertTrue(found <= 10 && all.get((int) found).getStoreTimestamp() == stored, "offset " + found + " for time " + stored);
    }

    @Test
    void committedOffsetIsWhereTheNextConsumerBegins() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        sendNumbered(topic, 1, "m", 20);
        MessageQueue queue = queue(topic, 0);
        DefaultLitePullConsumer first = newConsumer(group);
        first.start();
        first.assign(List.of(queue));
        assertEquals(20, poll(first, 20).size());
        first.commit(Map.of(queue, 12L), true);
        eventually("the committed offset at the broker", () -> first.committed(queue) == 12);
        first.shutdown();

        DefaultLitePullConsumer second = newConsumer(group);
        second.start();
        second.assign(List.of(queue));
        List<MessageExt> rest = poll(second, 8);
        assertEquals(List.of(12L, 13L, 14L, 15L, 16L, 17L, 18L, 19L), offsets(rest));
    }

    @Test
    void subscribesAndCommitsByItself() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        List<String> bodies = sendNumbered(topic, 4, "m", 100);
        DefaultLitePullConsumer consumer = newConsumer(group);
        consumer.setAutoCommit(true);
        consumer.setAutoCommitIntervalMillis(1_000);
        consumer.subscribe(topic, "*");
        consumer.start();
        List<MessageExt> polled = poll(consumer, 100);
        assertEquals(sorted(bodies), sortedBodies(polled));
        eventually("offsets committed while polling", () -> {
            consumer.poll(100);
            return admin().examineConsumeStats(group, topic).getOffsetTable().values().stream()
                .mapToLong(offset -> offset.getConsumerOffset()).sum() == 100;
        });
    }

    @Test
    void filtersByTagAtTheBroker() throws Exception {
        String topic = newTopic(1);
        for (int i = 0; i < 40; i++) {
            producer().send(new org.apache.rocketmq.common.message.Message(topic, i % 4 == 0 ? "keep" : "drop", bytes("m-" + i)));
        }
        DefaultLitePullConsumer consumer = newConsumer(unique("group"));
        consumer.subscribe(topic, "keep");
        consumer.start();
        List<MessageExt> polled = poll(consumer, 10);
        polled.addAll(consumer.poll(500));
        assertEquals(10, polled.size());
        for (int i = 0; i < 10; i++) {
            assertEquals("m-" + 4 * i, text(polled.get(i).getBody()));
            assertEquals(4 * i, polled.get(i).getQueueOffset());
        }
    }

    @Test
    void pausedQueueStaysQuiet() throws Exception {
        String topic = newTopic(1);
        MessageQueue queue = queue(topic, 0);
        DefaultLitePullConsumer consumer = newConsumer(unique("group"));
        consumer.start();
        consumer.assign(List.of(queue));
        sendNumbered(topic, 1, "a", 5);
        assertEquals(5, poll(consumer, 5).size());
        consumer.pause(List.of(queue));
        Thread.sleep(300);
        consumer.poll(100);
        sendNumbered(topic, 1, "b", 5);
        consumer.resume(List.of(queue));
        // A pull that was under way when the queue was paused may be answered late; nothing may get lost.
        consumer.seek(queue, 5);
        assertEquals(List.of(5L, 6L, 7L, 8L, 9L), offsets(poll(consumer, 5)));
    }
}
