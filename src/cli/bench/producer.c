#include "cli/bench/producer.h"

#include "cli/bench/conn.h"
#include "cli/bench/frame.h"
#include "os/clock.h"
#include "os/host.h"
#include "remoting/codes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_LOOP_SLOTS = 16384, MAX_EVENTS = 64, DRAIN_MS = 3000, STEP_NS = 20000000 };

struct producer_conn {
    struct bench_conn net;
    struct producer *owner;
    const struct send_frame *frames; /* one a queue of its broker */
    const char *broker_name;
    int queues, next_queue;
    int64_t *slot_time; /* ns when the request of a slot was sent, or was to be sent */
    uint32_t *free_slots;
    uint32_t free_count, slots;
    bool broken, touched;
};

struct producer {
    struct bench_run *run;
    struct bench_counts *counts;
    producer_stamp_fn stamp;
    struct hist latency;
    struct producer_conn *conns;
    size_t conn_count, broken_count, next_conn;
    struct send_frame *frames; /* of all brokers */
    size_t frame_count;
    int epoll;
    enum bench_phase phase;
    uint64_t next_key;
    int64_t now_ns, wall_ahead_ms; /* wall clock less monotonic clock */
    int64_t time_ms;               /* what time_text says */
    char time_text[BENCH_TIME_DIGITS];
    uint64_t issued, quota; /* requests of the measured part; quota 0: no end */
    uint64_t messages, bytes, requests, errors;
};

/* ---- making --------------------------------------------------------------------------------------------------------
 */

static int make_frames(struct producer *p, unsigned index, struct err *err)
{
    const struct bench_options *o = p->run->options;
    const struct bench_route *r = p->run->route;
    uint8_t random[8];
    struct send_frame_spec spec = {
        .group = o->group,
        .topic = o->topic,
        .size = (size_t)o->size,
        .batch = (size_t)o->batch,
        .binary = o->binary,
        .transaction = o->transaction,
        .properties = o->properties,
    };
    host_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(spec.key_prefix + 2 * i, 3, "%02X", random[i]);
    snprintf(spec.key_prefix + 16, 5, "%04X", index);
    for (size_t i = 0; i < r->count; i++)
        p->frame_count += (size_t)r->brokers[i].write_queues;
    p->frames = calloc(p->frame_count + 1, sizeof *p->frames);
    if (p->frames == NULL)
        return err_set(err, ENOMEM, "out of memory");
    struct send_frame *f = p->frames;
    for (size_t i = 0; i < r->count; i++) {
        spec.broker_name = r->brokers[i].name;
        for (spec.queue = 0; spec.queue < r->brokers[i].write_queues; spec.queue++)
            if (send_frame_make(f++, &spec, err))
                return -1;
    }
    return 0;
}

static int open_conn(struct producer *p, struct producer_conn *c, size_t number, struct err *err)
{
    const struct bench_options *o = p->run->options;
    const struct bench_route *r = p->run->route;
    size_t broker = number % r->count;
    c->owner = p;
    c->net.fd = -1;
    c->frames = p->frames;
    for (size_t i = 0; i < broker; i++)
        c->frames += r->brokers[i].write_queues;
    c->queues = r->brokers[broker].write_queues;
    c->broker_name = r->brokers[broker].name;
    c->next_queue = (int)(number / r->count) % (c->queues ? c->queues : 1);
    c->slots = o->rate ? OPEN_LOOP_SLOTS : (uint32_t)o->inflight;
    c->slot_time = calloc(c->slots, sizeof *c->slot_time);
    c->free_slots = calloc(c->slots, sizeof *c->free_slots);
    if (c->slot_time == NULL || c->free_slots == NULL)
        return err_set(err, ENOMEM, "out of memory");
    while (c->free_count < c->slots) {
        c->free_slots[c->free_count] = c->slots - 1 - c->free_count;
        c->free_count++;
    }
    if (c->queues == 0)
        return err_set(err, EINVAL, "topic %s has no queue to write to on %s", o->topic, r->brokers[broker].name);
    return bench_conn_open(&c->net, r->brokers[broker].address, p->epoll, c, err);
}

int producer_new(struct producer **out, struct bench_run *run, unsigned index, unsigned workers,
                 producer_stamp_fn stamp, struct err *err)
{
    const struct bench_options *o = run->options;
    struct producer *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return err_set(err, ENOMEM, "out of memory");
    p->run = run;
    p->counts = &run->counts[index];
    p->stamp = stamp;
    p->epoll = -1;
    p->wall_ahead_ms = clock_wall_ms() - clock_mono_ms();
    hist_init(&p->latency);
    p->conn_count = (size_t)o->connections / workers + (index < (size_t)o->connections % workers);
    p->conns = calloc(p->conn_count, sizeof *p->conns);
    if (o->count) {
        uint64_t requests = (uint64_t)((o->count + o->batch - 1) / o->batch);
        p->quota = requests / workers + (index < requests % workers);
    }
    if (p->conns == NULL)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < p->conn_count; i++)
        p->conns[i].net.fd = -1;
    /* A single closed-loop connection needs no epoll: its thread sleeps in recv. */
    if (p->conn_count > 1 || o->rate) {
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll < 0)
            return err_sys(err, errno, "epoll_create1");
    }
    if (make_frames(p, index, err))
        return -1;
    for (size_t i = 0; i < p->conn_count; i++)
        if (open_conn(p, &p->conns[i], index + i * workers, err))
            return -1;
    return 0;
}

void producer_free(struct producer *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; p->conns && i < p->conn_count; i++) {
        bench_conn_close(&p->conns[i].net);
        free(p->conns[i].slot_time);
        free(p->conns[i].free_slots);
    }
    for (size_t i = 0; p->frames && i < p->frame_count; i++)
        send_frame_free(&p->frames[i]);
    if (p->epoll >= 0)
        close(p->epoll);
    free(p->frames);
    free(p->conns);
    free(p);
}

const struct hist *producer_latency(const struct producer *p)
{
    return &p->latency;
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

static void look_at_clock(struct producer *p)
{
    p->now_ns = clock_mono_ns();
    int64_t ms = p->now_ns / 1000000 + p->wall_ahead_ms;
    if (ms == p->time_ms)
        return;
    p->time_ms = ms;
    for (int i = BENCH_TIME_DIGITS; i-- > 0; ms /= 10)
        p->time_text[i] = (char)('0' + ms % 10);
}

static void publish(struct producer *p)
{
    atomic_store_explicit(&p->counts->messages, p->messages, memory_order_relaxed);
    atomic_store_explicit(&p->counts->bytes, p->bytes, memory_order_relaxed);
    atomic_store_explicit(&p->counts->requests, p->requests, memory_order_relaxed);
    atomic_store_explicit(&p->counts->errors, p->errors, memory_order_relaxed);
}

static void break_conn(struct producer *p, struct producer_conn *c, const char *why)
{
    if (c->broken)
        return;
    c->broken = true;
    p->broken_count++;
    p->errors += c->slots - c->free_count;
    bench_note_error(p->run, "a connection broke: %s", why);
    bench_conn_close(&c->net);
}

static bool is_stored(int32_t code)
{
    return code == RESP_SUCCESS || code == RESP_FLUSH_DISK_TIMEOUT || code == RESP_FLUSH_SLAVE_TIMEOUT ||
           code == RESP_SLAVE_NOT_AVAILABLE;
}

static bool commit(struct producer *p, struct producer_conn *c, const struct bench_response *r)
{
    const struct bench_options *o = p->run->options;
    struct send_frame_spec spec = {.group = o->group, .broker_name = c->broker_name, .binary = o->binary};
    c->touched = true;
    if (commit_frame_write(&c->net.out, &spec, r))
        return true;
    p->errors++;
    bench_note_error(p->run, "the answer to a half message does not say where it is");
    return false;
}

static void on_frame(void *arg, uint8_t *frame, size_t len)
{
    struct producer_conn *c = arg;
    struct producer *p = c->owner;
    const struct bench_options *o = p->run->options;
    struct bench_response r;
    bool is_request;
    if (!bench_response_read(frame, len, &r, &is_request)) {
        if (!is_request)
            bench_note_error(p->run, "an answer cannot be read");
        return;
    }
    if (r.slot >= c->slots || c->slot_time[r.slot] == 0)
        return;
    int64_t took = p->now_ns - c->slot_time[r.slot];
    c->slot_time[r.slot] = 0;
    c->free_slots[c->free_count++] = r.slot;
    p->requests++;
    if (!is_stored(r.code)) {
        char remark[256];
        p->errors++;
        bench_response_remark(&r, remark, sizeof remark);
        bench_note_error(p->run, "a send was answered %d: %s", r.code, remark);
        return;
    }
    if (o->transaction && !commit(p, c, &r))
        return;
    p->messages += (uint64_t)o->batch;
    p->bytes += (uint64_t)(o->batch * o->size);
    if (p->phase == BENCH_MEASURE)
        hist_record(&p->latency, took > 0 ? (uint64_t)took : 0);
}

static bool issue(struct producer *p, struct producer_conn *c, int64_t intended_ns)
{
    const struct send_frame *f = &c->frames[c->next_queue];
    uint32_t slot = c->free_slots[c->free_count - 1];
    uint8_t *frame = send_frame_stamp(f, &c->net.out, slot, p->time_text, &p->next_key);
    if (frame == NULL) {
        break_conn(p, c, "out of memory");
        return false;
    }
    if (p->stamp)
        for (size_t i = 0; i < f->key_count; i++)
            p->stamp(frame + f->entry_at[i], f->size, intended_ns);
    c->free_count--;
    c->slot_time[slot] = intended_ns;
    if (++c->next_queue == c->queues)
        c->next_queue = 0;
    c->touched = true;
    p->issued++;
    return true;
}

static bool may_issue(const struct producer *p)
{
    return p->phase != BENCH_STOP && (p->quota == 0 || p->phase == BENCH_WARMUP || p->issued < p->quota);
}

static void fill(struct producer *p, struct producer_conn *c)
{
    while (!c->broken && c->free_count && may_issue(p))
        if (!issue(p, c, p->now_ns))
            return;
}

static void flush(struct producer *p, struct producer_conn *c)
{
    const char *why;
    c->touched = false;
    if (!c->broken && !bench_conn_flush(&c->net, &why))
        break_conn(p, c, why);
}

static void receive(struct producer *p, struct producer_conn *c)
{
    const char *why;
    if (c->broken)
        return;
    bool ok = bench_conn_receive(&c->net, &why);
    look_at_clock(p);
    if (!ok || !bench_conn_frames(&c->net, on_frame, c, &why))
        break_conn(p, c, why);
}

static bool is_idle(const struct producer *p)
{
    for (size_t i = 0; i < p->conn_count; i++)
        if (!p->conns[i].broken && p->conns[i].free_count < p->conns[i].slots)
            return false;
    return true;
}

/* Takes over a change of the run's phase. False: the worker is to end. */
static bool follow_phase(struct producer *p, int64_t *drain_until_ns)
{
    enum bench_phase now = atomic_load_explicit(&p->run->phase, memory_order_acquire);
    if (now != p->phase) {
        p->phase = now;
        if (now == BENCH_MEASURE)
            p->issued = 0;
        if (now == BENCH_STOP)
            *drain_until_ns = p->now_ns + (int64_t)DRAIN_MS * 1000000;
    }
    bool done =
        p->broken_count == p->conn_count || (p->phase == BENCH_MEASURE && p->quota && !may_issue(p) && is_idle(p));
    if (done) {
        publish(p);
        atomic_store(&p->counts->finished, true);
        return false;
    }
    return p->phase != BENCH_STOP || (!is_idle(p) && p->now_ns < *drain_until_ns);
}

/* One connection, closed loop: send, sleep in recv. */
static void run_alone(struct producer *p)
{
    struct producer_conn *c = &p->conns[0];
    int64_t drain_until = 0;
    look_at_clock(p);
    while (follow_phase(p, &drain_until)) {
        fill(p, c);
        flush(p, c);
        receive(p, c);
        publish(p);
    }
}

static void wait_events(struct producer *p, int64_t until_ns)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t left = until_ns - clock_mono_ns();
    struct timespec t = {.tv_sec = 0, .tv_nsec = left < 0 ? 0 : left > STEP_NS ? STEP_NS : left};
    int n = epoll_pwait2(p->epoll, events, MAX_EVENTS, &t, NULL);
    look_at_clock(p);
    for (int i = 0; i < n; i++) {
        struct producer_conn *c = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(p, c);
        c->touched = true;
    }
}

static void run_closed(struct producer *p)
{
    int64_t drain_until = 0;
    look_at_clock(p);
    for (size_t i = 0; i < p->conn_count; i++)
        p->conns[i].touched = true;
    while (follow_phase(p, &drain_until)) {
        for (size_t i = 0; i < p->conn_count; i++) {
            struct producer_conn *c = &p->conns[i];
            if (!c->touched)
                continue;
            fill(p, c);
            flush(p, c);
        }
        wait_events(p, INT64_MAX);
        publish(p);
    }
}

static struct producer_conn *next_free(struct producer *p)
{
    for (size_t i = 0; i < p->conn_count; i++) {
        struct producer_conn *c = &p->conns[p->next_conn];
        p->next_conn = (p->next_conn + 1) % p->conn_count;
        if (!c->broken && c->free_count)
            return c;
    }
    return NULL;
}

static void run_open(struct producer *p)
{
    const struct bench_options *o = p->run->options;
    /* Each worker has an even share of the rate. */
    double step = 1e9 * (double)o->batch / (double)o->rate * (double)o->connections / (double)p->conn_count;
    int64_t drain_until = 0;
    /* The kernel delays a thread's timers by 50 us unless told otherwise, which would count as the server's latency. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    look_at_clock(p);
    int64_t first = p->now_ns;
    for (uint64_t k = 0; follow_phase(p, &drain_until);) {
        int64_t due = first + (int64_t)((double)k * step);
        struct producer_conn *c;
        while (due <= p->now_ns && may_issue(p) && (c = next_free(p))) {
            issue(p, c, due);
            due = first + (int64_t)((double)++k * step);
        }
        for (size_t i = 0; i < p->conn_count; i++)
            if (p->conns[i].touched)
                flush(p, &p->conns[i]);
        wait_events(p, may_issue(p) ? due : INT64_MAX);
        publish(p);
    }
}

void producer_run(void *arg)
{
    struct producer *p = arg;
    bench_wait_for_start(p->run);
    if (p->run->options->rate)
        run_open(p);
    else if (p->epoll < 0)
        run_alone(p);
    else
        run_closed(p);
    for (size_t i = 0; i < p->conn_count; i++)
        flush(p, &p->conns[i]); /* the last commits */
    publish(p);
}
