package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueueAssignment;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PeekMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** Pop consumption: the push consumer that leaves queues and offsets to the pops.broker, and the requests it is made of. */
@DisabledIfSystemProperty(named = "rocketmq.serialize.type", matches = "ROCKETMQ", disabledReason = "codes of pop requests do not fit in")
class PopTest extends ClientTest {
    private static PopRequests pops;

    @BeforeAll
    static void startClient() throws Exception {
        pops = new PopRequests();
    }

    @AfterAll
    static void stopClient() {
        pops.shutdown();
    }

    private DefaultMQPushConsumer popConsumer(String topic, String group, MessageListenerConcurrently listener) throws Exception {
        admin().setMessageRequestMode(pops.broker, topic, group, MessageRequestMode.POP, 0, 10_000);
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.setClientRebalance(false);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    // ---- the push consumer ----

    @Test
    void pushConsumerInPopModeGetsEachMessageOnce() throws Exception {
        String topic = newTopic(4);
        String group = newGroup();
        Received received = new Received();
        popConsumer(topic, group, (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        List<String> bodies = sendNumbered(topic, 4, "popped", 100);
        received.expectExactly(bodies);
        for (MessageExt message : received.snapshot()) {
            assertNotNull(PopRequests.handle(message), "a message that was not popped");
            assertEquals(topic, message.getTopic());
        }
    }

    @Test
    void pushConsumersShareTheQueues() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        Received first = new Received();
        Received second = new Received();
        for (Received received : List.of(first, second)) {
            DefaultMQPushConsumer consumer = popConsumer(topic, group, (messages, context) -> {
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            assertNotNull(consumer);
        }
        List<String> bodies = sendNumbered(topic, 2, "shared", 60);
        eventually("all messages", () -> first.count() + second.count() >= bodies.size());
        Thread.sleep(300);
        List<MessageExt> all = first.snapshot();
        all.addAll(second.snapshot());
        assertEquals(sorted(bodies), sortedBodies(all));
    }

    @Test
    void whatAListenerCannotHandleComesAgain() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        AtomicInteger tries = new AtomicInteger();
        Received again = new Received();
        popConsumer(topic, group, (messages, context) -> {
            if (tries.incrementAndGet() == 1) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            again.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        producer().send(message(topic, "twice"));
        again.expectExactly(List.of("twice"));
        MessageExt message = again.snapshot().get(0);
        assertEquals(1, message.getReconsumeTimes());
        assertEquals(topic, message.getTopic());
        assertNotNull(message.getProperty("1ST_POP_TIME"));
    }

    // ---- the requests ----

    @Test
    void anUnacknowledgedMessageComesBackAndAnAcknowledgedOneDoesNot() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        sendNumbered(topic, 2, "m", 10);
        List<MessageExt> first = pops.popAll(topic, group, 10, 10_000);
        Set<String> left = new HashSet<>();
        for (MessageExt message : first) {
            String body = text(message.getBody());
            assertEquals(0, message.getReconsumeTimes());
            if (body.endsWith("3") || body.endsWith("7")) {
                left.add(body);
            } else {
                pops.ack(topic, group, message);
            }
        }
        List<MessageExt> second = pops.popAll(topic, group, 2, 60_000);
        for (MessageExt message : second) {
            assertTrue(left.remove(text(message.getBody())));
            assertEquals(1, message.getReconsumeTimes());
            assertEquals(topic, message.getTopic());
            assertEquals("1", ExtraInfoUtil.getRetry(ExtraInfoUtil.split(PopRequests.handle(message))));
            pops.ack(topic, group, message);
        }
        pops.expectNothing(topic, group, 4_000);
        assertNotNull(admin().examineTopicConfig(pops.broker, "%RETRY%" + group + "_" + topic));
    }

    @Test
    void anotherInvisibleTimeCountsFromNow() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        producer().send(message(topic, "changed"));
        MessageExt message = pops.popAll(topic, group, 1, 60_000).get(0);
        pops.change(topic, group, message, 8_000);
        pops.expectNothing(topic, group, 1_000);
        // The old handle is no longer good for anything, and nobody minds.
        pops.ack(topic, group, message);
        MessageExt again = pops.popAll(topic, group, 1, 60_000).get(0);
        assertEquals("changed", text(again.getBody()));
        assertEquals(1, again.getReconsumeTimes());
        pops.ack(topic, group, again);
    }

    @Test
    void theHandleOfAnotherTimeAcknowledges() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        producer().send(message(topic, "changed"));
        MessageExt message = pops.popAll(topic, group, 1, 60_000).get(0);
        String handle = pops.change(topic, group, message, 3_000);
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_POP_CK, handle);
        pops.ack(topic, group, message);
        pops.expectNothing(topic, group, 6_000);
    }

    @Test
    void severalAreAcknowledgedAtOnce() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        sendNumbered(topic, 1, "batch", 6);
        List<MessageExt> popped = pops.popAll(topic, group, 6, 10_000);
        List<String> handles = new ArrayList<>();
        for (MessageExt message : popped) {
            if (!text(message.getBody()).equals("batch-4")) {
                handles.add(PopRequests.handle(message));
            }
        }
        AckResult result = pops.api.batchAckMessageAsync(pops.broker, topic, group, handles, PopRequests.CALL_MS).get();
        assertEquals(AckStatus.OK, result.getStatus());
        MessageExt back = pops.popAll(topic, group, 1, 60_000).get(0);
        assertEquals("batch-4", text(back.getBody()));
        pops.expectNothing(topic, group, 3_000);
    }

    @Test
    void aPopWaitsForMessages() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        pops.expectNothing(topic, group, 200);
        CompletableFuture<PopResult> held = pops.popLater(PopRequests.popHeader(topic, group, 8, 60_000, 20_000));
        eventually("a pop that waits", () -> pops.waiting(topic, group) == 1);
        producer().send(message(topic, "awaited"), queue(topic, 1));
        PopResult result = held.get(10, TimeUnit.SECONDS);
        assertEquals(PopStatus.FOUND, result.getPopStatus());
        assertEquals("awaited", text(result.getMsgFoundList().get(0).getBody()));
        assertEquals(0, pops.waiting(topic, group));
    }

    @Test
    void notificationsTellThatThereIsSomething() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        assertFalse(pops.notification(topic, group, 200));
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setPollTime(20_000);
        header.setBornTime(System.currentTimeMillis());
        CompletableFuture<Boolean> held = pops.api.notification(pops.broker, header, PopRequests.CALL_MS);
        Thread.sleep(300);
        assertFalse(held.isDone());
        producer().send(message(topic, "news"));
        assertTrue(held.get(10, TimeUnit.SECONDS));
        assertTrue(pops.notification(topic, group, 0));
    }

    @Test
    void tagsAreFiltered() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        for (String tag : List.of("a", "b", "a", "c")) {
            producer().send(new org.apache.rocketmq.common.message.Message(topic, tag, bytes("tag " + tag)));
        }
        PopMessageRequestHeader header = PopRequests.popHeader(topic, group, 32, 60_000, 5_000);
        header.setExp("b || c");
        List<String> bodies = new ArrayList<>();
        eventually("two messages", () -> {
            header.setBornTime(System.currentTimeMillis());
            PopResult result = pops.pop(header);
            if (result.getPopStatus() == PopStatus.FOUND) {
                result.getMsgFoundList().forEach(m -> bodies.add(text(m.getBody())));
            }
            return bodies.size() >= 2;
        });
        assertEquals(List.of("tag b", "tag c"), bodies);
    }

    @Test
    void orderedPopsBlockTheQueue() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        sendNumbered(topic, 1, "o", 4);
        PopMessageRequestHeader header = PopRequests.popHeader(topic, group, 2, 60_000, 300);
        header.setOrder(true);
        header.setAttemptId("attempt-1");
        List<MessageExt> first = new ArrayList<>();
        eventually("two messages", () -> {
            header.setBornTime(System.currentTimeMillis());
            PopResult result = pops.pop(header);
            if (result.getPopStatus() == PopStatus.FOUND) {
                first.addAll(result.getMsgFoundList());
            }
            return !first.isEmpty();
        });
        assertEquals(List.of("o-0", "o-1"), List.of(text(first.get(0).getBody()), text(first.get(1).getBody())));
        // Another attempt gets nothing, the same one the same messages.
        header.setAttemptId("attempt-2");
        header.setBornTime(System.currentTimeMillis());
        assertEquals(PopStatus.POLLING_NOT_FOUND, pops.pop(header).getPopStatus());
        header.setAttemptId("attempt-1");
        header.setBornTime(System.currentTimeMillis());
        List<MessageExt> same = pops.pop(header).getMsgFoundList();
        assertEquals("o-0", text(same.get(0).getBody()));
        pops.ack(topic, group, same.get(0));
        header.setAttemptId("attempt-2");
        header.setBornTime(System.currentTimeMillis());
        assertEquals(PopStatus.POLLING_NOT_FOUND, pops.pop(header).getPopStatus());
        header.setPollTime(20_000);
        header.setBornTime(System.currentTimeMillis());
        CompletableFuture<PopResult> held = pops.popLater(header);
        Thread.sleep(200);
        pops.ack(topic, group, same.get(1));
        PopResult rest = held.get(10, TimeUnit.SECONDS);
        assertEquals(PopStatus.FOUND, rest.getPopStatus());
        assertEquals("o-2", text(rest.getMsgFoundList().get(0).getBody()));
    }

    private static List<MessageExt> peek(String topic, String group, int max) throws Exception {
        PeekMessageRequestHeader header = new PeekMessageRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(-1);
        header.setMaxMsgNums(max);
        RemotingCommand request = RemotingCommand.createRequestCommand(RequestCode.PEEK_MESSAGE, header);
        RemotingCommand answer = pops.api.invoke(pops.broker, request, PopRequests.CALL_MS).get();
        if (answer.getCode() == ResponseCode.PULL_NOT_FOUND) {
            assertEquals("NO_MESSAGE_IN_QUEUE", answer.getRemark());
            return List.of();
        }
        assertEquals(ResponseCode.SUCCESS, answer.getCode(), answer.getRemark());
        return MessageDecoder.decodes(ByteBuffer.wrap(answer.getBody()));
    }

    private static List<String> bodies(List<MessageExt> messages) {
        List<String> bodies = new ArrayList<>();
        messages.forEach(message -> bodies.add(text(message.getBody())));
        return bodies;
    }

    @Test
    void peekingTakesNothing() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        assertEquals(List.of(), peek(topic, group, 8));
        sendNumbered(topic, 1, "m", 3);
        for (int i = 0; i < 2; i++) {
            assertEquals(List.of("m-0", "m-1", "m-2"), bodies(peek(topic, group, 8)));
            assertEquals(List.of("m-0", "m-1"), bodies(peek(topic, group, 2)));
        }
        List<MessageExt> popped = new ArrayList<>();
        eventually("two messages", () -> {
            PopResult result = pops.pop(PopRequests.popHeader(topic, group, 2, 2_000, 1_000));
            if (result.getPopStatus() == PopStatus.FOUND) {
                popped.addAll(result.getMsgFoundList());
            }
            return !popped.isEmpty();
        });
        assertEquals(List.of("m-0", "m-1"), bodies(popped));
        assertEquals(List.of("m-2"), bodies(peek(topic, group, 8)));
        pops.ack(topic, group, popped.get(0));
        // What was not acknowledged is seen where it waits to be given again.
        eventually("the message in the retry topic", () -> peek(topic, group, 8).size() == 2);
        for (MessageExt message : peek(topic, group, 8)) {
            assertEquals(text(message.getBody()).equals("m-1") ? "%RETRY%" + group + "_" + topic : topic, message.getTopic());
        }
        assertEquals(List.of("m-1", "m-2"), sorted(bodies(pops.popAll(topic, group, 2, 60_000))));
        assertEquals(List.of(), peek(topic, group, 8));
    }

    @Test
    void theBrokerDividesQueues() throws Exception {
        String topic = newTopic(4);
        String group = newGroup();
        admin().setMessageRequestMode(pops.broker, topic, group, MessageRequestMode.PULL, 0, 10_000);
        Received received = new Received();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = newPushConsumer(group);
            consumer.setInstanceName(unique("member"));
            consumer.setClientRebalance(false);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
        }
        eventually("two members", () -> members(group) == 2);
        List<String> ids = new ArrayList<>();
        admin().examineConsumerConnectionInfo(group).getConnectionSet().forEach(connection -> ids.add(connection.getClientId()));
        ids.sort(null);
        assertEquals(List.of("0 PULL", "1 PULL"), assigned(topic, group, ids.get(0), "AVG"));
        assertEquals(List.of("2 PULL", "3 PULL"), assigned(topic, group, ids.get(1), "AVG"));
        assertEquals(List.of("1 PULL", "3 PULL"), assigned(topic, group, ids.get(1), "AVG_BY_CIRCLE"));
        assertEquals(List.of(), assigned(topic, group, "somebody else", "AVG"));
        received.expectExactly(sendNumbered(topic, 4, "divided", 40));
        for (MessageExt message : received.snapshot()) {
            assertNull(PopRequests.handle(message), "a message that was popped");
        }
        admin().setMessageRequestMode(pops.broker, topic, group, MessageRequestMode.POP, 0, 10_000);
        assertEquals(List.of("-1 POP"), assigned(topic, group, ids.get(0), "AVG"));
        assertEquals(List.of("-1 POP"), assigned(topic, group, ids.get(1), "AVG"));
    }

    private static List<String> assigned(String topic, String group, String clientId, String strategy) throws Exception {
        List<String> queues = new ArrayList<>();
        Set<MessageQueueAssignment> answer = admin().getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl()
            .queryAssignment(pops.broker, topic, group, clientId, strategy, MessageModel.CLUSTERING, 10_000);
        if (answer != null) {
            answer.forEach(assignment -> queues.add(assignment.getMessageQueue().getQueueId() + " " + assignment.getMode()));
        }
        queues.sort(null);
        return queues;
    }
}
