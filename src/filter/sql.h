/*
 * RocketMQ's SQL92 message filter: an expression over a message's properties, compiled once and evaluated often.
 *
 * The language (case-insensitive words): OR, AND, NOT; = <> IS [NOT] NULL; > >= < <=, [NOT] BETWEEN x AND y,
 * [NOT] IN ('a', 'b'), [NOT] CONTAINS | STARTSWITH | ENDSWITH 'text'; + and - before a value; ( ); property names;
 * 'text' with '' for a quote, 1, 1L, 1.5, 5E10, TRUE, FALSE, NULL; comments of two kinds. Properties are texts and take
 * the type of what they are compared with. What surprises is as in the Java broker: NOT binds tighter than comparisons,
 * texts cannot be ordered unless both are numbers, and what stands behind a complete expression is not looked at.
 *
 * Ownership: a program belongs to its caller. Threads: any; a program does not change, so many may evaluate it at once.
 */
#ifndef CROCKET_FILTER_SQL_H
#define CROCKET_FILTER_SQL_H

#include "base/err.h"
#include "base/str.h"

struct sql;

enum sql_result {
    SQL_FALSE,
    SQL_TRUE,
    SQL_UNKNOWN, /* three-valued logic's null */
    SQL_FAILED,  /* a value cannot be compared as the expression wants: such a message does not match */
};

/* NULL with err when the expression is malformed, of impossible types, or nested deeper than 256 levels. */
struct sql *sql_compile(struct str expression, struct err *err);
void sql_free(struct sql *s);
/* properties: the text of a record (message/message.h). Does not allocate. */
enum sql_result sql_evaluate(const struct sql *s, struct str properties);

#endif
