package crocket.e2e;

import org.apache.rocketmq.client.ClientConfig;

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

    private static String setting(String name, String otherwise) {
        String value = System.getProperty(name);
        if (value == null || value.isEmpty()) {
            value = System.getenv(name);
        }
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
