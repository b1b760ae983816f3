#include "cli/bench/header.h"

#include "cli/bench/frame.h"

void bench_header_begin(struct bench_header *h, struct buf *out, int32_t code, bool binary)
{
    h->out = out;
    h->at = out->len;
    h->binary = binary;
    if (!binary) {
        rem_frame_begin(&h->json, out, code);
        return;
    }
    buf_extend(out, 8);
    buf_add_be16(out, (uint16_t)code);
    buf_add_byte(out, REM_LANG_CPP);
    buf_add_be16(out, REM_VERSION);
    buf_add_be32(out, 0); /* opaque */
    buf_add_be32(out, 0); /* flag */
    buf_add_be32(out, 0); /* no remark */
    h->fields_at = out->len;
    buf_add_be32(out, 0);
}

void bench_header_str(struct bench_header *h, const char *key, struct str value)
{
    if (!h->binary) {
        rem_frame_str(&h->json, key, value);
        return;
    }
    buf_add_be16(h->out, (uint16_t)strlen(key));
    buf_add(h->out, key, strlen(key));
    buf_add_be32(h->out, (uint32_t)value.len);
    buf_add_str(h->out, value);
}

void bench_header_i64(struct bench_header *h, const char *key, int64_t value)
{
    char text[24];
    bench_header_str(h, key, str_make(text, fmt_i64(text, value)));
}

void bench_header_end(struct bench_header *h, int32_t flag, uint32_t slot)
{
    struct buf *b = h->out;
    if (!h->binary) {
        rem_frame_header_end(&h->json, flag, (int32_t)(BENCH_OPAQUE_BASE + slot), STR_NULL);
        return;
    }
    if (!buf_ok(b))
        return;
    put_be32(b->data + h->at + 4, (uint32_t)(b->len - h->at - 8) | 1u << 24);
    put_be32(b->data + h->at + 8 + 5, BENCH_OPAQUE_BASE + slot);
    put_be32(b->data + h->at + 8 + 9, (uint32_t)flag);
    put_be32(b->data + h->fields_at, (uint32_t)(b->len - h->fields_at - 4));
}

void bench_frame_finish(struct buf *out, size_t at)
{
    if (buf_ok(out))
        put_be32(out->data + at, (uint32_t)(out->len - at - 4));
}
