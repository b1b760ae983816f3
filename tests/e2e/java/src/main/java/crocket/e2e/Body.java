package crocket.e2e;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.apache.rocketmq.common.message.Message;

/** Message bodies that can be computed again from the id alone, so that a reader can tell whether every byte is right. */
final class Body {
    private Body() {
    }

    /** The id as text, a line feed, then bytes that depend on it: mostly up to 2 KiB, now and then 200 KiB. */
    static byte[] of(long id) {
        SplittableRandom random = new SplittableRandom(id);
        byte[] head = (id + "\n").getBytes(StandardCharsets.US_ASCII);
        int length = head.length + (id % 997 == 996 ? 200_000 : random.nextInt(2048));
        byte[] body = new byte[length];
        random.nextBytes(body);
        System.arraycopy(head, 0, body, 0, head.length);
        return body;
    }

    static String tagOf(long id) {
        return "tag" + id % 3;
    }

    static String keyOf(long id) {
        return "key" + id;
    }

    /** The id of a message; fails when body, tag or key are not those of the id. */
    static long verifiedId(Message message) {
        byte[] body = message.getBody();
        int end = 0;
        while (end < body.length && body[end] != '\n') {
            end++;
        }
        long id;
        try {
            id = Long.parseLong(new String(body, 0, end, StandardCharsets.US_ASCII));
        } catch (NumberFormatException e) {
            throw new Mismatch("a body that does not begin with an id: " + message);
        }
        if (!Arrays.equals(body, of(id))) {
            throw new Mismatch("the body of message " + id + " is not what was sent: " + message);
        }
        if (!tagOf(id).equals(message.getTags()) || !keyOf(id).equals(message.getKeys())) {
            throw new Mismatch("tag or key of message " + id + " are not what was sent: " + message);
        }
        return id;
    }
}
