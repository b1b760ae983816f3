package crocket.e2e;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * A batch topic and light message queues for the scripts that stop servers. Messages have numbers, and every number's place can be
 * computed: message n of the batch topic stands at queue offset n, in batches of 1 to 7; message n of the parent topic stands in the light
 * queues of its remainders by 2, 3 and 50.
 *
 * <pre>
 * create=true                 makes both topics
 * produce=COUNT first=N       sends messages N .. N + COUNT - 1 to both
 * check=UPTO                  expects exactly the messages 0 .. UPTO - 1 in both, in order
 * commit=OFFSET               a light group commits that offset in one queue
 * committed=OFFSET            ... and has it
 * </pre>
 */
public final class Streams {
    private static final String BATCHES = "stream_batches";
    private static final String PARENT = "stream_parent";
    private static final int[] DIVISORS = {2, 3, 50};

    private final DefaultMQAdminExt admin = new DefaultMQAdminExt(20_000);
    private final DefaultMQPullConsumer reader = new DefaultMQPullConsumer("%LMQ%stream_group");

    private Streams() throws Exception {
        Target.connect(admin);
        admin.start();
    }

    public static void main(String[] args) throws Exception {
        int status = 1;
        try {
            Arguments arguments = new Arguments(args);
            Streams program = new Streams();
            if (!arguments.text("create", "").isEmpty()) {
                program.create();
            }
            if (arguments.number("produce", 0) > 0) {
                program.produce(arguments.number("first", 0), arguments.number("produce"));
            }
            program.startReader();
            if (arguments.number("check", -1) >= 0) {
                program.checkBatches(arguments.number("check"));
                program.checkLight(arguments.number("check"));
            }
            MessageQueue queue = light(2, 0);
            if (arguments.number("commit", -1) >= 0) {
                program.reader.updateConsumeOffset(queue, arguments.number("commit"));
                program.reader.getDefaultMQPullConsumerImpl().getOffsetStore().persist(queue);
                program.reader.getDefaultMQPullConsumerImpl().getOffsetStore().persistAll(new HashSet<>(Arrays.asList(queue)));
                // It is sent one way, and perhaps not yet.
                for (int i = 0; i < 500 && program.reader.fetchConsumeOffset(queue, true) != arguments.number("commit"); i++) {
                    Thread.sleep(20);
                }
            }
            if (arguments.number("committed", -1) >= 0) {
                long found = program.reader.fetchConsumeOffset(queue, true);
                if (found != arguments.number("committed")) {
                    throw new Mismatch("the light group stands at " + found);
                }
            }
            System.out.println("as expected");
            status = 0;
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        System.out.flush();
        Runtime.getRuntime().halt(status);
    }

    private static MessageQueue light(int divisor, int remainder) {
        return new MessageQueue("%LMQ%by" + divisor + "_" + remainder, Target.BROKER, 0);
    }

    private void create() throws Exception {
        String address = admin.examineBrokerClusterInfo().getBrokerAddrTable().get(Target.BROKER).getBrokerAddrs().get(0L);
        TopicConfig batches = new TopicConfig(BATCHES, 1, 1);
        batches.getAttributes().put("+queue.type", "BatchCQ");
        admin.createAndUpdateTopicConfig(address, batches);
        admin.createAndUpdateTopicConfig(address, new TopicConfig(PARENT, 1, 1));
        for (String topic : new String[] {BATCHES, PARENT}) {
            for (int attempt = 0; ; attempt++) {
                try {
                    admin.examineTopicRouteInfo(topic);
                    break;
                } catch (Exception e) {
                    if (attempt == 200) {
                        throw e;
                    }
                    Thread.sleep(50);
                }
            }
        }
    }

    private static Message message(String topic, long n) {
        return new Message(topic, Body.tagOf(n), Body.keyOf(n), Body.of(n));
    }

    private void produce(long first, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("stream_producer");
        Target.connect(producer);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        for (long n = first; n < first + count; ) {
            List<Message> batch = new ArrayList<>();
            for (long end = Math.min(first + count, n + 1 + n % 7); n < end; n++) {
                batch.add(message(BATCHES, n));
            }
            SendResult result = producer.send(batch, new MessageQueue(BATCHES, Target.BROKER, 0));
            if (result.getQueueOffset() != n - batch.size()) {
                throw new Mismatch("the batch in front of message " + n + " got " + result);
            }
        }
        for (long n = first; n < first + count; n++) {
            Message message = message(PARENT, n);
            StringBuilder names = new StringBuilder();
            for (int divisor : DIVISORS) {
                names.append(names.length() == 0 ? "" : ",").append(light(divisor, (int) (n % divisor)).getTopic());
            }
            message.putUserProperty(MessageConst.PROPERTY_INNER_MULTI_DISPATCH, names.toString());
            producer.send(message, new MessageQueue(PARENT, Target.BROKER, 0));
        }
    }

    private void startReader() throws Exception {
        Target.connect(reader);
        reader.setRegisterTopics(new HashSet<>(Arrays.asList(PARENT)));
        reader.start();
        reader.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().updateTopicRouteInfoFromNameServer(PARENT);
        reader.fetchSubscribeMessageQueues(BATCHES);
    }

    /** The broker's queues may be a moment behind its log. */
    private void expectEnd(MessageQueue queue, long end) throws Exception {
        for (int attempt = 0; reader.maxOffset(queue) != end; attempt++) {
            if (attempt == 100) {
                throw new Mismatch(queue + " ends at " + reader.maxOffset(queue) + ", not " + end);
            }
            Thread.sleep(50);
        }
        if (reader.minOffset(queue) > 0) {
            throw new Mismatch(queue + " begins at " + reader.minOffset(queue));
        }
    }

    private interface Expectation {
        void check(long at, MessageExt message);
    }

    private void readAll(MessageQueue queue, long end, Expectation expectation) throws Exception {
        expectEnd(queue, end);
        long next = 0;
        while (next < end) {
            PullResult result = reader.pull(queue, "*", next, 32, 20_000);
            if (result.getPullStatus() != PullStatus.FOUND) {
                throw new Mismatch("pulling " + queue + " at " + next + " of " + end + ": " + result);
            }
            for (MessageExt message : result.getMsgFoundList()) {
                expectation.check(next++, message);
            }
            if (result.getNextBeginOffset() != next) {
                throw new Mismatch(queue + " goes on at " + result.getNextBeginOffset() + ", not at " + next);
            }
        }
    }

    private void checkBatches(int upTo) throws Exception {
        readAll(new MessageQueue(BATCHES, Target.BROKER, 0), upTo, (at, message) -> {
            if (Body.verifiedId(message) != at || message.getQueueOffset() != at) {
                throw new Mismatch("at " + at + " of the batch topic: " + message);
            }
        });
    }

    private void checkLight(int upTo) throws Exception {
        for (int divisor : DIVISORS) {
            for (int remainder = 0; remainder < divisor; remainder += divisor < 10 ? 1 : 13) {
                int count = (upTo - remainder + divisor - 1) / divisor;
                int of = divisor;
                int from = remainder;
                MessageQueue queue = light(divisor, remainder);
                readAll(queue, Math.max(0, count), (at, message) -> {
                    List<String> names = Arrays.asList(message.getProperty(MessageConst.PROPERTY_INNER_MULTI_DISPATCH).split(","));
                    String[] offsets = message.getProperty(MessageConst.PROPERTY_INNER_MULTI_QUEUE_OFFSET).split(",");
                    if (Body.verifiedId(message) != at * of + from || !offsets[names.indexOf(queue.getTopic())].equals(Long.toString(at))) {
                        throw new Mismatch("at " + at + " of " + queue + ": " + message);
                    }
                });
            }
        }
    }
}
