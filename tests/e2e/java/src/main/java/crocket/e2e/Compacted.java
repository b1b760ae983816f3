package crocket.e2e;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * A compaction topic with one queue, whose message at queue offset n has the key "key" + n % keys and n as its body.
 *
 * <pre>
 * topic=NAME create=true                    creates it
 * topic=NAME send=COUNT first=N keys=K      sends the messages N .. N + COUNT - 1
 * topic=NAME count=N keys=K [most=M]        reads from several offsets: the newest message of every key of the N sent ones must come,
 *                                           each with its own content and in order; at most M messages in all, waiting for that
 * topic=NAME count=N keys=K group=GROUP     the same by a push consumer that begins at the first offset
 * </pre>
 */
public final class Compacted {
    private static final long PATIENCE_MS = 90_000;

    private final Arguments arguments;
    private final String topic;
    private final int keys;

    private Compacted(Arguments arguments) {
        this.arguments = arguments;
        this.topic = arguments.text("topic");
        this.keys = arguments.number("keys", 1);
    }

    public static void main(String[] args) throws Exception {
        int status = 1;
        try {
            Arguments arguments = new Arguments(args);
            Compacted program = new Compacted(arguments);
            if (Boolean.parseBoolean(arguments.text("create", "false"))) {
                program.create();
            } else if (arguments.number("send", 0) > 0) {
                program.send(arguments.number("first", 0), arguments.number("send"));
            } else if (!arguments.text("group", "").isEmpty()) {
                program.consume(arguments.number("count"), arguments.text("group"));
            } else {
                program.read(arguments.number("count"), arguments.number("most", Integer.MAX_VALUE));
            }
            status = 0;
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(status);
    }

    private void create() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(20_000);
        Target.connect(admin);
        admin.start();
        String address = admin.examineBrokerClusterInfo().getBrokerAddrTable().get(Target.BROKER).getBrokerAddrs().get(0L);
        TopicConfig config = new TopicConfig(topic, 1, 1);
        config.setAttributes(new HashMap<>(Map.of("+cleanup.policy", "COMPACTION")));
        admin.createAndUpdateTopicConfig(address, config);
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
        System.out.println("created " + topic);
    }

    private void send(int first, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("e2e_compacted");
        Target.connect(producer);
        producer.setSendMsgTimeout(30_000);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        for (int i = first; i < first + count; i++) {
            Message message = new Message(topic, "tag", "key" + i % keys, Integer.toString(i).getBytes(StandardCharsets.US_ASCII));
            SendResult result = producer.send(message);
            if (result.getSendStatus() != SendStatus.SEND_OK || result.getQueueOffset() != i) {
                throw new Mismatch("message " + i + ": " + result);
            }
        }
        System.out.println("sent " + count);
    }

    /** Fails when the message is not the one that was sent with this offset. */
    private void verify(MessageExt message) {
        long offset = message.getQueueOffset();
        String body = new String(message.getBody(), StandardCharsets.US_ASCII);
        if (!body.equals(Long.toString(offset)) || !("key" + offset % keys).equals(message.getKeys())) {
            throw new Mismatch("the message at offset " + offset + " is " + message);
        }
    }

    private TreeSet<Long> newest(int count, long from) {
        TreeSet<Long> wanted = new TreeSet<>();
        for (long n = Math.max(from, count - keys); n < count; n++) {
            wanted.add(n);
        }
        return wanted;
    }

    /** What stands from the offset on, in order; the newest of each key is there. */
    private int readFrom(DefaultMQPullConsumer consumer, int count, long from) throws Exception {
        MessageQueue queue = new MessageQueue(topic, Target.BROKER, 0);
        TreeSet<Long> wanted = newest(count, from);
        long next = from;
        long last = -1;
        int found = 0;
        int stuck = 0;
        while (next < count) {
            PullResult result = consumer.pull(queue, "*", next, 32, 30_000);
            if (result.getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    verify(message);
                    if (message.getQueueOffset() <= last || message.getQueueOffset() < from) {
                        throw new Mismatch("offset " + message.getQueueOffset() + " after " + last);
                    }
                    last = message.getQueueOffset();
                    wanted.remove(last);
                    found++;
                }
            }
            if (result.getNextBeginOffset() > next) {
                next = result.getNextBeginOffset();
            } else if (++stuck > 50) {
                throw new Mismatch("no way on from offset " + next + ": " + result);
            } else {
                Thread.sleep(100);
            }
        }
        if (!wanted.isEmpty()) {
            throw new Mismatch("from offset " + from + " on these are missing: " + wanted);
        }
        return found;
    }

    private void read(int count, int most) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("e2e_compacted_reader");
        Target.connect(consumer);
        consumer.start();
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        int found = readFrom(consumer, count, 0);
        while (found > most && System.currentTimeMillis() < deadline) {
            Thread.sleep(300);
            found = readFrom(consumer, count, 0);
        }
        if (found > most) {
            throw new Mismatch("there still are " + found + " messages, more than " + most);
        }
        for (int part = 1; part < 8; part++) {
            readFrom(consumer, count, (long) count * part / 8);
        }
        readFrom(consumer, count, count - 1L);
        System.out.println("read " + found + " of " + count);
    }

    private void consume(int count, String group) throws Exception {
        TreeSet<Long> wanted = newest(count, 0);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            synchronized (wanted) {
                for (MessageExt message : messages) {
                    wanted.remove(message.getQueueOffset());
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        boolean done = false;
        while (!done && System.currentTimeMillis() < deadline) {
            Thread.sleep(50);
            synchronized (wanted) {
                done = wanted.isEmpty();
            }
        }
        if (!done) {
            throw new Mismatch("these did not come: " + wanted);
        }
        System.out.println("consumed the newest of " + keys + " keys");
    }
}
