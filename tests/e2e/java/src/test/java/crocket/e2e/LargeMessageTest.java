package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.junit.jupiter.api.Test;

class LargeMessageTest extends ClientTest {
    @Test
    void bodiesOfEverySizeUpToTheLimit() throws Exception {
        String topic = newTopic(1);
        DefaultMQProducer producer = newProducer();
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        List<byte[]> bodies = new ArrayList<>();
        Random random = new Random(42);
        int limit = 4 << 20;
        for (int size : new int[] {1, 2, 1023, 1024, 4095, 4096, 4097, 65_535, 65_536, 100_000, 262_144, 262_145, 1 << 20, limit - 1, limit}) {
            byte[] body = new byte[size];
            random.nextBytes(body);
            bodies.add(body);
            assertEquals(SendStatus.SEND_OK, producer.send(new Message(topic, body), queue(topic, 0)).getSendStatus());
        }
        List<MessageExt> stored = readAll(topic, bodies.size());
        for (int i = 0; i < bodies.size(); i++) {
            assertArrayEquals(bodies.get(i), stored.get(i).getBody(), "body of " + bodies.get(i).length + " bytes");
        }
    }

    @Test
    void compressedBodiesOfEveryType() throws Exception {
        String topic = newTopic(1);
        byte[] body = bytes("all work and no play makes a dull message. ".repeat(5_000));
        List<CompressionType> types = List.of(CompressionType.ZLIB, CompressionType.LZ4, CompressionType.ZSTD);
        for (CompressionType type : types) {
            DefaultMQProducer producer = newProducer();
            producer.setCompressType(type);
            Message message = new Message(topic, "tag", "key", body);
            assertEquals(SendStatus.SEND_OK, producer.send(message, queue(topic, 0)).getSendStatus());
        }
        List<MessageExt> read = readAll(topic, types.size());
        DefaultMQPullConsumer raw = new DefaultMQPullConsumer(unique("raw"));
        Target.connect(raw);
        raw.setInstanceName(unique("raw"));
        raw.setDecodeDecompressBody(false);
        raw.start();
        closeLater(raw::shutdown);
        List<MessageExt> stored = raw.pull(queue(topic, 0), "*", 0, 32, 15_000).getMsgFoundList();
        for (int i = 0; i < types.size(); i++) {
            assertArrayEquals(body, read.get(i).getBody());
            int sysFlag = stored.get(i).getSysFlag();
            assertTrue((sysFlag & MessageSysFlag.COMPRESSED_FLAG) != 0, "stored as it was sent: compressed");
            assertEquals(types.get(i), MessageSysFlag.getCompressionType(sysFlag));
            assertTrue(stored.get(i).getBody().length < body.length / 4, "a stored body of " + stored.get(i).getBody().length + " bytes");
        }
    }

    @Test
    void manyPropertiesAndKeys() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "body");
        Map<String, String> properties = new HashMap<>();
        for (int i = 0; i < 300; i++) {
            properties.put("property" + i, "value " + i + " " + "x".repeat(i % 70));
        }
        properties.forEach(message::putUserProperty);
        List<String> keys = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            keys.add(unique("key"));
        }
        message.setKeys(keys);
        message.setTags("tag");
        producer().send(message);
        MessageExt stored = readAll(topic, 1).get(0);
        properties.forEach((name, value) -> assertEquals(value, stored.getUserProperty(name), name));
        assertEquals(String.join(" ", keys), stored.getKeys());
        eventually("the index of the last key", () -> {
            try {
                return !admin().queryMessage(topic, keys.get(49), 1, 0, Long.MAX_VALUE).getMessageList().isEmpty();
            } catch (MQClientException e) {
                return false;
            }
        });
    }

    @Test
    void textOfAllKindsIsKept() throws Exception {
        String topic = newTopic(1);
        Message message = message(topic, "žluťoučký kůň 大きな馬 🐎 \u0000 \" \\ \n");
        message.setTags("標籤");
        message.setKeys("clé-à-molette");
        message.putUserProperty("quote\"d", "back\\slash \t tab / \u007f 🐎 {\"json\":[1,2]}");
        message.putUserProperty("пустота", " x ");
        producer().send(message);
        MessageExt stored = readAll(topic, 1).get(0);
        assertEquals("žluťoučký kůň 大きな馬 🐎 \u0000 \" \\ \n", text(stored.getBody()));
        assertEquals("標籤", stored.getTags());
        assertEquals("clé-à-molette", stored.getKeys());
        assertEquals("back\\slash \t tab / \u007f 🐎 {\"json\":[1,2]}", stored.getUserProperty("quote\"d"));
        assertEquals(" x ", stored.getUserProperty("пустота"));
    }

    @Test
    void longestTopicName() throws Exception {
        String name = unique("long");
        String topic = name + "-".repeat(127 - name.length());
        createTopic(topic, 1);
        producer().send(message(topic, "m"));
        MessageExt stored = readAll(topic, 1).get(0);
        assertEquals(topic, stored.getTopic());
        assertEquals("m", text(stored.getBody()));
    }
}
