package crocket.e2e;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/**
 * Consumes a topic in order until it is killed. Prints a line for each message before it counts as consumed: queue id, queue offset.
 *
 * <p>topic= group= pause=2 (milliseconds a message takes)
 */
public final class ConsumeInOrder {
    private ConsumeInOrder() {
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int pause = arguments.number("pause", 2);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(arguments.text("group"));
        Target.connect(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(arguments.text("topic"), "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(message -> System.out.println(message.getQueueId() + " " + message.getQueueOffset()));
            System.out.flush();
            try {
                Thread.sleep(pause);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        Thread.currentThread().join();
    }
}
