package crocket.e2e;

import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Transactional messages of which those with an even id are to be committed, the others rolled back.
 *
 * <pre>
 * leave=FIRST:COUNT   sends them undecided and goes away
 * own=ID upto=N       sends one that is committed at once, answers questions about the others, and waits until the topic holds
 *                     the even ids below N, each once, and nothing else; then waits whether more comes
 * </pre>
 *
 * <p>topic= group= for both; seconds=60 linger=8 for the second.
 */
public final class Transact implements TransactionListener {
    private final String topic;
    private final TransactionMQProducer producer;

    private Transact(Arguments arguments) throws Exception {
        topic = arguments.text("topic");
        producer = new TransactionMQProducer(arguments.text("group"));
        Target.connect(producer);
        producer.setSendMsgTimeout(30_000);
        producer.setTransactionListener(this);
        producer.start();
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int status = 1;
        try {
            Transact run = new Transact(arguments);
            String leave = arguments.text("leave", "");
            if (leave.isEmpty()) {
                run.decide(arguments);
            } else {
                run.leave(Long.parseLong(leave.split(":")[0]), Integer.parseInt(leave.split(":")[1]));
            }
            status = 0;
        } catch (Mismatch mismatch) {
            System.out.println(mismatch.getMessage());
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(status);
    }

    @Override
    public LocalTransactionState executeLocalTransaction(Message message, Object state) {
        return (LocalTransactionState) state;
    }

    @Override
    public LocalTransactionState checkLocalTransaction(MessageExt message) {
        return Body.verifiedId(message) % 2 == 0 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
    }

    private void send(long id, LocalTransactionState state) throws Exception {
        Message message = new Message(topic, Body.tagOf(id), Body.keyOf(id), Body.of(id));
        SendStatus status = producer.sendMessageInTransaction(message, state).getSendStatus();
        if (status != SendStatus.SEND_OK) {
            throw new Mismatch("half message " + id + ": " + status);
        }
    }

    private void leave(long first, int count) throws Exception {
        for (long id = first; id < first + count; id++) {
            send(id, LocalTransactionState.UNKNOW);
        }
        System.out.println("left " + count + " half messages undecided");
    }

    private void decide(Arguments arguments) throws Exception {
        Set<Long> expected = new TreeSet<>();
        for (long id = 0; id < arguments.number("upto"); id += 2) {
            expected.add(id);
        }
        send(arguments.number("own"), LocalTransactionState.COMMIT_MESSAGE);
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer("e2e_transact");
        Target.start(reader);
        long deadline = System.currentTimeMillis() + 1_000L * arguments.number("seconds", 60);
        while (!compare(expected, reader, System.currentTimeMillis() > deadline)) {
            Thread.sleep(200);
        }
        Thread.sleep(1_000L * arguments.number("linger", 8));
        compare(expected, reader, true);
        System.out.println(topic + " holds " + expected.size() + " committed messages, each once");
    }

    /** False: some are not there yet. */
    private boolean compare(Set<Long> expected, DefaultMQPullConsumer reader, boolean last) throws Exception {
        TreeMap<Long, MessageExt> found = new TreeMap<>();
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(topic)) {
            long end = reader.maxOffset(queue);
            long next = 0;
            while (next < end) {
                PullResult result = reader.pull(queue, "*", next, 32, 20_000);
                for (MessageExt message : result.getMsgFoundList()) {
                    long id = Body.verifiedId(message);
                    MessageExt other = found.put(id, message);
                    if (other != null || !expected.contains(id)) {
                        throw new Mismatch("message " + id + (other != null ? " came twice: " + other + " and " : " must not be there: ")
                            + message);
                    }
                }
                next = result.getNextBeginOffset();
            }
        }
        if (last && found.size() < expected.size()) {
            expected.removeAll(found.keySet());
            throw new Mismatch("not delivered: " + expected);
        }
        return found.size() == expected.size();
    }
}
