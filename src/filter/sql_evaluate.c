/* Runs a program. Its stack never grows beyond what the compiler has checked. */
#include "filter/sql_int.h"
#include "message/message.h"

static struct sql_value null_value(void)
{
    return (struct sql_value){.type = SQL_TYPE_NULL};
}

static struct sql_value truth(bool b)
{
    return (struct sql_value){.type = SQL_TYPE_BOOL, .b = b};
}

static bool is_truth(const struct sql_value *v, bool b)
{
    return v->type == SQL_TYPE_BOOL && v->b == b;
}

static struct sql_value property(struct str properties, struct str name)
{
    struct str s = msg_property(properties, name);
    return str_is_null(s) ? null_value() : (struct sql_value){.type = SQL_TYPE_STRING, .s = s};
}

/* Whole numbers wrap as Java's do. */
static struct sql_value negated(const struct sql_value *v)
{
    struct sql_value out = *v;
    if (v->type == SQL_TYPE_INT)
        out.i = (int32_t)(0 - (uint32_t)v->i);
    else if (v->type == SQL_TYPE_LONG)
        out.l = (int64_t)(0 - (uint64_t)v->l);
    else if (v->type == SQL_TYPE_DOUBLE)
        out.d = -v->d;
    else
        out = null_value();
    return out;
}

/* The result goes where l is. False: the values cannot be compared. */
static bool equal(struct sql_value *l, const struct sql_value *r)
{
    int order = 0;
    if (l->type == SQL_TYPE_NULL || r->type == SQL_TYPE_NULL) {
        if (l->type != SQL_TYPE_NULL)
            *l = truth(false);
        else if (r->type == SQL_TYPE_NULL)
            *l = truth(true);
        return true;
    }
    if (!sql_compare(l, r, &order))
        return false;
    *l = truth(order == 0);
    return true;
}

static bool ordered(struct sql_value *l, const struct sql_value *r, enum sql_op op)
{
    struct sql_value ld, rd;
    int order;
    if (r->type == SQL_TYPE_NULL) {
        *l = null_value();
        return true;
    }
    if (l->type == SQL_TYPE_STRING && r->type == SQL_TYPE_STRING) {
        ld.type = rd.type = SQL_TYPE_DOUBLE;
        if (!sql_read_double(l->s, &ld.d) || !sql_read_double(r->s, &rd.d))
            return false;
        r = &rd;
        *l = ld;
    }
    if (!sql_compare(l, r, &order))
        return false;
    *l = truth(op == SQL_OP_GREATER         ? order > 0
               : op == SQL_OP_GREATER_EQUAL ? order >= 0
               : op == SQL_OP_LESS          ? order < 0
                                            : order <= 0);
    return true;
}

/* absorbing: the truth value that decides by itself; false of AND, true of OR. */
static struct sql_value joined(const struct sql_value *l, const struct sql_value *r, bool absorbing)
{
    if (is_truth(l, absorbing) || is_truth(r, absorbing))
        return truth(absorbing);
    return l->type == SQL_TYPE_NULL || r->type == SQL_TYPE_NULL ? null_value() : truth(!absorbing);
}

static struct sql_value among(const struct sql_value *v, const struct sql_value *list, uint32_t n, bool negated_)
{
    if (v->type != SQL_TYPE_STRING)
        return null_value();
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(v->s, list[i].s))
            return truth(!negated_);
    return truth(negated_);
}

static struct sql_value found(const struct sql_value *v, struct str part, enum sql_op op, bool negated_)
{
    if (v->type != SQL_TYPE_STRING)
        return truth(false);
    bool yes;
    if (op == SQL_OP_CONTAINS)
        yes = str_find(v->s, part) >= 0;
    else if (op == SQL_OP_STARTSWITH)
        yes = str_starts(v->s, part);
    else
        yes = v->s.len >= part.len && str_eq(str_skip(v->s, v->s.len - part.len), part);
    return truth(yes != negated_);
}

static enum sql_result result_of(const struct sql_value *v)
{
    return v->type == SQL_TYPE_BOOL ? (v->b ? SQL_TRUE : SQL_FALSE) : SQL_UNKNOWN;
}

enum sql_result sql_evaluate(const struct sql *s, struct str properties)
{
    struct sql_value stack[SQL_STACK_MAX + 1], *top = stack; /* the first one is below the bottom */
    stack[0] = null_value();
    for (uint32_t at = 0; at < s->code_count; at++) {
        const struct sql_code *c = &s->code[at];
        switch ((enum sql_op)c->op) {
        case SQL_OP_CONSTANT:
            *++top = s->constants[c->a];
            break;
        case SQL_OP_PROPERTY:
            *++top = property(properties, s->constants[c->a].s);
            break;
        case SQL_OP_DUP:
            top[1] = *top;
            top++;
            break;
        case SQL_OP_NEGATE:
            *top = negated(top);
            break;
        case SQL_OP_NOT:
            if (top->type == SQL_TYPE_BOOL)
                top->b = !top->b;
            break;
        case SQL_OP_CAST:
            if (top->type != SQL_TYPE_NULL)
                *top = truth(false);
            break;
        case SQL_OP_IS_NULL:
            *top = truth(top->type == SQL_TYPE_NULL);
            break;
        case SQL_OP_EQUAL:
            top--;
            if (!equal(top, top + 1))
                return SQL_FAILED;
            break;
        case SQL_OP_GREATER:
        case SQL_OP_GREATER_EQUAL:
        case SQL_OP_LESS:
        case SQL_OP_LESS_EQUAL:
            top--;
            if (!ordered(top, top + 1, (enum sql_op)c->op))
                return SQL_FAILED;
            break;
        case SQL_OP_AND:
        case SQL_OP_OR:
            top--;
            *top = joined(top, top + 1, c->op == SQL_OP_OR);
            break;
        case SQL_OP_IN:
        case SQL_OP_NOT_IN:
            *top = among(top, &s->constants[c->a], c->b, c->op == SQL_OP_NOT_IN);
            break;
        case SQL_OP_CONTAINS:
        case SQL_OP_STARTSWITH:
        case SQL_OP_ENDSWITH:
            *top = found(top, s->constants[c->a].s, (enum sql_op)c->op, c->b != 0);
            break;
        case SQL_OP_JUMP_NULL:
            if (top->type == SQL_TYPE_NULL)
                at = c->a - 1;
            break;
        case SQL_OP_JUMP_FALSE:
        case SQL_OP_JUMP_TRUE:
            if (is_truth(top, c->op == SQL_OP_JUMP_TRUE))
                at = c->a - 1;
            break;
        case SQL_OP_SWAP_UNLESS:
            if (is_truth(top, c->b != 0)) {
                top--;
                *top = top[1];
                at = c->a - 1;
            } else {
                struct sql_value v = *top;
                *top = top[-1];
                top[-1] = v;
            }
            break;
        }
    }
    return result_of(top);
}
