package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;

/** Topics with queue.type=BatchCQ: a batch is one record and one entry of the index; the client takes it apart. */
class BatchTopicTest extends ClientTest {
    private static String newBatchTopic(int queues) throws Exception {
        String topic = unique("batch_topic");
        TopicConfig config = new TopicConfig(topic, queues, queues);
        config.getAttributes().put("+queue.type", "BatchCQ");
        admin().createAndUpdateTopicConfig(brokerAddress(), config);
        eventually("a route for " + topic, () -> {
            try {
                return admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getReadQueueNums() == queues;
            } catch (MQClientException e) {
                return false;
            }
        });
        return topic;
    }

    private static List<Message> batch(String topic, int from, int count) {
        List<Message> batch = new ArrayList<>();
        for (int i = from; i < from + count; i++) {
            Message message = new Message(topic, "tag" + i % 2, "key" + i, bytes("message " + i));
            message.setFlag(i);
            message.putUserProperty("position", Integer.toString(i));
            batch.add(message);
        }
        return batch;
    }

    /** Batches of 1, 2, 3, .. messages; the sum is the number of messages. */
    private static int sendGrowing(String topic, int batches) throws Exception {
        int sent = 0;
        for (int size = 1; size <= batches; size++) {
            SendResult result = producer().send(batch(topic, sent, size), queue(topic, 0));
            assertEquals(sent, result.getQueueOffset());
            sent += size;
        }
        return sent;
    }

    private DefaultMQPullConsumer newReader() throws Exception {
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer(unique("batch_reader"));
        Target.connect(reader);
        reader.start();
        closeLater(reader::shutdown);
        return reader;
    }

    private static void eventuallyEnds(DefaultMQPullConsumer reader, MessageQueue queue, long end) throws Exception {
        eventually(queue + " ends at " + end, () -> reader.maxOffset(queue) == end);
    }

    @Test
    void messagesOfBatchesHaveOffsetsOfTheirOwn() throws Exception {
        String topic = newBatchTopic(1);
        int sent = sendGrowing(topic, 12);
        List<MessageExt> stored = readAll(topic, sent);
        for (int i = 0; i < sent; i++) {
            MessageExt message = stored.get(i);
            assertEquals("message " + i, text(message.getBody()));
            assertEquals("tag" + i % 2, message.getTags());
            assertEquals("key" + i, message.getKeys());
            assertEquals(i, message.getFlag());
            assertEquals(Integer.toString(i), message.getUserProperty("position"));
        }
    }

    @Test
    void batchIsOneRecord() throws Exception {
        String topic = newBatchTopic(1);
        SendResult result = producer().send(batch(topic, 0, 5), queue(topic, 0));
        assertTrue(!result.getOffsetMsgId().contains(","), "one record: " + result.getOffsetMsgId());
        MessageExt record = admin().viewMessage(topic, result.getOffsetMsgId());
        assertEquals("5", record.getProperty("INNER_NUM"));
        assertEquals("0", record.getProperty("INNER_BASE"));
        assertEquals(0xC0, record.getSysFlag() & 0xC0);
        assertEquals(0, record.getQueueOffset());
        record = admin().viewMessage(topic, producer().send(batch(topic, 5, 3), queue(topic, 0)).getOffsetMsgId());
        assertEquals("3", record.getProperty("INNER_NUM"));
        assertEquals("5", record.getProperty("INNER_BASE"));
        assertEquals(5, record.getQueueOffset());
    }

    @Test
    void pullFromTheMiddleGivesTheWholeBatch() throws Exception {
        String topic = newBatchTopic(1);
        MessageQueue queue = queue(topic, 0);
        DefaultMQPullConsumer reader = newReader();
        int sent = sendGrowing(topic, 6);
        eventuallyEnds(reader, queue, sent);
        assertEquals(0, reader.minOffset(queue));
        // Batches begin at 0, 1, 3, 6, 10, 15.
        PullResult result = reader.pull(queue, "*", 8, 1, 15_000);
        assertEquals(PullStatus.FOUND, result.getPullStatus());
        assertEquals(10, result.getNextBeginOffset());
        assertEquals(4, result.getMsgFoundList().size());
        assertEquals(6, result.getMsgFoundList().get(0).getQueueOffset());
        assertEquals("message 6", text(result.getMsgFoundList().get(0).getBody()));
        // A limit of messages holds for whole batches: 1 + 2 + 3, the next would make ten.
        result = reader.pull(queue, "*", 0, 9, 15_000);
        assertEquals(6, result.getMsgFoundList().size());
        assertEquals(6, result.getNextBeginOffset());
        assertEquals(PullStatus.NO_NEW_MSG, reader.pull(queue, "*", sent, 32, 15_000).getPullStatus());
        assertEquals(PullStatus.OFFSET_ILLEGAL, reader.pull(queue, "*", sent + 5, 32, 15_000).getPullStatus());
    }

    @Test
    void singleMessagesStandBetweenBatches() throws Exception {
        String topic = newBatchTopic(1);
        for (int i = 0; i < 10; i += 5) {
            producer().send(batch(topic, i, 1).get(0), queue(topic, 0));
            assertEquals(i + 1, producer().send(batch(topic, i + 1, 3), queue(topic, 0)).getQueueOffset());
            assertEquals(i + 4, producer().send(batch(topic, i + 4, 1).get(0), queue(topic, 0)).getQueueOffset());
        }
        List<MessageExt> stored = readAll(topic, 10);
        for (int i = 0; i < 10; i++) {
            assertEquals("message " + i, text(stored.get(i).getBody()));
        }
    }

    @Test
    void searchByTimeFindsBatches() throws Exception {
        String topic = newBatchTopic(1);
        MessageQueue queue = queue(topic, 0);
        DefaultMQPullConsumer reader = newReader();
        long[] times = new long[4];
        for (int i = 0; i < 4; i++) {
            SendResult result = producer().send(batch(topic, i * 10, 10), queue);
            times[i] = admin().viewMessage(topic, result.getOffsetMsgId()).getStoreTimestamp();
            Thread.sleep(20);
        }
        eventuallyEnds(reader, queue, 40);
        for (int i = 0; i < 4; i++) {
            assertEquals(i * 10, reader.searchOffset(queue, times[i]));
            assertEquals(Math.min(i + 1, 3) * 10, reader.searchOffset(queue, times[i] + 1));
        }
        assertEquals(0, reader.searchOffset(queue, 0));
        assertEquals(30, reader.searchOffset(queue, times[3] + 100_000));
    }

    @Test
    void pushConsumerGetsEveryMessageOnce() throws Exception {
        String topic = newBatchTopic(3);
        Map<String, Integer> received = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("batch_group"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> received.merge(text(message.getBody()), 1, Integer::sum));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        for (int i = 0; i < 300; i += 10) {
            producer().send(batch(topic, i, 10), queue(topic, i / 10 % 3));
        }
        consumer.start();
        for (int i = 300; i < 400; i += 10) {
            producer().send(batch(topic, i, 10), queue(topic, i / 10 % 3));
        }
        eventually("400 messages, " + received.size() + " so far", () -> received.size() == 400);
        assertTrue(received.values().stream().allMatch(times -> times == 1), "some came twice");
        eventually("the group's offsets", () -> {
            long consumed = 0;
            for (int i = 0; i < 3; i++) {
                consumed += admin().examineConsumeStats(consumer.getConsumerGroup(), topic).getOffsetTable().get(queue(topic, i))
                    .getConsumerOffset();
            }
            return consumed == 400;
        });
    }

    @Test
    void typeOfQueuesCannotBeChanged() throws Exception {
        String topic = newBatchTopic(1);
        TopicConfig config = new TopicConfig(topic, 1, 1);
        config.getAttributes().put("+queue.type", "SimpleCQ");
        assertThrows(MQClientException.class, () -> admin().createAndUpdateTopicConfig(brokerAddress(), config));
        assertEquals("BatchCQ", admin().examineTopicConfig(brokerAddress(), topic).getAttributes().get("queue.type"));
    }

    @Test
    void batchMarkedMessageNeedsBatchTopic() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "no batch");
        message.putUserProperty("INNER_NUM", "2");
        MQBrokerException refused =
            assertThrows(MQBrokerException.class, () -> producer().send(message, queue(topic, 0)));
        assertEquals(13, refused.getResponseCode());
        assertNotNull(refused.getErrorMessage());
    }
}
