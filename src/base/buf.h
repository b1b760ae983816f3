/*
 * A growable byte buffer. The owner of the struct owns the memory: buf_free when done. Zero-initialised is empty.
 * Appending never fails by return code: when memory runs out the buffer is marked failed, later appends do nothing,
 * and the one who uses the result asks buf_ok(). One thread at a time.
 */
#ifndef CROCKET_BASE_BUF_H
#define CROCKET_BASE_BUF_H

#include "base/bytes.h"
#include "base/str.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};

bool buf_reserve(struct buf *b, size_t more); /* room for `more` bytes after len */
void buf_free(struct buf *b);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

static inline struct str buf_str(const struct buf *b)
{
    return str_make(b->data ? (const char *)b->data : "", b->len);
}

/* Room for n bytes that the caller fills at once; NULL when out of memory. */
static inline uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (b->cap - b->len < n && !buf_reserve(b, n))
        return NULL;
    uint8_t *at = b->data + b->len;
    b->len += n;
    return at;
}

static inline void buf_add(struct buf *b, const void *src, size_t n)
{
    if (n == 0)
        return;
    uint8_t *at = buf_extend(b, n);
    if (at)
        memcpy(at, src, n);
}

static inline void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

#define buf_add_lit(b, lit) buf_add((b), (lit), sizeof(lit) - 1)

static inline void buf_add_byte(struct buf *b, uint8_t v)
{
    buf_add(b, &v, 1);
}

static inline void buf_add_be16(struct buf *b, uint16_t v)
{
    uint8_t *at = buf_extend(b, 2);
    if (at)
        put_be16(at, v);
}

static inline void buf_add_be32(struct buf *b, uint32_t v)
{
    uint8_t *at = buf_extend(b, 4);
    if (at)
        put_be32(at, v);
}

static inline void buf_add_be64(struct buf *b, uint64_t v)
{
    uint8_t *at = buf_extend(b, 8);
    if (at)
        put_be64(at, v);
}

void buf_add_i64(struct buf *b, int64_t v); /* as decimal text */

#endif
