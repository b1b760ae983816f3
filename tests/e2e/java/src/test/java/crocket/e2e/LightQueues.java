package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullCallback;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;

/** Light message queues. Run by the part "stream", against a server that has them switched on; no test of the ordinary suite. */
class LightQueues extends ClientTest {
    private static MessageQueue light(String name) {
        return new MessageQueue("%LMQ%" + name, Target.BROKER, 0);
    }

    private static Message dispatched(String topic, String body, String... names) {
        Message message = new Message(topic, "tag", "key-" + body, bytes(body));
        List<String> queues = new ArrayList<>();
        for (String name : names) {
            queues.add(light(name).getTopic());
        }
        message.putUserProperty(MessageConst.PROPERTY_INNER_MULTI_DISPATCH, String.join(",", queues));
        return message;
    }

    /** A consumer that knows the broker by the parent topic: light queues have no route of their own. */
    private DefaultMQPullConsumer newReader(String group, String parent) throws Exception {
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer(group);
        Target.connect(reader);
        reader.setInstanceName(unique("light"));
        reader.setRegisterTopics(new HashSet<>(Arrays.asList(parent)));
        reader.start();
        reader.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().updateTopicRouteInfoFromNameServer(parent);
        closeLater(reader::shutdown);
        return reader;
    }

    private static void expect(DefaultMQPullConsumer reader, MessageQueue queue, List<String> bodies) throws Exception {
        eventually(queue + " has " + bodies.size(), () -> reader.maxOffset(queue) == bodies.size());
        int at = 0;
        while (at < bodies.size()) {
            PullResult result = reader.pull(queue, "*", at, 32, 15_000);
            assertEquals(PullStatus.FOUND, result.getPullStatus(), queue + " at " + at);
            for (MessageExt message : result.getMsgFoundList()) {
                List<String> names = Arrays.asList(message.getProperty(MessageConst.PROPERTY_INNER_MULTI_DISPATCH).split(","));
                String[] offsets = message.getProperty(MessageConst.PROPERTY_INNER_MULTI_QUEUE_OFFSET).split(",");
                assertEquals(bodies.get(at), text(message.getBody()));
                assertEquals(names.size(), offsets.length);
                assertEquals(Integer.toString(at), offsets[names.indexOf(queue.getTopic())]);
                at++;
            }
            assertEquals(at, result.getNextBeginOffset());
        }
    }

    @Test
    void oneMessageStandsInSeveralQueues() throws Exception {
        String topic = newTopic(4);
        String a = unique("a");
        String b = unique("b");
        List<String> ofA = new ArrayList<>();
        List<String> ofB = new ArrayList<>();
        for (int i = 0; i < 120; i++) {
            String body = "message " + i;
            String[] names = i % 3 == 0 ? new String[] {a, b} : i % 3 == 1 ? new String[] {a} : new String[] {b, a};
            producer().send(dispatched(topic, body, names), queue(topic, i % 4));
            ofA.add(body);
            if (i % 3 != 1) {
                ofB.add(body);
            }
        }
        DefaultMQPullConsumer reader = newReader(unique("light_reader"), topic);
        expect(reader, light(a), ofA);
        expect(reader, light(b), ofB);
        assertEquals(0, Math.max(0, reader.minOffset(light(a))));
        assertEquals(120, readAll(topic, 120).size());
    }

    @Test
    void waitingPullIsWokenUp() throws Exception {
        String topic = newTopic(1);
        String name = unique("woken");
        DefaultMQPullConsumer reader = newReader(unique("light_reader"), topic);
        producer().send(dispatched(topic, "first", name), queue(topic, 0));
        expect(reader, light(name), Arrays.asList("first"));
        CompletableFuture<PullResult> pulled = new CompletableFuture<>();
        reader.pullBlockIfNotFound(light(name), "*", 1, 32, new PullCallback() {
            @Override
            public void onSuccess(PullResult result) {
                pulled.complete(result);
            }

            @Override
            public void onException(Throwable e) {
                pulled.completeExceptionally(e);
            }
        });
        Thread.sleep(1000);
        long sent = System.currentTimeMillis();
        producer().send(dispatched(topic, "second", unique("other"), name), queue(topic, 0));
        PullResult result = pulled.get(30, TimeUnit.SECONDS);
        assertEquals(PullStatus.FOUND, result.getPullStatus());
        assertEquals("second", text(result.getMsgFoundList().get(0).getBody()));
        // Whoever only looked now and then would take five seconds.
        assertTrue(System.currentTimeMillis() - sent < 4000, "woken " + (System.currentTimeMillis() - sent) + " ms later");
    }

    @Test
    void lightGroupsKeepTheirOffsets() throws Exception {
        String topic = newTopic(1);
        String name = unique("kept");
        for (int i = 0; i < 10; i++) {
            producer().send(dispatched(topic, "m" + i, name), queue(topic, 0));
        }
        String group = "%LMQ%" + unique("group");
        DefaultMQPullConsumer first = newReader(group, topic);
        eventually("ten messages", () -> first.maxOffset(light(name)) == 10);
        first.updateConsumeOffset(light(name), 7);
        first.getDefaultMQPullConsumerImpl().getOffsetStore().persist(light(name));
        DefaultMQPullConsumer second = newReader(group, topic);
        eventually("offset 7", () -> second.fetchConsumeOffset(light(name), true) == 7);
    }

    @Test
    void manyQueuesInOneMessage() throws Exception {
        String topic = newTopic(1);
        String prefix = unique("many") + "_";
        String[] names = new String[500];
        for (int i = 0; i < names.length; i++) {
            names[i] = prefix + i;
        }
        producer().send(dispatched(topic, "to all", names), queue(topic, 0));
        producer().send(dispatched(topic, "to some", Arrays.copyOfRange(names, 100, 200)), queue(topic, 0));
        DefaultMQPullConsumer reader = newReader(unique("light_reader"), topic);
        for (int i = 0; i < names.length; i += 25) {
            expect(reader, light(names[i]), i >= 100 && i < 200 ? Arrays.asList("to all", "to some") : Arrays.asList("to all"));
        }
    }

    @Test
    void searchByTime() throws Exception {
        String topic = newTopic(1);
        String name = unique("timed");
        long[] times = new long[3];
        for (int i = 0; i < 3; i++) {
            times[i] = admin().viewMessage(topic, producer().send(dispatched(topic, "m" + i, name), queue(topic, 0)).getOffsetMsgId())
                .getStoreTimestamp();
            Thread.sleep(20);
        }
        DefaultMQPullConsumer reader = newReader(unique("light_reader"), topic);
        eventually("three messages", () -> reader.maxOffset(light(name)) == 3);
        for (int i = 0; i < 3; i++) {
            assertEquals(i, reader.searchOffset(light(name), times[i]));
        }
    }

    @Test
    void emptyQueueIsEmpty() throws Exception {
        String topic = newTopic(1);
        DefaultMQPullConsumer reader = newReader(unique("light_reader"), topic);
        assertEquals(0, reader.maxOffset(light(unique("nobody"))));
    }
}
