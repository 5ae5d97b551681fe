import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** Runs commands of mqadmin one after the other: a line each in the file that is given, with tabs between the words. */
public final class Admin {
    private Admin() {
    }

    public static void main(String[] args) throws Exception {
        // In one stream, so that what a command complains of stands behind its own line.
        System.setErr(System.out);
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            System.out.println("#### " + line.replace('\t', ' '));
            try {
                MQAdminStartup.main0(line.split("\t"), null);
            } catch (Throwable failure) {
                System.out.println("failed: " + failure);
            }
            System.out.flush();
        }
        System.out.println("#### end");
        System.out.flush();
        // Clients of some commands leave threads behind.
        System.exit(0);
    }
}
