import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMachineRoomNearby;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByConfig;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByMachineRoom;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.common.message.MessageQueue;

/** Writes what the strategies of RocketMQ's own client give to each member, as JSON, into the file of its argument. */
public class Assignments {
    static final String TOPIC = "orders";

    public static void main(String[] args) throws Exception {
        List<String> cases = new ArrayList<>();
        int[][] sizes = {{1, 3}, {2, 4}, {3, 8}, {5, 1}, {7, 5}};
        for (int[] size : sizes) {
            for (int brokers = 1; brokers <= 3; brokers += 2) {
                add(cases, members(size[0], false), queues(brokers, size[1], false));
                add(cases, members(size[0], true), queues(brokers, size[1], true));
            }
        }
        Files.writeString(Path.of(args[0]), "[\n" + String.join(",\n", cases) + "\n]\n");
    }

    /** Ids as clients have them, or with the room in front that they are in. */
    static List<String> members(int count, boolean rooms) {
        List<String> members = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String id = "192.168.0." + (i * 37 % 200) + "@" + (1000 + i * 7919) + "#" + (i * 1_000_003L + 17);
            members.add(rooms ? "room" + (i % 2) + "-" + id : id);
        }
        Collections.sort(members);
        return members;
    }

    static List<MessageQueue> queues(int brokers, int each, boolean rooms) {
        List<MessageQueue> queues = new ArrayList<>();
        for (int broker = 0; broker < brokers; broker++) {
            for (int id = 0; id < each; id++) {
                String name = "broker-" + (char) ('a' + broker);
                queues.add(new MessageQueue(TOPIC, rooms ? "room" + broker + "@" + name : name, id));
            }
        }
        Collections.sort(queues);
        return queues;
    }

    static void add(List<String> cases, List<String> members, List<MessageQueue> queues) {
        boolean rooms = members.get(0).startsWith("room");
        AllocateMessageQueueByMachineRoom room = new AllocateMessageQueueByMachineRoom();
        room.setConsumeridcs(new TreeSet<>(Set.of("room0", "room2")));
        AllocateMessageQueueByConfig config = new AllocateMessageQueueByConfig();
        config.setMessageQueueList(queues.subList(0, (queues.size() + 1) / 2));
        List<AllocateMessageQueueStrategy> strategies = new ArrayList<>(List.of(
            new AllocateMessageQueueAveragely(), new AllocateMessageQueueAveragelyByCircle(),
            new AllocateMessageQueueConsistentHash(), room, config));
        if (rooms) {
            AllocateMachineRoomNearby.MachineRoomResolver resolver = new AllocateMachineRoomNearby.MachineRoomResolver() {
                public String brokerDeployIn(MessageQueue queue) {
                    return queue.getBrokerName().split("@")[0];
                }

                public String consumerDeployIn(String client) {
                    return client.split("-")[0];
                }
            };
            strategies.add(new AllocateMachineRoomNearby(new AllocateMessageQueueAveragely(), resolver));
            strategies.add(new AllocateMachineRoomNearby(new AllocateMessageQueueConsistentHash(), resolver));
        }
        for (AllocateMessageQueueStrategy strategy : strategies) {
            List<String> shares = new ArrayList<>();
            for (String member : members) {
                shares.add(list(strategy.allocate("billing", member, queues, members)));
            }
            cases.add("{\"strategy\":\"" + strategy.getName() + "\",\"members\":["
                + members.stream().map(Assignments::quoted).collect(Collectors.joining(","))
                + "],\n\"queues\":" + list(queues) + ",\n\"shares\":[" + String.join(",", shares) + "]}");
        }
    }

    static String list(List<MessageQueue> queues) {
        return queues.stream().map(queue -> quoted(queue.getBrokerName() + ":" + queue.getQueueId()))
            .collect(Collectors.joining(",", "[", "]"));
    }

    static String quoted(String text) {
        return "\"" + text + "\"";
    }
}
