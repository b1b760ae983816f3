package crocket.e2e;

import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * Admin calls for the scripts, several in one process because a JVM takes its time to start:
 *
 * <pre>
 * topic=NAME:QUEUES[,...]     creates topics
 * group=NAME:RETRIES[,...]    creates consumer groups
 * state=TOPIC:GROUP[,...]     prints what a broker keeps about them: a line for each setting, sorted
 * </pre>
 */
public final class Admin {
    private final DefaultMQAdminExt admin = new DefaultMQAdminExt(10_000);

    private Admin() throws Exception {
        Target.start(admin);
    }

    public static void main(String[] args) throws Exception {
        int status = 1;
        try {
            Arguments arguments = new Arguments(args);
            Admin program = new Admin();
            for (String topic : list(arguments, "topic")) {
                program.createTopic(topic.split(":")[0], Integer.parseInt(topic.split(":")[1]));
            }
            for (String group : list(arguments, "group")) {
                program.createGroup(group.split(":")[0], Integer.parseInt(group.split(":")[1]));
            }
            for (String pair : list(arguments, "state")) {
                program.printState(pair.split(":")[0], pair.split(":")[1]);
            }
            status = 0;
        } catch (Exception e) {
            e.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(status);
    }

    private static String[] list(Arguments arguments, String name) {
        String value = arguments.text(name, "");
        return value.isEmpty() ? new String[0] : value.split(",");
    }

    private String address() throws Exception {
        return admin.examineBrokerClusterInfo().getBrokerAddrTable().get(Target.BROKER).getBrokerAddrs().get(0L);
    }

    private void createTopic(String topic, int queues) throws Exception {
        admin.createAndUpdateTopicConfig(address(), new TopicConfig(topic, queues, queues));
        for (int attempt = 0; ; attempt++) {
            try {
                admin.examineTopicRouteInfo(topic);
                return;
            } catch (Exception e) {
                if (attempt == 100) {
                    throw e;
                }
                Thread.sleep(50);
            }
        }
    }

    private void createGroup(String group, int retries) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(retries);
        admin.createAndUpdateSubscriptionGroupConfig(address(), config);
    }

    private void printState(String topic, String group) throws Exception {
        TopicConfig config = admin.examineTopicConfig(address(), topic);
        System.out.println("topic " + topic + " read " + config.getReadQueueNums() + " write " + config.getWriteQueueNums() + " perm "
            + config.getPerm());
        SubscriptionGroupConfig groupConfig = admin.examineSubscriptionGroupConfig(address(), group);
        System.out.println("group " + group + " retries " + groupConfig.getRetryMaxTimes());
        Map<Integer, String> offsets = new TreeMap<>();
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : admin.examineConsumeStats(group, topic).getOffsetTable().entrySet()) {
            if (entry.getKey().getTopic().equals(topic)) {
                offsets.put(entry.getKey().getQueueId(),
                    "consumed " + entry.getValue().getConsumerOffset() + " of " + entry.getValue().getBrokerOffset());
            }
        }
        offsets.forEach((queueId, text) -> System.out.println("queue " + topic + " " + queueId + " " + group + " " + text));
    }
}
