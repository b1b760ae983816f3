package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;

class RequestReplyTest extends ClientTest {
    /** Asks and returns the answer to come. */
    static CompletableFuture<Message> request(DefaultMQProducer requester, Message question, long timeoutMs) throws Exception {
        CompletableFuture<Message> answer = new CompletableFuture<>();
        // Client 5.3.3 calls back with null as soon as the question is stored; its blocking call gives up at that moment.
        requester.request(question, new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                if (message != null) {
                    answer.complete(message);
                }
            }

            @Override
            public void onException(Throwable failure) {
                answer.completeExceptionally(failure);
            }
        }, timeoutMs);
        return answer;
    }

    /** A service that answers "question X" with "answer to X". */
    private CompletableFuture<Throwable> startService(String topic) throws Exception {
        CompletableFuture<Throwable> trouble = new CompletableFuture<>();
        DefaultMQProducer replies = newProducer();
        DefaultMQPushConsumer service = newPushConsumer(unique("service"));
        service.subscribe(topic, "*");
        service.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt question : messages) {
                try {
                    byte[] answer = bytes("answer to " + text(question.getBody()));
                    SendResult result = replies.send(MessageUtil.createReplyMessage(question, answer), 5_000);
                    assertEquals(Target.CLUSTER + "_REPLY_TOPIC", result.getMessageQueue().getTopic());
                } catch (Exception | AssertionError e) {
                    trouble.complete(e);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        service.start();
        return trouble;
    }

    @Test
    void requesterGetsItsOwnAnswer() throws Exception {
        String topic = newTopic(2);
        CompletableFuture<Throwable> trouble = startService(topic);
        DefaultMQProducer one = newProducer();
        DefaultMQProducer two = newProducer();
        for (int i = 0; i < 10; i++) {
            DefaultMQProducer requester = i % 2 == 0 ? one : two;
            Message answer = request(requester, message(topic, "question " + i), 30_000).get(PATIENCE_MS, TimeUnit.MILLISECONDS);
            assertEquals("answer to question " + i, text(answer.getBody()));
            assertEquals(requester.buildMQClientId(), answer.getProperty(MessageConst.PROPERTY_MESSAGE_REPLY_TO_CLIENT));
        }
        readAll(topic, 10);
        assertEquals(null, trouble.getNow(null));
    }

    @Test
    void requestWithoutServiceTimesOut() throws Exception {
        String topic = newTopic(1);
        CompletableFuture<Message> answer = request(newProducer(), message(topic, "anybody?"), 2_000);
        ExecutionException outcome = assertThrows(ExecutionException.class, () -> answer.get(PATIENCE_MS, TimeUnit.MILLISECONDS));
        assertInstanceOf(RequestTimeoutException.class, outcome.getCause());
        assertEquals("anybody?", text(readAll(topic, 1).get(0).getBody()));
    }
}
