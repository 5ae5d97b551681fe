import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Order: who suspends, who gives up, who takes over, and the locks beneath. */
public final class Ordering implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("order-suspend", Ordering::suspend);
        book.add("order-given-up", Ordering::givenUp);
        book.add("order-takeover", Ordering::takeover);
        book.add("order-locks", Ordering::locks);
    }

    private static void suspend(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        for (int i = 0; i < 12; i++) {
            Message message = stage.message("o" + i);
            stage.sender().send(message, (queues, each, key) -> queues.get((Integer) key % queues.size()), i);
        }
        Map<Integer, List<String>> seen = new TreeMap<>(Map.of(0, new ArrayList<>(), 1, new ArrayList<>()));
        AtomicInteger done = new AtomicInteger();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            context.setSuspendCurrentQueueTimeMillis(50);
            MessageExt message = messages.get(0);
            synchronized (seen) {
                seen.get(message.getQueueId()).add(Stage.body(message) + "/" + message.getReconsumeTimes());
            }
            boolean stuck = Set.of("o3", "o4").contains(Stage.body(message));
            if (stuck && message.getReconsumeTimes() < 2) {
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            done.incrementAndGet();
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        stage.until("all", () -> done.get() >= 12);
        stage.tell("queue 0", seen.get(0));
        stage.tell("queue 1", seen.get(1));
    }

    private static void givenUp(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (String body : new String[] {"a", "poison", "b"}) {
            Message message = new Message(stage.topic, "TagO", "key-" + body, body.getBytes());
            stage.send(message, 0);
        }
        List<String> seen = new ArrayList<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            context.setSuspendCurrentQueueTimeMillis(50);
            MessageExt message = messages.get(0);
            synchronized (seen) {
                seen.add(Stage.body(message) + "/" + message.getReconsumeTimes());
            }
            return "poison".equals(Stage.body(message))
                ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        stage.until("the message behind", () -> {
            synchronized (seen) {
                return seen.contains("b/0");
            }
        });
        stage.tell("seen", seen);
        Retries.tellDead(stage, stage.topic + "-g", 1);
    }

    private static void takeover(Stage stage) throws Exception {
        stage.create(stage.topic, 4);
        Map<String, Integer> seen = new ConcurrentHashMap<>();
        Set<String> owners = ConcurrentHashMap.newKeySet();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            String owner = "consumer " + i;
            DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
            consumer.subscribe(stage.topic, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                owners.add(owner + " queue " + messages.get(0).getQueueId());
                messages.forEach(each -> seen.merge(Stage.body(each), 1, Integer::sum));
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        stage.until("both to share", () -> consumers.stream().allMatch(
            each -> each.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
                .filter(queue -> queue.getTopic().equals(stage.topic)).count() == 2));
        for (int i = 0; i < 4; i++) {
            stage.send(stage.message("before-" + i), i);
        }
        stage.until("all of before", () -> seen.size() == 4);
        stage.tell("owners", owners.size());
        // An offset is noted after the listener has returned, and a shutdown does not wait for that.
        stage.until("its offsets", () -> consumers.get(0).getDefaultMQPushConsumerImpl().getOffsetStore()
            .cloneOffsetTable(stage.topic).values().stream().mapToLong(Long::longValue).sum() == 2);
        consumers.get(0).shutdown();
        for (int i = 0; i < 4; i++) {
            stage.send(stage.message("after-" + i), i);
        }
        stage.until("all of after", () -> seen.size() == 8);
        stage.tell("seen", new TreeMap<>(seen));
    }

    private static void locks(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        stage.tell("first locks both", lock(stage, 41, "one", 0, 1));
        stage.tell("second asks for both", lock(stage, 41, "two", 0, 1));
        stage.tell("first again", lock(stage, 41, "one", 1));
        stage.tell("second unlocks what is not its own", lock(stage, 42, "two", 0));
        stage.tell("second still gets none", lock(stage, 41, "two", 0));
        stage.tell("first unlocks", lock(stage, 42, "one", 0));
        stage.tell("second locks", lock(stage, 41, "two", 0, 1));
    }

    private static String lock(Stage stage, int code, String client, int... queues) throws Exception {
        StringBuilder set = new StringBuilder();
        for (int queue : queues) {
            set.append(set.length() == 0 ? "" : ",").append("{\"brokerName\":\"").append(Stage.BROKER).append("\",\"queueId\":")
                .append(queue).append(",\"topic\":\"").append(stage.topic).append("\"}");
        }
        String body = "{\"clientId\":\"" + client + "\",\"consumerGroup\":\"" + stage.topic + "-g\",\"mqSet\":[" + set + "]}";
        var answer = stage.call(code, Map.of(), body.getBytes());
        String text = answer.getBody() == null ? "" : new String(answer.getBody());
        List<String> locked = new ArrayList<>();
        for (int queue = 0; queue < 2; queue++) {
            if (text.replace(" ", "").contains("\"queueId\":" + queue)) {
                locked.add("queue " + queue);
            }
        }
        return "code " + answer.getCode() + " " + locked;
    }
}
