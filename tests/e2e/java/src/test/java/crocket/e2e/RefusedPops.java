package crocket.e2e;

import static crocket.e2e.RawClient.SOMETHING;
import static crocket.e2e.RawClient.request;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.body.BatchAck;
import org.apache.rocketmq.remoting.protocol.body.BatchAckMessageRequestBody;
import org.apache.rocketmq.remoting.protocol.body.SetMessageRequestModeRequestBody;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PeekMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PollingInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Pops and what belongs to them, wrong in every way. The part `refusals` starts a broker that makes no groups by itself. */
class RefusedPops extends ClientTest {
    private static RawClient raw;
    private static PopRequests pops;

    @BeforeAll
    static void connect() throws Exception {
        raw = new RawClient();
        pops = new PopRequests();
    }

    @AfterAll
    static void disconnect() {
        raw.close();
        pops.shutdown();
    }

    private static PopMessageRequestHeader popHeader(String topic, String group) {
        return PopRequests.popHeader(topic, group, 1, 60_000, 0);
    }

    private static RemotingCommand pop(PopMessageRequestHeader header) {
        return request(RequestCode.POP_MESSAGE, header);
    }

    private static RemotingCommand notification(String topic, String group) {
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(0);
        header.setPollTime(0);
        header.setBornTime(System.currentTimeMillis());
        return request(RequestCode.NOTIFICATION, header);
    }

    private static RemotingCommand pollingInfo(String topic, String group) {
        PollingInfoRequestHeader header = new PollingInfoRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(0);
        return request(RequestCode.POLLING_INFO, header);
    }

    private static RemotingCommand peek(String topic, String group, int queueId) {
        PeekMessageRequestHeader header = new PeekMessageRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(queueId);
        header.setMaxMsgNums(1);
        return request(RequestCode.PEEK_MESSAGE, header);
    }

    @Test
    void topicsGroupsAndQueues() throws Exception {
        String missing = unique("missing");
        String noTopic = "topic[" + missing + "] not exist, apply first please! ";
        String noGroup = "subscription group [" + missing + "] does not exist, ";
        String noQueue = "queueId[1] is illegal, topic:[" + raw.topic + "] topicConfig.readQueueNums:[1]";
        int groupCode = ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST;
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, pop(popHeader(missing, raw.group)));
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, notification(missing, raw.group));
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, pollingInfo(missing, raw.group));
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, peek(missing, raw.group, 0));
        raw.refused(groupCode, noGroup, pop(popHeader(raw.topic, missing)));
        raw.refused(groupCode, noGroup, notification(raw.topic, missing));
        raw.refused(groupCode, noGroup, pollingInfo(raw.topic, missing));
        raw.refused(groupCode, noGroup, peek(raw.topic, missing, 0));
        PopMessageRequestHeader header = popHeader(raw.topic, raw.group);
        header.setQueueId(1);
        raw.refused(ResponseCode.INVALID_PARAMETER, noQueue, pop(header));
        raw.refused(ResponseCode.INVALID_PARAMETER, noQueue, peek(raw.topic, raw.group, 1));
    }

    @Test
    void numbersAndTimes() throws Exception {
        PopMessageRequestHeader header = popHeader(raw.topic, raw.group);
        header.setMaxMsgNums(33);
        raw.refused(ResponseCode.INVALID_PARAMETER, "the broker[127.0.0.1] pop message's num is greater than 32", pop(header));
        header = popHeader(raw.topic, raw.group);
        header.setBornTime(System.currentTimeMillis() - 10_000);
        raw.refused(ResponseCode.POLLING_TIMEOUT, "the broker[127.0.0.1] pop message is timeout too much", pop(header));
        RemotingCommand bare = request(RequestCode.POP_MESSAGE, null);
        bare.addExtField("topic", raw.topic);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, bare);
    }

    @Test
    void expressions() throws Exception {
        String failed = "parse the consumer's subscription failed";
        PopMessageRequestHeader header = popHeader(raw.topic, raw.group);
        header.setExpType("SQL92");
        header.setExp("a >");
        raw.refused(ResponseCode.SUBSCRIPTION_PARSE_FAILED, failed, pop(header));
        header.setExpType("XYZ");
        header.setExp("a = 1");
        raw.refused(ResponseCode.SUBSCRIPTION_PARSE_FAILED, failed, pop(header));
    }

    private static MessageExt popped(String topic, String group, long invisible) throws Exception {
        producer().send(message(topic, "popped"), queue(topic, 0));
        return pops.popAll(topic, group, 1, invisible).get(0);
    }

    private static AckMessageRequestHeader ackHeader(String topic, MessageExt message) {
        return PopRequests.ackHeader(topic, raw.group, message);
    }

    private static RemotingCommand ack(AckMessageRequestHeader header) {
        return request(RequestCode.ACK_MESSAGE, header);
    }

    private static RemotingCommand change(AckMessageRequestHeader ack) {
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setConsumerGroup(ack.getConsumerGroup());
        header.setTopic(ack.getTopic());
        header.setQueueId(ack.getQueueId());
        header.setOffset(ack.getOffset());
        header.setExtraInfo(ack.getExtraInfo());
        header.setInvisibleTime(30_000L);
        return request(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, header);
    }

    @Test
    void forgedHandles() throws Exception {
        String topic = newTopic(1);
        MessageExt message = popped(topic, raw.group, 60_000);
        for (String forged : new String[] {"garbage", "", "0 1 2", "a b c d e broker-a 0 0"}) {
            AckMessageRequestHeader header = ackHeader(topic, message);
            header.setExtraInfo(forged);
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, ack(header));
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, change(header));
        }
        AckMessageRequestHeader header = ackHeader(topic, message);
        header.setOffset(5L);
        raw.refused(ResponseCode.NO_MESSAGE, "offset is illegal, key:" + topic + "@0, commit:5, store:0~1", ack(header));
        raw.refused(ResponseCode.NO_MESSAGE, SOMETHING, change(header));
        header.setOffset(-1L);
        raw.refused(ResponseCode.NO_MESSAGE, "offset is illegal, key:" + topic + "@0, commit:-1, store:0~1", ack(header));
        raw.refused(ResponseCode.NO_MESSAGE, SOMETHING, change(header));
        for (int id : new int[] {1, -1}) {
            String noQueue = "queueId[" + id + "] is illegal, topic:[" + topic + "] topicConfig.readQueueNums:[1]";
            header = ackHeader(topic, message);
            header.setQueueId(id);
            raw.refused(ResponseCode.MESSAGE_ILLEGAL, noQueue, ack(header));
            raw.refused(ResponseCode.MESSAGE_ILLEGAL, noQueue, change(header));
        }
        header = ackHeader(topic, message);
        header.setTopic(unique("missing"));
        String noTopic = "topic[" + header.getTopic() + "] not exist, apply first please! ";
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, ack(header));
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, noTopic, change(header));
        // None of that took the message from its consumer.
        pops.ack(topic, raw.group, message);
        pops.expectNothing(topic, raw.group, 0);
    }

    @Test
    void handlesThatHaveExpired() throws Exception {
        String topic = newTopic(1);
        MessageExt first = popped(topic, raw.group, 1_000);
        MessageExt second = pops.popAll(topic, raw.group, 1, 60_000).get(0);
        assertEquals(1, second.getReconsumeTimes());
        // Nothing can be said against it; the message is another pop's by now.
        assertEquals(ResponseCode.SUCCESS, raw.ask(ack(ackHeader(topic, first))).getCode());
        pops.ack(topic, raw.group, second);
        pops.expectNothing(topic, raw.group, 1_500);
    }

    private static RemotingCommand batchAck(BatchAck... acks) {
        BatchAckMessageRequestBody body = new BatchAckMessageRequestBody();
        body.setBrokerName(Target.BROKER);
        body.setAcks(new ArrayList<>(List.of(acks)));
        return request(RequestCode.BATCH_ACK_MESSAGE, null, body.encode());
    }

    private static BatchAck batchAck(String topic, int queueId, int bit) {
        BatchAck ack = new BatchAck();
        ack.setConsumerGroup(raw.group);
        ack.setTopic(topic);
        ack.setRetry("0");
        ack.setStartOffset(0);
        ack.setQueueId(queueId);
        ack.setReviveQueueId(0);
        ack.setPopTime(1);
        ack.setInvisibleTime(60_000);
        BitSet bits = new BitSet();
        bits.set(bit);
        ack.setBitSet(bits);
        return ack;
    }

    @Test
    void batchesOfForgedHandles() throws Exception {
        String topic = newTopic(1);
        MessageExt message = popped(topic, raw.group, 60_000);
        raw.refused(ResponseCode.NO_MESSAGE, SOMETHING, batchAck());
        raw.refused(ResponseCode.NO_MESSAGE, SOMETHING, request(RequestCode.BATCH_ACK_MESSAGE, null, null));
        // What cannot be is passed over.
        raw.refused(ResponseCode.SUCCESS, SOMETHING, batchAck(batchAck(topic, 0, 700)));
        raw.refused(ResponseCode.SUCCESS, SOMETHING, batchAck(batchAck(unique("missing"), 0, 0)));
        pops.ack(topic, raw.group, message);
    }

    @Test
    void requestModes() throws Exception {
        SetMessageRequestModeRequestBody body = new SetMessageRequestModeRequestBody();
        body.setTopic(unique("missing"));
        body.setConsumerGroup(raw.group);
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "topic[" + body.getTopic() + "] not exist",
            request(RequestCode.SET_MESSAGE_REQUEST_MODE, null, body.encode()));
        body.setTopic("%RETRY%" + raw.group);
        raw.refused(ResponseCode.NO_PERMISSION, "retry topic is not allowed to set mode",
            request(RequestCode.SET_MESSAGE_REQUEST_MODE, null, body.encode()));
        body.setTopic(raw.topic);
        body.setConsumerGroup(unique("missing"));
        raw.refused(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group does not exist",
            request(RequestCode.SET_MESSAGE_REQUEST_MODE, null, body.encode()));
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, request(RequestCode.QUERY_ASSIGNMENT, null, bytes("garbage")));
    }

    @Test
    void orderedAcksOfOthers() throws Exception {
        String topic = newTopic(1);
        producer().send(message(topic, "one"), queue(topic, 0));
        producer().send(message(topic, "two"), queue(topic, 0));
        PopMessageRequestHeader header = popHeader(topic, raw.group);
        header.setOrder(true);
        List<MessageExt> got = new ArrayList<>();
        eventually("the first message", () -> {
            header.setBornTime(System.currentTimeMillis());
            PopResult result = pops.pop(header);
            if (result.getPopStatus() == PopStatus.FOUND) {
                got.addAll(result.getMsgFoundList());
            }
            return !got.isEmpty();
        });
        AckMessageRequestHeader wrong = ackHeader(topic, got.get(0));
        wrong.setOffset(1L);
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, "offset is illegal", ack(wrong));
        assertEquals(0, got.get(0).getQueueOffset());
        pops.ack(topic, raw.group, got.get(0));
    }
}
