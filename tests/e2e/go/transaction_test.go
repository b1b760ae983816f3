package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// decisions says at once what was set for a body, and something else when it is asked later.
type decisions struct {
	mutex sync.Mutex
	now   map[string]primitive.LocalTransactionState
	later map[string]primitive.LocalTransactionState
	asked map[string]int
}

func (d *decisions) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.now[string(message.Body)]
}

func (d *decisions) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.asked[string(message.Body)]++
	return d.later[string(message.Body)]
}

func (d *decisions) timesAsked(body string) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.asked[body]
}

func newTransactionProducer(t *testing.T, d *decisions) rocketmq.TransactionProducer {
	t.Helper()
	p, err := rocketmq.NewTransactionProducer(d,
		producer.WithNameServer([]string{nameServer()}),
		producer.WithGroupName(unique("producer")),
		producer.WithInstanceName(unique("instance")),
		producer.WithSendMsgTimeout(15*time.Second))
	must(t, err)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 3)
	d := &decisions{
		now:   map[string]primitive.LocalTransactionState{},
		later: map[string]primitive.LocalTransactionState{},
		asked: map[string]int{},
	}
	var bodies, committed []string
	for i := 0; i < 30; i++ {
		body := fmt.Sprintf("transaction-%d", i)
		bodies = append(bodies, body)
		d.now[body] = []primitive.LocalTransactionState{
			primitive.CommitMessageState, primitive.RollbackMessageState, primitive.UnknowState}[i%3]
		d.later[body] = primitive.RollbackMessageState
		if i%6 == 2 {
			d.later[body] = primitive.CommitMessageState
		}
		if i%3 == 0 || i%6 == 2 {
			committed = append(committed, body)
		}
	}
	p := newTransactionProducer(t, d)
	for i, body := range bodies {
		message := primitive.NewMessage(topic, []byte(body))
		message.WithTag("tag").WithKeys([]string{fmt.Sprintf("key%d", i)})
		result, err := p.SendMessageInTransaction(context.Background(), message)
		must(t, err)
		if result.Status != primitive.SendOK || result.State != d.now[body] {
			t.Fatalf("%s: %v", body, result)
		}
	}
	eventually(t, "questions about what is undecided", func() bool {
		for i := 2; i < len(bodies); i += 3 {
			if d.timesAsked(bodies[i]) == 0 {
				return false
			}
		}
		return true
	})
	got := collect(t, topic, consumer.MessageSelector{})
	got.expectExactly(t, committed)
	got.expectGapless(t)
	for i, body := range bodies {
		if i%3 != 2 && d.timesAsked(body) != 0 {
			t.Fatalf("asked about %s, which was decided", body)
		}
	}
}
