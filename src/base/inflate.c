#include "base/inflate.h"

#include <libdeflate.h>

enum { FIRST_TIMES = 8, FIRST_MORE = 1024, GROWTH = 4 };

static enum inflate_result inflate(struct libdeflate_decompressor *d, struct str packed, size_t max, struct buf *out)
{
    /* A zlib stream does not say how long its content is. */
    size_t cap = packed.len * FIRST_TIMES + FIRST_MORE;
    for (;;) {
        size_t made = 0;
        cap = cap < max ? cap : max;
        if (!buf_reserve(out, cap))
            return INFLATE_NO_MEMORY;
        enum libdeflate_result r = libdeflate_zlib_decompress(d, packed.ptr, packed.len, out->data, cap, &made);
        out->len = r == LIBDEFLATE_SUCCESS ? made : 0;
        if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
            return r == LIBDEFLATE_SUCCESS ? INFLATE_OK : INFLATE_DAMAGED;
        if (cap == max)
            return INFLATE_TOO_LARGE;
        cap *= GROWTH;
    }
}

enum inflate_result inflate_zlib(struct str packed, size_t max, struct buf *out)
{
    buf_clear(out);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    enum inflate_result r = d ? inflate(d, packed, max, out) : INFLATE_NO_MEMORY;
    libdeflate_free_decompressor(d);
    return r;
}
