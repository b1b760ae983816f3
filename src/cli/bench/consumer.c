#include "cli/bench/consumer_int.h"

#include "base/json.h"
#include "message/message.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_EVENTS = 64, STEP_MS = 20, SUSPEND_MS = 15000, POP_SUSPEND_MS = 1000, ASK_MS = 10000 };

/* ---- making --------------------------------------------------------------------------------------------------------
 */

/* A filter is told beforehand, as the Java push consumer does; its pulls do not bring it again. */
static int subscribe(struct consumer *c, const struct bench_broker *b, struct err *err)
{
    const struct bench_options *o = c->run->options;
    struct buf body = {0};
    struct rem_command answer;
    struct rem_frame f;
    struct jw w;
    char client[80];
    snprintf(client, sizeof client, "bench@%d#%u", (int)getpid(), (unsigned)(c->counts - c->run->counts));
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kstr(&w, "clientID", str_from(client));
    jw_karray(&w, "consumerDataSet");
    jw_begin_object(&w);
    jw_kstr(&w, "groupName", str_from(o->group));
    jw_kstr(&w, "consumeType", STR_LIT("CONSUME_PASSIVELY"));
    jw_kstr(&w, "messageModel", STR_LIT("CLUSTERING"));
    jw_kstr(&w, "consumeFromWhere", STR_LIT("CONSUME_FROM_FIRST_OFFSET"));
    jw_karray(&w, "subscriptionDataSet");
    jw_begin_object(&w);
    jw_kstr(&w, "topic", str_from(o->topic));
    jw_kstr(&w, "subString", str_from(o->sql));
    jw_kstr(&w, "expressionType", STR_LIT("SQL92"));
    jw_ki64(&w, "subVersion", clock_wall_ms());
    jw_end_object(&w);
    jw_end_array(&w);
    jw_end_object(&w);
    jw_end_array(&w);
    jw_end_object(&w);
    sync_begin(c->ask.client, &f, REQ_HEART_BEAT);
    int r = buf_ok(&body) ? sync_call_ok(c->ask.client, b->address, &f, buf_str(&body), &answer, err)
                          : err_set(err, ENOMEM, "out of memory");
    buf_free(&body);
    return r;
}

/* Queue number n of all queues of the topic goes to connection n % connections of its broker, which belongs to one
 * worker. */
static int add_queues(struct consumer *c, unsigned index, unsigned workers, struct err *err)
{
    const struct bench_options *o = c->run->options;
    const struct bench_route *r = c->run->route;
    size_t all = 0;
    int rc = tool_init(&c->ask, o->namesrv, ASK_MS, err);
    for (size_t i = 0; i < r->count; i++)
        all += (size_t)r->brokers[i].read_queues;
    c->queues = calloc(all + 1, sizeof *c->queues);
    if (c->queues == NULL)
        rc = err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < r->count; i++) {
        const struct bench_broker *b = &r->brokers[i];
        if (o->sql)
            rc = subscribe(c, b, err);
        for (int id = 0; rc == 0 && id < b->read_queues; id++) {
            size_t conn = (size_t)id % (size_t)o->connections;
            if (conn % workers != index)
                continue;
            struct consumer_queue *q = &c->queues[c->queue_count++];
            q->conn = &c->conns[i * ((size_t)o->connections / workers + 1) + conn / workers];
            q->spec = (struct pull_spec){.group = o->group,
                                         .topic = o->topic,
                                         .broker_name = b->name,
                                         .queue = id,
                                         .max_messages = o->pull_batch,
                                         .max_bytes = o->pull_bytes,
                                         .suspend_ms = c->mode == CONSUME_POP ? POP_SUSPEND_MS : SUSPEND_MS,
                                         .sql = o->sql,
                                         .binary = o->binary};
            q->end = -1;
            rc = bench_queue_offset(&c->ask, b, o->topic, id, c->mode == CONSUME_LIVE, &q->offset, err);
            if (rc == 0 && c->mode != CONSUME_LIVE)
                rc = bench_queue_offset(&c->ask, b, o->topic, id, true, &q->end, err);
            if (c->mode == CONSUME_POP) {
                q->end -= q->offset;
                q->offset = 0;
            }
            q->due = c->mode != CONSUME_ORDERLY; /* that one has to lock it first */
            q->done = c->mode != CONSUME_LIVE && q->offset >= q->end;
            c->done_count += q->done;
            if (rc == 0 && q->conn->net.fd < 0)
                rc = bench_conn_open(&q->conn->net, b->address, c->epoll, q->conn, err);
        }
    }
    return rc;
}

int consumer_new(struct consumer **out, struct bench_run *run, unsigned index, unsigned workers,
                 enum consumer_mode mode, consumer_message_fn fn, void *arg, struct err *err)
{
    const struct bench_options *o = run->options;
    struct consumer *c = calloc(1, sizeof *c);
    *out = c;
    if (c == NULL)
        return err_set(err, ENOMEM, "out of memory");
    c->run = run;
    c->counts = &run->counts[index];
    c->mode = mode;
    c->fn = fn;
    c->arg = arg;
    hist_init(&c->latency);
    c->conn_count = run->route->count * ((size_t)o->connections / workers + 1);
    c->conns = calloc(c->conn_count, sizeof *c->conns);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->conns == NULL || c->epoll < 0)
        return err_sys(err, errno, "cannot make a consumer");
    for (size_t i = 0; i < c->conn_count; i++) {
        c->conns[i].net.fd = -1;
        c->conns[i].owner = c;
    }
    return add_queues(c, index, workers, err);
}

void consumer_free(struct consumer *c)
{
    if (c == NULL)
        return;
    tool_free(&c->ask);
    for (size_t i = 0; c->conns && i < c->conn_count; i++)
        bench_conn_close(&c->conns[i].net);
    if (c->epoll >= 0)
        close(c->epoll);
    free(c->conns);
    free(c->queues);
    free(c);
}

const struct hist *consumer_latency(const struct consumer *c)
{
    return &c->latency;
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

void consumer_finish_queue(struct consumer *c, struct consumer_queue *q)
{
    c->done_count += !q->done;
    q->done = true;
    q->due = false;
}

static void break_conn(struct consumer *c, struct consumer_conn *k, const char *why)
{
    k->broken = true;
    c->errors++;
    bench_note_error(c->run, "a connection broke: %s", why);
    bench_conn_close(&k->net);
    for (size_t i = 0; i < c->queue_count; i++)
        if (c->queues[i].conn == k)
            consumer_finish_queue(c, &c->queues[i]);
}

void consumer_refused(struct consumer *c, const struct consumer_queue *q, const char *what,
                      const struct bench_response *r)
{
    char remark[256];
    bench_response_remark(r, remark, sizeof remark);
    bench_note_error(c->run, "a %s of queue %d was answered %d: %s", what, q->spec.queue, r->code, remark);
    c->errors++;
}

uint32_t consumer_take(struct consumer *c, const struct consumer_queue *q, const struct bench_response *r)
{
    const uint8_t *body = r->body;
    size_t len = r->body_len;
    int64_t next = q->offset;
    struct msg_view v;
    uint32_t n = 0;
    for (; len > 8; n++) {
        size_t size = get_be32(body);
        if (size < MSG_FIXED_V4 || size > len) {
            c->errors++;
            bench_note_error(c->run, "an answer holds something that is no message");
            return n;
        }
        if (c->mode == CONSUME_ORDERLY && (int64_t)get_be64(body + MSG_POS_QUEUE_OFFSET) != next++) {
            c->errors++;
            bench_note_error(c->run, "queue %d did not come in its order", q->spec.queue);
        }
        if (c->fn && msg_decode(body, len, &v) == MSG_OK)
            c->fn(c->arg, v.m.body, c->now_ns);
        c->bytes += size;
        body += size;
        len -= size;
    }
    return n;
}

static void on_pulled(struct consumer *c, struct consumer_queue *q, const struct bench_response *r)
{
    uint32_t n = 0;
    switch (r->code) {
    case RESP_SUCCESS:
        hist_record(&c->latency, (uint64_t)(c->now_ns - q->asked_ns));
        n = consumer_take(c, q, r);
        break;
    case RESP_PULL_NOT_FOUND:
    case RESP_PULL_RETRY_IMMEDIATELY:
    case RESP_PULL_OFFSET_MOVED:
        break;
    default:
        consumer_refused(c, q, "pull", r);
        consumer_finish_queue(c, q);
        return;
    }
    int64_t from = q->offset;
    q->offset = bench_response_i64(r, "nextBeginOffset", q->offset);
    /* What a filter looked through is its work, whether or not it fits. */
    c->matched += n;
    c->messages += q->spec.sql && q->offset > from ? (uint64_t)(q->offset - from) : q->spec.sql ? 0 : n;
    q->due = true;
    if (q->end >= 0 && q->offset >= q->end) {
        if (c->mode == CONSUME_ORDERLY)
            commit_offset_frame_write(&q->conn->net.out, &q->spec, q->offset);
        consumer_finish_queue(c, q);
    }
}

static void on_frame(void *arg, uint8_t *frame, size_t len)
{
    struct consumer_conn *k = arg;
    struct consumer *c = k->owner;
    struct bench_response r;
    bool is_request;
    if (!bench_response_read(frame, len, &r, &is_request)) {
        if (!is_request)
            bench_note_error(c->run, "an answer cannot be read");
        return;
    }
    size_t kind = r.slot / c->queue_count;
    struct consumer_queue *q = &c->queues[r.slot % c->queue_count];
    if (q->conn != k || kind > POPS_OPEN)
        return;
    c->requests++;
    if (c->mode == CONSUME_POP && kind)
        consumer_acked(c, q, kind - 1, &r);
    else if (c->mode == CONSUME_POP)
        consumer_popped(c, q, &r);
    else if (kind)
        consumer_locked(c, q, &r);
    else
        on_pulled(c, q, &r);
}

static void write_requests(struct consumer *c)
{
    const char *why;
    if (c->mode == CONSUME_ORDERLY)
        consumer_lock_write(c);
    for (size_t i = 0; i < c->queue_count; i++) {
        struct consumer_queue *q = &c->queues[i];
        if (!q->due || q->done)
            continue;
        if (c->mode == CONSUME_POP) {
            consumer_pop_write(c, q);
            continue;
        }
        q->due = false;
        q->asked_ns = c->now_ns;
        pull_frame_write(&q->conn->net.out, &q->spec, q->offset, c->mode == CONSUME_ORDERLY ? q->offset : -1,
                         consumer_slot(c, q, 0));
    }
    for (size_t i = 0; i < c->conn_count; i++)
        if (c->conns[i].net.fd >= 0 && c->conns[i].net.out.len && !bench_conn_flush(&c->conns[i].net, &why))
            break_conn(c, &c->conns[i], why);
}

static void publish(struct consumer *c)
{
    atomic_store_explicit(&c->counts->messages, c->messages, memory_order_relaxed);
    atomic_store_explicit(&c->counts->matched, c->matched, memory_order_relaxed);
    atomic_store_explicit(&c->counts->bytes, c->bytes, memory_order_relaxed);
    atomic_store_explicit(&c->counts->requests, c->requests, memory_order_relaxed);
    atomic_store_explicit(&c->counts->errors, c->errors, memory_order_relaxed);
}

void consumer_run(void *arg)
{
    struct consumer *c = arg;
    const int64_t limit = c->mode == CONSUME_LIVE ? 0 : c->run->options->count;
    struct epoll_event events[MAX_EVENTS];
    const char *why;
    bench_wait_for_start(c->run);
    c->now_ns = clock_mono_ns();
    while (atomic_load(&c->run->phase) != BENCH_STOP && c->done_count < c->queue_count &&
           !(limit && c->messages >= (uint64_t)limit)) {
        write_requests(c);
        int n = epoll_wait(c->epoll, events, MAX_EVENTS, STEP_MS);
        c->now_ns = clock_mono_ns();
        for (int i = 0; i < n; i++) {
            struct consumer_conn *k = events[i].data.ptr;
            if (k->broken)
                continue;
            bool ok = bench_conn_receive(&k->net, &why);
            c->now_ns = clock_mono_ns();
            if (!ok || !bench_conn_frames(&k->net, on_frame, k, &why))
                break_conn(c, k, why);
            else if (k->net.out.len && !bench_conn_flush(&k->net, &why))
                break_conn(c, k, why);
        }
        publish(c);
    }
    publish(c);
    atomic_store(&c->counts->finished, true);
}
