package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.junit.jupiter.api.Test;

class OnewaySendTest extends ClientTest {
    @Test
    void allArriveOnce() throws Exception {
        String topic = newTopic(3);
        DefaultMQProducer producer = newProducer();
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            bodies.add("oneway-" + i);
            producer.sendOneway(message(topic, "oneway-" + i));
        }
        assertEquals(sorted(bodies), sortedBodies(readAll(topic, bodies.size())));
    }

    @Test
    void queueCanBeChosen() throws Exception {
        String topic = newTopic(3);
        for (int i = 0; i < 30; i++) {
            producer().sendOneway(message(topic, "oneway-" + i), queue(topic, 1));
        }
        readAll(topic, 30).forEach(message -> assertEquals(1, message.getQueueId()));
    }
}
