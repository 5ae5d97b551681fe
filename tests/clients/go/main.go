// What an application does with Apache's Go client, each scenario checked from the application's side.
//
//	scenarios NAME-SERVER PREFIX SCENARIO...
//
// The scenarios run side by side, each on the topic PREFIX-SCENARIO, which exists with four queues. One line a scenario on
// standard output, "PASS name milliseconds ms" or "FAIL name: why"; the exit code is 1 when one failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const (
	patience = 120 * time.Second
	queues   = 4
)

// scenario is one run of one of the functions below.
type scenario struct {
	nameServer string
	name       string
	topic      string
}

var all = map[string]func(scenario) error{
	"send-sync":      scenario.sendSync,
	"send-async":     scenario.sendAsync,
	"send-oneway":    scenario.sendOneway,
	"send-batch":     scenario.sendBatch,
	"ordered":        scenario.ordered,
	"tags":           scenario.tags,
	"push":           scenario.push,
	"retry":          scenario.retry,
	"broadcast":      scenario.broadcast,
	"offsets-before": func(s scenario) error { return s.sendNumbered("before") },
	// From the first offset when there is none: without the group's offsets, the messages from before come again.
	"offsets-after": func(s scenario) error { return s.sendNumbered("after") },
}

func main() {
	rlog.SetLogLevel("error")
	var running sync.WaitGroup
	failed := false
	var printing sync.Mutex
	for _, name := range os.Args[3:] {
		run, known := all[name]
		// The two halves of the restart share a topic and a group.
		topic := os.Args[2] + "-" + strings.TrimSuffix(strings.TrimSuffix(name, "-before"), "-after")
		s := scenario{nameServer: os.Args[1], name: name, topic: topic}
		running.Add(1)
		go func() {
			defer running.Done()
			started := time.Now()
			err := errors.New("there is no such scenario")
			if known {
				err = run(s)
			}
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				failed = true
				fmt.Printf("FAIL %s: %v\n", s.name, err)
			} else {
				fmt.Printf("PASS %s %d ms\n", s.name, time.Since(started).Milliseconds())
			}
		}()
	}
	running.Wait()
	if failed {
		os.Exit(1)
	}
}

func (s scenario) sendSync() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var bodies, ids []string
	next := map[int]int64{}
	for i := 0; i < 20; i++ {
		body := fmt.Sprintf("sync-%d", i)
		if i%5 == 0 {
			// Long enough for the client to compress it.
			body += "-" + strings.Repeat("x", 9000)
		}
		bodies = append(bodies, body)
		message := primitive.NewMessage(s.topic, []byte(body)).WithTag("TagS").WithKeys([]string{fmt.Sprintf("key-%d", i)})
		message.WithProperty("number", fmt.Sprint(i))
		result, err := p.SendSync(context.Background(), message)
		if err := stored(result, err); err != nil {
			return err
		}
		queue := result.MessageQueue.QueueId
		if result.QueueOffset != next[queue] {
			return fmt.Errorf("queue %d answered offset %d instead of %d", queue, result.QueueOffset, next[queue])
		}
		next[queue]++
		if len(result.OffsetMsgID) != 32 {
			return fmt.Errorf("offset message id %q", result.OffsetMsgID)
		}
		ids = append(ids, result.MsgID)
	}
	received, err := s.receive("*", bodies)
	if err != nil {
		return err
	}
	var receivedIds []string
	for body, message := range received {
		number := message.GetProperty("number")
		if message.GetTags() != "TagS" || message.GetKeys() != "key-"+number || !strings.HasPrefix(body, "sync-"+number) {
			return fmt.Errorf("received with properties %v", message.GetProperties())
		}
		receivedIds = append(receivedIds, message.MsgId)
	}
	return same("ids", ids, receivedIds)
}

func (s scenario) sendAsync() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var bodies []string
	const count = 100
	answers := make(chan error, count)
	for i := 0; i < count; i++ {
		body := fmt.Sprintf("async-%d", i)
		bodies = append(bodies, body)
		answer := func(_ context.Context, result *primitive.SendResult, err error) { answers <- stored(result, err) }
		if err := p.SendAsync(context.Background(), answer, primitive.NewMessage(s.topic, []byte(body))); err != nil {
			return err
		}
	}
	for i := 0; i < count; i++ {
		select {
		case err := <-answers:
			if err != nil {
				return err
			}
		case <-time.After(patience):
			return fmt.Errorf("%d sends were not answered", count-i)
		}
	}
	_, err = s.receive("*", bodies)
	return err
}

func (s scenario) sendOneway() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var bodies []string
	for i := 0; i < 20; i++ {
		body := fmt.Sprintf("oneway-%d", i)
		bodies = append(bodies, body)
		if err := p.SendOneWay(context.Background(), primitive.NewMessage(s.topic, []byte(body))); err != nil {
			return err
		}
	}
	_, err = s.receive("*", bodies)
	return err
}

func (s scenario) sendBatch() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var bodies []string
	for batch := 0; batch < 3; batch++ {
		var messages []*primitive.Message
		for i := 0; i < 10; i++ {
			body := fmt.Sprintf("batch-%d-%d", batch, i)
			bodies = append(bodies, body)
			message := primitive.NewMessage(s.topic, []byte(body)).WithTag("TagB").WithKeys([]string{"key-" + body})
			messages = append(messages, message)
		}
		result, err := p.SendSync(context.Background(), messages...)
		if err := stored(result, err); err != nil {
			return err
		}
		if len(strings.Split(result.OffsetMsgID, ",")) != 10 {
			return fmt.Errorf("offset message ids %s", result.OffsetMsgID)
		}
	}
	received, err := s.receive("TagB", bodies)
	if err != nil {
		return err
	}
	for body, message := range received {
		if message.GetTags() != "TagB" || message.GetKeys() != "key-"+body {
			return fmt.Errorf("received with properties %v", message.GetProperties())
		}
	}
	return nil
}

func (s scenario) ordered() error {
	p, err := s.producer(producer.WithQueueSelector(producer.NewHashQueueSelector()))
	if err != nil {
		return err
	}
	defer p.Shutdown()
	const keys, steps = 6, 10
	var expected []string
	for step := 0; step < steps; step++ {
		expected = append(expected, fmt.Sprint(step))
		for key := 0; key < keys; key++ {
			message := primitive.NewMessage(s.topic, []byte(fmt.Sprintf("%d:%d", key, step)))
			message.WithShardingKey(fmt.Sprintf("order-%d", key))
			if err := stored(p.SendSync(context.Background(), message)); err != nil {
				return err
			}
		}
	}
	var lock sync.Mutex
	seen := map[string][]string{}
	in := map[string]map[int]bool{}
	missing := keys * steps
	c, err := s.consumer("*", func(messages ...*primitive.MessageExt) consumer.ConsumeResult {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range messages {
			key, step, _ := strings.Cut(string(message.Body), ":")
			seen[key] = append(seen[key], step)
			if in[key] == nil {
				in[key] = map[int]bool{}
			}
			in[key][message.Queue.QueueId] = true
			missing--
		}
		return consumer.ConsumeSuccess
	}, consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	defer c.Shutdown()
	if err := until(&lock, func() bool { return missing <= 0 }, &seen); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	for key := range in {
		if !reflect.DeepEqual(seen[key], expected) {
			return fmt.Errorf("key %s came as %v", key, seen[key])
		}
		if len(in[key]) != 1 {
			return fmt.Errorf("key %s was in queues %v", key, in[key])
		}
	}
	return nil
}

func (s scenario) tags() error {
	p, err := s.producer(producer.WithQueueSelector(producer.NewManualQueueSelector()))
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var expected []string
	broker, err := s.brokerName()
	if err != nil {
		return err
	}
	// Three rounds over the queues of TagC, then TagA or TagB on each: when the last of every queue is there, a TagC that
	// were delivered in spite of the subscription would have been there before it.
	for i := 0; i < queues*5; i++ {
		tag := "TagC"
		if i >= queues*3 {
			tag = []string{"TagA", "TagB"}[i%2]
		}
		body := fmt.Sprintf("%s-%d", tag, i)
		if tag != "TagC" {
			expected = append(expected, body)
		}
		message := primitive.NewMessage(s.topic, []byte(body)).WithTag(tag)
		message.Queue = &primitive.MessageQueue{Topic: s.topic, BrokerName: broker, QueueId: i % queues}
		if err := stored(p.SendSync(context.Background(), message)); err != nil {
			return err
		}
	}
	_, err = s.receive("TagA || TagB", expected)
	return err
}

func (s scenario) push() error {
	var lock sync.Mutex
	received := map[string]bool{}
	c, err := s.consumer("*", func(messages ...*primitive.MessageExt) consumer.ConsumeResult {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range messages {
			received[string(message.Body)] = true
		}
		return consumer.ConsumeSuccess
	})
	if err != nil {
		return err
	}
	defer c.Shutdown()
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	// The pulls are pending on the broker by the time of the later sends.
	sent := map[string]bool{}
	for round := 0; round < 10; round++ {
		for i := 0; i < queues; i++ {
			body := fmt.Sprintf("push-%d-%d", round, i)
			sent[body] = true
			if err := stored(p.SendSync(context.Background(), primitive.NewMessage(s.topic, []byte(body)))); err != nil {
				return err
			}
		}
		if err := until(&lock, func() bool { return reflect.DeepEqual(sent, received) }, &received); err != nil {
			return err
		}
	}
	return nil
}

func (s scenario) retry() error {
	// A new group's retry topic is made by its first heartbeat, and its consumer looks for new topics every 30 s only.
	// Started a second time, it knows it from the beginning.
	idle := func(...*primitive.MessageExt) consumer.ConsumeResult { return consumer.ConsumeSuccess }
	first, err := s.consumer("*", idle)
	if err != nil {
		return err
	}
	if err := first.Shutdown(); err != nil {
		return err
	}
	var lock sync.Mutex
	attempts := map[string][]*primitive.MessageExt{}
	done := 0
	c, err := s.consumer("*", func(messages ...*primitive.MessageExt) consumer.ConsumeResult {
		lock.Lock()
		defer lock.Unlock()
		message := messages[0]
		body := string(message.Body)
		attempts[body] = append(attempts[body], message)
		if len(attempts[body]) == 1 {
			return consumer.ConsumeRetryLater
		}
		done++
		return consumer.ConsumeSuccess
	})
	if err != nil {
		return err
	}
	defer c.Shutdown()
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	const count = 3
	var ids []string
	for i := 0; i < count; i++ {
		message := primitive.NewMessage(s.topic, []byte(fmt.Sprintf("retry-%d", i))).WithTag("TagR")
		message.WithKeys([]string{fmt.Sprintf("key-%d", i)})
		message.WithProperty("number", fmt.Sprint(i))
		result, err := p.SendSync(context.Background(), message)
		if err := stored(result, err); err != nil {
			return err
		}
		ids = append(ids, result.MsgID)
	}
	if err := until(&lock, func() bool { return done >= count }, &attempts); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	for i := 0; i < count; i++ {
		both := attempts[fmt.Sprintf("retry-%d", i)]
		if len(both) != 2 || both[0].ReconsumeTimes != 0 || both[1].ReconsumeTimes != 1 {
			return fmt.Errorf("attempts %v", both)
		}
		again := both[1]
		if again.Topic != s.topic || again.GetTags() != "TagR" || again.GetKeys() != fmt.Sprintf("key-%d", i) ||
			again.GetProperty("number") != fmt.Sprint(i) || again.MsgId != ids[i] {
			return fmt.Errorf("sent as %s, came back as %v", ids[i], again)
		}
	}
	return nil
}

func (s scenario) broadcast() error {
	var lock sync.Mutex
	received := [2]map[string]bool{{}, {}}
	for i := range received {
		mine := received[i]
		c, err := s.consumer("*", func(messages ...*primitive.MessageExt) consumer.ConsumeResult {
			lock.Lock()
			defer lock.Unlock()
			for _, message := range messages {
				mine[string(message.Body)] = true
			}
			return consumer.ConsumeSuccess
		}, consumer.WithConsumerModel(consumer.BroadCasting), consumer.WithInstance(fmt.Sprintf("%s-%d", s.topic, i)))
		if err != nil {
			return err
		}
		defer c.Shutdown()
	}
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	sent := map[string]bool{}
	for i := 0; i < 20; i++ {
		body := fmt.Sprintf("broadcast-%d", i)
		sent[body] = true
		if err := stored(p.SendSync(context.Background(), primitive.NewMessage(s.topic, []byte(body)))); err != nil {
			return err
		}
	}
	both := func() bool { return reflect.DeepEqual(received[0], sent) && reflect.DeepEqual(received[1], sent) }
	return until(&lock, both, &received)
}

func (s scenario) sendNumbered(word string) error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var bodies []string
	for i := 0; i < queues*3; i++ {
		body := fmt.Sprintf("%s-%d", word, i)
		bodies = append(bodies, body)
		if err := stored(p.SendSync(context.Background(), primitive.NewMessage(s.topic, []byte(body)))); err != nil {
			return err
		}
	}
	_, err = s.receive("*", bodies)
	return err
}

// receive consumes as the scenario's group until everything expected has come, and fails on anything else.
func (s scenario) receive(tags string, expected []string) (map[string]*primitive.MessageExt, error) {
	var lock sync.Mutex
	received := map[string]*primitive.MessageExt{}
	c, err := s.consumer(tags, func(messages ...*primitive.MessageExt) consumer.ConsumeResult {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range messages {
			received[string(message.Body)] = message
		}
		return consumer.ConsumeSuccess
	})
	if err != nil {
		return nil, err
	}
	err = until(&lock, func() bool { return len(received) >= len(expected) }, &received)
	if stopped := c.Shutdown(); err == nil {
		err = stopped
	}
	if err != nil {
		return nil, err
	}
	lock.Lock()
	defer lock.Unlock()
	var bodies []string
	for body := range received {
		bodies = append(bodies, body)
	}
	return received, same("bodies", expected, bodies)
}

func (s scenario) producer(more ...producer.Option) (rocketmq.Producer, error) {
	options := append([]producer.Option{
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{s.nameServer})),
		producer.WithGroupName(s.topic + "-producer"),
		producer.WithInstanceName(s.topic + "-producer-" + s.name),
		producer.WithSendMsgTimeout(10 * time.Second),
	}, more...)
	p, err := rocketmq.NewProducer(options...)
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

func (s scenario) consumer(
	tags string, handle func(...*primitive.MessageExt) consumer.ConsumeResult, more ...consumer.Option,
) (rocketmq.PushConsumer, error) {
	options := append([]consumer.Option{
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{s.nameServer})),
		consumer.WithGroupName(s.topic + "-group"),
		consumer.WithInstance(s.topic + "-consumer-" + s.name),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, more...)
	c, err := rocketmq.NewPushConsumer(options...)
	if err != nil {
		return nil, err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: tags}
	if expression, found := strings.CutPrefix(tags, "sql:"); found {
		selector = consumer.MessageSelector{Type: consumer.SQL92, Expression: expression}
	}
	callback := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		return handle(messages...), nil
	}
	if err := c.Subscribe(s.topic, selector, callback); err != nil {
		return nil, err
	}
	return c, c.Start()
}

// brokerName is where a message to any queue lands.
func (s scenario) brokerName() (string, error) {
	other := s
	other.name += "-probe"
	p, err := other.producer()
	if err != nil {
		return "", err
	}
	defer p.Shutdown()
	result, err := p.SendSync(context.Background(), primitive.NewMessage(s.topic, []byte("probe")).WithTag("TagC"))
	if err != nil {
		return "", err
	}
	return result.MessageQueue.BrokerName, nil
}

func stored(result *primitive.SendResult, err error) error {
	if err == nil && result.Status != primitive.SendOK {
		err = fmt.Errorf("status %v", result.Status)
	}
	return err
}

// until polls done under the lock that guards what it looks at.
func until(lock sync.Locker, done func() bool, state any) error {
	deadline := time.Now().Add(patience)
	for {
		lock.Lock()
		if done() {
			lock.Unlock()
			return nil
		}
		if time.Now().After(deadline) {
			defer lock.Unlock()
			return fmt.Errorf("in %v only %v", patience, reflect.ValueOf(state).Elem().Interface())
		}
		lock.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

func same(what string, expected, found []string) error {
	sort.Strings(expected)
	sort.Strings(found)
	if !reflect.DeepEqual(expected, found) {
		return fmt.Errorf("expected %s %v, found %v", what, expected, found)
	}
	return nil
}
