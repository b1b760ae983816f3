package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.common.message.MessageExt;

/** What a consumer under test was given, in the order in which it was given. */
final class Received {
    private final List<MessageExt> messages = Collections.synchronizedList(new ArrayList<>());

    void add(MessageExt message) {
        messages.add(message);
    }

    void addAll(List<MessageExt> more) {
        messages.addAll(more);
    }

    int count() {
        return messages.size();
    }

    List<MessageExt> snapshot() {
        synchronized (messages) {
            return new ArrayList<>(messages);
        }
    }

    /** Waits for as many messages as bodies are expected, a moment longer for one too many, then compares. */
    void expectExactly(List<String> bodies) throws Exception {
        ClientTest.eventually(bodies.size() + " messages, got only " + sample(), () -> count() >= bodies.size());
        Thread.sleep(300);
        assertEquals(ClientTest.sorted(bodies), ClientTest.sortedBodies(snapshot()));
    }

    private String sample() {
        return count() + " so far";
    }
}
