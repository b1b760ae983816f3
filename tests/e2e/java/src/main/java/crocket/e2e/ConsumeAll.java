package crocket.e2e;

import java.io.PrintStream;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Consumes a topic with a push consumer until the expected number of messages came, waits for one too many, and ends after the offsets
 * are stored at the broker. Every body is checked; no id may come twice, unless repeats=true.
 *
 * <p>topic= group= expected= tags=* (or sql=) seconds=60 repeats=false out=FILE (a line for each message: id, queue id, queue offset,
 * CRC of the body).
 */
public final class ConsumeAll {
    private ConsumeAll() {
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int expected = arguments.number("expected");
        String file = arguments.text("out", "");
        PrintStream out = file.isEmpty() ? null : new PrintStream(file);
        boolean repeats = Boolean.parseBoolean(arguments.text("repeats", "false"));
        Set<Long> seen = new HashSet<>();
        AtomicReference<String> trouble = new AtomicReference<>();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(arguments.text("group"));
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        String sql = arguments.text("sql", "");
        consumer.subscribe(arguments.text("topic"),
            sql.isEmpty() ? MessageSelector.byTag(arguments.text("tags", "*")) : MessageSelector.bySql(sql));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            synchronized (seen) {
                for (MessageExt message : messages) {
                    try {
                        long id = Body.verifiedId(message);
                        if (!seen.add(id) && !repeats) {
                            trouble.compareAndSet(null, "message " + id + " came twice");
                        }
                        if (out != null) {
                            out.println(id + " " + message.getQueueId() + " " + message.getQueueOffset() + " "
                                + Integer.toHexString(message.getBodyCRC()));
                        }
                    } catch (Mismatch mismatch) {
                        trouble.compareAndSet(null, mismatch.getMessage());
                    }
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        long deadline = System.currentTimeMillis() + 1_000L * arguments.number("seconds", 60);
        while (count(seen) < expected && trouble.get() == null && System.currentTimeMillis() < deadline) {
            Thread.sleep(20);
        }
        Thread.sleep(700);
        consumer.shutdown();
        if (out != null) {
            out.close();
        }
        int consumed = count(seen);
        if (trouble.get() == null && consumed != expected) {
            trouble.set("consumed " + consumed + " messages, expected " + expected);
        }
        System.out.println(trouble.get() != null ? trouble.get() : "consumed " + consumed + " messages as " + arguments.text("group"));
        Runtime.getRuntime().halt(trouble.get() != null ? 1 : 0);
    }

    private static int count(Set<Long> seen) {
        synchronized (seen) {
            return seen.size();
        }
    }
}
