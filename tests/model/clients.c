/* Topics, groups and connections of the clients. */
#include "ops.h"

enum { HEARTBEAT_MS = 20000 };

static void must(struct clients *c, int32_t code, const char *what)
{
    CHECK(c->w, code == RESP_SUCCESS, "%s is refused with %d: %.*s", what, code, STR_ARG(c->w->peers[0].answer.remark));
}

static void make_topic(struct clients *c, const struct topic_facts *t)
{
    must(c,
         ASK(c->w, 0, REQ_UPDATE_AND_CREATE_TOPIC, "topic", t->name, "defaultTopic", "TBW102", "readQueueNums",
             text_of(t->queues), "writeQueueNums", text_of(t->queues), "perm", "6", "topicFilterType", "SINGLE_TAG",
             "order", "false"),
         t->name);
}

void clients_setup(struct clients *c)
{
    static const char *const groups[] = {"GPULL", "GTAG", "GORDER", "GPOP", "GORDERPOP", "AUDIT"};
    static const struct reader readers[READERS] = {
        {.group = "GPULL", .topic = TOPIC_T},
        {.group = "GTAG", .topic = TOPIC_T, .tagged = true},
        {.group = "GORDER", .topic = TOPIC_O},
        {.group = "GPULL", .topic = TOPIC_RETRY},
    };
    memcpy(c->readers, readers, sizeof readers);
    for (size_t i = 0; i < TOPICS; i++)
        make_topic(c, &topic_facts[i]);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"groupName\":\"%s\"}", groups[i]);
        must(c, peer_ask(c->w, 0, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, str_from(body), NULL), groups[i]);
    }
}

/* The reader of tag A subscribes by SQL92, now and then by another expression than its pulls bring, or it is gone. */
static void subscribe(struct clients *c)
{
    static const char *const expressions[] = {MODEL_SQL, MODEL_SQL, "TAGS = 'B'", MODEL_SQL, NULL};
    const char *expression = expressions[c->heartbeats % 5];
    char body[400];
    if (expression)
        snprintf(body, sizeof body,
                 "{\"clientID\":\"c0\",\"producerDataSet\":[{\"groupName\":\"PG\"}],\"consumerDataSet\":["
                 "{\"groupName\":\"GTAG\",\"consumeType\":\"CONSUME_ACTIVELY\",\"messageModel\":\"CLUSTERING\","
                 "\"subscriptionDataSet\":[{\"topic\":\"%s\",\"subString\":\"%s\",\"expressionType\":\"SQL92\","
                 "\"subVersion\":%d}]}]}",
                 topic_facts[TOPIC_T].name, expression, ++c->heartbeats);
    int32_t code = expression ? peer_ask(c->w, 0, REQ_HEART_BEAT, str_from(body), NULL)
                              : ASK(c->w, 0, REQ_UNREGISTER_CLIENT, "clientID", "c0", "consumerGroup", "GTAG");
    if (expression == NULL)
        c->heartbeats++;
    SAY(c->w, "GTAG filters by %s: %d", expression ? expression : "nothing", code);
    CHECK(c->w, code == RESP_SUCCESS || code == NO_ANSWER, "the subscription is refused with %d", code);
}

void clients_heartbeat(struct clients *c)
{
    if (clock_mono_ms() < c->next_heartbeat)
        return;
    c->next_heartbeat = clock_mono_ms() + HEARTBEAT_MS;
    for (int i = 0; i < PEERS && !world_dead(c->w); i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"clientID\":\"c%d\",\"producerDataSet\":[{\"groupName\":\"PG\"}],\"consumerDataSet\":[]}", i);
        int32_t code = peer_ask(c->w, i, REQ_HEART_BEAT, str_from(body), NULL);
        CHECK(c->w, code == RESP_SUCCESS || code == NO_ANSWER, "a heartbeat is refused with %d", code);
    }
    if (c->w->sql && !world_dead(c->w))
        subscribe(c);
}

void clients_begin(struct clients *c, bool clean)
{
    c->next_heartbeat = 0;
    clients_heartbeat(c);
    pull_begin(c, clean);
}
