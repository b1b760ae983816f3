package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.junit.jupiter.api.Test;

class QueryTest extends ClientTest {
    private static Set<String> bodies(List<MessageExt> messages) {
        Set<String> bodies = new HashSet<>();
        messages.forEach(message -> bodies.add(text(message.getBody())));
        assertEquals(messages.size(), bodies.size(), "a message twice in " + bodies);
        return bodies;
    }

    private static Set<String> byKey(String topic, String key, int max, long begin, long end) throws Exception {
        try {
            QueryResult result = admin().queryMessage(topic, key, max, begin, end);
            return bodies(result.getMessageList());
        } catch (MQClientException e) {
            if (e.getResponseCode() == ResponseCode.NO_MESSAGE) {
                return Set.of();
            }
            throw e;
        }
    }

    @Test
    void findsByEachKeyWithinTheTimeSpan() throws Exception {
        String topic = newTopic(2);
        long begin = System.currentTimeMillis();
        for (int i = 0; i < 6; i++) {
            producer().send(new Message(topic, "tag", "common single" + i, bytes("m-" + i)));
        }
        long end = System.currentTimeMillis() + 60_000;
        eventually("the index of six messages", () -> byKey(topic, "common", 32, begin - 1_000, end).size() == 6);
        assertEquals(Set.of("m-0", "m-1", "m-2", "m-3", "m-4", "m-5"), byKey(topic, "common", 32, begin - 1_000, end));
        for (int i = 0; i < 6; i++) {
            assertEquals(Set.of("m-" + i), byKey(topic, "single" + i, 32, begin - 1_000, end));
        }
        assertEquals(2, byKey(topic, "common", 2, begin - 1_000, end).size(), "no more than asked for");
        assertEquals(Set.of(), byKey(topic, "common", 32, begin - 600_000, begin - 300_000), "outside of the time span");
        assertEquals(Set.of(), byKey(topic, "absent", 32, begin - 1_000, end));
        assertEquals(Set.of(), byKey(newTopic(1), "common", 32, begin - 1_000, end), "the key of another topic");
    }

    @Test
    void findsByUniqueKeyAndByOffsetId() throws Exception {
        String topic = newTopic(2);
        SendResult sent = null;
        for (int i = 0; i < 5; i++) {
            Message message = new Message(topic, "tag", "key", bytes("m-" + i));
            SendResult result = producer().send(message);
            if (i == 3) {
                sent = result;
            }
        }
        SendResult wanted = sent;
        MessageExt byOffset = admin().viewMessage(topic, wanted.getOffsetMsgId());
        assertEquals("m-3", text(byOffset.getBody()));
        assertEquals(topic, byOffset.getTopic());
        assertEquals(wanted.getQueueOffset(), byOffset.getQueueOffset());
        assertEquals(wanted.getMessageQueue().getQueueId(), byOffset.getQueueId());

        eventually("the index of the unique key", () -> {
            try {
                return admin().queryMessage(Target.CLUSTER, topic, wanted.getMsgId()) != null;
            } catch (MQClientException e) {
                return false;
            }
        });
        MessageExt byUniqueKey = admin().queryMessage(Target.CLUSTER, topic, wanted.getMsgId());
        assertEquals("m-3", text(byUniqueKey.getBody()));
        assertEquals(byOffset.getCommitLogOffset(), byUniqueKey.getCommitLogOffset());
        assertEquals("m-3", text(producer().viewMessage(topic, wanted.getMsgId()).getBody()));
        QueryResult several = admin().queryMessageByUniqKey(Target.CLUSTER, topic, wanted.getMsgId(), 32, 0, Long.MAX_VALUE);
        assertEquals(Set.of("m-3"), bodies(several.getMessageList()));
    }

    @Test
    void offsetIdThatLeadsNowhere() throws Exception {
        String topic = newTopic(1);
        SendResult sent = producer().send(message(topic, "m"));
        // The last eight bytes of the id are the position in the log.
        String nowhere = sent.getOffsetMsgId().substring(0, 16) + "0000FFFFFFFF0000";
        assertThrows(MQBrokerException.class, () -> producer().getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl()
            .viewMessage(brokerAddress(), topic, Long.parseLong("0000FFFFFFFF0000", 16), 5_000));
        assertThrows(Exception.class, () -> admin().viewMessage(topic, nowhere));
    }
}
