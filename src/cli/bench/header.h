/*
 * Writes the headers of the generator's requests, in either encoding. The output buffer keeps an error (buf_ok), so
 * nothing here fails. Owns nothing. Any thread, each with its own buffer.
 */
#ifndef CROCKET_CLI_BENCH_HEADER_H
#define CROCKET_CLI_BENCH_HEADER_H

#include "base/buf.h"
#include "remoting/command.h"

struct bench_header {
    struct rem_frame json;
    struct buf *out;
    size_t at, fields_at;
    bool binary;
};

void bench_header_begin(struct bench_header *h, struct buf *out, int32_t code, bool binary);
void bench_header_str(struct bench_header *h, const char *key, struct str value);
void bench_header_i64(struct bench_header *h, const char *key, int64_t value);
void bench_header_end(struct bench_header *h, int32_t flag, uint32_t slot); /* opaque: BENCH_OPAQUE_BASE + slot */
/* The length of the frame that began at `at` and is complete with its body. */
void bench_frame_finish(struct buf *out, size_t at);

#endif
