package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.junit.jupiter.api.Test;

class BroadcastTest extends ClientTest {
    private DefaultMQPushConsumer start(String group, String instance, String topic, Received received) throws Exception {
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.setInstanceName(instance);
        consumer.setMessageModel(MessageModel.BROADCASTING);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    @Test
    void everyMemberGetsEveryMessage() throws Exception {
        String topic = newTopic(4);
        String group = unique("group");
        Received first = new Received();
        Received second = new Received();
        start(group, unique("one"), topic, first);
        start(group, unique("two"), topic, second);
        List<String> bodies = sendNumbered(topic, 4, "all", 100);
        first.expectExactly(bodies);
        second.expectExactly(bodies);
    }

    @Test
    void memberCarriesOnFromItsOwnOffset() throws Exception {
        String topic = newTopic(2);
        String group = unique("group");
        String instance = unique("member");
        Received first = new Received();
        List<String> bodies = sendNumbered(topic, 2, "before", 20);
        DefaultMQPushConsumer consumer = start(group, instance, topic, first);
        first.expectExactly(bodies);
        consumer.shutdown();
        List<String> missed = sendNumbered(topic, 2, "meanwhile", 20);
        Received second = new Received();
        start(group, instance, topic, second);
        second.expectExactly(missed);
        assertEquals(20, first.count());
    }
}
