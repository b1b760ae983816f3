package crocket.e2e;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Every feature with a restart of the server in its middle: the first halves of all scenarios, one restart, the second halves. Clients stay
 * alive over it. The part "restart" (parts/restart.sh) runs it and restarts the server when it is asked to by a file: in good order, by
 * kill -9, or over to the other broker, which goes on with the same store directory.
 */
class FeaturesOverRestart extends ClientTest {
    /** How the server is restarted: stop, kill or switch. */
    static final String HOW = System.getenv("CROCKET_E2E_RESTART");
    private static final Path CONTROL = Path.of(System.getenv().getOrDefault("CROCKET_E2E_CONTROL", ""));

    /** After a clean stop nothing may come twice; whoever is killed, or is another, may repeat the last seconds. */
    static boolean exactlyOnce() {
        return HOW.equals("stop");
    }

    /** One feature. */
    abstract static class Scenario {
        final String name;

        Scenario(String name) {
            this.name = name;
        }

        abstract void before() throws Exception;

        abstract void after() throws Exception;
    }

    private static void restart() throws Exception {
        Files.writeString(CONTROL, HOW);
        eventually("the restart", () -> !Files.exists(CONTROL));
        eventually("a broker that answers", () -> {
            try {
                return admin().fetchBrokerRuntimeStats(brokerAddress()) != null;
            } catch (Exception e) {
                return false;
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> featuresOutliveARestart() {
        List<Scenario> scenarios = new ArrayList<>();
        scenarios.addAll(MessageScenarios.all(this));
        scenarios.addAll(ConsumeScenarios.all(this));
        scenarios.addAll(OperatorScenarios.all(this));
        List<Scenario> good = new ArrayList<>();
        Stream<DynamicTest> before = scenarios.stream().map(scenario -> DynamicTest.dynamicTest("before: " + scenario.name, () -> {
            scenario.before();
            good.add(scenario);
        }));
        Stream<DynamicTest> restart = Stream.of(DynamicTest.dynamicTest("the restart", FeaturesOverRestart::restart));
        Stream<DynamicTest> after = scenarios.stream().map(scenario -> DynamicTest.dynamicTest("after: " + scenario.name, () -> {
            if (!good.contains(scenario)) {
                throw new AssertionError("its first half failed");
            }
            scenario.after();
        }));
        return Stream.concat(Stream.concat(before, restart), after);
    }
}
