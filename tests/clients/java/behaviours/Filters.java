import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** Which messages a subscription lets through. */
public final class Filters implements Behaviours.Chapter {
    private static final String[] READABLE = {
        "n = 1", "n <> 1", "n > 1", "n >= 2", "n < 10", "n <= 0.5", "1 < n", "n = 1.0", "n = -3",
        "n = 9223372036854775807", "n > 9223372036854775806", "n BETWEEN 1 AND 10", "n NOT BETWEEN 1 AND 10",
        "n between 1 and 2", "n IS NULL", "n IS NOT NULL", "NOT (n = 1)", "NOT n = 1", "NOT (n IS NULL)", "s = 'abc'",
        "s <> 'abc'", "'abc' = s", "s IN ('abc', 'ABC')", "s NOT IN ('abc', 'ABC')", "s IN ('10')", "s = 10", "n = '1'",
        "s = 'it''s'", "b = TRUE", "b = FALSE", "b = true", "b IS NULL", "b <> TRUE", "b = 'true'", "b", "NOT b", "TRUE",
        "NOT TRUE", "1 = 1", "1 = 2", "TRUE AND n = 1", "TRUE OR n = 1", "n = 1 OR s IS NULL", "n = 1 AND s IS NULL",
        "n > 0 AND n < 5 OR s = '10'", "n > 0 AND (n < 5 OR s = '10')", "missing = 1", "NOT (missing = 1)",
        "missing = 1 OR n = 1", "missing = 1 AND n = 1", "missing IS NULL AND n = 2", "n = missing", "n = n", "s = s",
        "s CONTAINS 'b'", "s NOT CONTAINS 'b'", "s STARTSWITH 'ab'", "s ENDSWITH 'bc'", "s NOT STARTSWITH 'ab'",
        "s NOT ENDSWITH 'bc'", "TAGS = 'TagO'", "TAGS IN ('TagO', 'TagT')", "TAGS IS NULL", "KEYS IS NULL",
        "n IS NULL OR n = 1", "n > 0 /* a comment */ AND n < 3", "n > 0 -- to the end", "n=1", "(((n = 1)))", "n = 1e3",
        "n = 1000", "n = 0.5", "n = .5", "n = 0x1", "n > 1L", "n = +1", "-n = 3", "n > 1 = TRUE", "(n > 1) = (n < 5)",
        "s LIKE 'a%'", "n + 1 = 2", "n", "s", "$n = 1", "n = 1 OR TRUE", "NOT NOT n = 1",
        "n = 1 AND n = 1 OR n = 2 AND n = 2", "n > 1 AND NOT b", "b = TRUE OR b = FALSE", "n > 0 AND TRUE",
        "s CONTAINS ''", "n CONTAINS '1'", "n = 'three'", "n <> 'three'",
    };
    private static final String[] UNREADABLE = {
        "n BETWEEN 10 AND 1", "s > 'abc'", "n = NULL", "NULL = n", "n IN (1, 2)", "n = 1 AND", "", " ", "*", "n == 1",
        "n != 1", "5", "'abc'", "n = 99999999999999999999", "n.x = 1", "n BETWEEN 'a' AND 'b'", "s BETWEEN 'a' AND 'b'",
        "s IN ()", "s CONTAINS n", "n IS TRUE", "n >= '1'",
    };

    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("filter-tags", Filters::tags);
        book.add("filter-sql", Filters::readable);
        book.add("filter-sql-unreadable", Filters::unreadable);
        book.add("filter-sql-refused", Filters::refused);
        book.add("filter-sql-push", Filters::push);
    }

    private static void tags(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        // AaAa and BBBB have one hash.
        for (String tag : new String[] {"A", "B", "AB", "a", "AaAa", "BBBB", null, "A B"}) {
            Message message = stage.message("<" + tag + ">");
            message.setTags(tag);
            stage.send(message, 0);
        }
        DefaultMQPullConsumer consumer = stage.pull(stage.topic + "-g");
        String[] subscriptions = {"*", "", "A", "A || B", "A||B", " A  ||  B ", "A|B", "A || ", "||", "AaAa", "C", "A B", "* || A"};
        for (String tags : subscriptions) {
            stage.tellOf("'" + tags + "'", () -> pulled(consumer.pull(Stage.queue(stage.topic, 0), tags, 0, 32)));
        }
    }

    private static String pulled(PullResult result) {
        return result.getPullStatus() + " next " + result.getNextBeginOffset()
            + (result.getMsgFoundList() == null ? "" : " " + Stage.bodies(result.getMsgFoundList()));
    }

    private static void properties(Stage stage, String body, String... properties) throws Exception {
        Message message = stage.message(body);
        message.setTags("Tag" + body.substring(0, 1).toUpperCase());
        for (int i = 0; i < properties.length; i += 2) {
            message.putUserProperty(properties[i], properties[i + 1]);
        }
        stage.send(message, 0);
    }

    private static void readable(Stage stage) throws Exception {
        pull(stage, READABLE);
    }

    /** No expressions: a consumer cannot start with one, but a pull may carry it. */
    private static void unreadable(Stage stage) throws Exception {
        pull(stage, UNREADABLE);
    }

    private static void pull(Stage stage, String[] expressions) throws Exception {
        stage.create(stage.topic, 1);
        properties(stage, "none");
        properties(stage, "one", "n", "1", "s", "abc", "b", "true");
        properties(stage, "two", "n", "2", "s", "ABC", "b", "false");
        properties(stage, "ten", "n", "10", "s", "10");
        properties(stage, "half", "n", "0.5", "s", "a_c");
        properties(stage, "minus", "n", "-3", "s", "it's");
        properties(stage, "big", "n", "9223372036854775807");
        properties(stage, "huge", "n", "9223372036854775808");
        properties(stage, "word", "n", "three", "s", "abcabc", "b", "TRUE");
        properties(stage, "exp", "n", "1e3", "s", "%");
        DefaultMQPullConsumer consumer = stage.pull(stage.topic + "-g");
        MessageQueue queue = Stage.queue(stage.topic, 0);
        // The client pulls by SQL when it knows the broker's version, which it learns with a heartbeat.
        stage.until("a pull by SQL", () -> {
            try {
                return consumer.pull(queue, MessageSelector.bySql("n = 1"), 0, 32).getMsgFoundList() != null;
            } catch (Exception e) {
                return false;
            }
        });
        for (String expression : expressions) {
            stage.tellOf(expression, () -> pulled(consumer.pull(queue, MessageSelector.bySql(expression), 0, 32)));
        }
    }

    private static void refused(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        for (String expression : new String[] {"n >", "n = 'open", "n BETWEEN 5 AND 1", "n LIKE 'a'"}) {
            stage.tellOf("a consumer starts on " + expression, () -> {
                DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g" + expression.length());
                consumer.subscribe(stage.topic, MessageSelector.bySql(expression));
                consumer.registerMessageListener(
                    (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
                consumer.start();
                return "started";
            });
            stage.tell("check of " + expression, check(stage, "SQL92", expression));
        }
        stage.tell("check of a good one", check(stage, "SQL92", "n > 1"));
        stage.tell("check of tags", check(stage, "TAG", "A || B"));
        stage.tell("check of an unknown type", check(stage, "SQL93", "n > 1"));
    }

    private static String check(Stage stage, String type, String expression) throws Exception {
        String body = "{\"clientId\":\"c\",\"group\":\"" + stage.topic + "-c\",\"subscriptionData\":{\"classFilterMode\":false,"
            + "\"codeSet\":[],\"expressionType\":\"" + type + "\",\"subString\":\"" + expression + "\",\"subVersion\":1,\"tagsSet\":[],"
            + "\"topic\":\"" + stage.topic + "\"}}";
        return stage.answer(46, Map.of(), body.getBytes());
    }

    private static void push(Stage stage) throws Exception {
        stage.create(stage.topic, 1);
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        Map<String, Set<String>> seen = new ConcurrentHashMap<>();
        for (String expression : new String[] {"n > 5", "TAGS = 'TagM' AND n BETWEEN 0 AND 3", "odd = TRUE"}) {
            Set<String> mine = ConcurrentHashMap.newKeySet();
            seen.put(expression, mine);
            DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g" + seen.size());
            consumer.subscribe(stage.topic, MessageSelector.bySql(expression));
            // One after the other: what comes before a marker was handled before it.
            consumer.setConsumeThreadMin(1);
            consumer.setConsumeThreadMax(1);
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(each -> mine.add(Stage.body(each)));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        for (int i = 0; i < 10; i++) {
            properties(stage, "m" + i, "n", String.valueOf(i), "odd", i % 2 == 1 ? "true" : "false");
        }
        // The last ones that each lets through; what it should not have let through is before them.
        properties(stage, "marker", "n", "9", "odd", "true");
        properties(stage, "mark", "n", "1", "odd", "true");
        stage.until("the markers", () -> seen.get("n > 5").contains("marker") && seen.get("odd = TRUE").contains("mark")
            && seen.get("TAGS = 'TagM' AND n BETWEEN 0 AND 3").contains("mark"));
        new java.util.TreeMap<>(seen).forEach((expression, bodies) -> stage.tell(expression, new TreeSet<>(bodies)));
    }
}
