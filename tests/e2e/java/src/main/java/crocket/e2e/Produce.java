package crocket.e2e;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.impl.producer.TopicPublishInfo;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Sends the messages first .. first + count - 1 to a topic and writes a line for each acknowledged one as it goes:
 * id, message id, queue id, queue offset.
 *
 * <p>topic= count= first=0 acked=FILE inflight=64 batch=0 (every 16th request a batch of so many) delay=0 (delay level)
 * later=0 (ms until delivery) queues=0 (message i to queue i modulo so many; 0: the client chooses).
 * Stops at the first failed send and never sends a message twice, so that what it wrote down is what the server promised.
 * Exit status 0: all acknowledged; 3: a send failed.
 */
public final class Produce {
    private final BufferedWriter acked;
    private final Semaphore slots;
    private final AtomicBoolean failed = new AtomicBoolean();
    private long acknowledged;

    private Produce(Path file, int inflight) throws IOException {
        acked = Files.newBufferedWriter(file, StandardCharsets.US_ASCII, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        slots = new Semaphore(inflight);
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        int inflight = arguments.number("inflight", 64);
        int count = arguments.number("count");
        Produce run = new Produce(Path.of(arguments.text("acked")), inflight);
        DefaultMQProducer producer = new DefaultMQProducer("e2e_produce");
        Target.connect(producer);
        producer.setRetryTimesWhenSendFailed(0);
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.setSendMsgTimeout(30_000);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.start();
        learnRoute(producer, arguments.text("topic"));
        run.sendAll(producer, arguments, count);
        // After a failure the server is gone: what it answered before is on its way already, the rest will never be answered.
        boolean quiet = run.slots.tryAcquire(inflight, run.failed.get() ? 2 : 30, TimeUnit.SECONDS);
        synchronized (run.acked) {
            run.acked.close();
        }
        System.out.println("acknowledged " + run.acknowledged + " of " + count + (quiet ? "" : ", some unanswered"));
        // Not waiting for the client's own slow shutdown: every answer is in the file.
        Runtime.getRuntime().halt(run.acknowledged == count ? 0 : 3);
    }

    /**
     * Asks for the topic's route once, before many sends do it side by side: those that wait 3 s for their turn take the route of the
     * default topic instead, whose queues the topic may not have.
     */
    private static void learnRoute(DefaultMQProducer producer, String topic) {
        for (int attempt = 0; attempt < 10; attempt++) {
            TopicPublishInfo known = producer.getDefaultMQProducerImpl().getTopicPublishInfoTable().get(topic);
            if (known != null && known.ok()) {
                return;
            }
            producer.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(topic);
        }
    }

    private void sendAll(DefaultMQProducer producer, Arguments arguments, int count) throws InterruptedException {
        String topic = arguments.text("topic");
        int batch = arguments.number("batch", 0);
        int delay = arguments.number("delay", 0);
        int later = arguments.number("later", 0);
        int queues = arguments.number("queues", 0);
        long next = arguments.number("first", 0);
        long end = next + count;
        for (int request = 0; next < end && !failed.get(); request++) {
            int size = batch > 0 && request % 16 == 15 ? (int) Math.min(batch, end - next) : 1;
            List<Message> messages = new ArrayList<>(size);
            long first = next;
            for (; next < first + size; next++) {
                Message message = new Message(topic, Body.tagOf(next), Body.keyOf(next), Body.of(next));
                if (delay > 0) {
                    message.setDelayTimeLevel(delay);
                }
                if (later > 0) {
                    message.setDelayTimeMs(later);
                }
                messages.add(message);
            }
            slots.acquire();
            try {
                if (size > 1) {
                    producer.send(messages, answer(first, size));
                } else if (queues > 0) {
                    producer.send(messages.get(0), new MessageQueue(topic, Target.BROKER, (int) (first % queues)), answer(first, 1));
                } else {
                    producer.send(messages.get(0), answer(first, 1));
                }
            } catch (Exception e) {
                fail(first, e.toString());
            }
        }
    }

    private SendCallback answer(long first, int size) {
        return new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                if (result.getSendStatus() == SendStatus.SEND_OK) {
                    write(first, size, result);
                    slots.release();
                } else {
                    fail(first, result.getSendStatus().toString());
                }
            }

            @Override
            public void onException(Throwable failure) {
                fail(first, failure.toString());
            }
        };
    }

    private void write(long first, int size, SendResult result) {
        synchronized (acked) {
            try {
                for (int i = 0; i < size; i++) {
                    acked.write((first + i) + " " + result.getMsgId() + " " + result.getMessageQueue().getQueueId() + " "
                        + (result.getQueueOffset() + i) + "\n");
                }
                acked.flush();
                acknowledged += size;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private void fail(long id, String why) {
        if (failed.compareAndSet(false, true)) {
            System.out.println("message " + id + " was not acknowledged: " + why);
        }
        slots.release();
    }
}
