import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageQueue;

/** Where groups stand, where they begin, and how they are put elsewhere. */
public final class Offsets implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("offset-begin", Offsets::begin);
        book.add("offset-reset", Offsets::reset);
        book.add("offset-requests", Offsets::requests);
        book.add("offset-of-deleted", Offsets::deleted);
    }

    private static List<String> consume(Stage stage, String group, ConsumeFromWhere where) throws Exception {
        List<String> seen = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(group);
        consumer.setConsumeFromWhere(where);
        consumer.setConsumeTimestamp(UtilAll.timeMillisToHumanString3(System.currentTimeMillis() + 3_600_000));
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> seen.add(Stage.body(each)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        stage.until("the assignment", () -> consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable()
            .keySet().stream().anyMatch(queue -> queue.getTopic().equals(stage.topic)));
        return seen;
    }

    private static void begin(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (int i = 0; i < 3; i++) {
            stage.send(stage.message("old-" + i), 0);
        }
        Map<String, List<String>> seen = new TreeMap<>();
        for (ConsumeFromWhere where : List.of(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
            seen.put(where.name(), consume(stage, stage.topic + "-" + where.ordinal(), where));
        }
        stage.send(stage.message("new"), 0);
        stage.until("the new one", () -> seen.values().stream().allMatch(each -> each.contains("new")));
        seen.forEach((where, bodies) -> stage.tell(where, new TreeSet<>(bodies)));
    }

    private static void reset(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (int i = 0; i < 5; i++) {
            stage.send(stage.message("r" + i), 0);
        }
        String group = stage.topic + "-g";
        stage.tell("of an unknown group", stage.answer(222, fields(stage, group, "0"), null));
        List<String> seen = consume(stage, group, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        stage.until("all", () -> seen.size() == 5);
        stage.until("the commit", () -> offset(stage, group).endsWith("offset=5"));
        stage.tell("to the beginning", stage.answer(222, fields(stage, group, "0"), null));
        stage.until("all again", () -> seen.size() == 10);
        stage.tell("seen", new TreeSet<>(seen));
        stage.until("the second commit", () -> offset(stage, group).endsWith("offset=5"));
        stage.tell("to an unknown topic", stage.answer(222, Map.of("topic", stage.topic + "-x", "group", group, "timestamp", "0",
            "isForce", "true"), null));
        stage.send(stage.message("after"), 0);
        stage.until("the one after", () -> seen.contains("after"));
        stage.tell("seen in all", seen.size());
    }

    private static Map<String, String> fields(Stage stage, String group, String timestamp) {
        return Map.of("topic", stage.topic, "group", group, "timestamp", timestamp, "isForce", "true");
    }

    private static String offset(Stage stage, String group) {
        try {
            return stage.answer(14, Map.of("consumerGroup", group, "topic", stage.topic, "queueId", "0"), null, "offset");
        } catch (Exception e) {
            return Stage.failure(e);
        }
    }

    private static void requests(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        for (int i = 0; i < 5; i++) {
            stage.send(stage.message("m" + i), 0);
        }
        String group = stage.topic + "-g";
        stage.tell("of a group that is unknown", offset(stage, group));
        stage.tell("commit of a group that is unknown", stage.answer(15, Map.of("consumerGroup", group, "topic", stage.topic,
            "queueId", "0", "commitOffset", "1"), null));
        Retries.group(stage, group, "");
        for (String offset : new String[] {"3", "2", "5", "9", "-1"}) {
            stage.tell("commit " + offset, stage.answer(15, Map.of("consumerGroup", group, "topic", stage.topic, "queueId", "0",
                "commitOffset", offset), null));
            stage.tell("after it", offset(stage, group));
        }
        stage.tell("commit to a topic that is unknown", stage.answer(15, Map.of("consumerGroup", group, "topic",
            stage.topic + "-x", "queueId", "0", "commitOffset", "1"), null));
        stage.tell("commit to a queue that is not there", stage.answer(15, Map.of("consumerGroup", group, "topic", stage.topic,
            "queueId", "7", "commitOffset", "1"), null));
        for (int queue : new int[] {0, 1, 7}) {
            Map<String, String> of = Map.of("topic", stage.topic, "queueId", String.valueOf(queue));
            stage.tell("max of queue " + queue, stage.answer(30, of, null, "offset"));
            stage.tell("min of queue " + queue, stage.answer(31, of, null, "offset"));
            stage.tell("offset of queue " + queue + " at 0", stage.answer(29, Map.of("topic", stage.topic, "queueId",
                String.valueOf(queue), "timestamp", "0"), null, "offset"));
        }
        stage.tell("max of a topic that is unknown", stage.answer(30, Map.of("topic", stage.topic + "-x", "queueId", "0"), null,
            "offset"));
        stage.tell("members of a group without", stage.answer(38, Map.of("consumerGroup", group), null));
    }

    private static void deleted(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        stage.send(stage.message("m0"), 0);
        MessageQueue queue = Stage.queue(stage.topic, 0);
        String group = stage.topic + "-g";
        stage.answer(15, Map.of("consumerGroup", group, "topic", stage.topic, "queueId", "0", "commitOffset", "1"), null);
        stage.tell("delete", stage.answer(215, Map.of("topic", stage.topic), null));
        stage.tell("delete again", stage.answer(215, Map.of("topic", stage.topic), null));
        stage.tell("pull", stage.answer(11, Map.of("consumerGroup", group, "topic", stage.topic, "queueId", "0", "queueOffset",
            "0", "maxMsgNums", "1", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subVersion", "0",
            "subscription", "*"), null));
        stage.create(stage.topic, 1);
        stage.tell("max when made again", stage.sender().maxOffset(queue));
        stage.tell("delete a system topic", stage.answer(215, Map.of("topic", "TBW102"), null));
        stage.tell("delete a blank topic", stage.answer(215, Map.of("topic", " "), null));
        stage.tell("delete a group that is unknown", stage.answer(207, Map.of("groupName", stage.topic + "-none"), null));
        Retries.group(stage, group, "");
        stage.tell("delete a group", stage.answer(207, Map.of("groupName", group, "cleanOffset", "true"), null));
    }
}
