#include "admin/message_text.h"

#include "admin/time_text.h"
#include "base/base64.h"
#include "base/inflate.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 64 << 20 };

bool message_next(struct str *rest, struct msg_view *v)
{
    if (rest->len == 0 || msg_decode((const uint8_t *)rest->ptr, rest->len, v) != MSG_OK)
        return false;
    *rest = str_skip(*rest, v->size);
    return true;
}

struct str message_id(const struct msg_view *v, char buffer[56])
{
    struct str id = msg_property(v->m.properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    if (!str_is_null(id))
        return id;
    return str_make(buffer, msg_id_format(buffer, &v->m.store_host, v->m.physical_offset));
}

/* The decompressed body in *plain, or the body itself. */
static struct str plain_body(const struct msg_view *v, struct buf *plain)
{
    int type = msg_compression(v->m.sys_flag);
    if (!(v->m.sys_flag & MSG_FLAG_COMPRESSED) || type == MSG_LZ4 || type == MSG_ZSTD)
        return v->m.body;
    return inflate_zlib(v->m.body, BODY_MAX, plain) == INFLATE_OK ? buf_str(plain) : v->m.body;
}

/* Length of the UTF-8 character at s, 0 when there is none. */
static size_t utf8_length(struct str s)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
    if (n == 0 || p[0] >= 0xF5 || n > s.len)
        return 0;
    unsigned code = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3F);
    }
    return code >= least[n] && !(code >= 0xD800 && code < 0xE000) && code < 0x110000 ? n : 0;
}

static bool is_utf8(struct str s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        if (n == 0)
            return false;
        s = str_skip(s, n);
    }
    return true;
}

void message_body_text(struct buf *out, const struct msg_view *v)
{
    struct buf plain = {0};
    struct str s = plain_body(v, &plain);
    while (s.len) {
        size_t n = utf8_length(s);
        unsigned char c = (unsigned char)s.ptr[0];
        bool readable = n > 1 || (n == 1 && (c >= 0x20 || c == '\t' || c == '\n') && c != 0x7F);
        if (readable)
            buf_add(out, s.ptr, n);
        else
            buf_printf(out, "\\x%02X", c);
        s = str_skip(s, readable ? n : 1);
    }
    buf_free(&plain);
}

void message_properties_text(struct buf *out, struct str properties)
{
    struct str rest = properties, name, value;
    const char *between = "";
    buf_add_lit(out, "{");
    while (msg_property_next(&rest, &name, &value)) {
        buf_printf(out, "%s%.*s=%.*s", between, STR_ARG(name), STR_ARG(value));
        between = ", ";
    }
    buf_add_lit(out, "}");
}

void message_host_text(const struct msg_host *h, char out[64])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    bool v6 = h->addr_len == 16;
    inet_ntop(v6 ? AF_INET6 : AF_INET, h->addr, ip, sizeof ip);
    snprintf(out, 64, v6 ? "[%s]:%d" : "%s:%d", ip, h->port);
}

static void print_text(struct buf *out, const char *title, struct str value)
{
    buf_printf(out, "%-20s %.*s\n", title, STR_ARG(value));
}

static void print_number(struct buf *out, const char *title, int64_t value)
{
    buf_printf(out, "%-20s %" PRId64 "\n", title, value);
}

static void print_list(struct buf *out, const char *title, struct str value)
{
    buf_printf(out, "%-20s [%.*s]\n", title, STR_ARG(str_is_null(value) ? STR_LIT("null") : value));
}

void message_print(struct buf *out, const struct msg_view *v)
{
    char id[56], host[64], time[TIME_TEXT];
    print_text(out, "OffsetID:", str_make(id, msg_id_format(id, &v->m.store_host, v->m.physical_offset)));
    print_text(out, "Topic:", v->m.topic);
    print_list(out, "Tags:", msg_property(v->m.properties, STR_LIT(MSG_PROP_TAGS)));
    print_list(out, "Keys:", msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS)));
    print_number(out, "Queue ID:", v->m.queue_id);
    print_number(out, "Queue Offset:", v->m.queue_offset);
    print_number(out, "CommitLog Offset:", v->m.physical_offset);
    print_number(out, "Reconsume Times:", v->m.reconsume_times);
    print_text(out, "Born Timestamp:", str_from(time_text_ms(v->m.born_time, time)));
    print_text(out, "Store Timestamp:", str_from(time_text_ms(v->m.store_time, time)));
    message_host_text(&v->m.born_host, host);
    print_text(out, "Born Host:", str_from(host));
    message_host_text(&v->m.store_host, host);
    print_text(out, "Store Host:", str_from(host));
    print_number(out, "System Flag:", v->m.sys_flag);
    buf_printf(out, "%-20s ", "Properties:");
    message_properties_text(out, v->m.properties);
    buf_printf(out, "\n%-20s ", "Message Body:");
    message_body_text(out, v);
    buf_add_lit(out, "\n");
}

void message_json(struct jw *w, const struct msg_view *v, struct str broker_name)
{
    char id[56], host[64];
    struct str rest = v->m.properties, name, value;
    struct buf plain = {0}, coded = {0};
    struct str body = plain_body(v, &plain);
    jw_begin_object(w);
    jw_kstr(w, "topic", v->m.topic);
    jw_kstr(w, "brokerName", broker_name);
    jw_ki64(w, "queueId", v->m.queue_id);
    jw_ki64(w, "queueOffset", v->m.queue_offset);
    jw_kstr(w, "msgId", message_id(v, id));
    jw_kstr(w, "offsetMsgId", str_make(id, msg_id_format(id, &v->m.store_host, v->m.physical_offset)));
    jw_ki64(w, "commitLogOffset", v->m.physical_offset);
    jw_ki64(w, "bornTimestamp", v->m.born_time);
    jw_ki64(w, "storeTimestamp", v->m.store_time);
    message_host_text(&v->m.born_host, host);
    jw_kstr(w, "bornHost", str_from(host));
    jw_ki64(w, "reconsumeTimes", v->m.reconsume_times);
    jw_ki64(w, "sysFlag", v->m.sys_flag);
    jw_kobject(w, "properties");
    while (msg_property_next(&rest, &name, &value)) {
        jw_key(w, name);
        jw_str(w, value);
    }
    jw_end_object(w);
    if (is_utf8(body)) {
        jw_kstr(w, "body", body);
    } else {
        base64_add(&coded, body);
        jw_kstr(w, "bodyBase64", buf_str(&coded));
    }
    jw_end_object(w);
    buf_free(&plain);
    buf_free(&coded);
}
