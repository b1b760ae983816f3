package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

class TagFilterTest extends ClientTest {
    private Received consume(String topic, String expression) throws Exception {
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.subscribe(topic, expression);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return received;
    }

    private static List<String> send(String topic, String tag, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String body = tag + "#" + i;
            Message message = tag == null ? message(topic, body) : new Message(topic, tag, bytes(body));
            producer().send(message, queue(topic, i % 2));
            bodies.add(body);
        }
        return bodies;
    }

    @Test
    void alternativesAndEverything() throws Exception {
        String topic = newTopic(2);
        List<String> a = send(topic, "TagA", 20);
        List<String> b = send(topic, "TagB", 20);
        List<String> c = send(topic, "TagC", 20);
        List<String> none = send(topic, null, 20);
        List<String> aAndC = new ArrayList<>(a);
        aAndC.addAll(c);
        List<String> all = new ArrayList<>(aAndC);
        all.addAll(b);
        all.addAll(none);
        Received alternatives = consume(topic, "TagA || TagC");
        Received single = consume(topic, "TagB");
        Received everything = consume(topic, "*");
        alternatives.expectExactly(aAndC);
        single.expectExactly(b);
        everything.expectExactly(all);
        for (MessageExt message : single.snapshot()) {
            assertEquals("TagB", message.getTags());
        }
        // The same filters while messages arrive.
        aAndC.addAll(send(topic, "TagA", 5));
        b.addAll(send(topic, "TagB", 5));
        alternatives.expectExactly(aAndC);
        single.expectExactly(b);
    }

    @Test
    void tagsWithTheSameHashAreToldApart() throws Exception {
        String topic = newTopic(2);
        assertEquals("Aa".hashCode(), "BB".hashCode());
        List<String> wanted = send(topic, "Aa", 10);
        send(topic, "BB", 10);
        consume(topic, "Aa").expectExactly(wanted);
    }

    @Test
    void longRunOfOtherTagsIsSkipped() throws Exception {
        String topic = newTopic(1);
        List<Message> others = new ArrayList<>();
        for (int i = 0; i < 2_000; i++) {
            others.add(new Message(topic, "other", bytes("x")));
            if (others.size() == 200) {
                producer().send(others);
                others.clear();
            }
        }
        producer().send(new Message(topic, "wanted", bytes("needle")));
        consume(topic, "wanted").expectExactly(List.of("needle"));
    }

    @Test
    void expressionsAreRefusedWhenPropertyFilterIsOff() throws Exception {
        assertEquals("false", admin().getBrokerConfig(brokerAddress()).getProperty("enablePropertyFilter"),
            "this test wants the default configuration");
        String topic = newTopic(1);
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.subscribe(topic, MessageSelector.bySql("number > 5"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        assertThrows(MQClientException.class, consumer::start);
    }
}
