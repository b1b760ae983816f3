/* Command lines: the spellings that the Java tools take, and what is wrong in a line. */
#include "base/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct arg_option options[] = {
    {"n", "namesrvAddr", "ADDRS", false, "name servers"},
    {"qn", "totalQueueNum", "N", false, "queues"},
    {"t", "topic", "TOPIC", true, "topic"},
    {NULL, "set", "KEY=VALUE", false, "a key"},
    {"l", "list", NULL, false, "as a list"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static struct args args;

static struct err err;

/* The words of a line, separated by one space. */
static int parse(const char *line)
{
    static char copy[256];
    static char *argv[32];
    int argc = 1;
    strcpy(copy, line);
    argv[0] = copy; /* the tool's name is never looked at */
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return args_parse(&args, options, OPTIONS, argc, argv, &err);
}

static void every_spelling_is_read(void **state)
{
    static const char *const lines[] = {"-n a:1",          "-na:1", "-n=a:1", "--namesrvAddr a:1", "--namesrvAddr=a:1",
                                        "-namesrvAddr a:1"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(parse(lines[i]), 0);
        assert_string_equal(args_get(&args, "namesrvAddr"), "a:1");
    }
}

static void short_names_may_have_two_letters(void **state)
{
    int64_t n = 0;
    assert_int_equal(parse("-qn 16"), 0);
    assert_int_equal(args_i64(&args, "totalQueueNum", 1, 100, &n, &err), 0);
    assert_int_equal(n, 16);
}

static void values_may_begin_with_a_dash_and_options_may_stand_anywhere(void **state)
{
    int64_t n = 0;
    assert_int_equal(parse("first -qn -1 second -l -- -n"), 0);
    assert_int_equal(args_i64(&args, "totalQueueNum", -1, 100, &n, &err), 0);
    assert_int_equal(n, -1);
    assert_true(args_has(&args, "list"));
    assert_false(args_has(&args, "namesrvAddr"));
    assert_int_equal(args.plain_count, 3);
    assert_string_equal(args.plain[2], "-n");
}

static void repeated_options_keep_their_order_and_the_last_one_counts(void **state)
{
    size_t at = 0;
    assert_int_equal(parse("--set a=1 --set b=2"), 0);
    assert_string_equal(args_next(&args, "set", &at), "a=1");
    assert_string_equal(args_next(&args, "set", &at), "b=2");
    assert_null(args_next(&args, "set", &at));
    assert_string_equal(args_get(&args, "set"), "b=2");
}

static void mistakes_are_named(void **state)
{
    int64_t n = 7;
    assert_int_equal(parse("--nonsense"), -1);
    assert_non_null(strstr(err.text, "--nonsense"));
    assert_int_equal(parse("--topic"), -1);
    assert_non_null(strstr(err.text, "needs a value"));
    assert_int_equal(parse("--list=yes"), -1);
    assert_non_null(strstr(err.text, "takes no value"));
    assert_int_equal(parse("-l"), 0);
    assert_int_equal(args_check(&args, &err), -1);
    assert_non_null(strstr(err.text, "-t/--topic"));
    assert_int_equal(parse("-t T"), 0);
    assert_int_equal(args_check(&args, &err), 0);
    assert_int_equal(parse("-qn many"), 0);
    assert_int_equal(args_i64(&args, "totalQueueNum", 1, 100, &n, &err), -1);
    assert_int_equal(n, 7);
    assert_non_null(strstr(err.text, "from 1 to 100"));
}

static void help_is_always_there(void **state)
{
    struct buf out = {0};
    assert_int_equal(parse("-h"), 0);
    assert_true(args_wants_help(&args));
    assert_int_equal(parse("--help"), 0);
    assert_true(args_wants_help(&args));
    assert_int_equal(parse("-l"), 0);
    assert_false(args_wants_help(&args));
    args_help(&out, options, OPTIONS);
    buf_add_byte(&out, 0);
    assert_non_null(strstr((char *)out.data, "-n, --namesrvAddr ADDRS"));
    assert_non_null(strstr((char *)out.data, "topic (required)"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_is_read),
        cmocka_unit_test(short_names_may_have_two_letters),
        cmocka_unit_test(values_may_begin_with_a_dash_and_options_may_stand_anywhere),
        cmocka_unit_test(repeated_options_keep_their_order_and_the_last_one_counts),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_is_always_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
