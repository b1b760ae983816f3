#include "fault/verify.h"

#include "admin/tool.h"
#include "message/message.h"
#include "os/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PULL_MAX = 32, ASK_MS = 20000, PAUSE_MS = 50 };

static bool comes_later(enum kind kind)
{
    return kind == KIND_DELAYED || kind == KIND_TIMED;
}

/* ---- one message ---------------------------------------------------------------------------------------------------
 */

static int take(struct verify *v, enum kind kind, int32_t queue, int64_t offset, const struct msg_view *m,
                struct err *err)
{
    const char *topic = kind_topic(kind);
    size_t worker = 0, number = 0;
    if (!msg_crc_ok(m))
        return err_set(err, EILSEQ, "%s queue %d offset %" PRId64 ": a damaged message", topic, queue, offset);
    if (m->m.queue_offset != offset)
        return err_set(err, EILSEQ, "%s queue %d: offset %" PRId64 " where %" PRId64 " should be", topic, queue,
                       m->m.queue_offset, offset);
    struct promise *p = ledger_find(v->ledger, kind, m->m.body, &worker, &number);
    if (p == NULL)
        return err_set(err, EILSEQ, "%s queue %d offset %" PRId64 ": a message that nobody sent: %.60s", topic, queue,
                       offset, m->m.body.ptr);
    if (p->state == PROMISE_ROLLED_BACK)
        return err_set(err, EILSEQ, "%s queue %d offset %" PRId64 ": message %zu:%zu was rolled back", topic, queue,
                       offset, worker, number);
    if (p->found && !comes_later(kind))
        return err_set(err, EEXIST, "%s queue %d offset %" PRId64 ": message %zu:%zu is there twice", topic, queue,
                       offset, worker, number);
    if (p->queue >= 0 && (p->queue != queue || p->offset != offset))
        return err_set(err, EILSEQ, "%s: message %zu:%zu stands at %d:%" PRId64 ", acknowledged was %d:%" PRId64, topic,
                       worker, number, queue, offset, p->queue, p->offset);
    v->again += p->found && !v->all;
    v->read++;
    p->found = true;
    return 0;
}

static int read_queue(struct verify *v, struct tool *t, enum kind kind, int32_t queue, struct err *err)
{
    int64_t *at = &v->next[kind][queue];
    struct tool_queue q = {str_from(kind_topic(kind)), STR_LIT("-"), v->address, queue};
    for (;;) {
        struct tool_pull p = {.offset = *at, .max_messages = PULL_MAX};
        struct tool_pulled out;
        struct msg_view m;
        if (tool_pull(t, &q, &p, &out, err))
            return -1;
        if (out.code != RESP_SUCCESS && *at < out.max_offset)
            return err_set(err, ENODATA, "%.*s queue %d: offset %" PRId64 " of %" PRId64 " cannot be read (code %d)",
                           STR_ARG(q.topic), queue, *at, out.max_offset, out.code);
        if (out.code != RESP_SUCCESS)
            return *at == out.max_offset
                       ? 0
                       : err_set(err, ENODATA, "%.*s queue %d: ends at %" PRId64 ", but %" PRId64 " was read before",
                                 STR_ARG(q.topic), queue, out.max_offset, *at);
        while (out.body.len) {
            if (msg_decode((const uint8_t *)out.body.ptr, out.body.len, &m) != MSG_OK)
                return err_set(err, EILSEQ, "%.*s queue %d offset %" PRId64 ": no message", STR_ARG(q.topic), queue,
                               *at);
            if (take(v, kind, queue, (*at)++, &m, err))
                return -1;
            out.body = str_make(out.body.ptr + m.size, out.body.len - m.size);
        }
    }
}

static int read_topics(struct verify *v, bool later_only, struct err *err)
{
    struct tool t;
    int r = tool_init(&t, v->address, ASK_MS, err);
    for (int k = 0; r == 0 && k < KINDS; k++)
        for (int32_t q = 0; r == 0 && q < QUEUES; q++)
            if (!later_only || comes_later((enum kind)k))
                r = read_queue(v, &t, (enum kind)k, q, err);
    tool_free(&t);
    return r;
}

/* ---- what is missing -----------------------------------------------------------------------------------------------
 */

/* What is for later is only missed when everything is read: short lives that begin with the deliveries of the one
 * before get late, which is no loss. */
static bool is_missed(const struct verify *v, enum kind kind, const struct promise *p)
{
    bool promised = p->state == PROMISE_STORED || p->state == PROMISE_CONSUMED;
    return promised && !p->found && (v->all || !comes_later(kind));
}

static int find_missed(struct verify *v, struct err *err)
{
    for (size_t w = 0; w < v->ledger->worker_count; w++) {
        struct entries *e = &v->ledger->workers[w];
        for (size_t i = e->checked; i < e->count; i++) {
            const struct promise *p = ledger_at(v->ledger, w, i);
            if (is_missed(v, e->kind, p))
                return err_set(err, ENODATA, "%s: message %zu:%zu was acknowledged (at %d:%" PRId64 ") and is LOST",
                               kind_topic(e->kind), w, i, p->queue, p->offset);
        }
        /* What is for later is looked at again next time. */
        while (e->checked < e->count && (!comes_later(e->kind) || ledger_at(v->ledger, w, e->checked)->found))
            e->checked++;
    }
    return 0;
}

int verify_run(struct verify *v, bool all, const int64_t *seen, struct err *err)
{
    v->all = all;
    if (all) {
        memset(v->next, 0, sizeof v->next);
        for (size_t w = 0; w < v->ledger->worker_count; w++) {
            v->ledger->workers[w].checked = 0;
            for (size_t i = 0; i < v->ledger->workers[w].count; i++)
                ledger_at(v->ledger, w, i)->found = false;
        }
    }
    if (read_topics(v, false, err))
        return -1;
    for (int32_t q = 0; q < QUEUES; q++)
        if (v->next[KIND_PLAIN][q] < seen[q])
            return err_set(err, ENODATA,
                           "plain queue %d ends at %" PRId64 ", but a consumer was given all below %" PRId64, q,
                           v->next[KIND_PLAIN][q], seen[q]);
    return find_missed(v, err);
}

/* Some message for later is not there yet. */
static bool has_waiting(const struct verify *v)
{
    for (size_t w = 0; w < v->ledger->worker_count; w++) {
        const struct entries *e = &v->ledger->workers[w];
        for (size_t i = e->checked; comes_later(e->kind) && i < e->count; i++)
            if (ledger_at(v->ledger, w, i)->state == PROMISE_STORED && !ledger_at(v->ledger, w, i)->found)
                return true;
    }
    return false;
}

int verify_settle(struct verify *v, int64_t timeout_ms, struct err *err)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    while (has_waiting(v) && clock_mono_ms() < until) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        if (read_topics(v, true, err))
            return -1;
    }
    return has_waiting(v)
               ? err_set(err, ETIMEDOUT, "delayed or timed messages are not delivered after %" PRId64 " ms", timeout_ms)
               : 0;
}

void verify_forget(struct verify *v)
{
    memset(v->next, 0, sizeof v->next);
}
