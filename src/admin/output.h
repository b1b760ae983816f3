/*
 * What a command prints: tables, fields and lines for people, or the same as one JSON object. Text is written to stdout
 * as it comes, JSON when the output is finished. One thread at a time.
 */
#ifndef CROCKET_ADMIN_OUTPUT_H
#define CROCKET_ADMIN_OUTPUT_H

#include "base/json.h"

struct output {
    bool json;
    struct buf doc; /* JSON */
    struct jw w;
    struct buf lines; /* of output_line, for "messages" */
    const struct column *columns;
    size_t column_count, at;
    struct buf row;
};

/* A column of a table; width below 0: to the left, as nearly all of mqadmin's. */
struct column {
    const char *title; /* "#Broker Name" */
    const char *json;  /* "brokerName" */
    int width;
};

void output_begin(struct output *o, bool json);
void output_finish(struct output *o); /* prints what is left, frees */

/* A sentence about what was done: member of "messages" in JSON. */
void output_line(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Only for people: blank lines, underlines. */
void output_text(struct output *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A value of its own: "title value", and a JSON member. */
void output_str(struct output *o, const char *title, const char *json, struct str value);
void output_i64(struct output *o, const char *title, const char *json, int64_t value);
void output_double(struct output *o, const char *title, const char *json, double value);

/* A whole JSON value: as it is for people too. */
void output_raw(struct output *o, const char *json, struct str value);

void output_table(struct output *o, const char *json, const struct column *columns, size_t count);
void output_cell(struct output *o, struct str value);
void output_cell_i64(struct output *o, int64_t value);
void output_cell_double(struct output *o, int digits, double value);
void output_table_end(struct output *o);

#endif
