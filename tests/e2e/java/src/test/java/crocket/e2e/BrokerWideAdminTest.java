package crocket.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Properties;
import org.apache.rocketmq.common.constant.PermName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** Admin calls that touch every topic of the broker: alone, so that no other test meets their effect. */
@Isolated
class BrokerWideAdminTest extends ClientTest {
    @Test
    void writePermissionOfTheBrokerIsTakenAwayAndGivenBack() throws Exception {
        String topic = newTopic(1);
        int wiped = 0;
        try {
            wiped = admin().wipeWritePermOfBroker(Target.NAMESRV, Target.BROKER);
            assertEquals(PermName.PERM_READ, admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm());
        } finally {
            int added = admin().addWritePermOfBroker(Target.NAMESRV, Target.BROKER);
            assertTrue(added >= wiped && wiped > 0, "topics wiped: " + wiped + ", given back: " + added);
        }
        assertEquals(PermName.PERM_READ | PermName.PERM_WRITE, admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm());
    }

    @Test
    void traceSwitchIsToldToProducersAtOnce() throws Exception {
        String topic = newTopic(1);
        Properties change = new Properties();
        assertTrue(producer().send(message(topic, "before")).isTraceOn());
        try {
            change.setProperty("traceOn", "false");
            admin().updateBrokerConfig(brokerAddress(), change);
            assertFalse(producer().send(message(topic, "off")).isTraceOn());
        } finally {
            change.setProperty("traceOn", "true");
            admin().updateBrokerConfig(brokerAddress(), change);
        }
        assertTrue(producer().send(message(topic, "after")).isTraceOn());
    }

    @Test
    void expiredAndUnusedThingsCanBeCleaned() throws Exception {
        String topic = newTopic(1);
        sendNumbered(topic, 1, "m", 5);
        assertTrue(admin().cleanExpiredConsumerQueue(Target.CLUSTER));
        assertTrue(admin().cleanUnusedTopicByAddr(brokerAddress()));
        assertTrue(admin().deleteExpiredCommitLogByAddr(brokerAddress()));
        readAll(topic, 5);
    }
}
