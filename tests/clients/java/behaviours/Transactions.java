import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Half messages and their ends. Both servers check after three seconds, every second, three times. */
public final class Transactions implements Behaviours.Chapter {
    private static final int COMMIT = 8;
    private static final int ROLLBACK = 12;

    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("transaction", Transactions::ends);
        book.add("transaction-ends-refused", Transactions::refused);
    }

    /** What the local transaction answers first, and what a check answers: by the message's body. */
    private static final Map<String, LocalTransactionState[]> ANSWERS = Map.of(
        "commit", states(LocalTransactionState.COMMIT_MESSAGE, null),
        "rollback", states(LocalTransactionState.ROLLBACK_MESSAGE, null),
        "throws", states(null, LocalTransactionState.COMMIT_MESSAGE),
        "unknown, then commit", states(LocalTransactionState.UNKNOW, LocalTransactionState.COMMIT_MESSAGE),
        "unknown, then rollback", states(LocalTransactionState.UNKNOW, LocalTransactionState.ROLLBACK_MESSAGE),
        "never known", states(LocalTransactionState.UNKNOW, LocalTransactionState.UNKNOW));

    private static LocalTransactionState[] states(LocalTransactionState... states) {
        return states;
    }

    private static void ends(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        Map<String, List<String>> checks = new ConcurrentHashMap<>();
        TransactionMQProducer producer = stage.transactions(stage.topic + "-p");
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                LocalTransactionState state = ANSWERS.get(Stage.body(message))[0];
                if (state == null) {
                    throw new IllegalStateException("the local transaction fails");
                }
                return state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                checks.computeIfAbsent(Stage.body(message), unused -> new java.util.concurrent.CopyOnWriteArrayList<>())
                    .add("topic " + message.getTopic() + " " + Stage.properties(message)
                        + (message.getTransactionId() == null ? "" : " with transaction id"));
                return ANSWERS.get(Stage.body(message))[1];
            }
        });
        stage.started(producer);
        for (String body : ANSWERS.keySet().stream().sorted().collect(Collectors.toList())) {
            Message message = new Message(stage.topic, "TagX", "key-x", body.getBytes());
            message.putUserProperty("colour", "blue");
            stage.tellOf(body, () -> {
                TransactionSendResult result = producer.sendMessageInTransaction(message, null);
                // The offset is that in the half topic, which all scenarios share.
                return result.getLocalTransactionState() + " " + Stage.result(result).replaceAll("offset \\d+", "offset n");
            });
        }
        stage.until("what is committed", () -> read(stage).size() >= 3);
        stage.until("the last check", () -> checks.getOrDefault("never known", List.of()).size() >= 3);
        stage.until("the check that rolls back", () -> checks.containsKey("unknown, then rollback"));
        Map<String, String> committed = new TreeMap<>();
        read(stage).forEach(each -> committed.put(Stage.body(each), Stage.all(each).replaceAll(" offset \\d+", "")));
        committed.forEach((body, all) -> stage.tell("delivered", all));
        new TreeMap<>(checks).forEach((body, each) -> stage.tell("checked " + body, each.get(0)));
        stage.until("the message that is given up", () -> {
            try {
                return stage.read("TRANS_CHECK_MAX_TIME_TOPIC", 0).stream().anyMatch(each -> mine(stage, each));
            } catch (Exception e) {
                return false;
            }
        });
        for (MessageExt each : stage.read("TRANS_CHECK_MAX_TIME_TOPIC", 0)) {
            if (mine(stage, each)) {
                stage.tell("given up", Stage.all(each).replaceAll(" offset \\d+", ""));
            }
        }
        stage.tell("checks of what is given up", checks.get("never known").size());
        stage.tell("delivered at the end", read(stage).size());
    }

    private static boolean mine(Stage stage, MessageExt message) {
        return stage.topic.equals(message.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
    }

    private static List<MessageExt> read(Stage stage) {
        try {
            return stage.read(stage.topic, 0);
        } catch (Exception e) {
            return List.of();
        }
    }

    private static void refused(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        stage.tell("commit at the wrong group", end(stage, half(stage, "group"), Map.of("producerGroup", "another"), COMMIT));
        stage.tell("commit at the wrong queue offset", end(stage, half(stage, "queue"), Map.of("tranStateTableOffset", "999"), COMMIT));
        stage.tell("commit nowhere", end(stage, half(stage, "nowhere"), Map.of("commitLogOffset", "3"), COMMIT));
        stage.tell("commit beyond", end(stage, half(stage, "beyond"), Map.of("commitLogOffset", "999999999999"), COMMIT));
        stage.tell("a strange state", end(stage, half(stage, "strange"), Map.of(), 5));
        Map<String, String> twice = half(stage, "twice");
        stage.tell("commit", end(stage, twice, Map.of(), COMMIT));
        stage.tell("commit again", end(stage, twice, Map.of(), COMMIT));
        Map<String, String> back = half(stage, "back");
        stage.tell("rollback", end(stage, back, Map.of(), ROLLBACK));
        stage.tell("rollback again", end(stage, back, Map.of(), ROLLBACK));
        stage.tell("commit after it", end(stage, back, Map.of(), COMMIT));
        SendResult plain = stage.send(stage.message("plain"), 0);
        stage.tell("commit what is no half message", end(stage, Map.of("producerGroup", stage.topic + "-sender",
            "tranStateTableOffset", String.valueOf(plain.getQueueOffset()), "commitLogOffset", offset(plain)), Map.of(), COMMIT));
        stage.tell("stored", Stage.join(stage.read(stage.topic, 0), Stage::body));
    }

    /** Sends a half message and gives the fields that end it. */
    private static Map<String, String> half(Stage stage, String body) throws Exception {
        Message message = stage.message(body);
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_TRANSACTION_PREPARED, "true");
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_PRODUCER_GROUP, stage.topic + "-sender");
        SendResult result = stage.send(message, 0);
        return Map.of("producerGroup", stage.topic + "-sender", "tranStateTableOffset", String.valueOf(result.getQueueOffset()),
            "commitLogOffset", offset(result), "msgId", result.getMsgId(), "transactionId", result.getMsgId());
    }

    /** An offset message id ends with the offset in the log. */
    private static String offset(SendResult result) {
        String id = result.getOffsetMsgId();
        return String.valueOf(Long.parseUnsignedLong(id.substring(id.length() - 16), 16));
    }

    private static String end(Stage stage, Map<String, String> half, Map<String, String> changed, int state) throws Exception {
        Map<String, String> fields = new HashMap<>(half);
        fields.put("commitOrRollback", String.valueOf(state));
        fields.put("fromTransactionCheck", "false");
        fields.put("topic", stage.topic);
        fields.putAll(changed);
        return stage.answer(37, fields, null);
    }
}
