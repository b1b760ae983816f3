package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
)

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

func TestAdminTopics(t *testing.T) {
	t.Parallel()
	tool := newAdmin(t)
	topic := newTopic(t, 6)
	queues, err := tool.FetchPublishMessageQueues(context.Background(), topic)
	must(t, err)
	if len(queues) != 6 || queues[0].BrokerName != brokerName() {
		t.Fatalf("queues %v", queues)
	}
	list, err := tool.FetchAllTopicList(context.Background())
	must(t, err)
	if !contains(list.TopicList, topic) {
		t.Fatalf("%s is missing in %v", topic, list.TopicList)
	}
	must(t, tool.DeleteTopic(context.Background(), admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(brokerAddress()),
		admin.WithNameSrvAddr([]string{nameServer()})))
	eventually(t, "the topic gone from the list", func() bool {
		list, err := tool.FetchAllTopicList(context.Background())
		return err == nil && !contains(list.TopicList, topic)
	})
}

func TestAdminSubscriptionGroups(t *testing.T) {
	t.Parallel()
	topic := newTopic(t, 1)
	group := unique("group")
	c := startConsumer(t, group, topic, consumer.MessageSelector{}, taker(&received{}))
	defer func() { _ = c.Shutdown() }()
	tool := newAdmin(t)
	eventually(t, "the group of a consumer that sent a heartbeat", func() bool {
		groups, err := tool.GetAllSubscriptionGroup(context.Background(), brokerAddress(), 5*time.Second)
		must(t, err)
		config, there := groups.SubscriptionGroupTable[group]
		return there && config.ConsumeEnable && config.RetryMaxTimes == 16
	})
}
