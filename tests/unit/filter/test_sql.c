/* Rules of the SQL92 filter by name; thousands of mixed expressions are in test_sql_cases.c. */
#include "filter/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

#define NAME  "\x01"
#define VALUE "\x02"
static const char properties[] =
    "one" NAME "1" VALUE "price" NAME "2.50" VALUE "color" NAME "red" VALUE "quote" NAME "it's" VALUE "yes" NAME
    "true" VALUE "big" NAME "9223372036854775807" VALUE "minus" NAME "-3" VALUE "TAGS" NAME "tagA";

struct expectation {
    enum sql_result result;
    const char *expression;
};

static void check(const struct expectation *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err err;
        struct sql *s = sql_compile(str_from(cases[i].expression), &err);
        if (s == NULL)
            fail_msg("%s: %s", cases[i].expression, err.text);
        enum sql_result got = sql_evaluate(s, str_from(properties));
        if (got != cases[i].result)
            fail_msg("%s gives %d", cases[i].expression, (int)got);
        sql_free(s);
    }
}

#define CHECK(...)                                                                                                     \
    do {                                                                                                               \
        static const struct expectation cases[] = {__VA_ARGS__};                                                       \
        check(cases, sizeof cases / sizeof cases[0]);                                                                  \
    } while (0)

static void comparisons(void **state)
{
    CHECK({SQL_TRUE, "one = 1"}, {SQL_TRUE, "one = 1L"}, {SQL_TRUE, "one = 1.0"}, {SQL_TRUE, "one = '1'"},
          {SQL_FALSE, "one <> 1"}, {SQL_TRUE, "price > 2.4"}, {SQL_FAILED, "price > 2"}, {SQL_TRUE, "minus < -2"},
          {SQL_TRUE, "big = 9223372036854775807"}, {SQL_FAILED, "big > 1"}, {SQL_TRUE, "big > 3000000000"},
          {SQL_TRUE, "one < price"}, {SQL_FAILED, "color < price"}, {SQL_FAILED, "color > 5"},
          {SQL_TRUE, "color = 'red'"}, {SQL_FALSE, "color = 'Red'"}, {SQL_TRUE, "quote = 'it''s'"},
          {SQL_TRUE, "yes = TRUE"}, {SQL_FAILED, "TRUE = yes"}, {SQL_FALSE, "color = true"},
          {SQL_TRUE, "TAGS = 'tagA'"}, {SQL_FALSE, "One IS NOT NULL"});
}

static void ranges_and_lists(void **state)
{
    CHECK({SQL_TRUE, "one BETWEEN 1 AND 2"}, {SQL_FALSE, "one NOT BETWEEN 0 AND 1"},
          {SQL_TRUE, "one between 0 and 1 and color = 'red'"}, {SQL_UNKNOWN, "none BETWEEN 0 AND 1"},
          {SQL_TRUE, "color IN ('blue', 'red')"}, {SQL_FALSE, "color NOT IN ('blue', 'red')"},
          {SQL_UNKNOWN, "none NOT IN ('a')"}, {SQL_TRUE, "one IN ('1')"});
}

static void texts(void **state)
{
    CHECK({SQL_TRUE, "color CONTAINS 'e'"}, {SQL_FALSE, "color NOT CONTAINS 'e'"}, {SQL_TRUE, "color STARTSWITH 're'"},
          {SQL_TRUE, "color ENDSWITH 'ed'"}, {SQL_TRUE, "color NOT ENDSWITH 'x'"}, {SQL_FALSE, "color CONTAINS ''"},
          {SQL_FALSE, "color NOT CONTAINS ''"}, {SQL_FALSE, "none NOT CONTAINS 'x'"}, {SQL_FALSE, "5 CONTAINS '5'"},
          {SQL_FALSE, "color ENDSWITH 'a longer text than that'"});
}

static void three_values(void **state)
{
    CHECK({SQL_UNKNOWN, "none = 1"}, {SQL_UNKNOWN, "NOT (none = 1)"}, {SQL_UNKNOWN, "none = 1 AND one = 1"},
          {SQL_FALSE, "none = 1 AND one = 2"}, {SQL_TRUE, "none = 1 OR one = 1"}, {SQL_UNKNOWN, "none = 1 OR one = 2"},
          {SQL_TRUE, "none IS NULL"}, {SQL_FALSE, "one IS NULL"}, {SQL_TRUE, "one IS NOT NULL"},
          {SQL_FALSE, "1 = none"}, {SQL_UNKNOWN, "none"}, {SQL_FALSE, "yes"}, {SQL_TRUE, "NOT yes"},
          {SQL_UNKNOWN, "NULL"}, {SQL_TRUE, "TRUE"}, {SQL_TRUE, "one = 1 OR color > 5"},
          {SQL_FAILED, "color > 5 OR one = 1"}, {SQL_FALSE, "one = 2 AND color > 5"});
}

static void precedence(void **state)
{
    CHECK({SQL_TRUE, "one = 1 OR one = 2 AND one = 3"}, {SQL_FALSE, "(one = 1 OR one = 2) AND one = 3"},
          {SQL_FALSE, "NOT one = 1"}, {SQL_TRUE, "NOT (one = 2)"}, {SQL_TRUE, "- -1 = 1"}, {SQL_TRUE, "+one = +1"},
          {SQL_TRUE, "one = 1 -- the rest of the line\n AND /* more */ TRUE"}, {SQL_TRUE, "one = 1 whatever follows"});
}

static void refused(void **state)
{
    static const struct {
        const char *expression, *why;
    } cases[] = {
        {"", "Encountered the end"},
        {"one =", "Encountered the end"},
        {"one = 1 AND", "at line 1, column 12"},
        {"one = 1\nAND = 2", "Encountered \"=\""},
        {"one = 1\nAND = 2", "at line 2, column 5"},
        {"one = 'x", "Encountered \"'\""},
        {"one = 1 ;", "Encountered \";\""},
        {"5", "boolean"},
        {"'text'", "boolean"},
        {"one AND 5", "boolean"},
        {"one > 'a'", "numbers"},
        {"one > TRUE", "numbers"},
        {"one > (one = 1)", "numbers"},
        {"one BETWEEN 'a' AND 'b'", "numbers"},
        {"one BETWEEN 2 AND 1", "between"},
        {"one = NULL", "NULL"},
        {"TRUE = 1", "TRUE and FALSE"},
        {"'a' IN ('a')", "property"},
        {"one IN ()", "single quotes"},
        {"one IN (1)", "single quotes"},
        {"one CONTAINS 1", "single quotes"},
        {"one NOT = 1", "after NOT"},
        {"one IS 1", "NULL"},
        {"one = 9223372036854775808", "greater than"},
        {"one = 0.0", "less than"},
        {"one = 1e999", "greater than"},
        {"(one = 1", "\")\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err;
        struct sql *s = sql_compile(str_from(cases[i].expression), &err);
        if (s)
            fail_msg("\"%s\" is accepted", cases[i].expression);
        if (strstr(err.text, cases[i].why) == NULL)
            fail_msg("\"%s\" is refused with: %s", cases[i].expression, err.text);
    }
}

static struct sql *compile_repeated(const char *before, int n, const char *middle, const char *after)
{
    struct buf text = {0};
    struct err err;
    for (int i = 0; i < n; i++)
        buf_add_str(&text, str_from(before));
    buf_add_str(&text, str_from(middle));
    for (int i = 0; i < n; i++)
        buf_add_str(&text, str_from(after));
    struct sql *s = sql_compile(buf_str(&text), &err);
    buf_free(&text);
    return s;
}

static void depth_is_limited(void **state)
{
    static const char *const nests[][2] = {{"(", ")"}, {"NOT ", ""}, {"-", ""}, {"one = 1 OR (", ")"}, {"1 = (", ")"}};
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        struct sql *s = compile_repeated(nests[i][0], 50, i == 2 ? "1 = one" : "one = 1", nests[i][1]);
        assert_non_null(s);
        (void)sql_evaluate(s, str_from(properties));
        sql_free(s);
        assert_null(compile_repeated(nests[i][0], 100000, "one = 1", nests[i][1]));
    }
    /* A chain is not deep. */
    struct sql *s = compile_repeated("one = 2 OR ", 5000, "one = 1", "");
    assert_non_null(s);
    assert_int_equal(sql_evaluate(s, str_from(properties)), SQL_TRUE);
    sql_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons),      cmocka_unit_test(ranges_and_lists), cmocka_unit_test(texts),
        cmocka_unit_test(three_values),     cmocka_unit_test(precedence),       cmocka_unit_test(refused),
        cmocka_unit_test(depth_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
