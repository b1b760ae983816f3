package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.junit.jupiter.api.Test;

/** Transactional messages. The server searches for undecided ones every 2 s (parts/java.sh). */
class TransactionTest extends ClientTest {
    private static final String HALF_TOPIC = "RMQ_SYS_TRANS_HALF_TOPIC";

    /** Says at once what the argument of the send says, and what it was taught when it is asked later. */
    private static final class Decisions implements TransactionListener {
        final Map<String, LocalTransactionState> later = new ConcurrentHashMap<>();
        final Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
        volatile MessageExt lastAsked;

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return (LocalTransactionState) argument;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            lastAsked = message;
            asked.computeIfAbsent(text(message.getBody()), body -> new AtomicInteger()).incrementAndGet();
            return later.getOrDefault(text(message.getBody()), LocalTransactionState.UNKNOW);
        }

        int timesAsked(String body) {
            return asked.containsKey(body) ? asked.get(body).get() : 0;
        }
    }

    private TransactionMQProducer start(String group, Decisions decisions) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        Target.connect(producer);
        producer.setInstanceName(unique("instance"));
        producer.setSendMsgTimeout(15_000);
        producer.setTransactionListener(decisions);
        producer.start();
        closeLater(producer::shutdown);
        return producer;
    }

    private static TransactionSendResult send(TransactionMQProducer producer, String topic, String body, LocalTransactionState state)
        throws Exception {
        return producer.sendMessageInTransaction(message(topic, body), state);
    }

    @Test
    void commitDeliversAndRollbackDoesNot() throws Exception {
        String topic = newTopic(4);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = start(unique("producer"), decisions);
        List<String> committed = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            boolean commit = i % 2 == 0;
            Message message = new Message(topic, "tag", "key" + i, bytes("body-" + i));
            message.putUserProperty("number", String.valueOf(i));
            TransactionSendResult result = producer.sendMessageInTransaction(message,
                commit ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE);
            assertEquals(SendStatus.SEND_OK, result.getSendStatus());
            assertEquals(topic, result.getMessageQueue().getTopic());
            assertEquals(result.getMsgId(), result.getTransactionId());
            if (commit) {
                committed.add("body-" + i);
            }
        }
        List<MessageExt> found = readAll(topic, committed.size());
        assertEquals(sorted(committed), sortedBodies(found));
        for (MessageExt message : found) {
            assertEquals("tag", message.getTags());
            assertEquals("key" + message.getProperty("number"), message.getKeys());
            assertEquals(MessageSysFlag.TRANSACTION_COMMIT_TYPE, MessageSysFlag.getTransactionValue(message.getSysFlag()));
            assertTrue(message.getPreparedTransactionOffset() < message.getCommitLogOffset());
            assertEquals(topic, message.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
            assertEquals("true", message.getProperty(MessageConst.PROPERTY_TRANSACTION_PREPARED));
            assertEquals(message.getMsgId(), message.getProperty("__transactionId__"));
        }
        // Nobody is asked about what is decided, however long one waits.
        Thread.sleep(8_000);
        assertEquals(0, decisions.asked.size());
        readAll(topic, committed.size());
    }

    @Test
    void undecidedMessagesAreAskedAboutUntilTheyAreDecided() throws Exception {
        String topic = newTopic(1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = start(unique("producer"), decisions);
        TransactionSendResult kept = send(producer, topic, "commit me", LocalTransactionState.UNKNOW);
        send(producer, topic, "forget me", LocalTransactionState.UNKNOW);
        eventually("two questions about each",
            () -> decisions.timesAsked("commit me") >= 2 && decisions.timesAsked("forget me") >= 2);
        MessageExt asked = decisions.lastAsked;
        assertEquals(topic, asked.getTopic());
        assertEquals(0, asked.getQueueId());
        assertTrue(Integer.parseInt(asked.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES)) >= 1);
        assertEquals(0, readAll(topic, 0).size());
        decisions.later.put("forget me", LocalTransactionState.ROLLBACK_MESSAGE);
        decisions.later.put("commit me", LocalTransactionState.COMMIT_MESSAGE);
        MessageExt message = readAll(topic, 1).get(0);
        assertEquals("commit me", text(message.getBody()));
        assertEquals(kept.getMsgId(), message.getMsgId());
        int before = decisions.timesAsked("commit me");
        Thread.sleep(8_000);
        assertEquals(before, decisions.timesAsked("commit me"));
        readAll(topic, 1);
    }

    @Test
    void anotherProducerOfTheGroupIsAsked() throws Exception {
        String topic = newTopic(1);
        String group = unique("producer");
        TransactionMQProducer first = start(group, new Decisions());
        assertEquals(SendStatus.SEND_OK, send(first, topic, "orphan", LocalTransactionState.UNKNOW).getSendStatus());
        first.shutdown();
        Decisions decisions = new Decisions();
        decisions.later.put("orphan", LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer second = start(group, decisions);
        // A producer is known to the broker once it has sent there.
        send(second, topic, "own", LocalTransactionState.COMMIT_MESSAGE);
        assertEquals(sorted(List.of("own", "orphan")), sortedBodies(readAll(topic, 2)));
        assertNotNull(decisions.lastAsked);
    }

    @Test
    void ownTimeBeforeTheFirstQuestion() throws Exception {
        String topic = newTopic(1);
        Decisions decisions = new Decisions();
        decisions.later.put("patient", LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer producer = start(unique("producer"), decisions);
        Message message = message(topic, "patient");
        message.putUserProperty(MessageConst.PROPERTY_CHECK_IMMUNITY_TIME_IN_SECONDS, "9");
        long begin = System.currentTimeMillis();
        producer.sendMessageInTransaction(message, LocalTransactionState.UNKNOW);
        MessageExt found = readAll(topic, 1).get(0);
        assertTrue(System.currentTimeMillis() - begin >= 8_900, "asked too early");
        assertEquals("patient", text(found.getBody()));
        assertEquals(1, decisions.timesAsked("patient"));
    }

    @Test
    void halfMessagesLieInTheirOwnTopic() throws Exception {
        String topic = newTopic(2);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = start(unique("producer"), decisions);
        TransactionSendResult sent = send(producer, topic, "hidden", LocalTransactionState.UNKNOW);
        CompletableFuture<MessageExt> indexed = new CompletableFuture<>();
        eventually("an index entry", () -> {
            try {
                return indexed.complete(admin().queryMessage(Target.CLUSTER, HALF_TOPIC, sent.getMsgId()));
            } catch (MQClientException e) {
                return false;
            }
        });
        MessageExt half = indexed.get();
        assertEquals(HALF_TOPIC, half.getTopic());
        assertEquals(topic, half.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
        assertEquals(String.valueOf(sent.getMessageQueue().getQueueId()), half.getProperty(MessageConst.PROPERTY_REAL_QUEUE_ID));
        assertEquals(0, MessageSysFlag.getTransactionValue(half.getSysFlag()));
        assertEquals(0, readAll(topic, 0).size());
        decisions.later.put("hidden", LocalTransactionState.ROLLBACK_MESSAGE);
        eventually("the question", () -> decisions.timesAsked("hidden") >= 1);
    }
}
