#include "remoting/body/data_version.h"

bool data_version_eq(const struct data_version *a, const struct data_version *b)
{
    return a->state_version == b->state_version && a->timestamp == b->timestamp && a->counter == b->counter;
}

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

int data_version_cmp(const struct data_version *a, const struct data_version *b)
{
    int c = compare(a->state_version, b->state_version);
    if (c == 0)
        c = compare(a->counter, b->counter);
    return c ? c : compare(a->timestamp, b->timestamp);
}

void data_version_next(struct data_version *v, int64_t state_version, int64_t now_ms)
{
    v->state_version = state_version;
    v->timestamp = now_ms;
    v->counter++;
}

bool data_version_read(const struct json *json, struct data_version *out)
{
    *out = (struct data_version){
        .state_version = json_i64(json, "stateVersion", 0),
        .timestamp = json_i64(json, "timestamp", 0),
        .counter = json_i64(json, "counter", 0),
    };
    return json && json->kind == JSON_OBJECT;
}

void data_version_write(struct jw *w, const struct data_version *v)
{
    jw_begin_object(w);
    jw_ki64(w, "counter", v->counter);
    jw_ki64(w, "stateVersion", v->state_version);
    jw_ki64(w, "timestamp", v->timestamp);
    jw_end_object(w);
}
