package crocket.e2e;

import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Where the server under test is: read once from system properties, else from the environment. */
public final class Target {
    public static final String NAMESRV = setting("CROCKET_E2E_NAMESRV", "127.0.0.1:9876");
    public static final String CLUSTER = setting("CROCKET_E2E_CLUSTER", "DefaultCluster");
    public static final String BROKER = setting("CROCKET_E2E_BROKER", "broker-a");

    private Target() {
    }

    /**
     * Points a client at the server under test. The client's own limit for its small requests, 3 s, is often over on a busy machine before a
     * cold JVM has loaded the classes for the first of them.
     */
    public static void connect(ClientConfig client) {
        client.setNamesrvAddr(NAMESRV);
        client.setMqClientApiTimeout(20_000);
    }

    /** Connects and starts a client that asks for offsets and queues, for which it has another limit, 6 s. */
    public static void start(DefaultMQPullConsumer client) throws MQClientException {
        connect(client);
        client.start();
        client.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory().getMQAdminImpl().setTimeoutMillis(30_000);
    }

    /** The same for an admin client. */
    public static void start(DefaultMQAdminExt client) throws MQClientException {
        connect(client);
        client.start();
        client.getDefaultMQAdminExtImpl().getMqClientInstance().getMQAdminImpl().setTimeoutMillis(30_000);
    }

    private static String setting(String name, String otherwise) {
        String value = System.getProperty(name);
        if (value == null || value.isEmpty()) {
            value = System.getenv(name);
        }
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
