/* Key index: the bytes of the files, asking, rolling, restarts clean and after a crash. */
#include "unit/store/index_fixture.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/javahash.h"
#include "os/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { FILE_SIZE = 40 + SLOTS * 4 + ENTRIES * 20 };

static int setup_empty(void **state)
{
    setup(state);
    struct fixture *f = *state;
    f->ix = index_new(fs_real(), f->dir.path, SLOTS, ENTRIES);
    assert_non_null(f->ix);
    return 0;
}

static void reload(struct fixture *f, bool crash, int64_t checkpoint)
{
    struct err err = {0};
    index_free(f->ix);
    f->ix = index_new(fs_real(), f->dir.path, f->slots, f->entries);
    if (index_load(f->ix, crash ? INDEX_OWN_CRASH : INDEX_CLEAN, checkpoint, &err))
        fail_msg("%s", err.text);
}

struct names {
    char name[16][32];
    size_t n;
};

static int collect(void *arg, const char *name, bool is_dir)
{
    struct names *l = arg;
    snprintf(l->name[l->n++], 32, "%s", name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct names files_of(struct fixture *f)
{
    struct names l = {.n = 0};
    assert_int_equal(fs_real()->list(fs_real(), f->dir.path, collect, &l), 0);
    qsort(l.name, l.n, sizeof l.name[0], by_name);
    return l;
}

static unsigned char *bytes_of(struct fixture *f, const char *name)
{
    char path[400];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", f->dir.path, name);
    unsigned char *b = file_bytes(path, &n);
    assert_non_null(b);
    assert_int_equal(n, 40 + f->slots * 4 + f->entries * 20);
    return b;
}

static void test_nothing_costs_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t out[4];
    assert_int_equal(files_of(f).n, 0);
    assert_int_equal(ask(f->ix, "k", out, 4), 0);
    assert_int_equal(flush(f->ix), 0);
    add(f->ix, NULL, "", 0, 1000);
    add(f->ix, NULL, NULL, 100, 1000);
    add(f->ix, NULL, "  ", 200, 1000);
    assert_int_equal(files_of(f).n, 0);
    assert_int_equal(index_end_offset(f->ix), 0);
}

/* The layout, written out by hand from the format's description. */
static void test_file_bytes(void **state)
{
    struct fixture *f = *state;
    add(f->ix, "ID0", "red  green ", 0, 1700000000000);
    add(f->ix, NULL, "red", 500, 1700000007999);
    assert_int_equal(flush(f->ix), 1700000007999);
    struct names l = files_of(f);
    assert_int_equal(l.n, 1);
    assert_int_equal(strlen(l.name[0]), 17);
    unsigned char *b = bytes_of(f, l.name[0]);
    assert_int_equal(get_be64(b), 1700000000000);
    assert_int_equal(get_be64(b + 8), 1700000007999);
    assert_int_equal(get_be64(b + 16), 0);
    assert_int_equal(get_be64(b + 24), 500);
    assert_int_equal(get_be32(b + 32), 3);
    assert_int_equal(get_be32(b + 36), 5);
    static const char *const keys[] = {"TopicTest#ID0", "TopicTest#red", "TopicTest#green", "TopicTest#red"};
    const unsigned char *e = b + 40 + SLOTS * 4;
    assert_int_equal(get_be32(e + 4), crc32_ieee(b, 40)); /* entry 0 is no entry, but tells whose header this is */
    for (int i = 12; i < 20; i++)
        assert_int_equal(e[i], 0);
    for (int i = 0; i < 4; i++) {
        int32_t h = java_hash(str_from(keys[i]));
        h = h < 0 ? -h : h;
        e += 20;
        assert_int_equal((int32_t)get_be32(e), h);
        assert_int_equal(get_be64(e + 4), i == 3 ? 500 : 0);
        assert_int_equal(get_be32(e + 12), i == 3 ? 7 : 0);
        assert_int_equal(get_be32(e + 16), i == 3 ? 2 : 0);
        int newest = i == 1 ? 4 : i + 1;
        assert_int_equal(get_be32(b + 40 + h % SLOTS * 4), newest);
    }
    free(b);
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 30; i++) {
        char uniq[16];
        snprintf(uniq, sizeof uniq, "U%d", i);
        add(f->ix, i % 2 ? uniq : NULL, i % 3 ? "a" : "b", i * 100, 1000000 + i * 1000);
    }
    for (int pass = 0; pass < 3; pass++) {
        int64_t out[100];
        assert_int_equal(ask(f->ix, "a", out, 100), 20);
        assert_int_equal(out[0], 2900);
        assert_int_equal(out[19], 100);
        assert_int_equal(ask(f->ix, "a", out, 3), 3);
        assert_int_equal(out[2], 2600);
        assert_int_equal(ask(f->ix, "b", out, 100), 10);
        assert_int_equal(ask(f->ix, "U7", out, 100), 1);
        assert_int_equal(out[0], 700);
        assert_int_equal(ask(f->ix, "U8", out, 100), 0);
        assert_int_equal(ask_of(f->ix, STR_LIT("Other"), STR_LIT("a"), 0, INT64_MAX, out, 100), 0);
        assert_int_equal(ask_of(f->ix, TOPIC, STR_LIT("a"), 1010000, 1014000, out, 100), 4);
        assert_int_equal(out[0], 1400);
        assert_int_equal(out[3], 1000);
        assert_int_equal(ask_of(f->ix, TOPIC, STR_LIT("a"), 0, 999999, out, 100), 0);
        assert_int_equal(ask_of(f->ix, TOPIC, STR_LIT("a"), 1030000, INT64_MAX, out, 100), 0);
        if (pass == 0)
            flush(f->ix);
        if (pass == 1)
            reload(f, false, 0);
    }
}

/* Full files, and messages whose keys fall into two of them. */
static void test_roll(void **state)
{
    struct fixture *f = *state;
    enum { N = 70 };
    for (int i = 0; i < N; i++) {
        char keys[32];
        snprintf(keys, sizeof keys, "k%d same", i);
        add(f->ix, NULL, keys, i * 100, 5000000 + i * 1000);
        if (i % 25 == 24)
            flush(f->ix);
    }
    for (int pass = 0; pass < 3; pass++) {
        struct names l = files_of(f);
        assert_int_equal(l.n, 4); /* 140 entries, 39 a file */
        int64_t out[200];
        assert_int_equal(ask(f->ix, "same", out, 200), N);
        for (int i = 0; i < N; i++) {
            char key[32];
            assert_int_equal(out[i], (N - 1 - i) * 100);
            snprintf(key, sizeof key, "k%d", i);
            assert_true(has(f->ix, key, i * 100));
        }
        assert_int_equal(index_end_offset(f->ix), (N - 1) * 100);
        if (pass == 0) {
            assert_int_equal(flush(f->ix), 5000000 + (N - 1) * 1000);
            for (int i = 0; i < 3; i++) {
                unsigned char *b = bytes_of(f, l.name[i]);
                assert_int_equal(get_be32(b + 36), ENTRIES);
                free(b);
            }
        }
        if (pass == 1)
            reload(f, true, 5000000 + (N - 1) * 1000);
    }
    /* Dispatched again: nothing is added. */
    add(f->ix, NULL, "same", (N - 1) * 100, 1);
    add(f->ix, NULL, "same", 300, 1);
    int64_t out[200];
    assert_int_equal(ask(f->ix, "same", out, 200), N);
}

static void test_time_of_first_entry_counts_from_file_before(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 40; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    add(f->ix, NULL, "x", 4000, 1100000);
    add(f->ix, NULL, "x", 4100, 1101000);
    flush(f->ix);
    struct names l = files_of(f);
    unsigned char *b = bytes_of(f, l.name[1]);
    const unsigned char *e = b + 40 + SLOTS * 4;
    assert_int_equal(get_be64(b), 1039000); /* entry 40 rolled the file */
    assert_int_equal(get_be64(b + 16), 3900);
    assert_int_equal(get_be32(e + 20 + 12), 1); /* 1039000 counted from the end of the file before, 1038000 */
    assert_int_equal(get_be32(e + 40 + 12), 61);
    assert_int_equal(get_be32(e + 60 + 12), 62);
    free(b);
}

/* As if a Java broker had written the headers, which does not know what stands in the room of entry 0. */
static void be_javas(struct fixture *f)
{
    static const char nothing[20];
    struct names l = files_of(f);
    for (size_t i = 0; i < l.n; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", f->dir.path, l.name[i]);
        file_patch(path, 40 + f->slots * 4, nothing, sizeof nothing);
    }
}

static void test_crash_keeps_what_was_flushed(void **state)
{
    struct fixture *f = *state;
    int64_t out[100];
    for (int i = 0; i < 50; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    flush(f->ix);
    for (int i = 50; i < 60; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    reload(f, true, 0); /* the checkpoint was not written since */
    assert_int_equal(files_of(f).n, 2);
    assert_int_equal(index_end_offset(f->ix), 4900);
    assert_int_equal(ask(f->ix, "x", out, 100), 50);
    flush(f->ix);
    for (int i = 50; i < 55; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    flush(f->ix);
    reload(f, true, 0);
    assert_int_equal(ask(f->ix, "x", out, 100), 55);
    index_cut(f->ix, 5400);
    assert_int_equal(files_of(f).n, 1);
    assert_int_equal(index_end_offset(f->ix), 3800);
    index_cut(f->ix, 3801);
    assert_int_equal(files_of(f).n, 1);
    index_cut(f->ix, 3800);
    assert_int_equal(files_of(f).n, 0);
    assert_int_equal(index_end_offset(f->ix), 0);
}

static void test_crash_deletes_what_checkpoint_does_not_cover(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    flush(f->ix);
    be_javas(f);
    reload(f, true, 1048999); /* one ms before the newest */
    assert_int_equal(files_of(f).n, 1);
    assert_int_equal(index_end_offset(f->ix), 3800);
    for (int i = 38; i < 50; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    int64_t out[100];
    /* Message 38 ended a full file and may have had more keys: it is taken again. */
    assert_int_equal(ask(f->ix, "x", out, 100), 51);
    flush(f->ix);
    be_javas(f);
    reload(f, true, 0);
    assert_int_equal(files_of(f).n, 0);
    assert_int_equal(index_end_offset(f->ix), 0);
}

/* What was not flushed is lost, and leaves no trace that disturbs what was. */
static void test_crash_between_flushes(void **state)
{
    struct fixture *f = *state;
    f->entries = 20000;
    reload(f, false, 0);
    int64_t time = 0;
    for (int i = 0; i < 9000; i++) {
        char keys[32];
        snprintf(keys, sizeof keys, "k%d", i);
        add(f->ix, NULL, keys, i * 100, 1000000 + i);
        if (i == 4999)
            time = flush(f->ix);
    }
    reload(f, true, time);
    assert_int_equal(index_end_offset(f->ix), 499900);
    for (int i = 0; i < 5000; i += 37) {
        char key[32];
        snprintf(key, sizeof key, "k%d", i);
        assert_true(has(f->ix, key, i * 100));
    }
    assert_false(has(f->ix, "k5001", 500100));
    for (int i = 5000; i < 6000; i++)
        add(f->ix, NULL, "again", i * 100, 1000000 + i);
    assert_true(has(f->ix, "again", 599900));
    assert_true(has(f->ix, "k4999", 499900));
}

/* The process died inside a flush: entries and slots are in the file, the header is not. */
static void test_crash_inside_flush(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    int64_t time = flush(f->ix);
    struct names l = files_of(f);
    unsigned char *before = bytes_of(f, l.name[0]);
    for (int i = 10; i < 20; i++)
        add(f->ix, NULL, i % 2 ? "x" : "y", i * 100, 1000000 + i * 1000);
    flush(f->ix);
    char path[400];
    snprintf(path, sizeof path, "%s/%s", f->dir.path, l.name[0]);
    file_patch(path, 0, before, 40);
    free(before);
    reload(f, true, time);
    int64_t out[100];
    assert_int_equal(ask(f->ix, "x", out, 100), 10);
    assert_int_equal(out[0], 900);
    assert_int_equal(ask(f->ix, "y", out, 100), 0);
    for (int i = 10; i < 20; i++)
        add(f->ix, NULL, "z", i * 100, 1000000 + i * 1000);
    flush(f->ix);
    reload(f, false, 0);
    assert_int_equal(ask(f->ix, "x", out, 100), 10);
    assert_int_equal(ask(f->ix, "y", out, 100), 0);
    assert_int_equal(ask(f->ix, "z", out, 100), 10);
}

static void test_damage_is_survived(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 30; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    int64_t time = flush(f->ix);
    struct names l = files_of(f);
    char path[400];
    snprintf(path, sizeof path, "%s/%s", f->dir.path, l.name[0]);
    unsigned seed = 7;
    int64_t out[100];
    for (int round = 0; round < 300; round++) {
        unsigned char junk = (unsigned char)rand_r(&seed);
        file_patch(path, 32 + rand_r(&seed) % (FILE_SIZE - 32), &junk, 1);
        reload(f, round % 2, time);
        assert_true(ask(f->ix, "x", out, 100) <= 100);
        if (files_of(f).n == 0)
            return; /* the header became unusable: deleted */
    }
    /* A file of another size is refused. */
    assert_int_equal(truncate(path, FILE_SIZE - 1), 0);
    index_free(f->ix);
    f->ix = index_new(fs_real(), f->dir.path, SLOTS, ENTRIES);
    struct err err;
    assert_int_equal(index_load(f->ix, INDEX_CLEAN, 0, &err), -1);
    assert_non_null(strstr(err.text, "maxHashSlotNum"));
}

static void test_clean(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++)
        add(f->ix, NULL, "x", i * 100, 1000000 + i * 1000);
    assert_int_equal(index_clean(f->ix, 5000), 0); /* not flushed yet */
    flush(f->ix);
    assert_int_equal(files_of(f).n, 3);
    assert_int_equal(index_clean(f->ix, 3800), 0);
    assert_int_equal(index_clean(f->ix, 3801), 1);
    assert_int_equal(index_clean(f->ix, 100000), 1); /* never the last */
    assert_int_equal(files_of(f).n, 1);
    int64_t out[100];
    assert_int_equal(ask(f->ix, "x", out, 100), 22);
    reload(f, false, 0);
    assert_int_equal(ask(f->ix, "x", out, 100), 22);
}

static int fail_write, fail_sync, writes_left;

static ssize_t faulty_pwrite(const struct fs *fs, int fd, const void *buf, size_t n, int64_t at)
{
    if (fail_write && writes_left-- <= 0)
        return fail_write;
    return fs_real()->pwrite(fs_real(), fd, buf, n > 100 ? n / 2 : n, at);
}

static int faulty_datasync(const struct fs *fs, int fd)
{
    return fail_sync ? fail_sync : fs_real()->datasync(fs_real(), fd);
}

static int faulty_truncate(const struct fs *fs, int fd, int64_t size)
{
    return fail_write ? fail_write : fs_real()->truncate(fs_real(), fd, size);
}

static void test_failing_disk(void **state)
{
    struct fixture *f = *state;
    struct fs faulty = *fs_real();
    faulty.pwrite = faulty_pwrite;
    faulty.datasync = faulty_datasync;
    faulty.truncate = faulty_truncate;
    index_free(f->ix);
    f->ix = index_new(&faulty, f->dir.path, SLOTS, ENTRIES);
    struct err err = {0};
    int64_t time, out[200];
    add(f->ix, NULL, "x", 0, 1000000);
    flush(f->ix);
    add(f->ix, NULL, "x", 100, 1000000);
    for (int upto = 0;; upto++) {
        writes_left = upto;
        fail_write = -ENOSPC;
        int r = index_flush(f->ix, &time, &err);
        fail_write = 0;
        if (r == 0)
            break;
        assert_int_equal(r, -1);
        assert_int_equal(err.code, ENOSPC);
        assert_true(upto < 100);
    }
    assert_int_equal(ask(f->ix, "x", out, 200), 2);
    /* A full disk while a new file is needed, in the middle of a message's keys: it goes on there once there is room.
     */
    for (int i = 2; i < 35; i++)
        add(f->ix, NULL, "x", i * 100, 1000000);
    fail_write = -ENOSPC;
    writes_left = 0;
    int next = 35;
    while (index_add(f->ix, TOPIC, STR_NULL, STR_LIT("x a b c d"), next * 100, 1000000, &err) == 0)
        assert_true(++next < 60);
    assert_int_equal(err.code, ENOSPC);
    assert_int_equal(index_add(f->ix, TOPIC, STR_NULL, STR_LIT("x a b c d"), next * 100, 1000000, &err), -1);
    assert_int_equal(index_flush(f->ix, &time, &err), -1);
    assert_int_equal(err.code, ENOSPC);
    fail_write = 0;
    add(f->ix, NULL, "x a b c d", next * 100, 1000000);
    int n = next + 1;
    assert_int_equal(ask(f->ix, "x", out, 200), n);
    assert_int_equal(ask(f->ix, "a", out, 200), n - 35);
    assert_int_equal(ask(f->ix, "d", out, 200), n - 35);
    assert_int_equal(files_of(f).n, 2);
    flush(f->ix);
    add(f->ix, NULL, "x", next * 100 + 100, 1000000);
    fail_sync = -EIO;
    assert_int_equal(index_flush(f->ix, &time, &err), -2);
    fail_sync = 0;
    /* Never again: a second sync says nothing about what the first one lost. */
    assert_int_equal(index_flush(f->ix, &time, &err), -2);
    reload(f, true, 1000000);
    assert_int_equal(ask(f->ix, "x", out, 200), n);
}

static void test_names_stay_in_order(void **state)
{
    struct fixture *f = *state;
    f->entries = 3;
    reload(f, false, 0);
    for (int i = 0; i < 20; i++)
        add(f->ix, NULL, "x", i * 100, 1000000); /* ten files within a few ms */
    flush(f->ix);
    reload(f, false, 0);
    int64_t out[100];
    assert_int_equal(ask(f->ix, "x", out, 100), 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(out[i], (19 - i) * 100);
}

/* CRC-32 of the two files that Apache RocketMQ 5.3.3 writes for these keys, offsets and times. */
static void test_same_bytes_as_java(void **state)
{
    static const uint32_t java[2] = {0x7bfb2697, 0x5018090c};
    struct fixture *f = *state;
    for (int i = 0; i < 60; i++) {
        char key[64];
        bool accents = i < 39 && i % 7 == 0;
        if (i % 5 == 0)
            snprintf(key, sizeof key, "same");
        else
            snprintf(key, sizeof key, "key-%d%s", i, accents ? "-\xc3\xa9\xe4\xb8\xad" : "");
        add(f->ix, NULL, key, i * 1000, 1700000000000 + i * 777);
    }
    flush(f->ix);
    struct names l = files_of(f);
    assert_int_equal(l.n, 2);
    for (int i = 0; i < 2; i++) {
        unsigned char *b = bytes_of(f, l.name[i]);
        memset(b + 40 + SLOTS * 4, 0, 20); /* the room of entry 0, which has no meaning there */
        assert_int_equal(crc32_ieee(b, FILE_SIZE), java[i]);
        free(b);
    }
}

enum { KEPT = 5000 }; /* entries behind the newest that are never deleted */

struct race {
    struct index *ix;
    _Atomic bool stop;
    _Atomic int64_t added;
};

static void *race_query(void *arg)
{
    struct race *r = arg;
    while (!atomic_load(&r->stop)) {
        int64_t out[64];
        int64_t added = atomic_load(&r->added);
        size_t n = ask(r->ix, "x", out, 64);
        /* A query that slept for long may find what it looked for deleted: by then it was old. */
        bool young = atomic_load(&r->added) - added < KEPT / 2;
        if (young && added > 0 && (n == 0 || out[0] < (added - 1) * 100))
            abort();
        for (size_t i = 1; i < n; i++)
            if (out[i] >= out[i - 1])
                abort();
    }
    return NULL;
}

static void test_query_beside_dispatcher(void **state)
{
    struct fixture *f = *state;
    f->entries = 2000;
    reload(f, false, 0);
    struct race r = {.ix = f->ix};
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, race_query, &r);
    for (int i = 0; i < 20000; i++) {
        add(f->ix, NULL, "x", i * 100, 1000000 + i);
        atomic_store(&r.added, i + 1);
        if (i % 1500 == 0) {
            flush(f->ix);
            index_clean(f->ix, (i - KEPT) * 100);
        }
    }
    atomic_store(&r.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

static void test_speed(void **state)
{
    struct fixture *f = *state;
    f->slots = 5000000;
    f->entries = 20000000;
    reload(f, false, 0);
    enum { N = 300000 };
    struct err err;
    int64_t t0 = clock_mono_ns(), time;
    for (int64_t i = 0; i < N; i++) {
        char uniq[40];
        int n = snprintf(uniq, sizeof uniq, "7F000001%08X%016llX", (unsigned)i * 2654435761u, (unsigned long long)i);
        if (index_add(f->ix, TOPIC, str_make(uniq, (size_t)n), STR_NULL, i * 1000, 1700000000000 + i, &err))
            fail_msg("%s", err.text);
    }
    int64_t t1 = clock_mono_ns();
    assert_int_equal(index_flush(f->ix, &time, &err), 0);
    int64_t t2 = clock_mono_ns();
    assert_true(index_end_offset(f->ix) == (int64_t)(N - 1) * 1000);
    printf("  %d keys: %.0f ns each with making the text, flush %.1f ms\n", N, (double)(t1 - t0) / N,
           (double)(t2 - t1) / 1e6);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup_empty, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_costs_nothing),
        T(file_bytes),
        T(same_bytes_as_java),
        T(query),
        T(roll),
        T(time_of_first_entry_counts_from_file_before),
        T(crash_keeps_what_was_flushed),
        T(crash_deletes_what_checkpoint_does_not_cover),
        T(crash_between_flushes),
        T(crash_inside_flush),
        T(damage_is_survived),
        T(clean),
        T(failing_disk),
        T(names_stay_in_order),
        T(query_beside_dispatcher),
        T(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
