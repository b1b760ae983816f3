/* Values: how Java reads numbers from text, and how it compares what is of different types. */
#include "filter/sql_int.h"
#include <stdlib.h>

enum { DOUBLE_TEXT_MAX = 1000 };

/* ---- Double.valueOf ---- */

static bool is_digit(char c, bool hex)
{
    return (c >= '0' && c <= '9') || (hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
}

static size_t digits(struct str s, size_t from, bool hex)
{
    size_t i = from;
    while (i < s.len && is_digit(s.ptr[i], hex))
        i++;
    return i - from;
}

static bool has(struct str s, size_t i, char lower)
{
    return i < s.len && (s.ptr[i] | 0x20) == lower;
}

/* Length of the number at the beginning, without its type letter; 0: none. */
static size_t double_length(struct str s)
{
    bool hex = has(s, 0, '0') && has(s, 1, 'x');
    size_t at = hex ? 2 : 0, whole = digits(s, at, hex), fraction = 0;
    at += whole;
    if (at < s.len && s.ptr[at] == '.') {
        fraction = digits(s, at + 1, hex);
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (!has(s, at, hex ? 'p' : 'e'))
        return hex ? 0 : at;
    at++;
    if (at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-'))
        at++;
    size_t exponent = digits(s, at, false);
    return exponent ? at + exponent : 0;
}

/* Java's trim: control characters too. */
static struct str trim(struct str s)
{
    while (s.len && (unsigned char)s.ptr[0] <= ' ')
        s = str_skip(s, 1);
    while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

bool sql_read_double(struct str s, double *out)
{
    char text[DOUBLE_TEXT_MAX + 1];
    s = trim(s);
    bool negative = s.len && s.ptr[0] == '-';
    if (negative || (s.len && s.ptr[0] == '+'))
        s = str_skip(s, 1);
    double d;
    if (str_eqz(s, "NaN")) {
        d = __builtin_nan("");
    } else if (str_eqz(s, "Infinity")) {
        d = __builtin_inf();
    } else {
        size_t n = double_length(s);
        size_t letter = has(s, n, 'd') || has(s, n, 'f');
        /* A longer text is taken for no number: the record may end with its last digit, so that it has to be copied. */
        if (n == 0 || n + letter != s.len || n > DOUBLE_TEXT_MAX)
            return false;
        memcpy(text, s.ptr, n);
        text[n] = '\0';
        d = strtod(text, NULL);
    }
    *out = negative ? -d : d;
    return true;
}

/* ---- comparing ---- */

static int order_of_longs(int64_t l, int64_t r)
{
    return l < r ? -1 : l > r;
}

/* Double.compare: NaN equals itself and is above all, -0.0 is below 0.0. */
static int order_of_doubles(double l, double r)
{
    if (l < r)
        return -1;
    if (l > r)
        return 1;
    bool l_nan = l != l, r_nan = r != r;
    if (l_nan || r_nan)
        return l_nan - r_nan;
    return (__builtin_signbit(r) != 0) - (__builtin_signbit(l) != 0);
}

static int64_t as_long(const struct sql_value *v)
{
    return v->type == SQL_TYPE_INT ? v->i : v->l;
}

static double as_double(const struct sql_value *v)
{
    return v->type == SQL_TYPE_DOUBLE ? v->d : (double)as_long(v);
}

static int order_of_numbers(const struct sql_value *l, const struct sql_value *r)
{
    if (l->type == SQL_TYPE_DOUBLE || r->type == SQL_TYPE_DOUBLE)
        return order_of_doubles(as_double(l), as_double(r));
    return order_of_longs(as_long(l), as_long(r));
}

/* A text as a value of another's type. */
static bool convert(struct str s, enum sql_type to, struct sql_value *out)
{
    out->type = to;
    switch (to) {
    case SQL_TYPE_BOOL:
        out->b = str_ieq(s, STR_LIT("true"));
        return true;
    case SQL_TYPE_INT:
        return str_to_i32(s, &out->i);
    case SQL_TYPE_LONG:
        return str_to_i64(s, &out->l);
    case SQL_TYPE_DOUBLE:
        return sql_read_double(s, &out->d);
    default:
        return false;
    }
}

bool sql_compare(const struct sql_value *l, const struct sql_value *r, int *order)
{
    struct sql_value converted;
    if (l->type != r->type) {
        /* A truth value on the left side takes no text: that fails in Java, too. */
        if (l->type == SQL_TYPE_BOOL && r->type == SQL_TYPE_STRING)
            return false;
        if (l->type == SQL_TYPE_STRING) {
            if (!convert(l->s, r->type, &converted))
                return false;
            l = &converted;
        } else if (r->type == SQL_TYPE_STRING) {
            if (!convert(r->s, l->type, &converted))
                return false;
            r = &converted;
        }
    }
    if (sql_is_number(l) && sql_is_number(r))
        *order = order_of_numbers(l, r);
    else if (l->type != r->type)
        *order = -1;
    else if (l->type == SQL_TYPE_BOOL)
        *order = l->b - r->b;
    else
        *order = str_cmp(l->s, r->s);
    return true;
}
