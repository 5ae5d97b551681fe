package application;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.spring.annotation.ConsumeMode;
import org.apache.rocketmq.spring.annotation.MessageModel;
import org.apache.rocketmq.spring.annotation.RocketMQMessageListener;
import org.apache.rocketmq.spring.annotation.SelectorType;
import org.apache.rocketmq.spring.core.RocketMQListener;
import org.apache.rocketmq.spring.core.RocketMQPushConsumerLifecycleListener;
import org.apache.rocketmq.spring.core.RocketMQReplyListener;
import org.springframework.stereotype.Component;

/** One listener of each kind. Groups are named like their topics. */
final class Listeners {
    private Listeners() {
    }

    /** A listener that writes down; and looks for its retry topic, which a new group does not have at once. */
    abstract static class Writing implements RocketMQPushConsumerLifecycleListener {
        final Account account;

        Writing(Account account) {
            this.account = account;
        }

        @Override
        public void prepareStart(DefaultMQPushConsumer consumer) {
            consumer.setPollNameServerInterval(500);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-text", consumerGroup = "${prefix}-text")
    static class Text extends Writing implements RocketMQListener<String> {
        Text(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            account.hear("text", text);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-whole", consumerGroup = "${prefix}-whole")
    static class Whole extends Writing implements RocketMQListener<MessageExt> {
        Whole(Account account) {
            super(account);
        }

        @Override
        public void onMessage(MessageExt message) {
            account.hear("heard whole", Account.shown(message));
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-order", consumerGroup = "${prefix}-order")
    static class Orders extends Writing implements RocketMQListener<Order> {
        Orders(Account account) {
            super(account);
        }

        @Override
        public void onMessage(Order order) {
            account.hear("heard order", order.toString());
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-tags", consumerGroup = "${prefix}-tags", selectorExpression = "TagA || TagB")
    static class Tags extends Writing implements RocketMQListener<String> {
        Tags(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            account.hear("tags", text);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-sql", consumerGroup = "${prefix}-sql", selectorType = SelectorType.SQL92,
        selectorExpression = "number > 5 AND colour = 'green'")
    static class Sql extends Writing implements RocketMQListener<String> {
        Sql(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            account.hear("sql", text);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-orderly", consumerGroup = "${prefix}-orderly", consumeMode = ConsumeMode.ORDERLY,
        suspendCurrentQueueTimeMillis = 100)
    static class Orderly extends Writing implements RocketMQListener<MessageExt> {
        Orderly(Account account) {
            super(account);
        }

        @Override
        public void onMessage(MessageExt message) {
            String body = new String(message.getBody());
            account.hear("in order of " + body.charAt(0), body + "/" + message.getReconsumeTimes());
            if (body.equals("a2") && message.getReconsumeTimes() == 0) {
                throw new IllegalStateException("not yet");
            }
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-broadcast", consumerGroup = "${prefix}-broadcast",
        messageModel = MessageModel.BROADCASTING)
    static class Broadcast extends Writing implements RocketMQListener<String> {
        Broadcast(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            account.hear("heard broadcast", text);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-retry", consumerGroup = "${prefix}-retry", maxReconsumeTimes = 1,
        delayLevelWhenNextConsume = 1)
    static class Failing extends Writing implements RocketMQListener<MessageExt> {
        Failing(Account account) {
            super(account);
        }

        @Override
        public void onMessage(MessageExt message) {
            account.hear("in order of failures", Account.shown(message));
            throw new IllegalStateException("never");
        }
    }

    @Component
    @RocketMQMessageListener(topic = "%DLQ%${prefix}-retry", consumerGroup = "${prefix}-dead")
    static class Dead extends Writing implements RocketMQListener<MessageExt> {
        Dead(Account account) {
            super(account);
        }

        @Override
        public void onMessage(MessageExt message) {
            account.hear("dead", Account.shown(message));
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-delay", consumerGroup = "${prefix}-delay")
    static class Delayed extends Writing implements RocketMQListener<String> {
        Delayed(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            long due = Long.parseLong(text.substring(text.indexOf(" due ") + 5));
            // The wheel of timers has ticks of a second.
            boolean early = System.currentTimeMillis() < due - 1_000;
            account.hear("delayed", text.substring(0, text.indexOf(" due ")) + (early ? " early" : ""));
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-transaction", consumerGroup = "${prefix}-transaction")
    static class Transacted extends Writing implements RocketMQListener<String> {
        Transacted(Account account) {
            super(account);
        }

        @Override
        public void onMessage(String text) {
            account.hear("transacted", text);
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-ask", consumerGroup = "${prefix}-ask")
    static class Answering implements RocketMQReplyListener<String, String> {
        @Override
        public String onMessage(String question) {
            return "re: " + question;
        }
    }

    @Component
    @RocketMQMessageListener(topic = "${prefix}-ask-order", consumerGroup = "${prefix}-ask-order")
    static class AnsweringOrders implements RocketMQReplyListener<Order, Order> {
        @Override
        public Order onMessage(Order order) {
            return new Order(order.getNumber() + 1, "re: " + order.getText());
        }
    }
}
