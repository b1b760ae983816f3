#include "fault/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *kind_topic(enum kind kind)
{
    static const char *const topics[KINDS] = {"fault_plain", "fault_delayed", "fault_timed", "fault_transaction",
                                              "fault_popped"};
    return topics[kind];
}

size_t ledger_count(const struct ledger *l, size_t worker)
{
    return __atomic_load_n(&l->workers[worker].count, __ATOMIC_ACQUIRE);
}

size_t ledger_add(struct ledger *l, size_t worker, int64_t due_ms)
{
    struct entries *e = &l->workers[worker];
    struct promise **chunk = &e->chunks[e->count / CHUNK];
    if (*chunk == NULL)
        *chunk = calloc(CHUNK, sizeof **chunk);
    if (*chunk == NULL)
        abort(); /* a test's machine has memory */
    (*chunk)[e->count % CHUNK] = (struct promise){.queue = -1, .due_ms = due_ms};
    __atomic_store_n(&e->count, e->count + 1, __ATOMIC_RELEASE);
    return e->count - 1;
}

struct promise *ledger_at(const struct ledger *l, size_t worker, size_t number)
{
    return &l->workers[worker].chunks[number / CHUNK][number % CHUNK];
}

void ledger_forget(struct ledger *l)
{
    for (size_t w = 0; w < l->worker_count; w++)
        l->workers[w].count = l->workers[w].checked = 0;
}

void ledger_free(struct ledger *l)
{
    for (size_t w = 0; w < l->worker_count; w++)
        for (size_t i = 0; i < CHUNKS_MAX; i++)
            free(l->workers[w].chunks[i]);
}

size_t ledger_promised(const struct ledger *l, enum kind kind)
{
    size_t n = 0;
    for (size_t w = 0; w < l->worker_count; w++)
        for (size_t i = 0; l->workers[w].kind == kind && i < l->workers[w].count; i++)
            n += ledger_at(l, w, i)->state != PROMISE_NONE;
    return n;
}

struct str ledger_body(const struct ledger *l, size_t worker, size_t number, char out[BODY_MAX])
{
    int len = snprintf(out, BODY_MAX, "%zu:%zu:", worker, number);
    size_t size = l->body_size > (size_t)len ? l->body_size : (size_t)len;
    uint64_t x = worker * 0x9E3779B97F4A7C15u + number + 1;
    for (size_t i = (size_t)len; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (char)('a' + (x >> 32) % 26);
    }
    return str_make(out, size);
}

struct promise *ledger_find(const struct ledger *l, enum kind kind, struct str body, size_t *worker, size_t *number)
{
    char text[64], expected[BODY_MAX];
    size_t n = body.len < sizeof text - 1 ? body.len : sizeof text - 1;
    memcpy(text, body.ptr, n);
    text[n] = '\0';
    if (sscanf(text, "%zu:%zu:", worker, number) != 2 || *worker >= l->worker_count ||
        *number >= ledger_count(l, *worker) || l->workers[*worker].kind != kind ||
        !str_eq(body, ledger_body(l, *worker, *number, expected)))
        return NULL;
    return ledger_at(l, *worker, *number);
}
