/* A key index with small files in a temporary directory, for tests. */
#ifndef CROCKET_TESTS_INDEX_FIXTURE_H
#define CROCKET_TESTS_INDEX_FIXTURE_H

#include "store/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "unit/store/tmpdir.h"

enum { SLOTS = 50, ENTRIES = 40 };

#define TOPIC STR_LIT("TopicTest")

struct fixture {
    struct tmpdir dir;
    struct index *ix; /* the test's to make */
    int32_t slots, entries;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    log_set_level(LOG_ERROR);
    tmpdir_make(&f->dir);
    f->slots = SLOTS;
    f->entries = ENTRIES;
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    index_free(f->ix);
    tmpdir_remove(&f->dir);
    free(f);
    return 0;
}

/* uniq NULL: the message has none. */
static inline void add(struct index *ix, const char *uniq, const char *keys, int64_t offset, int64_t time)
{
    struct err err;
    if (index_add(ix, TOPIC, uniq ? str_from(uniq) : STR_NULL, str_from(keys), offset, time, &err))
        fail_msg("%s", err.text);
}

static inline int64_t flush(struct index *ix)
{
    struct err err;
    int64_t time;
    if (index_flush(ix, &time, &err))
        fail_msg("%s", err.text);
    return time;
}

static inline size_t ask_of(struct index *ix, struct str topic, struct str key, int64_t begin, int64_t end,
                            int64_t *offsets, size_t max)
{
    return index_query(ix, &(struct index_asked){topic, key, begin, end, NULL, NULL}, offsets, max);
}

static inline size_t ask(struct index *ix, const char *key, int64_t *offsets, size_t max)
{
    return ask_of(ix, TOPIC, str_from(key), 0, INT64_MAX, offsets, max);
}

static inline bool has(struct index *ix, const char *key, int64_t offset)
{
    int64_t offsets[200];
    size_t n = ask(ix, key, offsets, 200);
    for (size_t i = 0; i < n; i++)
        if (offsets[i] == offset)
            return true;
    return false;
}

#endif
