/*
 * The unit of a sparse consume queue: 46 bytes, big-endian, {position in the compaction log i64, size i32, tags code
 * i64, store time i64, queue offset i64, messages i16, compacted offset i32 = -1, reserved i32 = 0}. A full file ends
 * with a unit whose position is -1. Plain functions; any thread.
 */
#ifndef CROCKET_STORE_COMPACTION_UNIT_H
#define CROCKET_STORE_COMPACTION_UNIT_H

#include "base/bytes.h"

#include <stdbool.h>

enum { CUNIT_SIZE = 46 };

struct cunit {
    int64_t position;
    int32_t size;
    int64_t tags_code;
    int64_t store_time;
    int64_t queue_offset;
    int16_t count;
};

/* False: no message stands there (the closing unit, or space not used yet). */
static inline bool cunit_read(const uint8_t *p, struct cunit *u)
{
    *u = (struct cunit){
        .position = (int64_t)get_be64(p),
        .size = (int32_t)get_be32(p + 8),
        .tags_code = (int64_t)get_be64(p + 12),
        .store_time = (int64_t)get_be64(p + 20),
        .queue_offset = (int64_t)get_be64(p + 28),
        .count = (int16_t)get_be16(p + 36),
    };
    return u->position >= 0 && u->size > 0 && u->queue_offset >= 0 && u->queue_offset < INT64_MAX - INT16_MAX &&
           u->count > 0;
}

static inline void cunit_write(uint8_t *p, const struct cunit *u)
{
    put_be64(p, (uint64_t)u->position);
    put_be32(p + 8, (uint32_t)u->size);
    put_be64(p + 12, (uint64_t)u->tags_code);
    put_be64(p + 20, (uint64_t)u->store_time);
    put_be64(p + 28, (uint64_t)u->queue_offset);
    put_be16(p + 36, (uint16_t)u->count);
    put_be32(p + 38, UINT32_MAX);
    put_be32(p + 42, 0);
}

#endif
