package application;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.spring.annotation.ExtRocketMQConsumerConfiguration;
import org.apache.rocketmq.spring.annotation.ExtRocketMQTemplateConfiguration;
import org.apache.rocketmq.spring.annotation.RocketMQTransactionListener;
import org.apache.rocketmq.spring.core.RocketMQLocalRequestCallback;
import org.apache.rocketmq.spring.core.RocketMQLocalTransactionListener;
import org.apache.rocketmq.spring.core.RocketMQLocalTransactionState;
import org.apache.rocketmq.spring.core.RocketMQTemplate;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.messaging.Message;
import org.springframework.messaging.support.MessageBuilder;
import org.springframework.stereotype.Component;

/**
 * A Spring Boot application on rocketmq-spring that uses each kind of template call and listener once, and tells what came of
 * it: {@code Application NAME-SERVER PREFIX}.
 */
@SpringBootApplication
public class Application {
    private static final long TIMEOUT_MILLIS = 30_000;
    private static final List<String> TOPICS = List.of("text", "whole", "order", "tags", "sql", "orderly", "broadcast", "retry",
        "delay", "transaction", "ask", "ask-order", "poll", "poll-more");

    public static void main(String[] arguments) throws Exception {
        String prefix = arguments[1];
        createTopics(arguments[0], prefix);
        SpringApplication application = new SpringApplication(Application.class);
        application.setDefaultProperties(Map.of("prefix", prefix, "rocketmq.name-server", arguments[0],
            "rocketmq.producer.group", prefix + "-producer", "rocketmq.producer.send-message-timeout", TIMEOUT_MILLIS,
            "rocketmq.pull-consumer.group", prefix + "-poll", "rocketmq.pull-consumer.topic", prefix + "-poll",
            "spring.main.banner-mode", "off", "logging.level.root", "OFF"));
        try (ConfigurableApplicationContext context = application.run()) {
            context.getBean(Calls.class).run();
            context.getBean(Account.class).tell();
        }
        System.out.flush();
        // The client leaves threads behind that would keep the process.
        System.exit(0);
    }

    /** A consumer of a topic that is made later finds it with its next look at the routes, which takes half a minute. */
    private static void createTopics(String nameServer, String prefix) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(prefix + "-maker");
        producer.setNamesrvAddr(nameServer);
        producer.start();
        List<String> all = new ArrayList<>(List.of("%DLQ%" + prefix + "-retry"));
        TOPICS.forEach(each -> all.add(prefix + "-" + each));
        for (String topic : all) {
            boolean there = false;
            while (!there) {
                try {
                    producer.createTopic("TBW102", topic, 1, Map.of());
                    there = !producer.fetchPublishMessageQueues(topic).isEmpty();
                } catch (org.apache.rocketmq.client.exception.MQClientException e) {
                    // The name server learns of it a moment later, and a busy broker is asked again.
                    Thread.sleep(50);
                }
            }
        }
        producer.shutdown();
    }

    /** A template with a producer of its own. */
    @ExtRocketMQTemplateConfiguration(group = "${prefix}-second")
    public static class SecondTemplate extends RocketMQTemplate {
    }

    /** A template that polls another topic. */
    @ExtRocketMQConsumerConfiguration(group = "${prefix}-poll-more", topic = "${prefix}-poll-more", selectorExpression = "TagP")
    public static class PollingTemplate extends RocketMQTemplate {
    }

    /** Answers by what the message says. */
    @RocketMQTransactionListener
    @SuppressWarnings("rawtypes")
    static class Transactions implements RocketMQLocalTransactionListener {
        private final Account account;

        Transactions(Account account) {
            this.account = account;
        }

        @Override
        public RocketMQLocalTransactionState executeLocalTransaction(Message message, Object argument) {
            String text = new String((byte[]) message.getPayload());
            account.hear("executed", text + " with " + argument + " and headers rocketmq_TOPIC "
                + message.getHeaders().get("rocketmq_TOPIC") + " rocketmq_TAGS " + message.getHeaders().get("rocketmq_TAGS")
                + " rocketmq_KEYS " + message.getHeaders().get("rocketmq_KEYS"));
            return text.startsWith("commit") ? RocketMQLocalTransactionState.COMMIT
                : text.startsWith("rollback") ? RocketMQLocalTransactionState.ROLLBACK : RocketMQLocalTransactionState.UNKNOWN;
        }

        @Override
        public RocketMQLocalTransactionState checkLocalTransaction(Message message) {
            String text = new String((byte[]) message.getPayload());
            account.hear("checked " + text, text);
            return text.endsWith("commit") ? RocketMQLocalTransactionState.COMMIT : RocketMQLocalTransactionState.ROLLBACK;
        }
    }

    /** Everything that a template can be asked to do. */
    @Component
    static class Calls {
        private final Account account;
        private final RocketMQTemplate template;
        private final SecondTemplate second;
        private final PollingTemplate polling;
        private final String prefix;

        Calls(Account account, @org.springframework.beans.factory.annotation.Qualifier("rocketMQTemplate") RocketMQTemplate template,
            SecondTemplate second, PollingTemplate polling, @Value("${prefix}") String prefix) {
            this.account = account;
            this.template = template;
            this.second = second;
            this.polling = polling;
            this.prefix = prefix;
        }

        private String topic(String name) {
            return prefix + "-" + name;
        }

        void run() throws Exception {
            transactions();
            delays();
            plain();
            selected();
            requests();
            polled();
            account.until("in order of failures", 2);
            account.until("dead", 1);
            account.until("delayed", 6);
            account.until("transacted", 2);
            account.until("checked unknown, then rollback", 1);
        }

        private SendCallback callback(String what) {
            return new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    account.hear(what, Account.result(result));
                }

                @Override
                public void onException(Throwable e) {
                    account.hear(what, Account.failure(e));
                }
            };
        }

        private void plain() throws Exception {
            template.convertAndSend(topic("text"), "converted");
            account.call("sync", () -> template.syncSend(topic("text"), "sync"));
            account.call("sync with a timeout", () -> template.syncSend(topic("text"), "timeout", TIMEOUT_MILLIS));
            account.call("second template", () -> second.syncSend(topic("text"), "second"));
            template.asyncSend(topic("text"), "async", callback("async"));
            template.sendOneWay(topic("text"), "one way");
            template.sendOneWayOrderly(topic("text"), "one way in order", "key");
            account.call("batch", () -> template.syncSend(topic("text"), messages("batch-1", "batch-2", "batch-3")));
            template.asyncSend(topic("text"), messages("async-batch-1", "async-batch-2"), callback("async batch"));
            account.call("batch in order", () -> template.syncSendOrderly(topic("text"), messages("o-1", "o-2"), "key"));
            account.call("to a topic that is made by it", () -> template.syncSend(topic("made"), "made"));
            account.call("without a body", () -> template.syncSend(topic("text"), ""));
            account.until("text", 14);
            account.until("async", 1);
            account.until("async batch", 1);
            account.call("order", () -> template.syncSend(topic("order"), new Order(7, "seven")));
            account.until("heard order", 1);
            account.call("whole", () -> template.syncSend(topic("whole") + ":TagW:more", MessageBuilder.withPayload("whole")
                .setHeader("KEYS", "key-w").setHeader("FLAG", 9).setHeader("colour", "green").setHeader("TAGS", "dropped").build()));
            account.until("heard whole", 1);
            for (int i = 0; i < 4; i++) {
                template.syncSendOrderly(topic("orderly"), "a" + i, "a");
                template.asyncSendOrderly(topic("orderly"), "b" + i, "b", callback("async in order"));
                account.until("async in order", i + 1);
            }
            account.until("in order of a", 5);
            account.until("in order of b", 4);
            account.call("broadcast", () -> template.syncSend(topic("broadcast"), "broadcast"));
            account.until("heard broadcast", 1);
            account.call("failing", () -> template.syncSend(topic("retry") + ":TagR", "failing"));
        }

        private static List<Message<String>> messages(String... payloads) {
            List<Message<String>> messages = new ArrayList<>();
            for (String each : payloads) {
                messages.add(MessageBuilder.withPayload(each).build());
            }
            return messages;
        }

        private void selected() throws Exception {
            for (String tag : new String[] {"TagC", "TagA", "TagB"}) {
                template.syncSend(topic("tags") + ":" + tag, "of " + tag);
            }
            template.syncSend(topic("tags"), "of none");
            template.syncSend(topic("tags") + ":TagA", "last");
            for (int i = 3; i < 9; i++) {
                template.syncSend(topic("sql"), MessageBuilder.withPayload("n" + i).setHeader("number", i)
                    .setHeader("colour", i % 2 == 0 ? "green" : "red").build());
            }
            account.until("tags", 3);
            account.until("sql", 2);
        }

        private String due(String what, long millis) {
            return what + " due " + (System.currentTimeMillis() + millis);
        }

        private void delays() {
            String to = topic("delay");
            account.call("level", () -> template.syncSend(to, message(due("level", 1_000)), TIMEOUT_MILLIS, 1));
            template.asyncSend(to, message(due("async level", 2_000)), callback("async level"), TIMEOUT_MILLIS, 2);
            account.call("level in order",
                () -> template.syncSendOrderly(to, message(due("level in order", 1_000)), "key", TIMEOUT_MILLIS, 1));
            account.call("seconds", () -> template.syncSendDelayTimeSeconds(to, due("seconds", 2_000), 2));
            account.call("milliseconds", () -> template.syncSendDelayTimeMills(to, due("milliseconds", 1_500), 1_500));
            account.call("instant",
                () -> template.syncSendDeliverTimeMills(to, due("instant", 2_000), System.currentTimeMillis() + 2_000));
            account.call("too far", () -> template.syncSendDelayTimeSeconds(to, due("too far", 0), 400 * 86_400));
            account.call("nowhere in time", () -> template.syncSendDelayTimeSeconds(to, due("nowhere", 0), 0));
        }

        private static Message<String> message(String payload) {
            return MessageBuilder.withPayload(payload).build();
        }

        private void transactions() {
            for (String text : new String[] {"commit", "rollback", "unknown, then commit", "unknown, then rollback"}) {
                account.call("transaction to " + text, () -> template.sendMessageInTransaction(topic("transaction") + ":TagX",
                    MessageBuilder.withPayload(text).setHeader("KEYS", "key-x").build(), "argument").getLocalTransactionState());
            }
        }

        private void requests() throws Exception {
            account.call("answer", () -> template.sendAndReceive(topic("ask"), "question", String.class, TIMEOUT_MILLIS));
            account.call("answer in order",
                () -> template.sendAndReceive(topic("ask"), "ordered question", String.class, "key", TIMEOUT_MILLIS));
            account.call("answer after a delay",
                () -> template.sendAndReceive(topic("ask"), "late question", String.class, TIMEOUT_MILLIS, 1));
            account.call("answer of an order",
                () -> template.sendAndReceive(topic("ask-order"), new Order(1, "one"), Order.class, TIMEOUT_MILLIS));
            template.sendAndReceive(topic("ask"), "async question", new RocketMQLocalRequestCallback<String>() {
                @Override
                public void onSuccess(String answer) {
                    account.hear("async answer", answer);
                }

                @Override
                public void onException(Throwable e) {
                    account.hear("async answer", Account.failure(e));
                }
            }, TIMEOUT_MILLIS);
            account.until("async answer", 1);
        }

        private void polled() {
            template.syncSend(topic("poll"), "polled-1");
            template.syncSend(topic("poll"), "polled-2");
            template.syncSend(topic("poll-more"), "not polled");
            template.syncSend(topic("poll-more") + ":TagP", "polled by tag");
            poll("polled", template, 2);
            poll("polled by the second", polling, 1);
        }

        private void poll(String what, RocketMQTemplate from, int count) {
            int polled = 0;
            for (int i = 0; i < 30 && polled < count; i++) {
                for (String each : from.receive(String.class, 1_000)) {
                    account.hear(what, each);
                    polled++;
                }
            }
        }
    }
}
