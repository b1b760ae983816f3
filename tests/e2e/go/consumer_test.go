package e2e

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func TestPushConsumerCarriesOnAfterRestart(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 4)
	group := unique("group")
	p := newProducer(t)
	bodies := sendNumbered(t, p, topic, "early", 100)
	first := &received{}
	c := startConsumer(t, group, topic, consumer.MessageSelector{}, taker(first))
	first.expectExactly(t, bodies)
	bodies = append(bodies, sendNumbered(t, p, topic, "late", 100)...)
	first.expectExactly(t, bodies)
	first.expectGapless(t)
	must(t, c.Shutdown())

	missed := sendNumbered(t, p, topic, "away", 20)
	second := &received{}
	again := startConsumer(t, group, topic, consumer.MessageSelector{}, taker(second))
	defer func() { _ = again.Shutdown() }()
	second.expectExactly(t, missed)
}

func taker(got *received) func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	return func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		got.add(messages...)
		return consumer.ConsumeSuccess, nil
	}
}

func TestTagFilter(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 2)
	p := newProducer(t)
	wanted := []string{}
	single := []string{}
	for i := 0; i < 60; i++ {
		tag := []string{"TagA", "TagB", "TagC"}[i%3]
		body := fmt.Sprintf("%s-%d", tag, i)
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)).WithTag(tag))
		must(t, err)
		if tag != "TagB" {
			wanted = append(wanted, body)
		} else {
			single = append(single, body)
		}
	}
	alternatives := collect(t, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "TagA || TagC"})
	one := collect(t, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "TagB"})
	alternatives.expectExactly(t, wanted)
	one.expectExactly(t, single)
}

func TestSQL92Filter(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 2)
	p := newProducer(t)
	wanted := []string{}
	for i := 0; i < 60; i++ {
		message := primitive.NewMessage(topic, []byte(fmt.Sprintf("m-%d", i))).WithTag([]string{"TagA", "TagB"}[i%2])
		message.WithProperty("number", fmt.Sprint(i))
		_, err := p.SendSync(context.Background(), message)
		must(t, err)
		if i >= 20 && i <= 39 && i%2 == 0 {
			wanted = append(wanted, string(message.Body))
		}
	}
	got := collect(t, topic, consumer.MessageSelector{Type: consumer.SQL92, Expression: "number BETWEEN 20 AND 39 AND TAGS = 'TagA'"})
	got.expectExactly(t, wanted)
}

func TestRetryThenDeadLetter(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	group := unique("group")
	createTopic(t, "%RETRY%"+group, 1) // the client looks for it only every 20 to 30 s
	p := newProducer(t)
	deliveries := &received{}
	c := startConsumer(t, group, topic, consumer.MessageSelector{},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			deliveries.add(messages...)
			if control, ok := primitive.GetConcurrentlyCtx(ctx); ok {
				control.DelayLevelWhenNextConsume = 1
			}
			body := string(messages[0].Body)
			if body == "good" || (body == "slow" && messages[0].ReconsumeTimes == 1) {
				return consumer.ConsumeSuccess, nil
			}
			return consumer.ConsumeRetryLater, nil
		}, consumer.WithMaxReconsumeTimes(2))
	defer func() { _ = c.Shutdown() }()
	for _, body := range []string{"good", "slow", "bad"} {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)).WithKeys([]string{"key-" + body}))
		must(t, err)
	}
	eventually(t, "the topic of dead letters", func() bool {
		queues, err := newAdmin(t).FetchPublishMessageQueues(context.Background(), "%DLQ%"+group)
		return err == nil && len(queues) == 1
	})
	letters := collect(t, "%DLQ%"+group, consumer.MessageSelector{})
	letters.expectExactly(t, []string{"bad"})
	if keys := letters.snapshot()[0].GetKeys(); keys != "key-bad" {
		t.Errorf("the dead letter has keys %q", keys)
	}
	deliveries.expectExactly(t, []string{"good", "slow", "slow", "bad", "bad", "bad"})
	for _, message := range deliveries.snapshot() {
		if message.GetProperty(primitive.PropertyRetryTopic) != "" && message.Topic != topic {
			t.Errorf("a retried message shows topic %s", message.Topic)
		}
	}
}

func TestOrderlyConsumption(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 3)
	p := newProducer(t, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	got := &received{}
	refused := sync.Map{}
	c := startConsumer(t, unique("group"), topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if strings.HasSuffix(string(messages[0].Body), "-5") {
				if _, before := refused.LoadOrStore(string(messages[0].Body), true); !before {
					return consumer.SuspendCurrentQueueAMoment, nil
				}
			}
			got.add(messages...)
			return consumer.ConsumeSuccess, nil
		}, consumer.WithConsumerOrder(true), consumer.WithSuspendCurrentQueueTimeMillis(100*time.Millisecond))
	defer func() { _ = c.Shutdown() }()
	var bodies []string
	for i := 0; i < 40; i++ {
		for order := 0; order < 5; order++ {
			body := fmt.Sprintf("order%d-%d", order, i)
			message := primitive.NewMessage(topic, []byte(body)).WithShardingKey(fmt.Sprintf("order%d", order))
			_, err := p.SendSync(context.Background(), message)
			must(t, err)
			bodies = append(bodies, body)
		}
	}
	got.expectExactly(t, bodies)
	next := map[int]int64{}
	for _, message := range got.snapshot() {
		if message.QueueOffset != next[message.Queue.QueueId] {
			t.Fatalf("queue %d: offset %d came when %d was due", message.Queue.QueueId, message.QueueOffset, next[message.Queue.QueueId])
		}
		next[message.Queue.QueueId]++
	}
}

func TestBroadcasting(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 2)
	group := unique("group")
	members := []*received{{}, {}}
	for _, member := range members {
		c := startConsumer(t, group, topic, consumer.MessageSelector{}, taker(member), consumer.WithConsumerModel(consumer.BroadCasting))
		defer func(c rocketmq.PushConsumer) { _ = c.Shutdown() }(c)
	}
	bodies := sendNumbered(t, newProducer(t), topic, "all", 40)
	for _, member := range members {
		member.expectExactly(t, bodies)
	}
}

func TestPullFromOffset(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	bodies := sendNumbered(t, newProducer(t), topic, "pull", 30)
	c, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{nameServer()}), consumer.WithGroupName(unique("group")),
		consumer.WithInstance(unique("instance")))
	must(t, err)
	must(t, c.Subscribe(topic, consumer.MessageSelector{}))
	must(t, c.Start())
	defer func() { _ = c.Shutdown() }()
	queue := &primitive.MessageQueue{Topic: topic, BrokerName: brokerName(), QueueId: 0}
	result, err := c.PullFrom(context.Background(), queue, 10, 5)
	must(t, err)
	if result.Status != primitive.PullFound || result.NextBeginOffset != 15 || result.MinOffset != 0 || result.MaxOffset != 30 {
		t.Fatalf("pulled %v", result)
	}
	for i, message := range result.GetMessageExts() {
		if string(message.Body) != bodies[10+i] || message.QueueOffset != int64(10+i) {
			t.Fatalf("offset %d holds %s", 10+i, message.String())
		}
	}
	if len(result.GetMessageExts()) != 5 {
		t.Fatalf("pulled %d messages instead of 5", len(result.GetMessageExts()))
	}
}

func newPullConsumer(t *testing.T, group, topic string, selector consumer.MessageSelector) rocketmq.PullConsumer {
	t.Helper()
	c, err := rocketmq.NewPullConsumer(consumer.WithNameServer([]string{nameServer()}), consumer.WithGroupName(group),
		consumer.WithInstance(unique("instance")), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithMaxReconsumeTimes(1))
	must(t, err)
	must(t, c.Subscribe(topic, selector))
	must(t, c.Start())
	return c
}

// poll polls until done; all that comes ends the same way. What the client could not end for it had just lost the queue comes again.
func poll(t *testing.T, c rocketmq.PullConsumer, result consumer.ConsumeResult, what string, done func(got *received) bool) []string {
	t.Helper()
	got := &received{}
	eventually(t, what, func() bool {
		request, err := c.Poll(context.Background(), 200*time.Millisecond)
		if err == nil {
			got.add(request.GetMsgList()...)
			c.ACK(context.Background(), request, result)
		}
		return done(got)
	})
	var bodies []string
	for _, body := range got.bodies() {
		if len(bodies) == 0 || body != bodies[len(bodies)-1] {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

func expectBodies(t *testing.T, got, wanted []string) {
	t.Helper()
	wanted = append([]string(nil), wanted...)
	sort.Strings(wanted)
	if strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Fatalf("received %d bodies %.200q, wanted %d %.200q", len(got), got, len(wanted), wanted)
	}
}

func TestPollingConsumerFiltersAndSendsBack(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	group := unique("group")
	createTopic(t, "%RETRY%"+group, 1)
	p := newProducer(t)
	send := func(body, tag string) {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)).WithTag(tag))
		must(t, err)
	}
	c := newPullConsumer(t, group, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "a || c"})
	defer func() { _ = c.Shutdown() }()
	send("bad", "a")
	expectBodies(t, poll(t, c, consumer.ConsumeRetryLater, "a message", func(got *received) bool { return got.count() >= 1 }),
		[]string{"bad"})
	for i := 0; i < 9; i++ {
		send(fmt.Sprintf("m-%d", i), []string{"a", "b", "c"}[i%3])
	}
	expectBodies(t, poll(t, c, consumer.ConsumeSuccess, "6 messages", func(got *received) bool { return got.count() >= 6 }),
		[]string{"m-0", "m-2", "m-3", "m-5", "m-6", "m-8"})
	// After the ten seconds of the level it comes to the group's retry topic.
	retried := collect(t, "%RETRY%"+group, consumer.MessageSelector{})
	eventually(t, "the message that was sent back", func() bool { return retried.count() == 1 })
	message := retried.snapshot()[0]
	if string(message.Body) != "bad" || message.ReconsumeTimes != 1 || message.GetProperty(primitive.PropertyRetryTopic) != topic {
		t.Fatalf("sent back: %s", message.String())
	}
}
