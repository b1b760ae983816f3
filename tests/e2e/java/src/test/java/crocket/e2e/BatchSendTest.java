package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

class BatchSendTest extends ClientTest {
    private static List<Message> batch(String topic, String prefix, int count) {
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, "tag" + i % 2, prefix + "key" + i, bytes(prefix + i));
            message.setFlag(i);
            message.putUserProperty("position", Integer.toString(i));
            batch.add(message);
        }
        return batch;
    }

    @Test
    void becomesSingleMessagesWithConsecutiveOffsets() throws Exception {
        String topic = newTopic(2);
        SendResult first = producer().send(batch(topic, "a", 100), queue(topic, 1));
        SendResult second = producer().send(batch(topic, "b", 50), queue(topic, 1));
        SendResult single = producer().send(message(topic, "c0"), queue(topic, 1));
        assertEquals(SendStatus.SEND_OK, first.getSendStatus());
        assertEquals(0, first.getQueueOffset());
        assertEquals(100, second.getQueueOffset());
        assertEquals(150, single.getQueueOffset());
        assertEquals(100, first.getMsgId().split(",").length);
        String[] offsetIds = first.getOffsetMsgId().split(",");
        assertEquals(100, offsetIds.length);

        List<MessageExt> stored = readAll(topic, 151);
        for (int i = 0; i < 151; i++) {
            MessageExt message = stored.get(i);
            String prefix = i < 100 ? "a" : i < 150 ? "b" : "c";
            int position = i < 100 ? i : i < 150 ? i - 100 : 0;
            assertEquals(prefix + position, text(message.getBody()));
            assertEquals(1, message.getQueueId());
            if (i < 150) {
                assertEquals("tag" + position % 2, message.getTags());
                assertEquals(prefix + "key" + position, message.getKeys());
                assertEquals(position, message.getFlag());
                assertEquals(Integer.toString(position), message.getUserProperty("position"));
            }
            if (i < 100) {
                MessageExt found = admin().viewMessage(topic, offsetIds[i]);
                assertEquals("a" + i, text(found.getBody()), "the message behind offset id " + i + " of the batch");
                assertEquals(message.getCommitLogOffset(), found.getCommitLogOffset());
            }
        }
    }

    @Test
    void batchWithoutQueueGoesToOneQueue() throws Exception {
        String topic = newTopic(4);
        SendResult result = producer().send(batch(topic, "m", 32));
        assertEquals(0, result.getQueueOffset());
        readAll(topic, 32).forEach(message -> assertEquals(result.getMessageQueue().getQueueId(), message.getQueueId()));
    }

    @Test
    void largeBatchIsKeptWhole() throws Exception {
        String topic = newTopic(1);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            byte[] body = new byte[50_000];
            Arrays.fill(body, (byte) i);
            batch.add(new Message(topic, body));
        }
        assertEquals(SendStatus.SEND_OK, producer().send(batch).getSendStatus());
        List<MessageExt> stored = readAll(topic, 60);
        for (int i = 0; i < 60; i++) {
            assertEquals(50_000, stored.get(i).getBody().length);
            assertEquals((byte) i, stored.get(i).getBody()[0]);
            assertEquals((byte) i, stored.get(i).getBody()[49_999]);
        }
    }

    @Test
    void refusesBatchThatIsTooLarge() throws Exception {
        String topic = newTopic(1);
        DefaultMQProducer producer = newProducer();
        producer.setMaxMessageSize(32 << 20);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            batch.add(new Message(topic, new byte[100_000]));
        }
        // Java answers with SYSTEM_ERROR here and with MESSAGE_ILLEGAL for a single message; only the refusal matters.
        assertThrows(MQBrokerException.class, () -> producer.send(batch, queue(topic, 0)));
        readAll(topic, 0);
    }

    @Test
    void clientGathersBatchesByItself() throws Exception {
        String topic = newTopic(2);
        DefaultMQProducer producer = new DefaultMQProducer(unique("gatherer"));
        Target.connect(producer);
        producer.setAutoBatch(true);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        closeLater(producer::shutdown);
        List<String> bodies = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        Set<String> failures = ConcurrentHashMap.newKeySet();
        for (int t = 0; t < 8; t++) {
            int thread = t;
            for (int i = 0; i < 20; i++) {
                bodies.add(thread + "-" + i);
            }
            threads.add(new Thread(() -> {
                for (int i = 0; i < 20; i++) {
                    try {
                        SendResult result = producer.send(message(topic, thread + "-" + i));
                        if (result.getSendStatus() != SendStatus.SEND_OK) {
                            failures.add(result.toString());
                        }
                    } catch (Exception e) {
                        failures.add(e.toString());
                    }
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join(PATIENCE_MS);
        }
        assertTrue(failures.isEmpty(), failures.toString());
        assertEquals(sorted(bodies), sortedBodies(readAll(topic, bodies.size())));
    }
}
