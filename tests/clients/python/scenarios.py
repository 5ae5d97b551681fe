"""What an application does with Apache's C++ client, by its Python binding, checked from the application's side.

    scenarios.py NAME-SERVER PREFIX SCENARIO...

The package brings the C++ client as a library. The scenarios run one after the other, each on the topic PREFIX-SCENARIO,
which exists with four queues. One line a scenario on standard output, "PASS name milliseconds ms" or "FAIL name: why"; the exit
code is 1 when one failed.
"""

import os
import sys
import threading
import time

from rocketmq.client import Message, MessageModel, Producer, PullConsumer, PushConsumer, RecvMessage, SendStatus
from rocketmq.exceptions import ffi_check
from rocketmq.ffi import MSG_CALLBACK_FUNC, dll

PATIENCE_SECONDS = 150
QUEUES = 4
AGAIN = 1


def check(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


class Scenario:
    def __init__(self, name_server, prefix, name):
        self.name_server = name_server
        # The two halves of the restart share a topic and a group.
        self.topic = prefix + "-" + name.replace("offsets-before", "offsets").replace("offsets-after", "offsets")
        self.name = name
        self.kept = []

    def send_sync(self):
        producer = self.producer()
        ids = []
        for i in range(20):
            # Every fifth one is long enough for the client to compress it.
            body = f"sync-{i}" + ("-" + "x" * 9000 if i % 5 == 0 else "")
            message = self.message(body, "TagS")
            message.set_keys(f"key-{i}")
            message.set_property("number", str(i))
            result = producer.send_sync(message)
            self.stored(result)
            ids.append(result.msg_id)
        received = self.receive(20)
        for body, (tags, keys, number, _attempt, _id) in received.items():
            check((tags, keys) == ("TagS", "key-" + number) and body.startswith("sync-" + number), received)
        check(sorted(each[4] for each in received.values()) == sorted(ids), (ids, received))

    def send_oneway(self):
        producer = self.producer()
        for i in range(20):
            producer.send_oneway(self.message(f"oneway-{i}"))
        check(set(self.receive(20)) == {f"oneway-{i}" for i in range(20)}, "other bodies")

    def ordered(self):
        producer = self.producer()
        for step in range(10):
            for key in range(6):
                self.stored(producer.send_orderly(self.message(f"{key}:{step}"), key))
        seen = {}
        lock = threading.Lock()

        def handle(message):
            key, step = message.body.decode().split(":")
            with lock:
                seen.setdefault(key, []).append((int(step), message.queue_id))

        consumer = self.consumer(orderly=True)
        self.start(consumer, handle)
        self.until(lambda: sum(map(len, seen.values())) >= 60, lambda: seen)
        for key, steps in seen.items():
            check([step for step, _ in steps] == list(range(10)), (key, steps))
            check(len({queue for _, queue in steps}) == 1, (key, steps))

    def tags(self):
        producer = self.producer()
        expected = set()
        # The unwanted ones are in front in every queue: delivered, they would be there before the others.
        for i in range(20):
            tag = "TagC" if i < 12 else ["TagA", "TagB"][i % 2]
            if i >= 12:
                expected.add(f"{tag}-{i}")
            self.stored(producer.send_orderly(self.message(f"{tag}-{i}", tag), i % QUEUES))
        check(set(self.receive(len(expected), "TagA || TagB")) == expected, "other bodies")

    def push(self):
        seen = set()
        self.start(self.consumer(), lambda message: seen.add(message.body.decode()))
        producer = self.producer()
        sent = set()
        # The pulls are pending on the broker by the time of the later sends.
        for turn in range(10):
            for i in range(QUEUES):
                sent.add(f"push-{turn}-{i}")
                self.stored(producer.send_sync(self.message(f"push-{turn}-{i}")))
            self.until(lambda: len(seen) >= len(sent), lambda: (sent, seen))
        check(seen == sent, (sent, seen))

    def retry(self):
        attempts = {}
        lock = threading.Lock()

        def handle(_consumer, handle):
            message = RecvMessage(handle)
            body = message.body.decode()
            with lock:
                mine = attempts.setdefault(body, [])
                mine.append((message.reconsume_times, message.topic, message.tags, message.keys))
                return AGAIN if len(mine) == 1 else 0

        # The binding turns every end of a handler into a success; the library itself is asked.
        consumer = self.consumer()
        ffi_check(dll.Subscribe(consumer._handle, self.topic.encode(), b"*"))
        callback = MSG_CALLBACK_FUNC(handle)
        self.kept.append(callback)
        ffi_check(dll.RegisterMessageCallback(consumer._handle, callback))
        consumer.start()
        producer = self.producer()
        for i in range(3):
            message = self.message(f"retry-{i}", "TagR")
            message.set_keys(f"key-{i}")
            self.stored(producer.send_sync(message))
        self.until(lambda: len(attempts) == 3 and all(len(each) == 2 for each in attempts.values()), lambda: attempts)
        for i in range(3):
            key = f"key-{i}".encode()
            first, again = attempts[f"retry-{i}"]
            check(first[0] == 0 and again[0] == 1, attempts)
            check([self.text(each) for each in again[1:]] == [self.topic, "TagR", self.text(key)], attempts)

    def broadcast(self):
        received = [set(), set()]
        for i, mine in enumerate(received):
            consumer = self.consumer(model=MessageModel.BROADCASTING, instance=f"{self.topic}-{i}")
            self.start(consumer, lambda message, mine=mine: mine.add(message.body.decode()))
        # It begins at the end of a queue, which it has looked up when it pulls.
        producer = self.producer()
        for turn in range(1_000_000):
            self.stored(producer.send_sync(self.message(f"early-{turn}")))
            if all(received):
                break
            time.sleep(0.5)
        sent = {f"broadcast-{i}" for i in range(20)}
        for body in sent:
            self.stored(producer.send_sync(self.message(body)))
        self.until(lambda: all(sent <= mine for mine in received), lambda: received)

    def delay(self):
        seen = {}
        self.start(self.consumer(), lambda message: seen.setdefault(message.body.decode(), time.time()))
        producer = self.producer()
        sent = {}
        for level, seconds in ((1, 1), (2, 5)):
            message = self.message(f"level-{level}")
            message.set_delay_time_level(level)
            sent[f"level-{level}"] = time.time() + seconds
            self.stored(producer.send_sync(message))
        self.until(lambda: len(seen) == 2, lambda: seen)
        check(all(seen[body] >= due - 0.05 for body, due in sent.items()), (sent, seen))

    def pull(self):
        producer = self.producer()
        bodies = {f"pull-{i}" for i in range(20)}
        for body in bodies:
            self.stored(producer.send_sync(self.message(body)))
        consumer = PullConsumer(self.topic + "-group")
        consumer.set_namesrv_addr(self.name_server)
        consumer.start()
        found = {self.text(message.body) for message in consumer.pull(self.topic)}
        consumer.shutdown()
        check(found == bodies, found)

    def offsets_before(self):
        self.numbered("before")

    def offsets_after(self):
        # Without the group's offsets, the messages from before come again.
        self.numbered("after")

    def numbered(self, word):
        producer = self.producer()
        bodies = {f"{word}-{i}" for i in range(QUEUES * 3)}
        for body in bodies:
            self.stored(producer.send_sync(self.message(body)))
        received = set(self.receive(len(bodies)))
        check(received == bodies, received)

    def receive(self, count, expression="*"):
        """Consumes as the scenario's group until so many bodies have come."""
        received = {}

        def handle(message):
            received[message.body.decode()] = (self.text(message.tags), self.text(message.keys),
                self.text(message.get_property("number")), message.reconsume_times, message.id)

        consumer = self.consumer()
        self.start(consumer, handle, expression)
        self.until(lambda: len(received) >= count, lambda: received)
        consumer.shutdown()
        return received

    def message(self, body, tags=None):
        message = Message(self.topic)
        message.set_body(body)
        if tags is not None:
            message.set_tags(tags)
        return message

    def producer(self):
        producer = Producer(self.topic + "-producer-" + self.name)
        producer.set_namesrv_addr(self.name_server)
        producer.set_timeout(10_000)
        producer.start()
        self.kept.append(producer)
        return producer

    def consumer(self, orderly=False, model=MessageModel.CLUSTERING, instance=None):
        consumer = PushConsumer(self.topic + "-group", orderly=orderly, message_model=model)
        consumer.set_namesrv_addr(self.name_server)
        consumer.set_instance_name(instance or f"{self.topic}-{self.name}")
        consumer.set_thread_count(2)
        consumer.set_message_batch_max_size(1)
        self.kept.append(consumer)
        return consumer

    def start(self, consumer, handle, expression="*"):
        consumer.subscribe(self.topic, handle, expression)
        consumer.start()

    @staticmethod
    def text(value):
        return value.decode() if isinstance(value, bytes) else value

    @staticmethod
    def stored(result):
        check(result.status == SendStatus.OK, result)

    @staticmethod
    def until(done, state):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            check(time.monotonic() < deadline, f"in {PATIENCE_SECONDS} s only {state()}")
            time.sleep(0.01)


def main(name_server, prefix, *names):
    failed = []

    def run(name):
        started = time.monotonic()
        try:
            getattr(Scenario(name_server, prefix, name), name.replace("-", "_"))()
            print(f"PASS {name} {int((time.monotonic() - started) * 1000)} ms", flush=True)
        except Exception as error:
            failed.append(name)
            print(f"FAIL {name}: {error!r}", flush=True)

    # One after the other: started side by side, its clients lose routes and crash, on any server.
    for name in names:
        run(name)
    sys.stdout.flush()
    # The library's threads would keep the process, and its destructors do not end while they run.
    os._exit(1 if failed else 0)


main(*sys.argv[1:])
