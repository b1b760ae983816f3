package crocket.e2e;

/** Where the server under test is: read once from system properties, else from the environment. */
public final class Target {
    public static final String NAMESRV = setting("CROCKET_E2E_NAMESRV", "127.0.0.1:9876");
    public static final String CLUSTER = setting("CROCKET_E2E_CLUSTER", "DefaultCluster");
    public static final String BROKER = setting("CROCKET_E2E_BROKER", "broker-a");

    private Target() {
    }

    private static String setting(String name, String otherwise) {
        String value = System.getProperty(name);
        if (value == null || value.isEmpty()) {
            value = System.getenv(name);
        }
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
