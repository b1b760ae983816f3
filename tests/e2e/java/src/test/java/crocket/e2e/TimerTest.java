package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.producer.RecallMessageHandle;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.junit.jupiter.api.Test;

/** Delivery at any time, and its recall. */
class TimerTest extends ClientTest {
    private static final long DAY_MS = 24 * 3600 * 1000L;

    private static MessageExt only(String topic) throws Exception {
        return readAll(topic, 1).get(0);
    }

    /** When the message was to be delivered at the earliest: the broker's own clock is the test's. */
    private static void expectInTime(MessageExt message, long due) {
        assertTrue(message.getStoreTimestamp() >= due, "stored " + (due - message.getStoreTimestamp()) + " ms early: " + message);
    }

    private static MQBrokerException refused(Message message) {
        return assertThrows(MQBrokerException.class, () -> producer().send(message));
    }

    private static RemotingCommand ask(int code) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        return admin().getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl().getRemotingClient()
            .invokeSync(brokerAddress(), request, 10_000);
    }

    private static long runtime(String key) throws Exception {
        return Long.parseLong(admin().fetchBrokerRuntimeStats(brokerAddress()).getTable().get(key));
    }

    private static void enableRecall(boolean on) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("recallMessageEnable", Boolean.toString(on));
        admin().updateBrokerConfig(brokerAddress(), properties);
    }

    @Test
    void comesWhenItsTimeHasCome() throws Exception {
        String seconds = newTopic(4);
        String millis = newTopic(1);
        String moment = newTopic(1);
        Message message = new Message(seconds, "tag", "key", bytes("in seconds"));
        message.putUserProperty("colour", "blue");
        message.setDelayTimeSec(2);
        long begin = System.currentTimeMillis();
        SendResult sent = producer().send(message, queue(seconds, 3));
        assertEquals(3, sent.getMessageQueue().getQueueId());
        message = message(millis, "in milliseconds");
        message.setDelayTimeMs(1_500);
        producer().send(message);
        message = message(moment, "at a time");
        message.setDeliverTimeMs(begin + 1_700);
        producer().send(message);
        for (String topic : List.of(seconds, millis, moment)) {
            assertEquals(0, admin().maxOffset(queue(topic, topic.equals(seconds) ? 3 : 0)), "nothing is delivered yet");
        }
        expectInTime(only(millis), begin + 1_500);
        expectInTime(only(moment), begin + 1_700);
        MessageExt found = only(seconds);
        expectInTime(found, begin + 2_000);
        assertEquals("in seconds", text(found.getBody()));
        assertEquals(3, found.getQueueId());
        assertEquals(sent.getMsgId(), found.getMsgId());
        assertEquals("tag", found.getTags());
        assertEquals("key", found.getKeys());
        assertEquals("blue", found.getUserProperty("colour"));
        assertEquals("2", found.getProperty(MessageConst.PROPERTY_TIMER_DELAY_SEC));
        long out = Long.parseLong(found.getProperty(MessageConst.PROPERTY_TIMER_OUT_MS));
        assertEquals(0, out % 1_000);
        assertTrue(out >= begin && out <= found.getStoreTimestamp() - 1_000, "due at " + out);
        long enqueued = Long.parseLong(found.getProperty(MessageConst.PROPERTY_TIMER_ENQUEUE_MS));
        assertTrue(enqueued >= begin - 1_000 && enqueued <= out, "enqueued at " + enqueued + ", due at " + out);
        assertTrue(Long.parseLong(found.getProperty(MessageConst.PROPERTY_TIMER_DEQUEUE_MS)) > out);
        assertEquals(seconds, found.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
        assertEquals("3", found.getProperty(MessageConst.PROPERTY_REAL_QUEUE_ID));
        assertEquals("in seconds", text(admin().queryMessage(Target.CLUSTER, seconds, sent.getMsgId()).getBody()));
    }

    @Test
    void manyComeOnceEach() throws Exception {
        String topic = newTopic(4);
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            Message message = message(topic, "message-" + i);
            message.setDelayTimeMs(1_000 + i * 5);
            bodies.add("message-" + i);
            producer().send(message);
        }
        List<MessageExt> found = readAll(topic, 300);
        assertEquals(sorted(bodies), sortedBodies(found));
        Thread.sleep(1_500);
        readAll(topic, 300);
    }

    @Test
    void aTimeThatIsOverIsNow() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "late");
        message.setDeliverTimeMs(System.currentTimeMillis() - 5_000);
        SendResult sent = producer().send(message);
        assertNull(sent.getRecallHandle());
        assertEquals(1, admin().maxOffset(queue(topic, 0)));
        assertNull(only(topic).getProperty(MessageConst.PROPERTY_TIMER_OUT_MS));
        message = message(topic, "also");
        message.setDelayTimeMs(0);
        producer().send(message);
        assertEquals(2, admin().maxOffset(queue(topic, 0)));
    }

    @Test
    void whatIsTooFarAheadIsRefused() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "in four days");
        message.setDelayTimeSec(4 * 24 * 3600);
        MQBrokerException e = refused(message);
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, e.getResponseCode());
        assertTrue(e.getErrorMessage().contains("timer message illegal, the delay time should not be bigger than the max delay 259200000ms"),
            e.getErrorMessage());
        message = message(topic, "then");
        message.setDeliverTimeMs(System.currentTimeMillis() + 4 * DAY_MS);
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, refused(message).getResponseCode());
        message = message(topic, "sometime");
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_TIMER_DELIVER_MS, "soon");
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, refused(message).getResponseCode());
        message = message(topic, "nothing to take back any more");
        message.setDeliverTimeMs(System.currentTimeMillis() - 1_000);
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_TIMER_DEL_UNIQKEY, topic + "+x");
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, refused(message).getResponseCode());
        assertEquals(0, admin().maxOffset(queue(topic, 0)));
    }

    @Test
    void aDelayLevelGoesFirst() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "by level");
        message.setDelayTimeLevel(1);
        message.setDelayTimeSec(3600);
        SendResult sent = producer().send(message);
        assertNull(sent.getRecallHandle());
        MessageExt found = only(topic);
        assertEquals("by level", text(found.getBody()));
        assertNull(found.getProperty(MessageConst.PROPERTY_TIMER_OUT_MS));
        message = message(topic, "seconds before milliseconds");
        message.setDelayTimeSec(1);
        message.setDelayTimeMs(3_600_000);
        message.setDeliverTimeMs(System.currentTimeMillis() + 3_600_000);
        producer().send(message);
        readAll(topic, 2);
    }

    @Test
    void whatIsTakenBackDoesNotCome() throws Exception {
        String topic = newTopic(1);
        long due = System.currentTimeMillis() + 3_000;
        Message message = message(topic, "taken back");
        message.setDeliverTimeMs(due);
        SendResult sent = producer().send(message);
        String handle = sent.getRecallHandle();
        assertNotNull(handle);
        RecallMessageHandle.HandleV1 parts = (RecallMessageHandle.HandleV1) RecallMessageHandle.decodeHandle(handle);
        assertEquals(topic, parts.getTopic());
        assertEquals(Target.BROKER, parts.getBrokerName());
        assertEquals(sent.getMsgId(), parts.getMessageId());
        assertEquals((due % 1_000 == 0 ? due - 1_000 : due / 1_000 * 1_000) + 1, Long.parseLong(parts.getTimestampStr()));
        MQBrokerException e = assertThrows(MQBrokerException.class, () -> producer().recallMessage(topic, handle));
        assertEquals(ResponseCode.NO_PERMISSION, e.getResponseCode());
        assertTrue(e.getErrorMessage().contains("recall failed, operation is forbidden"), e.getErrorMessage());
        enableRecall(true);
        try {
            String other = newTopic(1);
            e = assertThrows(MQBrokerException.class, () -> producer().recallMessage(other, handle));
            assertEquals(ResponseCode.ILLEGAL_OPERATION, e.getResponseCode());
            assertTrue(e.getErrorMessage().contains("topic not match"), e.getErrorMessage());
            String old = handle("v1 " + topic + " " + Target.BROKER + " " + (System.currentTimeMillis() - 1) + " x");
            e = assertThrows(MQBrokerException.class, () -> producer().recallMessage(topic, old));
            assertEquals(ResponseCode.ILLEGAL_OPERATION, e.getResponseCode());
            assertTrue(e.getErrorMessage().contains("timestamp invalid"), e.getErrorMessage());
            assertThrows(MQClientException.class, () -> producer().recallMessage(topic, "no handle"));
            message = message(topic, "not taken back");
            message.setDeliverTimeMs(due);
            producer().send(message);
            assertEquals(sent.getMsgId(), producer().recallMessage(topic, handle));
            assertEquals("not taken back", text(only(topic).getBody()));
            Thread.sleep(1_200);
            only(topic);
        } finally {
            enableRecall(false);
        }
    }

    private static String handle(String text) {
        return Base64.getUrlEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void aMessageOfTheSameTimeTakesAnotherBack() throws Exception {
        String topic = newTopic(1);
        long due = System.currentTimeMillis() + 2_500;
        List<SendResult> sent = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Message message = message(topic, "message-" + i);
            message.setDeliverTimeMs(due);
            sent.add(producer().send(message));
        }
        Message message = message(topic, "takes back");
        message.setDeliverTimeMs(due);
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_TIMER_DEL_UNIQKEY, topic + "+" + sent.get(1).getMsgId());
        producer().send(message);
        assertEquals(List.of("message-0", "message-2"), sortedBodies(readAll(topic, 2)));
        Thread.sleep(1_200);
        readAll(topic, 2);
    }

    @Test
    void operatorsSeeWhatWaits() throws Exception {
        String topic = newTopic(1);
        for (int i = 0; i < 5; i++) {
            Message message = message(topic, "tomorrow-" + i);
            message.setDelayTimeSec(3_600);
            producer().send(message);
        }
        eventually("five more in the wheel", () -> {
            String metrics = text(ask(RequestCode.GET_TIMER_METRICS).getBody());
            return metrics.matches("(?s).*\"" + topic + "\":\\{\"count\":5,\"timeStamp\":\\d+\\}.*") && metrics.contains("\"dataVersion\":");
        });
        assertTrue(runtime("timerCongestNum") >= 5);
        assertTrue(runtime("timerReadBehind") < 60);
        eventually("the timer topic is read", () -> runtime("timerOffsetBehind") == 0);
        Map<String, String> table = admin().fetchBrokerRuntimeStats(brokerAddress()).getTable();
        assertTrue(Float.parseFloat(table.get("timerEnqueueTps")) >= 0);
        assertTrue(Float.parseFloat(table.get("timerDequeueTps")) >= 0);
        long offset = admin().maxOffset(queue("rmq_sys_wheel_timer", 0));
        eventually("the checkpoint follows", () -> {
            ByteBuffer checkpoint = ByteBuffer.wrap(ask(RequestCode.GET_TIMER_CHECK_POINT).getBody());
            assertEquals(56, checkpoint.remaining());
            return Math.abs(checkpoint.getLong(0) - System.currentTimeMillis()) < 60_000 && checkpoint.getLong(8) >= 5 * 52
                && checkpoint.getLong(16) >= offset && checkpoint.getLong(24) >= offset;
        });
    }
}
