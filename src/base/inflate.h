/*
 * Unpacking zlib streams, as Java's Deflater makes them. Ownership: out is the caller's. Any thread.
 */
#ifndef CROCKET_BASE_INFLATE_H
#define CROCKET_BASE_INFLATE_H

#include "base/buf.h"

enum inflate_result { INFLATE_OK, INFLATE_DAMAGED, INFLATE_TOO_LARGE, INFLATE_NO_MEMORY };

/* Replaces what is in out by the unpacked bytes, max of them at most. Not INFLATE_OK: out is empty. */
enum inflate_result inflate_zlib(struct str packed, size_t max, struct buf *out);

#endif
