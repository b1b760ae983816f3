package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.junit.jupiter.api.Test;

class AsyncSendTest extends ClientTest {
    @Test
    void everyMessageIsAnsweredWithItsOwnPlace() throws Exception {
        int count = 1000;
        String topic = newTopic(4);
        DefaultMQProducer producer = newProducer();
        Map<String, SendResult> results = new ConcurrentHashMap<>();
        List<Throwable> failures = new ArrayList<>();
        CountDownLatch answered = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            String body = "async-" + i;
            producer.send(message(topic, body), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    results.put(body, result);
                    answered.countDown();
                }

                @Override
                public void onException(Throwable failure) {
                    synchronized (failures) {
                        failures.add(failure);
                    }
                    answered.countDown();
                }
            });
        }
        assertTrue(answered.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "unanswered: " + answered.getCount());
        assertEquals(List.of(), failures);
        for (MessageExt message : readAll(topic, count)) {
            SendResult result = results.remove(text(message.getBody()));
            assertEquals(SendStatus.SEND_OK, result.getSendStatus());
            assertEquals(new MessageQueue(topic, Target.BROKER, message.getQueueId()), result.getMessageQueue());
            assertEquals(message.getQueueOffset(), result.getQueueOffset());
            assertEquals(message.getMsgId(), result.getMsgId());
        }
        assertTrue(results.isEmpty());
    }

    @Test
    void refusalReachesTheCallback() throws Exception {
        String topic = newTopic(1);
        DefaultMQProducer producer = newProducer();
        producer.setMaxMessageSize(16 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        CompletableFuture<Throwable> outcome = new CompletableFuture<>();
        producer.send(new Message(topic, new byte[5 << 20]), queue(topic, 0), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                outcome.completeExceptionally(new AssertionError("accepted: " + result));
            }

            @Override
            public void onException(Throwable failure) {
                outcome.complete(failure);
            }
        }, 15_000);
        Throwable failure = outcome.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertEquals(ResponseCode.MESSAGE_ILLEGAL, assertInstanceOf(MQBrokerException.class, failure).getResponseCode());
        readAll(topic, 0);
    }
}
