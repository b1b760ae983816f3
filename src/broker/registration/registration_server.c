/* Registering with one name server. */
#include "base/crc.h"
#include "base/log.h"
#include "broker/filter/filter_servers.h"
#include "broker/registration/registration_int.h"
#include "remoting/body/topic_config_register.h"
#include "remoting/body/topic_list.h"
#include "remoting/headers_namesrv.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_FIRST_MS = 1000,
    RETRY_MAX_MS = 30000,
    RECONNECT_MS = 100,
    LEAVE_MS = 3000,
    QUERY_MS = 3000,
    BATCH_MAX = 4096,  /* changed topics of one registration */
    PIECE_MAX = 20000, /* topics of one registration: far below the frame limit */
    HEARTBEAT_TIMEOUT_MS = 120000,
};

/* ---- what is sent ---- */

static struct broker_identity_req identity(const struct broker *b)
{
    return (struct broker_identity_req){
        .broker_name = str_from(b->conf->broker_name),
        .broker_addr = str_from(b->address),
        .cluster_name = str_from(b->conf->cluster_name),
        .broker_id = b->conf->broker_id,
    };
}

static bool begin(struct reg_server *s, struct rem_call *call, int32_t code)
{
    if (s->channel == NULL) {
        struct net_address a;
        struct err err;
        if (net_address_parse(&a, str_from(s->text), &err) < 0) {
            if (!s->complained)
                LOG(LOG_WARN, "broker", "name server %s: %s", s->text, err.text);
            s->complained = true;
            return false;
        }
        s->channel = rem_channel_new(s->r->loop, &a);
        if (s->channel)
            rem_channel_on_closed(s->channel, reg_server_closed, s);
    }
    return s->channel && rem_channel_begin(s->channel, call, code, false);
}

static void take_order_topics(struct broker *b, struct str body)
{
    struct arena a = {0};
    struct kv_table table;
    const struct json *json = body.len ? json_parse(&a, body, NULL) : NULL;
    if (json && kv_table_read(&a, json, &table) && table.pair_count) {
        struct str *names = arena_alloc(&a, table.pair_count * sizeof *names);
        for (size_t i = 0; names && i < table.pair_count; i++)
            names[i] = table.pairs[i].key;
        if (names)
            topic_set_order(b->topics, names, table.pair_count);
    }
    arena_free(&a);
}

static void retry_later(struct reg_server *s, int64_t delay_ms)
{
    s->resting = true;
    net_timer_set(s->r->loop, &s->retry, delay_ms);
}

static void round_ended(struct reg_server *s)
{
    if (!s->failed) {
        if (s->complained)
            LOG(LOG_INFO, "broker", "registered with name server %s again", s->text);
        s->complained = false;
        s->backoff_ms = 0;
        registration_answered(s, true);
        reg_server_pump(s);
        return;
    }
    s->failed = false;
    s->full_wanted = s->fresh_wanted = true;
    registration_answered(s, false);
    if (s->r->stopping)
        return;
    retry_later(s, s->backoff_ms ? s->backoff_ms : RETRY_FIRST_MS);
    s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : RETRY_FIRST_MS;
    if (s->backoff_ms > RETRY_MAX_MS)
        s->backoff_ms = RETRY_MAX_MS;
}

static void registered(void *arg, const struct rem_command *answer, const char *why)
{
    struct reg_server *s = arg;
    s->in_flight--;
    if (answer && answer->code == RESP_SUCCESS) {
        s->registered = true;
        take_order_topics(s->r->b, answer->body);
    } else {
        s->failed = true;
        if (!s->complained)
            LOG(LOG_WARN, "broker", "cannot register with name server %s: %.*s; trying again", s->text,
                STR_ARG(answer ? answer->remark : str_from(why)));
        s->complained = true;
    }
    if (s->in_flight == 0)
        round_ended(s);
}

/* A name server takes no part in the queues that this broker does not serve. */
static void mask_permission(const struct broker *b, struct topic_config *topics, size_t n)
{
    int perm = b->conf->permission;
    if ((perm & PERM_READ) && (perm & PERM_WRITE))
        return;
    for (size_t i = 0; i < n; i++)
        topics[i].perm &= perm;
}

/* False: it could not be sent. */
static bool send_topics(struct reg_server *s, struct topic_config *topics, size_t n, const struct data_version *version)
{
    struct broker *b = s->r->b;
    struct register_broker_body body = {
        .topics = {.data_version = *version, .topics = topics, .topic_count = n},
        .has_filter_servers = true,
    };
    struct str servers[FILTER_SERVERS_MAX];
    char names[FILTER_SERVERS_MAX][FILTER_SERVER_NAME];
    struct buf text = {0};
    struct jw w;
    struct rem_call call;
    char ha[96];
    mask_permission(b, topics, n);
    body.filter_servers = servers;
    body.filter_server_count = filter_servers_list(b->filter_servers, names);
    for (size_t i = 0; i < body.filter_server_count; i++)
        servers[i] = str_from(names[i]);
    jw_init(&w, &text);
    register_broker_body_write(&w, &body);
    snprintf(ha, sizeof ha, "%s:%d",
             b->conf->broker_ip2 && b->conf->broker_ip2[0] ? b->conf->broker_ip2 : b->conf->broker_ip1,
             b->store_conf->haListenPort);
    bool sent = buf_ok(&text) && begin(s, &call, REQ_REGISTER_BROKER);
    if (sent) {
        struct register_broker_req header = {
            .broker_name = str_from(b->conf->broker_name),
            .broker_addr = str_from(b->address),
            .cluster_name = str_from(b->conf->cluster_name),
            .ha_server_addr = str_from(ha),
            .broker_id = b->conf->broker_id,
            .heartbeat_timeout_millis = HEARTBEAT_TIMEOUT_MS,
            .enable_acting_master = STR_LIT("false"),
            .body_crc32 = (int32_t)crc32_message(text.data, text.len),
        };
        rem_schema_write(&register_broker_req_schema, &header, &call.frame);
        s->in_flight++;
        s->last_version = *version;
        rem_call_send(&call, buf_str(&text), b->conf->namesrv_timeout_ms, registered, s);
    }
    buf_free(&text);
    return sent;
}

/* Topics and a version that differs from the one sent last, so that the name server takes them over. */
static struct topic_config *snapshot(struct reg_server *s, struct arena *a, const struct str *names, size_t *n,
                                     bool fresh, struct data_version *version)
{
    struct topic_manager *m = s->r->b->topics;
    size_t asked = *n;
    struct topic_config *topics = topic_snapshot(m, a, names, n, version);
    if (fresh && data_version_eq(version, &s->last_version)) {
        topic_version_next(m);
        *n = asked;
        topics = topic_snapshot(m, a, names, n, version);
    }
    return topics;
}

static bool send_all(struct reg_server *s)
{
    struct broker_conf *conf = s->r->b->conf;
    struct arena a = {0};
    struct data_version version;
    size_t n = 0;
    struct topic_config *topics = snapshot(s, &a, NULL, &n, s->fresh_wanted, &version);
    size_t piece = conf->split_registration ? (size_t)conf->split_registration_size : PIECE_MAX;
    bool sent = topics != NULL;
    for (size_t at = 0; sent && (at < n || at == 0);) {
        /* A broker's first registration must not have exactly one topic, and no piece the version of another. */
        size_t count = n - at <= piece + 1 ? n - at : piece;
        if (at) {
            topic_version_next(s->r->b->topics);
            version = topic_version(s->r->b->topics);
        }
        sent = send_topics(s, topics + at, count, &version);
        at += count ? count : 1;
    }
    arena_free(&a);
    return sent;
}

/* Names of the topics that changed after the last registration; `end` is moved back when they are too many for one. */
static struct str *changed_names(struct reg_server *s, struct arena *a, uint64_t *end, size_t *n)
{
    struct registration *r = s->r;
    pthread_mutex_lock(&r->lock);
    *n = (size_t)(*end - s->sent);
    if (*n > BATCH_MAX) {
        *n = BATCH_MAX;
        *end = s->sent + BATCH_MAX;
    }
    struct str *names = arena_alloc(a, *n * sizeof *names);
    for (size_t i = 0; names && i < *n; i++)
        names[i] = r->log[s->sent - r->log_base + i]->name;
    pthread_mutex_unlock(&r->lock);
    return names;
}

static bool send_changed(struct reg_server *s, uint64_t *end)
{
    struct arena a = {0};
    struct data_version version;
    size_t n;
    struct str *names = changed_names(s, &a, end, &n);
    struct topic_config *topics = names ? snapshot(s, &a, names, &n, true, &version) : NULL;
    bool sent = topics && send_topics(s, topics, n, &version);
    arena_free(&a);
    return sent;
}

void reg_server_pump(struct reg_server *s)
{
    struct registration *r = s->r;
    if (s->in_flight || s->resting || r->stopping)
        return;
    pthread_mutex_lock(&r->lock);
    uint64_t end = r->log_base + r->log_len;
    pthread_mutex_unlock(&r->lock);
    if (!s->full_wanted && s->sent >= end)
        return;
    bool all = s->full_wanted;
    bool sent = all ? send_all(s) : send_changed(s, &end);
    if (sent) {
        s->sent = end;
        if (all)
            s->full_wanted = s->fresh_wanted = false;
    } else if (s->in_flight) {
        s->failed = true; /* a piece is under way: its answer ends the round */
    } else {
        s->failed = true;
        round_ended(s);
    }
}

/* ---- the other calls ---- */

static void version_known(void *arg, const struct rem_command *answer, const char *why)
{
    struct reg_server *s = arg;
    struct query_data_version_resp h;
    const char *bad;
    s->in_flight--;
    bool known =
        answer && answer->code == RESP_SUCCESS && rem_schema_decode(&query_data_version_resp_schema, answer, &h, &bad);
    if (!known || h.changed)
        s->full_wanted = true;
    reg_server_pump(s);
}

void reg_server_ask_version(struct reg_server *s)
{
    struct rem_call call;
    struct broker_identity_req header = identity(s->r->b);
    struct data_version version = topic_version(s->r->b->topics);
    struct buf text = {0};
    struct jw w;
    if (s->in_flight || s->resting || s->full_wanted)
        return;
    jw_init(&w, &text);
    data_version_write(&w, &version);
    if (begin(s, &call, REQ_QUERY_DATA_VERSION)) {
        rem_schema_write(&broker_identity_req_schema, &header, &call.frame);
        s->in_flight++;
        rem_call_send(&call, buf_str(&text), QUERY_MS, version_known, s);
    } else {
        s->full_wanted = true;
        reg_server_pump(s);
    }
    buf_free(&text);
}

static void unregistered(void *arg, const struct rem_command *answer, const char *why)
{
    struct reg_server *s = arg;
    if (answer == NULL)
        LOG(LOG_WARN, "broker", "name server %s did not answer the farewell: %s", s->text, why);
    registration_left(s->r);
}

void reg_server_unregister(struct reg_server *s)
{
    struct rem_call call;
    struct broker_identity_req header = identity(s->r->b);
    if (!s->registered || !begin(s, &call, REQ_UNREGISTER_BROKER))
        return;
    rem_schema_write(&broker_identity_req_schema, &header, &call.frame);
    s->r->leaving++;
    rem_call_send(&call, STR_NULL, LEAVE_MS, unregistered, s);
}

/* A name server forgets a broker whose connection breaks, so it has to be told again. */
void reg_server_closed(void *server)
{
    struct reg_server *s = server;
    if (s->r->stopping)
        return;
    s->full_wanted = s->fresh_wanted = true;
    if (!s->resting && s->in_flight == 0)
        retry_later(s, RECONNECT_MS);
}
