package crocket.e2e;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** What Produce wrote down: the place of every acknowledged message. */
final class Acknowledged {
    final Map<Long, Place> places = new HashMap<>();

    static final class Place {
        final String messageId;
        final int queueId;
        final long queueOffset;

        Place(String messageId, int queueId, long queueOffset) {
            this.messageId = messageId;
            this.queueId = queueId;
            this.queueOffset = queueOffset;
        }
    }

    Acknowledged(String files) throws IOException {
        for (String file : files.split(",")) {
            for (String line : Files.readAllLines(Path.of(file), StandardCharsets.US_ASCII)) {
                String[] fields = line.split(" ");
                Place place = new Place(fields[1], Integer.parseInt(fields[2]), Long.parseLong(fields[3]));
                if (places.put(Long.parseLong(fields[0]), place) != null) {
                    throw new Mismatch("message " + fields[0] + " was acknowledged twice");
                }
            }
        }
    }
}
