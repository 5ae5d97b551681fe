import java.util.Map;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;

/** Topics that are made for one type of message, of 5.x. */
public final class Kinds implements Behaviours.Chapter {
    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("message-types", Kinds::types);
    }

    private static void types(Stage stage) throws Exception {
        for (String type : new String[] {"NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED", "UNSPECIFIED"}) {
            String topic = stage.topic + "-" + type;
            stage.tellOf("a topic is made for " + type, () -> {
                stage.create(topic, 2, 6, "+message.type=" + type);
                return "made";
            });
            stage.tellOf(type + " takes a plain message", () -> Stage.result(stage.send(message(topic, null, null), 0)));
            stage.tellOf(type + " takes an ordered message",
                () -> Stage.result(stage.send(message(topic, MessageConst.PROPERTY_SHARDING_KEY, "k"), 0)));
            stage.tellOf(type + " takes a delayed message", () -> stage.send(message(topic, "DELAY", "1"), 0).getSendStatus());
            stage.tellOf(type + " takes a timer", () -> stage.send(message(topic, "TIMER_DELAY_SEC", "1"), 0).getSendStatus());
        }
        stage.tellOf("made by name", () -> {
            stage.sender().createTopic("TBW102", stage.topic + "-made", 3, Map.of());
            return "made";
        });
        stage.until("the route of what was made", () -> {
            try {
                return stage.sender().fetchPublishMessageQueues(stage.topic + "-made").size() == 3;
            } catch (Exception e) {
                return false;
            }
        });
        stage.tell("unknown type", stage.answer(17, Map.of("topic", stage.topic + "-bad", "defaultTopic", "TBW102",
            "readQueueNums", "1", "writeQueueNums", "1", "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0",
            "order", "false", "attributes", "+message.type=STRANGE"), null));
        stage.tell("unknown attribute", stage.answer(17, Map.of("topic", stage.topic + "-bad", "defaultTopic", "TBW102",
            "readQueueNums", "1", "writeQueueNums", "1", "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0",
            "order", "false", "attributes", "+message.colour=green"), null));
    }

    private static Message message(String topic, String key, String value) {
        Message message = new Message(topic, "typed".getBytes());
        if (key != null) {
            MessageAccessor.putProperty(message, key, value);
        }
        return message;
    }
}
