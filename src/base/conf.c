#include "base/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void *place(const struct conf_key *k, void *s)
{
    return (char *)s + k->offset;
}

static const void *place_const(const struct conf_key *k, const void *s)
{
    return (const char *)s + k->offset;
}

const struct conf_key *conf_find(const struct conf_table *t, struct str name)
{
    for (size_t i = 0; i < t->count; i++)
        if (str_eqz(name, t->keys[i].name))
            return &t->keys[i];
    return NULL;
}

/* Edits (insert, remove, replace a character; case does not count) that make a into b. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[64];
    if (a.len >= 64 || b.len >= 64)
        return 64;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = str_ieq(str_make(a.ptr + i - 1, 1), str_make(b.ptr + j - 1, 1));
            unsigned best = diagonal + !same;
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len];
}

static int fail_unknown(const struct conf_table *t, struct str name, struct err *err)
{
    const char *similar = NULL;
    unsigned least = 4;
    for (size_t i = 0; i < t->count; i++) {
        unsigned d = distance(name, str_from(t->keys[i].name));
        if (d < least) {
            least = d;
            similar = t->keys[i].name;
        }
    }
    if (similar)
        return err_set(err, ENOENT, "%s has no configuration key \"%.*s\"; did you mean %s?", t->what, STR_ARG(name),
                       similar);
    return err_set(err, ENOENT, "%s has no configuration key \"%.*s\"", t->what, STR_ARG(name));
}

static int fail_value(const struct conf_table *t, const struct conf_key *k, struct str value, struct err *err,
                      const char *allowed)
{
    return err_set(err, EINVAL, "%s configuration: %s cannot be \"%.*s\"; it must be %s", t->what, k->name,
                   STR_ARG(value), allowed);
}

static int set_bool(const struct conf_table *t, const struct conf_key *k, conf_bool *at, struct str value,
                    struct err *err)
{
    struct str word = str_trim(value);
    bool yes = str_ieq(word, STR_LIT("true"));
    if (!yes && !str_ieq(word, STR_LIT("false")))
        return fail_value(t, k, value, err, "true or false");
    *at = yes;
    return 0;
}

static int set_number(const struct conf_table *t, const struct conf_key *k, void *at, struct str value, struct err *err)
{
    int64_t min = k->min, max = k->max, v;
    char allowed[80];
    if (min == 0 && max == 0) {
        min = k->type == CONF_I32 ? INT32_MIN : INT64_MIN;
        max = k->type == CONF_I32 ? INT32_MAX : INT64_MAX;
    }
    if (!str_to_i64(str_trim(value), &v) || v < min || v > max) {
        snprintf(allowed, sizeof allowed, "a whole number from %" PRId64 " to %" PRId64, min, max);
        return fail_value(t, k, value, err, allowed);
    }
    if (k->type == CONF_I32)
        *(conf_i32 *)at = (int32_t)v;
    else
        *(conf_i64 *)at = v;
    return 0;
}

static int set_str(const struct conf_table *t, const struct conf_key *k, char **at, struct str value, struct err *err)
{
    /* A value is printed as one line of text. */
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\0' || value.ptr[i] == '\n' || value.ptr[i] == '\r')
            return fail_value(t, k, value, err, "one line of text");
    char *copy = str_dupz(value);
    if (copy == NULL)
        return err_set(err, ENOMEM, "out of memory while setting %s", k->name);
    free(*at);
    *at = copy;
    return 0;
}

static int set_enum(const struct conf_table *t, const struct conf_key *k, conf_enum *at, struct str value,
                    struct err *err)
{
    char allowed[200];
    size_t len = (size_t)snprintf(allowed, sizeof allowed, "one of");
    struct str word = str_trim(value);
    for (int i = 0; k->names[i]; i++) {
        if (str_ieq(word, str_from(k->names[i]))) {
            *at = i;
            return 0;
        }
        if (len < sizeof allowed)
            len += (size_t)snprintf(allowed + len, sizeof allowed - len, "%s %s", i ? "," : "", k->names[i]);
    }
    return fail_value(t, k, value, err, allowed);
}

static int set_value(const struct conf_table *t, const struct conf_key *k, void *s, struct str value, struct err *err)
{
    void *at = place(k, s);
    switch (k->type) {
    case CONF_BOOL:
        return set_bool(t, k, at, value, err);
    case CONF_STR:
        return set_str(t, k, at, value, err);
    case CONF_ENUM:
        return set_enum(t, k, at, value, err);
    default:
        return set_number(t, k, at, value, err);
    }
}

int conf_set(const struct conf_table *t, void *s, struct str name, struct str value, struct err *err)
{
    const struct conf_key *k = conf_find(t, name);
    return k ? set_value(t, k, s, value, err) : fail_unknown(t, name, err);
}

static void unset_str(const struct conf_key *k, void *s)
{
    char **at = place(k, s);
    free(*at);
    *at = NULL;
}

int conf_defaults(const struct conf_table *t, void *s, struct err *err)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *k = &t->keys[i];
        if (k->def == NULL && k->type == CONF_STR)
            unset_str(k, s);
        else if (set_value(t, k, s, str_from(k->def), err) < 0)
            return -1;
    }
    return 0;
}

void conf_free(const struct conf_table *t, void *s)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->keys[i].type == CONF_STR)
            unset_str(&t->keys[i], s);
}

void conf_print_value(const struct conf_key *k, const void *s, struct buf *out)
{
    const void *at = place_const(k, s);
    switch (k->type) {
    case CONF_BOOL:
        buf_add_str(out, *(const conf_bool *)at ? STR_LIT("true") : STR_LIT("false"));
        break;
    case CONF_I32:
        buf_add_i64(out, *(const conf_i32 *)at);
        break;
    case CONF_I64:
        buf_add_i64(out, *(const conf_i64 *)at);
        break;
    case CONF_STR:
        buf_add_str(out, str_from(*(char *const *)at));
        break;
    case CONF_ENUM:
        buf_add_str(out, str_from(k->names[*(const conf_enum *)at]));
        break;
    }
}

void conf_print(const struct conf_table *t, const void *s, struct buf *out)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *k = &t->keys[i];
        if (k->type == CONF_STR && *(char *const *)place_const(k, s) == NULL)
            continue;
        buf_add_str(out, str_from(k->name));
        buf_add_byte(out, '=');
        conf_print_value(k, s, out);
        buf_add_byte(out, '\n');
    }
}
