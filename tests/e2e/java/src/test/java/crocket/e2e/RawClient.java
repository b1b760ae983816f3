package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.Channel;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.remoting.ChannelEventListener;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;

/**
 * The client's remoting layer alone, on one connection to the broker: for requests that its producers and consumers do not send. After
 * each that is refused, the same connection has to serve a good one.
 */
final class RawClient implements AutoCloseable {
    /** A remark that is not looked at: Java's is a stack trace, or none. */
    static final String SOMETHING = "";
    static final long CALL_MS = 30_000;

    private final AtomicInteger connections = new AtomicInteger();
    private final NettyRemotingClient client = new NettyRemotingClient(new NettyClientConfig(), new ChannelEventListener() {
        @Override
        public void onChannelConnect(String address, Channel channel) {
            connections.incrementAndGet();
        }

        @Override
        public void onChannelClose(String address, Channel channel) {
        }

        @Override
        public void onChannelException(String address, Channel channel) {
        }

        @Override
        public void onChannelIdle(String address, Channel channel) {
        }

        @Override
        public void onChannelActive(String address, Channel channel) {
        }
    });
    final String broker = ClientTest.brokerAddress();
    final String topic = ClientTest.newTopic(1);
    final String group = ClientTest.newGroup();

    RawClient() throws Exception {
        client.start();
    }

    @Override
    public void close() {
        client.shutdown();
    }

    static RemotingCommand request(int code, CommandCustomHeader header, byte[] body) {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, header);
        request.setBody(body);
        return request;
    }

    static RemotingCommand request(int code, CommandCustomHeader header) {
        return request(code, header, null);
    }

    RemotingCommand ask(RemotingCommand request) throws Exception {
        return client.invokeSync(broker, request, CALL_MS);
    }

    RemotingCommand ask(RemotingCommand request, long timeoutMs) throws Exception {
        return client.invokeSync(broker, request, timeoutMs);
    }

    /** The request is answered with this code and a remark that begins so; the connection goes on. */
    RemotingCommand refused(int code, String remark, RemotingCommand request) throws Exception {
        RemotingCommand answer = ask(request);
        assertEquals(code, answer.getCode(), "code; remark: " + answer.getRemark());
        if (!remark.equals(SOMETHING)) {
            assertNotNull(answer.getRemark());
            assertTrue(answer.getRemark().startsWith(remark), "remark: " + answer.getRemark());
        }
        stillServes();
        return answer;
    }

    void stillServes() throws Exception {
        RemotingCommand answer = ask(send(sendHeader(topic, 0), ClientTest.bytes("good")));
        assertEquals(ResponseCode.SUCCESS, answer.getCode(), answer.getRemark());
        assertEquals(1, connections.get(), "connections that were needed");
    }

    static SendMessageRequestHeader sendHeader(String topic, int queueId) {
        SendMessageRequestHeader header = new SendMessageRequestHeader();
        header.setProducerGroup("raw_producer");
        header.setTopic(topic);
        header.setDefaultTopic("TBW102");
        header.setDefaultTopicQueueNums(4);
        header.setQueueId(queueId);
        header.setSysFlag(0);
        header.setBornTimestamp(System.currentTimeMillis());
        header.setFlag(0);
        header.setProperties("");
        header.setReconsumeTimes(0);
        header.setUnitMode(false);
        header.setBatch(false);
        header.setBrokerName(Target.BROKER);
        return header;
    }

    static RemotingCommand send(SendMessageRequestHeader header, byte[] body) {
        int code = header.isBatch() ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2;
        return request(code, SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(header), body);
    }

    /** A pull that brings its subscription along and does not wait. */
    static PullMessageRequestHeader pullHeader(String topic, String group, int queueId, long offset) {
        PullMessageRequestHeader header = new PullMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(queueId);
        header.setQueueOffset(offset);
        header.setMaxMsgNums(32);
        header.setSysFlag(4);
        header.setCommitOffset(0L);
        header.setSuspendTimeoutMillis(0L);
        header.setSubscription("*");
        header.setSubVersion(0L);
        header.setExpressionType("TAG");
        return header;
    }

    static RemotingCommand pull(PullMessageRequestHeader header) {
        return request(RequestCode.PULL_MESSAGE, header);
    }
}
