package crocket.e2e;

import java.util.Map;
import java.util.Properties;
import java.util.Queue;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * What clients see of a broker that rebuilds its lost consume queues: old messages can be read before that is over, what is not there yet
 * is waited for and corrects no offset, sends and questions about a queue's end are refused with the reason; afterwards all goes on.
 *
 * <p>old=TOPIC (at the begin of the log) oldAcked=FILE tail=TOPIC (at its end) tailAcked=FILE group=GROUP next=ID (of the message that is
 * sent to the tail when all is over).
 */
public final class ReadWhileRebuilding {
    private static final String KEY = "consumeQueueRebuild";
    private static final int REFUSED = 14;
    private static final long MINUTES_3 = 180_000;

    private final String old;
    private final String tail;
    private final Map<Integer, Long> oldEnds;
    private final Map<Integer, Long> tailEnds;
    private final DefaultMQPullConsumer reader = new DefaultMQPullConsumer("e2e_read_rebuilding");
    private final DefaultMQAdminExt admin = new DefaultMQAdminExt(10_000);
    private final DefaultMQProducer producer = new DefaultMQProducer("e2e_produce_rebuilding");
    private final Queue<MessageExt> pushed = new ConcurrentLinkedQueue<>();

    private ReadWhileRebuilding(Arguments arguments) throws Exception {
        old = arguments.text("old");
        tail = arguments.text("tail");
        oldEnds = ends(arguments.text("oldAcked"));
        tailEnds = ends(arguments.text("tailAcked"));
        Target.start(reader);
        Target.start(admin);
        Target.connect(producer);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int status = 1;
        try {
            new ReadWhileRebuilding(arguments).run(arguments.text("group"), arguments.number("next"));
            status = 0;
        } catch (Mismatch mismatch) {
            System.out.println(mismatch.getMessage());
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(status);
    }

    /** Where each queue of a topic ends. */
    private static Map<Integer, Long> ends(String acked) throws Exception {
        Map<Integer, Long> ends = new TreeMap<>();
        for (Acknowledged.Place place : new Acknowledged(acked).places.values()) {
            ends.merge(place.queueId, place.queueOffset + 1, Math::max);
        }
        return ends;
    }

    private String address() throws Exception {
        return admin.examineBrokerClusterInfo().getBrokerAddrTable().get(Target.BROKER).getBrokerAddrs().get(0L);
    }

    private String progress() throws Exception {
        return admin.fetchBrokerRuntimeStats(address()).getTable().get(KEY);
    }

    private void mustStillRebuild(String when) throws Exception {
        String progress = progress();
        if (progress == null || !progress.contains("%")) {
            throw new Mismatch("the rebuild was over " + when + ": nothing is shown by this (" + KEY + " is " + progress + ")");
        }
        System.out.println(when + ": " + progress);
    }

    private void run(String group, long next) throws Exception {
        mustStillRebuild("at the begin");
        DefaultMQPushConsumer consumer = consumeFromTheEnd(group);
        long read = 0;
        for (MessageQueue queue : new TreeSet<>(reader.fetchSubscribeMessageQueues(old))) {
            read += readQueue(queue, oldEnds.getOrDefault(queue.getQueueId(), 0L));
        }
        mustStillRebuild("after reading " + read + " old messages");
        waitsBehindTheEnd();
        refuses("a send", () -> producer.send(message(next)));
        refuses("a question for the end of a queue", () -> admin.maxOffset(new MessageQueue(tail, Target.BROKER, 0)));
        refuses("a search by time", () -> admin.searchOffset(new MessageQueue(tail, Target.BROKER, 0), System.currentTimeMillis()));
        mustStillRebuild("after what was refused");
        Properties fast = new Properties();
        fast.setProperty("rebuildMaxBytesPerSecond", "0");
        admin.updateBrokerConfig(address(), fast);
        for (long end = System.currentTimeMillis() + MINUTES_3; progress() != null;) {
            if (System.currentTimeMillis() > end) {
                throw new Mismatch("the rebuild does not end: " + progress());
            }
            Thread.sleep(200);
        }
        SendResult sent = sendSoon(next);
        long expected = tailEnds.getOrDefault(sent.getMessageQueue().getQueueId(), 0L);
        if (sent.getQueueOffset() != expected) {
            throw new Mismatch("the first message after the rebuild stands at " + sent.getQueueOffset() + " of " + sent.getMessageQueue()
                + " instead of " + expected);
        }
        for (long end = System.currentTimeMillis() + MINUTES_3; pushed.isEmpty() && System.currentTimeMillis() < end;) {
            Thread.sleep(50);
        }
        Thread.sleep(1000);
        if (pushed.size() != 1 || Body.verifiedId(pushed.peek()) != next) {
            throw new Mismatch("the group that had consumed all of " + tail + " got " + pushed.size() + " messages instead of the new one");
        }
        consumer.suspend();
        System.out.println("read " + read + " messages while queues were rebuilt; sends were refused until then");
    }

    /** A group that has consumed everything: it must not be sent back. */
    private DefaultMQPushConsumer consumeFromTheEnd(String group) throws Exception {
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(tail)) {
            admin.updateConsumeOffset(address(), group, queue, tailEnds.getOrDefault(queue.getQueueId(), 0L));
        }
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        Target.connect(consumer);
        consumer.subscribe(tail, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            pushed.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private long readQueue(MessageQueue queue, long end) throws Exception {
        long next = 0;
        while (next < end) {
            PullResult result = reader.pull(queue, "*", next, 32, 20_000);
            if (result.getPullStatus() == PullStatus.NO_NEW_MSG && result.getNextBeginOffset() == next) {
                Thread.sleep(20);
                continue;
            }
            if (result.getPullStatus() != PullStatus.FOUND) {
                throw new Mismatch("pulling " + queue + " at " + next + " of " + end + ": " + result);
            }
            for (MessageExt message : result.getMsgFoundList()) {
                if (message.getQueueOffset() != next) {
                    throw new Mismatch("expected offset " + next + " of " + queue + ", found " + message);
                }
                Body.verifiedId(message);
                next++;
            }
        }
        return next;
    }

    private void waitsBehindTheEnd() throws Exception {
        for (Map.Entry<Integer, Long> queue : tailEnds.entrySet()) {
            PullResult result = reader.pull(new MessageQueue(tail, Target.BROKER, queue.getKey()), "*", queue.getValue() - 1, 32, 20_000);
            if (result.getPullStatus() != PullStatus.NO_NEW_MSG || result.getNextBeginOffset() != queue.getValue() - 1) {
                throw new Mismatch("a pull of what is not rebuilt yet, queue " + queue + ": " + result);
            }
        }
    }

    private interface Request {
        void send() throws Exception;
    }

    private static void refuses(String what, Request request) {
        try {
            request.send();
        } catch (Exception e) {
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause.toString().contains("CODE: " + REFUSED) && cause.toString().contains("being rebuilt")) {
                    return;
                }
            }
            throw new Mismatch(what + " was refused otherwise: " + e);
        }
        throw new Mismatch(what + " was not refused while queues were rebuilt");
    }

    private Message message(long id) {
        return new Message(tail, Body.tagOf(id), Body.keyOf(id), Body.of(id));
    }

    /** The services behind the queues start when these are whole: moments later. */
    private SendResult sendSoon(long id) throws Exception {
        for (int attempt = 0; ; attempt++) {
            try {
                return producer.send(message(id));
            } catch (Exception e) {
                if (attempt == 50) {
                    throw e;
                }
                Thread.sleep(100);
            }
        }
    }
}
