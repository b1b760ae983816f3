#include "cli/bench/frame.h"

#include "cli/bench/header.h"
#include "message/message.h"
#include "os/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- send ----------------------------------------------------------------------------------------------------------
 */

static const char key_mark[] = "@@@@@@@@@@@@"; /* BENCH_KEY_DIGITS places */
static const char time_mark[] = "1111111111111";
static const char number_mark[] = "###"; /* fewer could be the length of something */
_Static_assert(sizeof key_mark - 1 == BENCH_KEY_DIGITS && sizeof time_mark - 1 == BENCH_TIME_DIGITS, "");

static void add_properties(struct buf *b, const struct send_frame_spec *s)
{
    char key[40];
    snprintf(key, sizeof key, "%s%s", s->key_prefix, key_mark);
    msg_property_add(b, STR_LIT(MSG_PROP_UNIQ_KEY), str_from(key));
    msg_property_add(b, STR_LIT(MSG_PROP_WAIT), STR_LIT("true"));
    if (s->transaction) {
        msg_property_add(b, STR_LIT(MSG_PROP_TRAN_MSG), STR_LIT("true"));
        msg_property_add(b, STR_LIT(MSG_PROP_PGROUP), str_from(s->group));
    }
    struct str rest = str_from(s->properties), one, name;
    while (str_split(&rest, ';', &one))
        if (str_split(&one, '=', &name))
            msg_property_add(b, name, one);
}

static void add_body(struct buf *b, size_t size)
{
    uint8_t *at = buf_extend(b, size);
    if (at == NULL)
        return;
    host_random(at, size);
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)('a' + at[i] % 26);
}

static ptrdiff_t find(const struct buf *b, size_t from, const char *what)
{
    const uint8_t *hit = memmem(b->data + from, b->len - from, what, strlen(what));
    return hit ? hit - b->data : -1;
}

/* Runs of '#' in the properties: digits of the message's number. Neither bodies nor names hold one. */
static int find_numbers(struct send_frame *f, const struct send_frame_spec *s, struct err *err)
{
    const uint8_t *at = f->bytes.data, *end = at + f->bytes.len;
    size_t in_text = 0;
    for (const char *p = s->properties; (p = p ? strstr(p, number_mark) : NULL); p += strspn(p, "#"))
        in_text++;
    f->number_at = calloc(in_text * s->batch + 1, sizeof *f->number_at);
    if (f->number_at == NULL)
        return err_set(err, ENOMEM, "out of memory");
    while (f->number_count < in_text * s->batch &&
           (at = memmem(at, (size_t)(end - at), number_mark, sizeof number_mark - 1))) {
        struct send_number *n = &f->number_at[f->number_count++];
        n->at = (size_t)(at - f->bytes.data);
        while (at < end && *at == '#')
            at++;
        n->digits = (size_t)(at - f->bytes.data) - n->at;
        while (s->batch > 1 && n->message + 1 < s->batch && f->entry_at[n->message + 1] < n->at)
            n->message++;
    }
    return 0;
}

/* Where the places to stamp are: looked up once, in the finished bytes. */
static int find_places(struct send_frame *f, const struct send_frame_spec *s, struct err *err)
{
    f->key_at = calloc(s->batch, sizeof *f->key_at);
    if (f->key_at == NULL)
        return err_set(err, ENOMEM, "out of memory");
    size_t from = 0;
    for (ptrdiff_t at; f->key_count < s->batch && (at = find(&f->bytes, from, key_mark)) >= 0;) {
        f->key_at[f->key_count++] = (size_t)at;
        from = (size_t)at + BENCH_KEY_DIGITS;
    }
    ptrdiff_t time_at = find(&f->bytes, 0, time_mark);
    ptrdiff_t opaque_at = f->binary ? 8 + 5 : find(&f->bytes, 0, "\"opaque\":") + 9;
    if (time_at < 0 || opaque_at < 9 || f->key_count != s->batch)
        return err_set(err, EINVAL, "the topic or group name cannot be used for a load test");
    f->time_at = (size_t)time_at;
    f->opaque_at = (size_t)opaque_at;
    return find_numbers(f, s, err);
}

int send_frame_make(struct send_frame *f, const struct send_frame_spec *s, struct err *err)
{
    struct buf properties = {0}, body = {0};
    struct bench_header h;
    memset(f, 0, sizeof *f);
    f->binary = s->binary;
    f->size = s->size;
    f->entry_at = calloc(s->batch, sizeof *f->entry_at);
    if (f->entry_at == NULL)
        return err_set(err, ENOMEM, "out of memory");
    if (s->batch == 1)
        add_properties(&properties, s);
    else
        msg_property_add(&properties, STR_LIT(MSG_PROP_WAIT), STR_LIT("true"));
    bench_header_begin(&h, &f->bytes, s->batch > 1 ? REQ_SEND_BATCH_MESSAGE : REQ_SEND_MESSAGE_V2, s->binary);
    bench_header_str(&h, "a", str_from(s->group));
    bench_header_str(&h, "b", str_from(s->topic));
    bench_header_str(&h, "c", STR_LIT("TBW102"));
    bench_header_i64(&h, "d", 4);
    bench_header_i64(&h, "e", s->queue);
    bench_header_i64(&h, "f", s->transaction ? MSG_FLAG_TRANSACTION_PREPARED : 0);
    bench_header_str(&h, "g", str_from(time_mark));
    bench_header_i64(&h, "h", 0);
    bench_header_str(&h, "i", buf_str(&properties));
    bench_header_i64(&h, "j", 0);
    bench_header_str(&h, "k", STR_LIT("false"));
    bench_header_str(&h, "m", s->batch > 1 ? STR_LIT("true") : STR_LIT("false"));
    bench_header_str(&h, "n", str_from(s->broker_name));
    bench_header_end(&h, 0, 0);
    f->body_at = f->bytes.len;
    buf_clear(&properties);
    for (size_t i = 0; i < s->batch; i++) {
        f->entry_at[i] = f->bytes.len + (s->batch > 1 ? 20 : 0); /* behind the lengths of a batch entry */
        buf_clear(&body);
        add_body(&body, s->size);
        if (s->batch == 1) {
            buf_add_str(&f->bytes, buf_str(&body));
        } else {
            buf_clear(&properties);
            add_properties(&properties, s);
            msg_batch_add(&f->bytes, 0, buf_str(&body), buf_str(&properties));
        }
    }
    bench_frame_finish(&f->bytes, 0);
    bool ok = buf_ok(&f->bytes) && buf_ok(&properties) && buf_ok(&body);
    buf_free(&properties);
    buf_free(&body);
    return ok ? find_places(f, s, err) : err_set(err, ENOMEM, "out of memory");
}

void send_frame_free(struct send_frame *f)
{
    buf_free(&f->bytes);
    free(f->key_at);
    free(f->number_at);
    free(f->entry_at);
    memset(f, 0, sizeof *f);
}

static void put_key(uint8_t *at, uint64_t number)
{
    static const char hex[] = "0123456789ABCDEF";
    for (int i = BENCH_KEY_DIGITS; i-- > 0; number >>= 4)
        at[i] = (uint8_t)hex[number & 15];
}

static void put_number(uint8_t *at, size_t digits, uint64_t number)
{
    for (; digits-- > 0; number /= 10)
        at[digits] = (uint8_t)('0' + number % 10);
}

static void put_opaque(uint8_t *at, uint32_t slot)
{
    for (int i = BENCH_OPAQUE_DIGITS; i-- > 1; slot /= 10)
        at[i] = (uint8_t)('0' + slot % 10);
}

uint8_t *send_frame_stamp(const struct send_frame *f, struct buf *out, uint32_t slot,
                          const char time[BENCH_TIME_DIGITS], uint64_t *key)
{
    uint8_t *at = buf_extend(out, f->bytes.len);
    if (at == NULL)
        return NULL;
    memcpy(at, f->bytes.data, f->bytes.len);
    memcpy(at + f->time_at, time, BENCH_TIME_DIGITS);
    if (f->binary)
        put_be32(at + f->opaque_at, BENCH_OPAQUE_BASE + slot);
    else
        put_opaque(at + f->opaque_at, slot);
    for (size_t i = 0; i < f->number_count; i++)
        put_number(at + f->number_at[i].at, f->number_at[i].digits, *key + f->number_at[i].message);
    for (size_t i = 0; i < f->key_count; i++)
        put_key(at + f->key_at[i], (*key)++);
    return at;
}

/* ---- the end of a transaction --------------------------------------------------------------------------------------
 */

bool commit_frame_write(struct buf *out, const struct send_frame_spec *s, const struct bench_response *r)
{
    struct bench_header h;
    struct msg_host host;
    int64_t log_offset;
    size_t at = out->len;
    char id[BENCH_ID_MAX];
    struct str msg_id = str_make(id, bench_response_text(r, "msgId", id));
    if (!msg_id_parse(msg_id, &host, &log_offset))
        return false;
    bench_header_begin(&h, out, REQ_END_TRANSACTION, s->binary);
    bench_header_str(&h, "bname", str_from(s->broker_name));
    bench_header_i64(&h, "commitLogOffset", log_offset);
    bench_header_i64(&h, "commitOrRollback", MSG_FLAG_TRANSACTION_COMMIT);
    bench_header_str(&h, "fromTransactionCheck", STR_LIT("false"));
    bench_header_str(&h, "msgId", msg_id);
    bench_header_str(&h, "producerGroup", str_from(s->group));
    bench_header_i64(&h, "tranStateTableOffset", bench_response_i64(r, "queueOffset", -1));
    bench_header_end(&h, REM_FLAG_ONEWAY, 0);
    bench_frame_finish(out, at);
    return true;
}

/* ---- responses -----------------------------------------------------------------------------------------------------
 */

/* What rem_decode sets before it reads a header; the fields' array stays as it is. */
static void clear_command(struct rem_command *c)
{
    c->code = c->version = c->opaque = c->flag = 0;
    c->n_ext = 0;
    c->has_ext = false;
    c->remark = c->body = STR_NULL;
}

static bool read_number(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    bool negative = at < end && *at == '-';
    int64_t v = 0;
    at += negative;
    if (at >= end || *at < '0' || *at > '9')
        return false;
    while (at < end && *at >= '0' && *at <= '9')
        v = v * 10 + (*at++ - '0');
    *out = negative ? -v : v;
    return true;
}

/* The number behind "key": when it stands in the last bytes of the header, where servers put it. */
static bool number_near_end(const uint8_t *header, size_t len, const char *key, int64_t *out)
{
    size_t n = strlen(key), window = len < 96 ? len : 96;
    const uint8_t *from = header + len - window, *hit = memmem(from, window, key, n);
    return hit && read_number(hit + n, header + len, out);
}

static bool read_json(uint8_t *header, size_t len, struct bench_response *out, int64_t *opaque, int64_t *flag)
{
    static const char code_first[] = "{\"code\":";
    int64_t code;
    if (len > sizeof code_first && memcmp(header, code_first, sizeof code_first - 1) == 0 &&
        read_number(header + sizeof code_first - 1, header + len, &code) &&
        number_near_end(header, len, "\"opaque\":", opaque)) {
        const uint8_t *hit = memmem(header, len, "\"flag\":", 7);
        if (hit && read_number(hit + 7, header + len, flag)) {
            out->code = (int32_t)code;
            return true;
        }
    }
    /* Some other order: read it all, from a copy, since reading changes it. */
    struct rem_command c;
    const char *why;
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, header, len);
    copy[len] = '\0';
    clear_command(&c);
    bool ok = rem_decode_json_header(copy, len, &c, &why);
    free(copy);
    if (!ok)
        return false;
    out->code = c.code;
    *opaque = c.opaque;
    *flag = c.flag;
    return true;
}

bool bench_response_read(uint8_t *frame, size_t len, struct bench_response *out, bool *is_request)
{
    int64_t opaque = 0, flag = 0;
    *is_request = false;
    if (len < 8)
        return false;
    out->header_len = get_be32(frame + 4) & 0xFFFFFF;
    out->binary = frame[4] == REM_BINARY;
    if (frame[4] > REM_BINARY || out->header_len > len - 8)
        return false;
    out->header = frame + 8;
    out->body = frame + 8 + out->header_len;
    out->body_len = len - 8 - out->header_len;
    if (out->binary) {
        if (out->header_len < 21)
            return false;
        out->code = (int16_t)get_be16(out->header);
        opaque = (int32_t)get_be32(out->header + 5);
        flag = (int32_t)get_be32(out->header + 9);
    } else if (!read_json(frame + 8, out->header_len, out, &opaque, &flag)) {
        return false;
    }
    if (!(flag & REM_FLAG_RESPONSE)) {
        *is_request = true;
        return false;
    }
    if (opaque < BENCH_OPAQUE_BASE)
        return false;
    out->slot = (uint32_t)(opaque - BENCH_OPAQUE_BASE);
    return true;
}

int64_t bench_response_i64(const struct bench_response *r, const char *key, int64_t otherwise)
{
    int64_t value;
    char pattern[64];
    if (r->binary) {
        struct rem_command c;
        const char *why;
        clear_command(&c);
        if (!rem_decode_binary_header(r->header, r->header_len, &c, &why) || !str_to_i64(rem_ext(&c, key), &value))
            return otherwise;
        return value;
    }
    int n = snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const uint8_t *hit = memmem(r->header, r->header_len, pattern, (size_t)n), *end = r->header + r->header_len;
    if (hit == NULL)
        return otherwise;
    hit += n;
    hit += hit < end && *hit == '"';
    return read_number(hit, end, &value) ? value : otherwise;
}

struct str bench_response_view(const struct bench_response *r, const char *key)
{
    char pattern[64];
    if (r->binary) {
        struct rem_command c;
        const char *why;
        clear_command(&c);
        return rem_decode_binary_header(r->header, r->header_len, &c, &why) ? rem_ext(&c, key) : STR_NULL;
    }
    int n = snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const uint8_t *hit = memmem(r->header, r->header_len, pattern, (size_t)n), *end = r->header + r->header_len;
    const uint8_t *quote = hit ? memchr(hit + n, '"', (size_t)(end - hit - n)) : NULL;
    return quote ? str_make(hit + n, (size_t)(quote - hit - n)) : STR_NULL;
}

size_t bench_response_text(const struct bench_response *r, const char *key, char out[BENCH_ID_MAX])
{
    struct str text = bench_response_view(r, key);
    if (text.len > BENCH_ID_MAX)
        text.len = 0;
    if (text.len)
        memcpy(out, text.ptr, text.len);
    return text.len;
}

void bench_response_remark(const struct bench_response *r, char *out, size_t cap)
{
    struct rem_command c;
    const char *why;
    char *copy = malloc(r->header_len + 1);
    snprintf(out, cap, "no reason given");
    if (copy == NULL)
        return;
    memcpy(copy, r->header, r->header_len);
    clear_command(&c);
    bool ok = r->binary ? rem_decode_binary_header((uint8_t *)copy, r->header_len, &c, &why)
                        : rem_decode_json_header(copy, r->header_len, &c, &why);
    if (ok && !str_is_null(c.remark))
        snprintf(out, cap, "%.*s", STR_ARG(c.remark));
    free(copy);
}
