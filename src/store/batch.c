/* Appending: records are encoded into the batch's own memory, then written with one call under the append lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/deadline.h"
#include "os/thread.h"
#include "store/batch_int.h"
#include "store/mutant.h"

enum {
    TOPIC_MAX = 127,          /* of ordinary topics */
    TOPIC_MAX_RETRY = 255,    /* of retry topics */
    RECORD_EXTRA = 64 * 1024, /* what a record may be larger than the largest body */
    KEEP_CAPACITY = 1 << 20,  /* a batch that grew beyond gives its memory back */
    CLOCK_BACK_MS = 10000,    /* smaller steps back of the clock do not show in store times */
};

struct store_batch *store_batch_new(struct store *s)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (b)
        b->s = s;
    return b;
}

void store_batch_free(struct store_batch *b)
{
    if (b == NULL)
        return;
    free(b->data);
    free(b->records);
    free(b->queues);
    free(b->puts);
    free(b->numbers);
    buf_free(&b->text);
    free(b->physical);
    free(b->lookup);
    free(b->lookup_round);
    free(b);
}

size_t store_batch_count(const struct store_batch *b)
{
    return b->n_records;
}

bool batch_grow(void **array, size_t *cap, size_t need, size_t item)
{
    if (need <= *cap)
        return true;
    size_t want = *cap ? *cap : 32;
    while (want < need)
        want *= 2;
    void *grown = realloc(*array, want * item);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = want;
    return true;
}

static bool reserve(struct store_batch *b, size_t bytes, size_t records)
{
    size_t before = b->cap_records;
    void *data = b->data, *recs = b->records, *queues = b->queues, *puts = b->puts;
    bool ok = batch_grow(&data, &b->cap, b->len + bytes, 1);
    b->data = data;
    ok = ok && batch_grow(&recs, &b->cap_records, b->n_records + records, sizeof *b->records);
    b->records = recs;
    ok = ok && batch_grow(&queues, &b->cap_queues, b->n_queues + 1, sizeof *b->queues);
    b->queues = queues;
    ok = ok && batch_grow(&puts, &b->cap_puts, b->n_puts + 1, sizeof *b->puts);
    b->puts = puts;
    if (ok && (b->cap_records != before || b->physical == NULL)) {
        /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): batch_grow has seen to it that it is above 0 */
        int64_t *grown = realloc(b->physical, b->cap_records * sizeof *grown);
        if (grown == NULL)
            return false;
        b->physical = grown;
    }
    return ok;
}

/* ---- which queues the batch touches
 * ---------------------------------------------------------------------------------- */

static size_t slot_of(const struct store_batch *b, const struct cq *q)
{
    uint64_t h = (uint64_t)(uintptr_t)q * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32) & (b->lookup_cap - 1);
    while (b->lookup_round[i] == b->round && b->queues[b->lookup[i]].q != q)
        i = (i + 1) & (b->lookup_cap - 1);
    return i;
}

static bool grow_lookup(struct store_batch *b)
{
    if (b->lookup_cap >= 2 * (b->n_queues + 1))
        return true;
    size_t cap = b->lookup_cap ? b->lookup_cap * 2 : 64;
    uint32_t *lookup = malloc(cap * sizeof *lookup), *round = calloc(cap, sizeof *round);
    if (lookup == NULL || round == NULL) {
        free(lookup);
        free(round);
        return false;
    }
    free(b->lookup);
    free(b->lookup_round);
    b->lookup = lookup;
    b->lookup_round = round;
    b->lookup_cap = cap;
    b->round = 1;
    for (size_t i = 0; i < b->n_queues; i++) {
        size_t at = slot_of(b, b->queues[i].q);
        b->lookup[at] = (uint32_t)i;
        b->lookup_round[at] = b->round;
    }
    return true;
}

int32_t batch_queue_index(struct store_batch *b, struct cq *q)
{
    if (!grow_lookup(b))
        return BATCH_NO_QUEUE;
    size_t at = slot_of(b, q);
    if (b->lookup_round[at] == b->round)
        return (int32_t)b->lookup[at];
    b->lookup[at] = (uint32_t)b->n_queues;
    b->lookup_round[at] = b->round;
    b->queues[b->n_queues] = (struct batch_queue){.q = q};
    return (int32_t)b->n_queues++;
}

/* ---- adding
 * ---------------------------------------------------------------------------------------------------------- */

static size_t size_of(const struct store *s, const struct msg *m)
{
    return msg_record_size(m) + (s->conf.enabledAppendPropCRC ? msg_record_crc_room(m->properties) : 0);
}

static enum put_status check(const struct store_batch *b, const struct msg *m, size_t size, bool dispatched)
{
    const struct store_conf *conf = &b->s->conf;
    size_t body_max = (size_t)conf->maxMessageSize;
    size_t topic_max = str_starts(m->topic, STR_LIT("%RETRY%")) ? TOPIC_MAX_RETRY : TOPIC_MAX;
    if (m->topic.len == 0 || m->topic.len > topic_max || str_is_null(m->body))
        return PUT_MESSAGE_ILLEGAL;
    size_t more = conf->enabledAppendPropCRC ? msg_record_crc_room(m->properties) : 0;
    if (msg_properties_own(m->properties).len + more > MSG_PROPERTIES_MAX)
        return PUT_PROPERTIES_SIZE_EXCEEDED;
    /* Java's rule for messages in light message queues: the limit holds for the whole record. */
    if (m->body.len > body_max || size > body_max + (dispatched ? 0 : RECORD_EXTRA))
        return PUT_MESSAGE_ILLEGAL;
    return PUT_OK;
}

static void tell_filters(const struct store *s, struct batch_record *r, const struct msg *m, const struct cq *q)
{
    if (s->events.filter_bits == NULL || r->delay_ms >= 0 || cq_is_batch(q))
        return;
    r->filter_round = __atomic_load_n(&s->filter_round, __ATOMIC_ACQUIRE);
    r->filter_bits = s->events.filter_bits(s->events.arg, m->topic, m->properties);
}

int64_t store_filters_changed(struct store *s)
{
    pthread_mutex_lock(&s->append_lock);
    __atomic_add_fetch(&s->filter_round, 1, __ATOMIC_RELEASE);
    int64_t end = clog_max(s->log);
    pthread_mutex_unlock(&s->append_lock);
    return end;
}

static enum put_status add_record(struct store_batch *b, const struct store_msg *given)
{
    struct msg m;
    size_t first = b->n_numbers;
    enum put_status status = batch_numbers_prepare(b, given, &m);
    if (status != PUT_OK)
        return status;
    size_t size = size_of(b->s, &m);
    status = check(b, &m, size, b->n_numbers > first && given->batch_messages == 0);
    if (status != PUT_OK)
        return status;
    if (b->len + size > INT32_MAX || !reserve(b, size, 1))
        return PUT_UNKNOWN_ERROR;
    int32_t queue = BATCH_NO_QUEUE, messages = given->batch_messages > 0 ? given->batch_messages : 1;
    if (store_is_queued(m.sys_flag) && (queue = batch_queue_index(b, given->queue)) == BATCH_NO_QUEUE)
        return PUT_UNKNOWN_ERROR;
    uint8_t *at = b->data + b->len;
    msg_encode(at, &m);
    if (b->n_numbers > first)
        batch_numbers_place(b, first, (uint32_t)b->n_records, get_be32(at));
    if (b->s->conf.enabledAppendPropCRC)
        msg_record_crc_append(at, m.properties);
    struct batch_record *r = &b->records[b->n_records++];
    *r = (struct batch_record){
        .at = (uint32_t)b->len,
        .size = get_be32(at),
        .queue = queue,
        .messages = messages,
        .tags_code = given->tags_code,
        .delay_ms = store_delay_of(b->s, m.topic, m.properties),
    };
    if (queue != BATCH_NO_QUEUE) {
        r->nth = b->queues[queue].count;
        b->queues[queue].count += (uint32_t)messages;
        tell_filters(b->s, r, &m, given->queue);
    }
    b->len += r->size;
    return PUT_OK;
}

/* Takes back the records from `first` on, which begin at data `len`. */
static void take_back(struct store_batch *b, size_t first, size_t len, size_t numbers)
{
    batch_numbers_forget(b, numbers);
    while (b->n_records > first) {
        const struct batch_record *r = &b->records[--b->n_records];
        if (r->queue != BATCH_NO_QUEUE)
            b->queues[r->queue].count -= (uint32_t)r->messages;
    }
    b->len = len;
}

enum put_status store_batch_add_many(struct store_batch *b, const struct store_msg *m, size_t n, void *user)
{
    size_t first = b->n_records, len = b->len, numbers = b->n_numbers;
    enum put_status status = n == 0 || n > UINT32_MAX ? PUT_MESSAGE_ILLEGAL : PUT_OK;
    for (size_t i = 0; i < n && status == PUT_OK; i++)
        status = add_record(b, &m[i]);
    size_t spare = CLOG_TAIL_RESERVE + (b->n_numbers - numbers) * BATCH_NUMBER_MAX;
    if (status == PUT_OK && b->len - len + spare > (size_t)clog_segment_size(b->s->log))
        status = PUT_MESSAGE_ILLEGAL;
    if (status != PUT_OK) {
        take_back(b, first, len, numbers);
        return status;
    }
    b->puts[b->n_puts++] =
        (struct batch_put){.user = user, .first = (uint32_t)first, .count = (uint32_t)n, .bytes = b->len - len};
    return PUT_OK;
}

enum put_status store_batch_add(struct store_batch *b, const struct store_msg *m, void *user)
{
    return store_batch_add_many(b, m, 1, user);
}

/* ---- committing
 * ------------------------------------------------------------------------------------------------------ */

bool pending_push(struct store *s, struct cq *q, int64_t max, int64_t end)
{
    if (s->pending_count == s->pending_cap) {
        size_t cap = s->pending_cap ? s->pending_cap * 2 : 1024;
        struct pending_publish *ring = malloc(cap * sizeof *ring);
        if (ring == NULL)
            return false;
        for (size_t i = 0; i < s->pending_count; i++)
            ring[i] = s->pending[(s->pending_head + i) & (s->pending_cap - 1)];
        free(s->pending);
        s->pending = ring;
        s->pending_cap = cap;
        s->pending_head = 0;
    }
    s->pending[(s->pending_head + s->pending_count++) & (s->pending_cap - 1)] = (struct pending_publish){q, max, end};
    return true;
}

/* Store times go up within the log although the clock may be set back a little. */
static int64_t stamp(struct store *s)
{
    int64_t now = s->fs->now_ms(s->fs);
    if (now < s->last_store_time && s->last_store_time - now < CLOCK_BACK_MS)
        now = s->last_store_time;
    s->last_store_time = now;
    return now;
}

/* Writes the final offsets and the time into the records of puts [from, to), which will stand at log offset `at`. */
static void patch(struct store_batch *b, size_t from, size_t to, int64_t at)
{
    const struct batch_put *last = &b->puts[to - 1];
    for (size_t i = b->puts[from].first; i < last->first + last->count; i++) {
        struct batch_record *r = &b->records[i];
        int64_t offset = r->queue == BATCH_NO_QUEUE ? 0 : b->queues[r->queue].base + r->nth;
        msg_patch(b->data + r->at, offset, at, b->store_time);
        if (b->s->conf.enabledAppendPropCRC)
            msg_record_crc_seal(b->data + r->at);
        b->physical[i] = at;
        at += r->size;
    }
}

static bool enter_one(struct store_batch *b, int32_t queue, const struct store_entry *e)
{
    struct batch_queue *bq = &b->queues[queue];
    bq->appended++;
    if (cq_enter(bq->q, e))
        return true;
    store_die(b->s, "no memory for a consume queue entry", ENOMEM);
    return false;
}

/* Adds the queue entries of the written puts [from, to). The log is ahead of the queues if this fails: only a restart,
 * which rebuilds them from the log, gets that right. */
static void enter(struct store_batch *b, size_t from, size_t to)
{
    const struct batch_put *last = &b->puts[to - 1];
    size_t number = 0;
    for (size_t i = b->puts[from].first; i < last->first + last->count; i++) {
        struct batch_record *r = &b->records[i];
        if (r->queue == BATCH_NO_QUEUE)
            continue;
        struct store_entry e = {
            .physical_offset = b->physical[i],
            .size = (int32_t)r->size,
            .messages = r->messages,
            .tags_code = r->delay_ms >= 0 ? b->store_time + r->delay_ms : r->tags_code,
            .queue_offset = b->queues[r->queue].base + r->nth,
            .store_time = b->store_time,
            .filter_bits = r->filter_round == b->s->filter_round ? r->filter_bits : 0,
        };
        if (!enter_one(b, r->queue, &e))
            return;
        e.filter_bits = 0; /* light message queues have filters of their own */
        while (number < b->n_numbers && b->numbers[number].record < i)
            number++;
        for (; number < b->n_numbers && b->numbers[number].record == i; number++) {
            const struct batch_number *n = &b->numbers[number];
            e.queue_offset = b->queues[n->queue].base + n->nth;
            if (n->entry && !enter_one(b, n->queue, &e))
                return;
        }
    }
}

static void publish(struct store_batch *b)
{
    struct store *s = b->s;
    int64_t end = clog_max(s->log);
    for (size_t i = 0; i < b->n_queues; i++) {
        struct batch_queue *bq = &b->queues[i];
        if (bq->appended == 0)
            continue;
        if (!s->hide_unflushed || MUTANT(VISIBLE_BEFORE_FLUSH))
            bq->loops = cq_publish(bq->q, cq_end(bq->q));
        else if (!pending_push(s, bq->q, cq_end(bq->q), end))
            store_die(s, "no memory for messages waiting for the flush", ENOMEM);
    }
}

static enum put_status status_of(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EIO ? PUT_SERVICE_NOT_AVAILABLE : PUT_CREATE_FILE_FAILED;
}

/* Appends puts from `from` on as far as the last segment takes them; returns the first one left. On failure marks all
 * the rest and returns n_puts. */
static size_t append_run(struct store_batch *b, size_t from)
{
    struct commitlog *log = b->s->log;
    int64_t room = clog_room(log);
    size_t to = from, bytes = 0;
    while (to < b->n_puts && (int64_t)(bytes + b->puts[to].bytes) <= room)
        bytes += b->puts[to++].bytes;
    bool roll = to < b->n_puts;
    int error = 0, next_error = roll ? clog_ensure_next(log) : 0;
    int64_t at = clog_max(log);
    if (to > from)
        patch(b, from, to, at);
    const uint8_t *data = b->data + b->records[b->puts[from].first].at;
    if (to > from || next_error == 0)
        error = clog_append(log, data, bytes, roll && next_error == 0);
    if (error == 0 && to > from)
        enter(b, from, to);
    if (error == 0 && next_error == 0)
        return to;
    size_t bad = error ? from : to;
    LOG_LIMITED(LOG_ERROR, "store", "commit log append failed: %s", strerror(-(error ? error : next_error)));
    if (error == -EIO)
        store_die(b->s, "writing the commit log failed", EIO);
    for (size_t i = bad; i < b->n_puts; i++)
        b->puts[i].status = status_of(error ? error : next_error);
    return b->n_puts;
}

static void refuse_all(struct store_batch *b, enum put_status status)
{
    for (size_t i = 0; i < b->n_puts; i++)
        b->puts[i].status = status;
}

static void append_all(struct store_batch *b)
{
    struct store *s = b->s;
    int64_t since = clock_mono_ms();
    /* When it takes so long, whoever waits on had better do something else. */
    if (!mutex_lock_within(&s->append_lock, s->conf.osPageCacheBusyTimeOutMills)) {
        refuse_all(b, PUT_PAGE_CACHE_BUSY);
        return;
    }
    __atomic_store_n(&s->append_since, since, __ATOMIC_RELAXED);
    b->store_time = stamp(s);
    for (size_t i = 0; i < b->n_queues; i++)
        b->queues[i].base = cq_next(b->queues[i].q);
    size_t next = 0;
    if (b->n_numbers && !batch_numbers_fill(b)) {
        refuse_all(b, PUT_UNKNOWN_ERROR);
        next = b->n_puts;
    }
    while (next < b->n_puts)
        next = append_run(b, next);
    publish(b);
    __atomic_store_n(&s->append_since, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->append_lock);
}

static void tell_arrivals(struct store_batch *b)
{
    struct store *s = b->s;
    for (size_t i = 0; i < b->n_queues; i++)
        if (b->queues[i].loops && s->events.arrived)
            s->events.arrived(s->events.arg, b->queues[i].q, b->queues[i].loops);
}

static void tell_results(struct store_batch *b, put_done_fn done, void *arg)
{
    struct store *s = b->s;
    int64_t stored = 0, bytes = 0, failed = 0;
    for (size_t i = 0; i < b->n_puts; i++) {
        const struct batch_put *p = &b->puts[i];
        const struct batch_record *first = &b->records[p->first], *last = &b->records[p->first + p->count - 1];
        struct put_result r = {.status = p->status, .count = p->count, .bytes = (uint32_t)p->bytes};
        for (uint32_t k = 0; k < p->count; k++)
            r.messages += (uint32_t)first[k].messages;
        if (p->status == PUT_OK) {
            r.queue_offset = first->queue == BATCH_NO_QUEUE ? 0 : b->queues[first->queue].base + first->nth;
            r.physical_offsets = b->physical + p->first;
            r.store_time = b->store_time;
            r.end_offset = b->physical[p->first + p->count - 1] + last->size;
            stored += p->count;
            bytes += (int64_t)p->bytes;
        } else {
            failed += p->count;
        }
        done(arg, p->user, &r);
    }
    stat_add(&s->puts, stored);
    stat_add(&s->put_bytes, bytes);
    if (failed)
        stat_add(&s->put_failed, failed);
}

static void reset(struct store_batch *b)
{
    b->len = b->n_records = b->n_queues = b->n_puts = b->n_numbers = 0;
    if (++b->round == 0) {
        b->round = 1;
        memset(b->lookup_round, 0, b->lookup_cap * sizeof *b->lookup_round);
    }
    if (b->cap > KEEP_CAPACITY) {
        free(b->data);
        b->data = NULL;
        b->cap = 0;
    }
}

static bool is_overdue(const struct store *s, const int64_t *since)
{
    int64_t begun = __atomic_load_n(since, __ATOMIC_RELAXED);
    return begun && clock_mono_ms() - begun >= s->conf.osPageCacheBusyTimeOutMills;
}

/* Waiting for the append lock would stop the caller's other work; behind a sync that does not end more and more senders
 * would wait, and be told after all that it took too long. */
const char *store_busy(const struct store *s)
{
    if (is_overdue(s, &s->append_since))
        return "[PC_SYNCHRONIZED]broker busy, start flow control for a while: the disk holds up an append to the "
               "commit "
               "log (osPageCacheBusyTimeOutMills)";
    if (s->sync_flush && is_overdue(s, &s->sync_since))
        return "[PC_SYNCHRONIZED]broker busy, start flow control for a while: the disk holds up a sync of the commit "
               "log "
               "(osPageCacheBusyTimeOutMills)";
    return NULL;
}

void store_batch_commit(struct store_batch *b, put_done_fn done, void *arg)
{
    struct store *s = b->s;
    if (b->n_puts == 0)
        return;
    if (store_not_writable(s))
        refuse_all(b, PUT_SERVICE_NOT_AVAILABLE);
    else if (store_busy(s))
        refuse_all(b, PUT_PAGE_CACHE_BUSY);
    else {
        append_all(b);
        tell_arrivals(b);
        if (s->sync_flush)
            store_want_flush(s);
        if (s->index)
            waker_wake(&s->dispatcher_wake);
    }
    tell_results(b, done, arg);
    reset(b);
}

/* ---- one message
 * ----------------------------------------------------------------------------------------------------- */

static void keep_result(void *arg, void *user, const struct put_result *r)
{
    struct put_result *out = arg;
    *out = *r;
    out->physical_offsets = NULL;
}

bool store_wait_flushed(struct store *s, int64_t end)
{
    struct timespec until = deadline_in(CLOCK_MONOTONIC, s->conf.syncFlushTimeout);
    if (!s->running)
        flusher_step(s);
    __atomic_add_fetch(&s->flushed_waiters, 1, __ATOMIC_SEQ_CST);
    store_want_flush(s);
    pthread_mutex_lock(&s->flushed_lock);
    while (store_flushed(s) < end && s->running)
        if (pthread_cond_timedwait(&s->flushed_cond, &s->flushed_lock, &until))
            break;
    pthread_mutex_unlock(&s->flushed_lock);
    __atomic_sub_fetch(&s->flushed_waiters, 1, __ATOMIC_SEQ_CST);
    return store_flushed(s) >= end;
}

enum put_status store_put(struct store *s, const struct store_msg *m, struct put_result *r)
{
    struct put_result own;
    if (r == NULL)
        r = &own;
    memset(r, 0, sizeof *r);
    pthread_mutex_lock(&s->put_lock);
    if (s->put_batch == NULL)
        s->put_batch = store_batch_new(s);
    r->status = s->put_batch ? store_batch_add(s->put_batch, m, NULL) : PUT_UNKNOWN_ERROR;
    if (r->status == PUT_OK)
        store_batch_commit(s->put_batch, keep_result, r);
    pthread_mutex_unlock(&s->put_lock);
    if (r->status == PUT_OK && s->sync_flush && !store_wait_flushed(s, r->end_offset))
        r->status = PUT_FLUSH_DISK_TIMEOUT;
    return r->status;
}
