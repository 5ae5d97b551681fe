import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Finding messages by key and by id. */
public final class Queries implements Behaviours.Chapter {
    private static final long HOUR_MILLIS = 3_600_000;

    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("query", Queries::query);
    }

    private static String find(Stage stage, String key, int count, long begin, long end) throws Exception {
        QueryResult result = stage.sender().queryMessage(stage.topic, key, count, begin, end);
        List<String> bodies = new ArrayList<>();
        result.getMessageList().forEach(each -> bodies.add(Stage.body(each)));
        Collections.sort(bodies);
        return bodies.toString();
    }

    private static void query(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        long begin = System.currentTimeMillis() - HOUR_MILLIS;
        long end = System.currentTimeMillis() + HOUR_MILLIS;
        List<SendResult> results = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            Message message = new Message(stage.topic, "TagQ", "key-" + i % 2 + " all", ("m" + i).getBytes());
            results.add(stage.send(message, i % 2));
        }
        // The index is written behind the log.
        stage.until("the index", () -> {
            try {
                return find(stage, "all", 32, begin, end).contains("m5");
            } catch (Exception e) {
                return false;
            }
        });
        stage.tellOf("key-0", () -> find(stage, "key-0", 32, begin, end));
        stage.tellOf("key-1", () -> find(stage, "key-1", 32, begin, end));
        stage.tellOf("all", () -> find(stage, "all", 32, begin, end));
        stage.tellOf("two of all", () -> find(stage, "all", 2, begin, end));
        stage.tellOf("both keys as one", () -> find(stage, "key-0 all", 32, begin, end));
        stage.tellOf("no such key", () -> find(stage, "none", 32, begin, end));
        stage.tellOf("before its time", () -> find(stage, "all", 32, 0, begin));
        stage.tellOf("after its time", () -> find(stage, "all", 32, end, end + HOUR_MILLIS));
        SendResult third = results.get(3);
        stage.tellOf("by unique key", () -> shown(stage.sender().viewMessage(stage.topic, third.getMsgId())));
        stage.tellOf("by offset id", () -> shown(stage.sender().viewMessage(stage.topic, third.getOffsetMsgId())));
        stage.tellOf("by an unknown unique key",
            () -> shown(stage.sender().viewMessage(stage.topic, third.getMsgId().substring(0, 28) + "FFFF")));
        String id = third.getOffsetMsgId();
        long offset = Long.parseUnsignedLong(id.substring(id.length() - 16), 16);
        stage.tell("raw by offset", stage.answer(33, Map.of("offset", String.valueOf(offset)), null));
        stage.tell("raw by an offset within", stage.answer(33, Map.of("offset", String.valueOf(offset + 1)), null));
        stage.tell("raw by an offset beyond", stage.answer(33, Map.of("offset", "999999999999"), null));
        stage.tell("raw by a negative offset", stage.answer(33, Map.of("offset", "-5"), null));
    }

    private static String shown(MessageExt message) {
        return message == null ? "nothing" : Stage.all(message);
    }
}
