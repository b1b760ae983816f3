/* Consume queues: appending and reading, the files and what a restart finds in them, and what a reader sees meanwhile.
 */
#include "store/consumequeue.h"

#include "base/bytes.h"
#include "base/log.h"
#include "os/clock.h"
#include "unit/os/counting_fs.h"
#include "unit/patience.h"
#include "unit/store/tmpdir.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

enum { SMALL_FILE = 10 * CQ_ENTRY_SIZE, MSG = 100 };

#define TOPIC STR_LIT("TopicTest")

struct fixture {
    struct tmpdir dir;
    struct cq_set *set;
    int64_t file_size;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    log_set_level(LOG_ERROR);
    tmpdir_make(&f->dir);
    f->file_size = SMALL_FILE;
    f->set = cq_set_new(fs_real(), f->dir.path, f->file_size);
    assert_non_null(f->set);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cq_set_free(f->set);
    tmpdir_remove(&f->dir);
    free(f);
    return 0;
}

/* Message n of the test's log: 100 bytes each, so entry i of a lone queue lies at 100 * i. */
static bool append(struct cq *q, int64_t i)
{
    return cq_append(q, i, i * MSG, MSG, i * 7);
}

static void fill(struct cq *q, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        assert_true(append(q, i));
    cq_publish(q, cq_next(q));
}

static void persist(struct cq_set *set, int64_t log_end)
{
    struct err err;
    int64_t to = -5;
    if (cq_set_persist(set, true, log_end, &to, &err))
        fail_msg("%s", err.text);
    assert_int_equal(to, log_end);
}

static void reload(struct fixture *f, int64_t trust)
{
    struct err err = {0};
    cq_set_free(f->set);
    f->set = cq_set_new(fs_real(), f->dir.path, f->file_size);
    cq_set_trust(f->set, trust);
    if (cq_set_load(f->set, &err))
        fail_msg("%s", err.text);
}

static void check_entries(struct cq *q, int64_t from, int64_t to)
{
    struct store_entry e[64];
    while (from < to) {
        int want = to - from < 64 ? (int)(to - from) : 64;
        assert_int_equal(cq_read(q, from, e, want, true), want);
        for (int i = 0; i < want; i++, from++) {
            assert_int_equal(e[i].physical_offset, from * MSG);
            assert_int_equal(e[i].size, MSG);
            assert_int_equal(e[i].tags_code, from * 7);
        }
    }
}

static void test_append_and_read(void **state)
{
    struct fixture *f = *state;
    assert_null(cq_get(f->set, TOPIC, 3, false));
    struct cq *q = cq_get(f->set, TOPIC, 3, true);
    assert_ptr_equal(cq_get(f->set, TOPIC, 3, false), q);
    assert_true(str_eq(cq_topic(q), TOPIC));
    assert_int_equal(cq_id(q), 3);
    struct store_entry e[4];
    assert_int_equal(cq_read(q, 0, e, 4, true), 0);
    assert_int_equal(cq_next(q), 0);
    assert_true(cq_append(q, 0, 1000, 200, -5));
    assert_int_equal(cq_next(q), 1);
    assert_int_equal(cq_max(q), 0);
    assert_int_equal(cq_read(q, 0, e, 4, true), 0); /* not published yet */
    assert_int_equal(cq_publish(q, 1), 0);
    assert_int_equal(cq_max(q), 1);
    assert_int_equal(cq_read(q, 0, e, 4, false), 1);
    assert_int_equal(e[0].physical_offset, 1000);
    assert_int_equal(e[0].size, 200);
    assert_int_equal(e[0].tags_code, -5);
    assert_int_equal(cq_read(q, 1, e, 4, true), 0);
    assert_int_equal(cq_read(q, -1, e, 4, true), 0);
    /* Dispatched again: nothing changes. */
    assert_true(cq_append(q, 1, 1000, 200, 9));
    assert_int_equal(cq_next(q), 1);
    /* Refused publications: lower, and above what is appended. */
    cq_publish(q, 0);
    cq_publish(q, 5);
    assert_int_equal(cq_max(q), 1);
    assert_int_equal(cq_set_dispatched(f->set), 1200);
    assert_null(cq_get(f->set, str_make("", 0), 0, true));
    char longer[300];
    memset(longer, 'x', sizeof longer);
    assert_null(cq_get(f->set, str_make(longer, 256), 0, true));
    assert_non_null(cq_get(f->set, str_make(longer, 255), 0, true));
}

static void test_waiters(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    cq_wait(q, 0);
    cq_wait(q, 63);
    append(q, 0);
    assert_true(cq_publish(q, 1) == (1 | (uint64_t)1 << 63));
    append(q, 1);
    assert_true(cq_publish(q, 2) == 0);
    cq_wait(q, 5);
    assert_true(cq_publish(q, 2) == 0); /* nothing new: the bit stays for the next entry */
    append(q, 2);
    assert_true(cq_publish(q, 3) == 32);
}

static void test_file_bytes(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 2, true);
    fill(q, 0, 13);
    persist(f->set, 13 * MSG);
    char path[600];
    size_t n;
    snprintf(path, sizeof path, "%s/TopicTest/2/00000000000000000000", f->dir.path);
    unsigned char *first = file_bytes(path, &n);
    assert_non_null(first);
    assert_int_equal(n, SMALL_FILE);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get_be64(first + i * 20), i * MSG);
        assert_int_equal(get_be32(first + i * 20 + 8), MSG);
        assert_int_equal(get_be64(first + i * 20 + 12), i * 7);
    }
    free(first);
    snprintf(path, sizeof path, "%s/TopicTest/2/00000000000000000200", f->dir.path);
    unsigned char *second = file_bytes(path, &n);
    assert_non_null(second);
    assert_int_equal(n, SMALL_FILE); /* full size at once */
    assert_int_equal(get_be64(second + 40), 12 * MSG);
    for (size_t i = 60; i < n; i++)
        assert_int_equal(second[i], 0);
    free(second);
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    for (int32_t id = 0; id < 5; id++)
        fill(cq_get(f->set, TOPIC, id, true), 0, id * 9);
    persist(f->set, 36 * MSG);
    for (int trust = 0; trust < 3; trust++) {
        reload(f, trust == 0 ? INT64_MAX : trust == 1 ? -1 : 20 * MSG);
        assert_int_equal(cq_set_dispatched(f->set), 36 * MSG);
        assert_null(cq_get(f->set, TOPIC, 0, false)); /* never had an entry: no file */
        for (int32_t id = 1; id < 5; id++) {
            struct cq *q = cq_get(f->set, TOPIC, id, false);
            assert_non_null(q);
            assert_int_equal(cq_min(q), 0);
            assert_int_equal(cq_max(q), id * 9);
            assert_int_equal(cq_next(q), id * 9);
            check_entries(q, 0, id * 9);
        }
    }
    struct cq *q = cq_get(f->set, TOPIC, 1, false);
    fill(q, 9, 31);
    check_entries(q, 0, 31); /* across files and tail */
    persist(f->set, 31 * MSG);
    check_entries(q, 0, 31);
}

static void test_preblank(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    assert_true(append(q, 27)); /* older messages are gone */
    cq_publish(q, 28);
    assert_int_equal(cq_min(q), 27);
    assert_int_equal(cq_max(q), 28);
    persist(f->set, 28 * MSG);
    char path[600];
    size_t n;
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000400", f->dir.path);
    unsigned char *bytes = file_bytes(path, &n);
    assert_non_null(bytes);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(get_be64(bytes + i * 20), 0);
        assert_int_equal(get_be32(bytes + i * 20 + 8), 0x7FFFFFFF);
        assert_int_equal(get_be64(bytes + i * 20 + 12), 0);
    }
    assert_int_equal(get_be64(bytes + 140), 27 * MSG);
    free(bytes);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_min(q), 27);
    assert_int_equal(cq_max(q), 28);
    assert_int_equal(cq_set_dispatched(f->set), 28 * MSG);
    check_entries(q, 27, 28);
    fill(q, 28, 45);
    persist(f->set, 45 * MSG);
    reload(f, INT64_MAX);
    check_entries(cq_get(f->set, TOPIC, 0, false), 27, 45);
}

static void test_gap_is_filled(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 3);
    assert_true(append(q, 6));
    cq_publish(q, 7);
    assert_int_equal(cq_max(q), 7);
    struct store_entry e[7];
    assert_int_equal(cq_read(q, 0, e, 7, true), 7);
    assert_int_equal(e[4].physical_offset, 0);
    assert_int_equal(e[4].size, 0x7FFFFFFF);
    assert_int_equal(e[6].physical_offset, 6 * MSG);
    assert_true(cq_append(q, 2, 7 * MSG, MSG, 0)); /* behind in the log, but its place is taken */
    assert_int_equal(cq_next(q), 7);
    persist(f->set, 7 * MSG);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_max(q), 7);
    check_entries(q, 6, 7);
    /* Front truncation steps over the blanks. */
    cq_set_truncate_front(f->set, 2 * MSG + 1);
    assert_int_equal(cq_min(q), 6);
}

static void test_far_gap_begins_anew(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 25);
    persist(f->set, 25 * MSG);
    log_set_level(LOG_ERROR);
    log_set_fd(-1);
    assert_true(append(q, 50000003));
    log_set_fd(2);
    cq_publish(q, 50000004);
    assert_int_equal(cq_min(q), 50000003);
    persist(f->set, 50000004LL * MSG);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_min(q), 50000003);
    check_entries(q, 50000003, 50000004);
}

static void test_crash_loses_only_the_tail(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 15);
    persist(f->set, 15 * MSG);
    fill(q, 15, 40);
    reload(f, 15 * MSG); /* the process died before the next round */
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_max(q), 15);
    assert_int_equal(cq_set_dispatched(f->set), 15 * MSG);
    fill(q, 0, 40); /* the log is dispatched again from its start */
    assert_int_equal(cq_max(q), 40);
    check_entries(q, 0, 40);
}

/* Pages lost in the middle by a power failure: what is not trusted is read and cut there, what is trusted is not read.
 */
static void test_hole(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 28);
    persist(f->set, 28 * MSG);
    char path[600];
    static const char zero[20];
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000200", f->dir.path);
    file_patch(path, 60, zero, 20);
    reload(f, INT64_MAX);
    assert_int_equal(cq_max(cq_get(f->set, TOPIC, 0, false)), 28);
    reload(f, 20 * MSG);
    assert_int_equal(cq_max(cq_get(f->set, TOPIC, 0, false)), 28);
    reload(f, 12 * MSG);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_max(q), 13);
    /* What stood behind is gone for good, also for the next restart. */
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_max(q), 13);
    check_entries(q, 0, 13);
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000400", f->dir.path);
    assert_int_equal(file_size(path), -1);
    fill(q, 13, 33);
    persist(f->set, 33 * MSG);
    reload(f, -1);
    check_entries(cq_get(f->set, TOPIC, 0, false), 0, 33);
}

static void test_stale_units_are_cut(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 8);
    persist(f->set, 8 * MSG);
    char path[600];
    unsigned char unit[20] = {0};
    put_be64(unit, 3 * MSG); /* lies before its predecessor: left over from another life of the log */
    put_be32(unit + 8, MSG);
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000000", f->dir.path);
    file_patch(path, 8 * 20, unit, 20);
    reload(f, 5 * MSG);
    assert_int_equal(cq_max(cq_get(f->set, TOPIC, 0, false)), 8);
    size_t n;
    unsigned char *bytes = file_bytes(path, &n);
    assert_int_equal(get_be64(bytes + 160), 0);
    free(bytes);
}

static void test_truncate(void **state)
{
    struct fixture *f = *state;
    for (int64_t keep = 0; keep <= 38; keep++) {
        char name[20];
        snprintf(name, sizeof name, "T%d", (int)keep);
        struct cq *q = cq_get(f->set, str_from(name), 0, true);
        fill(q, 0, 34);
        persist(f->set, 34 * MSG);
        fill(q, 34, 38); /* the last four only in memory */
        struct err err;
        assert_int_equal(cq_set_truncate(f->set, keep * MSG + 50, &err), 0);
        assert_int_equal(cq_max(q), keep);
        assert_int_equal(cq_next(q), keep);
        check_entries(q, 0, keep);
        persist(f->set, keep * MSG);
        struct cq_set *again = cq_set_new(fs_real(), f->dir.path, f->file_size);
        assert_int_equal(cq_set_load(again, &err), 0);
        struct cq *r = cq_get(again, str_from(name), 0, false);
        assert_int_equal(cq_max(r), keep);
        check_entries(r, 0, keep);
        cq_set_free(again);
        /* The log goes on from there with other messages. */
        for (int64_t i = keep; i < 45; i++)
            assert_true(cq_append(q, i, keep * MSG + 50 + (i - keep) * 60, 60, 1));
        cq_publish(q, 45);
        persist(f->set, 100 * MSG);
        struct store_entry e;
        assert_int_equal(cq_read(q, 44, &e, 1, true), 1);
        assert_int_equal(e.physical_offset, keep * MSG + 50 + (44 - keep) * 60);
        check_entries(q, 0, keep);
        cq_set_delete_topic(f->set, str_from(name));
    }
}

static void test_truncate_front(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 35);
    persist(f->set, 35 * MSG);
    assert_int_equal(cq_set_truncate_front(f->set, 5 * MSG), 0);
    assert_int_equal(cq_min(q), 5);
    struct store_entry e;
    assert_int_equal(cq_read(q, 4, &e, 1, true), 0);
    assert_int_equal(cq_set_truncate_front(f->set, 10 * MSG), 1);
    assert_int_equal(cq_min(q), 10);
    assert_int_equal(cq_set_truncate_front(f->set, 24 * MSG + 1), 1);
    assert_int_equal(cq_min(q), 25);
    check_entries(q, 25, 35);
    reload(f, INT64_MAX);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_min(q), 20); /* the log's minimum is applied by the store */
    assert_int_equal(cq_set_truncate_front(f->set, 24 * MSG + 1), 0);
    assert_int_equal(cq_min(q), 25);
    /* All messages gone: the last file stays and remembers the end. */
    assert_int_equal(cq_set_truncate_front(f->set, 1000 * MSG), 1);
    assert_int_equal(cq_min(q), 35);
    assert_int_equal(cq_max(q), 35);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_next(q), 35);
    assert_int_equal(cq_set_truncate_front(f->set, 1000 * MSG), 0);
    assert_int_equal(cq_min(q), 35);
    assert_true(cq_append(q, 35, 2000 * MSG, MSG, 0));
    cq_publish(q, 36);
    assert_int_equal(cq_set_truncate_front(f->set, 1500 * MSG), 0);
    assert_int_equal(cq_min(q), 35);
    assert_int_equal(cq_read(q, 35, &e, 1, true), 1);
    assert_int_equal(cq_set_truncate_front(f->set, 2001 * MSG), 0);
    assert_int_equal(cq_min(q), 36);
}

/* Queues that the removed part of the log does not touch cost no reading, and the others little. */
static void test_truncate_front_reads_little(void **state)
{
    struct fixture *f = *state;
    enum { QUEUES = 50, EACH = 40 };
    cq_set_free(f->set);
    f->set = cq_set_new(counting_fs(), f->dir.path, 100 * CQ_ENTRY_SIZE);
    struct cq *q[QUEUES];
    for (int i = 0; i < QUEUES; i++)
        q[i] = cq_get(f->set, TOPIC, i, true);
    /* Queue after queue in the log. */
    for (int64_t n = 0; n < QUEUES * EACH; n++) {
        assert_true(cq_append(q[n / EACH], n % EACH, n * MSG, MSG, 0));
        cq_publish(q[n / EACH], n % EACH + 1);
    }
    for (int round = 0; round < 6; round++)
        persist(f->set, QUEUES * EACH * MSG);
    counted_reads = 0;
    assert_int_equal(cq_set_truncate_front(f->set, (int64_t)EACH * MSG), 0);
    assert_int_equal(counted_reads, 0);
    assert_int_equal(cq_min(q[0]), EACH);
    assert_int_equal(cq_min(q[1]), 0);
    assert_int_equal(cq_set_truncate_front(f->set, (EACH + 30) * MSG), 0);
    assert_true(counted_reads <= 2);
    assert_int_equal(cq_min(q[1]), 30);
    assert_int_equal(cq_min(q[2]), 0);
}

/* After a crash a queue of many files is not opened file by file, as long as the last are known to be durable. */
static void test_load_opens_few_files(void **state)
{
    struct fixture *f = *state;
    enum { N = 1000 };
    fill(cq_get(f->set, TOPIC, 0, true), 0, N);
    persist(f->set, N * MSG);
    fill(cq_get(f->set, TOPIC, 0, true), N, N + 25); /* two files more, and one that is not full */
    persist(f->set, (N + 25) * MSG);
    char path[600];
    snprintf(path, sizeof path, "%s/TopicTest/0/%020d", f->dir.path, (N + 30) * CQ_ENTRY_SIZE);
    fclose(fopen(path, "w")); /* just being made */
    struct err err = {0};
    cq_set_free(f->set);
    f->set = cq_set_new(counting_fs(), f->dir.path, f->file_size);
    cq_set_trust(f->set, N * MSG);
    counted_opens = 0;
    if (cq_set_load(f->set, &err))
        fail_msg("%s", err.text);
    assert_true(counted_opens < 30);
    struct cq *q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_max(q), N + 25);
    check_entries(q, 0, N + 25);
    assert_int_equal(file_size(path), -1);
}

static void test_damaged_folder(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 35);
    persist(f->set, 35 * MSG);
    char path[600];
    /* An empty last file and foreign names are no harm. */
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000800", f->dir.path);
    fclose(fopen(path, "w"));
    char foreign[600];
    snprintf(foreign, sizeof foreign, "%s/TopicTest/0/notes.txt", f->dir.path);
    fclose(fopen(foreign, "w"));
    snprintf(foreign, sizeof foreign, "%s/TopicTest/x", f->dir.path);
    mkdir(foreign, 0755);
    reload(f, -1);
    assert_int_equal(cq_max(cq_get(f->set, TOPIC, 0, false)), 35);
    assert_int_equal(file_size(path), -1);
    assert_int_equal(cq_set_count(f->set), 1);
    /* A missing file in the middle: the queue begins behind it. */
    snprintf(path, sizeof path, "%s/TopicTest/0/00000000000000000200", f->dir.path);
    unlink(path);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_min(q), 20);
    assert_int_equal(cq_max(q), 35);
    check_entries(q, 20, 35);
    /* Another file size: refused, with the names of file and key. */
    cq_set_free(f->set);
    struct err err = {0};
    f->set = cq_set_new(fs_real(), f->dir.path, 2 * SMALL_FILE);
    assert_int_equal(cq_set_load(f->set, &err), -1);
    assert_non_null(strstr(err.text, "mappedFileSizeConsumeQueue"));
    assert_non_null(strstr(err.text, "TopicTest/0/"));
}

static void test_delete_topic(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true), *other = cq_get(f->set, STR_LIT("Other"), 0, true);
    fill(q, 0, 35);
    fill(other, 0, 5);
    fill(cq_get(f->set, TOPIC, 1, true), 0, 12);
    persist(f->set, 35 * MSG);
    fill(q, 35, 38);
    cq_set_delete_topic(f->set, TOPIC);
    char path[600];
    snprintf(path, sizeof path, "%s/TopicTest", f->dir.path);
    assert_null(cq_get(f->set, TOPIC, 0, false));
    assert_int_equal(cq_max(q), 0);
    check_entries(other, 0, 5);
    persist(f->set, 38 * MSG);
    assert_int_equal(file_size(path), -1);
    persist(f->set, 38 * MSG);
    assert_int_equal(file_size(path), -1);
    /* Made again: the same queue, from 0 on. */
    assert_ptr_equal(cq_get(f->set, TOPIC, 0, true), q);
    assert_int_equal(cq_next(q), 0);
    for (int64_t i = 0; i < 12; i++)
        assert_true(cq_append(q, i, (100 + i) * MSG, MSG, 3));
    cq_publish(q, 12);
    persist(f->set, 112 * MSG);
    reload(f, -1);
    q = cq_get(f->set, TOPIC, 0, false);
    struct store_entry e;
    assert_int_equal(cq_max(q), 12);
    assert_int_equal(cq_read(q, 11, &e, 1, true), 1);
    assert_int_equal(e.physical_offset, 111 * MSG);
}

static void test_cold_read_does_not_block(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 35);
    persist(f->set, 35 * MSG);
    reload(f, INT64_MAX);
    q = cq_get(f->set, TOPIC, 0, false);
    struct store_entry e[40];
    assert_int_equal(cq_read(q, 0, e, 10, false), -1); /* the file is not even open */
    assert_int_equal(cq_read(q, 0, e, 40, true), 35);
    assert_int_equal(cq_read(q, 0, e, 10, false), 10);
}

/* A tail leaves memory when its queue stays quiet, and comes back with the next message. */
static void test_idle_tail_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct cq *q = cq_get(f->set, TOPIC, 0, true);
    fill(q, 0, 5);
    struct store_entry e[8];
    for (int i = 0; i < 8; i++)
        persist(f->set, 5 * MSG);
    reload(f, INT64_MAX);
    q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_read(q, 0, e, 8, false), -1);
    fill(q, 5, 7);
    assert_int_equal(cq_read(q, 5, e, 8, false), 2);
    for (int i = 0; i < 8; i++)
        persist(f->set, 7 * MSG);
    fill(q, 7, 8);
    check_entries(q, 0, 8);
}

/* Without sync a small tail may wait; the watermark says so. */
static void test_small_tails_wait(void **state)
{
    struct fixture *f = *state;
    struct cq *small = cq_get(f->set, TOPIC, 0, true), *big = cq_get(f->set, TOPIC, 1, true);
    struct err err;
    int64_t to;
    assert_true(cq_append(small, 0, 700, 50, 0));
    for (int64_t i = 0; i < 1000; i++)
        assert_true(cq_append(big, i, 750 + i * 50, 50, 0));
    assert_int_equal(cq_set_persist(f->set, false, 50750, &to, &err), 0);
    assert_int_equal(to, 700);
    assert_int_equal(cq_set_persist(f->set, true, 50750, &to, &err), 0);
    assert_int_equal(to, 50750);
    assert_true(cq_append(big, 1000, 50750, 50, 0));
    assert_int_equal(cq_set_persist(f->set, false, 50800, &to, &err), 0);
    assert_int_equal(to, 50750);
    assert_int_equal(cq_set_persist(f->set, true, 50800, &to, &err), 0);
    assert_int_equal(to, 50800);
}

/* ---- failing disk
 * ------------------------------------------------------------------------------------------------------ */

static int fail_write, fail_sync;

static ssize_t faulty_pwrite(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    if (fail_write)
        return fail_write;
    return fs_real()->pwrite(fs_real(), fd, buf, n > 7 ? n / 2 : n, at); /* always short */
}

static int faulty_datasync(const struct fs *fs, int fd)
{
    return fail_sync ? fail_sync : fs_real()->datasync(fs_real(), fd);
}

static void test_failing_disk(void **state)
{
    struct fixture *f = *state;
    struct fs faulty = *fs_real();
    faulty.pwrite = faulty_pwrite;
    faulty.datasync = faulty_datasync;
    struct cq_set *set = cq_set_new(&faulty, f->dir.path, f->file_size);
    struct cq *q = cq_get(set, TOPIC, 0, true);
    fill(q, 0, 25);
    struct err err = {0};
    int64_t to;
    fail_write = -ENOSPC;
    assert_int_equal(cq_set_persist(set, true, 25 * MSG, &to, &err), -1);
    assert_int_equal(err.code, ENOSPC);
    assert_non_null(strstr(err.text, "TopicTest/0"));
    assert_int_equal(to, 0);
    check_entries(q, 0, 25); /* nothing is lost meanwhile */
    fail_write = 0;
    fail_sync = -EIO;
    assert_int_equal(cq_set_persist(set, true, 25 * MSG, &to, &err), -2);
    fail_sync = 0;
    /* Never again: a second sync says nothing about what the first one lost. */
    assert_int_equal(cq_set_persist(set, true, 25 * MSG, &to, &err), -2);
    assert_int_equal(err.code, EIO);
    cq_set_free(set);
    reload(f, -1);
    check_entries(cq_get(f->set, TOPIC, 0, false), 0, 25);
}

static unsigned synced_one, synced_all;

static int counting_datasync(const struct fs *fs, int fd)
{
    synced_one++;
    return fs_real()->datasync(fs_real(), fd);
}

static int counting_sync_all(const struct fs *fs, int fd)
{
    synced_all++;
    return fail_sync ? fail_sync : fs_real()->sync_all(fs_real(), fd);
}

/* Many new files are synced together, few one by one; nothing written means nothing synced. */
static void test_many_files_are_synced_at_once(void **state)
{
    struct fixture *f = *state;
    struct fs counting = *fs_real();
    counting.datasync = counting_datasync;
    counting.sync_all = counting_sync_all;
    struct cq_set *set = cq_set_new(&counting, f->dir.path, f->file_size);
    fill(cq_get(set, TOPIC, 0, true), 0, 25);
    persist(set, 25 * MSG);
    assert_int_equal(synced_one, 3);
    assert_int_equal(synced_all, 0);
    persist(set, 25 * MSG);
    assert_int_equal(synced_one, 3);
    for (int32_t id = 1; id <= 200; id++)
        fill(cq_get(set, TOPIC, id, true), 0, 3);
    persist(set, 25 * MSG);
    assert_int_equal(synced_one, 3);
    assert_int_equal(synced_all, 1);
    for (int32_t id = 1; id <= 200; id++)
        fill(cq_get(set, TOPIC, id, true), 3, 4);
    struct err err;
    int64_t to;
    fail_sync = -EIO;
    assert_int_equal(cq_set_persist(set, true, 25 * MSG, &to, &err), -2);
    fail_sync = 0;
    cq_set_free(set);
}

/* ---- readers beside the appender
 * --------------------------------------------------------------------------------------- */

enum { RACE_QUEUES = 3, RACE_ENTRIES = 60000 };

struct race {
    struct cq_set *set;
    struct cq *q[RACE_QUEUES];
    pthread_mutex_t append_lock;
    _Atomic bool stop;
    _Atomic int64_t log_end;
    _Atomic int64_t reads;
};

static void race_lock(void *arg)
{
    pthread_mutex_lock(&((struct race *)arg)->append_lock);
}

static void race_unlock(void *arg)
{
    pthread_mutex_unlock(&((struct race *)arg)->append_lock);
}

static void *race_reader(void *arg)
{
    struct race *r = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    struct store_entry e[40];
    while (!atomic_load(&r->stop)) {
        struct cq *q = r->q[rand_r(&seed) % RACE_QUEUES];
        int64_t max = cq_max(q);
        if (max == 0)
            continue;
        int64_t from = rand_r(&seed) % 2 ? (int64_t)rand_r(&seed) % max : max > 40 ? max - rand_r(&seed) % 40 - 1 : 0;
        int n = cq_read(q, from, e, 40, rand_r(&seed) % 2);
        for (int i = 0; i < n; i++) {
            if (e[i].tags_code != from + i || e[i].physical_offset != (from + i) * MSG)
                abort();
        }
        if (n == 0)
            abort(); /* a published entry must always be found */
        atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

static void *race_persister(void *arg)
{
    struct race *r = arg;
    int round = 0;
    while (!atomic_load(&r->stop)) {
        struct err err;
        int64_t to, end;
        race_lock(r);
        end = atomic_load(&r->log_end);
        race_unlock(r);
        if (cq_set_persist(r->set, ++round % 2, end, &to, &err))
            abort();
        if (to > end)
            abort();
    }
    return NULL;
}

static void test_readers_race_appender(void **state)
{
    struct fixture *f = *state;
    struct race r = {.set = cq_set_new(fs_real(), f->dir.path, 1000 * CQ_ENTRY_SIZE)};
    pthread_mutex_init(&r.append_lock, NULL);
    cq_set_append_lock(r.set, race_lock, race_unlock, &r);
    for (int i = 0; i < RACE_QUEUES; i++)
        r.q[i] = cq_get(r.set, TOPIC, i, true);
    pthread_t readers[3], persister;
    for (int i = 0; i < 3; i++)
        pthread_create(&readers[i], NULL, race_reader, &r);
    pthread_create(&persister, NULL, race_persister, &r);
    for (int64_t i = 0; i < RACE_ENTRIES; i++) {
        race_lock(&r);
        for (int k = 0; k < RACE_QUEUES; k++) {
            /* Queue 2 rests most of the time, so that its tail is dropped and made again. */
            int64_t next = cq_next(r.q[k]);
            if (k == 2 && i % 4000 >= 100)
                continue;
            if (!cq_append(r.q[k], next, next * MSG, MSG, next))
                abort();
            cq_publish(r.q[k], next + 1);
        }
        atomic_store(&r.log_end, (i + 1) * MSG);
        race_unlock(&r);
        if (i % 500 == 0)
            usleep(1000);
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    pthread_join(persister, NULL);
    assert_true(atomic_load(&r.reads) > 100);
    struct err err;
    int64_t to;
    assert_int_equal(cq_set_persist(r.set, true, RACE_ENTRIES * MSG, &to, &err), 0);
    assert_int_equal(to, RACE_ENTRIES * MSG);
    for (int k = 0; k < RACE_QUEUES; k++) {
        struct store_entry e;
        int64_t max = cq_max(r.q[k]);
        for (int64_t i = 0; i < max; i += 7) {
            assert_int_equal(cq_read(r.q[k], i, &e, 1, true), 1);
            assert_int_equal(e.tags_code, i);
        }
    }
    cq_set_free(r.set);
    pthread_mutex_destroy(&r.append_lock);
}

/* Topics deleted and used again while others write, read and persist: a queue shows its old life or its new one. */
static void *delete_reader(void *arg)
{
    struct race *r = arg;
    struct store_entry e[16];
    while (!atomic_load(&r->stop)) {
        struct cq *q = r->q[0];
        int64_t max = cq_max(q), from = max > 9 ? max - 9 : 0;
        int n = cq_read(q, from, e, 16, true);
        for (int i = 0; i < n; i++)
            if (e[i].tags_code != from + i || e[i].size != MSG)
                abort();
        if (n > 0)
            atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

static void test_deletion_beside_others(void **state)
{
    struct fixture *f = *state;
    struct race r = {.set = cq_set_new(fs_real(), f->dir.path, 1000 * CQ_ENTRY_SIZE)};
    pthread_mutex_init(&r.append_lock, NULL);
    cq_set_append_lock(r.set, race_lock, race_unlock, &r);
    r.q[0] = cq_get(r.set, TOPIC, 0, true);
    pthread_t reader, persister;
    pthread_create(&reader, NULL, delete_reader, &r);
    pthread_create(&persister, NULL, race_persister, &r);
    int64_t end = 0;
    for (int life = 0; life < 40; life++) {
        for (int64_t i = 0; i < 700; i++) {
            race_lock(&r);
            assert_int_equal(cq_next(r.q[0]), i);
            if (!cq_append(r.q[0], i, end, MSG, i))
                abort();
            cq_publish(r.q[0], i + 1);
            end += MSG;
            atomic_store(&r.log_end, end);
            race_unlock(&r);
            if (i % 200 == 199)
                usleep(500);
        }
        /* On a busy machine the reader may begin late: the lives that follow are beside one that reads. */
        for (int ms = 0; atomic_load(&r.reads) == 0 && ms < 60000; ms++)
            usleep(1000);
        cq_set_delete_topic(r.set, TOPIC);
        assert_ptr_equal(cq_get(r.set, TOPIC, 0, true), r.q[0]);
        assert_int_equal(cq_max(r.q[0]), 0);
    }
    atomic_store(&r.stop, true);
    pthread_join(reader, NULL);
    pthread_join(persister, NULL);
    assert_true(atomic_load(&r.reads) > 0);
    persist(r.set, end);
    char path[600];
    snprintf(path, sizeof path, "%s/TopicTest", f->dir.path);
    assert_int_equal(file_size(path), -1);
    cq_set_free(r.set);
    pthread_mutex_destroy(&r.append_lock);
}

/* The waiter's bit and the publisher's maximum: whoever comes second sees the other. One entry at a time, so that a
 * lost wake-up is not healed by the next publication. On a busy machine each takes a turn of the scheduler, so it is
 * each, not all of them, that has a time. */
enum { WAKEUPS = 20000 };

struct pingpong {
    struct cq *q;
    _Atomic int64_t woken, consumed;
};

static void spin(unsigned *n)
{
    if (++*n % 200 == 0)
        sched_yield();
}

static void *publish_one_by_one(void *arg)
{
    struct pingpong *p = arg;
    unsigned n = 0;
    for (int64_t i = 0; i < WAKEUPS; i++) {
        if (!append(p->q, i))
            abort();
        if (cq_publish(p->q, i + 1))
            atomic_fetch_add(&p->woken, 1);
        while (atomic_load(&p->consumed) <= i)
            spin(&n);
    }
    return NULL;
}

static void test_no_lost_wakeup(void **state)
{
    struct fixture *f = *state;
    struct pingpong p = {.q = cq_get(f->set, TOPIC, 0, true)};
    pthread_t publisher;
    pthread_create(&publisher, NULL, publish_one_by_one, &p);
    unsigned n = 0;
    int64_t since = clock_mono_ms(), waited = 0;
    for (int64_t at = 0; at < WAKEUPS;) {
        int64_t seen = atomic_load(&p.woken);
        if (cq_max(p.q) <= at) {
            cq_wait(p.q, 1);
            if (cq_max(p.q) <= at) {
                waited++;
                while (atomic_load(&p.woken) == seen) {
                    spin(&n);
                    if (n % 4096 == 0 && clock_mono_ms() - since > PATIENCE_MS)
                        fail_msg("no wake-up for entry %d, maximum is %d", (int)at, (int)cq_max(p.q));
                }
            }
        }
        if (cq_max(p.q) > at) {
            since = clock_mono_ms();
            atomic_store(&p.consumed, ++at);
        }
    }
    pthread_join(publisher, NULL);
    assert_true(waited > 0);
}

/* ---- random operations against a plain array
 * ---------------------------------------------------------------------------- */

static void test_model(void **state)
{
    struct fixture *f = *state;
    enum { QUEUES = 4, STEPS = 6000 };
    static int64_t physical[QUEUES][STEPS];
    int64_t min[QUEUES] = {0}, count[QUEUES] = {0}, durable[QUEUES] = {0};
    int64_t log_end = 0, log_min = 0, written = -1;
    unsigned seed = 42;
    for (int step = 0; step < STEPS; step++) {
        int what = rand_r(&seed) % 1000, k = rand_r(&seed) % QUEUES;
        struct cq *q = cq_get(f->set, TOPIC, k, true);
        if (what < 800) {
            physical[k][count[k]] = log_end;
            assert_true(cq_append(q, count[k], log_end, MSG, k));
            count[k]++;
            log_end += MSG;
            cq_publish(q, count[k]);
        } else if (what < 900) {
            persist(f->set, log_end);
            written = log_end;
            memcpy(durable, count, sizeof count);
        } else if (what < 940 && log_end > log_min) {
            log_min += rand_r(&seed) % (log_end - log_min) / 5;
            cq_set_truncate_front(f->set, log_min);
            for (int i = 0; i < QUEUES; i++)
                while (min[i] < count[i] && physical[i][min[i]] < log_min)
                    min[i]++;
        } else if (what < 950) {
            /* Crash: what was not written is dispatched again. */
            reload(f, written);
            for (int i = 0; i < QUEUES; i++) {
                q = cq_get(f->set, TOPIC, i, true);
                assert_true(cq_next(q) >= durable[i]);
                for (int64_t n = min[i]; n < count[i]; n++)
                    assert_true(cq_append(q, n, physical[i][n], MSG, i));
                cq_publish(q, cq_next(q));
            }
            cq_set_truncate_front(f->set, log_min);
        } else if (what < 960 && log_end > log_min) {
            /* The log lost its tail. */
            struct err err;
            int64_t cut = log_end - rand_r(&seed) % (log_end - log_min) / 10;
            cut -= cut % MSG;
            assert_int_equal(cq_set_truncate(f->set, cut, &err), 0);
            log_end = cut;
            for (int i = 0; i < QUEUES; i++) {
                while (count[i] > 0 && physical[i][count[i] - 1] >= cut)
                    count[i]--;
                if (durable[i] > count[i])
                    durable[i] = count[i];
                if (min[i] > count[i])
                    min[i] = count[i];
            }
            if (written > log_end)
                written = log_end;
        }
        for (int i = 0; i < QUEUES; i++) {
            q = cq_get(f->set, TOPIC, i, true);
            assert_int_equal(cq_max(q), count[i]);
            assert_int_equal(cq_min(q), min[i]);
            if (min[i] == count[i])
                continue;
            int64_t at = min[i] + rand_r(&seed) % (count[i] - min[i]);
            struct store_entry e;
            assert_int_equal(cq_read(q, at, &e, 1, true), 1);
            assert_int_equal(e.physical_offset, physical[i][at]);
            assert_int_equal(e.tags_code, i);
        }
    }
}

/* ---- many queues
 * --------------------------------------------------------------------------------------------------------- */

static void test_memory_of_idle_queues(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__has_feature)
    (void)state;
    skip(); /* sanitizers replace the allocator that is asked here */
#else
    struct fixture *f = *state;
    enum { N = 1000000 };
    struct mallinfo2 before = mallinfo2();
    int64_t t0 = clock_mono_ms();
    char topic[40];
    struct cq *some = NULL;
    for (int i = 0; i < N; i++) {
        int n = snprintf(topic, sizeof topic, "topic-with-a-usual-name-%06d", i / 8);
        some = cq_get(f->set, str_make(topic, (size_t)n), i % 8, true);
        assert_non_null(some);
    }
    struct mallinfo2 after = mallinfo2();
    double each = (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / N;
    printf("  1,000,000 queues: %.1f bytes each, created in %lld ms\n", each, (long long)(clock_mono_ms() - t0));
    assert_true(each < 256);
    assert_int_equal(cq_set_count(f->set), N);
#endif
}

static void test_load_time(void **state)
{
    struct fixture *f = *state;
    const char *asked = getenv("CROCKET_TEST_QUEUES");
    int n = asked ? atoi(asked) : 1000;
    f->file_size = 300000 * CQ_ENTRY_SIZE;
    cq_set_free(f->set);
    f->set = cq_set_new(fs_real(), f->dir.path, f->file_size);
    char topic[40];
    int64_t t0 = clock_mono_ms();
    for (int i = 0; i < n; i++) {
        snprintf(topic, sizeof topic, "topic-%06d", i / 8);
        struct cq *q = cq_get(f->set, str_from(topic), i % 8, true);
        for (int64_t k = 0; k < 3; k++)
            assert_true(cq_append(q, k, ((int64_t)k * n + i) * MSG, MSG, k));
    }
    struct err err;
    int64_t to, t1 = clock_mono_ms();
    int64_t end = (int64_t)3 * n * MSG;
    assert_int_equal(cq_set_persist(f->set, true, end, &to, &err), 0);
    int64_t t2 = clock_mono_ms();
    reload(f, INT64_MAX);
    int64_t t3 = clock_mono_ms();
    reload(f, -1);
    int64_t t4 = clock_mono_ms();
    printf("  %d queues: append %lld ms, first persist with sync %lld ms, load %lld ms, load after a crash %lld ms\n",
           n, (long long)(t1 - t0), (long long)(t2 - t1), (long long)(t3 - t2), (long long)(t4 - t3));
    assert_int_equal(cq_set_count(f->set), n);
    assert_int_equal(cq_max(cq_get(f->set, STR_LIT("topic-000001"), 7, false)), 3);
    assert_int_equal(cq_set_dispatched(f->set), end);
}

/* A page cache that has every page but the one behind each place that is read. */
static ssize_t pread_one_page(const struct fs *fs, int fd, void *buf, size_t n, int64_t at)
{
    size_t page = (size_t)(4096 - at % 4096);
    return fs_real()->pread(fs_real(), fd, buf, n < page ? n : page, at);
}

/* An entry that begins in a page in memory and ends in one that is not has to be waited for: it is no end of the queue.
 */
static void test_entry_half_in_memory(void **state)
{
    struct fixture *f = *state;
    struct fs fs = *fs_real();
    struct store_entry e[2];
    enum { ENTRIES = 1000 };
    fs.pread_nowait = pread_one_page;
    cq_set_free(f->set);
    f->set = cq_set_new(&fs, f->dir.path, ENTRIES * CQ_ENTRY_SIZE);
    fill(cq_get(f->set, TOPIC, 0, true), 0, ENTRIES);
    persist(f->set, ENTRIES * MSG);
    cq_set_free(f->set);
    f->set = cq_set_new(&fs, f->dir.path, ENTRIES * CQ_ENTRY_SIZE);
    cq_set_trust(f->set, INT64_MAX);
    struct err err;
    assert_int_equal(cq_set_load(f->set, &err), 0);
    struct cq *q = cq_get(f->set, TOPIC, 0, false);
    assert_int_equal(cq_read(q, 0, e, 1, true), 1); /* opens the file */
    for (int64_t i = 0; i < ENTRIES; i++) {
        bool split = i * CQ_ENTRY_SIZE / 4096 != ((i + 1) * CQ_ENTRY_SIZE - 1) / 4096;
        assert_int_equal(cq_read(q, i, e, 1, false), split ? -1 : 1);
        assert_int_equal(cq_read(q, i, e, 1, true), 1);
        assert_int_equal(e[0].physical_offset, i * MSG);
    }
    cq_set_free(f->set); /* before the file system's table goes */
    f->set = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(append_and_read),
        T(waiters),
        T(file_bytes),
        T(reload),
        T(preblank),
        T(gap_is_filled),
        T(far_gap_begins_anew),
        T(crash_loses_only_the_tail),
        T(hole),
        T(stale_units_are_cut),
        T(truncate),
        T(truncate_front),
        T(truncate_front_reads_little),
        T(load_opens_few_files),
        T(damaged_folder),
        T(delete_topic),
        T(cold_read_does_not_block),
        T(entry_half_in_memory),
        T(idle_tail_is_dropped),
        T(small_tails_wait),
        T(failing_disk),
        T(many_files_are_synced_at_once),
        T(readers_race_appender),
        T(deletion_beside_others),
        T(no_lost_wakeup),
        T(model),
        T(memory_of_idle_queues),
        T(load_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
