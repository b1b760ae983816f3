/*
 * Command lines by table: one row an option, with its names, whether it takes a value, and its help text. Both
 * spellings of the Java tools are read: -n VALUE, -nVALUE, --name VALUE, --name=VALUE, and short names of more than one
 * letter. Parsed values are views of argv; nothing to free. One thread at a time.
 */
#ifndef CROCKET_BASE_ARGS_H
#define CROCKET_BASE_ARGS_H

#include "base/buf.h"
#include "base/err.h"

enum { ARGS_MAX = 256 };

struct arg_option {
    const char *brief; /* "n", or NULL */
    const char *name;  /* "namesrvAddr", or NULL; one of both is there */
    const char *value; /* what the value is, for the help: "ADDR"; NULL: an option without value */
    bool required;
    const char *help;
};

struct args {
    const struct arg_option *options;
    size_t option_count;
    struct {
        const struct arg_option *option;
        const char *value; /* "" for an option without value */
    } given[ARGS_MAX];
    size_t given_count;
    const char *plain[ARGS_MAX]; /* what is no option, in order */
    size_t plain_count;
};

/* argv[0] is skipped. -1 with err: unknown option, value missing or too much of it. -h and --help need no row: see
 * args_wants_help, which is to be asked before args_check. */
int args_parse(struct args *a, const struct arg_option *options, size_t count, int argc, char **argv, struct err *err);
bool args_wants_help(const struct args *a);
int args_check(const struct args *a, struct err *err); /* -1: a required option is missing */

/* By long name (or the short one when there is no long one). The last one given counts. */
const char *args_get(const struct args *a, const char *name); /* NULL: not given */
const char *args_or(const struct args *a, const char *name, const char *otherwise);
bool args_has(const struct args *a, const char *name);
/* The next value of an option that may be repeated; *at starts as 0. NULL: no more. */
const char *args_next(const struct args *a, const char *name, size_t *at);
/* *out stays as it is when the option is absent; -1 with err when the value is no number in [min, max]. */
int args_i64(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err);

/* The rows as help text, one a line. */
void args_help(struct buf *out, const struct arg_option *options, size_t count);

#endif
