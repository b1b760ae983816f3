/* The check of a store directory: silent on sound ones, and every kind of damage is found and named. */
#include "store/store_check.h"
#include "store/store_dump.h"
#include "store/store_files.h"
#include "unit/store/store_fixture.h"

#include <errno.h>
#include <unistd.h>

enum { QUEUES = 3 };

struct found {
    struct store_report report;
    int problems, notes;
    char first[900]; /* "part|where|offset|text" of the first problem */
    char notes_text[2000];
};

static void take(void *arg, const struct store_finding *f)
{
    struct found *x = arg;
    if (f->problem && x->problems++ == 0)
        snprintf(x->first, sizeof x->first, "%s|%s|%lld|%s", f->part, f->where, (long long)f->offset, f->text);
    if (!f->problem) {
        x->notes++;
        size_t n = strlen(x->notes_text);
        snprintf(x->notes_text + n, sizeof x->notes_text - n, "%s: %s\n", f->part, f->text);
    }
}

static struct found check(const struct fixture *f)
{
    struct found x = {.problems = 0};
    struct err err = {0};
    struct store_check_options o = {.dir = f->dir.path,
                                    .index_slots = f->conf.maxHashSlotNum,
                                    .index_entries = f->conf.maxIndexNum,
                                    .arg = &x,
                                    .finding = take};
    if (store_check(fs_real(), &o, &x.report, &err))
        fail_msg("%s", err.text);
    assert_int_equal(x.problems, x.report.problems);
    assert_int_equal(x.notes, x.report.notes);
    return x;
}

static void expect_clean(const struct fixture *f)
{
    struct found x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
}

#define expect_problem(f, ...) expect_problem_at((f), __LINE__, (const char *[]){__VA_ARGS__, NULL})

static void expect_problem_at(const struct fixture *f, int line, const char **parts)
{
    struct found x = check(f);
    if (x.problems == 0)
        fail_msg("line %d: nothing found", line);
    for (; *parts; parts++)
        if (strstr(x.first, *parts) == NULL)
            fail_msg("line %d: no \"%s\" in: %s", line, *parts, x.first);
}

static void put_with_keys(struct fixture *f, int64_t n)
{
    char body[512], props[128], topic[16];
    snprintf(topic, sizeof topic, "T%d", (int)(n % 2));
    int len = snprintf(props, sizeof props, "UNIQ_KEY\x01U%d\x02KEYS\x01k%d common\x02TAGS\x01g%d\x02", (int)n, (int)n,
                       (int)(n % 3));
    struct store_msg m =
        fixture_msg(f->s, topic, (int32_t)(n % QUEUES), fixture_body(body, topic, n), str_make(props, (size_t)len));
    assert_int_equal(store_put(f->s, &m, NULL), PUT_OK);
}

/* Messages [from, to), stopped cleanly. */
static void produce(struct fixture *f, int64_t from, int64_t to)
{
    fixture_open(f, true);
    for (; from < to; from++)
        put_with_keys(f, from);
    fixture_close(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_make(f);
    f->conf.mappedFileSizeCommitLog = 16 * 1024;
    f->conf.mappedFileSizeConsumeQueue = 20 * 20;
    f->conf.maxHashSlotNum = 40;
    f->conf.maxIndexNum = 100;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    free(*state);
    return 0;
}

/* Valid until the call after the next. */
static char *path_in(const struct fixture *f, const char *name)
{
    static char paths[2][600];
    static int turn;
    char *path = paths[turn = !turn];
    snprintf(path, sizeof paths[0], "%s/%s", f->dir.path, name);
    return path;
}

static struct index_info first_index(const struct fixture *f, char path[600])
{
    struct index_info *infos, first;
    size_t n;
    struct err err;
    assert_int_equal(index_infos(fs_real(), path_in(f, "index"), &infos, &n, &err), 0);
    assert_true(n > 0);
    first = infos[0];
    snprintf(path, 600, "%s", infos[0].path);
    first.path = path;
    index_infos_free(infos, n);
    return first;
}

static void patch(const struct fixture *f, const char *name, long at, const void *bytes, size_t n)
{
    file_patch(path_in(f, name), at, bytes, n);
}

static void test_sound_store(void **state)
{
    struct fixture *f = *state;
    struct found x;
    produce(f, 0, 0);
    x = check(f);
    assert_int_equal(x.problems, 0);
    produce(f, 0, 200);
    x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_int_equal(x.report.messages, 200);
    assert_int_equal(x.report.queues, 6);
    assert_int_equal(x.report.queue_entries, 200);
    assert_int_equal(x.report.index_entries, 600);
    assert_int_equal(x.report.index_files, 7);
    assert_int_equal(x.report.not_queued_yet, 0);
    assert_int_equal(x.report.not_indexed, 0);
    assert_false(x.report.after_crash);
    assert_false(x.report.live);
    assert_true(x.report.log_files > 2);
    produce(f, 200, 260); /* goes on in the same files */
    x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_int_equal(x.report.messages, 260);
}

static void test_no_store(void **state)
{
    struct fixture *f = *state;
    struct store_report r;
    struct err err = {0};
    struct found x = {0};
    struct store_check_options o = {.dir = path_in(f, "nothing"), .arg = &x, .finding = take};
    assert_int_equal(store_check(fs_real(), &o, &r, &err), -1);
    assert_int_equal(err.code, ENOENT);
    assert_non_null(strstr(err.text, "nothing"));
}

static void test_live_and_crashed_store(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, true);
    for (int64_t n = 0; n < 150; n++)
        put_with_keys(f, n);
    struct found x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_true(x.report.live);
    assert_int_equal(x.report.messages, 150);
    fixture_close(f);
    /* The abort file and queues that lag behind: what a kill leaves. */
    fclose(fopen(path_in(f, "abort"), "w"));
    static const char zero[100];
    patch(f, "consumequeue/T1/1/00000000000000000400", 2 * 20, zero, sizeof zero);
    x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_true(x.report.after_crash);
    assert_true(x.report.not_queued_yet > 0);
    assert_non_null(strstr(x.notes_text, "abort file"));
    unlink(path_in(f, "abort"));
    expect_problem(f, "consume queue|T1/1|", "has no entries for the last");
}

static void test_damaged_log(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 200);
    size_t n;
    const char *first = "commitlog/00000000000000000000";
    unsigned char *log = file_bytes(path_in(f, first), &n);
    uint32_t size = get_be32(log);
    unsigned char byte;
    /* Body, magic code, size, physical offset. */
    byte = log[90] ^ 1;
    patch(f, first, 90, &byte, 1);
    expect_problem(f, "commit log|", first, "|0|", "does not match its CRC", "7F000001");
    patch(f, first, 90, log + 90, 1);
    byte = log[size + 5] ^ 0x40;
    patch(f, first, size + 5, &byte, 1);
    char at[40];
    snprintf(at, sizeof at, "|%u|", size);
    expect_problem(f, "commit log|", first, at, "bytes hold no valid message");
    patch(f, first, size + 5, log + size + 5, 1);
    byte = log[size + 3] ^ 1;
    patch(f, first, size + 3, &byte, 1);
    expect_problem(f, "commit log|", first, at, "hold no valid message");
    patch(f, first, size + 3, log + size + 3, 1);
    byte = log[size + 35] ^ 1;
    patch(f, first, size + 35, &byte, 1);
    expect_problem(f, "commit log|", first, at, "hold no valid message");
    patch(f, first, size + 35, log + size + 35, 1);
    expect_clean(f);
    /* Queue offset and queue id. */
    byte = log[27] ^ 4;
    patch(f, first, 27, &byte, 1);
    expect_problem(f, "T0/0");
    patch(f, first, 27, log + 27, 1);
    byte = log[15] ^ 2;
    patch(f, first, 15, &byte, 1);
    expect_problem(f, "T0/2");
    patch(f, first, 15, log + 15, 1);
    expect_clean(f);
    free(log);
    /* A file in the middle is gone. */
    assert_int_equal(rename(path_in(f, "commitlog/00000000000000016384"), path_in(f, "saved")), 0);
    expect_problem(f, "commit log|", "00000000000000032768", "files for offsets 16384 to 32767 are missing");
}

static void test_torn_tail(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 100);
    struct found x = check(f);
    int64_t end = x.report.log_end;
    char name[60];
    snprintf(name, sizeof name, "commitlog/%020lld", (long long)(end - end % 16384));
    static const char torn[9] = {0, 0, 1, 44, (char)0xDA, (char)0xA3, 0x20, (char)0xA7, 5};
    patch(f, name, end % 16384, torn, sizeof torn);
    fclose(fopen(path_in(f, "abort"), "w"));
    x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_int_equal(x.report.log_end, end);
    assert_non_null(strstr(x.notes_text, "not completely written"));
    /* The same in front of what the checkpoint promises is a problem. */
    patch(f, name, end % 16384, "\0\0\0\0\0\0\0\0", 9);
    static const char junk[300] = {1, 2, 3};
    patch(f, name, end % 16384 - 200, junk, 200);
    expect_problem(f, "commit log|", name + 10, "although it was complete up to offset");
}

static void test_damaged_queue(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 200);
    const char *first = "consumequeue/T1/1/00000000000000000000";
    size_t n;
    unsigned char *q = file_bytes(path_in(f, first), &n);
    /* Every bit counts. */
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = q[i] ^ 0x10;
        patch(f, first, (long)i, &byte, 1);
        expect_problem(f, "consume queue|T1/1|");
        patch(f, first, (long)i, q + i, 1);
    }
    expect_clean(f);
    free(q);
    /* An entry too many, and a whole queue too many. */
    unsigned char unit[20] = {0};
    put_be64(unit, 128);
    put_be32(unit + 8, 50);
    patch(f, "consumequeue/T1/1/00000000000000000400", (34 - 20) * 20, unit, 20);
    expect_problem(f, "consume queue|T1/1|34|", "no message of this queue stands");
    patch(f, "consumequeue/T1/1/00000000000000000400", (34 - 20) * 20, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    expect_clean(f);
    mkdir(path_in(f, "consumequeue/Other"), 0755);
    mkdir(path_in(f, "consumequeue/Other/0"), 0755);
    FILE *out = fopen(path_in(f, "consumequeue/Other/0/00000000000000000000"), "w");
    fwrite(unit, 1, 20, out);
    fclose(out);
    expect_problem(f, "consume queue|Other/0|0|", "no message of this queue stands");
    fs_remove_tree(fs_real(), path_in(f, "consumequeue/Other"));
    /* A file of another size; a file missing at the front, in the middle; the folder. */
    assert_int_equal(truncate(path_in(f, first), 399), 0);
    expect_problem(f, "consume queue|", "/T1/1", "different or impossible sizes");
    unlink(path_in(f, first));
    expect_problem(f, "consume queue|T1/1|0|", "has no entry for the message");
    fs_remove_tree(fs_real(), path_in(f, "consumequeue"));
    expect_problem(f, "consume queue|T0/0|0|", "has no entries for the last");
}

static void test_damaged_index(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 80);
    char path[600];
    size_t n;
    first_index(f, path);
    unsigned char *ix = file_bytes(path, &n);
    size_t entry_0 = 40 + 40 * 4, used = entry_0 + 100 * 20;
    assert_int_equal(n, used);
    /* Header and slots whole; of the entries so many that each of their bytes has its turn. */
    for (size_t i = 0; i < n; i += i < entry_0 ? 1 : 7) {
        unsigned char byte = ix[i] ^ 0x01;
        if (i >= entry_0 && i < entry_0 + 20)
            continue; /* nobody uses it */
        if (i >= entry_0 + 20 + 12 && i < entry_0 + 20 + 16)
            continue; /* the first entry's time is the format's own riddle */
        file_patch(path, (long)i, &byte, 1);
        struct found x = check(f);
        if (x.problems == 0)
            fail_msg("byte %zu", i);
        assert_non_null(strstr(x.first, "index|"));
        assert_non_null(strstr(x.first, path));
        file_patch(path, (long)i, ix + i, 1);
    }
    expect_clean(f);
    free(ix);
    assert_int_equal(truncate(path, 1000), 0);
    expect_problem(f, "index|", path, "has 1000 bytes");
    unlink(path);
    struct found x = check(f);
    assert_int_equal(x.problems, 0); /* an index may begin late */
    assert_true(x.report.not_indexed > 0);
    assert_non_null(strstr(x.notes_text, "outside of what the index files cover"));
}

/* A Java broker that recovers from a crash indexes again from the begin of a commit log file on: what was in a lost
 * index file before that stays without keys, also the last keys of a message that was the last one in a full file. */
static void test_lost_index_file_behind_half_a_message(void **state)
{
    struct fixture *f = *state;
    f->conf.maxIndexNum = 101; /* 33 messages and one of three keys */
    produce(f, 0, 160);
    expect_clean(f);
    struct index_info *infos;
    size_t n;
    struct err err;
    assert_int_equal(index_infos(fs_real(), path_in(f, "index"), &infos, &n, &err), 0);
    assert_int_equal(n, 5);
    assert_int_equal(unlink(infos[1].path), 0);
    assert_int_equal(unlink(infos[2].path), 0); /* the next one begins with a whole message again */
    index_infos_free(infos, n);
    struct found x = check(f);
    assert_int_equal(x.problems, 0);
    assert_int_equal(x.report.not_indexed, 66 + 1);
}

static void test_checkpoint(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 50);
    unsigned char page[40], later[8];
    size_t n;
    unsigned char *saved = file_bytes(path_in(f, "checkpoint"), &n);
    memcpy(page, saved, 40);
    for (int i = 0; i < 3; i++) {
        put_be64(later, get_be64(page + i * 8) + 60000);
        patch(f, "checkpoint", i * 8, later, 8);
        expect_problem(f, "checkpoint|", "but the newest message is of");
        patch(f, "checkpoint", 0, page, 40);
    }
    expect_clean(f);
    free(saved);
    /* Marks behind the log's end. */
    struct checkpoint c;
    struct err err;
    assert_int_equal(checkpoint_read(&c, fs_real(), path_in(f, "checkpoint"), &err), 0);
    c.queues_mark += 1000;
    assert_int_equal(checkpoint_write(&c, fs_real(), path_in(f, "checkpoint"), &err), 0);
    expect_problem(f, "checkpoint|", "but it ends at");
    /* After a crash that is so when the log was cut; its own mark is what counts. */
    fclose(fopen(path_in(f, "abort"), "w"));
    expect_clean(f);
    c.log_mark += 1000;
    assert_int_equal(checkpoint_write(&c, fs_real(), path_in(f, "checkpoint"), &err), 0);
    expect_problem(f, "commit log|", "the log ends here although it was complete up to");
}

static void test_expired_front(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 200);
    unlink(path_in(f, "commitlog/00000000000000000000"));
    expect_clean(f); /* entries before the log's beginning are expired, not wrong */
    struct found x = check(f);
    assert_int_equal(x.report.log_min, 16384);
    assert_true(x.report.messages < 200);
}

/* ---- dump
 * ---------------------------------------------------------------------------------------------------------------- */

struct dumped {
    int64_t n, first, last, damaged;
};

static void dump_message(void *arg, const struct msg_view *v, int64_t offset)
{
    struct dumped *d = arg;
    if (d->n++ == 0)
        d->first = offset;
    d->last = offset;
}

static void dump_damage(void *arg, const char *file, int64_t offset, int64_t bytes)
{
    struct dumped *d = arg;
    d->damaged += bytes;
}

static struct dumped dump(const struct fixture *f, struct store_dump_filter filter)
{
    struct dumped d = {0};
    struct err err = {0};
    struct store_dump_sink sink = {&d, dump_message, dump_damage, NULL};
    int64_t n = store_dump_messages(fs_real(), f->dir.path, NULL, &filter, &sink, &err);
    if (n < 0)
        fail_msg("%s", err.text);
    assert_int_equal(n, d.n);
    return d;
}

static void test_dump(void **state)
{
    struct fixture *f = *state;
    produce(f, 0, 200);
    struct store_dump_filter all = {.queue_id = -1, .to = INT64_MAX, .until = INT64_MAX, .count = -1};
    struct dumped d = dump(f, all);
    assert_int_equal(d.n, 200);
    assert_int_equal(d.first, 0);
    struct store_dump_filter x = all;
    x.topic = "T1";
    assert_int_equal(dump(f, x).n, 100);
    x.queue_id = 1;
    assert_int_equal(dump(f, x).n, 34);
    x = all;
    x.key = "k77";
    struct dumped one = dump(f, x);
    assert_int_equal(one.n, 1);
    x.key = "U77";
    assert_int_equal(dump(f, x).first, one.first);
    x.key = "common";
    assert_int_equal(dump(f, x).n, 200);
    x = all;
    x.count = 7;
    assert_int_equal(dump(f, x).n, 7);
    x = all;
    x.from = one.first;
    x.to = one.first + 1;
    assert_int_equal(dump(f, x).n, 1);
    x.to = INT64_MAX;
    assert_int_equal(dump(f, x).n, 200 - 77);
    x.from = one.first - 1; /* in the middle of message 76: no damage */
    d = dump(f, x);
    assert_int_equal(d.n, 200 - 77);
    assert_int_equal(d.damaged, 0);
    static const char zero[8];
    char name[60];
    snprintf(name, sizeof name, "commitlog/%020lld", (long long)(one.first - one.first % 16384));
    patch(f, name, one.first % 16384, zero, 8);
    d = dump(f, all);
    assert_int_equal(d.n, 199);
    assert_true(d.damaged > 100);
    x = all;
    x.until = 1;
    assert_int_equal(dump(f, x).n, 0);
    x.until = INT64_MAX;
    x.since = 1;
    assert_int_equal(dump(f, x).n, 199);
    struct err err;
    struct store_dump_sink sink = {&d, dump_message, dump_damage, NULL};
    assert_int_equal(store_dump_messages(fs_real(), "/nonexistent", NULL, &all, &sink, &err), -1);
}

static bool is_batch_topic(void *arg, struct str topic)
{
    return str_eqz(topic, "B");
}

/* Batches of three in a batch queue, and messages that stand in light message queues too. */
static void test_other_queues(void **state)
{
    struct fixture *f = *state;
    f->events.batch_topic = is_batch_topic;
    f->conf.enableLmq = f->conf.enableMultiDispatch = true;
    f->conf.mapperFileSizeBatchConsumeQueue = 46 * 46;
    fixture_open(f, false);
    for (int n = 0; n < 40; n++) {
        struct store_msg m = fixture_msg(f->s, "B", 0, STR_LIT("three"),
                                         STR_LIT("INNER_NUM\x01"
                                                 "3\x02"));
        m.m.sys_flag = MSG_FLAG_INNER_BATCH;
        m.batch_messages = 3;
        assert_int_equal(store_put(f->s, &m, NULL), PUT_OK);
        m = fixture_msg(f->s, "T", 0, STR_LIT("light"), STR_LIT("INNER_MULTI_DISPATCH\x01%LMQ%a,%LMQ%b\x02"));
        assert_int_equal(store_put(f->s, &m, NULL), PUT_OK);
    }
    fixture_close(f);
    struct found x = check(f);
    if (x.problems)
        fail_msg("unexpected: %s", x.first);
    assert_int_equal(x.report.messages, 80);
    assert_int_equal(x.report.queues, 4);
    assert_int_equal(x.report.queue_entries, 160);
    const struct {
        const char *file;
        long at;
        const char *what;
    } damages[] = {
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 7, "no entry"},      /* log offset */
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 11, "says"},         /* size */
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 19, "tags code"},    /* tags code */
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 27, "store time"},   /* store time */
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 35, "queue offset"}, /* queue offset */
        {"batchconsumequeue/B/0/00000000000000000000", 46 * 5 + 37, "messages"},     /* number of messages */
        {"consumequeue/%LMQ%b/0/00000000000000000000", 20 * 5 + 7, "%LMQ%b"},
        {"consumequeue/%LMQ%b/0/00000000000000000000", 20 * 5 + 19, "tags code"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        char *bytes, byte;
        size_t n;
        assert_int_equal(fs_load(fs_real(), path_in(f, damages[i].file), 1 << 20, &bytes, &n), 0);
        byte = bytes[damages[i].at];
        patch(f, damages[i].file, damages[i].at, &(char){(char)(byte ^ 1)}, 1);
        expect_problem(f, damages[i].what);
        patch(f, damages[i].file, damages[i].at, &byte, 1);
        free(bytes);
    }
    expect_clean(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(sound_store),
        T(no_store),
        T(live_and_crashed_store),
        T(damaged_log),
        T(torn_tail),
        T(damaged_queue),
        T(damaged_index),
        T(lost_index_file_behind_half_a_message),
        T(checkpoint),
        T(expired_front),
        T(dump),
        T(other_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
