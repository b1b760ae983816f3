/*
 * From text to program in one pass: the code of an operand is written when the operand has been read, and its operator
 * follows it. Which operands fit together is checked on the way. Chains (a OR b OR ...) are loops; only brackets and
 * signs nest.
 */
#include "filter/sql_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
    struct sql *s;
    struct str source, rest;
    struct sql_token token; /* looked at, not taken */
    struct err *err;
    uint32_t depth, max_depth; /* of the stack */
    int nesting;
    bool failed;
};

/* What is known of an expression before any message is seen. */
struct operand {
    bool is_truth, is_constant, is_property;
    struct sql_value value; /* of a constant */
    uint32_t begin;         /* its first instruction */
};

static struct operand or_expression(struct parser *p);

/* ---- errors ---- */

/* Only the first one counts: what follows comes of it. */
static void fail_at(struct parser *p, struct str where, const char *what)
{
    if (p->failed)
        return;
    p->failed = true;
    size_t line = 1, column = 1;
    for (const char *c = p->source.ptr; c < where.ptr; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    err_set(p->err, EINVAL, "%s at line %zu, column %zu", what, line, column);
}

static void unexpected(struct parser *p, const char *wanted)
{
    char what[200];
    struct str t = p->token.text;
    if (p->token.kind == TOKEN_END)
        snprintf(what, sizeof what, "Encountered the end, was expecting %s", wanted);
    else
        snprintf(what, sizeof what, "Encountered \"%.*s\", was expecting %s", (int)(t.len < 60 ? t.len : 60), t.ptr,
                 wanted);
    fail_at(p, t, what);
}

static void no_memory(struct parser *p)
{
    if (!p->failed)
        err_set(p->err, ENOMEM, "out of memory for a filter expression");
    p->failed = true;
}

/* ---- tokens ---- */

static void advance(struct parser *p)
{
    p->token = sql_next_token(&p->rest);
    if (p->token.kind == TOKEN_BAD)
        unexpected(p, "a word, a number, a text or an operator");
}

/* After a failure nothing is accepted any more, so that every loop ends. */
static bool is(const struct parser *p, enum sql_token_kind kind)
{
    return !p->failed && p->token.kind == kind;
}

static bool accept(struct parser *p, enum sql_token_kind kind)
{
    if (!is(p, kind))
        return false;
    advance(p);
    return true;
}

static void expect(struct parser *p, enum sql_token_kind kind, const char *wanted)
{
    if (!accept(p, kind))
        unexpected(p, wanted);
}

/* ---- code ---- */

/* Room for another item; NULL when out of memory, items stay then. */
static void *grown(void *items, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    uint32_t more = *cap ? *cap * 2 : 8;
    void *bigger = realloc(items, more * size);
    if (bigger)
        *cap = more;
    return bigger;
}

/* effect: by how much the stack grows. Returns the instruction's place. */
static uint32_t emit(struct parser *p, enum sql_op op, uint32_t a, uint32_t b, int effect)
{
    struct sql *s = p->s;
    struct sql_code *code = grown(s->code, s->code_count, &s->code_cap, sizeof *code);
    if (code == NULL) {
        no_memory(p);
        return 0;
    }
    s->code = code;
    s->code[s->code_count] = (struct sql_code){op, a, b};
    p->depth = (uint32_t)((int)p->depth + effect);
    if (p->depth > p->max_depth)
        p->max_depth = p->depth;
    return s->code_count++;
}

static void land(struct parser *p, uint32_t jump)
{
    if (!p->failed)
        p->s->code[jump].a = p->s->code_count;
}

static uint32_t constant(struct parser *p, const struct sql_value *v)
{
    struct sql *s = p->s;
    struct sql_value *constants = grown(s->constants, s->constant_count, &s->constant_cap, sizeof *constants);
    if (constants == NULL) {
        no_memory(p);
        return 0;
    }
    s->constants = constants;
    s->constants[s->constant_count] = *v;
    return s->constant_count++;
}

static struct operand truth(uint32_t begin)
{
    return (struct operand){.is_truth = true, .begin = begin};
}

static struct operand push(struct parser *p, struct sql_value v, bool is_truth)
{
    uint32_t begin = emit(p, SQL_OP_CONSTANT, constant(p, &v), 0, 1);
    return (struct operand){.is_constant = true, .is_truth = is_truth, .value = v, .begin = begin};
}

/* ---- what fits together ---- */

/* A property stands for a truth value where one is needed. */
static void want_truth(struct parser *p, const struct operand *o, struct str where)
{
    if (o->is_property)
        emit(p, SQL_OP_CAST, 0, 0, 0);
    else if (!o->is_truth)
        fail_at(p, where, "Expression will not result in a boolean value");
}

static void want_ordered(struct parser *p, const struct operand *o, struct str where)
{
    if (o->is_constant ? !sql_is_number(&o->value) : o->is_truth)
        fail_at(p, where, "Only numbers and properties can be compared by <, <=, >, >= and BETWEEN");
}

static void want_equatable(struct parser *p, const struct operand *l, const struct operand *r, struct str where)
{
    if ((l->is_constant && l->value.type == SQL_TYPE_NULL) || (r->is_constant && r->value.type == SQL_TYPE_NULL))
        fail_at(p, where, "NULL cannot be compared, use IS NULL");
    if (l->is_constant && r->is_constant && l->is_truth && !r->is_truth)
        fail_at(p, where, "TRUE and FALSE cannot be compared with a number or a text");
}

/* ---- literals ---- */

/* Decodes in the program's own copy: '' becomes '. */
static struct str decode(struct str literal)
{
    char *to = (char *)(uintptr_t)literal.ptr + 1;
    struct str out = {to, 0};
    for (size_t i = 1; i + 1 < literal.len; i++) {
        char c = literal.ptr[i];
        if (c == '\'')
            i++;
        to[out.len++] = c;
    }
    return out;
}

static struct sql_value text_literal(struct parser *p)
{
    struct sql_value v = {.type = SQL_TYPE_STRING};
    if (is(p, TOKEN_STRING))
        v.s = decode(p->token.text);
    expect(p, TOKEN_STRING, "a text in single quotes");
    return v;
}

static struct operand integer(struct parser *p)
{
    struct str text = p->token.text;
    struct sql_value v = {.type = SQL_TYPE_INT};
    int64_t l = 0;
    if ((text.ptr[text.len - 1] | 0x20) == 'l')
        text.len--;
    if (!str_to_i64(text, &l))
        fail_at(p, text, "The number is greater than 9223372036854775807");
    if (l > INT32_MAX) {
        v.type = SQL_TYPE_LONG;
        v.l = l;
    } else {
        v.i = (int32_t)l;
    }
    advance(p);
    return push(p, v, false);
}

/* Java's broker refuses 0.0 too: it takes it for a number too small to be stored. */
static struct operand floating(struct parser *p)
{
    struct sql_value v = {.type = SQL_TYPE_DOUBLE};
    if (!sql_read_double(p->token.text, &v.d) || v.d > __DBL_MAX__)
        fail_at(p, p->token.text, "The number is greater than 1.7976931348623157E308");
    else if (v.d < __DBL_DENORM_MIN__)
        fail_at(p, p->token.text, "The number is less than 4.9E-324");
    advance(p);
    return push(p, v, false);
}

static struct operand truth_literal(struct parser *p)
{
    struct sql_value v = {.type = is(p, TOKEN_NULL) ? SQL_TYPE_NULL : SQL_TYPE_BOOL};
    if (v.type == SQL_TYPE_BOOL)
        v.b = is(p, TOKEN_TRUE);
    advance(p);
    return push(p, v, true);
}

static struct operand property(struct parser *p)
{
    struct sql_value name = {.type = SQL_TYPE_STRING, .s = p->token.text};
    uint32_t begin = emit(p, SQL_OP_PROPERTY, constant(p, &name), 0, 1);
    advance(p);
    return (struct operand){.is_property = true, .begin = begin};
}

/* ---- operators ---- */

static struct operand primary(struct parser *p)
{
    struct operand o = {0};
    switch (p->token.kind) {
    case TOKEN_STRING:
        return push(p, text_literal(p), false);
    case TOKEN_INTEGER:
        return integer(p);
    case TOKEN_FLOAT:
        return floating(p);
    case TOKEN_TRUE:
    case TOKEN_FALSE:
    case TOKEN_NULL:
        return truth_literal(p);
    case TOKEN_NAME:
        return property(p);
    case TOKEN_OPEN:
        advance(p);
        o = or_expression(p);
        expect(p, TOKEN_CLOSE, "\")\"");
        return o;
    default:
        unexpected(p, "a value, a property, NOT or \"(\"");
        return o;
    }
}

static struct operand unary(struct parser *p)
{
    struct operand o = {0};
    struct str where = p->token.text;
    if (p->nesting == SQL_NESTING_MAX)
        fail_at(p, where, "The expression is nested too deeply");
    if (p->failed)
        return o;
    p->nesting++;
    if (accept(p, TOKEN_PLUS)) {
        o = unary(p);
    } else if (accept(p, TOKEN_MINUS)) {
        o = (struct operand){.begin = unary(p).begin};
        emit(p, SQL_OP_NEGATE, 0, 0, 0);
    } else if (accept(p, TOKEN_NOT)) {
        o = unary(p);
        want_truth(p, &o, where);
        emit(p, SQL_OP_NOT, 0, 0, 0);
        o = truth(o.begin);
    } else {
        o = primary(p);
    }
    p->nesting--;
    return o;
}

static struct operand ordering(struct parser *p, struct operand left, enum sql_op op)
{
    struct str where = p->token.text;
    advance(p);
    uint32_t jump = emit(p, SQL_OP_JUMP_NULL, 0, 0, 0);
    struct operand right = unary(p);
    want_ordered(p, &left, where);
    want_ordered(p, &right, where);
    emit(p, op, 0, 0, -1);
    land(p, jump);
    return truth(left.begin);
}

/* value >= low AND value <= high, or with negated: value < low OR value > high. */
static struct operand between(struct parser *p, struct operand value, bool negated)
{
    struct str where = p->token.text;
    advance(p);
    uint32_t null = emit(p, SQL_OP_JUMP_NULL, 0, 0, 0);
    emit(p, SQL_OP_DUP, 0, 0, 1);
    struct operand low = unary(p);
    emit(p, negated ? SQL_OP_LESS : SQL_OP_GREATER_EQUAL, 0, 0, -1);
    uint32_t decided = emit(p, SQL_OP_SWAP_UNLESS, 0, negated, 0);
    expect(p, TOKEN_AND, "AND");
    struct operand high = unary(p);
    emit(p, negated ? SQL_OP_GREATER : SQL_OP_LESS_EQUAL, 0, 0, -1);
    emit(p, negated ? SQL_OP_OR : SQL_OP_AND, 0, 0, -1);
    land(p, null);
    land(p, decided);
    want_ordered(p, &value, where);
    want_ordered(p, &low, where);
    want_ordered(p, &high, where);
    int order = 0;
    if (!p->failed && !negated && low.is_constant && high.is_constant && sql_compare(&high.value, &low.value, &order) &&
        order < 0)
        fail_at(p, where, "Illegal values of between, left value must less than or equal to right value");
    return truth(value.begin);
}

static struct operand in(struct parser *p, struct operand value, bool negated)
{
    struct str where = p->token.text;
    uint32_t first = p->s->constant_count, n = 0;
    advance(p);
    if (!value.is_property)
        fail_at(p, where, "Expected a property for In expression");
    expect(p, TOKEN_OPEN, "\"(\"");
    do {
        struct sql_value v = text_literal(p);
        constant(p, &v);
        n++;
    } while (accept(p, TOKEN_COMMA));
    expect(p, TOKEN_CLOSE, "\")\" or \",\"");
    emit(p, negated ? SQL_OP_NOT_IN : SQL_OP_IN, first, n, 0);
    return truth(value.begin);
}

static struct operand search(struct parser *p, struct operand value, enum sql_op op, bool negated)
{
    advance(p);
    struct sql_value v = text_literal(p);
    if (p->failed || v.s.len) {
        emit(p, op, constant(p, &v), negated, 0);
        return truth(value.begin);
    }
    /* For the empty text the answer is false in any case, and the value is not even looked at. */
    p->s->code_count = value.begin;
    p->depth--;
    struct operand o = push(p, (struct sql_value){.type = SQL_TYPE_BOOL}, true);
    return truth(o.begin);
}

static struct operand comparison(struct parser *p)
{
    struct operand left = unary(p);
    while (!p->failed) {
        bool negated = accept(p, TOKEN_NOT);
        switch (p->token.kind) {
        case TOKEN_BETWEEN:
            left = between(p, left, negated);
            continue;
        case TOKEN_IN:
            left = in(p, left, negated);
            continue;
        case TOKEN_CONTAINS:
            left = search(p, left, SQL_OP_CONTAINS, negated);
            continue;
        case TOKEN_STARTSWITH:
            left = search(p, left, SQL_OP_STARTSWITH, negated);
            continue;
        case TOKEN_ENDSWITH:
            left = search(p, left, SQL_OP_ENDSWITH, negated);
            continue;
        default:
            break;
        }
        if (negated)
            unexpected(p, "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH after NOT");
        else if (is(p, TOKEN_GREATER))
            left = ordering(p, left, SQL_OP_GREATER);
        else if (is(p, TOKEN_GREATER_EQUAL))
            left = ordering(p, left, SQL_OP_GREATER_EQUAL);
        else if (is(p, TOKEN_LESS))
            left = ordering(p, left, SQL_OP_LESS);
        else if (is(p, TOKEN_LESS_EQUAL))
            left = ordering(p, left, SQL_OP_LESS_EQUAL);
        else
            break;
    }
    return left;
}

static struct operand equality(struct parser *p)
{
    struct operand left = comparison(p);
    for (;;) {
        struct str where = p->token.text;
        bool unequal = is(p, TOKEN_NOT_EQUAL);
        if (accept(p, TOKEN_EQUAL) || accept(p, TOKEN_NOT_EQUAL)) {
            struct operand right = comparison(p);
            want_equatable(p, &left, &right, where);
            emit(p, SQL_OP_EQUAL, 0, 0, -1);
        } else if (accept(p, TOKEN_IS)) {
            unequal = accept(p, TOKEN_NOT);
            expect(p, TOKEN_NULL, "NULL");
            emit(p, SQL_OP_IS_NULL, 0, 0, 0);
        } else {
            return left;
        }
        if (unequal)
            emit(p, SQL_OP_NOT, 0, 0, 0);
        left = truth(left.begin);
    }
}

static struct operand and_expression(struct parser *p)
{
    struct operand left = equality(p);
    for (struct str where = p->token.text; accept(p, TOKEN_AND); where = p->token.text) {
        want_truth(p, &left, where);
        uint32_t jump = emit(p, SQL_OP_JUMP_FALSE, 0, 0, 0);
        struct operand right = equality(p);
        want_truth(p, &right, where);
        emit(p, SQL_OP_AND, 0, 0, -1);
        land(p, jump);
        left = truth(left.begin);
    }
    return left;
}

static struct operand or_expression(struct parser *p)
{
    struct operand left = and_expression(p);
    for (struct str where = p->token.text; accept(p, TOKEN_OR); where = p->token.text) {
        want_truth(p, &left, where);
        uint32_t jump = emit(p, SQL_OP_JUMP_TRUE, 0, 0, 0);
        struct operand right = and_expression(p);
        want_truth(p, &right, where);
        emit(p, SQL_OP_OR, 0, 0, -1);
        land(p, jump);
        left = truth(left.begin);
    }
    return left;
}

struct sql *sql_compile(struct str expression, struct err *err)
{
    struct sql *s = calloc(1, sizeof *s + expression.len + 1);
    struct parser p = {.s = s, .err = err};
    if (s == NULL) {
        no_memory(&p);
        return NULL;
    }
    if (expression.len)
        memcpy(s->text, expression.ptr, expression.len);
    p.source = p.rest = str_make(s->text, expression.len);
    advance(&p);
    struct operand whole = or_expression(&p);
    want_truth(&p, &whole, p.source);
    if (p.max_depth > SQL_STACK_MAX)
        fail_at(&p, p.source, "The expression is nested too deeply");
    if (!p.failed)
        return s;
    sql_free(s);
    return NULL;
}

void sql_free(struct sql *s)
{
    if (s == NULL)
        return;
    free(s->code);
    free(s->constants);
    free(s);
}
