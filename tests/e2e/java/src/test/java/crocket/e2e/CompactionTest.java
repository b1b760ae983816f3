package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.junit.jupiter.api.Test;

/** What holds of a compaction topic before anything is compacted; the part `compaction` has the rest. */
class CompactionTest extends ClientTest {
    private static TopicConfig config(String topic, String attribute, String value) {
        TopicConfig config = new TopicConfig(topic, 1, 1);
        config.setAttributes(new HashMap<>(Map.of(attribute, value)));
        return config;
    }

    private static String newCompactionTopic() throws Exception {
        String topic = unique("topic");
        admin().createAndUpdateTopicConfig(brokerAddress(), config(topic, "+cleanup.policy", "COMPACTION"));
        eventually("a route for " + topic, () -> {
            try {
                return !admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty();
            } catch (MQClientException e) {
                return false;
            }
        });
        assertEquals("COMPACTION", admin().examineTopicConfig(brokerAddress(), topic).getAttributes().get("cleanup.policy"));
        return topic;
    }

    @Test
    void messagesNeedKey() throws Exception {
        String topic = newCompactionTopic();
        for (String keys : new String[] {"", " "}) {
            MQBrokerException refused =
                assertThrows(MQBrokerException.class, () -> producer().send(new Message(topic, "tag", keys, bytes("body"))));
            assertEquals(ResponseCode.MESSAGE_ILLEGAL, refused.getResponseCode());
            assertTrue(refused.getErrorMessage().contains("Required message key is missing"), refused.getErrorMessage());
        }
        producer().send(new Message(topic, "tag", "key", bytes("body")));
    }

    @Test
    void policyCannotBeChanged() throws Exception {
        String compacted = newCompactionTopic();
        String plain = newTopic(1);
        assertThrows(MQClientException.class,
            () -> admin().createAndUpdateTopicConfig(brokerAddress(), config(compacted, "+cleanup.policy", "DELETE")));
        assertThrows(MQClientException.class,
            () -> admin().createAndUpdateTopicConfig(brokerAddress(), config(plain, "+cleanup.policy", "COMPACTION")));
        assertThrows(MQClientException.class,
            () -> admin().createAndUpdateTopicConfig(brokerAddress(), config(unique("topic"), "+cleanup.policy", "SOMETHING")));
    }

    @Test
    void readFromAnyOffset() throws Exception {
        String topic = newCompactionTopic();
        for (int i = 0; i < 40; i++) {
            producer().send(new Message(topic, "tag", "key" + i % 4, bytes("m-" + i)));
        }
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(unique("group"));
        Target.connect(consumer);
        consumer.setInstanceName(unique("puller"));
        consumer.start();
        closeLater(consumer::shutdown);
        for (int from = 0; from < 40; from += 13) {
            PullResult result = consumer.pull(queue(topic, 0), "*", from, 5, 15_000);
            for (int tries = 0; tries < 100 && result.getPullStatus() != PullStatus.FOUND; tries++) {
                Thread.sleep(50);
                result = consumer.pull(queue(topic, 0), "*", from, 5, 15_000);
            }
            assertEquals(PullStatus.FOUND, result.getPullStatus());
            assertEquals(from, result.getMsgFoundList().get(0).getQueueOffset());
            assertEquals("m-" + from, text(result.getMsgFoundList().get(0).getBody()));
        }
        PullResult result = consumer.pull(queue(topic, 0), "*", 40, 5, 15_000);
        assertEquals(PullStatus.NO_NEW_MSG, result.getPullStatus());
        assertEquals(40, result.getNextBeginOffset());
    }
}
