#include "base/buf.h"
#include "base/properties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

static void print_text(struct buf *out, struct str s)
{
    static const char letters[] = "tnrf", values[] = "\t\n\r\f";
    buf_add_byte(out, '<');
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.ptr[i] ? strchr(values, s.ptr[i]) : NULL;
        if (at || s.ptr[i] == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)(at ? letters[at - values] : s.ptr[i]));
    }
    buf_add_byte(out, '>');
}

static void reads_what_java_reads(void **state)
{
    /* The items as java.util.Properties puts them, on Java 17. */
    static const struct {
        const char *text, *items;
    } rows[] = {
        {"a=b", "<a>=<b>"},
        {"a = b", "<a>=<b>"},
        {"a:b", "<a>=<b>"},
        {"a b", "<a>=<b>"},
        {"a\tb", "<a>=<b>"},
        {"  a  =  b  ", "<a>=<b  >"},
        {"a", "<a>=<>"},
        {"a=", "<a>=<>"},
        {"=b", "<>=<b>"},
        {"a==b", "<a>=<=b>"},
        {"a=:b", "<a>=<:b>"},
        {"a : = b", "<a>=<= b>"},
        {"#c\na=1", "<a>=<1>"},
        {"!c\r\n a=1\r\n", "<a>=<1>"},
        {"  # c\na=1", "<a>=<1>"},
        {"a=1\rb=2\r\nc=3\n\n\nd=4", "<a>=<1> <b>=<2> <c>=<3> <d>=<4>"},
        {"a=x\\\n   y", "<a>=<xy>"},
        {"a=x\\\r\n\ty", "<a>=<xy>"},
        {"a=x\\\\\nb=2", "<a>=<x\\\\> <b>=<2>"},
        {"a=x\\\\\\\ny", "<a>=<x\\\\y>"},
        {"a\\ b=c", "<a b>=<c>"},
        {"a\\=b\\:c=d", "<a=b:c>=<d>"},
        {"a=\\t\\n\\r\\f\\\\\\q\\\"", "<a>=<\\t\\n\\r\\f\\\\q\">"},
        {"a=\\u0041\\u00e9", "<a>=<A\xC3\xA9>"},
        {"\\u0061=1", "<a>=<1>"},
        {"a=b\\", "<a>=<b>"},
        {"a=b\\\n", "<a>=<b>"},
        {"a=x\\\n#y", "<a>=<x#y>"},
        {"a=x\\\n\nb=1", "<a>=<x> <b>=<1>"},
        {"\\\na=1", "<a>=<1>"},
        {"\\\n\nb=1", "<b>=<1>"},
        {"a\\\nb=1", "<ab>=<1>"},
        {"a\\\n b=1", "<ab>=<1>"},
        {"a \\\n =\\\n b", "<a>=<b>"},
        {"a=1\na=2", "<a>=<1> <a>=<2>"},
        {"#c\\\na=1", "<a>=<1>"},
        {"a=#b", "<a>=<#b>"},
        {"a=b c", "<a>=<b c>"},
        {"a=\\ b", "<a>=< b>"},
        {" \\\n #x=1", ""},
        {"a\\\n  \\\n b=1", "<ab>=<1>"},
        {"  \n\t\f\na\fb", "<a>=<b>"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct buf out = {0};
        struct properties p;
        struct str text = str_from(rows[i].text);
        /* A copy of exactly that size, so that a sanitizer sees a read behind its end; gone before the items are used.
         */
        char *copy = malloc(text.len);
        memcpy(copy, text.ptr, text.len);
        assert_int_equal(properties_parse(&a, str_make(copy, text.len), &p, NULL), 0);
        free(copy);
        for (size_t k = 0; k < p.count; k++) {
            if (k)
                buf_add_byte(&out, ' ');
            print_text(&out, p.items[k].key);
            buf_add_byte(&out, '=');
            print_text(&out, p.items[k].value);
        }
        buf_add_byte(&out, '\0');
        if (strcmp((char *)out.data, rows[i].items) != 0)
            fail_msg("row %zu: %s instead of %s", i, (char *)out.data, rows[i].items);
        buf_free(&out);
        arena_free(&a);
    }
}

static struct str value_of(struct arena *a, struct str text)
{
    struct properties p;
    assert_int_equal(properties_parse(a, text, &p, NULL), 0);
    assert_int_equal(p.count, 1);
    return p.items[0].value;
}

static void reads_all_code_points(void **state)
{
    struct arena a = {0};
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\\u20ac\\u07FF\\u0800")), "\xE2\x82\xAC\xDF\xBF\xE0\xA0\x80"));
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\\ud83d\\ude00")), "\xF0\x9F\x98\x80"));
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\\ud83dx")), "\xEF\xBF\xBDx"));
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\\ud83d\\u0041")), "\xEF\xBF\xBD"
                                                                   "A"));
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\\ude00")), "\xEF\xBF\xBD"));
    assert_true(str_eqz(value_of(&a, STR_LIT("a=\xE2\x82\xAC")), "\xE2\x82\xAC"));
    arena_free(&a);
}

static void refuses_a_broken_escape_and_says_where(void **state)
{
    static const char *const texts[] = {"a=1\n\nb=\\u00g1\n", "a=1\r\n\r\nb=\\u00", "\\\n\\\n\\u=1", "a\\\n\\\n\\u12"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct arena a = {0};
        struct properties p;
        struct err err = {0};
        assert_int_equal(properties_parse(&a, str_from(texts[i]), &p, &err), -1);
        assert_int_equal(err.code, EINVAL);
        assert_int_equal(str_find(str_from(err.text), STR_LIT("line 3:")), 0);
        arena_free(&a);
    }
}

static void the_last_of_a_key_wins(void **state)
{
    struct arena a = {0};
    struct properties p;
    assert_int_equal(properties_parse(&a, STR_LIT("a=1\nb=2\na=3\nc="), &p, NULL), 0);
    assert_int_equal(p.count, 4);
    assert_true(str_eqz(properties_get(&p, STR_LIT("a")), "3"));
    assert_true(str_eqz(properties_get(&p, STR_LIT("b")), "2"));
    assert_false(str_is_null(properties_get(&p, STR_LIT("c"))));
    assert_true(str_is_null(properties_get(&p, STR_LIT("d"))));
    arena_free(&a);
}

static void reads_many_and_none(void **state)
{
    struct arena a = {0};
    struct buf b = {0};
    struct properties p;
    assert_int_equal(properties_parse(&a, STR_NULL, &p, NULL), 0);
    assert_int_equal(p.count, 0);
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "key%d=value%d\n", i, i);
    assert_int_equal(properties_parse(&a, buf_str(&b), &p, NULL), 0);
    assert_int_equal(p.count, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_true(str_eqz(p.items[i].key, arena_printf(&a, "key%d", i)));
        assert_true(str_eqz(p.items[i].value, arena_printf(&a, "value%d", i)));
    }
    buf_free(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_java_reads),
        cmocka_unit_test(reads_all_code_points),
        cmocka_unit_test(refuses_a_broken_escape_and_says_where),
        cmocka_unit_test(the_last_of_a_key_wins),
        cmocka_unit_test(reads_many_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
