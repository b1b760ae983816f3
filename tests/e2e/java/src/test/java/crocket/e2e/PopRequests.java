package crocket.e2e;

import static crocket.e2e.ClientTest.brokerAddress;
import static crocket.e2e.ClientTest.eventually;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.impl.ClientRemotingProcessor;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PollingInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** The requests that pop consumption is made of, sent by the client's own remoting layer. */
final class PopRequests {
    static final int POLLING_INFO = 200055;
    static final long CALL_MS = 30_000;

    final MQClientAPIExt api;
    final String broker;

    PopRequests() throws Exception {
        ClientConfig config = new ClientConfig();
        Target.connect(config);
        api = new MQClientAPIExt(config, new NettyClientConfig(), new ClientRemotingProcessor(null), null);
        api.start();
        broker = brokerAddress();
    }

    void shutdown() {
        api.shutdown();
    }

    static PopMessageRequestHeader popHeader(String topic, String group, int max, long invisible, long poll) {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setMaxMsgNums(max);
        header.setInvisibleTime(invisible);
        header.setPollTime(poll);
        header.setBornTime(System.currentTimeMillis());
        header.setInitMode(0);
        header.setExpType("TAG");
        header.setExp("*");
        header.setOrder(false);
        return header;
    }

    CompletableFuture<PopResult> popLater(PopMessageRequestHeader header) {
        return api.popMessageAsync(broker, Target.BROKER, header, CALL_MS);
    }

    PopResult pop(PopMessageRequestHeader header) throws Exception {
        return popLater(header).get(CALL_MS, TimeUnit.MILLISECONDS);
    }

    /** Pops until there are so many messages, each of which comes once. */
    List<MessageExt> popAll(String topic, String group, int count, long invisible) throws Exception {
        List<MessageExt> all = new ArrayList<>();
        eventually(count + " messages popped", () -> {
            PopResult result = pop(popHeader(topic, group, 32, invisible, 1_000));
            if (result.getPopStatus() == PopStatus.FOUND) {
                all.addAll(result.getMsgFoundList());
            }
            return all.size() >= count;
        });
        assertEquals(count, all.size());
        return all;
    }

    void expectNothing(String topic, String group, long poll) throws Exception {
        PopResult result = pop(popHeader(topic, group, 32, 60_000, poll));
        assertEquals(PopStatus.POLLING_NOT_FOUND, result.getPopStatus(), "popped: " + result.getMsgFoundList());
    }

    static String handle(MessageExt message) {
        return message.getProperty(MessageConst.PROPERTY_POP_CK);
    }

    static AckMessageRequestHeader ackHeader(String topic, String group, MessageExt message) {
        String[] parts = ExtraInfoUtil.split(handle(message));
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle(message));
        return header;
    }

    void ack(String topic, String group, MessageExt message) throws Exception {
        AckResult result = api.ackMessageAsync(broker, ackHeader(topic, group, message), CALL_MS).get();
        assertEquals(AckStatus.OK, result.getStatus());
    }

    boolean notification(String topic, String group, long poll) throws Exception {
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        header.setPollTime(poll);
        header.setBornTime(System.currentTimeMillis());
        return api.notification(broker, header, CALL_MS).get();
    }

    int waiting(String topic, String group) throws Exception {
        PollingInfoRequestHeader header = new PollingInfoRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(-1);
        RemotingCommand answer = api.invoke(broker, RemotingCommand.createRequestCommand(POLLING_INFO, header), CALL_MS).get();
        assertEquals(0, answer.getCode());
        return Integer.parseInt(answer.getExtFields().get("pollingNum"));
    }

    /** Another time for the message; its new handle. */
    String change(String topic, String group, MessageExt message, long invisible) throws Exception {
        AckMessageRequestHeader ack = ackHeader(topic, group, message);
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(ack.getTopic());
        header.setQueueId(ack.getQueueId());
        header.setOffset(ack.getOffset());
        header.setExtraInfo(ack.getExtraInfo());
        header.setInvisibleTime(invisible);
        AckResult changed = api.changeInvisibleTimeAsync(broker, Target.BROKER, header, CALL_MS).get();
        assertEquals(AckStatus.OK, changed.getStatus());
        return changed.getExtraInfo();
    }
}
