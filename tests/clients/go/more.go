package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// What brokers do beyond storing and handing out.

func init() {
	all["delay"] = scenario.delay
	all["sql"] = scenario.sql
	all["transaction"] = scenario.transaction
}

func (s scenario) delay() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	sent := time.Now()
	if err := stored(p.SendSync(context.Background(), primitive.NewMessage(s.topic, []byte("late")).WithDelayTimeLevel(1))); err != nil {
		return err
	}
	if _, err := s.receive("*", []string{"late"}); err != nil {
		return err
	}
	if took := time.Since(sent); took < 950*time.Millisecond {
		return fmt.Errorf("came after %v already", took)
	}
	return nil
}

func (s scenario) sql() error {
	p, err := s.producer()
	if err != nil {
		return err
	}
	defer p.Shutdown()
	var expected []string
	for i := 0; i < 10; i++ {
		body := fmt.Sprintf("sql-%d", i)
		message := primitive.NewMessage(s.topic, []byte(body)).WithTag("TagS")
		message.WithProperty("number", fmt.Sprint(i))
		if i > 3 && i != 7 {
			expected = append(expected, body)
		}
		if err := stored(p.SendSync(context.Background(), message)); err != nil {
			return err
		}
	}
	_, err = s.receive("sql:TAGS = 'TagS' AND number > 3 AND number <> 7", expected)
	return err
}

// ends answers by what a message says, and only when it is checked when that begins with "checked".
type ends struct{}

func (ends) state(body string) primitive.LocalTransactionState {
	if strings.HasSuffix(body, "commit") {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func (e ends) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	if body := string(message.Body); !strings.HasPrefix(body, "checked") {
		return e.state(body)
	}
	return primitive.UnknowState
}

func (e ends) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	return e.state(string(message.Body))
}

func (s scenario) transaction() error {
	p, err := rocketmq.NewTransactionProducer(ends{},
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{s.nameServer})),
		producer.WithGroupName(s.topic+"-producer"),
		producer.WithInstanceName(s.topic+"-producer-"+s.name),
		producer.WithSendMsgTimeout(10*time.Second))
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	defer p.Shutdown()
	for _, body := range []string{"rollback", "commit", "checked rollback", "checked commit"} {
		result, err := p.SendMessageInTransaction(context.Background(), primitive.NewMessage(s.topic, []byte(body)))
		if err != nil {
			return err
		}
		if err := stored(result.SendResult, nil); err != nil {
			return err
		}
	}
	_, err = s.receive("*", []string{"commit", "checked commit"})
	return err
}
