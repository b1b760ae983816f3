/* Tokens. The longest one that fits counts, as in Java's grammar: "5.e" is the number "5." and the name "e". */
#include "filter/sql_int.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static char at(struct str s, size_t i)
{
    return i < s.len ? s.ptr[i] : '\0';
}

static size_t digits(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.len && is_digit(s.ptr[i]))
        i++;
    return i - from;
}

/* Length of white space or a comment at the beginning. A line comment that nothing ends is none: those are two minus
 * signs. */
static size_t blank(struct str s)
{
    char c = at(s, 0);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
        return 1;
    if (c == '-' && at(s, 1) == '-')
        for (size_t i = 2; i < s.len; i++)
            if (s.ptr[i] == '\n' || s.ptr[i] == '\r')
                return i + 1;
    if (c == '/' && at(s, 1) == '*') {
        ptrdiff_t end = str_find(str_skip(s, 2), STR_LIT("*/"));
        return end < 0 ? 0 : (size_t)end + 4;
    }
    return 0;
}

static size_t exponent(struct str s, size_t from)
{
    if (at(s, from) != 'e' && at(s, from) != 'E')
        return 0;
    size_t sign = at(s, from + 1) == '+' || at(s, from + 1) == '-';
    size_t n = digits(s, from + 1 + sign);
    return n ? 1 + sign + n : 0;
}

static size_t number(struct str s, enum sql_token_kind *kind)
{
    size_t whole = digits(s, 0), len = whole;
    *kind = TOKEN_FLOAT;
    if (at(s, whole) == '.') {
        size_t fraction = digits(s, whole + 1);
        if (whole + fraction == 0)
            return 0;
        len = whole + 1 + fraction;
        return len + exponent(s, len);
    }
    if (exponent(s, len))
        return len + exponent(s, len);
    *kind = TOKEN_INTEGER;
    if (s.ptr[0] == '0')
        return 1;
    return len + (at(s, len) == 'l' || at(s, len) == 'L');
}

/* Up to the quote that no second one follows; where all are doubled and none ends it, up to the last pair's first. */
static size_t string(struct str s)
{
    size_t end = 0;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] != '\'')
            continue;
        end = i + 1;
        if (at(s, ++i) != '\'')
            break;
    }
    return end;
}

static size_t name(struct str s, enum sql_token_kind *kind)
{
    static const struct {
        const char *text;
        enum sql_token_kind kind;
    } words[] = {
        {"NOT", TOKEN_NOT},
        {"AND", TOKEN_AND},
        {"OR", TOKEN_OR},
        {"BETWEEN", TOKEN_BETWEEN},
        {"IN", TOKEN_IN},
        {"TRUE", TOKEN_TRUE},
        {"FALSE", TOKEN_FALSE},
        {"NULL", TOKEN_NULL},
        {"IS", TOKEN_IS},
        {"CONTAINS", TOKEN_CONTAINS},
        {"STARTSWITH", TOKEN_STARTSWITH},
        {"ENDSWITH", TOKEN_ENDSWITH},
    };
    size_t len = 1;
    while (is_name_start(at(s, len)) || is_digit(at(s, len)))
        len++;
    *kind = TOKEN_NAME;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_ieq(str_make(s.ptr, len), str_from(words[i].text)))
            *kind = words[i].kind;
    return len;
}

static size_t sign(struct str s, enum sql_token_kind *kind)
{
    static const struct {
        const char *text;
        enum sql_token_kind kind;
    } signs[] = {
        {"<>", TOKEN_NOT_EQUAL}, {"<=", TOKEN_LESS_EQUAL}, {">=", TOKEN_GREATER_EQUAL}, {"<", TOKEN_LESS},
        {">", TOKEN_GREATER},    {"=", TOKEN_EQUAL},       {"(", TOKEN_OPEN},           {",", TOKEN_COMMA},
        {")", TOKEN_CLOSE},      {"+", TOKEN_PLUS},        {"-", TOKEN_MINUS},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (str_starts(s, str_from(signs[i].text))) {
            *kind = signs[i].kind;
            return strlen(signs[i].text);
        }
    return 0;
}

struct sql_token sql_next_token(struct str *rest)
{
    struct sql_token t = {.kind = TOKEN_END};
    for (size_t n; (n = blank(*rest)) > 0;)
        *rest = str_skip(*rest, n);
    if (rest->len == 0) {
        t.text = *rest;
        return t;
    }
    char c = rest->ptr[0];
    size_t len;
    if (c == '\'') {
        t.kind = TOKEN_STRING;
        len = string(*rest);
    } else if (is_digit(c) || c == '.') {
        len = number(*rest, &t.kind);
    } else if (is_name_start(c)) {
        len = name(*rest, &t.kind);
    } else {
        len = sign(*rest, &t.kind);
    }
    if (len == 0) {
        t.kind = TOKEN_BAD;
        len = 1;
    }
    t.text = str_make(rest->ptr, len);
    *rest = str_skip(*rest, len);
    return t;
}
