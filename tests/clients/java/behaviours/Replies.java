import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** Requests and what comes back. */
public final class Replies implements Behaviours.Chapter {
    private static final long PATIENCE_MILLIS = 30_000;

    @Override
    public void scenarios(Behaviours.Book book) {
        book.add("request-reply", Replies::reply);
        book.add("request-refused", Replies::refused);
    }

    private static void reply(Stage stage) throws Exception {
        stage.create(stage.topic, 2);
        DefaultMQProducer replier = stage.producer(stage.topic + "-replier");
        // Told at the end: a reply is there before its sender knows that it was sent.
        Map<String, Object> told = new ConcurrentSkipListMap<>();
        DefaultMQPushConsumer consumer = stage.consumer(stage.topic + "-g");
        consumer.subscribe(stage.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                if (each.getUserProperty("silent") != null) {
                    continue;
                }
                try {
                    told.put("request " + Stage.body(each), Stage.properties(each));
                    Message reply = MessageUtil.createReplyMessage(each, ("re: " + Stage.body(each)).getBytes());
                    reply.putUserProperty("colour", "white");
                    told.put("reply " + Stage.body(each), replier.send(reply).getSendStatus());
                } catch (Exception e) {
                    told.put("reply", Stage.failure(e));
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        stage.tellOf("answer", () -> shown(stage.sender().request(stage.message("sync"), PATIENCE_MILLIS)));
        stage.tellOf("answer to a queue",
            () -> shown(stage.sender().request(stage.message("queue"), Stage.queue(stage.topic, 1), PATIENCE_MILLIS)));
        stage.tellOf("answer by a selector", () -> shown(stage.sender().request(stage.message("selected"),
            (queues, message, argument) -> queues.get(0), null, PATIENCE_MILLIS)));
        CountDownLatch answered = new CountDownLatch(1);
        stage.sender().request(stage.message("async"), new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                stage.tell("answer", shown(message));
                answered.countDown();
            }

            @Override
            public void onException(Throwable e) {
                stage.tell("answer", Stage.failure(e));
                answered.countDown();
            }
        }, PATIENCE_MILLIS);
        answered.await(2 * PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        Message silent = stage.message("silent");
        silent.putUserProperty("silent", "yes");
        stage.tellOf("nobody answers", () -> shown(stage.sender().request(silent, 2_000)));
        stage.until("the replies' answers", () -> told.size() >= 8);
        told.forEach(stage::tell);
    }

    private static String shown(Message message) {
        return Stage.body(message) + " topic " + message.getTopic() + " " + Stage.properties(message);
    }

    private static void refused(Stage stage) throws Exception {
        Message lost = new Message("DefaultCluster_REPLY_TOPIC", "lost".getBytes());
        MessageAccessor.putProperty(lost, "REPLY_TO_CLIENT", "nobody@nowhere");
        MessageAccessor.putProperty(lost, "CORRELATION_ID", "1");
        MessageAccessor.putProperty(lost, "MSG_TYPE", "reply");
        stage.tellOf("to a client that is gone", () -> stage.sender().send(lost, Stage.queue(lost.getTopic(), 0)).getSendStatus());
    }
}
