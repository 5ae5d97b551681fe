import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What servers do, as it looks to an application on Apache's Java client: nothing is judged here, all is told.
 *
 * <pre>Behaviours NAME-SERVER PREFIX CHAPTER...</pre>
 *
 * The scenarios of all chapters run side by side, in order, each on topics and groups of its own. What they saw comes out afterwards
 * as lines "scenario | what", the same on every run against the same servers: whoever compares two servers compares lines.
 */
public final class Behaviours {
    /** A class with scenarios. One that needs a newer client is a chapter of its own, so that the others run on old ones. */
    interface Chapter {
        void scenarios(Book book);
    }

    /** What an application does, and tells. */
    interface Scenario {
        void run(Stage stage) throws Exception;
    }

    /** Where chapters enter their scenarios. */
    interface Book {
        void add(String name, Scenario scenario);
    }

    private static final class Running {
        private final Stage stage;
        private final Future<?> end;

        private Running(Stage stage, Future<?> end) {
            this.stage = stage;
            this.end = end;
        }
    }

    private static final int AT_ONCE = 10;

    private Behaviours() {
    }

    public static void main(String[] arguments) throws Exception {
        // They mostly wait; more at once only keep a small machine busy with starting clients.
        ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
        List<Running> all = new ArrayList<>();
        for (String chapter : Arrays.asList(arguments).subList(2, arguments.length)) {
            Chapter found = (Chapter) Class.forName(chapter).getDeclaredConstructor().newInstance();
            found.scenarios((name, scenario) -> {
                Stage stage = new Stage(arguments[0], arguments[1] + "-" + name, name);
                all.add(new Running(stage, threads.submit(() -> {
                    stage.play(scenario);
                    return null;
                })));
            });
        }
        for (Running each : all) {
            each.end.get();
            each.stage.lines().forEach(System.out::println);
        }
        System.out.flush();
        // The client leaves threads behind that would keep the process.
        System.exit(0);
    }
}
