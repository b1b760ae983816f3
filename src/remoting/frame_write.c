/* Writes frames with a JSON header, members in alphabetical order as Java's serialiser does. */
#include "remoting/command.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void rem_frame_begin(struct rem_frame *f, struct buf *out, int32_t code)
{
    f->out = out;
    f->at = out->len;
    f->any = false;
    buf_reserve(out, 256);
    buf_extend(out, 8);
    buf_add_lit(out, "{\"code\":");
    buf_add_i64(out, code);
    buf_add_lit(out, ",\"extFields\":{");
}

/* No character of s needs an escape. */
static inline bool plain(struct str s)
{
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1F);
    for (; i + 16 <= s.len; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);
        if (_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)))))
            return false;
    }
#endif
    for (; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return false;
    return true;
}

static void add_escaped(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    if (plain(s)) {
        buf_add_str(b, s);
        return;
    }
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(b, s.ptr + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            char two[2] = {'\\', (char)c};
            buf_add(b, two, 2);
        } else {
            char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buf_add(b, six, 6);
        }
    }
    buf_add(b, s.ptr + from, s.len - from);
}

static void add_key(struct rem_frame *f, const char *key)
{
    if (f->any)
        buf_add_lit(f->out, ",\"");
    else
        buf_add_lit(f->out, "\"");
    f->any = true;
    buf_add(f->out, key, strlen(key));
    buf_add_lit(f->out, "\":\"");
}

void rem_frame_str(struct rem_frame *f, const char *key, struct str value)
{
    if (str_is_null(value))
        return;
    add_key(f, key);
    add_escaped(f->out, value);
    buf_add_lit(f->out, "\"");
}

void rem_frame_fields(struct rem_frame *f, struct str fields)
{
    if (f->any && fields.len)
        buf_add_lit(f->out, ",");
    f->any |= fields.len > 0;
    buf_add_str(f->out, fields);
}

void rem_frame_i64(struct rem_frame *f, const char *key, int64_t value)
{
    add_key(f, key);
    buf_add_i64(f->out, value);
    buf_add_lit(f->out, "\"");
}

void rem_frame_bool(struct rem_frame *f, const char *key, bool value)
{
    rem_frame_str(f, key, value ? STR_LIT("true") : STR_LIT("false"));
}

void rem_frame_header_end(struct rem_frame *f, int32_t flag, int32_t opaque, struct str remark)
{
    struct buf *b = f->out;
    buf_add_lit(b, "},\"flag\":");
    buf_add_i64(b, flag);
    buf_add_lit(b, ",\"language\":\"CPP\",\"opaque\":");
    buf_add_i64(b, opaque);
    if (!str_is_null(remark)) {
        buf_add_lit(b, ",\"remark\":\"");
        add_escaped(b, remark);
        buf_add_lit(b, "\"");
    }
    buf_add_lit(b, ",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}");
    if (buf_ok(b))
        put_be32(b->data + f->at + 4, (uint32_t)(b->len - f->at - 8));
}

void rem_frame_finish(struct rem_frame *f, size_t more_body)
{
    if (buf_ok(f->out))
        put_be32(f->out->data + f->at, (uint32_t)(f->out->len - f->at - 4 + more_body));
}
