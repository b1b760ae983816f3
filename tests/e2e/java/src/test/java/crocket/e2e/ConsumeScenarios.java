package crocket.e2e;

import static crocket.e2e.ClientTest.admin;
import static crocket.e2e.ClientTest.bytes;
import static crocket.e2e.ClientTest.deadLetters;
import static crocket.e2e.ClientTest.eventually;
import static crocket.e2e.ClientTest.message;
import static crocket.e2e.ClientTest.newTopic;
import static crocket.e2e.ClientTest.producer;
import static crocket.e2e.ClientTest.queue;
import static crocket.e2e.ClientTest.readAll;
import static crocket.e2e.ClientTest.sendNumbered;
import static crocket.e2e.ClientTest.text;
import static crocket.e2e.ClientTest.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** Ways of consuming over a restart: ordered, with retries, popped, filtered, lite pull. */
final class ConsumeScenarios {
    private ConsumeScenarios() {
    }

    static List<FeaturesOverRestart.Scenario> all(FeaturesOverRestart test) {
        return List.of(new Ordered(test), new Retries(test), new DeadLetters(test), new Popped(test), new PoppedInOrder(test),
            new PopMode(test), new Filtered(test), new LitePull(test));
    }

    /** Everything sent has come, each once unless repeats are allowed. */
    static void expectAll(Received received, List<String> bodies) throws Exception {
        if (FeaturesOverRestart.exactlyOnce()) {
            received.expectExactly(bodies);
            return;
        }
        Set<String> expected = new HashSet<>(bodies);
        eventually("all of " + expected.size() + " messages", () -> {
            Set<String> got = new HashSet<>();
            received.snapshot().forEach(m -> got.add(text(m.getBody())));
            return got.containsAll(expected);
        });
    }

    /** A consumer is in the middle of its queues when the server goes: none of them is reordered, nothing is passed over. */
    private static final class Ordered extends FeaturesOverRestart.Scenario {
        private static final int QUEUES = 4;
        private final FeaturesOverRestart test;
        private final Received received = new Received();
        private final List<String> bodies = new ArrayList<>();
        private volatile boolean open;
        private String topic;

        Ordered(FeaturesOverRestart test) {
            super("ordered consumption");
            this.test = test;
        }

        private void send(int count) throws Exception {
            for (int i = 0; i < count; i++) {
                String body = "order-" + bodies.size();
                producer().send(message(topic, body), (queues, message, key) -> queues.get((Integer) key % queues.size()), i);
                bodies.add(body);
            }
        }

        @Override
        void before() throws Exception {
            topic = newTopic(QUEUES);
            send(80);
            DefaultMQPushConsumer consumer = test.newPushConsumer(unique("ordered"));
            consumer.setSuspendCurrentQueueTimeMillis(200);
            consumer.setMaxReconsumeTimes(-1);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                if (!open && messages.get(0).getQueueOffset() >= 10) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                received.addAll(messages);
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            eventually("half of the messages", () -> received.count() >= 40);
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        }

        @Override
        void after() throws Exception {
            open = true;
            send(80);
            expectAll(received, bodies);
            Map<Integer, Long> next = new HashMap<>();
            for (MessageExt message : received.snapshot()) {
                long expected = next.getOrDefault(message.getQueueId(), 0L);
                assertTrue(message.getQueueOffset() <= expected, "passed over " + expected + " of queue " + message.getQueueId());
                next.put(message.getQueueId(), message.getQueueOffset() + 1);
            }
        }
    }

    /** Refused before, accepted after: it has been tried before, and comes once more for each refusal. */
    private static final class Retries extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final Received refused = new Received();
        private final Received accepted = new Received();
        private volatile boolean open;
        private List<String> bodies;

        Retries(FeaturesOverRestart test) {
            super("messages to be tried again");
            this.test = test;
        }

        @Override
        void before() throws Exception {
            String topic = newTopic(2);
            bodies = sendNumbered(topic, 2, "again", 10);
            DefaultMQPushConsumer consumer = test.newPushConsumer(unique("retries"));
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                context.setDelayLevelWhenNextConsume(4);
                (open ? accepted : refused).addAll(messages);
                return open ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
            consumer.start();
            eventually("all refused once", () -> refused.count() >= 10);
            Thread.sleep(1_000);
        }

        @Override
        void after() throws Exception {
            open = true;
            expectAll(accepted, bodies);
            for (MessageExt message : accepted.snapshot()) {
                assertTrue(message.getReconsumeTimes() >= 1, "not tried before: " + message);
            }
        }
    }

    private static final class DeadLetters extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final String group = unique("dead");
        private final Received received = new Received();
        private String topic;

        DeadLetters(FeaturesOverRestart test) {
            super("dead letters");
            this.test = test;
        }

        @Override
        void before() throws Exception {
            topic = newTopic(1);
            sendNumbered(topic, 1, "dead", 3);
            DefaultMQPushConsumer consumer = test.newPushConsumer(group);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                context.setDelayLevelWhenNextConsume(-1);
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
            consumer.start();
            eventually("all refused", () -> received.count() >= 3);
            eventually("the dead letters", () -> deadLetters(group) >= 3);
        }

        @Override
        void after() throws Exception {
            List<MessageExt> dead = new ArrayList<>();
            DefaultLitePullConsumer reader = new DefaultLitePullConsumer(unique("undertaker"));
            Target.connect(reader);
            reader.setAutoCommit(false);
            // No seek: one right behind the assignment can be taken by the pull that it cancels, and is lost then.
            reader.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            reader.start();
            test.closeLater(reader::shutdown);
            reader.assign(List.of(queue("%DLQ%" + group, 0)));
            eventually("three dead letters", () -> {
                dead.addAll(reader.poll(1_000));
                return dead.size() >= 3;
            });
            for (MessageExt message : dead) {
                assertEquals(topic, message.getProperty(MessageConst.PROPERTY_RETRY_TOPIC));
                assertEquals(1, message.getReconsumeTimes());
            }
        }
    }

    /** Of six popped messages two are acknowledged, one after its time was changed; the others come again. */
    private static final class Popped extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final Set<String> left = new HashSet<>();
        private PopRequests pops;
        private String topic;
        private String group;
        private MessageExt late;

        Popped(FeaturesOverRestart test) {
            super("pops under way");
            this.test = test;
        }

        @Override
        void before() throws Exception {
            pops = new PopRequests();
            test.closeLater(pops::shutdown);
            topic = newTopic(1);
            group = ClientTest.newGroup();
            sendNumbered(topic, 1, "p", 6);
            List<MessageExt> popped = pops.popAll(topic, group, 6, 60_000);
            pops.ack(topic, group, popped.get(0));
            MessageAccessor.putProperty(popped.get(1), MessageConst.PROPERTY_POP_CK, pops.change(topic, group, popped.get(1), 5_000));
            pops.ack(topic, group, popped.get(1));
            pops.change(topic, group, popped.get(2), 5_000);
            for (MessageExt message : popped.subList(2, 6)) {
                left.add(text(message.getBody()));
            }
            producer().send(message(topic, "p-6"));
            late = pops.popAll(topic, group, 1, 300_000).get(0);
        }

        @Override
        void after() throws Exception {
            // The handle is still good.
            pops.ack(topic, group, late);
            Set<String> wanted = new HashSet<>(left);
            eventually("the others come again: " + wanted, () -> {
                PopResult result = pops.pop(PopRequests.popHeader(topic, group, 32, 60_000, 2_000));
                if (result.getPopStatus() == PopStatus.FOUND) {
                    for (MessageExt message : result.getMsgFoundList()) {
                        String body = text(message.getBody());
                        boolean expected = left.remove(body);
                        assertTrue(expected || !FeaturesOverRestart.exactlyOnce(), "popped again: " + body);
                        pops.ack(topic, group, message);
                    }
                }
                return left.isEmpty();
            }, 120_000);
            if (FeaturesOverRestart.exactlyOnce()) {
                pops.expectNothing(topic, group, 3_000);
            }
        }
    }

    /** What an attempt holds stays held; nothing behind it is given before. */
    private static final class PoppedInOrder extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private PopRequests pops;
        private String topic;
        private String group;

        PoppedInOrder(FeaturesOverRestart test) {
            super("ordered pops under way");
            this.test = test;
        }

        private PopResult pop(String attempt) throws Exception {
            PopMessageRequestHeader header = PopRequests.popHeader(topic, group, 2, 90_000, 300);
            header.setOrder(true);
            header.setAttemptId(attempt);
            return pops.pop(header);
        }

        @Override
        void before() throws Exception {
            pops = new PopRequests();
            test.closeLater(pops::shutdown);
            topic = newTopic(1);
            group = ClientTest.newGroup();
            sendNumbered(topic, 1, "o", 4);
            eventually("the first two", () -> pop("one").getPopStatus() == PopStatus.FOUND);
            // Java's broker saves what is under way every five seconds.
            Thread.sleep(6_000);
        }

        @Override
        void after() throws Exception {
            // Java's broker has forgotten who holds them, and gives them to anybody; but it gives nothing else.
            PopResult other = pop("two");
            String owner = other.getPopStatus() == PopStatus.FOUND ? "two" : "one";
            PopResult same = owner.equals("two") ? other : pop("one");
            assertEquals(PopStatus.FOUND, same.getPopStatus());
            assertEquals("o-0", text(same.getMsgFoundList().get(0).getBody()));
            assertEquals("o-1", text(same.getMsgFoundList().get(1).getBody()));
            pops.ack(topic, group, same.getMsgFoundList().get(1));
            assertEquals(PopStatus.POLLING_NOT_FOUND, pop("three").getPopStatus());
            pops.ack(topic, group, same.getMsgFoundList().get(0));
            PopResult rest = pop("three");
            assertEquals(PopStatus.FOUND, rest.getPopStatus());
            assertEquals("o-2", text(rest.getMsgFoundList().get(0).getBody()));
        }
    }

    /** The mode of a group is remembered, and its push consumer goes on popping. */
    private static final class PopMode extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final Received received = new Received();
        private List<String> bodies;
        private String topic;

        PopMode(FeaturesOverRestart test) {
            super("a push consumer in pop mode");
            this.test = test;
        }

        @Override
        void before() throws Exception {
            PopRequests pops = new PopRequests();
            test.closeLater(pops::shutdown);
            String group = ClientTest.newGroup();
            topic = newTopic(2);
            admin().setMessageRequestMode(pops.broker, topic, group, MessageRequestMode.POP, 0, 10_000);
            DefaultMQPushConsumer consumer = test.newPushConsumer(group);
            consumer.setClientRebalance(false);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            bodies = sendNumbered(topic, 2, "before", 20);
            expectAll(received, bodies);
        }

        @Override
        void after() throws Exception {
            bodies.addAll(sendNumbered(topic, 2, "after", 20));
            expectAll(received, bodies);
            for (MessageExt message : received.snapshot()) {
                assertTrue(message.getProperty(MessageConst.PROPERTY_POP_CK) != null, "not popped: " + message);
            }
        }
    }

    /** Consumers by tag and by SQL92 that stay connected. */
    private static final class Filtered extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final Received tagged = new Received();
        private final Received selected = new Received();
        private final List<String> even = new ArrayList<>();
        private final List<String> large = new ArrayList<>();
        private String topic;

        Filtered(FeaturesOverRestart test) {
            super("filters by tag and SQL92");
            this.test = test;
        }

        private void consume(Received received, MessageSelector selector) throws Exception {
            DefaultMQPushConsumer consumer = test.newPushConsumer(unique("filtered"));
            consumer.subscribe(topic, selector);
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                received.addAll(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
        }

        private void send(String prefix) throws Exception {
            for (int i = 0; i < 20; i++) {
                String body = prefix + i;
                Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", bytes(body));
                message.putUserProperty("n", Integer.toString(i));
                producer().send(message);
                if (i % 2 == 0) {
                    even.add(body);
                }
                if (i >= 15) {
                    large.add(body);
                }
            }
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            consume(tagged, MessageSelector.byTag("even"));
            consume(selected, MessageSelector.bySql("n >= 15 AND TAGS IS NOT NULL"));
            send("before-");
            expectAll(tagged, even);
            expectAll(selected, large);
        }

        @Override
        void after() throws Exception {
            send("after-");
            expectAll(tagged, even);
            expectAll(selected, large);
        }
    }

    /** Its position is kept, and it goes on by itself. */
    private static final class LitePull extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final Received received = new Received();
        private DefaultLitePullConsumer consumer;
        private List<String> bodies;
        private String topic;

        LitePull(FeaturesOverRestart test) {
            super("lite pull");
            this.test = test;
        }

        private void poll() throws Exception {
            eventually("all messages", () -> {
                received.addAll(consumer.poll(500));
                return received.count() >= bodies.size();
            });
            consumer.commit();
            expectAll(received, bodies);
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            consumer = new DefaultLitePullConsumer(unique("lite"));
            Target.connect(consumer);
            consumer.setConsumeFromWhere(org.apache.rocketmq.common.consumer.ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe(topic, "*");
            consumer.start();
            test.closeLater(consumer::shutdown);
            bodies = sendNumbered(topic, 2, "before", 20);
            poll();
        }

        @Override
        void after() throws Exception {
            bodies.addAll(sendNumbered(topic, 2, "after", 20));
            poll();
            assertEquals(40, readAll(topic, 40).size());
        }
    }
}
