package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func TestSendSync(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 4)
	p := newProducer(t, producer.WithQueueSelector(producer.NewManualQueueSelector()))
	ids := map[string]string{}
	var bodies []string
	for i := 0; i < 40; i++ {
		body := fmt.Sprintf("sync-%d", i)
		message := toQueue(primitive.NewMessage(topic, []byte(body)), i%4)
		message.WithTag(fmt.Sprintf("tag%d", i%3)).WithKeys([]string{fmt.Sprintf("key%d", i)})
		message.WithProperty("number", fmt.Sprint(i))
		result, err := p.SendSync(context.Background(), message)
		must(t, err)
		if result.Status != primitive.SendOK || result.MessageQueue.QueueId != i%4 || result.QueueOffset != int64(i/4) {
			t.Fatalf("message %d: %v", i, result)
		}
		ids[body] = result.MsgID
		bodies = append(bodies, body)
	}
	got := collect(t, topic, consumer.MessageSelector{})
	got.expectExactly(t, bodies)
	got.expectGapless(t)
	for _, message := range got.snapshot() {
		i := message.GetProperty("number")
		if string(message.Body) != "sync-"+i || message.GetKeys() != "key"+i || message.MsgId != ids[string(message.Body)] {
			t.Fatalf("message %s came back as %s", i, message.String())
		}
		var number int
		_, _ = fmt.Sscan(i, &number)
		if message.GetTags() != fmt.Sprintf("tag%d", number%3) || message.Queue.QueueId != number%4 {
			t.Fatalf("message %s came back as %s", i, message.String())
		}
	}
}

func TestSendAsync(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 3)
	p := newProducer(t)
	var bodies []string
	var answers sync.WaitGroup
	failures := make(chan string, 300)
	for i := 0; i < 300; i++ {
		body := fmt.Sprintf("async-%d", i)
		bodies = append(bodies, body)
		answers.Add(1)
		must(t, p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			defer answers.Done()
			if err != nil || result.Status != primitive.SendOK {
				failures <- fmt.Sprint(body, ": ", result, err)
			}
		}, primitive.NewMessage(topic, []byte(body))))
	}
	answers.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	got := collect(t, topic, consumer.MessageSelector{})
	got.expectExactly(t, bodies)
	got.expectGapless(t)
}

func TestSendOneWay(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 2)
	p := newProducer(t)
	var bodies []string
	for i := 0; i < 200; i++ {
		body := fmt.Sprintf("oneway-%d", i)
		bodies = append(bodies, body)
		must(t, p.SendOneWay(context.Background(), primitive.NewMessage(topic, []byte(body))))
	}
	got := collect(t, topic, consumer.MessageSelector{})
	got.expectExactly(t, bodies)
	got.expectGapless(t)
}

func TestSendBatch(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	p := newProducer(t)
	var bodies []string
	for round := int64(0); round < 3; round++ {
		var batch []*primitive.Message
		for i := 0; i < 50; i++ {
			body := fmt.Sprintf("batch-%d-%d", round, i)
			bodies = append(bodies, body)
			message := primitive.NewMessage(topic, []byte(body)).WithTag("tag")
			message.WithProperty("body", body)
			batch = append(batch, message)
		}
		result, err := p.SendSync(context.Background(), batch...)
		must(t, err)
		if result.Status != primitive.SendOK || result.QueueOffset != 50*round {
			t.Fatalf("batch %d: %v", round, result)
		}
	}
	got := collect(t, topic, consumer.MessageSelector{})
	got.expectExactly(t, bodies)
	got.expectGapless(t)
	for _, message := range got.snapshot() {
		if message.GetProperty("body") != string(message.Body) || message.GetTags() != "tag" {
			t.Fatalf("properties of another message: %s", message.String())
		}
		if string(message.Body) != bodies[message.QueueOffset] {
			t.Fatalf("offset %d holds %q, not %q", message.QueueOffset, message.Body, bodies[message.QueueOffset])
		}
	}
}

func TestLargeAndCompressedBodies(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	p := newProducer(t)
	random := make([]byte, 1<<20)
	rand.New(rand.NewSource(7)).Read(random)
	wanted := [][]byte{random, bytes.Repeat([]byte("crocodile tears "), 50_000), []byte("small")}
	for _, body := range wanted {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, body))
		must(t, err)
	}
	got := collect(t, topic, consumer.MessageSelector{})
	eventually(t, "three messages", func() bool { return got.count() >= 3 })
	for _, message := range got.snapshot() {
		if !bytes.Equal(message.Body, wanted[message.QueueOffset]) {
			t.Errorf("message %d of %d bytes came back with %d bytes", message.QueueOffset, len(wanted[message.QueueOffset]),
				len(message.Body))
		}
	}
}

func TestFirstSendCreatesTheTopic(t *testing.T) {
	t.Parallel()
	topic := unique("auto")
	bodies := sendNumbered(t, newProducer(t), topic, "first", 4)
	eventually(t, "a route", func() bool {
		queues, err := newAdmin(t).FetchPublishMessageQueues(context.Background(), topic)
		return err == nil && len(queues) == 4
	})
	collect(t, topic, consumer.MessageSelector{}).expectExactly(t, bodies)
}

func TestDelayLevel(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	p := newProducer(t)
	got := collect(t, topic, consumer.MessageSelector{})
	begin := time.Now()
	_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte("later")).WithDelayTimeLevel(1))
	must(t, err)
	got.expectExactly(t, []string{"later"})
	if waited := time.Since(begin); waited < 950*time.Millisecond {
		t.Fatalf("level 1 came after %v", waited)
	}
}

func TestSendToTopicThatIsGone(t *testing.T) {
	t.Parallel()
	p := newProducer(t, producer.WithCreateTopicKey("no_such_key_topic"), producer.WithRetry(0))
	if result, err := p.SendSync(context.Background(), primitive.NewMessage(unique("missing"), []byte("x"))); err == nil {
		t.Fatalf("accepted: %v", result)
	}
}
