package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Consumers that filter by SQL92; runs where the broker has enablePropertyFilter=true: the part "filter" starts one. */
class SqlFilterTest extends ClientTest {
    @BeforeEach
    void theBrokerFilters() throws Exception {
        assumeTrue("true".equals(admin().getBrokerConfig(brokerAddress()).getProperty("enablePropertyFilter")));
    }

    /** Message i has the properties number=i, colour=red, green, blue in turn, price=i + 0.5, and the tag even or odd. */
    private static Message numbered(String topic, int i) {
        Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", bytes("m-" + i));
        message.putUserProperty("number", Integer.toString(i));
        message.putUserProperty("colour", List.of("red", "green", "blue").get(i % 3));
        message.putUserProperty("price", i + ".5");
        return message;
    }

    private static void send(String topic, int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            producer().send(numbered(topic, i), queue(topic, i % 2));
        }
    }

    private static List<String> bodies(int to, IntPredicate wanted) {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < to; i++) {
            if (wanted.test(i)) {
                bodies.add("m-" + i);
            }
        }
        return bodies;
    }

    private Received consume(String group, String topic, String expression) throws Exception {
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, MessageSelector.bySql(expression));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return received;
    }

    @Test
    void pushConsumersGetWhatFits() throws Exception {
        String topic = newTopic(2);
        send(topic, 0, 60);
        Received range = consume(unique("group"), topic, "number BETWEEN 10 AND 19");
        Received text = consume(unique("group"), topic, "colour IN ('red', 'blue') AND TAGS = 'odd' -- comment\n");
        Received decimal = consume(unique("group"), topic, "price > 49.9 OR number < 3");
        Received search = consume(unique("group"), topic, "colour CONTAINS 'ree' AND missing IS NULL");
        range.expectExactly(bodies(60, i -> i >= 10 && i <= 19));
        text.expectExactly(bodies(60, i -> i % 3 != 1 && i % 2 == 1));
        decimal.expectExactly(bodies(60, i -> i >= 50 || i < 3));
        search.expectExactly(bodies(60, i -> i % 3 == 1));
        // The same while messages arrive.
        send(topic, 60, 80);
        text.expectExactly(bodies(80, i -> i % 3 != 1 && i % 2 == 1));
        decimal.expectExactly(bodies(80, i -> i >= 50 || i < 3));
        search.expectExactly(bodies(80, i -> i % 3 == 1));
        range.expectExactly(bodies(80, i -> i >= 10 && i <= 19));
    }

    @Test
    void whatCannotBeComparedIsLeftOut() throws Exception {
        String topic = newTopic(1);
        for (String weight : List.of("5", "heavy", "7", "-3.25", "9")) {
            Message message = message(topic, weight);
            message.putUserProperty("weight", weight);
            producer().send(message);
        }
        producer().send(message(topic, "none"));
        consume(unique("group"), topic, "weight > 6").expectExactly(List.of("7", "9"));
        consume(unique("group"), topic, "NOT (weight > 6)").expectExactly(List.of("5"));
        consume(unique("group"), topic, "weight < 6.5").expectExactly(List.of("5", "-3.25"));
    }

    @Test
    void litePullConsumerFilters() throws Exception {
        String topic = newTopic(2);
        send(topic, 0, 40);
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(unique("group"));
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        closeLater(consumer::shutdown);
        consumer.subscribe(topic, MessageSelector.bySql("colour = 'green' AND number >= 10"));
        consumer.start();
        List<String> wanted = bodies(40, i -> i % 3 == 1 && i >= 10);
        List<MessageExt> polled = new ArrayList<>();
        eventually("the green ones", () -> {
            polled.addAll(consumer.poll(200));
            return polled.size() >= wanted.size();
        });
        polled.addAll(consumer.poll(300));
        assertEquals(sorted(wanted), sortedBodies(polled));
    }

    @Test
    void longRunOfOthersIsSkipped() throws Exception {
        String topic = newTopic(1);
        List<Message> others = new ArrayList<>();
        for (int i = 0; i < 3_000; i++) {
            Message message = message(topic, "hay");
            message.putUserProperty("number", Integer.toString(i));
            others.add(message);
            if (others.size() == 200) {
                producer().send(others);
                others.clear();
            }
        }
        Message needle = message(topic, "needle");
        needle.putUserProperty("number", "-1");
        producer().send(needle);
        consume(unique("group"), topic, "number < 0").expectExactly(List.of("needle"));
    }

    @Test
    void wrongExpressionsAreRefused() throws Exception {
        String topic = newTopic(1);
        for (String wrong : List.of("number >", "number = NULL", "colour > 'red'", "number BETWEEN 5 AND 1", "number = 0.0")) {
            DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
            consumer.subscribe(topic, MessageSelector.bySql(wrong));
            consumer.registerMessageListener(
                (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
            MQClientException refused = assertThrows(MQClientException.class, consumer::start, wrong);
            assertEquals(23, refused.getResponseCode(), wrong);
            assertTrue(refused.getErrorMessage() != null && !refused.getErrorMessage().isEmpty(), wrong);
        }
    }

    @Test
    void pullConsumerBringsItsExpression() throws Exception {
        String topic = newTopic(2);
        send(topic, 0, 20);
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(unique("group"));
        Target.connect(consumer);
        consumer.setInstanceName(unique("puller"));
        consumer.start();
        closeLater(consumer::shutdown);
        // The client wants to have seen the broker's version, which its heartbeat brings.
        eventually("a filtered pull", () -> {
            try {
                PullResult result = consumer.pull(queue(topic, 1), MessageSelector.bySql("number > 15"), 0, 32);
                return result.getPullStatus() == PullStatus.FOUND && result.getMsgFoundList().size() == 2
                    && result.getNextBeginOffset() == 10;
            } catch (MQClientException e) {
                return false;
            }
        });
        PullResult none = consumer.pull(queue(topic, 1), MessageSelector.bySql("number > 99"), 0, 32);
        assertEquals(PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        assertEquals(10, none.getNextBeginOffset());
    }

    @Test
    void toolsShowTheExpression() throws Exception {
        String topic = newTopic(1);
        String group = unique("group");
        send(topic, 0, 1);
        consume(group, topic, "number = 0").expectExactly(List.of("m-0"));
        ConsumerConnection connection = admin().examineConsumerConnectionInfo(group);
        SubscriptionData subscription = connection.getSubscriptionTable().get(topic);
        assertEquals("number = 0", subscription.getSubString());
        assertEquals("SQL92", subscription.getExpressionType());
        assertTrue(admin().queryConsumeQueue(brokerAddress(), topic, 0, 0, 1, group).getFilterData().contains("number = 0"));
    }

    @Test
    void messagesThatComeBackPassTheFilterToo() throws Exception {
        String topic = newTopic(1);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newPushConsumer(unique("group"));
        consumer.subscribe(topic, MessageSelector.bySql("number = 4"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            context.setDelayLevelWhenNextConsume(1);
            return messages.get(0).getReconsumeTimes() == 0 ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        for (int i = 0; i < 8; i++) {
            producer().send(numbered(topic, i));
        }
        received.expectExactly(List.of("m-4", "m-4"));
    }
}
