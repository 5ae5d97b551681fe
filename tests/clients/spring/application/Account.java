package application;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.springframework.stereotype.Component;

/** What listeners heard and calls answered, without what varies from run to run; told at the end as "spring | what: value". */
@Component
public class Account {
    private static final long PATIENCE_SECONDS = 90;
    private static final Set<String> LEFT_OUT = Set.of("MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME", "CLUSTER");
    private static final Set<String> VARYING = Set.of("id", "timestamp", "UNIQ_KEY", "ORIGIN_MESSAGE_ID", "CORRELATION_ID",
        "REPLY_TO_CLIENT", "__transactionId__", "TRANSACTION_CHECK_TIMES");

    private final Map<String, Collection<String>> heard = new ConcurrentSkipListMap<>();

    public void hear(String what, String value) {
        heard.computeIfAbsent(what, unused -> new ConcurrentLinkedQueue<>()).add(value);
    }

    /** What a call answers, or how it fails. */
    public void call(String what, Callable<?> call) {
        try {
            Object answer = call.call();
            hear(what, answer instanceof SendResult ? result((SendResult) answer) : String.valueOf(answer));
        } catch (Exception e) {
            hear(what, failure(e));
        }
    }

    public static String failure(Throwable e) {
        for (Throwable each = e; each != null; each = each.getCause()) {
            if (each instanceof MQBrokerException) {
                return "refused with code " + ((MQBrokerException) each).getResponseCode();
            }
            if (each instanceof MQClientException && ((MQClientException) each).getResponseCode() > 0) {
                return "fails with code " + ((MQClientException) each).getResponseCode();
            }
        }
        return "throws " + e.getClass().getSimpleName();
    }

    public static String result(SendResult result) {
        return result.getSendStatus() + " topic " + result.getMessageQueue().getTopic();
    }

    public static String shown(MessageExt message) {
        String properties = new TreeMap<>(message.getProperties()).entrySet().stream()
            .filter(each -> !LEFT_OUT.contains(each.getKey()))
            .map(each -> each.getKey() + "=" + (VARYING.contains(each.getKey()) ? "~" : each.getValue()))
            .collect(Collectors.joining(", ", "{", "}"));
        return new String(message.getBody()) + " attempt " + message.getReconsumeTimes() + " flag " + message.getFlag() + " "
            + properties;
    }

    /** Waits until so much was heard of something. */
    public void until(String what, int count) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (heard.getOrDefault(what, List.of()).size() < count) {
            if (System.nanoTime() > deadline) {
                hear(what, "waited in vain for " + count);
                return;
            }
            Thread.sleep(20);
        }
    }

    /** Tells all; what came to several threads or queues is told in alphabetical order. */
    public void tell() {
        heard.forEach((what, values) -> {
            Collection<String> told = what.startsWith("in order ") ? values
                : values.stream().sorted().collect(Collectors.toList());
            System.out.println("spring | " + what + ": " + told);
        });
    }
}
