// What an application does with ali-ons, each scenario checked from the application's side.
//
//   node scenarios.js NAME-SERVER PREFIX SCENARIO...
//
// The scenarios run side by side, each on the topic PREFIX-SCENARIO, which exists with four queues. One line a scenario on
// standard output, "PASS name milliseconds ms" or "FAIL name: why"; the exit code is 1 when one failed.
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const { Consumer, Message, Producer } = require('ali-ons');

const PATIENCE_MS = 120_000;
const QUEUES = 4;

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

class Scenario {
  constructor(nameServer, prefix, name) {
    this.nameServer = nameServer;
    this.name = name;
    // The two halves of the restart share a topic and a group.
    this.topic = `${prefix}-${name.replace(/^offsets-.*/, 'offsets')}`;
    this.errors = [];
  }

  async sendSync() {
    const producer = await this.producer();
    const ids = [];
    const bodies = [];
    const next = new Map();
    for (let i = 0; i < 20; i++) {
      // Every fifth one is long enough for the client to compress it.
      const body = `sync-${i}${i % 5 === 0 ? '-' + 'x'.repeat(9000) : ''}`;
      bodies.push(body);
      const message = new Message(this.topic, 'TagS', body);
      message.keys = [ `key-${i}` ];
      message.properties.number = String(i);
      const result = await producer.send(message);
      stored(result);
      const queue = result.messageQueue.queueId;
      assert.strictEqual(Number(result.queueOffset), next.get(queue) || 0, `offset in queue ${queue}`);
      next.set(queue, (next.get(queue) || 0) + 1);
      ids.push(result.msgId);
    }
    const received = await this.receive('*', bodies);
    for (const [ body, message ] of received) {
      const number = message.properties.number;
      assert.strictEqual(message.tags, 'TagS');
      assert.strictEqual(message.keys, `key-${number}`);
      assert(body.startsWith(`sync-${number}`), 'the property belongs to another message');
    }
    assert.deepStrictEqual([ ...received.values() ].map(each => each.msgId).sort(), ids.sort());
  }

  async sendAsync() {
    const producer = await this.producer();
    const bodies = Array.from({ length: 100 }, (_, i) => `async-${i}`);
    const results = await Promise.all(bodies.map(body => producer.send(new Message(this.topic, body))));
    results.forEach(stored);
    await this.receive('*', bodies);
  }

  async ordered() {
    const producer = await this.producer();
    // ali-ons takes any queue for a key that hashes to the first one; such keys are left out.
    const keys = Array.from({ length: 20 }, (_, i) => `order-${i}`)
      .filter(key => crypto.createHash('md5').update(key).digest().readUInt32BE() % QUEUES !== 0).slice(0, 6);
    const steps = Array.from({ length: 10 }, (_, step) => String(step));
    for (const step of steps) {
      for (const key of keys) {
        const message = new Message(this.topic, `${key}:${step}`);
        message.shardingKey = key;
        stored(await producer.send(message));
      }
    }
    const seen = new Map();
    const queues = new Map();
    let count = 0;
    await this.consumer({}, '*', async (message, queue) => {
      const [ key, step ] = message.body.toString().split(':');
      seen.set(key, [ ...(seen.get(key) || []), step ]);
      queues.set(key, (queues.get(key) || new Set()).add(queue.queueId));
      count++;
    });
    await this.until(() => count >= keys.length * steps.length, () => seen);
    for (const key of keys) {
      assert.deepStrictEqual(seen.get(key), steps, `key ${key}`);
      assert.strictEqual(queues.get(key).size, 1, `key ${key} was in several queues`);
    }
  }

  async tags() {
    const producer = await this.producer();
    const expected = [];
    // Three rounds over the queues of TagC, then TagA or TagB on each: when the last of every queue is there, a TagC that
    // were delivered in spite of the subscription would have been there before it.
    for (let i = 0; i < QUEUES * 5; i++) {
      const tag = i < QUEUES * 3 ? 'TagC' : [ 'TagA', 'TagB' ][i % 2];
      const body = `${tag}-${i}`;
      if (tag !== 'TagC') {
        expected.push(body);
      }
      stored(await producer.send(new Message(this.topic, tag, body)));
    }
    await this.receive('TagA || TagB', expected);
  }

  async push() {
    const received = new Set();
    await this.consumer({}, '*', async message => {
      received.add(message.body.toString());
    });
    const producer = await this.producer();
    const sent = new Set();
    // The pulls are pending on the broker by the time of the later sends.
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < QUEUES; i++) {
        sent.add(`push-${round}-${i}`);
        stored(await producer.send(new Message(this.topic, `push-${round}-${i}`)));
      }
      await this.until(() => received.size >= sent.size, () => received);
    }
    assert.deepStrictEqual([ ...received ].sort(), [ ...sent ].sort());
  }

  async retry() {
    const attempts = new Map();
    let done = 0;
    await this.consumer({}, '*', async message => {
      const body = message.body.toString();
      const before = attempts.get(body) || [];
      // The client reuses the object when the broker does not take the message back.
      before.push({ topic: message.topic, tags: message.tags, keys: message.keys, number: message.properties.number,
        attempt: message.reconsumeTimes, origin: message.originMessageId, msgId: message.msgId });
      attempts.set(body, before);
      if (before.length === 1) {
        return Consumer.ACTION_RETRY;
      }
      done++;
    });
    const producer = await this.producer();
    const count = 3;
    for (let i = 0; i < count; i++) {
      const message = new Message(this.topic, 'TagR', `retry-${i}`);
      message.keys = [ `key-${i}` ];
      message.properties.number = String(i);
      stored(await producer.send(message));
    }
    await this.until(() => done >= count, () => attempts);
    for (let i = 0; i < count; i++) {
      const both = attempts.get(`retry-${i}`);
      assert.strictEqual(both.length, 2, `attempts ${JSON.stringify(both)}`);
      const [ first, again ] = both;
      assert.strictEqual(first.attempt, 0);
      assert.strictEqual(again.attempt, 1);
      assert.strictEqual(again.topic, this.topic);
      assert.strictEqual(again.tags, 'TagR');
      assert.strictEqual(again.keys, `key-${i}`);
      assert.strictEqual(again.number, String(i));
      assert(again.origin, 'the message came back without the id of its origin');
    }
  }

  async broadcast() {
    const received = [ new Set(), new Set() ];
    for (const [ i, mine ] of received.entries()) {
      const options = { isBroadcast: true, instanceName: `${this.topic}-${i}` };
      await this.consumer(options, '*', async message => {
        mine.add(message.body.toString());
      });
    }
    const producer = await this.producer();
    const sent = Array.from({ length: 20 }, (_, i) => `broadcast-${i}`);
    for (const body of sent) {
      stored(await producer.send(new Message(this.topic, body)));
    }
    await this.until(() => received.every(mine => mine.size >= sent.length), () => received);
    for (const mine of received) {
      assert.deepStrictEqual([ ...mine ].sort(), sent.sort());
    }
  }

  async offsetsBefore() {
    await this.receive('*', await this.sendNumbered('before'));
  }

  async offsetsAfter() {
    // From the first offset when there is none: without the group's offsets, the messages from before come again.
    await this.receive('*', await this.sendNumbered('after'));
  }

  async sendNumbered(word) {
    const producer = await this.producer();
    const bodies = Array.from({ length: QUEUES * 3 }, (_, i) => `${word}-${i}`);
    for (const body of bodies) {
      stored(await producer.send(new Message(this.topic, body)));
    }
    return bodies;
  }

  // Consumes as the scenario's group until everything expected has come, and fails on anything else.
  async receive(tags, expected) {
    const received = new Map();
    const consumer = await this.consumer({}, tags, async message => {
      received.set(message.body.toString(), message);
    });
    await this.until(() => received.size >= expected.length, () => [ ...received.keys() ]);
    await this.settled(consumer);
    assert.deepStrictEqual([ ...received.keys() ].sort(), [ ...expected ].sort());
    return received;
  }

  // An offset is counted after its handler has returned; closed earlier, the client forgets it.
  async settled(consumer) {
    await this.until(() => [ ...consumer.processQueueTable.values() ].every(each => each.processQueue.msgCount === 0),
      () => 'messages whose handler has not returned');
    await consumer.close();
  }

  async until(done, state) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!done()) {
      assert(Date.now() < deadline, `in ${PATIENCE_MS} ms only ${require('util').inspect(state())} ${this.errors}`);
      await sleep(10);
    }
  }

  async producer() {
    const producer = new Producer({ ...this.options('producer'), producerGroup: `${this.topic}-producer`,
      sendMsgTimeout: 10_000 });
    await producer.ready();
    return producer;
  }

  async consumer(options, tags, handler) {
    const consumer = new Consumer({ ...this.options('consumer'), consumerGroup: `${this.topic}-group`,
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      // A new group's retry topic becomes known to its consumer with the next look at the route.
      pollNameServerInteval: 1_000, rebalanceInterval: 1_000, ...options });
    consumer.on('error', error => this.errors.push(error));
    consumer.subscribe(this.topic, tags, handler);
    await consumer.ready();
    return consumer;
  }

  options(role) {
    return {
      nameSrv: this.nameServer,
      // It is only asked for the address of the name server when there is none.
      httpclient: {},
      clientIP: '127.0.0.1',
      instanceName: `${this.topic}-${role}-${this.name}`,
    };
  }
}

const ALL = {
  'send-sync': 'sendSync',
  'send-async': 'sendAsync',
  'ordered': 'ordered',
  'tags': 'tags',
  'push': 'push',
  'retry': 'retry',
  'broadcast': 'broadcast',
  'offsets-before': 'offsetsBefore',
  'offsets-after': 'offsetsAfter',
};

function stored(result) {
  assert.strictEqual(result.sendStatus, 'SEND_OK');
}

async function main([ nameServer, prefix, ...names ]) {
  const outcomes = await Promise.all(names.map(async name => {
    const started = Date.now();
    try {
      assert(ALL[name], 'there is no such scenario');
      await new Scenario(nameServer, prefix, name)[ALL[name]]();
      console.log(`PASS ${name} ${Date.now() - started} ms`);
      return true;
    } catch (error) {
      console.log(`FAIL ${name}: ${String(error.stack).replace(/\n/g, ' ')}`);
      return false;
    }
  }));
  // The client keeps connections and timers that would keep the process.
  process.exit(outcomes.every(Boolean) ? 0 : 1);
}

main(process.argv.slice(2));
