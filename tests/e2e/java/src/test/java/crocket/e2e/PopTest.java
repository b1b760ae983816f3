package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.impl.ClientRemotingProcessor;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PollingInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** Pop consumption: the push consumer that leaves queues and offsets to the broker, and the requests it is made of. */
@DisabledIfSystemProperty(named = "rocketmq.serialize.type", matches = "ROCKETMQ", disabledReason = "codes of pop requests do not fit in")
class PopTest extends ClientTest {
    private static final int POP_MESSAGE = 200050;
    private static final int ACK_MESSAGE = 200051;
    private static final int POLLING_INFO = 200055;
    private static final long CALL_MS = 30_000;

    private static MQClientAPIExt api;
    private static String broker;

    @BeforeAll
    static void startClient() throws Exception {
        ClientConfig config = new ClientConfig();
        Target.connect(config);
        api = new MQClientAPIExt(config, new NettyClientConfig(), new ClientRemotingProcessor(null), null);
        api.start();
        broker = brokerAddress();
    }

    @AfterAll
    static void stopClient() {
        api.shutdown();
    }

    // ---- steps ----

    private static String newGroup() throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(unique("pop_group"));
        admin().createAndUpdateSubscriptionGroupConfig(broker, config);
        return config.getGroupName();
    }

    private static PopMessageRequestHeader popHeader(String topic, String group, int max, long invisible, long poll) {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setMaxMsgNums(max);
        header.setInvisibleTime(invisible);
        header.setPollTime(poll);
        header.setBornTime(System.currentTimeMillis());
        header.setInitMode(0);
        header.setExpType("TAG");
        header.setExp("*");
        header.setOrder(false);
        return header;
    }

    private static CompletableFuture<PopResult> popLater(PopMessageRequestHeader header) {
        return api.popMessageAsync(broker, Target.BROKER, header, CALL_MS);
    }

    private static PopResult pop(PopMessageRequestHeader header) throws Exception {
        return popLater(header).get(CALL_MS, TimeUnit.MILLISECONDS);
    }

    /** Pops until there are so many messages, each of which comes once. */
    private static List<MessageExt> popAll(String topic, String group, int count, long invisible) throws Exception {
        List<MessageExt> all = new ArrayList<>();
        eventually(count + " messages popped", () -> {
            PopResult result = pop(popHeader(topic, group, 32, invisible, 1_000));
            if (result.getPopStatus() == PopStatus.FOUND) {
                all.addAll(result.getMsgFoundList());
            }
            return all.size() >= count;
        });
        assertEquals(count, all.size());
        return all;
    }

    private static void expectNothing(String topic, String group, long poll) throws Exception {
        PopResult result = pop(popHeader(topic, group, 32, 60_000, poll));
        assertEquals(PopStatus.POLLING_NOT_FOUND, result.getPopStatus(), "popped: " + result.getMsgFoundList());
    }

    private static String handle(MessageExt message) {
        return message.getProperty(MessageConst.PROPERTY_POP_CK);
    }

    private static AckMessageRequestHeader ackHeader(String topic, String group, MessageExt message) {
        String[] parts = ExtraInfoUtil.split(handle(message));
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle(message));
        return header;
    }

    private static void ack(String topic, String group, MessageExt message) throws Exception {
        AckResult result = api.ackMessageAsync(broker, ackHeader(topic, group, message), CALL_MS).get();
        assertEquals(AckStatus.OK, result.getStatus());
    }

    private static int code(int request, org.apache.rocketmq.remoting.CommandCustomHeader header) throws Exception {
        RemotingCommand command = RemotingCommand.createRequestCommand(request, header);
        return api.invoke(broker, command, CALL_MS).get().getCode();
    }

    private static boolean notification(String topic, String group, long poll) throws Exception {
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setPollTime(poll);
        header.setBornTime(System.currentTimeMillis());
        return api.notification(broker, header, CALL_MS).get();
    }

    private static int waiting(String topic, String group) throws Exception {
        PollingInfoRequestHeader header = new PollingInfoRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        RemotingCommand answer = api.invoke(broker, RemotingCommand.createRequestCommand(POLLING_INFO, header), CALL_MS).get();
        assertEquals(0, answer.getCode());
        return Integer.parseInt(answer.getExtFields().get("pollingNum"));
    }

    private DefaultMQPushConsumer popConsumer(String topic, String group, MessageListenerConcurrently listener) throws Exception {
        admin().setMessageRequestMode(broker, topic, group, MessageRequestMode.POP, 0, 10_000);
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
            assertNotNull(handle(message), "a message that was not popped");
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
        List<MessageExt> first = popAll(topic, group, 10, 10_000);
        Set<String> left = new HashSet<>();
        for (MessageExt message : first) {
            String body = text(message.getBody());
            assertEquals(0, message.getReconsumeTimes());
            if (body.endsWith("3") || body.endsWith("7")) {
                left.add(body);
            } else {
                ack(topic, group, message);
            }
        }
        List<MessageExt> second = popAll(topic, group, 2, 60_000);
        for (MessageExt message : second) {
            assertTrue(left.remove(text(message.getBody())));
            assertEquals(1, message.getReconsumeTimes());
            assertEquals(topic, message.getTopic());
            assertEquals("1", ExtraInfoUtil.getRetry(ExtraInfoUtil.split(handle(message))));
            ack(topic, group, message);
        }
        expectNothing(topic, group, 4_000);
        assertNotNull(admin().examineTopicConfig(broker, "%RETRY%" + group + "_" + topic));
    }

    @Test
    void anotherInvisibleTimeCountsFromNow() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        producer().send(message(topic, "changed"));
        MessageExt message = popAll(topic, group, 1, 60_000).get(0);
        AckMessageRequestHeader ack = ackHeader(topic, group, message);
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(ack.getQueueId());
        header.setOffset(ack.getOffset());
        header.setExtraInfo(ack.getExtraInfo());
        header.setInvisibleTime(8_000L);
        AckResult changed = api.changeInvisibleTimeAsync(broker, Target.BROKER, header, CALL_MS).get();
        assertEquals(AckStatus.OK, changed.getStatus());
        expectNothing(topic, group, 1_000);
        // The old handle is no longer good for anything, and nobody minds.
        ack(topic, group, message);
        MessageExt again = popAll(topic, group, 1, 60_000).get(0);
        assertEquals("changed", text(again.getBody()));
        assertEquals(1, again.getReconsumeTimes());
        ack(topic, group, again);
    }

    @Test
    void severalAreAcknowledgedAtOnce() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        sendNumbered(topic, 1, "batch", 6);
        List<MessageExt> popped = popAll(topic, group, 6, 10_000);
        List<String> handles = new ArrayList<>();
        for (MessageExt message : popped) {
            if (!text(message.getBody()).equals("batch-4")) {
                handles.add(handle(message));
            }
        }
        AckResult result = api.batchAckMessageAsync(broker, topic, group, handles, CALL_MS).get();
        assertEquals(AckStatus.OK, result.getStatus());
        MessageExt back = popAll(topic, group, 1, 60_000).get(0);
        assertEquals("batch-4", text(back.getBody()));
        expectNothing(topic, group, 3_000);
    }

    @Test
    void aPopWaitsForMessages() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        expectNothing(topic, group, 200);
        CompletableFuture<PopResult> held = popLater(popHeader(topic, group, 8, 60_000, 20_000));
        eventually("a pop that waits", () -> waiting(topic, group) == 1);
        producer().send(message(topic, "awaited"), queue(topic, 1));
        PopResult result = held.get(10, TimeUnit.SECONDS);
        assertEquals(PopStatus.FOUND, result.getPopStatus());
        assertEquals("awaited", text(result.getMsgFoundList().get(0).getBody()));
        assertEquals(0, waiting(topic, group));
    }

    @Test
    void notificationsTellThatThereIsSomething() throws Exception {
        String topic = newTopic(2);
        String group = newGroup();
        assertFalse(notification(topic, group, 200));
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setPollTime(20_000);
        header.setBornTime(System.currentTimeMillis());
        CompletableFuture<Boolean> held = api.notification(broker, header, CALL_MS);
        Thread.sleep(300);
        assertFalse(held.isDone());
        producer().send(message(topic, "news"));
        assertTrue(held.get(10, TimeUnit.SECONDS));
        assertTrue(notification(topic, group, 0));
    }

    @Test
    void tagsAreFiltered() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        for (String tag : List.of("a", "b", "a", "c")) {
            producer().send(new org.apache.rocketmq.common.message.Message(topic, tag, bytes("tag " + tag)));
        }
        PopMessageRequestHeader header = popHeader(topic, group, 32, 60_000, 5_000);
        header.setExp("b || c");
        List<String> bodies = new ArrayList<>();
        eventually("two messages", () -> {
            header.setBornTime(System.currentTimeMillis());
            PopResult result = pop(header);
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
        PopMessageRequestHeader header = popHeader(topic, group, 2, 60_000, 300);
        header.setOrder(true);
        header.setAttemptId("attempt-1");
        List<MessageExt> first = new ArrayList<>();
        eventually("two messages", () -> {
            header.setBornTime(System.currentTimeMillis());
            PopResult result = pop(header);
            if (result.getPopStatus() == PopStatus.FOUND) {
                first.addAll(result.getMsgFoundList());
            }
            return !first.isEmpty();
        });
        assertEquals(List.of("o-0", "o-1"), List.of(text(first.get(0).getBody()), text(first.get(1).getBody())));
        // Another attempt gets nothing, the same one the same messages.
        header.setAttemptId("attempt-2");
        header.setBornTime(System.currentTimeMillis());
        assertEquals(PopStatus.POLLING_NOT_FOUND, pop(header).getPopStatus());
        header.setAttemptId("attempt-1");
        header.setBornTime(System.currentTimeMillis());
        List<MessageExt> same = pop(header).getMsgFoundList();
        assertEquals("o-0", text(same.get(0).getBody()));
        ack(topic, group, same.get(0));
        header.setAttemptId("attempt-2");
        header.setBornTime(System.currentTimeMillis());
        assertEquals(PopStatus.POLLING_NOT_FOUND, pop(header).getPopStatus());
        header.setPollTime(20_000);
        header.setBornTime(System.currentTimeMillis());
        CompletableFuture<PopResult> held = popLater(header);
        Thread.sleep(200);
        ack(topic, group, same.get(1));
        PopResult rest = held.get(10, TimeUnit.SECONDS);
        assertEquals(PopStatus.FOUND, rest.getPopStatus());
        assertEquals("o-2", text(rest.getMsgFoundList().get(0).getBody()));
    }

    @Test
    void badRequestsAreRefused() throws Exception {
        String topic = newTopic(1);
        String group = newGroup();
        assertEquals(17, code(POP_MESSAGE, popHeader(unique("missing"), group, 1, 60_000, 0)));
        assertEquals(29, code(POP_MESSAGE, popHeader(topic, group, 33, 60_000, 0)));
        PopMessageRequestHeader header = popHeader(topic, group, 1, 60_000, 0);
        header.setQueueId(1);
        assertEquals(29, code(POP_MESSAGE, header));
        header = popHeader(topic, group, 1, 60_000, 0);
        assertEquals(210, code(POP_MESSAGE, header));
        header.setBornTime(System.currentTimeMillis() - 10_000);
        assertEquals(210, code(POP_MESSAGE, header));
        producer().send(message(topic, "one"));
        MessageExt message = popAll(topic, group, 1, 60_000).get(0);
        AckMessageRequestHeader ack = ackHeader(topic, group, message);
        ack.setExtraInfo("garbage");
        assertEquals(1, code(ACK_MESSAGE, ack));
        ack = ackHeader(topic, group, message);
        ack.setOffset(5L);
        assertEquals(208, code(ACK_MESSAGE, ack));
        ack = ackHeader(topic, group, message);
        ack.setQueueId(7);
        assertEquals(13, code(ACK_MESSAGE, ack));
        ack = ackHeader(topic, group, message);
        ack.setTopic(unique("missing"));
        assertEquals(17, code(ACK_MESSAGE, ack));
        ack(topic, group, message);
        // Again, and with the handle of a pop long ago: accepted, as nothing can be said against it.
        ack(topic, group, message);
    }
}
