package crocket.e2e;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Consumes a topic with the code of a file, as clients of RocketMQ 3 and 4 do, until the expected number of messages came, and waits for
 * one too many. No message may come twice but the one that retry= names (an id), which is refused once and must come again.
 *
 * <p>topic= group= source=FILE expected=N seconds=60 modulo=M remainder=R (ids that may come) retry=ID
 */
public final class FilterConsume {
    private FilterConsume() {
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> arguments = new HashMap<>();
        Arrays.stream(args).forEach(a -> arguments.put(a.substring(0, a.indexOf('=')), a.substring(a.indexOf('=') + 1)));
        int expected = Integer.parseInt(arguments.get("expected"));
        long modulo = Long.parseLong(arguments.getOrDefault("modulo", "1"));
        long remainder = Long.parseLong(arguments.getOrDefault("remainder", "0"));
        long retry = Long.parseLong(arguments.getOrDefault("retry", "-1"));
        String source = new String(Files.readAllBytes(Paths.get(arguments.get("source"))), StandardCharsets.UTF_8);
        TreeSet<Long> seen = new TreeSet<>();
        TreeSet<Long> refused = new TreeSet<>();
        StringBuffer trouble = new StringBuffer();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(arguments.get("group"));
        consumer.setNamesrvAddr(System.getenv("CROCKET_E2E_NAMESRV"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(arguments.get("topic"), "Filter.lua", source);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            synchronized (seen) {
                for (MessageExt message : messages) {
                    long id = Long.parseLong(message.getKeys().substring("key".length()));
                    if (id == retry && refused.add(id)) {
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                    if (id % modulo != remainder) {
                        trouble.append("message " + id + " is not wanted; ");
                    }
                    if (!seen.add(id)) {
                        trouble.append("message " + id + " came twice; ");
                    }
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        long deadline = System.currentTimeMillis() + 1_000L * Long.parseLong(arguments.getOrDefault("seconds", "60"));
        while ((expected == 0 || count(seen) < expected) && trouble.length() == 0 && System.currentTimeMillis() < deadline) {
            Thread.sleep(20);
        }
        Thread.sleep(700);
        consumer.shutdown();
        if (count(seen) != expected) {
            trouble.append("consumed " + count(seen) + " messages, expected " + expected);
        }
        System.out.println(trouble.length() > 0 ? trouble : "consumed " + expected + " messages as " + arguments.get("group"));
        Runtime.getRuntime().halt(trouble.length() > 0 ? 1 : 0);
    }

    private static int count(TreeSet<Long> seen) {
        synchronized (seen) {
            return seen.size();
        }
    }
}
