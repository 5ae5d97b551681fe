import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** All ways to send, what is stored of it, and what is not taken. */
public final class Sending implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("send-kinds", Sending::kinds);
        book.add("send-batch", Sending::batch);
        book.add("send-created", Sending::created);
        book.add("send-refused", Sending::refused);
        book.add("send-names", Sending::names);
    }

    private static void kinds(Stage stage) throws Exception {
        stage.create(stage.topic, 4);
        Message full = new Message(stage.topic, "TagA", "key-1 key-2", 7, "full".getBytes(StandardCharsets.UTF_8), true);
        full.putUserProperty("colour", "green");
        full.setBuyerId("buyer");
        stage.tell("full", Stage.result(stage.send(full, 1)));
        stage.tell("plain", Stage.result(stage.send(stage.message("plain"), 1)));
        Message unwaited = stage.message("not waited for");
        unwaited.setWaitStoreMsgOK(false);
        stage.tell("without waiting for the disk", Stage.result(stage.send(unwaited, 1)));
        // Long enough for the client to compress it.
        stage.tell("long", Stage.result(stage.send(stage.message("long ".repeat(2_000)), 1)));
        stage.tell("empty key", Stage.result(stage.send(new Message(stage.topic, "", "", "empty key".getBytes()), 1)));

        CountDownLatch answered = new CountDownLatch(1);
        stage.sender().send(stage.message("async"), Stage.queue(stage.topic, 2), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                stage.tell("async", Stage.result(result));
                answered.countDown();
            }

            @Override
            public void onException(Throwable e) {
                stage.tell("async", Stage.failure(e));
                answered.countDown();
            }
        });
        answered.await(60, TimeUnit.SECONDS);
        stage.sender().sendOneway(stage.message("one way"), Stage.queue(stage.topic, 3));

        for (MessageExt each : stage.read(stage.topic, 1, 5)) {
            String shown = Stage.all(each);
            stage.tell("stored", each.getBody().length > 1_000 ? shown.substring(shown.indexOf(" topic ")) : shown);
            stage.tell("its sizes", each.getBody().length + " " + each.getStoreSize() + " " + each.getBodyCRC());
        }
        stage.tell("stored", Stage.all(stage.read(stage.topic, 2, 1).get(0)));
        stage.tell("stored", Stage.all(stage.read(stage.topic, 3, 1).get(0)));
    }

    private static void batch(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        for (int size : new int[] {1, 3, 40}) {
            List<Message> messages = new ArrayList<>();
            for (int i = 0; i < size; i++) {
                Message each = new Message(stage.topic, "Tag" + i % 2, "key-" + i, ("batch-" + size + "-" + i).getBytes());
                each.putUserProperty("number", String.valueOf(i));
                messages.add(each);
            }
            SendResult result = stage.sender().send(messages, Stage.queue(stage.topic, 1));
            stage.tell("batch of " + size, result.getSendStatus() + " offset " + result.getQueueOffset() + " ids "
                + result.getMsgId().split(",").length + " offset ids " + result.getOffsetMsgId().split(",").length);
        }
        List<MessageExt> stored = stage.read(stage.topic, 1, 44);
        stage.tell("stored", stored.size());
        stage.tell("one of one", Stage.all(stored.get(0)));
        stage.tell("last of three", Stage.all(stored.get(3)));
        stage.tell("order", Stage.bodies(stored));
    }

    private static void created(Stage stage) throws Exception {
        // The client knows its route by the default topic only.
        stage.tellOf("unknown topic", () -> stage.sender().send(stage.message("first")).getSendStatus());
        stage.until("the route", () -> {
            try {
                return stage.sender().fetchPublishMessageQueues(stage.topic).size() > 0;
            } catch (Exception e) {
                return false;
            }
        });
        stage.tell("queues", stage.sender().fetchPublishMessageQueues(stage.topic).size());
        stage.tellOf("known topic", () -> stage.sender().send(stage.message("second")).getSendStatus());
    }

    private static void refused(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        stage.create(stage.topic + "-readonly", 2, 4, null);
        stage.create(stage.topic + "-writeonly", 2, 2, null);
        stage.create(stage.topic + "-single", 1);
        byte[] body = "refused".getBytes();
        stage.tell("taken", send(stage, Map.of(), body));
        stage.tell("to a topic that only reads", send(stage, Map.of("topic", stage.topic + "-readonly"), body));
        stage.tell("to a topic that only writes", send(stage, Map.of("topic", stage.topic + "-writeonly"), body));
        stage.tell("to a queue that is not there", send(stage, Map.of("queueId", "2"), body));
        stage.tell("to any queue", send(stage, Map.of("topic", stage.topic + "-single", "queueId", "-1"), body));
        stage.tell("by an unknown default topic", send(stage, Map.of("topic", stage.topic + "-x", "defaultTopic", "none"), body));
        stage.tell("to a system topic", send(stage, Map.of("topic", "TBW102"), body));
        stage.tell("to the schedule's topic", send(stage, Map.of("topic", "SCHEDULE_TOPIC_XXXX"), body));
        stage.tell("to the timers' topic", send(stage, Map.of("topic", "rmq_sys_wheel_timer"), body));
        stage.tell("to the half topic", send(stage, Map.of("topic", "RMQ_SYS_TRANS_HALF_TOPIC"), body));
        stage.tell("to the trace topic", send(stage, Map.of("topic", "RMQ_SYS_TRACE_TOPIC"), body));
        stage.tell("to an unknown group's retry topic",
            send(stage, Map.of("topic", "%RETRY%" + stage.topic + "-none", "queueId", "0"), body));
        stage.tell("4 MiB", send(stage, Map.of(), new byte[4 << 20]));
        stage.tell("more than 4 MiB", send(stage, Map.of(), new byte[(4 << 20) + 1]));
        stage.tell("much more than 4 MiB", send(stage, Map.of(), new byte[5 << 20]));
        stage.tell("long properties", send(stage, Map.of("properties", "a\u0001" + "x".repeat(30_000)), body));
        stage.tell("too long properties", send(stage, Map.of("properties", "a\u0001" + "x".repeat(32_767)), body));
        stage.tell("in the client's short words", stage.answer(310, Map.of("a", stage.topic + "-p", "b", stage.topic, "c", "TBW102",
            "d", "4", "e", "1", "f", "0", "g", "0", "h", "0", "j", "0"), body, "queueId", "queueOffset"));
        stage.tell("without a body", send(stage, Map.of(), null));
        stage.tell("with an empty body", send(stage, Map.of(), new byte[0]));
        stage.tell("a batch that is none", send(stage, Map.of("batch", "true"), body));
        stage.tellOf("too large for the client", () -> stage.sender().send(new Message(stage.topic, new byte[(4 << 20) + 1])));
    }

    private static void names(Stage stage) throws Exception {
        byte[] body = "named".getBytes();
        Map<String, String> named = new TreeMap<>();
        named.put("blank", " ");
        named.put("with a slash", "a/b");
        named.put("with a dot", "a.b");
        named.put("with a blank", "a b");
        named.put("with a star", "a*b");
        named.put("with a bar", stage.topic + "|b");
        named.put("with a percent sign", stage.topic + "%b");
        named.put("of dots", "..");
        named.put("of another script", "主题");
        for (int length : new int[] {127, 128, 255, 256}) {
            named.put("of " + length, stage.topic + "n".repeat(length - stage.topic.length()));
        }
        for (Map.Entry<String, String> each : named.entrySet()) {
            stage.tell("send to a topic " + each.getKey(), send(stage, Map.of("topic", each.getValue()), body));
            stage.tell("make a topic " + each.getKey(), stage.answer(17, Map.of("topic", each.getValue(), "defaultTopic", "TBW102",
                "readQueueNums", "4", "writeQueueNums", "4", "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0",
                "order", "false"), null));
            stage.tellOf("client sends to a topic " + each.getKey(),
                () -> stage.sender().send(new Message(each.getValue(), body)).getSendStatus());
            stage.tell("make a group " + each.getKey(), stage.answer(200, Map.of(),
                ("{\"groupName\":\"" + each.getValue() + "\",\"consumeEnable\":true}").getBytes(StandardCharsets.UTF_8)));
        }
    }

    private static String send(Stage stage, Map<String, String> changed, byte[] body) throws Exception {
        Map<String, String> fields = new HashMap<>(Map.of("producerGroup", stage.topic + "-p", "topic", stage.topic,
            "defaultTopic", "TBW102", "defaultTopicQueueNums", "4", "queueId", "1", "sysFlag", "0", "bornTimestamp", "1"));
        fields.putAll(Map.of("flag", "0", "properties", "", "reconsumeTimes", "0", "unitMode", "false", "batch", "false"));
        fields.putAll(changed);
        return stage.answer(10, fields, body, "queueId", "queueOffset");
    }
}
