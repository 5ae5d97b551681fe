import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * One scenario's clients, its topics and what it told. Everything that it starts is shut down with it.
 *
 * What a run decides by chance is left out of what is told or replaced: ids, times, addresses.
 */
final class Stage {
    static final String BROKER = "broker-a";
    private static final long PATIENCE_SECONDS = 90;
    private static final int TIMEOUT_MILLIS = 20_000;
    private static final int SUCCESS = 0;
    /** What a server answers that has too much to do just now. */
    private static final int BUSY = 2;

    /** Set by the client on what it received; or there to tell runs apart. */
    private static final Set<String> LEFT_OUT = Set.of("MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME", "CLUSTER");
    /** Of these, it is told that they are there. */
    private static final Set<String> VARYING = Set.of("UNIQ_KEY", "ORIGIN_MESSAGE_ID", "__transactionId__", "CORRELATION_ID",
        "REPLY_TO_CLIENT", "TIMER_OUT_MS", "TIMER_DELIVER_MS", "TRANSACTION_CHECK_TIMES", "ARRIVE_TIME", "PUSH_REPLY_TIME",
        "TIMER_DEQUEUE_MS", "TIMER_ENQUEUE_MS", "SEND_TIME", "DLQ_ORIGIN_MESSAGE_ID",
        "TRAN_PREPARED_QUEUE_OFFSET");

    /** The topic that is named like the scenario; others are {@code topic + "-something"}. */
    final String topic;
    private final String nameServer;
    private final String name;
    private final ConcurrentLinkedDeque<String> lines = new ConcurrentLinkedDeque<>();
    private final ConcurrentLinkedDeque<Runnable> endings = new ConcurrentLinkedDeque<>();
    private final Map<String, Integer> instances = new ConcurrentHashMap<>();
    private DefaultMQProducer sender;
    private DefaultMQPullConsumer reader;

    Stage(String nameServer, String topic, String name) {
        this.nameServer = nameServer;
        this.topic = topic;
        this.name = name;
    }

    void play(Behaviours.Scenario scenario) {
        long started = System.nanoTime();
        try {
            sender = producer(topic + "-sender");
            scenario.run(this);
        } catch (Exception | AssertionError e) {
            tell("ended early", failure(e));
        } finally {
            endings.forEach(each -> {
                try {
                    each.run();
                } catch (RuntimeException e) {
                    tell("could not be shut down", String.valueOf(e));
                }
            });
        }
        System.err.println(name + " took " + (System.nanoTime() - started) / 1_000_000 + " ms");
    }

    List<String> lines() {
        return new ArrayList<>(lines);
    }

    /** Tells one observation. The scenario's topic is T there: each program has its own. */
    void tell(String what, Object value) {
        lines.add(name + " | " + what + ": " + String.valueOf(value).replace(topic, "T"));
    }

    /** Tells what a call answers, or how it fails. */
    void tellOf(String what, Callable<?> call) {
        String answer;
        try {
            answer = String.valueOf(call.call());
        } catch (Exception | AssertionError e) {
            answer = failure(e);
        }
        tell(what, answer);
    }

    static String failure(Throwable e) {
        if (e instanceof MQBrokerException) {
            return "refused with code " + ((MQBrokerException) e).getResponseCode();
        }
        if (e instanceof MQClientException && ((MQClientException) e).getResponseCode() != -1) {
            return "fails with code " + ((MQClientException) e).getResponseCode();
        }
        if (e instanceof MQClientException && e.getCause() != null) {
            return "fails: " + failure(e.getCause());
        }
        return e instanceof AssertionError ? e.getMessage() : "throws " + e.getClass().getSimpleName();
    }

    /** Waits for something to become so. A wait that is in vain is told, and ends the scenario. */
    void until(String what, BooleanSupplier done) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("waited in vain for " + what);
            }
            Thread.sleep(10);
        }
    }

    // Topics

    void create(String created, int queues) throws Exception {
        create(created, queues, 6, null);
    }

    /** Makes a topic and waits until the name server knows it. */
    void create(String created, int queues, int permission, String attributes) throws Exception {
        Map<String, String> fields = new HashMap<>();
        fields.put("topic", created);
        fields.put("defaultTopic", "TBW102");
        fields.put("readQueueNums", String.valueOf(queues));
        fields.put("writeQueueNums", String.valueOf(queues));
        fields.put("perm", String.valueOf(permission));
        fields.put("topicFilterType", "SINGLE_TAG");
        fields.put("topicSysFlag", "0");
        fields.put("order", "false");
        if (attributes != null) {
            fields.put("attributes", attributes);
        }
        RemotingCommand answer = call(17, fields, null);
        if (answer.getCode() != SUCCESS) {
            throw new AssertionError("topic refused with code " + answer.getCode() + ": " + answer.getRemark());
        }
        untilRouted(created);
    }

    /** Waits until the name server knows a topic. */
    void untilRouted(String routed) throws InterruptedException {
        until("the route of " + routed, () -> {
            try {
                return call(nameServer, 105, Map.of("topic", routed), null).getCode() == SUCCESS;
            } catch (Exception e) {
                return false;
            }
        });
    }

    static MessageQueue queue(String topic, int id) {
        return new MessageQueue(topic, BROKER, id);
    }

    // Raw requests

    /** A request to the broker in the words of the protocol. */
    RemotingCommand call(int code, Map<String, String> fields, byte[] body) throws Exception {
        return call(brokerAddress(), code, fields, body);
    }

    /** The code of the answer, and those header fields of it that are asked for. */
    String answer(int code, Map<String, String> fields, byte[] body, String... shown) throws Exception {
        RemotingCommand answer = call(code, fields, body);
        StringBuilder told = new StringBuilder("code " + answer.getCode());
        for (String field : shown) {
            String value = answer.getExtFields() == null ? null : answer.getExtFields().get(field);
            told.append(' ').append(field).append('=').append(value);
        }
        return told.toString();
    }

    RemotingCommand call(String address, int code, Map<String, String> fields, byte[] body) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        request.setExtFields(new HashMap<>(fields));
        request.setBody(body);
        while (true) {
            RemotingCommand answer = sender.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl()
                .getRemotingClient().invokeSync(address, request, TIMEOUT_MILLIS);
            if (answer.getCode() != BUSY) {
                return answer;
            }
            Thread.sleep(100);
        }
    }

    String brokerAddress() throws Exception {
        String[] found = new String[1];
        until("the broker's address", () -> {
            found[0] = sender.getDefaultMQProducerImpl().getMqClientFactory().findBrokerAddressInPublish(BROKER);
            if (found[0] == null) {
                sender.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer("TBW102");
            }
            return found[0] != null;
        });
        return found[0];
    }

    // Clients

    private <T extends ClientConfig> T ready(T client, String group) {
        client.setNamesrvAddr(nameServer);
        // Two members of a group are two clients.
        client.setInstanceName(topic + "-" + group + "-" + instances.merge(group, 1, Integer::sum));
        // A new group's retry topic becomes known to its consumer with the next look at the route.
        client.setPollNameServerInterval(500);
        client.setHeartbeatBrokerInterval(1_000);
        client.setPersistConsumerOffsetInterval(500);
        return client;
    }

    /** A producer that answers a stuck broker with patience. */
    DefaultMQProducer producer(String group) throws Exception {
        DefaultMQProducer producer = ready(new DefaultMQProducer(group), group);
        return started(producer);
    }

    TransactionMQProducer transactions(String group) {
        return ready(new TransactionMQProducer(group), group);
    }

    <P extends DefaultMQProducer> P started(P producer) throws Exception {
        producer.setSendMsgTimeout(TIMEOUT_MILLIS);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        endings.addFirst(producer::shutdown);
        return producer;
    }

    /** A consumer of a new group, from the first message, not yet started. */
    DefaultMQPushConsumer consumer(String group) {
        DefaultMQPushConsumer consumer = ready(new DefaultMQPushConsumer(group), group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        endings.addFirst(consumer::shutdown);
        return consumer;
    }

    DefaultLitePullConsumer litePull(String group) {
        DefaultLitePullConsumer consumer = ready(new DefaultLitePullConsumer(group), group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        endings.addFirst(consumer::shutdown);
        return consumer;
    }

    DefaultMQPullConsumer pull(String group) throws Exception {
        DefaultMQPullConsumer consumer = ready(new DefaultMQPullConsumer(group), group);
        consumer.start();
        endings.addFirst(consumer::shutdown);
        return consumer;
    }

    // Messages

    DefaultMQProducer sender() {
        return sender;
    }

    Message message(String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    SendResult send(Message message, int queue) throws Exception {
        return sender.send(message, queue(message.getTopic(), queue));
    }

    /** Everything that one may read of a queue. */
    synchronized List<MessageExt> read(String from, int queue) throws Exception {
        if (reader == null) {
            reader = pull(topic + "-reader");
        }
        List<MessageExt> all = new ArrayList<>();
        long offset = 0;
        while (true) {
            PullResult result = reader.pull(queue(from, queue), "*", offset, 32);
            switch (result.getPullStatus()) {
                case FOUND:
                    all.addAll(result.getMsgFoundList());
                    break;
                case NO_NEW_MSG:
                    return all;
                default:
                    break;
            }
            offset = result.getNextBeginOffset();
        }
    }

    /** Waits until so many can be read of a queue. */
    List<MessageExt> read(String from, int queue, int count) throws Exception {
        List<MessageExt> found = new ArrayList<>();
        until(count + " messages in " + from, () -> {
            try {
                List<MessageExt> now = read(from, queue);
                found.clear();
                found.addAll(now);
                return found.size() >= count;
            } catch (Exception e) {
                return false;
            }
        });
        return found;
    }

    static String body(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    static <T> String join(Iterable<T> all, Function<T, String> shown) {
        List<String> words = new ArrayList<>();
        all.forEach(each -> words.add(shown.apply(each)));
        return String.join(" ", words);
    }

    static String bodies(Iterable<MessageExt> messages) {
        return join(messages, Stage::body);
    }

    static String result(SendResult result) {
        return result.getSendStatus() + " queue " + result.getMessageQueue().getQueueId() + " offset " + result.getQueueOffset()
            + " region " + result.getRegionId() + " trace " + result.isTraceOn()
            + " id " + (result.getOffsetMsgId() == null ? "none" : result.getOffsetMsgId().length() + " long")
            + (result.getTransactionId() == null ? "" : " with transaction id");
    }

    /** All of a message that is the same on every run. */
    static String all(MessageExt message) {
        return body(message) + " topic " + message.getTopic() + " queue " + message.getQueueId() + " offset "
            + message.getQueueOffset() + " flag " + message.getFlag() + " sysflag " + message.getSysFlag() + " attempt "
            + message.getReconsumeTimes() + " half at " + (message.getPreparedTransactionOffset() == 0 ? "0" : "some")
            + " " + properties(message);
    }

    static String properties(Message message) {
        return new TreeMap<>(message.getProperties()).entrySet().stream().filter(each -> !LEFT_OUT.contains(each.getKey()))
            .map(each -> each.getKey() + "=" + (VARYING.contains(each.getKey()) ? "~" : each.getValue()))
            .collect(Collectors.joining(", ", "{", "}"));
    }
}
