import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that ask: the lite one, the old one, and the raw request. */
public final class Pulling implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("lite-assign", Pulling::assign);
        book.add("lite-subscribe", Pulling::subscribe);
        book.add("pull", Pulling::pull);
        book.add("pull-refused", Pulling::refused);
    }

    private static void ten(Stage stage, int queue) throws Exception {
        for (int i = 0; i < 10; i++) {
            Message message = stage.message("q" + queue + "-" + i);
            message.setTags(i % 2 == 0 ? "Even" : "Odd");
            stage.send(message, queue);
        }
    }

    /** Polls until so many came. */
    private static List<String> poll(Stage stage, DefaultLitePullConsumer consumer, int count) throws Exception {
        List<String> seen = new ArrayList<>();
        stage.until(count + " messages, of which came " + seen, () -> {
            for (MessageExt each : consumer.poll(100)) {
                seen.add(Stage.body(each));
            }
            return seen.size() >= count;
        });
        return seen;
    }

    private static void assign(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        ten(stage, 0);
        MessageQueue queue = Stage.queue(stage.topic, 0);
        DefaultLitePullConsumer consumer = stage.litePull(stage.topic + "-g");
        consumer.setAutoCommit(false);
        consumer.setPullBatchSize(4);
        consumer.start();
        stage.tell("queues", new TreeSet<>(consumer.fetchMessageQueues(stage.topic)).size());
        consumer.assign(List.of(queue));
        stage.tell("from the first", poll(stage, consumer, 10));
        stage.tellOf("committed before", () -> consumer.committed(queue));
        consumer.seek(queue, 7);
        stage.tell("from the seventh", poll(stage, consumer, 3));
        consumer.commitSync();
        stage.until("the commit", () -> {
            try {
                return consumer.committed(queue) == 10;
            } catch (Exception e) {
                return false;
            }
        });
        consumer.seekToBegin(queue);
        stage.tell("from the beginning", poll(stage, consumer, 10));
        consumer.seekToEnd(queue);
        stage.send(stage.message("new"), 0);
        stage.tell("from the end", poll(stage, consumer, 1));
        stage.tellOf("seek too far", () -> {
            consumer.seek(queue, 1_000);
            return "taken";
        });
        stage.tellOf("offset of the past", () -> consumer.offsetForTimestamp(queue, 0L));
        stage.tellOf("offset of the future", () -> consumer.offsetForTimestamp(queue, System.currentTimeMillis() + 100_000));
    }

    private static void subscribe(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        ten(stage, 0);
        ten(stage, 1);
        DefaultLitePullConsumer first = stage.litePull(stage.topic + "-g");
        first.setAutoCommit(false);
        first.subscribe(stage.topic, "Even");
        first.start();
        stage.tell("first", new TreeSet<>(poll(stage, first, 10)));
        first.commitSync();
        stage.until("the commit", () -> {
            try {
                // Nothing of the tag is behind the last even one.
                return first.committed(Stage.queue(stage.topic, 0)) >= 9 && first.committed(Stage.queue(stage.topic, 1)) >= 9;
            } catch (Exception e) {
                return false;
            }
        });
        first.shutdown();
        Message more = stage.message("more");
        more.setTags("Even");
        stage.send(more, 1);
        DefaultLitePullConsumer second = stage.litePull(stage.topic + "-g");
        second.subscribe(stage.topic, "Even");
        second.start();
        stage.tell("second", poll(stage, second, 1));
    }

    private static String shown(PullResult result) {
        return result.getPullStatus() + " next " + result.getNextBeginOffset() + " min " + result.getMinOffset() + " max "
            + result.getMaxOffset() + (result.getMsgFoundList() == null ? "" : " " + Stage.bodies(result.getMsgFoundList()));
    }

    private static void pull(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        ten(stage, 0);
        MessageQueue queue = Stage.queue(stage.topic, 0);
        MessageQueue empty = Stage.queue(stage.topic, 1);
        DefaultMQPullConsumer consumer = stage.pull(stage.topic + "-g");
        stage.tell("queues", consumer.fetchSubscribeMessageQueues(stage.topic).size());
        for (long offset : new long[] {0, 5, 9, 10, 11, 1_000, -1}) {
            stage.tellOf("at " + offset, () -> shown(consumer.pull(queue, "*", offset, 32)));
            stage.tellOf("of an empty queue at " + offset, () -> shown(consumer.pull(empty, "*", offset, 32)));
        }
        stage.tellOf("three", () -> shown(consumer.pull(queue, "*", 2, 3)));
        stage.tellOf("no match", () -> shown(consumer.pull(queue, "None", 0, 32)));
        stage.tellOf("odd", () -> shown(consumer.pull(queue, "Odd", 0, 32)));
        stage.tellOf("min", () -> consumer.minOffset(queue));
        stage.tellOf("max", () -> consumer.maxOffset(queue));
        stage.tellOf("max of an empty queue", () -> consumer.maxOffset(empty));
        stage.tellOf("earliest", () -> consumer.earliestMsgStoreTime(queue) > 0);
        stage.tellOf("earliest of an empty queue", () -> consumer.earliestMsgStoreTime(empty));
        stage.tellOf("offset of the past", () -> consumer.searchOffset(queue, 0));
        stage.tellOf("offset of the future", () -> consumer.searchOffset(queue, System.currentTimeMillis() + 100_000));
        stage.tellOf("offset in an empty queue", () -> consumer.searchOffset(empty, 0));
        stage.tellOf("offset of a group that has none", () -> consumer.fetchConsumeOffset(queue, true));
        consumer.updateConsumeOffset(queue, 6);
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().persistAll(Set.of(queue));
        // It is persisted with a request that waits for no answer.
        stage.until("the offset", () -> {
            try {
                return consumer.fetchConsumeOffset(queue, true) == 6;
            } catch (Exception e) {
                return false;
            }
        });
        stage.tellOf("waits for a new one", () -> {
            new Thread(() -> {
                try {
                    stage.send(stage.message("late"), 1);
                } catch (Exception e) {
                    stage.tell("late", Stage.failure(e));
                }
            }).start();
            return shown(consumer.pullBlockIfNotFound(empty, "*", 0, 32));
        });
    }

    private static void refused(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        stage.create(stage.topic + "-writeonly", 1, 2, null);
        stage.create(stage.topic + "-readonly", 1, 4, null);
        stage.tell("plain", raw(stage, Map.of()));
        stage.tell("unknown topic", raw(stage, Map.of("topic", stage.topic + "-none")));
        stage.tell("a topic that only writes", raw(stage, Map.of("topic", stage.topic + "-writeonly")));
        stage.tell("a topic that only reads", raw(stage, Map.of("topic", stage.topic + "-readonly")));
        stage.tell("a queue that is not there", raw(stage, Map.of("queueId", "1")));
        stage.tell("a negative queue", raw(stage, Map.of("queueId", "-1")));
        stage.tell("no messages", raw(stage, Map.of("maxMsgNums", "0")));
        stage.tell("without a subscription", raw(stage, Map.of("sysFlag", "0")));
        stage.tell("an unknown type of filter", raw(stage, Map.of("expressionType", "SQL93")));
        stage.tell("a bad group", raw(stage, Map.of("consumerGroup", "a b")));
        stage.send(stage.message("there"), 0);
        stage.read(stage.topic, 0, 1);
        stage.tell("lite", stage.answer(361, fields(stage, Map.of()), null, "nextBeginOffset", "minOffset", "maxOffset",
            "suggestWhichBrokerId"));
    }

    private static Map<String, String> fields(Stage stage, Map<String, String> changed) {
        Map<String, String> fields = new java.util.HashMap<>(Map.of("consumerGroup", stage.topic + "-raw", "topic", stage.topic,
            "queueId", "0", "queueOffset", "0", "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0",
            "suspendTimeoutMillis", "0", "subVersion", "0", "subscription", "*"));
        fields.putAll(changed);
        return fields;
    }

    private static String raw(Stage stage, Map<String, String> changed) throws Exception {
        return stage.answer(11, fields(stage, changed), null, "nextBeginOffset", "minOffset", "maxOffset");
    }
}
