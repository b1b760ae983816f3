/* A store in a temporary directory, with small files, for tests. */
#ifndef CROCKET_TESTS_STORE_FIXTURE_H
#define CROCKET_TESTS_STORE_FIXTURE_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/store_int.h"
#include "unit/store/tmpdir.h"

enum { FIXTURE_SEGMENT = 64 * 1024 };

struct fixture {
    struct tmpdir dir;
    const struct fs *fs;
    struct store_conf conf;
    struct store *s;
    struct store_events events;
};

static inline void fixture_conf(struct store_conf *conf, const char *dir)
{
    struct err err;
    assert_int_equal(conf_defaults(store_conf_table(), conf, &err), 0);
    conf->storePathRootDir = strdup(dir);
    conf->mappedFileSizeCommitLog = FIXTURE_SEGMENT;
    conf->mappedFileSizeConsumeQueue = 200 * 20;
    conf->maxHashSlotNum = 1000;
    conf->maxIndexNum = 4000;
}

static inline void fixture_make(struct fixture *f)
{
    log_set_level(LOG_ERROR);
    memset(f, 0, sizeof *f);
    tmpdir_make(&f->dir);
    f->fs = fs_real();
    fixture_conf(&f->conf, f->dir.path);
}

static inline void fixture_open(struct fixture *f, bool start)
{
    struct err err = {0};
    int r = store_open(&f->s, &f->conf, f->fs, &f->events, &err);
    if (r == 0 && start)
        r = store_start(f->s, &err);
    if (r)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

static inline void fixture_close(struct fixture *f)
{
    store_close(f->s);
    f->s = NULL;
}

static inline void fixture_free(struct fixture *f)
{
    if (f->s)
        fixture_close(f);
    store_conf_free(&f->conf);
    tmpdir_remove(&f->dir);
}

static inline struct store_msg fixture_msg(struct store *s, const char *topic, int32_t queue, struct str body,
                                           struct str properties)
{
    struct store_msg m = {.m = {.topic = str_from(topic),
                                .body = body,
                                .properties = properties,
                                .queue_id = queue,
                                .born_time = 1000,
                                .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 1},
                                .store_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 10911}}};
    m.queue = store_queue(s, m.m.topic, queue, true);
    m.tags_code = msg_tags_code(properties);
    return m;
}

/* The body of the n-th test message of a queue: recognisable and of differing length. */
static inline struct str fixture_body(char out[512], const char *topic, int64_t n)
{
    int len = snprintf(out, 512, "%s #%" PRId64 " ", topic, n);
    size_t size = (size_t)len + (size_t)(n * 37 % 300);
    memset(out + len, 'a' + (int)(n % 26), size - (size_t)len);
    return str_make(out, size);
}

static inline enum put_status fixture_put(struct fixture *f, const char *topic, int32_t queue, int64_t n,
                                          struct put_result *r)
{
    char body[512], props[128];
    int len = snprintf(props, sizeof props, "UNIQ_KEY\x01%s-%" PRId64 "\x02TAGS\x01T%d\x02", topic, n, (int)(n % 3));
    struct store_msg m = fixture_msg(f->s, topic, queue, fixture_body(body, topic, n), str_make(props, (size_t)len));
    return store_put(f->s, &m, r);
}

/* Reads queue offsets [from, to) and compares bodies; message n stands at offset n. */
static inline void fixture_expect(struct fixture *f, const char *topic, int32_t queue, int64_t from, int64_t to)
{
    struct cq *q = store_queue(f->s, str_from(topic), queue, false);
    assert_non_null(q);
    struct get_result r;
    while (from < to) {
        store_get(f->s, q, from, 32, 1 << 20, NULL, NULL, true, &r);
        if (r.status != GET_FOUND)
            print_error("offset %" PRId64 " of %s: status %d, queue [%" PRId64 ", %" PRId64 ")\n", from, topic,
                        r.status, r.min_offset, r.max_offset);
        assert_int_equal(r.status, GET_FOUND);
        for (uint32_t i = 0; i < r.n_ranges; i++) {
            const uint8_t *at = r.ranges[i].map, *end = at + r.ranges[i].len;
            while (at < end) {
                struct msg_view v;
                char body[512];
                assert_int_equal(msg_decode(at, (size_t)(end - at), &v), MSG_OK);
                assert_int_equal(v.m.queue_offset, from);
                assert_true(msg_crc_ok(&v));
                assert_true(str_eq(v.m.body, fixture_body(body, topic, from)));
                at += v.size;
                from++;
            }
        }
        assert_int_equal(from, r.next_offset);
        store_release(f->s, &r);
    }
}

#endif
