// Package e2e tests a running server with the unmodified Go client. Where the server is comes from the environment:
// CROCKET_E2E_NAMESRV, and CROCKET_E2E_BROKER_ADDR for the admin calls.
package e2e

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// Generous, because the machine may be busy with other work; nothing waits this long unless it fails.
const patience = 60 * time.Second

var (
	sequence int64
	run      = time.Now().UnixNano()
)

func TestMain(m *testing.M) {
	rlog.SetLogLevel("fatal")
	os.Exit(m.Run())
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func nameServer() string    { return setting("CROCKET_E2E_NAMESRV", "127.0.0.1:9876") }
func brokerAddress() string { return setting("CROCKET_E2E_BROKER_ADDR", "127.0.0.1:10911") }
func brokerName() string    { return setting("CROCKET_E2E_BROKER", "broker-a") }

// unique returns a name that no other test and no other run uses.
func unique(what string) string {
	return fmt.Sprintf("go_%s_%d_%d", what, run, atomic.AddInt64(&sequence, 1))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}

func newAdmin(t *testing.T) admin.Admin {
	t.Helper()
	tool, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{nameServer()})))
	must(t, err)
	t.Cleanup(func() { _ = tool.Close() })
	return tool
}

func createTopic(t *testing.T, topic string, queues int) {
	t.Helper()
	tool := newAdmin(t)
	must(t, tool.CreateTopic(context.Background(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(brokerAddress()),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues)))
	eventually(t, "a route for "+topic, func() bool {
		found, err := tool.FetchPublishMessageQueues(context.Background(), topic)
		return err == nil && len(found) == queues
	})
}

func newTopic(t *testing.T, queues int) string {
	t.Helper()
	topic := unique("topic")
	createTopic(t, topic, queues)
	return topic
}

func newProducer(t *testing.T, options ...producer.Option) rocketmq.Producer {
	t.Helper()
	options = append([]producer.Option{
		producer.WithNameServer([]string{nameServer()}),
		producer.WithGroupName(unique("producer")),
		producer.WithInstanceName(unique("instance")),
		producer.WithSendMsgTimeout(15 * time.Second),
		producer.WithRetry(2),
	}, options...)
	p, err := rocketmq.NewProducer(options...)
	must(t, err)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

// toQueue makes the message go to one queue with a producer that uses the manual selector.
func toQueue(message *primitive.Message, queueID int) *primitive.Message {
	message.Queue = &primitive.MessageQueue{Topic: message.Topic, BrokerName: brokerName(), QueueId: queueID}
	return message
}

// received gathers what a consumer was given, in order.
type received struct {
	mutex    sync.Mutex
	messages []*primitive.MessageExt
}

func (r *received) add(messages ...*primitive.MessageExt) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.messages = append(r.messages, messages...)
}

func (r *received) snapshot() []*primitive.MessageExt {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]*primitive.MessageExt(nil), r.messages...)
}

func (r *received) count() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.messages)
}

func (r *received) bodies() []string {
	var bodies []string
	for _, message := range r.snapshot() {
		bodies = append(bodies, string(message.Body))
	}
	sort.Strings(bodies)
	return bodies
}

// expectExactly waits for as many messages as bodies, a moment longer for one too many, then compares.
func (r *received) expectExactly(t *testing.T, bodies []string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages", len(bodies)), func() bool { return r.count() >= len(bodies) })
	time.Sleep(300 * time.Millisecond)
	wanted := append([]string(nil), bodies...)
	sort.Strings(wanted)
	if got := r.bodies(); strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Fatalf("received %d bodies %.200q, wanted %d %.200q", len(got), got, len(wanted), wanted)
	}
}

// expectGapless checks that each queue's offsets run from 0 without gap or repeat, in whatever order they came.
func (r *received) expectGapless(t *testing.T) {
	t.Helper()
	offsets := map[int][]int64{}
	for _, message := range r.snapshot() {
		offsets[message.Queue.QueueId] = append(offsets[message.Queue.QueueId], message.QueueOffset)
	}
	for queueID, list := range offsets {
		sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
		for i, offset := range list {
			if offset != int64(i) {
				t.Fatalf("queue %d: offset %d at place %d of %v", queueID, offset, i, list)
			}
		}
	}
}

// startConsumer consumes a topic from its beginning; the listener decides what becomes of each delivery.
func startConsumer(t *testing.T, group, topic string, selector consumer.MessageSelector,
	listener func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error), options ...consumer.Option,
) rocketmq.PushConsumer {
	t.Helper()
	options = append([]consumer.Option{
		consumer.WithNameServer([]string{nameServer()}),
		consumer.WithGroupName(group),
		consumer.WithInstance(unique("instance")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)
	c, err := rocketmq.NewPushConsumer(options...)
	must(t, err)
	must(t, c.Subscribe(topic, selector, listener))
	must(t, c.Start())
	return c
}

// collect starts a consumer that takes everything and stops it after the test.
func collect(t *testing.T, topic string, selector consumer.MessageSelector) *received {
	t.Helper()
	got := &received{}
	c := startConsumer(t, unique("group"), topic, selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			got.add(messages...)
			return consumer.ConsumeSuccess, nil
		})
	t.Cleanup(func() { _ = c.Shutdown() })
	return got
}

func sendNumbered(t *testing.T, p rocketmq.Producer, topic, prefix string, count int) []string {
	t.Helper()
	var bodies []string
	for i := 0; i < count; i++ {
		body := fmt.Sprintf("%s-%d", prefix, i)
		result, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)))
		must(t, err)
		if result.Status != primitive.SendOK {
			t.Fatalf("%s: %v", body, result)
		}
		bodies = append(bodies, body)
	}
	return bodies
}
