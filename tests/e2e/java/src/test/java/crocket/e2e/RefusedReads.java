package crocket.e2e;

import static crocket.e2e.RawClient.SOMETHING;
import static crocket.e2e.RawClient.pull;
import static crocket.e2e.RawClient.pullHeader;
import static crocket.e2e.RawClient.request;
import static crocket.e2e.RawClient.send;
import static crocket.e2e.RawClient.sendHeader;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.body.LockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.body.LockBatchResponseBody;
import org.apache.rocketmq.remoting.protocol.header.ConsumerSendMsgBackRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.GetMaxOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ResetOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SearchOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.UpdateConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ViewMessageRequestHeader;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Pulls, offsets, locks and look-ups that cannot be served. The part `refusals` starts a broker that makes no groups by itself. */
class RefusedReads extends ClientTest {
    private static RawClient raw;

    @BeforeAll
    static void connect() throws Exception {
        raw = new RawClient();
    }

    @AfterAll
    static void disconnect() {
        raw.close();
    }

    private static void refused(int code, String remark, PullMessageRequestHeader header) throws Exception {
        raw.refused(code, remark, pull(header));
    }

    @Test
    void groupsThatNobodyMade() throws Exception {
        for (String group : new String[] {unique("missing"), "bad group!", "g".repeat(256)}) {
            refused(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [" + group + "] does not exist, ",
                pullHeader(raw.topic, group, 0, 0));
        }
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(unique("missing"));
        Target.start(consumer);
        closeLater(consumer::shutdown);
        MQBrokerException e = assertThrows(MQBrokerException.class, () -> consumer.pull(queue(raw.topic, 0), "*", 0, 1));
        assertEquals(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, e.getResponseCode());
    }

    @Test
    void topicsAndQueues() throws Exception {
        String missing = unique("missing");
        refused(ResponseCode.TOPIC_NOT_EXIST, "topic[" + missing + "] not exist, apply first please! ",
            pullHeader(missing, raw.group, 0, 0));
        for (int id : new int[] {1, -1, Integer.MAX_VALUE}) {
            refused(ResponseCode.INVALID_PARAMETER,
                "queueId[" + id + "] is illegal, topic:[" + raw.topic + "] topicConfig.readQueueNums:[1]",
                pullHeader(raw.topic, raw.group, id, 0));
        }
        RemotingCommand bare = request(RequestCode.PULL_MESSAGE, null);
        bare.addExtField("topic", raw.topic);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, bare);
    }

    private static void expectMoved(String topic, long from, long to) throws Exception {
        RemotingCommand answer = raw.ask(pull(pullHeader(topic, raw.group, 0, from)));
        assertEquals(ResponseCode.PULL_OFFSET_MOVED, answer.getCode(), answer.getRemark());
        assertEquals(Long.toString(to), answer.getExtFields().get("nextBeginOffset"));
        raw.stillServes();
    }

    @Test
    void offsetsThatAreNotThere() throws Exception {
        String topic = newTopic(1);
        expectMoved(topic, -1, 0); // of an empty queue
        expectMoved(topic, 7, 0);
        for (int i = 0; i < 3; i++) {
            assertEquals(ResponseCode.SUCCESS, raw.ask(send(sendHeader(topic, 0), bytes("m"))).getCode());
        }
        eventually("three messages", () -> admin().maxOffset(queue(topic, 0)) == 3);
        expectMoved(topic, -1, 0);
        expectMoved(topic, Long.MIN_VALUE, 0);
        expectMoved(topic, 4, 3);
        expectMoved(topic, Long.MAX_VALUE, 3);
    }

    @Test
    void expressions() throws Exception {
        PullMessageRequestHeader header = pullHeader(raw.topic, raw.group, 0, 0);
        String failed = "parse the consumer's subscription failed";
        header.setExpressionType("XYZ");
        header.setSubscription("a = 1");
        refused(ResponseCode.SYSTEM_ERROR, "The broker does not support consumer to filter message by XYZ", header);
        // It does not filter by SQL92, so nobody looks whether the expression is right: SqlFilterTest and RefusedPops have those.
        header.setExpressionType("SQL92");
        for (String expression : new String[] {"a = 1", "a >", "((a = 1)"}) {
            header.setSubscription(expression);
            refused(ResponseCode.SYSTEM_ERROR, "The broker does not support consumer to filter message by SQL92", header);
        }
        header.setSubscription("");
        refused(ResponseCode.SUBSCRIPTION_PARSE_FAILED, failed, header);
        header.setExpressionType("TAG");
        header.setSubscription("||");
        refused(ResponseCode.SUBSCRIPTION_PARSE_FAILED, failed, header);
        DefaultMQPushConsumer consumer = newPushConsumer(raw.group);
        consumer.subscribe(raw.topic, MessageSelector.bySql("a = 1"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        MQClientException e = assertThrows(MQClientException.class, consumer::start);
        assertTrue(e.getErrorMessage().contains("The broker does not support consumer to filter message by SQL92"), e.getErrorMessage());
    }

    @Test
    void subscriptionsThatNobodyTold() throws Exception {
        // Of its own: a consumer that another test could not start may have told of the other one.
        PullMessageRequestHeader header = pullHeader(raw.topic, newGroup(), 0, 0);
        header.setSysFlag(0);
        refused(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist", header);
        raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, request(RequestCode.HEART_BEAT, null, bytes("garbage")));
    }

    private static RemotingCommand commit(String topic, String group, int queueId, long offset) {
        UpdateConsumerOffsetRequestHeader header = new UpdateConsumerOffsetRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(queueId);
        header.setCommitOffset(offset);
        return request(RequestCode.UPDATE_CONSUMER_OFFSET, header);
    }

    private static RemotingCommand committed(String topic, String group, int queueId) {
        QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(queueId);
        header.setSetZeroIfNotFound(false);
        return request(RequestCode.QUERY_CONSUMER_OFFSET, header);
    }

    @Test
    void offsetsOfGroups() throws Exception {
        String missing = unique("missing");
        raw.refused(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, "Group " + missing + " not exist!", commit(raw.topic, missing, 0, 1));
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "Topic " + missing + " not exist!", commit(missing, raw.group, 0, 1));
        raw.refused(ResponseCode.QUERY_NOT_FOUND, "Not found", committed(raw.topic, missing, 0));
        raw.refused(ResponseCode.QUERY_NOT_FOUND, "Not found", committed(raw.topic, raw.group, 9));
        // A negative offset counts for none.
        String group = newGroup();
        assertEquals(ResponseCode.SUCCESS, raw.ask(commit(raw.topic, group, 0, -5)).getCode());
        raw.refused(ResponseCode.QUERY_NOT_FOUND, "Not found", committed(raw.topic, group, 0));
    }

    private static RemotingCommand reset(String topic, String group, int queueId, long offset) {
        ResetOffsetRequestHeader header = new ResetOffsetRequestHeader();
        header.setTopic(topic);
        header.setGroup(group);
        header.setQueueId(queueId);
        header.setOffset(offset);
        header.setTimestamp(0);
        header.setForce(true);
        return request(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, header);
    }

    @Test
    void resets() throws Exception {
        String topic = newTopic(1);
        String missing = unique("missing");
        raw.refused(ResponseCode.TOPIC_NOT_EXIST, "Topic " + missing + " does not exist", reset(missing, raw.group, -1, -1));
        raw.refused(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, "Group " + missing + " does not exist", reset(topic, missing, -1, -1));
        raw.refused(ResponseCode.SYSTEM_ERROR, "Target offset 9 not in consume queue range [0-0]", reset(topic, raw.group, 0, 9));
    }

    private static RemotingCommand position(int code, String topic) {
        CommandCustomHeader header;
        if (code == RequestCode.SEARCH_OFFSET_BY_TIMESTAMP) {
            SearchOffsetRequestHeader search = new SearchOffsetRequestHeader();
            search.setTopic(topic);
            search.setQueueId(0);
            search.setTimestamp(0L);
            header = search;
        } else {
            GetMaxOffsetRequestHeader max = new GetMaxOffsetRequestHeader();
            max.setTopic(topic);
            max.setQueueId(0);
            header = max;
        }
        return request(code, header);
    }

    @Test
    void positionsInTopicsThatNobodyMade() throws Exception {
        String missing = unique("missing");
        for (int code : new int[] {RequestCode.GET_MAX_OFFSET, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP}) {
            RemotingCommand answer = raw.ask(position(code, missing));
            assertEquals(ResponseCode.SUCCESS, answer.getCode());
            assertEquals("0", answer.getExtFields().get("offset"));
        }
        raw.stillServes();
    }

    @Test
    void locks() throws Exception {
        // Nobody asks whether the queue is there.
        LockBatchRequestBody body = new LockBatchRequestBody();
        body.setConsumerGroup(raw.group);
        body.setClientId("raw");
        body.getMqSet().add(queue(unique("missing"), 77));
        RemotingCommand answer = raw.ask(request(RequestCode.LOCK_BATCH_MQ, null, body.encode()));
        assertEquals(ResponseCode.SUCCESS, answer.getCode());
        LockBatchResponseBody locked = LockBatchResponseBody.decode(answer.getBody(), LockBatchResponseBody.class);
        assertEquals(body.getMqSet(), locked.getLockOKMQSet());
        body.setClientId("another");
        answer = raw.ask(request(RequestCode.LOCK_BATCH_MQ, null, body.encode()));
        locked = LockBatchResponseBody.decode(answer.getBody(), LockBatchResponseBody.class);
        assertEquals(Set.of(), locked.getLockOKMQSet());
        assertEquals(ResponseCode.SUCCESS, raw.ask(request(RequestCode.UNLOCK_BATCH_MQ, null, body.encode())).getCode());
        for (int code : new int[] {RequestCode.LOCK_BATCH_MQ, RequestCode.UNLOCK_BATCH_MQ}) {
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, request(code, null, bytes("garbage")));
            raw.refused(ResponseCode.SYSTEM_ERROR, SOMETHING, request(code, null, null));
        }
    }

    private static RemotingCommand view(long offset) {
        ViewMessageRequestHeader header = new ViewMessageRequestHeader();
        header.setOffset(offset);
        return request(RequestCode.VIEW_MESSAGE_BY_ID, header);
    }

    @Test
    void lookUps() throws Exception {
        QueryMessageRequestHeader query = new QueryMessageRequestHeader();
        query.setTopic(raw.topic);
        query.setKey(unique("key"));
        query.setMaxNum(32);
        query.setBeginTimestamp(0L);
        query.setEndTimestamp(Long.MAX_VALUE);
        RemotingCommand request = request(RequestCode.QUERY_MESSAGE, query);
        raw.refused(ResponseCode.QUERY_NOT_FOUND, "can not find message, maybe time range not correct", request);
        request = request(RequestCode.QUERY_MESSAGE, query);
        request.addExtField("_UNIQUE_KEY_QUERY", "true");
        raw.refused(ResponseCode.QUERY_NOT_FOUND, "can not find message, maybe time range not correct", request);
        MQClientException e = assertThrows(MQClientException.class,
            () -> admin().queryMessage(raw.topic, unique("key"), 32, 0, Long.MAX_VALUE));
        assertEquals(ResponseCode.NO_MESSAGE, e.getResponseCode());
        raw.refused(ResponseCode.SYSTEM_ERROR, "can not find message by the offset, 1099511627776", view(1L << 40));
        RemotingCommand sent = raw.ask(send(sendHeader(raw.topic, 0), bytes("body")));
        long at = MessageDecoder.decodeMessageId(sent.getExtFields().get("msgId")).getOffset();
        assertEquals(ResponseCode.SUCCESS, raw.ask(view(at)).getCode());
    }

    private static RemotingCommand sendBack(String group, long offset) {
        ConsumerSendMsgBackRequestHeader header = new ConsumerSendMsgBackRequestHeader();
        header.setGroup(group);
        header.setOffset(offset);
        header.setDelayLevel(0);
        return request(RequestCode.CONSUMER_SEND_MSG_BACK, header);
    }

    @Test
    void messagesSentBack() throws Exception {
        String missing = unique("missing");
        raw.refused(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, " + missing + " ", sendBack(missing, 0));
        raw.refused(ResponseCode.SYSTEM_ERROR, "look message by offset failed, 1099511627776", sendBack(raw.group, 1L << 40));
    }
}
