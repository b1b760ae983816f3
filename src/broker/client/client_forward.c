/*
 * Admin requests that a client answers: 307 running info and 309 consume a message now go to one client, 223 asks the
 * clients of a group (221) and puts their answers together.
 */
#include "broker/admin/admin_int.h"

#include "broker/client/client_call.h"
#include "broker/send/late_reply.h"
#include "remoting/headers_admin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLIENT_ANSWERS_STATUS = 27,  /* V3_0_7_SNAPSHOT */
    CLIENT_ANSWERS_FORWARD = 60, /* V3_1_8_SNAPSHOT */
    FORWARD_TIMEOUT_MS = 10000,
    STATUS_TIMEOUT_MS = 5000,
};

/* ---- one client ---- */

struct forward {
    struct rem_token to;
    char what[160]; /* group and client, for an error text */
};

/* The header field names go into a frame as they are. */
static bool is_plain(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] < ' ' || key.ptr[i] == '"' || key.ptr[i] == '\\')
            return false;
    return key.len > 0;
}

static void pass_on(const struct rem_command *response, const struct rem_token *to)
{
    struct late_reply *l = late_reply_new(to, response->code);
    if (l == NULL)
        return;
    for (uint32_t i = 0; i < response->n_ext; i++) {
        char key[128];
        if (is_plain(response->ext[i].key) && response->ext[i].key.len < sizeof key) {
            snprintf(key, sizeof key, "%.*s", STR_ARG(response->ext[i].key));
            rem_frame_str(late_reply_frame(l), key, response->ext[i].value);
        }
    }
    late_reply_send(l, response->remark, response->body);
}

static void client_answered(void *arg, const struct rem_command *response, const char *why)
{
    struct forward *f = arg;
    char text[320];
    if (response) {
        pass_on(response, &f->to);
    } else {
        bool late = strcmp(why, "no answer in time") == 0;
        snprintf(text, sizeof text, "%s %s: %s", f->what, late ? "Timeout" : "Exception", why);
        rem_token_post(&f->to, late ? RESP_CONSUME_MSG_TIMEOUT : RESP_SYSTEM_ERROR, text);
    }
    free(f);
}

/* The request with all its header fields, as it came, ready for additions. NULL: refused, answered. */
static struct client_call *same_request(struct rem_request *rq, struct str group, struct str client_id,
                                        struct consumer_client *client)
{
    const struct rem_command *cmd = rem_cmd(rq);
    if (!consumer_find(broker_of(rq)->consumers, group, client_id, client, rem_arena(rq))) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "The Consumer <%.*s> <%.*s> not online", STR_ARG(group), STR_ARG(client_id));
        return NULL;
    }
    if (client->version < CLIENT_ANSWERS_FORWARD) {
        rem_reply(rq, RESP_SYSTEM_ERROR,
                  "The Consumer <%.*s> Version <%d> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
                  STR_ARG(client_id), client->version);
        return NULL;
    }
    struct client_call *call = client_call_new(cmd->code);
    if (call == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for a request to a client");
        return NULL;
    }
    for (uint32_t i = 0; i < cmd->n_ext; i++)
        if (is_plain(cmd->ext[i].key))
            client_call_field(call, cmd->ext[i].key, cmd->ext[i].value);
    return call;
}

static void forward(struct rem_request *rq, struct client_call *call, const struct consumer_client *client,
                    struct str group)
{
    struct forward *f = calloc(1, sizeof *f);
    if (f == NULL) {
        client_call_free(call);
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for a request to a client");
        return;
    }
    snprintf(f->what, sizeof f->what, "consumer <%.*s> <%.*s>", STR_ARG(group), STR_ARG(client->client_id));
    f->to = rem_later(rq);
    client_call_send(call, client->conn, FORWARD_TIMEOUT_MS, client_answered, f);
}

void broker_admin_running_info(struct rem_request *rq, const void *header)
{
    const struct running_info_req *h = header;
    struct consumer_client client;
    struct client_call *call = same_request(rq, h->consumer_group, h->client_id, &client);
    if (call == NULL)
        return;
    client_call_body(call, rem_body(rq));
    forward(rq, call, &client, h->consumer_group);
}

static void add_number(struct client_call *call, const char *name, int value)
{
    char text[20];
    client_call_field(call, str_from(name), str_make(text, fmt_i64(text, value)));
}

/* The message goes along in its stored form. */
void broker_admin_consume_directly(struct rem_request *rq, const void *header)
{
    const struct consume_directly_req *h = header;
    struct broker *b = broker_of(rq);
    struct consumer_client client;
    struct msg_host host;
    int64_t offset;
    struct buf record = {0};
    struct msg_view view;
    if (str_is_null(h->msg_id) || !msg_id_parse(h->msg_id, &host, &offset) ||
        !store_read(b->store, offset, &record, &view)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "there is no message with the id <%.*s> in this broker", STR_ARG(h->msg_id));
        buf_free(&record);
        return;
    }
    struct client_call *call = same_request(rq, h->consumer_group, h->client_id, &client);
    if (call) {
        const struct topic *t = str_blank(h->topic) ? NULL : topic_find(b->topics, h->topic);
        const struct group *g = group_known(b->groups, h->consumer_group);
        client_call_field(call, STR_LIT("brokerName"), str_from(b->conf->broker_name));
        if (t)
            add_number(call, "topicSysFlag", t->sys_flag);
        if (g)
            add_number(call, "groupSysFlag", g->sys_flag);
        client_call_body(call, buf_str(&record));
        forward(rq, call, &client, h->consumer_group);
    }
    buf_free(&record);
}

/* ---- clients of a group ---- */

/* The answers come on the loops of the clients; the last one sends what was gathered. */
struct gathering {
    pthread_mutex_t lock;
    unsigned waiting;
    struct rem_token to;
    struct buf body;
    struct jw w;
};

struct gathered {
    struct gathering *g;
    size_t id_len;
    char client_id[];
};

static void finish_one(struct gathering *g)
{
    pthread_mutex_lock(&g->lock);
    bool last = --g->waiting == 0;
    pthread_mutex_unlock(&g->lock);
    if (!last)
        return;
    jw_end_object(&g->w);
    jw_end_object(&g->w);
    bool ok = buf_ok(&g->body);
    late_reply_send(late_reply_new(&g->to, ok ? RESP_SUCCESS : RESP_SYSTEM_ERROR),
                    ok ? STR_NULL : STR_LIT("out of memory for the consumers' status"),
                    ok ? buf_str(&g->body) : STR_NULL);
    buf_free(&g->body);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* messageQueueTable {queue:offset} of one client, under its id. */
static void write_table(struct jw *w, struct arena *a, struct str client_id, const struct json *table)
{
    jw_key(w, client_id);
    jw_begin_object(w);
    JSON_EACH(entry, table)
    {
        const struct json *queue = json_key_object(a, entry);
        if (queue == NULL)
            continue;
        jw_key_object_begin(w);
        jw_begin_object(w);
        jw_kstr(w, "brokerName", json_str(queue, "brokerName"));
        jw_ki64(w, "queueId", json_i64(queue, "queueId", 0));
        jw_kstr(w, "topic", json_str(queue, "topic"));
        jw_end_object(w);
        jw_key_object_end(w);
        jw_i64(w, json_int(entry, 0));
    }
    jw_end_object(w);
}

static void status_came(void *arg, const struct rem_command *response, const char *why)
{
    struct gathered *one = arg;
    struct gathering *g = one->g;
    struct arena arena = {0};
    const struct json *body =
        response && response->code == RESP_SUCCESS ? json_parse(&arena, response->body, NULL) : NULL;
    if (body) {
        pthread_mutex_lock(&g->lock);
        write_table(&g->w, &arena, str_make(one->client_id, one->id_len), json_get(body, "messageQueueTable"));
        pthread_mutex_unlock(&g->lock);
    }
    arena_free(&arena);
    free(one);
    finish_one(g);
}

static void ask_status(struct gathering *g, const struct consumer_status_req *h, const struct consumer_client *client)
{
    struct client_call *call = client_call_new(REQ_GET_CONSUMER_STATUS_FROM_CLIENT);
    struct gathered *one = malloc(sizeof *one + client->client_id.len);
    if (call == NULL || one == NULL) {
        client_call_free(call);
        free(one);
        return;
    }
    *one = (struct gathered){g, client->client_id.len};
    memcpy(one->client_id, client->client_id.ptr, client->client_id.len);
    client_call_header(call, &consumer_status_req_schema,
                       &(struct consumer_status_req){.topic = h->topic, .group = h->group});
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    pthread_mutex_unlock(&g->lock);
    client_call_send(call, client->conn, STATUS_TIMEOUT_MS, status_came, one);
}

void broker_admin_consumer_status(struct rem_request *rq, const void *header)
{
    const struct consumer_status_req *h = header;
    struct consumer_client *clients;
    size_t n;
    consumer_clients(broker_of(rq)->consumers, h->group, rem_arena(rq), &clients, &n);
    if (n == 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "No Any Consumer online in the consumer group: [%.*s]", STR_ARG(h->group));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (clients[i].version < CLIENT_ANSWERS_STATUS) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "the client does not support this feature. version=%d",
                      clients[i].version);
            return;
        }
    }
    struct gathering *g = calloc(1, sizeof *g);
    if (g == NULL) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "out of memory for the consumers' status");
        return;
    }
    pthread_mutex_init(&g->lock, NULL);
    g->waiting = 1; /* this function's own share */
    g->to = rem_later(rq);
    jw_init(&g->w, &g->body);
    jw_begin_object(&g->w);
    jw_kobject(&g->w, "consumerTable");
    for (size_t i = 0; i < n; i++)
        if (str_blank(h->client_addr) || str_eq(h->client_addr, clients[i].client_id))
            ask_status(g, h, &clients[i]);
    finish_one(g);
}
