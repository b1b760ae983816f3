/* What the parts of the SQL92 filter share: tokens, values, the program. Not for other modules. */
#ifndef CROCKET_FILTER_SQL_INT_H
#define CROCKET_FILTER_SQL_INT_H

#include "filter/sql.h"

enum { SQL_NESTING_MAX = 256, SQL_STACK_MAX = 128 };

/* ---- sql_lex.c ---- */

enum sql_token_kind {
    TOKEN_END,
    TOKEN_BAD, /* no token begins here */
    TOKEN_NOT,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_BETWEEN,
    TOKEN_IN,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NULL,
    TOKEN_IS,
    TOKEN_CONTAINS,
    TOKEN_STARTSWITH,
    TOKEN_ENDSWITH,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_STRING,
    TOKEN_NAME,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_GREATER,
    TOKEN_GREATER_EQUAL,
    TOKEN_LESS,
    TOKEN_LESS_EQUAL,
    TOKEN_OPEN,
    TOKEN_COMMA,
    TOKEN_CLOSE,
    TOKEN_PLUS,
    TOKEN_MINUS,
};

struct sql_token {
    enum sql_token_kind kind;
    struct str text; /* as written, with quotes */
};

/* Takes the next token off *rest. */
struct sql_token sql_next_token(struct str *rest);

/* ---- sql_value.c ---- */

enum sql_type { SQL_TYPE_NULL, SQL_TYPE_BOOL, SQL_TYPE_INT, SQL_TYPE_LONG, SQL_TYPE_DOUBLE, SQL_TYPE_STRING };

struct sql_value {
    enum sql_type type;
    union {
        bool b;
        int32_t i;
        int64_t l;
        double d;
        struct str s;
    };
};

static inline bool sql_is_number(const struct sql_value *v)
{
    return v->type == SQL_TYPE_INT || v->type == SQL_TYPE_LONG || v->type == SQL_TYPE_DOUBLE;
}

/* As Java's Double.valueOf reads it. */
bool sql_read_double(struct str s, double *out);

/* The order of two values that are not null, after making their types equal: below 0, 0, above 0. False when the text
 * among them is none of the other's type. */
bool sql_compare(const struct sql_value *l, const struct sql_value *r, int *order);

/* ---- the program ---- */

/* Works on a stack of values. "Jump": to instruction a. */
enum sql_op {
    SQL_OP_CONSTANT,      /* pushes constant a */
    SQL_OP_PROPERTY,      /* pushes the property named by constant a */
    SQL_OP_DUP,           /* pushes the top again */
    SQL_OP_NEGATE,        /* of what is no number: null */
    SQL_OP_NOT,           /* of a truth value */
    SQL_OP_CAST,          /* to a truth value: a text is false */
    SQL_OP_IS_NULL,       /* to a truth value */
    SQL_OP_EQUAL,         /* two values to a truth value, as the next four */
    SQL_OP_GREATER,       /* */
    SQL_OP_GREATER_EQUAL, /* */
    SQL_OP_LESS,          /* */
    SQL_OP_LESS_EQUAL,    /* */
    SQL_OP_AND,           /* two truth values to one, as the next */
    SQL_OP_OR,            /* */
    SQL_OP_IN,            /* a text that is among b constants from a on */
    SQL_OP_NOT_IN,        /* */
    SQL_OP_CONTAINS,      /* a text that has constant a in it; b != 0: that does not */
    SQL_OP_STARTSWITH,    /* */
    SQL_OP_ENDSWITH,      /* */
    SQL_OP_JUMP_NULL,     /* jumps and leaves the top when it is null */
    SQL_OP_JUMP_FALSE,    /* the same when it is false */
    SQL_OP_JUMP_TRUE,     /* the same when it is true */
    SQL_OP_SWAP_UNLESS,   /* value, truth: when truth is b drops the value and jumps, else swaps them */
};

struct sql_code {
    uint32_t op, a, b;
};

struct sql {
    struct sql_code *code;
    struct sql_value *constants; /* texts are views of the copy below */
    uint32_t code_count, code_cap, constant_count, constant_cap;
    char text[]; /* the expression; its string literals are decoded in place */
};

#endif
