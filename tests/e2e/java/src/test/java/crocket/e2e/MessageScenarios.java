package crocket.e2e;

import static crocket.e2e.ClientTest.bytes;
import static crocket.e2e.ClientTest.eventually;
import static crocket.e2e.ClientTest.message;
import static crocket.e2e.ClientTest.newTopic;
import static crocket.e2e.ClientTest.producer;
import static crocket.e2e.ClientTest.queue;
import static crocket.e2e.ClientTest.readAll;
import static crocket.e2e.ClientTest.sendNumbered;
import static crocket.e2e.ClientTest.sortedBodies;
import static crocket.e2e.ClientTest.text;
import static crocket.e2e.ClientTest.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Kinds of messages over a restart: delayed, timed, transactional, batches, questions and answers. */
final class MessageScenarios {
    private MessageScenarios() {
    }

    static List<FeaturesOverRestart.Scenario> all(FeaturesOverRestart test) {
        return List.of(new Delayed(), new Timed(), new Transactional(test), new Batches(), new RequestReply(test));
    }

    /** All of the bodies, each once unless repeats are allowed. */
    static void expectBodies(List<String> bodies, String topic) throws Exception {
        if (FeaturesOverRestart.exactlyOnce()) {
            assertEquals(ClientTest.sorted(bodies), sortedBodies(readAll(topic, bodies.size())));
            return;
        }
        eventually("the messages of " + topic, () -> stored(topic) >= bodies.size());
        Thread.sleep(1_000);
        Set<String> found = new HashSet<>();
        readAll(topic, (int) stored(topic)).forEach(m -> found.add(text(m.getBody())));
        assertEquals(new HashSet<>(bodies), found);
    }

    static long stored(String topic) throws Exception {
        long count = 0;
        for (int i = 0; i < 2; i++) {
            count += ClientTest.admin().maxOffset(queue(topic, i));
        }
        return count;
    }

    /** 5 levels of which all are due after the restart. */
    private static final class Delayed extends FeaturesOverRestart.Scenario {
        private final List<String> bodies = new ArrayList<>();
        private String topic;
        private long sentAt;

        Delayed() {
            super("delay levels");
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            sentAt = System.currentTimeMillis();
            for (int i = 0; i < 20; i++) {
                Message message = message(topic, "delayed-" + i);
                message.setDelayTimeLevel(4);
                bodies.add("delayed-" + i);
                producer().send(message, queue(topic, i % 2));
            }
        }

        @Override
        void after() throws Exception {
            expectBodies(bodies, topic);
            for (MessageExt message : readAll(topic, (int) stored(topic))) {
                assertTrue(message.getStoreTimestamp() >= sentAt + 29_000, "30 s after " + sentAt + ": " + message);
                assertEquals("4", message.getProperty("DELAY"));
            }
        }
    }

    /** Times before, during and after the restart; some are recalled before it. */
    private static final class Timed extends FeaturesOverRestart.Scenario {
        private final List<String> bodies = new ArrayList<>();
        private final Map<String, Long> due = new HashMap<>();
        private String topic;

        Timed() {
            super("times of delivery and recall");
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            List<String> handles = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                String body = "timed-" + i;
                Message message = message(topic, body);
                due.put(body, System.currentTimeMillis() + 4_000 + i * 1_000L);
                message.setDeliverTimeMs(due.get(body));
                SendResult sent = producer().send(message, queue(topic, i % 2));
                if (i >= 35) {
                    handles.add(sent.getRecallHandle());
                } else {
                    bodies.add(body);
                }
            }
            for (String handle : handles) {
                assertNotNull(producer().recallMessage(topic, handle));
            }
            Thread.sleep(1_500);
        }

        @Override
        void after() throws Exception {
            eventually("the timed messages", () -> stored(topic) >= bodies.size());
            eventually("the time of those that were recalled", () -> System.currentTimeMillis() > due.get("timed-39") + 3_000);
            expectBodies(bodies, topic);
            for (MessageExt message : readAll(topic, (int) stored(topic))) {
                long early = due.get(text(message.getBody())) - message.getStoreTimestamp();
                assertTrue(early <= 0, early + " ms early: " + message);
            }
        }
    }

    /** Decided before, decided after, and decided when asked after. */
    private static final class Transactional extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private final List<String> bodies = new ArrayList<>();
        private volatile boolean decided;
        private TransactionMQProducer producer;
        private String topic;

        Transactional(FeaturesOverRestart test) {
            super("transactions");
            this.test = test;
        }

        private void send(String body, LocalTransactionState state) throws Exception {
            producer.sendMessageInTransaction(message(topic, body), state);
            if (state != LocalTransactionState.ROLLBACK_MESSAGE) {
                bodies.add(body);
            }
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            producer = new TransactionMQProducer(unique("tx"));
            Target.connect(producer);
            producer.setSendMsgTimeout(15_000);
            producer.setTransactionListener(new TransactionListener() {
                @Override
                public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                    return (LocalTransactionState) argument;
                }

                @Override
                public LocalTransactionState checkLocalTransaction(MessageExt message) {
                    return !decided ? LocalTransactionState.UNKNOW
                        : text(message.getBody()).startsWith("lost") ? LocalTransactionState.ROLLBACK_MESSAGE
                            : LocalTransactionState.COMMIT_MESSAGE;
                }
            });
            producer.start();
            test.closeLater(producer::shutdown);
            for (int i = 0; i < 10; i++) {
                send("committed-" + i, LocalTransactionState.COMMIT_MESSAGE);
                send("lost-" + i, LocalTransactionState.ROLLBACK_MESSAGE);
                send("asked-" + i, LocalTransactionState.UNKNOW);
            }
            eventually("the commits", () -> stored(topic) >= 10);
            // Java's broker notes down what was decided some time later, and asks again about what it has not.
            Thread.sleep(1_500);
        }

        @Override
        void after() throws Exception {
            decided = true;
            send("committed-late", LocalTransactionState.COMMIT_MESSAGE);
            expectBodies(bodies, topic);
        }
    }

    private static final class Batches extends FeaturesOverRestart.Scenario {
        private final List<String> bodies = new ArrayList<>();
        private String topic;

        Batches() {
            super("batches");
        }

        private void send(String prefix) throws Exception {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                bodies.add(prefix + i);
                batch.add(message(topic, prefix + i));
            }
            producer().send(batch, queue(topic, 1));
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            send("first-");
        }

        @Override
        void after() throws Exception {
            send("second-");
            assertEquals(ClientTest.sorted(bodies), sortedBodies(readAll(topic, 20)));
        }
    }

    /** Requester and service stay connected. */
    private static final class RequestReply extends FeaturesOverRestart.Scenario {
        private final FeaturesOverRestart test;
        private DefaultMQProducer requester;
        private String topic;

        RequestReply(FeaturesOverRestart test) {
            super("questions and answers");
            this.test = test;
        }

        private void ask(String question) throws Exception {
            CompletableFuture<Message> answer = RequestReplyTest.request(requester, message(topic, question), 40_000);
            assertEquals("answer to " + question, text(answer.get(60, TimeUnit.SECONDS).getBody()));
        }

        @Override
        void before() throws Exception {
            topic = newTopic(2);
            requester = test.newProducer();
            DefaultMQProducer replies = test.newProducer();
            DefaultMQPushConsumer service = test.newPushConsumer(unique("service"));
            service.subscribe(topic, "*");
            service.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt question : messages) {
                    try {
                        replies.send(MessageUtil.createReplyMessage(question, bytes("answer to " + text(question.getBody()))), 5_000);
                    } catch (Exception e) {
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            service.start();
            ask("before");
        }

        @Override
        void after() throws Exception {
            // The heartbeat that tells the broker where the requester is comes within 30 s.
            requester.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
            ask("after");
        }
    }
}
