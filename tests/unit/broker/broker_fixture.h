/*
 * A whole broker in a temporary directory on two event loops, and clients that speak to it over sockets, one request at
 * a time. A client's answer is valid until its next one.
 */
#ifndef CROCKET_TESTS_BROKER_FIXTURE_H
#define CROCKET_TESTS_BROKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "broker/broker_int.h"
#include "unit/store/tmpdir.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct fixture {
    struct tmpdir dir;
    struct broker_conf conf;
    struct store_conf store_conf;
    struct net_pool pool;
    struct broker *b;
    char config_file[300];
};

struct client {
    int fd;
    int32_t opaque;
    uint8_t *frame;
    struct rem_command answer; /* or a request of the broker's */
    struct arena arena;        /* of the parsed body */
    const struct json *json;   /* the body, NULL when it is none */
};

/* Starts the broker on what is in the directory. */
static inline void fixture_run(struct fixture *f)
{
    struct err err = {0};
    struct broker_options o = {
        .conf = &f->conf, .store_conf = &f->store_conf, .listen_host = "127.0.0.1", .config_path = f->config_file};
    assert_int_equal(net_pool_init(&f->pool, 2, &err), 0);
    if (broker_create(&f->b, &o, &f->pool, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(net_pool_start(&f->pool, &err), 0);
    if (broker_start(f->b, &err) < 0)
        fail_msg("%s", err.text);
}

/* Ends it; fixture_run starts it again. */
static inline void fixture_end(struct fixture *f)
{
    broker_drain(f->b);
    net_pool_stop(&f->pool);
    broker_free(f->b);
    net_pool_free(&f->pool);
}

/* settings: key, value, ..., NULL of the broker or its store. */
static inline void fixture_start(struct fixture *f, const char *const *settings)
{
    struct err err = {0};
    memset(f, 0, sizeof *f);
    log_set_level(LOG_ERROR);
    tmpdir_make(&f->dir);
    snprintf(f->config_file, sizeof f->config_file, "%s/broker.conf", f->dir.path);
    assert_int_equal(conf_defaults(&broker_conf_table, &f->conf, &err), 0);
    assert_int_equal(conf_defaults(store_conf_table(), &f->store_conf, &err), 0);
    f->store_conf.storePathRootDir = strdup(f->dir.path);
    f->store_conf.mappedFileSizeCommitLog = 1 << 20;
    f->store_conf.mappedFileSizeConsumeQueue = 20 * 1000;
    f->store_conf.maxHashSlotNum = 1000;
    f->store_conf.maxIndexNum = 4000;
    f->conf.broker_name = strdup("broker-a");
    f->conf.broker_ip1 = strdup("127.0.0.1");
    f->conf.listen_port = 0;
    for (; settings && settings[0]; settings += 2) {
        struct str key = str_from(settings[0]), value = str_from(settings[1]);
        if (conf_find(&broker_conf_table, key))
            assert_int_equal(conf_set(&broker_conf_table, &f->conf, key, value, &err), 0);
        else
            assert_int_equal(conf_set(store_conf_table(), &f->store_conf, key, value, &err), 0);
    }
    fixture_run(f);
}

static inline void fixture_stop(struct fixture *f)
{
    fixture_end(f);
    conf_free(&broker_conf_table, &f->conf);
    conf_free(store_conf_table(), &f->store_conf);
    tmpdir_remove(&f->dir);
}

/* The offset that a start after kill -9 would find now, -1 none. */
static inline int64_t saved_offset(const struct fixture *f, const char *group, const char *topic)
{
    struct err err = {0};
    char dir[400];
    snprintf(dir, sizeof dir, "%s/config", f->dir.path);
    struct offset_manager *m = offset_manager_new(dir, false);
    if (m == NULL || offset_manager_load(m, &err) < 0)
        fail_msg("%s", err.text);
    int64_t offset = offset_query(m, str_from(group), str_from(topic), 0);
    offset_manager_free(m);
    return offset;
}

static inline struct client *client_new_to(uint16_t port)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval wait = {.tv_sec = 20};
    int on = 1;
    assert_non_null(c);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    return c;
}

static inline struct client *client_new(struct fixture *f)
{
    return client_new_to(broker_port(f->b));
}

static inline void client_free(struct client *c)
{
    close(c->fd);
    arena_free(&c->arena);
    free(c->frame);
    free(c);
}

static inline void client_write(struct client *c, const struct buf *out)
{
    assert_true(buf_ok(out));
    for (size_t at = 0; at < out->len;) {
        ssize_t n = write(c->fd, out->data + at, out->len - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

/* fields: key, value, ..., NULL */
static inline void client_send(struct client *c, int32_t code, struct str body, const char *const *fields)
{
    struct buf out = {0};
    struct rem_frame f;
    rem_frame_begin(&f, &out, code);
    for (; fields && fields[0]; fields += 2)
        rem_frame_str(&f, fields[0], str_from(fields[1]));
    rem_frame_header_end(&f, 0, ++c->opaque, STR_NULL);
    buf_add_str(&out, body);
    rem_frame_finish(&f, 0);
    client_write(c, &out);
    buf_free(&out);
}

static inline void client_read(struct client *c, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(c->fd, (char *)to + at, n - at);
        if (got <= 0)
            fail_msg("no answer from the broker");
        at += (size_t)got;
    }
}

/* The next frame, an answer or a request of the broker's. */
static inline void client_receive(struct client *c)
{
    uint8_t head[4];
    const char *why;
    client_read(c, head, 4);
    size_t total = 4 + (size_t)get_be32(head);
    free(c->frame);
    c->frame = malloc(total);
    assert_non_null(c->frame);
    memcpy(c->frame, head, 4);
    client_read(c, c->frame + 4, total - 4);
    if (!rem_decode(c->frame, total, &c->answer, &why))
        fail_msg("a bad frame: %s", why);
    arena_reset(&c->arena);
    c->json = c->answer.body.len ? json_parse(&c->arena, c->answer.body, NULL) : NULL;
}

/* The answer to what was sent last; requests of the broker's in between are passed over. */
static inline int32_t client_answer(struct client *c)
{
    do
        client_receive(c);
    while (!(c->answer.flag & REM_FLAG_RESPONSE) || c->answer.opaque != c->opaque);
    return c->answer.code;
}

static inline int32_t client_ask(struct client *c, int32_t code, struct str body, const char *const *fields)
{
    client_send(c, code, body, fields);
    return client_answer(c);
}

#define ASK(c, code, ...)            client_ask((c), (code), STR_NULL, (const char *const[]){__VA_ARGS__, NULL})
#define ASK_PLAIN(c, code)           client_ask((c), (code), STR_NULL, NULL)
#define ASK_BODY(c, code, body, ...) client_ask((c), (code), str_from(body), (const char *const[]){__VA_ARGS__, NULL})

/* The broker's next request with this code to the client; others are passed over. */
static inline void client_await_request(struct client *c, int32_t code)
{
    do
        client_receive(c);
    while ((c->answer.flag & REM_FLAG_RESPONSE) || c->answer.code != code);
}

/* Answers the request that was received last. */
static inline void client_respond(struct client *c, int32_t code, struct str body)
{
    struct buf out = {0};
    struct rem_frame f;
    rem_frame_begin(&f, &out, code);
    rem_frame_str(&f, "from", STR_LIT("the client"));
    rem_frame_header_end(&f, REM_FLAG_RESPONSE, c->answer.opaque, STR_NULL);
    buf_add_str(&out, body);
    rem_frame_finish(&f, 0);
    client_write(c, &out);
    buf_free(&out);
}

static inline void expect_field(const struct client *c, const char *name, const char *value)
{
    struct str got = rem_ext(&c->answer, name);
    if (!str_eqz(got, value))
        fail_msg("field %s is \"%.*s\", not \"%s\"", name, STR_ARG(got), value);
}

static inline void expect_remark(const struct client *c, const char *part)
{
    if (str_find(c->answer.remark, str_from(part)) < 0)
        fail_msg("remark \"%.*s\" lacks \"%s\"", STR_ARG(c->answer.remark), part);
}

/* The entry of a map whose keys are queues. */
static inline const struct json *queue_entry(struct client *c, const struct json *table, const char *topic,
                                             int queue_id)
{
    JSON_EACH(entry, table)
    {
        const struct json *key = json_key_object(&c->arena, entry);
        if (key && str_eqz(json_str(key, "topic"), topic) && json_i64(key, "queueId", -1) == queue_id &&
            str_eqz(json_str(key, "brokerName"), "broker-a"))
            return entry;
    }
    return NULL;
}

static inline bool has_text(const struct json *list, const char *text)
{
    JSON_EACH(item, list)
    {
        if (str_eqz(json_text(item), text))
            return true;
    }
    return false;
}

/* ---- common steps ---- */

static inline void make_topic(struct client *c, const char *name, const char *queues)
{
    assert_int_equal(ASK(c, REQ_UPDATE_AND_CREATE_TOPIC, "topic", name, "defaultTopic", "TBW102", "readQueueNums",
                         queues, "writeQueueNums", queues, "perm", "6", "topicFilterType", "SINGLE_TAG", "order",
                         "false"),
                     RESP_SUCCESS);
}

static inline void make_group(struct client *c, const char *name)
{
    char body[200];
    snprintf(body, sizeof body, "{\"groupName\":\"%s\"}", name);
    assert_int_equal(client_ask(c, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, str_from(body), NULL), RESP_SUCCESS);
}

/* Sends one message; its queue offset. */
static inline int64_t send_message(struct client *c, const char *topic, const char *queue_id, const char *properties,
                                   const char *body)
{
    int64_t offset = -1;
    assert_int_equal(ASK_BODY(c, REQ_SEND_MESSAGE_V2, body, "a", "PG", "b", topic, "c", "TBW102", "d", "4", "e",
                              queue_id, "f", "0", "g", "1700000000000", "h", "0", "i", properties, "j", "0", "k",
                              "false", "m", "false"),
                     RESP_SUCCESS);
    assert_true(str_to_i64(rem_ext(&c->answer, "queueOffset"), &offset));
    return offset;
}

/* A client of a consumer group (of tag1 and tag2 of one topic) and of producer group PG. */
static inline void heartbeat(struct client *c, const char *client_id, const char *group, const char *topic)
{
    char body[1200];
    snprintf(body, sizeof body,
             "{\"clientID\":\"%s\",\"heartbeatFingerprint\":0,\"withoutSub\":false,\"producerDataSet\":[{\"groupName\":"
             "\"PG\"}],\"consumerDataSet\":[{\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\",\"consumeType\":"
             "\"CONSUME_PASSIVELY\",\"groupName\":\"%s\",\"messageModel\":\"CLUSTERING\",\"unitMode\":false,"
             "\"subscriptionDataSet\":[{\"classFilterMode\":false,\"codeSet\":[3552246,3552247],\"expressionType\":"
             "\"TAG\",\"subString\":\"tag1||tag2\",\"subVersion\":1234,\"tagsSet\":[\"tag1\",\"tag2\"],\"topic\":"
             "\"%s\"}]}]}",
             client_id, group, topic);
    assert_int_equal(client_ask(c, REQ_HEART_BEAT, str_from(body), NULL), RESP_SUCCESS);
}

#endif
