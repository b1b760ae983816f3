/* Compaction topics in the store fixture: messages with keys, and what is read of them. */
#ifndef CROCKET_TESTS_COMPACTION_FIXTURE_H
#define CROCKET_TESTS_COMPACTION_FIXTURE_H

#include "unit/store/store_fixture.h"

#include "store/compaction/compaction_int.h"

enum { CTEST_MAX = 4096 };

/* Ten units a queue file, 4140 bytes a log file. */
static inline void ctest_conf(struct store_conf *conf)
{
    conf->compactionCqMappedFileSize = 460;
    conf->compactionMappedFileSize = 4096;
}

static inline void ctest_open(struct fixture *f)
{
    fixture_open(f, false);
    assert_true(store_compact_topic(f->s, STR_LIT("K"), 1));
}

/* The n-th message of the queue: the body tells it. key NULL: none; empty: a tombstone. */
static inline struct str ctest_body(char out[64], int64_t n)
{
    return str_make(out, (size_t)snprintf(out, 64, "value %" PRId64, n));
}

static inline enum put_status ctest_put(struct store *s, const char *key, int64_t n, bool empty)
{
    char body[64], props[128];
    int len = key ? snprintf(props, sizeof props, "UNIQ_KEY\x01u%" PRId64 "\x02KEYS\x01%s\x02TAGS\x01T%d\x02", n, key,
                             (int)(n % 2))
                  : snprintf(props, sizeof props, "UNIQ_KEY\x01u%" PRId64 "\x02", n);
    struct store_msg m =
        fixture_msg(s, "K", 0, empty ? STR_LIT("") : ctest_body(body, n), str_make(props, (size_t)len));
    return store_put(s, &m, NULL);
}

/* The commit log may be deleted up to here. */
static inline int64_t ctest_deletable(struct store *s)
{
    int64_t time;
    return compaction_safe_end(s->compaction, clog_max(s->log), &time);
}

/* What a consumer that starts at `from` gets. */
struct ctest_read {
    int64_t offset[CTEST_MAX];
    char key[CTEST_MAX][24];
    bool empty[CTEST_MAX];
    size_t n;
    int64_t next;
};

static inline void ctest_take(struct ctest_read *r, const struct msg_view *v)
{
    char body[64];
    struct str key = msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS));
    assert_true(msg_crc_ok(v));
    assert_true(r->n < CTEST_MAX);
    assert_true(r->n == 0 || v->m.queue_offset > r->offset[r->n - 1]);
    assert_true(v->m.body.len == 0 || str_eq(v->m.body, ctest_body(body, v->m.queue_offset)));
    r->offset[r->n] = v->m.queue_offset;
    r->empty[r->n] = v->m.body.len == 0;
    snprintf(r->key[r->n++], sizeof r->key[0], "%.*s", STR_ARG(key));
}

static inline void ctest_read(struct store *s, int64_t from, bool may_block, struct ctest_read *out)
{
    struct cq *q = store_queue(s, STR_LIT("K"), 0, true);
    out->n = 0;
    out->next = from;
    while (out->next < cq_max(q)) {
        struct get_result r;
        int64_t before = out->next;
        store_get(s, q, before, 5, 1 << 20, NULL, NULL, may_block, &r);
        if (r.status == GET_COLD) {
            assert_false(may_block);
            store_release(s, &r);
            store_warm(s, q, before, 5, 1 << 20, NULL, NULL);
            continue;
        }
        for (uint32_t i = 0; i < r.n_ranges; i++)
            for (uint32_t at = 0; at < r.ranges[i].len;) {
                struct msg_view v;
                assert_int_equal(msg_decode(r.ranges[i].map + at, r.ranges[i].len - at, &v), MSG_OK);
                assert_true(v.m.queue_offset >= from);
                ctest_take(out, &v);
                at += v.size;
            }
        if (r.next_offset <= before)
            print_error("offset %" PRId64 ": status %d, next %" PRId64 ", end %" PRId64 "\n", before, r.status,
                        r.next_offset, r.max_offset);
        assert_true(r.next_offset > before);
        out->next = r.next_offset;
        store_release(s, &r);
    }
}

#endif
