/*
 * Configuration as a table: one row a key, with its type, place in a struct, default, range and meaning. The same table
 * parses .properties files and --set key=value, checks, prints (GET_*_CONFIG, --help) and updates at run time.
 * The table is static; strings set into a struct are owned by it (conf_free). The caller locks: one thread
 * at a time changes a struct, and strings only while nobody reads them.
 */
#ifndef CROCKET_BASE_CONF_H
#define CROCKET_BASE_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include <stdatomic.h>

/* What the struct holds. Numbers may change while other threads read them. */
typedef atomic_bool conf_bool;
typedef _Atomic int32_t conf_i32;
typedef _Atomic int64_t conf_i64;
typedef atomic_int conf_enum;

enum conf_type { CONF_BOOL, CONF_I32, CONF_I64, CONF_STR, CONF_ENUM };

struct conf_key {
    const char *name; /* RocketMQ's own key */
    enum conf_type type;
    size_t offset;            /* in the struct: conf_bool, conf_i32, conf_i64, char *, conf_enum (index into names) */
    const char *def;          /* default as text; NULL string = unset */
    int64_t min, max;         /* of numbers; both 0 = any */
    const char *const *names; /* CONF_ENUM: NULL-terminated */
    bool live;                /* may change while running */
    const char *doc;          /* what it does, one line */
};

struct conf_table {
    const char *what; /* "broker", for messages */
    const struct conf_key *keys;
    size_t count;
};

/* The struct must be zeroed before its first use with a table. */
int conf_defaults(const struct conf_table *t, void *s, struct err *err);
void conf_free(const struct conf_table *t, void *s);
const struct conf_key *conf_find(const struct conf_table *t, struct str name);
/* Sets one key; -1 and err (key, value, what is allowed) when the value is no good. A key not in the table: err->code
 * is ENOENT, and the text names the most similar key. */
int conf_set(const struct conf_table *t, void *s, struct str name, struct str value, struct err *err);
/* Value of a key as Java prints it. */
void conf_print_value(const struct conf_key *k, const void *s, struct buf *out);
/* All keys as "key=value\n", the order of the table. Unset strings are left out. */
void conf_print(const struct conf_table *t, const void *s, struct buf *out);

#endif
