/* A name server on loopback and a client of raw frames, for tests. */
#ifndef CROCKET_TESTS_NS_FIXTURE_H
#define CROCKET_TESTS_NS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "namesrv/namesrv.h"
#include "os/clock.h"
#include "os/fs.h"
#include "remoting/command.h"
#include "unit/patience.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct ns_fixture {
    struct net_pool pool;
    struct namesrv *ns;
    char dir[64];
};

/* settings: "key=value", NULL at the end; NULL for none. The folder stays over a restart. */
static inline void ns_start_in(struct ns_fixture *f, const char *const *settings)
{
    struct namesrv_conf conf = {0};
    struct err err = {0};
    char path[128];
    assert_int_equal(conf_defaults(&namesrv_conf_table, &conf, &err), 0);
    snprintf(path, sizeof path, "%s/ns/kvConfig.json", f->dir);
    assert_int_equal(conf_set(&namesrv_conf_table, &conf, STR_LIT("kvConfigPath"), str_from(path), &err), 0);
    snprintf(path, sizeof path, "%s/ns/namesrv.properties", f->dir);
    assert_int_equal(conf_set(&namesrv_conf_table, &conf, STR_LIT("configStorePath"), str_from(path), &err), 0);
    for (; settings && *settings; settings++) {
        const char *eq = strchr(*settings, '=');
        assert_int_equal(
            conf_set(&namesrv_conf_table, &conf, str_make(*settings, (size_t)(eq - *settings)), str_from(eq + 1), &err),
            0);
    }
    assert_int_equal(net_pool_init(&f->pool, 2, &err), 0);
    f->ns = namesrv_create(&conf, &f->pool, STR_LIT("127.0.0.1"), 0, &err);
    namesrv_conf_free(&conf);
    if (f->ns == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(net_pool_start(&f->pool, &err), 0);
}

static inline void ns_start(struct ns_fixture *f, const char *const *settings)
{
    strcpy(f->dir, "/tmp/namesrv-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    ns_start_in(f, settings);
}

static inline void ns_halt(struct ns_fixture *f)
{
    namesrv_stop(f->ns);
    net_pool_stop(&f->pool);
    namesrv_free(f->ns);
    net_pool_free(&f->pool);
}

static inline void ns_stop(struct ns_fixture *f)
{
    ns_halt(f);
    assert_int_equal(fs_remove_tree(fs_real(), f->dir), 0);
}

static inline int ns_connect(const struct ns_fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(namesrv_port(f->ns))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {20, 0}; /* a lost answer fails the test instead of holding it */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

struct ns_reply {
    struct rem_command cmd;
    uint8_t *frame;
    char *body; /* NUL-terminated */
};

static inline void ns_reply_free(struct ns_reply *r)
{
    free(r->frame);
    free(r->body);
    *r = (struct ns_reply){.frame = NULL};
}

static inline bool ns_read_all(int fd, uint8_t *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = read(fd, to + got, n - got);
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

/* One whole frame; false at the end of the stream. */
static inline bool ns_read_frame(int fd, struct ns_reply *out)
{
    uint8_t head[4];
    const char *why = NULL;
    if (!ns_read_all(fd, head, 4))
        return false;
    size_t total = get_be32(head) + 4;
    out->frame = malloc(total);
    memcpy(out->frame, head, 4);
    assert_true(ns_read_all(fd, out->frame + 4, total - 4));
    assert_true(rem_decode(out->frame, total, &out->cmd, &why));
    out->body = str_dupz(out->cmd.body.len ? out->cmd.body : STR_LIT(""));
    return true;
}

/* fields: key, value, ..., NULL. The answer replaces *out. Returns its code. */
static inline int ns_call(int fd, struct ns_reply *out, int code, int version, struct str body,
                          const char *const *fields)
{
    struct buf b = {0}, header = {0};
    struct jw w;
    jw_init(&w, &header);
    jw_begin_object(&w);
    jw_ki64(&w, "code", code);
    jw_kobject(&w, "extFields");
    for (; fields && *fields; fields += 2)
        jw_kstr(&w, fields[0], str_from(fields[1]));
    jw_end_object(&w);
    jw_ki64(&w, "flag", 0);
    jw_ki64(&w, "opaque", 42);
    jw_ki64(&w, "version", version);
    jw_end_object(&w);
    buf_add_be32(&b, (uint32_t)(4 + header.len + body.len));
    buf_add_be32(&b, (uint32_t)header.len);
    buf_add_str(&b, buf_str(&header));
    buf_add_str(&b, body);
    for (size_t sent = 0; sent < b.len;) {
        ssize_t n = write(fd, b.data + sent, b.len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    buf_free(&b);
    buf_free(&header);
    ns_reply_free(out);
    assert_true(ns_read_frame(fd, out));
    assert_int_equal(out->cmd.opaque, 42);
    assert_int_equal(out->cmd.flag, REM_FLAG_RESPONSE);
    return out->cmd.code;
}

#define NS_FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline int ns_ask(int fd, struct ns_reply *out, int code, const char *const *fields)
{
    return ns_call(fd, out, code, REM_VERSION, STR_NULL, fields);
}

/* A registration of topics named in a list of words; every topic has 8 queues. The version's counter is given. */
static inline void ns_topics_body(struct buf *out, const char *topics, int counter, int perm)
{
    struct str rest = str_from(topics), name;
    bool first = true;
    buf_printf(out,
               "{\"filterServerList\":[],\"topicConfigSerializeWrapper\":{\"dataVersion\":{\"counter\":%d,"
               "\"stateVersion\":0,\"timestamp\":1000},\"topicConfigTable\":{",
               counter);
    while (topics[0] && str_split(&rest, ' ', &name)) {
        buf_printf(out,
                   "%s\"%.*s\":{\"topicName\":\"%.*s\",\"readQueueNums\":8,\"writeQueueNums\":8,\"perm\":%d,"
                   "\"topicSysFlag\":0}",
                   first ? "" : ",", STR_ARG(name), STR_ARG(name), perm);
        first = false;
    }
    buf_add_lit(out, "}}}");
}

struct ns_broker {
    const char *name, *addr, *id;
    const char *acting; /* NULL: an old broker that does not say */
    const char *zone, *timeout;
};

static inline int ns_register(int fd, struct ns_reply *out, const struct ns_broker *b, struct str body)
{
    const char *fields[20] = {"brokerName", b->name,        "brokerAddr", b->addr,    "clusterName",
                              "C",          "haServerAddr", "10.9.9.9:1", "brokerId", b->id};
    size_t n = 10;
    if (b->acting) {
        fields[n++] = "enableActingMaster";
        fields[n++] = b->acting;
    }
    if (b->zone) {
        fields[n++] = "__ZONE_NAME";
        fields[n++] = b->zone;
    }
    if (b->timeout) {
        fields[n++] = "heartbeatTimeoutMillis";
        fields[n++] = b->timeout;
    }
    return ns_call(fd, out, REQ_REGISTER_BROKER, REM_VERSION, body, fields);
}

static inline int ns_register_topics(int fd, struct ns_reply *out, const struct ns_broker *b, const char *topics,
                                     int counter)
{
    struct buf body = {0};
    ns_topics_body(&body, topics, counter, 6);
    int code = ns_register(fd, out, b, buf_str(&body));
    buf_free(&body);
    return code;
}

static inline int ns_route(int fd, struct ns_reply *out, const char *topic)
{
    return ns_ask(fd, out, REQ_GET_ROUTEINFO_BY_TOPIC, NS_FIELDS("topic", topic));
}

/* Asks for the route until the answer is `code`, for a while. */
static inline void ns_wait_route(int fd, struct ns_reply *out, const char *topic, int code)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;
    while (ns_route(fd, out, topic) != code) {
        assert_true(clock_mono_ms() < end);
        usleep(2000);
    }
}

#endif
