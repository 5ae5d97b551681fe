import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Delay levels; both servers have four of them, of one to four seconds. */
public final class Delays implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("delay-levels", Delays::levels);
        book.add("delay-ordered", Delays::sameLevel);
    }

    private static void levels(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        Map<String, String> seen = new ConcurrentHashMap<>();
        Map<String, Long> sent = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                int level = Math.max(0, Math.min(4, Integer.parseInt(each.getKeys())));
                long late = System.currentTimeMillis() - sent.get(Stage.body(each)) - level * 1_000L;
                // The queue's offset tells the order in which levels came, which a busy machine may change.
                seen.put(Stage.body(each), (late >= -20 ? "" : "early, ")
                    + Stage.all(each).replaceAll(" offset \\d+", ""));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        int[] levels = {0, 1, 2, 3, 4, 5, 100};
        for (int level : levels) {
            String body = "level " + level;
            Message message = new Message(stage.topic, "TagD", String.valueOf(level), body.getBytes());
            message.setDelayTimeLevel(level);
            sent.put(body, System.currentTimeMillis());
            stage.tellOf(body, () -> stage.send(message, level % 2).getSendStatus());
        }
        stage.tellOf("negative level", () -> {
            Message message = new Message(stage.topic, "TagD", "-1", "level -1".getBytes());
            MessageAccessor.putProperty(message, MessageConst.PROPERTY_DELAY_TIME_LEVEL, "-1");
            sent.put("level -1", System.currentTimeMillis());
            return stage.send(message, 0).getSendStatus();
        });
        stage.until("all levels", () -> seen.size() >= levels.length + 1);
        new TreeMap<>(seen).forEach(stage::tell);
    }

    private static void sameLevel(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (int i = 0; i < 20; i++) {
            Message message = stage.message("d" + i);
            message.setDelayTimeLevel(1);
            stage.send(message, 0);
        }
        stage.tell("right after", stage.read(stage.topic, 0).size() < 20);
        List<MessageExt> read = stage.read(stage.topic, 0, 20);
        stage.tell("order", Stage.bodies(read));
    }
}
