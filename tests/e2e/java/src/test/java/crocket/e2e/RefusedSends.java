package crocket.e2e;

import static crocket.e2e.RawClient.SOMETHING;
import static crocket.e2e.RawClient.send;
import static crocket.e2e.RawClient.sendHeader;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.common.ClientErrorCode;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.remoting.exception.RemotingTimeoutException;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.EndTransactionRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.RecallMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Sends that must not be taken. The part `refusals` starts a broker that makes no topics by itself and lets timers wait a minute. */
class RefusedSends extends ClientTest {
    private static final String TOO_LARGE =
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit 4194304B, "
            + "msg properties length limit 32KB.";
    private static RawClient raw;

    @BeforeAll
    static void connect() throws Exception {
        raw = new RawClient();
    }

    @AfterAll
    static void disconnect() {
        raw.close();
    }

    private static RemotingCommand withProperties(String topic, Map<String, String> properties) {
        SendMessageRequestHeader header = sendHeader(topic, 0);
        header.setProperties(MessageDecoder.messageProperties2String(properties));
        return send(header, bytes("body"));
    }

    /** How many messages the topic has; the last may take a moment to be seen. */
    private static void expectEnd(String topic, int queueId, long end) throws Exception {
        eventually(topic + " ends at " + end, () -> admin().maxOffset(queue(topic, queueId)) >= end);
        assertEquals(end, admin().maxOffset(queue(topic, queueId)));
    }

    private static void expectEnd(String topic, long end) throws Exception {
        expectEnd(topic, 0, end);
    }

    @Test
    void topicThatNobodyMade() throws Exception {
        String topic = unique("missing");
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "topic[" + topic + "] not exist, apply first please!",
            send(sendHeader(topic, 0), bytes("body")));
        SendMessageRequestHeader like = sendHeader(topic, 0);
        like.setDefaultTopic(raw.topic); // a topic that no other can be made like
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "topic[" + topic + "] not exist, apply first please!", send(like, bytes("body")));
        MQClientException e = assertThrows(MQClientException.class, () -> producer().send(message(topic, "body")));
        assertEquals(ClientErrorCode.NOT_FOUND_TOPIC_EXCEPTION, e.getResponseCode());
    }

    @Test
    void topicNames() throws Exception {
        raw.refused(ResponseCode.INVALID_PARAMETER,
            "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$", send(sendHeader("bad topic!", 0), bytes("m")));
        raw.refused(ResponseCode.INVALID_PARAMETER, "The specified topic is blank.", send(sendHeader(" ", 0), bytes("m")));
        raw.refused(ResponseCode.INVALID_PARAMETER, "The specified topic is longer than topic max length.",
            send(sendHeader("t".repeat(128), 0), bytes("m")));
        raw.refused(ResponseCode.NO_PERMISSION, "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.",
            send(sendHeader("SCHEDULE_TOPIC_XXXX", 0), bytes("m")));
    }

    @Test
    void queueIds() throws Exception {
        String topic = newTopic(2);
        raw.refused(ResponseCode.INVALID_PARAMETER, "request queueId[2] is illegal", send(sendHeader(topic, 2), bytes("m")));
        raw.refused(ResponseCode.INVALID_PARAMETER, "request queueId[2147483647] is illegal",
            send(sendHeader(topic, Integer.MAX_VALUE), bytes("m")));
        // A negative one leaves it to the broker.
        assertEquals(ResponseCode.SUCCESS, raw.ask(send(sendHeader(topic, -7), bytes("m"))).getCode());
        eventually("the message", () -> admin().maxOffset(queue(topic, 0)) + admin().maxOffset(queue(topic, 1)) == 1);
    }

    @Test
    void sizes() throws Exception {
        String topic = newTopic(1);
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, TOO_LARGE, send(sendHeader(topic, 0), new byte[(4 << 20) + 1]));
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, TOO_LARGE, withProperties(topic, Map.of("long", "x".repeat(32_760))));
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, send(sendHeader(topic, 0), null));
        expectEnd(topic, 0);
    }

    @Test
    void headers() throws Exception {
        RemotingCommand bare = RawClient.request(RequestCode.SEND_MESSAGE_V2, null, bytes("m"));
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, bare);
        RemotingCommand partial = RawClient.request(RequestCode.SEND_MESSAGE_V2, null, bytes("m"));
        partial.addExtField("a", "producer");
        partial.addExtField("b", raw.topic);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, partial);
        RemotingCommand wrong = send(sendHeader(raw.topic, 0), bytes("m"));
        wrong.makeCustomHeaderToNet();
        wrong.addExtField("e", "many");
        RemotingCommand copy = RawClient.request(RequestCode.SEND_MESSAGE_V2, null, bytes("m"));
        wrong.getExtFields().forEach(copy::addExtField);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, copy);
        raw.refused(ResponseCode.REQUEST_CODE_NOT_SUPPORTED, " request type 9999 not supported", RawClient.request(9999, null));
    }

    @Test
    void batches() throws Exception {
        String topic = newTopic(1);
        SendMessageRequestHeader header = sendHeader(topic, 0);
        header.setBatch(true);
        // Java's broker fails on it, which makes clients try again.
        int code = raw.ask(send(header, new byte[(4 << 20) + 1])).getCode();
        assertTrue(code == ResponseCode.MESSAGE_ILLEGAL || code == ResponseCode.SYSTEM_ERROR, "code " + code);
        raw.stillServes();
        header = sendHeader(topic, 1);
        header.setBatch(true);
        raw.refused(ResponseCode.INVALID_PARAMETER, "request queueId[1] is illegal", send(header, bytes("batch")));
        header = sendHeader("%RETRY%" + raw.group, 0);
        header.setBatch(true);
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, "batch request does not support retry group %RETRY%" + raw.group,
            send(header, bytes("batch")));
        List<Message> delayed = new ArrayList<>(List.of(message(topic, "1"), message(topic, "2")));
        delayed.get(1).setDelayTimeLevel(1);
        MQClientException e = assertThrows(MQClientException.class, () -> producer().send(delayed));
        assertTrue(e.getMessage().contains("Failed to initiate the MessageBatch"), e.getMessage());
        expectEnd(topic, 0);
    }

    @Test
    void compactionTopicsNeedKeys() throws Exception {
        String topic = unique("topic");
        TopicConfig config = new TopicConfig(topic, 1, 1);
        config.getAttributes().put("+cleanup.policy", "COMPACTION");
        admin().createAndUpdateTopicConfig(raw.broker, config);
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, "Required message key is missing", send(sendHeader(topic, 0), bytes("m")));
        assertEquals(ResponseCode.SUCCESS, raw.ask(withProperties(topic, Map.of("KEYS", "k"))).getCode());
    }

    @Test
    void delayLevels() throws Exception {
        String topic = newTopic(1);
        long before = admin().maxOffset(queue("SCHEDULE_TOPIC_XXXX", 17));
        // Beyond the last level is the last level, below the first is none.
        assertEquals(ResponseCode.SUCCESS, raw.ask(withProperties(topic, Map.of("DELAY", "2000000000"))).getCode());
        expectEnd("SCHEDULE_TOPIC_XXXX", 17, before + 1);
        expectEnd(topic, 0);
        assertEquals(ResponseCode.SUCCESS, raw.ask(withProperties(topic, Map.of("DELAY", "-1"))).getCode());
        expectEnd(topic, 1);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, withProperties(topic, Map.of("DELAY", "soon")));
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, withProperties(topic, Map.of("DELAY", "99999999999")));
        expectEnd(topic, 1);
    }

    @Test
    void times() throws Exception {
        String topic = newTopic(1);
        String illegal = "timer message illegal, the delay time should not be bigger than the max delay 60000ms; "
            + "or if set del msg, the delay time should be bigger than the current time";
        long now = System.currentTimeMillis();
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, illegal, withProperties(topic, Map.of("TIMER_DELAY_SEC", "61")));
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, illegal, withProperties(topic, Map.of("TIMER_DELAY_MS", "61000")));
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, illegal,
            withProperties(topic, Map.of("TIMER_DELIVER_MS", Long.toString(now + 100_000))));
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, illegal, withProperties(topic, Map.of("TIMER_DELIVER_MS", "soon")));
        raw.refused(ResponseCode.MESSAGE_ILLEGAL, illegal,
            withProperties(topic, Map.of("TIMER_DELIVER_MS", Long.toString(now - 1_000), "TIMER_DEL_UNIQKEY", topic + "+x")));
        expectEnd(topic, 0);
        // A time that is over is now.
        assertEquals(ResponseCode.SUCCESS,
            raw.ask(withProperties(topic, Map.of("TIMER_DELIVER_MS", Long.toString(now - 1_000)))).getCode());
        expectEnd(topic, 1);
    }

    private static RemotingCommand recall(String topic, String handle) {
        RecallMessageRequestHeader header = new RecallMessageRequestHeader();
        header.setProducerGroup("raw_producer");
        header.setTopic(topic);
        header.setRecallHandle(handle);
        return RawClient.request(RequestCode.RECALL_MESSAGE, header);
    }

    private static String handle(String... words) {
        return Base64.getUrlEncoder().encodeToString(String.join(" ", words).getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void recallHandles() throws Exception {
        String topic = newTopic(1);
        String soon = Long.toString(System.currentTimeMillis() + 30_000);
        int illegal = ResponseCode.ILLEGAL_OPERATION;
        for (String forged : List.of("*", "", "abc", handle("v1"), handle("v2", topic, Target.BROKER, soon, "id"),
            handle("v1", topic, Target.BROKER, soon))) {
            raw.refused(illegal, "recall handle is invalid", recall(topic, forged));
        }
        raw.refused(illegal, "recall failed, topic not match", recall(topic, handle("v1", "other", Target.BROKER, soon, "id")));
        raw.refused(illegal, "recall failed, broker service not available", recall(topic, handle("v1", topic, "other", soon, "id")));
        for (String time : List.of("then", Long.toString(System.currentTimeMillis() - 1),
            Long.toString(System.currentTimeMillis() + 100_000))) {
            raw.refused(illegal, "recall failed, timestamp invalid", recall(topic, handle("v1", topic, Target.BROKER, time, "id")));
        }
        String missing = unique("missing");
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "recall failed, the topic[" + missing + "] not exist",
            recall(missing, handle("v1", missing, Target.BROKER, soon, "id")));
    }

    private static RemotingCommand endTransaction(String group, long logOffset, long queueOffset, int how) {
        EndTransactionRequestHeader header = new EndTransactionRequestHeader();
        header.setProducerGroup(group);
        header.setCommitLogOffset(logOffset);
        header.setTranStateTableOffset(queueOffset);
        header.setCommitOrRollback(how);
        header.setMsgId("7F0000010000000000000000");
        header.setTransactionId("7F0000010000000000000000");
        return RawClient.request(RequestCode.END_TRANSACTION, header);
    }

    @Test
    void transactionsOfOthers() throws Exception {
        String topic = newTopic(1);
        for (int how : new int[] {MessageSysFlag.TRANSACTION_COMMIT_TYPE, MessageSysFlag.TRANSACTION_ROLLBACK_TYPE}) {
            // Inside a record, as the offset of another broker's half message would be here, and at a record that is no half message.
            RemotingCommand sent = raw.ask(send(sendHeader(topic, 0), bytes("plain")));
            long at = MessageDecoder.decodeMessageId(sent.getExtFields().get("msgId")).getOffset();
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, endTransaction("group", at + 7, 0, how));
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, endTransaction("group", at, 0, how));
            // Beyond the end of the log Java's broker leaves the client without an answer.
            try {
                RemotingCommand answer = raw.ask(endTransaction("group", at + (1L << 40), 0, how), 1_000);
                assertEquals(ResponseCode.SYSTEM_ERROR, answer.getCode(), answer.getRemark());
            } catch (RemotingTimeoutException e) {
                // as Java
            }
            raw.stillServes();
        }
        expectEnd(topic, 2);
    }

    @Test
    void halfMessagesStayUndecided() throws Exception {
        String topic = newTopic(1);
        String group = unique("producer");
        RemotingCommand sent = raw.ask(withProperties(topic,
            Map.of(MessageConst.PROPERTY_TRANSACTION_PREPARED, "true", MessageConst.PROPERTY_PRODUCER_GROUP, group)));
        assertEquals(ResponseCode.SUCCESS, sent.getCode());
        long at = MessageDecoder.decodeMessageId(sent.getExtFields().get("msgId")).getOffset();
        long position = Long.parseLong(sent.getExtFields().get("queueOffset"));
        int commit = MessageSysFlag.TRANSACTION_COMMIT_TYPE;
        raw.refused(ResponseCode.SYSTEM_ERROR, "The producer group wrong", endTransaction(group + "x", at, position, commit));
        raw.refused(ResponseCode.SYSTEM_ERROR, "The transaction state table offset wrong", endTransaction(group, at, position + 1, commit));
        expectEnd(topic, 0);
        assertEquals(ResponseCode.SUCCESS, raw.ask(endTransaction(group, at, position, commit)).getCode());
        expectEnd(topic, 1);
        MessageExt found = admin().viewMessage("RMQ_SYS_TRANS_HALF_TOPIC", sent.getExtFields().get("msgId"));
        assertEquals(topic, found.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
    }
}
