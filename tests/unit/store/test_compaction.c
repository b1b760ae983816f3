/* Compaction topics: what is kept, what is read, over restarts and after unfinished compactions of either broker. */
#include "unit/store/compaction_fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/compaction/key_map.h"
#include "store/store_check.h"

struct test {
    struct fixture f;
    struct ctest_read r;
    int64_t n;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof *t);
    fixture_make(&t->f);
    ctest_conf(&t->f.conf);
    ctest_open(&t->f);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    fixture_free(&t->f);
    free(t);
    return 0;
}

static void put(struct test *t, const char *key)
{
    assert_int_equal(ctest_put(t->f.s, key, t->n, false), PUT_OK);
    t->n++;
}

/* count messages of keys k0, k1, ... one after the other. */
static void put_many(struct test *t, int count, int keys)
{
    for (int i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof key, "k%d", i % keys);
        put(t, key);
    }
}

static void copy(struct test *t)
{
    flusher_step(t->f.s);
    keeper_step(t->f.s, true);
}

static void compact(struct test *t)
{
    copy(t);
    compaction_run(t->f.s->compaction, true);
}

static struct compaction_queue *queue_of(struct test *t)
{
    return atomic_load(&t->f.s->compaction->all);
}

static void path_of(struct test *t, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/compaction/%s", t->f.dir.path, name);
}

static bool there(struct test *t, const char *name)
{
    char path[4096];
    path_of(t, name, path);
    return fs_exists(t->f.fs, path);
}

static void move(struct test *t, const char *from, const char *to)
{
    char a[4096], b[4096];
    path_of(t, from, a);
    path_of(t, to, b);
    assert_int_equal(rename(a, b), 0);
}

static void reopen(struct test *t)
{
    fixture_close(&t->f);
    ctest_open(&t->f);
}

/* Every key's newest message is read, from any offset on, and nothing twice. */
static void expect_newest(struct test *t, int keys)
{
    for (int64_t from = 0; from <= t->n; from += 7) {
        ctest_read(t->f.s, from, from % 2, &t->r);
        int found = 0, wanted = 0;
        for (int k = 0; k < keys; k++) {
            /* The messages were put round robin. */
            int64_t newest = (t->n - 1) - ((t->n - 1) % keys - k + keys) % keys;
            wanted += newest >= from;
            for (size_t i = 0; i < t->r.n; i++)
                found += t->r.offset[i] == newest;
        }
        assert_int_equal(found, wanted);
        assert_int_equal(t->r.next, t->n > from ? t->n : from);
    }
}

static void all_is_read_before_compaction(void **state)
{
    struct test *t = *state;
    put_many(t, 100, 3);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 100);
    copy(t);
    put_many(t, 5, 3);
    assert_int_equal(atomic_load(&queue_of(t)->end), 100);
    for (int64_t from = 0; from < 105; from++) {
        ctest_read(t->f.s, from, true, &t->r);
        assert_int_equal(t->r.n, 105 - from);
    }
}

static void copies_are_records_of_their_place(void **state)
{
    struct test *t = *state;
    char path[4096];
    uint8_t *unit = malloc(460), *log = malloc(4140);
    put_many(t, 30, 3);
    copy(t);
    path_of(t, "compactionCq/K/0/00000000000000004140", path);
    int fd = t->f.fs->open(t->f.fs, path, FS_READ);
    assert_int_equal(fs_read_all(t->f.fs, fd, unit, 460, 0), 0);
    t->f.fs->close(t->f.fs, fd);
    path_of(t, "compactionLog/K/0/00000000000000004140", path);
    fd = t->f.fs->open(t->f.fs, path, FS_READ);
    assert_int_equal(fs_read_all(t->f.fs, fd, log, 4140, 0), 0);
    t->f.fs->close(t->f.fs, fd);
    struct cunit u;
    struct msg_view v;
    assert_true(cunit_read(unit, &u));
    assert_int_equal(u.queue_offset, 9); /* the tenth unit of a file closes it */
    assert_int_equal(u.position, 4140);
    assert_int_equal(get_be32(unit + 38), UINT32_MAX);
    assert_int_equal(msg_decode(log, 4140, &v), MSG_OK);
    assert_int_equal(v.m.physical_offset, 4140);
    assert_int_equal(v.m.queue_offset, 9);
    assert_int_equal(v.m.store_time, u.store_time);
    assert_int_equal(msg_tags_code(v.m.properties), u.tags_code);
    assert_true(msg_crc_ok(&v));
    assert_false(cunit_read(unit + 414, &u));
    assert_int_equal(u.position, -1);
    assert_true(cunit_read(unit + 8 * 46, &u));
    int64_t end = u.position - 4140 + u.size;
    assert_int_equal(get_be32(log + end), 4140 - end);
    assert_int_equal(get_be32(log + end + 4), MSG_MAGIC_BLANK);
    free(unit);
    free(log);
}

static void newest_of_each_key_stays(void **state)
{
    struct test *t = *state;
    put_many(t, 200, 7);
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_true(t->r.n < 7 + 10 + 1);
    expect_newest(t, 7);
    reopen(t);
    expect_newest(t, 7);
    put_many(t, 200, 7);
    t->n = 400;
    compact(t);
    compact(t);
    assert_true(atomic_load(&queue_of(t)->compacted) > 380);
    reopen(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_true(t->r.n < 7 + 10 + 1);
    assert_false(there(t, "compactionLog/K/0/" COMPACTING_DIR));
    assert_false(there(t, "compactionCq/K/0/" COMPACTING_DIR));
}

static void minimum_is_the_first_kept(void **state)
{
    struct test *t = *state;
    struct get_result r;
    put_many(t, 200, 2);
    compact(t);
    store_get(t->f.s, store_queue(t->f.s, STR_LIT("K"), 0, false), 0, 1, 1 << 20, NULL, NULL, true, &r);
    assert_int_equal(r.status, GET_FOUND);
    assert_true(r.min_offset > 180);
    assert_int_equal(r.next_offset, r.min_offset + 1);
    assert_int_equal(r.max_offset, 200);
    store_release(t->f.s, &r);
}

static void empty_body_takes_a_key_away(void **state)
{
    struct test *t = *state;
    put_many(t, 30, 3);
    assert_int_equal(ctest_put(t->f.s, "k1", t->n++, true), PUT_OK);
    for (int i = 0; i < 20; i++)
        put(t, "other");
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    for (size_t i = 0; i < t->r.n; i++)
        assert_string_not_equal(t->r.key[i], "k1");
    assert_string_equal(t->r.key[0], "k0");
    assert_string_equal(t->r.key[1], "k2");
}

static void nothing_may_be_left(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < 8; i++)
        put(t, "k");
    assert_int_equal(ctest_put(t->f.s, "k", t->n++, true), PUT_OK);
    for (int i = 0; i < 3; i++)
        put(t, "other");
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 3);
    assert_int_equal(t->r.offset[0], 9);
    assert_false(there(t, "compactionLog/K/0/00000000000000000000"));
    reopen(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 3);
    put_many(t, 60, 2);
    compact(t);
    reopen(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.offset[0], 11);
}

static void messages_without_key_are_left_out(void **state)
{
    struct test *t = *state;
    put(t, "a");
    put(t, NULL);
    put(t, " ");
    put(t, "b");
    copy(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 2);
    assert_int_equal(t->r.offset[1], 3);
}

static enum filter_verdict only_t1(void *arg, const struct store_entry *e, const struct msg_view *record)
{
    if (record == NULL)
        return FILTER_NEED_RECORD;
    return str_eqz(msg_property(record->m.properties, STR_LIT(MSG_PROP_TAGS)), "T1") ? FILTER_YES : FILTER_NO;
}

static void filters_apply(void **state)
{
    struct test *t = *state;
    struct get_result r;
    put_many(t, 100, 10);
    compact(t);
    store_get(t->f.s, store_queue(t->f.s, STR_LIT("K"), 0, false), 0, 100, 1 << 20, only_t1, NULL, true, &r);
    assert_int_equal(r.status, GET_FOUND);
    for (uint32_t i = 0; i < r.n_ranges; i++) {
        struct msg_view v;
        assert_int_equal(msg_decode(r.ranges[i].map, r.ranges[i].len, &v), MSG_OK);
        assert_int_equal(v.m.queue_offset % 2, 1);
    }
    store_release(t->f.s, &r);
}

static void little_memory_takes_more_rounds(void **state)
{
    struct test *t = *state;
    t->f.s->conf.maxOffsetMapSize = 1; /* room for some hundreds of keys all the same */
    put_many(t, 1200, 600);
    compact(t);
    int64_t first = atomic_load(&queue_of(t)->compacted);
    assert_true(first > 100 && first < 600);
    for (int i = 0; i < 10; i++)
        compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_true(t->r.n < 600 + 20);
    expect_newest(t, 600);
}

static void deleted_topic_begins_anew(void **state)
{
    struct test *t = *state;
    put_many(t, 100, 3);
    compact(t);
    store_delete_topic(t->f.s, STR_LIT("K"));
    keeper_step(t->f.s, true);
    assert_false(there(t, "compactionLog/K"));
    assert_true(store_compact_topic(t->f.s, STR_LIT("K"), 1));
    compaction_run(t->f.s->compaction, true);
    assert_false(there(t, "crocket-deleted-1"));
    t->n = 0;
    put_many(t, 50, 3);
    compact(t);
    reopen(t);
    expect_newest(t, 3);
}

static void log_expires_only_behind_the_copies(void **state)
{
    struct test *t = *state;
    struct commitlog *log = t->f.s->log;
    put_many(t, 2000, 5);
    flusher_step(t->f.s);
    keeper_step(t->f.s, true);
    assert_true(ctest_deletable(t->f.s) == clog_max(log));
    put_many(t, 1000, 5);
    assert_true(ctest_deletable(t->f.s) < clog_max(log));
    compact(t);
    while (clog_min(log) + clog_segment_size(log) <= ctest_deletable(t->f.s) && clog_remove_first(log) > 0)
        ;
    cq_set_truncate_front(t->f.s->queues, clog_min(log));
    assert_true(cq_min(store_queue(t->f.s, STR_LIT("K"), 0, false)) > 2000);
    expect_newest(t, 5);
    reopen(t);
    expect_newest(t, 5);
}

static void lost_folder_is_filled_again(void **state)
{
    struct test *t = *state;
    char path[4096];
    put_many(t, 100, 4);
    compact(t);
    fixture_close(&t->f);
    path_of(t, "", path);
    assert_int_equal(fs_remove_tree(t->f.fs, path), 0);
    ctest_open(&t->f);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 100);
    compact(t);
    expect_newest(t, 4);
}

static void lost_queue_files_are_built_from_the_log(void **state)
{
    struct test *t = *state;
    char path[4096];
    put_many(t, 100, 4);
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    size_t n = t->r.n;
    fixture_close(&t->f);
    path_of(t, "compactionCq", path);
    assert_int_equal(fs_remove_tree(t->f.fs, path), 0);
    ctest_open(&t->f);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, n);
    expect_newest(t, 4);
}

/* The consume queues are lost and the messages gone from the commit log: numbering goes on, nothing is forgotten. */
static void lost_consume_queue_goes_on(void **state)
{
    struct test *t = *state;
    char path[4096];
    put_many(t, 300, 4);
    for (int i = 0; i < 400; i++) /* other messages push them out of the log */
        assert_int_equal(fixture_put(&t->f, "plain", 0, i, NULL), PUT_OK);
    compact(t);
    while (clog_remove_first(t->f.s->log) > 0)
        ;
    fixture_close(&t->f);
    snprintf(path, sizeof path, "%s/consumequeue", t->f.dir.path);
    assert_int_equal(fs_remove_tree(t->f.fs, path), 0);
    ctest_open(&t->f);
    assert_int_equal(cq_max(store_queue(t->f.s, STR_LIT("K"), 0, false)), 300);
    expect_newest(t, 4);
    put_many(t, 40, 4);
    compact(t);
    reopen(t);
    expect_newest(t, 4);
}

/* A damaged message is passed over, the others are served. */
static void damage_is_passed_over(void **state)
{
    struct test *t = *state;
    char path[4096];
    put_many(t, 30, 3);
    copy(t);
    fixture_close(&t->f);
    path_of(t, "compactionLog/K/0/00000000000000000000", path);
    int fd = t->f.fs->open(t->f.fs, path, FS_WRITE);
    assert_int_equal(fs_write_all(t->f.fs, fd, "!", 1, 90), 0); /* in the first message's body */
    t->f.fs->close(t->f.fs, fd);
    log_set_fd(-1);
    ctest_open(&t->f);
    ctest_read(t->f.s, 0, true, &t->r);
    log_set_fd(2);
    assert_int_equal(t->r.n, 29);
    assert_int_equal(t->r.offset[0], 1);
    assert_true(__atomic_load_n(&t->f.s->damaged, __ATOMIC_RELAXED) > 0);
}

static void wrong_sizes_are_named(void **state)
{
    struct test *t = *state;
    struct err err = {0};
    put_many(t, 30, 3);
    copy(t);
    fixture_close(&t->f);
    t->f.conf.compactionMappedFileSize = 8192;
    assert_int_equal(store_open(&t->f.s, &t->f.conf, t->f.fs, &t->f.events, &err), -1);
    assert_non_null(strstr(err.text, "compactionMappedFileSize=8192"));
    t->f.conf.compactionMappedFileSize = 4096;
    ctest_open(&t->f);
}

static void note_finding(void *arg, const struct store_finding *f)
{
    char *text = arg;
    if (f->problem)
        snprintf(text, 600, "%s %s: %s", f->part, f->where, f->text);
}

static int64_t problems(struct test *t, char text[600], int64_t *messages)
{
    struct store_check_options o = {
        .dir = t->f.dir.path, .index_slots = 1000, .index_entries = 4000, .arg = text, .finding = note_finding};
    struct store_report report;
    struct err err;
    text[0] = '\0';
    assert_int_equal(store_check(t->f.fs, &o, &report, &err), 0);
    assert_int_equal(report.compacted_queues, 1);
    *messages = report.compacted_messages;
    return report.problems;
}

static void check_tells_what_is_wrong(void **state)
{
    struct test *t = *state;
    char path[4096], text[600];
    int64_t messages;
    put_many(t, 100, 4);
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    fixture_close(&t->f);
    assert_int_equal(problems(t, text, &messages), 0);
    assert_int_equal(messages, t->r.n);
    path_of(t, "compactionLog/K/0/00000000000000000000", path);
    int fd = t->f.fs->open(t->f.fs, path, FS_WRITE);
    assert_int_equal(fs_write_all(t->f.fs, fd, "!", 1, 90), 0);
    t->f.fs->close(t->f.fs, fd);
    assert_int_equal(problems(t, text, &messages), 1);
    assert_non_null(strstr(text, "does not match its CRC"));
    path_of(t, "compactionCq/K/0/00000000000000000000", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(problems(t, text, &messages), 1);
    assert_non_null(strstr(text, "is missing in"));
}

/* ---- what Java's brokers leave behind ---- */

#define JLOG   "compactionLog/K/0/"
#define JQUEUE "compactionCq/K/0/"
#define F0     "00000000000000000000"
#define F1     "00000000000000004140"

static void make_dir(struct test *t, const char *name)
{
    char path[4096];
    path_of(t, name, path);
    assert_int_equal(mkdir(path, 0777), 0);
}

/* A queue with files 0 (old state in `saved`), compacted by us, in the state of Java having died while it replaced. */
static void prepare_java(struct test *t)
{
    put_many(t, 18, 3); /* two full files */
    put_many(t, 5, 3);
    t->n = 23;
    copy(t);
    make_dir(t, "saved-log");
    make_dir(t, "saved-queue");
    fixture_close(&t->f);
    static const char *const files[] = {F0, F1};
    for (int i = 0; i < 2; i++) {
        char from[64], to[64];
        snprintf(from, sizeof from, JLOG "%s", files[i]);
        snprintf(to, sizeof to, "saved-log/%s", files[i]);
        char a[4096], b[4096], command[9000];
        path_of(t, from, a);
        path_of(t, to, b);
        snprintf(command, sizeof command, "cp %s %s", a, b);
        assert_int_equal(system(command), 0);
        snprintf(from, sizeof from, JQUEUE "%s", files[i]);
        snprintf(to, sizeof to, "saved-queue/%s", files[i]);
        path_of(t, from, a);
        path_of(t, to, b);
        snprintf(command, sizeof command, "cp %s %s", a, b);
        assert_int_equal(system(command), 0);
    }
    ctest_open(&t->f);
    compaction_run(t->f.s->compaction, true);
    fixture_close(&t->f);
    assert_true(there(t, JLOG F0));
    assert_false(there(t, JLOG F1));
    make_dir(t, JLOG "compacting");
    make_dir(t, JQUEUE "compacting");
    char path[4096];
    path_of(t, "position-checkpoint", path);
    unlink(path);
}

static void expect_state(struct test *t, bool compacted)
{
    ctest_open(&t->f);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, compacted ? 3 + 5 : 23);
    assert_false(there(t, JLOG "compacting"));
    assert_false(there(t, JLOG F0 ".delete"));
    assert_false(there(t, JQUEUE F0 ".delete"));
    compact(t);
    ctest_read(t->f.s, 0, true, &t->r);
    assert_int_equal(t->r.n, 3 + 5);
}

static void java_died_while_it_wrote(void **state)
{
    struct test *t = *state;
    prepare_java(t);
    move(t, JLOG F0, JLOG "compacting/" F0);
    move(t, JQUEUE F0, JQUEUE "compacting/" F0);
    move(t, "saved-log/" F0, JLOG F0);
    move(t, "saved-log/" F1, JLOG F1);
    move(t, "saved-queue/" F0, JQUEUE F0);
    move(t, "saved-queue/" F1, JQUEUE F1);
    expect_state(t, false);
}

static void java_died_while_it_renamed_the_log(void **state)
{
    struct test *t = *state;
    prepare_java(t);
    move(t, JLOG F0, JLOG "compacting/" F0);
    move(t, JQUEUE F0, JQUEUE "compacting/" F0);
    move(t, "saved-log/" F0, JLOG F0 ".delete");
    move(t, "saved-log/" F1, JLOG F1);
    move(t, "saved-queue/" F0, JQUEUE F0);
    move(t, "saved-queue/" F1, JQUEUE F1);
    expect_state(t, false);
}

static void java_died_with_the_log_replaced(void **state)
{
    struct test *t = *state;
    prepare_java(t);
    move(t, JQUEUE F0, JQUEUE "compacting/" F0);
    move(t, "saved-log/" F1, JLOG F1 ".delete");
    move(t, "saved-queue/" F0, JQUEUE F0);
    move(t, "saved-queue/" F1, JQUEUE F1);
    expect_state(t, true);
}

static void java_died_while_it_renamed_the_queue(void **state)
{
    struct test *t = *state;
    prepare_java(t);
    move(t, JQUEUE F0, JQUEUE "compacting/" F0);
    move(t, "saved-queue/" F0, JQUEUE F0 ".delete");
    move(t, "saved-queue/" F1, JQUEUE F1);
    expect_state(t, true);
}

static void java_died_while_it_deleted_the_queue(void **state)
{
    struct test *t = *state;
    prepare_java(t);
    move(t, "saved-queue/" F0, JQUEUE F0 ".delete");
    move(t, "saved-queue/" F1, JQUEUE F1 ".delete");
    expect_state(t, true);
}

/* ---- the map of keys ---- */

static void key_map_keeps_the_newest_in_its_bounds(void **state)
{
    struct key_map m;
    char key[24];
    int64_t n = 0;
    key_map_init(&m, 64 * 1024);
    assert_int_equal(key_map_get(&m, STR_LIT("a")), -1);
    while (snprintf(key, sizeof key, "key %" PRId64, n), key_map_put(&m, str_from(key), n))
        n++;
    assert_true(n >= 64 * 1024 / 96);
    assert_true(m.cap * 24 <= 64 * 1024);
    for (int64_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key %" PRId64, i);
        assert_int_equal(key_map_get(&m, str_from(key)), i);
        assert_true(key_map_put(&m, str_from(key), n + i));
        assert_int_equal(key_map_get(&m, str_from(key)), n + i);
    }
    key_map_free(&m);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(all_is_read_before_compaction),
        T(copies_are_records_of_their_place),
        T(newest_of_each_key_stays),
        T(minimum_is_the_first_kept),
        T(empty_body_takes_a_key_away),
        T(nothing_may_be_left),
        T(messages_without_key_are_left_out),
        T(filters_apply),
        T(little_memory_takes_more_rounds),
        T(deleted_topic_begins_anew),
        T(log_expires_only_behind_the_copies),
        T(lost_folder_is_filled_again),
        T(lost_queue_files_are_built_from_the_log),
        T(lost_consume_queue_goes_on),
        T(damage_is_passed_over),
        T(wrong_sizes_are_named),
        T(check_tells_what_is_wrong),
        T(java_died_while_it_wrote),
        T(java_died_while_it_renamed_the_log),
        T(java_died_with_the_log_replaced),
        T(java_died_while_it_renamed_the_queue),
        T(java_died_while_it_deleted_the_queue),
        cmocka_unit_test(key_map_keeps_the_newest_in_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
