/* What a queue's entries tell of the filters that want their messages. */
#include "store/consumequeue_int.h"
#include "store/store_check.h"
#include "unit/store/store_fixture.h"

struct teller {
    uint32_t bits;
    struct store *changes; /* other filters come up while a message is told, NULL: no */
};

static uint32_t tell(void *arg, struct str topic, struct str properties)
{
    struct teller *t = arg;
    assert_true(topic.len > 0 && properties.len > 0);
    if (t->changes)
        store_filters_changed(t->changes);
    return t->bits;
}

static struct store_entry entry_at(struct store *s, struct cq *q, int64_t offset)
{
    struct store_entry e;
    assert_int_equal(store_entries(s, q, offset, &e, 1), 1);
    return e;
}

static struct teller teller;

static void open_with(struct fixture *f)
{
    teller = (struct teller){0};
    f->events.arg = &teller;
    f->events.filter_bits = tell;
    fixture_open(f, true);
}

static struct cq *queue_of(struct fixture *f, const char *topic)
{
    struct cq *q = store_queue(f->s, str_from(topic), 0, false);
    assert_non_null(q);
    return q;
}

/* The tags code stays what it is, whatever the bits are. */
static void bits_ride_beside_the_code(void **state)
{
    struct fixture f;
    const uint32_t all = STORE_FILTER_KNOWN | (STORE_FILTER_KNOWN - 1);
    const uint32_t bits[] = {0, STORE_FILTER_KNOWN, STORE_FILTER_KNOWN | 5, all};
    fixture_make(&f);
    open_with(&f);
    for (int64_t i = 0; i < 300; i++) {
        teller.bits = bits[i % 4];
        assert_int_equal(fixture_put(&f, "T", 0, i, NULL), PUT_OK);
    }
    struct cq *q = queue_of(&f, "T");
    for (int64_t i = 0; i < 300; i++) {
        char tags[20];
        struct store_entry e = entry_at(f.s, q, i);
        snprintf(tags, sizeof tags, "TAGS\x01T%d\x02", (int)(i % 3));
        assert_int_equal(e.filter_bits, bits[i % 4]);
        assert_int_equal(e.tags_code, msg_tags_code(str_from(tags)));
    }
    fixture_free(&f);
}

static void negative_codes_keep_their_sign(void **state)
{
    struct store_entry out, e = {.size = 1, .messages = 1, .filter_bits = STORE_FILTER_KNOWN | 7};
    const int64_t codes[] = {0, 1, -1, INT32_MAX, INT32_MIN};
    uint8_t unit[CQ_ENTRY_SIZE];
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        e.tags_code = codes[i];
        cq_put_entry(unit, CQ_ENTRY_SIZE, &e);
        out = cq_get_entry(unit, CQ_ENTRY_SIZE, 0);
        assert_int_equal(out.tags_code, codes[i]);
        assert_int_equal(out.filter_bits, e.filter_bits);
        /* All that a Java broker looks at, and it takes it for no place in an extension. */
        assert_int_equal((int32_t)get_be64(unit + 12), (int32_t)codes[i]);
        assert_true((int64_t)get_be64(unit + 12) >= 0);
    }
    /* A delivery time is no hash code: it stays whole, without bits. */
    e.tags_code = INT64_C(1700000000000);
    cq_put_entry(unit, CQ_ENTRY_SIZE, &e);
    out = cq_get_entry(unit, CQ_ENTRY_SIZE, 0);
    assert_int_equal(out.tags_code, e.tags_code);
    assert_int_equal(out.filter_bits, 0);
}

/* A message that was told of before there was a filter, and is appended after. */
static void bits_of_the_round_before_are_dropped(void **state)
{
    struct fixture f;
    fixture_make(&f);
    open_with(&f);
    teller.bits = STORE_FILTER_KNOWN | 1;
    fixture_put(&f, "T", 0, 0, NULL);
    int64_t from = store_filters_changed(f.s);
    assert_int_equal(from, store_log_end(f.s));
    fixture_put(&f, "T", 0, 1, NULL);
    teller.changes = f.s;
    fixture_put(&f, "T", 0, 2, NULL);
    teller.changes = NULL;
    fixture_put(&f, "T", 0, 3, NULL);
    struct cq *q = queue_of(&f, "T");
    assert_int_equal(entry_at(f.s, q, 0).filter_bits, teller.bits);
    assert_true(entry_at(f.s, q, 0).physical_offset < from);
    assert_int_equal(entry_at(f.s, q, 1).filter_bits, teller.bits);
    assert_true(entry_at(f.s, q, 1).physical_offset >= from);
    assert_int_equal(entry_at(f.s, q, 2).filter_bits, 0);
    assert_int_equal(entry_at(f.s, q, 3).filter_bits, teller.bits);
    fixture_free(&f);
}

/* A closed store with 500 messages, whose entries have bits. */
static void leave_500(struct fixture *f)
{
    fixture_make(f);
    open_with(f);
    teller.bits = STORE_FILTER_KNOWN | 3;
    for (int64_t i = 0; i < 500; i++)
        fixture_put(f, "T", 0, i, NULL);
    fixture_close(f);
}

/* Nothing can show that bits from a disk are still what they were: they do not count, the codes do. */
static void bits_end_with_the_process(void **state)
{
    struct fixture f;
    leave_500(&f);
    open_with(&f);
    struct cq *q = queue_of(&f, "T");
    teller.bits = STORE_FILTER_KNOWN | 8;
    fixture_put(&f, "T", 0, 500, NULL);
    for (int64_t i = 0; i < 500; i += 33) {
        struct store_entry e = entry_at(f.s, q, i);
        assert_int_equal(e.filter_bits, 0);
        assert_true(e.tags_code == (int32_t)e.tags_code);
    }
    assert_int_equal(entry_at(f.s, q, 500).filter_bits, teller.bits);
    assert_int_equal(__atomic_load_n(&f.s->mended, __ATOMIC_RELAXED), 0);
    fixture_expect(&f, "T", 0, 0, 501);
    fixture_free(&f);
}

static void note(void *arg, const struct store_finding *finding)
{
    int *n = arg;
    print_error("%s\n", finding->text);
    ++*n;
}

static void the_check_finds_nothing_wrong(void **state)
{
    struct fixture f;
    struct store_report report;
    struct err err;
    int found = 0;
    leave_500(&f);
    struct store_check_options o = {.dir = f.dir.path,
                                    .index_slots = f.conf.maxHashSlotNum,
                                    .index_entries = f.conf.maxIndexNum,
                                    .arg = &found,
                                    .finding = note};
    assert_int_equal(store_check(fs_real(), &o, &report, &err), 0);
    assert_int_equal(found, 0);
    assert_int_equal(report.queue_entries, 500);
    fixture_free(&f);
}

/* Delivery times and batches have no room for them. */
static void where_there_are_none(void **state)
{
    struct fixture f;
    fixture_make(&f);
    open_with(&f);
    teller.bits = STORE_FILTER_KNOWN | 3;
    struct store_msg m = fixture_msg(f.s, "SCHEDULE_TOPIC_XXXX", 0, STR_LIT("body"),
                                     STR_LIT("DELAY\x01"
                                             "1\x02"));
    assert_int_equal(store_put(f.s, &m, NULL), PUT_OK);
    struct store_entry e = entry_at(f.s, m.queue, 0);
    assert_int_equal(e.filter_bits, 0);
    assert_true(e.tags_code > INT64_C(1700000000000));
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_ride_beside_the_code),
        cmocka_unit_test(negative_codes_keep_their_sign),
        cmocka_unit_test(bits_of_the_round_before_are_dropped),
        cmocka_unit_test(bits_end_with_the_process),
        cmocka_unit_test(the_check_finds_nothing_wrong),
        cmocka_unit_test(where_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
