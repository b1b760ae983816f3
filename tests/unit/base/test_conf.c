#include "base/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

enum flush { ASYNC_FLUSH, SYNC_FLUSH };

struct sample {
    conf_bool enable;
    conf_i32 port;
    conf_i32 any32;
    conf_i64 size;
    conf_i64 any64;
    char *name;
    char *address;
    conf_enum flush;
};

static const char *const flush_names[] = {"ASYNC_FLUSH", "SYNC_FLUSH", NULL};

static const struct conf_key keys[] = {
    {"enableThing", CONF_BOOL, offsetof(struct sample, enable), "true", 0, 0, NULL, true, "the thing"},
    {"listenPort", CONF_I32, offsetof(struct sample, port), "10911", 1, 65535, NULL, false, "the port"},
    {"any32", CONF_I32, offsetof(struct sample, any32), "0", 0, 0, NULL, false, "any"},
    {"mappedFileSize", CONF_I64, offsetof(struct sample, size), "1073741824", 4096, INT64_MAX, NULL, false, "the size"},
    {"any64", CONF_I64, offsetof(struct sample, any64), "-1", 0, 0, NULL, false, "any"},
    {"brokerName", CONF_STR, offsetof(struct sample, name), "broker-a", 0, 0, NULL, false, "the name"},
    {"namesrvAddr", CONF_STR, offsetof(struct sample, address), NULL, 0, 0, NULL, true, "addresses"},
    {"flushDiskType", CONF_ENUM, offsetof(struct sample, flush), "ASYNC_FLUSH", 0, 0, flush_names, true, "when"},
};

static const struct conf_table table = {"broker", keys, sizeof keys / sizeof *keys};

static struct sample s;
static struct err err;

static int set(const char *name, const char *value)
{
    err = (struct err){0};
    return conf_set(&table, &s, str_from(name), str_from(value), &err);
}

static int start(void **state)
{
    return conf_defaults(&table, &s, &err);
}

static int finish(void **state)
{
    conf_free(&table, &s);
    return s.name || s.address;
}

static void starts_with_the_defaults(void **state)
{
    assert_true(s.enable);
    assert_int_equal(s.port, 10911);
    assert_true(s.size == 1073741824 && s.any64 == -1);
    assert_string_equal(s.name, "broker-a");
    assert_null(s.address);
    assert_int_equal(s.flush, ASYNC_FLUSH);
}

static void goes_back_to_the_defaults(void **state)
{
    assert_int_equal(set("namesrvAddr", "1.2.3.4:9876"), 0);
    assert_int_equal(set("listenPort", "1"), 0);
    assert_int_equal(set("flushDiskType", "SYNC_FLUSH"), 0);
    assert_int_equal(conf_defaults(&table, &s, &err), 0);
    starts_with_the_defaults(state);
}

static void takes_good_values(void **state)
{
    assert_int_equal(set("enableThing", "false"), 0);
    assert_false(s.enable);
    assert_int_equal(set("enableThing", " TRUE "), 0);
    assert_true(s.enable);
    assert_int_equal(set("listenPort", "65535"), 0);
    assert_int_equal(s.port, 65535);
    assert_int_equal(set("listenPort", " 1\t"), 0);
    assert_int_equal(s.port, 1);
    assert_int_equal(set("any32", "-2147483648"), 0);
    assert_int_equal(s.any32, INT32_MIN);
    assert_int_equal(set("any64", "-9223372036854775808"), 0);
    assert_true(s.any64 == INT64_MIN);
    assert_int_equal(set("mappedFileSize", "9223372036854775807"), 0);
    assert_true(s.size == INT64_MAX);
    assert_int_equal(set("brokerName", ""), 0);
    assert_string_equal(s.name, "");
    assert_int_equal(set("brokerName", "b 2"), 0);
    assert_string_equal(s.name, "b 2");
    assert_int_equal(set("flushDiskType", "sync_flush"), 0);
    assert_int_equal(s.flush, SYNC_FLUSH);
}

static void refuses_bad_values_and_keeps_the_old(void **state)
{
    static const struct {
        const char *name, *value, *text;
    } rows[] = {
        {"enableThing", "yes", "broker configuration: enableThing cannot be \"yes\"; it must be true or false"},
        {"enableThing", "", "it must be true or false"},
        {"listenPort", "0", "listenPort cannot be \"0\"; it must be a whole number from 1 to 65535"},
        {"listenPort", "65536", "from 1 to 65535"},
        {"listenPort", "x", "from 1 to 65535"},
        {"listenPort", "", "from 1 to 65535"},
        {"listenPort", "80 81", "from 1 to 65535"},
        {"any32", "2147483648", "from -2147483648 to 2147483647"},
        {"any64", "9223372036854775808", "from -9223372036854775808 to 9223372036854775807"},
        {"mappedFileSize", "4095", "from 4096 to 9223372036854775807"},
        {"brokerName", "a\nb", "brokerName cannot be \"a\nb\"; it must be one line of text"},
        {"brokerName", "a\rb", "one line of text"},
        {"flushDiskType", "FLUSH", "flushDiskType cannot be \"FLUSH\"; it must be one of ASYNC_FLUSH, SYNC_FLUSH"},
        {"flushDiskType", "", "one of ASYNC_FLUSH, SYNC_FLUSH"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(set(rows[i].name, rows[i].value), -1);
        assert_int_equal(err.code, EINVAL);
        if (str_find(str_from(err.text), str_from(rows[i].text)) < 0)
            fail_msg("\"%s\" without \"%s\"", err.text, rows[i].text);
        assert_int_equal(conf_set(&table, &s, str_from(rows[i].name), str_from(rows[i].value), NULL), -1);
    }
    assert_int_equal(conf_set(&table, &s, STR_LIT("brokerName"), STR_LIT("a\0b"), &err), -1);
    starts_with_the_defaults(state);
}

static void names_the_similar_key(void **state)
{
    assert_int_equal(set("listenport", "1"), -1);
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.text, "broker has no configuration key \"listenport\"; did you mean listenPort?");
    assert_int_equal(set("nameserverAddr", "x"), -1);
    assert_non_null(strstr(err.text, "did you mean namesrvAddr?"));
    assert_int_equal(set("somethingElseEntirely", "1"), -1);
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.text, "broker has no configuration key \"somethingElseEntirely\"");
    assert_int_equal(set("", "1"), -1);
    assert_int_equal(set("aKeyLongerThanAnyThatIsInAnyTableOfConfigurationKeysThatWeHaveEverSeen", "1"), -1);
    assert_int_equal(err.code, ENOENT);
    assert_int_equal(s.port, 10911);
}

static void finds_by_exact_name(void **state)
{
    assert_ptr_equal(conf_find(&table, STR_LIT("brokerName")), &keys[5]);
    assert_null(conf_find(&table, STR_LIT("brokername")));
    assert_null(conf_find(&table, STR_LIT("brokerNam")));
}

static void prints_what_is_set(void **state)
{
    struct buf out = {0};
    conf_print(&table, &s, &out);
    assert_true(str_eqz(buf_str(&out),
                        "enableThing=true\nlistenPort=10911\nany32=0\nmappedFileSize=1073741824\nany64=-1\n"
                        "brokerName=broker-a\nflushDiskType=ASYNC_FLUSH\n"));
    assert_int_equal(set("namesrvAddr", "127.0.0.1:9876;127.0.0.1:9877"), 0);
    assert_int_equal(set("enableThing", "false"), 0);
    buf_clear(&out);
    conf_print(&table, &s, &out);
    assert_true(str_find(buf_str(&out), STR_LIT("enableThing=false\n")) == 0);
    assert_true(str_find(buf_str(&out), STR_LIT("\nnamesrvAddr=127.0.0.1:9876;127.0.0.1:9877\n")) > 0);
    buf_free(&out);
}

static void a_bad_default_is_told(void **state)
{
    static const struct conf_key bad[] = {{"port", CONF_I32, 0, "x", 1, 2, NULL, false, ""}};
    const struct conf_table t = {"test", bad, 1};
    int32_t port = 0;
    assert_int_equal(conf_defaults(&t, &port, &err), -1);
    assert_non_null(strstr(err.text, "port cannot be \"x\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(starts_with_the_defaults, start, finish),
        cmocka_unit_test_setup_teardown(goes_back_to_the_defaults, start, finish),
        cmocka_unit_test_setup_teardown(takes_good_values, start, finish),
        cmocka_unit_test_setup_teardown(refuses_bad_values_and_keeps_the_old, start, finish),
        cmocka_unit_test_setup_teardown(names_the_similar_key, start, finish),
        cmocka_unit_test_setup_teardown(finds_by_exact_name, start, finish),
        cmocka_unit_test_setup_teardown(prints_what_is_set, start, finish),
        cmocka_unit_test(a_bad_default_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
