package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullCallback;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.junit.jupiter.api.Test;

class PullConsumerTest extends ClientTest {
    private DefaultMQPullConsumer start() throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(unique("group"));
        Target.connect(consumer);
        consumer.setInstanceName(unique("puller"));
        consumer.start();
        closeLater(consumer::shutdown);
        return consumer;
    }

    @Test
    void resultsAtEveryKindOfOffset() throws Exception {
        String topic = newTopic(2);
        sendNumbered(topic, 1, "m", 50);
        DefaultMQPullConsumer consumer = start();
        MessageQueue queue = queue(topic, 0);
        Set<MessageQueue> queues = consumer.fetchSubscribeMessageQueues(topic);
        assertEquals(new HashSet<>(Set.of(queue, queue(topic, 1))), queues);

        PullResult result = consumer.pull(queue, "*", 10, 7, 15_000);
        assertEquals(PullStatus.FOUND, result.getPullStatus());
        assertEquals(7, result.getMsgFoundList().size());
        assertEquals(17, result.getNextBeginOffset());
        assertEquals(0, result.getMinOffset());
        assertEquals(50, result.getMaxOffset());
        for (int i = 0; i < 7; i++) {
            assertEquals(10 + i, result.getMsgFoundList().get(i).getQueueOffset());
            assertEquals("m-" + (10 + i), text(result.getMsgFoundList().get(i).getBody()));
        }

        result = consumer.pull(queue, "*", 50, 32, 15_000);
        assertEquals(PullStatus.NO_NEW_MSG, result.getPullStatus());
        assertEquals(50, result.getNextBeginOffset());

        result = consumer.pull(queue, "*", 1_000, 32, 15_000);
        assertEquals(PullStatus.OFFSET_ILLEGAL, result.getPullStatus());
        assertEquals(50, result.getNextBeginOffset());
        assertEquals(50, result.getMaxOffset());

        result = consumer.pull(queue(topic, 1), "*", 0, 32, 15_000);
        assertEquals(PullStatus.NO_NEW_MSG, result.getPullStatus());
        assertEquals(0, result.getNextBeginOffset());
    }

    @Test
    void pullWithTagThatNoMessageHasMovesOn() throws Exception {
        String topic = newTopic(1);
        for (int i = 0; i < 20; i++) {
            producer().send(new Message(topic, "here", bytes("m-" + i)));
        }
        PullResult result = start().pull(queue(topic, 0), "elsewhere", 0, 32, 15_000);
        assertEquals(PullStatus.NO_MATCHED_MSG, result.getPullStatus());
        assertEquals(20, result.getNextBeginOffset());
    }

    @Test
    void blockingPullWaitsForTheMessage() throws Exception {
        String topic = newTopic(1);
        DefaultMQPullConsumer consumer = start();
        MessageQueue queue = queue(topic, 0);
        sendNumbered(topic, 1, "there", 1);
        CompletableFuture<PullResult> outcome = new CompletableFuture<>();
        consumer.pullBlockIfNotFound(queue, "*", 1, 32, new PullCallback() {
            @Override
            public void onSuccess(PullResult result) {
                outcome.complete(result);
            }

            @Override
            public void onException(Throwable failure) {
                outcome.completeExceptionally(failure);
            }
        });
        Thread.sleep(500);
        assertTrue(!outcome.isDone(), "the pull did not wait: " + outcome);
        producer().send(message(topic, "awaited"), queue);
        PullResult result = outcome.get(10, TimeUnit.SECONDS);
        assertEquals(PullStatus.FOUND, result.getPullStatus());
        assertEquals("awaited", text(result.getMsgFoundList().get(0).getBody()));
        assertEquals(1, result.getMsgFoundList().get(0).getQueueOffset());
    }

    @Test
    void offsetsAreKeptAtTheBroker() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 10);
        DefaultMQPullConsumer consumer = start();
        MessageQueue queue = queue(topic, 0);
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(consumer.getConsumerGroup());
        admin().createAndUpdateSubscriptionGroupConfig(brokerAddress(), config);
        createTopic("%RETRY%" + consumer.getConsumerGroup(), 1); // the statistics of a group are found by way of its retry topic
        consumer.fetchSubscribeMessageQueues(topic);
        consumer.updateConsumeOffset(queue, 6);
        consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, 6, false);
        eventually("the offset at the broker",
            () -> admin().examineConsumeStats(consumer.getConsumerGroup(), topic).getOffsetTable().get(queue).getConsumerOffset() == 6);
        assertEquals(6, consumer.fetchConsumeOffset(queue, true));
    }

    @Test
    void topicAndQueueThatDoNotExistAreRefused() throws Exception {
        String topic = newTopic(1);
        DefaultMQPullConsumer consumer = start();
        consumer.fetchSubscribeMessageQueues(topic);
        MQBrokerException refusal = assertThrows(MQBrokerException.class, () -> consumer.pull(queue(topic, 5), "*", 0, 32, 15_000));
        assertEquals(ResponseCode.INVALID_PARAMETER, refusal.getResponseCode());
        MQBrokerException unknown = assertThrows(MQBrokerException.class,
            () -> consumer.pull(queue(unique("nowhere"), 0), "*", 0, 32, 15_000));
        assertEquals(ResponseCode.TOPIC_NOT_EXIST, unknown.getResponseCode());
    }
}
