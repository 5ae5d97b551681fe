import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** Timers of 5.x and their recall. */
public final class Timers implements Behaviours.Chapter {
    private static final long DAY_SECONDS = 86_400;

    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("timer-kinds", Timers::kinds);
        book.add("timer-range", Timers::range);
        book.add("timer-recall", Timers::recall);
    }

    private static Message timer(Stage stage, String body, String... properties) {
        Message message = new Message(stage.topic, "TagT", "key-t", body.getBytes());
        for (int i = 0; i < properties.length; i += 2) {
            MessageAccessor.putProperty(message, properties[i], properties[i + 1]);
        }
        return message;
    }

    private static void kinds(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        Map<String, String> seen = new ConcurrentHashMap<>();
        Map<String, Long> due = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                // A timer's wheel has ticks of a second; Apache fires in the tick that holds the instant.
                boolean early = System.currentTimeMillis() < due.get(Stage.body(each)) - 1_000;
                seen.put(Stage.body(each), (early ? "early, " : "") + Stage.all(each).replaceAll(" offset \\d+", ""));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        long now = System.currentTimeMillis();
        send(stage, due, now + 2_000, timer(stage, "seconds", "TIMER_DELAY_SEC", "2"));
        send(stage, due, now + 1_500, timer(stage, "milliseconds", "TIMER_DELAY_MS", "1500"));
        send(stage, due, now + 2_500, timer(stage, "instant", "TIMER_DELIVER_MS", String.valueOf(now + 2_500)));
        send(stage, due, 0, timer(stage, "instant of the past", "TIMER_DELIVER_MS", String.valueOf(now - 10_000)));
        send(stage, due, 0, timer(stage, "no seconds", "TIMER_DELAY_SEC", "0"));
        send(stage, due, 0, timer(stage, "negative seconds", "TIMER_DELAY_SEC", "-5"));
        send(stage, due, now + 1_000, timer(stage, "seconds and level", "TIMER_DELAY_SEC", "3", "DELAY", "1"));
        send(stage, due, now + 1_000, timer(stage, "seconds and instant", "TIMER_DELAY_SEC", "1", "TIMER_DELIVER_MS",
            String.valueOf(now + 100_000)));
        send(stage, due, 0, timer(stage, "not a number", "TIMER_DELAY_SEC", "soon"));
        stage.until("the last of them", () -> seen.keySet().containsAll(java.util.List.of("seconds", "milliseconds", "instant",
            "instant of the past", "seconds and level", "seconds and instant")));
        new TreeMap<>(seen).forEach((body, all) -> stage.tell("received " + body, all));
    }

    private static void send(Stage stage, Map<String, Long> due, long instant, Message message) {
        due.put(Stage.body(message), instant);
        stage.tellOf(Stage.body(message), () -> {
            SendResult result = stage.send(message, 0);
            return result.getSendStatus() + (result.getRecallHandle() == null ? "" : " with a handle");
        });
    }

    private static void range(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (long days : new long[] {1, 3, 4, 400}) {
            stage.tellOf(days + " days in seconds", () -> stage.send(
                timer(stage, "far", "TIMER_DELAY_SEC", String.valueOf(days * DAY_SECONDS - 60)), 0).getSendStatus());
            stage.tellOf(days + " days in milliseconds", () -> stage.send(
                timer(stage, "far", "TIMER_DELAY_MS", String.valueOf((days * DAY_SECONDS - 60) * 1_000)), 0).getSendStatus());
            stage.tellOf("an instant in " + days + " days", () -> stage.send(timer(stage, "far", "TIMER_DELIVER_MS",
                String.valueOf(System.currentTimeMillis() + (days * DAY_SECONDS - 60) * 1_000)), 0).getSendStatus());
        }
        stage.tell("stored", stage.read(stage.topic, 0).size());
    }

    private static void recall(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        SendResult recalled = stage.send(timer(stage, "recalled", "TIMER_DELAY_SEC", "4"), 0);
        SendResult kept = stage.send(timer(stage, "kept", "TIMER_DELAY_SEC", "5"), 0);
        stage.tellOf("recall", () -> stage.sender().recallMessage(stage.topic, recalled.getRecallHandle())
            .equals(recalled.getMsgId()) ? "answers the message's id" : "answers another id");
        stage.tellOf("recall again", () -> stage.sender().recallMessage(stage.topic, recalled.getRecallHandle())
            .equals(recalled.getMsgId()) ? "answers the message's id" : "answers another id");
        stage.tellOf("recall with another topic", () -> stage.sender().recallMessage(stage.topic + "-x", kept.getRecallHandle()));
        stage.tellOf("recall with a broken handle", () -> stage.sender().recallMessage(stage.topic, "broken"));
        stage.tell("raw, with a broken handle", stage.answer(370, Map.of("producerGroup", stage.topic + "-p", "topic",
            stage.topic, "recallHandle", "broken"), null));
        stage.tell("raw, without a handle", stage.answer(370, Map.of("producerGroup", stage.topic + "-p", "topic", stage.topic),
            null));
        stage.tell("received", Stage.bodies(stage.read(stage.topic, 0, 1)));
        stage.tellOf("recall what was delivered", () -> stage.sender().recallMessage(stage.topic, kept.getRecallHandle())
            .equals(kept.getMsgId()) ? "answers the message's id" : "answers another id");
    }
}
