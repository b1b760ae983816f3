package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.common.ClientErrorCode;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.constant.PermName;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageId;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.junit.jupiter.api.Test;

class SyncSendTest extends ClientTest {
    @Test
    void answersWithQueueOffsetsAndIdsThatLeadBackToTheMessage() throws Exception {
        String topic = newTopic(4);
        long begin = System.currentTimeMillis();
        Map<String, SendResult> results = new HashMap<>();
        for (int i = 0; i < 40; i++) {
            Message message = new Message(topic, "tag" + i % 3, "key" + i + " other" + i, 7 + i, bytes("body-" + i), true);
            message.putUserProperty("number", Integer.toString(i));
            SendResult result = producer().send(message, queue(topic, i % 4));
            assertEquals(SendStatus.SEND_OK, result.getSendStatus());
            assertEquals(queue(topic, i % 4), result.getMessageQueue());
            assertEquals(i / 4, result.getQueueOffset());
            assertEquals("DefaultRegion", result.getRegionId());
            results.put("body-" + i, result);
        }
        String[] address = brokerAddress().split(":");
        long earlier = -1;
        for (MessageExt message : readAll(topic, 40)) {
            SendResult result = results.remove(text(message.getBody()));
            assertNotNull(result, "a body that was not sent or is there twice: " + message);
            int i = Integer.parseInt(message.getUserProperty("number"));
            assertEquals("body-" + i, text(message.getBody()));
            assertEquals(result.getMessageQueue().getQueueId(), message.getQueueId());
            assertEquals(result.getQueueOffset(), message.getQueueOffset());
            assertEquals(result.getMsgId(), message.getMsgId());
            assertEquals("tag" + i % 3, message.getTags());
            assertEquals("key" + i + " other" + i, message.getKeys());
            assertEquals(7 + i, message.getFlag());
            assertEquals(0, message.getReconsumeTimes());
            assertEquals(0, message.getSysFlag());
            assertEquals(UtilAll.crc32(message.getBody()), message.getBodyCRC());
            assertEquals("127.0.0.1", ((InetSocketAddress) message.getBornHost()).getAddress().getHostAddress());
            assertTrue(message.getBornTimestamp() >= begin, "born before the test began: " + message);
            assertTrue(message.getStoreTimestamp() >= begin, "stored before the test began: " + message);
            MessageId id = MessageDecoder.decodeMessageId(result.getOffsetMsgId());
            assertEquals(message.getCommitLogOffset(), id.getOffset());
            assertEquals(address[0], ((InetSocketAddress) id.getAddress()).getAddress().getHostAddress());
            assertEquals(Integer.parseInt(address[1]), ((InetSocketAddress) id.getAddress()).getPort());
            if (message.getQueueOffset() == 0) {
                earlier = -1;
            }
            assertTrue(message.getCommitLogOffset() > earlier, "queue order differs from log order: " + message);
            earlier = message.getCommitLogOffset();
        }
        assertTrue(results.isEmpty(), "acknowledged but not in the topic: " + results.keySet());
    }

    @Test
    void spreadsOverAllQueues() throws Exception {
        String topic = newTopic(4);
        DefaultMQProducer producer = newProducer();
        Map<Integer, Integer> counts = new HashMap<>();
        for (int i = 0; i < 20; i++) {
            counts.merge(producer.send(message(topic, "m" + i)).getMessageQueue().getQueueId(), 1, Integer::sum);
        }
        assertEquals(Map.of(0, 5, 1, 5, 2, 5, 3, 5), counts);
        readAll(topic, 20);
    }

    @Test
    void selectorDecidesTheQueue() throws Exception {
        String topic = newTopic(4);
        for (int i = 0; i < 24; i++) {
            int order = i % 6;
            SendResult result = producer().send(message(topic, order + "/" + i), (queues, message, argument) -> {
                assertEquals(4, queues.size());
                return queues.get((Integer) argument % queues.size());
            }, order);
            assertEquals(order % 4, result.getMessageQueue().getQueueId());
        }
        for (MessageExt message : readAll(topic, 24)) {
            assertEquals(message.getQueueId(), Integer.parseInt(text(message.getBody()).split("/")[0]) % 4);
        }
    }

    @Test
    void firstSendCreatesTheTopic() throws Exception {
        String topic = unique("auto");
        DefaultMQProducer producer = newProducer();
        SendResult result = producer.send(message(topic, "first"));
        assertEquals(SendStatus.SEND_OK, result.getSendStatus());
        assertEquals(0, result.getQueueOffset());
        eventually("a route for the created topic", () -> {
            try {
                return admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1;
            } catch (Exception e) {
                return false;
            }
        });
        TopicConfig config = admin().examineTopicConfig(brokerAddress(), topic);
        assertEquals(4, config.getReadQueueNums());
        assertEquals(4, config.getWriteQueueNums());
        assertEquals(PermName.PERM_READ | PermName.PERM_WRITE, config.getPerm());
        assertEquals("first", text(readAll(topic, 1).get(0).getBody()));
    }

    @Test
    void fastPortTakesSends() throws Exception {
        String topic = newTopic(2);
        DefaultMQProducer producer = new DefaultMQProducer(unique("vip"));
        Target.connect(producer);
        producer.setVipChannelEnabled(true);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        closeLater(producer::shutdown);
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            assertEquals(SendStatus.SEND_OK, producer.send(message(topic, "vip-" + i)).getSendStatus());
            bodies.add("vip-" + i);
        }
        assertEquals(sorted(bodies), sortedBodies(readAll(topic, 10)));
    }

    @Test
    void uniqueIdsDiffer() throws Exception {
        String topic = newTopic(1);
        Set<String> ids = new HashSet<>();
        Set<String> offsetIds = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            SendResult result = producer().send(message(topic, "m"));
            ids.add(result.getMsgId());
            offsetIds.add(result.getOffsetMsgId());
            assertEquals(i, result.getQueueOffset());
        }
        assertEquals(100, ids.size());
        assertEquals(100, offsetIds.size());
    }

    @Test
    void refusesBodyThatIsTooLarge() throws Exception {
        String topic = newTopic(1);
        DefaultMQProducer producer = newProducer();
        producer.setMaxMessageSize(16 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        MQBrokerException refusal = assertThrows(MQBrokerException.class,
            () -> producer.send(new Message(topic, new byte[(4 << 20) + 1]), queue(topic, 0)));
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, refusal.getResponseCode());
        assertEquals(0, producer.send(message(topic, "fits"), queue(topic, 0)).getQueueOffset(), "the connection goes on");
        assertEquals("fits", text(readAll(topic, 1).get(0).getBody()));
    }

    @Test
    void refusesPropertiesThatAreTooLong() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "body");
        message.putUserProperty("long", "x".repeat(40_000));
        MQBrokerException refusal = assertThrows(MQBrokerException.class, () -> producer().send(message, queue(topic, 0)));
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, refusal.getResponseCode());
        assertEquals(0, producer().send(message(topic, "fits"), queue(topic, 0)).getQueueOffset());
    }

    @Test
    void refusesQueueThatDoesNotExist() throws Exception {
        String topic = newTopic(2);
        MQBrokerException refusal = assertThrows(MQBrokerException.class, () -> producer().send(message(topic, "m"), queue(topic, 2)));
        assertEquals(ResponseCode.INVALID_PARAMETER, refusal.getResponseCode());
        readAll(topic, 0);
    }

    @Test
    void refusesTopicThatIsNotWritable() throws Exception {
        String topic = newTopic(2);
        admin().createAndUpdateTopicConfig(brokerAddress(), new TopicConfig(topic, 2, 2, PermName.PERM_READ));
        eventually("the route without write permission",
            () -> admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm() == PermName.PERM_READ);
        // The route decides: the client sees no queue that it may write to and sends nothing.
        MQClientException refusal = assertThrows(MQClientException.class, () -> newProducer().send(message(topic, "m")));
        assertEquals(ClientErrorCode.NOT_FOUND_TOPIC_EXCEPTION, refusal.getResponseCode());
        readAll(topic, 0);
    }

    @Test
    void readOnlyTopicIsReadableAndBytesAreKept() throws Exception {
        String topic = newTopic(1);
        byte[] body = new byte[256];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) i;
        }
        producer().send(new Message(topic, body), queue(topic, 0));
        admin().createAndUpdateTopicConfig(brokerAddress(), new TopicConfig(topic, 1, 1, PermName.PERM_READ));
        assertArrayEquals(body, readAll(topic, 1).get(0).getBody());
    }
}
