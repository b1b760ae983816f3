/* Repairing: what a start refuses it takes again, what was whole is still there, what was taken out is kept. */
#include "store/store_check.h"
#include "store/store_repair.h"
#include "unit/store/store_fixture.h"

#include <errno.h>
#include <unistd.h>

enum { MESSAGES = 150 };

struct told {
    int steps;
    char last[300];
};

static void take_step(void *arg, const struct repair_step *s)
{
    struct told *t = arg;
    t->steps++;
    snprintf(t->last, sizeof t->last, "%s", s->text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_make(f);
    f->conf.mappedFileSizeCommitLog = 16 * 1024;
    fixture_open(f, true);
    for (int64_t n = 0; n < MESSAGES; n++)
        assert_int_equal(fixture_put(f, "T", 0, n, NULL), PUT_OK);
    fixture_close(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    free(*state);
    return 0;
}

/* Where message n stands in the log, and its size. */
static int64_t place_of(struct fixture *f, int64_t n, int32_t *size)
{
    struct store_entry e;
    fixture_open(f, false);
    assert_int_equal(store_entries(f->s, store_queue(f->s, str_from("T"), 0, false), n, &e, 1), 1);
    fixture_close(f);
    *size = e.size;
    return e.physical_offset;
}

static void patch(struct fixture *f, int64_t offset, const void *bytes, size_t n)
{
    char path[600];
    snprintf(path, sizeof path, "%s/commitlog/%020lld", f->dir.path, (long long)(offset - offset % 16384));
    file_patch(path, (long)(offset % 16384), bytes, n);
}

static struct repair_report repair(struct fixture *f, enum repair_choice choice, bool dry, struct told *told)
{
    struct repair_report r;
    struct err err = {0};
    memset(told, 0, sizeof *told);
    struct repair_options o = {.dir = f->dir.path, .choice = choice, .dry_run = dry, .arg = told, .step = take_step};
    if (store_repair(fs_real(), &o, &r, &err))
        fail_msg("%s", err.text);
    return r;
}

static void ignore(void *arg, const struct store_finding *x)
{
    if (x->problem)
        print_message("%s %s %lld: %s\n", x->part, x->where, (long long)x->offset, x->text);
}

static int64_t problems(struct fixture *f)
{
    struct store_report r;
    struct err err = {0};
    struct store_check_options o = {.dir = f->dir.path,
                                    .index_slots = f->conf.maxHashSlotNum,
                                    .index_entries = f->conf.maxIndexNum,
                                    .finding = ignore};
    assert_int_equal(store_check(fs_real(), &o, &r, &err), 0);
    return r.problems;
}

static bool has(struct fixture *f, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", f->dir.path, name);
    return fs_exists(fs_real(), path);
}

/* Messages [from, to) cannot be read and are passed over. */
static void expect_gap(struct fixture *f, int64_t from, int64_t to)
{
    struct get_result r;
    struct cq *q = store_queue(f->s, str_from("T"), 0, false);
    assert_int_equal(cq_max(q), MESSAGES);
    for (int64_t at = from; at < to; at = r.next_offset) {
        store_get(f->s, q, at, (uint32_t)(to - at), 1 << 20, NULL, NULL, true, &r);
        for (uint32_t i = 0; i < r.n_ranges; i++)
            assert_true((int64_t)get_be64(r.ranges[i].map + MSG_POS_QUEUE_OFFSET) >= to);
        assert_true(r.next_offset > at);
        store_release(f->s, &r);
    }
}

static void test_skip(void **state)
{
    struct fixture *f = *state;
    struct told told;
    int32_t size, size_42;
    int64_t at_10 = place_of(f, 10, &size), at_42 = place_of(f, 42, &size_42);
    patch(f, at_10 + size - 40, "x", 1); /* a property: nobody can tell without the CRC of the whole */
    patch(f, at_10 + 90, "\x01", 1);
    patch(f, at_42, "\0\0\0\0\0\0\0\0", 8); /* size and magic code */
    struct repair_report r = repair(f, REPAIR_SKIP, true, &told);
    assert_int_equal(r.damages, 2);
    assert_int_equal(r.messages, MESSAGES - 2);
    assert_int_equal(r.damaged_bytes, size + size_42);
    assert_false(has(f, "abort"));
    assert_false(has(f, "repaired"));
    r = repair(f, REPAIR_SKIP, false, &told);
    assert_int_equal(r.damages, 2);
    assert_true(has(f, "abort"));
    assert_true(has(f, "repaired"));
    fixture_open(f, true);
    fixture_expect(f, "T", 0, 0, 10);
    expect_gap(f, 10, 11);
    fixture_expect(f, "T", 0, 11, 42);
    expect_gap(f, 42, 43);
    fixture_expect(f, "T", 0, 43, MESSAGES);
    fixture_close(f);
    assert_int_equal(repair(f, REPAIR_REBUILD, true, &told).damages, 0);
    assert_int_equal(problems(f), 0);
    fixture_open(f, true);
    expect_gap(f, 10, 11);
}

static void test_skip_to_the_end_of_a_file(void **state)
{
    struct fixture *f = *state;
    struct told told;
    char junk[3000];
    memset(junk, 'j', sizeof junk);
    patch(f, 16384 - (int64_t)sizeof junk, junk, sizeof junk);
    struct repair_report r = repair(f, REPAIR_SKIP, false, &told);
    assert_int_equal(r.damages, 1);
    fixture_open(f, true);
    int64_t first = 0;
    struct cq *q = store_queue(f->s, str_from("T"), 0, false);
    while (first < MESSAGES && store_time_of(f->s, q, first) > 0)
        first++;
    int64_t behind = MESSAGES;
    while (behind > first && store_time_of(f->s, q, behind - 1) > 0)
        behind--;
    assert_int_equal(r.messages, first + MESSAGES - behind);
    fixture_expect(f, "T", 0, 0, first);
    expect_gap(f, first, behind);
    fixture_expect(f, "T", 0, behind, MESSAGES);
    fixture_close(f);
    assert_int_equal(problems(f), 0);
}

static void test_cut(void **state)
{
    struct fixture *f = *state;
    struct told told;
    int32_t size;
    int64_t at = place_of(f, 20, &size);
    patch(f, at + 4, "\0", 1);
    struct repair_report r = repair(f, REPAIR_CUT, true, &told);
    assert_int_equal(r.damages, 1);
    assert_true(r.cut_bytes > 16384);
    r = repair(f, REPAIR_CUT, false, &told);
    assert_int_equal(r.messages, 20);
    assert_true(has(f, "repaired/00000000000000016384"));
    fixture_open(f, true);
    fixture_expect(f, "T", 0, 0, 20);
    assert_int_equal(cq_max(store_queue(f->s, str_from("T"), 0, false)), 20);
    assert_int_equal(fixture_put(f, "T", 0, 20, NULL), PUT_OK);
    fixture_expect(f, "T", 0, 0, 21);
    fixture_close(f);
    assert_int_equal(problems(f), 0);
}

static void test_rebuild(void **state)
{
    struct fixture *f = *state;
    struct told told;
    char path[600];
    snprintf(path, sizeof path, "%s/consumequeue/T/0/00000000000000000000", f->dir.path);
    assert_int_equal(truncate(path, 37), 0);
    struct err err;
    assert_int_equal(store_open(&f->s, &f->conf, f->fs, NULL, &err), -1);
    repair(f, REPAIR_REBUILD, false, &told);
    assert_true(has(f, "repaired"));
    fixture_open(f, true);
    fixture_expect(f, "T", 0, 0, MESSAGES);
    fixture_close(f);
    assert_int_equal(problems(f), 0);
}

/* A queue whose first messages are damaged begins behind them, in the start that builds it and in every later one. */
static void test_minimum_stays(void **state)
{
    struct fixture *f = *state;
    struct told told;
    char junk[3000];
    memset(junk, 'j', sizeof junk);
    patch(f, 0, junk, sizeof junk);
    assert_int_equal(repair(f, REPAIR_SKIP, false, &told).damages, 1);
    fixture_open(f, true);
    int64_t min = cq_min(store_queue(f->s, str_from("T"), 0, false));
    assert_true(min > 0);
    fixture_expect(f, "T", 0, min, MESSAGES);
    for (int i = 0; i < 2; i++) {
        fixture_close(f);
        fixture_open(f, true);
        assert_int_equal(cq_min(store_queue(f->s, str_from("T"), 0, false)), min);
        fixture_expect(f, "T", 0, min, MESSAGES);
    }
}

static void test_running(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};
    struct repair_report r;
    struct err err;
    fixture_open(f, false);
    struct repair_options o = {.dir = f->dir.path, .choice = REPAIR_CUT, .arg = &told, .step = take_step};
    assert_int_equal(store_repair(fs_real(), &o, &r, &err), -1);
    assert_int_equal(err.code, EAGAIN);
    assert_int_equal(told.steps, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {T(skip),   T(skip_to_the_end_of_a_file), T(cut), T(rebuild), T(minimum_stays),
                                       T(running)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
