package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// fields splits what the trace says of one step, whose name is the first of them.
func fields(got *received, step string) [][]string {
	var found [][]string
	for _, message := range got.snapshot() {
		for _, line := range strings.Split(string(message.Body), "\x02") {
			if words := strings.Split(line, "\x01"); words[0] == step {
				found = append(found, words)
			}
		}
	}
	return found
}

func TestTrace(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	traceTopic := newTopic(t, 1)
	config := func() *primitive.TraceConfig {
		return &primitive.TraceConfig{
			TraceTopic:   traceTopic,
			GroupName:    unique("tracer"),
			Access:       primitive.Local,
			NamesrvAddrs: []string{nameServer()},
		}
	}
	trace := collect(t, traceTopic, consumer.MessageSelector{})
	got := &received{}
	group := unique("group")
	c := startConsumer(t, group, topic, consumer.MessageSelector{}, taker(got), consumer.WithTrace(config()))
	t.Cleanup(func() { _ = c.Shutdown() })
	p := newProducer(t, producer.WithTrace(config()))
	message := primitive.NewMessage(topic, []byte("traced")).WithTag("tag").WithKeys([]string{"key"})
	result, err := p.SendSync(context.Background(), message)
	must(t, err)
	got.expectExactly(t, []string{"traced"})
	eventually(t, "a trace of the send and of its consumption", func() bool {
		return len(fields(trace, "Pub")) == 1 && len(fields(trace, "SubBefore")) == 1 && len(fields(trace, "SubAfter")) == 1
	})
	sent := fields(trace, "Pub")[0]
	if sent[2] != "DefaultRegion" || sent[4] != topic || sent[5] != result.MsgID || sent[6] != "tag" || sent[7] != "key" ||
		sent[12] != result.OffsetMsgID || sent[13] != "true" {
		t.Errorf("the trace of the send is %q", sent)
	}
	before, after := fields(trace, "SubBefore")[0], fields(trace, "SubAfter")[0]
	if before[2] != "DefaultRegion" || before[3] != group || before[5] != result.MsgID || before[7] != "key" {
		t.Errorf("the trace before consumption is %q", before)
	}
	if after[1] != before[4] || after[2] != result.MsgID || after[4] != "true" {
		t.Errorf("the trace after consumption is %q", after)
	}
}
