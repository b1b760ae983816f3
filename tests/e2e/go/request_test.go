package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// answerer replies "BODY answered" to each request, and nothing to "silence".
func answerer(t *testing.T, topic string) {
	t.Helper()
	p := newProducer(t)
	c := startConsumer(t, unique("group"), topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				if string(message.Body) == "silence" {
					continue
				}
				reply, err := consumer.CreateReplyMessage(message, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				reply.Body = []byte(string(message.Body) + " answered")
				// It fails while the broker does not know the one that asked.
				_, _ = p.SendSync(context.Background(), reply)
			}
			return consumer.ConsumeSuccess, nil
		})
	t.Cleanup(func() { _ = c.Shutdown() })
}

func TestRequestAndReply(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 2)
	answerer(t, topic)
	p := newProducer(t)
	// The broker can hand a reply to a producer only once it knows it, by its first heartbeat.
	var reply *primitive.Message
	eventually(t, "the first reply", func() bool {
		var err error
		reply, err = p.Request(context.Background(), 3*time.Second, primitive.NewMessage(topic, []byte("first")))
		return err == nil
	})
	if string(reply.Body) != "first answered" {
		t.Fatalf("the reply is %s", reply.String())
	}
	for _, body := range []string{"a", "b", "c"} {
		reply, err := p.Request(context.Background(), 20*time.Second, primitive.NewMessage(topic, []byte(body)))
		must(t, err)
		if string(reply.Body) != body+" answered" {
			t.Fatalf("the reply to %s is %s", body, reply.String())
		}
	}
	got := make(chan string, 1)
	must(t, p.RequestAsync(context.Background(), 20*time.Second, func(_ context.Context, message *primitive.Message, err error) {
		if err != nil {
			got <- err.Error()
		} else {
			got <- string(message.Body)
		}
	}, primitive.NewMessage(topic, []byte("later"))))
	select {
	case body := <-got:
		if body != "later answered" {
			t.Fatalf("the reply is %s", body)
		}
	case <-time.After(patience):
		t.Fatal("no reply to the request that did not wait")
	}
	if reply, err := p.Request(context.Background(), time.Second, primitive.NewMessage(topic, []byte("silence"))); err == nil {
		t.Fatalf("a reply to silence: %v", reply)
	}
}
