package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.junit.jupiter.api.Test;

/**
 * One of two consumers in order dies by kill -9. The other takes its queues over when the locks of the dead one have run out, a minute
 * later: a class of its own, so that the others do not wait for it.
 */
class OrderlyCrashTest extends ClientTest {
    private static final long TAKE_OVER_MS = 180_000;
    private static final int QUEUES = 4;

    /** A consumer in a process of its own, and the offsets it printed, by queue. */
    private static final class Victim {
        private final Process process;
        private final Map<Integer, List<Long>> consumed = new HashMap<>();
        private final Thread reader = new Thread(this::read, "reader");

        Victim(String topic, String group) throws Exception {
            String classPath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
            List<String> command = new ArrayList<>(
                List.of(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java", "-Xmx128m", "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1", "-Duser.home=" + System.getProperty("user.home"), "-cp", classPath));
            String logging = System.getProperty("rmq.logback.configurationFile");
            if (logging != null) {
                command.add("-Drmq.logback.configurationFile=" + logging);
            }
            command.addAll(List.of("crocket.e2e.ConsumeInOrder", "topic=" + topic, "group=" + group));
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            reader.start();
        }

        private void read() {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    String[] numbers = line.split(" ");
                    synchronized (consumed) {
                        consumed.computeIfAbsent(Integer.parseInt(numbers[0]), id -> new ArrayList<>()).add(Long.parseLong(numbers[1]));
                    }
                }
            } catch (java.io.IOException e) {
                // The process is gone.
            }
        }

        Map<Integer, List<Long>> consumed() {
            synchronized (consumed) {
                return new HashMap<>(consumed);
            }
        }

        long least() {
            synchronized (consumed) {
                return consumed.size() < QUEUES / 2 ? 0 : consumed.values().stream().mapToLong(List::size).min().orElse(0);
            }
        }

        void kill() throws Exception {
            process.destroyForcibly();
            assertTrue(process.waitFor(30, TimeUnit.SECONDS));
            reader.join(30_000);
        }
    }

    private static boolean isDivided(String topic, String group) throws Exception {
        Set<Connection> members = admin().examineConsumerConnectionInfo(group).getConnectionSet();
        if (members.size() != 2) {
            return false;
        }
        for (Connection member : members) {
            Set<MessageQueue> held = new HashSet<>(admin().getConsumerRunningInfo(group, member.getClientId(), false).getMqTable().keySet());
            held.removeIf(queue -> !queue.getTopic().equals(topic));
            if (held.size() != QUEUES / 2) {
                return false;
            }
        }
        return true;
    }

    private static List<Long> offsets(List<MessageExt> messages, int queueId) {
        List<Long> offsets = new ArrayList<>();
        for (MessageExt message : messages) {
            if (message.getQueueId() == queueId) {
                offsets.add(message.getQueueOffset());
            }
        }
        return offsets;
    }

    private static void expectWithoutGap(List<Long> offsets, long from, String what) {
        for (int i = 0; i < offsets.size(); i++) {
            assertEquals(from + i, offsets.get(i), what + ": " + offsets);
        }
    }

    @Test
    void survivorGoesOnWhereTheDeadOneStopped() throws Exception {
        String topic = newTopic(QUEUES);
        String group = unique("group");
        Received survivor = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            survivor.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        Victim victim = new Victim(topic, group);
        try {
            eventually("two members with two queues each", () -> {
                try {
                    return isDivided(topic, group);
                } catch (Exception e) {
                    return false; // not all has been told to the broker yet
                }
            });
            sendNumbered(topic, QUEUES, "before", 100 * QUEUES);
            eventually("some consumed by both", () -> victim.least() >= 20 && survivor.count() >= 40);
        } finally {
            victim.kill();
        }
        sendNumbered(topic, QUEUES, "after", 100 * QUEUES);
        Map<Integer, List<Long>> dead = victim.consumed();
        assertEquals(QUEUES / 2, dead.size());
        eventually("all queues to their end", () -> {
            List<MessageExt> got = survivor.snapshot();
            for (int id = 0; id < QUEUES; id++) {
                List<Long> offsets = offsets(got, id);
                if (offsets.isEmpty() || offsets.get(offsets.size() - 1) != 199) {
                    return false;
                }
            }
            return true;
        }, TAKE_OVER_MS);
        List<MessageExt> got = survivor.snapshot();
        for (int id = 0; id < QUEUES; id++) {
            List<Long> offsets = offsets(got, id);
            List<Long> before = dead.getOrDefault(id, List.of());
            expectWithoutGap(before, 0, "queue " + id + " at the one that died");
            // What the dead one had not told the broker comes again; nothing is passed over.
            assertTrue(offsets.get(0) <= before.size(), "queue " + id + " goes on at " + offsets.get(0) + " after " + before);
            expectWithoutGap(offsets, dead.containsKey(id) ? offsets.get(0) : 0, "queue " + id + " at the one that lived");
        }
    }
}
