import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Failing again and again: attempts, dead letters, and how to read them. */
public final class Retries implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("retry-to-dead", Retries::toDead);
        book.add("retry-given-levels", Retries::givenLevels);
        book.add("retry-part-of-batch", Retries::partOfBatch);
        book.add("retry-sent-back", Retries::sentBack);
        book.add("retry-refused", Retries::refused);
        book.add("retry-group-settings", Retries::groupSettings);
        book.add("broadcast", Retries::broadcast);
    }

    private static void toDead(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        List<String> attempts = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(stage.topic, "TagR");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> attempts.add(Stage.all(each)));
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        Message message = new Message(stage.topic, "TagR", "key-r", 3, "poison".getBytes(), true);
        message.putUserProperty("colour", "red");
        stage.send(message, 0);
        stage.until("three attempts", () -> attempts.size() >= 3);
        attempts.forEach(each -> stage.tell("attempt", each));
        tellDead(stage, stage.topic + "-g", 1);
        stage.tell("attempts", attempts.size());
    }

    /** Tells what is in a group's dead letter topic, first as it was made and then made readable. */
    static void tellDead(Stage stage, String group, int count) throws Exception {
        String dead = "%DLQ%" + group;
        DefaultMQPullConsumer reader = stage.pull(stage.topic + "-undertaker");
        stage.until("dead letters", () -> {
            try {
                return reader.maxOffset(Stage.queue(dead, 0)) >= count;
            } catch (Exception e) {
                return false;
            }
        });
        stage.untilRouted(dead);
        stage.tellOf("dead letters can be pulled", () -> reader.pull(Stage.queue(dead, 0), "*", 0, 32).getPullStatus());
        stage.tellOf("queues of dead letters", () -> reader.fetchSubscribeMessageQueues(dead).size());
        stage.create(dead, 1);
        for (MessageExt each : stage.read(dead, 0, count)) {
            stage.tell("dead letter", Stage.all(each));
        }
    }

    private static void givenLevels(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        Map<String, List<String>> attempts = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            List<String> mine = attempts.computeIfAbsent(Stage.body(message), unused -> new CopyOnWriteArrayList<>());
            mine.add(message.getReconsumeTimes() + " " + Stage.properties(message));
            if (mine.size() > 1) {
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
            context.setDelayLevelWhenNextConsume("dead at once".equals(Stage.body(message)) ? -1 : 1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        stage.send(stage.message("dead at once"), 0);
        stage.send(stage.message("soon"), 0);
        stage.until("the second attempt", () -> attempts.getOrDefault("soon", List.of()).size() == 2);
        tellDead(stage, stage.topic + "-g", 1);
        new TreeMap<>(attempts).forEach((body, each) -> stage.tell(body, each));
    }

    private static void partOfBatch(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (int i = 0; i < 4; i++) {
            stage.send(stage.message("m" + i), 0);
        }
        List<String> seen = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.setConsumeMessageBatchMaxSize(4);
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> seen.add(Stage.body(each) + "/" + each.getReconsumeTimes()));
            if (messages.size() == 4) {
                context.setDelayLevelWhenNextConsume(1);
                context.setAckIndex(1);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        stage.until("the second attempts", () -> seen.size() >= 6);
        stage.tell("seen", new TreeSet<>(seen));
    }

    private static void sentBack(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        List<MessageExt> seen = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            seen.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        stage.send(stage.message("by hand"), 0);
        stage.until("the first", () -> seen.size() == 1);
        consumer.sendMessageBack(seen.get(0), 1, Stage.BROKER);
        stage.until("the second", () -> seen.size() == 2);
        stage.tell("second", Stage.all(seen.get(1)));
        consumer.sendMessageBack(seen.get(1), 1, Stage.BROKER);
        stage.until("the third", () -> seen.size() == 3);
        stage.tell("third", Stage.all(seen.get(2)));
    }

    private static void refused(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        stage.send(stage.message("refused"), 0);
        String offset = String.valueOf(stage.read(stage.topic, 0, 1).get(0).getCommitLogOffset());
        String group = stage.topic + "-none";
        stage.tell("unknown group", back(stage, group, offset, Map.of()));
        group(stage, group, "");
        stage.tell("known group", back(stage, group, offset, Map.of()));
        stage.tell("bad offset", back(stage, group, "3", Map.of()));
        stage.tell("offset beyond the end", back(stage, group, "999999999999", Map.of()));
        stage.tell("negative offset", back(stage, group, "-1", Map.of()));
        stage.tell("level beyond the last", back(stage, group, offset, Map.of("delayLevel", "99")));
        stage.tell("without the optional fields",
            stage.answer(36, Map.of("offset", offset, "group", group, "delayLevel", "0"), null));
        group(stage, stage.topic + "-no-queues", "\"retryQueueNums\":0,");
        stage.tell("group without retry queues", back(stage, stage.topic + "-no-queues", offset, Map.of()));
    }

    private static String back(Stage stage, String group, String offset, Map<String, String> changed) throws Exception {
        Map<String, String> fields = new TreeMap<>(Map.of("offset", offset, "group", group, "delayLevel", "0",
            "originMsgId", "none", "originTopic", stage.topic, "unitMode", "false", "maxReconsumeTimes", "16"));
        fields.putAll(changed);
        return stage.answer(36, fields, null);
    }

    /** Makes a group; {@code settings} are JSON fields, each with its comma. */
    static void group(Stage stage, String group, String settings) throws Exception {
        String body = "{" + settings + "\"groupName\":\"" + group + "\"}";
        int code = stage.call(200, Map.of(), body.getBytes()).getCode();
        if (code != 0) {
            stage.tell("a group is refused with code", code);
        }
    }

    private static void groupSettings(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        stage.send(stage.message("settings"), 0);
        String disabled = stage.topic + "-disabled";
        group(stage, disabled, "\"consumeEnable\":false,");
        stage.tellOf("a disabled group pulls", () -> pulled(stage, disabled));
        group(stage, disabled, "\"consumeEnable\":true,");
        stage.tellOf("enabled, it pulls", () -> pulled(stage, disabled));

        // The group's own number of attempts holds for clients that do not send one; 5.x clients always do.
        String once = stage.topic + "-once";
        group(stage, once, "\"retryMaxTimes\":0,");
        List<String> attempts = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(once);
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> attempts.add(Stage.body(each) + "/" + each.getReconsumeTimes()));
            context.setDelayLevelWhenNextConsume(1);
            return messages.get(0).getReconsumeTimes() == 0
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        stage.until("two attempts", () -> attempts.size() == 2);
        stage.tell("attempts", attempts);
    }

    private static PullStatus pulled(Stage stage, String group) throws Exception {
        return stage.pull(group).pull(Stage.queue(stage.topic, 0), "*", 0, 32).getPullStatus();
    }

    private static void broadcast(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        List<List<String>> seen = new ArrayList<>();
        AtomicBoolean failed = new AtomicBoolean();
        for (int i = 0; i < 2; i++) {
            List<String> mine = new CopyOnWriteArrayList<>();
            seen.add(mine);
            DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
            // The type moved between the packages of 4.9 and 5; its name is not written here, so that both compile.
            consumer.setMessageModel(Enum.valueOf(consumer.getMessageModel().getDeclaringClass(), "BROADCASTING"));
            consumer.subscribe(stage.topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(each -> mine.add(Stage.body(each) + "/" + each.getReconsumeTimes()));
                // A broadcast message that fails is not brought again.
                return failed.compareAndSet(false, true)
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
        }
        for (int i = 0; i < 6; i++) {
            stage.send(stage.message("b" + i), i % 2);
        }
        stage.until("all on both", () -> seen.stream().allMatch(each -> each.size() >= 6));
        seen.forEach(each -> stage.tell("one saw", new TreeSet<>(each)));
        stage.tell("the group's offset on the broker", stage.answer(14, Map.of("consumerGroup", stage.topic + "-g", "topic",
            stage.topic, "queueId", "0"), null, "offset"));
    }
}
