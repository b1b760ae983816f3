package crocket.e2e;

import java.io.PrintStream;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * Reads a whole topic with plain pulls and compares it with what producers were promised: every body is right, no id is there twice,
 * queue offsets run without gap or repeat, every acknowledged message is at the place that its acknowledgement named. Then asks for some
 * of them by key and by unique key.
 *
 * <p>topic= acked=FILE[,FILE...] exact=false (true: nothing but the acknowledged) samples=20 out=FILE (a line for each message:
 * id, queue id, queue offset, CRC of the body).
 */
public final class ReadAll {
    private final String topic;
    private final Acknowledged acknowledged;
    private final PrintStream out;
    private final Set<Long> seen = new HashSet<>();

    private ReadAll(Arguments arguments) throws Exception {
        topic = arguments.text("topic");
        acknowledged = new Acknowledged(arguments.text("acked"));
        String file = arguments.text("out", "");
        out = file.isEmpty() ? null : new PrintStream(file);
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int status = 1;
        try {
            new ReadAll(arguments).run(Boolean.parseBoolean(arguments.text("exact", "false")), arguments.number("samples", 20));
            status = 0;
        } catch (Mismatch mismatch) {
            System.out.println(mismatch.getMessage());
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(status);
    }

    private void run(boolean exact, int samples) throws Exception {
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer("e2e_read_all");
        Target.start(reader);
        DefaultMQAdminExt admin = new DefaultMQAdminExt(10_000);
        Target.start(admin);
        for (MessageQueue queue : new TreeSet<>(reader.fetchSubscribeMessageQueues(topic))) {
            readQueue(reader, admin, queue);
        }
        for (Map.Entry<Long, Acknowledged.Place> entry : acknowledged.places.entrySet()) {
            if (!seen.contains(entry.getKey())) {
                throw new Mismatch("message " + entry.getKey() + " was acknowledged at queue " + entry.getValue().queueId + " offset "
                    + entry.getValue().queueOffset + " but is not in " + topic);
            }
        }
        int unacknowledged = seen.size() - acknowledged.places.size();
        if (exact && unacknowledged > 0) {
            throw new Mismatch(topic + " holds " + unacknowledged + " messages that were not acknowledged");
        }
        query(admin, samples);
        if (out != null) {
            out.close();
        }
        System.out.println("read " + seen.size() + " messages of " + topic + ", " + acknowledged.places.size() + " of them acknowledged");
    }

    private void readQueue(DefaultMQPullConsumer reader, DefaultMQAdminExt admin, MessageQueue queue) throws Exception {
        if (admin.minOffset(queue) != 0) {
            throw new Mismatch(queue + " begins at " + admin.minOffset(queue));
        }
        long end = admin.maxOffset(queue);
        long next = 0;
        while (next < end) {
            PullResult result = reader.pull(queue, "*", next, 32, 20_000);
            if (result.getPullStatus() != PullStatus.FOUND) {
                throw new Mismatch("pulling " + queue + " at " + next + " of " + end + ": " + result);
            }
            for (MessageExt message : result.getMsgFoundList()) {
                check(queue, next, message);
                next++;
            }
        }
        if (next != end) {
            throw new Mismatch(queue + " gave messages beyond its end " + end);
        }
    }

    private void check(MessageQueue queue, long offset, MessageExt message) {
        if (message.getQueueOffset() != offset || message.getQueueId() != queue.getQueueId()) {
            throw new Mismatch("expected offset " + offset + " of " + queue + ", found " + message);
        }
        long id = Body.verifiedId(message);
        if (!seen.add(id)) {
            throw new Mismatch("message " + id + " is there twice, the second time as " + message);
        }
        Acknowledged.Place place = acknowledged.places.get(id);
        if (place != null && (place.queueId != message.getQueueId() || place.queueOffset != offset)) {
            throw new Mismatch("message " + id + " was acknowledged at queue " + place.queueId + " offset " + place.queueOffset + " but is at "
                + message.getQueueId() + " offset " + offset);
        }
        if (out != null) {
            out.println(id + " " + message.getQueueId() + " " + offset + " " + Integer.toHexString(message.getBodyCRC()));
        }
    }

    private void query(DefaultMQAdminExt admin, int samples) throws Exception {
        int step = Math.max(1, acknowledged.places.size() / Math.max(1, samples));
        int at = 0;
        for (Map.Entry<Long, Acknowledged.Place> entry : acknowledged.places.entrySet()) {
            if (at++ % step != 0 || samples == 0) {
                continue;
            }
            long id = entry.getKey();
            boolean found = false;
            for (MessageExt message : byKey(admin, id)) {
                found |= Body.verifiedId(message) == id && message.getQueueOffset() == entry.getValue().queueOffset;
            }
            if (!found) {
                throw new Mismatch("message " + id + " is not found by its key " + Body.keyOf(id));
            }
            // The messages of a batch share what the server took for their unique key: any of them may answer.
            if (!entry.getValue().messageId.contains(",")
                && Body.verifiedId(admin.queryMessage(Target.CLUSTER, topic, entry.getValue().messageId)) != id) {
                throw new Mismatch("message " + id + " is not what its unique key " + entry.getValue().messageId + " leads to");
            }
        }
    }

    /** After a start the index may be behind the log: what a crash left unfinished is indexed again, in the background. */
    private Iterable<MessageExt> byKey(DefaultMQAdminExt admin, long id) throws Exception {
        for (int attempt = 0; ; attempt++) {
            try {
                return admin.queryMessage(topic, Body.keyOf(id), 32, 0, Long.MAX_VALUE).getMessageList();
            } catch (MQClientException e) {
                if (attempt == 1200) {
                    throw new Mismatch("message " + id + " is not found by its key " + Body.keyOf(id) + ": " + e.getErrorMessage());
                }
                Thread.sleep(100);
            }
        }
    }
}
