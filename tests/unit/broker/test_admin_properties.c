#include "broker/config/properties_edit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void edit(struct arena *a, const char *text, const struct properties *changes, const char *wanted,
                 struct buf *out)
{
    properties_edit(a, str_from(text), changes, out);
    assert_true(buf_ok(out));
    assert_int_equal(out->len, strlen(wanted));
    assert_memory_equal(out->data, wanted, out->len);
}

/* Applies the changes (a .properties text) and compares; the result must read as what was asked for. */
static void expect(const char *text, const char *changes, const char *wanted)
{
    struct arena a = {0};
    struct buf out = {0};
    struct properties p, after;
    assert_int_equal(properties_parse(&a, str_from(changes), &p, NULL), 0);
    edit(&a, text, &p, wanted, &out);
    assert_int_equal(properties_parse(&a, buf_str(&out), &after, NULL), 0);
    for (size_t i = 0; i < p.count; i++) {
        struct str value = properties_get(&after, p.items[i].key), given = properties_get(&p, p.items[i].key);
        assert_int_equal(str_cmp(value, given), 0);
    }
    buf_free(&out);
    arena_free(&a);
}

static void test_changes_in_place(void **state)
{
    expect("# a broker\nbrokerName = a\n\nbrokerId=0\r\nlistenPort: 10911\n", "brokerName=b\nlistenPort=10921\n",
           "# a broker\nbrokerName=b\n\nbrokerId=0\r\nlistenPort=10921\n");
}

static void test_appends_new_keys(void **state)
{
    expect("", "a=1\n", "a=1\n");
    expect("x=y", "a=1\nb=2\n", "x=y\na=1\nb=2\n");
}

static void test_last_value_of_a_repeated_change(void **state)
{
    expect("a=0\n", "a=1\na=2\n", "a=2\n");
    expect("", "a=1\na=2\n", "a=2\n");
}

static void test_repeated_key_in_the_file(void **state)
{
    expect("a=0\nb=1\na=5\n", "a=9\n", "a=9\nb=1\n");
}

static void test_continued_lines(void **state)
{
    expect("a=one\\\n   two\nb=1\n", "a=3\n", "a=3\nb=1\n");
    expect("b=1\\\\\na=0\n", "a=3\n", "b=1\\\\\na=3\n");
    expect("b=1 \\\n a=0\na=7\n", "a=3\n", "b=1 \\\n a=0\na=3\n");
    expect("a=one\\", "a=3\n", "a=3\n");
}

/* A backslash at the end of a comment joins nothing. */
static void test_comments(void **state)
{
    expect("# a=1 \\\na=2\n ! a=3\n#a=4", "a=5\n", "# a=1 \\\na=5\n ! a=3\n#a=4");
}

static void test_escapes(void **state)
{
    expect("a=1\n", "a=C:\\\\dir\\nline\n", "a=C:\\\\dir\\nline\n");
    expect("", "a\\ b=\\ x\n", "a\\ b=\\ x\n");
    expect("k\\u0065y=1\n", "key=2\n", "key=2\n");
}

/* A line that is no property is the author's matter. */
static void test_keeps_malformed_lines(void **state)
{
    struct arena a = {0};
    struct buf out = {0};
    struct property change = {STR_LIT("a"), STR_LIT("2")};
    edit(&a, "bad=\\u12\na=1\n", &(struct properties){&change, 1}, "bad=\\u12\na=2\n", &out);
    buf_free(&out);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_in_place),
        cmocka_unit_test(test_appends_new_keys),
        cmocka_unit_test(test_last_value_of_a_repeated_change),
        cmocka_unit_test(test_repeated_key_in_the_file),
        cmocka_unit_test(test_continued_lines),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_keeps_malformed_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
