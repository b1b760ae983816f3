/*
 * Expressions with what the Java broker's filter library makes of them: sql92.cases, written by the program SqlCases of
 * tests/e2e/java. SQL_CASES names another file of that form, to try more of them.
 */
#include "filter/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/message.h"
#include <stdio.h>
#include <stdlib.h>

static void unescape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\' && i + 1 < s.len) {
            c = s.ptr[++i];
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        buf_add_byte(out, (uint8_t)c);
    }
}

static void read_properties(struct buf *out, struct str text)
{
    struct str pair, name;
    while (text.len && str_split(&text, ';', &pair)) {
        struct str value = pair;
        assert_true(str_split(&value, '=', &name));
        msg_property_add(out, name, value);
    }
}

static char judge(struct str expression, struct str properties)
{
    static const char letters[] = {[SQL_FALSE] = 'F', [SQL_TRUE] = 'T', [SQL_UNKNOWN] = 'N', [SQL_FAILED] = 'E'};
    struct err err;
    struct sql *s = sql_compile(expression, &err);
    if (s == NULL)
        return 'X';
    char letter = letters[sql_evaluate(s, properties)];
    sql_free(s);
    return letter;
}

static void as_the_java_library(void **state)
{
    const char *path = getenv("SQL_CASES");
    FILE *f = fopen(path ? path : CROCKET_SOURCE_DIR "/tests/unit/filter/sql92.cases", "r");
    char *line = NULL;
    size_t cap = 0, wrong = 0, all = 0;
    assert_non_null(f);
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0; all++) {
        struct str rest = str_make(line, (size_t)n - (line[n - 1] == '\n')), wanted, expression;
        struct buf sql = {0}, pairs = {0}, properties = {0};
        assert_true(str_split(&rest, '\t', &wanted));
        assert_true(str_split(&rest, '\t', &expression));
        unescape(&sql, expression);
        unescape(&pairs, rest);
        read_properties(&properties, buf_str(&pairs));
        char got = judge(buf_str(&sql), buf_str(&properties));
        if (got != wanted.ptr[0] && wrong++ < 20)
            print_error("%c instead of %c: %s", got, wanted.ptr[0], line);
        buf_free(&sql);
        buf_free(&pairs);
        buf_free(&properties);
    }
    free(line);
    fclose(f);
    assert_true(all > 1000);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_java_library)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
