#include "json_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static void stand_for_what_was_before(void **state)
{
    static const struct {
        const char *text, *tree;
    } rows[] = {
        {"{\"a\":{\"x\":1},\"b\":{\"$ref\":\"$.a\"}}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}"},
        {"[{\"first\":{\"k\":1}},{\"$ref\":\"$[0]\"},{\"$ref\":\"$[0].first\"}]",
         "[{\"first\":{\"k\":1}},{\"first\":{\"k\":1}},{\"k\":1}]"},
        {"[[0,[1,2]],{\"$ref\":\"$[0][1]\"}]", "[[0,[1,2]],[1,2]]"},
        {"{\"a.b c\":{0:\"x\"},\"z\":{\"$ref\":\"$.a\\\\.b\\\\ c\"}}", "{\"a.b c\":{0:\"x\"},\"z\":{0:\"x\"}}"},
        {"{8:{\"x\":1},10:{\"$ref\":\"$[8]\"},11:{\"$ref\":\"$.8\"}}", "{8:{\"x\":1},10:{\"x\":1},11:{\"x\":1}}"},
        /* a key met before as a value, and one met before as the only key object of its map */
        {"{\"l\":[{\"q\":1}],\"n\":{{\"$ref\":\"$.l[0]\"}:5}}", "{\"l\":[{\"q\":1}],\"n\":{{\"q\":1}:5}}"},
        {"{\"a\":{{\"q\":1}:1},\"b\":{{\"$ref\":\"$.a.null\"}:2}}", "{\"a\":{{\"q\":1}:1},\"b\":{{\"q\":1}:2}}"},
        /* nobody can tell which of two keys is meant: the key stays as it is */
        {"{\"a\":{{\"q\":1}:1,{\"q\":2}:1},\"b\":{{\"$ref\":\"$.a.null\"}:2}}",
         "{\"a\":{{\"q\":1}:1,{\"q\":2}:1},\"b\":{{\"$ref\":\"$.a.null\"}:2}}"},
        {"{\"a\":[1],\"b\":{{\"$ref\":\"$.a\"}:2}}", "{\"a\":[1],\"b\":{{\"$ref\":\"$.a\"}:2}}"},
        /* a reference to what holds a reference */
        {"{\"a\":{\"x\":[1]},\"b\":{\"y\":{\"$ref\":\"$.a\"}},\"c\":{\"$ref\":\"$.b\"},\"d\":{\"$ref\":\"$.c.y.x\"}}",
         "{\"a\":{\"x\":[1]},\"b\":{\"y\":{\"x\":[1]}},\"c\":{\"y\":{\"x\":[1]}},\"d\":[1]}"},
        /* enclosing values and nothing */
        {"{\"me\":{\"$ref\":\"@\"},\"list\":[{\"$ref\":\"..\"}],\"r\":{\"$ref\":\"$\"}}",
         "{\"me\":null,\"list\":[null],\"r\":null}"},
        {"{\"a\":{\"b\":{\"$ref\":\"$.a\"}}}", "{\"a\":{\"b\":null}}"},
        {"{\"b\":{\"$ref\":\"$.a\"},\"a\":{\"x\":1}}", "{\"b\":null,\"a\":{\"x\":1}}"},
        {"{\"$ref\":\"$\"}", "null"},
        {"[1,{\"$ref\":\"$[5]\"},{\"$ref\":\"$[-1]\"},{\"$ref\":\"$[x]\"},{\"$ref\":\"$[0]\"},{\"$ref\":\"$[\"},{\"$"
         "ref\":\"$x\"},"
         "{\"$ref\":\"\"},{\"$ref\":\"$.\"},{\"$ref\":\"$.a.b.c\"}]",
         "[1,null,null,null,null,null,null,null,null,null]"},
        /* no references */
        {"{\"$ref\":5}", "{\"$ref\":5}"},
        {"{\"$ref\":\"$\",\"x\":1}", "{\"$ref\":\"$\",\"x\":1}"},
        {"[\"$ref\"]", "[\"$ref\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct buf out = {0};
        struct err err = {0};
        struct jw w;
        struct json *root = json_parse(&a, str_from(rows[i].text), &err);
        if (root == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
        jw_init(&w, &out);
        json_tree_write(&w, root);
        buf_add_byte(&out, '\0');
        assert_string_equal((char *)out.data, rows[i].tree);
        buf_free(&out);
        arena_free(&a);
    }
}

static void cannot_blow_up_a_small_text(void **state)
{
    struct arena a = {0};
    struct buf b = {0};
    struct err err = {0};
    buf_add_lit(&b, "{\"n0\":[1,1]");
    for (int i = 1; i < 60; i++)
        buf_printf(&b, ",\"n%d\":[{\"$ref\":\"$.n%d\"},{\"$ref\":\"$.n%d\"}]", i, i - 1, i - 1);
    buf_add_byte(&b, '}');
    assert_null(json_parse(&a, buf_str(&b), &err));
    assert_int_equal(err.code, E2BIG);
    assert_non_null(strstr(err.text, "more than 4194304 values"));
    buf_free(&b);
    arena_free(&a);
}

static void cannot_make_the_tree_deeper_than_allowed(void **state)
{
    struct arena a = {0};
    struct buf b = {0};
    struct err err = {0};
    for (int levels = 62; levels <= 63; levels++) {
        buf_clear(&b);
        buf_add_lit(&b, "{\"n0\":[]");
        for (int i = 1; i <= levels; i++)
            buf_printf(&b, ",\"n%d\":[{\"$ref\":\"$.n%d\"}]", i, i - 1);
        buf_add_byte(&b, '}');
        assert_int_equal(json_parse(&a, buf_str(&b), &err) != NULL, levels == 62);
    }
    assert_int_equal(err.code, E2BIG);
    assert_non_null(strstr(err.text, "more than 64 levels deep"));
    buf_free(&b);
    arena_free(&a);
}

/* Many references that are searched in vain among many members must end soon. */
static void cannot_cost_more_than_the_limit(void **state)
{
    struct arena a = {0};
    struct buf b = {0};
    struct err err = {0};
    buf_add_byte(&b, '{');
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "\"m%d\":{\"$ref\":\"$.nowhere\"},", i);
    buf_add_byte(&b, '}');
    assert_null(json_parse(&a, buf_str(&b), &err));
    assert_int_equal(err.code, E2BIG);
    buf_free(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stand_for_what_was_before),
        cmocka_unit_test(cannot_blow_up_a_small_text),
        cmocka_unit_test(cannot_make_the_tree_deeper_than_allowed),
        cmocka_unit_test(cannot_cost_more_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
