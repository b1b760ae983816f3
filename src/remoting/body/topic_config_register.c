#include "remoting/body/topic_config_register.h"

#include "base/inflate.h"
#include "remoting/body/body_read.h"
#include <errno.h>
#include <libdeflate.h>

enum { INFLATED_MAX = 64 * 1024 * 1024 };

/* ---- reading ---- */

/* The compressed text in the arena; the null view with err set when it is no zlib stream or too large. */
static struct str inflate(struct arena *arena, struct str body, struct err *err)
{
    struct buf plain = {0};
    enum inflate_result result = inflate_zlib(body, INFLATED_MAX, &plain);
    struct str text = STR_NULL;
    if (result == INFLATE_OK)
        text = arena_str(arena, buf_str(&plain));
    else
        err_set(err, EINVAL, "the compressed registration cannot be read: it is %s",
                result == INFLATE_TOO_LARGE ? "larger than 64 MiB" : "damaged");
    buf_free(&plain);
    return text;
}

struct reader {
    struct str left;
    bool failed;
};

static int32_t next_i32(struct reader *r)
{
    if (r->failed || r->left.len < 4) {
        r->failed = true;
        return 0;
    }
    int32_t v = (int32_t)get_be32((const uint8_t *)r->left.ptr);
    r->left = str_skip(r->left, 4);
    return v;
}

static struct str next_text(struct reader *r)
{
    int32_t len = next_i32(r);
    if (r->failed || len < 0 || (size_t)len > r->left.len) {
        r->failed = true;
        return STR_LIT("");
    }
    struct str text = str_make(r->left.ptr, (size_t)len);
    r->left = str_skip(r->left, text.len);
    return text;
}

/* A count of pieces of at least min_size bytes each: more than fit into what is left is a lie. */
static size_t next_count(struct reader *r, size_t min_size)
{
    int32_t n = next_i32(r);
    if (n < 0 || (size_t)n > r->left.len / min_size)
        r->failed = true;
    return r->failed ? 0 : (size_t)n;
}

static bool read_compressed_parts(struct arena *arena, struct reader *r, int32_t version,
                                  struct register_broker_body *out)
{
    struct topic_config_wrapper *t = &out->topics;
    if (!data_version_read(json_parse(arena, next_text(r), NULL), &t->data_version))
        return false;
    t->topic_count = next_count(r, 4);
    t->topics = arena_calloc(arena, (t->topic_count + 1) * sizeof *t->topics);
    if (t->topics == NULL)
        return false;
    for (size_t i = 0; i < t->topic_count; i++)
        if (!topic_config_read_line(arena, next_text(r), &t->topics[i]))
            return false;
    out->has_filter_servers = true;
    if (!body_read_texts(arena, json_parse(arena, next_text(r), NULL), &out->filter_servers, &out->filter_server_count))
        return false;
    if (version < REGISTER_VERSION_MAPPING)
        return !r->failed;
    t->mapping_info_count = next_count(r, 4);
    t->mapping_infos = arena_calloc(arena, (t->mapping_info_count + 1) * sizeof *t->mapping_infos);
    for (size_t i = 0; t->mapping_infos && i < t->mapping_info_count; i++)
        if (!topic_queue_mapping_read(arena, json_parse(arena, next_text(r), NULL), &t->mapping_infos[i]) ||
            str_is_null(t->mapping_infos[i].topic))
            return false;
    return t->mapping_infos && !r->failed;
}

static int read_compressed(struct arena *arena, struct str body, int32_t version, struct register_broker_body *out,
                           struct err *err)
{
    struct reader r = {inflate(arena, body, err), false};
    if (str_is_null(r.left))
        return -1;
    if (!read_compressed_parts(arena, &r, version, out))
        return err_set(err, EINVAL, "the compressed registration ends early or holds a malformed topic");
    return 0;
}

static int read_json(struct arena *arena, struct str body, int32_t version, struct register_broker_body *out,
                     struct err *err)
{
    struct json *json = json_parse(arena, body, err);
    if (json == NULL)
        return -1;
    if (version < REGISTER_VERSION_BODY) {
        if (!topic_config_wrapper_read(arena, json, &out->topics))
            return err_set(err, EINVAL, "the registration is no table of topics");
        return 0;
    }
    const struct json *topics = json_get(json, "topicConfigSerializeWrapper");
    const struct json *filters = json_get(json, "filterServerList");
    bool good = body_is_object(json) && (topics == NULL || topic_config_wrapper_read(arena, topics, &out->topics)) &&
                body_read_texts(arena, filters, &out->filter_servers, &out->filter_server_count);
    /* A body without the list means an empty one, a null list leaves things as they are. */
    out->has_filter_servers = filters == NULL || filters->kind != JSON_NULL;
    return good ? 0 : err_set(err, EINVAL, "the registration holds no table of topics");
}

int register_broker_body_read(struct arena *arena, struct str body, bool compressed, int32_t version,
                              struct register_broker_body *out, struct err *err)
{
    *out = (struct register_broker_body){0};
    if (body.len == 0) {
        out->has_filter_servers = version >= REGISTER_VERSION_BODY;
        return 0;
    }
    if (compressed && version >= REGISTER_VERSION_BODY)
        return read_compressed(arena, body, version, out, err);
    return read_json(arena, body, version, out, err);
}

/* ---- writing ---- */

void register_broker_body_write(struct jw *w, const struct register_broker_body *b)
{
    jw_begin_object(w);
    if (b->has_filter_servers)
        body_write_texts(w, "filterServerList", b->filter_servers, b->filter_server_count);
    jw_key(w, STR_LIT("topicConfigSerializeWrapper"));
    topic_config_wrapper_write(w, &b->topics);
    jw_end_object(w);
}

/* A length in front of what `write` appends. */
static size_t begin_piece(struct buf *out)
{
    buf_add_be32(out, 0);
    return out->len;
}

static void end_piece(struct buf *out, size_t start)
{
    if (buf_ok(out))
        put_be32(out->data + start - 4, (uint32_t)(out->len - start));
}

static void write_parts(struct buf *out, const struct register_broker_body *b, int32_t version)
{
    const struct topic_config_wrapper *t = &b->topics;
    struct jw w;
    size_t start = begin_piece(out);
    jw_init(&w, out);
    data_version_write(&w, &t->data_version);
    end_piece(out, start);
    buf_add_be32(out, (uint32_t)t->topic_count);
    for (size_t i = 0; i < t->topic_count; i++) {
        start = begin_piece(out);
        topic_config_write_line(out, &t->topics[i]);
        end_piece(out, start);
    }
    start = begin_piece(out);
    jw_init(&w, out);
    jw_begin_array(&w);
    for (size_t i = 0; i < b->filter_server_count; i++)
        jw_str(&w, b->filter_servers[i]);
    jw_end_array(&w);
    end_piece(out, start);
    if (version < REGISTER_VERSION_MAPPING)
        return;
    buf_add_be32(out, (uint32_t)t->mapping_info_count);
    for (size_t i = 0; i < t->mapping_info_count; i++) {
        start = begin_piece(out);
        jw_init(&w, out);
        topic_queue_mapping_info_write(&w, &t->mapping_infos[i], false);
        end_piece(out, start);
    }
}

bool register_broker_body_compress(struct buf *out, const struct register_broker_body *b, int32_t version)
{
    struct buf plain = {0};
    write_parts(&plain, b, version);
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t start = out->len;
    bool good = c && buf_ok(&plain);
    if (good) {
        size_t bound = libdeflate_zlib_compress_bound(c, plain.len);
        uint8_t *at = buf_extend(out, bound);
        size_t len = at ? libdeflate_zlib_compress(c, plain.data, plain.len, at, bound) : 0;
        good = len > 0;
        out->len = start + len;
    }
    libdeflate_free_compressor(c);
    buf_free(&plain);
    return good;
}
