#include "remoting/schema.h"

#include <assert.h>

static inline unsigned slot_of(const char *name, size_t len)
{
    unsigned first = (unsigned char)name[0], last = (unsigned char)name[len - 1];
    return (first + 7 * last + 13 * (unsigned)len) % REM_SCHEMA_SLOTS;
}

void rem_schema_ready(struct rem_schema *s)
{
    if (s->fields)
        return;
    s->fields = s->table(&s->count);
    assert(s->count < REM_SCHEMA_SLOTS / 2);
    for (size_t i = 0; i < s->count; i++) {
        unsigned at = slot_of(s->fields[i].name, s->fields[i].name_len);
        while (s->slot[at])
            at = (at + 1) % REM_SCHEMA_SLOTS;
        s->slot[at] = (uint8_t)(i + 1);
    }
}

static inline const struct rem_schema_field *find(const struct rem_schema *s, struct str key)
{
    if (key.len == 0)
        return NULL;
    for (unsigned at = slot_of(key.ptr, key.len); s->slot[at]; at = (at + 1) % REM_SCHEMA_SLOTS) {
        const struct rem_schema_field *f = &s->fields[s->slot[at] - 1];
        if (f->name_len == key.len && f->name[0] == key.ptr[0] &&
            (key.len == 1 || memcmp(f->name, key.ptr, key.len) == 0))
            return f;
    }
    return NULL;
}

static bool set(const struct rem_schema_field *f, struct str value, void *member)
{
    switch ((enum rem_type)f->type) {
    case REM_TYPE_STR:
        *(struct str *)member = value;
        return true;
    case REM_TYPE_I32:
        return str_to_i32(value, member);
    case REM_TYPE_I64:
        return str_to_i64(value, member);
    case REM_TYPE_BOOL:
        *(bool *)member = value.len == 4 && (value.ptr[0] | 32) == 't' && str_ieq(value, STR_LIT("true"));
        return true;
    }
    return false;
}

bool rem_schema_decode(const struct rem_schema *s, const struct rem_command *c, void *header, const char **bad)
{
    uint64_t seen = 0;
    s->defaults(header);
    for (uint32_t i = 0; i < c->n_ext; i++) {
        const struct rem_schema_field *f = find(s, c->ext[i].key);
        if (f == NULL || str_is_null(c->ext[i].value))
            continue;
        if (set(f, c->ext[i].value, (char *)header + f->offset)) {
            seen |= UINT64_C(1) << (f - s->fields);
        } else if (f->required) {
            *bad = f->name;
            return false;
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->fields[i].required && !(seen >> i & 1)) {
            *bad = s->fields[i].name;
            return false;
        }
    }
    return true;
}

void rem_schema_write(const struct rem_schema *s, const void *header, struct rem_frame *f)
{
    /* Not s->fields: schemas of answers need no lookup, and nobody makes them ready. */
    size_t count;
    const struct rem_schema_field *fields = s->table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct rem_schema_field *field = &fields[i];
        const void *member = (const char *)header + field->offset;
        switch ((enum rem_type)field->type) {
        case REM_TYPE_STR:
            rem_frame_str(f, field->name, *(const struct str *)member);
            break;
        case REM_TYPE_I32:
            rem_frame_i64(f, field->name, *(const int32_t *)member);
            break;
        case REM_TYPE_I64:
            rem_frame_i64(f, field->name, *(const int64_t *)member);
            break;
        case REM_TYPE_BOOL:
            rem_frame_bool(f, field->name, *(const bool *)member);
            break;
        }
    }
}
