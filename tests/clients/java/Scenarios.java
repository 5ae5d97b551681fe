import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * What an application does with Apache's Java client, each scenario checked from the application's side.
 *
 * <pre>Scenarios NAME-SERVER PREFIX SCENARIO...</pre>
 *
 * The scenarios run side by side, each on the topic PREFIX-SCENARIO, which exists with four queues. One line a scenario
 * on standard output, {@code PASS name milliseconds ms} or {@code FAIL name: why}; the exit code is 1 when one failed.
 */
public final class Scenarios {
    private static final long PATIENCE_SECONDS = 90;
    private static final int QUEUES = 4;

    private final String nameServer;
    private final String name;
    private final String topic;

    private Scenarios(String nameServer, String prefix, String name) {
        this.nameServer = nameServer;
        this.name = name;
        // The two halves of the restart share a topic and a group.
        this.topic = prefix + "-" + name.replace("offsets-before", "offsets").replace("offsets-after", "offsets");
    }

    private interface Scenario {
        void run(Scenarios on) throws Exception;
    }

    private static final Map<String, Scenario> ALL = new LinkedHashMap<>();

    static {
        ALL.put("send-sync", Scenarios::sendSync);
        ALL.put("send-async", Scenarios::sendAsync);
        ALL.put("send-oneway", Scenarios::sendOneway);
        ALL.put("send-batch", Scenarios::sendBatch);
        ALL.put("ordered", Scenarios::ordered);
        ALL.put("tags", Scenarios::tags);
        ALL.put("push", Scenarios::push);
        ALL.put("retry", Scenarios::retry);
        ALL.put("broadcast", Scenarios::broadcast);
        ALL.put("transactions", Scenarios::transactions);
        ALL.put("request-reply", Scenarios::requestReply);
        ALL.put("offsets-before", Scenarios::offsetsBefore);
        ALL.put("offsets-after", Scenarios::offsetsAfter);
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        Map<String, Future<Long>> running = new LinkedHashMap<>();
        for (String name : Arrays.asList(arguments).subList(2, arguments.length)) {
            Scenario scenario = ALL.get(name);
            Scenarios on = new Scenarios(arguments[0], arguments[1], name);
            running.put(name, threads.submit(() -> {
                if (scenario == null) {
                    throw new IllegalArgumentException("there is no such scenario");
                }
                long started = System.nanoTime();
                scenario.run(on);
                return (System.nanoTime() - started) / 1_000_000;
            }));
        }
        int failed = 0;
        for (Map.Entry<String, Future<Long>> entry : running.entrySet()) {
            try {
                long took = entry.getValue().get();
                System.out.println("PASS " + entry.getKey() + " " + took + " ms");
            } catch (java.util.concurrent.ExecutionException e) {
                failed++;
                System.out.println("FAIL " + entry.getKey() + ": " + String.valueOf(e.getCause()).replace('\n', ' '));
            }
        }
        System.out.flush();
        // The client leaves threads behind that would keep the process.
        System.exit(failed == 0 ? 0 : 1);
    }

    private void sendSync() throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> bodies = new TreeSet<>();
        Set<String> ids = new TreeSet<>();
        Map<Integer, Long> next = new TreeMap<>();
        for (int i = 0; i < 20; i++) {
            // Every fifth one is long enough for the client to compress it.
            String body = "sync-" + i + (i % 5 == 0 ? "-" + "x".repeat(9000) : "");
            bodies.add(body);
            Message message = new Message(topic, "TagS", "key-" + i, bytes(body));
            message.putUserProperty("number", String.valueOf(i));
            SendResult result = producer.send(message);
            stored(result);
            int queue = result.getMessageQueue().getQueueId();
            long offset = next.getOrDefault(queue, 0L);
            check(result.getQueueOffset() == offset,
                "queue " + queue + " answered offset " + result.getQueueOffset() + " instead of " + offset);
            next.put(queue, offset + 1);
            check(result.getOffsetMsgId() != null && result.getOffsetMsgId().length() == 32,
                "offset message id " + result.getOffsetMsgId());
            ids.add(result.getMsgId());
        }
        Map<String, MessageExt> received = receive(bodies, "*", each -> new String(each.getBody(), StandardCharsets.UTF_8));
        Set<String> receivedIds = new TreeSet<>();
        for (MessageExt each : received.values()) {
            String number = each.getUserProperty("number");
            check("TagS".equals(each.getTags()), "tag " + each.getTags());
            check(("key-" + number).equals(each.getKeys()), "keys " + each.getKeys() + " of message " + number);
            check(new String(each.getBody(), StandardCharsets.UTF_8).startsWith("sync-" + number), "property " + number);
            check(each.getReconsumeTimes() == 0, "attempt " + each.getReconsumeTimes());
            receivedIds.add(each.getMsgId());
        }
        check(ids.equals(receivedIds), "ids sent " + ids + ", received " + receivedIds);
        producer.shutdown();
    }

    private void sendAsync() throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> bodies = new TreeSet<>();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        int count = 100;
        CountDownLatch answered = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            String body = "async-" + i;
            bodies.add(body);
            producer.send(new Message(topic, bytes(body)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    if (result.getSendStatus() != SendStatus.SEND_OK) {
                        failure.set(new IllegalStateException("status " + result.getSendStatus()));
                    }
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failure.set(e);
                    answered.countDown();
                }
            });
        }
        check(answered.await(PATIENCE_SECONDS, TimeUnit.SECONDS), answered.getCount() + " sends were not answered");
        check(failure.get() == null, "a send failed: " + failure.get());
        receive(bodies);
        producer.shutdown();
    }

    private void sendOneway() throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> bodies = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            bodies.add("oneway-" + i);
            producer.sendOneway(new Message(topic, bytes("oneway-" + i)));
        }
        receive(bodies);
        producer.shutdown();
    }

    private void sendBatch() throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> bodies = new TreeSet<>();
        for (int batch = 0; batch < 3; batch++) {
            List<Message> messages = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                String body = "batch-" + batch + "-" + i;
                bodies.add(body);
                messages.add(new Message(topic, "TagB", "key-" + i, bytes(body)));
            }
            SendResult result = producer.send(messages);
            stored(result);
            check(result.getMsgId().split(",").length == 10, "message ids " + result.getMsgId());
            check(result.getOffsetMsgId().split(",").length == 10, "offset message ids " + result.getOffsetMsgId());
        }
        for (MessageExt each : receive(bodies, "TagB", Scenarios::body).values()) {
            check("TagB".equals(each.getTags()), "tag " + each.getTags());
            check(each.getKeys().equals("key-" + body(each).substring(8)), "keys " + each.getKeys());
        }
        producer.shutdown();
    }

    private void ordered() throws Exception {
        DefaultMQProducer producer = producer();
        int keys = 6;
        int steps = 10;
        for (int step = 0; step < steps; step++) {
            for (int key = 0; key < keys; key++) {
                stored(producer.send(new Message(topic, bytes(key + ":" + step)), new SelectMessageQueueByHash(), "order-" + key));
            }
        }
        Map<String, List<String>> seen = new ConcurrentHashMap<>();
        Map<String, Set<Integer>> queues = new ConcurrentHashMap<>();
        CountDownLatch all = new CountDownLatch(keys * steps);
        DefaultMQPushConsumer consumer = consumer("group");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt each : messages) {
                String[] parts = body(each).split(":");
                List<String> steppedBy = seen.computeIfAbsent(parts[0], unused -> new ArrayList<>());
                synchronized (steppedBy) {
                    steppedBy.add(parts[1]);
                }
                queues.computeIfAbsent(parts[0], unused -> ConcurrentHashMap.newKeySet()).add(each.getQueueId());
                all.countDown();
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        check(all.await(PATIENCE_SECONDS, TimeUnit.SECONDS), all.getCount() + " messages are missing");
        consumer.shutdown();
        producer.shutdown();
        for (int key = 0; key < keys; key++) {
            List<String> expected = new ArrayList<>();
            for (int step = 0; step < steps; step++) {
                expected.add(String.valueOf(step));
            }
            check(expected.equals(seen.get(String.valueOf(key))), "key " + key + " came as " + seen.get(String.valueOf(key)));
            check(queues.get(String.valueOf(key)).size() == 1, "key " + key + " was in queues " + queues.get(String.valueOf(key)));
        }
    }

    private void tags() throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> expected = new TreeSet<>();
        // Three rounds over the queues of TagC, then TagA or TagB on each: when the last of every queue is there, a TagC
        // that were delivered in spite of the subscription would have been there before it.
        for (int i = 0; i < QUEUES * 5; i++) {
            String tag = i < QUEUES * 3 ? "TagC" : i % 2 == 0 ? "TagA" : "TagB";
            String body = tag + "-" + i;
            if (!tag.equals("TagC")) {
                expected.add(body);
            }
            int queue = i % QUEUES;
            stored(producer.send(new Message(topic, tag, bytes(body)), (queues, message, unused) -> queues.get(queue), null));
        }
        receive(expected, "TagA || TagB", Scenarios::body);
        producer.shutdown();
    }

    private void push() throws Exception {
        Set<String> received = ConcurrentHashMap.newKeySet();
        DefaultMQPushConsumer consumer = consumer("group");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> received.add(body(each)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        // The pulls are pending on the broker by the time of the later sends.
        DefaultMQProducer producer = producer();
        Set<String> sent = new TreeSet<>();
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < QUEUES; i++) {
                String body = "push-" + round + "-" + i;
                sent.add(body);
                stored(producer.send(new Message(topic, bytes(body))));
            }
            until(() -> received.containsAll(sent), () -> "sent " + sent + ", received " + received);
        }
        check(received.equals(sent), "received what was not sent: " + received);
        consumer.shutdown();
        producer.shutdown();
    }

    private void retry() throws Exception {
        Map<String, List<MessageExt>> attempts = new ConcurrentHashMap<>();
        AtomicInteger done = new AtomicInteger();
        DefaultMQPushConsumer consumer = consumer("group");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            List<MessageExt> before = attempts.computeIfAbsent(body(message), unused -> new ArrayList<>());
            synchronized (before) {
                before.add(message);
                if (before.size() == 1) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            done.incrementAndGet();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        DefaultMQProducer producer = producer();
        int count = 3;
        List<String> ids = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, "TagR", "key-" + i, bytes("retry-" + i));
            message.putUserProperty("number", String.valueOf(i));
            SendResult result = producer.send(message);
            stored(result);
            ids.add(result.getMsgId());
        }
        until(() -> done.get() >= count, () -> "attempts of " + attempts.keySet());
        for (int i = 0; i < count; i++) {
            List<MessageExt> both = attempts.get("retry-" + i);
            // Its text must not be asked for: the client still writes to the properties.
            check(both.size() == 2, "attempts " + both.size());
            MessageExt again = both.get(1);
            check(both.get(0).getReconsumeTimes() == 0 && again.getReconsumeTimes() == 1,
                "attempts counted " + both.get(0).getReconsumeTimes() + ", " + again.getReconsumeTimes());
            check(topic.equals(again.getTopic()), "came back with topic " + again.getTopic());
            check("TagR".equals(again.getTags()), "came back with tag " + again.getTags());
            check(("key-" + i).equals(again.getKeys()), "came back with keys " + again.getKeys());
            check(String.valueOf(i).equals(again.getUserProperty("number")), "came back without its property");
            check(ids.get(i).equals(again.getMsgId()), "sent as " + ids.get(i) + ", came back as " + again.getMsgId());
        }
        consumer.shutdown();
        producer.shutdown();
    }

    private void broadcast() throws Exception {
        List<Set<String>> received = new ArrayList<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            Set<String> mine = ConcurrentHashMap.newKeySet();
            received.add(mine);
            DefaultMQPushConsumer consumer = consumer("group");
            consumer.setInstanceName(topic + "-" + i);
            // The type moved between the packages of 4.9 and 5; its name is not written here, so that both compile.
            consumer.setMessageModel(Enum.valueOf(consumer.getMessageModel().getDeclaringClass(), "BROADCASTING"));
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(each -> mine.add(body(each)));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        DefaultMQProducer producer = producer();
        Set<String> sent = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            sent.add("broadcast-" + i);
            stored(producer.send(new Message(topic, bytes("broadcast-" + i))));
        }
        until(() -> received.get(0).containsAll(sent) && received.get(1).containsAll(sent), () -> "received " + received);
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        producer.shutdown();
    }

    private void transactions() throws Exception {
        Map<String, List<String>> asked = new ConcurrentHashMap<>();
        TransactionMQProducer producer = new TransactionMQProducer(topic + "-producer");
        producer.setNamesrvAddr(nameServer);
        producer.setInstanceName(topic + "-producer-" + name);
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object unused) {
                String body = new String(message.getBody(), StandardCharsets.UTF_8);
                return body.startsWith("commit") ? LocalTransactionState.COMMIT_MESSAGE
                    : body.startsWith("rollback") ? LocalTransactionState.ROLLBACK_MESSAGE
                    : LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                if (!body(message).startsWith("late")) {
                    // Apache's broker gathers what has ended for a while, and asks about it meanwhile.
                    return executeLocalTransaction(message, null);
                }
                List<String> before = asked.computeIfAbsent(body(message), unused -> new ArrayList<>());
                synchronized (before) {
                    before.add(message.getTopic() + " " + message.getTags() + " " + message.getTransactionId().equals(message.getProperty("UNIQ_KEY"))
                        + " " + message.getProperty("TRANSACTION_CHECK_TIMES"));
                    return before.size() == 1 ? LocalTransactionState.UNKNOW
                        : body(message).startsWith("late-commit") ? LocalTransactionState.COMMIT_MESSAGE
                        : LocalTransactionState.ROLLBACK_MESSAGE;
                }
            }
        });
        producer.start();
        Set<String> expected = new TreeSet<>();
        Map<String, String> ids = new TreeMap<>();
        for (String kind : Arrays.asList("rollback", "late-rollback", "commit", "late-commit")) {
            for (int i = 0; i < 3; i++) {
                String body = kind + "-" + i;
                SendResult result = producer.sendMessageInTransaction(new Message(topic, "TagX", "key-" + i, bytes(body)), null);
                stored(result);
                if (kind.endsWith("commit")) {
                    expected.add(body);
                    ids.put(body, result.getMsgId());
                }
            }
        }
        Map<String, MessageExt> received = receive(expected, "TagX", Scenarios::body);
        for (Map.Entry<String, MessageExt> each : received.entrySet()) {
            MessageExt message = each.getValue();
            check((message.getSysFlag() & 12) == 8, "system flag " + message.getSysFlag());
            check(ids.get(each.getKey()).equals(message.getMsgId()), each.getKey() + " came with id " + message.getMsgId());
            check(message.getKeys().equals("key-" + each.getKey().substring(each.getKey().length() - 1)), "keys " + message.getKeys());
        }
        until(() -> asked.size() == 6 && asked.values().stream().allMatch(times -> times.size() == 2), () -> "asked " + asked);
        List<String> questions = Arrays.asList(topic + " TagX true 1", topic + " TagX true 2");
        asked.forEach((body, times) -> check(times.equals(questions), body + " was asked about as " + times));
        producer.shutdown();
    }

    private void requestReply() throws Exception {
        DefaultMQProducer replier = new DefaultMQProducer(topic + "-replier");
        replier.setNamesrvAddr(nameServer);
        replier.setInstanceName(topic + "-replier-" + name);
        replier.setSendMsgTimeout(10_000);
        replier.start();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        DefaultMQPushConsumer consumer = consumer("group");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                try {
                    // Every other reply is long enough for the client to compress it.
                    String padding = body(each).endsWith("1") ? "-" + "x".repeat(9000) : "";
                    stored(replier.send(MessageUtil.createReplyMessage(each, bytes("reply to " + body(each) + padding)), 10_000));
                    failure.set(null);
                } catch (Exception e) {
                    failure.set(e);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        DefaultMQProducer requester = producer();
        for (int i = 0; i < 4; i++) {
            Message reply = ask(requester, "request-" + i);
            String text = new String(reply.getBody(), StandardCharsets.UTF_8);
            check(text.startsWith("reply to request-" + i), "reply " + text);
            check(reply.getProperty("CORRELATION_ID") != null && reply.getProperty("PUSH_REPLY_TIME") != null,
                "properties " + reply.getProperties().keySet());
        }
        check(failure.get() == null, "a reply failed: " + failure.get());
        consumer.shutdown();
        requester.shutdown();
        replier.shutdown();
    }

    /** A client that has just started may be unknown to the broker as one that can be replied to; then it asks again. */
    private Message ask(DefaultMQProducer requester, String body) throws Exception {
        for (int attempt = 1; ; attempt++) {
            try {
                return requester.request(new Message(topic, bytes(body)), PATIENCE_SECONDS * 1000 / 3);
            } catch (RequestTimeoutException e) {
                if (attempt == 3) {
                    throw e;
                }
            }
        }
    }

    private void offsetsBefore() throws Exception {
        Set<String> bodies = sendNumbered("before");
        receive(bodies);
    }

    private void offsetsAfter() throws Exception {
        Set<String> bodies = sendNumbered("after");
        // From the first offset when there is none: without the group's offsets, the messages from before come again.
        receive(bodies);
    }

    private Set<String> sendNumbered(String word) throws Exception {
        DefaultMQProducer producer = producer();
        Set<String> bodies = new TreeSet<>();
        for (int i = 0; i < QUEUES * 3; i++) {
            int queue = i % QUEUES;
            String body = word + "-" + i;
            bodies.add(body);
            stored(producer.send(new Message(topic, bytes(body)), (queues, message, unused) -> queues.get(queue), null));
        }
        producer.shutdown();
        return bodies;
    }

    private Map<String, MessageExt> receive(Set<String> expected) throws Exception {
        return receive(expected, "*", Scenarios::body);
    }

    /** Consumes as the scenario's group until everything expected has come, and fails on anything else. */
    private Map<String, MessageExt> receive(Set<String> expected, String tags, Function<MessageExt, String> key)
        throws Exception {
        Map<String, MessageExt> received = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = consumer("group");
        consumer.subscribe(topic, tags);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> received.put(key.apply(each), each));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        until(() -> received.keySet().containsAll(expected), () -> "expected " + expected + ", received " + received.keySet());
        // The client notes an offset after the listener has returned; a shutdown does not wait for that.
        until(() -> noted(consumer) >= expected.size(), () -> "offsets of " + noted(consumer) + " messages were noted");
        consumer.shutdown();
        check(received.keySet().equals(expected), "expected " + expected + ", received " + received.keySet());
        return received;
    }

    private long noted(DefaultMQPushConsumer consumer) {
        return consumer.getDefaultMQPushConsumerImpl().getOffsetStore().cloneOffsetTable(topic).values().stream()
            .mapToLong(Long::longValue).sum();
    }

    private DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(topic + "-producer");
        producer.setNamesrvAddr(nameServer);
        producer.setInstanceName(topic + "-producer-" + name);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        return producer;
    }

    private DefaultMQPushConsumer consumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(topic + "-" + group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(topic + "-consumer-" + name);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // A new group's retry topic becomes known to its consumer with the next look at the route.
        consumer.setPollNameServerInterval(1_000);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(4);
        return consumer;
    }

    private static void stored(SendResult result) {
        check(result.getSendStatus() == SendStatus.SEND_OK, "status " + result.getSendStatus());
    }

    private static void until(java.util.function.BooleanSupplier done, java.util.function.Supplier<String> otherwise)
        throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!done.getAsBoolean()) {
            check(System.nanoTime() < deadline, "in " + PATIENCE_SECONDS + " s: " + otherwise.get());
            Thread.sleep(10);
        }
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    private static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
