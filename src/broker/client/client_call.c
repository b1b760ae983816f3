#include "broker/client/client_call.h"

#include <stdlib.h>

struct client_call {
    struct net_task task;
    int32_t code;
    struct net_ref to;
    int64_t timeout_ms;
    rem_done_fn done;
    void *arg;
    struct arena arena;
    struct buf body;
    bool failed; /* memory ran out while it was filled */
    uint32_t n;
    struct rem_field fields[REM_MAX_EXT];
};

struct client_call *client_call_new(int32_t code)
{
    struct client_call *c = calloc(1, sizeof *c);
    if (c)
        c->code = code;
    return c;
}

void client_call_field(struct client_call *c, struct str key, struct str value)
{
    uint32_t i = 0;
    if (str_is_null(value))
        return;
    while (i < c->n && !str_eq(c->fields[i].key, key))
        i++;
    if (i == REM_MAX_EXT) {
        c->failed = true;
        return;
    }
    c->fields[i] = (struct rem_field){arena_str(&c->arena, key), arena_str(&c->arena, value)};
    if (str_is_null(c->fields[i].key) || str_is_null(c->fields[i].value))
        c->failed = true;
    else if (i == c->n)
        c->n++;
}

static void add_number(struct client_call *c, const char *name, int64_t v)
{
    char text[20];
    client_call_field(c, str_from(name), str_make(text, fmt_i64(text, v)));
}

void client_call_header(struct client_call *c, struct rem_schema *schema, const void *header)
{
    size_t count;
    const struct rem_schema_field *fields = schema->table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct rem_schema_field *f = &fields[i];
        const void *member = (const char *)header + f->offset;
        if (f->type == REM_TYPE_STR)
            client_call_field(c, str_from(f->name), *(const struct str *)member);
        else if (f->type == REM_TYPE_BOOL)
            client_call_field(c, str_from(f->name), *(const bool *)member ? STR_LIT("true") : STR_LIT("false"));
        else
            add_number(c, f->name, f->type == REM_TYPE_I32 ? *(const int32_t *)member : *(const int64_t *)member);
    }
}

void client_call_body(struct client_call *c, struct str body)
{
    buf_clear(&c->body);
    buf_add_str(&c->body, body);
}

void client_call_free(struct client_call *c)
{
    if (c == NULL)
        return;
    arena_free(&c->arena);
    buf_free(&c->body);
    free(c);
}

static void write_out(struct net_loop *loop, struct net_task *t)
{
    struct client_call *c = LIST_ENTRY(t, struct client_call, task);
    struct rem_call call;
    if (c->failed || !buf_ok(&c->body)) {
        if (c->done)
            c->done(c->arg, NULL, "out of memory");
    } else if (!rem_call_begin(&call, c->to, c->code, c->done == NULL)) {
        if (c->done)
            c->done(c->arg, NULL, "the connection is closed");
    } else {
        for (uint32_t i = 0; i < c->n; i++)
            rem_frame_str(&call.frame, c->fields[i].key.ptr, c->fields[i].value);
        rem_call_send(&call, buf_str(&c->body), c->timeout_ms, c->done, c->arg);
    }
    client_call_free(c);
}

void client_call_send(struct client_call *c, struct net_ref to, int64_t timeout_ms, rem_done_fn done, void *arg)
{
    c->to = to;
    c->timeout_ms = timeout_ms;
    c->done = done;
    c->arg = arg;
    c->task.fn = write_out;
    net_loop_post(to.loop, &c->task);
}
