#include "remoting/server.h"

#include "base/log.h"
#include "os/thread.h"
#include "remoting/call.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { OP_SLOTS = 1024, WORKER_QUEUE_MAX = 10000 };

struct rem_server {
    struct rem_server_conf conf;
    struct net_protocol protocol;
    const struct rem_op *ops[OP_SLOTS]; /* open addressing by code */
    size_t op_count;
    struct arena arenas[NET_MAX_LOOPS];
    _Alignas(64) uint64_t served[NET_MAX_LOOPS][8]; /* one cache line a loop */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *first, **last;
    unsigned queued;
    bool stopping;
    struct thread *threads;
    unsigned thread_count;
};

struct rem_request {
    struct rem_server *server;
    const struct rem_op *op;
    struct rem_command *cmd;
    struct net_conn *conn; /* NULL in a worker */
    struct net_ref ref;
    struct net_address peer;
    struct arena *arena;
    struct buf *out;
    const uint8_t *frame; /* the bytes cmd points into */
    size_t frame_len;
    bool answered;
};

/* A request on its way through a worker: a copy of the frame, then the answer's bytes on the way back. */
struct job {
    struct net_task task;
    struct job *next;
    struct rem_request rq;
    struct rem_command cmd;
    struct buf answer;
    size_t len;
    uint8_t frame[];
};

/* ---- table ---- */

static const struct rem_op **op_slot(struct rem_server *s, int32_t code)
{
    unsigned i = (uint32_t)code * 2654435761u >> 22;
    while (s->ops[i] && s->ops[i]->code != code)
        i = (i + 1) % OP_SLOTS;
    return &s->ops[i];
}

int rem_server_add(struct rem_server *s, const struct rem_op *ops, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct rem_op **slot = op_slot(s, ops[i].code);
        if (*slot == NULL && ++s->op_count > OP_SLOTS / 2)
            return err_set(err, ENOSPC, "too many request codes for one server (%zu)", s->op_count);
        *slot = &ops[i];
        if (ops[i].header)
            rem_schema_ready(ops[i].header);
    }
    return 0;
}

/* ---- request accessors ---- */

void *rem_role(const struct rem_request *rq)
{
    return rq->server->conf.role;
}

const struct rem_command *rem_cmd(const struct rem_request *rq)
{
    return rq->cmd;
}

const struct rem_op *rem_request_op(const struct rem_request *rq)
{
    return rq->op;
}

struct str rem_body(const struct rem_request *rq)
{
    return rq->cmd->body;
}

struct arena *rem_arena(struct rem_request *rq)
{
    return rq->arena;
}

struct net_ref rem_conn_ref(const struct rem_request *rq)
{
    return rq->ref;
}

const struct net_address *rem_peer(const struct rem_request *rq)
{
    return &rq->peer;
}

struct net_loop *rem_loop(const struct rem_request *rq)
{
    return rq->ref.loop;
}

struct net_conn *rem_conn(const struct rem_request *rq)
{
    return rq->conn;
}

/* ---- answers ---- */

void rem_reply_begin(struct rem_request *rq, struct rem_frame *f, int32_t code)
{
    rem_frame_begin(f, rq->out, code);
}

void rem_reply_end(struct rem_request *rq, struct rem_frame *f, struct str remark, struct str body)
{
    rq->answered = true;
    if (rq->cmd->flag & REM_FLAG_ONEWAY) {
        f->out->len = f->at;
        return;
    }
    rem_frame_header_end(f, REM_FLAG_RESPONSE, rq->cmd->opaque, remark);
    buf_add_str(f->out, body);
    rem_frame_finish(f, 0);
    if (rq->conn)
        net_conn_written(rq->conn);
}

void rem_reply(struct rem_request *rq, int32_t code, const char *fmt, ...)
{
    char text[1024];
    struct str remark = STR_NULL;
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        if (n >= 0)
            remark = str_make(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    }
    struct rem_frame f;
    rem_reply_begin(rq, &f, code);
    rem_reply_end(rq, &f, remark, STR_NULL);
}

void rem_reply_body(struct rem_request *rq, int32_t code, struct str body)
{
    struct rem_frame f;
    rem_reply_begin(rq, &f, code);
    rem_reply_end(rq, &f, STR_NULL, body);
}

void rem_reply_header(struct rem_request *rq, const struct rem_schema *s, const void *header, struct str body)
{
    struct rem_frame f;
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_schema_write(s, header, &f);
    rem_reply_end(rq, &f, STR_NULL, body);
}

struct rem_token rem_later(struct rem_request *rq)
{
    rq->answered = true;
    return (struct rem_token){rq->ref, rq->cmd->opaque, (rq->cmd->flag & REM_FLAG_ONEWAY) != 0};
}

bool rem_token_begin(const struct rem_token *t, struct rem_frame *f, int32_t code)
{
    struct net_conn *c = t->oneway ? NULL : net_ref_get(t->conn);
    if (c == NULL)
        return false;
    rem_frame_begin(f, net_conn_out(c), code);
    return true;
}

void rem_token_header_end(const struct rem_token *t, struct rem_frame *f, struct str remark)
{
    rem_frame_header_end(f, REM_FLAG_RESPONSE, t->opaque, remark);
}

void rem_token_finish(const struct rem_token *t, struct rem_frame *f, size_t more_body)
{
    rem_frame_finish(f, more_body);
    net_conn_written(net_ref_get(t->conn));
}

void rem_token_end(const struct rem_token *t, struct rem_frame *f, struct str remark, struct str body)
{
    rem_token_header_end(t, f, remark);
    buf_add_str(f->out, body);
    rem_token_finish(t, f, 0);
}

struct late_answer {
    struct net_task task;
    struct rem_token token;
    int32_t code;
    bool has_remark;
    char remark[];
};

static void write_late_answer(struct net_loop *loop, struct net_task *t)
{
    struct late_answer *a = LIST_ENTRY(t, struct late_answer, task);
    struct rem_frame f;
    if (rem_token_begin(&a->token, &f, a->code))
        rem_token_end(&a->token, &f, a->has_remark ? str_from(a->remark) : STR_NULL, STR_NULL);
    free(a);
}

void rem_token_post(const struct rem_token *t, int32_t code, const char *remark)
{
    size_t len = remark ? strlen(remark) : 0;
    struct late_answer *a = malloc(sizeof *a + len + 1);
    if (a == NULL)
        return; /* the client's time-out tells it */
    *a = (struct late_answer){{NULL, write_late_answer}, *t, code, remark != NULL};
    memcpy(a->remark, remark ? remark : "", len + 1);
    net_loop_post(t->conn.loop, &a->task);
}

/* ---- dispatch ---- */

static void run_handler(struct rem_request *rq)
{
    _Alignas(16) unsigned char header[REM_HEADER_MAX];
    const char *missing = NULL;
    if (rq->op->header && !rem_schema_decode(rq->op->header, rq->cmd, header, &missing)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s: the header field %s is missing or malformed", rq->op->name, missing);
        return;
    }
    if (rq->server->conf.admit && !rq->server->conf.admit(rq))
        return;
    rq->op->fn(rq, rq->op->header ? (const void *)header : NULL);
}

static void answer_from_worker(struct net_loop *loop, struct net_task *t)
{
    struct job *j = LIST_ENTRY(t, struct job, task);
    struct net_conn *c = net_ref_get(j->rq.ref);
    if (c && j->answer.len) {
        buf_add_str(net_conn_out(c), buf_str(&j->answer));
        net_conn_written(c);
    }
    buf_free(&j->answer);
    free(j);
}

static void run_job(struct job *j)
{
    struct arena arena = {0};
    j->rq.arena = &arena;
    run_handler(&j->rq);
    arena_free(&arena);
    j->task.fn = answer_from_worker;
    net_loop_post(j->rq.ref.loop, &j->task);
}

/* Under the lock; NULL: none waits. */
static struct job *take_job(struct rem_server *s)
{
    struct job *j = s->first;
    if (j == NULL)
        return NULL;
    s->first = j->next;
    if (s->first == NULL)
        s->last = &s->first;
    s->queued--;
    return j;
}

static void worker_main(void *arg)
{
    struct rem_server *s = arg;
    struct job *j;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->first == NULL && !s->stopping)
            pthread_cond_wait(&s->wake, &s->lock);
        if ((j = take_job(s)) == NULL)
            break;
        pthread_mutex_unlock(&s->lock);
        run_job(j);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

bool rem_server_work(struct rem_server *s)
{
    pthread_mutex_lock(&s->lock);
    struct job *j = take_job(s);
    pthread_mutex_unlock(&s->lock);
    if (j)
        run_job(j);
    return j != NULL;
}

/* The frame is decoded already and in place; views of the copy are the views of the original moved by the same
 * distance. */
static struct str moved(struct str s, const uint8_t *from, const uint8_t *to)
{
    return str_is_null(s) ? s : str_make((const char *)to + (s.ptr - (const char *)from), s.len);
}

void rem_to_worker(struct rem_request *rq)
{
    struct rem_server *s = rq->server;
    const uint8_t *frame = rq->frame;
    size_t len = rq->frame_len;
    struct job *j = malloc(sizeof *j + len);
    if (j == NULL) {
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for a request");
        return;
    }
    memcpy(j->frame, frame, len);
    j->len = len;
    j->next = NULL;
    j->answer = (struct buf){0};
    j->cmd = *rq->cmd;
    j->cmd.remark = moved(j->cmd.remark, frame, j->frame);
    j->cmd.body = moved(j->cmd.body, frame, j->frame);
    for (uint32_t i = 0; i < j->cmd.n_ext; i++) {
        j->cmd.ext[i].key = moved(j->cmd.ext[i].key, frame, j->frame);
        j->cmd.ext[i].value = moved(j->cmd.ext[i].value, frame, j->frame);
    }
    j->rq = *rq;
    j->rq.conn = NULL;
    j->rq.cmd = &j->cmd;
    j->rq.out = &j->answer;
    j->rq.frame = j->frame;
    pthread_mutex_lock(&s->lock);
    bool full = s->queued >= WORKER_QUEUE_MAX;
    if (!full) {
        *s->last = j;
        s->last = &j->next;
        s->queued++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (full) {
        free(j);
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, start flow control for a while");
    }
}

static void serve(void *arg, struct net_conn *c, struct rem_command *cmd, const uint8_t *frame, size_t len)
{
    struct rem_server *s = arg;
    unsigned loop = net_loop_id(net_conn_loop(c));
    struct rem_request rq = {
        .server = s,
        .op = *op_slot(s, cmd->code),
        .cmd = cmd,
        .conn = c,
        .ref = net_conn_ref(c),
        .peer = *net_conn_peer(c),
        .arena = &s->arenas[loop],
        .out = net_conn_out(c),
        .frame = frame,
        .frame_len = len,
    };
    s->served[loop][0]++;
    if (rq.op == NULL)
        rem_reply(&rq, RESP_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported", cmd->code);
    else if (rq.op->lane == REM_LANE_WORKER)
        rem_to_worker(&rq);
    else
        run_handler(&rq);
    arena_reset(rq.arena);
}

static ptrdiff_t on_data(struct net_conn *c, uint8_t *data, size_t len, size_t *want)
{
    struct rem_server *s = net_conn_user(c);
    const char *why;
    char peer[64];
    ptrdiff_t used = rem_take_frames(c, data, len, want, serve, s, &why);
    if (used < 0) {
        net_address_format(net_conn_peer(c), peer);
        LOG_LIMITED(LOG_WARN, s->conf.what, "closing the connection of %s: %s", peer, why);
    }
    return used;
}

static void on_opened(struct net_conn *c)
{
    struct rem_server *s = net_conn_user(c);
    if (s->conf.opened)
        s->conf.opened(s->conf.role, c);
}

static void on_closed(struct net_conn *c, const char *why)
{
    struct rem_server *s = net_conn_user(c);
    if (s->conf.closed)
        s->conf.closed(s->conf.role, c);
    rem_calls_closed(c, why);
}

/* ---- life ---- */

struct rem_server *rem_server_new(const struct rem_server_conf *conf, const struct rem_op *ops, size_t count,
                                  struct err *err)
{
    struct rem_server *s = calloc(1, sizeof *s);
    unsigned workers = conf->workers ? conf->workers : 1;
    if (s == NULL || (s->threads = calloc(workers, sizeof *s->threads)) == NULL) {
        free(s);
        err_set(err, ENOMEM, "out of memory for the %s's server", conf->what);
        return NULL;
    }
    s->conf = *conf;
    s->protocol = (struct net_protocol){on_opened, on_data, on_closed, conf->idle_timeout_ms};
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (rem_server_add(s, ops, count, err) < 0) {
        rem_server_free(s);
        return NULL;
    }
    for (; s->thread_count < workers; s->thread_count++) {
        int r = thread_start(&s->threads[s->thread_count], "rem-worker", worker_main, s);
        if (r < 0) {
            err_sys(err, -r, "cannot start a worker thread of the %s", conf->what);
            rem_server_free(s);
            return NULL;
        }
    }
    return s;
}

const struct net_protocol *rem_server_protocol(const struct rem_server *s)
{
    return &s->protocol;
}

void rem_server_free(struct rem_server *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->thread_count; i++)
        thread_join(&s->threads[i]);
    for (unsigned i = 0; i < NET_MAX_LOOPS; i++)
        arena_free(&s->arenas[i]);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s->threads);
    free(s);
}

uint64_t rem_server_requests(const struct rem_server *s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < NET_MAX_LOOPS; i++)
        n += s->served[i][0];
    return n;
}
