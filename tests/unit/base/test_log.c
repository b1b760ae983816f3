#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int pipe_fds[2];
static char text[8192];

static int open_pipe(void **state)
{
    log_set_level(LOG_INFO);
    if (pipe(pipe_fds) < 0)
        return -1;
    log_set_fd(pipe_fds[1]);
    return 0;
}

static int close_pipe(void **state)
{
    log_set_fd(2);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

/* What was logged since the last call; a byte of our own marks the end, so that nothing logged is no waiting. */
static const char *logged(void)
{
    assert_int_equal(write(pipe_fds[1], "\x01", 1), 1);
    size_t n = 0;
    do {
        ssize_t got = read(pipe_fds[0], text + n, sizeof text - n);
        assert_true(got > 0);
        n += (size_t)got;
    } while (text[n - 1] != '\x01');
    text[n - 1] = '\0';
    return text;
}

static void writes_one_line(void **state)
{
    int y, mo, d, h, mi, s, ms, end = 0;
    LOG(LOG_WARN, "store", "disk %d %% full", 85);
    const char *line = logged();
    assert_int_equal(sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d.%3d %n", &y, &mo, &d, &h, &mi, &s, &ms, &end), 7);
    assert_string_equal(line + end, "WARN  store      disk 85 % full\n");
}

static void holds_back_what_is_below_the_level(void **state)
{
    LOG(LOG_DEBUG, "store", "%s", "no");
    assert_string_equal(logged(), "");
    log_set_level(LOG_DEBUG);
    LOG(LOG_DEBUG, "store", "%s", "yes");
    assert_non_null(strstr(logged(), "DEBUG store      yes\n"));
    log_set_level(LOG_ERROR);
    LOG(LOG_WARN, "store", "%s", "no");
    assert_string_equal(logged(), "");
    LOG(LOG_ERROR, "store", "%s", "yes");
    assert_non_null(strstr(logged(), "ERROR store      yes\n"));
}

static void cuts_long_lines(void **state)
{
    static char big[5000];
    memset(big, 'x', sizeof big - 1);
    LOG(LOG_INFO, "m", "%s", big);
    const char *line = logged();
    size_t n = strlen(line);
    assert_true(n > 1000 && n <= 2048);
    assert_int_equal(line[n - 1], '\n');
    assert_int_equal(line[n - 2], 'x');
}

static void reads_level_names(void **state)
{
    enum log_level level;
    assert_true(log_level_parse(STR_LIT("warn"), &level) && level == LOG_WARN);
    assert_true(log_level_parse(STR_LIT("DEBUG"), &level) && level == LOG_DEBUG);
    assert_false(log_level_parse(STR_LIT("verbose"), &level));
    assert_false(log_level_parse(STR_LIT(""), &level));
}

static void lets_one_line_a_second_pass(void **state)
{
    int64_t last = 0;
    unsigned held = 0, dropped = 0;
    /* A second may end between two calls, so the calls count only when they fell into the same one. */
    for (;;) {
        time_t start = time(NULL);
        last = 0;
        held = 0;
        bool first = log_limit(&last, &held, &dropped);
        bool second = log_limit(&last, &held, &dropped);
        bool third = log_limit(&last, &held, &dropped);
        if (time(NULL) != start)
            continue;
        assert_true(first && !second && !third);
        break;
    }
    assert_int_equal(dropped, 0);
    assert_int_equal(held, 2);
    last--; /* a second later */
    assert_true(log_limit(&last, &held, &dropped));
    assert_int_equal(dropped, 2);
    assert_int_equal(held, 0);
}

static void limited_line_tells_how_many_were_held_back(void **state)
{
    for (int i = 0; i < 1000; i++)
        LOG_LIMITED(LOG_INFO, "net", "refused %d", i);
    const char *lines = logged();
    assert_non_null(strstr(lines, "refused 0 (0 more like this)\n"));
    unsigned count = 0;
    for (const char *c = lines; (c = strchr(c, '\n')); c++)
        count++;
    assert_in_range(count, 1, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_one_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(holds_back_what_is_below_the_level, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(cuts_long_lines, open_pipe, close_pipe),
        cmocka_unit_test(reads_level_names),
        cmocka_unit_test(lets_one_line_a_second_pass),
        cmocka_unit_test_setup_teardown(limited_line_tells_how_many_were_held_back, open_pipe, close_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
