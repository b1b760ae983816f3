/* Parsed JSON values, written back. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *text, const char *written)
{
    struct arena a = {0};
    struct buf out = {0};
    struct err err;
    struct jw w;
    const struct json *json = json_parse(&a, str_from(text), &err);
    if (json == NULL)
        fail_msg("%s", err.text);
    jw_init(&w, &out);
    jw_node(&w, json);
    buf_add_byte(&out, 0);
    assert_string_equal((char *)out.data, written);
    buf_free(&out);
    arena_free(&a);
}

static void test_values(void **state)
{
    expect("7", "7");
    expect("-1.50e3", "-1.50e3"); /* a number keeps its text */
    expect("true", "true");
    expect("null", "null");
    expect("\"a\\\"b\\u00e9\\n\"", "\"a\\\"b\xc3\xa9\\n\"");
    expect("[]", "[]");
    expect("{}", "{}");
}

static void test_nested(void **state)
{
    expect("{\"b\" : [1, {\"x\":null,\"y\":[[]]}, \"s\"], 'a':{}}", "{\"b\":[1,{\"y\":[[]]},\"s\"],\"a\":{}}");
}

/* Keys as fastjson writes them: numbers bare, objects in place. */
static void test_keys(void **state)
{
    expect("{0:\"a\",\"1\":\"b\"}", "{0:\"a\",\"1\":\"b\"}");
    expect("{{\"queueId\":0,\"topic\":\"T\"}:5}", "{{\"queueId\":0,\"topic\":\"T\"}:5}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
